"""The structures that the engine's modules share: a request's arguments, a command, a call, a client, the core.

One `Core` is one server's engine state. Everything here is plain memory, so that it can be used without the
interpreter's lock; the Python objects that belong to it (`object` columns as `void *`) are kept alive by the loop.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from ranvier.engine.memory cimport Blob, Memory
from ranvier.engine.store.database cimport Database
from ranvier.engine.store.eviction cimport Eviction
from ranvier.engine.store.keyspace cimport Keyspace

# ---- requests -------------------------------------------------------------------------------------------------------

cdef struct Arg:
    const char *data
    size_t length
    Blob *blob                   # not NULL: the argument came alone in a blob, a handler may take a reference

# An argument of a request that is not complete yet: an offset, because the buffer may move.
cdef struct Part:
    size_t offset
    size_t length
    Blob *blob

cdef enum RequestKind:
    REQUEST_NONE = 0
    REQUEST_MULTIBULK = 1

# What the parser remembers of an incomplete request. Offsets count from the request's first byte.
cdef struct Parser:
    int kind
    int64_t missing              # arguments still to come
    int64_t bulk_length          # announced length of the argument being read, -1 before its header
    size_t position              # bytes of the request that are parsed
    size_t searched              # bytes behind `position` that hold no line end
    Part *parts
    size_t part_count
    size_t part_capacity
    size_t blob_bytes            # in the blobs of `parts`
    Blob *big                    # the big argument that is being filled, its CRLF included

cdef struct Request:
    size_t first                 # index of its first argument in the batch
    size_t count
    size_t end                   # offset behind its last byte
    Command *command             # filled by dispatch's look-ahead, NULL when unknown
    uint64_t hash                # of its first key

cdef struct Batch:
    Memory *memory
    Arg *args
    size_t arg_count
    size_t arg_capacity
    Request *requests
    size_t request_count
    size_t request_capacity

# ---- commands -------------------------------------------------------------------------------------------------------

# What can refuse a command, or is due before it runs: one bit each, in the order of lifecycle A4.
# `commands/gates.py` holds the ordered list that says who acts and what is answered.
cdef enum Gate:
    GATE_PROTECTED = 1 << 0          # DEBUG, MODULE: needs enable-debug-command
    GATE_AUTHENTICATION = 1 << 1
    GATE_NO_MULTI = 1 << 2
    GATE_ACL = 1 << 3
    GATE_CLUSTER = 1 << 4
    GATE_EVICT_CLIENTS = 1 << 5
    GATE_OUT_OF_MEMORY = 1 << 6
    GATE_TRACKING_TABLE = 1 << 7
    GATE_DISK_ERROR = 1 << 8
    GATE_GOOD_REPLICAS = 1 << 9
    GATE_READ_ONLY = 1 << 10
    GATE_SUBSCRIBED = 1 << 11
    GATE_STALE = 1 << 12
    GATE_LOADING = 1 << 13
    GATE_BUSY = 1 << 14
    GATE_REPLICA = 1 << 15
    GATE_PAUSED_WRITE = 1 << 16
    GATE_PAUSED_ALL = 1 << 17
    GATE_QUEUE = 1 << 18             # in MULTI: queue instead of running
    GATE_EVICT_KEYS = 1 << 19
    GATE_REDIRECT = 1 << 20
    GATE_ASYNC_LOADING = 1 << 21
    GATE_MONITOR = 1 << 22
    GATE_ENDING = 1 << 23            # a shutdown waits: what concerns data waits, too

# No gate, but in the client's mask, so that the test that finds the gates finds it too: this client's requests run with
# something around them (engine/modes/surroundings).
cdef enum:
    SURROUNDED = 1 << 30

cdef enum CommandFlag:
    COMMAND_CONTAINER = 1 << 0       # the second word chooses the command
    COMMAND_SKIP_SLOWLOG = 1 << 1
    COMMAND_QUICK = 1 << 2           # native and O(1) in a few arguments: timed in groups
    COMMAND_SUBCOMMAND = 1 << 3      # found by way of its container only
    COMMAND_SECRET = 1 << 4          # its arguments may be secrets: shown to nobody as they are
    COMMAND_READS = 1 << 5           # what it reads is remembered for clients that track
    COMMAND_KEYS_ASKED = 1 << 6      # first_key and so on do not tell its keys: the hooks do

ctypedef void (*native_t)(Call *call) noexcept

cdef struct Command:
    char *name                   # lower case, "client|list" for a subcommand
    size_t name_length
    int arity                    # as in COMMAND: the name counts; negative is a minimum
    uint32_t gates
    uint32_t flags
    int first_key                # 0: no key at a fixed place
    int last_key
    int key_step
    native_t native              # or NULL and then
    void *handler                # a Python callable (client, args) -> reply value
    void *record                 # commands.spec.Command
    int64_t calls
    int64_t nanoseconds
    int64_t rejected_calls
    int64_t failed_calls
    uint64_t *latencies          # engine.latency: how many calls took how long; NULL before the first

# ---- one call -------------------------------------------------------------------------------------------------------

cdef struct Call:
    Core *core
    Client *client
    Database *database
    Command *command
    Arg *args                    # args[0] is the command's name
    size_t count
    uint64_t hash                # of the key at command.first_key
    int64_t dirty                # changes made
    void *propagated             # a Python list of argument lists, or NULL: the request as it came
    bint failed                  # an error was replied

# ---- output ---------------------------------------------------------------------------------------------------------

cdef struct Block:
    Block *next
    size_t used                  # bytes to send
    size_t capacity              # bytes that fit; 0: this node refers to `blob`
    const char *data             # the block's own bytes, or a part of the blob's
    Blob *blob

# ---- clients --------------------------------------------------------------------------------------------------------

cdef enum Phase:
    PHASE_HANDSHAKE = 0              # accepted, nothing decided yet: its PROXY header is read (later: TLS)
    PHASE_READY = 1                  # requests are read and executed
    PHASE_BLOCKED = 2                # a command waits; bytes are read, nothing is parsed
    PHASE_CLOSING_AFTER_REPLY = 3    # nothing more is parsed; what is owed is written
    PHASE_CLOSING = 4                # nothing parsed, nothing written; teardown is due
    PHASE_DRAINING = 5               # all is written and the sending side shut; input is discarded within bounds
    PHASE_CLOSED = 6                 # torn down; only the memory is left

cdef enum ClientClass:
    CLASS_NORMAL = 0
    CLASS_REPLICA = 1
    CLASS_PUBSUB = 2

cdef enum ReplyMode:
    REPLY_ON = 0
    REPLY_OFF = 1
    REPLY_SKIP = 2                   # off for the next command alone

cdef enum Capability:
    CAPABILITY_REDIRECT = 1 << 0

cdef enum AfterCommand:
    AFTER_CLOSE = 1 << 0             # the reply is the last
    AFTER_PUSHES = 1 << 1            # messages to the client itself, kept back until then
    AFTER_SURROUNDINGS = 1 << 2      # what is around the command ends
    AFTER_MONITOR = 1 << 3           # it is shown to those who run MONITOR
    AFTER_TRACKING = 1 << 4          # every command, as long as the client tracks: what it read is remembered
    AFTER_REPLICA = 1 << 5           # every command of a replica: it must not have been answered

cdef enum:
    ADDRESS_BYTES = 120              # the longest Unix socket path with ":0" behind it, and a NUL


cdef struct Client:
    Core *core
    void *handle                 # its ClientHandle, whose memory this is; the loop holds a reference while it serves it
    uint64_t id
    char address[ADDRESS_BYTES]
    char local_address[ADDRESS_BYTES]
    int fd                       # -1: a client without a socket
    int phase
    uint32_t gates               # GATE_ bits closed for this client
    uint32_t exempt_gates        # GATE_ bits of the core's that do not concern this client
    int protocol                 # 2 or 3
    int client_class
    Database *database
    bint authenticated
    bint ever_authenticated
    bint want_write              # the poller watches for writability
    bint reading                 # the poller watches for readability
    bint end_of_input            # the peer shut its sending side
    bint linger                  # close by way of PHASE_DRAINING
    bint busy                    # its input is being executed: a close leaves the memory to the free step
    uint32_t after_command       # AFTER_ bits: what is due when the running command has replied
    bint pending_write           # on core.pending_writes
    bint stalled                 # has input that waits until less is owed to it
    bint waiting                 # on core.waiting or core.yielded
    bint yielded                 # on core.yielded: its input goes on in the next turn
    bint closing_queued          # on core.closed
    int close_reason             # engine.phase.CloseReason
    bint admin                   # engine.admin: on core.admins
    bint no_touch                # its look-ups leave the access clocks alone
    bint no_evict                # its memory counts, but maxmemory-clients never evicts it
    bint import_source           # sees keys whose time has passed
    bint obeyed                  # brings changes made elsewhere (the primary's link, a file replayed): none is refused
    uint32_t capabilities        # CAPABILITY_ bits that it claims to have
    int socket_error             # errno of the read or write that failed, 0 while none has
    # modes
    void *transaction            # engine.modes.transaction, NULL outside of MULTI
    void *watches                # engine.modes.watch, the keys that it watches
    size_t watch_count
    bint watch_broken            # a watched key was touched: EXEC will answer null
    size_t kept_bytes            # in queued commands and watches; counts toward the query-buffer limit
    void *blocked                # engine.modes.blocked.Blocked: what it waits for, NULL when it does not
    int64_t unblocked_turn       # statistics.turns, plus one, when it was last given what it waited for
    bint deny_blocking           # a blocking command answers at once: inside EXEC and scripts
    # input
    Parser parser
    char *query                  # its own remainder: query[query_start:query_end]
    size_t query_start
    size_t query_end
    size_t query_capacity
    size_t big_bytes             # of the big argument in its last request, 0 when there was none
    # output
    Block *head
    Block *tail
    size_t sent                  # bytes of `head` that are already sent
    size_t owed_bytes            # all bytes not yet sent, referenced ones included
    size_t output_bytes          # memory of all blocks behind the first, referenced values included
    size_t output_blocks         # number of blocks behind the first
    int64_t soft_limit_since_ms  # monotonic, 0 when below the soft limit
    # statistics
    int64_t created_ms           # monotonic
    int64_t active_ms            # monotonic, last read or write
    uint64_t input_bytes
    uint64_t output_bytes_total
    uint64_t commands
    Command *last_command
    size_t linger_bytes
    int64_t linger_until_ms
    # modes
    void *subscriptions          # engine.modes.pubsub.Subscriptions, NULL when it has none
    int reply_mode               # a ReplyMode
    bint silent                  # what is replied goes nowhere
    void *surroundings           # engine.modes.surroundings.Surroundings, while its request runs inside of them
    void *monitor                # engine.modes.monitor.Monitor, NULL when it does not watch
    void *tracker                # engine.modes.tracking.Tracker, NULL when it does not track
    void *redirecting            # engine.modes.tracking: the first tracker whose invalidations come here
    void *deferred               # engine.modes.deferred.Deferred, pushes that wait for its running command
    void *replica                # engine.replication.stream.Replica, NULL when it is none
    int64_t write_offset         # of the stream, behind the last change that it made
    int64_t append_offset        # ... of what the append-only file was given
    void *primary_link           # engine.replication.primary_link, NULL unless the primary is at the other end
    # eviction of clients (engine.evict_clients), while maxmemory-clients is on
    size_t counted_bytes         # its share of core.buckets.bytes
    int bucket                   # where it stands, counted from 1; 0: in none
    Client *previous_in_bucket
    Client *next_in_bucket
    # lists
    Client *previous
    Client *next
    Client *next_pending_write
    Client *next_waiting
    Client *next_closed
    Client *next_admin

cdef struct Limits:
    size_t read_minimum_bytes
    size_t read_before_big_bytes
    size_t big_argument_trust_bytes
    size_t inline_request_bytes
    int64_t argument_count
    size_t big_argument_bytes
    int64_t bulk_bytes
    size_t query_buffer_bytes
    size_t batch_requests
    int64_t unauthenticated_arguments
    int64_t unauthenticated_bulk_bytes
    size_t unauthenticated_query_buffer_bytes
    size_t unauthenticated_output_bytes
    size_t write_bytes_per_turn
    size_t referenced_value_bytes
    size_t owed_bytes
    size_t free_blocks
    size_t linger_bytes
    int64_t linger_ms
    size_t handshake_bytes           # shown to the hook that reads a handshake
    int64_t handshake_ms
    size_t expire_buckets            # looked at before the clock is read again
    int64_t expire_ns                # of a turn
    size_t output_hard_bytes[3]      # by ClientClass; 0: no limit
    size_t output_soft_bytes[3]
    int64_t output_soft_seconds[3]
    int64_t idle_seconds             # `timeout`
    size_t clients_bytes             # maxmemory-clients; 0: no limit
    int64_t read_budget_ns           # client-read-budget-usec; 0: no budget
    size_t read_ahead_bytes          # of a client that has used up its budget

# The sizes up to which a value keeps its small encoding, as the options of the same names tell.
cdef struct Encodings:
    int list_pack_size               # list-max-listpack-size
    uint32_t list_plain_bytes        # DEBUG QUICKLIST-PACKED-THRESHOLD; 0: what a listpack's limit says
    size_t hash_entries              # hash-max-listpack-entries
    size_t hash_value_bytes          # hash-max-listpack-value
    size_t intset_entries            # set-max-intset-entries
    size_t set_entries               # set-max-listpack-entries
    size_t set_value_bytes           # set-max-listpack-value
    size_t sorted_set_entries        # zset-max-listpack-entries
    size_t sorted_set_value_bytes    # zset-max-listpack-value
    size_t stream_node_bytes         # stream-node-max-bytes
    int64_t stream_node_entries      # stream-node-max-entries
    size_t hyperloglog_sparse_bytes  # hll-sparse-max-bytes

cdef struct Statistics:
    int64_t commands
    int64_t connections
    int64_t rejected_connections
    int64_t input_bytes
    int64_t output_bytes
    int64_t reads
    int64_t writes
    int64_t errors
    int64_t query_buffer_disconnections
    int64_t output_buffer_disconnections
    int64_t turns
    int64_t commands_per_turn_maximum
    int64_t input_peak_bytes         # largest query buffer of this second; engine.figures keeps the seconds before
    int64_t output_peak_bytes
    int64_t turn_ns                  # spent in turns, without the waiting
    int64_t evicted_clients
    int64_t evicted_keys
    int64_t over_memory_ns           # time spent over maxmemory, the present while left out
    int64_t blocks_taken             # blocks of replies, from the allocator
    int64_t blocks_freed             # ... and back to it

cdef enum:
    PEAK_SECONDS = 8
    CLIENT_BUCKETS = 19              # up to 32 KB, up to 64 KB, ... from 4 GB on

# The largest buffers of clients, by second.
cdef struct Peaks:
    int64_t second                   # monotonic, of what Statistics has
    int64_t[8] input_bytes
    int64_t[8] output_bytes

# Whom maxmemory-clients can evict, by size; in a bucket, in the order of their coming.
cdef struct Buckets:
    Client *first[19]
    Client *last[19]
    size_t count                     # clients in all buckets
    size_t bytes                     # of all clients but replicas, those that are never evicted included

# What a change of a key concerns; with none of them set, the effect call is a counter and one test.
cdef enum Effect:
    EFFECT_OBSERVED = 1 << 0         # a listener in Python (tests, extensions)
    EFFECT_NOTIFIED = 1 << 1         # keyspace notifications
    EFFECT_WATCHED = 1 << 2
    EFFECT_TRACKED = 1 << 3
    EFFECT_AWAITED = 1 << 4          # someone is blocked on a key
    EFFECT_PROPAGATED = 1 << 5       # append-only file, replicas

cdef enum EventClass:
    EVENT_GENERIC = 1 << 0           # g
    EVENT_STRING = 1 << 1            # $
    EVENT_LIST = 1 << 2              # l
    EVENT_SET = 1 << 3               # s
    EVENT_HASH = 1 << 4              # h
    EVENT_SORTED_SET = 1 << 5        # z
    EVENT_EXPIRED = 1 << 6           # x
    EVENT_EVICTED = 1 << 7           # e
    EVENT_STREAM = 1 << 8            # t
    EVENT_NEW = 1 << 9               # n
    EVENT_KEY_MISS = 1 << 10         # m
    NOTIFY_KEYSPACE = 1 << 11        # K
    NOTIFY_KEYEVENT = 1 << 12        # E

# ---- propagation ----------------------------------------------------------------------------------------------------

# Who follows the stream of changes: gets whole units, each one execution, as requests in the protocol's form.
ctypedef void (*feed_t)(Core *core, const char *data, size_t length) noexcept nogil

cdef enum FeedIndex:
    FEED_APPEND_ONLY = 0
    FEED_REPLICAS = 1
    FEEDS = 2

cdef struct Feed:
    bint on
    int database_index               # selected by what it was given last; -1: its next unit begins with a SELECT
    feed_t take

cdef struct Propagation:
    char *unit                       # room for a MULTI, then the requests of the unit that is going on
    size_t length                    # of both
    size_t capacity
    size_t requests
    int first_database               # that the first of them is meant for
    int last_database                # ... and the last
    Feed[2] feeds

cdef struct Core:
    Memory memory
    size_t trimmed_bytes         # the most memory in use since the allocator was last trimmed (engine.freeing)
    Keyspace keyspace
    Limits limits
    Statistics statistics
    Peaks peaks
    int64_t wall_ms              # the turn's time
    int64_t monotonic_ms
    bint real_time               # the clock is the system's
    uint32_t gates               # GATE_ bits closed for everyone
    uint32_t effects             # EFFECT_ bits that are on
    uint32_t notified            # EVENT_ and NOTIFY_ bits of notify-keyspace-events
    void *pubsub                 # engine.modes.pubsub.PubSub
    void *tracking               # engine.modes.tracking.Tracking
    int64_t dirty                # changes since the start
    void *engine                 # the Engine object (borrowed)
    void *hooks                  # what the server does when the engine meets an error, a change, a slow command
    void *commands               # the CommandTable object (borrowed)
    int64_t command_ns           # monotonic: up to here all time is attributed to commands
    Command *timed               # quick commands since command_ns: all the same one
    int timed_calls
    Database **databases
    int database_count
    Batch batch                  # of the outermost execution
    int depth                    # executions of input in progress, one inside the other
    Call *call                   # the call that is running, or NULL
    int poller                   # the loop's, for telling it what a client waits for
    Client *next_checked         # where the periodic look at the clients goes on
    Client *first                # all clients with an entry in the loop
    Client *last
    size_t client_count
    void *watched                # engine.modes.watch, one table per database, NULL while nobody watches
    size_t watched_keys
    size_t watching_clients
    void *first_monitor          # engine.modes.monitor.Monitor: who watches, in the order of coming
    void *last_monitor
    bint import_mode             # another server's keys are being copied in: nothing expires
    bint follows                 # a replica: what expires, its primary says
    Client *pending_writes       # have bytes to send
    size_t pending_write_count
    Client *waiting              # stalled clients that may go on, and unblocked ones
    Client *yielded              # have used up their share of this turn
    Buckets buckets
    void *blocking               # engine.modes.blocked.Blocking
    bint keys_ready              # somebody waits for a key that is ready now
    Client *admins               # came by the admin port
    size_t admin_count
    Client *closed               # torn down, memory to be freed in the free step
    Block *free_blocks
    size_t free_block_count
    int64_t slow_nanoseconds     # from here hooks.slow hears of a command (slow log, latency monitor), negative: off
    int64_t latency_event_ns     # latency-monitor-threshold, 0: off
    bint latency_tracking        # calls are counted by how long they took
    size_t large_request_bytes   # from here hooks.large hears of a request; the largest number: off
    size_t large_reply_bytes     # ... and of a reply
    Propagation propagation      # engine.propagation
    void *append_only            # engine.persistence.append_buffer
    void *replication            # engine.replication.stream
    int64_t replication_offset   # bytes of the stream so far
    Eviction eviction            # engine.evict_keys
    int64_t over_memory_since_ns     # monotonic, 0 while memory is under maxmemory
    Encodings encodings
    bint lazy_delete             # lazyfree-lazy-user-del
    bint lazy_server_delete      # lazyfree-lazy-server-del
    bint lazy_expire
    bint lazy_evict
    bint active_expire           # DEBUG SET-ACTIVE-EXPIRE
