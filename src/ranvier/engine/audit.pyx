"""The audit of test runs (design, law 5): after every free step, nothing refers to a client that is gone.

Strategy: the list of all clients says who is there; every other list, table, queue and heap of the engine is walked,
and a client that is met there must be among them. The counters that INFO shows are compared with what the walk counts.
That costs a walk over everything, so it runs only where the server was started with RANVIER_AUDIT=1, as the test runs
do. A new mode adds its walk to `audit`, and its counters.
"""

from libc.stdint cimport int64_t, uintptr_t

from ranvier.engine.core cimport PHASE_BLOCKED, PHASE_CLOSED, PHASE_CLOSING, Client
from ranvier.engine.modes.blocked cimport AwaitedKey, Blocking, Waiter
from ranvier.engine.modes.monitor cimport Monitor
from ranvier.engine.modes.pubsub cimport KINDS, Channel, PubSub, subscription_count
from ranvier.engine.modes.tracking cimport Prefix, Tracker, Tracking
from ranvier.engine.modes.watch cimport watch_visit
from ranvier.engine.replication.stream cimport Replica, Replication, StreamBlock, replication_of
from ranvier.engine.store.table cimport Table, table_visit


cdef class Findings:
    """Who is there, who was met where, and what is wrong."""

    cdef set alive
    cdef dict met
    cdef list wrong

    def __init__(self) -> None:
        self.alive = set()
        self.met = {}
        self.wrong = []

    cdef void meet(self, str where, Client *client):
        self.met[where] = self.met.get(where, 0) + 1
        if <uintptr_t>client not in self.alive:
            self.wrong.append(f"{where}: a client that is gone")

    cdef void expect(self, str what, size_t counted, size_t found):
        if counted != found:
            self.wrong.append(f"{what}: {counted} by its counter, {found} found")


cdef void met(void *context, const char *where, Client *client) noexcept nogil:
    with gil:
        (<Findings>context).meet((<bytes>where).decode(), client)


cdef void visit_awaited(void *context, void *item) noexcept nogil:
    with gil:
        walk_queue(<Findings>context, "the queue of an awaited key", <AwaitedKey *>item)


cdef void walk_queue(Findings findings, str where, AwaitedKey *key):
    cdef Waiter *waiter = key.first
    while waiter != NULL:
        findings.meet(where, waiter.blocked.client)
        if waiter.blocked.client.blocked != waiter.blocked:
            findings.wrong.append(f"{where}: a client that does not wait")
        waiter = waiter.next


cdef void walk_clients(Core *core, Findings findings):
    cdef Client *client = core.first
    cdef size_t count = 0, blocked = 0, watching = 0, subscribed = 0, links = 0
    while client != NULL:
        findings.alive.add(<uintptr_t>client)
        count += 1
        blocked += client.blocked != NULL
        watching += client.watches != NULL
        subscribed += subscription_count(client, 0) + subscription_count(client, 1) + subscription_count(client, 2) > 0
        links += client.primary_link != NULL
        if client.primary_link != NULL and (client.phase == PHASE_CLOSED or not client.obeyed):
            findings.wrong.append("a link to the primary that is none any more")
        if client.phase == PHASE_CLOSED and not client.closing_queued:
            findings.wrong.append("a closed client that nobody will free")
        if (client.blocked != NULL) != (client.phase == PHASE_BLOCKED) and client.phase != PHASE_CLOSING:
            findings.wrong.append("phase BLOCKED and what a client waits for disagree")
        client = client.next
    if links > 1:
        findings.wrong.append("more than one link to a primary")
    findings.expect("clients", core.client_count, count)
    findings.expect("blocked clients", (<Blocking *>core.blocking).client_count, blocked)
    findings.expect("watching clients", core.watching_clients, watching)
    findings.expect("subscribed clients", (<PubSub *>core.pubsub).client_count, subscribed)


cdef void walk_lists(Core *core, Findings findings):
    cdef Monitor *monitor = <Monitor *>core.first_monitor
    cdef Client *client = core.pending_writes
    while monitor != NULL:
        findings.meet("monitors", monitor.client)
        monitor = monitor.next
    while client != NULL:
        findings.meet("pending writes", client)
        client = client.next_pending_write
    client = core.waiting
    while client != NULL:
        findings.meet("clients that may go on", client)
        client = client.next_waiting
    client = core.closed
    while client != NULL:
        findings.meet("clients to be freed", client)
        client = client.next_closed
    client = core.admins
    while client != NULL:
        findings.meet("admin clients", client)
        client = client.next_admin
    if core.next_checked != NULL:
        findings.meet("the periodic look", core.next_checked)
    findings.expect("admin clients", core.admin_count, findings.met.get("admin clients", 0))
    findings.expect("pending writes", core.pending_write_count, findings.met.get("pending writes", 0))


cdef void walk_blocked(Core *core, Findings findings):
    cdef Blocking *blocking = <Blocking *>core.blocking
    cdef Table *table
    cdef size_t i
    cdef int database
    walk_queue(findings, "the queue of the pause", &blocking.pause)
    walk_queue(findings, "the queue of WAIT", &blocking.acknowledging)
    for i in range(blocking.heap_count):
        findings.meet("the time-outs", blocking.heap[i].client)
    for database in range(core.database_count):
        table = <Table *>blocking.awaited + database
        for i in range(table.buckets):
            table_visit(table, i, visit_awaited, <void *>findings)
    findings.expect("waiters", blocking.waiter_count, findings.met.get("the queue of an awaited key", 0))


cdef void walk_replication(Core *core, Findings findings):
    cdef Replication *replication = replication_of(core)
    cdef Replica *replica = replication.first_replica
    cdef StreamBlock *block = replication.first
    cdef size_t references = 0, positions = replication.mark.block != NULL, blocks = 0
    while replica != NULL:
        findings.meet("replicas", replica.client)
        if replica.client.replica != replica:
            findings.wrong.append("replicas: a client that is none")
        positions += replica.position.block != NULL
        replica = replica.next
    while block != NULL:
        references += block.references
        blocks += 1
        if block.next != NULL and block.next.begin != block.begin + <int64_t>block.used:
            findings.wrong.append("the stream's blocks are not consecutive")
        block = block.next
    findings.expect("replicas", replication.replica_count, findings.met.get("replicas", 0))
    findings.expect("blocks of the stream", replication.block_count, blocks)
    findings.expect("references to the stream's blocks", references, positions)


cdef void walk_pubsub(Core *core, Findings findings):
    cdef PubSub *pubsub = <PubSub *>core.pubsub
    cdef Channel *channel
    cdef size_t i, places = 0
    cdef int kind
    for kind in range(<int>KINDS):
        channel = pubsub.first[kind]
        while channel != NULL:
            for i in range(channel.count):
                findings.meet("the subscribers of a channel", channel.subscribers[i].client)
            if channel.count == 0:
                findings.wrong.append("a channel without subscribers")
            places += channel.count
            channel = channel.next
    findings.expect("subscriptions", pubsub.subscriptions.count, places)


cdef void visit_tracker(void *context, void *item) noexcept nogil:
    cdef Tracker *tracker = <Tracker *>item
    with gil:
        (<Findings>context).meet("trackers", tracker.client)
        if tracker.client.tracker != tracker:
            (<Findings>context).wrong.append("trackers: a client that does not track")
        if tracker.target != NULL:
            (<Findings>context).meet("those who get others' invalidations", tracker.target)


cdef void walk_tracking(Core *core, Findings findings):
    cdef Tracking *tracking = <Tracking *>core.tracking
    cdef Prefix *prefix
    cdef size_t i, j
    for i in range(tracking.trackers.buckets):
        table_visit(&tracking.trackers, i, visit_tracker, <void *>findings)
    findings.expect("trackers", tracking.trackers.count, findings.met.get("trackers", 0))
    for i in range(tracking.prefix_count):
        prefix = tracking.prefixes[i]
        for j in range(prefix.count):
            findings.meet("the members of a prefix", prefix.members[j].tracker.client)
        if prefix.count == 0:
            findings.wrong.append("a prefix without members")


cdef void audit(Core *core, list tokens) except *:
    cdef Findings findings = Findings()
    walk_clients(core, findings)
    walk_lists(core, findings)
    walk_blocked(core, findings)
    watch_visit(core, met, <void *>findings)
    walk_replication(core, findings)
    walk_pubsub(core, findings)
    walk_tracking(core, findings)
    for token in tokens:
        findings.meet("events in hand", <Client *><uintptr_t>token)
    if findings.wrong:
        raise AssertionError("the audit of clients found: " + "; ".join(sorted(set(findings.wrong))))
