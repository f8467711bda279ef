"""SipHash-1-3, the keyed hash of every table (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012).

Who does not know the seed cannot choose keys that fall into one bucket.
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy

cdef extern from *:
    """
    #if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    #error "ranvier's engine reads hash input and bucket tags as little-endian words"
    #endif
    """


cdef inline uint64_t rotate(uint64_t word, int bits) noexcept nogil:
    return (word << bits) | (word >> (64 - bits))


cdef inline void sip_round(uint64_t *v) noexcept nogil:
    v[0] += v[1]
    v[2] += v[3]
    v[1] = rotate(v[1], 13) ^ v[0]
    v[3] = rotate(v[3], 16) ^ v[2]
    v[0] = rotate(v[0], 32)
    v[2] += v[1]
    v[0] += v[3]
    v[1] = rotate(v[1], 17) ^ v[2]
    v[3] = rotate(v[3], 21) ^ v[0]
    v[2] = rotate(v[2], 32)


cdef inline uint64_t load_word(const char *address) noexcept nogil:
    cdef uint64_t word
    memcpy(&word, address, 8)
    return word


cdef inline uint64_t load_tail(const char *key, size_t length) noexcept nogil:
    """The last `length % 8` bytes as a little-endian number."""
    cdef size_t rest = length & 7
    cdef uint64_t word = 0
    cdef size_t i
    if rest == 0:
        return 0
    if length >= 8:
        return load_word(key + length - 8) >> (8 * (8 - rest))
    for i in range(rest):
        word |= <uint64_t><uint8_t>key[i] << (8 * i)
    return word


cdef inline uint64_t sip_hash(uint64_t seed0, uint64_t seed1, const char *key, size_t length) noexcept nogil:
    """64 bits of the key, under a seed of 128 bits."""
    cdef uint64_t v[4]
    cdef uint64_t word
    cdef const char *at = key
    cdef const char *end = key + (length & ~<size_t>7)
    v[0] = seed0 ^ <uint64_t>0x736f6d6570736575
    v[1] = seed1 ^ <uint64_t>0x646f72616e646f6d
    v[2] = seed0 ^ <uint64_t>0x6c7967656e657261
    v[3] = seed1 ^ <uint64_t>0x7465646279746573
    while at != end:
        word = load_word(at)
        v[3] ^= word
        sip_round(v)
        v[0] ^= word
        at += 8
    word = (<uint64_t>length << 56) | load_tail(key, length)
    v[3] ^= word
    sip_round(v)
    v[0] ^= word
    v[2] ^= 0xff
    sip_round(v)
    sip_round(v)
    sip_round(v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]
