"""The loader of snapshots, of the versions 1 to 12 of Redis and 80 of Valkey.

Strategy. The bytes lie in one block (a mapped file); a Reader goes through them and believes nothing. Keys are made
with their values at once, in the form in which they stay, and put into their tables a few keys later: meanwhile their
buckets are on the way to the cache. Tables are made as large as the file says its databases are, as far as so many keys
could lie in what is left of it. The checksum follows a few keys behind, while the bytes are in the cache.

Nobody is told of keys that are loaded: there is no listener here, and no interpreter. What Python is to keep (auxiliary
fields, functions) ends the run without the interpreter's lock, which goes on afterwards.

Invariant: a failed loader owns nothing any more but its databases `aside`; the keys it has put into tables stay there,
for the owner of the databases to throw away. `reader.position` is then where it failed.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

from ranvier.engine.clocks cimport now_ns, ranvier_wait
from ranvier.engine.core cimport Core
from ranvier.engine.memory cimport Blob, Memory, blob_data, blob_new, release
from ranvier.engine.number cimport parse_integer
from ranvier.engine.persistence.crc64 cimport crc64
from ranvier.engine.persistence.placing cimport databases_overlap, merge_databases, place_databases
from ranvier.engine.persistence.snapshot_format cimport (
    MODULE_DOUBLE, MODULE_END, MODULE_FLOAT, MODULE_SIGNED, MODULE_STRING, MODULE_UNSIGNED,
    OPCODE_AUXILIARY, OPCODE_DATABASE, OPCODE_END, OPCODE_EXPIRY_MS, OPCODE_EXPIRY_SECONDS, OPCODE_FREQUENCY,
    OPCODE_FUNCTIONS, OPCODE_FUNCTIONS_EARLY, OPCODE_IDLE, OPCODE_MODULE_AUXILIARY, OPCODE_SIZES, OPCODE_SLOT_IMPORT,
    OPCODE_SLOT_SIZES, RDB_MODULE, RDB_MODULE_EARLY, RDB_VERSION_CHECKSUM,
)
from ranvier.engine.store.access cimport initial_access
from ranvier.engine.store.database cimport (
    database_flush, database_free, database_hash, database_new, database_set_volatile,
)
from ranvier.engine.store.entry cimport (
    ENCODING_BLOB, ENCODING_INLINE, ENTRY_EXPIRES, INLINE_VALUE_LIMIT_BYTES, TYPE_HASH, TYPE_STRING, Entry,
    entry_free_value, entry_key, entry_key_length, entry_new, entry_set_access, entry_set_integer, entry_set_pointer,
    entry_type, entry_value,
)
from ranvier.engine.store.table cimport table_find, table_insert, table_prefetch
from ranvier.engine.store.table_reserve cimport table_reserve
from ranvier.engine.store.value cimport Value
from ranvier.engine.types.fields cimport hash_expiring
from ranvier.engine.types.listpack cimport load_u32
from ranvier.engine.types.rdb cimport (
    RDB_STRING, RDB_VERSION_FIELD_EXPIRY, RDB_VERSION_REDIS_LAST, Reader, ReadString, read_byte, read_bytes,
    read_length, read_string, read_u64, reader_begin, reader_refuse, release_string, skip_string,
)
from ranvier.engine.types.rdb_values cimport LoadedValue, discard_loaded, load_value, value_of

from ranvier.errors import SnapshotError

cdef enum:
    MAGIC_BYTES = 9
    ITEMS_PER_LOOK = 32              # loaded before the clock is read again
    KEY_LEAST_BYTES = 8              # of a file, when it says how many keys are coming: fewer than so are not believed
    INTEGER_TEXT_BYTES = 20
    MODULE_NAME_CHARACTERS = 9

cdef const char *MODULE_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


# ---- keys -----------------------------------------------------------------------------------------------------------

cdef bint refuse(Loading *self, const char *problem) noexcept nogil:
    """The snapshot is bad, for a reason that can be told better than by the reader: always False."""
    self.problem = problem
    return reader_refuse(&self.reader)


cdef void free_entry(Memory *memory, Entry *entry) noexcept nogil:
    entry_free_value(memory, entry)
    release(memory, entry)


cdef void forget_pending(Loading *self) noexcept nogil:
    cdef int i
    for i in range(self.pending_count):
        free_entry(self.reader.memory, self.pending[i].entry)
    self.pending_count = 0


cdef bint put_pending(Loading *self) noexcept nogil:
    """Put the keys that wait into their tables; False: one is there already."""
    cdef PendingKey *pending
    cdef Database *database
    cdef Entry *entry
    cdef Value value
    cdef int i, count = self.pending_count
    self.pending_count = 0
    for i in range(count):
        pending = &self.pending[i]
        database = pending.database
        entry = pending.entry
        if table_find(&database.keys, pending.hash, entry_key(entry), entry_key_length(entry)) != NULL:
            while i < count:
                free_entry(self.reader.memory, self.pending[i].entry)
                i += 1
            return refuse(self, b"a key stands there twice")
        table_insert(&database.keys, pending.hash, entry)
        if entry.flags & ENTRY_EXPIRES:
            table_insert(&database.expires, pending.hash, entry)
        if entry_type(entry) == TYPE_HASH:
            value = value_of(entry, self.reader.memory)
            database_set_volatile(database, pending.hash, entry, hash_expiring(&value) != 0)
        self.keys_loaded += 1
    return True


cdef bint add_pending(Loading *self, Entry *entry) noexcept nogil:
    """A key that is whole: into its table when it is its turn."""
    cdef PendingKey *pending
    cdef Database *database = self.database
    if self.core.keyspace.lfu and self.frequency >= 0:
        entry_set_access(entry, ((<uint32_t>(self.core.keyspace.wall_ms // 60000) & 0xffff) << 8)
                         | <uint32_t>self.frequency)
    elif not self.core.keyspace.lfu and self.idle_seconds >= 0:
        entry_set_access(entry, <uint32_t>(self.core.keyspace.lru_clock - self.idle_seconds) & 0xffffff)
    else:
        entry_set_access(entry, initial_access(&self.core.keyspace))
    if self.pending_count == PENDING_KEYS and not put_pending(self):
        free_entry(self.reader.memory, entry)
        return False
    pending = &self.pending[self.pending_count]
    pending.entry = entry
    pending.database = database
    pending.hash = database_hash(database, entry_key(entry), entry_key_length(entry))
    table_prefetch(&database.keys, pending.hash)
    if entry.flags & ENTRY_EXPIRES:
        table_prefetch(&database.expires, pending.hash)
    self.pending_count += 1
    return True


cdef Entry *string_entry(Loading *self, const ReadString *key, ReadString *text) noexcept nogil:
    """A key with a string, which is used up."""
    cdef Memory *memory = self.reader.memory
    cdef Entry *entry
    cdef Blob *blob = text.blob
    cdef int64_t number
    if text.length <= INTEGER_TEXT_BYTES and parse_integer(text.data, text.length, &number):
        entry = entry_new(memory, key.data, key.length, self.expiry_ms, 8)
        entry_set_integer(entry, number)
        return entry
    if text.length <= INLINE_VALUE_LIMIT_BYTES:
        entry = entry_new(memory, key.data, key.length, self.expiry_ms, text.length)
        entry.kind = TYPE_STRING | (ENCODING_INLINE << 4)
        entry.value_length = <unsigned short>text.length
        memcpy(entry_value(entry), text.data, text.length)
        return entry
    if blob == NULL:
        blob = blob_new(memory, text.length)
        blob.size = text.length
        memcpy(blob_data(blob), text.data, text.length)
    entry = entry_new(memory, key.data, key.length, self.expiry_ms, 8)
    entry_set_pointer(entry, ENCODING_BLOB, blob)
    text.blob = NULL
    return entry


cdef bint load_key(Loading *self, const ReadString *key, int rdb_type) noexcept nogil:
    """A key's value: kept, or let go when its time has passed."""
    cdef Reader *reader = &self.reader
    cdef LoadedValue loaded
    cdef Entry *entry = NULL
    cdef bint passed = self.drop_expired and 0 <= self.expiry_ms < self.core.wall_ms
    if rdb_type == RDB_STRING:
        if not read_string(reader, &loaded.text):
            return False
        if not passed:
            entry = string_entry(self, key, &loaded.text)
        release_string(reader, &loaded.text)
    else:
        if not load_value(reader, rdb_type, &loaded):
            return False
        if passed or loaded.value.pointer == NULL:
            discard_loaded(reader, &loaded)
        else:
            entry = entry_new(reader.memory, key.data, key.length, self.expiry_ms, 8)
            entry.kind = <uint8_t>loaded.type
            entry_set_pointer(entry, loaded.value.encoding, loaded.value.pointer)
    if entry == NULL:
        self.keys_expired += 1
        return True
    return add_pending(self, entry)


cdef bint load_item(Loading *self, int rdb_type) noexcept nogil:
    cdef ReadString key
    cdef bint loaded
    if rdb_type == RDB_MODULE_EARLY:
        return refuse(self, b"a value of a module, in a form that cannot be skipped")
    if not read_string(&self.reader, &key):
        return False
    loaded = skip_module(self) if rdb_type == RDB_MODULE else load_key(self, &key, rdb_type)
    release_string(&self.reader, &key)
    self.expiry_ms = self.idle_seconds = -1
    self.frequency = -1
    if self.delay_microseconds > 0:
        ranvier_wait(<int64_t>(self.delay_microseconds if self.delay_microseconds < 1000000 else 999999) * 1000)
    return loaded


# ---- what stands between keys ---------------------------------------------------------------------------------------

cdef bint skip_module(Loading *self) noexcept nogil:
    """The parts of a module's value or of its auxiliary data."""
    cdef Reader *reader = &self.reader
    cdef uint64_t part = 0, number
    if not read_length(reader, &self.note_module):
        return False
    while read_length(reader, &part):
        if part == MODULE_END:
            self.note = NOTE_MODULE
            return True
        if part == MODULE_SIGNED or part == MODULE_UNSIGNED:
            read_length(reader, &number)
        elif part == MODULE_FLOAT:
            read_bytes(reader, 4)
        elif part == MODULE_DOUBLE:
            read_bytes(reader, 8)
        elif part == MODULE_STRING:
            skip_string(reader)
        else:
            reader_refuse(reader)
    return False


cdef bint choose_database(Loading *self) noexcept nogil:
    cdef uint64_t index
    if not read_length(&self.reader, &index):
        return False
    if index >= <uint64_t>self.core.database_count:
        self.problem_number = index
        return refuse(self, b"it has keys in database {}, which this server does not have")
    self.database = self.databases[index]
    return True


cdef bint reserve_tables(Loading *self) noexcept nogil:
    cdef uint64_t keys, volatile
    if not read_length(&self.reader, &keys) or not read_length(&self.reader, &volatile):
        return False
    if not put_pending(self):
        return False
    # Believed are as many keys as the file could hold, in all databases together.
    if keys > self.reservable:
        keys = self.reservable
    self.reservable -= keys
    table_reserve(&self.database.keys, keys)
    table_reserve(&self.database.expires, volatile if volatile < keys else keys)
    return True


cdef bint skip_lengths(Loading *self, int count) noexcept nogil:
    cdef uint64_t number
    cdef int _i
    for _i in range(count):
        read_length(&self.reader, &number)
    return not self.reader.failed


cdef bint read_expiry(Loading *self, int opcode) noexcept nogil:
    """A negative moment has passed: as the first of all moments, for -1 is none."""
    cdef const uint8_t *p
    cdef uint64_t moment
    if opcode == OPCODE_EXPIRY_SECONDS:
        p = read_bytes(&self.reader, 4)
        if p == NULL:
            return False
        self.expiry_ms = <int64_t>load_u32(p) * 1000      # unsigned: good until 2106
        return True
    if not read_u64(&self.reader, &moment):
        return False
    self.expiry_ms = 0 if <int64_t>moment < 0 else <int64_t>moment
    return True


cdef bint read_access(Loading *self, int opcode) noexcept nogil:
    cdef uint64_t seconds
    cdef uint8_t frequency
    if opcode == OPCODE_FREQUENCY:
        if not read_byte(&self.reader, &frequency):
            return False
        self.frequency = frequency
        return True
    if not read_length(&self.reader, &seconds):
        return False
    self.idle_seconds = <int64_t>seconds if seconds < 0xffffff else 0xffffff
    return True


cdef bint read_note(Loading *self, int opcode) noexcept nogil:
    """Strings that Python keeps; they are let go when it has."""
    if opcode == OPCODE_AUXILIARY and not read_string(&self.reader, &self.note_name):
        return False
    if not read_string(&self.reader, &self.note_text):
        if opcode == OPCODE_AUXILIARY:
            release_string(&self.reader, &self.note_name)
        return False
    self.note = NOTE_AUXILIARY if opcode == OPCODE_AUXILIARY else NOTE_FUNCTIONS
    return True


cdef void sum_up(Loading *self) noexcept nogil:
    """Bring the checksum up to what has been read."""
    if self.checksum and self.reader.position > self.summed:
        self.crc = crc64(self.crc, self.reader.data + self.summed, self.reader.position - self.summed)
        self.summed = self.reader.position


cdef bint read_end(Loading *self) noexcept nogil:
    cdef uint64_t sum = 0
    cdef size_t place
    if not put_pending(self):
        return False
    sum_up(self)
    place = self.reader.position
    if self.reader.version >= RDB_VERSION_CHECKSUM:
        if not read_u64(&self.reader, &sum):
            return False
        if self.checksum and sum != 0 and sum != self.crc:
            self.reader.position = place
            return refuse(self, b"the checksum does not fit")
    if self.alone and self.reader.position != self.reader.length:
        return refuse(self, b"more follows its end")
    self.done = True
    return True


cdef bint load_next(Loading *self) noexcept nogil:
    """A key, or what stands between two; False when it fails."""
    cdef uint8_t opcode
    if not read_byte(&self.reader, &opcode):
        return False
    if opcode < OPCODE_SLOT_IMPORT:
        return load_item(self, opcode)
    if opcode == OPCODE_EXPIRY_MS or opcode == OPCODE_EXPIRY_SECONDS:
        return read_expiry(self, opcode)
    if opcode == OPCODE_IDLE or opcode == OPCODE_FREQUENCY:
        return read_access(self, opcode)
    if opcode == OPCODE_DATABASE:
        return choose_database(self)
    if opcode == OPCODE_SIZES:
        return reserve_tables(self)
    if opcode == OPCODE_AUXILIARY or opcode == OPCODE_FUNCTIONS:
        return read_note(self, opcode)
    if opcode == OPCODE_END:
        return read_end(self)
    if opcode == OPCODE_SLOT_SIZES:
        return skip_lengths(self, 3)
    if opcode == OPCODE_MODULE_AUXILIARY:
        return skip_module(self)             # when it was written comes first, and looks like a part
    if opcode == OPCODE_FUNCTIONS_EARLY:
        return refuse(self, b"functions in the form of a release candidate of Redis 7.0")
    return refuse(self, b"an import of slots in progress: that is for servers in a cluster")


cdef bint load_until(Loading *self, int64_t until_ns) noexcept nogil:
    """Load for a time; ends early at the end, at a note, and when it fails (False)."""
    cdef int items = 0
    while not self.done and self.note == NOTE_NONE:
        if not load_next(self):
            return False
        items += 1
        if items < ITEMS_PER_LOOK and self.delay_microseconds == 0:
            continue
        items = 0
        sum_up(self)
        if now_ns() >= until_ns:
            break
    return True


# ---- the loader -----------------------------------------------------------------------------------------------------

cdef int read_magic(Loading *self, bint any_version) noexcept nogil:
    """The version; -1: it is no snapshot, -2: a version that is not known."""
    cdef const uint8_t *p = read_bytes(&self.reader, MAGIC_BYTES)
    cdef int version = 0, i, digits = 4
    cdef bint known
    if p == NULL:
        return -1
    if memcmp(p, b"VALKEY", 6) == 0:
        digits = 3
    elif memcmp(p, b"REDIS", 5) != 0:
        return -1
    for i in range(MAGIC_BYTES - digits, MAGIC_BYTES):
        if not c'0' <= p[i] <= c'9':
            return -1
        version = 10 * version + p[i] - c'0'
    if version == 0:
        return -2
    known = version == RDB_VERSION_FIELD_EXPIRY if digits == 3 else version <= RDB_VERSION_REDIS_LAST
    if not known and not any_version:
        return -2
    return version


@cython.no_gc_clear
cdef class SnapshotLoader:
    """A snapshot that is being loaded: call `step` until it says that it is done.

    `auxiliary`, `functions` (texts of libraries, not loaded anywhere), `skipped_modules` (name -> how many values or
    auxiliary data of it were left out), `keys_loaded` and `keys_expired` tell what was found so far.
    """

    def __dealloc__(self) -> None:
        self.drop()

    cdef void let_go(self) noexcept:
        """Let go of the bytes and of what has not found its place."""
        forget_pending(&self.state)
        if self.held:
            self.held = False
            PyBuffer_Release(&self.view)

    def step(self, int64_t nanoseconds) -> bool:
        """Go on for about so long (a single value takes what it takes); True when all is loaded.

        Raises SnapshotError; nothing more can be done with the loader then but `discard`.
        """
        cdef Loading *state = &self.state
        cdef int64_t until_ns = now_ns() + nanoseconds
        cdef bint going
        if state.done:
            return True
        if not self.held:
            raise ValueError("the loading has failed or was given up")
        while True:
            with nogil:
                going = load_until(state, until_ns)
            if not going:
                error = self.failure()
                self.let_go()
                raise error
            if state.note == NOTE_NONE:
                break
            self.keep_note()
        if state.done:
            self.let_go()
        return state.done

    cdef object failure(self):
        cdef Loading *state = &self.state
        if state.problem != NULL:
            text = state.problem.decode().format(state.problem_number)
        elif state.reader.ended:
            text = "it ends in the middle of something"
        else:
            text = "it makes no sense"
        return SnapshotError(text, state.reader.position)

    cdef void keep_note(self) except *:
        cdef Loading *state = &self.state
        cdef int note = state.note
        state.note = NOTE_NONE
        if note == NOTE_MODULE:
            name = module_name(state.note_module)
            self.skipped_modules[name] = self.skipped_modules.get(name, 0) + 1
            return
        text = state.note_text.data[:state.note_text.length]
        release_string(&state.reader, &state.note_text)
        if note == NOTE_FUNCTIONS:
            self.functions.append(text)
            return
        name = state.note_name.data[:state.note_name.length]
        release_string(&state.reader, &state.note_name)
        self.auxiliary[name] = text

    @property
    def position(self) -> int:
        """Bytes read; once it is done, where the snapshot ends."""
        return self.state.reader.position

    @property
    def version(self) -> int:
        """Of the snapshot's form."""
        return self.state.reader.version

    @property
    def keys_loaded(self) -> int:
        return self.state.keys_loaded

    @property
    def keys_expired(self) -> int:
        """Keys that were left out because their time had passed, or that of all their fields."""
        return self.state.keys_expired

    def take_place(self) -> None:
        """Put what was loaded `aside` in the place of what the server holds, which is freed bit by bit.

        Whoever watches a key that changes by it, or tracks any, learns of it; nothing is propagated.
        """
        self.check_whole()
        place_databases(self.state.core, self.state.databases)
        self.drop()

    def merge(self, replace: bool) -> None:
        """Put what was loaded `aside` beside what the server holds.

        A key that is there already is replaced if `replace`; else SnapshotError is raised, and nothing has changed.
        """
        self.check_whole()
        if not replace and databases_overlap(self.state.core, self.state.databases):
            raise SnapshotError("a key of it is there already", self.state.reader.position)
        merge_databases(self.state.core, self.state.databases)
        self.drop()

    cdef void check_whole(self) except *:
        if not self.aside or not self.state.done or self.state.databases == NULL:
            raise ValueError("there is nothing that could take the place")

    def discard(self) -> None:
        """Give up: the bytes are let go of, and what was loaded `aside` is freed bit by bit. Idempotent."""
        self.drop()

    cdef void drop(self) noexcept:
        cdef int i
        self.let_go()
        if not self.aside or self.state.databases == NULL:
            return
        for i in range(self.state.core.database_count):
            database_flush(self.state.databases[i])
            database_free(self.state.databases[i])
        free(self.state.databases)
        self.state.databases = NULL


cdef str module_name(uint64_t module):
    """The nine characters of six bits that a module's number begins with; its version is in the other ten."""
    return "".join(chr(MODULE_ALPHABET[(module >> (10 + 6 * (MODULE_NAME_CHARACTERS - 1 - i))) & 63])
                   for i in range(MODULE_NAME_CHARACTERS))


cdef SnapshotLoader snapshot_loader(Core *core, object data, bint checksum, bint drop_expired, bint any_version,
                                    bint aside, bint alone, int delay_microseconds):
    cdef SnapshotLoader loader = SnapshotLoader.__new__(SnapshotLoader)
    cdef Loading *state = &loader.state
    cdef int version, i
    memset(state, 0, sizeof(Loading))
    PyObject_GetBuffer(data, &loader.view, PyBUF_SIMPLE)
    loader.held = True
    state.core = core
    loader.engine = <object>core.engine
    loader.auxiliary, loader.functions, loader.skipped_modules = {}, [], {}
    loader.total_bytes = <size_t>loader.view.len
    reader_begin(&state.reader, &core.memory, &core.encodings, <const uint8_t *>loader.view.buf, loader.total_bytes)
    state.reader.seed0 = core.databases[0].keys.seed0
    state.reader.seed1 = core.databases[0].keys.seed1
    state.reader.wall_ms = core.wall_ms if drop_expired else 0
    state.reservable = loader.total_bytes // KEY_LEAST_BYTES
    state.checksum = checksum
    state.drop_expired = drop_expired
    state.alone = alone
    state.delay_microseconds = delay_microseconds
    state.expiry_ms = state.idle_seconds = -1
    state.frequency = -1
    version = read_magic(state, any_version)
    if version < 0:
        loader.let_go()
        raise SnapshotError("it is of a version that is not known" if version == -2
                            else "it does not begin as a snapshot does", 0)
    state.reader.version = version
    loader.aside = aside
    state.databases = core.databases
    if aside:
        state.databases = <Database **>calloc(<size_t>core.database_count, sizeof(Database *))
        if state.databases == NULL:
            raise MemoryError
        for i in range(core.database_count):
            state.databases[i] = database_new(i, &core.keyspace, state.reader.seed0, state.reader.seed1)
    state.database = state.databases[0]
    return loader
