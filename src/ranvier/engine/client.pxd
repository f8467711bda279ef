"""The Python side of a client, its creation, and its teardown: the one list of what a close undoes."""

from ranvier.engine.core cimport Client, Core


cdef class ClientHandle:
    cdef Client state
    cdef object __weakref__
    cdef readonly object server
    cdef public bytes name
    cdef public bytes library_name
    cdef public bytes library_version
    cdef public str user
    cdef public bint unix_socket
    cdef public object replica           # modes.replica.ReplicaMode, once the client has said something of itself

    cdef void attach(self, Core *core, int fd)
    cdef Client *added(self) except NULL


# Undo everything that the client is part of and close its socket: phase CLOSED. Idempotent. The memory goes later, in
# the free step, when the loop forgets the handle.
cdef void teardown(Client *client)
