"""Where a table's buckets lie: segments of home buckets that never move, and the chains that hang on them.

Inline, and for `table.pyx` alone, which opens with the strategy and the invariants that hold here.
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy, memset

from ranvier.engine.memory cimport Memory, allocate, ranvier_out_of_memory, ranvier_usable_size, release, resize
from ranvier.engine.store.table cimport SEGMENT_BUCKETS, Bucket, Table

cdef extern from *:
    """
    #define ranvier_lowest_bit(word) __builtin_ctzll(word)
    """
    int ranvier_lowest_bit(uint64_t word) noexcept nogil

cdef extern from "<stdlib.h>" nogil:
    int posix_memalign(void **address, size_t alignment, size_t size) noexcept

cdef enum:
    SEGMENT_BITS = 10
    SLOTS = 7
    CHAINED = 128            # bit 7 of Bucket.present
    ALL_SLOTS = 127
    CHAINED_SLOTS = 63       # those that hold items in a chained bucket


# --- home buckets and their memory ---

cdef inline size_t home_index(const Table *table, uint64_t hash) noexcept nogil:
    cdef size_t index = hash & table.low_mask
    if index < table.split:
        index = hash & (2 * table.low_mask + 1)
    return index


cdef inline Bucket *home_bucket(const Table *table, size_t index) noexcept nogil:
    return &table.segments[index >> SEGMENT_BITS][index & (SEGMENT_BUCKETS - 1)]


cdef inline Bucket *next_bucket(const Bucket *bucket) noexcept nogil:
    return <Bucket *>bucket.slots[6] if bucket.present & CHAINED else NULL


cdef inline Bucket *allocate_segment(Memory *memory, size_t buckets) noexcept nogil:
    """Cache-line aligned, counted; the buckets are empty."""
    cdef void *segment = NULL
    cdef size_t size = buckets * sizeof(Bucket)
    if posix_memalign(&segment, sizeof(Bucket), size) != 0:
        ranvier_out_of_memory(size)
    memory.used_bytes += ranvier_usable_size(segment)
    memset(segment, 0, size)
    return <Bucket *>segment


cdef inline void resize_first_segment(Table *table, size_t used, size_t room) noexcept nogil:
    cdef Bucket *segment = allocate_segment(table.memory, room)
    memcpy(segment, table.segments[0], used * sizeof(Bucket))
    release(table.memory, table.segments[0])
    table.segments[0] = segment


cdef inline void create_first_bucket(Table *table) noexcept nogil:
    table.segments = <Bucket **>allocate(table.memory, sizeof(Bucket *))
    table.segments_capacity = 1
    table.segments[0] = allocate_segment(table.memory, 1)
    table.buckets = 1


cdef inline void make_room_for_one_bucket(Table *table) noexcept nogil:
    cdef size_t index = table.buckets
    cdef size_t segment = index >> SEGMENT_BITS
    if segment == 0:
        if table.split == 0:         # a power of two is full
            resize_first_segment(table, index, 2 * index)
        return
    if index & (SEGMENT_BUCKETS - 1) != 0:
        return
    if segment == table.segments_capacity:
        table.segments_capacity *= 2
        table.segments = <Bucket **>resize(
            table.memory, table.segments, table.segments_capacity * sizeof(Bucket *))
    table.segments[segment] = allocate_segment(table.memory, SEGMENT_BUCKETS)


cdef inline void drop_last_bucket(Table *table) noexcept nogil:
    """Take the (empty) last home bucket out of use; the caller has set `split` and `low_mask`."""
    cdef size_t index = table.buckets - 1
    table.buckets = index
    if index < SEGMENT_BUCKETS:
        if table.split == 0 and index > 0:
            resize_first_segment(table, index, index)
        return
    if index & (SEGMENT_BUCKETS - 1) != 0:
        return
    release(table.memory, table.segments[index >> SEGMENT_BITS])
    if 4 * (index >> SEGMENT_BITS) <= table.segments_capacity:
        table.segments_capacity //= 2
        table.segments = <Bucket **>resize(
            table.memory, table.segments, table.segments_capacity * sizeof(Bucket *))


cdef inline void drop_memory(Table *table) noexcept nogil:
    """Release the segments of a table without items."""
    cdef size_t i
    if table.buckets == 0:
        return
    for i in range(((table.buckets - 1) >> SEGMENT_BITS) + 1):
        release(table.memory, table.segments[i])
    release(table.memory, table.segments)
    table.segments = NULL
    table.segments_capacity = 0
    table.buckets = 0
    table.low_mask = 0
    table.split = 0


# --- chains ---

cdef inline void bucket_add(Table *table, Bucket *bucket, uint8_t tag, void *item) noexcept nogil:
    """Put the item into the first free slot of the chain, which grows by a bucket when it has none."""
    cdef Bucket *more
    cdef unsigned int free_slots
    cdef int slot
    while bucket.present & CHAINED:
        free_slots = ~bucket.present & CHAINED_SLOTS
        if free_slots:
            break
        bucket = <Bucket *>bucket.slots[6]
    else:
        free_slots = ~bucket.present & ALL_SLOTS
    if free_slots == 0:
        more = <Bucket *>allocate(table.memory, sizeof(Bucket))
        memset(more, 0, sizeof(Bucket))
        more.present = 1
        more.tags[0] = bucket.tags[6]
        more.slots[0] = bucket.slots[6]
        bucket.slots[6] = more
        bucket.present = CHAINED | CHAINED_SLOTS
        table.chained_buckets += 1
        bucket = more
        free_slots = ~1 & ALL_SLOTS
    slot = ranvier_lowest_bit(free_slots)
    bucket.tags[slot] = tag
    bucket.slots[slot] = item
    bucket.present |= <uint8_t>(1 << slot)


cdef inline void remove_slot(Table *table, Bucket *home, Bucket *bucket, int slot) noexcept nogil:
    """Empty a slot of the chain, filling it from the chain's end; a last bucket left with one item is folded back."""
    cdef Bucket *before = NULL
    cdef Bucket *last = home
    cdef int moved
    while last.present & CHAINED:
        before = last
        last = <Bucket *>last.slots[6]
    moved = ranvier_lowest_bit(last.present)
    bucket.tags[slot] = last.tags[moved]
    bucket.slots[slot] = last.slots[moved]
    last.present &= <uint8_t>~(1 << moved)
    if before != NULL and last.present & (last.present - 1) == 0:
        moved = ranvier_lowest_bit(last.present)
        before.tags[6] = last.tags[moved]
        before.slots[6] = last.slots[moved]
        before.present = ALL_SLOTS
        release(table.memory, last)
        table.chained_buckets -= 1
