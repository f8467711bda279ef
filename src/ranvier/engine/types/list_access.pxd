"""A list under its key: `engine/types/value_access` with what is common to the list commands.

Order: `list_open`, work on `opened.value`, then one of `list_put_in` (elements came or changed) and `list_taken_out`
(elements went). Those store the value before they tell anyone, and the entry is dead to the command afterwards.
"""

from libc.stdint cimport int64_t

from ranvier.engine.core cimport EVENT_LIST, Arg, Call, Client
from ranvier.engine.memory cimport Blob, blob_data
from ranvier.engine.native.common cimport arg_is, reply_syntax_error
from ranvier.engine.reply cimport reply_blob
from ranvier.engine.store.entry cimport TYPE_LIST
from ranvier.engine.types.listpack cimport Element
from ranvier.engine.types.packed cimport Cursor, cursor_blob, cursor_read, list_has_shrunk, list_length, list_new
from ranvier.engine.types.quicklist cimport Fill, fill_of
from ranvier.engine.types.value_access cimport (
    OpenValue, reply_element, value_open, value_open_other, value_store, value_store_rest, value_tell,
    value_tell_deleted,
)


cdef inline Fill list_fill(const Call *call) noexcept nogil:
    """list-max-listpack-size and DEBUG's threshold."""
    return fill_of(call.core.encodings.list_pack_size, call.core.encodings.list_plain_bytes)


cdef inline int list_open(Call *call, bint to_write, OpenValue *opened) noexcept:
    """Open the list at the command's first key, args[1]."""
    return value_open(call, &call.args[1], call.hash, TYPE_LIST, to_write, opened)


cdef inline int list_open_other(Call *call, const Arg *key, OpenValue *opened) noexcept:
    """Open the list at another key, to write."""
    return value_open_other(call, key, TYPE_LIST, True, opened)


cdef inline void list_begin(OpenValue *opened) noexcept nogil:
    """Make an empty list for the absent key; `list_store` puts it under the key."""
    opened.value = list_new(&opened.call.core.memory)


cdef inline void list_store(OpenValue *opened) noexcept:
    """Write back what the operations made of the list."""
    value_store(opened, TYPE_LIST)


cdef inline void list_put_in(OpenValue *opened, const char *event, int64_t changes) noexcept:
    """Elements came or changed: store the list, tell of `changes` changes."""
    list_store(opened)
    value_tell(opened, EVENT_LIST, event, changes)


cdef inline void list_taken_out(OpenValue *opened, const char *event, int64_t changes) noexcept:
    """Elements went: an empty list goes with its key, a small one becomes a listpack again; tell of it."""
    cdef size_t rest = list_length(&opened.value)
    cdef bint emptied
    if rest:
        list_has_shrunk(&opened.value, list_fill(opened.call))
    emptied = value_store_rest(opened, TYPE_LIST, rest)
    value_tell(opened, EVENT_LIST, event, changes)
    if emptied:
        value_tell_deleted(opened)


# ---- arguments and replies ------------------------------------------------------------------------------------------

cdef inline bint parse_list_end(Call *call, const Arg *arg, bint *at_head) noexcept:
    """LEFT or RIGHT; 0 with the error replied."""
    at_head[0] = arg_is(arg, b"left")
    if at_head[0] or arg_is(arg, b"right"):
        return True
    reply_syntax_error(call)
    return False


cdef inline void reply_cursor(Client *client, const Cursor *cursor) noexcept nogil:
    cdef Element element
    cdef Blob *blob = cursor_blob(cursor)
    if blob != NULL:
        reply_blob(client, blob, blob_data(blob), blob.size)
        return
    cursor_read(cursor, &element)
    reply_element(client, &element)
