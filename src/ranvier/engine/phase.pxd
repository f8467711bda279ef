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
    CLOSE_MAXIMUM_CLIENTS = 10       # refused at once: never a client
    CLOSE_BUG = 11
    CLOSE_SHUTDOWN = 12
    CLOSE_ATTACK = 13
    CLOSE_EVICTED = 14               # maxmemory-clients
    CLOSE_PROTECTED_MODE = 15        # refused at once: never a client
    CLOSE_PROXY = 16        # no valid PROXY header came from where one must
    CLOSE_UNAUTHENTICATED = 17       # past a limit that holds until AUTH
    CLOSE_USER = 18                  # its user is gone, or may no longer do what it does
    CLOSE_REPLICATION = 19           # the link between primary and replica is given up
    CLOSE_HANDSHAKE = 20             # TLS, or the time it may take
    CLOSE_ACCEPT_FAILED = 21         # the system refused to set the connection up
    CLOSE_REASONS = 22

# Move a client to `phase`; an illegal move is a bug and ends the process in debug builds, else it is refused (0).
cdef bint set_phase(Client *client, int phase) noexcept nogil
# Nothing more is parsed or written; torn down and freed in the free step. Idempotent; the first reason stays.
cdef void request_close(Client *client, int reason) noexcept nogil
# Nothing more is parsed; closed when all that is owed is written (at once when nothing is).
cdef void close_after_reply(Client *client, int reason) noexcept nogil
# The same for the server's end: even who is owed nothing goes through the write step, which sees to unread input.
cdef void close_at_the_end(Client *client) noexcept nogil
cdef const char *close_reason_name(int reason) noexcept nogil


cdef inline bint may_execute(const Client *client) noexcept nogil:
    return client.phase == 1         # PHASE_READY
