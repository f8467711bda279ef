"""Native handlers of the group sorted-set: ZUNION, ZINTER, ZDIFF, their STORE forms, and ZINTERCARD.

Strategy. A source is a sorted set, or a set whose members all score 1. The smaller sources come first, for the
intersection, which walks one and asks the others, as for the union: sums of scores depend on their order. A difference
keeps the order of the arguments. The result is gathered in an index, from which it is replied; one that is stored
becomes a listpack if it is small, and is put in place of the destination, which may be a source, at the end.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t
from libc.stdlib cimport qsort

from ranvier.engine.core cimport Arg, Call
from ranvier.engine.memory cimport allocate, release
from ranvier.engine.native.common cimport (
    arg_is, find_read, integer_argument, reply_syntax_error, reply_wrong_type,
)
from ranvier.engine.native.sorted_set_replies cimport REPLY_BY_PROTOCOL, reply_pairs_header, reply_ranks
from ranvier.engine.number cimport parse_integer
from ranvier.engine.reply cimport reply_error, reply_integer
from ranvier.engine.store.entry cimport (
    TYPE_SET, TYPE_SORTED_SET, Entry, entry_encoding, entry_pointer, entry_type,
)
from ranvier.engine.store.garbage cimport free_value
from ranvier.engine.store.value cimport Value
from ranvier.engine.types.listpack cimport INTEGER_TEXT_BYTES, element_text
from ranvier.engine.types.score cimport parse_score
from ranvier.engine.types.set_value cimport Member, member_set, member_text, set_contains, set_size, set_visit
from ranvier.engine.types.sorted_set cimport (
    Ranks, Scored, SortedSet, SortedSetPolicy, Spot, sorted_set_add, sorted_set_count, sorted_set_expect,
    sorted_set_new, sorted_set_remove, sorted_set_score, sorted_set_seek, sorted_set_settle, spot_read, spot_step,
)
from ranvier.engine.types.sorted_set_access cimport sorted_set_policy, sorted_set_replace

cdef extern from "<math.h>" nogil:
    bint isnan(double value)
    bint signbit(double value)

cdef enum Operation:
    OPERATION_UNION = 0
    OPERATION_INTERSECTION = 1
    OPERATION_DIFFERENCE = 2
    OPERATION_CARDINALITY = 3    # of the intersection

cdef enum Aggregate:
    AGGREGATE_SUM = 0
    AGGREGATE_MINIMUM = 1
    AGGREGATE_MAXIMUM = 2

cdef struct Source:
    Value value                  # pointer NULL: no such key
    bint is_set
    size_t size
    double weight
    size_t index                 # in the order of the arguments

cdef struct Combination:
    Call *call
    int operation
    int aggregate
    bint with_scores
    int64_t limit                # of ZINTERCARD; 0: none
    Source *sources
    size_t count
    SortedSetPolicy policy
    SortedSet result
    int64_t members              # counted by ZINTERCARD
    const Source *walked

# Called for each member of a source; False ends the walk.
ctypedef bint (*source_visit_t)(Combination *self, const char *text, size_t length, double score) noexcept nogil


cdef native_t sorted_set_algebra_handler(str name) except? NULL:
    if name == "zunion":
        return zunion
    if name == "zunionstore":
        return zunionstore
    if name == "zinter":
        return zinter
    if name == "zinterstore":
        return zinterstore
    if name == "zintercard":
        return zintercard
    if name == "zdiff":
        return zdiff
    if name == "zdiffstore":
        return zdiffstore
    return NULL


# ---- sources --------------------------------------------------------------------------------------------------------

cdef bint source_open(Call *call, const Arg *key, size_t index, Source *source) noexcept:
    """0 with the error replied, when the key is of another type."""
    cdef Entry *entry = find_read(call, key)
    source.value.memory = &call.core.memory
    source.value.pointer = NULL
    source.is_set = False
    source.size = 0
    source.weight = 1
    source.index = index
    if entry == NULL:
        return True
    if entry_type(entry) != TYPE_SORTED_SET and entry_type(entry) != TYPE_SET:
        reply_wrong_type(call)
        return False
    source.is_set = entry_type(entry) == TYPE_SET
    source.value.encoding = entry_encoding(entry)
    source.value.pointer = entry_pointer(entry)
    source.size = set_size(&source.value) if source.is_set else sorted_set_count(&source.value)
    return True


cdef int by_size(const void *one, const void *other) noexcept nogil:
    """Smaller ones first; those of one size in the order of the arguments."""
    cdef const Source *a = <const Source *>one
    cdef const Source *b = <const Source *>other
    if a.size != b.size:
        return -1 if a.size < b.size else 1
    return -1 if a.index < b.index else 1


cdef bint source_score(const Source *source, const char *text, size_t length, double *score) noexcept nogil:
    cdef Member member
    if source.value.pointer == NULL:
        return False
    if source.is_set:
        member_set(&member, text, length)
        score[0] = 1
        return set_contains(&source.value, &member)
    return sorted_set_score(&source.value, text, length, score)


# What a walk through a set hands on.
cdef struct SetVisit:
    Combination *combination
    source_visit_t visit


cdef bint visit_set_member(void *context, Member *member) noexcept nogil:
    cdef SetVisit *handed = <SetVisit *>context
    cdef size_t length
    cdef const char *text = member_text(member, &length)
    return handed.visit(handed.combination, text, length, 1)


cdef void source_walk(Combination *self, const Source *source, source_visit_t visit) noexcept nogil:
    cdef SetVisit handed
    cdef char[INTEGER_TEXT_BYTES] scratch
    cdef const char *text
    cdef size_t length
    cdef Spot spot
    cdef Scored scored
    if source.size == 0:
        return
    self.walked = source
    if source.is_set:
        handed.combination = self
        handed.visit = visit
        set_visit(&source.value, visit_set_member, &handed)
        return
    sorted_set_seek(&source.value, 0, &spot)
    while True:
        spot_read(&spot, &scored)
        text = element_text(&scored.member, scratch, &length)
        if not visit(self, text, length, scored.score) or not spot_step(&spot, True):
            return


# ---- combining ------------------------------------------------------------------------------------------------------

cdef inline double weighted(const Source *source, double score) noexcept nogil:
    """0 times infinity is 0."""
    cdef double value = source.weight * score
    return 0 if isnan(value) else value


cdef inline double aggregated(int aggregate, double score, double other) noexcept nogil:
    """Infinities of both signs add up to 0."""
    if aggregate == AGGREGATE_MINIMUM:
        return other if other < score else score
    if aggregate == AGGREGATE_MAXIMUM:
        return other if other > score else score
    score += other
    return 0 if isnan(score) else score


cdef inline bint take(Combination *self, const char *text, size_t length, double score) noexcept nogil:
    if self.operation == OPERATION_CARDINALITY:
        self.members += 1
        return self.members != self.limit
    sorted_set_add(&self.result, &self.policy, text, length, &score, 0)
    return True


cdef bint visit_union(Combination *self, const char *text, size_t length, double score) noexcept nogil:
    cdef double present
    score = weighted(self.walked, score)
    if sorted_set_score(&self.result, text, length, &present):
        score = aggregated(self.aggregate, present, score)
        if score == 0 and signbit(score) != signbit(present):    # which an update would take for no change
            sorted_set_remove(&self.result, text, length)
    return take(self, text, length, score)


cdef bint visit_intersection(Combination *self, const char *text, size_t length, double score) noexcept nogil:
    cdef double other = 0
    cdef size_t i
    score = weighted(self.walked, score)
    for i in range(1, self.count):
        if not source_score(&self.sources[i], text, length, &other):
            return True
        score = aggregated(self.aggregate, score, self.sources[i].weight * other)
    return take(self, text, length, score)


cdef bint visit_difference(Combination *self, const char *text, size_t length, double score) noexcept nogil:
    cdef double other
    cdef size_t i
    for i in range(1, self.count):
        if source_score(&self.sources[i], text, length, &other):
            return True
    return take(self, text, length, score)


cdef void combine(Combination *self) noexcept nogil:
    cdef size_t i
    if self.operation == OPERATION_DIFFERENCE:
        source_walk(self, &self.sources[0], visit_difference)
        return
    qsort(self.sources, self.count, sizeof(Source), by_size)
    if self.operation != OPERATION_UNION:
        source_walk(self, &self.sources[0], visit_intersection)
        return
    for i in range(self.count):
        source_walk(self, &self.sources[i], visit_union)


# ---- arguments ------------------------------------------------------------------------------------------------------

cdef bint read_weights(Combination *self, const Arg *weights) noexcept:
    cdef size_t i
    for i in range(self.count):
        if not parse_score(weights[i].data, weights[i].length, &self.sources[i].weight):
            reply_error(self.call, b"ERR weight value is not a float")
            return False
    return True


cdef bint read_aggregate(Combination *self, const Arg *arg) noexcept:
    if arg_is(arg, b"sum"):
        self.aggregate = AGGREGATE_SUM
    elif arg_is(arg, b"min"):
        self.aggregate = AGGREGATE_MINIMUM
    elif arg_is(arg, b"max"):
        self.aggregate = AGGREGATE_MAXIMUM
    else:
        reply_syntax_error(self.call)
        return False
    return True


cdef size_t read_option(Combination *self, size_t i, bint to_store) noexcept:
    """How many arguments the option at args[i] takes; 0 with the error replied."""
    cdef Call *call = self.call
    cdef Arg *arg = &call.args[i]
    cdef size_t behind = call.count - i - 1
    cdef bint combines = self.operation == OPERATION_UNION or self.operation == OPERATION_INTERSECTION
    if combines and behind >= self.count and arg_is(arg, b"weights"):
        return 1 + self.count if read_weights(self, arg + 1) else 0
    if combines and behind >= 1 and arg_is(arg, b"aggregate"):
        return 2 if read_aggregate(self, arg + 1) else 0
    if self.operation == OPERATION_CARDINALITY:
        if behind >= 1 and arg_is(arg, b"limit"):
            if parse_integer(arg[1].data, arg[1].length, &self.limit) and self.limit >= 0:
                return 2
            reply_error(call, b"ERR LIMIT can't be negative")
            return 0
    elif not to_store and arg_is(arg, b"withscores"):
        self.with_scores = True
        return 1
    reply_syntax_error(call)
    return 0


cdef bint read_request(Combination *self, size_t first, bint to_store) noexcept:
    """Keys and options, the number of keys being args[first]; 0 with the error replied."""
    cdef Call *call = self.call
    cdef size_t i
    cdef size_t taken
    for i in range(self.count):
        if not source_open(call, &call.args[first + 1 + i], i, &self.sources[i]):
            return False
    i = first + 1 + self.count
    while i < call.count:
        taken = read_option(self, i, to_store)
        if taken == 0:
            return False
        i += taken
    return True


cdef bint read_key_count(Call *call, size_t first, int64_t *count) noexcept:
    if not integer_argument(call, &call.args[first], count):
        return False
    if count[0] < 1:
        reply_error_for(call)
        return False
    if count[0] > <int64_t>(call.count - first - 1):
        reply_syntax_error(call)
        return False
    return True


cdef void reply_error_for(Call *call) noexcept:
    cdef bytes name = call.command.name[:call.command.name_length]
    cdef bytes text = b"ERR at least 1 input key is needed for '%s' command" % name
    reply_error(call, text)


# ---- commands -------------------------------------------------------------------------------------------------------

cdef void reply_result(Combination *self) noexcept nogil:
    cdef Ranks ranks
    ranks.first = 0
    ranks.count = sorted_set_count(&self.result)
    reply_pairs_header(self.call.client, <int64_t>ranks.count, self.with_scores)
    reply_ranks(self.call.client, &self.result, &ranks, False, self.with_scores, REPLY_BY_PROTOCOL)


cdef void run_combination(Combination *self, const char *event) noexcept:
    """Combine what was read, and reply it, count it, or, as `event`, store it."""
    cdef Call *call = self.call
    self.result = sorted_set_new(&call.core.memory)
    sorted_set_expect(&self.result, &self.policy, <size_t>-1, 0)
    combine(self)
    if event != NULL:
        sorted_set_settle(&self.result, &self.policy)
        reply_integer(call.client, sorted_set_replace(call, &call.args[1], &self.result, event))
        return
    if self.operation == OPERATION_CARDINALITY:
        reply_integer(call.client, self.members)
    else:
        reply_result(self)
    free_value(&call.core.keyspace, self.result.encoding, self.result.pointer, True)


cdef void combine_and_answer(Call *call, int operation, const char *event) noexcept:
    """`event` NULL: reply; else store at args[1]."""
    cdef Combination self
    cdef size_t first = 1 if event == NULL else 2
    cdef int64_t count = 0
    if not read_key_count(call, first, &count):
        return
    self.call = call
    self.operation = operation
    self.aggregate = AGGREGATE_SUM
    self.with_scores = False
    self.limit = self.members = 0
    self.count = <size_t>count
    self.policy = sorted_set_policy(call)
    self.sources = <Source *>allocate(&call.core.memory, self.count * sizeof(Source))
    if read_request(&self, first, event != NULL):
        run_combination(&self, event)
    release(&call.core.memory, self.sources)


cdef void zunion(Call *call) noexcept:
    combine_and_answer(call, OPERATION_UNION, NULL)


cdef void zunionstore(Call *call) noexcept:
    combine_and_answer(call, OPERATION_UNION, b"zunionstore")


cdef void zinter(Call *call) noexcept:
    combine_and_answer(call, OPERATION_INTERSECTION, NULL)


cdef void zinterstore(Call *call) noexcept:
    combine_and_answer(call, OPERATION_INTERSECTION, b"zinterstore")


cdef void zintercard(Call *call) noexcept:
    combine_and_answer(call, OPERATION_CARDINALITY, NULL)


cdef void zdiff(Call *call) noexcept:
    combine_and_answer(call, OPERATION_DIFFERENCE, NULL)


cdef void zdiffstore(Call *call) noexcept:
    combine_and_answer(call, OPERATION_DIFFERENCE, b"zdiffstore")
