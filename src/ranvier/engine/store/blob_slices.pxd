"""What a large blob costs to free, and freeing it in slices: the kernel takes its pages back one by one."""

from libc.stddef cimport size_t

from ranvier.engine.memory cimport Blob, Memory, blob_grow, blob_release

cdef enum:
    BLOB_SLICE_BYTES = 16384     # of a large blob count as one allocation
    WEIGHED_ITEMS = 64           # of a value are looked at for blobs: with more than these it is freed in slices anyway


cdef inline size_t blob_effort(const Blob *blob) noexcept nogil:
    """Allocations that freeing it compares to."""
    return 1 if blob.references > 1 else 1 + blob.capacity // BLOB_SLICE_BYTES


cdef inline size_t blob_release_slice(Memory *memory, Blob **blob, size_t budget) noexcept nogil:
    """Release the blob, which becomes NULL then, or its end; returns how much of the budget, not 0, that took."""
    cdef size_t effort = blob_effort(blob[0])
    if effort > budget:
        blob[0] = blob_grow(memory, blob[0], blob[0].capacity - budget * BLOB_SLICE_BYTES)
        return budget
    blob_release(memory, blob[0])
    blob[0] = NULL
    return effort
