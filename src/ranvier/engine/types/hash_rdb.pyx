"""Hashes in RDB form: a listpack as it is, a table as pairs, and as pairs with an expiry each when fields expire.

A hash whose fields expire needs Valkey's type for it (RDB version 80), in which every field is followed by its moment
in milliseconds, -1 for never. Read are the forms before listpacks, and Redis 7.4's two own forms, too: both begin with
the earliest expiry; the one lists `expiry - earliest + 1` (0: never) before each pair, the other is a listpack of name,
value, expiry (0: never). Fields whose time has passed are left out.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint64_t

from ranvier.engine.store.entry cimport ENCODING_LISTPACK
from ranvier.engine.store.table cimport table_visit
from ranvier.engine.store.value cimport Value, value_free
from ranvier.engine.types.fields cimport (
    Field, FieldTable, FieldView, Hash, HashLimits, field_is_past, field_view, hash_become_table, hash_expiring,
    hash_find, hash_has_grown, hash_length, hash_new, hash_put, hash_will_take,
)
from ranvier.engine.types.listpack cimport (
    INTEGER_TEXT_BYTES, LISTPACK_END, Element, Listpack, element_read, element_size, element_text, listpack_bytes,
    listpack_count, listpack_first, listpack_fit, listpack_free, listpack_size,
)
from ranvier.engine.types.rdb cimport (
    RDB_HASH, RDB_HASH_EXPIRING, RDB_HASH_LISTPACK, RDB_HASH_REDIS_EXPIRING, RDB_HASH_REDIS_LISTPACK, Reader,
    ReadString, ValueCodec, Writer, read_count, read_length, read_pack, read_string, read_u64, reader_refuse,
    release_string, write_length, write_string, write_u64,
)

cdef enum:
    LONGEST_MOMENT = 0x7fffffffffffffff


# ---- saving ---------------------------------------------------------------------------------------------------------

cdef int hash_rdb_type(const Value *value, int version) noexcept nogil:
    if value.encoding == ENCODING_LISTPACK:
        return RDB_HASH_LISTPACK
    return RDB_HASH_EXPIRING if hash_expiring(value) else RDB_HASH


cdef struct Saving:
    Writer *writer
    bint with_expiry


cdef void save_field(void *context, void *item) noexcept nogil:
    cdef const Saving *saving = <const Saving *>context
    cdef FieldView view
    field_view(<Field *>item, &view)
    write_string(saving.writer, view.name.data, view.name.length)
    write_string(saving.writer, view.value.data, view.value.length)
    if saving.with_expiry:
        write_u64(saving.writer, <uint64_t>view.at_ms)


cdef void hash_save(Writer *writer, const Value *value) noexcept nogil:
    cdef const Listpack *pack = <const Listpack *>value.pointer
    cdef FieldTable *fields = <FieldTable *>value.pointer
    cdef Saving saving
    cdef size_t i
    if value.encoding == ENCODING_LISTPACK:
        write_string(writer, <const char *>listpack_bytes(pack), listpack_size(pack))
        return
    saving.writer = writer
    saving.with_expiry = hash_expiring(value) != 0
    write_length(writer, fields.fields.count)
    for i in range(fields.fields.buckets):
        table_visit(&fields.fields, i, &save_field, &saving)


# ---- loading --------------------------------------------------------------------------------------------------------

cdef HashLimits limits_of(const Reader *reader) noexcept nogil:
    cdef HashLimits limits
    limits.entries = reader.encodings.hash_entries
    limits.value_bytes = reader.encodings.hash_value_bytes
    limits.seed0 = reader.seed0
    limits.seed1 = reader.seed1
    return limits


cdef bint add_field(Reader *reader, Hash *self, const HashLimits *limits, const char *name, size_t length,
                    const char *value, size_t value_length, int64_t at_ms) noexcept nogil:
    """Add a field that must be new."""
    cdef FieldView view
    if hash_find(self, name, length, &view):
        return reader_refuse(reader)
    if field_is_past(at_ms, reader.wall_ms):
        return True
    hash_will_take(self, limits, length if length > value_length else value_length, length + value_length)
    if at_ms >= 0:
        hash_become_table(self, limits)
    hash_put(self, NULL, name, length, value, value_length, NULL, at_ms)
    hash_has_grown(self, limits)
    return True


cdef bint load_expiry(Reader *reader, int rdb_type, uint64_t earliest, int64_t *at_ms) noexcept nogil:
    """Redis's expiry, which stands before the pair; -1: never."""
    cdef uint64_t after
    at_ms[0] = -1
    if rdb_type != RDB_HASH_REDIS_EXPIRING:
        return True
    if not read_length(reader, &after):
        return False
    if after == 0:
        return True
    if earliest > LONGEST_MOMENT or after - 1 > LONGEST_MOMENT - earliest:
        return reader_refuse(reader)
    at_ms[0] = <int64_t>(earliest + after - 1)
    return True


cdef bint load_pair(Reader *reader, int rdb_type, uint64_t earliest, Hash *self,
                    const HashLimits *limits) noexcept nogil:
    cdef ReadString name
    cdef ReadString value
    cdef int64_t at_ms
    cdef uint64_t moment = 0
    cdef bint loaded = False
    if not load_expiry(reader, rdb_type, earliest, &at_ms) or not read_string(reader, &name):
        return False
    if read_string(reader, &value):
        if rdb_type == RDB_HASH_EXPIRING and read_u64(reader, &moment):
            at_ms = <int64_t>moment
            if at_ms < -1:
                reader_refuse(reader)
        loaded = not reader.failed and add_field(reader, self, limits, name.data, name.length, value.data,
                                                 value.length, at_ms)
        release_string(reader, &value)
    release_string(reader, &name)
    return loaded


cdef bint load_pairs(Reader *reader, int rdb_type, Hash *self, const HashLimits *limits) noexcept nogil:
    cdef size_t count = 0
    cdef uint64_t earliest = 0
    if rdb_type == RDB_HASH_REDIS_EXPIRING:
        read_u64(reader, &earliest)
    if read_count(reader, 2, &count) and count == 0:
        return reader_refuse(reader)
    while count and not reader.failed:
        load_pair(reader, rdb_type, earliest, self, limits)
        count -= 1
    return not reader.failed


cdef bint load_packed(Reader *reader, const Listpack *pack, size_t width, Hash *self,
                      const HashLimits *limits) noexcept nogil:
    """Add the pairs, or triples with an expiry, that the listpack holds."""
    cdef char scratch[2][INTEGER_TEXT_BYTES]
    cdef const char *texts[2]
    cdef size_t lengths[2]
    cdef Element parts[3]
    cdef const unsigned char *p = listpack_first(pack)
    cdef size_t i
    cdef int64_t at_ms
    while p[0] != LISTPACK_END:
        for i in range(width):
            element_read(p, &parts[i])
            p += element_size(p)
        at_ms = -1
        if width == 3:
            if parts[2].data != NULL or parts[2].integer < 0:
                return reader_refuse(reader)
            if parts[2].integer:
                at_ms = parts[2].integer
        for i in range(2):
            texts[i] = element_text(&parts[i], scratch[i], &lengths[i])
        if not add_field(reader, self, limits, texts[0], lengths[0], texts[1], lengths[1], at_ms):
            return False
    return True


cdef bint load_from_pack(Reader *reader, int rdb_type, Hash *self, const HashLimits *limits) noexcept nogil:
    cdef size_t width = 3 if rdb_type == RDB_HASH_REDIS_LISTPACK else 2
    cdef uint64_t earliest
    cdef Listpack *pack
    cdef size_t count
    cdef bint loaded
    if width == 3:
        read_u64(reader, &earliest)          # the triples say it again
    pack = read_pack(reader, rdb_type)
    if pack == NULL:
        return False
    count = listpack_count(pack)
    loaded = count != 0 and count % width == 0 and load_packed(reader, pack, width, self, limits)
    listpack_free(reader.memory, pack)
    return loaded or reader_refuse(reader)


cdef bint hash_load(Reader *reader, int rdb_type, Value *value) noexcept nogil:
    cdef HashLimits limits = limits_of(reader)
    cdef Hash self = hash_new(reader.memory, 0)
    if rdb_type in (RDB_HASH, RDB_HASH_EXPIRING, RDB_HASH_REDIS_EXPIRING):
        load_pairs(reader, rdb_type, &self, &limits)
    else:
        load_from_pack(reader, rdb_type, &self, &limits)
    if reader.failed or hash_length(&self) == 0:         # nothing left: all had passed
        value_free(reader.memory, self.encoding, self.pointer)
        value.pointer = NULL
        return not reader.failed
    value.encoding = self.encoding
    value.pointer = self.pointer
    if self.encoding == ENCODING_LISTPACK:
        value.pointer = listpack_fit(reader.memory, <Listpack *>self.pointer)
    return True


cdef ValueCodec CODEC
CODEC.rdb_type = hash_rdb_type
CODEC.save = hash_save
CODEC.load = hash_load


cdef const ValueCodec *hash_codec() noexcept nogil:
    return &CODEC
