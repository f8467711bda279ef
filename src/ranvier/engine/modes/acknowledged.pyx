"""Clients that wait for replicas (WAIT, WAITAOF).

Strategy: they stand in one queue of their own. Who joins it has all replicas asked before the loop sleeps; a replica
that tells how far it is has the queue looked at in the next turn's blocked step, where all whose wish is met are
answered, in the order in which they came.
"""

from ranvier.engine.core cimport PHASE_BLOCKED
from ranvier.engine.modes.blocked cimport (
    TIMED_OUT_COUNT, TIMED_OUT_COUNTS, UNBLOCKED_BY_TIME, Blocked, Blocking, Waiter, blocked_new, enter, give_up, join,
    not_counted,
)
from ranvier.engine.replication.stream cimport acknowledged_by, replication_of
from ranvier.engine.reply cimport reply_array, reply_integer


cdef inline Blocking *blocking_of(const Core *core) noexcept nogil:
    return <Blocking *>core.blocking


cdef void block_for_replicas(Call *call, const Acknowledgements *awaited, int64_t timeout_ms) noexcept:
    cdef Blocked *blocked
    if call.client.deny_blocking or acknowledged_by(call.core, awaited.offset, awaited.on_disk) >= awaited.replicas:
        reply_acknowledged(call.client, awaited)
        return
    blocked = blocked_new(call, 1)
    blocked.awaited = awaited[0]
    blocked.timed_out_reply = TIMED_OUT_COUNTS if awaited.on_disk else TIMED_OUT_COUNT
    join(&blocked.waiters[0], blocked, &blocking_of(call.core).acknowledging)
    replication_of(call.core).acknowledgements_wanted = True
    enter(call, blocked, timeout_ms)
    not_counted(call)


cdef void acknowledgements_came(Core *core) noexcept nogil:
    if blocking_of(core).acknowledging.first != NULL:
        blocking_of(core).acknowledgements_came = True


cdef void reply_acknowledged(Client *client, const Acknowledgements *awaited) noexcept nogil:
    cdef int count = acknowledged_by(client.core, awaited.offset, awaited.on_disk)
    if awaited.on_disk:
        reply_array(client, 2)
        reply_integer(client, 0)
    reply_integer(client, count)


cdef void answer_acknowledged(Core *core) except *:
    """Whoever has waited for replicas that have told of themselves by now goes on."""
    cdef Blocking *blocking = blocking_of(core)
    cdef Waiter *waiter = blocking.acknowledging.first
    cdef Waiter *following
    cdef Acknowledgements *awaited
    blocking.acknowledgements_came = False
    while waiter != NULL:        # an answer runs nothing, so that nobody else leaves the queue meanwhile
        following = waiter.next
        awaited = &waiter.blocked.awaited
        if acknowledged_by(core, awaited.offset, awaited.on_disk) >= awaited.replicas \
                and waiter.blocked.client.phase == PHASE_BLOCKED:
            give_up(core, waiter.blocked, UNBLOCKED_BY_TIME)
        waiter = following
