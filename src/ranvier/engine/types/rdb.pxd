"""The RDB encoding of single values, as DUMP, RESTORE, snapshots and replication carry them: Writer, Reader, and what a
type contributes.

Format: "Redis RDB file format", version 10 (Redis 7.0). A `Writer` grows a buffer through Memory, or hands full buffers
to a flush function; it never touches a Python object, so that a forked child may write with it. A `Reader` looks at
bytes that nobody vouches for: whatever does not fit sets `failed`, and every read from then on fails, so that a loader
need not look after each single one. Both are used without the interpreter's lock.

A type fills in one `ValueCodec` (rdb_values.pyx asks them by type). Its rules:
- `save` writes what stands behind the type byte, in the form that `rdb_type` told for the writer's version.
- `load` gets one of the types that its `rdb_type` or an older version told. It checks everything that it does not know:
  order, duplicates, NaN, sizes that overflow. On success it has set `encoding` and `pointer` (chosen by the reader's
  thresholds), or pointer NULL when all that it held has expired. On failure it has freed all and returns False. An
  empty collection is refused (but an empty stream is a stream).
- Counts come through `read_count`, so that none is believed which the bytes left could not hold.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint64_t

from ranvier.engine.core cimport Encodings
from ranvier.engine.memory cimport Blob, Memory, blob_release
from ranvier.engine.store.value cimport Value
from ranvier.engine.types.listpack cimport Listpack

cdef enum RdbType:
    RDB_STRING = 0
    RDB_LIST = 1
    RDB_SET = 2
    RDB_SORTED_SET_TEXT = 3              # scores as text
    RDB_HASH = 4
    RDB_SORTED_SET = 5                   # scores as binary doubles
    RDB_HASH_ZIPMAP = 9
    RDB_LIST_ZIPLIST = 10
    RDB_SET_INTSET = 11
    RDB_SORTED_SET_ZIPLIST = 12
    RDB_HASH_ZIPLIST = 13
    RDB_LIST_ZIPLISTS = 14
    RDB_STREAM = 15
    RDB_HASH_LISTPACK = 16
    RDB_SORTED_SET_LISTPACK = 17
    RDB_LIST_NODES = 18
    RDB_STREAM_2 = 19                    # with first id, largest deleted id, entries added; groups with entries read
    RDB_SET_LISTPACK = 20                # from version 11 on
    RDB_STREAM_3 = 21                    # from version 11 on: consumers with the time at which they were active
    RDB_HASH_EXPIRING = 22               # Valkey, version 80: fields with their expiry
    RDB_HASH_REDIS_EXPIRING = 24         # Redis 7.4, version 12
    RDB_HASH_REDIS_LISTPACK = 25         # Redis 7.4, version 12

cdef enum:
    RDB_VERSION = 10                     # what is written: every server from Redis 7.0 on reads it
    RDB_VERSION_FIELD_EXPIRY = 80        # Valkey 9
    RDB_VERSION_REDIS_LAST = 12          # newest of Redis's own versions that is read
    INTEGER_STRING_BYTES = 11            # strings up to here are tried as integers
    COMPRESSED_FROM_BYTES = 21           # strings from here on are tried to be compressed
    WRITER_FIRST_BYTES = 128
    DIGITS_BYTES = 24


# --- writing -----------------------------------------------------------------------------------------------------

# Takes `length` bytes; False ends the writing (Writer.failed).
ctypedef bint (*flush_t)(void *context, const uint8_t *data, size_t length) noexcept nogil

cdef struct Writer:
    Memory *memory
    uint8_t *data
    size_t length                        # bytes in `data` that are not flushed
    size_t capacity
    int version                          # RDB version that is written
    bint compress                        # rdbcompression
    flush_t flush                        # NULL: `data` grows
    void *context
    size_t flush_bytes                   # handed over from this size on
    bint failed

# `flush` NULL: the buffer grows, and the caller takes what it needs from `data` before `writer_end`.
cdef void writer_begin(Writer *writer, Memory *memory, int version, bint compress) noexcept nogil
cdef void writer_flush(Writer *writer) noexcept nogil             # hand over what is there
cdef void writer_end(Writer *writer) noexcept nogil               # frees the buffer; flushes nothing

# Room for `size` more bytes; who writes there advances `length`.
cdef uint8_t *writer_room(Writer *writer, size_t size) noexcept nogil
cdef void write_bytes(Writer *writer, const void *data, size_t length) noexcept nogil
cdef void write_length(Writer *writer, uint64_t length) noexcept nogil
cdef void write_string(Writer *writer, const char *data, size_t length) noexcept nogil
cdef void write_integer_string(Writer *writer, int64_t value) noexcept nogil   # a string that is how it prints
cdef void write_u64(Writer *writer, uint64_t value) noexcept nogil              # little endian: times, ids are not
cdef void write_double(Writer *writer, double value) noexcept nogil


cdef inline void write_byte(Writer *writer, int value) noexcept nogil:
    writer_room(writer, 1)[0] = <uint8_t>value
    writer.length += 1


# --- reading -----------------------------------------------------------------------------------------------------

cdef struct Reader:
    Memory *memory                       # of the values, and of strings that were compressed
    const Encodings *encodings           # thresholds
    const uint8_t *data
    size_t length
    size_t position
    size_t string_limit_bytes            # no string is longer: proto-max-bulk-len
    int version                          # of the RDB form
    int64_t wall_ms
    uint64_t seed0                       # of the hash tables that are made
    uint64_t seed1
    bint failed
    bint ended                           # it failed because the bytes end too early

# A string as it was read: `data` lies in the reader's bytes, in `digits` (so the struct does not move), or in `blob`.
cdef struct ReadString:
    const char *data
    size_t length
    Blob *blob                           # NULL, or what holds the data: `release_string`, or take it over
    char digits[DIGITS_BYTES]

cdef void reader_begin(Reader *reader, Memory *memory, const Encodings *encodings, const uint8_t *data,
                       size_t length) noexcept nogil

# All of these are False (NULL) once the reader has failed.
cdef const uint8_t *read_bytes(Reader *reader, size_t count) noexcept nogil     # where they lie
cdef bint read_length(Reader *reader, uint64_t *length) noexcept nogil
# A number of things of at least so many bytes each (not 0): refused when what is left could not hold them.
cdef bint read_count(Reader *reader, size_t least_bytes, size_t *count) noexcept nogil
cdef bint read_string(Reader *reader, ReadString *string) noexcept nogil        # then release_string
cdef bint skip_string(Reader *reader) noexcept nogil
cdef bint read_u64(Reader *reader, uint64_t *value) noexcept nogil
cdef bint read_double(Reader *reader, double *value) noexcept nogil             # NaN is for the caller to refuse
cdef bint read_text_double(Reader *reader, double *value) noexcept nogil        # of RDB_SORTED_SET_TEXT
# A string that is a listpack, or a ziplist or zipmap made into one, as the type says; well-formed, perhaps empty.
# NULL: malformed. Who loads pairs checks that the count is even.
cdef Listpack *read_pack(Reader *reader, int rdb_type) noexcept nogil


cdef inline bint reader_refuse(Reader *reader) noexcept nogil:
    """The bytes make no sense: always False."""
    reader.failed = True
    return False


cdef inline bint read_byte(Reader *reader, uint8_t *value) noexcept nogil:
    cdef const uint8_t *p = read_bytes(reader, 1)
    if p == NULL:
        return False
    value[0] = p[0]
    return True


cdef inline void release_string(Reader *reader, ReadString *string) noexcept nogil:
    if string.blob != NULL:
        blob_release(reader.memory, string.blob)
        string.blob = NULL


# --- what a type contributes -------------------------------------------------------------------------------------

cdef struct ValueCodec:
    # The type byte under which a writer of this version saves the value. Only a hash whose fields expire may answer a
    # type that the version does not have (RDB_HASH_EXPIRING): DUMP then raises the version.
    int (*rdb_type)(const Value *value, int version) noexcept nogil
    void (*save)(Writer *writer, const Value *value) noexcept nogil
    # value.memory is set; see above for the rest.
    bint (*load)(Reader *reader, int rdb_type, Value *value) noexcept nogil
