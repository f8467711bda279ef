"""A list under its key, from the look-up to the effect: what every list command does around its own work.

Order: `list_open`, work on `opened.list`, then one of `list_put_in` (elements came or changed) and `list_taken_out`
(elements went). Those store the value before they tell anyone, and the entry is dead to the command afterwards.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint64_t

from ranvier.engine.core cimport EVENT_GENERIC, EVENT_LIST, Arg, Call
from ranvier.engine.database cimport (
    database_delete, database_find_read, database_find_write, database_hash, database_set_pointer, entry_set_pointer,
)
from ranvier.engine.dispatch cimport changed
from ranvier.engine.entry cimport TYPE_LIST, Entry, entry_encoding, entry_pointer, entry_type
from ranvier.engine.native cimport arg_is, reply_syntax_error, reply_wrong_type
from ranvier.engine.packed cimport List, list_has_shrunk, list_length, list_new

cdef enum OpenResult:
    OPEN_FAILED = -1             # another type: the error is replied
    OPEN_ABSENT = 0
    OPEN_FOUND = 1

cdef struct OpenList:
    Call *call
    Entry *entry                 # NULL: no such key
    const char *key
    size_t key_length
    uint64_t hash
    List list


cdef inline int list_fill(const Call *call) noexcept nogil:
    """list-max-listpack-size."""
    return <int>call.core.list_pack_size


cdef inline int list_open_as(Call *call, const Arg *key, uint64_t hash, bint to_write, OpenList *opened) noexcept:
    """Look the key up; an OpenResult."""
    opened.call = call
    opened.key = key.data
    opened.key_length = key.length
    opened.hash = hash
    if to_write:
        opened.entry = database_find_write(call.database, hash, key.data, key.length)
    else:
        opened.entry = database_find_read(call.database, hash, key.data, key.length)
    if opened.entry == NULL:
        return OPEN_ABSENT
    if entry_type(opened.entry) != TYPE_LIST:
        reply_wrong_type(call)
        return OPEN_FAILED
    opened.list.memory = &call.core.memory
    opened.list.encoding = entry_encoding(opened.entry)
    opened.list.pointer = entry_pointer(opened.entry)
    return OPEN_FOUND


cdef inline int list_open(Call *call, bint to_write, OpenList *opened) noexcept:
    """Open the list at the command's first key, args[1]."""
    return list_open_as(call, &call.args[1], call.hash, to_write, opened)


cdef inline int list_open_other(Call *call, const Arg *key, OpenList *opened) noexcept:
    """Open the list at another key, to write."""
    return list_open_as(call, key, database_hash(call.database, key.data, key.length), True, opened)


cdef inline void list_begin(OpenList *opened) noexcept nogil:
    """Make an empty list for the absent key; `list_store` puts it under the key."""
    opened.list = list_new(&opened.call.core.memory)


cdef inline void list_store(OpenList *opened) noexcept:
    """Write back what the operations made of the value."""
    cdef List *value = &opened.list
    if opened.entry == NULL:
        opened.entry = database_set_pointer(opened.call.database, opened.hash, opened.key, opened.key_length, TYPE_LIST,
                                            value.encoding, value.pointer, False)
    elif entry_pointer(opened.entry) != value.pointer or entry_encoding(opened.entry) != value.encoding:
        entry_set_pointer(opened.entry, value.encoding, value.pointer)


cdef inline void list_put_in(OpenList *opened, const char *event, int64_t changes) noexcept:
    """Elements came or changed: store the list, tell of `changes` changes."""
    list_store(opened)
    changed(opened.call, opened.key, opened.key_length, EVENT_LIST, event)
    opened.call.dirty += changes - 1


cdef inline void list_taken_out(OpenList *opened, const char *event, int64_t changes) noexcept:
    """Elements went: an empty list goes with its key, a small one becomes a listpack again; tell of it."""
    cdef Call *call = opened.call
    cdef bint emptied = list_length(&opened.list) == 0
    if not emptied:
        list_has_shrunk(&opened.list, list_fill(call))
    list_store(opened)
    if emptied:
        database_delete(call.database, opened.hash, opened.key, opened.key_length, False)
    changed(call, opened.key, opened.key_length, EVENT_LIST, event)
    call.dirty += changes - 1
    if emptied:
        changed(call, opened.key, opened.key_length, EVENT_GENERIC, b"del")
        call.dirty -= 1


cdef inline bint parse_list_end(Call *call, const Arg *arg, bint *at_head) noexcept:
    """LEFT or RIGHT; 0 with the error replied."""
    at_head[0] = arg_is(arg, b"left")
    if at_head[0] or arg_is(arg, b"right"):
        return True
    reply_syntax_error(call)
    return False
