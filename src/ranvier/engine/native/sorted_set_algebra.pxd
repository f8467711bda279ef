"""Native handlers of the group sorted-set that combine sets: ZUNION, ZINTER, ZDIFF and their kin."""

from ranvier.engine.core cimport native_t

cdef native_t sorted_set_algebra_handler(str name) except? NULL
