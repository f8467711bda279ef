"""What the engine is told to do: the limits of `ranvier.limits`, and the settings that options change."""

from ranvier.engine.core cimport Core, Limits

cdef class Settings:
    cdef Core *core                  # the engine's, which keeps this object


cdef void load_limits(Limits *target) except *
cdef Settings settings_of(Core *core)
