"""XACKDEL and XDELEX (Redis 8.2): deleting entries with a say in what becomes of consumer groups' references to them.

KEEPREF leaves the references, DELREF removes them, ACKED deletes only what every group has been delivered and has
acknowledged. Replied is for each id: -1 there is none, 1 deleted, 2 not deleted because of references (ACKED).
Propagated are XACK and XDEL, which every replica knows.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t

from ranvier.engine.core cimport Arg, Call
from ranvier.engine.effects cimport propagate_as, propagates
from ranvier.engine.native.common cimport arg_is, reply_syntax_error
from ranvier.engine.native.stream_claims cimport id_bytes
from ranvier.engine.number cimport parse_integer
from ranvier.engine.reply cimport reply_array, reply_error, reply_integer
from ranvier.engine.types.id_index cimport StreamId
from ranvier.engine.types.name_list cimport name_of
from ranvier.engine.types.stream cimport Stream, stream_delete, stream_has
from ranvier.engine.types.stream_access cimport id_argument, stream_changed, stream_in, stream_open
from ranvier.engine.types.stream_groups cimport Group, group_find, group_is_done, pending_remove
from ranvier.engine.types.stream_id cimport parse_id
from ranvier.engine.types.value_access cimport OPEN_FAILED, OPEN_FOUND, OpenValue

cdef enum References:
    KEEP_REFERENCES = 0
    DELETE_REFERENCES = 1
    ONLY_ACKNOWLEDGED = 2

cdef enum Outcome:
    ID_ABSENT = -1
    ID_DELETED = 1
    ID_REFERENCED = 2

cdef struct DeleteRequest:
    int references               # a References
    size_t first_id
    size_t end


cdef native_t stream_deletion_handler(str name) except? NULL:
    if name == "xackdel":
        return xackdel
    if name == "xdelex":
        return xdelex
    return NULL


cdef bint parse_delete(Call *call, size_t i, DeleteRequest *request) noexcept:
    """`[KEEPREF | DELREF | ACKED] IDS count id ...` from args[i] on; 0 with the error replied."""
    cdef int64_t count = 0
    cdef StreamId id
    request.references = KEEP_REFERENCES
    request.first_id = 0
    while i < call.count and request.first_id == 0:
        if arg_is(&call.args[i], b"keepref"):
            request.references = KEEP_REFERENCES
        elif arg_is(&call.args[i], b"delref"):
            request.references = DELETE_REFERENCES
        elif arg_is(&call.args[i], b"acked"):
            request.references = ONLY_ACKNOWLEDGED
        elif arg_is(&call.args[i], b"ids") and i + 1 < call.count:
            if not parse_integer(call.args[i + 1].data, call.args[i + 1].length, &count) or count <= 0:
                reply_error(call, b"ERR Number of IDs must be a positive integer")
                return False
            if count != <int64_t>(call.count - i - 2):
                reply_error(call, b"ERR The `numids` parameter must match the number of arguments")
                return False
            request.first_id = i + 2
        else:
            break
        i += 1
    if request.first_id == 0:
        reply_syntax_error(call)
        return False
    request.end = call.count
    for i in range(request.first_id, request.end):
        if not id_argument(call, &call.args[i], 0, &id):
            return False
    return True


cdef bint is_done_with(const Stream *stream, StreamId id) noexcept nogil:
    """Whether every group was delivered the entry and acknowledged it."""
    cdef size_t i
    for i in range(stream.groups.count):
        if not group_is_done(<const Group *>stream.groups.items[i], id):
            return False
    return True


cdef void drop_references(OpenValue *opened, StreamId id, list words) noexcept:
    """No entry of this id pends in any group from now on."""
    cdef Stream *stream = stream_in(opened)
    cdef Group *group
    cdef size_t i
    for i in range(stream.groups.count):
        group = <Group *>stream.groups.items[i]
        if pending_remove(opened.value.memory, group, id) and words is not None:
            words.append([b"XACK", opened.key[:opened.key_length], name_of(group)[:group.name.length], id_bytes(id)])


cdef int delete_entry(OpenValue *opened, StreamId id, int references, list words) noexcept:
    """Delete one entry as far as its references allow; an Outcome."""
    cdef Stream *stream = stream_in(opened)
    if not stream_has(stream, id):
        if references == DELETE_REFERENCES:
            drop_references(opened, id, words)
        return ID_ABSENT
    if references == ONLY_ACKNOWLEDGED and not is_done_with(stream, id):
        return ID_REFERENCED
    if references == DELETE_REFERENCES:
        drop_references(opened, id, words)
    stream_delete(opened.value.memory, stream, id)
    if words is not None:
        words.append([b"XDEL", opened.key[:opened.key_length], id_bytes(id)])
    return ID_DELETED


cdef void delete_entries(Call *call, OpenValue *opened, Group *group, const DeleteRequest *request) noexcept:
    """Reply what becomes of each id. With a group, only what pends in it is looked at, and is acknowledged."""
    cdef list words = [] if propagates(call) else None
    cdef StreamId id
    cdef size_t i
    cdef int outcome
    cdef int64_t deleted = 0, acknowledged = 0
    reply_array(call.client, <int64_t>(request.end - request.first_id))
    for i in range(request.first_id, request.end):
        parse_id(call.args[i].data, call.args[i].length, 0, NULL, &id)
        if group != NULL:
            if not pending_remove(opened.value.memory, group, id):
                reply_integer(call.client, ID_ABSENT)
                continue
            acknowledged += 1
            if words is not None:
                words.append([b"XACK", opened.key[:opened.key_length], name_of(group)[:group.name.length],
                              id_bytes(id)])
        outcome = delete_entry(opened, id, request.references, words)
        deleted += outcome == ID_DELETED
        # What was acknowledged but had been deleted before is gone, as was asked for.
        reply_integer(call.client, ID_DELETED if group != NULL and outcome == ID_ABSENT else outcome)
    call.dirty += acknowledged
    if deleted:
        stream_changed(opened, b"xdel")
        call.dirty += deleted - 1
    if words:
        call.dirty += call.dirty == 0
        propagate_as(call, words)


cdef void reply_absent(Call *call, const DeleteRequest *request) noexcept nogil:
    cdef size_t _i
    reply_array(call.client, <int64_t>(request.end - request.first_id))
    for _i in range(request.first_id, request.end):
        reply_integer(call.client, ID_ABSENT)


cdef void xackdel(Call *call) noexcept:
    cdef const Arg *name = &call.args[2]
    cdef DeleteRequest request
    cdef OpenValue opened
    cdef Group *group = NULL
    cdef int found
    if not parse_delete(call, 3, &request):
        return
    found = stream_open(call, True, &opened)
    if found == OPEN_FAILED:
        return
    if found == OPEN_FOUND:
        group = group_find(stream_in(&opened), name.data, name.length)
    if group == NULL:
        reply_absent(call, &request)
    else:
        delete_entries(call, &opened, group, &request)


cdef void xdelex(Call *call) noexcept:
    cdef DeleteRequest request
    cdef OpenValue opened
    cdef int found
    if not parse_delete(call, 2, &request):
        return
    found = stream_open(call, True, &opened)
    if found == OPEN_FOUND:
        delete_entries(call, &opened, NULL, &request)
    elif found != OPEN_FAILED:
        reply_absent(call, &request)
