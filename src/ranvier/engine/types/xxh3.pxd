"""XXH3 of 64 bits, the digest that DIGEST tells of a string. See xxh3.pyx."""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint64_t

cdef uint64_t xxh3(const uint8_t *data, size_t length) noexcept nogil
