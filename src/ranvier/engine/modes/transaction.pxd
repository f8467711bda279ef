"""A client's transaction: the queue between MULTI and EXEC."""

from libc.stddef cimport size_t
from libc.stdint cimport uint32_t, uint64_t

from ranvier.engine.core cimport Arg, Call, Client, Command, Core

# A queued request: one allocation. Behind it lie `count` Args, and behind those the bytes of the arguments; an argument
# that came alone in a blob stays there, with a reference.
cdef struct Queued:
    Queued *next
    Command *command
    uint64_t hash                # of its first key; holds in every database
    size_t bytes                 # what it counts for, its blobs included
    size_t count

cdef struct Transaction:
    Queued *first
    Queued *last
    size_t count
    size_t bytes
    uint32_t gates               # of all queued commands
    bint aborted                 # a command was refused: EXEC will not run


cdef inline Transaction *transaction_of(const Client *client) noexcept nogil:
    """NULL outside of MULTI. Inside EXEC it is still there: whoever would block asks for it."""
    return <Transaction *>client.transaction


cdef inline Arg *queued_args(Queued *queued) noexcept nogil:
    return <Arg *>(queued + 1)


cdef inline size_t transaction_bytes(const Client *client) noexcept nogil:
    """Memory of the transaction, of what is queued in it, and of the client's watches."""
    return client.kept_bytes + (sizeof(Transaction) if client.transaction != NULL else 0)


cdef void transaction_begin(Client *client) noexcept nogil
# Copy a request into the queue, unless it is clear already that EXEC will run nothing.
cdef void transaction_queue(Call *call) noexcept nogil
# Take the queue out of the transaction, for EXEC; the caller frees each request with queued_free.
cdef Queued *transaction_take(Transaction *transaction) noexcept nogil
cdef void queued_free(Core *core, Queued *queued) noexcept nogil
# EXEC will run nothing: drop the queue at once, if there is one.
cdef void transaction_drop(Client *client) noexcept nogil
# A command was refused: the queue is dropped, and EXEC will say so.
cdef void transaction_abort(Client *client) noexcept nogil
# Leave MULTI: the queue is dropped. Idempotent: the mode's leave().
cdef void transaction_leave(Client *client) noexcept
