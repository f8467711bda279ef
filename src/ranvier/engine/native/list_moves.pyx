"""Native handlers of the group list: LMOVE, RPOPLPUSH, and LMOVEM (Redis 8.10), which moves many elements at once."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t
from libc.string cimport memcmp, memcpy

from ranvier.engine.core cimport Call, Client
from ranvier.engine.effects cimport propagate_as, propagates
from ranvier.engine.memory cimport Blob, Memory, allocate, blob_data, blob_release, release
from ranvier.engine.native.common cimport arg_bytes, arg_is, reply_syntax_error
from ranvier.engine.number cimport parse_integer
from ranvier.engine.reply cimport reply_array, reply_blob, reply_bulk, reply_error, reply_null, reply_null_array
from ranvier.engine.types.list_access cimport (
    list_begin, list_fill, list_open, list_open_other, list_put_in, list_store, list_taken_out, parse_list_end,
    reply_cursor,
)
from ranvier.engine.types.listpack cimport INTEGER_TEXT_BYTES, Element, element_text
from ranvier.engine.types.packed cimport (
    Cursor, List, cursor_blob, cursor_read, cursor_step, list_delete, list_drop, list_is_large, list_length, list_push,
    list_push_blob, list_seek, list_will_grow,
)
from ranvier.engine.types.quicklist cimport Fill
from ranvier.engine.types.value_access cimport OPEN_ABSENT, OPEN_FAILED, OPEN_FOUND, OpenValue

cdef enum:
    SHORT_BYTES = 256            # an element up to this travels on the stack


cdef native_t list_move_handler(str name) except? NULL:
    if name == "lmove":
        return lmove
    if name == "rpoplpush":
        return rpoplpush
    if name == "lmovem":
        return lmovem
    return NULL


# An element on its way: taken out of its list, which may be the one that it goes into.
cdef struct Parcel:
    Blob *blob                   # a large one: shared; else NULL
    char *data
    size_t length
    char[SHORT_BYTES] short_text


cdef void parcel_take(Parcel *parcel, List *source, int64_t index) noexcept nogil:
    """Take the element at `index` out; negative ones count from the tail."""
    cdef Cursor cursor
    cdef Element element
    cdef char[INTEGER_TEXT_BYTES] scratch
    cdef const char *text
    list_seek(source, index, &cursor)
    parcel.blob = cursor_blob(&cursor)
    if parcel.blob != NULL:
        parcel.blob.references += 1
        parcel.data = blob_data(parcel.blob)
        parcel.length = parcel.blob.size
    else:
        cursor_read(&cursor, &element)
        text = element_text(&element, scratch, &parcel.length)
        parcel.data = parcel.short_text
        if parcel.length > SHORT_BYTES:
            parcel.data = <char *>allocate(source.memory, parcel.length)
        memcpy(parcel.data, text, parcel.length)
    if index == 0 or index == -1:
        list_drop(source, index == 0)
    else:
        list_delete(source, &cursor, True)


cdef void parcel_put(Parcel *parcel, List *target, bint at_head, Fill fill) noexcept nogil:
    list_will_grow(target, fill, parcel.length, 1)
    if parcel.blob != NULL and list_is_large(fill, parcel.length):
        parcel.blob.references += 1
        list_push_blob(target, at_head, parcel.blob)
    else:
        list_push(target, at_head, parcel.data, parcel.length)


cdef void parcel_free(Parcel *parcel, Memory *memory) noexcept nogil:
    if parcel.blob != NULL:
        blob_release(memory, parcel.blob)
    elif parcel.data != parcel.short_text:
        release(memory, parcel.data)


cdef void parcel_reply(Parcel *parcel, Client *client) noexcept nogil:
    """The last use of it: reply, and free what it holds."""
    if parcel.blob != NULL:
        reply_blob(client, parcel.blob, parcel.data, parcel.length)
    else:
        reply_bulk(client, parcel.data, parcel.length)
    parcel_free(parcel, &client.core.memory)


cdef bint same_key(const OpenValue *one, const OpenValue *other) noexcept nogil:
    return one.key_length == other.key_length and memcmp(one.key, other.key, one.key_length) == 0


cdef bint move_element(Call *call, bint from_head, bint to_head) noexcept:
    cdef OpenValue source
    cdef OpenValue target
    cdef Parcel parcel
    cdef const char *put_event = b"lpush" if to_head else b"rpush"
    cdef const char *taken_event = b"lpop" if from_head else b"rpop"
    cdef int found = list_open(call, True, &source)
    if found != OPEN_FOUND:
        return found == OPEN_FAILED
    found = list_open_other(call, &call.args[2], &target)
    if found == OPEN_FAILED:
        return True
    if same_key(&source, &target):
        parcel_take(&parcel, &source.value, 0 if from_head else -1)
        parcel_put(&parcel, &source.value, to_head, list_fill(call))
        list_put_in(&source, put_event, 1)
        list_taken_out(&source, taken_event, 0)
    else:
        if found == OPEN_ABSENT:
            list_begin(&target)
        parcel_take(&parcel, &source.value, 0 if from_head else -1)
        list_store(&source)
        parcel_put(&parcel, &target.value, to_head, list_fill(call))
        list_put_in(&target, put_event, 1)
        list_taken_out(&source, taken_event, 0)
    parcel_reply(&parcel, call.client)
    return True


cdef void move(Call *call, bint from_head, bint to_head) noexcept:
    if not move_element(call, from_head, to_head):
        reply_null(call.client)


cdef void lmove(Call *call) noexcept:
    cdef bint from_head = False
    cdef bint to_head = False
    if parse_list_end(call, &call.args[3], &from_head) and parse_list_end(call, &call.args[4], &to_head):
        move(call, from_head, to_head)


cdef void rpoplpush(Call *call) noexcept:
    move(call, False, True)


# ---- many at once ---------------------------------------------------------------------------------------------------

cdef bint parse_move_request(Call *call, size_t timeout, MoveRequest *request) noexcept:
    cdef size_t i = timeout + 1 if timeout else 5
    request.count = 1
    request.exactly = request.as_block = False
    if not parse_list_end(call, &call.args[3], &request.from_head) \
            or not parse_list_end(call, &call.args[4], &request.to_head):
        return False
    if i == call.count:
        return True
    request.exactly = arg_is(&call.args[i], b"exactly")
    if i + 3 != call.count or not (request.exactly or arg_is(&call.args[i], b"count")):
        reply_syntax_error(call)
        return False
    request.as_block = arg_is(&call.args[i + 2], b"bulk")
    if not request.as_block and not arg_is(&call.args[i + 2], b"obo"):
        reply_syntax_error(call)
        return False
    if not parse_integer(call.args[i + 1].data, call.args[i + 1].length, &request.count) or request.count <= 0:
        reply_error(call, b"ERR count should be greater than 0")
        return False
    return True


cdef void reply_moved(Client *client, const List *target, int64_t count, bint at_head) noexcept nogil:
    """The elements where they are now, in their order."""
    cdef Cursor cursor
    cdef int64_t i
    reply_array(client, count)
    list_seek(target, 0 if at_head else -count, &cursor)
    for i in range(count):
        reply_cursor(client, &cursor)
        if i + 1 < count:
            cursor_step(&cursor, True)


cdef list moved_words(Call *call, const List *target, int64_t count, const MoveRequest *request):
    """The move as commands that every replica knows: the elements put in, and as many taken out."""
    cdef Cursor cursor
    cdef Element element
    cdef char[INTEGER_TEXT_BYTES] scratch
    cdef const char *text
    cdef size_t length
    cdef int64_t _i
    cdef list put = []
    list_seek(target, 0 if request.to_head else -count, &cursor)
    for _i in range(count):
        cursor_read(&cursor, &element)
        text = element_text(&element, scratch, &length)
        put.append(text[:length])
        cursor_step(&cursor, True)
    if request.to_head:
        put.reverse()
    return [
        [b"LPUSH" if request.to_head else b"RPUSH", arg_bytes(&call.args[2]), *put],
        [b"LPOP" if request.from_head else b"RPOP", arg_bytes(&call.args[1]), b"%d" % count],
    ]


cdef bint move_elements(Call *call, const MoveRequest *request) noexcept:
    cdef OpenValue source
    cdef OpenValue target
    cdef List *into
    cdef Parcel parcel
    cdef int64_t index, count, step, i
    cdef bint same
    cdef int found = list_open(call, True, &source)
    if found != OPEN_FOUND:
        return found == OPEN_FAILED
    count = <int64_t>list_length(&source.value)
    if request.exactly and count < request.count:
        return False
    count = count if count < request.count else request.count
    found = list_open_other(call, &call.args[2], &target)
    if found == OPEN_FAILED:
        return True
    same = same_key(&source, &target)
    if same and request.from_head == request.to_head:
        reply_moved(call.client, &source.value, count, request.to_head)      # back to where they were
        return True
    if found == OPEN_ABSENT:
        list_begin(&target)
    into = &source.value if same else &target.value
    # Elements that are put where they came from change their order, unless the last one goes first.
    index = 0 if request.from_head else -1
    step = 0
    if request.as_block and request.from_head == request.to_head:
        index = count - 1 if request.from_head else -count
        step = -1 if request.from_head else 1
    for i in range(count):
        parcel_take(&parcel, &source.value, index + step * i)
        parcel_put(&parcel, into, request.to_head, list_fill(call))
        parcel_free(&parcel, &call.core.memory)
    tell_moved(call, request, &source, &source if same else &target, count)
    return True


cdef void tell_moved(Call *call, const MoveRequest *request, OpenValue *source, OpenValue *target,
                     int64_t count) noexcept:
    """Reply, store both lists, and have everybody know."""
    cdef list words = moved_words(call, &target.value, count, request) if propagates(call) else None
    reply_moved(call.client, &target.value, count, request.to_head)
    list_store(source)
    list_put_in(target, b"lpush" if request.to_head else b"rpush", count)
    list_taken_out(source, b"lpop" if request.from_head else b"rpop", 0)
    if words is not None:
        propagate_as(call, words)


cdef void lmovem(Call *call) noexcept:
    cdef MoveRequest request
    if parse_move_request(call, 0, &request) and not move_elements(call, &request):
        reply_null_array(call.client)
