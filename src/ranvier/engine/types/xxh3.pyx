"""XXH3_64bits without a seed (Yann Collet's specification of XXH3, xxhash.com): clients compute the same of their copy.

One rule for each range of lengths; beyond 240 bytes eight accumulators take stripes of 64 bytes. Numbers are read as
little-endian whatever the machine, and nothing is read outside of the data and of the secret.
"""

from libc.stdint cimport uint32_t

cdef enum:
    STRIPE_BYTES = 64
    STRIPES_PER_BLOCK = 16
    BLOCK_BYTES = 1024

cdef extern from *:
    """
    #include <stdint.h>
    static inline uint64_t ranvier_fold_product(uint64_t a, uint64_t b) {
        unsigned __int128 product = (unsigned __int128)a * b;
        return (uint64_t)product ^ (uint64_t)(product >> 64);
    }
    /* The algorithm's default secret. */
    static const uint8_t ranvier_xxh3_secret[192] = {
        0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c,
        0xde, 0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f,
        0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21,
        0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c,
        0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb, 0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3,
        0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8,
        0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d,
        0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64,
        0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb,
        0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3, 0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e,
        0x2b, 0x16, 0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc, 0x8f, 0xf8, 0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce,
        0x45, 0xcb, 0x3a, 0x8f, 0x95, 0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb, 0xca, 0xbb, 0x4b, 0x40, 0x7e,
    };
    #define RANVIER_PRIME32_1 0x9E3779B1ULL
    #define RANVIER_PRIME32_2 0x85EBCA77ULL
    #define RANVIER_PRIME32_3 0xC2B2AE3DULL
    #define RANVIER_PRIME64_1 0x9E3779B185EBCA87ULL
    #define RANVIER_PRIME64_2 0xC2B2AE3D27D4EB4FULL
    #define RANVIER_PRIME64_3 0x165667B19E3779F9ULL
    #define RANVIER_PRIME64_4 0x85EBCA77C2B2AE63ULL
    #define RANVIER_PRIME64_5 0x27D4EB2F165667C5ULL
    #define RANVIER_MIX_1 0x165667919E3779F9ULL
    #define RANVIER_MIX_2 0x9FB21C651E98DF25ULL
    """
    uint64_t ranvier_fold_product(uint64_t a, uint64_t b) noexcept nogil
    const uint8_t *ranvier_xxh3_secret
    const uint64_t PRIME32_1 "RANVIER_PRIME32_1"
    const uint64_t PRIME32_2 "RANVIER_PRIME32_2"
    const uint64_t PRIME32_3 "RANVIER_PRIME32_3"
    const uint64_t PRIME64_1 "RANVIER_PRIME64_1"
    const uint64_t PRIME64_2 "RANVIER_PRIME64_2"
    const uint64_t PRIME64_3 "RANVIER_PRIME64_3"
    const uint64_t PRIME64_4 "RANVIER_PRIME64_4"
    const uint64_t PRIME64_5 "RANVIER_PRIME64_5"
    const uint64_t MIX_1 "RANVIER_MIX_1"
    const uint64_t MIX_2 "RANVIER_MIX_2"


cdef inline uint64_t read32(const uint8_t *p) noexcept nogil:
    return p[0] | <uint64_t>p[1] << 8 | <uint64_t>p[2] << 16 | <uint64_t>p[3] << 24


cdef inline uint64_t read64(const uint8_t *p) noexcept nogil:
    return read32(p) | read32(p + 4) << 32


cdef inline uint64_t rotated(uint64_t word, int bits) noexcept nogil:
    return word << bits | word >> (64 - bits)


cdef inline uint64_t reversed_bytes(uint64_t word) noexcept nogil:
    cdef uint64_t result = 0
    cdef int i
    for i in range(0, 64, 8):
        result = result << 8 | (word >> i & 0xff)
    return result


cdef inline uint64_t finish_short(uint64_t h) noexcept nogil:
    h = (h ^ (h >> 33)) * PRIME64_2
    h = (h ^ (h >> 29)) * PRIME64_3
    return h ^ (h >> 32)


cdef inline uint64_t finish(uint64_t h) noexcept nogil:
    h = (h ^ (h >> 37)) * MIX_1
    return h ^ (h >> 32)


cdef inline uint64_t secret_pair(size_t at) noexcept nogil:
    return read64(ranvier_xxh3_secret + at) ^ read64(ranvier_xxh3_secret + at + 8)


cdef inline uint64_t mixed(const uint8_t *p, size_t secret) noexcept nogil:
    """Sixteen bytes of data with sixteen of the secret."""
    return ranvier_fold_product(read64(p) ^ read64(ranvier_xxh3_secret + secret),
                                read64(p + 8) ^ read64(ranvier_xxh3_secret + secret + 8))


cdef uint64_t up_to_16(const uint8_t *p, size_t length) noexcept nogil:
    cdef uint64_t h, low, high
    if length == 0:
        return finish_short(secret_pair(56))
    if length < 4:
        h = <uint64_t>p[0] << 16 | <uint64_t>p[length >> 1] << 24 | p[length - 1] | <uint64_t>length << 8
        return finish_short(h ^ (read32(ranvier_xxh3_secret) ^ read32(ranvier_xxh3_secret + 4)))
    if length <= 8:
        h = (read32(p + length - 4) + (read32(p) << 32)) ^ secret_pair(8)
        h = (h ^ rotated(h, 49) ^ rotated(h, 24)) * MIX_2
        h = (h ^ ((h >> 35) + length)) * MIX_2
        return h ^ (h >> 28)
    low = read64(p) ^ secret_pair(24)
    high = read64(p + length - 8) ^ secret_pair(40)
    return finish(<uint64_t>length + reversed_bytes(low) + high + ranvier_fold_product(low, high))


cdef uint64_t up_to_240(const uint8_t *p, size_t length) noexcept nogil:
    cdef uint64_t h = <uint64_t>length * PRIME64_1
    cdef size_t i
    if length <= 128:
        # From both ends towards the middle, a pair of sixteen bytes for each 32 begun.
        for i in range((length - 1) // 32 + 1):
            h += mixed(p + 16 * i, 32 * i) + mixed(p + length - 16 * (i + 1), 32 * i + 16)
        return finish(h)
    for i in range(8):
        h += mixed(p + 16 * i, 16 * i)
    h = finish(h)
    for i in range(8, length // 16):
        h += mixed(p + 16 * i, 16 * (i - 8) + 3)
    return finish(h + mixed(p + length - 16, 119))


cdef void take_stripe(uint64_t *sums, const uint8_t *p, size_t secret) noexcept nogil:
    cdef uint64_t word, key
    cdef size_t i
    for i in range(8):
        word = read64(p + 8 * i)
        key = word ^ read64(ranvier_xxh3_secret + secret + 8 * i)
        sums[i ^ 1] += word
        sums[i] += <uint64_t><uint32_t>key * (key >> 32)


cdef uint64_t any_longer(const uint8_t *p, size_t length) noexcept nogil:
    cdef uint64_t[8] sums
    cdef uint64_t h
    cdef size_t stripe, stripes = (length - 1) // STRIPE_BYTES
    cdef int i
    sums[0] = PRIME32_3
    sums[1] = PRIME64_1
    sums[2] = PRIME64_2
    sums[3] = PRIME64_3
    sums[4] = PRIME64_4
    sums[5] = PRIME32_2
    sums[6] = PRIME64_5
    sums[7] = PRIME32_1
    for stripe in range(stripes):
        take_stripe(sums, p + stripe * STRIPE_BYTES, 8 * (stripe % STRIPES_PER_BLOCK))
        # Between blocks, and a block is one only when bytes follow.
        if stripe % STRIPES_PER_BLOCK == STRIPES_PER_BLOCK - 1 and (stripe + 1) * STRIPE_BYTES <= length - 1:
            for i in range(8):
                sums[i] = (sums[i] ^ (sums[i] >> 47) ^ read64(ranvier_xxh3_secret + 128 + 8 * i)) * PRIME32_1
    take_stripe(sums, p + length - STRIPE_BYTES, 121)
    h = <uint64_t>length * PRIME64_1
    for i in range(4):
        h += ranvier_fold_product(sums[2 * i] ^ read64(ranvier_xxh3_secret + 11 + 16 * i),
                                  sums[2 * i + 1] ^ read64(ranvier_xxh3_secret + 19 + 16 * i))
    return finish(h)


cdef uint64_t xxh3(const uint8_t *data, size_t length) noexcept nogil:
    if length <= 16:
        return up_to_16(data, length)
    if length <= 240:
        return up_to_240(data, length)
    return any_longer(data, length)
