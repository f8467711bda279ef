"""Counted allocation: every byte that a server holds for keys, values and buffers goes through one `Memory`.

The count is what the allocator really gave (usable size), so that `used_memory` and the limits built on it are true.
One `Memory` belongs to one server and is touched by its thread alone. A failed allocation ends the process, as the
reference servers do: everything that a peer can grow has a limit long before that.

Freeing hundreds of megabytes takes tens of milliseconds, as the kernel takes pages back one by one. So what a peer can
make that large - a key, a member, a value, an argument - is given to `release_lazily`: from LAZY_RELEASE_BYTES on it
joins a list, whose links lie in the dead memory itself, and is shortened in steps. It counts until it is gone.
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


cdef enum:
    LAZY_RELEASE_BYTES = 1 << 20

# A large allocation that nobody uses any more.
cdef struct Leftover:
    Leftover *next

cdef struct Memory:
    size_t used_bytes
    size_t peak_bytes
    bint lazy                # its owner calls `release_some` while there are leftovers
    Leftover *leftovers
    size_t leftover_count


cdef inline void memory_init(Memory *memory) noexcept nogil:
    """Nothing is allocated, and everything is released at once."""
    memory.used_bytes = memory.peak_bytes = 0
    memory.lazy = False
    memory.leftovers = NULL
    memory.leftover_count = 0


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


cdef inline void release_lazily(Memory *memory, void *p) noexcept nogil:
    """As `release`, for what may be large."""
    cdef size_t size
    if p == NULL:
        return
    size = ranvier_usable_size(p)
    if size >= LAZY_RELEASE_BYTES and memory.lazy:
        (<Leftover *>p).next = memory.leftovers
        memory.leftovers = <Leftover *>p
        memory.leftover_count += 1
    else:
        memory.used_bytes -= size
        free(p)


cdef inline size_t release_some(Memory *memory, size_t size) noexcept nogil:
    """Release so many bytes, not 0, of one leftover - there is one - or all of it; returns how many."""
    cdef Leftover *leftover = memory.leftovers
    cdef size_t held = ranvier_usable_size(leftover)
    if held > size + LAZY_RELEASE_BYTES:
        memory.leftovers = <Leftover *>resize(memory, leftover, held - size)
        return size
    memory.leftovers = leftover.next
    memory.leftover_count -= 1
    release(memory, leftover)
    return held


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
        release_lazily(memory, blob)
