"""A set under its key: `engine/types/value_access` with what is common to the set commands.

Order: `set_open`, work on `opened.value`, then `set_store` or `set_settle_removal`, which say whether the key is left,
and only then the effect calls: whoever is told finds the values stored. The entry is dead to the command afterwards.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t

from ranvier.engine.core cimport EVENT_SET, Arg, Call, Client
from ranvier.engine.reply cimport reply_bulk, reply_bulk_integer, reply_header
from ranvier.engine.store.entry cimport TYPE_SET
from ranvier.engine.types.set_value cimport Member, SetRules, set_size
from ranvier.engine.types.value_access cimport (
    OpenValue, value_open, value_open_other, value_store, value_store_rest, value_tell,
)


cdef inline SetRules set_rules(const Call *call) noexcept nogil:
    """The configured thresholds; tables that are made hash as the database does."""
    cdef SetRules rules
    rules.intset_entries = call.core.encodings.intset_entries
    rules.listpack_entries = call.core.encodings.set_entries
    rules.value_bytes = call.core.encodings.set_value_bytes
    rules.seed0 = call.database.keys.seed0
    rules.seed1 = call.database.keys.seed1
    return rules


cdef inline int set_open(Call *call, bint to_write, OpenValue *opened) noexcept:
    """Open the set at the command's first key, args[1]."""
    return value_open(call, &call.args[1], call.hash, TYPE_SET, to_write, opened)


cdef inline int set_open_other(Call *call, const Arg *key, bint to_write, OpenValue *opened) noexcept:
    """Open the set at another key."""
    return value_open_other(call, key, TYPE_SET, to_write, opened)


cdef inline void set_store(OpenValue *opened) noexcept:
    """Write back what the operations made of the set."""
    value_store(opened, TYPE_SET)


cdef inline bint set_settle_removal(OpenValue *opened) noexcept:
    """Members went: store what is left; an empty set goes with its key. Whether it went."""
    return value_store_rest(opened, TYPE_SET, set_size(&opened.value))


cdef inline void set_tell(OpenValue *opened, const char *event, int64_t changes) noexcept:
    """The effect of `changes` changed members."""
    value_tell(opened, EVENT_SET, event, changes)


# ---- replies --------------------------------------------------------------------------------------------------------

cdef inline void reply_set(Client *client, size_t count) noexcept nogil:
    """The header of a set: its members follow."""
    reply_header(client, c'*' if client.protocol == 2 else c'~', <int64_t>count)


cdef inline void reply_member(Client *client, Member *member) noexcept nogil:
    if member.data != NULL:
        reply_bulk(client, member.data, member.length)
    else:
        reply_bulk_integer(client, member.integer)


cdef inline bint reply_visited(void *client, Member *member) noexcept nogil:
    """For set_visit: reply each member to the client that is the context."""
    reply_member(<Client *>client, member)
    return True
