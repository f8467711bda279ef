"""Listpacks and the quicklist made of them: small values and lists, byte-compatible with the RDB format."""

from libc.stddef cimport size_t

from ranvier.engine.memory cimport Memory

# Free the value of a packed encoding (ENCODING_LISTPACK, ENCODING_QUICKLIST).
cdef void packed_free(Memory *memory, int encoding, void *pointer) noexcept nogil
# Free at most `budget` nodes of it; nonzero when all is gone.
cdef bint packed_free_slice(Memory *memory, int encoding, void **pointer, size_t budget) noexcept nogil
# How many allocations freeing it costs: above 64 the database defers it to the garbage queue.
cdef size_t packed_free_effort(int encoding, const void *pointer) noexcept nogil
