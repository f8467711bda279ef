"""Client-side caching: who remembers which keys, and how it is told that they changed (lifecycle A13)."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy

from ranvier.engine.core cimport Call, Client, Command, Core
from ranvier.engine.memory cimport Blob, Memory
from ranvier.engine.number cimport print_integer
from ranvier.engine.store.table cimport Table

cdef enum:
    HEADER_BYTES = 64                # of a message to a client, of an array of keys, and around a key

cdef enum TrackingFlag:
    TRACKING_BCAST = 1 << 0
    TRACKING_OPTIN = 1 << 1
    TRACKING_OPTOUT = 1 << 2
    TRACKING_NOLOOP = 1 << 3
    TRACKING_BROKEN = 1 << 4         # who should get the invalidations was not there any more
    TRACKING_CACHING = 1 << 5        # CLIENT CACHING, for the next command or transaction

# The mode object of a client that tracks (Client.tracker).
cdef struct Tracker:
    uint64_t id                  # of the client: its key in Tracking.trackers
    Client *client
    uint32_t flags
    uint64_t redirect_id         # 0: the invalidations are its own
    Client *target               # who gets them: NULL when that client is gone
    Tracker *next_of_target
    Tracker *previous_of_target
    OwnPrefix *prefixes
    size_t prefix_count
    size_t prefix_bytes

cdef struct OwnPrefix:
    Prefix *prefix
    size_t place                 # in prefix.members

cdef struct PrefixMember:
    Tracker *tracker
    size_t place                 # in tracker.prefixes

# A prefix of BCAST mode; exists while somebody tracks it.
cdef struct Prefix:
    PrefixMember *members
    size_t count
    size_t capacity
    Prefix *parent               # the longest other prefix that begins it, or NULL
    size_t root_length           # of the shortest prefix that begins it; its own when no other does
    size_t first_written         # its keys in the array of this turn's
    size_t written_count
    Prefix *next_written         # the prefixes with such keys, in no order
    size_t length                # its bytes follow

# A key that somebody has read in default mode.
cdef struct TrackedKey:
    size_t length
    uint32_t count
    uint32_t capacity            # its bytes follow, filled up to eight, then the ids, sorted

# A key that changed in this turn, for BCAST mode.
cdef struct WrittenKey:
    uint64_t writer              # the client that changed it last, 0: none did
    size_t length                # its bytes follow

# What a server has of it (Core.tracking).
cdef struct Tracking:
    Memory *memory
    Table keys                   # TrackedKey
    size_t item_count            # ids in all of them
    Table trackers               # by client id
    Prefix **prefixes            # sorted by their bytes
    size_t prefix_count
    bint prefixes_settled        # `parent` and `root_length` of all of them are right
    Table written                # WrittenKey
    size_t maximum_keys          # tracking-table-max-keys, 0: no limit
    size_t trims_in_vain         # in a row: each lets the next remove more
    size_t keys_per_trim
    size_t shared_bytes          # a broadcast this long is shared by its receivers, a shorter one copied
    uint64_t random
    uint64_t flushed_by          # the last flush that was told: client and number of its command
    uint64_t flushed_at

cdef class ClientTracking:
    cdef Core *core

    cdef Client *find(self, uint64_t client_id) noexcept

cdef void tracking_begin(Core *core, uint64_t random) except *
cdef void tracking_end(Core *core) noexcept
cdef ClientTracking client_tracking(Core *core)

# After each command of a client that tracks: remember what it read.
cdef void tracking_ran(Call *call) noexcept
# After a command that was refused (`command` may be NULL): CLIENT CACHING counts for one command.
cdef void tracking_over(Client *client, const Command *command) noexcept nogil
# A key changed; `writer` NULL: by itself, as when it expires.
cdef void tracking_touch(Core *core, const Client *writer, const char *key, size_t length) noexcept nogil
# Databases are emptied by the running command: told once for each command.
cdef void tracking_flush(Core *core) noexcept nogil
# Stop tracking. Idempotent.
cdef void tracking_leave(Client *client) noexcept nogil
# The client is gone for those who redirected to it. Idempotent.
cdef void tracking_lose_target(Client *client) noexcept nogil
cdef size_t tracker_bytes(const Client *client) noexcept nogil
# Send an encoded array of keys, or null (`keys` NULL), to whoever gets the tracker's messages. `blob` not NULL holds
# `keys`, and is referred to.
cdef void send(Tracker *tracker, const char *keys, size_t size, Blob *blob) noexcept nogil


cdef inline size_t put_header(char *target, char first, size_t number) noexcept nogil:
    cdef size_t size
    target[0] = first
    size = 1 + print_integer(target + 1, <int64_t>number)
    memcpy(target + size, b"\r\n", 2)
    return size + 2


cdef inline size_t key_size(size_t length) noexcept nogil:
    """Bytes of an encoded key."""
    cdef size_t digits = 1, rest = length // 10
    while rest > 0:
        digits += 1
        rest //= 10
    return 1 + digits + 2 + length + 2


cdef inline size_t put_key(char *target, const char *key, size_t length) noexcept nogil:
    cdef size_t size = put_header(target, c'$', length)
    memcpy(target + size, key, length)
    memcpy(target + size + length, b"\r\n", 2)
    return size + length + 2
