"""Native handlers of the group stream: entries by id.

`stream_reads` holds XREAD and XREADGROUP, `stream_groups` the commands about groups and what is pending in them.
Entries are replied straight from their blocks into the output buffer.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint64_t

from ranvier.engine.dispatch cimport arguments
from ranvier.engine.effects cimport propagate_as, propagates
from ranvier.engine.native.common cimport arg_is, integer_argument, reply_syntax_error, reply_wrong_arity
from ranvier.engine.native.stream_groups cimport stream_group_handler
from ranvier.engine.native.stream_reads cimport stream_read_handler
from ranvier.engine.reply cimport (
    reply_array, reply_bulk, reply_bulk_integer, reply_error, reply_integer, reply_null, reply_null_array, reply_ok,
)
from ranvier.engine.types.id_index cimport id_compare, id_decrement, id_increment, id_is_zero, id_largest, id_of
from ranvier.engine.types.listpack cimport Element, element_read, element_size
from ranvier.engine.types.stream cimport (
    TRIM_NOTHING, TRIM_TO_ID, TRIM_TO_LENGTH, BlockLimits, Stream, Trim, stream_append, stream_count, stream_delete,
    stream_seek, stream_step, stream_trim,
)
from ranvier.engine.types.stream_access cimport (
    bound_argument, id_argument, reply_id, reply_invalid_id, stream_begin, stream_changed, stream_in, stream_open,
)
from ranvier.engine.types.stream_block cimport ENTRY_SAME_FIELDS
from ranvier.engine.types.stream_id cimport ID_TEXT_BYTES, parse_id, print_id
from ranvier.engine.types.value_access cimport OPEN_ABSENT, OPEN_FAILED, OPEN_FOUND, OpenValue

cdef enum:
    TRIM_LIMIT_BLOCKS = 100              # approximate trimming drops no more blocks at once, unless LIMIT says so
    TRIM_LIMIT_DEFAULT = 10000           # ... of entries, when blocks have no limit
    TRIM_LIMIT_ENTRIES = 1000000         # ... and never more entries than these


cdef native_t stream_handler(str name) except? NULL:
    if name == "xadd":
        return xadd
    if name == "xlen":
        return xlen
    if name == "xrange":
        return xrange_
    if name == "xrevrange":
        return xrevrange
    if name == "xdel":
        return xdel
    if name == "xtrim":
        return xtrim
    if name == "xsetid":
        return xsetid
    if name in ("xread", "xreadgroup"):
        return stream_read_handler(name)
    return stream_group_handler(name)


# ---- replies --------------------------------------------------------------------------------------------------------

cdef inline const uint8_t *reply_element(Client *client, const uint8_t *p) noexcept nogil:
    """The element; the address behind it."""
    cdef Element element
    element_read(p, &element)
    if element.data != NULL:
        reply_bulk(client, element.data, element.length)
    else:
        reply_bulk_integer(client, element.integer)
    return p + element_size(p)


cdef void reply_entry(Client *client, StreamCursor *cursor) noexcept nogil:
    cdef const uint8_t *field = cursor.fields
    cdef const uint8_t *value = cursor.values
    cdef size_t _i
    reply_array(client, 2)
    reply_id(client, cursor.id)
    reply_array(client, <int64_t>cursor.field_count * 2)
    if cursor.flags & ENTRY_SAME_FIELDS:
        for _i in range(cursor.field_count):
            field = reply_element(client, field)
            value = reply_element(client, value)
    else:
        for _i in range(cursor.field_count * 2):
            field = reply_element(client, field)
        value = field
    cursor.behind = value


cdef void reply_entries(Client *client, StreamCursor *cursor, bint forward, uint64_t count) noexcept nogil:
    while True:
        reply_entry(client, cursor)
        count -= 1
        if count == 0:
            return
        stream_step(cursor, forward)


# ---- XADD and XTRIM -------------------------------------------------------------------------------------------------

# What XADD and XTRIM are asked for.
cdef struct AddRequest:
    bint must_exist              # NOMKSTREAM
    bint is_automatic            # the id is *
    bint any_sequence            # ... or its sequence is
    StreamId id
    size_t id_at                 # its place in the arguments
    size_t threshold_at          # of MAXLEN or MINID; 0: none
    size_t limit_at              # the place of LIMIT; 0: none
    Trim trim


cdef bint parse_threshold(Call *call, size_t at, AddRequest *request) noexcept:
    """`[~ | =] threshold` behind MAXLEN or MINID at args[at]; 0 with the error replied."""
    cdef bint is_length = arg_is(&call.args[at], b"maxlen")
    cdef int64_t length = 0
    if request.trim.strategy != TRIM_NOTHING:
        reply_error(call, b"ERR syntax error, MAXLEN and MINID options at the same time are not compatible")
        return False
    request.trim.approximate = False
    at += 1
    if at + 1 < call.count and call.args[at].length == 1 and (
            call.args[at].data[0] == c'~' or call.args[at].data[0] == c'='):
        request.trim.approximate = call.args[at].data[0] == c'~'
        at += 1
    request.threshold_at = at
    if not is_length:
        request.trim.strategy = TRIM_TO_ID
        return id_argument(call, &call.args[at], 0, &request.trim.id)
    request.trim.strategy = TRIM_TO_LENGTH
    if not integer_argument(call, &call.args[at], &length):
        return False
    if length < 0:
        reply_error(call, b"ERR The MAXLEN argument must be >= 0.")
        return False
    request.trim.length = <uint64_t>length
    return True


cdef bint parse_limit(Call *call, size_t at, AddRequest *request) noexcept:
    cdef int64_t limit = 0
    if not integer_argument(call, &call.args[at + 1], &limit):
        return False
    if limit < 0:
        reply_error(call, b"ERR The LIMIT argument must be >= 0.")
        return False
    request.limit_at = at
    request.trim.limit = <uint64_t>limit
    return True


cdef bint check_limit(Call *call, AddRequest *request) noexcept:
    """LIMIT goes with ~ only, which has one of its own."""
    cdef int64_t entries = call.core.encodings.stream_node_entries
    if request.limit_at and request.trim.strategy == TRIM_NOTHING:
        reply_error(call, b"ERR syntax error, LIMIT cannot be used without specifying a trimming strategy")
        return False
    if request.limit_at and not request.trim.approximate and call.client.obeyed:
        # A primary of Redis 7.0 says how far it has come by an exact threshold, and leaves the LIMIT where it was.
        request.trim.limit = 0
        return True
    if request.limit_at and not request.trim.approximate:
        reply_error(call, b"ERR syntax error, LIMIT cannot be used without the special ~ option")
        return False
    if request.trim.approximate and not request.limit_at:
        request.trim.limit = TRIM_LIMIT_DEFAULT
        if 0 < entries < TRIM_LIMIT_ENTRIES // TRIM_LIMIT_BLOCKS:
            request.trim.limit = <uint64_t>entries * TRIM_LIMIT_BLOCKS
        elif entries > 0:
            request.trim.limit = TRIM_LIMIT_ENTRIES
    return True


cdef bint parse_id_to_add(Call *call, size_t at, AddRequest *request) noexcept:
    cdef const Arg *arg = &call.args[at]
    request.id_at = at
    request.is_automatic = arg.length == 1 and arg.data[0] == c'*'
    if request.is_automatic:
        return True
    if not parse_id(arg.data, arg.length, 0, &request.any_sequence, &request.id):
        reply_invalid_id(call)
        return False
    return True


cdef bint parse_add(Call *call, bint adds, AddRequest *request) noexcept:
    """The options of XTRIM, or those of XADD and its id; 0 with the error replied."""
    cdef size_t i = 2
    cdef const Arg *arg
    cdef bint more
    request.must_exist = request.is_automatic = request.any_sequence = False
    request.id_at = request.threshold_at = request.limit_at = 0
    request.trim.strategy = TRIM_NOTHING
    request.trim.approximate = False
    request.trim.limit = 0
    while i < call.count:
        arg = &call.args[i]
        more = i + 1 < call.count
        if adds and arg.length == 1 and arg.data[0] == c'*':
            break
        if more and (arg_is(arg, b"maxlen") or arg_is(arg, b"minid")):
            if not parse_threshold(call, i, request):
                return False
            i = request.threshold_at + 1
        elif more and arg_is(arg, b"limit"):
            if not parse_limit(call, i, request):
                return False
            i += 2
        elif adds and more and arg_is(arg, b"nomkstream"):
            request.must_exist = True
            i += 1
        elif adds:
            break
        else:
            reply_syntax_error(call)
            return False
    if adds and i < call.count and not parse_id_to_add(call, i, request):
        return False
    return check_limit(call, request)


cdef bint next_id(Call *call, Stream *stream, AddRequest *request) noexcept:
    """Complete the id that an entry gets; 0 with the error replied."""
    cdef StreamId *id = &request.id
    cdef StreamId last = stream.last_id
    if last.ms == <uint64_t>-1 and last.sequence == <uint64_t>-1:
        reply_error(call, b"ERR The stream has exhausted the last possible ID, unable to add more items")
        return False
    if request.is_automatic:
        id[0] = id_of(<uint64_t>call.core.wall_ms, 0)
        if id_compare(id[0], last) <= 0:
            id[0] = last
            id_increment(id)
        return True
    if request.any_sequence:
        id.sequence = 0
        if id.ms == last.ms and last.sequence != <uint64_t>-1:
            id.sequence = last.sequence + 1
        elif id.ms == last.ms:
            id.sequence = last.sequence
    if id_compare(id[0], last) > 0:
        return True
    reply_error(call, b"ERR The ID specified in XADD is equal or smaller than the target stream top item")
    return False


cdef object exact_threshold(const Stream *stream, const Trim *trim):
    """What approximate trimming came to; an id that nothing reaches when nothing is left."""
    cdef char text[ID_TEXT_BYTES]
    cdef size_t length
    if trim.strategy == TRIM_TO_LENGTH:
        return b"%d" % stream.length
    length = print_id(text, stream.first_id if stream.length else id_largest())
    return text[:length]


cdef void propagate_exactly(Call *call, const Stream *stream, const AddRequest *request) noexcept:
    """XADD with the id that was given out, and both with exact trimming, which needs no LIMIT."""
    cdef list words = arguments(call, 0)
    cdef char text[ID_TEXT_BYTES]
    cdef size_t length
    if request.is_automatic or request.any_sequence:
        length = print_id(text, request.id)
        words[request.id_at] = text[:length]
    if request.trim.approximate:
        words[request.threshold_at] = exact_threshold(stream, &request.trim)
        words[request.threshold_at - 1] = b"="
    if request.limit_at:
        del words[request.limit_at:request.limit_at + 2]
    propagate_as(call, [words])


cdef void xadd(Call *call) noexcept:
    cdef AddRequest request
    cdef OpenValue opened
    cdef Stream *stream
    cdef BlockLimits limits
    cdef Stream fresh
    cdef uint64_t gone
    cdef int found
    if not parse_add(call, True, &request):
        return
    if request.id_at == 0 or (call.count - request.id_at) % 2 == 0 or call.count - request.id_at < 3:
        reply_wrong_arity(call)
        return
    if not request.is_automatic and not request.any_sequence and id_is_zero(request.id):
        reply_error(call, b"ERR The ID specified in XADD must be greater than 0-0")
        return
    found = stream_open(call, True, &opened)
    if found == OPEN_FAILED:
        return
    if found == OPEN_ABSENT and request.must_exist:
        reply_null(call.client)
        return
    if found == OPEN_FOUND:
        stream = stream_in(&opened)
    else:
        fresh.last_id = id_of(0, 0)
        stream = &fresh
    if not next_id(call, stream, &request):
        return
    if found == OPEN_ABSENT:
        stream = stream_begin(&opened)
    limits.bytes = call.core.encodings.stream_node_bytes
    limits.entries = call.core.encodings.stream_node_entries
    if not stream_append(&call.core.memory, stream, request.id, &call.args[request.id_at + 1],
                         call.count - request.id_at - 1, &limits):
        reply_error(call, b"ERR Elements are too large to be stored")
        return
    reply_id(call.client, request.id)
    stream_changed(&opened, b"xadd")
    if request.trim.strategy != TRIM_NOTHING:
        gone = stream_trim(&call.core.memory, stream, &request.trim)
        if gone:
            stream_changed(&opened, b"xtrim")
    if propagates(call) and (request.is_automatic or request.any_sequence or request.trim.approximate):
        propagate_exactly(call, stream, &request)


cdef void xtrim(Call *call) noexcept:
    cdef AddRequest request
    cdef OpenValue opened
    cdef uint64_t gone = 0
    cdef int found
    if not parse_add(call, False, &request):
        return
    found = stream_open(call, True, &opened)
    if found == OPEN_FAILED:
        return
    if found == OPEN_FOUND:
        gone = stream_trim(&call.core.memory, stream_in(&opened), &request.trim)
        if gone:
            stream_changed(&opened, b"xtrim")
            call.dirty += <int64_t>gone - 1
            if propagates(call) and request.trim.approximate:
                propagate_exactly(call, stream_in(&opened), &request)
    reply_integer(call.client, <int64_t>gone)


# ---- ranges ---------------------------------------------------------------------------------------------------------

cdef void xlen(Call *call) noexcept:
    cdef OpenValue opened
    cdef int found = stream_open(call, False, &opened)
    if found != OPEN_FAILED:
        reply_integer(call.client, <int64_t>stream_in(&opened).length if found == OPEN_FOUND else 0)


cdef bint parse_edge(Call *call, const Arg *arg, uint64_t missing_sequence, StreamId *id, bint *is_outside) noexcept:
    cdef Arg inner = arg[0]
    is_outside[0] = arg.length > 1 and arg.data[0] == c'('
    if not is_outside[0]:
        return bound_argument(call, arg, missing_sequence, id)
    inner.data += 1
    inner.length -= 1
    return id_argument(call, &inner, missing_sequence, id)


cdef bint parse_start(Call *call, const Arg *arg, StreamId *id) noexcept:
    cdef bint is_outside
    if not parse_edge(call, arg, 0, id, &is_outside):
        return False
    if is_outside and not id_increment(id):
        reply_error(call, b"ERR invalid start ID for the interval")
        return False
    return True


cdef bint parse_end(Call *call, const Arg *arg, StreamId *id) noexcept:
    cdef bint is_outside
    if not parse_edge(call, arg, <uint64_t>-1, id, &is_outside):
        return False
    if is_outside and not id_decrement(id):
        reply_error(call, b"ERR invalid end ID for the interval")
        return False
    return True


cdef void reply_range(Call *call, const Stream *stream, StreamId start, StreamId end, bint forward,
                      uint64_t limit) noexcept:
    """The entries from start to end, in either direction."""
    cdef StreamCursor cursor
    cdef StreamId begin = start if forward else end
    cdef StreamId last = end if forward else start
    cdef uint64_t count = 0
    if id_compare(start, end) <= 0 and stream_seek(stream, begin, forward, &cursor):
        count = stream_count(&cursor, last, forward, limit)
    reply_array(call.client, <int64_t>count)
    if count:
        reply_entries(call.client, &cursor, forward, count)


cdef void range_command(Call *call, bint forward) noexcept:
    cdef OpenValue opened
    cdef StreamId start, end
    cdef int64_t limit = 0
    cdef size_t i = 4
    cdef bint limited = call.count > 4
    cdef int found
    if not parse_start(call, &call.args[2 if forward else 3], &start) \
            or not parse_end(call, &call.args[3 if forward else 2], &end):
        return
    while i < call.count:
        if i + 1 == call.count or not arg_is(&call.args[i], b"count"):
            reply_syntax_error(call)
            return
        if not integer_argument(call, &call.args[i + 1], &limit):
            return
        i += 2
    found = stream_open(call, False, &opened)
    if found == OPEN_FAILED:
        return
    if found == OPEN_ABSENT:
        reply_array(call.client, 0)
    elif limited and limit <= 0:
        reply_null_array(call.client)
    else:
        reply_range(call, stream_in(&opened), start, end, forward, <uint64_t>limit if limited else <uint64_t>-1)


cdef void xrange_(Call *call) noexcept:
    range_command(call, True)


cdef void xrevrange(Call *call) noexcept:
    range_command(call, False)


# ---- XDEL and XSETID ------------------------------------------------------------------------------------------------

cdef void xdel(Call *call) noexcept:
    cdef OpenValue opened
    cdef StreamId id
    cdef int64_t gone = 0
    cdef size_t i
    cdef int found = stream_open(call, True, &opened)
    if found == OPEN_FAILED:
        return
    if found == OPEN_FOUND:
        # Nothing goes unless all are ids.
        for i in range(2, call.count):
            if not id_argument(call, &call.args[i], 0, &id):
                return
        for i in range(2, call.count):
            parse_id(call.args[i].data, call.args[i].length, 0, NULL, &id)
            gone += stream_delete(&call.core.memory, stream_in(&opened), id)
        if gone:
            stream_changed(&opened, b"xdel")
            call.dirty += gone - 1
    reply_integer(call.client, gone)


cdef bint parse_setid(Call *call, StreamId *id, int64_t *entries_added, StreamId *max_deleted) noexcept:
    """XSETID's arguments; -1 and 0-0 where they are missing."""
    cdef size_t i = 3
    entries_added[0] = -1
    max_deleted[0] = id_of(0, 0)
    if not id_argument(call, &call.args[2], 0, id):
        return False
    while i < call.count:
        if i + 1 < call.count and arg_is(&call.args[i], b"entriesadded"):
            if not integer_argument(call, &call.args[i + 1], entries_added):
                return False
            if entries_added[0] < 0:
                reply_error(call, b"ERR entries_added must be positive")
                return False
        elif i + 1 < call.count and arg_is(&call.args[i], b"maxdeletedid"):
            if not id_argument(call, &call.args[i + 1], 0, max_deleted):
                return False
            if id_compare(id[0], max_deleted[0]) < 0:
                reply_error(call, b"ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id")
                return False
        else:
            reply_syntax_error(call)
            return False
        i += 2
    return True


cdef void xsetid(Call *call) noexcept:
    cdef OpenValue opened
    cdef StreamId id, max_deleted, top
    cdef StreamCursor cursor
    cdef int64_t entries_added = -1
    cdef Stream *stream
    cdef int found
    if not parse_setid(call, &id, &entries_added, &max_deleted):
        return
    found = stream_open(call, True, &opened)
    if found == OPEN_ABSENT:
        reply_error(call, b"ERR no such key")
    if found != OPEN_FOUND:
        return
    stream = stream_in(&opened)
    # A primary of Redis 7.0 has taken it.
    if id_compare(id, stream.max_deleted_id) < 0 and not call.client.obeyed:
        reply_error(call, b"ERR The ID specified in XSETID is smaller than current max_deleted_entry_id")
        return
    if stream.length:
        stream_seek(stream, id_largest(), False, &cursor)
        top = cursor.id
        if id_compare(id, top) < 0:
            reply_error(call, b"ERR The ID specified in XSETID is smaller than the target stream top item")
            return
        if 0 <= entries_added < <int64_t>stream.length:
            reply_error(call, b"ERR The entries_added specified in XSETID is smaller than the target stream length")
            return
    stream.last_id = id
    if entries_added >= 0:
        stream.entries_added = <uint64_t>entries_added
    if not id_is_zero(max_deleted):
        stream.max_deleted_id = max_deleted
    reply_ok(call.client)
    stream_changed(&opened, b"xsetid")
