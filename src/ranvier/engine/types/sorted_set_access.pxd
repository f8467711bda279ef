"""A sorted set under its key: `engine/types/value_access` with what is common to the sorted-set commands.

Order: `sorted_set_open`, work on `opened.value`, then one of `sorted_set_put_in` (members came or changed) and
`sorted_set_taken_out` (members went). Those store the value before they tell anyone, and the entry is dead to the
command afterwards.
"""

from libc.stdint cimport int64_t, uint64_t

from ranvier.engine.core cimport EVENT_GENERIC, EVENT_SORTED_SET, Arg, Call
from ranvier.engine.effects cimport changed
from ranvier.engine.store.database cimport database_delete, database_hash, database_set_pointer
from ranvier.engine.store.entry cimport TYPE_SORTED_SET
from ranvier.engine.store.value cimport value_free
from ranvier.engine.types.sorted_set cimport SortedSet, SortedSetPolicy, sorted_set_count, sorted_set_new
from ranvier.engine.types.value_access cimport (
    OpenValue, value_open, value_open_other, value_store, value_store_rest, value_tell, value_tell_deleted,
)


cdef inline SortedSetPolicy sorted_set_policy(const Call *call) noexcept nogil:
    cdef SortedSetPolicy policy
    policy.entries = call.core.encodings.sorted_set_entries
    policy.value_bytes = call.core.encodings.sorted_set_value_bytes
    policy.seed0 = call.database.keys.seed0
    policy.seed1 = call.database.keys.seed1
    return policy


cdef inline int sorted_set_open(Call *call, bint to_write, OpenValue *opened) noexcept:
    """Open the sorted set at the command's first key, args[1]; an OpenResult."""
    return value_open(call, &call.args[1], call.hash, TYPE_SORTED_SET, to_write, opened)


cdef inline int sorted_set_open_other(Call *call, const Arg *key, bint to_write, OpenValue *opened) noexcept:
    """Open the sorted set at another key."""
    return value_open_other(call, key, TYPE_SORTED_SET, to_write, opened)


cdef inline void sorted_set_begin(OpenValue *opened) noexcept nogil:
    """Make an empty sorted set for the absent key; `sorted_set_store` puts it under the key."""
    opened.value = sorted_set_new(&opened.call.core.memory)


cdef inline void sorted_set_store(OpenValue *opened) noexcept:
    """Write back what the operations made of the sorted set."""
    value_store(opened, TYPE_SORTED_SET)


cdef inline void sorted_set_put_in(OpenValue *opened, const char *event, int64_t changes) noexcept:
    """Members came or changed: store the sorted set, tell of `changes` changes."""
    sorted_set_store(opened)
    value_tell(opened, EVENT_SORTED_SET, event, changes)


cdef inline void sorted_set_taken_out(OpenValue *opened, const char *event, int64_t changes) noexcept:
    """Members went: an empty sorted set goes with its key; tell of it."""
    cdef bint emptied = value_store_rest(opened, TYPE_SORTED_SET, sorted_set_count(&opened.value))
    value_tell(opened, EVENT_SORTED_SET, event, changes)
    if emptied:
        value_tell_deleted(opened)


cdef inline int64_t sorted_set_replace(Call *call, const Arg *key, SortedSet *value, const char *event) noexcept:
    """Put a new sorted set in place of whatever the key holds, or nothing when it is empty; tell of it. Its size."""
    cdef uint64_t hash = database_hash(call.database, key.data, key.length)
    cdef int64_t count = <int64_t>sorted_set_count(value)
    if count:
        database_set_pointer(call.database, hash, key.data, key.length, TYPE_SORTED_SET, value.encoding, value.pointer,
                             False)
        changed(call, key.data, key.length, EVENT_SORTED_SET, event)
        return count
    value_free(value.memory, value.encoding, value.pointer)
    if database_delete(call.database, hash, key.data, key.length, call.core.lazy_server_delete):
        changed(call, key.data, key.length, EVENT_GENERIC, b"del")
    return 0
