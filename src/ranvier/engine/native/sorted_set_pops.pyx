"""Native handlers of the group sorted-set that take members from the ends, the blocking ones included."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t

from ranvier.engine.core cimport Arg, Call
from ranvier.engine.effects cimport propagate_as, propagates
from ranvier.engine.modes.blocked cimport TIMED_OUT_NULL_ARRAY, block_on_keys
from ranvier.engine.native.blocking cimport parse_seconds
from ranvier.engine.native.common cimport arg_bytes, arg_is, reply_syntax_error
from ranvier.engine.native.sorted_set_replies cimport (
    REPLY_BY_PROTOCOL, REPLY_FLAT, REPLY_NESTED, reply_pairs_header, reply_ranks,
)
from ranvier.engine.number cimport parse_integer
from ranvier.engine.reply cimport reply_array, reply_bulk, reply_error, reply_null_array
from ranvier.engine.store.entry cimport TYPE_SORTED_SET
from ranvier.engine.types.sorted_set cimport Ranks, sorted_set_count, sorted_set_remove_ranks
from ranvier.engine.types.sorted_set_access cimport sorted_set_open, sorted_set_open_other, sorted_set_taken_out
from ranvier.engine.types.value_access cimport OPEN_ABSENT, OPEN_FAILED, OPEN_FOUND, OpenValue

# What ZMPOP asks for.
cdef struct PopRequest:
    size_t first_key             # its place in the arguments
    size_t end                   # behind the last key
    int64_t count
    bint highest


cdef native_t sorted_set_pop_handler(str name) except? NULL:
    if name == "zpopmin":
        return zpopmin
    if name == "zpopmax":
        return zpopmax
    if name == "zmpop":
        return zmpop
    if name == "bzpopmin":
        return bzpopmin
    if name == "bzpopmax":
        return bzpopmax
    if name == "bzmpop":
        return bzmpop
    return NULL


cdef inline Ranks ranks_at_end(const OpenValue *opened, bint highest, int64_t count) noexcept nogil:
    """The `count` (or fewer) members at one end."""
    cdef Ranks ranks
    cdef size_t length = sorted_set_count(&opened.value)
    ranks.count = <size_t>count if <size_t>count < length else length
    ranks.first = length - ranks.count if highest else 0
    return ranks


cdef inline void take(OpenValue *opened, const Ranks *ranks, bint highest) noexcept:
    """Take out what was replied; tell of it."""
    sorted_set_remove_ranks(&opened.value, ranks)
    sorted_set_taken_out(opened, b"zpopmax" if highest else b"zpopmin", <int64_t>ranks.count)


cdef void propagate_pop(Call *call, const Arg *key, bint highest, int64_t count) noexcept:
    """As the plain command; a negative count: without one."""
    cdef list request
    if propagates(call):
        request = [b"ZPOPMAX" if highest else b"ZPOPMIN", arg_bytes(key)]
        if count >= 0:
            request.append(b"%d" % count)
        propagate_as(call, [request])


cdef inline bint positive(Call *call, const Arg *arg, int64_t *value, const char *error) noexcept:
    if parse_integer(arg.data, arg.length, value) and value[0] > 0:
        return True
    reply_error(call, error)
    return False


# ---- ZPOPMIN and ZPOPMAX --------------------------------------------------------------------------------------------

cdef inline void pop(Call *call, bint highest) noexcept:
    cdef OpenValue opened
    cdef Ranks ranks
    cdef int64_t count = 1
    cdef int found
    if call.count > 3:
        reply_syntax_error(call)
        return
    if call.count == 3 and (not parse_integer(call.args[2].data, call.args[2].length, &count) or count < 0):
        reply_error(call, b"ERR value is out of range, must be positive")
        return
    found = sorted_set_open(call, True, &opened)
    if found == OPEN_FAILED:
        return
    if found == OPEN_ABSENT or count == 0:
        reply_array(call.client, 0)
        return
    ranks = ranks_at_end(&opened, highest, count)
    if call.count == 2:
        # Without a count the pair is the reply, in RESP3 as well.
        reply_array(call.client, 2)
        reply_ranks(call.client, &opened.value, &ranks, highest, True, REPLY_FLAT)
    else:
        reply_pairs_header(call.client, <int64_t>ranks.count, True)
        reply_ranks(call.client, &opened.value, &ranks, highest, True, REPLY_BY_PROTOCOL)
    take(&opened, &ranks, highest)


cdef void zpopmin(Call *call) noexcept:
    pop(call, False)


cdef void zpopmax(Call *call) noexcept:
    pop(call, True)


# ---- ZMPOP ----------------------------------------------------------------------------------------------------------

cdef bint parse_count(Call *call, size_t first, int64_t *count) noexcept:
    """`[COUNT count]` from args[first] on."""
    count[0] = 1
    if first == call.count:
        return True
    if not arg_is(&call.args[first], b"count") or first + 1 == call.count:
        reply_syntax_error(call)
        return False
    if not positive(call, &call.args[first + 1], count, b"ERR count should be greater than 0"):
        return False
    if first + 2 != call.count:
        reply_syntax_error(call)
        return False
    return True


cdef bint parse_pop_request(Call *call, size_t first, PopRequest *request) noexcept:
    """numkeys, keys, MIN or MAX, and count from args[first] on; 0 with the error replied."""
    cdef int64_t keys = 0
    if not positive(call, &call.args[first], &keys, b"ERR numkeys should be greater than 0"):
        return False
    if keys >= <int64_t>(call.count - first - 1):
        reply_syntax_error(call)
        return False
    request.first_key = first + 1
    request.end = request.first_key + <size_t>keys
    request.highest = arg_is(&call.args[request.end], b"max")
    if not request.highest and not arg_is(&call.args[request.end], b"min"):
        reply_syntax_error(call)
        return False
    return parse_count(call, request.end + 1, &request.count)


cdef bint pop_from_first(Call *call, const PopRequest *request) noexcept:
    """0: there is no sorted set at any of the keys, and nothing is replied."""
    cdef OpenValue opened
    cdef Ranks ranks
    cdef size_t i
    cdef int found
    for i in range(request.first_key, request.end):
        found = sorted_set_open_other(call, &call.args[i], True, &opened)
        if found == OPEN_FAILED:
            return True
        if found == OPEN_FOUND:
            ranks = ranks_at_end(&opened, request.highest, request.count)
            reply_array(call.client, 2)
            reply_bulk(call.client, opened.key, opened.key_length)
            reply_array(call.client, <int64_t>ranks.count)
            reply_ranks(call.client, &opened.value, &ranks, request.highest, True, REPLY_NESTED)
            take(&opened, &ranks, request.highest)
            propagate_pop(call, &call.args[i], request.highest, <int64_t>ranks.count)
            return True
    return False


cdef void zmpop(Call *call) noexcept:
    cdef PopRequest request
    if parse_pop_request(call, 1, &request) and not pop_from_first(call, &request):
        reply_null_array(call.client)


# ---- blocking -------------------------------------------------------------------------------------------------------

cdef void blocking_pop(Call *call, bint highest) noexcept:
    cdef OpenValue opened
    cdef Ranks ranks
    cdef int64_t timeout_ms = 0
    cdef size_t i
    cdef int found
    if not parse_seconds(call, &call.args[call.count - 1], &timeout_ms):
        return
    for i in range(1, call.count - 1):
        found = sorted_set_open_other(call, &call.args[i], True, &opened)
        if found == OPEN_FAILED:
            return
        if found == OPEN_FOUND:
            ranks = ranks_at_end(&opened, highest, 1)
            reply_array(call.client, 3)
            reply_bulk(call.client, opened.key, opened.key_length)
            reply_ranks(call.client, &opened.value, &ranks, highest, True, REPLY_FLAT)
            take(&opened, &ranks, highest)
            propagate_pop(call, &call.args[i], highest, -1)
            return
    block_on_keys(call, 1, call.count - 2, TYPE_SORTED_SET, timeout_ms, TIMED_OUT_NULL_ARRAY)


cdef void bzpopmin(Call *call) noexcept:
    blocking_pop(call, False)


cdef void bzpopmax(Call *call) noexcept:
    blocking_pop(call, True)


cdef void bzmpop(Call *call) noexcept:
    cdef int64_t timeout_ms = 0
    cdef PopRequest request
    if parse_pop_request(call, 2, &request) and parse_seconds(call, &call.args[1], &timeout_ms) \
            and not pop_from_first(call, &request):
        block_on_keys(call, request.first_key, request.end - request.first_key, TYPE_SORTED_SET, timeout_ms,
                      TIMED_OUT_NULL_ARRAY)
