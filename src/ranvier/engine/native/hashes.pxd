"""Native handlers of the group hash."""

from ranvier.engine.core cimport native_t

cdef native_t hash_handler(str name) except? NULL
