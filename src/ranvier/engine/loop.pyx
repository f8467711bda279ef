"""The loop of a server: readiness, timers, wake-up from other threads, and the steps of a turn.

One thread owns an Engine. A turn is: poll and all receives (without the interpreter's lock), execute, timers, and the
ordered list in `server/before_sleep`, which calls the steps below; all sends go without the lock again.

Invariant: a Client is reached through the core's lists, the events in hand and `received`; `free_closed` removes it
from all of them before it drops the handle that holds its memory.
"""

import os

from cpython.exc cimport PyErr_CheckSignals
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.errno cimport EINTR, errno
from libc.stdint cimport int64_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset
from posix.unistd cimport close as close_descriptor

from ranvier.engine.audit cimport audit
from ranvier.engine.callbacks cimport Callbacks
from ranvier.engine.client cimport ClientHandle, teardown
from ranvier.engine.clocks cimport (
    CLOCK_REALTIME,
    clock_ns,
    now_ns,
    ranvier_precise_timers,
)
from ranvier.engine.coalesce cimport coalescer_note
from ranvier.engine.command_table cimport CommandTable
from ranvier.engine.core cimport (
    COMMAND_CONTAINER,
    COMMAND_KEYS_ASKED,
    COMMAND_QUICK,
    COMMAND_READS,
    COMMAND_SECRET,
    COMMAND_SKIP_SLOWLOG,
    PHASE_CLOSING,
    PHASE_HANDSHAKE,
    Client,
    Core,
    native_t,
)
from ranvier.engine.evict_clients cimport ClientMemory, client_memory, count_client
from ranvier.engine.evict_keys cimport KeyEviction, eviction_end, key_eviction
from ranvier.engine.figures cimport engine_figures, roll_peaks
from ranvier.engine.histogram cimport HISTOGRAM_BUCKETS, TurnHistogram, histogram_begin, histogram_note
from ranvier.engine.freeing cimport (
    Trimming,
    free_some_values,
    sort_freed,
    trim,
    trim_step,
    trimming_begin,
    trimming_end,
    tune_allocator,
    untrimmed_bytes,
)
from ranvier.engine.modes.acknowledged cimport answers_are_due
from ranvier.engine.modes.blocked cimport (
    BlockedClients,
    blocked_clients,
    blocking_begin,
    blocking_end,
    next_deadline_ms,
)
from ranvier.engine.modes.pubsub cimport PubSubHandle, pubsub_handle
from ranvier.engine.modes.tracking cimport ClientTracking, client_tracking, tracking_begin, tracking_end
from ranvier.engine.native.registry cimport native_handler
from ranvier.engine.output cimport free_spare_blocks, output_free
from ranvier.engine.persistence.append_buffer cimport AppendBuffer, append_buffer, appended_end
from ranvier.engine.persistence.snapshots cimport Snapshots, snapshots_of
from ranvier.engine.phase cimport CLOSE_OUTPUT_LIMIT, CLOSE_SHUTDOWN, CLOSE_UNAUTHENTICATED
from ranvier.engine.poll cimport poll_create, poll_forget, poll_watch
from ranvier.engine.propagation cimport propagation_free
from ranvier.engine.readiness cimport (
    Readiness,
    clients_of_events,
    events_left,
    forget_events,
    readiness_begin,
    readiness_end,
    receive_events,
)
from ranvier.engine.replication.replica_output cimport Replicas, replicas_of
from ranvier.engine.replication.stream cimport replication_end
from ranvier.engine.request cimport batch_free, batch_init
from ranvier.engine.settings cimport Settings, load_limits, settings_of
from ranvier.engine.store.database cimport Database, database_free, database_new
from ranvier.engine.store.eviction cimport EVICTION_GOES_ON
from ranvier.engine.store.garbage cimport free_garbage, garbage_waits
from ranvier.engine.store.handles cimport database_handle
from ranvier.engine.timers cimport Timers
from ranvier.engine.turn cimport (
    check_some_clients,
    client_output,
    closes_in_progress,
    expire_some_keys,
    feed_client,
    key_expired,
    link_client,
    owes_replies,
    recall_yielded,
    resume_clients,
    serve,
    unlink_client,
    write_clients,
)

from ranvier import limits
from ranvier.clock import SystemClock

cdef enum:
    WRITES_UNDER_LOCK = 128


cdef class Engine:
    """One server's engine: its loop, its clients, its databases.

    `hooks` is told of what the engine leaves to Python (`server/hooks.py`). `clock`: see `ranvier.clock`.
    """

    cdef Core core
    cdef Readiness ready
    cdef Trimming trimming
    cdef bint system_clock
    cdef bint stopped
    cdef bint expire_unfinished
    cdef int64_t turn_ns             # monotonic: when the poll of this turn was over
    cdef TurnHistogram histogram
    cdef uint64_t next_client_id
    cdef int64_t commands_before     # the latest CONFIG RESETSTAT
    cdef Callbacks callbacks
    cdef readonly object hooks
    cdef readonly object clock
    cdef readonly CommandTable commands
    cdef readonly list databases
    cdef readonly PubSubHandle pubsub
    cdef readonly BlockedClients blocked
    cdef readonly ClientTracking tracking
    cdef readonly Settings settings
    cdef readonly Snapshots snapshots
    cdef readonly Timers timers
    cdef public bint audited         # test runs: see engine/audit
    cdef public bint ending          # a shutdown has begun: before_sleep asks how far it is
    cdef readonly ClientMemory client_memory
    cdef readonly KeyEviction key_eviction
    cdef readonly AppendBuffer append_buffer
    cdef readonly Replicas replicas
    cdef object __weakref__

    def __cinit__(self, hooks: object, clock: object, database_count: int, seeds: tuple[int, int, int]) -> None:
        cdef int i
        tune_allocator()
        memset(&self.core, 0, sizeof(Core))
        self.core.poller = -1
        self.hooks = hooks
        self.clock = clock
        self.system_clock = self.core.real_time = isinstance(clock, SystemClock)
        self.commands = CommandTable()
        self.timers = Timers()
        self.next_client_id = 1
        self.core.engine = <void *>self
        self.core.hooks = <void *>hooks
        self.core.commands = <void *>self.commands
        self.core.slow_nanoseconds = -1
        self.core.keyspace.memory = &self.core.memory
        self.core.memory.lazy = True
        self.core.keyspace.random = seeds[2] | 1
        self.core.keyspace.expires_are_deletes = 1
        load_limits(&self.core.limits)
        self.read_clock()
        roll_peaks(&self.core)
        self.core.database_count = database_count
        self.core.databases = <Database **>calloc(database_count, sizeof(Database *))
        if not readiness_begin(&self.ready, limits.READ_BUFFER_BYTES) or self.core.databases == NULL:
            raise MemoryError
        self.databases = []
        for i in range(database_count):
            # One seed for all, so that a hash computed ahead holds whichever database is selected when it is used.
            self.core.databases[i] = database_new(i, &self.core.keyspace, seeds[0], seeds[1])
            self.core.databases[i].on_expired = key_expired
            self.core.databases[i].on_expired_context = &self.core
            self.databases.append(database_handle(self.core.databases[i], None))
        self.settings = settings_of(&self.core)
        self.snapshots = snapshots_of(&self.core)
        self.client_memory = client_memory(&self.core)
        self.key_eviction = key_eviction(&self.core)
        self.append_buffer = append_buffer(&self.core)
        self.replicas = replicas_of(&self.core)
        self.pubsub = pubsub_handle(&self.core, seeds)
        blocking_begin(&self.core)
        self.blocked = blocked_clients(&self.core)
        tracking_begin(&self.core, seeds[2] | 1)
        self.tracking = client_tracking(&self.core)
        batch_init(&self.core.batch, &self.core.memory, limits.BATCH_REQUESTS)
        self.core.poller = poll_create()
        if self.core.poller < 0:
            raise OSError(errno, os.strerror(errno))
        self.callbacks = Callbacks(self.core.poller, hooks)

    def __dealloc__(self) -> None:
        cdef int i
        self.core.memory.lazy = False
        if self.core.batch.args != NULL:
            batch_free(&self.core.batch)
        blocking_end(&self.core)
        tracking_end(&self.core)
        eviction_end(&self.core)
        appended_end(&self.core)
        propagation_free(&self.core)
        replication_end(&self.core)
        if self.core.databases != NULL:
            for i in range(self.core.database_count):
                database_free(self.core.databases[i])
        while garbage_waits(&self.core.keyspace):
            free_garbage(&self.core.keyspace, limits.FREED_ITEMS_PER_SLICE)
        free_spare_blocks(&self.core, 0)
        if self.core.poller >= 0:
            close_descriptor(self.core.poller)
        free(self.core.databases)
        trimming_end(&self.trimming)
        readiness_end(&self.ready)

    # ---- commands ---------------------------------------------------------------------------------------------------

    def add_command(self, name: str, arity: int, gates: int, keys: tuple[int, int, int], handler: object,
                    record: object, *, container: bool, skip_slowlog: bool, quick: bool, reads: bool = False,
                    keys_asked: bool = False, secret: bool = False) -> None:
        """Add a command. `handler`: a callable, or the name of a native handler; None for a bare container.

        `reads`: its keys are remembered for clients that track; `keys_asked`: `keys` does not tell all of them.
        """
        cdef native_t native = NULL
        cdef uint32_t flags = (COMMAND_CONTAINER if container else 0) | (COMMAND_SKIP_SLOWLOG if skip_slowlog else 0) \
            | (COMMAND_SECRET if secret else 0) | (COMMAND_READS if reads else 0) \
            | (COMMAND_KEYS_ASKED if keys_asked else 0)
        if isinstance(handler, str):
            native = native_handler(handler)
            if native == NULL:
                raise ValueError(f"{name}: the engine has no native handler {handler!r}")
            handler = None
            flags |= COMMAND_QUICK if quick else 0
        self.commands.add(name.encode(), native, handler, record, arity, gates, flags, keys)

    # ---- what is called in Python -----------------------------------------------------------------------------------

    def watch(self, fd: int, callback: object, writable: bool = False) -> None:
        """Call `callback()` in every turn that finds `fd` readable, or `writable` instead."""
        self.callbacks.watch(fd, callback, writable)

    def unwatch(self, fd: int, writable: bool = False) -> None:
        """The end of `watch`, with what it was told; nothing happens when `fd` is not watched."""
        self.callbacks.unwatch(fd, writable)

    def post(self, callback: object) -> None:
        """Have the server's thread call `callback()`: the one method that any thread may use.

        Nothing happens when the engine is closed, or closes before it comes to it.
        """
        self.callbacks.post(callback)

    def run_timers(self) -> None:
        while 0 <= self.timers.next_ms <= self.core.monotonic_ms:
            self.callbacks.call(self.timers.pop())

    # ---- the steps of a turn ----------------------------------------------------------------------------------------

    def run(self, before_sleep: object) -> None:
        """Turn until `stop`; `before_sleep(engine)` does the second half of each turn, in its written order."""
        cdef int64_t taken_ns
        self.stopped = False
        histogram_begin(&self.histogram)
        ranvier_precise_timers()
        while not self.stopped:
            self.receive()
            self.execute()
            if 0 <= self.timers.next_ms <= self.core.monotonic_ms:
                self.run_timers()
            before_sleep(self)
            taken_ns = now_ns() - self.turn_ns
            histogram_note(&self.histogram, taken_ns)
            self.core.statistics.turn_ns += taken_ns
            self.core.statistics.turns += 1

    def stop(self) -> None:
        """Let `run` return after this turn. Only the server's own thread; others post it."""
        self.stopped = True

    cdef void read_clock(self):
        self.turn_ns = now_ns()
        if self.system_clock:
            self.core.wall_ms = clock_ns(CLOCK_REALTIME) // 1000000
            self.core.monotonic_ms = self.turn_ns // 1000000
        else:
            self.core.wall_ms = self.clock.wall_ms()
            self.core.monotonic_ms = self.clock.monotonic_ms()
        if self.core.memory.used_bytes > self.core.memory.peak_bytes:
            self.core.memory.peak_bytes = self.core.memory.used_bytes
        untrimmed_bytes(&self.core)
        self.core.keyspace.wall_ms = self.core.wall_ms
        self.core.keyspace.lru_clock = (self.core.wall_ms // 1000) & 0xffffff

    cdef int poll_timeout(self):
        cdef int64_t left, next_ms = next_deadline_ms(&self.core)
        if self.core.waiting != NULL or self.core.yielded != NULL or self.core.pending_writes != NULL \
                or self.core.closed != NULL or self.expire_unfinished or garbage_waits(&self.core.keyspace) \
                or self.trimming.on or answers_are_due(&self.core) or self.core.keys_ready \
                or self.core.eviction.state == EVICTION_GOES_ON or self.stopped:
            return 0
        if next_ms < 0 or 0 <= self.timers.next_ms < next_ms:
            next_ms = self.timers.next_ms
        if next_ms < 0:
            return -1
        left = next_ms - self.core.monotonic_ms
        # A virtual clock does not move while we sleep: look again soon, the test thread wakes us when it moves it.
        return 0 if left < 0 else <int>left if left < 1000 else 1000

    cdef void receive(self) except *:
        """Poll, unless events are left over, and receive until the shared buffer is full."""
        cdef bint poll = not events_left(&self.ready)
        cdef int failed, timeout_ms = self.poll_timeout() if poll else 0
        with nogil:
            failed = receive_events(&self.core, &self.ready, timeout_ms)
        self.read_clock()
        if poll:
            coalescer_note(&self.ready.coalescer, self.ready.received_count, self.turn_ns)
        if failed == EINTR:
            PyErr_CheckSignals()
        elif failed:
            raise OSError(failed, os.strerror(failed))

    cdef void execute(self) except *:
        """Descriptors that Python watches first (new connections, posted calls), then what was received."""
        cdef int i
        cdef bint counted = self.core.limits.clients_bytes > 0
        if self.core.yielded != NULL:
            recall_yielded(&self.core)
        for i in range(self.ready.descriptor_count):
            self.callbacks.descriptor_ready(self.ready.descriptors[i])
        for i in range(self.ready.received_count):
            serve(&self.core, &self.ready.received[i])
            if counted:
                count_client(self.ready.received[i].client)
        self.ready.received_count = 0

    def resume_waiting(self) -> None:
        """Run the input of clients that may go on: enough of what was owed has left, or they are unblocked."""
        while self.core.waiting != NULL:
            resume_clients(&self.core)

    def expire_keys(self, begin: bool) -> None:
        """Active expiry, bounded in time per turn: goes on in the next turn while many of the keys seen had expired."""
        cdef int64_t begin_ns = now_ns() if self.core.latency_event_ns > 0 else 0
        begin = self.core.active_expire and (begin or self.expire_unfinished)
        self.expire_unfinished = begin and expire_some_keys(&self.core)
        if begin and 0 < self.core.latency_event_ns <= now_ns() - begin_ns:
            self.hooks.latency_event(b"expire-cycle", (now_ns() - begin_ns) // 1000000)

    def free_values(self) -> None:
        """Free what was unlinked from the keyspace, then give free memory to the system: bounded in time per turn."""
        if garbage_waits(&self.core.keyspace):
            free_some_values(&self.core)
        elif self.trimming.on:
            trim_step(&self.core, &self.trimming)
        sort_freed(&self.core, &self.trimming)

    def write_replies(self) -> None:
        """Send to every client that is owed something, or whose socket takes more again.

        A few sends take less time than getting the interpreter's lock back from a busy thread would.
        """
        if self.core.pending_write_count > WRITES_UNDER_LOCK:
            with nogil:
                write_clients(&self.core)
        elif self.core.pending_writes != NULL:
            write_clients(&self.core)

    def free_closed(self) -> None:
        """Tear down the clients that are closing and let go of those that are closed."""
        cdef Client *client
        cdef bint freed = self.core.closed != NULL
        # A handler may call this: then the client that is served, and those yet to be resumed, are still in use; and a
        # callback: then what this turn has received is still to be served.
        while self.core.closed != NULL and self.core.depth == 0 and self.ready.received_count == 0:
            client = self.core.closed
            self.core.closed = client.next_closed
            if client.phase == PHASE_CLOSING and client.close_reason in (CLOSE_OUTPUT_LIMIT, CLOSE_UNAUTHENTICATED):
                self.hooks.output_limit_reached(<ClientHandle>client.handle, False)
            teardown(client)
            unlink_client(&self.core, client)
            forget_events(&self.ready, client)
            output_free(client)      # what was sent to it since it was torn down
            handle = <ClientHandle>client.handle
            Py_DECREF(handle)
            self.hooks.client_closed(handle)
        if freed and self.audited and self.core.depth == 0:
            audit(&self.core, clients_of_events(&self.ready))

    def begin_trim(self, whole: bool) -> None:
        """Give the allocator's free memory back to the system in the turns to come, each of them bounded in time.

        `whole`: with a `trim_memory` at the end, for what is too small to go piece by piece.
        """
        trimming_begin(&self.core, &self.trimming, whole)

    def trim_memory(self, at_any_cost: bool = False) -> None:
        """Give the allocator's free memory back to the system; costs about half a millisecond a megabyte.

        Not while that is known to take longer, unless `at_any_cost`.
        """
        if at_any_cost:
            self.trimming.costly_bytes = 0
        with nogil:
            trim(&self.core, &self.trimming)

    def turn_histogram(self) -> dict[int, int]:
        """Thread CPU time of the turns so far: lower bound of the bucket in microseconds (0, 2, 4, 8, ...) -> turns."""
        cdef TurnHistogram *histogram = &self.histogram
        return {(1 << i if i else 0): histogram.turns[i] for i in range(HISTOGRAM_BUCKETS) if histogram.turns[i]}

    # ---- clients ----------------------------------------------------------------------------------------------------

    def add_client(self, fd: int, handle: ClientHandle, handshake: bool = False) -> None:
        """Serve the connected, non-blocking socket `fd` from now on; it is the engine's to close. -1: no socket.

        `handshake`: `hooks.handshake` reads what comes first, and says where the requests begin.
        """
        cdef Client *client = &handle.state
        if client.core != NULL:
            raise ValueError("the client has been added before")
        if fd >= 0:
            if poll_watch(self.core.poller, fd, <uintptr_t>client, True, False, False, False, False) < 0:
                raise OSError(errno, os.strerror(errno))
            client.reading = True
        handle.attach(&self.core, fd)
        if handshake:
            client.phase = PHASE_HANDSHAKE
        client.id = self.next_client_id
        self.next_client_id += 1
        Py_INCREF(handle)        # until free_closed
        link_client(&self.core, client)

    def forget_socket(self, handle: ClientHandle) -> None:
        poll_forget(self.core.poller, handle.state.fd, handle.state.reading, handle.state.want_write)

    def feed(self, handle: ClientHandle, data: bytes) -> None:
        """Give a client bytes as if its socket had brought them: clients without a socket live by this."""
        self.read_clock()
        feed_client(&self.core, handle.added(), data, len(data))

    def take_output(self, handle: ClientHandle) -> bytes:
        """What a client without a socket has been sent since the last call; requests that waited for that run then."""
        return client_output(&handle.state)

    @property
    def clients(self) -> list[ClientHandle]:
        """A snapshot of all clients, in the order of their ids."""
        cdef Client *client = self.core.first
        found = []
        while client != NULL:
            found.append(<ClientHandle>client.handle)
            client = client.next
        return found

    @property
    def owes_replies(self) -> bool:
        """Some client's socket has not taken all replies yet."""
        return owes_replies(&self.core)

    @property
    def closes_in_progress(self) -> bool:
        """Some client is on its way out: what it is owed is being written, or its last input drained."""
        return closes_in_progress(&self.core)

    @property
    def client_count(self) -> int:
        return self.core.client_count

    @property
    def admin_count(self) -> int:
        """Clients that came by the admin port."""
        return self.core.admin_count

    def check_clients(self, count: int) -> None:
        """Look at `count` clients, going on where the last call ended: idle, lingering too long, over a soft limit."""
        check_some_clients(&self.core, count)

    # ---- numbers ----------------------------------------------------------------------------------------------------

    @property
    def wall_ms(self) -> int:
        return self.core.wall_ms

    @property
    def monotonic_ms(self) -> int:
        return self.core.monotonic_ms

    @property
    def dirty(self) -> int:
        """Changes of the data set since the start."""
        return self.core.dirty

    @property
    def frees_values(self) -> bool:
        """Unlinked values wait to be freed."""
        return garbage_waits(&self.core.keyspace)

    @property
    def trims(self) -> bool:
        """A trim that was begun goes on."""
        return self.trimming.on

    @property
    def untrimmed_bytes(self) -> int:
        """Freed since the allocator's free memory was last given back."""
        return untrimmed_bytes(&self.core)

    @property
    def used_memory_bytes(self) -> int:
        return self.core.memory.used_bytes

    def statistics(self) -> dict[str, int]:
        """The engine's counters by name."""
        return {**engine_figures(&self.core), "waits_for_company": self.ready.coalescer.waits,
                "trimmed_pieces": self.trimming.given_total,
                "commands_total": self.commands_before + self.core.statistics.commands}

    def reset_statistics(self) -> None:
        """CONFIG RESETSTAT."""
        self.commands_before += self.core.statistics.commands
        memset(&self.core.statistics, 0, sizeof(self.core.statistics))
        self.core.keyspace.hits = self.core.keyspace.misses = self.core.keyspace.expired = 0
        self.core.keyspace.expired_fields = 0
        self.commands.reset_statistics()

    def close(self) -> None:
        """Close every client and every descriptor of the loop. The engine is of no use afterwards. Idempotent."""
        if self.core.poller < 0:
            return
        for handle in self.clients:
            (<ClientHandle>handle).close(CLOSE_SHUTDOWN)
        self.free_closed()
        self.callbacks.close()
        close_descriptor(self.core.poller)
        self.core.poller = -1
