"""XREAD and XREADGROUP: entries behind an id, of several streams, for a reader or a group's consumer.

Order: the options are parsed, then every stream is looked up and its id understood (any error ends the command before
something changed), then it is counted what each stream has to give, and only then replied, because the number of
streams comes first in the reply. With nothing to give the client waits; the request runs again when a key is ready.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy

from ranvier.engine.core cimport Arg, Call, Client
from ranvier.engine.dispatch cimport text_of
from ranvier.engine.effects cimport propagate_as, propagates
from ranvier.engine.memory cimport allocate, release
from ranvier.engine.modes.blocked cimport TIMED_OUT_NULL_ARRAY, block_on_keys, wake_when_gone
from ranvier.engine.native.blocking cimport parse_milliseconds
from ranvier.engine.native.common cimport arg_bytes, arg_is, integer_argument, reply_syntax_error
from ranvier.engine.native.stream_claims cimport claim_words, group_position_words
from ranvier.engine.native.streams cimport reply_entries, reply_entry
from ranvier.engine.reply cimport (
    reply_array, reply_bulk, reply_error, reply_error_bytes, reply_map, reply_null_array,
)
from ranvier.engine.store.entry cimport TYPE_STREAM
from ranvier.engine.types.id_index cimport (
    IdPlace, StreamId, id_compare, id_decrement, id_increment, id_largest, id_of, index_from, place_item, place_step,
)
from ranvier.engine.types.stream cimport Stream, StreamCursor, stream_count, stream_seek, stream_step
from ranvier.engine.types.stream_access cimport (
    id_argument, reply_id, stream_changed, stream_in, stream_open_other,
)
from ranvier.engine.types.stream_groups cimport (
    Consumer, Group, Pending, consumer_add, consumer_find, group_advance, group_find, pending_give,
)
from ranvier.engine.types.stream_id cimport ID_TEXT_BYTES, print_id
from ranvier.engine.types.value_access cimport OPEN_FAILED, OPEN_FOUND, OpenValue

cdef enum:
    UNLIMITED = <uint64_t>-1


cdef enum SourceMode:
    FROM_STREAM = 0              # entries behind an id
    FROM_GROUP = 1               # `>`: what the group has not delivered
    FROM_HISTORY = 2             # what pends for the consumer

# What one of the streams is asked for, and has to give.
cdef struct Source:
    int mode
    StreamId after
    uint64_t count
    bint is_served

cdef struct ReadRequest:
    bint is_grouped
    bint no_acknowledgement
    size_t group_at              # the place of the group's name; the consumer's stands behind it
    size_t first_key
    size_t streams
    int64_t timeout_ms           # -1: the client does not wait
    uint64_t limit


cdef native_t stream_read_handler(str name) except? NULL:
    return xread if name == "xread" else xreadgroup


# ---- the request ----------------------------------------------------------------------------------------------------

cdef bint only_grouped(Call *call, const ReadRequest *request, const char *error) noexcept:
    if not request.is_grouped:
        reply_error(call, error)
    return request.is_grouped


cdef bint parse_limit(Call *call, const Arg *arg, ReadRequest *request) noexcept:
    cdef int64_t limit = 0
    if not integer_argument(call, arg, &limit):
        return False
    request.limit = <uint64_t>limit if limit > 0 else UNLIMITED
    return True


cdef bint parse_streams(Call *call, size_t first, ReadRequest *request) noexcept:
    cdef size_t words = call.count - first
    request.first_key = first
    request.streams = words // 2
    if words % 2 == 0:
        return True
    if request.is_grouped:
        reply_error(call, b"ERR Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must be "
                          b"specified.")
    else:
        reply_error(call, b"ERR Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be "
                          b"specified.")
    return False


cdef bint parse_read(Call *call, ReadRequest *request) noexcept:
    """The options; 0 with the error replied."""
    cdef size_t i = 1
    cdef size_t more
    cdef const Arg *arg
    request.no_acknowledgement = False
    request.group_at = request.first_key = 0
    request.timeout_ms = -1
    request.limit = UNLIMITED
    while i < call.count and request.first_key == 0:
        arg = &call.args[i]
        more = call.count - i - 1
        if more and arg_is(arg, b"block"):
            if not parse_milliseconds(call, arg + 1, &request.timeout_ms):
                return False
            i += 2
        elif more and arg_is(arg, b"count"):
            if not parse_limit(call, arg + 1, request):
                return False
            i += 2
        elif more and arg_is(arg, b"streams"):
            if not parse_streams(call, i + 1, request):
                return False
        elif more >= 2 and arg_is(arg, b"group"):
            if not only_grouped(call, request, b"ERR The GROUP option is only supported by XREADGROUP. You called "
                                               b"XREAD instead."):
                return False
            request.group_at = i + 1
            i += 3
        elif arg_is(arg, b"noack"):
            if not only_grouped(call, request, b"ERR The NOACK option is only supported by XREADGROUP. You called "
                                               b"XREAD instead."):
                return False
            request.no_acknowledgement = True
            i += 1
        else:
            reply_syntax_error(call)
            return False
    if request.first_key == 0:
        reply_syntax_error(call)
        return False
    if request.is_grouped and request.group_at == 0:
        reply_error(call, b"ERR Missing GROUP option for XREADGROUP")
        return False
    return True


cdef void reply_no_group(Call *call, const Arg *key, const Arg *group) noexcept:
    call.failed = True
    reply_error_bytes(call.client, b"NOGROUP No such key '%s' or consumer group '%s' in XREADGROUP with GROUP option"
                      % (text_of(key), text_of(group)))


cdef inline Group *named_group(Call *call, const ReadRequest *request, const Stream *stream) noexcept nogil:
    cdef const Arg *name = &call.args[request.group_at]
    return group_find(stream, name.data, name.length)


cdef bint resolve(Call *call, const ReadRequest *request, size_t i, Source *source) noexcept:
    """Look the i-th stream up and understand its id; 0 with the error replied."""
    cdef const Arg *key = &call.args[request.first_key + i]
    cdef const Arg *arg = key + request.streams
    cdef Stream *stream = NULL
    cdef OpenValue opened
    cdef int found = stream_open_other(call, key, False, &opened)
    cdef char mark = arg.data[0] if arg.length == 1 else 0
    source.mode = FROM_HISTORY if request.is_grouped else FROM_STREAM
    source.is_served = False
    source.count = 0
    if found == OPEN_FAILED:
        return False
    if found == OPEN_FOUND:
        stream = stream_in(&opened)
    if request.is_grouped and (stream == NULL or named_group(call, request, stream) == NULL):
        reply_no_group(call, key, &call.args[request.group_at])
        return False
    if mark == c'>':
        source.mode = FROM_GROUP
        return only_grouped(call, request, b"ERR The > ID can be specified only when calling XREADGROUP using the "
                                           b"GROUP <group> <consumer> option.")
    if mark != c'$' and mark != c'+':
        return id_argument(call, arg, 0, &source.after)
    if request.is_grouped:
        meaningless(call, mark)
        return False
    source.after = stream.last_id if stream != NULL else id_of(0, 0)
    if mark == c'+':
        id_decrement(&source.after)      # the newest entry, if it is there yet
    return True


cdef void meaningless(Call *call, char mark) noexcept:
    cdef bytes which = b"%c" % mark
    call.failed = True
    reply_error_bytes(call.client, b"ERR The " + which + b" ID is meaningless in the context of XREADGROUP: you want "
                      b"to read the history of this consumer by specifying a proper ID, or use the > ID to get new "
                      b"messages. The " + which + b" ID would just return an empty result set.")


# ---- what there is to give ------------------------------------------------------------------------------------------

cdef bint seek_behind(const Stream *stream, StreamId id, StreamCursor *cursor) noexcept nogil:
    return id_increment(&id) and stream_seek(stream, id, True, cursor)


cdef uint64_t count_pending(const Consumer *consumer, StreamId start, uint64_t limit) noexcept nogil:
    cdef IdPlace place
    cdef uint64_t count = 0
    cdef bint found
    if start.ms == 0 and start.sequence <= 1:
        return consumer.pending.count if consumer.pending.count < limit else limit
    found = index_from(&consumer.pending, start, &place)
    while found and count < limit:
        count += 1
        found = place_step(&place, True)
    return count


cdef void plan_group(const ReadRequest *request, const Stream *stream, Group *group, Source *source) noexcept nogil:
    """Count, and let the group be so far as if it had delivered: the same stream may be asked for twice. `after` is
    where it really is."""
    cdef StreamCursor cursor
    cdef uint64_t _i
    source.after = group.last_id
    source.is_served = seek_behind(stream, group.last_id, &cursor)
    if not source.is_served:
        return
    source.count = stream_count(&cursor, id_largest(), True, request.limit)
    if request.streams == 1:
        return
    if source.count < request.limit:
        stream_seek(stream, id_largest(), False, &cursor)
    else:
        for _i in range(1, source.count):
            stream_step(&cursor, True)
    group.last_id = cursor.id


cdef Consumer *seen_consumer(const ReadRequest *request, OpenValue *opened, Group *group, list words) noexcept:
    """The consumer, made if there is none."""
    cdef Call *call = opened.call
    cdef const Arg *name = &call.args[request.group_at + 1]
    cdef Consumer *consumer = consumer_find(group, name.data, name.length)
    if consumer == NULL:
        consumer = consumer_add(&call.core.memory, group, name.data, name.length, call.core.wall_ms)
        stream_changed(opened, b"xgroup-createconsumer")
        if words is not None:
            words.append([b"XGROUP", b"CREATECONSUMER", opened.key[:opened.key_length],
                          arg_bytes(&call.args[request.group_at]), arg_bytes(name)])
    consumer.seen_ms = call.core.wall_ms
    return consumer


cdef void plan(Call *call, const ReadRequest *request, size_t i, Source *source, list words) noexcept:
    """Find out what the i-th stream has to give."""
    cdef OpenValue opened
    cdef StreamCursor cursor
    cdef Stream *stream
    cdef Group *group
    if stream_open_other(call, &call.args[request.first_key + i], False, &opened) != OPEN_FOUND:
        return
    stream = stream_in(&opened)
    if source.mode == FROM_STREAM:
        if seek_behind(stream, source.after, &cursor):
            source.is_served = True
            source.count = stream_count(&cursor, id_largest(), True, request.limit)
        return
    group = named_group(call, request, stream)
    seen_consumer(request, &opened, group, words)
    if source.mode == FROM_HISTORY:
        source.is_served = True
    else:
        plan_group(request, stream, group, source)


cdef void unplan(Call *call, const ReadRequest *request, size_t i, const Source *source) noexcept:
    """Have the group be where it was."""
    cdef OpenValue opened
    if source.mode == FROM_GROUP and stream_open_other(call, &call.args[request.first_key + i], False,
                                                       &opened) == OPEN_FOUND:
        named_group(call, request, stream_in(&opened)).last_id = source.after


# ---- replies --------------------------------------------------------------------------------------------------------

cdef void reply_history(Call *call, const Stream *stream, const Consumer *consumer, StreamId id,
                        uint64_t limit) noexcept:
    """What pends for the consumer, delivered once more; of a deleted entry the id alone."""
    cdef Client *client = call.client
    cdef StreamCursor cursor
    cdef IdPlace place
    cdef Pending *pending
    cdef uint64_t left = 0
    if id_increment(&id):
        left = count_pending(consumer, id, limit)
    reply_array(client, <int64_t>left)
    if left == 0:
        return
    index_from(&consumer.pending, id, &place)
    while left:
        id = place_item(&place).id
        pending = <Pending *>place_item(&place).item
        if stream_seek(stream, id, True, &cursor) and id_compare(cursor.id, id) == 0:
            reply_entry(client, &cursor)
            pending.delivered_ms = call.core.wall_ms
            pending.deliveries += 1
        else:
            reply_array(client, 2)
            reply_id(client, id)
            reply_null_array(client)
        left -= 1
        place_step(&place, True)


cdef void deliver(OpenValue *opened, const ReadRequest *request, Group *group, Consumer *consumer, uint64_t count,
                  list words) noexcept:
    """The next entries of the group, which pend for the consumer from now on."""
    cdef Call *call = opened.call
    cdef const Stream *stream = stream_in(opened)
    cdef StreamCursor cursor
    cdef Pending *pending
    reply_array(call.client, <int64_t>count)
    seek_behind(stream, group.last_id, &cursor)
    call.dirty += <int64_t>count
    while True:
        reply_entry(call.client, &cursor)
        group_advance(stream, group, cursor.id)
        if not request.no_acknowledgement:
            pending = pending_give(&call.core.memory, group, consumer, cursor.id)
            pending.delivered_ms = call.core.wall_ms
            pending.deliveries = 1
            consumer.active_ms = call.core.wall_ms
            if words is not None:
                words.append(claim_words(opened, group, cursor.id, pending))
        count -= 1
        if count == 0:
            break
        stream_step(&cursor, True)
    if words is not None:
        words.append(group_position_words(opened, group))


cdef void reply_source(Call *call, const ReadRequest *request, size_t i, const Source *source, list words) noexcept:
    cdef const Arg *key = &call.args[request.first_key + i]
    cdef const Arg *name = &call.args[request.group_at + 1]
    cdef OpenValue opened
    cdef StreamCursor cursor
    cdef Stream *stream
    cdef Group *group
    cdef Consumer *consumer
    stream_open_other(call, key, False, &opened)
    stream = stream_in(&opened)
    if call.client.protocol == 2:
        reply_array(call.client, 2)
    reply_bulk(call.client, key.data, key.length)
    if source.mode == FROM_STREAM:
        reply_array(call.client, <int64_t>source.count)
        seek_behind(stream, source.after, &cursor)
        reply_entries(call.client, &cursor, True, source.count)
        return
    group = named_group(call, request, stream)
    consumer = consumer_find(group, name.data, name.length)
    if source.mode == FROM_HISTORY:
        reply_history(call, stream, consumer, source.after, request.limit)
    else:
        deliver(&opened, request, group, consumer, source.count, words)


cdef void reply_served(Call *call, const ReadRequest *request, const Source *sources, int64_t served,
                       list words) noexcept:
    cdef size_t i
    if call.client.protocol == 2:
        reply_array(call.client, served)
    else:
        reply_map(call.client, served)
    for i in range(request.streams):
        if sources[i].is_served:
            reply_source(call, request, i, &sources[i], words)


# ---- waiting --------------------------------------------------------------------------------------------------------

cdef void wait_for_entries(Call *call, const ReadRequest *request, const Source *sources) noexcept:
    """Block. The request that is kept has the ids that `$` stands for at this moment."""
    cdef size_t ids = request.first_key + request.streams
    cdef char *texts = <char *>allocate(&call.core.memory, request.streams * (ID_TEXT_BYTES + sizeof(Arg)))
    cdef Arg *kept = <Arg *>texts
    cdef char *text = <char *>(kept + request.streams)
    cdef size_t i
    memcpy(kept, &call.args[ids], request.streams * sizeof(Arg))
    for i in range(request.streams):
        if kept[i].length == 1 and kept[i].data[0] == c'$':
            call.args[ids + i].data = text
            call.args[ids + i].length = print_id(text, sources[i].after)
            call.args[ids + i].blob = NULL
            text += ID_TEXT_BYTES
    block_on_keys(call, request.first_key, request.streams, TYPE_STREAM, request.timeout_ms, TIMED_OUT_NULL_ARRAY)
    if request.is_grouped:
        wake_when_gone(call.client)
    memcpy(&call.args[ids], kept, request.streams * sizeof(Arg))
    release(&call.core.memory, texts)


cdef void read_sources(Call *call, const ReadRequest *request, Source *sources) noexcept:
    cdef int64_t served = 0
    cdef size_t i
    cdef list words = [] if request.is_grouped and propagates(call) else None
    for i in range(request.streams):
        if not resolve(call, request, i, &sources[i]):
            return
    for i in range(request.streams):
        plan(call, request, i, &sources[i], words)
        served += sources[i].is_served
    if request.streams > 1:
        for i in range(request.streams):
            unplan(call, request, request.streams - 1 - i, &sources[request.streams - 1 - i])
    if served:
        reply_served(call, request, sources, served, words)
    elif request.timeout_ms >= 0:
        wait_for_entries(call, request, sources)
    else:
        reply_null_array(call.client)
    if words:
        propagate_as(call, words)


cdef void read_command(Call *call, bint is_grouped) noexcept:
    cdef ReadRequest request
    cdef Source *sources
    request.is_grouped = is_grouped
    if not parse_read(call, &request):
        return
    sources = <Source *>allocate(&call.core.memory, request.streams * sizeof(Source))
    read_sources(call, &request, sources)
    release(&call.core.memory, sources)


cdef void xread(Call *call) noexcept:
    read_command(call, False)


cdef void xreadgroup(Call *call) noexcept:
    read_command(call, True)
