"""maxmemory-clients: who is closed first when all clients together hold too much memory."""

from ranvier.engine.core cimport Client, Core

# Bring a client's share of the total up to date, and say when the total is too much. Only while
# core.limits.clients_bytes is not 0.
cdef void count_client(Client *client) noexcept nogil
# Forget it. Idempotent.
cdef void uncount_client(Client *client) noexcept nogil


cdef class ClientMemory:
    cdef Core *core                  # the engine's, which keeps this object

cdef ClientMemory client_memory(Core *core)
