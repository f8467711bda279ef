"""Poll and all receives of a turn: one call without the interpreter's lock.

Every read of a turn lands in one shared buffer; when it is full, the remaining events wait for the next turn, before
the next poll, so that no client is starved by its place in the list. An event's token is its client's address; an odd
one is a descriptor that Python watches, twice and one; 0: its client is gone.
"""

from libc.errno cimport errno
from libc.stdint cimport int64_t, uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from ranvier.engine.admin cimport admin_events_again, admin_events_first
from ranvier.engine.clocks cimport ranvier_wait
from ranvier.engine.coalesce cimport coalescer_init, coalescer_wait_ns
from ranvier.engine.poll cimport poll_wait
from ranvier.engine.turn cimport receive_event

cdef enum:
    EVENTS = 1024                # limits.EVENTS_PER_POLL


cdef bint readiness_begin(Readiness *ready, size_t shared_bytes) noexcept:
    memset(ready, 0, sizeof(Readiness))
    coalescer_init(&ready.coalescer)
    ready.events = <PollEvent *>calloc(EVENTS, sizeof(PollEvent))
    ready.received = <Received *>calloc(EVENTS, sizeof(Received))
    ready.descriptors = <int *>calloc(EVENTS, sizeof(int))
    ready.shared = <char *>calloc(1, shared_bytes)
    ready.shared_bytes = shared_bytes
    return ready.events != NULL and ready.received != NULL and ready.descriptors != NULL and ready.shared != NULL


cdef void readiness_end(Readiness *ready) noexcept:
    free(ready.events)
    free(ready.received)
    free(ready.descriptors)
    free(ready.shared)
    memset(ready, 0, sizeof(Readiness))


cdef int receive_events(Core *core, Readiness *ready, int timeout_ms) noexcept nogil:
    cdef int failed = 0
    cdef size_t used = 0
    cdef int64_t wait_ns
    ready.received_count = 0
    ready.descriptor_count = 0
    if not events_left(ready):
        wait_ns = coalescer_wait_ns(&ready.coalescer) if timeout_ms != 0 else 0
        if wait_ns > 0:
            ranvier_wait(wait_ns)
        ready.event_next = 0
        ready.event_count = poll_wait(core.poller, ready.events, EVENTS, timeout_ms)
        if ready.event_count < 0:
            failed = errno
            ready.event_count = 0
        ready.admin_end = admin_events_first(ready.events, ready.event_count) if core.admins != NULL else 0
    elif core.admins != NULL and ready.event_next > ready.admin_end:
        ready.admin_end = admin_events_again(core, ready.events, EVENTS, &ready.event_next, &ready.event_count)
    while ready.event_next < ready.event_count:
        if ready.shared_bytes - used < core.limits.read_minimum_bytes:
            break
        used += take_event(core, ready, &ready.events[ready.event_next], used)
        ready.event_next += 1
    return failed


cdef inline size_t take_event(Core *core, Readiness *ready, const PollEvent *event, size_t at) noexcept nogil:
    """Serve one event; returns how much of the shared buffer, from `at` on, it used."""
    cdef size_t used = 0
    if event.token & 1:
        ready.descriptors[ready.descriptor_count] = <int>(event.token >> 1)
        ready.descriptor_count += 1
    elif event.token != 0:
        ready.received_count += receive_event(core, event, ready.shared + at, ready.shared_bytes - at,
                                              &ready.received[ready.received_count], &used)
    return used


cdef void forget_events(Readiness *ready, const Client *client) noexcept nogil:
    cdef int i
    for i in range(ready.event_next, ready.event_count):
        if ready.events[i].token == <uintptr_t>client:
            ready.events[i].token = 0


cdef list clients_of_events(const Readiness *ready):
    return [ready.events[i].token for i in range(ready.event_next, ready.event_count)
            if ready.events[i].token != 0 and not ready.events[i].token & 1]
