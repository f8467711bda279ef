"""Native handlers of the group list: LMOVE and RPOPLPUSH."""

from libc.stddef cimport size_t
from libc.string cimport memcmp, memcpy

from ranvier.engine.core cimport Call, Client
from ranvier.engine.memory cimport Blob, allocate, blob_data, blob_release, release
from ranvier.engine.reply cimport reply_blob, reply_bulk, reply_null
from ranvier.engine.types.list_access cimport (
    list_begin, list_fill, list_open, list_open_other, list_put_in, list_store, list_taken_out, parse_list_end,
)
from ranvier.engine.types.listpack cimport INTEGER_TEXT_BYTES, Element, element_text
from ranvier.engine.types.packed cimport (
    Cursor, List, cursor_blob, cursor_read, list_drop, list_is_large, list_push, list_push_blob, list_seek,
    list_will_grow,
)
from ranvier.engine.types.value_access cimport OPEN_ABSENT, OPEN_FAILED, OPEN_FOUND, OpenValue

cdef enum:
    SHORT_BYTES = 256            # an element up to this travels on the stack


cdef native_t list_move_handler(str name) except? NULL:
    if name == "lmove":
        return lmove
    if name == "rpoplpush":
        return rpoplpush
    return NULL


# An element on its way: taken out of its list, which may be the one that it goes into.
cdef struct Parcel:
    Blob *blob                   # a large one: shared; else NULL
    char *data
    size_t length
    char[SHORT_BYTES] short_text


cdef void parcel_take(Parcel *parcel, List *source, bint at_head) noexcept nogil:
    cdef Cursor cursor
    cdef Element element
    cdef char[INTEGER_TEXT_BYTES] scratch
    cdef const char *text
    list_seek(source, 0 if at_head else -1, &cursor)
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
    list_drop(source, at_head)


cdef void parcel_put(Parcel *parcel, List *target, bint at_head, int fill) noexcept nogil:
    list_will_grow(target, fill, parcel.length, 1)
    if parcel.blob != NULL and list_is_large(fill, parcel.length):
        parcel.blob.references += 1
        list_push_blob(target, at_head, parcel.blob)
    else:
        list_push(target, at_head, parcel.data, parcel.length)


cdef void parcel_reply(Parcel *parcel, Client *client) noexcept nogil:
    """The last use of it: reply, and free what it holds."""
    if parcel.blob != NULL:
        reply_blob(client, parcel.blob, parcel.data, parcel.length)
        blob_release(&client.core.memory, parcel.blob)
        return
    reply_bulk(client, parcel.data, parcel.length)
    if parcel.data != parcel.short_text:
        release(&client.core.memory, parcel.data)


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
        parcel_take(&parcel, &source.value, from_head)
        parcel_put(&parcel, &source.value, to_head, list_fill(call))
        list_put_in(&source, put_event, 1)
        list_taken_out(&source, taken_event, 0)
    else:
        if found == OPEN_ABSENT:
            list_begin(&target)
        parcel_take(&parcel, &source.value, from_head)
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
