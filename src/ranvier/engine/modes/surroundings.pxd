"""What is around the requests of some clients: silence (CLIENT REPLY), NO-TOUCH, the eyes of an import source."""

from libc.stddef cimport size_t

from ranvier.engine.core cimport Block, Client, native_t

# On the stack of whoever runs the request; Client.surroundings points to it until `surroundings_end`.
cdef struct Surroundings:
    bint skip                    # the silence is this one request's
    bint no_touch
    bint import_source
    bint silent                  # by these surroundings: who replays a file is silent without them
    # While it is silent, the output buffer that the peer gets to see:
    Block *head
    Block *tail
    size_t sent
    size_t owed_bytes
    size_t output_bytes
    size_t output_blocks
    bint pending_write

# Set up what is around the next request of a client that is SURROUNDED.
cdef void surroundings_begin(Client *client, Surroundings *mine) noexcept nogil
# Behind the request's handler, before anything else is sent. Idempotent.
cdef void surroundings_end(Client *client) noexcept nogil
# Let a push through a silence; `hush` with what this returned.
cdef bint speak(Client *client) noexcept nogil
cdef void hush(Client *client, bint was_silent) noexcept nogil
# Set or clear the client's SURROUNDED, after a change of one of its reasons.
cdef void update_surrounded(Client *client) noexcept nogil
# Replies come again: the mode's leave().
cdef void leave_reply_mode(Client *client) noexcept nogil

cdef native_t surroundings_handler(str name) except? NULL
