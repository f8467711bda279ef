"""Native handlers of the group sorted-set: adding, removing, and looking members up.

`native/sorted_set_ranges` holds those that name ranges, `native/sorted_set_pops` those that take from the ends,
`native/sorted_set_algebra` those that combine sets, `native/sorted_set_chance` and `native/sorted_set_walk` ZRANDMEMBER
and ZSCAN. Members are replied straight from the set into the output buffer.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t

from ranvier.engine.core cimport Arg, Call
from ranvier.engine.effects cimport propagate_as, propagates
from ranvier.engine.memory cimport allocate, release
from ranvier.engine.native.common cimport arg_bytes, arg_is, reply_syntax_error, reply_wrong_arity
from ranvier.engine.native.sorted_set_algebra cimport sorted_set_algebra_handler
from ranvier.engine.native.sorted_set_chance cimport sorted_set_chance_handler
from ranvier.engine.native.sorted_set_pops cimport sorted_set_pop_handler
from ranvier.engine.native.sorted_set_ranges cimport sorted_set_range_handler
from ranvier.engine.native.sorted_set_replies cimport reply_score
from ranvier.engine.native.sorted_set_walk cimport sorted_set_walk_handler
from ranvier.engine.reply cimport reply_array, reply_error, reply_integer, reply_null, reply_null_array
from ranvier.engine.types.score cimport SCORE_TEXT_BYTES, parse_score, print_score
from ranvier.engine.types.sorted_set cimport (
    ADD_ADDED, ADD_GREATER, ADD_INCREMENT, ADD_LESS, ADD_NEW, ADD_NOT_A_NUMBER, ADD_NOTHING, ADD_PRESENT, ADD_UPDATED,
    SortedSetPolicy, sorted_set_add, sorted_set_count, sorted_set_expect, sorted_set_rank, sorted_set_remove,
    sorted_set_score,
)
from ranvier.engine.types.sorted_set_access cimport (
    sorted_set_begin, sorted_set_open, sorted_set_policy, sorted_set_put_in, sorted_set_store, sorted_set_taken_out,
)
from ranvier.engine.types.value_access cimport OPEN_ABSENT, OPEN_FAILED, OPEN_FOUND, OpenValue

cdef enum:
    SCORES_ON_STACK = 16


cdef native_t sorted_set_handler(str name) except? NULL:
    cdef native_t found
    if name == "zadd":
        return zadd
    if name == "zincrby":
        return zincrby
    if name == "zscore":
        return zscore
    if name == "zmscore":
        return zmscore
    if name == "zcard":
        return zcard
    if name == "zrank":
        return zrank
    if name == "zrevrank":
        return zrevrank
    if name == "zrem":
        return zrem
    found = sorted_set_range_handler(name)
    if found == NULL:
        found = sorted_set_pop_handler(name)
    if found == NULL:
        found = sorted_set_algebra_handler(name)
    if found == NULL:
        found = sorted_set_chance_handler(name)
    if found == NULL:
        found = sorted_set_walk_handler(name)
    return found


# ---- ZADD -----------------------------------------------------------------------------------------------------------

# What ZADD or ZINCRBY asks for: scores and members in turns from args[first] on.
cdef struct Addition:
    size_t first
    size_t count
    size_t longest_bytes
    int flags
    bint count_changes           # CH
    double *scores               # `stack_scores`, or an allocation
    double[SCORES_ON_STACK] stack_scores


cdef inline int add_option(const Arg *arg, Addition *addition) noexcept nogil:
    """Whether the argument is an option; if so, it is noted."""
    if arg.length != 2:
        if arg_is(arg, b"incr"):
            addition.flags |= ADD_INCREMENT
            return True
        return False
    if arg_is(arg, b"nx"):
        addition.flags |= ADD_NEW
    elif arg_is(arg, b"xx"):
        addition.flags |= ADD_PRESENT
    elif arg_is(arg, b"gt"):
        addition.flags |= ADD_GREATER
    elif arg_is(arg, b"lt"):
        addition.flags |= ADD_LESS
    elif arg_is(arg, b"ch"):
        addition.count_changes = True
    else:
        return False
    return True


cdef bint check_options(Call *call, const Addition *addition) noexcept:
    cdef int flags = addition.flags
    cdef size_t words = call.count - addition.first
    if words == 0 or words % 2:
        reply_syntax_error(call)
        return False
    if flags & ADD_NEW and flags & ADD_PRESENT:
        reply_error(call, b"ERR XX and NX options at the same time are not compatible")
        return False
    if flags & ADD_GREATER and flags & (ADD_NEW | ADD_LESS) or flags & ADD_LESS and flags & ADD_NEW:
        reply_error(call, b"ERR GT, LT, and/or NX options at the same time are not compatible")
        return False
    if flags & ADD_INCREMENT and words != 2:
        reply_error(call, b"ERR INCR option supports a single increment-element pair")
        return False
    return True


cdef bint read_scores(Call *call, Addition *addition) noexcept:
    """All scores before anything changes; 0 with the error replied. `addition_end` follows in either case."""
    cdef size_t i
    cdef Arg *arg
    addition.count = (call.count - addition.first) // 2
    addition.longest_bytes = 0
    if addition.count > SCORES_ON_STACK:
        addition.scores = <double *>allocate(&call.core.memory, addition.count * sizeof(double))
    for i in range(addition.count):
        arg = &call.args[addition.first + 2 * i]
        if not parse_score(arg.data, arg.length, &addition.scores[i]):
            reply_error(call, b"ERR value is not a valid float")
            return False
        if arg[1].length > addition.longest_bytes:
            addition.longest_bytes = arg[1].length
    return True


cdef inline void addition_end(Call *call, Addition *addition) noexcept nogil:
    if addition.scores != addition.stack_scores:
        release(&call.core.memory, addition.scores)


cdef void reply_unchanged(Call *call, const Addition *addition) noexcept nogil:
    if addition.flags & ADD_INCREMENT:
        reply_null(call.client)
    else:
        reply_integer(call.client, 0)


cdef void add_all(OpenValue *opened, Addition *addition) noexcept:
    cdef Call *call = opened.call
    cdef SortedSetPolicy policy = sorted_set_policy(call)
    cdef int64_t added = 0
    cdef int64_t updated = 0
    cdef int result = ADD_NOTHING
    cdef size_t i
    cdef Arg *member
    sorted_set_expect(&opened.value, &policy, addition.count, addition.longest_bytes)
    for i in range(addition.count):
        member = &call.args[addition.first + 2 * i + 1]
        result = sorted_set_add(&opened.value, &policy, member.data, member.length, &addition.scores[i], addition.flags)
        added += result == ADD_ADDED
        updated += result == ADD_UPDATED
    if result == ADD_NOT_A_NUMBER:
        reply_error(call, b"ERR resulting score is not a number (NaN)")
    elif addition.flags & ADD_INCREMENT:
        if result == ADD_NOTHING:
            reply_null(call.client)
        else:
            reply_score(call.client, addition.scores[0])
    else:
        reply_integer(call.client, added + updated if addition.count_changes else added)
    if added + updated:
        sorted_set_put_in(opened, b"zincr" if addition.flags & ADD_INCREMENT else b"zadd", added + updated)
    else:
        sorted_set_store(opened)         # the encoding may have changed


cdef void add(Call *call, Addition *addition) noexcept:
    cdef OpenValue opened
    cdef int found
    if read_scores(call, addition):
        found = sorted_set_open(call, True, &opened)
        if found == OPEN_ABSENT and addition.flags & ADD_PRESENT:
            reply_unchanged(call, addition)
        elif found != OPEN_FAILED:
            if found == OPEN_ABSENT:
                sorted_set_begin(&opened)
            add_all(&opened, addition)
    addition_end(call, addition)


cdef void zadd(Call *call) noexcept:
    cdef Addition addition
    addition.flags = 0
    addition.count_changes = False
    addition.scores = addition.stack_scores
    addition.first = 2
    while addition.first < call.count and add_option(&call.args[addition.first], &addition):
        addition.first += 1
    if check_options(call, &addition):
        add(call, &addition)


cdef void zincrby(Call *call) noexcept:
    cdef Addition addition
    cdef char[SCORE_TEXT_BYTES] text
    cdef size_t length
    addition.flags = ADD_INCREMENT
    addition.count_changes = False
    addition.scores = addition.stack_scores
    addition.first = 2
    add(call, &addition)
    if call.dirty and propagates(call):
        length = print_score(text, addition.scores[0])
        propagate_as(call, [[b"ZADD", arg_bytes(&call.args[1]), text[:length], arg_bytes(&call.args[3])]])


# ---- looking members up ---------------------------------------------------------------------------------------------

cdef void zscore(Call *call) noexcept:
    cdef OpenValue opened
    cdef int found = sorted_set_open(call, False, &opened)
    cdef double score = 0
    if found == OPEN_FAILED:
        return
    if found == OPEN_FOUND and sorted_set_score(&opened.value, call.args[2].data, call.args[2].length, &score):
        reply_score(call.client, score)
    else:
        reply_null(call.client)


cdef void zmscore(Call *call) noexcept:
    cdef OpenValue opened
    cdef int found = sorted_set_open(call, False, &opened)
    cdef double score = 0
    cdef size_t i
    if found == OPEN_FAILED:
        return
    reply_array(call.client, <int64_t>call.count - 2)
    for i in range(2, call.count):
        if found == OPEN_FOUND and sorted_set_score(&opened.value, call.args[i].data, call.args[i].length, &score):
            reply_score(call.client, score)
        else:
            reply_null(call.client)


cdef void zcard(Call *call) noexcept:
    cdef OpenValue opened
    cdef int found = sorted_set_open(call, False, &opened)
    if found != OPEN_FAILED:
        reply_integer(call.client, <int64_t>sorted_set_count(&opened.value) if found == OPEN_FOUND else 0)


cdef inline void reply_rank(Call *call, bint reverse) noexcept:
    cdef OpenValue opened
    cdef bint with_score = call.count == 4
    cdef double score = 0
    cdef size_t rank = 0
    cdef int found
    if call.count > 4:
        reply_wrong_arity(call)
        return
    if with_score and not arg_is(&call.args[3], b"withscore"):
        reply_syntax_error(call)
        return
    found = sorted_set_open(call, False, &opened)
    if found == OPEN_FAILED:
        return
    if found == OPEN_ABSENT \
            or not sorted_set_rank(&opened.value, call.args[2].data, call.args[2].length, &rank, &score):
        if with_score:
            reply_null_array(call.client)
        else:
            reply_null(call.client)
        return
    if reverse:
        rank = sorted_set_count(&opened.value) - 1 - rank
    if with_score:
        reply_array(call.client, 2)
    reply_integer(call.client, <int64_t>rank)
    if with_score:
        reply_score(call.client, score)


cdef void zrank(Call *call) noexcept:
    reply_rank(call, False)


cdef void zrevrank(Call *call) noexcept:
    reply_rank(call, True)


# ---- removing -------------------------------------------------------------------------------------------------------

cdef void zrem(Call *call) noexcept:
    cdef OpenValue opened
    cdef int found = sorted_set_open(call, True, &opened)
    cdef int64_t removed = 0
    cdef size_t i
    if found == OPEN_FAILED:
        return
    if found == OPEN_FOUND:
        for i in range(2, call.count):
            removed += sorted_set_remove(&opened.value, call.args[i].data, call.args[i].length)
            if sorted_set_count(&opened.value) == 0:
                break
    reply_integer(call.client, removed)
    if removed:
        sorted_set_taken_out(&opened, b"zrem", removed)
