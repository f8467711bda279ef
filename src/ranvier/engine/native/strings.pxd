"""Native handlers of the group string."""

from ranvier.engine.core cimport native_t

cdef native_t string_handler(str name) except? NULL
