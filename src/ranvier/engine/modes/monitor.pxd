"""MONITOR: clients to which every command is shown."""

from ranvier.engine.core cimport Call, Client, native_t

# The mode object of a client that watches (Client.monitor).
cdef struct Monitor:
    Client *client
    Monitor *previous
    Monitor *next

# Show a command that ran. `nested`: inside a transaction, whose own client gets its lines behind EXEC's reply.
cdef void monitor_feed(Call *call, bint nested) noexcept
# Stop watching: the mode's leave(). Idempotent.
cdef void monitor_leave(Client *client) noexcept nogil

cdef native_t monitor_handler(str name) except? NULL
