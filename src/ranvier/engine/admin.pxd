"""Clients of the admin port: served before the others."""

from ranvier.engine.core cimport Client, Core
from ranvier.engine.poll cimport PollEvent

cdef void admin_join(Client *client) noexcept nogil
# Idempotent.
cdef void admin_leave(Client *client) noexcept nogil
# Move the events of admin clients to the front of what a poll found; returns where they end.
cdef int admin_events_first(PollEvent *events, int count) noexcept nogil
# Look at the admin clients again while events[next:count] of an array of `capacity` are left over; returns as above.
cdef int admin_events_again(Core *core, PollEvent *events, int capacity, int *next, int *count) noexcept nogil
# The list of pending writes with the admin clients in front.
cdef Client *admin_writes_first(Client *pending) noexcept nogil
