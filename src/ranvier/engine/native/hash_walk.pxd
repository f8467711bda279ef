"""Native handlers of the group hash: HSCAN."""

from ranvier.engine.core cimport native_t

cdef native_t hash_walk_handler(str name) except? NULL
