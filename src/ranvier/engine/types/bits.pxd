"""Bits of a byte string: bit 0 is the highest of the first byte. Plain memory in, numbers out; no commands here."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint64_t

cdef enum BitOperation:
    BITS_AND = 0
    BITS_OR = 1
    BITS_XOR = 2

cdef enum Overflow:
    OVERFLOW_WRAP = 0
    OVERFLOW_SATURATE = 1
    OVERFLOW_FAIL = 2

# How many bits are set between two bits, both included; the last one lies within the string.
cdef uint64_t bits_count(const uint8_t *data, uint64_t first, uint64_t last) noexcept nogil
# The first bit of that value between two bits, both included; -1 when there is none.
cdef int64_t bits_find(const uint8_t *data, uint64_t first, uint64_t last, bint value) noexcept nogil
# target[i] = target[i] op source[i]
cdef void bits_combine(uint8_t *target, const uint8_t *source, size_t size, int operation) noexcept nogil
cdef void bits_invert(uint8_t *target, size_t size) noexcept nogil

# An unsigned integer of up to 64 bits at any bit; beyond the string there are zeros.
cdef uint64_t field_get(const uint8_t *data, size_t size, uint64_t offset, int width) noexcept nogil
# Write the low `width` bits of a value; all of them lie within the string.
cdef void field_set(uint8_t *data, uint64_t offset, int width, uint64_t value) noexcept nogil
cdef int64_t field_sign(uint64_t value, int width) noexcept nogil
# value + increment as an integer of that width; 0 when it does not fit, *result being what `overflow` makes of it.
# `value` was read from such a field, or `increment` is 0.
cdef bint signed_add(int64_t value, int64_t increment, int width, int overflow, int64_t *result) noexcept nogil
cdef bint unsigned_add(uint64_t value, int64_t increment, int width, int overflow, uint64_t *result) noexcept nogil
