"""Native handlers of the group sorted-set that take members from the ends, the blocking ones included."""

from ranvier.engine.core cimport native_t

cdef native_t sorted_set_pop_handler(str name) except? NULL
