"""What the database does to any value that is more than inline bytes: one record of functions per encoding.

A type's module knows how its values are built; here is what COPY, DEL, MEMORY USAGE and the garbage queue ask of them.
"""

from libc.stddef cimport size_t

from ranvier.engine.memory cimport Memory

# A value of any encoding while a command works on it. Operations replace `encoding` and `pointer`: the caller stores
# them back (entry_set_pointer) when they differ from what it read.
cdef struct Value:
    Memory *memory
    int encoding
    void *pointer

cdef struct ValueKind:
    const char *name                     # as OBJECT ENCODING tells it
    # Free at most `budget` allocations of it; nonzero when all is gone (else *pointer is what is left).
    bint (*free_slice)(Memory *memory, void **pointer, size_t budget) noexcept nogil
    # How many allocations freeing it costs.
    size_t (*free_effort)(const void *pointer) noexcept nogil
    # A second value, independent of the first (large parts may be shared by reference).
    void *(*copy)(Memory *memory, const void *pointer) noexcept nogil
    # Bytes it holds; `samples` parts are measured (0: all) and the rest estimated from them.
    size_t (*memory_usage)(const void *pointer, size_t samples) noexcept nogil

# Of an encoding beyond ENCODING_INTEGER.
cdef const ValueKind *value_kind(int encoding) noexcept nogil


cdef inline void value_free(Memory *memory, int encoding, void *pointer) noexcept nogil:
    value_kind(encoding).free_slice(memory, &pointer, <size_t>-1)
