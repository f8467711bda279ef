"""Native handlers of the group set: SPOP and SRANDMEMBER.

Strategy. One member is a draw. Several members of an intset or a listpack are chosen in one walk, each as likely as any
other, and come in the order of the set. From a table few are drawn one by one, and drawn again when they come twice;
when most are wanted, a walk chooses those that stay (SPOP) or go (SRANDMEMBER). What is kept in memory meanwhile are
places of members, never more than there are members. A reply with repetitions has no such bound by itself: REPEATED_*
below is its limit.
"""

from libc.stddef cimport size_t
from libc.stdint cimport INT64_MIN, int64_t, uint64_t
from libc.string cimport memset

from ranvier.engine.core cimport PHASE_CLOSING, Call, Client
from ranvier.engine.effects cimport propagate_as, propagates
from ranvier.engine.memory cimport Memory, allocate, release
from ranvier.engine.native.common cimport arg_bytes, integer_argument, reply_syntax_error
from ranvier.engine.native.places cimport Places, add_place, places_free, places_init
from ranvier.engine.number cimport parse_integer
from ranvier.engine.phase cimport CLOSE_OUTPUT_LIMIT, request_close
from ranvier.engine.reply cimport reply_array, reply_error, reply_null
from ranvier.engine.store.database cimport database_delete
from ranvier.engine.store.entry cimport ENCODING_MEMBERS
from ranvier.engine.store.garbage cimport free_value
from ranvier.engine.types.set_access cimport (
    reply_member, reply_set, reply_visited, set_open, set_rules, set_settle_removal, set_store, set_tell,
)
from ranvier.engine.types.set_value cimport (
    Member, Set, SetRules, member_text, set_add, set_keep_places, set_member_at, set_new, set_random, set_remove_at,
    set_sample, set_size, set_visit,
)
from ranvier.engine.types.value_access cimport OPEN_ABSENT, OPEN_FOUND, OpenValue, value_tell_deleted

cdef enum:
    POP_MOVE_FACTOR = 5          # SPOP moves what is left when that is less than a fifth of what goes (as Valkey)
    SAMPLE_FACTOR = 3            # SRANDMEMBER walks when more than a third of the members is wanted
    SREM_MEMBERS = 1024          # in one propagated SREM
    SHORTEST_REPLY_BYTES = 6     # of a member
    REPEATED_REPLY_BYTES = 512 * 1024 * 1024      # of SRANDMEMBER with repetitions: as long as the longest string
    REPEATED_MEMBERS_PER_CHECK = 1024


cdef native_t set_chance_handler(str name) except? NULL:
    if name == "spop":
        return spop
    if name == "srandmember":
        return srandmember
    return NULL


# ---- places ---------------------------------------------------------------------------------------------------------

# The members that are not among those chosen, of which `next` is the next in the walk.
cdef struct Rest:
    const Places *chosen
    size_t next
    Places places


cdef bint add_rest(void *context, Member *member) noexcept nogil:
    cdef Rest *rest = <Rest *>context
    if rest.next < rest.chosen.count and rest.chosen.items[rest.next] == member.place:
        rest.next += 1
        return True
    return add_place(&rest.places, member)


cdef bytes member_bytes(Member *member):
    cdef size_t length
    cdef const char *text = member_text(member, &length)
    return text[:length]


# ---- SPOP -----------------------------------------------------------------------------------------------------------

cdef void spop(Call *call) noexcept:
    cdef OpenValue opened
    cdef Member member
    cdef bint emptied
    cdef int found
    cdef list request = None
    if call.count != 2:
        pop_several(call)
        return
    found = set_open(call, True, &opened)
    if found == OPEN_ABSENT:
        reply_null(call.client)
    if found != OPEN_FOUND:
        return
    set_random(&opened.value, &call.core.keyspace.random, &member)
    reply_member(call.client, &member)
    if propagates(call):
        request = [b"SREM", arg_bytes(&call.args[1]), member_bytes(&member)]
    set_remove_at(&opened.value, member.place)
    emptied = set_settle_removal(&opened)
    set_tell(&opened, b"spop", 1)
    if emptied:
        value_tell_deleted(&opened)
    if request is not None:
        propagate_as(call, [request])


cdef void pop_several(Call *call) noexcept:
    """SPOP with a count."""
    cdef OpenValue opened
    cdef int64_t count = 0
    cdef int found
    if call.count > 3:
        reply_syntax_error(call)
        return
    if not parse_integer(call.args[2].data, call.args[2].length, &count) or count < 0:
        reply_error(call, b"ERR value is out of range, must be positive")
        return
    found = set_open(call, True, &opened)
    if found == OPEN_ABSENT or found == OPEN_FOUND and count == 0:
        reply_set(call.client, 0)
    elif found == OPEN_FOUND:
        if <uint64_t>count >= set_size(&opened.value):
            pop_all(&opened)
        else:
            reply_set(call.client, <size_t>count)
            pop_some(&opened, <size_t>count)


cdef void pop_all(OpenValue *opened) noexcept:
    cdef Call *call = opened.call
    cdef size_t size = set_size(&opened.value)
    reply_set(call.client, size)
    set_visit(&opened.value, reply_visited, call.client)
    database_delete(call.database, opened.hash, opened.key, opened.key_length, call.core.lazy_server_delete)
    set_tell(opened, b"spop", <int64_t>size)
    value_tell_deleted(opened)
    if propagates(call):
        propagate_as(call, [[b"UNLINK" if call.core.lazy_server_delete else b"DEL", arg_bytes(&call.args[1])]])


cdef void pop_some(OpenValue *opened, size_t count) noexcept:
    """Fewer than all."""
    cdef Call *call = opened.call
    cdef size_t left = set_size(&opened.value) - count
    cdef list members = [] if propagates(call) else None
    if opened.value.encoding != ENCODING_MEMBERS:
        pop_packed(opened, count, members)
    elif left * POP_MOVE_FACTOR > count:
        pop_one_by_one(opened, count, members)
    else:
        pop_most(opened, left, members)
    set_store(opened)
    set_tell(opened, b"spop", <int64_t>count)
    if members is not None:
        key = arg_bytes(&call.args[1])
        propagate_as(call, [[b"SREM", key, *members[first:first + SREM_MEMBERS]]
                            for first in range(0, len(members), SREM_MEMBERS)])


cdef void reply_popped(Call *call, Member *member, list members) noexcept:
    reply_member(call.client, member)
    if members is not None:
        members.append(member_bytes(member))


cdef void pop_packed(OpenValue *opened, size_t count, list members) noexcept:
    cdef Call *call = opened.call
    cdef Memory *memory = &call.core.memory
    cdef Places popped
    cdef Rest rest
    cdef Member member
    cdef size_t i
    places_init(&popped, memory)
    places_init(&rest.places, memory)
    rest.chosen = &popped
    rest.next = 0
    set_sample(&opened.value, &call.core.keyspace.random, count, add_place, &popped)
    set_visit(&opened.value, add_rest, &rest)
    for i in range(count):
        set_member_at(&opened.value, popped.items[i], &member)
        reply_popped(call, &member, members)
    set_keep_places(&opened.value, rest.places.items, rest.places.count)
    places_free(&popped)
    places_free(&rest.places)


cdef void pop_one_by_one(OpenValue *opened, size_t count, list members) noexcept:
    cdef Member member
    cdef size_t _i
    for _i in range(count):
        set_random(&opened.value, &opened.call.core.keyspace.random, &member)
        reply_popped(opened.call, &member, members)
        set_remove_at(&opened.value, member.place)


cdef void pop_most(OpenValue *opened, size_t left, list members) noexcept:
    """The few that stay move to a set made for them; the rest is replied and goes with the old set."""
    cdef Call *call = opened.call
    cdef Memory *memory = &call.core.memory
    cdef SetRules rules = set_rules(call)
    cdef Set old = opened.value
    cdef Places kept
    cdef Places popped
    cdef Member member
    cdef size_t i
    places_init(&kept, memory)
    set_sample(&old, &call.core.keyspace.random, left, add_place, &kept)
    for i in range(left):
        set_member_at(&old, kept.items[i], &member)
        if i == 0:
            opened.value = set_new(memory, &rules, &member, left)
        set_add(&opened.value, &rules, &member)
        set_remove_at(&old, kept.items[i])
    places_free(&kept)
    if members is None:
        set_visit(&old, reply_visited, call.client)
    else:
        places_init(&popped, memory)
        set_visit(&old, add_place, &popped)
        for i in range(popped.count):
            set_member_at(&old, popped.items[i], &member)
            reply_popped(call, &member, members)
        places_free(&popped)
    free_value(&call.core.keyspace, old.encoding, old.pointer, True)


# ---- SRANDMEMBER ----------------------------------------------------------------------------------------------------

cdef void srandmember(Call *call) noexcept:
    cdef OpenValue opened
    cdef Member member
    cdef int found
    if call.count != 2:
        choose_several(call)
        return
    found = set_open(call, False, &opened)
    if found == OPEN_ABSENT:
        reply_null(call.client)
    elif found == OPEN_FOUND:
        set_random(&opened.value, &call.core.keyspace.random, &member)
        reply_member(call.client, &member)


cdef void choose_several(Call *call) noexcept:
    """SRANDMEMBER with a count."""
    cdef OpenValue opened
    cdef int64_t count = 0
    cdef int found
    if call.count > 3:
        reply_syntax_error(call)
        return
    if not integer_argument(call, &call.args[2], &count):
        return
    if count == INT64_MIN:
        reply_error(call, b"ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807")
        return
    found = set_open(call, False, &opened)
    if found == OPEN_ABSENT or found == OPEN_FOUND and count == 0:
        reply_array(call.client, 0)
    elif found == OPEN_FOUND:
        if count < 0:
            choose_repeatedly(&opened, -count)
        else:
            choose_distinct(&opened, <uint64_t>count)


cdef void choose_repeatedly(OpenValue *opened, int64_t count) noexcept:
    """Valkey announces any number and goes on until the client, or the memory, is gone: here an absurd one is refused,
    and a reply that grows too long closes."""
    cdef Client *client = opened.call.client
    cdef Member member
    cdef int64_t i
    if count > REPEATED_REPLY_BYTES // SHORTEST_REPLY_BYTES:
        reply_error(opened.call, b"ERR value is out of range")
        return
    reply_array(client, count)
    for i in range(count):
        set_random(&opened.value, &opened.call.core.keyspace.random, &member)
        reply_member(client, &member)
        if i % REPEATED_MEMBERS_PER_CHECK == 0:
            if client.silent or client.phase >= PHASE_CLOSING:
                return
            if client.owed_bytes > REPEATED_REPLY_BYTES:
                request_close(client, CLOSE_OUTPUT_LIMIT)
                return


cdef void choose_distinct(OpenValue *opened, uint64_t count) noexcept:
    cdef Client *client = opened.call.client
    cdef uint64_t *random = &opened.call.core.keyspace.random
    cdef size_t size = set_size(&opened.value)
    if count >= size:
        reply_array(client, <int64_t>size)
        set_visit(&opened.value, reply_visited, client)
        return
    reply_array(client, <int64_t>count)
    if opened.value.encoding != ENCODING_MEMBERS or count * SAMPLE_FACTOR > size:
        set_sample(&opened.value, random, <size_t>count, reply_visited, client)
    else:
        draw_distinct(&opened.value, random, <size_t>count, client)


cdef void draw_distinct(const Set *value, uint64_t *random, size_t count, Client *client) noexcept nogil:
    """Draw until `count` different ones of a table's members have come: those seen stand in an open hash of places."""
    cdef size_t mask = 15
    cdef size_t drawn = 0
    cdef size_t at
    cdef uint64_t *seen
    cdef Member member
    while mask < 2 * count:
        mask = 2 * mask + 1
    seen = <uint64_t *>allocate(value.memory, (mask + 1) * sizeof(uint64_t))
    memset(seen, 0, (mask + 1) * sizeof(uint64_t))
    while drawn < count:
        set_random(value, random, &member)
        at = <size_t>((member.place >> 4) * <uint64_t>0x9E3779B97F4A7C15 >> 20) & mask
        while seen[at] != 0 and seen[at] != member.place:
            at = (at + 1) & mask
        if seen[at] == 0:
            seen[at] = member.place
            drawn += 1
            reply_member(client, &member)
    release(value.memory, seen)
