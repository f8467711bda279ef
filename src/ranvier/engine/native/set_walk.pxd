"""Native handlers of the group set: SSCAN."""

from ranvier.engine.core cimport native_t

cdef native_t set_walk_handler(str name) except? NULL
