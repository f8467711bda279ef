"""Native handlers of the group set: members one by one, and whole sets.

`set_chance` holds those that choose at random, `set_algebra` those that combine sets, `set_walk` SSCAN. Members are
replied straight from the set into the output buffer.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t
from libc.string cimport memcmp

from ranvier.engine.core cimport Arg, Call
from ranvier.engine.native.set_algebra cimport set_algebra_handler
from ranvier.engine.native.set_chance cimport set_chance_handler
from ranvier.engine.native.set_walk cimport set_walk_handler
from ranvier.engine.reply cimport reply_array, reply_integer
from ranvier.engine.types.set_access cimport (
    reply_set, reply_visited, set_open, set_open_other, set_rules, set_settle_removal, set_store, set_tell,
)
from ranvier.engine.types.set_value cimport (
    Member, SetRules, member_set, set_add, set_contains, set_new, set_remove, set_size, set_visit, set_will_grow,
)
from ranvier.engine.types.value_access cimport OPEN_ABSENT, OPEN_FAILED, OPEN_FOUND, OpenValue, value_tell_deleted


cdef native_t set_handler(str name) except? NULL:
    cdef native_t found
    if name == "sadd":
        return sadd
    if name == "srem":
        return srem
    if name == "sismember":
        return sismember
    if name == "smismember":
        return smismember
    if name == "scard":
        return scard
    if name == "smembers":
        return smembers
    if name == "smove":
        return smove
    found = set_chance_handler(name)
    if found == NULL:
        found = set_walk_handler(name)
    return found if found != NULL else set_algebra_handler(name)


cdef inline void member_of(Member *member, const Arg *arg) noexcept nogil:
    member_set(member, arg.data, arg.length)


# ---- members --------------------------------------------------------------------------------------------------------

cdef void sadd(Call *call) noexcept:
    cdef OpenValue opened
    cdef SetRules rules
    cdef Member member
    cdef size_t i
    cdef int64_t added = 0
    cdef int found = set_open(call, True, &opened)
    if found == OPEN_FAILED:
        return
    rules = set_rules(call)
    member_of(&member, &call.args[2])
    if found == OPEN_ABSENT:
        opened.value = set_new(opened.value.memory, &rules, &member, call.count - 2)
    else:
        set_will_grow(&opened.value, &rules, call.count - 2)
    for i in range(2, call.count):
        if i > 2:
            member_of(&member, &call.args[i])
        added += set_add(&opened.value, &rules, &member)
    set_store(&opened)
    reply_integer(call.client, added)
    if added:
        set_tell(&opened, b"sadd", added)


cdef void srem(Call *call) noexcept:
    cdef OpenValue opened
    cdef Member member
    cdef size_t i
    cdef int64_t removed = 0
    cdef bint emptied
    cdef int found = set_open(call, True, &opened)
    if found != OPEN_FOUND:
        if found == OPEN_ABSENT:
            reply_integer(call.client, 0)
        return
    for i in range(2, call.count):
        member_of(&member, &call.args[i])
        removed += set_remove(&opened.value, &member)
    emptied = set_settle_removal(&opened)
    reply_integer(call.client, removed)
    if removed:
        set_tell(&opened, b"srem", removed)
        if emptied:
            value_tell_deleted(&opened)


cdef void sismember(Call *call) noexcept:
    cdef OpenValue opened
    cdef Member member
    cdef int found = set_open(call, False, &opened)
    if found != OPEN_FAILED:
        member_of(&member, &call.args[2])
        reply_integer(call.client, found == OPEN_FOUND and set_contains(&opened.value, &member))


cdef void smismember(Call *call) noexcept:
    cdef OpenValue opened
    cdef Member member
    cdef size_t i
    cdef int found = set_open(call, False, &opened)
    if found == OPEN_FAILED:
        return
    reply_array(call.client, <int64_t>call.count - 2)
    for i in range(2, call.count):
        member_of(&member, &call.args[i])
        reply_integer(call.client, found == OPEN_FOUND and set_contains(&opened.value, &member))


# ---- whole sets -----------------------------------------------------------------------------------------------------

cdef void scard(Call *call) noexcept:
    cdef OpenValue opened
    cdef int found = set_open(call, False, &opened)
    if found != OPEN_FAILED:
        reply_integer(call.client, <int64_t>set_size(&opened.value) if found == OPEN_FOUND else 0)


cdef void smembers(Call *call) noexcept:
    cdef OpenValue opened
    cdef int found = set_open(call, False, &opened)
    if found == OPEN_ABSENT:
        reply_set(call.client, 0)
    elif found == OPEN_FOUND:
        reply_set(call.client, set_size(&opened.value))
        set_visit(&opened.value, reply_visited, call.client)


# ---- SMOVE ----------------------------------------------------------------------------------------------------------

cdef bint same_key(const OpenValue *one, const OpenValue *other) noexcept nogil:
    return one.key_length == other.key_length and memcmp(one.key, other.key, one.key_length) == 0


cdef void move_member(OpenValue *source, OpenValue *target, Member *member) noexcept:
    """Take a member that is there from one set to the other; both are stored before anyone is told."""
    cdef SetRules rules = set_rules(source.call)
    cdef bint emptied
    cdef bint added
    if target.entry == NULL:
        target.value = set_new(target.value.memory, &rules, member, 1)
    added = set_add(&target.value, &rules, member)
    set_store(target)
    set_remove(&source.value, member)
    emptied = set_settle_removal(source)
    set_tell(source, b"srem", 1)
    if emptied:
        value_tell_deleted(source)
    if added:
        set_tell(target, b"sadd", 1)


cdef void smove(Call *call) noexcept:
    cdef OpenValue source
    cdef OpenValue target
    cdef Member member
    cdef bint present
    cdef int found = set_open(call, True, &source)
    if found == OPEN_ABSENT:
        reply_integer(call.client, 0)
    if found != OPEN_FOUND:
        return
    if set_open_other(call, &call.args[2], True, &target) == OPEN_FAILED:
        return
    member_of(&member, &call.args[3])
    present = set_contains(&source.value, &member)
    if present and not same_key(&source, &target):
        move_member(&source, &target, &member)
    reply_integer(call.client, present)
