"""Native handlers of the group hash: HRANDFIELD."""

from ranvier.engine.core cimport native_t

cdef native_t hash_random_handler(str name) except? NULL
