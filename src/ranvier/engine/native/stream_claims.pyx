"""XCLAIM and XAUTOCLAIM, and how claims and deliveries are propagated: as XCLAIM that says what came of them.

What is claimed is found out first and replied then, because how many entries there are comes first in the reply.
"""

from libc.stddef cimport size_t
from libc.stdint cimport INT64_MAX, int64_t, uint64_t

from ranvier.engine.core cimport Arg, Call
from ranvier.engine.dispatch cimport text_of
from ranvier.engine.effects cimport propagate_as, propagates
from ranvier.engine.memory cimport allocate, release
from ranvier.engine.native.common cimport arg_bytes, arg_is, reply_syntax_error
from ranvier.engine.native.streams cimport parse_start, reply_entry
from ranvier.engine.number cimport parse_integer
from ranvier.engine.reply cimport reply_array, reply_error, reply_error_bytes
from ranvier.engine.types.id_index cimport IdPlace, id_compare, id_of, index_from, place_item, place_step
from ranvier.engine.types.name_list cimport name_of
from ranvier.engine.types.stream cimport StreamCursor, stream_has, stream_seek
from ranvier.engine.types.stream_access cimport id_argument, reply_id, stream_changed, stream_in, stream_open
from ranvier.engine.types.stream_groups cimport (
    Consumer, consumer_add, consumer_find, group_find, pending_find, pending_give, pending_remove,
)
from ranvier.engine.types.stream_id cimport ID_TEXT_BYTES, parse_id, print_id
from ranvier.engine.types.value_access cimport OPEN_FAILED, OPEN_FOUND, OpenValue


cdef native_t stream_claim_handler(str name) except? NULL:
    return xclaim if name == "xclaim" else xautoclaim


cdef void reply_no_group(Call *call, const Arg *key, const Arg *group) noexcept:
    call.failed = True
    reply_error_bytes(call.client, b"NOGROUP No such key '%s' or consumer group '%s'" % (text_of(key), text_of(group)))


# ---- propagated forms -----------------------------------------------------------------------------------------------

cdef bytes id_bytes(StreamId id):
    cdef char text[ID_TEXT_BYTES]
    cdef size_t length = print_id(text, id)
    return text[:length]


cdef list claim_words(const OpenValue *opened, const Group *group, StreamId id, const Pending *pending):
    return [
        b"XCLAIM", opened.key[:opened.key_length], name_of(group)[:group.name.length],
        name_of(pending.consumer)[:pending.consumer.name.length], b"0", id_bytes(id), b"TIME",
        b"%d" % pending.delivered_ms, b"RETRYCOUNT", b"%d" % pending.deliveries, b"FORCE", b"JUSTID", b"LASTID",
        id_bytes(group.last_id),
    ]


cdef list group_position_words(const OpenValue *opened, const Group *group):
    return [
        b"XGROUP", b"SETID", opened.key[:opened.key_length], name_of(group)[:group.name.length],
        id_bytes(group.last_id), b"ENTRIESREAD", b"%d" % group.entries_read,
    ]


# ---- claiming -------------------------------------------------------------------------------------------------------

cdef struct ClaimRequest:
    int64_t least_idle_ms
    int64_t delivered_ms         # what the claimed entries get
    int64_t deliveries           # -1: one more than they had
    bint force
    bint just_ids
    bint has_last_id
    StreamId last_id
    size_t first_id              # places of XCLAIM's ids
    size_t end

# A command that claims, at work.
cdef struct Claims:
    OpenValue opened
    Group *group
    Consumer *consumer
    int64_t now_ms
    const ClaimRequest *request


cdef bint parse_least_idle(Call *call, int64_t *least_idle_ms, const char *error) noexcept:
    if not parse_integer(call.args[4].data, call.args[4].length, least_idle_ms):
        reply_error(call, error)
        return False
    if least_idle_ms[0] < 0:
        least_idle_ms[0] = 0
    return True


cdef bint find_group(Call *call, Claims *claims) noexcept:
    """The group args[2] of the stream args[1]; 0 with the error replied."""
    cdef const Arg *name = &call.args[2]
    cdef int found = stream_open(call, True, &claims.opened)
    claims.group = NULL
    claims.now_ms = call.core.wall_ms
    if found == OPEN_FAILED:
        return False
    if found == OPEN_FOUND:
        claims.group = group_find(stream_in(&claims.opened), name.data, name.length)
    if claims.group == NULL:
        reply_no_group(call, &call.args[1], name)
    return claims.group != NULL


cdef void find_consumer(Call *call, Claims *claims, list words) noexcept:
    """The consumer args[3], made if there is none."""
    cdef const Arg *name = &call.args[3]
    claims.consumer = consumer_find(claims.group, name.data, name.length)
    if claims.consumer == NULL:
        claims.consumer = consumer_add(&call.core.memory, claims.group, name.data, name.length, claims.now_ms)
        stream_changed(&claims.opened, b"xgroup-createconsumer")
        if words is not None:
            words.append([b"XGROUP", b"CREATECONSUMER", arg_bytes(&call.args[1]), arg_bytes(&call.args[2]),
                          arg_bytes(name)])
    claims.consumer.seen_ms = claims.now_ms


cdef void drop_pending(Call *call, Claims *claims, StreamId id, Pending *pending, list words) noexcept:
    """The entry is deleted: nobody can claim it. Who gets this claim propagated finds that, too."""
    if words is not None:
        words.append(claim_words(&claims.opened, claims.group, id, pending))
    call.dirty += 1
    pending_remove(&call.core.memory, claims.group, id)


cdef void claim(Call *call, Claims *claims, StreamId id, list words) noexcept:
    """Have an entry pend for the consumer."""
    cdef const ClaimRequest *request = claims.request
    cdef Pending *pending = pending_give(&call.core.memory, claims.group, claims.consumer, id)
    pending.delivered_ms = request.delivered_ms
    if request.deliveries >= 0:
        pending.deliveries = <uint64_t>request.deliveries
    elif not request.just_ids:
        pending.deliveries += 1
    claims.consumer.active_ms = claims.now_ms
    call.dirty += 1
    if words is not None:
        words.append(claim_words(&claims.opened, claims.group, id, pending))


cdef void reply_claimed(Call *call, const Claims *claims, StreamId id) noexcept:
    cdef StreamCursor cursor
    if claims.request.just_ids:
        reply_id(call.client, id)
    else:
        stream_seek(stream_in(&claims.opened), id, True, &cursor)
        reply_entry(call.client, &cursor)


cdef bint parse_claim_number(Call *call, const Arg *arg, int64_t *value, const char *error) noexcept:
    if parse_integer(arg.data, arg.length, value):
        return True
    reply_error(call, error)
    return False


cdef bint parse_claim_options(Call *call, ClaimRequest *request) noexcept:
    """What stands behind XCLAIM's ids; 0 with the error replied."""
    cdef size_t i = request.end
    cdef const Arg *arg
    cdef bint more
    cdef int64_t now_ms = call.core.wall_ms
    while i < call.count:
        arg = &call.args[i]
        more = i + 1 < call.count
        i += 1
        if arg_is(arg, b"force"):
            request.force = True
            continue
        if arg_is(arg, b"justid"):
            request.just_ids = True
            continue
        i += 1
        if more and arg_is(arg, b"idle"):
            if not parse_claim_number(call, arg + 1, &request.delivered_ms,
                                      b"ERR Invalid IDLE option argument for XCLAIM"):
                return False
            request.delivered_ms = now_ms - request.delivered_ms
        elif more and arg_is(arg, b"time"):
            if not parse_claim_number(call, arg + 1, &request.delivered_ms,
                                      b"ERR Invalid TIME option argument for XCLAIM"):
                return False
        elif more and arg_is(arg, b"retrycount"):
            if not parse_claim_number(call, arg + 1, &request.deliveries,
                                      b"ERR Invalid RETRYCOUNT option argument for XCLAIM"):
                return False
        elif more and arg_is(arg, b"lastid"):
            if not id_argument(call, arg + 1, 0, &request.last_id):
                return False
            request.has_last_id = True
        else:
            call.failed = True
            reply_error_bytes(call.client, b"ERR Unrecognized XCLAIM option '%s'" % text_of(arg))
            return False
    # A delivery in the future, or before all time, was now.
    if request.delivered_ms < 0 or request.delivered_ms > now_ms:
        request.delivered_ms = now_ms
    return True


cdef bint parse_claim(Call *call, ClaimRequest *request) noexcept:
    cdef StreamId id
    if not parse_least_idle(call, &request.least_idle_ms, b"ERR Invalid min-idle-time argument for XCLAIM"):
        return False
    request.delivered_ms = call.core.wall_ms
    request.deliveries = -1
    request.force = request.just_ids = request.has_last_id = False
    request.first_id = request.end = 5
    while request.end < call.count and parse_id(call.args[request.end].data, call.args[request.end].length, 0, NULL,
                                                &id):
        request.end += 1
    return parse_claim_options(call, request)


cdef enum Claimable:
    CLAIM_NOTHING = 0
    CLAIM_IT = 1
    CLAIM_DELETED = 2            # it pends, but the stream does not have it any more


cdef int claimable(const Claims *claims, StreamId id) noexcept nogil:
    """Whether an entry may be claimed; a Claimable."""
    cdef const Pending *pending = pending_find(claims.group, id)
    if not stream_has(stream_in(&claims.opened), id):
        return CLAIM_NOTHING if pending == NULL else CLAIM_DELETED
    if pending == NULL:
        return CLAIM_IT if claims.request.force else CLAIM_NOTHING
    if claims.request.least_idle_ms and claims.now_ms - pending.delivered_ms < claims.request.least_idle_ms:
        return CLAIM_NOTHING
    return CLAIM_IT


cdef bint claim_named(Call *call, Claims *claims, size_t at, list words) noexcept:
    """Claim the entry that args[at] names, if it may be."""
    cdef StreamId id
    cdef int what
    parse_id(call.args[at].data, call.args[at].length, 0, NULL, &id)
    what = claimable(claims, id)
    if what == CLAIM_DELETED:
        drop_pending(call, claims, id, pending_find(claims.group, id), words)
    elif what == CLAIM_IT:
        claim(call, claims, id, words)
    return what == CLAIM_IT


cdef void claim_all(Call *call, Claims *claims, list words) noexcept:
    """Claim first and reply then, because how many there are comes first; an id may be named twice."""
    cdef const ClaimRequest *request = claims.request
    cdef size_t count = request.end - request.first_id
    cdef char *claimed = <char *>allocate(&call.core.memory, count + 1)
    cdef int64_t total = 0
    cdef StreamId id
    cdef size_t i
    for i in range(count):
        claimed[i] = claim_named(call, claims, request.first_id + i, words)
        total += claimed[i]
    reply_array(call.client, total)
    for i in range(count):
        if claimed[i]:
            parse_id(call.args[request.first_id + i].data, call.args[request.first_id + i].length, 0, NULL, &id)
            reply_claimed(call, claims, id)
    release(&call.core.memory, claimed)


cdef void xclaim(Call *call) noexcept:
    cdef ClaimRequest request
    cdef Claims claims
    cdef list words = [] if propagates(call) else None
    cdef size_t before
    cdef bint advances
    if not find_group(call, &claims) or not parse_claim(call, &request):
        return
    claims.request = &request
    advances = request.has_last_id and id_compare(request.last_id, claims.group.last_id) > 0
    if advances:
        claims.group.last_id = request.last_id
        call.dirty += 1
    find_consumer(call, &claims, words)
    before = len(words) if words is not None else 0
    claim_all(call, &claims, words)
    if advances and words is not None and <size_t>len(words) == before:
        # No claim tells it.
        words.append(group_position_words(&claims.opened, claims.group))
    if words:
        propagate_as(call, words)


# ---- XAUTOCLAIM -----------------------------------------------------------------------------------------------------

cdef enum:
    AUTOCLAIM_DEFAULT = 100              # entries
    AUTOCLAIM_ATTEMPTS = 10              # pending entries looked at for each one asked for


cdef bint parse_autoclaim(Call *call, ClaimRequest *request, StreamId *start, int64_t *limit) noexcept:
    cdef size_t i = 6
    request.delivered_ms = call.core.wall_ms
    request.deliveries = -1
    request.force = request.just_ids = request.has_last_id = False
    limit[0] = AUTOCLAIM_DEFAULT
    if not parse_least_idle(call, &request.least_idle_ms, b"ERR Invalid min-idle-time argument for XAUTOCLAIM") \
            or not parse_start(call, &call.args[5], start):
        return False
    while i < call.count:
        if i + 1 < call.count and arg_is(&call.args[i], b"count"):
            if not parse_integer(call.args[i + 1].data, call.args[i + 1].length, limit) \
                    or not 1 <= limit[0] <= INT64_MAX // 16:
                reply_error(call, b"ERR COUNT must be > 0")
                return False
            i += 2
        elif arg_is(&call.args[i], b"justid"):
            request.just_ids = True
            i += 1
        else:
            reply_syntax_error(call)
            return False
    return True


# What a walk over the pending entries comes to.
cdef struct Walk:
    StreamId next                # where the next call goes on; 0-0: it is the end
    int64_t claimed
    int64_t deleted


cdef Walk walk_pending(const Claims *claims, StreamId start, int64_t limit) noexcept nogil:
    """What is to be claimed. Entries that are deleted count as tried and as claimed ones."""
    cdef Walk walk
    cdef IdPlace place
    cdef int what
    cdef bint found = index_from(&claims.group.pending, start, &place)
    cdef int64_t attempts = limit * AUTOCLAIM_ATTEMPTS if limit < INT64_MAX // AUTOCLAIM_ATTEMPTS else INT64_MAX
    walk.claimed = walk.deleted = 0
    walk.next = id_of(0, 0)
    while found and attempts and walk.claimed + walk.deleted < limit:
        what = claimable(claims, place_item(&place).id)
        walk.claimed += what == CLAIM_IT
        walk.deleted += what == CLAIM_DELETED
        attempts -= 1
        found = place_step(&place, True)
    if found:
        walk.next = place_item(&place).id
    return walk


cdef void claim_walked(Call *call, Claims *claims, StreamId start, const Walk *walk, list words) noexcept:
    """Claim and reply what the walk found; then the ids of the deleted ones."""
    cdef IdPlace place
    cdef StreamId id
    cdef int64_t left = walk.claimed
    reply_array(call.client, left)
    index_from(&claims.group.pending, start, &place)
    while left:
        id = place_item(&place).id
        if claimable(claims, id) == CLAIM_IT:
            claim(call, claims, id, words)
            reply_claimed(call, claims, id)
            left -= 1
        # Claiming changes nothing about the group's index, only what its items are.
        place_step(&place, True)
    left = walk.deleted
    reply_array(call.client, left)
    while left:
        index_from(&claims.group.pending, start, &place)
        while claimable(claims, place_item(&place).id) != CLAIM_DELETED:
            place_step(&place, True)
        start = place_item(&place).id
        reply_id(call.client, start)
        drop_pending(call, claims, start, <Pending *>place_item(&place).item, words)
        left -= 1


cdef void xautoclaim(Call *call) noexcept:
    cdef ClaimRequest request
    cdef Claims claims
    cdef StreamId start
    cdef Walk walk
    cdef int64_t limit = 0
    cdef list words = [] if propagates(call) else None
    if not parse_autoclaim(call, &request, &start, &limit) or not find_group(call, &claims):
        return
    claims.request = &request
    find_consumer(call, &claims, words)
    walk = walk_pending(&claims, start, limit)
    reply_array(call.client, 3)
    reply_id(call.client, walk.next)
    claim_walked(call, &claims, start, &walk, words)
    if words:
        propagate_as(call, words)
