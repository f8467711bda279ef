"""One database: the key table, its expiry index, and everything that a command does to a key."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint64_t

from ranvier.engine.memory cimport Blob
from ranvier.engine.store.entry cimport Entry, entry_key, entry_key_length, entry_set_pointer
from ranvier.engine.store.keyspace cimport Keyspace
from ranvier.engine.store.table cimport Table, table_insert

# Called when a key expired lazily or by the cycle, before it goes: the effect call lives above this layer.
ctypedef void (*expired_t)(void *context, void *database, const char *key, size_t length) noexcept

cdef struct Database:
    int index
    Keyspace *keyspace
    Table keys
    Table expires                # the same entries, by the same keys; owns nothing
    uint64_t expire_cursor       # where the active cycle goes on
    Table volatile_hashes        # entries whose fields expire, by the same keys; owns nothing
    uint64_t volatile_cursor     # as expire_cursor
    expired_t on_expired
    void *on_expired_context
    int64_t expires_total_ms     # last estimate of the average TTL, for INFO keyspace

cdef inline void count_miss(Database *database, const char *key, size_t length) noexcept:
    database.keyspace.misses += 1
    if database.keyspace.on_missed != NULL:
        database.keyspace.on_missed(database.keyspace.listener_context, database, key, length)


cdef inline void insert_key(Database *database, uint64_t hash, Entry *entry) noexcept:
    table_insert(&database.keys, hash, entry)
    if database.keyspace.on_new != NULL:
        database.keyspace.on_new(database.keyspace.listener_context, database, entry_key(entry),
                                 entry_key_length(entry))


cdef Database *database_new(int index, Keyspace *keyspace, uint64_t seed0, uint64_t seed1) noexcept
cdef void database_free(Database *database) noexcept

cdef uint64_t database_hash(Database *database, const char *key, size_t length) noexcept nogil

# Look-ups. An expired key is not found (and is deleted, with on_expired, unless expiry is held back).
# `find` leaves access clock and statistics alone; `find_read` and `find_write` touch; only `find_read` counts hit/miss.
cdef Entry *database_find(Database *database, uint64_t hash, const char *key, size_t length) noexcept
cdef Entry *database_find_read(Database *database, uint64_t hash, const char *key, size_t length) noexcept
cdef Entry *database_find_write(Database *database, uint64_t hash, const char *key, size_t length) noexcept

cdef bint entry_is_expired(const Database *database, const Entry *entry) noexcept nogil
# Bytes of the key and its value without the table's share; `samples` parts of a large value are measured (0: all).
cdef size_t entry_memory_bytes(const Entry *entry, size_t samples) noexcept nogil

# Values. Each returns the entry at its (possibly new) address; older Entry pointers of that key are dead.
# `keep_expiry` 0 drops a TTL. Existing values of any type are replaced (large ones go to the garbage queue).
cdef Entry *database_set_string(Database *database, uint64_t hash, const char *key, size_t length,
                                const char *value, size_t value_length, bint keep_expiry) noexcept
cdef Entry *database_set_text(Database *database, uint64_t hash, const char *key, size_t length,
                              const char *value, size_t value_length, bint keep_expiry) noexcept    # a number too
cdef Entry *database_set_blob(Database *database, uint64_t hash, const char *key, size_t length,
                              Blob *blob, bint keep_expiry) noexcept          # takes over one reference
cdef Entry *database_set_integer(Database *database, uint64_t hash, const char *key, size_t length,
                                 int64_t value, bint keep_expiry) noexcept
cdef Entry *database_set_pointer(Database *database, uint64_t hash, const char *key, size_t length,
                                 int type, int encoding, void *pointer, bint keep_expiry) noexcept

# The string's bytes: address and length in the entry or Blob; integers are printed into `scratch` (24 bytes).
cdef const char *entry_string(const Entry *entry, char *scratch, size_t *length) noexcept nogil
# A Blob with one reference that may be written in place, at least `capacity` bytes large, holding the string's
# present bytes; converts inline and integer values, copies a shared blob. The entry may move: *entry is updated.
cdef Blob *database_writable_blob(Database *database, uint64_t hash, Entry **entry, size_t capacity) noexcept

cdef bint database_delete(Database *database, uint64_t hash, const char *key, size_t length, bint lazily) noexcept
# Unlink the entry from both tables and hand it to the caller (RENAME, MOVE); NULL if absent.
cdef Entry *database_take(Database *database, uint64_t hash, const char *key, size_t length) noexcept
# Insert under a (new) key an entry that database_take returned, expiry included; the key must be absent.
cdef Entry *database_put(Database *database, uint64_t hash, const char *key, size_t length, Entry *taken) noexcept

# A copy of the entry, expiry included, under a key of `target` (whose older value is replaced). Blobs are shared.
cdef Entry *database_copy(Database *source, const Entry *entry, Database *target, uint64_t hash, const char *key,
                          size_t length) noexcept
# A uniformly chosen entry that has not expired; NULL if there is none (or 100 tries met only expired ones).
cdef Entry *database_random(Database *database) noexcept

# at_ms < 0 removes the expiry. The entry may move: the new address is returned.
cdef Entry *database_set_expiry(Database *database, uint64_t hash, Entry *entry, int64_t at_ms) noexcept

# Note whether fields of this hash expire; whoever stores a hash says so.
cdef void database_set_volatile(Database *database, uint64_t hash, Entry *entry, bint on) noexcept nogil

# One bounded step of active expiry: looks at no more than `buckets` home buckets of the expiry index; returns the
# number of keys it expired, and in *seen how many it looked at.
cdef size_t database_expire_slice(Database *database, size_t buckets, size_t *seen) noexcept

# Empty the database: its tables become garbage that free_garbage works off.
cdef void database_flush(Database *database) noexcept
cdef void database_swap(Database *one, Database *other) noexcept
