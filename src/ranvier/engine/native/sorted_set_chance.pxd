"""Native handlers of the group sorted-set that choose by chance: ZRANDMEMBER."""

from ranvier.engine.core cimport native_t

cdef native_t sorted_set_chance_handler(str name) except? NULL
