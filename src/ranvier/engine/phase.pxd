"""The phase of a client: the one transition table, and asking for a close."""

from ranvier.engine.core cimport Client, Core

# Why the server closed a client; names in phase.pyx.
cdef enum CloseReason:
    CLOSE_NONE = 0
    CLOSE_PEER = 1                   # the peer closed, all that was owed is delivered or cannot be
    CLOSE_READ_ERROR = 2
    CLOSE_WRITE_ERROR = 3
    CLOSE_QUIT = 4
    CLOSE_PROTOCOL = 5
    CLOSE_OUTPUT_LIMIT = 6
    CLOSE_QUERY_LIMIT = 7
    CLOSE_KILLED = 8
    CLOSE_IDLE = 9
    CLOSE_REFUSED = 10
    CLOSE_BUG = 11
    CLOSE_SHUTDOWN = 12
    CLOSE_ATTACK = 13
    CLOSE_PROXY = 14                 # a bad, oversized or late PROXY header
    CLOSE_EVICTED = 15               # maxmemory-clients

# Move a client to `phase`; an illegal move is a bug and ends the process in debug builds, else it is refused (0).
cdef bint set_phase(Client *client, int phase) noexcept nogil
# Nothing more is parsed or written; torn down and freed in the free step. Idempotent; the first reason stays.
cdef void request_close(Client *client, int reason) noexcept nogil
# Nothing more is parsed; closed when all that is owed is written (at once when nothing is).
cdef void close_after_reply(Client *client, int reason) noexcept nogil
cdef const char *close_reason_name(int reason) noexcept nogil


cdef inline bint may_execute(const Client *client) noexcept nogil:
    return client.phase == 1         # PHASE_READY
