"""The stream of changes: one list of blocks, shared by the backlog and all replicas; and who follows it."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t

from ranvier.engine.core cimport Client, Core

# Bytes [begin, begin + used) of the stream; they stand behind the struct.
cdef struct StreamBlock:
    StreamBlock *next
    int64_t begin                # bytes of the stream before its first
    size_t references            # positions in it
    size_t used
    size_t capacity

# Where somebody stands in the stream: behind `sent` bytes of a block that cannot go meanwhile.
cdef struct Position:
    StreamBlock *block           # NULL: nowhere
    size_t sent

# What a replica is sent, in this order.
cdef enum ReplicaStage:
    STAGE_HELD = 0               # its own queue alone: answers of the handshake
    STAGE_FILE = 1               # ... then the file of a snapshot
    STAGE_STREAM = 2             # ... then the stream

cdef struct Replica:
    Client *client
    Replica *previous
    Replica *next
    int stage
    Position position
    int stage_behind             # the file: the next one
    int file                     # of the snapshot, -1: none
    int64_t file_position
    int64_t file_bytes
    size_t own_bytes             # of what it is owed, what it was sent on purpose: anything more is a reply
    int64_t acknowledged         # offset up to which it has everything, by its own word
    int64_t on_disk              # ... and on its disk
    int64_t heard_ms             # monotonic: its last acknowledgement, or when it came

# Of one server.
cdef struct Replication:
    StreamBlock *first
    StreamBlock *last
    size_t block_count
    size_t bytes                 # memory of all blocks
    size_t backlog_bytes         # repl-backlog-size
    bint follows                 # the server is a replica itself
    bint kept                    # there is a backlog: the stream's last bytes are there for whoever comes back
    Position mark                # where the snapshot that is being made belongs
    Replica *first_replica
    Replica *last_replica
    size_t replica_count
    bint acknowledgements_wanted
    int64_t sent_bytes           # to replicas, since the start

cdef void replication_begin(Core *core) noexcept
cdef void replication_end(Core *core) noexcept
# Keep a backlog from here on; nothing happens when there is one.
cdef void backlog_begin(Core *core) noexcept nogil
# Forget it. Nobody may stand in it.
cdef void backlog_end(Core *core) noexcept nogil
# The stream's next bytes, whoever made them: this server's feed, or its primary.
cdef void stream_feed(Core *core, const char *data, size_t length) noexcept nogil
# Give back what neither the backlog nor anybody in it needs.
cdef void stream_trim(Core *core) noexcept nogil
# Stand behind the first `offset` bytes of the stream; False when they are not there.
cdef bint position_take(Core *core, Position *position, int64_t offset) noexcept nogil
cdef void position_drop(Position *position) noexcept nogil
# How many of those who follow the stream have all of it up to `offset` (on their disks).
cdef int acknowledged_by(const Core *core, int64_t offset, bint on_disk) noexcept nogil


cdef inline Replication *replication_of(const Core *core) noexcept nogil:
    return <Replication *>core.replication


cdef inline Replica *replica_of(const Client *client) noexcept nogil:
    return <Replica *>client.replica


cdef inline int64_t position_offset(const Position *position) noexcept nogil:
    return position.block.begin + <int64_t>position.sent


cdef inline size_t replica_lag(const Client *client) noexcept nogil:
    """Bytes of the stream that are kept for this client; 0 for who is no replica."""
    cdef const Replica *replica = <const Replica *>client.replica
    if replica == NULL or replica.position.block == NULL:
        return 0
    return <size_t>(client.core.replication_offset - position_offset(&replica.position))


cdef inline size_t backlog_surplus(const Core *core) noexcept nogil:
    """Memory of the stream beyond the backlog's own: what slow replicas cost."""
    cdef const Replication *replication = <const Replication *>core.replication
    if replication.bytes <= replication.backlog_bytes:
        return 0
    return replication.bytes - replication.backlog_bytes
