"""Freeing what no key leads to any more, in slices, so that no turn pays for it.

A value whose freeing costs more than LAZY_EFFORT allocations, and a flushed table as a whole, join the queue of the
keyspace; `free_garbage` works it off from the newest. What waits here is detached: nothing else refers to it. Single
allocations that are large have a queue of their own (`release_lazily` in memory.pxd), which is worked off first.
"""

from libc.string cimport memset

from ranvier.engine.memory cimport Memory, allocate, release, release_lazily, release_some
from ranvier.engine.store.entry cimport ENCODING_INTEGER, entry_encoding, entry_pointer
from ranvier.engine.store.keyspace cimport GARBAGE_TABLE, Garbage
from ranvier.engine.store.table cimport table_clear, table_init, table_pop
from ranvier.engine.store.value cimport value_free, value_kind

cdef enum:
    LEFTOVER_BYTES_PER_ITEM = 16384
    LEFTOVER_LEAST_BYTES = 65536         # no less than a page, of any processor


cdef Garbage *discard(Keyspace *keyspace, int encoding, void *value) noexcept nogil:
    cdef Garbage *garbage = <Garbage *>allocate(keyspace.memory, sizeof(Garbage))
    memset(garbage, 0, sizeof(Garbage))
    garbage.encoding = encoding
    garbage.value = value
    garbage.next = keyspace.garbage
    keyspace.garbage = garbage
    return garbage


cdef void discard_table(Keyspace *keyspace, Table *table) noexcept nogil:
    """Hand the table's contents to the queue; the table is empty and ready for use afterwards."""
    cdef Garbage *garbage
    if table.count <= LAZY_EFFORT and table.layout.free == NULL:
        table_clear(table)
    elif table.buckets != 0:
        garbage = discard(keyspace, GARBAGE_TABLE, NULL)
        garbage.table = table[0]
        keyspace.garbage_count += table.count
        table_init(table, table.memory, table.layout, table.seed0, table.seed1)


cdef void free_value(Keyspace *keyspace, int encoding, void *value, bint lazily) noexcept nogil:
    cdef bint lazy = keyspace.memory.lazy
    if encoding <= ENCODING_INTEGER:
        return
    if lazily and value_kind(encoding).free_effort(value) > LAZY_EFFORT:
        discard(keyspace, encoding, value)
        keyspace.garbage_count += 1
    else:
        keyspace.memory.lazy = lazy and lazily
        value_free(keyspace.memory, encoding, value)
        keyspace.memory.lazy = lazy


cdef void free_entry(Keyspace *keyspace, Entry *entry, bint lazily) noexcept nogil:
    if entry_encoding(entry) > ENCODING_INTEGER:
        free_value(keyspace, entry_encoding(entry), entry_pointer(entry), lazily)
    if lazily:
        release_lazily(keyspace.memory, entry)
    else:
        release(keyspace.memory, entry)


cdef size_t free_table_slice(Keyspace *keyspace, Garbage *garbage, size_t budget) noexcept nogil:
    """Free up to `budget` items (an expensive value joins the queue instead); returns how many."""
    cdef size_t freed = 0
    cdef void *item
    while freed < budget:
        item = table_pop(&garbage.table)
        if item == NULL:
            break
        if garbage.table.layout.free != NULL:
            free_entry(keyspace, <Entry *>item, True)
        keyspace.garbage_count -= 1
        freed += 1
    if garbage.table.count == 0:
        table_clear(&garbage.table)
    return freed


cdef void drop_garbage(Keyspace *keyspace, Garbage *garbage) noexcept nogil:
    """Take a finished item, which newer ones may precede by now, out of the queue."""
    cdef Garbage **link = &keyspace.garbage
    while link[0] != garbage:
        link = &link[0].next
    link[0] = garbage.next
    release(keyspace.memory, garbage)


cdef size_t free_leftover(Memory *memory, size_t budget) noexcept nogil:
    """Free a large allocation, or a part that compares to so many items; returns to how many it does."""
    cdef size_t size = budget * LEFTOVER_BYTES_PER_ITEM
    if size < LEFTOVER_LEAST_BYTES:
        size = LEFTOVER_LEAST_BYTES
    return 1 + release_some(memory, size) // LEFTOVER_BYTES_PER_ITEM


cdef size_t free_garbage(Keyspace *keyspace, size_t budget) noexcept:
    cdef Garbage *garbage
    cdef size_t freed = 0
    cdef size_t part
    cdef bint done
    while keyspace.memory.leftovers != NULL and freed < budget:
        freed += free_leftover(keyspace.memory, budget - freed)
    while keyspace.garbage != NULL and freed < budget:
        garbage = keyspace.garbage
        if garbage.encoding == GARBAGE_TABLE:
            freed += free_table_slice(keyspace, garbage, budget - freed)
            done = garbage.table.count == 0
        else:
            part = 1 + value_kind(garbage.encoding).free_effort(garbage.value)
            done = value_kind(garbage.encoding).free_slice(keyspace.memory, &garbage.value, budget - freed)
            freed += part if part < budget - freed else budget - freed
            keyspace.garbage_count -= 1 if done else 0
        if done:
            drop_garbage(keyspace, garbage)
    keyspace.freed_total += freed
    return freed
