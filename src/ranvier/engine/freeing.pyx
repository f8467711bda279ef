"""Giving memory back, in pieces, so that no turn pays for it (docs/decisions/0004)."""

from libc.stdint cimport int64_t

from ranvier.engine.clocks cimport now_ns
from ranvier.engine.memory cimport ranvier_trim
from ranvier.engine.store.garbage cimport free_garbage

from ranvier import limits

cdef size_t ITEMS = limits.FREED_ITEMS_PER_SLICE
cdef int64_t TURN_NS = limits.FREE_MICROSECONDS_PER_TURN * 1000


cdef void free_some_values(Core *core) noexcept:
    cdef int64_t end_ns = now_ns() + TURN_NS
    while core.keyspace.garbage != NULL and now_ns() < end_ns:
        free_garbage(&core.keyspace, ITEMS)


cdef void trim(Core *core) noexcept nogil:
    ranvier_trim()
    core.trimmed_bytes = core.memory.used_bytes
