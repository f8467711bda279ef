"""CRC-64 with Jones's polynomial, eight bytes at a time.

Parameters as in the catalogue of CRC algorithms, "CRC-64/REDIS": polynomial ad93d23594c935a9, bits reflected, initial
value 0, no final exclusive or; check value e9c6d914c4b8d9ca. Strategy ("slicing by 8", Kounavis and Berry 2005): table
k tells what a byte contributes that k further bytes follow, so that eight look-ups, which do not wait for each other,
replace eight that do. Sixteen tables would be no faster: they fill the first-level cache alone. The tables are made
when the module is imported and never written again, so that a forked child, or any thread, may use them.
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy

cdef enum:
    SLICES = 8

cdef uint64_t REFLECTED_POLYNOMIAL = <uint64_t>0x95ac9329ac4bc9b5
cdef uint64_t TABLES[SLICES][256]


cdef void make_tables() noexcept:
    cdef uint64_t crc
    cdef int byte, k, _bit
    for byte in range(256):
        crc = <uint64_t>byte
        for _bit in range(8):
            crc = (crc >> 1) ^ (REFLECTED_POLYNOMIAL if crc & 1 else 0)
        TABLES[0][byte] = crc
    for byte in range(256):
        for k in range(1, SLICES):
            crc = TABLES[k - 1][byte]
            TABLES[k][byte] = TABLES[0][crc & 0xff] ^ (crc >> 8)


make_tables()


cdef uint64_t crc64(uint64_t crc, const void *data, size_t length) noexcept nogil:
    cdef const uint8_t *p = <const uint8_t *>data
    cdef uint64_t word
    while length >= 8:
        memcpy(&word, p, 8)
        word ^= crc
        crc = (TABLES[7][word & 0xff] ^ TABLES[6][(word >> 8) & 0xff] ^ TABLES[5][(word >> 16) & 0xff]
               ^ TABLES[4][(word >> 24) & 0xff] ^ TABLES[3][(word >> 32) & 0xff] ^ TABLES[2][(word >> 40) & 0xff]
               ^ TABLES[1][(word >> 48) & 0xff] ^ TABLES[0][word >> 56])
        p += 8
        length -= 8
    while length:
        crc = TABLES[0][(crc ^ p[0]) & 0xff] ^ (crc >> 8)
        p += 1
        length -= 1
    return crc


def checksum(const uint8_t[::1] data not None, uint64_t crc=0) -> int:
    """The CRC-64 of `data`, behind bytes of which `crc` is the checksum."""
    return crc64(crc, &data[0], <size_t>data.shape[0]) if data.shape[0] else crc
