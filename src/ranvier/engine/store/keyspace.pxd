"""What all databases of a server share: time, policy, counters, and the queue of what is freed later."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint32_t, uint64_t

from ranvier.engine.memory cimport Memory
from ranvier.engine.store.table cimport Table

cdef enum:
    GARBAGE_TABLE = 255

# A value detached from its key, or a flushed table, freed in slices so that no turn pays for it.
cdef struct Garbage:
    Garbage *next
    int encoding                 # an Encoding, or GARBAGE_TABLE
    void *value
    Table table                  # used when encoding is GARBAGE_TABLE

# Called with the key that a read missed, or that is new.
ctypedef void (*key_listener_t)(void *context, void *database, const char *key, size_t length) noexcept

# Whether what runs was asked for by this server's own clients, told by `on_expired_context`.
ctypedef bint (*made_here_t)(void *context) noexcept nogil

# Time, policy and counters that all databases of a server share; the engine's Core owns it and sets the clock.
cdef struct Keyspace:
    Memory *memory
    int64_t wall_ms
    uint32_t lru_clock           # seconds, 24 bits (LRU), as Redis's LRU_CLOCK at 1 s resolution
    int lfu                      # nonzero: `access` holds LFU minutes and counter
    int lfu_log_factor
    int lfu_decay_minutes
    int no_touch                 # nonzero while a command of a NO-TOUCH client, or of OBJECT, looks keys up
    int64_t hits
    int64_t misses
    int64_t expired
    int64_t expired_fields       # of hashes
    uint64_t random              # xorshift state
    int expires_are_deletes      # 0 on a replica or when paused: expired keys are hidden but not deleted
    int own_expires_are_deletes  # ... but, on a replica, those whose expiry was set here (ENTRY_OWN) are
    made_here_t made_here        # NULL but on a replica
    int expired_are_shown        # nonzero while a command of an import source looks keys up
    Garbage *garbage             # queue of what free_garbage works off
    size_t garbage_count
    uint64_t freed_total         # items freed by free_garbage since the start: the bounded-work counter
    key_listener_t on_missed     # or NULL
    key_listener_t on_new        # or NULL
    void *listener_context
