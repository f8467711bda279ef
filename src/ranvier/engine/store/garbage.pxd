"""Freeing what no key leads to any more, in slices."""

from libc.stddef cimport size_t

from ranvier.engine.store.entry cimport Entry
from ranvier.engine.store.keyspace cimport Keyspace
from ranvier.engine.store.table cimport Table

cdef enum:
    LAZY_EFFORT = 64                 # more allocations than this are not freed at once

# Free a value, or, when that is expensive and `lazily`, leave it to free_garbage.
cdef void free_value(Keyspace *keyspace, int encoding, void *value, bint lazily) noexcept nogil
cdef void free_entry(Keyspace *keyspace, Entry *entry, bint lazily) noexcept nogil
# Hand a table's contents to the queue; the table is empty and ready for use afterwards.
cdef void discard_table(Keyspace *keyspace, Table *table) noexcept nogil
# Whether free_garbage has anything to do.
cdef inline bint garbage_waits(const Keyspace *keyspace) noexcept nogil:
    return keyspace.garbage != NULL or keyspace.memory.leftovers != NULL

# Free up to `budget` items of the queue, or as much of large allocations as that compares to; returns the number freed.
# The head moves on when an item is done.
cdef size_t free_garbage(Keyspace *keyspace, size_t budget) noexcept
