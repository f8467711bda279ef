"""Native handlers of the group sorted-set: ZRANDMEMBER.

Strategy. A member by chance is a rank by chance. Several different ones are drawn one by one and drawn again when they
come twice, or, when more than a third of the members is wanted, chosen in one walk (selection sampling; Knuth, "The Art
of Computer Programming", volume 2, algorithm 3.4.2S). A reply with repetitions has no bound by itself: REPEATED_* below
is its limit, as in native/set_chance.
"""

from libc.stddef cimport size_t
from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t, uint64_t
from libc.string cimport memset

from ranvier.engine.core cimport PHASE_CLOSING, Call, Client
from ranvier.engine.memory cimport allocate, release
from ranvier.engine.native.common cimport arg_is, integer_argument, reply_syntax_error
from ranvier.engine.native.sorted_set_replies cimport (
    REPLY_BY_PROTOCOL, reply_member, reply_pair, reply_pairs_header, reply_ranks,
)
from ranvier.engine.phase cimport CLOSE_OUTPUT_LIMIT, request_close
from ranvier.engine.reply cimport reply_array, reply_error, reply_null
from ranvier.engine.store.access cimport next_random
from ranvier.engine.types.sorted_set cimport (
    Ranks, Scored, SortedSet, Spot, sorted_set_count, sorted_set_seek, spot_read, spot_step,
)
from ranvier.engine.types.sorted_set_access cimport sorted_set_open
from ranvier.engine.types.value_access cimport OPEN_ABSENT, OPEN_FOUND, OpenValue

cdef enum:
    SAMPLE_FACTOR = 3            # a walk when more than a third of the members is wanted
    SHORTEST_REPLY_BYTES = 6     # of a member
    REPEATED_REPLY_BYTES = 512 * 1024 * 1024      # of a reply with repetitions: as long as the longest string
    REPEATED_MEMBERS_PER_CHECK = 1024

# What ZRANDMEMBER answers from, and to whom.
cdef struct Choice:
    Client *client
    const SortedSet *value
    size_t size
    uint64_t *random
    bint with_scores


cdef native_t sorted_set_chance_handler(str name) except? NULL:
    if name == "zrandmember":
        return zrandmember
    return NULL


cdef inline uint64_t below(uint64_t *random, uint64_t limit) noexcept nogil:
    """A number below `limit`, as good as evenly."""
    return (next_random(random) >> 11) % limit


cdef inline void reply_spot(const Choice *choice, const Spot *spot) noexcept nogil:
    cdef Scored scored
    spot_read(spot, &scored)
    reply_pair(choice.client, &scored, choice.with_scores, choice.with_scores and choice.client.protocol != 2)


cdef inline void reply_at(const Choice *choice, size_t rank) noexcept nogil:
    cdef Spot spot
    sorted_set_seek(choice.value, rank, &spot)
    reply_spot(choice, &spot)


cdef void zrandmember(Call *call) noexcept:
    cdef OpenValue opened
    cdef Spot spot
    cdef Scored scored
    cdef int found
    if call.count != 2:
        choose_several(call)
        return
    found = sorted_set_open(call, False, &opened)
    if found == OPEN_ABSENT:
        reply_null(call.client)
    elif found == OPEN_FOUND:
        sorted_set_seek(&opened.value, below(&call.core.keyspace.random, sorted_set_count(&opened.value)), &spot)
        spot_read(&spot, &scored)
        reply_member(call.client, &scored.member)


cdef bint parse_choice(Call *call, int64_t *count, bint *with_scores) noexcept:
    if not integer_argument(call, &call.args[2], count):
        return False
    if count[0] == INT64_MIN:
        reply_error(call, b"ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807")
        return False
    with_scores[0] = call.count == 4
    if call.count > 4 or (call.count == 4 and not arg_is(&call.args[3], b"withscores")):
        reply_syntax_error(call)
        return False
    if with_scores[0] and not -(INT64_MAX // 2) <= count[0] <= INT64_MAX // 2:
        reply_error(call, b"ERR value is out of range")
        return False
    return True


cdef void choose_several(Call *call) noexcept:
    """ZRANDMEMBER with a count."""
    cdef OpenValue opened
    cdef Choice choice
    cdef int64_t count = 0
    cdef int found
    if not parse_choice(call, &count, &choice.with_scores):
        return
    found = sorted_set_open(call, False, &opened)
    if found == OPEN_ABSENT or (found == OPEN_FOUND and count == 0):
        reply_array(call.client, 0)
    elif found == OPEN_FOUND:
        choice.client = call.client
        choice.value = &opened.value
        choice.size = sorted_set_count(&opened.value)
        choice.random = &call.core.keyspace.random
        if count < 0:
            choose_repeatedly(call, &choice, -count)
        else:
            choose_distinct(&choice, <uint64_t>count)


cdef void choose_repeatedly(Call *call, const Choice *choice, int64_t count) noexcept:
    """Valkey announces any number and goes on until the client, or the memory, is gone: here an absurd one is refused,
    and a reply that grows too long closes."""
    cdef Client *client = choice.client
    cdef int64_t i
    if count > REPEATED_REPLY_BYTES // SHORTEST_REPLY_BYTES:
        reply_error(call, b"ERR value is out of range")
        return
    reply_pairs_header(client, count, choice.with_scores)
    for i in range(count):
        reply_at(choice, below(choice.random, choice.size))
        if i % REPEATED_MEMBERS_PER_CHECK == 0:
            if client.silent or client.phase >= PHASE_CLOSING:
                return
            if client.owed_bytes > REPEATED_REPLY_BYTES:
                request_close(client, CLOSE_OUTPUT_LIMIT)
                return


cdef void choose_distinct(const Choice *choice, uint64_t count) noexcept nogil:
    cdef Ranks ranks
    if count >= choice.size:
        ranks.first = 0
        ranks.count = choice.size
        reply_pairs_header(choice.client, <int64_t>choice.size, choice.with_scores)
        reply_ranks(choice.client, choice.value, &ranks, True, choice.with_scores, REPLY_BY_PROTOCOL)
        return
    reply_pairs_header(choice.client, <int64_t>count, choice.with_scores)
    if count * SAMPLE_FACTOR > choice.size:
        choose_by_walk(choice, <size_t>count)
    else:
        draw_distinct(choice, <size_t>count)


cdef void choose_by_walk(const Choice *choice, size_t count) noexcept nogil:
    """Each member is taken with the probability that what is still wanted has among those that are left."""
    cdef size_t left = choice.size
    cdef Spot spot
    sorted_set_seek(choice.value, 0, &spot)
    while True:
        if below(choice.random, left) < count:
            reply_spot(choice, &spot)
            count -= 1
            if count == 0:
                return
        left -= 1
        spot_step(&spot, True)


cdef void draw_distinct(const Choice *choice, size_t count) noexcept nogil:
    """Draw until `count` different ranks have come: those seen, counted from 1, stand in an open hash."""
    cdef size_t mask = 15
    cdef size_t drawn = 0
    cdef size_t at
    cdef size_t rank
    cdef size_t *seen
    while mask < 2 * count:
        mask = 2 * mask + 1
    seen = <size_t *>allocate(choice.value.memory, (mask + 1) * sizeof(size_t))
    memset(seen, 0, (mask + 1) * sizeof(size_t))
    while drawn < count:
        rank = below(choice.random, choice.size)
        at = rank & mask
        while seen[at] != 0 and seen[at] != rank + 1:
            at = (at + 1) & mask
        if seen[at] == 0:
            seen[at] = rank + 1
            drawn += 1
            reply_at(choice, rank)
    release(choice.value.memory, seen)
