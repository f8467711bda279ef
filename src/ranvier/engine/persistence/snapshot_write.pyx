"""The writer of snapshots: every database, key by key, through one buffer to a flush function.

Strategy. The tables are walked bucket by bucket. Entries lie anywhere in memory, so the ones a few buckets ahead are
prefetched: the walk then costs little more than the copying. The buffer is handed over when it holds a megabyte, and
summed up then, while it is still in the cache. What stands before the first database (magic, auxiliary fields,
functions) the caller has made ready, because it comes from Python objects.

Invariant: nothing here touches a Python object, takes a lock or changes the data set; allocations are for values larger
than the buffer only.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint64_t, uintptr_t

from ranvier.engine.clocks cimport ranvier_wait
from ranvier.engine.core cimport Core
from ranvier.engine.memory cimport resize
from ranvier.engine.persistence.command_write cimport write_key, write_select
from ranvier.engine.persistence.crc64 cimport crc64
from ranvier.engine.persistence.snapshot_format cimport (
    OPCODE_DATABASE, OPCODE_END, OPCODE_EXPIRY_MS, OPCODE_FREQUENCY, OPCODE_IDLE, OPCODE_SIZES,
)
from ranvier.engine.store.access cimport entry_frequency, entry_idle_seconds
from ranvier.engine.store.database cimport Database
from ranvier.engine.store.entry cimport Entry, entry_expiry, entry_key, entry_key_length
from ranvier.engine.store.eviction cimport EVICT_LFU, EVICT_LRU
from ranvier.engine.store.table cimport SEGMENT_BUCKETS, Bucket, Table, table_visit
from ranvier.engine.types.rdb cimport (
    write_byte, write_bytes, write_length, write_string, write_u64, writer_begin, writer_end, writer_flush,
)
from ranvier.engine.types.rdb_values cimport entry_rdb_type, save_entry

cdef extern from *:
    """
    #define ranvier_prefetch_entry(address) __builtin_prefetch((const void *)(address))
    """
    void ranvier_prefetch_entry(uintptr_t address) noexcept nogil

cdef enum:
    SLOTS = 7
    BUCKETS_AHEAD = 6                # whose entries are on their way to the cache
    BUFFER_BYTES = SNAPSHOT_FLUSH_BYTES + (64 << 10)
    KEYS_PER_PROGRESS = 256


cdef bint hand_over(void *context, const uint8_t *data, size_t length) noexcept nogil:
    """The writer's flush function: sum up, and pass on."""
    cdef SnapshotWrite *self = <SnapshotWrite *>context
    if self.checksum:
        self.crc = crc64(self.crc, data, length)
    self.bytes += length
    return self.flush(self.context, data, length)


cdef void snapshot_begin(SnapshotWrite *self, Core *core, int version, bint compress) noexcept nogil:
    self.core = core
    self.crc = self.keys = self.bytes = 0
    self.progress = NULL
    self.as_commands = False
    self.delay_microseconds = 0
    writer_begin(&self.writer, &core.memory, version, compress)
    self.writer.data = <uint8_t *>resize(&core.memory, self.writer.data, BUFFER_BYTES)
    self.writer.capacity = BUFFER_BYTES
    self.writer.flush = &hand_over
    self.writer.context = self
    self.writer.flush_bytes = SNAPSHOT_FLUSH_BYTES


cdef void snapshot_end(SnapshotWrite *self) noexcept nogil:
    writer_end(&self.writer)


cdef void wait_microseconds(int microseconds, uint64_t key) noexcept nogil:
    """Negative: a microsecond every so many keys."""
    if microseconds < 0:
        if key % <uint64_t>-<int64_t>microseconds == 0:
            ranvier_wait(1000)
        return
    while microseconds >= 1000000:               # as long as nanosleep takes at once
        ranvier_wait(999999999)
        microseconds -= 1000000
    ranvier_wait(<int64_t>microseconds * 1000)


cdef void save_item(void *context, void *item) noexcept nogil:
    """One key: what is said about it, its type, the key, the value."""
    cdef SnapshotWrite *self = <SnapshotWrite *>context
    cdef Writer *writer = &self.writer
    cdef const Entry *entry = <const Entry *>item
    cdef int64_t at_ms = entry_expiry(entry)
    if writer.failed:
        return
    if self.as_commands:
        write_key(writer, entry)
        key_is_written(self)
        return
    if at_ms >= 0:
        write_byte(writer, OPCODE_EXPIRY_MS)
        write_u64(writer, <uint64_t>at_ms)
    if self.core.eviction.order == EVICT_LRU:
        write_byte(writer, OPCODE_IDLE)
        write_length(writer, <uint64_t>entry_idle_seconds(&self.core.keyspace, entry))
    elif self.core.eviction.order == EVICT_LFU:
        write_byte(writer, OPCODE_FREQUENCY)
        write_byte(writer, <int>entry_frequency(&self.core.keyspace, entry))
    write_byte(writer, entry_rdb_type(entry, writer.memory, writer.version))
    write_string(writer, entry_key(entry), entry_key_length(entry))
    save_entry(writer, entry)
    key_is_written(self)


cdef void key_is_written(SnapshotWrite *self) noexcept nogil:
    self.keys += 1
    if self.delay_microseconds != 0:
        wait_microseconds(self.delay_microseconds, self.keys)
    if self.progress != NULL and (self.keys % KEYS_PER_PROGRESS == 0 or self.delay_microseconds != 0) \
            and not self.progress(self.context):
        self.writer.failed = True


cdef inline void prefetch_bucket(const Table *table, size_t index) noexcept nogil:
    cdef const Bucket *bucket
    cdef int slot
    if index >= table.buckets:
        return
    bucket = &table.segments[index // SEGMENT_BUCKETS][index % SEGMENT_BUCKETS]
    for slot in range(SLOTS):
        ranvier_prefetch_entry(<uintptr_t>bucket.slots[slot])


cdef void write_database(SnapshotWrite *self, Database *database) noexcept nogil:
    cdef size_t i
    if database.keys.count == 0:
        return
    if self.as_commands:
        write_select(&self.writer, database.index)
    else:
        write_byte(&self.writer, OPCODE_DATABASE)
        write_length(&self.writer, <uint64_t>database.index)
        write_byte(&self.writer, OPCODE_SIZES)
        write_length(&self.writer, database.keys.count)
        write_length(&self.writer, database.expires.count)
    for i in range(database.keys.buckets):
        prefetch_bucket(&database.keys, i + BUCKETS_AHEAD)
        table_visit(&database.keys, i, &save_item, self)
        if self.writer.failed:
            return


cdef bint write_frame(SnapshotWrite *self, const uint8_t *data, size_t length) noexcept nogil:
    """What frames the snapshot is none of its bytes: neither buffered with them nor summed up."""
    return length == 0 or self.flush(self.context, data, length)


cdef bint snapshot_write(SnapshotWrite *self) noexcept nogil:
    cdef Writer *writer = &self.writer
    cdef uint64_t sum = 0
    cdef int i
    if not write_frame(self, self.announcement, self.announcement_length):
        return False
    write_bytes(writer, self.head, self.head_length)
    for i in range(self.core.database_count):
        write_database(self, self.core.databases[i])
        if writer.failed:
            return False
    if self.as_commands:
        writer_flush(writer)
        return not writer.failed
    write_byte(writer, OPCODE_END)
    writer_flush(writer)
    if self.checksum:
        sum = self.crc
        self.checksum = False
    write_u64(writer, sum)
    writer_flush(writer)
    return not writer.failed and write_frame(self, self.mark, self.mark_length)


cdef uint64_t snapshot_keys(const Core *core) noexcept nogil:
    cdef uint64_t keys = 0
    cdef int i
    for i in range(core.database_count):
        keys += core.databases[i].keys.count
    return keys


cdef void keep_item(void *context, void *item) noexcept nogil:
    (<void **>context)[0] = item


cdef const Entry *newest_entry(Core *core, int *database) noexcept nogil:
    cdef void *found = NULL
    cdef Table *table
    cdef size_t index
    cdef int i
    for i in range(core.database_count):
        table = &core.databases[i].volatile_hashes
        if table.count == 0:
            continue
        database[0] = i
        for index in range(table.buckets):
            table_visit(table, index, &keep_item, &found)
            if found != NULL:
                return <const Entry *>found
    return NULL
