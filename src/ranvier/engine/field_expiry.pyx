"""Active expiry of the fields of hashes: the cycle that deletes what nobody writes over.

Strategy. A database keeps the hashes of which fields expire in `volatile_hashes`, and such a hash its expiring fields
in a table of their own. A step goes on in both where the last one ended, from the last home bucket down (the order in
which a shrinking table gives buckets up), and looks at BUCKETS_PER_HASH home buckets of each hash it meets. Fields
found past their time are collected first and deleted then: nothing changes under a visit.
"""

from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memset

from ranvier.engine.effects cimport changes_are_kept, fields_expired
from ranvier.engine.store.database cimport (
    database_delete, database_hash, database_set_volatile, entry_is_expired,
)
from ranvier.engine.store.entry cimport Entry, entry_encoding, entry_key, entry_key_length, entry_pointer
from ranvier.engine.store.table cimport table_visit
from ranvier.engine.types.fields cimport (
    Field, FieldTable, FieldView, Hash, field_is_past, field_view, hash_expiring, hash_length, hash_remove,
)

cdef enum:
    FIELDS_PER_STEP = 64             # of one hash at a time; a bucket that holds more is visited again
    HASHES_PER_STEP = 16             # of one home bucket
    BUCKETS_PER_HASH = 16


cdef struct PastFields:
    int64_t wall_ms
    size_t seen
    size_t count
    Field *fields[FIELDS_PER_STEP]


cdef void collect_past(void *context, void *item) noexcept nogil:
    cdef PastFields *past = <PastFields *>context
    cdef FieldView view
    field_view(<Field *>item, &view)
    past.seen += 1
    if field_is_past(view.at_ms, past.wall_ms) and past.count < FIELDS_PER_STEP:
        past.fields[past.count] = <Field *>item
        past.count += 1


cdef void find_past(FieldTable *fields, PastFields *past) noexcept nogil:
    """Collect from the next home buckets of the expiring fields."""
    cdef size_t buckets = BUCKETS_PER_HASH
    cdef size_t index
    if buckets > fields.expiring.buckets:
        buckets = fields.expiring.buckets
    while buckets > 0 and past.count < FIELDS_PER_STEP:
        buckets -= 1
        index = fields.expire_cursor
        if index >= fields.expiring.buckets:
            index = fields.expiring.buckets - 1
        table_visit(fields.expiring, index, &collect_past, past)
        if past.count < FIELDS_PER_STEP:
            fields.expire_cursor = index - 1     # behind 0: the largest number, which means the last bucket


cdef size_t expire_fields_of(Core *core, Database *database, Entry *entry, size_t *seen) noexcept:
    cdef PastFields past
    cdef FieldView view
    cdef Hash value
    cdef bytes key
    cdef list names = []
    cdef uint64_t hash
    cdef bint emptied
    cdef size_t i
    memset(&past, 0, sizeof(PastFields))
    past.wall_ms = core.keyspace.wall_ms
    value.memory = &core.memory
    value.encoding = entry_encoding(entry)
    value.pointer = entry_pointer(entry)
    find_past(<FieldTable *>value.pointer, &past)
    seen[0] += past.seen
    if past.count == 0:
        return 0
    for i in range(past.count):
        field_view(past.fields[i], &view)
        if changes_are_kept(core):
            names.append(view.name.data[:view.name.length])
        hash_remove(&value, &view)
    key = entry_key(entry)[:entry_key_length(entry)]
    hash = database_hash(database, key, <size_t>len(key))
    database_set_volatile(database, hash, entry, hash_expiring(&value) != 0)
    emptied = hash_length(&value) == 0
    if emptied:
        database_delete(database, hash, key, <size_t>len(key), False)
    core.dirty += past.count
    core.keyspace.expired_fields += past.count
    fields_expired(core, database, key, names, emptied)
    return past.count


cdef struct Hashes:
    size_t count
    Entry *entries[HASHES_PER_STEP]


cdef void collect_hash(void *context, void *item) noexcept nogil:
    cdef Hashes *hashes = <Hashes *>context
    if hashes.count < HASHES_PER_STEP:
        hashes.entries[hashes.count] = <Entry *>item
        hashes.count += 1


cdef size_t expire_fields_slice(Core *core, Database *database, size_t buckets, size_t *seen) noexcept:
    cdef Hashes hashes
    cdef size_t expired = 0
    cdef size_t i, index
    if buckets > database.volatile_hashes.buckets:
        buckets = database.volatile_hashes.buckets
    while buckets > 0 and database.volatile_hashes.count != 0 and expired < FIELDS_PER_STEP:
        buckets -= 1
        hashes.count = 0
        index = database.volatile_cursor
        if index >= database.volatile_hashes.buckets:
            index = database.volatile_hashes.buckets - 1
        table_visit(&database.volatile_hashes, index, &collect_hash, &hashes)
        for i in range(hashes.count):
            if not entry_is_expired(database, hashes.entries[i]):
                expired += expire_fields_of(core, database, hashes.entries[i], seen)
        database.volatile_cursor = index - 1
    return expired
