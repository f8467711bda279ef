"""Clients that wait.

Strategy. A blocking command that finds nothing keeps a copy of its request and takes a place in the queue of each key
it named. The effect call marks an awaited key as ready; when the command, transaction or script that changed it is
over, the queues of the ready keys are walked and the waiting requests simply run again, through the same gates. They
are served in the order in which they blocked. Time-outs lie in a heap by deadline, which the poll asks for its time.

Invariants.
- A client is in phase BLOCKED if and only if `client.blocked` is not NULL, but for the moment between the request for
  its close and its teardown, in which nothing is served to it.
- A queue is in the order of `Blocked.serial`. Its walk holds no pointer across a request that ran: it goes on behind
  the serial it saw last, and ends at the last one that was given out before it began, so that a client that blocks
  again is not met again. Clients are freed only at depth 0, which a walk is not.
- An AwaitedKey lives while it has waiters, is on the list of ready keys, or is being served.
- EFFECT_AWAITED is on while there are waiters: with nobody blocked, no change of a key looks anything up.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset, strcmp

from ranvier.engine.client cimport ClientHandle
from ranvier.engine.clocks cimport now_ns
from ranvier.engine.core cimport (
    CAPABILITY_REDIRECT, EFFECT_AWAITED, EVENT_STREAM, GATE_ENDING, GATE_PAUSED_ALL, GATE_PAUSED_WRITE,
    PHASE_BLOCKED, PHASE_READY, Arg, Call, Client, Command, Core,
)
from ranvier.engine.dispatch cimport execute_again
from ranvier.engine.memory cimport allocate, blob_release, ranvier_usable_size, release
from ranvier.engine.modes.acknowledged cimport answer_acknowledged, reply_acknowledged
from ranvier.engine.modes.surroundings cimport Surroundings, surroundings_begin, surroundings_end
from ranvier.engine.modes.deadlines cimport heap_add, heap_remove
from ranvier.engine.phase cimport CLOSE_BUG, CLOSE_REPLICATION, close_after_reply, request_close, set_phase
from ranvier.engine.reply cimport reply_error_bytes, reply_null, reply_null_array
from ranvier.engine.settings cimport update_expiry
from ranvier.engine.store.database cimport Database, database_find, database_hash
from ranvier.engine.store.entry cimport Entry, entry_type
from ranvier.engine.store.table cimport (
    Layout, Table, table_clear, table_find, table_init, table_insert, table_remove, table_visit,
)

cdef list UNBLOCKED_TEXTS = [       # by reason
    None,
    b"UNBLOCKED client unblocked via CLIENT UNBLOCK",
    b"ERR Errors trying to SHUTDOWN. Check logs.",
    b"UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
]


cdef const char *awaited_key_name(const void *item, size_t *length) noexcept nogil:
    length[0] = (<const AwaitedKey *>item).length
    return <const char *>((<const AwaitedKey *>item) + 1)


cdef Layout AWAITED_LAYOUT
AWAITED_LAYOUT.key = awaited_key_name
AWAITED_LAYOUT.free = NULL


cdef inline Blocking *blocking_of(const Core *core) noexcept nogil:
    return <Blocking *>core.blocking


cdef inline Table *awaited_in(const Core *core, int database_index) noexcept nogil:
    return <Table *>(<Blocking *>core.blocking).awaited + database_index


cdef void blocking_begin(Core *core) noexcept:
    cdef Blocking *blocking = <Blocking *>allocate(&core.memory, sizeof(Blocking))
    cdef int i
    memset(blocking, 0, sizeof(Blocking))
    blocking.pause.database_index = blocking.acknowledging.database_index = -1
    blocking.awaited = allocate(&core.memory, core.database_count * sizeof(Table))
    core.blocking = blocking
    for i in range(core.database_count):
        table_init(awaited_in(core, i), &core.memory, &AWAITED_LAYOUT, core.databases[i].keys.seed0,
                   core.databases[i].keys.seed1)


cdef void blocking_end(Core *core) noexcept:
    cdef Blocking *blocking = blocking_of(core)
    if blocking == NULL:
        return
    core.blocking = NULL
    release(&core.memory, blocking.awaited)
    release(&core.memory, blocking.heap)
    release(&core.memory, blocking)


# ---- deadlines ------------------------------------------------------------------------------------------------------

cdef int64_t next_deadline_ms(const Core *core) noexcept nogil:
    cdef Blocking *blocking = blocking_of(core)
    return blocking.heap[0].deadline_ms if blocking.heap_count > 0 else -1


cdef int64_t deadline_of(Core *core, int64_t timeout_ms) noexcept:
    """The time-out as a moment: never too early, so that time already spent in this turn counts in full."""
    if core.real_time:
        return (now_ns() + 999999) // 1000000 + timeout_ms
    return core.monotonic_ms + timeout_ms


# ---- queues ---------------------------------------------------------------------------------------------------------

cdef AwaitedKey *awaited_key(Core *core, Database *database, const Arg *name) noexcept nogil:
    """The key's record, made when it is the first to be waited for."""
    cdef uint64_t hash = database_hash(database, name.data, name.length)
    cdef Table *table = awaited_in(core, database.index)
    cdef void **slot = table_find(table, hash, name.data, name.length)
    cdef AwaitedKey *key
    if slot != NULL:
        return <AwaitedKey *>slot[0]
    key = <AwaitedKey *>allocate(&core.memory, sizeof(AwaitedKey) + name.length)
    memset(key, 0, sizeof(AwaitedKey))
    key.hash = hash
    key.database_index = database.index
    key.length = name.length
    memcpy(<char *>(key + 1), name.data, name.length)
    table_insert(table, hash, key)
    return key


cdef void drop_unused(Core *core, AwaitedKey *key) noexcept nogil:
    if key.first != NULL or key.ready or key.serving or key.database_index < 0:
        return
    table_remove(awaited_in(core, key.database_index), key.hash, <const char *>(key + 1), key.length)
    release(&core.memory, key)


cdef void join(Waiter *waiter, Blocked *blocked, AwaitedKey *key) noexcept nogil:
    waiter.blocked = blocked
    waiter.key = key
    waiter.next = NULL
    waiter.previous = key.last
    if key.last != NULL:
        key.last.next = waiter
    else:
        key.first = waiter
    key.last = waiter


cdef void leave(Core *core, Waiter *waiter) noexcept nogil:
    cdef AwaitedKey *key = waiter.key
    if waiter.previous != NULL:
        waiter.previous.next = waiter.next
    else:
        key.first = waiter.next
    if waiter.next != NULL:
        waiter.next.previous = waiter.previous
    else:
        key.last = waiter.previous
    drop_unused(core, key)


# ---- blocking -------------------------------------------------------------------------------------------------------

cdef Blocked *blocked_new(Call *call, size_t waiter_count) noexcept nogil:
    """What the client waits for, with a copy of its request: argument views die with the batch."""
    cdef size_t bytes = sizeof(Blocked) + waiter_count * sizeof(Waiter) + call.count * sizeof(Arg)
    cdef Blocked *blocked
    cdef char *text
    cdef size_t i
    for i in range(call.count):
        if call.args[i].blob == NULL:
            bytes += call.args[i].length
    blocked = <Blocked *>allocate(&call.core.memory, bytes)
    memset(blocked, 0, sizeof(Blocked))
    blocked.client = call.client
    blocked.waiters = <Waiter *>(blocked + 1)
    blocked.waiter_count = waiter_count
    blocked.args = <Arg *>(blocked.waiters + waiter_count)
    blocked.arg_count = call.count
    text = <char *>(blocked.args + call.count)
    for i in range(call.count):
        blocked.args[i] = call.args[i]
        if call.args[i].blob != NULL:
            call.args[i].blob.references += 1
        else:
            memcpy(text, call.args[i].data, call.args[i].length)
            blocked.args[i].data = text
            text += call.args[i].length
    return blocked


cdef void blocked_free(Core *core, Blocked *blocked) noexcept nogil:
    cdef size_t i
    for i in range(blocked.arg_count):
        if blocked.args[i].blob != NULL:
            blob_release(&core.memory, blocked.args[i].blob)
    release(&core.memory, blocked)


cdef void enter(Call *call, Blocked *blocked, int64_t timeout_ms) noexcept:
    """The client is blocked from now on. Its request counts when it is over, as on the reference servers."""
    cdef Core *core = call.core
    cdef Blocking *blocking = blocking_of(core)
    blocking.serial += 1
    blocked.serial = blocking.serial
    if blocking.retried != NULL and blocking.retried.client == call.client and not blocking.retried.paused:
        blocked.deadline_ms = blocking.retried.deadline_ms
    elif timeout_ms > 0:
        blocked.deadline_ms = deadline_of(core, timeout_ms)
    if blocked.deadline_ms > 0:
        heap_add(&core.memory, blocking, blocked)
    blocking.client_count += 1
    call.client.blocked = blocked
    set_phase(call.client, PHASE_BLOCKED)


cdef void not_counted(Call *call) noexcept nogil:
    """The request is not over: it counts when it is, as on the reference servers."""
    call.command.calls -= 1
    call.client.commands -= 1
    call.core.statistics.commands -= 1


cdef void block_on_keys(Call *call, size_t first, size_t count, int value_type, int64_t timeout_ms,
                        int refused_reply) noexcept:
    cdef Blocking *blocking = blocking_of(call.core)
    cdef Blocked *blocked
    cdef size_t i
    if call.client.deny_blocking:
        reply_timed_out(call.client, refused_reply, NULL)
        return
    blocked = blocked_new(call, count)
    blocked.value_type = value_type
    blocked.timed_out_reply = TIMED_OUT_NULL_ARRAY
    for i in range(count):
        join(&blocked.waiters[i], blocked, awaited_key(call.core, call.database, &call.args[first + i]))
    blocking.waiter_count += count
    call.core.effects |= EFFECT_AWAITED
    enter(call, blocked, timeout_ms)
    not_counted(call)


cdef void block_for(Call *call, int64_t timeout_ms, int timed_out_reply) noexcept:
    cdef Blocked *blocked
    if call.client.deny_blocking:
        reply_timed_out(call.client, timed_out_reply, NULL)
        return
    blocked = blocked_new(call, 0)
    blocked.timed_out_reply = timed_out_reply
    enter(call, blocked, timeout_ms)
    not_counted(call)


cdef void wake_when_gone(Client *client) noexcept nogil:
    if client.blocked != NULL:
        (<Blocked *>client.blocked).when_gone = True


cdef void block_paused(Call *call) noexcept:
    cdef Blocked *blocked = blocked_new(call, 1)
    blocked.paused = True
    join(&blocked.waiters[0], blocked, &blocking_of(call.core).pause)
    call.client.last_command = call.command
    enter(call, blocked, 0)


cdef void detach(Core *core, Blocked *blocked) noexcept nogil:
    """Take the client out of every queue; the record stays the caller's."""
    cdef Blocking *blocking = blocking_of(core)
    cdef size_t i
    blocked.client.blocked = NULL
    for i in range(blocked.waiter_count):
        leave(core, &blocked.waiters[i])
    if blocked.deadline_ms > 0:
        heap_remove(blocking, blocked)
    if not blocked.paused and blocked.timed_out_reply not in (TIMED_OUT_COUNT, TIMED_OUT_COUNTS):
        blocking.waiter_count -= blocked.waiter_count
    if blocking.waiter_count == 0:
        core.effects &= ~<uint32_t>EFFECT_AWAITED
    blocking.client_count -= 1
    if blocking.client_count == 0:
        forget_memory(core, blocking)


cdef void forget_memory(Core *core, Blocking *blocking) noexcept nogil:
    """Nobody waits: give back what the queues and the heap grew to."""
    cdef int i
    release(&core.memory, blocking.heap)
    blocking.heap = NULL
    blocking.heap_capacity = 0
    for i in range(core.database_count):
        if awaited_in(core, i).count == 0:
            table_clear(awaited_in(core, i))


cdef void blocked_leave(Client *client) noexcept nogil:
    cdef Blocked *blocked = <Blocked *>client.blocked
    if blocked != NULL:
        detach(client.core, blocked)
        blocked_free(client.core, blocked)


cdef size_t blocked_bytes(const Client *client) noexcept nogil:
    cdef Blocked *blocked = <Blocked *>client.blocked
    cdef size_t i, total
    if blocked == NULL:
        return 0
    total = ranvier_usable_size(blocked)
    for i in range(blocked.arg_count):
        if blocked.args[i].blob != NULL:
            total += ranvier_usable_size(blocked.args[i].blob)
    return total


# ---- unblocking -----------------------------------------------------------------------------------------------------

cdef void go_on(Client *client) noexcept nogil:
    """Have what the client sent meanwhile run before the loop sleeps."""
    client.unblocked_turn = client.core.statistics.turns + 1
    if client.query_end > client.query_start and not client.waiting:
        wait_for_resume(client)


cdef void wait_for_resume(Client *client) noexcept nogil:
    client.waiting = True
    client.next_waiting = client.core.waiting
    client.core.waiting = client


cdef void reply_timed_out(Client *client, int reply, const Acknowledgements *awaited) noexcept nogil:
    if reply == TIMED_OUT_NULL_ARRAY:
        reply_null_array(client)
    elif reply == TIMED_OUT_NULL:
        reply_null(client)
    elif reply == TIMED_OUT_COUNT or reply == TIMED_OUT_COUNTS:
        reply_acknowledged(client, awaited)


cdef void give_up(Core *core, Blocked *blocked, int reason, bytes text=None) except *:
    """The client gets no more than the answer that its time is up, or an error: the reason's, or `text`."""
    cdef Client *client = blocked.client
    cdef Command *command = client.last_command
    cdef Surroundings surroundings
    detach(core, blocked)
    if set_phase(client, PHASE_READY):
        client.commands += 1
        core.statistics.commands += 1
        command.calls += 1
        surroundings_begin(client, &surroundings)
        if reason == UNBLOCKED_BY_TIME:
            reply_timed_out(client, blocked.timed_out_reply, &blocked.awaited)
        else:
            if reason == UNBLOCKED_BY_ABORT:
                command.failed_calls += 1
            else:
                command.rejected_calls += 1  # as the reference counts it
            reply_error_bytes(client, text or UNBLOCKED_TEXTS[reason])
        surroundings_end(client)
        go_on(client)
    blocked_free(core, blocked)


cdef void retry(Core *core, Blocked *blocked) except *:
    """Run the request again: it answers, or blocks again behind everybody else."""
    cdef Client *client = blocked.client
    cdef Blocking *blocking = blocking_of(core)
    detach(core, blocked)
    set_phase(client, PHASE_READY)
    blocking.retried = blocked
    client.busy = True
    try:
        execute_again(core, client, blocked.args, blocked.arg_count)
    except Exception as error:
        (<object>core.hooks).bug(<ClientHandle>client.handle, error)
        request_close(client, CLOSE_BUG)
    finally:
        client.busy = False
        blocking.retried = NULL
        blocked_free(core, blocked)
    if client.phase == PHASE_READY:
        go_on(client)


# ---- ready keys -----------------------------------------------------------------------------------------------------

cdef void mark_ready(Core *core, AwaitedKey *key) noexcept nogil:
    cdef Blocking *blocking = blocking_of(core)
    if key.ready:
        return
    key.ready = True
    key.next_ready = NULL
    if blocking.first_ready == NULL:
        blocking.first_ready = key
    else:
        blocking.last_ready.next_ready = key
    blocking.last_ready = key
    core.keys_ready = True


cdef inline bint gives_entries(const char *event) noexcept nogil:
    """Of what happens to a stream, what ends a wait: no group moves back and no entry goes for who waits already."""
    return strcmp(event, b"xadd") == 0 or strcmp(event, b"xgroup-destroy") == 0


cdef void awaited_key_changed(Core *core, int database_index, const char *key, size_t length, uint32_t event_class,
                              const char *event) noexcept nogil:
    cdef Table *table = awaited_in(core, database_index)
    cdef void **slot
    if event_class == 0:
        # A whole database, told before it happens: who finds something is seen when the keys are served.
        blocking_of(core).rescan = True
        core.keys_ready = True
        return
    if table.count == 0 or (event_class == EVENT_STREAM and not gives_entries(event)):
        return
    slot = table_find(table, database_hash(core.databases[database_index], key, length), key, length)
    if slot != NULL:
        mark_ready(core, <AwaitedKey *>slot[0])


cdef void mark_visited(void *context, void *item) noexcept nogil:
    mark_ready(<Core *>context, <AwaitedKey *>item)


cdef void mark_all(Core *core) noexcept nogil:
    cdef Table *table
    cdef int i
    cdef size_t bucket
    for i in range(core.database_count):
        table = awaited_in(core, i)
        for bucket in range(table.buckets):
            table_visit(table, bucket, mark_visited, core)


cdef void serve_ready_keys(Core *core) except *:
    cdef Blocking *blocking = blocking_of(core)
    cdef AwaitedKey *key
    if blocking.serving:
        return
    blocking.serving = True
    core.depth += 1              # nobody is freed meanwhile
    try:
        while blocking.first_ready != NULL or blocking.rescan:
            if blocking.rescan:
                blocking.rescan = False
                mark_all(core)
                continue
            key = blocking.first_ready
            blocking.first_ready = key.next_ready
            key.ready = False
            key.serving = True
            serve_key(core, blocking, key)
            key.serving = False
            drop_unused(core, key)
    finally:
        core.keys_ready = False
        core.depth -= 1
        blocking.serving = False
        if blocking.client_count == 0:
            forget_memory(core, blocking)


cdef void serve_key(Core *core, Blocking *blocking, AwaitedKey *key) except *:
    """Serve those who wait now, as long as the key holds something for them. Another type than theirs, or nothing at
    all, wakes those only who asked for that."""
    cdef Database *database = core.databases[key.database_index]
    cdef uint64_t seen = 0, newest = blocking.serial
    cdef Waiter *waiter = key.first
    cdef Entry *entry
    while waiter != NULL and waiter.blocked.serial <= newest:
        seen = waiter.blocked.serial
        entry = database_find(database, key.hash, <const char *>(key + 1), key.length)
        if waiter.blocked.client.phase != PHASE_BLOCKED or not (waiter.blocked.when_gone or (
                entry != NULL and entry_type(entry) == waiter.blocked.value_type)):
            waiter = waiter.next
            continue
        retry(core, waiter.blocked)
        waiter = key.first
        while waiter != NULL and waiter.blocked.serial <= seen:
            waiter = waiter.next


cdef void end_pause(Core *core, Blocking *blocking) noexcept nogil:
    """Whoever was held back may go on, in the order in which they came; what they sent runs in the resume step."""
    cdef Waiter *waiter = blocking.pause.first
    while waiter != NULL:
        waiter.blocked.released = True
        if not waiter.blocked.client.waiting:
            wait_for_resume(waiter.blocked.client)
        waiter = waiter.next


cdef void retry_held(Core *core, Client *client) except *:
    cdef Blocked *blocked = <Blocked *>client.blocked
    # Whoever went on before may have begun another pause: the gates say whether it holds this one back, too.
    if blocked != NULL and blocked.released:
        core.depth += 1          # nobody is freed meanwhile
        try:
            retry(core, blocked)
        finally:
            core.depth -= 1


# ---- what the server asks -------------------------------------------------------------------------------------------

cdef BlockedClients blocked_clients(Core *core):
    cdef BlockedClients found = BlockedClients.__new__(BlockedClients)
    found.core = core
    return found


cdef class BlockedClients:
    """An engine's blocked clients, as its server sees them. Only the server's thread may use it."""

    cdef Client *find(self, uint64_t client_id) noexcept:
        cdef Client *client = self.core.first
        while client != NULL and client.id != client_id:
            client = client.next
        return client

    def step(self) -> None:
        """A turn's share: time-outs that are due, keys made ready outside of any command, what a pause held back."""
        cdef Blocking *blocking = blocking_of(self.core)
        while blocking.heap_count > 0 and blocking.heap[0].deadline_ms <= self.core.monotonic_ms:
            give_up(self.core, blocking.heap[0], UNBLOCKED_BY_TIME)
        if blocking.acknowledgements_came:
            answer_acknowledged(self.core)
        if self.core.keys_ready:
            serve_ready_keys(self.core)
        if blocking.pause.first != NULL and not self.core.gates & (GATE_PAUSED_WRITE | GATE_ENDING):
            end_pause(self.core, blocking)

    def unblock(self, client_id: int, with_error: bool) -> bool:
        """CLIENT UNBLOCK. Whether there was such a client, and it was blocked; one that is paused is not."""
        cdef Client *client = self.find(client_id) if 0 <= client_id < 1 << 64 else NULL
        if client == NULL or client.blocked == NULL or (<Blocked *>client.blocked).paused \
                or (<Blocked *>client.blocked).timed_out_reply == TIMED_OUT_NEVER:
            return False
        give_up(self.core, <Blocked *>client.blocked, UNBLOCKED_BY_ERROR if with_error else UNBLOCKED_BY_TIME)
        return True

    def become_replica(self, redirection: bytes) -> None:
        """This server is a replica now: what clients wait for may never come to pass here (lifecycle A13).

        Each gets an error and is closed; who waits for keys and understands it gets `redirection` instead, and stays.
        """
        cdef Client *client = self.core.first
        cdef Blocked *blocked
        while client != NULL:
            blocked = <Blocked *>client.blocked
            if blocked != NULL and not blocked.paused and blocked.timed_out_reply != TIMED_OUT_NEVER:
                if client.capabilities & CAPABILITY_REDIRECT and blocked.waiter_count > 0:
                    give_up(self.core, blocked, UNBLOCKED_BY_ROLE, redirection)
                else:
                    give_up(self.core, blocked, UNBLOCKED_BY_ROLE)
                    close_after_reply(client, CLOSE_REPLICATION)
            client = client.next

    def hold(self, *, bint writes, bint everything) -> None:
        """Begin or end to hold requests back (CLIENT PAUSE). Writes held back stop expiry, too.

        What was held back runs in the next `step`.
        """
        cdef Core *core = self.core
        core.gates &= ~<uint32_t>(GATE_PAUSED_WRITE | GATE_PAUSED_ALL)
        core.gates |= (GATE_PAUSED_WRITE if writes else 0) | (GATE_PAUSED_ALL if everything else 0)
        update_expiry(core)

    def wait_for_shutdown(self) -> None:
        """The client whose command runs waits until the server has ended, or the shutdown is called off."""
        block_for(self.core.call, 0, TIMED_OUT_NEVER)

    def hold_for_shutdown(self, bint held) -> None:
        """Begin or end to hold back everything that concerns data; the end answers those who asked for the shutdown."""
        cdef Client *client = self.core.first
        if held:
            self.core.gates |= GATE_ENDING
            return
        self.core.gates &= ~<uint32_t>GATE_ENDING
        while client != NULL:
            if client.blocked != NULL and (<Blocked *>client.blocked).timed_out_reply == TIMED_OUT_NEVER:
                give_up(self.core, <Blocked *>client.blocked, UNBLOCKED_BY_ABORT)
            client = client.next

    def figures(self) -> dict[str, int]:
        """INFO's fields about blocked clients."""
        cdef Blocking *blocking = blocking_of(self.core)
        cdef size_t keys = 0
        for i in range(self.core.database_count):
            keys += awaited_in(self.core, i).count
        return {"blocked_clients": blocking.client_count, "clients_in_timeout_table": blocking.heap_count,
                "total_blocking_keys": keys}
