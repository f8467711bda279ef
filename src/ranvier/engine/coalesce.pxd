"""Whether to wait a moment before the next poll, so that one turn serves several clients.

A poll that finds nothing puts the thread to sleep, and waking it costs more than serving a client does. When events
come one by one, but thick and fast, a wait of COMPANY events turns many wake-ups into one - what network cards call
interrupt coalescing (docs/decisions/0006-waiting-for-company.md). It is tried only while events come closer together
than INTERVAL_NS and turns are small, and it must pay: a wait that brings fewer than WORTH_CLIENTS (one client that
waits for each reply, say) puts the next attempt off, twice as long each time.
"""

from libc.stdint cimport int64_t, uint32_t

cdef enum:
    COMPANY = 6                      # events
    LONGEST_WAIT_NS = 80000
    INTERVAL_NS = 30000
    LONGEST_INTERVAL_NS = 1000000    # a pause counts as no more than this
    CROWDED_CLIENTS = 8              # turns of this size need no help
    WORTH_CLIENTS = 3
    FIRST_PAUSE_TURNS = 256
    LONGEST_PAUSE_TURNS = 65536


cdef struct Coalescer:
    int64_t interval_ns              # between two events, smoothed
    int64_t last_ns                  # of the last turn
    int served                       # clients in the last turn
    bint waited                      # before the last turn
    uint32_t pause_turns             # before the next attempt
    uint32_t next_pause_turns
    int64_t waits                    # since the start


cdef inline void coalescer_init(Coalescer *coalescer) noexcept nogil:
    coalescer.interval_ns = LONGEST_INTERVAL_NS
    coalescer.last_ns = 0
    coalescer.served = 0
    coalescer.waited = False
    coalescer.pause_turns = 0
    coalescer.next_pause_turns = FIRST_PAUSE_TURNS
    coalescer.waits = 0


cdef inline int64_t coalescer_wait_ns(Coalescer *coalescer) noexcept nogil:
    """How long to wait now; 0 for not at all."""
    cdef int64_t wait_ns = COMPANY * coalescer.interval_ns
    coalescer.waited = (coalescer.interval_ns < INTERVAL_NS and coalescer.pause_turns == 0
                        and 0 < coalescer.served < CROWDED_CLIENTS)
    if not coalescer.waited:
        return 0
    coalescer.waits += 1
    return wait_ns if wait_ns < LONGEST_WAIT_NS else LONGEST_WAIT_NS


cdef inline void coalescer_note(Coalescer *coalescer, int served, int64_t now_ns) noexcept nogil:
    """A turn has begun at `now_ns` with `served` clients that sent something."""
    cdef int64_t interval = now_ns - coalescer.last_ns
    coalescer.last_ns = now_ns
    coalescer.served = served
    if served > 0:
        interval = interval // served
        if interval > LONGEST_INTERVAL_NS:
            interval = LONGEST_INTERVAL_NS
        coalescer.interval_ns += (interval - coalescer.interval_ns) // 8
    if not coalescer.waited:
        if coalescer.pause_turns > 0:
            coalescer.pause_turns -= 1
    elif served >= WORTH_CLIENTS:
        coalescer.next_pause_turns = FIRST_PAUSE_TURNS
    else:
        coalescer.pause_turns = coalescer.next_pause_turns
        if coalescer.next_pause_turns < LONGEST_PAUSE_TURNS:
            coalescer.next_pause_turns *= 2
    coalescer.waited = False
