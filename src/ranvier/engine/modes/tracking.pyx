"""Client-side caching: clients are told when keys change that they may hold copies of.

Strategy: one table leads from a key to the ids of the clients that read it; the first change tells them and forgets the
key. Ids are never given twice, so a client that leaves costs nothing here: its ids go with the next change of the key.
In BCAST mode nothing is remembered of reads (engine/modes/broadcast). A client that tracks carries AFTER_TRACKING, so
that dispatch comes here after each of its commands, and those of others pay nothing.

Invariants. EFFECT_TRACKED is on exactly while there is a remembered key or a prefix, so that a server that nobody
tracks pays nothing for its writes. GATE_TRACKING_TABLE is closed while the table is over its limit. A Tracker stands in
`trackers`, in the list of its target, and in each of its prefixes. Nothing here tears a client down (a receiver over
its limit is only marked), so that tables and arrays stand still while messages go out.

Keys are remembered by name alone, whatever the database, as on the reference servers.
"""

from libc.stdint cimport int64_t
from libc.string cimport memcmp, memcpy, memmove, memset, strlen

from ranvier.engine.client cimport ClientHandle
from ranvier.engine.core cimport (
    AFTER_TRACKING,
    COMMAND_KEYS_ASKED,
    COMMAND_READS,
    EFFECT_TRACKED,
    GATE_TRACKING_TABLE,
    PHASE_BLOCKED,
    PHASE_CLOSED,
    PHASE_CLOSING,
    PHASE_CLOSING_AFTER_REPLY,
)
from ranvier.engine.dispatch cimport arguments
from ranvier.engine.memory cimport allocate, release, resize
from ranvier.engine.modes.broadcast cimport (
    add_prefixes, broadcast, broadcast_begin, broadcast_end, has_prefix, leave_prefixes, note_written, prefix_bytes,
)
from ranvier.engine.modes.deferred cimport DEFERRED_INVALIDATION, DEFERRED_MESSAGE, defer
from ranvier.engine.modes.surroundings cimport hush, speak
from ranvier.engine.number cimport print_integer
from ranvier.engine.output cimport output_append, output_reference
from ranvier.engine.phase cimport CLOSE_BUG, request_close
from ranvier.engine.store.garbage cimport discard_table
from ranvier.engine.store.table cimport (
    Layout, hash_bytes, table_clear, table_find, table_init, table_insert, table_random, table_remove, table_visit,
)

from ranvier import limits

cdef enum:
    ID_BYTES = 8
    SHORT_BYTES = 512                # a message up to this is built on the stack
    CONTAINER_BYTES = 7              # of "client|"

cdef const char *PUSH = b">2\r\n$10\r\ninvalidate\r\n"
cdef const char *MESSAGE = b"*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n"
cdef const char *BROKEN = b">2\r\n$21\r\ntracking-redir-broken\r\n:"


# ---- the tables -----------------------------------------------------------------------------------------------------

cdef const char *tracked_key_name(const void *item, size_t *length) noexcept nogil:
    length[0] = (<const TrackedKey *>item).length
    return <const char *>((<const TrackedKey *>item) + 1)


cdef const char *tracker_key(const void *item, size_t *length) noexcept nogil:
    length[0] = ID_BYTES
    return <const char *>item


cdef void free_item(Memory *memory, void *item) noexcept nogil:
    release(memory, item)


cdef Layout KEY_LAYOUT
KEY_LAYOUT.key = tracked_key_name
KEY_LAYOUT.free = free_item
cdef Layout TRACKER_LAYOUT
TRACKER_LAYOUT.key = tracker_key
TRACKER_LAYOUT.free = NULL


cdef inline Tracking *tracking_of(const Core *core) noexcept nogil:
    return <Tracking *>core.tracking


cdef inline uint64_t hash_in(const Table *table, const char *key, size_t length) noexcept nogil:
    return hash_bytes(table.seed0, table.seed1, key, length)


cdef void tracking_begin(Core *core, uint64_t random) except *:
    cdef Tracking *tracking = <Tracking *>allocate(&core.memory, sizeof(Tracking))
    cdef const Table *keys = &core.databases[0].keys
    memset(tracking, 0, sizeof(Tracking))
    core.tracking = tracking
    tracking.memory = &core.memory
    tracking.random = random
    tracking.keys_per_trim = limits.TRACKED_KEYS_PER_TRIM
    tracking.shared_bytes = limits.SHARED_MESSAGE_BYTES
    # The keyspace's seeds, so that a key's hash holds here, too.
    table_init(&tracking.keys, &core.memory, &KEY_LAYOUT, keys.seed0, keys.seed1)
    table_init(&tracking.trackers, &core.memory, &TRACKER_LAYOUT, keys.seed0, keys.seed1)
    broadcast_begin(tracking, keys.seed0, keys.seed1)


cdef void tracking_end(Core *core) noexcept:
    cdef Tracking *tracking = tracking_of(core)
    if tracking == NULL:
        return
    core.tracking = NULL
    table_clear(&tracking.keys)
    table_clear(&tracking.trackers)
    broadcast_end(tracking)
    release(&core.memory, tracking)


cdef void set_effect(Core *core) noexcept nogil:
    cdef Tracking *tracking = tracking_of(core)
    if tracking.keys.count > 0 or tracking.prefix_count > 0:
        core.effects |= EFFECT_TRACKED
    else:
        core.effects &= ~<uint32_t>EFFECT_TRACKED


cdef void set_gate(Core *core) noexcept nogil:
    cdef Tracking *tracking = tracking_of(core)
    if tracking.maximum_keys > 0 and tracking.keys.count > tracking.maximum_keys:
        core.gates |= GATE_TRACKING_TABLE
    else:
        core.gates &= ~<uint32_t>GATE_TRACKING_TABLE
        tracking.trims_in_vain = 0


# ---- messages -------------------------------------------------------------------------------------------------------

cdef void push(Client *client, int kind, const char *data, size_t size) noexcept nogil:
    cdef const Core *core = client.core
    cdef bint was_silent
    if core.call != NULL and core.call.client == client:
        defer(client, kind, data, size)
    else:
        was_silent = speak(client)       # pushes pass in CLIENT REPLY OFF: those of a trim before its command
        output_append(client, data, size)
        hush(client, was_silent)


cdef void tell_broken(Tracker *tracker) noexcept nogil:
    """Whoever should get the message is not there any more: a client of RESP3 can be told so itself."""
    cdef char[HEADER_BYTES + 24] text
    cdef size_t size = strlen(BROKEN)
    tracker.flags |= TRACKING_BROKEN
    if tracker.client.protocol != 3:
        return
    memcpy(text, BROKEN, size)
    size += print_integer(text + size, <int64_t>tracker.redirect_id)
    memcpy(text + size, b"\r\n", 2)
    push(tracker.client, DEFERRED_INVALIDATION, text, size + 2)


cdef void send(Tracker *tracker, const char *keys, size_t size, Blob *blob) noexcept nogil:
    """RESP2 has no pushes: there only another client can receive, one that is subscribed, to anything."""
    cdef Client *client = tracker.client
    cdef int kind = DEFERRED_INVALIDATION
    cdef const char *header = PUSH
    if client.phase >= PHASE_CLOSING_AFTER_REPLY:
        return
    if tracker.redirect_id != 0:
        client = tracker.target
        if client == NULL:
            tell_broken(tracker)
            return
        if client != tracker.client:
            kind = DEFERRED_MESSAGE
    if client.phase >= PHASE_CLOSING_AFTER_REPLY:
        return
    if client.protocol != 3:
        if tracker.redirect_id == 0 or client.subscriptions == NULL:
            return
        header = MESSAGE
    if keys == NULL:
        # In the receiver's own protocol, so that it can read it.
        keys = b"_\r\n" if client.protocol == 3 else b"$-1\r\n"
        size = strlen(keys)
    push(client, kind, header, strlen(header))
    if client.phase >= PHASE_CLOSING_AFTER_REPLY:
        return
    if blob != NULL:
        output_reference(client, blob, keys, size)
    else:
        push(client, kind, keys, size)


# ---- default mode ---------------------------------------------------------------------------------------------------

cdef inline uint64_t *ids_of(TrackedKey *tracked) noexcept nogil:
    return <uint64_t *>(<char *>(tracked + 1) + ((tracked.length + ID_BYTES - 1) & ~<size_t>(ID_BYTES - 1)))


cdef inline size_t tracked_key_bytes(size_t length, size_t capacity) noexcept nogil:
    return sizeof(TrackedKey) + ((length + ID_BYTES - 1) & ~<size_t>(ID_BYTES - 1)) + capacity * ID_BYTES


cdef uint32_t place_of(const uint64_t *ids, uint32_t count, uint64_t client_id) noexcept nogil:
    """Where the id stands, or should."""
    cdef uint32_t low = 0, high = count, middle
    while low < high:
        middle = (low + high) // 2
        if ids[middle] < client_id:
            low = middle + 1
        else:
            high = middle
    return low


cdef void remember(Core *core, uint64_t client_id, uint64_t hash, const char *key, size_t length) noexcept nogil:
    cdef Tracking *tracking = tracking_of(core)
    cdef void **slot = table_find(&tracking.keys, hash, key, length)
    cdef TrackedKey *tracked
    cdef uint64_t *ids
    cdef uint32_t place = 0
    if slot == NULL:
        tracked = <TrackedKey *>allocate(&core.memory, tracked_key_bytes(length, 1))
        tracked.length = length
        tracked.count = 0
        tracked.capacity = 1
        memcpy(<char *>(tracked + 1), key, length)
        table_insert(&tracking.keys, hash, tracked)
        core.effects |= EFFECT_TRACKED
        set_gate(core)
    else:
        tracked = <TrackedKey *>slot[0]
        place = place_of(ids_of(tracked), tracked.count, client_id)
        if place < tracked.count and ids_of(tracked)[place] == client_id:
            return
        if tracked.count == tracked.capacity:
            tracked.capacity *= 2
            tracked = <TrackedKey *>resize(&core.memory, tracked, tracked_key_bytes(length, tracked.capacity))
            slot[0] = tracked
    ids = ids_of(tracked)
    memmove(ids + place + 1, ids + place, (tracked.count - place) * ID_BYTES)
    ids[place] = client_id
    tracked.count += 1
    tracking.item_count += 1


cdef void remember_asked(Call *call, uint64_t client_id):
    """Keys of a command that only its key specifications can tell."""
    cdef Table *keys = &tracking_of(call.core).keys
    cdef bytes key
    for key in (<object>call.core.hooks).keys_of(<object>call.command.record, arguments(call, 0)):
        remember(call.core, client_id, hash_in(keys, key, len(key)), key, len(key))


cdef void remember_keys(Call *call, uint64_t client_id) noexcept nogil:
    cdef Table *keys = &tracking_of(call.core).keys
    cdef const Command *command = call.command
    cdef int64_t i = command.first_key, last = command.last_key
    cdef uint64_t hash
    if last < 0:
        last += <int64_t>call.count
    while i <= last and i < <int64_t>call.count:
        hash = hash_in(keys, call.args[i].data, call.args[i].length)
        remember(call.core, client_id, hash, call.args[i].data, call.args[i].length)
        i += command.key_step


cdef inline bint is_remembered(const Tracker *tracker) noexcept nogil:
    cdef bint caching = tracker.flags & TRACKING_CACHING
    if tracker.flags & TRACKING_OPTIN:
        return caching
    return not (tracker.flags & TRACKING_BCAST or (tracker.flags & TRACKING_OPTOUT and caching))


cdef void tracking_ran(Call *call) noexcept:
    cdef Tracker *tracker = <Tracker *>call.client.tracker
    if tracker == NULL:
        return
    if call.command.flags & COMMAND_READS and is_remembered(tracker) and call.client.phase != PHASE_BLOCKED:
        if call.command.flags & COMMAND_KEYS_ASKED:
            try:
                remember_asked(call, tracker.id)
            except Exception as error:
                request_close(call.client, CLOSE_BUG)
                (<object>call.core.hooks).bug(<ClientHandle>call.client.handle, error)
        elif call.command.first_key > 0:
            remember_keys(call, tracker.id)
    tracking_over(call.client, call.command)


cdef void tracking_over(Client *client, const Command *command) noexcept nogil:
    cdef Tracker *tracker = <Tracker *>client.tracker
    if tracker == NULL or not tracker.flags & TRACKING_CACHING or client.transaction != NULL:
        return
    # Other commands of CLIENT may stand between CACHING and the command that it is for.
    if command == NULL or command.name_length < CONTAINER_BYTES or \
            memcmp(command.name, b"client|", CONTAINER_BYTES) != 0:
        tracker.flags &= ~<uint32_t>TRACKING_CACHING


cdef void forget(Core *core, TrackedKey *tracked, uint64_t hash) noexcept nogil:
    """Tell those who read the key, and remember them no longer."""
    cdef Tracking *tracking = tracking_of(core)
    cdef const Client *running = NULL if core.call == NULL else core.call.client
    cdef const char *key = <const char *>(tracked + 1)
    cdef const uint64_t *ids = ids_of(tracked)
    cdef char[SHORT_BYTES] short_text
    cdef char *text = short_text
    cdef size_t size
    cdef Tracker *tracker
    cdef void **slot
    cdef uint32_t i
    table_remove(&tracking.keys, hash, key, tracked.length)
    tracking.item_count -= tracked.count
    if tracked.length + HEADER_BYTES > SHORT_BYTES:
        text = <char *>allocate(&core.memory, tracked.length + HEADER_BYTES)
    size = put_header(text, c'*', 1)
    size += put_key(text + size, key, tracked.length)
    for i in range(tracked.count):
        slot = table_find(&tracking.trackers, hash_in(&tracking.trackers, <const char *>(ids + i), ID_BYTES),
                          <const char *>(ids + i), ID_BYTES)
        if slot == NULL:
            continue             # it has left, or tracks no more
        tracker = <Tracker *>slot[0]
        if tracker.flags & TRACKING_BCAST or (tracker.flags & TRACKING_NOLOOP and tracker.client == running):
            continue
        send(tracker, text, size, NULL)
    if text != short_text:
        release(&core.memory, text)
    release(&core.memory, tracked)


cdef void tracking_touch(Core *core, const Client *writer, const char *key, size_t length) noexcept nogil:
    cdef Tracking *tracking = tracking_of(core)
    cdef uint64_t hash = hash_in(&tracking.keys, key, length)
    cdef void **slot
    if tracking.prefix_count > 0 and has_prefix(tracking, key, length):
        note_written(tracking, 0 if writer == NULL else writer.id, hash, key, length)
    if tracking.keys.count > 0:
        slot = table_find(&tracking.keys, hash, key, length)
        if slot != NULL:
            forget(core, <TrackedKey *>slot[0], hash)
            set_effect(core)
            set_gate(core)


cdef void trim(Core *core) noexcept nogil:
    """Back to the limit, in steps that grow as long as they do not suffice."""
    cdef Tracking *tracking = tracking_of(core)
    cdef size_t budget = tracking.keys_per_trim * (tracking.trims_in_vain + 1), length
    cdef TrackedKey *tracked
    cdef const char *key
    while budget > 0 and tracking.maximum_keys > 0 and tracking.keys.count > tracking.maximum_keys:
        tracked = <TrackedKey *>table_random(&tracking.keys, &tracking.random)
        key = tracked_key_name(tracked, &length)
        forget(core, tracked, hash_in(&tracking.keys, key, length))
        budget -= 1
    tracking.trims_in_vain += 1
    set_gate(core)
    set_effect(core)


cdef void tell_flush(void *context, void *item) noexcept nogil:
    send(<Tracker *>item, NULL, 0, NULL)


cdef void tracking_flush(Core *core) noexcept nogil:
    cdef Tracking *tracking = tracking_of(core)
    cdef const Client *client
    cdef size_t i
    if core.call != NULL:        # else the server itself replaces the data set
        client = core.call.client
        if tracking.flushed_by == client.id and tracking.flushed_at == client.commands:
            return               # another database of the same command
        tracking.flushed_by = client.id
        tracking.flushed_at = client.commands
    if tracking.trackers.count > 0:
        for i in range(tracking.trackers.buckets):
            table_visit(&tracking.trackers, i, tell_flush, NULL)
    discard_table(&core.keyspace, &tracking.keys)
    tracking.item_count = 0
    set_effect(core)
    set_gate(core)


# ---- coming and going -----------------------------------------------------------------------------------------------

cdef void set_target(Tracker *tracker, Client *target) noexcept nogil:
    """Who gets the messages; NULL: nobody that there is."""
    if tracker.target != NULL:
        if tracker.next_of_target != NULL:
            tracker.next_of_target.previous_of_target = tracker.previous_of_target
        if tracker.previous_of_target != NULL:
            tracker.previous_of_target.next_of_target = tracker.next_of_target
        else:
            tracker.target.redirecting = tracker.next_of_target
    tracker.target = target
    tracker.previous_of_target = NULL
    tracker.next_of_target = NULL
    if target != NULL:
        tracker.next_of_target = <Tracker *>target.redirecting
        if tracker.next_of_target != NULL:
            tracker.next_of_target.previous_of_target = tracker
        target.redirecting = tracker


cdef Tracker *enter(Client *client) noexcept nogil:
    cdef Tracking *tracking = tracking_of(client.core)
    cdef Tracker *tracker = <Tracker *>client.tracker
    if tracker == NULL:
        tracker = <Tracker *>allocate(tracking.memory, sizeof(Tracker))
        memset(tracker, 0, sizeof(Tracker))
        tracker.id = client.id
        tracker.client = client
        client.tracker = tracker
        client.after_command |= AFTER_TRACKING
        table_insert(&tracking.trackers, hash_in(&tracking.trackers, <const char *>tracker, ID_BYTES), tracker)
    return tracker


cdef bint tracks_everything(const Tracker *tracker) noexcept nogil:
    """Whether the empty prefix is among its own."""
    cdef size_t i
    for i in range(tracker.prefix_count):
        if tracker.prefixes[i].prefix.length == 0:
            return True
    return False


cdef void tracking_leave(Client *client) noexcept nogil:
    cdef Tracking *tracking = tracking_of(client.core)
    cdef Tracker *tracker = <Tracker *>client.tracker
    if tracker == NULL:
        return
    client.tracker = NULL
    client.after_command &= ~<uint32_t>AFTER_TRACKING
    leave_prefixes(tracking, tracker)
    set_target(tracker, NULL)
    table_remove(&tracking.trackers, hash_in(&tracking.trackers, <const char *>tracker, ID_BYTES),
                 <const char *>tracker, ID_BYTES)
    if tracking.trackers.count == 0:
        table_clear(&tracking.trackers)
    release(tracking.memory, tracker)
    set_effect(client.core)


cdef void tracking_lose_target(Client *client) noexcept nogil:
    while client.redirecting != NULL:
        set_target(<Tracker *>client.redirecting, NULL)


cdef size_t tracker_bytes(const Client *client) noexcept nogil:
    cdef const Tracker *tracker = <const Tracker *>client.tracker
    return 0 if tracker == NULL else sizeof(Tracker) + tracker.prefix_bytes


# ---- the Python side ------------------------------------------------------------------------------------------------

cdef ClientTracking client_tracking(Core *core):
    cdef ClientTracking found = ClientTracking.__new__(ClientTracking)
    found.core = core
    return found


cdef class ClientTracking:
    """An engine's client-side caching, as its server sees it. Only the server's thread may use it.

    `flags` are the TRACKING_ bits of engine/modes/tracking.pxd.
    """

    cdef Client *find(self, uint64_t client_id) noexcept:
        """The client with this id; NULL when it is gone, or only waits to be freed."""
        cdef Client *client = self.core.first
        while client != NULL and client.id != client_id:
            client = client.next
        return client if client != NULL and client.phase != PHASE_CLOSING and client.phase != PHASE_CLOSED else NULL

    def knows(self, client_id: int) -> bool:
        """Whether a client has this id."""
        return 0 < client_id < 1 << 64 and self.find(client_id) != NULL

    def enable(self, handle: ClientHandle, flags: int, redirect_id: int, prefixes: list[bytes]) -> None:
        """Let a client track, or track otherwise. `redirect_id` 0: the messages are its own.

        `prefixes` come to those it has already, and are others; in BCAST mode none of them stands for the empty one.
        """
        cdef Client *client = handle.added()
        cdef Tracker *tracker = enter(client)
        tracker.flags = (tracker.flags & TRACKING_CACHING) | <uint32_t>flags
        tracker.redirect_id = redirect_id
        set_target(tracker, self.find(redirect_id) if redirect_id else NULL)
        if flags & TRACKING_BCAST:
            if prefixes or not tracks_everything(tracker):
                add_prefixes(tracking_of(self.core), tracker, prefixes or [b""])
        set_effect(self.core)

    def disable(self, handle: ClientHandle) -> None:
        """Let a client track no more. What it read stays in the table until it changes."""
        tracking_leave(handle.added())

    def set_caching(self, handle: ClientHandle) -> None:
        """The next command or transaction is the exception: remembered in OPTIN mode, not remembered in OPTOUT."""
        cdef Tracker *tracker = <Tracker *>handle.added().tracker
        if tracker != NULL:
            tracker.flags |= TRACKING_CACHING

    def state(self, handle: ClientHandle) -> tuple[int, int] | None:
        """Flags, and the id that messages are redirected to (0: none). None: it does not track.

        The target may have left unnoticed: TRACKING_BROKEN is set by the first message that it misses.
        """
        cdef Tracker *tracker = <Tracker *>handle.added().tracker
        return None if tracker == NULL else (tracker.flags, tracker.redirect_id)

    def prefixes(self, handle: ClientHandle) -> list[bytes]:
        """The prefixes that a client tracks, sorted."""
        cdef Tracker *tracker = <Tracker *>handle.added().tracker
        cdef Prefix *prefix
        cdef size_t i
        found = []
        if tracker != NULL:
            for i in range(tracker.prefix_count):
                prefix = tracker.prefixes[i].prefix
                found.append(prefix_bytes(prefix)[:prefix.length])
        return sorted(found)

    def broadcast(self) -> None:
        """Send what changed in this turn to those who track prefixes."""
        cdef Tracking *tracking = tracking_of(self.core)
        if tracking.written.count > 0:
            broadcast(tracking)

    def trim(self) -> None:
        """Forget some keys, chosen at random, of a table that is over its limit; whoever read them is told."""
        trim(self.core)

    def set_maximum_keys(self, count: int) -> None:
        """tracking-table-max-keys; 0: no limit."""
        tracking_of(self.core).maximum_keys = count
        set_gate(self.core)

    def figures(self) -> dict[str, int]:
        """INFO's fields about tracking."""
        cdef Tracking *tracking = tracking_of(self.core)
        return {"tracking_clients": tracking.trackers.count, "tracking_total_keys": tracking.keys.count,
                "tracking_total_items": tracking.item_count, "tracking_total_prefixes": tracking.prefix_count}
