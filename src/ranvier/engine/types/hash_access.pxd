"""A hash under its key: `engine/types/value_access` with what is common to the hash commands.

Order: `hash_open`, work on `opened.value`, then `hash_store` or `hash_taken_out`, then `changed`. A field whose time
has passed is absent to every command (FIELD_PAST): who writes over it tells of its end first (`hash_tell_past`).
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t

from ranvier.engine.core cimport EVENT_HASH, Arg, Call, Client
from ranvier.engine.reply cimport reply_blob, reply_null
from ranvier.engine.store.database cimport database_set_volatile
from ranvier.engine.store.entry cimport TYPE_HASH
from ranvier.engine.types.fields cimport (
    FieldView, HashLimits, field_is_past, hash_expiring, hash_find, hash_length, hash_new, hash_put, hash_will_take,
)
from ranvier.engine.types.listpack cimport Element, Packing, packing_set
from ranvier.engine.types.value_access cimport (
    OPEN_ABSENT, OPEN_FOUND, OpenValue, reply_element, value_delete, value_open, value_store, value_tell,
    value_tell_deleted,
)

cdef enum:
    PAIR_OVERHEAD_BYTES = 20         # of a name and a value in a listpack, at most

cdef enum FieldState:
    FIELD_ABSENT = 0
    FIELD_PAST = 1               # still there, and to be treated as absent
    FIELD_FOUND = 2


cdef inline HashLimits hash_limits(const Call *call) noexcept nogil:
    cdef HashLimits limits
    limits.entries = call.core.encodings.hash_entries
    limits.value_bytes = call.core.encodings.hash_value_bytes
    limits.seed0 = call.database.keys.seed0
    limits.seed1 = call.database.keys.seed1
    return limits


cdef inline int hash_open(Call *call, bint to_write, OpenValue *opened) noexcept:
    """Open the hash at the command's key, args[1]; an OpenResult."""
    return value_open(call, &call.args[1], call.hash, TYPE_HASH, to_write, opened)


cdef inline void hash_begin(OpenValue *opened, size_t pair_bytes) noexcept nogil:
    """Make an empty hash for the absent key; `hash_store` puts it under the key."""
    opened.value = hash_new(&opened.call.core.memory, pair_bytes)


cdef inline bint is_past(const Call *call, int64_t at_ms) noexcept nogil:
    return field_is_past(at_ms, call.core.wall_ms) and not call.core.keyspace.expired_are_shown


cdef inline int hash_look(const OpenValue *opened, const Arg *name, FieldView *view) noexcept nogil:
    """Find a field; a FieldState. The view is filled in unless the field is absent."""
    if not hash_find(&opened.value, name.data, name.length, view):
        return FIELD_ABSENT
    return FIELD_PAST if is_past(opened.call, view.at_ms) else FIELD_FOUND


cdef inline void hash_store(OpenValue *opened) noexcept:
    """Write back what the operations made of the hash, and whether fields of it expire."""
    value_store(opened, TYPE_HASH)
    database_set_volatile(opened.call.database, opened.hash, opened.entry, hash_expiring(&opened.value) != 0)


cdef inline void hash_tell(OpenValue *opened, const char *event, int64_t changes) noexcept:
    """The effect of so many changes, under one event."""
    value_tell(opened, EVENT_HASH, event, changes)


cdef inline void hash_tell_past(OpenValue *opened, int64_t fields) noexcept:
    """Fields whose time had passed were written over: that ends them, before anything else is told."""
    if fields:
        opened.call.core.keyspace.expired_fields += fields
        hash_tell(opened, b"hexpired", 0)


cdef inline bint hash_store_rest(OpenValue *opened) noexcept:
    """Fields went: store what is left; an empty hash goes with its key. Whether it went."""
    hash_store(opened)
    if hash_length(&opened.value):
        return False
    value_delete(opened)
    return True


cdef inline void hash_taken_out(OpenValue *opened, const char *event, int64_t changes) noexcept:
    """Fields went: store the rest, tell of it."""
    cdef bint emptied = hash_store_rest(opened)
    hash_tell(opened, event, changes)
    if emptied:
        value_tell_deleted(opened)


cdef inline int hash_put_argument(OpenValue *opened, const Arg *name, const Arg *value, int64_t at_ms,
                                  bint keep_expiry) noexcept nogil:
    """Set a field to an argument; `keep_expiry`: a living field keeps its own. What there was before (FieldState)."""
    cdef FieldView view
    cdef int state = hash_look(opened, name, &view)
    if keep_expiry and state == FIELD_FOUND:
        at_ms = view.at_ms
    hash_put(&opened.value, NULL if state == FIELD_ABSENT else &view, name.data, name.length, value.data, value.length,
             value.blob, at_ms)
    return state


cdef inline size_t packed_bytes(const Call *call, size_t first, size_t count) noexcept nogil:
    """What so many arguments take in a listpack."""
    cdef Packing packing
    cdef size_t bytes = 0
    cdef size_t i
    for i in range(first, first + count):
        packing_set(&packing, call.args[i].data, call.args[i].length)
        bytes += packing.total_bytes
    return bytes


cdef inline void hash_expect(OpenValue *opened, int found, size_t first, size_t pairs) noexcept:
    """Before pairs of names and values from args[first] on: make a hash where there is none, choose the encoding."""
    cdef Call *call = opened.call
    cdef HashLimits limits = hash_limits(call)
    cdef size_t longest = 0
    cdef size_t bytes = 0
    cdef size_t i
    for i in range(first, first + 2 * pairs):
        bytes += call.args[i].length
        if call.args[i].length > longest:
            longest = call.args[i].length
    if found == OPEN_ABSENT:
        if longest > limits.value_bytes or pairs > limits.entries:
            hash_begin(opened, 0)
        else:
            hash_begin(opened, packed_bytes(call, first, 2 * pairs))
    hash_will_take(&opened.value, &limits, longest, bytes + PAIR_OVERHEAD_BYTES * pairs)


# ---- replies --------------------------------------------------------------------------------------------------------

cdef inline void reply_field_value(Client *client, const FieldView *view) noexcept nogil:
    if view.blob != NULL:
        reply_blob(client, view.blob, view.value.data, view.value.length)
    else:
        reply_element(client, &view.value)


cdef inline void reply_looked_up(OpenValue *opened, int found, const Arg *name) noexcept nogil:
    """The field's value, or null."""
    cdef FieldView view
    if found == OPEN_FOUND and hash_look(opened, name, &view) == FIELD_FOUND:
        reply_field_value(opened.call.client, &view)
    else:
        reply_null(opened.call.client)
