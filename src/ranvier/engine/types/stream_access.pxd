"""A stream under its key: `engine/types/value_access` with what is common to the stream commands.

A stream's address is the same for as long as the stream lives, so that nothing is stored back; an empty one stays.
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint64_t

from ranvier.engine.core cimport EVENT_STREAM, Arg, Call, Client
from ranvier.engine.effects cimport changed
from ranvier.engine.reply cimport reply_bulk, reply_error
from ranvier.engine.store.entry cimport ENCODING_STREAM, TYPE_STREAM
from ranvier.engine.types.id_index cimport StreamId
from ranvier.engine.types.stream cimport Stream, stream_new
from ranvier.engine.types.stream_id cimport ID_TEXT_BYTES, parse_bound, parse_id, print_id
from ranvier.engine.types.value_access cimport OpenValue, value_open, value_open_other, value_store


cdef inline int stream_open(Call *call, bint to_write, OpenValue *opened) noexcept:
    """Open the stream at the command's first key, args[1]."""
    return value_open(call, &call.args[1], call.hash, TYPE_STREAM, to_write, opened)


cdef inline int stream_open_other(Call *call, const Arg *key, bint to_write, OpenValue *opened) noexcept:
    """Open the stream at any key."""
    return value_open_other(call, key, TYPE_STREAM, to_write, opened)


cdef inline Stream *stream_in(const OpenValue *opened) noexcept nogil:
    """The stream that was found."""
    return <Stream *>opened.value.pointer


cdef inline Stream *stream_begin(OpenValue *opened) noexcept:
    """Put an empty stream under the absent key."""
    opened.value.encoding = ENCODING_STREAM
    opened.value.pointer = stream_new(opened.value.memory)
    value_store(opened, TYPE_STREAM)
    return <Stream *>opened.value.pointer


cdef inline void stream_changed(OpenValue *opened, const char *event) noexcept:
    changed(opened.call, opened.key, opened.key_length, EVENT_STREAM, event)


cdef inline bint id_argument(Call *call, const Arg *arg, uint64_t missing_sequence, StreamId *id) noexcept:
    """0, with the error replied, when the argument is no id."""
    if parse_id(arg.data, arg.length, missing_sequence, NULL, id):
        return True
    reply_invalid_id(call)
    return False


cdef inline bint bound_argument(Call *call, const Arg *arg, uint64_t missing_sequence, StreamId *id) noexcept:
    """As id_argument; `-` and `+` are taken."""
    if parse_bound(arg.data, arg.length, missing_sequence, id):
        return True
    reply_invalid_id(call)
    return False


cdef inline void reply_invalid_id(Call *call) noexcept:
    reply_error(call, b"ERR Invalid stream ID specified as stream command argument")


cdef inline void reply_id(Client *client, StreamId id) noexcept nogil:
    cdef char text[ID_TEXT_BYTES]
    cdef size_t length = print_id(text, id)
    reply_bulk(client, text, length)
