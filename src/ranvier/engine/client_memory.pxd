"""The memory of a client: the one function that CLIENT LIST, INFO and the eviction of clients ask."""

from libc.stddef cimport size_t

from ranvier.engine.core cimport Client, Core

# All that the server holds for this client. A mode that hangs something on a client adds its own here.
cdef size_t client_bytes(const Client *client) noexcept nogil
# Of all clients: replicas, or everybody else.
cdef size_t clients_bytes(const Core *core, bint replicas) noexcept nogil
