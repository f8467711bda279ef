"""Native handlers of the groups generic and connection."""

from ranvier.engine.core cimport native_t

cdef native_t key_handler(str name) except? NULL
