"""Keys as requests that make them again, for who reads an append-only file of commands alone.

Strategy: a request makes up to ITEMS_PER_REQUEST items of a value, so that none gets long, however large the value is.
What a request cannot say follows in one of its own: an expiry, of a key or of a field; of a stream its figures, and of
its groups consumers and what pends. Redis's rewrite has the same forms, so that every server reads them that has the
type. As there, an entry that pends and is deleted does not come again: no command makes one.

Invariant: nothing here touches a Python object, takes a lock or changes the data set (see snapshot_write.pyx).
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport strlen

from ranvier.engine.memory cimport blob_data
from ranvier.engine.number cimport print_integer
from ranvier.engine.store.database cimport entry_string
from ranvier.engine.store.entry cimport (
    ENCODING_LISTPACK, TYPE_HASH, TYPE_LIST, TYPE_SET, TYPE_SORTED_SET, TYPE_STREAM, TYPE_STRING, Entry,
    entry_encoding, entry_expiry, entry_key, entry_key_length, entry_pointer, entry_type,
)
from ranvier.engine.store.value cimport Value
from ranvier.engine.types.fields cimport FieldView, hash_expiring, hash_length, hash_visit
from ranvier.engine.types.id_index cimport (
    IdPlace, StreamId, id_is_zero, id_of, id_smallest, index_first, place_item, place_step,
)
from ranvier.engine.types.listpack cimport (
    INTEGER_TEXT_BYTES, LISTPACK_END, Element, Listpack, element_read, element_size, element_text, listpack_count,
    listpack_first,
)
from ranvier.engine.types.name_list cimport name_of
from ranvier.engine.types.quicklist cimport ListNode, Quicklist
from ranvier.engine.types.rdb cimport Writer, write_bytes, writer_room
from ranvier.engine.types.score cimport SCORE_TEXT_BYTES, print_score
from ranvier.engine.types.set_value cimport Member, member_text, set_size, set_visit
from ranvier.engine.types.sorted_set cimport Scored, Spot, sorted_set_count, sorted_set_seek, spot_read, spot_step
from ranvier.engine.types.stream cimport Stream, StreamCursor, stream_seek, stream_step
from ranvier.engine.types.stream_block cimport ENTRY_SAME_FIELDS
from ranvier.engine.types.stream_groups cimport Consumer, Group, Pending
from ranvier.engine.types.stream_id cimport ID_TEXT_BYTES, print_id

cdef enum:
    ITEMS_PER_REQUEST = 64           # of Redis's rewrite, too
    DIGITS_BYTES = 24
    LINE_BYTES = DIGITS_BYTES + 3

# What is left of a value to be said, and of the request that is being written.
cdef struct Series:
    Writer *writer
    const Entry *entry
    const char *command
    size_t words                     # that an item takes
    size_t items_left                # of the value
    size_t request_left              # of the request


# ---- words ----------------------------------------------------------------------------------------------------------

cdef void put_line(Writer *writer, char mark, size_t number) noexcept nogil:
    cdef char *target = <char *>writer_room(writer, LINE_BYTES)
    cdef size_t length
    target[0] = mark
    length = 1 + print_integer(target + 1, <int64_t>number)
    target[length] = c'\r'
    target[length + 1] = c'\n'
    writer.length += length + 2


cdef void put_word(Writer *writer, const char *text, size_t length) noexcept nogil:
    put_line(writer, c'$', length)
    write_bytes(writer, text, length)
    write_bytes(writer, <const char *>b"\r\n", 2)


cdef void put_name(Writer *writer, const char *name) noexcept nogil:
    put_word(writer, name, strlen(name))


cdef void put_integer_word(Writer *writer, int64_t value) noexcept nogil:
    cdef char digits[DIGITS_BYTES]
    put_word(writer, digits, print_integer(digits, value))


cdef void put_id(Writer *writer, StreamId id) noexcept nogil:
    cdef char text[ID_TEXT_BYTES]
    put_word(writer, text, print_id(text, id))


cdef void put_element(Writer *writer, const Element *element) noexcept nogil:
    cdef char scratch[INTEGER_TEXT_BYTES]
    cdef size_t length
    cdef const char *text = element_text(element, scratch, &length)
    put_word(writer, text, length)


cdef void begin_request(Writer *writer, size_t words, const char *command, const Entry *entry) noexcept nogil:
    """`words` come behind the command and the key."""
    put_line(writer, c'*', words + 2)
    put_name(writer, command)
    put_word(writer, entry_key(entry), entry_key_length(entry))


# ---- values of items ------------------------------------------------------------------------------------------------

cdef Series series_of(Writer *writer, const Entry *entry, const char *command, size_t words,
                      size_t items) noexcept nogil:
    cdef Series series
    series.writer = writer
    series.entry = entry
    series.command = command
    series.words = words
    series.items_left = items
    series.request_left = 0
    return series


cdef void next_item(Series *self) noexcept nogil:
    """The words of another item follow."""
    if self.request_left == 0:
        self.request_left = self.items_left if self.items_left < ITEMS_PER_REQUEST else ITEMS_PER_REQUEST
        begin_request(self.writer, self.request_left * self.words, self.command, self.entry)
    self.request_left -= 1
    self.items_left -= 1


cdef void write_text(Writer *writer, const Entry *entry) noexcept nogil:
    cdef char scratch[DIGITS_BYTES]
    cdef size_t length
    cdef const char *text = entry_string(entry, scratch, &length)
    begin_request(writer, 1, b"SET", entry)
    put_word(writer, text, length)


cdef void write_elements(Series *series, const Listpack *pack) noexcept nogil:
    cdef const uint8_t *p = listpack_first(pack)
    cdef Element element
    while p[0] != LISTPACK_END:
        element_read(p, &element)
        p += element_size(p)
        next_item(series)
        put_element(series.writer, &element)


cdef void write_list(Writer *writer, const Entry *entry) noexcept nogil:
    cdef const Listpack *pack = <const Listpack *>entry_pointer(entry)
    cdef const Quicklist *chain = <const Quicklist *>entry_pointer(entry)
    cdef const ListNode *node
    cdef Series series
    if entry_encoding(entry) == ENCODING_LISTPACK:
        series = series_of(writer, entry, b"RPUSH", 1, listpack_count(pack))
        write_elements(&series, pack)
        return
    series = series_of(writer, entry, b"RPUSH", 1, chain.count)
    node = chain.head
    while node != NULL:
        if node.pack != NULL:
            write_elements(&series, node.pack)
        else:
            next_item(&series)
            put_word(writer, blob_data(node.blob), node.blob.size)
        node = node.next


cdef bint write_member(void *context, Member *member) noexcept nogil:
    cdef Series *series = <Series *>context
    cdef size_t length
    cdef const char *text = member_text(member, &length)
    next_item(series)
    put_word(series.writer, text, length)
    return not series.writer.failed


cdef void write_set(Writer *writer, const Entry *entry, const Value *value) noexcept nogil:
    cdef Series series = series_of(writer, entry, b"SADD", 1, set_size(value))
    set_visit(value, write_member, &series)


cdef void write_sorted_set(Writer *writer, const Entry *entry, const Value *value) noexcept nogil:
    cdef size_t count = sorted_set_count(value)
    cdef Series series = series_of(writer, entry, b"ZADD", 2, count)
    cdef char text[SCORE_TEXT_BYTES]
    cdef Spot spot
    cdef Scored scored
    if count:
        sorted_set_seek(value, 0, &spot)
    while count:
        spot_read(&spot, &scored)
        next_item(&series)
        put_word(writer, text, print_score(text, scored.score))
        put_element(writer, &scored.member)
        spot_step(&spot, True)
        count -= 1


cdef void write_field(void *context, const FieldView *view) noexcept nogil:
    cdef Series *series = <Series *>context
    next_item(series)
    put_element(series.writer, &view.name)
    put_element(series.writer, &view.value)


cdef void write_field_expiry(void *context, const FieldView *view) noexcept nogil:
    cdef const Series *series = <const Series *>context
    if view.at_ms >= 0:
        begin_request(series.writer, 4, b"HPEXPIREAT", series.entry)
        put_integer_word(series.writer, view.at_ms)
        put_name(series.writer, b"FIELDS")
        put_integer_word(series.writer, 1)
        put_element(series.writer, &view.name)


cdef void write_hash(Writer *writer, const Entry *entry, const Value *value) noexcept nogil:
    cdef Series series = series_of(writer, entry, b"HSET", 2, hash_length(value))
    hash_visit(value, write_field, &series)
    if hash_expiring(value):
        hash_visit(value, write_field_expiry, &series)


# ---- streams --------------------------------------------------------------------------------------------------------

cdef const uint8_t *put_next(Writer *writer, const uint8_t *p) noexcept nogil:
    cdef Element element
    element_read(p, &element)
    put_element(writer, &element)
    return p + element_size(p)


cdef void write_stream_entry(Writer *writer, const Entry *entry, StreamCursor *cursor) noexcept nogil:
    cdef const uint8_t *field = cursor.fields
    cdef const uint8_t *value = cursor.values
    cdef size_t _i
    begin_request(writer, 1 + 2 * cursor.field_count, b"XADD", entry)
    put_id(writer, cursor.id)
    if cursor.flags & ENTRY_SAME_FIELDS:
        for _i in range(cursor.field_count):
            field = put_next(writer, field)
            value = put_next(writer, value)
    else:
        for _i in range(2 * cursor.field_count):
            field = put_next(writer, field)
        value = field
    cursor.behind = value


cdef void write_no_entry(Writer *writer, const Entry *entry, StreamId last_id) noexcept nogil:
    """A stream without entries is one that has lost them all."""
    begin_request(writer, 5, b"XADD", entry)
    put_name(writer, b"MAXLEN")
    put_integer_word(writer, 0)
    put_id(writer, id_of(0, 1) if id_is_zero(last_id) else last_id)
    put_name(writer, b"x")
    put_name(writer, b"y")


cdef void write_pending(Writer *writer, const Entry *entry, const Group *group,
                        const Consumer *consumer) noexcept nogil:
    cdef const Pending *pending
    cdef IdPlace place
    cdef bint more = index_first(&consumer.pending, &place)
    while more:
        pending = <const Pending *>place_item(&place).item
        begin_request(writer, 10, b"XCLAIM", entry)
        put_word(writer, name_of(group), group.name.length)
        put_word(writer, name_of(consumer), consumer.name.length)
        put_integer_word(writer, 0)
        put_id(writer, place_item(&place).id)
        put_name(writer, b"TIME")
        put_integer_word(writer, pending.delivered_ms)
        put_name(writer, b"RETRYCOUNT")
        put_integer_word(writer, <int64_t>pending.deliveries)
        put_name(writer, b"FORCE")
        put_name(writer, b"JUSTID")
        more = place_step(&place, True)


cdef void write_group(Writer *writer, const Entry *entry, const Group *group) noexcept nogil:
    cdef const Consumer *consumer
    cdef size_t i
    put_line(writer, c'*', 7)
    put_name(writer, b"XGROUP")
    put_name(writer, b"CREATE")
    put_word(writer, entry_key(entry), entry_key_length(entry))
    put_word(writer, name_of(group), group.name.length)
    put_id(writer, group.last_id)
    put_name(writer, b"ENTRIESREAD")
    put_integer_word(writer, group.entries_read)
    for i in range(group.consumers.count):
        consumer = <const Consumer *>group.consumers.items[i]
        put_line(writer, c'*', 5)
        put_name(writer, b"XGROUP")
        put_name(writer, b"CREATECONSUMER")
        put_word(writer, entry_key(entry), entry_key_length(entry))
        put_word(writer, name_of(group), group.name.length)
        put_word(writer, name_of(consumer), consumer.name.length)
        write_pending(writer, entry, group, consumer)


cdef void write_stream(Writer *writer, const Entry *entry) noexcept nogil:
    cdef const Stream *stream = <const Stream *>entry_pointer(entry)
    cdef StreamCursor cursor
    cdef bint more = stream_seek(stream, id_smallest(), True, &cursor)
    cdef size_t i
    if not more:
        write_no_entry(writer, entry, stream.last_id)
    while more:
        write_stream_entry(writer, entry, &cursor)
        more = stream_step(&cursor, True)
    begin_request(writer, 5, b"XSETID", entry)
    put_id(writer, stream.last_id)
    put_name(writer, b"ENTRIESADDED")
    put_integer_word(writer, <int64_t>stream.entries_added)
    put_name(writer, b"MAXDELETEDID")
    put_id(writer, stream.max_deleted_id)
    for i in range(stream.groups.count):
        write_group(writer, entry, <const Group *>stream.groups.items[i])


# ---- keys -----------------------------------------------------------------------------------------------------------

cdef void write_select(Writer *writer, int database) noexcept nogil:
    put_line(writer, c'*', 2)
    put_name(writer, b"SELECT")
    put_integer_word(writer, database)


cdef void write_key(Writer *writer, const Entry *entry) noexcept nogil:
    cdef int type = entry_type(entry)
    cdef int64_t at_ms = entry_expiry(entry)
    cdef Value value
    value.memory = writer.memory
    value.encoding = entry_encoding(entry)
    value.pointer = entry_pointer(entry) if type != TYPE_STRING else NULL
    if type == TYPE_STRING:
        write_text(writer, entry)
    elif type == TYPE_LIST:
        write_list(writer, entry)
    elif type == TYPE_SET:
        write_set(writer, entry, &value)
    elif type == TYPE_SORTED_SET:
        write_sorted_set(writer, entry, &value)
    elif type == TYPE_HASH:
        write_hash(writer, entry, &value)
    elif type == TYPE_STREAM:
        write_stream(writer, entry)
    if at_ms >= 0:
        begin_request(writer, 1, b"PEXPIREAT", entry)
        put_integer_word(writer, at_ms)
