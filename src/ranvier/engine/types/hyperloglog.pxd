"""HyperLogLogs in Redis's own format, inside the bytes of a string. See hyperloglog.pyx."""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint64_t

from ranvier.engine.memory cimport Blob, Memory

cdef enum:
    HLL_REGISTERS = 16384
    HLL_HEADER_BYTES = 16
    HLL_DENSE_BYTES = 16 + 16384 * 6 // 8

cdef enum HyperLogLogEncoding:
    HLL_DENSE = 0
    HLL_SPARSE = 1

cdef enum HyperLogLogResult:
    HLL_CORRUPT = -1
    HLL_SAME = 0
    HLL_CHANGED = 1

# Whether a string may be one; what its registers look like shows only when they are read.
cdef bint hll_is_valid(const char *data, size_t size) noexcept nogil
cdef int hll_encoding(const char *data) noexcept nogil

cdef Blob *hll_new(Memory *memory) noexcept nogil
# The blob is the caller's alone; it may be replaced by another one.
cdef int hll_add(Memory *memory, Blob **blob, const char *element, size_t length, size_t sparse_limit) noexcept nogil
cdef int hll_raise(Memory *memory, Blob **blob, size_t index, int value, size_t sparse_limit) noexcept nogil
cdef bint hll_to_dense(Memory *memory, Blob **blob) noexcept nogil           # 0: corrupt
cdef void hll_forget_count(char *data) noexcept nogil

# The estimate that the header keeps, if it still holds.
cdef bint hll_kept_count(const char *data, uint64_t *count) noexcept nogil
cdef void hll_keep_count(char *data, uint64_t count) noexcept nogil
# The estimate from the registers; 0 when they are corrupt.
cdef bint hll_count(const char *data, size_t size, uint64_t *count) noexcept nogil
# The same of one byte per register.
cdef uint64_t hll_count_registers(const uint8_t *registers) noexcept nogil
# Raise each of HLL_REGISTERS bytes to the register's value; 0 when they are corrupt.
cdef bint hll_merge(uint8_t *registers, const char *data, size_t size) noexcept nogil

# One opcode of the sparse form: how many registers it covers, their value, its bytes; 0 at the end.
cdef int hll_next_run(const uint8_t *p, const uint8_t *end, int *value, int *size) noexcept nogil
cdef uint64_t hll_hash(const char *data, size_t length) noexcept nogil
