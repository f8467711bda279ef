"""Clients that wait: for a key, for a moment, or for the end of a pause."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint32_t, uint64_t

from ranvier.engine.core cimport Arg, Call, Client, Core

# What a client gets that may not block, or when its time is up: then always an array where keys are waited for.
cdef enum TimedOutReply:
    TIMED_OUT_NULL_ARRAY = 0
    TIMED_OUT_NULL = 1
    TIMED_OUT_COUNT = 2          # WAIT: how many have acknowledged
    TIMED_OUT_COUNTS = 3         # WAITAOF: ... on their disks, this server's own first
    TIMED_OUT_NEVER = 4          # SHUTDOWN: only the end ends it, or that it is called off

cdef enum UnblockedBy:
    UNBLOCKED_BY_TIME = 0
    UNBLOCKED_BY_ERROR = 1
    UNBLOCKED_BY_ABORT = 2       # of a shutdown
    UNBLOCKED_BY_ROLE = 3        # the server is a replica now

# What WAIT and WAITAOF wait for.
cdef struct Acknowledgements:
    int64_t offset               # of the stream
    int replicas                 # that have all of it up to there
    bint on_disk                 # ... on their disks
    bint local                   # ... and this server's
    int64_t append_offset        # of what its append-only file was given

# One key that a blocked client waits for: its place in that key's queue.
cdef struct Waiter:
    Blocked *blocked
    AwaitedKey *key
    Waiter *previous
    Waiter *next

# A key that somebody waits for; its bytes stand behind the struct. An item of Blocking.awaited.
cdef struct AwaitedKey:
    Waiter *first
    Waiter *last
    AwaitedKey *next_ready
    uint64_t hash
    int database_index
    bint ready                   # on Blocking.first_ready
    bint serving                 # its queue is being walked
    size_t length

# What a blocked client waits for, and the request that will run then. One allocation, with waiters and arguments.
cdef struct Blocked:
    Client *client
    uint64_t serial              # rises with every block: the order of a queue
    int64_t deadline_ms          # monotonic; 0: none
    size_t heap_place            # in Blocking.heap, when there is a deadline
    int value_type               # an entry.ValueType: what the awaited keys must hold
    int timed_out_reply
    bint paused                  # held back by CLIENT PAUSE
    bint released                # the pause that held it back is over
    Acknowledgements awaited
    bint when_gone               # runs again also when a key has gone or is of another type, to say so
    Waiter *waiters
    size_t waiter_count
    Arg *args
    size_t arg_count

# Of one server.
cdef struct Blocking:
    void *awaited                # Table per database
    AwaitedKey *first_ready
    AwaitedKey *last_ready
    bint serving
    bint rescan                  # databases were swapped: any awaited key may be there now
    Blocked **heap               # binary heap by deadline
    size_t heap_count
    size_t heap_capacity
    size_t client_count
    size_t waiter_count
    uint64_t serial
    Blocked *retried             # whose request runs again at this moment
    AwaitedKey acknowledging     # the queue of the clients that wait for replicas; no key, and in no table
    bint acknowledgements_came   # a replica has told how far it is
    AwaitedKey pause             # the queue of the clients that CLIENT PAUSE holds back; no key, and in no table

cdef void blocking_begin(Core *core) noexcept
cdef void blocking_end(Core *core) noexcept

# Have the client of this call wait for one of args[first:first + count] to hold a value of `value_type`. The request
# runs again then, and must answer or block again. A client that may not block gets `refused_reply` at once.
cdef void block_on_keys(Call *call, size_t first, size_t count, int value_type, int64_t timeout_ms,
                        int refused_reply) noexcept
# The same without keys: only time (0: nothing) and CLIENT UNBLOCK end it.
cdef void block_for(Call *call, int64_t timeout_ms, int timed_out_reply) noexcept
# Have the client, if it waits for keys, learn also that one of them has gone or is of another type.
cdef void wake_when_gone(Client *client) noexcept nogil
# Hold the request back until the pause ends.
cdef void block_paused(Call *call) noexcept
# The resume step: run the request that a pause held back.
cdef void retry_held(Core *core, Client *client) except *
# Teardown: leave every queue. Nothing happens to a client that is not blocked.
cdef void blocked_leave(Client *client) noexcept nogil
# Memory of the request that is kept, and of its places in queues.
cdef size_t blocked_bytes(const Client *client) noexcept nogil
# The effect call, while EFFECT_AWAITED is on.
cdef void awaited_key_changed(Core *core, int database_index, const char *key, size_t length, uint32_t event_class,
                              const char *event) noexcept nogil
# Serve the clients that wait for keys that are ready: core.keys_ready says that there are some.
cdef void serve_ready_keys(Core *core) except *
# The earliest deadline, -1 when there is none.
cdef int64_t next_deadline_ms(const Core *core) noexcept nogil


# For those who wait for something of another kind: a record with a copy of the request, a place in a queue, the phase,
# a request that is not over yet, and the end of it without what was waited for.
cdef Blocked *blocked_new(Call *call, size_t waiter_count) noexcept nogil
cdef void join(Waiter *waiter, Blocked *blocked, AwaitedKey *key) noexcept nogil
cdef void enter(Call *call, Blocked *blocked, int64_t timeout_ms) noexcept
cdef void not_counted(Call *call) noexcept nogil
cdef void give_up(Core *core, Blocked *blocked, int reason, bytes text=*) except *


cdef class BlockedClients:
    cdef Core *core
    cdef Client *find(self, uint64_t client_id) noexcept

cdef BlockedClients blocked_clients(Core *core)


cdef inline bint is_retry(const Client *client) noexcept nogil:
    """Whether the client's request ran before, and blocked."""
    cdef const Blocked *retried = (<const Blocking *>client.core.blocking).retried
    return retried != NULL and retried.client == client and not retried.paused
