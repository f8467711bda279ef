"""What a replica is sent: its own queue, then perhaps a snapshot's file, then the stream, straight from its blocks.

Strategy: the own queue is the output buffer that every client has; answers of the handshake and a snapshot that comes
through a pipe go there. The stream is never copied: the write step gathers as many blocks as a system call takes, and
moves the replica's position on by what the socket took. A replica is sent all that its socket takes (lifecycle A6-3),
but for a snapshot's file, of which a turn sends a bounded part.

Invariants: `own_bytes` is what the own queue holds on purpose; whatever else a request of a replica leaves there is a
reply, which would break the stream: it is closed before a byte of that leaves (lifecycle A5-1). A position only moves
forward, and holds exactly one block.
"""

from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memset
from posix.unistd cimport close as close_descriptor

from ranvier.engine.client cimport ClientHandle
from ranvier.engine.core cimport (
    AFTER_REPLICA, CLASS_REPLICA, FEED_REPLICAS, GATE_ENDING, GATE_PAUSED_ALL, GATE_PAUSED_WRITE, GATE_REPLICA,
    PHASE_CLOSING, PHASE_CLOSING_AFTER_REPLY,
)
from ranvier.engine.memory cimport allocate, release
from ranvier.engine.modes.acknowledged cimport acknowledgements_came
from ranvier.engine.output cimport output_append, output_write, queue_write
from ranvier.engine.phase cimport CLOSE_REPLICATION, CLOSE_WRITE_ERROR, close_after_reply, request_close
from ranvier.engine.propagation cimport feed_begin, feed_end
from ranvier.engine.replication.stream cimport (
    STAGE_FILE, STAGE_HELD, STAGE_STREAM, Replica, Replication, StreamBlock, acknowledged_by, backlog_begin,
    backlog_end, backlog_surplus, position_drop, position_offset, position_take, replica_lag, replication_begin,
    replica_of, replication_of, stream_feed, stream_trim,
)
from ranvier.engine.sockets cimport MSG_NOSIGNAL, iovec, msghdr, send, sendmsg
from ranvier.engine.turn cimport want, written

cdef extern from "<unistd.h>" nogil:
    ssize_t pread(int fd, void *data, size_t size, long long offset)

cdef enum:
    VECTORS = 64
    FILE_BYTES_PER_READ = 65536
    FILE_BYTES_PER_TURN = 1048576    # to one replica, so that the loop is not held


cdef bytes GETACK = b"*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n"


# ---- writing --------------------------------------------------------------------------------------------------------

cdef ssize_t failed(Client *client) noexcept nogil:
    """What a send that took nothing means: 0 for not now, -1 for never again."""
    if errno == EAGAIN:
        return 0
    client.socket_error = errno
    return -1


cdef void count_sent(Replica *replica, ssize_t sent) noexcept nogil:
    cdef Client *client = replica.client
    client.output_bytes_total += sent
    client.active_ms = client.core.monotonic_ms
    client.core.statistics.writes += 1
    replication_of(client.core).sent_bytes += sent


cdef bint has_stream(const Replica *replica) noexcept nogil:
    return replica.stage == STAGE_STREAM and position_offset(&replica.position) < replica.client.core.replication_offset


cdef ssize_t send_stream(Replica *replica) noexcept nogil:
    """Send what fits one call. Bytes sent, 0 when the socket takes nothing, -1 with the error kept."""
    cdef iovec[VECTORS] vectors
    cdef msghdr message
    cdef StreamBlock *block = replica.position.block
    cdef size_t skip = replica.position.sent
    cdef int count = 0
    cdef ssize_t sent
    while block != NULL and count < VECTORS:
        if block.used > skip:
            vectors[count].iov_base = <char *>(block + 1) + skip
            vectors[count].iov_len = block.used - skip
            count += 1
        skip = 0
        block = block.next
    memset(&message, 0, sizeof(msghdr))
    message.msg_iov = vectors
    message.msg_iovlen = count
    while True:
        sent = sendmsg(replica.client.fd, &message, MSG_NOSIGNAL)
        if sent >= 0 or errno != EINTR:
            break
    if sent < 0:
        return failed(replica.client)
    count_sent(replica, sent)
    move_on(replica, sent)
    return sent


cdef void move_on(Replica *replica, size_t count) noexcept nogil:
    """`count` bytes of the stream have left; the position never stays at the end of a block that is not the last."""
    cdef StreamBlock *block = replica.position.block
    count += replica.position.sent
    while count >= block.used and block.next != NULL:
        count -= block.used
        block.references -= 1
        block = block.next
        block.references += 1
    replica.position.block = block
    replica.position.sent = count


cdef ssize_t send_file(Replica *replica) noexcept nogil:
    """Send the next piece of the snapshot's file; behind its end the stream begins."""
    cdef char[FILE_BYTES_PER_READ] piece
    cdef ssize_t sent, found = pread(replica.file, piece, FILE_BYTES_PER_READ, replica.file_position)
    if found <= 0:
        # The file was complete when it was opened: it can only be shorter now by an error of the disk.
        replica.client.socket_error = errno if found < 0 else 0
        return -1
    while True:
        sent = send(replica.client.fd, piece, found, MSG_NOSIGNAL)
        if sent >= 0 or errno != EINTR:
            break
    if sent < 0:
        return failed(replica.client)
    count_sent(replica, sent)
    replica.file_position += sent
    if replica.file_position == replica.file_bytes:
        close_file(replica)
        replica.stage = replica.stage_behind
    return sent


cdef void close_file(Replica *replica) noexcept nogil:
    if replica.file >= 0:
        close_descriptor(replica.file)
        replica.file = -1


cdef ssize_t send_next(Replica *replica) noexcept nogil:
    """What is next in order: the own queue, the file, the stream. 0 also when there is nothing."""
    cdef int64_t before
    cdef ssize_t sent
    if replica.client.owed_bytes > 0:
        before = replica.client.core.statistics.output_bytes
        sent = output_write(replica.client)
        replica.client.core.statistics.output_bytes = before     # a replica's traffic is counted apart
        if sent > 0:
            replication_of(replica.client.core).sent_bytes += sent
        replica.own_bytes = replica.client.owed_bytes
        return sent
    if replica.stage == STAGE_FILE:
        return send_file(replica)
    return send_stream(replica) if has_stream(replica) else 0


cdef void write_replica(Core *core, Client *client) noexcept nogil:
    cdef Replica *replica = replica_of(client)
    cdef int64_t file_end = replica.file_position + FILE_BYTES_PER_TURN
    cdef ssize_t sent = 1
    while sent > 0 and (replica.file < 0 or replica.file_position < file_end):
        sent = send_next(replica)
    if sent < 0:
        request_close(client, CLOSE_WRITE_ERROR)
    elif sent > 0:
        queue_write(client)      # its share of this turn, not what the socket takes
    elif client.owed_bytes > 0 or replica.stage == STAGE_FILE or has_stream(replica):
        want(client, client.reading, True)
    else:
        want(client, client.reading, False)
        written(core, client)


# ---- the mode -------------------------------------------------------------------------------------------------------

cdef void replica_join(Client *client) noexcept:
    cdef Core *core = client.core
    cdef Replication *replication = replication_of(core)
    cdef Replica *replica = <Replica *>allocate(&core.memory, sizeof(Replica))
    memset(replica, 0, sizeof(Replica))
    replica.client = client
    replica.file = -1
    replica.own_bytes = client.owed_bytes
    replica.heard_ms = core.monotonic_ms
    replica.previous = replication.last_replica
    if replica.previous != NULL:
        replica.previous.next = replica
    else:
        replication.first_replica = replica
    replication.last_replica = replica
    replication.replica_count += 1
    client.replica = replica
    client.client_class = CLASS_REPLICA
    client.gates |= GATE_REPLICA
    client.exempt_gates |= <uint32_t>(GATE_PAUSED_WRITE | GATE_PAUSED_ALL | GATE_ENDING)
    client.after_command |= AFTER_REPLICA


cdef void replica_leave(Client *client) noexcept:
    cdef Core *core = client.core
    cdef Replication *replication = replication_of(core)
    cdef Replica *replica = replica_of(client)
    if replica == NULL:
        return
    position_drop(&replica.position)
    close_file(replica)
    if replica.previous != NULL:
        replica.previous.next = replica.next
    else:
        replication.first_replica = replica.next
    if replica.next != NULL:
        replica.next.previous = replica.previous
    else:
        replication.last_replica = replica.previous
    replication.replica_count -= 1
    client.replica = NULL
    client.after_command &= ~<uint32_t>AFTER_REPLICA
    release(&core.memory, replica)


cdef void replica_ran(Client *client, const Call *call) noexcept:
    cdef object hooks = <object>client.core.hooks
    cdef bytes name = b"?"
    if client.owed_bytes <= replica_of(client).own_bytes or client.phase >= PHASE_CLOSING:
        return
    if call.count > 0:
        name = call.args[0].data[:call.args[0].length]
    try:
        hooks.replica_replied(<ClientHandle>client.handle, name)
    except Exception as error:
        hooks.bug(<ClientHandle>client.handle, error)
    request_close(client, CLOSE_REPLICATION)


cdef class Replicas:
    """An engine's replicas and their stream, as its server sees them. Belongs to the server's thread."""

    cdef Replica *of(self, ClientHandle handle) except NULL:
        if handle.state.replica == NULL:
            raise RuntimeError("the client is no replica")
        return replica_of(&handle.state)

    # ---- the stream -------------------------------------------------------------------------------------------------

    @property
    def offset(self) -> int:
        """Bytes of the stream so far: master_repl_offset."""
        return self.core.replication_offset

    @offset.setter
    def offset(self, value: int) -> None:
        """Begin to count at another place, with nothing in the backlog. Nobody may stand in the stream."""
        cdef bint kept = replication_of(self.core).kept
        self.forget_backlog()
        self.core.replication_offset = value
        if kept:
            backlog_begin(self.core)

    @property
    def backlog(self) -> tuple[int, int] | None:
        """The offset before its first byte and how many it has; None: there is none."""
        cdef Replication *replication = replication_of(self.core)
        if not replication.kept:
            return None
        return replication.first.begin, self.core.replication_offset - replication.first.begin

    def set_backlog_size(self, size_bytes: int) -> None:
        """repl-backlog-size"""
        replication_of(self.core).backlog_bytes = size_bytes

    def keep_backlog(self) -> None:
        """Keep the stream's last bytes from here on, whoever brings them."""
        backlog_begin(self.core)

    def forget_backlog(self) -> None:
        """Keep nothing, and count nothing. Nobody may stand in the stream."""
        cdef Replica *replica = replication_of(self.core).first_replica
        cdef bint held = replication_of(self.core).mark.block != NULL
        while replica != NULL:
            held = held or replica.position.block != NULL
            replica = replica.next
        if held:
            raise RuntimeError("somebody stands in the stream")
        backlog_end(self.core)

    def lead(self) -> None:
        """The changes that this server makes are the stream from now on."""
        replication_of(self.core).follows = False
        feed_begin(self.core, FEED_REPLICAS, stream_feed)

    def follow(self) -> None:
        """`feed` brings the stream: it is the primary's of this server."""
        replication_of(self.core).follows = True
        feed_end(self.core, FEED_REPLICAS)

    def rest(self) -> None:
        """This server is a primary whose changes nobody follows."""
        replication_of(self.core).follows = False
        feed_end(self.core, FEED_REPLICAS)

    def select_again(self) -> None:
        """Have the next change name its database: somebody begins here who cannot know it."""
        self.core.propagation.feeds[<int>FEED_REPLICAS].database_index = -1

    @property
    def database_index(self) -> int:
        """The database that whoever follows the stream has selected by now; -1: the next change names it."""
        return self.core.propagation.feeds[<int>FEED_REPLICAS].database_index

    def feed(self, data: bytes) -> None:
        """Bytes of the stream that are no change of this server's: its primary's, a ping, a question."""
        stream_feed(self.core, data, len(data))

    def trim(self) -> None:
        """A turn's share: give back what neither the backlog nor anybody in it needs."""
        stream_trim(self.core)

    # ---- replicas ---------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return replication_of(self.core).replica_count

    def join(self, handle: ClientHandle) -> None:
        """The client is a replica from now on: nothing but `send` reaches it yet."""
        replica_join(handle.added())

    def send(self, handle: ClientHandle, data: bytes) -> None:
        """Put bytes into the replica's own queue, before the stream."""
        self.of(handle)
        output_append(&handle.state, data, len(data))
        replica_of(&handle.state).own_bytes = handle.state.owed_bytes

    def refuse(self, handle: ClientHandle, data: bytes) -> None:
        """Send it a last line instead of what it asked for, and close."""
        self.send(handle, data)
        self.of(handle).stage = STAGE_HELD
        handle.state.linger = True
        close_after_reply(&handle.state, CLOSE_REPLICATION)

    def mark(self) -> None:
        """A snapshot of this moment is made: what comes behind it is kept for whoever will get it."""
        position_take(self.core, &replication_of(self.core).mark, self.core.replication_offset)

    def unmark(self) -> None:
        """The snapshot is given to nobody else."""
        position_drop(&replication_of(self.core).mark)

    @property
    def marked_offset(self) -> int:
        """Where the snapshot that is being made belongs. RuntimeError when none is."""
        if replication_of(self.core).mark.block == NULL:
            raise RuntimeError("no snapshot is being made")
        return position_offset(&replication_of(self.core).mark)

    def place(self, handle: ClientHandle, offset: int) -> bool:
        """Have the replica stand behind that many bytes of the stream; False when they are not there."""
        return position_take(self.core, &self.of(handle).position, offset)

    def stream(self, handle: ClientHandle) -> None:
        """Send it the stream from where it stands."""
        self.of(handle).stage = STAGE_STREAM
        queue_write(&handle.state)

    def send_file(self, handle: ClientHandle, descriptor: int, size_bytes: int, then_stream: bool) -> None:
        """Send it the file, which is closed when it has been sent, and perhaps then the stream. Not an empty file."""
        cdef Replica *replica = self.of(handle)
        replica.file = descriptor
        replica.file_position = 0
        replica.file_bytes = size_bytes
        replica.stage = STAGE_FILE
        replica.stage_behind = STAGE_STREAM if then_stream else STAGE_HELD
        queue_write(&handle.state)

    def flush(self, handle: ClientHandle) -> bool:
        """Send its own queue now, before somebody else writes to its socket; whether nothing is left of it."""
        cdef Client *client = self.of(handle).client
        while client.owed_bytes > 0 and client.phase < PHASE_CLOSING_AFTER_REPLY:
            if output_write(client) <= 0:
                break
        replica_of(client).own_bytes = client.owed_bytes
        return client.owed_bytes == 0

    # ---- acknowledgements -------------------------------------------------------------------------------------------

    def acknowledged(self, handle: ClientHandle, offset: int, on_disk: int) -> None:
        """The replica's word on how far it is; -1: no news of that kind. It never goes back."""
        cdef Replica *replica = self.of(handle)
        replica.heard_ms = self.core.monotonic_ms
        replica.acknowledged = max(replica.acknowledged, <int64_t>offset)
        replica.on_disk = max(replica.on_disk, <int64_t>on_disk)
        acknowledgements_came(self.core)

    def heard_of(self, handle: ClientHandle) -> None:
        """It lives, and says no more."""
        self.of(handle).heard_ms = self.core.monotonic_ms

    def acknowledged_by(self, offset: int, on_disk: bool = False) -> int:
        """How many of those who follow the stream have all of it up to there, by their own word."""
        return acknowledged_by(self.core, offset, on_disk)

    def want_acknowledgements(self) -> None:
        """Ask all replicas how far they are, before the loop sleeps."""
        replication_of(self.core).acknowledgements_wanted = True

    def ask(self) -> None:
        """A turn's share: ask, if somebody waits for acknowledgements, unless a pause stops the stream."""
        cdef Replication *replication = replication_of(self.core)
        if replication.acknowledgements_wanted and not self.core.gates & GATE_PAUSED_WRITE:
            replication.acknowledgements_wanted = False
            if replication.replica_count > 0 and not replication.follows:
                stream_feed(self.core, GETACK, len(GETACK))

    # ---- figures ----------------------------------------------------------------------------------------------------

    def describe(self, handle: ClientHandle) -> dict[str, int]:
        """How far a replica is."""
        cdef Replica *replica = self.of(handle)
        return {
            "stage": replica.stage,
            "offset": position_offset(&replica.position) if replica.position.block != NULL else -1,
            "lag_bytes": replica_lag(&handle.state),
            "acknowledged": replica.acknowledged,
            "on_disk": replica.on_disk,
            "heard_ms": replica.heard_ms,
            "file_left_bytes": replica.file_bytes - replica.file_position if replica.file >= 0 else 0,
        }

    def figures(self) -> dict[str, int]:
        """Memory and traffic, under INFO's names."""
        cdef Replication *replication = replication_of(self.core)
        cdef size_t surplus = backlog_surplus(self.core)
        return {
            "mem_replication_backlog": replication.bytes - surplus,
            "mem_total_replication_buffers": replication.bytes,
            "mem_replicas_repl_buffer": surplus,
            "mem_not_counted_for_evict": surplus,
            "total_net_repl_output_bytes": replication.sent_bytes,
        }

    @property
    def sent_bytes(self) -> int:
        """To all replicas, since the start."""
        return replication_of(self.core).sent_bytes

    def reset_statistics(self) -> None:
        replication_of(self.core).sent_bytes = 0


cdef Replicas replicas_of(Core *core):
    cdef Replicas found = Replicas.__new__(Replicas)
    found.core = core
    replication_begin(core)
    replication_of(core).backlog_bytes = 1
    return found
