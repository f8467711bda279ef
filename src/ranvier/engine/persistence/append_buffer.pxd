"""What waits to be written to the append-only file."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t

from ranvier.engine.core cimport Core

# Of one server, at core.append_only.
cdef struct Appended:
    char *data
    size_t used
    size_t capacity
    int64_t offset               # behind all that was ever collected, in bytes
    int64_t synced               # ... and is on the disk
    bint insisted                # something written must be synced before replies leave
    bint stamped                 # aof-timestamp-enabled
    int64_t stamp_seconds        # of the last annotation


cdef inline int64_t appended_offset(const Core *core) noexcept nogil:
    """How much has been collected since the start, written or not."""
    return (<const Appended *>core.append_only).offset


cdef void appended_end(Core *core) noexcept nogil


cdef class AppendBuffer:
    cdef Core *core                  # the engine's, which keeps this object
    cdef Appended *appended

# The object that keeps core.append_only, which it makes.
cdef AppendBuffer append_buffer(Core *core)
