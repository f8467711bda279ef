"""What waits to be written to the append-only file."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t

from ranvier.engine.core cimport Core

# Whether an append-only file is kept; while its first base is made nothing counts yet (persistence.environment.State).
cdef enum AppendStage:
    APPEND_OFF = 0
    APPEND_BEGINNING = 1
    APPEND_ON = 2

# Of one server, at core.append_only.
cdef struct Appended:
    char *data
    size_t used
    size_t capacity
    int64_t offset               # behind all that was ever collected, in bytes
    int64_t synced               # ... and is on the disk
    int stage                    # an AppendStage
    bint insisted                # something written must be synced before replies leave
    bint stamped                 # aof-timestamp-enabled
    int64_t stamp_seconds        # of the last annotation


cdef inline const Appended *appended_of(const Core *core) noexcept nogil:
    return <const Appended *>core.append_only


cdef inline bint is_on_disk(const Core *core, int64_t offset) noexcept nogil:
    """Whether all that was collected up to there survives a crash."""
    return appended_of(core).stage == APPEND_ON and appended_of(core).synced >= offset


cdef inline int64_t appended_offset(const Core *core) noexcept nogil:
    """How much has been collected since the start, written or not."""
    return appended_of(core).offset


cdef void appended_end(Core *core) noexcept nogil


cdef class AppendBuffer:
    cdef Core *core                  # the engine's, which keeps this object
    cdef Appended *appended

# The object that keeps core.append_only, which it makes.
cdef AppendBuffer append_buffer(Core *core)
