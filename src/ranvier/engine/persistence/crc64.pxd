"""The checksum of RDB files and DUMP payloads: CRC-64 with Jones's polynomial."""

from libc.stddef cimport size_t
from libc.stdint cimport uint64_t

# The checksum of what `crc` is the checksum of (0: nothing), followed by `length` more bytes.
cdef uint64_t crc64(uint64_t crc, const void *data, size_t length) noexcept nogil
