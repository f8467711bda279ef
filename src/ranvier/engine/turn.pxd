"""What the steps of a turn do to clients; the loop decides when."""

from libc.stddef cimport size_t

from ranvier.engine.core cimport Client, Core
from ranvier.engine.poll cimport PollEvent

cdef struct Received:
    Client *client
    char *data
    size_t count
    int kind                     # engine.input

# Serve one readiness event of a client. Nonzero when *received is to be served; *used: bytes taken of `shared`.
cdef bint receive_event(Core *core, const PollEvent *event, char *shared, size_t room, Received *received,
                        size_t *used) noexcept nogil
# Execute what was received, or act on the end of input.
cdef void serve(Core *core, Received *received) except *
# Process bytes that no socket brought.
cdef void feed_client(Core *core, Client *client, const char *data, size_t length) except *
# What a client without a socket has been sent; requests that waited for that run then.
cdef bytes client_output(Client *client)
cdef void resume_clients(Core *core) except *
# Have those that had used up their share of the last turn go on in this one. There must be some.
cdef void recall_yielded(Core *core) noexcept nogil
cdef void write_clients(Core *core) noexcept nogil
# Tell the poller what this client waits for.
cdef void want(Client *client, bint read, bint write) noexcept nogil
# All that was owed has left: the closing phases go on from here.
cdef void written(Core *core, Client *client) noexcept nogil
# Take a closed client out of every list of the core.
cdef void unlink_client(Core *core, Client *client) noexcept
cdef void link_client(Core *core, Client *client) noexcept
cdef void check_some_clients(Core *core, size_t count) except *
# Active expiry, bounded in time; true when many of the keys seen had expired, so that it is worth going on.
cdef bint expire_some_keys(Core *core) noexcept
# The effect call of the databases' own deletions.
cdef void key_expired(void *context, void *database, const char *key, size_t length) noexcept
cdef bint owes_replies(const Core *core) noexcept nogil
# Some client is on its way out: what it is owed is being written, or its last input drained.
cdef bint closes_in_progress(const Core *core) noexcept nogil
