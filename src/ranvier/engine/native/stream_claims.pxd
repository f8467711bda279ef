"""Native handlers of XCLAIM and XAUTOCLAIM, and how claims and deliveries are propagated."""

from ranvier.engine.core cimport Arg, Call, native_t
from ranvier.engine.types.id_index cimport StreamId
from ranvier.engine.types.stream_groups cimport Group, Pending
from ranvier.engine.types.value_access cimport OpenValue

cdef native_t stream_claim_handler(str name) except? NULL

cdef void reply_no_group(Call *call, const Arg *key, const Arg *group) noexcept
cdef bytes id_bytes(StreamId id)
# XCLAIM that makes an entry pend exactly as it does.
cdef list claim_words(const OpenValue *opened, const Group *group, StreamId id, const Pending *pending)
# XGROUP SETID to where the group is.
cdef list group_position_words(const OpenValue *opened, const Group *group)
