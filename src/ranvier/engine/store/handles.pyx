"""What Python command handlers see of a database: keys and values as bytes, never an address.

A handle is a view. It holds no entry between two calls, so nothing it does can leave a dead pointer behind.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy, memset

from ranvier.engine.memory cimport Blob, Memory, blob_data, release, resize
from ranvier.engine.store.access cimport entry_frequency, entry_idle_seconds
from ranvier.engine.store.database cimport (
    Database, database_copy, database_delete, database_expire_slice, database_find, database_find_read,
    database_flush, database_free, database_hash, database_new, database_put, database_random, database_set_expiry,
    database_set_string, database_swap, database_take, database_writable_blob, entry_is_expired,
    entry_memory_bytes, entry_string,
)
from ranvier.engine.store.entry cimport (
    ENCODING_INLINE, ENCODING_INTEGER, TYPE_STRING, Entry, entry_encoding,
    entry_expiry, entry_key, entry_key_length, entry_type,
)
from ranvier.engine.store.garbage cimport free_garbage, garbage_waits
from ranvier.engine.store.keyspace cimport Keyspace
from ranvier.engine.store.table cimport Bucket, Table, table_find, table_scan
from ranvier.engine.store.value cimport value_kind

from ranvier.errors import CommandError

cdef enum:
    EMBEDDED_BYTES = 128         # Valkey 9.1 calls a string "embstr" when object, key and value fit into this
    OBJECT_HEADER_BYTES = 8
    LONGEST_SHORT_KEY = 31       # a longer key has a header of three bytes instead of one
    SCAN_EFFORT = 10             # home buckets that a scan visits at most, per key asked for

TYPE_NAMES = ("string", "list", "set", "zset", "hash", "stream")


# --- collecting what a scan visits ---

cdef struct Collection:
    Memory *memory
    Entry **entries
    size_t count
    size_t capacity


cdef void collect(void *context, void *item) noexcept nogil:
    cdef Collection *found = <Collection *>context
    if found.count == found.capacity:
        found.capacity = 2 * found.capacity + 16
        found.entries = <Entry **>resize(found.memory, found.entries, found.capacity * sizeof(Entry *))
    found.entries[found.count] = <Entry *>item
    found.count += 1


cdef bytes key_of(const Entry *entry):
    return entry_key(entry)[:entry_key_length(entry)]


cdef bytes string_of(const Entry *entry):
    cdef char scratch[24]
    cdef size_t length
    cdef const char *text = entry_string(entry, scratch, &length)
    return text[:length]


cdef str string_encoding(const Entry *entry):
    cdef size_t key_length = entry_key_length(entry)
    cdef size_t key_header = 2 if key_length <= LONGEST_SHORT_KEY else 4
    if entry_encoding(entry) == ENCODING_INTEGER:
        return "int"
    if entry_encoding(entry) == ENCODING_INLINE:
        if OBJECT_HEADER_BYTES + key_header + key_length + 1 + 4 + entry.value_length <= EMBEDDED_BYTES:
            return "embstr"
    return "raw"


cdef size_t table_memory(const Table *table):
    return (table.buckets + table.chained_buckets) * sizeof(Bucket) + table.segments_capacity * sizeof(Bucket *)


cdef DatabaseHandle database_handle(Database *database, object owner):
    """A handle on a database whose memory `owner` keeps."""
    cdef DatabaseHandle handle = DatabaseHandle.__new__(DatabaseHandle)
    handle.database = database
    handle.owner = owner
    return handle


cdef class DatabaseHandle:
    """One database. Keys and string values are bytes; a key that has expired does not exist.

    Only `get`, `touch` and `look_up` count as hits or misses; only `get` and `touch` set the access clock.
    """

    cdef uint64_t hash_of(self, bytes key):
        return database_hash(self.database, key, <size_t>len(key))

    cdef Entry *entry_of(self, bytes key):
        return database_find(self.database, self.hash_of(key), key, <size_t>len(key))

    def __len__(self):
        return self.database.keys.count

    @property
    def index(self) -> int:
        return self.database.index

    @property
    def volatile_count(self) -> int:
        """Keys that have an expiry."""
        return self.database.expires.count

    @property
    def volatile_hash_count(self) -> int:
        """Hashes of which fields have an expiry."""
        return self.database.volatile_hashes.count

    @property
    def average_ttl_ms(self) -> int:
        """The active cycle's estimate, 0 when it has none."""
        return self.database.expires_total_ms

    @property
    def buckets(self) -> int:
        """Home buckets of the key table."""
        return self.database.keys.buckets

    @property
    def chained_buckets(self) -> int:
        return self.database.keys.chained_buckets

    @property
    def table_bytes(self) -> tuple:
        """Bytes of the key table and of the expiry index, without what their entries take."""
        return table_memory(&self.database.keys), table_memory(&self.database.expires)

    @property
    def moved_total(self) -> int:
        """Home buckets of both tables split or merged since the start."""
        return self.database.keys.moved_total + self.database.expires.moved_total

    def exists(self, bytes key) -> bool:
        return self.entry_of(key) != NULL

    def look_up(self, bytes key) -> bool:
        """As `exists`, counted as a hit or miss (EXISTS, TYPE, TTL, OBJECT); the access clock stays."""
        cdef bint found = self.entry_of(key) != NULL
        if found:
            self.database.keyspace.hits += 1
        else:
            self.database.keyspace.misses += 1
        return found

    def touch(self, bytes key, bint always=False) -> bool:
        """Look the key up as a read does: hit or miss counted, access clock set.

        `always`: set it even for a client in NO-TOUCH mode.
        """
        cdef int no_touch = self.database.keyspace.no_touch
        cdef bint found
        if always:
            self.database.keyspace.no_touch = 0
        found = database_find_read(self.database, self.hash_of(key), key, <size_t>len(key)) != NULL
        self.database.keyspace.no_touch = no_touch
        return found

    def type_name(self, bytes key) -> str | None:
        """As TYPE names it; None if there is no such key."""
        cdef Entry *entry = self.entry_of(key)
        return TYPE_NAMES[entry_type(entry)] if entry != NULL else None

    def encoding(self, bytes key) -> str | None:
        """As OBJECT ENCODING of Valkey 9.1 names it; None if there is no such key."""
        cdef Entry *entry = self.entry_of(key)
        if entry == NULL:
            return None
        if entry_type(entry) == TYPE_STRING:
            return string_encoding(entry)
        return (<bytes>value_kind(entry_encoding(entry)).name).decode()

    def get(self, bytes key) -> bytes | None:
        """The string's bytes, None if there is no such key; CommandError (WRONGTYPE) if it is no string."""
        cdef Entry *entry = database_find_read(self.database, self.hash_of(key), key, <size_t>len(key))
        if entry == NULL:
            return None
        if entry_type(entry) != TYPE_STRING:
            raise CommandError("WRONGTYPE Operation against a key holding the wrong kind of value")
        return string_of(entry)

    def value_of(self, bytes key) -> bytes | None:
        """As `get`, but looking is no access, and neither a hit nor a miss; None for a key of another type, too."""
        cdef Entry *entry = self.entry_of(key)
        return string_of(entry) if entry != NULL and entry_type(entry) == TYPE_STRING else None

    def set(self, bytes key, bytes value, bint keep_expiry=False) -> None:
        """Store a string, in place of any older value."""
        database_set_string(self.database, self.hash_of(key), key, <size_t>len(key), value, <size_t>len(value),
                            keep_expiry)

    def append(self, bytes key, bytes tail) -> int:
        """Lengthen the string, which must exist; returns the new length in bytes."""
        cdef uint64_t hash = self.hash_of(key)
        cdef Entry *entry = database_find(self.database, hash, key, <size_t>len(key))
        cdef Blob *blob
        cdef size_t length = 0
        cdef char scratch[24]
        if entry == NULL or entry_type(entry) != TYPE_STRING:
            raise KeyError(key)
        entry_string(entry, scratch, &length)
        blob = database_writable_blob(self.database, hash, &entry, length + <size_t>len(tail))
        blob.size = length + <size_t>len(tail)
        memcpy(blob_data(blob) + length, <const char *>tail, <size_t>len(tail))
        return blob.size

    def delete(self, bytes key, bint lazily=True) -> bool:
        """Whether the key existed. `lazily`: a value that is expensive to free waits for the garbage slices."""
        return database_delete(self.database, self.hash_of(key), key, <size_t>len(key), lazily)

    def expiry_ms(self, bytes key) -> int | None:
        """Wall-clock milliseconds; -1 if the key does not expire, None if there is no such key."""
        cdef Entry *entry = self.entry_of(key)
        return entry_expiry(entry) if entry != NULL else None

    def set_expiry_ms(self, bytes key, at_ms: int | None) -> bool:
        """Whether the key exists. `at_ms`: wall-clock milliseconds >= 0, None removes the expiry."""
        cdef int64_t at = -1 if at_ms is None else at_ms
        cdef Entry *entry = self.entry_of(key)
        if at_ms is not None and at < 0:
            raise ValueError(f"expiry before 1970: {at_ms}")
        if entry == NULL:
            return False
        database_set_expiry(self.database, self.hash_of(key), entry, at)
        return True

    def rename(self, bytes source, bytes target) -> bool:
        """Move the value and its expiry to another key, whose older value goes; False if `source` does not exist."""
        cdef Entry *entry
        cdef uint64_t hash = self.hash_of(target)
        if source == target:
            return self.exists(source)
        entry = database_take(self.database, self.hash_of(source), source, <size_t>len(source))
        if entry == NULL:
            return False
        database_delete(self.database, hash, target, <size_t>len(target), True)
        database_put(self.database, hash, target, <size_t>len(target), entry)
        return True

    def copy_to(self, DatabaseHandle other not None, bytes source, bytes target) -> bool:
        """Copy value and expiry over whatever `target` holds there; False if `source` does not exist."""
        cdef Entry *entry = self.entry_of(source)
        if entry == NULL:
            return False
        if other.database == self.database and source == target:
            return True
        database_copy(self.database, entry, other.database, other.hash_of(target), target, <size_t>len(target))
        return True

    def move_to(self, DatabaseHandle other not None, bytes key) -> bool:
        """Move the key with its expiry; False if it does not exist here or does exist there."""
        cdef Entry *entry
        if other.entry_of(key) != NULL:
            return False
        entry = database_take(self.database, self.hash_of(key), key, <size_t>len(key))
        if entry == NULL:
            return False
        database_put(other.database, other.hash_of(key), key, <size_t>len(key), entry)
        return True

    def scan(self, cursor: int, int64_t count=10, type_name: str | None = None, bint delete_expired=True) -> tuple:
        """Visit home buckets until some `count` keys are found: (next cursor, keys); cursor 0 begins and ends.

        A key present all the time is returned at least once, whatever else comes and goes between the calls.
        `type_name` filters. Keys that have expired are left out, and deleted unless `delete_expired` is false: then
        nothing changes, so that calls without anything in between return each key exactly once (KEYS).
        """
        cdef uint64_t position = cursor
        cdef int64_t steps = SCAN_EFFORT * count
        cdef Collection found
        cdef Entry *entry
        cdef size_t i
        cdef int wanted = -1 if type_name is None else type_number(type_name)
        memset(&found, 0, sizeof(Collection))
        found.memory = self.database.keyspace.memory
        while True:
            position = table_scan(&self.database.keys, position, &collect, &found)
            steps -= 1
            if position == 0 or steps <= 0 or <int64_t>found.count >= count:
                break
        keys = []
        expired = []
        for i in range(found.count):
            entry = found.entries[i]
            if entry_is_expired(self.database, entry):
                expired.append(key_of(entry))
            elif wanted < 0 or entry_type(entry) == wanted:
                keys.append(key_of(entry))
        release(found.memory, found.entries)
        if delete_expired:
            for key in expired:
                self.entry_of(key)
        return position, keys

    def random_key(self) -> bytes | None:
        """A key, each as likely as any other; None if the database is empty."""
        cdef Entry *entry = database_random(self.database)
        return key_of(entry) if entry != NULL else None

    def idle_seconds(self, bytes key) -> int | None:
        """Since the last access, by the LRU clock; None if there is no such key."""
        cdef Entry *entry = self.entry_of(key)
        return entry_idle_seconds(self.database.keyspace, entry) if entry != NULL else None

    def frequency(self, bytes key) -> int | None:
        """The LFU counter, decayed to now; None if there is no such key."""
        cdef Entry *entry = self.entry_of(key)
        return entry_frequency(self.database.keyspace, entry) if entry != NULL else None

    def memory_usage(self, bytes key, size_t samples=5) -> int | None:
        """Bytes held for the key and its value, its share of the table included; None if there is no such key.

        A key that has expired, but is not deleted yet, is measured too: it does take memory.
        `samples` nodes of a long list are measured and the rest estimated; 0 measures all.
        """
        cdef void **slot = table_find(&self.database.keys, self.hash_of(key), key, <size_t>len(key))
        cdef Entry *entry
        if slot == NULL:
            return None
        entry = <Entry *>slot[0]
        return entry_memory_bytes(entry, samples) + (2 if entry_expiry(entry) >= 0 else 1) * sizeof(void *)

    def expire_slice(self, size_t buckets) -> tuple:
        """One step of active expiry over `buckets` home buckets of the index: (keys expired, keys looked at)."""
        cdef size_t seen = 0
        cdef size_t expired = database_expire_slice(self.database, buckets, &seen)
        return expired, seen

    def flush(self) -> None:
        """Empty the database; what it held is freed by the garbage slices."""
        database_flush(self.database)

    def swap_with(self, DatabaseHandle other not None) -> None:
        """Exchange the contents of two databases."""
        database_swap(self.database, other.database)


cdef int type_number(str name) except -2:
    return TYPE_NAMES.index(name) if name in TYPE_NAMES else len(TYPE_NAMES)


# --- a keyspace without a server ---

cdef void record_expired(void *context, void *database, const char *key, size_t length) noexcept:
    cdef StandaloneKeyspace keyspace = <StandaloneKeyspace>context
    keyspace.expired_keys.append(((<Database *>database).index, key[:length]))


cdef class StandaloneKeyspace:
    """Databases with a clock that is set by hand: the engine's store for tests, benchmarks and tools."""

    cdef Memory memory
    cdef Keyspace keyspace
    cdef Database *databases[16]
    cdef readonly list expired_keys      # (database index, key) in the order in which they expired

    def __cinit__(self, uint64_t seed0=1, uint64_t seed1=2, uint64_t random=88172645463325252):
        cdef int i
        memset(&self.memory, 0, sizeof(Memory))
        memset(&self.keyspace, 0, sizeof(Keyspace))
        self.memory.lazy = True
        self.expired_keys = []
        self.keyspace.memory = &self.memory
        self.keyspace.wall_ms = 1
        self.keyspace.lfu_log_factor = 10
        self.keyspace.lfu_decay_minutes = 1
        self.keyspace.random = random
        self.keyspace.expires_are_deletes = 1
        for i in range(16):
            self.databases[i] = database_new(i, &self.keyspace, seed0, seed1)
            self.databases[i].on_expired = &record_expired
            self.databases[i].on_expired_context = <void *>self

    def __dealloc__(self):
        cdef int i
        self.memory.lazy = False
        for i in range(16):
            database_free(self.databases[i])
        while garbage_waits(&self.keyspace):
            free_garbage(&self.keyspace, 1 << 16)

    def database(self, int index=0) -> DatabaseHandle:
        if not 0 <= index < 16:
            raise IndexError(index)
        return database_handle(self.databases[index], self)

    def hash(self, bytes key) -> int:
        """SipHash-1-3 of the key under the keyspace's seeds."""
        return database_hash(self.databases[0], key, <size_t>len(key))

    def free_garbage(self, size_t budget) -> int:
        """Free up to `budget` items of what was deleted lazily or flushed; returns how many."""
        return free_garbage(&self.keyspace, budget)

    @property
    def wall_ms(self) -> int:
        return self.keyspace.wall_ms

    @wall_ms.setter
    def wall_ms(self, int64_t value):
        self.keyspace.wall_ms = value

    @property
    def lru_clock(self) -> int:
        return self.keyspace.lru_clock

    @lru_clock.setter
    def lru_clock(self, value: int):
        self.keyspace.lru_clock = value & 0xffffff

    @property
    def used_bytes(self) -> int:
        return self.memory.used_bytes

    @property
    def hits(self) -> int:
        return self.keyspace.hits

    @property
    def misses(self) -> int:
        return self.keyspace.misses

    @property
    def expired(self) -> int:
        return self.keyspace.expired

    @property
    def garbage_count(self) -> int:
        return self.keyspace.garbage_count + self.memory.leftover_count

    @property
    def freed_total(self) -> int:
        return self.keyspace.freed_total

    def configure(self, *, lfu: bool | None = None, lfu_log_factor: int | None = None,
                  lfu_decay_minutes: int | None = None, no_touch: bool | None = None,
                  expires_are_deletes: bool | None = None) -> None:
        """Set those fields of the keyspace that are given."""
        if lfu is not None:
            self.keyspace.lfu = lfu
        if lfu_log_factor is not None:
            self.keyspace.lfu_log_factor = lfu_log_factor
        if lfu_decay_minutes is not None:
            self.keyspace.lfu_decay_minutes = lfu_decay_minutes
        if no_touch is not None:
            self.keyspace.no_touch = no_touch
        if expires_are_deletes is not None:
            self.keyspace.expires_are_deletes = expires_are_deletes
