"""Python's view of values in RDB form: what DUMP, RESTORE and tests ask for."""

cimport cython
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from ranvier.engine.client cimport ClientHandle
from ranvier.engine.core cimport Core
from ranvier.engine.memory cimport Memory, allocate, memory_init, release
from ranvier.engine.store.database cimport database_set_expiry
from ranvier.engine.store.entry cimport Entry, entry_set_access
from ranvier.engine.store.handles cimport DatabaseHandle
from ranvier.engine.store.keyspace cimport Keyspace
from ranvier.engine.types.lzf cimport lzf_compress, lzf_expand
from ranvier.engine.types.rdb cimport (
    RDB_HASH_EXPIRING, RDB_VERSION, RDB_VERSION_FIELD_EXPIRY, Reader, Writer, reader_begin, write_byte, writer_begin,
    writer_end,
)
from ranvier.engine.types.rdb_values cimport (
    LoadedValue, discard_loaded, entry_rdb_type, load_value, put_loaded, save_entry,
)

from ranvier.errors import CommandError


def save(DatabaseHandle database not None, bytes key, bint compress=True) -> tuple | None:
    """(RDB version, type byte and value) of the key; None if there is none.

    `compress`: long strings are compressed. The version is 10, or 80 for a hash with fields that expire.
    """
    cdef Entry *entry = database.entry_of(key)
    cdef Memory *memory = database.database.keyspace.memory
    cdef Writer writer
    cdef int rdb_type
    if entry == NULL:
        return None
    rdb_type = entry_rdb_type(entry, memory, RDB_VERSION)
    if rdb_type < 0:
        raise CommandError(f"ERR a {database.type_name(key)} has no serialized form yet")
    writer_begin(&writer, memory, RDB_VERSION, compress)
    if rdb_type == RDB_HASH_EXPIRING:
        writer.version = RDB_VERSION_FIELD_EXPIRY
    write_byte(&writer, rdb_type)
    save_entry(&writer, entry)
    saved = (<const char *>writer.data)[:writer.length]
    version = writer.version
    writer_end(&writer)
    return version, saved


@cython.no_gc_clear
cdef class Loaded:
    """A value that was loaded and lies under no key yet: `put` it, or forget it."""

    cdef ClientHandle client
    cdef object engine               # is kept: its memory is what the value is made of
    cdef Reader reader
    cdef LoadedValue value
    cdef bytes payload           # what the value's text may lie in
    cdef bint there

    def __dealloc__(self):
        if self.there:
            discard_loaded(&self.reader, &self.value)

    @property
    def empty(self):
        """Whether all that it held has expired."""
        return self.value.type != 0 and self.value.value.pointer == NULL

    def would_expire(self, int64_t at_ms):
        """Whether a key with this expiry is gone already, and it is for this server to say so."""
        cdef Core *core = self.client.state.core
        return at_ms <= core.wall_ms and core.keyspace.expires_are_deletes

    @property
    def delete_command(self):
        """As what the deletion of a key that nobody asked to delete is propagated."""
        return b"UNLINK" if self.client.state.core.lazy_server_delete else b"DEL"

    def put(self, DatabaseHandle database not None, bytes key, int64_t at_ms=-1, int64_t idle_seconds=-1,
            int64_t frequency=-1):
        """Store it under a key, in place of what is there. Once.

        `at_ms`: expiry in wall-clock milliseconds, -1 for none. `idle_seconds`: since its last use, for the LRU
        policies; `frequency`: its access counter, 0 to 255, for the LFU policies; -1: as a new key.
        """
        cdef uint64_t hash = database.hash_of(key)
        cdef Keyspace *keyspace = database.database.keyspace
        cdef Entry *entry
        if not self.there or self.empty:
            raise ValueError("nothing to put")
        self.there = False
        entry = put_loaded(database.database, hash, key, <size_t>len(key), &self.value)
        if at_ms >= 0:
            entry = database_set_expiry(database.database, hash, entry, at_ms)
        if keyspace.lfu and frequency >= 0:
            entry_set_access(entry, ((<uint32_t>(keyspace.wall_ms // 60000) & 0xffff) << 8) | <uint32_t>frequency)
        elif not keyspace.lfu and idle_seconds >= 0:
            entry_set_access(entry, <uint32_t>(keyspace.lru_clock - idle_seconds) & 0xffffff)


def load(ClientHandle client not None, bytes payload, int version) -> Loaded | None:
    """The value of which `payload` is type byte and RDB form, read under the client's server's thresholds.

    None if the payload is not that. Bytes behind the value are ignored, as the reference servers do.
    """
    cdef Loaded loaded = Loaded.__new__(Loaded)
    cdef Core *core = client.state.core
    if not payload:
        return None
    loaded.client = client
    loaded.engine = <object>core.engine
    loaded.payload = payload
    reader_begin(&loaded.reader, &core.memory, &core.encodings, <const uint8_t *><const char *>payload + 1,
                 <size_t>len(payload) - 1)
    loaded.reader.version = version
    loaded.reader.wall_ms = core.wall_ms
    loaded.reader.seed0 = core.databases[0].keys.seed0
    loaded.reader.seed1 = core.databases[0].keys.seed1
    loaded.reader.string_limit_bytes = <size_t>core.limits.bulk_bytes
    if not load_value(&loaded.reader, <unsigned char>payload[0], &loaded.value):
        return None
    loaded.there = True
    return loaded


def compress(bytes data) -> bytes | None:
    """LZF; None when that does not make it shorter."""
    cdef Memory memory
    cdef uint8_t *target
    cdef size_t size
    memory_init(&memory)
    target = <uint8_t *>allocate(&memory, <size_t>len(data) + 1)
    size = lzf_compress(data, <size_t>len(data), target, <size_t>len(data))
    found = (<const char *>target)[:size] if size else None
    release(&memory, target)
    return found


def expand(bytes data, size_t length) -> bytes | None:
    """The `length` bytes that LZF made into `data`; None if it did not."""
    cdef Memory memory
    cdef uint8_t *target
    memory_init(&memory)
    target = <uint8_t *>allocate(&memory, length + 1)
    found = (<const char *>target)[:length] if lzf_expand(data, <size_t>len(data), target, length) else None
    release(&memory, target)
    return found
