"""maxmemory: which keys go, and what is refused, when a server holds too much memory."""

from libc.stdint cimport uint32_t

from ranvier.engine.core cimport Core

# Whether memory is over maxmemory; what is kept for slow replicas does not count, as evicting adds to it.
cdef inline bint over_memory(const Core *core) noexcept nogil:
    return 0 < core.eviction.limit_bytes < core.memory.used_bytes - core.eviction.uncounted_bytes

# Gates of a request without those of maxmemory that do not stand in its way: keys are evicted for it, if need be.
cdef uint32_t make_room(Core *core, uint32_t closed) noexcept
# Before the databases go.
cdef void eviction_end(Core *core) noexcept nogil


cdef class KeyEviction:
    cdef Core *core                  # the engine's, which keeps this object

cdef KeyEviction key_eviction(Core *core)
