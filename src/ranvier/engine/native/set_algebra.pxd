"""Native handlers of the group set: those that combine sets."""

from ranvier.engine.core cimport native_t

cdef native_t set_algebra_handler(str name) except? NULL
