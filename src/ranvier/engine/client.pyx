"""A client: hot state in a C struct inside its Python handle, cold state in Python attributes.

A client without a socket (fd -1) is a client too: tests, scripts and replay execute commands through it.

Closing is in two steps. `engine/phase` marks and queues; `teardown` here is the one list of what a close undoes, run
in the free step of the turn or, for a close "now" (CLIENT KILL), at once; the struct itself lives as long as somebody
holds the handle, and everything that could reach it through the core is unlinked before the loop lets go.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memcpy
from posix.unistd cimport close

from ranvier.engine.admin cimport admin_join, admin_leave
from ranvier.engine.client_memory cimport client_bytes
from ranvier.engine.core cimport (
    ADDRESS_BYTES,
    AFTER_CLOSE,
    CAPABILITY_REDIRECT,
    GATE_AUTHENTICATION,
    PHASE_BLOCKED,
    PHASE_CLOSED,
    PHASE_CLOSING,
    PHASE_CLOSING_AFTER_REPLY,
    PHASE_READY,
    Call,
)
from ranvier.engine.effects cimport client_changed, client_database_changed, client_propagate, select_database
from ranvier.engine.evict_clients cimport uncount_client
from ranvier.engine.input cimport input_free, query_bytes
from ranvier.engine.modes.blocked cimport Blocked, blocked_leave
from ranvier.engine.modes.deferred cimport deferred_leave
from ranvier.engine.modes.monitor cimport monitor_leave
from ranvier.engine.modes.pubsub cimport (
    KIND_CHANNEL,
    KIND_PATTERN,
    KIND_SHARD,
    leave_pubsub,
    subscription_count,
    update_subscriber_gate,
)
from ranvier.engine.modes.surroundings cimport leave_reply_mode, update_surrounded
from ranvier.engine.modes.tracking cimport (
    TRACKING_BCAST, TRACKING_BROKEN, Tracker, tracking_leave, tracking_lose_target,
)
from ranvier.engine.modes.transaction cimport transaction_leave, transaction_of
from ranvier.engine.modes.watch cimport watch_leave
from ranvier.engine.output cimport first_block_bytes, output_append, output_free
from ranvier.engine.phase cimport (
    CLOSE_KILLED,
    CLOSE_NONE,
    CLOSE_PROTECTED_MODE,
    CLOSE_QUIT,
    close_after_reply,
    close_at_the_end,
    close_reason_name,
    request_close,
    set_phase,
)
from ranvier.engine.replication.primary_link cimport link_leave
from ranvier.engine.replication.replica_output cimport replica_leave
from ranvier.engine.request cimport parser_init

cdef extern from "<sys/socket.h>" nogil:
    enum:
        SHUT_RDWR
    int shutdown(int fd, int how)


cdef int copy_address(char *target, str address) except -1:
    cdef bytes encoded = address.encode("utf-8", "surrogateescape")[:ADDRESS_BYTES - 1]
    cdef const char *text = encoded
    memcpy(target, text, len(encoded) + 1)
    return 0


cdef class ClientHandle:
    """What command handlers see of a client. All methods belong to the server's thread."""

    def __init__(self, server: object, address: str = "", local_address: str = "", unix_socket: bool = False) -> None:
        self.server = server
        self.name = b""
        self.library_name = b""
        self.library_version = b""
        # Kept in the struct: a client costs one allocation, and no Python string that lives as long as it does.
        copy_address(self.state.address, address)
        copy_address(self.state.local_address, local_address)
        self.unix_socket = unix_socket
        self.replica = None
        self.user = "default"

    cdef void attach(self, Core *core, int fd):
        self.state.core = core
        self.state.handle = <void *>self
        self.state.fd = fd
        self.state.phase = PHASE_READY
        self.state.protocol = 2
        self.state.database = core.databases[0]
        self.state.created_ms = core.monotonic_ms
        self.state.active_ms = core.monotonic_ms
        parser_init(&self.state.parser)

    cdef Client *added(self) except NULL:
        if self.state.core == NULL:
            raise RuntimeError("the client has not been added to an engine")
        return &self.state

    @property
    def address(self) -> str:
        """The peer: host:port, or the path of the Unix socket with `:0`."""
        return (<bytes>self.state.address).decode("utf-8", "surrogateescape")

    @address.setter
    def address(self, str address) -> None:
        copy_address(self.state.address, address)

    @property
    def local_address(self) -> str:
        """The address that the peer connected to."""
        return (<bytes>self.state.local_address).decode("utf-8", "surrogateescape")

    @property
    def id(self) -> int:
        return self.state.id

    @property
    def fd(self) -> int:
        return self.state.fd

    @property
    def protocol(self) -> int:
        return self.state.protocol

    @protocol.setter
    def protocol(self, int version) -> None:
        self.state.protocol = version
        update_subscriber_gate(&self.state)

    @property
    def closed(self) -> bool:
        return self.state.phase == PHASE_CLOSED or self.state.phase == PHASE_CLOSING

    @property
    def close_reason(self) -> str:
        """One of engine.phase.CLOSE_REASON_NAMES; "none" while nothing closes it."""
        return (<bytes>close_reason_name(self.state.close_reason)).decode()

    @property
    def authenticated(self) -> bool:
        return self.state.authenticated

    @authenticated.setter
    def authenticated(self, bint value) -> None:
        self.state.authenticated = value
        if value:
            self.state.ever_authenticated = True
            self.state.gates &= ~<uint32_t>GATE_AUTHENTICATION
        else:
            self.state.gates |= GATE_AUTHENTICATION

    def set_gate(self, gate: int, closed: bool) -> None:
        """Close or open one of commands.gates.Gate for this client."""
        if closed:
            self.state.gates |= <uint32_t>gate
        else:
            self.state.gates &= ~<uint32_t>gate

    @property
    def database_index(self) -> int:
        return self.added().database.index

    @property
    def database(self) -> object:
        """The handle of the selected database."""
        return self.server.engine.databases[self.added().database.index]

    def select(self, index: int) -> None:
        """Select a database. IndexError when there is none of that index."""
        if not 0 <= index < self.added().core.database_count:
            raise IndexError(index)
        select_database(&self.state, index)

    def changed(self, key: bytes, event: str, event_class: int, propagated: list[list[bytes]] | None = None,
                database_index: int = -1) -> None:
        """The effect call (design, law 7) of a Python handler: `key` changed by `event`.

        In the selected database unless another is named; `propagated` None: the request as it came.
        """
        client_changed(self.added(), database_index, key, event.encode(), event_class)
        if propagated is not None:
            client_propagate(&self.state, propagated)

    def database_changed(self, database_index: int, event: str, replacement_index: int = -1) -> None:
        """The effect call for every key of a database, before it happens: "flushdb" or "swapdb".

        With "swapdb", the other database, whose keys take the place of its own.
        """
        if database_index < 0:
            raise IndexError(database_index)
        client_database_changed(self.added(), database_index, replacement_index, event.encode())

    def leave_transaction(self) -> None:
        """Leave MULTI without running anything, and watch no key (RESET)."""
        transaction_leave(self.added())
        watch_leave(&self.state)

    @property
    def deny_blocking(self) -> bool:
        """A blocking command answers at once instead of waiting."""
        return self.state.deny_blocking

    @deny_blocking.setter
    def deny_blocking(self, bint value) -> None:
        self.state.deny_blocking = value

    def close_after_this_command(self, reason: int = CLOSE_QUIT) -> None:
        """Run nothing more and close when the running command's reply is written (QUIT, CLIENT KILL of oneself)."""
        if self.state.close_reason == CLOSE_NONE:
            self.state.close_reason = reason
        self.state.after_command |= AFTER_CLOSE

    def leave_pubsub(self) -> None:
        """Unsubscribe from everything, silently."""
        leave_pubsub(self.added())

    @property
    def admin(self) -> bool:
        """It came by the admin port."""
        return self.state.admin

    @property
    def is_replica(self) -> bool:
        """It follows the stream, or will."""
        return self.state.replica != NULL

    def make_admin(self) -> None:
        """Serve it before the others from now on (`engine/admin`)."""
        admin_join(self.added())

    def refuse(self, text: bytes) -> None:
        """Send a last error line and close: a client that was shaken hands with is not let in."""
        output_append(self.added(), text, len(text))
        self.state.linger = True
        close_after_reply(&self.state, CLOSE_PROTECTED_MODE)

    def leave_monitor(self) -> None:
        """Stop watching what everybody runs (MONITOR)."""
        monitor_leave(self.added())

    def leave_reply_mode(self) -> None:
        """Answer again (CLIENT REPLY)."""
        leave_reply_mode(self.added())

    @property
    def no_touch(self) -> bool:
        """Its look-ups leave the access clocks of keys alone; from the next request on."""
        return self.state.no_touch

    @no_touch.setter
    def no_touch(self, bint value) -> None:
        self.state.no_touch = value
        update_surrounded(&self.state)

    @property
    def no_evict(self) -> bool:
        """Its memory counts toward maxmemory-clients, but it is never evicted."""
        return self.state.no_evict

    @no_evict.setter
    def no_evict(self, bint value) -> None:
        self.state.no_evict = value

    @property
    def import_source(self) -> bool:
        """In import mode it sees keys whose time has passed; from the next request on."""
        return self.state.import_source

    @import_source.setter
    def import_source(self, bint value) -> None:
        self.state.import_source = value
        update_surrounded(&self.state)

    @property
    def understands_redirect(self) -> bool:
        """It said so with CLIENT CAPA."""
        return self.state.capabilities & CAPABILITY_REDIRECT != 0

    @understands_redirect.setter
    def understands_redirect(self, bint value) -> None:
        self.state.capabilities &= ~<uint32_t>CAPABILITY_REDIRECT
        self.state.capabilities |= CAPABILITY_REDIRECT if value else 0

    def leave_tracking(self) -> None:
        """Track nothing any more (RESET)."""
        tracking_leave(self.added())

    def finish(self) -> None:
        """Run nothing more for this client, and close it when what it is owed is written: the server ends."""
        close_at_the_end(self.added())

    def request_word(self, index: int) -> bytes:
        """An argument of the running request as it came; 0 is the command's name."""
        cdef Call *call = self.added().core.call
        if call == NULL or not 0 <= index < <int64_t>call.count:
            raise IndexError(index)
        return PyBytes_FromStringAndSize(call.args[index].data, call.args[index].length)

    def close(self, reason: int = CLOSE_KILLED) -> None:
        """Close now: what is owed is dropped, the socket is shut at once.

        Of a client whose requests are being executed nothing more runs, and the free step does the rest.
        """
        if self.state.core == NULL:
            return
        request_close(&self.state, reason)
        if not self.state.busy:
            teardown(&self.state)

    def send(self, data: bytes) -> None:
        """Queue raw bytes (the rejection lines of the accept path)."""
        output_append(self.added(), data, len(data))

    def describe(self) -> dict[str, object]:
        """The fields of CLIENT LIST that the engine keeps."""
        cdef Client *c = self.added()
        cdef const Tracker *tracker = <const Tracker *>c.tracker
        cdef size_t held = first_block_bytes(c)
        return {
            "id": c.id,
            "fd": c.fd,
            "age": (c.core.monotonic_ms - c.created_ms) // 1000,
            "idle": (c.core.monotonic_ms - c.active_ms) // 1000,
            "db": c.database.index,
            "qbuf": query_bytes(c),
            "qbuf-free": c.query_capacity - (c.query_end - c.query_start),
            "rbs": held,
            "rbp": c.head.used if held > 0 else 0,
            "obl": c.head.used - c.sent if held > 0 else 0,
            "oll": c.output_blocks,
            "omem": c.output_bytes,
            "tot-mem": client_bytes(c),
            "sub": subscription_count(c, KIND_CHANNEL),
            "psub": subscription_count(c, KIND_PATTERN),
            "ssub": subscription_count(c, KIND_SHARD),
            "events": ("r" if c.reading else "") + ("w" if c.want_write else ""),
            "cmd": "NULL" if c.last_command == NULL else c.last_command.name[:c.last_command.name_length].decode(),
            "resp": c.protocol,
            "tot-net-in": c.input_bytes,
            "tot-net-out": c.output_bytes_total,
            "tot-cmds": c.commands,
            "primary": c.primary_link != NULL,
            "blocked": c.phase == PHASE_BLOCKED,
            "closing": c.phase == PHASE_CLOSING,
            "closing-after-reply": c.phase == PHASE_CLOSING_AFTER_REPLY,
            "monitor": c.monitor != NULL,
            "socket-error": c.socket_error,
            "owed": c.owed_bytes,
            "multi": -1 if c.transaction == NULL else transaction_of(c).count,
            "watch": c.watch_count,
            "watch-broken": c.watch_broken,
            "unblocked": c.unblocked_turn == c.core.statistics.turns + 1,
            "argv-mem": argument_bytes(c),
            "multi-mem": 0 if c.transaction == NULL else transaction_of(c).bytes,
            "tracking": tracker != NULL,
            "broken-redirect": tracker != NULL and tracker.flags & TRACKING_BROKEN != 0,
            "bcast": tracker != NULL and tracker.flags & TRACKING_BCAST != 0,
            "redir": -1 if tracker == NULL else <int64_t>tracker.redirect_id,
        }


cdef size_t argument_bytes(const Client *client) noexcept:
    """Of the request that runs or waits, the name included."""
    cdef const Call *call = client.core.call
    cdef const Blocked *blocked = <const Blocked *>client.blocked
    cdef size_t i, total = 0
    if blocked != NULL:
        for i in range(blocked.arg_count):
            total += blocked.args[i].length
    elif call != NULL and call.client == client:
        for i in range(call.count):
            total += call.args[i].length
    return total


cdef void teardown(Client *client):
    # docs/lifecycle.md prints this list: one numbered comment to a step, the steps in their order.
    if client.phase == PHASE_CLOSED:
        return
    # 1. Nobody serves it any more: nothing is parsed, nothing is written, the first reason stays.
    request_close(client, CLOSE_KILLED)
    # 2. The close is counted, logged and kept for CLIENT CLOSED, while there is something to tell.
    tell_of_close(client)
    set_phase(client, PHASE_CLOSED)
    # 3. The socket: out of the poller; shut first, so that the peer sees the end even if a forked child holds it, too.
    if client.fd >= 0:
        (<object>client.core.engine).forget_socket(<ClientHandle>client.handle)
        shutdown(client.fd, SHUT_RDWR)
        close(client.fd)
        client.fd = -1
    # 4. MULTI: the queue, with the arguments it holds.
    transaction_leave(client)
    # 5. WATCH: its place at every key; keys that nobody else watches are forgotten.
    watch_leave(client)
    # 6. Pub/Sub: every channel, pattern and shard channel, silently; what was kept back for it.
    leave_pubsub(client)
    # 7. MONITOR: its place among those who watch everything.
    monitor_leave(client)
    # 8. Waiting: its place in the queue of every key, of the pause and of the time-outs; the request that would run.
    blocked_leave(client)
    # 9. The admin port: its place among those who are served first.
    admin_leave(client)
    # 10. Tracking: its prefixes and those who redirect to it; the keys it asked for are forgotten when they change.
    tracking_leave(client)
    tracking_lose_target(client)
    # 11. Pushes that were kept back until its command would have replied.
    deferred_leave(client)
    # 12. Replication: its place in the stream, which may be trimmed then; the file that it was being sent.
    replica_leave(client)
    # 13. Input: the unfinished request, a big argument that was being filled, what waits to be parsed.
    input_free(client)
    # 14. Output: every block, and its share in values and messages that it referred to.
    output_free(client)
    client.stalled = False
    # 15. What is counted of it: its share of all clients' memory.
    uncount_client(client)
    # 16. The link to the primary: the beginning of a transaction; the server was told in step 2 how far the link was.
    link_leave(client)


cdef void tell_of_close(Client *client) noexcept:
    """Nothing that goes wrong in the telling may keep a client from being torn down."""
    cdef object hooks = <object>client.core.hooks
    try:
        hooks.client_closing(<ClientHandle>client.handle)
    except Exception as error:
        hooks.bug_in_callback(hooks.client_closing, error)
