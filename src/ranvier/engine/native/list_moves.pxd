"""Native handlers of the group list: LMOVE, RPOPLPUSH and LMOVEM."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t

from ranvier.engine.core cimport Call, native_t

cdef native_t list_move_handler(str name) except? NULL

# Move an element from args[1] to args[2]. 0: there is no list at args[1], and nothing is replied.
cdef bint move_element(Call *call, bint from_head, bint to_head) noexcept

# What LMOVEM asks for.
cdef struct MoveRequest:
    int64_t count
    bint from_head
    bint to_head
    bint exactly                 # all or none
    bint as_block                # BULK: in the order that they have; else each by itself, one after the other

# Read ends, count and order from args[3] on, around the time-out of the blocking form at args[timeout] (0: none);
# 0 with the error replied.
cdef bint parse_move_request(Call *call, size_t timeout, MoveRequest *request) noexcept
# Move elements from args[1] to args[2], reply and propagate them. 0: there are not enough, and nothing is replied.
cdef bint move_elements(Call *call, const MoveRequest *request) noexcept
