"""The table of a large set's members, and what the database asks of it and of an intset.

Each member is one allocation of the table's: its length, then its bytes. There is nothing else to it, so that a member
of up to 23 bytes takes the smallest chunk that glibc has.
"""

from libc.stdint cimport uint8_t
from libc.string cimport memcpy

from ranvier.engine.memory cimport allocate, ranvier_usable_size, release, release_lazily
from ranvier.engine.store.table cimport (
    SEGMENT_BUCKETS, Bucket, Layout, table_free_slice, table_init, table_insert, table_visit,
)
from ranvier.engine.types.intset cimport Intset, intset_free, intset_from_bytes, intset_size


# --- items ------------------------------------------------------------------------------------------------------------

cdef void *item_new(Memory *memory, const char *data, size_t length) noexcept nogil:
    cdef uint8_t *item
    if length <= SHORT_MEMBER_BYTES:
        item = <uint8_t *>allocate(memory, 1 + length)
        item[0] = <uint8_t>length
        memcpy(item + 1, data, length)
    else:
        item = <uint8_t *>allocate(memory, 1 + sizeof(uint64_t) + length)
        item[0] = SHORT_MEMBER_BYTES + 1
        memcpy(item + 1, &length, sizeof(uint64_t))
        memcpy(item + 1 + sizeof(uint64_t), data, length)
    return item


cdef void item_free(Memory *memory, void *item) noexcept nogil:
    release_lazily(memory, item)


cdef const char *item_key(const void *item, size_t *length) noexcept nogil:
    return item_text(item, length)


cdef Layout ITEMS
ITEMS.key = item_key
ITEMS.free = item_free


cdef Table *members_new(Memory *memory, uint64_t seed0, uint64_t seed1) noexcept nogil:
    cdef Table *table = <Table *>allocate(memory, sizeof(Table))
    table_init(table, memory, &ITEMS, seed0, seed1)
    return table


cdef void members_insert(Table *table, const char *text, size_t length) noexcept nogil:
    table_insert(table, hash_in(table, text, length), item_new(table.memory, text, length))


# --- what the database asks of a table, and of an intset --------------------------------------------------------------

cdef bint intset_free_slice(Memory *memory, void **pointer, size_t budget) noexcept nogil:
    intset_free(memory, <Intset *>pointer[0])
    pointer[0] = NULL
    return True


cdef size_t one_allocation(const void *pointer) noexcept nogil:
    return 1


cdef void *intset_copy(Memory *memory, const void *pointer) noexcept nogil:
    return intset_from_bytes(memory, <const uint8_t *>pointer, intset_size(<const Intset *>pointer))


cdef size_t allocation_bytes(const void *pointer, size_t samples) noexcept nogil:
    return ranvier_usable_size(<void *>pointer)


cdef ValueKind INTSET
INTSET.name = b"intset"
INTSET.free_slice = intset_free_slice
INTSET.free_effort = one_allocation
INTSET.copy = intset_copy
INTSET.memory_usage = allocation_bytes


cdef const ValueKind *intset_kind() noexcept nogil:
    return &INTSET


cdef bint members_free_slice(Memory *memory, void **pointer, size_t budget) noexcept nogil:
    cdef Table *table = <Table *>pointer[0]
    if table_free_slice(table, budget) != 0:
        return False
    release(memory, table)
    pointer[0] = NULL
    return True


cdef size_t members_free_effort(const void *pointer) noexcept nogil:
    return 1 + (<const Table *>pointer).count


cdef void copy_item(void *context, void *item) noexcept nogil:
    cdef size_t length
    cdef const char *text = item_text(item, &length)
    members_insert(<Table *>context, text, length)


cdef void *members_copy(Memory *memory, const void *pointer) noexcept nogil:
    cdef Table *table = <Table *>pointer
    cdef Table *copy = members_new(memory, table.seed0, table.seed1)
    cdef size_t index
    for index in range(table.buckets):
        table_visit(table, index, copy_item, copy)
    return copy


cdef struct Measure:
    size_t measured
    size_t bytes


cdef void measure_item(void *context, void *item) noexcept nogil:
    cdef Measure *measure = <Measure *>context
    measure.measured += 1
    measure.bytes += ranvier_usable_size(item)


cdef inline size_t buckets_bytes(const Table *table) noexcept nogil:
    """What a table holds beside its items: its segments are as large as the first, or the first is the only one."""
    if table.buckets == 0:
        return 0
    return (ranvier_usable_size(table.segments) + table.chained_buckets * sizeof(Bucket)
            + ((table.buckets - 1) // SEGMENT_BUCKETS + 1) * ranvier_usable_size(table.segments[0]))


cdef size_t members_memory_usage(const void *pointer, size_t samples) noexcept nogil:
    cdef Table *table = <Table *>pointer
    cdef Measure measure
    cdef size_t index = 0
    measure.measured = measure.bytes = 0
    while index < table.buckets and (measure.measured < samples or samples == 0):
        table_visit(table, index, measure_item, &measure)
        index += 1
    if 0 < measure.measured < table.count:
        measure.bytes = <size_t>(<double>measure.bytes / <double>measure.measured * <double>table.count)
    return ranvier_usable_size(table) + buckets_bytes(table) + measure.bytes


cdef ValueKind MEMBERS
MEMBERS.name = b"hashtable"
MEMBERS.free_slice = members_free_slice
MEMBERS.free_effort = members_free_effort
MEMBERS.copy = members_copy
MEMBERS.memory_usage = members_memory_usage


cdef const ValueKind *members_kind() noexcept nogil:
    return &MEMBERS
