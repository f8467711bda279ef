"""Commands about consumer groups: XGROUP, XACK, XPENDING.

`stream_claims` holds XCLAIM and XAUTOCLAIM, `stream_deletions` XACKDEL and XDELEX, `stream_reads` XREADGROUP.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t

from ranvier.engine.core cimport Arg, Call, Client
from ranvier.engine.dispatch cimport text_of
from ranvier.engine.effects cimport propagate_as, propagates
from ranvier.engine.native.common cimport arg_bytes, arg_is, integer_argument, reply_syntax_error
from ranvier.engine.native.stream_claims cimport id_bytes, reply_no_group, stream_claim_handler
from ranvier.engine.native.stream_deletions cimport stream_deletion_handler
from ranvier.engine.native.streams cimport parse_end, parse_start
from ranvier.engine.reply cimport (
    reply_array, reply_bulk, reply_bulk_integer, reply_error, reply_error_bytes, reply_integer, reply_null,
    reply_null_array, reply_ok,
)
from ranvier.engine.types.id_index cimport (
    IdIndex, IdPlace, StreamId, id_compare, id_of, index_first, index_from, index_last, place_item, place_step,
)
from ranvier.engine.types.name_list cimport name_of
from ranvier.engine.types.stream cimport Stream
from ranvier.engine.types.stream_access cimport (
    id_argument, reply_id, stream_begin, stream_changed, stream_in, stream_open, stream_open_other,
)
from ranvier.engine.types.stream_groups cimport (
    ENTRIES_READ_UNKNOWN, Consumer, Group, Pending, consumer_add, consumer_delete, consumer_find, group_add,
    group_delete, group_find, pending_remove,
)
from ranvier.engine.types.stream_id cimport parse_id
from ranvier.engine.types.value_access cimport OPEN_ABSENT, OPEN_FAILED, OPEN_FOUND, OpenValue


cdef native_t stream_group_handler(str name) except? NULL:
    if name == "xgroup_create":
        return xgroup_create
    if name == "xgroup_setid":
        return xgroup_setid
    if name == "xgroup_destroy":
        return xgroup_destroy
    if name == "xgroup_createconsumer":
        return xgroup_createconsumer
    if name == "xgroup_delconsumer":
        return xgroup_delconsumer
    if name == "xack":
        return xack
    if name == "xpending":
        return xpending
    if name in ("xclaim", "xautoclaim"):
        return stream_claim_handler(name)
    return stream_deletion_handler(name)


cdef enum:
    CREATE_ARGUMENTS = 8         # options may be repeated, but not more often than that
    SETID_ARGUMENTS = 7


# ---- XGROUP ---------------------------------------------------------------------------------------------------------

cdef bint open_stream(Call *call, OpenValue *opened) noexcept:
    """The stream args[2], for XGROUP's subcommands; 0 with the error replied."""
    cdef int found = stream_open_other(call, &call.args[2], True, opened)
    if found == OPEN_ABSENT:
        reply_error(call, b"ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to "
                          b"use the MKSTREAM option to create an empty stream automatically.")
    return found == OPEN_FOUND


cdef Group *open_group(Call *call, OpenValue *opened) noexcept:
    """The group args[3] of the stream args[2], for XGROUP's subcommands; NULL with the error replied."""
    cdef const Arg *name = &call.args[3]
    cdef Group *group
    if not open_stream(call, opened):
        return NULL
    group = group_find(stream_in(opened), name.data, name.length)
    if group == NULL:
        call.failed = True
        reply_error_bytes(call.client, b"NOGROUP No such consumer group '%s' for key name '%s'" % (
            text_of(name), text_of(&call.args[2])))
    return group


cdef void reply_bad_options(Call *call) noexcept:
    call.failed = True
    reply_error_bytes(call.client, b"ERR unknown subcommand or wrong number of arguments for '%.128s'. Try XGROUP HELP."
                      % text_of(&call.args[1]))


cdef bint parse_group_options(Call *call, bint creates, bint *makes_stream, int64_t *entries_read) noexcept:
    """MKSTREAM and ENTRIESREAD, from args[5] on; 0 with the error replied."""
    cdef size_t i = 5
    makes_stream[0] = False
    entries_read[0] = ENTRIES_READ_UNKNOWN
    while i < call.count:
        if creates and arg_is(&call.args[i], b"mkstream"):
            makes_stream[0] = True
            i += 1
        elif i + 1 < call.count and arg_is(&call.args[i], b"entriesread"):
            if not integer_argument(call, &call.args[i + 1], entries_read):
                return False
            if entries_read[0] < ENTRIES_READ_UNKNOWN:
                reply_error(call, b"ERR value for ENTRIESREAD must be positive or -1")
                return False
            i += 2
        else:
            reply_bad_options(call)
            return False
    return True


cdef bint group_id(Call *call, const Stream *stream, StreamId *id) noexcept:
    """args[4]; `$` is the stream's last id."""
    cdef const Arg *arg = &call.args[4]
    if arg.length == 1 and arg.data[0] == c'$':
        id[0] = stream.last_id if stream != NULL else id_of(0, 0)
        return True
    return id_argument(call, arg, 0, id)


cdef void propagate_resolved(Call *call, StreamId id) noexcept:
    """With the id that `$` stands for."""
    cdef list words
    cdef size_t i
    if propagates(call) and call.args[4].length == 1 and call.args[4].data[0] == c'$':
        words = []
        for i in range(call.count):
            words.append(id_bytes(id) if i == 4 else arg_bytes(&call.args[i]))
        propagate_as(call, [words])


cdef void xgroup_create(Call *call) noexcept:
    cdef const Arg *name = &call.args[3]
    cdef OpenValue opened
    cdef Stream *stream = NULL
    cdef StreamId id
    cdef bint makes_stream
    cdef int64_t entries_read
    cdef int found = OPEN_FOUND
    if not parse_group_options(call, True, &makes_stream, &entries_read):
        return
    if makes_stream:
        found = stream_open_other(call, &call.args[2], True, &opened)
        if found == OPEN_FAILED:
            return
    elif not open_stream(call, &opened):
        return
    if found == OPEN_FOUND:
        stream = stream_in(&opened)
    if call.count > CREATE_ARGUMENTS:
        reply_bad_options(call)
        return
    if not group_id(call, stream, &id):
        return
    if stream == NULL:
        stream = stream_begin(&opened)
    elif group_find(stream, name.data, name.length) != NULL:
        reply_error(call, b"BUSYGROUP Consumer Group name already exists")
        return
    group_add(&call.core.memory, stream, name.data, name.length, id, entries_read)
    reply_ok(call.client)
    stream_changed(&opened, b"xgroup-create")
    propagate_resolved(call, id)


cdef void xgroup_setid(Call *call) noexcept:
    cdef OpenValue opened
    cdef StreamId id
    cdef bint makes_stream
    cdef int64_t entries_read
    cdef Group *group
    if not parse_group_options(call, False, &makes_stream, &entries_read):
        return
    group = open_group(call, &opened)
    if group != NULL and call.count > SETID_ARGUMENTS:
        reply_bad_options(call)
        return
    if group == NULL or not group_id(call, stream_in(&opened), &id):
        return
    group.last_id = id
    group.entries_read = entries_read
    reply_ok(call.client)
    stream_changed(&opened, b"xgroup-setid")
    propagate_resolved(call, id)


cdef void xgroup_destroy(Call *call) noexcept:
    cdef const Arg *name = &call.args[3]
    cdef OpenValue opened
    cdef Group *group
    if not open_stream(call, &opened):
        return
    group = group_find(stream_in(&opened), name.data, name.length)
    reply_integer(call.client, group != NULL)
    if group != NULL:
        group_delete(&call.core.memory, stream_in(&opened), group)
        stream_changed(&opened, b"xgroup-destroy")


cdef void xgroup_createconsumer(Call *call) noexcept:
    cdef const Arg *name = &call.args[4]
    cdef OpenValue opened
    cdef Group *group = open_group(call, &opened)
    cdef bint is_new
    if group == NULL:
        return
    is_new = consumer_find(group, name.data, name.length) == NULL
    reply_integer(call.client, is_new)
    if is_new:
        consumer_add(&call.core.memory, group, name.data, name.length, call.core.wall_ms)
        stream_changed(&opened, b"xgroup-createconsumer")


cdef void xgroup_delconsumer(Call *call) noexcept:
    cdef const Arg *name = &call.args[4]
    cdef OpenValue opened
    cdef Group *group = open_group(call, &opened)
    cdef Consumer *consumer
    if group == NULL:
        return
    consumer = consumer_find(group, name.data, name.length)
    if consumer == NULL:
        reply_integer(call.client, 0)
        return
    reply_integer(call.client, <int64_t>consumer_delete(&call.core.memory, group, consumer))
    stream_changed(&opened, b"xgroup-delconsumer")


# ---- XACK -----------------------------------------------------------------------------------------------------------

cdef void xack(Call *call) noexcept:
    cdef const Arg *name = &call.args[2]
    cdef OpenValue opened
    cdef Group *group = NULL
    cdef StreamId id
    cdef int64_t gone = 0
    cdef size_t i
    cdef int found = stream_open(call, False, &opened)
    if found == OPEN_FAILED:
        return
    if found == OPEN_FOUND:
        group = group_find(stream_in(&opened), name.data, name.length)
    if group != NULL:
        for i in range(3, call.count):
            if not id_argument(call, &call.args[i], 0, &id):
                return
        for i in range(3, call.count):
            parse_id(call.args[i].data, call.args[i].length, 0, NULL, &id)
            gone += pending_remove(&call.core.memory, group, id)
        call.dirty += gone
    reply_integer(call.client, gone)


# ---- XPENDING -------------------------------------------------------------------------------------------------------

cdef void reply_summary(Client *client, const Group *group) noexcept nogil:
    """How many entries pend, from where to where, and for whom."""
    cdef const Consumer *consumer
    cdef IdPlace first, last
    cdef int64_t busy = 0
    cdef size_t i
    reply_array(client, 4)
    reply_integer(client, <int64_t>group.pending.count)
    if not index_first(&group.pending, &first):
        reply_null(client)
        reply_null(client)
        reply_null_array(client)
        return
    index_last(&group.pending, &last)
    reply_id(client, place_item(&first).id)
    reply_id(client, place_item(&last).id)
    for i in range(group.consumers.count):
        busy += (<const Consumer *>group.consumers.items[i]).pending.count != 0
    reply_array(client, busy)
    for i in range(group.consumers.count):
        consumer = <const Consumer *>group.consumers.items[i]
        if consumer.pending.count:
            reply_array(client, 2)
            reply_bulk(client, name_of(consumer), consumer.name.length)
            reply_bulk_integer(client, <int64_t>consumer.pending.count)


cdef struct PendingRequest:
    int64_t least_idle_ms
    int64_t limit
    StreamId start
    StreamId end
    size_t consumer_at           # the place of the consumer's name; 0: all consumers


cdef bint parse_pending(Call *call, PendingRequest *request) noexcept:
    """The long form: `[IDLE ms] start end count [consumer]`."""
    cdef size_t i = 3
    request.least_idle_ms = 0
    if call.count < 6 or call.count > 9:
        reply_syntax_error(call)
        return False
    if arg_is(&call.args[3], b"idle"):
        if not integer_argument(call, &call.args[4], &request.least_idle_ms):
            return False
        if call.count < 8:
            reply_syntax_error(call)
            return False
        i = 5
    if not integer_argument(call, &call.args[i + 2], &request.limit) \
            or not parse_start(call, &call.args[i], &request.start) \
            or not parse_end(call, &call.args[i + 1], &request.end):
        return False
    request.consumer_at = i + 3 if i + 3 < call.count else 0
    return True


cdef inline bint is_wanted(const IdPlace *place, int64_t now_ms, const PendingRequest *request) noexcept nogil:
    return now_ms - (<const Pending *>place_item(place).item).delivered_ms >= request.least_idle_ms


cdef int64_t count_pending(const IdIndex *pending, int64_t now_ms, const PendingRequest *request) noexcept nogil:
    cdef IdPlace place
    cdef int64_t count = 0
    cdef bint found = index_from(pending, request.start, &place)
    while found and count < request.limit and id_compare(place_item(&place).id, request.end) <= 0:
        count += request.least_idle_ms == 0 or is_wanted(&place, now_ms, request)
        found = place_step(&place, True)
    return count


cdef void reply_pending(Client *client, const IdIndex *pending, int64_t now_ms,
                        const PendingRequest *request) noexcept nogil:
    cdef const Pending *found
    cdef const Consumer *consumer
    cdef IdPlace place
    cdef int64_t count = count_pending(pending, now_ms, request)
    cdef int64_t idle_ms
    reply_array(client, count)
    index_from(pending, request.start, &place)
    while count > 0:
        if request.least_idle_ms == 0 or is_wanted(&place, now_ms, request):
            found = <const Pending *>place_item(&place).item
            consumer = found.consumer
            idle_ms = now_ms - found.delivered_ms
            reply_array(client, 4)
            reply_id(client, place_item(&place).id)
            reply_bulk(client, name_of(consumer), consumer.name.length)
            reply_integer(client, idle_ms if idle_ms > 0 else 0)
            reply_integer(client, <int64_t>found.deliveries)
            count -= 1
        place_step(&place, True)


cdef void xpending(Call *call) noexcept:
    cdef const Arg *name = &call.args[2]
    cdef PendingRequest request
    cdef OpenValue opened
    cdef Group *group = NULL
    cdef Consumer *consumer
    cdef int found
    if call.count != 3 and not parse_pending(call, &request):
        return
    found = stream_open(call, False, &opened)
    if found == OPEN_FAILED:
        return
    if found == OPEN_FOUND:
        group = group_find(stream_in(&opened), name.data, name.length)
    if group == NULL:
        reply_no_group(call, &call.args[1], name)
    elif call.count == 3:
        reply_summary(call.client, group)
    elif request.consumer_at == 0:
        reply_pending(call.client, &group.pending, call.core.wall_ms, &request)
    else:
        name = &call.args[request.consumer_at]
        consumer = consumer_find(group, name.data, name.length)
        if consumer == NULL:
            reply_array(call.client, 0)
        else:
            reply_pending(call.client, &consumer.pending, call.core.wall_ms, &request)
