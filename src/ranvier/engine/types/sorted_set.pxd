"""The sorted set type: one listpack of (member, score) pairs while small, an index beyond (see sorted_set.pyx)."""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint64_t

from ranvier.engine.memory cimport Memory
from ranvier.engine.store.value cimport Value
from ranvier.engine.types.listpack cimport Element, Listpack
from ranvier.engine.types.ordered cimport Place, Probe

ctypedef Value SortedSet                   # of ENCODING_LISTPACK or ENCODING_ORDERED

# What decides between the encodings, and the seeds of an index's table of names.
cdef struct SortedSetPolicy:
    size_t entries                         # zset-max-listpack-entries
    size_t value_bytes                     # zset-max-listpack-value
    uint64_t seed0
    uint64_t seed1

# A place in a sorted set. It dies with every change.
cdef struct Spot:
    const Listpack *pack                   # NULL: the set is an index
    const uint8_t *element                 # the member; its score is the next element
    Place place

cdef struct Scored:
    Element member
    double score

# Members from rank `first` on.
cdef struct Ranks:
    size_t first
    size_t count

# How to add: conditions, and (beyond 16) what came of it.
cdef enum AddFlag:
    ADD_INCREMENT = 1 << 0                 # the score is added to the present one
    ADD_NEW = 1 << 1                       # NX: only members that are absent
    ADD_PRESENT = 1 << 2                   # XX: only members that are present
    ADD_GREATER = 1 << 3                   # GT: only to a higher score
    ADD_LESS = 1 << 4                      # LT: only to a lower score

cdef enum AddResult:
    ADD_NOTHING = 0                        # a condition was not met
    ADD_ADDED = 1
    ADD_UPDATED = 2
    ADD_SAME = 3                           # the score was that already
    ADD_NOT_A_NUMBER = 4                   # infinities of both signs; nothing changed

cdef SortedSet sorted_set_new(Memory *memory) noexcept nogil               # empty, as a listpack
cdef size_t sorted_set_count(const SortedSet *self) noexcept nogil

# Encoding, as Valkey decides it: `sorted_set_expect` before so many members, the longest of so many bytes, are added;
# `sorted_set_settle` after a whole set was built (STORE): a small index becomes a listpack.
cdef void sorted_set_expect(SortedSet *self, const SortedSetPolicy *policy, size_t members, size_t bytes) noexcept nogil
cdef void sorted_set_settle(SortedSet *self, const SortedSetPolicy *policy) noexcept nogil

# Members. `text` lies outside of the set. *score comes in and, of what is stored then, goes out.
cdef int sorted_set_add(SortedSet *self, const SortedSetPolicy *policy, const char *text, size_t length,
                        double *score, int flags) noexcept nogil                     # an AddResult
cdef bint sorted_set_score(const SortedSet *self, const char *text, size_t length, double *score) noexcept nogil
cdef bint sorted_set_rank(const SortedSet *self, const char *text, size_t length, size_t *rank,
                          double *score) noexcept nogil
cdef bint sorted_set_remove(SortedSet *self, const char *text, size_t length) noexcept nogil
cdef void sorted_set_remove_ranks(SortedSet *self, const Ranks *ranks) noexcept nogil  # known to be there

# Ranges. The ranks between two cuts; of names, as Valkey walks through a listpack whose scores differ, which is from
# the end if `backward`. NULL: no limit.
cdef Ranks sorted_set_between(const SortedSet *self, const Probe *start, const Probe *end,
                              bint backward) noexcept nogil

# Places.
cdef void sorted_set_seek(const SortedSet *self, size_t rank, Spot *spot) noexcept nogil         # rank < count
cdef bint spot_step(Spot *spot, bint forward) noexcept nogil                                     # False: the end
cdef void spot_read(const Spot *spot, Scored *scored) noexcept nogil
