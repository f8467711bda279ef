"""What the engine is told to do: the limits of `ranvier.limits`, and the settings that options change."""

from libc.stdint cimport uint32_t

from ranvier.engine.core cimport GATE_PAUSED_WRITE, Core, Limits

cdef class Settings:
    cdef Core *core                  # the engine's, which keeps this object


cdef void load_limits(Limits *target) except *
cdef Settings settings_of(Core *core)


# Whether a client of this server's own asked for what runs: neither its primary nor a file that is loaded.
cdef bint is_made_here(void *core) noexcept nogil


cdef inline void update_expiry(Core *core) noexcept nogil:
    """Whether keys and fields past their time are deleted, or only hidden."""
    cdef bint kept = core.import_mode or core.gates & <uint32_t>GATE_PAUSED_WRITE
    core.keyspace.expires_are_deletes = not (kept or core.follows)
    core.keyspace.own_expires_are_deletes = core.follows and not kept
    core.keyspace.made_here = NULL
    if core.follows:
        core.keyspace.made_here = is_made_here
