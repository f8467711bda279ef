"""Native handlers of the group list: the ends, and reading and setting by position.

`native_list_edits` holds those that look for elements, `native_list_moves` those from list to list. Elements are
replied straight from the list into the output buffer; a large one is referenced there, not copied.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.string cimport memcpy

from ranvier.engine.core cimport Arg, Call, Client
from ranvier.engine.effects cimport propagate_as, propagates
from ranvier.engine.memory cimport blob_data
from ranvier.engine.native.common cimport arg_is, integer_argument, reply_syntax_error, reply_wrong_arity
from ranvier.engine.native.list_edits cimport list_edit_handler
from ranvier.engine.native.list_moves cimport list_move_handler
from ranvier.engine.number cimport parse_integer, print_integer
from ranvier.engine.output cimport output_commit, output_room
from ranvier.engine.reply cimport (
    reply_array, reply_blob, reply_bulk, reply_error, reply_integer, reply_null, reply_null_array, reply_ok,
)
from ranvier.engine.types.list_access cimport (
    list_begin, list_fill, list_open, list_open_other, list_put_in, list_store, list_taken_out, parse_list_end,
    reply_cursor,
)
from ranvier.engine.types.listpack cimport LISTPACK_END, Element, element_read, element_size, listpack_first
from ranvier.engine.types.packed cimport (
    Cursor, List, cursor_step, list_delete_range, list_drop, list_has_shrunk,
    list_is_large, list_length, list_push, list_push_blob, list_replace, list_seek, list_will_grow,
)
from ranvier.engine.types.quicklist cimport Fill
from ranvier.engine.types.quicklist_index cimport ListNode
from ranvier.engine.types.value_access cimport OPEN_ABSENT, OPEN_FAILED, OPEN_FOUND, OpenValue, reply_element

cdef enum:
    SHORT_BYTES = 3900           # as reply.COPIED_BYTES: output_room gives at most 4096 bytes


cdef native_t list_handler(str name) except? NULL:
    if name == "lpush":
        return lpush
    if name == "rpush":
        return rpush
    if name == "lpushx":
        return lpushx
    if name == "rpushx":
        return rpushx
    if name == "lpop":
        return lpop
    if name == "rpop":
        return rpop
    if name == "llen":
        return llen
    if name == "lrange":
        return lrange
    if name == "lindex":
        return lindex
    if name == "lset":
        return lset
    if name == "lmpop":
        return lmpop
    if name in ("linsert", "lrem", "ltrim", "lpos"):
        return list_edit_handler(name)
    return list_move_handler(name)


# ---- replies --------------------------------------------------------------------------------------------------------

# The header of the last short string replied: lists tend to hold elements of one length.
cdef struct Header:
    size_t length                # of the string it announces
    size_t size
    char[8] text


cdef inline void reply_short(Client *client, Header *header, const char *data, size_t length) noexcept nogil:
    """As reply_bulk, below SHORT_BYTES."""
    cdef char *target = output_room(client, length + 32)
    if header.length != length:
        header.length = length
        header.text[0] = c'$'
        header.size = 1 + print_integer(header.text + 1, <int64_t>length)
        header.text[header.size] = c'\r'
        header.text[header.size + 1] = c'\n'
        header.size += 2
    memcpy(target, header.text, sizeof(header.text))
    memcpy(target + header.size, data, length)
    target[header.size + length] = c'\r'
    target[header.size + length + 1] = c'\n'
    output_commit(client, header.size + length + 2)


cdef void reply_pack(Client *client, const uint8_t **element, int64_t *count) noexcept nogil:
    """Elements of one listpack, from `element` on, until `count` is 0 or the listpack ends; both move on."""
    cdef const uint8_t *p = element[0]
    cdef int64_t left = count[0]
    cdef Element found
    cdef Header header
    header.length = <size_t>-1
    header.size = 0
    while left and p[0] != LISTPACK_END:
        element_read(p, &found)
        if found.data != NULL and found.length < SHORT_BYTES:
            reply_short(client, &header, found.data, found.length)
        else:
            reply_element(client, &found)
        p += element_size(p)
        left -= 1
    element[0] = p
    count[0] = left


cdef void reply_forward(Client *client, Cursor *cursor, int64_t count) noexcept nogil:
    """`count` elements from the cursor on; they are known to be there."""
    cdef ListNode *node = cursor.node
    cdef const uint8_t *p = cursor.element
    while True:
        if node != NULL and node.pack == NULL:
            reply_blob(client, node.blob, blob_data(node.blob), node.blob.size)
            count -= 1
        else:
            reply_pack(client, &p, &count)
        if count == 0:
            return
        node = node.next
        if node.pack != NULL:
            p = listpack_first(node.pack)


cdef void reply_backward(Client *client, Cursor *cursor, int64_t count) noexcept nogil:
    while True:
        reply_cursor(client, cursor)
        count -= 1
        if count == 0:
            return
        cursor_step(cursor, False)


# ---- push and pop ---------------------------------------------------------------------------------------------------

cdef inline void push_argument(List *value, bint at_head, Fill fill, Arg *arg) noexcept nogil:
    """A large element that came in a blob of its own is taken over, not copied."""
    if arg.blob != NULL and list_is_large(fill, arg.length) and arg.data == blob_data(arg.blob):
        arg.blob.references += 1
        list_push_blob(value, at_head, arg.blob)
    else:
        list_push(value, at_head, arg.data, arg.length)


cdef inline void push(Call *call, bint at_head, bint must_exist, const char *event) noexcept:
    cdef OpenValue opened
    cdef int found = list_open(call, True, &opened)
    cdef Fill fill = list_fill(call)
    cdef size_t bytes = 0
    cdef size_t i
    if found == OPEN_FAILED:
        return
    if found == OPEN_ABSENT:
        if must_exist:
            reply_integer(call.client, 0)
            return
        list_begin(&opened)
    for i in range(2, call.count):
        bytes += call.args[i].length
    list_will_grow(&opened.value, fill, bytes, call.count - 2)
    for i in range(2, call.count):
        push_argument(&opened.value, at_head, fill, &call.args[i])
    reply_integer(call.client, <int64_t>list_length(&opened.value))
    list_put_in(&opened, event, <int64_t>call.count - 2)


cdef void lpush(Call *call) noexcept:
    push(call, True, False, b"lpush")


cdef void rpush(Call *call) noexcept:
    push(call, False, False, b"rpush")


cdef void lpushx(Call *call) noexcept:
    push(call, True, True, b"lpush")


cdef void rpushx(Call *call) noexcept:
    push(call, False, True, b"rpush")


cdef void pop_and_reply(OpenValue *opened, bint at_head, int64_t count) noexcept:
    cdef Client *client = opened.call.client
    cdef int64_t length = <int64_t>list_length(&opened.value)
    cdef Cursor cursor
    if count > length:
        count = length
    list_seek(&opened.value, 0 if at_head else -1, &cursor)
    if count == 1:
        reply_cursor(client, &cursor)
        list_drop(&opened.value, at_head)
    elif at_head:
        reply_forward(client, &cursor, count)
        list_delete_range(&opened.value, 0, <size_t>count)
    else:
        reply_backward(client, &cursor, count)
        list_delete_range(&opened.value, <size_t>(length - count), <size_t>count)
    list_taken_out(opened, b"lpop" if at_head else b"rpop", count)


cdef inline void pop(Call *call, bint at_head) noexcept:
    cdef OpenValue opened
    cdef int found
    if call.count != 2:
        pop_several(call, at_head)
        return
    found = list_open(call, True, &opened)
    if found == OPEN_ABSENT:
        reply_null(call.client)
    elif found == OPEN_FOUND:
        pop_and_reply(&opened, at_head, 1)


cdef void pop_several(Call *call, bint at_head) noexcept:
    """LPOP and RPOP with a count."""
    cdef OpenValue opened
    cdef int64_t count = 0
    cdef int64_t length
    cdef int found
    if call.count > 3:
        reply_wrong_arity(call)
        return
    if not parse_integer(call.args[2].data, call.args[2].length, &count) or count < 0:
        reply_error(call, b"ERR value is out of range, must be positive")
        return
    found = list_open(call, True, &opened)
    if found == OPEN_ABSENT:
        reply_null_array(call.client)
    elif found == OPEN_FOUND:
        length = <int64_t>list_length(&opened.value)
        reply_array(call.client, count if count < length else length)
        if count:
            pop_and_reply(&opened, at_head, count)


cdef void lpop(Call *call) noexcept:
    pop(call, True)


cdef void rpop(Call *call) noexcept:
    pop(call, False)


# ---- by position ----------------------------------------------------------------------------------------------------

cdef void llen(Call *call) noexcept:
    cdef OpenValue opened
    cdef int found = list_open(call, False, &opened)
    if found != OPEN_FAILED:
        reply_integer(call.client, <int64_t>list_length(&opened.value) if found == OPEN_FOUND else 0)


cdef void lrange(Call *call) noexcept:
    cdef OpenValue opened
    cdef Cursor cursor
    cdef int64_t start = 0
    cdef int64_t stop = 0
    cdef int64_t length = 0
    cdef int found
    if not integer_argument(call, &call.args[2], &start) or not integer_argument(call, &call.args[3], &stop):
        return
    found = list_open(call, False, &opened)
    if found == OPEN_FAILED:
        return
    if found == OPEN_FOUND:
        length = <int64_t>list_length(&opened.value)
    if start < 0:
        start = start + length if start + length > 0 else 0
    if stop < 0:
        stop += length
    if stop >= length:
        stop = length - 1
    if start > stop or found == OPEN_ABSENT:
        reply_array(call.client, 0)
        return
    reply_array(call.client, stop - start + 1)
    list_seek(&opened.value, start, &cursor)
    reply_forward(call.client, &cursor, stop - start + 1)


cdef void lindex(Call *call) noexcept:
    cdef OpenValue opened
    cdef Cursor cursor
    cdef int64_t index = 0
    cdef int found = list_open(call, False, &opened)
    if found == OPEN_ABSENT:
        reply_null(call.client)
    elif found == OPEN_FOUND and integer_argument(call, &call.args[2], &index):
        if list_seek(&opened.value, index, &cursor):
            reply_cursor(call.client, &cursor)
        else:
            reply_null(call.client)


cdef void lset(Call *call) noexcept:
    cdef OpenValue opened
    cdef Cursor cursor
    cdef Arg *value = &call.args[3]
    cdef int64_t index = 0
    cdef int found = list_open(call, True, &opened)
    if found == OPEN_ABSENT:
        reply_error(call, b"ERR no such key")
    if found != OPEN_FOUND or not integer_argument(call, &call.args[2], &index):
        return
    index = <int32_t>index       # Valkey 9.1.2 keeps 32 bits of it: 4294967296 is the first element (Redis 7.0 refuses)
    # As in the reference servers, the encoding changes even when the index turns out to be out of range.
    list_will_grow(&opened.value, list_fill(call), value.length, 1)
    if not list_seek(&opened.value, index, &cursor):
        list_store(&opened)
        reply_error(call, b"ERR index out of range")
        return
    list_replace(&opened.value, &cursor, value.data, value.length)
    list_has_shrunk(&opened.value, list_fill(call))
    reply_ok(call.client)
    list_put_in(&opened, b"lset", 1)


# ---- LMPOP ----------------------------------------------------------------------------------------------------------

cdef bint positive(Call *call, const Arg *arg, int64_t *value, const char *error) noexcept:
    if parse_integer(arg.data, arg.length, value) and value[0] > 0:
        return True
    reply_error(call, error)
    return False


cdef bint parse_count(Call *call, size_t first, int64_t *count) noexcept:
    """`[COUNT count]` from args[first] on."""
    count[0] = 1
    if first == call.count:
        return True
    if not arg_is(&call.args[first], b"count") or first + 1 == call.count:
        reply_syntax_error(call)
        return False
    if not positive(call, &call.args[first + 1], count, b"ERR count should be greater than 0"):
        return False
    if first + 2 != call.count:
        reply_syntax_error(call)
        return False
    return True


cdef void pop_from_key(OpenValue *opened, bint at_head, int64_t count) noexcept:
    cdef Call *call = opened.call
    cdef int64_t length = <int64_t>list_length(&opened.value)
    cdef bytes key
    if count > length:
        count = length
    reply_array(call.client, 2)
    reply_bulk(call.client, opened.key, opened.key_length)
    reply_array(call.client, count)
    pop_and_reply(opened, at_head, count)
    if propagates(call):
        key = opened.key[:opened.key_length]
        propagate_as(call, [[b"LPOP" if at_head else b"RPOP", key, b"%d" % count]])


cdef bint parse_pop_request(Call *call, size_t first, PopRequest *request) noexcept:
    cdef int64_t keys = 0
    if not positive(call, &call.args[first], &keys, b"ERR numkeys should be greater than 0"):
        return False
    if keys >= <int64_t>(call.count - first - 1):
        reply_syntax_error(call)
        return False
    request.first_key = first + 1
    request.end = request.first_key + <size_t>keys
    return parse_list_end(call, &call.args[request.end], &request.at_head) \
        and parse_count(call, request.end + 1, &request.count)


cdef bint pop_from_first(Call *call, const PopRequest *request) noexcept:
    cdef OpenValue opened
    cdef size_t i
    cdef int found
    for i in range(request.first_key, request.end):
        found = list_open_other(call, &call.args[i], &opened)
        if found == OPEN_FAILED:
            return True
        if found == OPEN_FOUND:
            pop_from_key(&opened, request.at_head, request.count)
            return True
    return False


cdef void lmpop(Call *call) noexcept:
    cdef PopRequest request
    if parse_pop_request(call, 1, &request) and not pop_from_first(call, &request):
        reply_null_array(call.client)
