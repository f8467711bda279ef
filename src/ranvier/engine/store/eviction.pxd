"""Eviction of keys: which one goes next when memory is over its limit, and its deletion in bounded slices."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint64_t

from ranvier.engine.store.database cimport Database
from ranvier.engine.store.keyspace cimport Keyspace

# In this order `config/kinds` names them, each for all keys and, NOEVICTION apart, for those that expire.
cdef enum EvictionOrder:
    EVICT_NOTHING = 0
    EVICT_LRU = 1                    # the longest unused
    EVICT_LFU = 2                    # the least often used
    EVICT_TTL = 3                    # the first to expire
    EVICT_RANDOM = 4

cdef enum EvictionState:
    EVICTION_DONE = 0                # memory is under the limit
    EVICTION_GOES_ON = 1             # time was up: the next slice goes on
    EVICTION_FAILED = 2              # nothing is left that may be evicted

cdef enum:
    CANDIDATES = 16

# A key that was sampled: it may be gone, or be another value's, when its turn comes.
cdef struct Candidate:
    uint64_t rank                    # the highest goes first
    uint64_t hash
    Database *database
    char *key
    size_t length

# Called with a key before it goes: the effect call lives above this layer.
ctypedef void (*evicted_t)(void *context, Database *database, const char *key, size_t length) noexcept

cdef struct Eviction:
    Keyspace *keyspace
    Database **databases
    int database_count
    size_t limit_bytes               # maxmemory, 0: none
    size_t uncounted_bytes           # of memory in use: what is kept for slow replicas
    int order                        # an EvictionOrder
    bint volatile_only
    int samples                      # maxmemory-samples, looked at per database and choice
    int64_t slice_ns                 # of one call, negative: as long as it takes (maxmemory-eviction-tenacity)
    int state                        # an EvictionState: of the last slice
    int next_database                # EVICT_RANDOM takes them in turn
    Candidate pool[CANDIDATES]       # by rank, the highest last
    int pool_count
    bint timed                       # measure each deletion
    int64_t slowest_ns               # ... the slowest of the last slice
    evicted_t on_evicted
    void *context

# Free memory until the limit is kept, no key may go any more or the slice is over; `deletes`: keys may go.
cdef int evict_slice(Eviction *eviction, bint deletes) noexcept
# Forget what was sampled: it was ranked by another order, or the databases go.
cdef void forget_candidates(Eviction *eviction) noexcept nogil
