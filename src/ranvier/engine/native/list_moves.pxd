"""Native handlers of the group list: LMOVE and RPOPLPUSH."""

from ranvier.engine.core cimport Call, native_t

cdef native_t list_move_handler(str name) except? NULL

# Move an element from args[1] to args[2]. 0: there is no list at args[1], and nothing is replied.
cdef bint move_element(Call *call, bint from_head, bint to_head) noexcept
