"""Strings in RDB form, and the codecs of all other types by type.

A string lies in the entry as often as not, so it is no `Value`: it is written from where it lies, and what was read
goes to the database's own way of storing strings, which finds the encoding.
"""

from libc.string cimport memset

from ranvier.engine.memory cimport Memory, blob_release
from ranvier.engine.store.database cimport (
    database_set_blob, database_set_pointer, database_set_string, database_set_volatile, entry_string,
)
from ranvier.engine.store.entry cimport (
    ENCODING_INTEGER, INLINE_VALUE_LIMIT_BYTES, TYPE_HASH, TYPE_LIST, TYPE_SET, TYPE_SORTED_SET, TYPE_STREAM,
    TYPE_STRING, entry_encoding, entry_integer, entry_pointer, entry_type,
)
from ranvier.engine.store.value cimport value_free
from ranvier.engine.types.fields cimport hash_expiring
from ranvier.engine.types.hash_rdb cimport hash_codec
from ranvier.engine.types.list_rdb cimport list_codec
from ranvier.engine.types.rdb cimport (
    DIGITS_BYTES, RDB_HASH, RDB_HASH_EXPIRING, RDB_HASH_LISTPACK, RDB_HASH_REDIS_EXPIRING, RDB_HASH_REDIS_LISTPACK,
    RDB_HASH_ZIPLIST, RDB_HASH_ZIPMAP, RDB_LIST, RDB_LIST_NODES, RDB_LIST_ZIPLIST, RDB_LIST_ZIPLISTS, RDB_SET,
    RDB_SET_INTSET, RDB_SET_LISTPACK, RDB_SORTED_SET, RDB_SORTED_SET_LISTPACK, RDB_SORTED_SET_TEXT,
    RDB_SORTED_SET_ZIPLIST, RDB_STREAM, RDB_STREAM_2, RDB_STREAM_3, RDB_STRING, ValueCodec, read_string,
    reader_refuse, release_string, write_integer_string, write_string,
)
from ranvier.engine.types.set_rdb cimport set_codec
from ranvier.engine.types.sorted_set_rdb cimport sorted_set_codec
from ranvier.engine.types.stream_rdb cimport stream_codec

cdef enum:
    TYPES = 16                   # what four bits of Entry.kind can tell

# Every type but strings; NULL where there is none.
cdef const ValueCodec *CODECS[TYPES]
CODECS[<int>TYPE_LIST] = list_codec()
CODECS[<int>TYPE_SET] = set_codec()
CODECS[<int>TYPE_HASH] = hash_codec()
CODECS[<int>TYPE_SORTED_SET] = sorted_set_codec()
CODECS[<int>TYPE_STREAM] = stream_codec()


cdef int value_type_of(int rdb_type) noexcept nogil:
    """The ValueType that is saved under this type byte; -1 if none is."""
    if rdb_type == RDB_STRING:
        return TYPE_STRING
    if rdb_type in (RDB_LIST, RDB_LIST_ZIPLIST, RDB_LIST_ZIPLISTS, RDB_LIST_NODES):
        return TYPE_LIST
    if rdb_type in (RDB_SET, RDB_SET_INTSET, RDB_SET_LISTPACK):
        return TYPE_SET
    if rdb_type in (RDB_SORTED_SET_TEXT, RDB_SORTED_SET, RDB_SORTED_SET_ZIPLIST, RDB_SORTED_SET_LISTPACK):
        return TYPE_SORTED_SET
    if rdb_type in (RDB_HASH, RDB_HASH_ZIPMAP, RDB_HASH_ZIPLIST, RDB_HASH_LISTPACK, RDB_HASH_EXPIRING,
                    RDB_HASH_REDIS_EXPIRING, RDB_HASH_REDIS_LISTPACK):
        return TYPE_HASH
    if rdb_type in (RDB_STREAM, RDB_STREAM_2, RDB_STREAM_3):
        return TYPE_STREAM
    return -1


cdef Value value_of(const Entry *entry, Memory *memory) noexcept nogil:
    cdef Value value
    value.memory = memory
    value.encoding = entry_encoding(entry)
    value.pointer = entry_pointer(entry)
    return value


cdef int entry_rdb_type(const Entry *entry, Memory *memory, int version) noexcept nogil:
    cdef const ValueCodec *codec = CODECS[entry_type(entry)]
    cdef Value value
    if entry_type(entry) == TYPE_STRING:
        return RDB_STRING
    if codec == NULL:
        return -1
    value = value_of(entry, memory)
    return codec.rdb_type(&value, version)


cdef void save_entry(Writer *writer, const Entry *entry) noexcept nogil:
    cdef char scratch[DIGITS_BYTES]
    cdef const char *text
    cdef size_t length
    cdef Value value
    if entry_type(entry) == TYPE_STRING:
        if entry_encoding(entry) == ENCODING_INTEGER:
            write_integer_string(writer, entry_integer(entry))
            return
        text = entry_string(entry, scratch, &length)
        write_string(writer, text, length)
        return
    value = value_of(entry, writer.memory)
    CODECS[entry_type(entry)].save(writer, &value)


cdef bint load_value(Reader *reader, int rdb_type, LoadedValue *loaded) noexcept nogil:
    memset(loaded, 0, sizeof(LoadedValue))
    loaded.type = value_type_of(rdb_type)
    if loaded.type == TYPE_STRING:
        return read_string(reader, &loaded.text)
    if loaded.type < 0 or CODECS[loaded.type] == NULL:
        return reader_refuse(reader)
    loaded.value.memory = reader.memory
    return CODECS[loaded.type].load(reader, rdb_type, &loaded.value)


cdef Entry *put_loaded(Database *database, uint64_t hash, const char *key, size_t length,
                       LoadedValue *loaded) noexcept:
    cdef Entry *entry
    cdef ReadString *text = &loaded.text
    if loaded.type != TYPE_STRING:
        entry = database_set_pointer(database, hash, key, length, loaded.type, loaded.value.encoding,
                                     loaded.value.pointer, False)
        if loaded.type == TYPE_HASH:
            database_set_volatile(database, hash, entry, hash_expiring(&loaded.value) != 0)
        return entry
    if text.blob != NULL and text.length > INLINE_VALUE_LIMIT_BYTES:
        entry = database_set_blob(database, hash, key, length, text.blob, False)
        text.blob = NULL
        return entry
    entry = database_set_string(database, hash, key, length, text.data, text.length, False)
    if text.blob != NULL:
        blob_release(database.keyspace.memory, text.blob)
        text.blob = NULL
    return entry


cdef void discard_loaded(Reader *reader, LoadedValue *loaded) noexcept nogil:
    release_string(reader, &loaded.text)
    if loaded.type != TYPE_STRING and loaded.value.pointer != NULL:
        value_free(reader.memory, loaded.value.encoding, loaded.value.pointer)
        loaded.value.pointer = NULL
