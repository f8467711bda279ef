"""Native handlers of the group sorted-set that name a range."""

from ranvier.engine.core cimport native_t

cdef native_t sorted_set_range_handler(str name) except? NULL
