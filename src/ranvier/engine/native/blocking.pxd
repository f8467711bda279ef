"""Native handlers of commands that wait."""

from ranvier.engine.core cimport native_t

cdef native_t blocking_handler(str name) except? NULL
