"""Pushes to the client whose command is running.

Strategy: what is published to it, or invalidated for it, meanwhile is copied aside; dispatch hands it over when the
command, or the transaction around it, has replied (AFTER_PUSHES).

Invariant: Client.deferred exists only while something is kept, and AFTER_PUSHES is set then. What is kept counts
against the client's output limit.
"""

from libc.stdint cimport uint32_t
from libc.string cimport memcpy, memset

from ranvier.engine.core cimport AFTER_PUSHES, PHASE_CLOSING_AFTER_REPLY, Core
from ranvier.engine.memory cimport allocate, release, resize
from ranvier.engine.output cimport output_append
from ranvier.engine.phase cimport CLOSE_OUTPUT_LIMIT, request_close


cdef inline size_t kept_bytes(const Deferred *deferred) noexcept nogil:
    return deferred.pushes[<int>DEFERRED_MESSAGE].length + deferred.pushes[<int>DEFERRED_INVALIDATION].length


cdef char *defer(Client *client, int kind, const char *data, size_t size) noexcept nogil:
    cdef Core *core = client.core
    cdef Deferred *deferred = <Deferred *>client.deferred
    cdef DeferredPushes *pushes
    cdef char *copy
    cdef size_t hard = core.limits.output_hard_bytes[client.client_class]
    cdef size_t kept = kept_bytes(deferred) if deferred != NULL else 0
    if hard > 0 and client.output_bytes + kept + size >= hard:
        core.statistics.output_buffer_disconnections += 1
        request_close(client, CLOSE_OUTPUT_LIMIT)
        return NULL
    if deferred == NULL:
        deferred = <Deferred *>allocate(&core.memory, sizeof(Deferred))
        memset(deferred, 0, sizeof(Deferred))
        client.deferred = deferred
        client.after_command |= AFTER_PUSHES
    pushes = &deferred.pushes[kind]
    if pushes.length + size > pushes.capacity:
        pushes.capacity = 2 * (pushes.length + size)
        pushes.data = <char *>resize(&core.memory, pushes.data, pushes.capacity)
    copy = pushes.data + pushes.length
    memcpy(copy, data, size)
    pushes.length += size
    return copy


cdef void flush_deferred(Client *client) noexcept nogil:
    cdef Deferred *deferred = <Deferred *>client.deferred
    cdef int kind
    if deferred != NULL and client.phase < PHASE_CLOSING_AFTER_REPLY:
        for kind in range(<int>DEFERRED_KINDS):
            output_append(client, deferred.pushes[kind].data, deferred.pushes[kind].length)
    deferred_leave(client)


cdef void deferred_leave(Client *client) noexcept nogil:
    cdef Deferred *deferred = <Deferred *>client.deferred
    cdef int kind
    client.after_command &= ~<uint32_t>AFTER_PUSHES
    if deferred == NULL:
        return
    client.deferred = NULL
    for kind in range(<int>DEFERRED_KINDS):
        release(&client.core.memory, deferred.pushes[kind].data)
    release(&client.core.memory, deferred)


cdef size_t deferred_bytes(const Client *client) noexcept nogil:
    cdef const Deferred *deferred = <const Deferred *>client.deferred
    cdef size_t total = 0
    cdef int kind
    if deferred == NULL:
        return 0
    for kind in range(<int>DEFERRED_KINDS):
        total += deferred.pushes[kind].capacity
    return total + sizeof(Deferred)
