"""Streams in RDB form: blocks as they lie in memory, figures, groups with what pends in them.

Three forms: since Redis 5.0; since 7.0 with first id, largest deleted id, entries added and read; from version 11 on
with the time at which a consumer was active. Ids are 16 bytes, big endian, or two lengths.

A block is used as it comes, so that it is checked to the last element first: who walks it later trusts its numbers.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memset

from ranvier.engine.store.entry cimport ENCODING_STREAM
from ranvier.engine.store.value cimport Value
from ranvier.engine.types.id_index cimport (
    IdIndex, IdPlace, StreamId, id_compare, id_of, index_clear, index_first, index_insert, place_item, place_step,
)
from ranvier.engine.types.listpack cimport (
    LISTPACK_END, LISTPACK_HEADER_BYTES, Element, Listpack, element_read, element_size, listpack_bytes,
    listpack_from_bytes, listpack_is_valid, listpack_size,
)
from ranvier.engine.types.name_list cimport name_of
from ranvier.engine.types.rdb cimport (
    RDB_STREAM, RDB_STREAM_2, RDB_STREAM_3, Reader, ReadString, ValueCodec, Writer, read_bytes, read_count,
    read_length, read_string, read_u64, reader_refuse, release_string, write_bytes, write_length, write_string,
    write_u64,
)
from ranvier.engine.types.stream cimport Stream, stream_find_first, stream_free, stream_new
from ranvier.engine.types.stream_block cimport ENTRY_SAME_FIELDS, entry_id
from ranvier.engine.types.stream_groups cimport (
    ENTRIES_READ_UNKNOWN, Consumer, Group, Pending, consumer_add, consumer_find, group_add, group_find, pending_find,
    pending_give,
)

cdef enum:
    VERSION_OF_FORM_3 = 11
    ID_BYTES = 16
    PENDING_BYTES = 25           # least of a pending entry: its id, its time, its number of deliveries


cdef int stream_rdb_type(const Value *value, int version) noexcept nogil:
    return RDB_STREAM_3 if version >= VERSION_OF_FORM_3 else RDB_STREAM_2


# ---- writing --------------------------------------------------------------------------------------------------------

cdef void put_big_endian(uint8_t *target, uint64_t value) noexcept nogil:
    cdef int i
    for i in range(8):
        target[i] = <uint8_t>(value >> (56 - 8 * i))


cdef void raw_id(uint8_t *target, StreamId id) noexcept nogil:
    put_big_endian(target, id.ms)
    put_big_endian(target + 8, id.sequence)


cdef void write_id(Writer *writer, StreamId id) noexcept nogil:
    write_length(writer, id.ms)
    write_length(writer, id.sequence)


cdef void write_pending(Writer *writer, const IdIndex *pending, bint whole) noexcept nogil:
    """The ids, for a group with what is known of each."""
    cdef uint8_t raw[ID_BYTES]
    cdef const Pending *entry
    cdef IdPlace place
    cdef bint more = index_first(pending, &place)
    write_length(writer, pending.count)
    while more:
        raw_id(raw, place_item(&place).id)
        write_bytes(writer, raw, ID_BYTES)
        if whole:
            entry = <const Pending *>place_item(&place).item
            write_u64(writer, <uint64_t>entry.delivered_ms)
            write_length(writer, entry.deliveries)
        more = place_step(&place, True)


cdef void write_group(Writer *writer, const Group *group, bint is_third) noexcept nogil:
    cdef const Consumer *consumer
    cdef size_t i
    write_string(writer, name_of(group), group.name.length)
    write_id(writer, group.last_id)
    write_length(writer, <uint64_t>group.entries_read)
    write_pending(writer, &group.pending, True)
    write_length(writer, group.consumers.count)
    for i in range(group.consumers.count):
        consumer = <const Consumer *>group.consumers.items[i]
        write_string(writer, name_of(consumer), consumer.name.length)
        write_u64(writer, <uint64_t>consumer.seen_ms)
        if is_third:
            write_u64(writer, <uint64_t>consumer.active_ms)
        write_pending(writer, &consumer.pending, False)


cdef void stream_save(Writer *writer, const Value *value) noexcept nogil:
    cdef const Stream *stream = <const Stream *>value.pointer
    cdef uint8_t raw[ID_BYTES]
    cdef const Listpack *block
    cdef IdPlace place
    cdef size_t i
    cdef bint more = index_first(&stream.blocks, &place)
    write_length(writer, stream.blocks.count)
    while more:
        block = <const Listpack *>place_item(&place).item
        raw_id(raw, place_item(&place).id)
        write_string(writer, <const char *>raw, ID_BYTES)
        write_string(writer, <const char *>listpack_bytes(block), listpack_size(block))
        more = place_step(&place, True)
    write_length(writer, stream.length)
    write_id(writer, stream.last_id)
    write_id(writer, stream.first_id)
    write_id(writer, stream.max_deleted_id)
    write_length(writer, stream.entries_added)
    write_length(writer, stream.groups.count)
    for i in range(stream.groups.count):
        write_group(writer, <const Group *>stream.groups.items[i], writer.version >= VERSION_OF_FORM_3)


# ---- a block that nobody vouches for --------------------------------------------------------------------------------

# A walk over the elements of a well-formed listpack; `failed` once it met something else than was asked for.
cdef struct Walk:
    const uint8_t *at
    bint failed


cdef int64_t next_integer(Walk *walk) noexcept nogil:
    cdef Element element
    if walk.failed or walk.at[0] == LISTPACK_END:
        walk.failed = True
        return 0
    element_read(walk.at, &element)
    walk.at += element_size(walk.at)
    walk.failed = element.data != NULL
    return 0 if walk.failed else element.integer


cdef void skip_any(Walk *walk, int64_t count) noexcept nogil:
    while count > 0 and not walk.failed:
        walk.failed = walk.at[0] == LISTPACK_END
        if not walk.failed:
            walk.at += element_size(walk.at)
        count -= 1


cdef bint skip_entry(Walk *walk, int64_t block_fields, bint *is_deleted) noexcept nogil:
    """One entry, with all that it says of itself."""
    cdef int64_t flags = next_integer(walk)
    cdef int64_t fields = block_fields
    cdef int64_t elements
    next_integer(walk)
    next_integer(walk)
    if flags & ENTRY_SAME_FIELDS:
        elements = 3 + fields
        skip_any(walk, fields)
    else:
        fields = next_integer(walk)
        if fields <= 0 or fields > (<int64_t>1 << 32):
            return False
        elements = 4 + 2 * fields
        skip_any(walk, 2 * fields)
    is_deleted[0] = flags & 1
    return not walk.failed and 0 <= flags <= 3 and next_integer(walk) == elements and not walk.failed


cdef bint block_is_sound(const uint8_t *data, size_t size, StreamId id, StreamId after, StreamId *last,
                         int64_t *living) noexcept nogil:
    """Whether this is a block in which ids rise, from `id` on, which is larger than `after`."""
    cdef Walk walk
    cdef size_t elements
    cdef int64_t count, deleted, fields
    cdef const uint8_t *entry
    cdef StreamId found = after
    cdef bint is_deleted = False
    if id_compare(id, after) <= 0 or not listpack_is_valid(data, size, &elements):
        return False
    walk.at = data + LISTPACK_HEADER_BYTES
    walk.failed = False
    count = next_integer(&walk)
    deleted = next_integer(&walk)
    fields = next_integer(&walk)
    if walk.failed or count < 0 or deleted < 0 or fields <= 0 or fields > (<int64_t>1 << 32):
        return False
    skip_any(&walk, fields)
    if next_integer(&walk) != 0 or walk.failed or walk.at[0] == LISTPACK_END:
        return False
    living[0] = count
    while walk.at[0] != LISTPACK_END:
        entry = walk.at
        if not skip_entry(&walk, fields, &is_deleted):
            return False
        last[0] = entry_id(entry, id)
        if id_compare(last[0], found) <= 0 or id_compare(last[0], id) < 0:
            return False
        found = last[0]
        count -= not is_deleted
        deleted -= is_deleted
    return count == 0 and deleted == 0


# ---- reading --------------------------------------------------------------------------------------------------------

cdef uint64_t big_endian(const uint8_t *p) noexcept nogil:
    cdef uint64_t value = 0
    cdef int i
    for i in range(8):
        value = value << 8 | p[i]
    return value


cdef StreamId id_from_raw(const uint8_t *raw) noexcept nogil:
    return id_of(big_endian(raw), big_endian(raw + 8))


cdef bint read_raw_id(Reader *reader, StreamId *id) noexcept nogil:
    cdef const uint8_t *raw = read_bytes(reader, ID_BYTES)
    if raw == NULL:
        return False
    id[0] = id_from_raw(raw)
    return True


cdef bint read_id(Reader *reader, StreamId *id) noexcept nogil:
    return read_length(reader, &id.ms) and read_length(reader, &id.sequence)


cdef bint read_block(Reader *reader, Stream *stream, StreamId *last) noexcept nogil:
    cdef ReadString name, text
    cdef StreamId id
    cdef StreamId after = last[0]
    cdef int64_t living = 0
    cdef bint sound
    if not read_string(reader, &name):
        return False
    sound = name.length == ID_BYTES
    if sound:
        id = id_from_raw(<const uint8_t *>name.data)
    release_string(reader, &name)
    if not sound or not read_string(reader, &text):
        return reader_refuse(reader)
    sound = block_is_sound(<const uint8_t *>text.data, text.length, id, after, last, &living)
    if sound:
        index_insert(reader.memory, &stream.blocks, id,
                     listpack_from_bytes(reader.memory, <const uint8_t *>text.data, text.length))
        stream.length += <uint64_t>living
    release_string(reader, &text)
    return True if sound else reader_refuse(reader)


cdef bint read_figures(Reader *reader, int rdb_type, Stream *stream, StreamId last) noexcept nogil:
    cdef StreamId first
    cdef uint64_t length
    if not read_length(reader, &length) or not read_id(reader, &stream.last_id):
        return False
    if length != stream.length or id_compare(stream.last_id, last) < 0:
        return reader_refuse(reader)
    stream_find_first(stream)
    stream.entries_added = stream.length
    if rdb_type == RDB_STREAM:
        return True
    return read_id(reader, &first) and read_id(reader, &stream.max_deleted_id) \
        and read_length(reader, &stream.entries_added)


cdef bint read_group_pending(Reader *reader, Group *group, Consumer *nobody) noexcept nogil:
    """What pends in the group; for `nobody` until the consumers are read."""
    cdef size_t count
    cdef StreamId id
    cdef Pending *pending
    cdef uint64_t delivered_ms, deliveries
    if not read_count(reader, PENDING_BYTES, &count):
        return False
    while count:
        if not read_raw_id(reader, &id) or not read_u64(reader, &delivered_ms) \
                or not read_length(reader, &deliveries):
            return False
        if pending_find(group, id) != NULL:
            return reader_refuse(reader)
        pending = pending_give(reader.memory, group, nobody, id)
        pending.delivered_ms = <int64_t>delivered_ms
        pending.deliveries = deliveries
        count -= 1
    return True


cdef bint read_consumer(Reader *reader, int rdb_type, Group *group, const Consumer *nobody) noexcept nogil:
    cdef ReadString name
    cdef Consumer *consumer = NULL
    cdef uint64_t seen_ms, active_ms
    cdef size_t count
    cdef StreamId id
    cdef Pending *pending
    if not read_string(reader, &name):
        return False
    if consumer_find(group, name.data, name.length) == NULL:
        consumer = consumer_add(reader.memory, group, name.data, name.length, 0)
    release_string(reader, &name)
    if consumer == NULL:
        return reader_refuse(reader)
    if not read_u64(reader, &seen_ms):
        return False
    active_ms = seen_ms
    if rdb_type == RDB_STREAM_3 and not read_u64(reader, &active_ms):
        return False
    consumer.seen_ms = <int64_t>seen_ms
    consumer.active_ms = <int64_t>active_ms
    if not read_count(reader, ID_BYTES, &count):
        return False
    while count:
        if not read_raw_id(reader, &id):
            return False
        pending = pending_find(group, id)
        if pending == NULL or pending.consumer != nobody:
            return reader_refuse(reader)
        pending_give(reader.memory, group, consumer, id)
        count -= 1
    return True


cdef bint read_members(Reader *reader, int rdb_type, Group *group) noexcept nogil:
    """What pends in the group, and whom it pends for: until its consumer is read, for one that no group has."""
    cdef Consumer nobody
    cdef size_t count = 0
    cdef bint complete
    memset(&nobody, 0, sizeof(Consumer))
    complete = read_group_pending(reader, group, &nobody) and read_count(reader, 10, &count)
    while complete and count:
        complete = read_consumer(reader, rdb_type, group, &nobody)
        count -= 1
    complete = complete and nobody.pending.count == 0
    index_clear(reader.memory, &nobody.pending)
    return True if complete else reader_refuse(reader)


cdef bint read_group(Reader *reader, int rdb_type, Stream *stream) noexcept nogil:
    cdef ReadString name
    cdef StreamId last_id
    cdef uint64_t entries_read = <uint64_t>ENTRIES_READ_UNKNOWN
    cdef Group *group = NULL
    if not read_string(reader, &name):
        return False
    if read_id(reader, &last_id) and (rdb_type == RDB_STREAM or read_length(reader, &entries_read)) \
            and group_find(stream, name.data, name.length) == NULL:
        group = group_add(reader.memory, stream, name.data, name.length, last_id, <int64_t>entries_read)
    release_string(reader, &name)
    return read_members(reader, rdb_type, group) if group != NULL else reader_refuse(reader)


cdef bint read_stream(Reader *reader, int rdb_type, Stream *stream) noexcept nogil:
    cdef StreamId last = id_of(0, 0)
    cdef size_t count = 0
    if not read_count(reader, 2, &count):
        return False
    while count:
        if not read_block(reader, stream, &last):
            return False
        count -= 1
    if not read_figures(reader, rdb_type, stream, last) or not read_count(reader, 3, &count):
        return False
    while count:
        if not read_group(reader, rdb_type, stream):
            return False
        count -= 1
    return True


cdef bint stream_load(Reader *reader, int rdb_type, Value *value) noexcept nogil:
    cdef Stream *stream = stream_new(reader.memory)
    if not read_stream(reader, rdb_type, stream):
        stream_free(reader.memory, stream)
        return reader_refuse(reader)
    value.encoding = ENCODING_STREAM
    value.pointer = stream
    return True


cdef ValueCodec CODEC
CODEC.rdb_type = stream_rdb_type
CODEC.save = stream_save
CODEC.load = stream_load


cdef const ValueCodec *stream_codec() noexcept nogil:
    return &CODEC
