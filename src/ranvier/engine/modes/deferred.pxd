"""Pushes to the client whose command is running, kept back until the command has replied (lifecycle A5-6)."""

from libc.stddef cimport size_t

from ranvier.engine.core cimport Client

# In the order in which they leave: own invalidations come behind messages, as on the reference servers.
cdef enum DeferredKind:
    DEFERRED_MESSAGE = 0
    DEFERRED_INVALIDATION = 1
    DEFERRED_KINDS = 2

cdef struct DeferredPushes:
    char *data
    size_t length
    size_t capacity

# Client.deferred
cdef struct Deferred:
    DeferredPushes pushes[2]     # by kind

# Keep a copy; returns it, until the next call, or NULL when the client is over its output limit and will be closed.
cdef char *defer(Client *client, int kind, const char *data, size_t size) noexcept nogil
# Hand over what was kept.
cdef void flush_deferred(Client *client) noexcept nogil
# Drop what was kept. Idempotent.
cdef void deferred_leave(Client *client) noexcept nogil
cdef size_t deferred_bytes(const Client *client) noexcept nogil
