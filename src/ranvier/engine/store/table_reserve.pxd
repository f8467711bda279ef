"""Making a table large at once, for as many items as are known to come.

A table grows by splitting a home bucket every few inserts, and each split looks at the keys of that bucket's items
again. A loader that knows how many items are coming saves that. What it reserves in vain is given back as items go.
"""

from libc.stddef cimport size_t

from ranvier.engine.memory cimport allocate
from ranvier.engine.store.segments cimport allocate_segment
from ranvier.engine.store.table cimport SEGMENT_BUCKETS, Bucket, Table

cdef enum:
    RESERVE_ITEMS_PER_BUCKET = 4     # a table splits above four and a half


cdef inline void table_reserve(Table *table, size_t items) noexcept nogil:
    """Room for `items`, in a table that holds nothing yet; nothing happens in any other, nor for a few items."""
    cdef size_t buckets = items // RESERVE_ITEMS_PER_BUCKET
    cdef size_t segments = (buckets + SEGMENT_BUCKETS - 1) // SEGMENT_BUCKETS
    cdef size_t level = 1, i
    if table.buckets != 0 or buckets <= SEGMENT_BUCKETS:
        return
    table.segments = <Bucket **>allocate(table.memory, segments * sizeof(Bucket *))
    table.segments_capacity = segments
    for i in range(segments):
        table.segments[i] = allocate_segment(table.memory, SEGMENT_BUCKETS)
    while 2 * level <= buckets:
        level *= 2
    table.buckets = buckets
    table.low_mask = level - 1
    table.split = buckets - level
