"""How deliveries and claims are propagated: as XCLAIM and XGROUP SETID, which say what came of them."""

from libc.stddef cimport size_t

from ranvier.engine.types.name_list cimport name_of
from ranvier.engine.types.stream_id cimport ID_TEXT_BYTES, print_id


cdef bytes id_bytes(StreamId id):
    cdef char text[ID_TEXT_BYTES]
    cdef size_t length = print_id(text, id)
    return text[:length]


cdef list claim_words(const OpenValue *opened, const Group *group, StreamId id, const Pending *pending):
    return [
        b"XCLAIM", opened.key[:opened.key_length], name_of(group)[:group.name.length],
        name_of(pending.consumer)[:pending.consumer.name.length], b"0", id_bytes(id), b"TIME",
        b"%d" % pending.delivered_ms, b"RETRYCOUNT", b"%d" % pending.deliveries, b"FORCE", b"JUSTID", b"LASTID",
        id_bytes(group.last_id),
    ]


cdef list group_position_words(const OpenValue *opened, const Group *group):
    return [
        b"XGROUP", b"SETID", opened.key[:opened.key_length], name_of(group)[:group.name.length],
        id_bytes(group.last_id), b"ENTRIESREAD", b"%d" % group.entries_read,
    ]
