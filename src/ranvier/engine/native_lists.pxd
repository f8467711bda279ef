"""Native handlers of the group list."""

from ranvier.engine.core cimport native_t

cdef native_t list_handler(str name) except? NULL
