"""One database: keys, their values and their expiry.

Strategy. An entry is one allocation whose address stands in `keys`, and also in `expires` when it has an expiry: the
second table holds the same addresses under the same hashes, so that it costs eight bytes and a tag per volatile key.
Whatever changes an entry's size may move it, and then both slots are written here, before anyone looks again.
Invariants:
- An entry is in `expires` exactly if ENTRY_EXPIRES is set, and in `volatile_hashes` exactly if ENTRY_FIELDS_EXPIRE is;
  both own nothing.
- An entry is unlinked from all tables before its memory goes.
- No call does more than a named amount of work: a value whose freeing is expensive goes to the garbage queue instead,
  and a flushed table goes there whole. What waits there is detached: no key leads to it.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint64_t
from libc.string cimport memcpy, memset

from ranvier.engine.memory cimport (
    Blob, Memory, allocate, blob_data, blob_grow, blob_new, blob_release, ranvier_usable_size, release,
)
from ranvier.engine.number cimport parse_integer, print_integer
from ranvier.engine.store.access cimport entry_touch, initial_access
from ranvier.engine.store.entry cimport (
    ENCODING_BLOB, ENCODING_INLINE, ENCODING_INTEGER, ENTRY_EXPIRES, ENTRY_FIELDS_EXPIRE, ENTRY_OWN,
    INLINE_VALUE_LIMIT_BYTES, TYPE_STRING,
    Entry, entry_access, entry_drop_expiry, entry_encoding, entry_expiry, entry_head_size, entry_index_layout,
    entry_integer, entry_key, entry_key_length, entry_layout, entry_new, entry_pointer, entry_set_access,
    entry_set_integer, entry_set_pointer, entry_type, entry_value, entry_value_size, entry_with_expiry,
    entry_write_expiry,
)
from ranvier.engine.store.garbage cimport LAZY_EFFORT, discard_table, free_entry, free_garbage, free_value
from ranvier.engine.store.table cimport (
    hash_bytes, table_clear, table_find, table_init, table_insert, table_random, table_remove, table_visit,
)
from ranvier.engine.store.value cimport value_kind

cdef enum:
    GROWTH_STEP_BYTES = 1 << 20      # a string that grows doubles up to here, then grows by this much at least
    SMALL_ENTRY_BYTES = 64           # below, memory saved by shrinking is not worth an allocation
    EXPIRED_PER_STEP = 64            # of one home bucket; one that holds more is visited again
    RANDOM_TRIES = 100               # a look for a living random key among expired ones that must stay


# --- life of a database ---

cdef Database *database_new(int index, Keyspace *keyspace, uint64_t seed0, uint64_t seed1) noexcept:
    cdef Database *database = <Database *>allocate(keyspace.memory, sizeof(Database))
    memset(database, 0, sizeof(Database))
    database.index = index
    database.keyspace = keyspace
    table_init(&database.keys, keyspace.memory, entry_layout(), seed0, seed1)
    table_init(&database.expires, keyspace.memory, entry_index_layout(), seed0, seed1)
    table_init(&database.volatile_hashes, keyspace.memory, entry_index_layout(), seed0, seed1)
    return database


cdef void database_free(Database *database) noexcept:
    table_clear(&database.volatile_hashes)
    table_clear(&database.expires)
    table_clear(&database.keys)
    release(database.keyspace.memory, database)


cdef void database_flush(Database *database) noexcept:
    discard_table(database.keyspace, &database.volatile_hashes)
    discard_table(database.keyspace, &database.expires)
    discard_table(database.keyspace, &database.keys)
    database.expire_cursor = database.volatile_cursor = 0
    database.expires_total_ms = 0
    if database.keyspace.garbage_count <= LAZY_EFFORT:
        free_garbage(database.keyspace, LAZY_EFFORT)


cdef void database_swap(Database *one, Database *other) noexcept:
    cdef Database kept = one[0]
    one.keys = other.keys
    one.expires = other.expires
    one.expire_cursor = other.expire_cursor
    one.volatile_hashes = other.volatile_hashes
    one.volatile_cursor = other.volatile_cursor
    one.expires_total_ms = other.expires_total_ms
    other.keys = kept.keys
    other.expires = kept.expires
    other.expire_cursor = kept.expire_cursor
    other.volatile_hashes = kept.volatile_hashes
    other.volatile_cursor = kept.volatile_cursor
    other.expires_total_ms = kept.expires_total_ms


cdef uint64_t database_hash(Database *database, const char *key, size_t length) noexcept nogil:
    return hash_bytes(database.keys.seed0, database.keys.seed1, key, length)


# --- expiry ---

cdef bint entry_is_expired(const Database *database, const Entry *entry) noexcept nogil:
    return entry.flags & ENTRY_EXPIRES and entry_expiry(entry) < database.keyspace.wall_ms \
        and not database.keyspace.expired_are_shown


cdef void unlink_entry(Database *database, uint64_t hash, Entry *entry) noexcept nogil:
    cdef const char *key = entry_key(entry)
    cdef size_t length = entry_key_length(entry)
    if entry.flags & ENTRY_EXPIRES:
        table_remove(&database.expires, hash, key, length)
    if entry.flags & ENTRY_FIELDS_EXPIRE:
        table_remove(&database.volatile_hashes, hash, key, length)
    table_remove(&database.keys, hash, key, length)


cdef void expire_entry(Database *database, uint64_t hash, Entry *entry) noexcept:
    """Delete an entry whose time has come, unless that is somebody else's decision (a replica's primary)."""
    if not database.keyspace.expires_are_deletes \
            and not (entry.flags & ENTRY_OWN and database.keyspace.own_expires_are_deletes):
        return
    if database.on_expired != NULL:
        database.on_expired(database.on_expired_context, database, entry_key(entry), entry_key_length(entry))
    database.keyspace.expired += 1
    unlink_entry(database, hash, entry)
    free_entry(database.keyspace, entry, True)


cdef struct ExpiredBatch:
    int64_t wall_ms
    int64_t ttl_sum_ms
    size_t seen
    size_t living
    size_t count
    bint own_only                # the others are the primary's to delete
    Entry *entries[EXPIRED_PER_STEP]


cdef void collect_expired(void *context, void *item) noexcept nogil:
    cdef ExpiredBatch *batch = <ExpiredBatch *>context
    cdef Entry *entry = <Entry *>item
    cdef int64_t at_ms = entry_expiry(entry)
    batch.seen += 1
    if at_ms >= batch.wall_ms:
        batch.living += 1
        batch.ttl_sum_ms += at_ms - batch.wall_ms
    elif batch.count < EXPIRED_PER_STEP and (entry.flags & ENTRY_OWN or not batch.own_only):
        batch.entries[batch.count] = entry
        batch.count += 1


cdef size_t database_expire_slice(Database *database, size_t buckets, size_t *seen) noexcept:
    # From the last home bucket down, the order in which a shrinking table gives buckets up: what is merged is empty
    # already, where any other order would crowd the keys that are left into few long chains.
    cdef ExpiredBatch batch
    cdef Entry *entry
    cdef size_t expired = 0, i, index
    cdef int64_t average_ms
    memset(&batch, 0, sizeof(ExpiredBatch))
    batch.wall_ms = database.keyspace.wall_ms
    batch.own_only = not database.keyspace.expires_are_deletes
    if buckets > database.expires.buckets:
        buckets = database.expires.buckets
    while buckets > 0 and database.expires.count != 0:
        buckets -= 1
        batch.count = 0
        index = database.expire_cursor
        if index >= database.expires.buckets:
            index = database.expires.buckets - 1
        table_visit(&database.expires, index, &collect_expired, &batch)
        if not batch.own_only or database.keyspace.own_expires_are_deletes:
            for i in range(batch.count):
                entry = batch.entries[i]
                expire_entry(database, database_hash(database, entry_key(entry), entry_key_length(entry)), entry)
            expired += batch.count
            if batch.count == EXPIRED_PER_STEP:
                continue
        database.expire_cursor = index - 1       # behind 0: the largest number, which means the last bucket
    if batch.living:
        average_ms = batch.ttl_sum_ms // <int64_t>batch.living
        if database.expires_total_ms:        # a moving average over some fifty slices
            average_ms = (database.expires_total_ms * 49 + average_ms) // 50
        database.expires_total_ms = average_ms
    seen[0] = batch.seen
    return expired


cdef Entry *database_set_expiry(Database *database, uint64_t hash, Entry *entry, int64_t at_ms) noexcept:
    cdef void **slot
    cdef void **other = NULL
    if at_ms < 0:
        if entry.flags & ENTRY_EXPIRES:
            table_remove(&database.expires, hash, entry_key(entry), entry_key_length(entry))
            entry_drop_expiry(entry)
        return entry
    if entry.flags & ENTRY_EXPIRES:
        entry_write_expiry(entry, at_ms)
        note_maker(database, entry)
        return entry
    slot = table_find(&database.keys, hash, entry_key(entry), entry_key_length(entry))
    if entry.flags & ENTRY_FIELDS_EXPIRE:
        other = table_find(&database.volatile_hashes, hash, entry_key(entry), entry_key_length(entry))
    entry = entry_with_expiry(database.keyspace.memory, entry, at_ms)
    slot[0] = entry
    if other != NULL:
        other[0] = entry
    table_insert(&database.expires, hash, entry)
    note_maker(database, entry)
    return entry


cdef inline void note_maker(Database *database, Entry *entry) noexcept nogil:
    """On a replica: whether the expiry is the primary's, or one that nobody else will act on."""
    if database.keyspace.made_here != NULL:
        if database.keyspace.made_here(database.on_expired_context):
            entry.flags |= ENTRY_OWN
        else:
            entry.flags &= <uint8_t>~ENTRY_OWN


cdef void database_set_volatile(Database *database, uint64_t hash, Entry *entry, bint on) noexcept nogil:
    if on == (entry.flags & ENTRY_FIELDS_EXPIRE != 0):
        return
    entry.flags ^= ENTRY_FIELDS_EXPIRE
    if on:
        table_insert(&database.volatile_hashes, hash, entry)
    else:
        table_remove(&database.volatile_hashes, hash, entry_key(entry), entry_key_length(entry))


# --- look-ups ---

cdef Entry *database_find(Database *database, uint64_t hash, const char *key, size_t length) noexcept:
    cdef void **slot = table_find(&database.keys, hash, key, length)
    cdef Entry *entry
    if slot == NULL:
        return NULL
    entry = <Entry *>slot[0]
    if entry.flags & ENTRY_EXPIRES and entry_is_expired(database, entry):
        expire_entry(database, hash, entry)
        return NULL
    return entry


cdef Entry *database_find_read(Database *database, uint64_t hash, const char *key, size_t length) noexcept:
    cdef Entry *entry = database_find(database, hash, key, length)
    if entry == NULL:
        count_miss(database, key, length)
        return NULL
    database.keyspace.hits += 1
    entry_touch(database.keyspace, entry)
    return entry


cdef Entry *database_find_write(Database *database, uint64_t hash, const char *key, size_t length) noexcept:
    cdef Entry *entry = database_find(database, hash, key, length)
    if entry != NULL:
        entry_touch(database.keyspace, entry)
    return entry


# --- values ---

cdef Entry *refit_entry(Database *database, uint64_t hash, Entry *entry, size_t value_size) noexcept nogil:
    """The entry with room for `value_size` bytes of value and no great waste; the value's bytes become undefined."""
    cdef Memory *memory = database.keyspace.memory
    cdef size_t head = entry_head_size(entry) + entry_key_length(entry)
    cdef size_t usable = ranvier_usable_size(entry)
    cdef Entry *fitting
    cdef const char *key
    if head + value_size <= usable and (usable <= SMALL_ENTRY_BYTES or 2 * (head + value_size) >= usable):
        return entry
    fitting = <Entry *>allocate(memory, head + value_size)
    memcpy(fitting, entry, head)
    key = entry_key(entry)
    table_find(&database.keys, hash, key, entry_key_length(entry))[0] = fitting
    if entry.flags & ENTRY_EXPIRES:
        table_find(&database.expires, hash, key, entry_key_length(entry))[0] = fitting
    if entry.flags & ENTRY_FIELDS_EXPIRE:
        table_find(&database.volatile_hashes, hash, key, entry_key_length(entry))[0] = fitting
    release(memory, entry)
    return fitting


cdef Entry *place_value(Database *database, uint64_t hash, const char *key, size_t length, size_t value_size,
                        bint keep_expiry) noexcept:
    """An entry for the key with room for a new value; the old value is gone, the new kind and value are not set yet."""
    cdef Entry *entry = database_find_write(database, hash, key, length)
    if entry == NULL and not database.keyspace.expires_are_deletes:
        entry = hidden_entry(database, hash, key, length)
    if entry == NULL:
        entry = entry_new(database.keyspace.memory, key, length, -1, value_size)
        entry_set_access(entry, initial_access(database.keyspace))
        insert_key(database, hash, entry)
        return entry
    database_set_volatile(database, hash, entry, False)
    if entry_encoding(entry) > ENCODING_INTEGER:
        free_value(database.keyspace, entry_encoding(entry), entry_pointer(entry), True)
        entry.kind = TYPE_STRING | (ENCODING_INTEGER << 4)       # eight bytes that own nothing
    if entry.flags & ENTRY_EXPIRES and not keep_expiry:
        database_set_expiry(database, hash, entry, -1)
    return refit_entry(database, hash, entry, value_size)


cdef Entry *hidden_entry(Database *database, uint64_t hash, const char *key, size_t length) noexcept nogil:
    """An expired entry that must not be deleted on its own, but may be overwritten."""
    cdef void **slot = table_find(&database.keys, hash, key, length)
    return <Entry *>slot[0] if slot != NULL else NULL


cdef Entry *database_set_string(Database *database, uint64_t hash, const char *key, size_t length,
                                const char *value, size_t value_length, bint keep_expiry) noexcept:
    cdef int64_t number
    if value_length <= 20 and parse_integer(value, value_length, &number):
        return database_set_integer(database, hash, key, length, number, keep_expiry)
    return database_set_text(database, hash, key, length, value, value_length, keep_expiry)


cdef Entry *database_set_text(Database *database, uint64_t hash, const char *key, size_t length,
                              const char *value, size_t value_length, bint keep_expiry) noexcept:
    cdef Entry *entry
    cdef Blob *blob
    if value_length > INLINE_VALUE_LIMIT_BYTES:
        blob = blob_new(database.keyspace.memory, value_length)
        blob.size = value_length
        memcpy(blob_data(blob), value, value_length)
        return database_set_blob(database, hash, key, length, blob, keep_expiry)
    entry = place_value(database, hash, key, length, value_length, keep_expiry)
    entry.kind = TYPE_STRING | (ENCODING_INLINE << 4)
    entry.value_length = <uint16_t>value_length
    memcpy(entry_value(entry), value, value_length)
    return entry


cdef Entry *database_set_blob(Database *database, uint64_t hash, const char *key, size_t length,
                              Blob *blob, bint keep_expiry) noexcept:
    return database_set_pointer(database, hash, key, length, TYPE_STRING, ENCODING_BLOB, blob, keep_expiry)


cdef Entry *database_set_integer(Database *database, uint64_t hash, const char *key, size_t length,
                                 int64_t value, bint keep_expiry) noexcept:
    cdef Entry *entry = place_value(database, hash, key, length, 8, keep_expiry)
    entry_set_integer(entry, value)
    return entry


cdef Entry *database_set_pointer(Database *database, uint64_t hash, const char *key, size_t length,
                                 int type, int encoding, void *pointer, bint keep_expiry) noexcept:
    cdef Entry *entry = place_value(database, hash, key, length, 8, keep_expiry)
    entry.kind = <uint8_t>type
    entry_set_pointer(entry, encoding, pointer)
    return entry


cdef const char *entry_string(const Entry *entry, char *scratch, size_t *length) noexcept nogil:
    cdef Blob *blob
    cdef int encoding = entry_encoding(entry)
    if encoding == ENCODING_INLINE:
        length[0] = entry.value_length
        return entry_value(entry)
    if encoding == ENCODING_INTEGER:
        length[0] = print_integer(scratch, entry_integer(entry))
        return scratch
    blob = <Blob *>entry_pointer(entry)
    length[0] = blob.size
    return blob_data(blob)


cdef inline size_t grown_capacity(size_t capacity) noexcept nogil:
    return 2 * capacity if capacity < GROWTH_STEP_BYTES else capacity + GROWTH_STEP_BYTES


cdef Blob *database_writable_blob(Database *database, uint64_t hash, Entry **entry, size_t capacity) noexcept:
    cdef Memory *memory = database.keyspace.memory
    cdef Blob *blob = <Blob *>entry_pointer(entry[0]) if entry_encoding(entry[0]) == ENCODING_BLOB else NULL
    cdef Blob *copy
    cdef const char *text
    cdef size_t length
    cdef char scratch[24]
    if blob != NULL and blob.references == 1:
        if blob.capacity < capacity:
            entry_set_pointer(entry[0], ENCODING_BLOB, blob_grow(memory, blob, grown_capacity(capacity)))
        return <Blob *>entry_pointer(entry[0])
    text = entry_string(entry[0], scratch, &length)
    copy = blob_new(memory, grown_capacity(capacity if capacity > length else length))
    copy.size = length
    memcpy(blob_data(copy), text, length)
    if blob != NULL:
        blob_release(memory, blob)
    else:
        entry[0] = refit_entry(database, hash, entry[0], 8)
    entry_set_pointer(entry[0], ENCODING_BLOB, copy)
    return copy


# --- keys ---

cdef bint database_delete(Database *database, uint64_t hash, const char *key, size_t length, bint lazily) noexcept:
    cdef Entry *entry = database_take(database, hash, key, length)
    if entry == NULL:
        return False
    free_entry(database.keyspace, entry, lazily)
    return True


cdef Entry *database_take(Database *database, uint64_t hash, const char *key, size_t length) noexcept:
    cdef Entry *entry = database_find(database, hash, key, length)
    if entry != NULL:
        unlink_entry(database, hash, entry)
    return entry


cdef Entry *database_put(Database *database, uint64_t hash, const char *key, size_t length, Entry *taken) noexcept:
    cdef Entry *entry = taken
    cdef size_t value_size = entry_value_size(taken)
    entry_set_access(taken, initial_access(database.keyspace))   # a new key, which nobody has used yet
    if entry_key_length(taken) != length:
        entry = entry_new(database.keyspace.memory, key, length, entry_expiry(taken), value_size)
        entry.kind = taken.kind
        entry.value_length = taken.value_length
        entry.flags |= taken.flags & ENTRY_FIELDS_EXPIRE
        entry_set_access(entry, entry_access(taken))
        memcpy(entry_value(entry), entry_value(taken), value_size)
        release(database.keyspace.memory, taken)
    else:
        memcpy(<char *>entry_key(entry), key, length)
    insert_key(database, hash, entry)
    if entry.flags & ENTRY_EXPIRES:
        table_insert(&database.expires, hash, entry)
        note_maker(database, entry)
    if entry.flags & ENTRY_FIELDS_EXPIRE:
        table_insert(&database.volatile_hashes, hash, entry)
    return entry


cdef Entry *database_random(Database *database) noexcept:
    cdef Entry *entry
    cdef const char *key
    cdef size_t length
    cdef int _try
    for _try in range(RANDOM_TRIES):
        entry = <Entry *>table_random(&database.keys, &database.keyspace.random)
        if entry == NULL or not entry_is_expired(database, entry):
            return entry
        key = entry_key(entry)
        length = entry_key_length(entry)
        expire_entry(database, database_hash(database, key, length), entry)
    return NULL


cdef Entry *database_copy(Database *source, const Entry *entry, Database *target, uint64_t hash, const char *key,
                          size_t length) noexcept:
    cdef Entry *copy
    cdef int encoding = entry_encoding(entry)
    cdef int64_t at_ms = entry_expiry(entry)
    if encoding == ENCODING_INLINE:
        copy = place_value(target, hash, key, length, entry.value_length, False)
        copy.kind = entry.kind
        copy.value_length = entry.value_length
        memcpy(entry_value(copy), entry_value(entry), entry.value_length)
    elif encoding == ENCODING_INTEGER:
        copy = database_set_integer(target, hash, key, length, entry_integer(entry), False)
    else:
        copy = database_set_pointer(target, hash, key, length, entry_type(entry), encoding,
                                    value_kind(encoding).copy(target.keyspace.memory, entry_pointer(entry)), False)
    database_set_volatile(target, hash, copy, entry.flags & ENTRY_FIELDS_EXPIRE != 0)
    return database_set_expiry(target, hash, copy, at_ms)


cdef size_t entry_memory_bytes(const Entry *entry, size_t samples) noexcept nogil:
    cdef int encoding = entry_encoding(entry)
    cdef size_t size = ranvier_usable_size(<void *>entry)
    if encoding > ENCODING_INTEGER:
        size += value_kind(encoding).memory_usage(entry_pointer(entry), samples)
    return size
