"""How deliveries and claims are propagated: as XCLAIM and XGROUP SETID, which say what came of them."""

from ranvier.engine.types.id_index cimport StreamId
from ranvier.engine.types.stream_groups cimport Group, Pending
from ranvier.engine.types.value_access cimport OpenValue

cdef bytes id_bytes(StreamId id)
# XCLAIM that makes an entry pend exactly as it does.
cdef list claim_words(const OpenValue *opened, const Group *group, StreamId id, const Pending *pending)
# XGROUP SETID to where the group is.
cdef list group_position_words(const OpenValue *opened, const Group *group)
