"""Native handlers of the group set: SPOP and SRANDMEMBER."""

from ranvier.engine.core cimport native_t

cdef native_t set_chance_handler(str name) except? NULL
