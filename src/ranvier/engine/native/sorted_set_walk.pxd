"""Native handlers of the group sorted-set that walk in steps: ZSCAN."""

from ranvier.engine.core cimport native_t

cdef native_t sorted_set_walk_handler(str name) except? NULL
