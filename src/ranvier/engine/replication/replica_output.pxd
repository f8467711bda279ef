"""Writing to replicas, and the engine's side of the mode: its place among those who follow the stream."""

from ranvier.engine.client cimport ClientHandle
from ranvier.engine.core cimport Call, Client, Core
from ranvier.engine.replication.stream cimport Replica

# The write step: everything that is there for it, as far as its socket takes it.
cdef void write_replica(Core *core, Client *client) noexcept nogil
# A request of a replica was served: it must not have been answered.
cdef void replica_ran(Client *client, const Call *call) noexcept
# Teardown: its place in the stream, the file it was sent.
cdef void replica_leave(Client *client) noexcept


cdef class Replicas:
    cdef Core *core
    cdef Replica *of(self, ClientHandle handle) except NULL

cdef Replicas replicas_of(Core *core)
