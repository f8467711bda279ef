"""Native handlers of the group set: SSCAN."""

from libc.stdint cimport uint64_t

from ranvier.engine.core cimport Arg, Client, native_t

cdef native_t set_walk_handler(str name) except? NULL

# For the scans of other types: the cursor as it is read, and the header of the reply with its first part.
cdef bint parse_cursor(const Arg *arg, uint64_t *cursor) noexcept nogil
cdef void reply_scan(Client *client, uint64_t cursor) noexcept nogil
