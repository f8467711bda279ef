"""Native handlers of the group list: LMOVE and RPOPLPUSH."""

from ranvier.engine.core cimport native_t

cdef native_t list_move_handler(str name) except? NULL
