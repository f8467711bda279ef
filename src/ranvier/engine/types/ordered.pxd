"""The order-statistic index of a large sorted set: members by (score, bytes), rank and name (see ordered.pyx)."""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from ranvier.engine.memory cimport Memory, allocate
from ranvier.engine.store.table cimport Table

cdef enum:
    LEAF_MEMBERS = 62            # a leaf takes 520 bytes
    BRANCH_CHILDREN = 32         # a branch takes one kilobyte
    HEIGHT_LIMIT = 24            # of branches above a leaf: far beyond what memory holds
    LENGTH_FOLLOWS = 255         # a length byte: the length is in the four bytes behind it

# One allocation per member, which stays where it is as long as the member exists: score, length, bytes.
cdef struct Member:
    double score
    uint8_t length               # or LENGTH_FOLLOWS

cdef struct Leaf:
    Leaf *previous
    Leaf *next
    uint32_t count
    Member *members[LEAF_MEMBERS]

cdef struct Branch:
    uint32_t count
    size_t totals[BRANCH_CHILDREN]       # members below each child
    double scores[BRANCH_CHILDREN]       # of the first member below each child
    Member *firsts[BRANCH_CHILDREN]
    void *children[BRANCH_CHILDREN]      # branches, or leaves at height 1

cdef struct Ordered:
    Table members                # by name; its count is the set's
    void *root                   # a leaf at height 0, else a branch
    int height
    Leaf *first
    Leaf *last

# A place in the order. In the set when index < leaf.count; only an empty set has no such place.
cdef struct Place:
    Leaf *leaf
    uint32_t index

cdef enum ProbeKind:
    PROBE_MEMBER = 0             # score, then bytes
    PROBE_SCORE = 1
    PROBE_NAME = 2               # bytes alone, for a set whose scores are all equal

# A cut through the order: what is smaller lies before it, and what is equal does when `beyond`.
cdef struct Probe:
    int kind
    bint beyond
    double score
    const char *text
    size_t length

cdef Ordered *ordered_new(Memory *memory, uint64_t seed0, uint64_t seed1) noexcept nogil
cdef Member *ordered_find(Ordered *self, const char *text, size_t length) noexcept nogil       # NULL: absent
# Add a member known to be absent. Order and names: O(log n).
cdef void ordered_insert(Ordered *self, double score, const char *text, size_t length) noexcept nogil
cdef void ordered_update(Ordered *self, Member *member, double score) noexcept nogil
cdef void ordered_remove(Ordered *self, Member *member) noexcept nogil
cdef size_t ordered_rank(Ordered *self, const Member *member) noexcept nogil
# How many members lie before the cut.
cdef size_t ordered_cut(const Ordered *self, const Probe *probe) noexcept nogil
cdef void ordered_seek(const Ordered *self, size_t rank, Place *place) noexcept nogil          # rank < count
cdef bint place_step(Place *place, bint forward) noexcept nogil                                # False: the end


cdef inline size_t ordered_count(const Ordered *self) noexcept nogil:
    return self.members.count


cdef inline const char *member_text(const Member *member, size_t *length) noexcept nogil:
    cdef const char *text = <const char *>&member.length + 1
    cdef uint32_t wide
    if member.length != LENGTH_FOLLOWS:
        length[0] = member.length
        return text
    memcpy(&wide, text, sizeof(wide))
    length[0] = wide
    return text + sizeof(wide)


cdef inline int compare_bytes(const char *one, size_t one_length, const char *other,
                              size_t other_length) noexcept nogil:
    cdef int order = memcmp(one, other, one_length if one_length < other_length else other_length)
    if order:
        return order
    return (one_length > other_length) - (one_length < other_length)


cdef inline bint precedes(double score, const char *text, size_t length, const Probe *probe) noexcept nogil:
    """Whether a member with this score and name lies before the cut."""
    cdef int order
    if probe.kind != PROBE_NAME:
        if score != probe.score:
            return score < probe.score
        if probe.kind == PROBE_SCORE:
            return probe.beyond
    order = compare_bytes(text, length, probe.text, probe.length)
    return probe.beyond if order == 0 else order < 0
