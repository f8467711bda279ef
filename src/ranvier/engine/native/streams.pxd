"""Native handlers of the group stream."""

from libc.stdint cimport uint64_t

from ranvier.engine.core cimport Arg, Call, Client, native_t
from ranvier.engine.types.id_index cimport StreamId
from ranvier.engine.types.stream cimport StreamCursor

cdef native_t stream_handler(str name) except? NULL

# The entry that the cursor stands on, as [id, [field, value, ...]].
cdef void reply_entry(Client *client, StreamCursor *cursor) noexcept nogil
# `count` entries from the cursor on, which are known to be there.
cdef void reply_entries(Client *client, StreamCursor *cursor, bint forward, uint64_t count) noexcept nogil
# The ends of an interval, `(` in front of one that does not belong to it; 0 with the error replied.
cdef bint parse_start(Call *call, const Arg *arg, StreamId *id) noexcept
cdef bint parse_end(Call *call, const Arg *arg, StreamId *id) noexcept
