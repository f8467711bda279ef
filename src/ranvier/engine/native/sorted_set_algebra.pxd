"""Native handlers of the group sorted-set that combine sets: ZUNION, ZINTER, ZDIFF, their STORE forms, and ZINTERCARD."""

from ranvier.engine.core cimport native_t

cdef native_t sorted_set_algebra_handler(str name) except? NULL
