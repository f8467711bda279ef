"""The phase of a client: the one transition table, and asking for a close."""

from ranvier.engine.core cimport Client, Core

# Why the server closed a client; names in phase.pyx.
cdef enum CloseReason:
    CLOSE_NONE = 0
    CLOSE_PEER = 1                   # the peer closed; all that was owed is delivered, or cannot be
    CLOSE_READ_ERROR = 2             # reading failed, most often a reset
    CLOSE_WRITE_ERROR = 3            # writing failed
    CLOSE_QUIT = 4                   # QUIT
    CLOSE_PROTOCOL = 5               # a request that is none; the answer says what was wrong
    CLOSE_OUTPUT_LIMIT = 6           # client-output-buffer-limit
    CLOSE_QUERY_LIMIT = 7            # client-query-buffer-limit
    CLOSE_KILLED = 8                 # CLIENT KILL, or the program around an embedded server
    CLOSE_IDLE = 9                   # timeout
    CLOSE_MAXIMUM_CLIENTS = 10       # maxclients: refused, never a client
    CLOSE_BUG = 11                   # a bug of the server while it served this client; the log has the traceback
    CLOSE_SHUTDOWN = 12              # the server ended
    CLOSE_ATTACK = 13                # POST or Host: as a command, an HTTP request smuggled in
    CLOSE_EVICTED = 14               # maxmemory-clients
    CLOSE_PROTECTED_MODE = 15        # protected-mode: refused, never a client
    CLOSE_PROXY = 16                 # a bad, oversized or late PROXY header
    CLOSE_UNAUTHENTICATED = 17       # past an output limit that holds until AUTH
    CLOSE_USER = 18                  # its user is gone, or may no longer do what it does
    CLOSE_REPLICATION = 19           # the link between primary and replica is given up
    CLOSE_HANDSHAKE = 20             # TLS failed, or took too long
    CLOSE_ACCEPT_FAILED = 21         # the system refused to set the connection up: never a client
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
