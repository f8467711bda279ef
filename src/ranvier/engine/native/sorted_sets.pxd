"""Native handlers of the group sorted-set."""

from ranvier.engine.core cimport native_t

cdef native_t sorted_set_handler(str name) except? NULL
