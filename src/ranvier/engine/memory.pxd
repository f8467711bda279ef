"""Counted allocation: every byte that a server holds for keys, values and buffers goes through one `Memory`.

The count is what the allocator really gave (usable size), so that `used_memory` and the limits built on it are true.
One `Memory` belongs to one server and is touched by its thread alone. A failed allocation ends the process, as the
reference servers do: everything that a peer can grow has a limit long before that.
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint32_t

cdef extern from *:
    """
    #include <stdlib.h>
    #include <string.h>
    #include <stdio.h>
    #if defined(__APPLE__)
    #include <malloc/malloc.h>
    #define ranvier_usable_size(p) malloc_size(p)
    #define ranvier_trim() malloc_zone_pressure_relief(NULL, 0)
    #else
    #include <malloc.h>
    #define ranvier_usable_size(p) malloc_usable_size(p)
    #define ranvier_trim() malloc_trim(0)
    #endif
    static void ranvier_out_of_memory(size_t n) {
        fprintf(stderr, "ranvier: out of memory allocating %zu bytes\\n", n);
        abort();
    }
    """
    size_t ranvier_usable_size(void *p) noexcept nogil
    void ranvier_out_of_memory(size_t n) noexcept nogil
    # Give memory that the allocator keeps for later back to the system.
    void ranvier_trim() noexcept nogil

from libc.stdlib cimport free, malloc, realloc


cdef struct Memory:
    size_t used_bytes
    size_t peak_bytes


cdef inline void *allocate(Memory *memory, size_t size) noexcept nogil:
    """`size` bytes, uninitialised; never NULL."""
    cdef void *p = malloc(size)
    if p == NULL:
        ranvier_out_of_memory(size)
    memory.used_bytes += ranvier_usable_size(p)
    return p


cdef inline void *resize(Memory *memory, void *p, size_t size) noexcept nogil:
    """As realloc, counted; `p` may be NULL."""
    if p != NULL:
        memory.used_bytes -= ranvier_usable_size(p)
    p = realloc(p, size)
    if p == NULL:
        ranvier_out_of_memory(size)
    memory.used_bytes += ranvier_usable_size(p)
    return p


cdef inline void release(Memory *memory, void *p) noexcept nogil:
    """Free `p` (NULL is allowed) and give its bytes back to the count."""
    if p != NULL:
        memory.used_bytes -= ranvier_usable_size(p)
        free(p)


# A large byte string shared by reference: a value, a big argument on its way in, a reply on its way out. Whoever wants
# to change one that others hold (references > 1) copies it first.
cdef struct Blob:
    uint32_t references
    size_t size          # bytes in use
    size_t capacity      # bytes that `blob_data` can hold


cdef inline char *blob_data(Blob *blob) noexcept nogil:
    return <char *>(blob + 1)


cdef inline Blob *blob_new(Memory *memory, size_t capacity) noexcept nogil:
    """An empty blob with one reference."""
    cdef Blob *blob = <Blob *>allocate(memory, sizeof(Blob) + capacity)
    blob.references = 1
    blob.size = 0
    blob.capacity = capacity
    return blob


cdef inline Blob *blob_grow(Memory *memory, Blob *blob, size_t capacity) noexcept nogil:
    """The blob with room for `capacity` bytes, perhaps at another address; the caller holds its only reference."""
    blob = <Blob *>resize(memory, blob, sizeof(Blob) + capacity)
    blob.capacity = capacity
    return blob


cdef inline void blob_release(Memory *memory, Blob *blob) noexcept nogil:
    """Give one reference back; the last one frees."""
    blob.references -= 1
    if blob.references == 0:
        release(memory, blob)
