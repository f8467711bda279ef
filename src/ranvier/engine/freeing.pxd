"""Giving memory back: values that no key leads to, to the allocator; what the allocator keeps, to the system."""

from ranvier.engine.core cimport Core

# Free what was unlinked from the keyspace, bounded in time per turn.
cdef void free_some_values(Core *core) noexcept
# Give the allocator's free memory back to the system: about half a millisecond a megabyte.
cdef void trim(Core *core) noexcept nogil


cdef inline size_t untrimmed_bytes(Core *core) noexcept nogil:
    """Freed since the last trim; asked at least once a turn."""
    if core.memory.used_bytes > core.trimmed_bytes:
        core.trimmed_bytes = core.memory.used_bytes
    return core.trimmed_bytes - core.memory.used_bytes
