"""The limits that no option changes, from `ranvier.limits` into the engine's memory."""

from ranvier.engine.core cimport Limits

cdef void load_limits(Limits *target) except *
