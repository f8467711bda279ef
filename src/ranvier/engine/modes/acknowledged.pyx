"""Clients that wait for replicas, or for the disk (WAIT, WAITAOF).

Strategy: they stand in one queue of their own. Who joins it has all replicas asked before the loop sleeps; a replica
that tells how far it is, and a sync of the append-only file, have the queue looked at in the next turn's blocked step,
where all whose wish is met are answered, in the order in which they came.
"""

from ranvier.engine.core cimport PHASE_BLOCKED
from ranvier.engine.modes.blocked cimport (
    TIMED_OUT_COUNT, TIMED_OUT_COUNTS, UNBLOCKED_BY_ERROR, UNBLOCKED_BY_TIME, Blocked, Blocking, Waiter, blocked_new,
    enter, give_up, join, not_counted,
)
from ranvier.engine.persistence.append_buffer cimport APPEND_OFF, appended_of, is_on_disk
from ranvier.engine.replication.stream cimport acknowledged_by, replication_of
from ranvier.engine.reply cimport reply_array, reply_integer


cdef inline Blocking *blocking_of(const Core *core) noexcept nogil:
    return <Blocking *>core.blocking


cdef void block_for_replicas(Call *call, const Acknowledgements *awaited, int64_t timeout_ms) noexcept:
    cdef Blocked *blocked
    if call.client.deny_blocking or is_acknowledged(call.core, awaited):
        reply_acknowledged(call.client, awaited)
        return
    blocked = blocked_new(call, 1)
    blocked.awaited = awaited[0]
    blocked.timed_out_reply = TIMED_OUT_COUNTS if awaited.on_disk else TIMED_OUT_COUNT
    join(&blocked.waiters[0], blocked, &blocking_of(call.core).acknowledging)
    if awaited.replicas > 0:
        replication_of(call.core).acknowledgements_wanted = True
    enter(call, blocked, timeout_ms)
    not_counted(call)


cdef bint is_acknowledged(const Core *core, const Acknowledgements *awaited) noexcept nogil:
    return acknowledged_by(core, awaited.offset, awaited.on_disk) >= awaited.replicas \
        and (not awaited.local or is_on_disk(core, awaited.append_offset))


cdef bytes no_file_to_wait_for():
    return b"ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled."


cdef bint answers_are_due(const Core *core) noexcept nogil:
    return blocking_of(core).acknowledgements_came


cdef void acknowledgements_came(Core *core) noexcept nogil:
    if blocking_of(core).acknowledging.first != NULL:
        blocking_of(core).acknowledgements_came = True


cdef void reply_acknowledged(Client *client, const Acknowledgements *awaited) noexcept nogil:
    cdef int count = acknowledged_by(client.core, awaited.offset, awaited.on_disk)
    if awaited.on_disk:
        reply_array(client, 2)
        reply_integer(client, is_on_disk(client.core, awaited.append_offset))
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
        if waiter.blocked.client.phase == PHASE_BLOCKED:
            if awaited.local and appended_of(core).stage == APPEND_OFF:
                give_up(core, waiter.blocked, UNBLOCKED_BY_ERROR, no_file_to_wait_for())
            elif is_acknowledged(core, awaited):
                give_up(core, waiter.blocked, UNBLOCKED_BY_TIME)
        waiter = following
