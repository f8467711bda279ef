"""A value under its key, from the look-up to the effect: what the commands of every type do around their own work.

Order: `value_open`, work on `opened.value`, then `value_store` (`value_store_rest` where it may have become empty), and
only then `value_tell`: whoever is told finds the value stored. The entry is dead to the command afterwards.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint32_t, uint64_t

from ranvier.engine.core cimport EVENT_GENERIC, Arg, Call, Client
from ranvier.engine.effects cimport changed
from ranvier.engine.native.common cimport reply_wrong_type
from ranvier.engine.reply cimport reply_bulk, reply_bulk_integer
from ranvier.engine.store.database cimport (
    database_delete, database_find_read, database_find_write, database_hash, database_set_pointer, entry_set_pointer,
)
from ranvier.engine.store.entry cimport Entry, entry_encoding, entry_pointer, entry_type
from ranvier.engine.store.value cimport Value
from ranvier.engine.types.listpack cimport Element

cdef enum OpenResult:
    OPEN_FAILED = -1             # another type: the error is replied
    OPEN_ABSENT = 0
    OPEN_FOUND = 1

cdef struct OpenValue:
    Call *call
    Entry *entry                 # NULL: no such key
    const char *key
    size_t key_length
    uint64_t hash
    Value value                  # its memory is set; the rest only when the key was found


cdef inline int value_open(Call *call, const Arg *key, uint64_t hash, int type, bint to_write,
                           OpenValue *opened) noexcept:
    """Look the key up; an OpenResult."""
    opened.call = call
    opened.key = key.data
    opened.key_length = key.length
    opened.hash = hash
    opened.value.memory = &call.core.memory
    if to_write:
        opened.entry = database_find_write(call.database, hash, key.data, key.length)
    else:
        opened.entry = database_find_read(call.database, hash, key.data, key.length)
    if opened.entry == NULL:
        return OPEN_ABSENT
    if entry_type(opened.entry) != type:
        reply_wrong_type(call)
        return OPEN_FAILED
    opened.value.encoding = entry_encoding(opened.entry)
    opened.value.pointer = entry_pointer(opened.entry)
    return OPEN_FOUND


cdef inline int value_open_other(Call *call, const Arg *key, int type, bint to_write, OpenValue *opened) noexcept:
    """As `value_open`, of another key than the command's first, whose hash is known."""
    return value_open(call, key, database_hash(call.database, key.data, key.length), type, to_write, opened)


cdef inline void value_store(OpenValue *opened, int type) noexcept:
    """Write back what the operations made of the value; under the absent key, put it there."""
    cdef Value *value = &opened.value
    if opened.entry == NULL:
        opened.entry = database_set_pointer(opened.call.database, opened.hash, opened.key, opened.key_length, type,
                                            value.encoding, value.pointer, False)
    elif entry_pointer(opened.entry) != value.pointer or entry_encoding(opened.entry) != value.encoding:
        entry_set_pointer(opened.entry, value.encoding, value.pointer)


cdef inline void value_delete(OpenValue *opened) noexcept:
    """Delete the key with its (stored) value."""
    database_delete(opened.call.database, opened.hash, opened.key, opened.key_length, False)
    opened.entry = NULL


cdef inline bint value_store_rest(OpenValue *opened, int type, size_t count) noexcept:
    """Something was taken out and `count` elements are left: an empty value goes with its key. Whether it went."""
    value_store(opened, type)
    if count == 0:
        value_delete(opened)
    return count == 0


cdef inline void value_tell(OpenValue *opened, uint32_t event_class, const char *event, int64_t changes) noexcept:
    """The effect of so many changes, under one event."""
    changed(opened.call, opened.key, opened.key_length, event_class, event)
    opened.call.dirty += changes - 1


cdef inline void value_tell_deleted(OpenValue *opened) noexcept:
    """The key went as well; what was in it has been counted."""
    value_tell(opened, EVENT_GENERIC, b"del", 0)


cdef inline void reply_element(Client *client, const Element *element) noexcept nogil:
    if element.data != NULL:
        reply_bulk(client, element.data, element.length)
    else:
        reply_bulk_integer(client, element.integer)
