"""Python's view of a sorted set: a handle (`value_handle`), and scores in text."""

from libc.math cimport INFINITY
from libc.stdint cimport uint64_t
from libc.string cimport memset

from ranvier.engine.memory cimport Memory, release, resize
from ranvier.engine.store.entry cimport ENCODING_LISTPACK, ENCODING_ORDERED, TYPE_SORTED_SET
from ranvier.engine.store.handles cimport DatabaseHandle
from ranvier.engine.store.table cimport table_scan
from ranvier.engine.types.listpack cimport Listpack, listpack_bytes, listpack_is_valid, listpack_size
from ranvier.engine.types.ordered cimport PROBE_NAME, PROBE_SCORE, Member, Ordered, Probe, member_text
from ranvier.engine.types.ordered_value cimport ordered_contradiction
from ranvier.engine.types.score cimport SCORE_TEXT_BYTES, print_score, print_score_plainly
from ranvier.engine.types.score cimport parse_score as read_score
from ranvier.engine.types.score cimport parse_score_limit as read_score_limit
from ranvier.engine.types.sorted_set cimport (
    ADD_ADDED, ADD_GREATER, ADD_INCREMENT, ADD_LESS, ADD_NEW, ADD_NOT_A_NUMBER, ADD_NOTHING, ADD_PRESENT, ADD_SAME,
    ADD_UPDATED, Ranks, Scored, SortedSetPolicy, Spot, sorted_set_add, sorted_set_between, sorted_set_count,
    sorted_set_expect, sorted_set_new, sorted_set_rank, sorted_set_remove, sorted_set_remove_ranks, sorted_set_score,
    sorted_set_seek, sorted_set_settle, spot_read, spot_step,
)
from ranvier.engine.types.value_handle cimport ValueHandle, element_to_bytes

cdef enum:
    SCAN_EFFORT = 10             # home buckets looked at for each member asked for, as long as they are empty
    OWN_SEED = 1                 # of a sorted set that nobody else can reach

cdef dict RESULT_NAMES = {
    <int>ADD_NOTHING: "nothing", <int>ADD_ADDED: "added", <int>ADD_UPDATED: "updated", <int>ADD_SAME: "same",
    <int>ADD_NOT_A_NUMBER: "not a number",
}


def parse_score(bytes text) -> float | None:
    """The score that ZADD reads in `text`; None if it is no number, or none that a double holds."""
    cdef double score
    return score if read_score(text, <size_t>len(text), &score) else None


def parse_score_limit(bytes text) -> float | None:
    """The end of a range of scores, without the parenthesis that excludes it; None if it is no number."""
    cdef double score
    return score if read_score_limit(text, <size_t>len(text), &score) else None


def format_score(double score) -> bytes:
    """As replies show it."""
    cdef char[SCORE_TEXT_BYTES] text
    cdef size_t length = print_score(text, score)
    return text[:length]


def format_score_plainly(double score) -> bytes:
    """As ZSCAN shows a score of an index: 17 significant digits."""
    cdef char[SCORE_TEXT_BYTES] text
    cdef size_t length = print_score_plainly(text, score)
    return text[:length]


cdef tuple pair_of(const Scored *scored):
    return element_to_bytes(&scored.member), scored.score


# Members that a scan visits, in an array that grows.
cdef struct Collection:
    Memory *memory
    Member **members
    size_t count
    size_t capacity


cdef void collect(void *context, void *item) noexcept nogil:
    cdef Collection *found = <Collection *>context
    if found.count == found.capacity:
        found.capacity = 2 * found.capacity + 16
        found.members = <Member **>resize(found.memory, found.members, found.capacity * sizeof(Member *))
    found.members[found.count] = <Member *>item
    found.count += 1


cdef class SortedSetHandle(ValueHandle):
    """A sorted set of its own, made of (member, score) pairs. `sorted_set_of` makes a handle on a key instead.

    `entries` and `value_bytes` are zset-max-listpack-entries and zset-max-listpack-value: a set with more members, or a
    longer one, is an index.
    """

    cdef SortedSetPolicy policy

    def __cinit__(self):
        self.type = TYPE_SORTED_SET

    def __init__(self, pairs=(), size_t entries=128, size_t value_bytes=64):
        self.policy.entries = entries
        self.policy.value_bytes = value_bytes
        self.policy.seed0 = self.policy.seed1 = OWN_SEED
        for member, score in pairs:
            self.add(member, score)

    cdef int begin(self) except -1:
        """As `load`, but make a sorted set where there is none; `store` follows."""
        if not self.load():
            self.value = sorted_set_new(self.value.memory)
        return 0

    cdef int store(self) except -1:
        return self.put(sorted_set_count(&self.value) == 0)

    # ---- looking ----------------------------------------------------------------------------------------------------

    def __len__(self):
        return sorted_set_count(&self.value) if self.load() else 0

    def __contains__(self, bytes member):
        return self.score(member) is not None

    def __iter__(self):
        return iter(self.range_by_rank())

    def score(self, bytes member):
        """None if there is no such member."""
        cdef double score
        if not self.load() or not sorted_set_score(&self.value, member, <size_t>len(member), &score):
            return None
        return score

    def rank(self, bytes member):
        """How many members come before this one; None if there is no such member."""
        cdef double score
        cdef size_t rank
        if not self.load() or not sorted_set_rank(&self.value, member, <size_t>len(member), &rank, &score):
            return None
        return rank

    cdef list pairs(self, const Ranks *ranks, bint reverse, size_t offset, size_t limit):
        """Of these ranks, `limit` at most, without the first `offset` in the order asked for."""
        cdef Spot spot
        cdef Scored scored
        cdef size_t count
        cdef list found = []
        if offset >= ranks.count:
            return found
        count = ranks.count - offset
        if count > limit:
            count = limit
        if count == 0:
            return found
        sorted_set_seek(&self.value, ranks.first + (ranks.count - 1 - offset if reverse else offset), &spot)
        while True:
            spot_read(&spot, &scored)
            found.append(pair_of(&scored))
            count -= 1
            if count == 0:
                return found
            spot_step(&spot, not reverse)

    def range_by_rank(self, size_t start=0, size_t count=<size_t>-1, bint reverse=False):
        """At most `count` pairs from rank `start` on; `reverse`: ranks count from the end."""
        cdef Ranks ranks
        if not self.load():
            return []
        ranks.first = 0
        ranks.count = sorted_set_count(&self.value)
        return self.pairs(&ranks, reverse, start, count)

    def range_by_score(self, double minimum=-INFINITY, double maximum=INFINITY, bint exclude_minimum=False,
                       bint exclude_maximum=False, bint reverse=False, size_t offset=0, size_t count=<size_t>-1):
        """Pairs with a score between two, at most `count`, without the first `offset`."""
        cdef Probe start
        cdef Probe end
        cdef Ranks ranks
        if not self.load():
            return []
        start.kind = end.kind = PROBE_SCORE
        start.score = minimum
        start.beyond = exclude_minimum
        end.score = maximum
        end.beyond = not exclude_maximum
        ranks = sorted_set_between(&self.value, &start, &end, reverse)
        return self.pairs(&ranks, reverse, offset, count)

    def range_by_name(self, minimum=None, maximum=None, bint exclude_minimum=False, bint exclude_maximum=False,
                      bint reverse=False):
        """Pairs with a member between two (None: no limit), of a sorted set whose scores are all equal."""
        cdef Probe start
        cdef Probe end
        cdef Ranks ranks
        cdef bytes low = minimum
        cdef bytes high = maximum
        if not self.load():
            return []
        start.kind = end.kind = PROBE_NAME
        if low is not None:
            start.text = low
            start.length = <size_t>len(low)
            start.beyond = exclude_minimum
        if high is not None:
            end.text = high
            end.length = <size_t>len(high)
            end.beyond = not exclude_maximum
        ranks = sorted_set_between(&self.value, &start if low is not None else NULL,
                                   &end if high is not None else NULL, reverse)
        return self.pairs(&ranks, reverse, 0, <size_t>-1)

    def scan(self, uint64_t cursor, size_t count=10):
        """Visit members until some `count` are found: (next cursor, pairs); cursor 0 begins and ends.

        A small set is returned as a whole, whatever `count` is. A member that is there all the time is returned at
        least once.
        """
        cdef Collection found
        cdef Ordered *index
        cdef size_t steps = SCAN_EFFORT * count if count < <size_t>-1 // SCAN_EFFORT else <size_t>-1
        cdef size_t length
        cdef const char *text
        if not self.load():
            return 0, []
        if self.value.encoding == ENCODING_LISTPACK:
            return 0, self.range_by_rank()
        index = <Ordered *>self.value.pointer
        memset(&found, 0, sizeof(Collection))
        found.memory = self.value.memory
        while True:
            cursor = table_scan(&index.members, cursor, &collect, &found)
            steps -= 1
            if cursor == 0 or steps == 0 or found.count >= count:
                break
        pairs = []
        for i in range(found.count):
            text = member_text(found.members[i], &length)
            pairs.append((text[:length], found.members[i].score))
        release(found.memory, found.members)
        return cursor, pairs

    # ---- changing ---------------------------------------------------------------------------------------------------

    def add(self, bytes member, double score, *, bint increment=False, bint only_new=False, bint only_present=False,
            bint greater=False, bint less=False):
        """Add a member or change its score, as ZADD does: "added", "updated", "same", "nothing" or "not a number".

        ValueError if the score is not a number.
        """
        cdef int flags = (ADD_INCREMENT if increment else 0) | (ADD_NEW if only_new else 0) \
            | (ADD_PRESENT if only_present else 0) | (ADD_GREATER if greater else 0) | (ADD_LESS if less else 0)
        if score != score:
            raise ValueError("a score is a number")
        self.begin()
        result = sorted_set_add(&self.value, &self.policy, member, <size_t>len(member), &score, flags)
        self.store()
        return RESULT_NAMES[result]

    def remove(self, bytes member):
        """Whether there was such a member."""
        if not self.load() or not sorted_set_remove(&self.value, member, <size_t>len(member)):
            return False
        self.store()
        return True

    def remove_ranks(self, size_t start, size_t count):
        """Remove `count` members from rank `start` on; returns how many there were."""
        cdef Ranks ranks
        cdef size_t length = <size_t>len(self)
        if start >= length or count == 0:
            return 0
        ranks.first = start
        ranks.count = count if count < length - start else length - start
        sorted_set_remove_ranks(&self.value, &ranks)
        self.store()
        return ranks.count

    def expect(self, size_t members, size_t value_bytes):
        """Before so many members, the longest of so many bytes, are added: choose the encoding."""
        if self.load():
            sorted_set_expect(&self.value, &self.policy, members, value_bytes)
            self.store()

    def settle(self):
        """After the sorted set was built anew: a small index becomes a listpack."""
        if self.load():
            sorted_set_settle(&self.value, &self.policy)
            self.store()

    def copy(self):
        """A sorted set of its own with the same members and encoding."""
        cdef SortedSetHandle other = SortedSetHandle(
            entries=self.policy.entries, value_bytes=self.policy.value_bytes)
        other.copy_any(self)
        return other

    def check(self):
        """Raise AssertionError where the structure contradicts itself (tests)."""
        cdef size_t count
        cdef const char *found
        cdef Listpack *pack
        if not self.load():
            return
        if self.value.encoding == ENCODING_ORDERED:
            found = ordered_contradiction(<Ordered *>self.value.pointer)
            assert found == NULL, (<bytes>found).decode()
            return
        pack = <Listpack *>self.value.pointer
        assert listpack_is_valid(listpack_bytes(pack), listpack_size(pack), &count), "malformed listpack"
        assert pack.start + listpack_size(pack) <= pack.capacity, "block outside of allocation"
        assert count % 2 == 0, "half a pair"
        pairs = self.range_by_rank()
        assert pairs == sorted(pairs, key=lambda pair: (pair[1], pair[0])), "a wrong order"


def sorted_set_of(DatabaseHandle database, bytes key, size_t entries=128, size_t value_bytes=64) -> SortedSetHandle:
    """The sorted set under a key, which need not exist yet. It tells nobody of changes: that is its user's to do."""
    cdef SortedSetHandle handle = SortedSetHandle(entries=entries, value_bytes=value_bytes)
    handle.attach(database, key)
    handle.policy.seed0 = database.database.keys.seed0
    handle.policy.seed1 = database.database.keys.seed1
    return handle
