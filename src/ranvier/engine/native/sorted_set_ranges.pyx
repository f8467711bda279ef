"""Native handlers of the group sorted-set that name a range: by rank, by score, by name.

Each reads its arguments into a `Range`, turns that into ranks, and works on those: replies, counts, removes or copies.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t

from ranvier.engine.core cimport Arg, Call
from ranvier.engine.memory cimport Memory
from ranvier.engine.native.common cimport arg_is, integer_argument, reply_syntax_error
from ranvier.engine.native.sorted_set_replies cimport REPLY_BY_PROTOCOL, reply_pairs_header, reply_ranks
from ranvier.engine.reply cimport reply_array, reply_error, reply_integer
from ranvier.engine.store.entry cimport ENCODING_ORDERED
from ranvier.engine.types.listpack cimport INTEGER_TEXT_BYTES, element_text
from ranvier.engine.types.ordered cimport PROBE_NAME, PROBE_SCORE, Probe
from ranvier.engine.types.score cimport parse_score_limit
from ranvier.engine.types.sorted_set cimport (
    Ranks, Scored, SortedSet, SortedSetPolicy, Spot, sorted_set_add, sorted_set_between, sorted_set_count,
    sorted_set_expect, sorted_set_new, sorted_set_remove_ranks, sorted_set_seek, spot_read, spot_step,
)
from ranvier.engine.types.sorted_set_access cimport (
    sorted_set_open, sorted_set_open_other, sorted_set_policy, sorted_set_replace, sorted_set_taken_out,
)
from ranvier.engine.types.value_access cimport OPEN_FAILED, OPEN_FOUND, OpenValue

cdef enum RangeKind:
    BY_UNKNOWN = 0               # ZRANGE until an option says more: by rank
    BY_RANK = 1
    BY_SCORE = 2
    BY_NAME = 3

cdef struct Range:
    int kind
    bint reverse
    bint with_scores
    int64_t offset
    int64_t limit                # negative: none
    int64_t start                # by rank; negative: from the end
    int64_t stop
    bint empty                   # by name: from behind all, or to before all
    Probe *low                   # by score and name; NULL: no limit
    Probe *high
    Probe low_probe
    Probe high_probe


cdef native_t sorted_set_range_handler(str name) except? NULL:
    if name == "zrange":
        return zrange
    if name == "zrevrange":
        return zrevrange
    if name == "zrangebyscore":
        return zrangebyscore
    if name == "zrevrangebyscore":
        return zrevrangebyscore
    if name == "zrangebylex":
        return zrangebylex
    if name == "zrevrangebylex":
        return zrevrangebylex
    if name == "zrangestore":
        return zrangestore
    if name == "zcount":
        return zcount
    if name == "zlexcount":
        return zlexcount
    if name == "zremrangebyrank":
        return zremrangebyrank
    if name == "zremrangebyscore":
        return zremrangebyscore
    if name == "zremrangebylex":
        return zremrangebylex
    return NULL


# ---- reading a range ------------------------------------------------------------------------------------------------

cdef bint parse_score_end(const Arg *arg, Probe *probe, bint is_low) noexcept nogil:
    """A score, excluded when a parenthesis stands before it."""
    cdef bint excluded = arg.length > 0 and arg.data[0] == c'('
    probe.kind = PROBE_SCORE
    probe.beyond = excluded if is_low else not excluded
    return parse_score_limit(arg.data + excluded, arg.length - excluded, &probe.score)


cdef bint parse_name_end(const Arg *arg, Probe **used, Probe *probe, bint is_low, bint *empty) noexcept nogil:
    """[name, (name, or one of + and -, behind and before all names; these two are C strings."""
    cdef char first = arg.data[0] if arg.length else 0
    used[0] = NULL
    if first == c'+' or first == c'-':
        if (first == c'+') == is_low:
            empty[0] = True
        return arg.length == 1 or arg.data[1] == 0
    if first != c'(' and first != c'[':
        return False
    used[0] = probe
    probe.kind = PROBE_NAME
    probe.beyond = (first == c'(') == is_low
    probe.text = arg.data + 1
    probe.length = arg.length - 1
    return True


cdef bint parse_ends(Call *call, Range *span, const Arg *low, const Arg *high) noexcept:
    """The range's ends, by its kind; 0 with the error replied."""
    span.empty = False
    if span.kind == BY_RANK:
        return integer_argument(call, low, &span.start) and integer_argument(call, high, &span.stop)
    if span.kind == BY_SCORE:
        span.low = &span.low_probe
        span.high = &span.high_probe
        if parse_score_end(low, span.low, True) and parse_score_end(high, span.high, False):
            return True
        reply_error(call, b"ERR min or max is not a float")
        return False
    if parse_name_end(low, &span.low, &span.low_probe, True, &span.empty) \
            and parse_name_end(high, &span.high, &span.high_probe, False, &span.empty):
        return True
    reply_error(call, b"ERR min or max not valid string range item")
    return False


cdef Ranks ranks_of(const SortedSet *value, const Range *span) noexcept nogil:
    """Which members the range holds; its LIMIT apart."""
    cdef Ranks ranks
    cdef int64_t count = <int64_t>sorted_set_count(value)
    cdef int64_t start = span.start
    cdef int64_t stop = span.stop
    ranks.first = ranks.count = 0
    if span.kind != BY_RANK:
        return ranks if span.empty else sorted_set_between(value, span.low, span.high, span.reverse)
    if start < 0:
        start = start + count if start + count > 0 else 0
    if stop < 0:
        stop += count
    if stop >= count:
        stop = count - 1
    if start <= stop:
        ranks.first = <size_t>(count - 1 - stop if span.reverse else start)
        ranks.count = <size_t>(stop - start + 1)
    return ranks


cdef void apply_limit(const SortedSet *value, const Range *span, Ranks *ranks) noexcept nogil:
    cdef int64_t count = <int64_t>ranks.count
    cdef int64_t offset = span.offset
    cdef int64_t limit = span.limit
    # A negative offset leaves nothing, but counts from the range's end in an index, as in Valkey 9.1.2.
    if offset < 0:
        offset = offset + count if value.encoding == ENCODING_ORDERED and offset + count >= 0 else count
    if offset > count:
        offset = count
    if limit < 0 or limit > count - offset:
        limit = count - offset
    ranks.first += <size_t>(count - offset - limit if span.reverse else offset)
    ranks.count = <size_t>limit


# ---- ZRANGE and its kin ---------------------------------------------------------------------------------------------

cdef int parse_range_option(Call *call, size_t i, Range *span, int fixed_kind, bint to_store) noexcept:
    """How many arguments the option at args[i] takes; 0 with the error replied."""
    cdef Arg *arg = &call.args[i]
    if not to_store and arg_is(arg, b"withscores"):
        span.with_scores = True
        return 1
    if i + 2 < call.count and arg_is(arg, b"limit"):
        return 3 if integer_argument(call, arg + 1, &span.offset) \
            and integer_argument(call, arg + 2, &span.limit) else 0
    if fixed_kind == BY_UNKNOWN and not span.reverse and arg_is(arg, b"rev"):
        span.reverse = True
        return 1
    if span.kind == BY_UNKNOWN and arg_is(arg, b"bylex"):
        span.kind = BY_NAME
        return 1
    if span.kind == BY_UNKNOWN and arg_is(arg, b"byscore"):
        span.kind = BY_SCORE
        return 1
    reply_syntax_error(call)
    return 0


cdef bint parse_range(Call *call, Range *span, size_t first, int kind, bint reverse, bint to_store) noexcept:
    """Ends at args[first], options behind them; 0 with the error replied."""
    cdef size_t i = first + 2
    cdef int taken
    span.kind = kind
    span.reverse = reverse
    span.with_scores = False
    span.offset = 0
    span.limit = -1
    while i < call.count:
        taken = parse_range_option(call, i, span, kind, to_store)
        if taken == 0:
            return False
        i += <size_t>taken
    if span.kind == BY_UNKNOWN:
        span.kind = BY_RANK
    if span.limit != -1 and span.kind == BY_RANK:
        reply_error(call, b"ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX")
        return False
    if span.with_scores and span.kind == BY_NAME:
        reply_error(call, b"ERR syntax error, WITHSCORES not supported in combination with BYLEX")
        return False
    # Backwards, the higher end comes first.
    if span.reverse and span.kind != BY_RANK:
        return parse_ends(call, span, &call.args[first + 1], &call.args[first])
    return parse_ends(call, span, &call.args[first], &call.args[first + 1])


cdef void reply_range(Call *call, int kind, bint reverse) noexcept:
    cdef Range span
    cdef OpenValue opened
    cdef Ranks ranks
    cdef int found
    if not parse_range(call, &span, 2, kind, reverse, False):
        return
    found = sorted_set_open(call, False, &opened)
    if found == OPEN_FAILED:
        return
    if found != OPEN_FOUND:
        reply_array(call.client, 0)
        return
    ranks = ranks_of(&opened.value, &span)
    if span.kind != BY_RANK:
        apply_limit(&opened.value, &span, &ranks)
    reply_pairs_header(call.client, <int64_t>ranks.count, span.with_scores)
    reply_ranks(call.client, &opened.value, &ranks, span.reverse, span.with_scores, REPLY_BY_PROTOCOL)


cdef void zrange(Call *call) noexcept:
    reply_range(call, BY_UNKNOWN, False)


cdef void zrevrange(Call *call) noexcept:
    reply_range(call, BY_RANK, True)


cdef void zrangebyscore(Call *call) noexcept:
    reply_range(call, BY_SCORE, False)


cdef void zrevrangebyscore(Call *call) noexcept:
    reply_range(call, BY_SCORE, True)


cdef void zrangebylex(Call *call) noexcept:
    reply_range(call, BY_NAME, False)


cdef void zrevrangebylex(Call *call) noexcept:
    reply_range(call, BY_NAME, True)


# ---- ZRANGESTORE ----------------------------------------------------------------------------------------------------

cdef SortedSet copy_ranks(Memory *memory, const SortedSet *source, const Ranks *ranks,
                          const SortedSetPolicy *policy) noexcept nogil:
    cdef SortedSet copy = sorted_set_new(memory)
    cdef char[INTEGER_TEXT_BYTES] scratch
    cdef const char *text
    cdef size_t length
    cdef size_t left = ranks.count
    cdef Spot spot
    cdef Scored scored
    if left == 0:
        return copy
    sorted_set_expect(&copy, policy, left, 0)
    sorted_set_seek(source, ranks.first, &spot)
    while left:
        spot_read(&spot, &scored)
        text = element_text(&scored.member, scratch, &length)
        sorted_set_add(&copy, policy, text, length, &scored.score, 0)
        spot_step(&spot, True)
        left -= 1
    return copy


cdef void zrangestore(Call *call) noexcept:
    cdef Range span
    cdef OpenValue opened
    cdef Ranks ranks
    cdef SortedSet copy
    cdef SortedSetPolicy policy = sorted_set_policy(call)
    cdef int found
    if not parse_range(call, &span, 3, BY_UNKNOWN, False, True):
        return
    found = sorted_set_open_other(call, &call.args[2], False, &opened)
    if found == OPEN_FAILED:
        return
    ranks.first = ranks.count = 0
    if found == OPEN_FOUND:
        ranks = ranks_of(&opened.value, &span)
        if span.kind != BY_RANK:
            apply_limit(&opened.value, &span, &ranks)
    copy = copy_ranks(&call.core.memory, &opened.value, &ranks, &policy)
    reply_integer(call.client, sorted_set_replace(call, &call.args[1], &copy, b"zrangestore"))


# ---- counting and removing ------------------------------------------------------------------------------------------

cdef void count_range(Call *call, int kind) noexcept:
    cdef Range span
    cdef OpenValue opened
    cdef int found
    span.kind = kind
    span.reverse = False
    if not parse_ends(call, &span, &call.args[2], &call.args[3]):
        return
    found = sorted_set_open(call, False, &opened)
    if found != OPEN_FAILED:
        reply_integer(call.client, <int64_t>ranks_of(&opened.value, &span).count if found == OPEN_FOUND else 0)


cdef void zcount(Call *call) noexcept:
    count_range(call, BY_SCORE)


cdef void zlexcount(Call *call) noexcept:
    count_range(call, BY_NAME)


cdef void remove_range(Call *call, int kind, const char *event) noexcept:
    cdef Range span
    cdef OpenValue opened
    cdef Ranks ranks
    cdef int found
    span.kind = kind
    span.reverse = False
    if not parse_ends(call, &span, &call.args[2], &call.args[3]):
        return
    found = sorted_set_open(call, True, &opened)
    if found == OPEN_FAILED:
        return
    ranks.first = ranks.count = 0
    if found == OPEN_FOUND:
        ranks = ranks_of(&opened.value, &span)
    reply_integer(call.client, <int64_t>ranks.count)
    if ranks.count:
        sorted_set_remove_ranks(&opened.value, &ranks)
        sorted_set_taken_out(&opened, event, <int64_t>ranks.count)


cdef void zremrangebyrank(Call *call) noexcept:
    remove_range(call, BY_RANK, b"zremrangebyrank")


cdef void zremrangebyscore(Call *call) noexcept:
    remove_range(call, BY_SCORE, b"zremrangebyscore")


cdef void zremrangebylex(Call *call) noexcept:
    remove_range(call, BY_NAME, b"zremrangebylex")
