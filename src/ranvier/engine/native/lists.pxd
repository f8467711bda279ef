"""Native handlers of the group list."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t

from ranvier.engine.core cimport Call, native_t
from ranvier.engine.types.value_access cimport OpenValue

cdef native_t list_handler(str name) except? NULL

# For the blocking forms: pop `count` elements and reply them, the list being there.
cdef void pop_and_reply(OpenValue *opened, bint at_head, int64_t count) noexcept
# What LMPOP asks for.
cdef struct PopRequest:
    size_t first_key             # its place in the arguments
    size_t end                   # behind the last key
    int64_t count
    bint at_head

# Read numkeys, keys, end and count from args[first] on; 0 with the error replied.
cdef bint parse_pop_request(Call *call, size_t first, PopRequest *request) noexcept
# 0: there is no list at any of the keys, and nothing is replied.
cdef bint pop_from_first(Call *call, const PopRequest *request) noexcept
