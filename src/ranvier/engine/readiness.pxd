"""What a poll found and what was read of it: the first half of a turn, as plain memory."""

from libc.stddef cimport size_t

from ranvier.engine.coalesce cimport Coalescer
from ranvier.engine.core cimport Client, Core
from ranvier.engine.poll cimport PollEvent
from ranvier.engine.turn cimport Received

cdef struct Readiness:
    PollEvent *events
    int event_count
    int event_next               # events behind it are left over for the next turn
    int admin_end                # events[:admin_end] are admin clients'
    char *shared                 # where the reads of a turn go
    size_t shared_bytes
    Received *received
    int received_count
    int *descriptors             # those that Python watches and that are readable
    int descriptor_count
    Coalescer coalescer

# False when there is no memory for it. readiness_end may follow in any case.
cdef bint readiness_begin(Readiness *ready, size_t shared_bytes) noexcept
cdef void readiness_end(Readiness *ready) noexcept
# Poll, unless events are left over, and receive until the shared buffer is full. Returns errno of a poll that failed.
cdef int receive_events(Core *core, Readiness *ready, int timeout_ms) noexcept nogil
# Its memory is about to go: no event that is left over leads to it any more.
cdef void forget_events(Readiness *ready, const Client *client) noexcept nogil
# The addresses of clients that events left over lead to, for the audit.
cdef list clients_of_events(const Readiness *ready)


cdef inline bint events_left(const Readiness *ready) noexcept nogil:
    return ready.event_next < ready.event_count
