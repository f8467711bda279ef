"""Native handlers of the group set."""

from ranvier.engine.core cimport native_t

cdef native_t set_handler(str name) except? NULL
