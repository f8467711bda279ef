"""The data set is replaced as a whole: after a synchronisation, by DEBUG RELOAD.

No command does this key by key, so the effect call is not asked: who watches a key, or tracks any, is told here.
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint64_t

from ranvier.engine.core cimport EFFECT_WATCHED
from ranvier.engine.modes.tracking cimport tracking_flush
from ranvier.engine.modes.watch cimport watch_touch_database
from ranvier.engine.store.database cimport database_delete, database_flush, database_hash, database_swap
from ranvier.engine.store.entry cimport ENTRY_EXPIRES, ENTRY_FIELDS_EXPIRE, Entry, entry_key, entry_key_length
from ranvier.engine.store.table cimport table_clear, table_find, table_insert, table_pop, table_visit


cdef inline void tell_watchers(Core *core, int index, Database *replacement) noexcept nogil:
    if core.effects & EFFECT_WATCHED:
        watch_touch_database(core, core.databases[index], replacement)


cdef void empty_databases(Core *core) noexcept:
    cdef int i
    for i in range(core.database_count):
        tell_watchers(core, i, NULL)
        database_flush(core.databases[i])
    tracking_flush(core)


cdef void place_databases(Core *core, Database **loaded) noexcept:
    cdef int i
    for i in range(core.database_count):
        tell_watchers(core, i, loaded[i])
        database_swap(core.databases[i], loaded[i])
    tracking_flush(core)


cdef struct Comparing:
    Database *other
    bint disjoint


cdef void compare_item(void *context, void *item) noexcept nogil:
    cdef Comparing *comparing = <Comparing *>context
    cdef const Entry *entry = <const Entry *>item
    cdef const char *key = entry_key(entry)
    cdef size_t length = entry_key_length(entry)
    if table_find(&comparing.other.keys, database_hash(comparing.other, key, length), key, length) != NULL:
        comparing.disjoint = False


cdef bint are_disjoint(Database *one, Database *other) noexcept nogil:
    cdef Comparing comparing
    cdef size_t i
    comparing.other = one
    comparing.disjoint = True
    for i in range(other.keys.buckets):
        table_visit(&other.keys, i, &compare_item, &comparing)
    return comparing.disjoint


cdef void move_keys(Database *source, Database *target) noexcept:
    """All keys of one database into another, in place of those of the same names."""
    cdef Entry *entry
    cdef uint64_t hash
    cdef const char *key
    cdef size_t length
    table_clear(&source.expires)
    table_clear(&source.volatile_hashes)
    while True:
        entry = <Entry *>table_pop(&source.keys)
        if entry == NULL:
            return
        key = entry_key(entry)
        length = entry_key_length(entry)
        hash = database_hash(target, key, length)
        database_delete(target, hash, key, length, True)
        table_insert(&target.keys, hash, entry)
        if entry.flags & ENTRY_EXPIRES:
            table_insert(&target.expires, hash, entry)
        if entry.flags & ENTRY_FIELDS_EXPIRE:
            table_insert(&target.volatile_hashes, hash, entry)


cdef bint databases_overlap(Core *core, Database **loaded) noexcept nogil:
    cdef int i
    for i in range(core.database_count):
        if not are_disjoint(core.databases[i], loaded[i]):
            return True
    return False


cdef void merge_databases(Core *core, Database **loaded) noexcept:
    cdef int i
    for i in range(core.database_count):
        tell_watchers(core, i, NULL)
        move_keys(loaded[i], core.databases[i])
    tracking_flush(core)
