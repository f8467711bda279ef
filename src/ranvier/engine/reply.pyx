"""The typed reply helpers that are not worth inlining, and the way from a Python value to a reply."""

from libc.string cimport strlen

from ranvier.engine.memory cimport blob_data
from ranvier.engine.modes.deferred cimport DEFERRED_MESSAGE, defer
from ranvier.engine.output cimport output_reference
from ranvier.engine.store.database cimport entry_string
from ranvier.engine.store.entry cimport ENCODING_BLOB, entry_encoding, entry_pointer

from ranvier.errors import CommandError
from ranvier.values import (
    Attributed, BigNumber, Members, NoReplyType, NullArrayType, Pairs, PlainDouble, Push, Status, Verbatim, WithPush,
)

cdef extern from "Python.h":
    int Py_EnterRecursiveCall(const char *where) noexcept        # nonzero: RecursionError is set
    void Py_LeaveRecursiveCall() noexcept


cdef void reply_long_bulk(Client *client, const char *data, size_t length) noexcept nogil:
    reply_header(client, c'$', <int64_t>length)
    output_append(client, data, length)
    reply_raw(client, b"\r\n", 2)


cdef void reply_blob(Client *client, Blob *blob, const char *data, size_t length) noexcept nogil:
    if length < client.core.limits.referenced_value_bytes:
        reply_bulk(client, data, length)
        return
    reply_header(client, c'$', <int64_t>length)
    output_reference(client, blob, data, length)
    reply_raw(client, b"\r\n", 2)


cdef void reply_entry_string(Client *client, const Entry *entry) noexcept nogil:
    cdef char scratch[24]
    cdef size_t length = 0
    cdef const char *data
    cdef Blob *blob
    if entry_encoding(entry) == ENCODING_BLOB:
        blob = <Blob *>entry_pointer(entry)
        reply_blob(client, blob, blob_data(blob), blob.size)
    else:
        data = entry_string(entry, scratch, &length)
        reply_bulk(client, data, length)


cdef void reply_error(Call *call, const char *text) noexcept:
    cdef bytes line = text[:strlen(text)]
    call.failed = True
    reply_error_bytes(call.client, line)


cdef void reply_error_bytes(Client *client, bytes text):
    """An error line, without line ends that an argument brought in; counted by its code, the first word."""
    cdef bytes line = b"-" + text.rstrip(b"\r\n").replace(b"\r", b" ").replace(b"\n", b" ") + b"\r\n"
    client.core.statistics.errors += 1
    if client.primary_link != NULL:
        (<object>client.core.hooks).primary_refused(<object>client.handle, text)
    (<object>client.core.hooks).count_error(text.split(b" ", 1)[0])
    output_append(client, line, len(line))


cdef bytes format_double(double value):
    """As the reference servers print doubles: shortest digits that read back the same, integers without a point."""
    if value != value:
        return b"nan"
    if value in (float("inf"), float("-inf")):
        return b"inf" if value > 0 else b"-inf"
    if -1e15 < value < 1e15 and value == <int64_t>value:
        return b"%d" % <int64_t>value
    return repr(value).encode()


cdef int reply_bytes(Client *client, bytes value) except -1:
    reply_bulk(client, value, len(value))
    return 0


cdef int reply_items(Client *client, char kind, object items) except -1:
    reply_header(client, kind, len(items))
    if Py_EnterRecursiveCall(b" in a nested reply") != 0:
        return -1
    try:
        for item in items:
            reply_value(client, item)
    finally:
        Py_LeaveRecursiveCall()
    return 0


cdef int reply_pairs(Client *client, size_t count, object pairs) except -1:
    reply_map(client, count)
    if Py_EnterRecursiveCall(b" in a nested reply") != 0:
        return -1
    try:
        for key, item in pairs:
            reply_value(client, key)
            reply_value(client, item)
    finally:
        Py_LeaveRecursiveCall()
    return 0


cdef int reply_line(Client *client, bytes line) except -1:
    output_append(client, line, len(line))
    return 0


cdef int reply_value(Client *client, object value) except -1:
    if value is None:
        reply_null(client)
        return 0
    kind = type(value)
    if kind is bytes:
        return reply_bytes(client, value)
    if kind is int:
        reply_integer(client, value)
        return 0
    if kind is list or kind is tuple:
        return reply_items(client, c'*', value)
    if kind is Status:
        return reply_line(client, b"+%s\r\n" % value.encode().replace(b"\r", b" ").replace(b"\n", b" "))
    return reply_rare_value(client, value)


cdef int reply_rare_value(Client *client, object value) except -1:
    cdef bint resp3 = client.protocol == 3
    if isinstance(value, bool):
        if resp3:
            return reply_line(client, b"#t\r\n" if value else b"#f\r\n")
        reply_integer(client, 1 if value else 0)
        return 0
    if isinstance(value, dict):
        return reply_pairs(client, len(value), value.items())
    if isinstance(value, (set, frozenset)):
        return reply_items(client, c'~' if resp3 else c'*', value)
    if isinstance(value, float):
        text = bytes(value) if isinstance(value, PlainDouble) else format_double(value)
        if resp3:
            return reply_line(client, b",%s\r\n" % text)
        return reply_bytes(client, text)
    if isinstance(value, NoReplyType):
        return 0
    if isinstance(value, NullArrayType):
        reply_null_array(client)
        return 0
    if isinstance(value, Push):
        return reply_items(client, c'>' if resp3 else c'*', value)
    if isinstance(value, Members):
        return reply_items(client, c'~' if resp3 else c'*', value)
    if isinstance(value, Pairs):
        return reply_pairs(client, len(value), value)
    if isinstance(value, Verbatim):
        if resp3:
            return reply_line(client, b"=%d\r\n%s:%s\r\n" % (len(value.text) + 4, value.format.encode(), value.text))
        return reply_bytes(client, value.text)
    if isinstance(value, CommandError):
        reply_error_bytes(client, str(value).encode("utf-8", "surrogateescape"))
        return 0
    if isinstance(value, BigNumber):
        return reply_line(client, b"(%d\r\n" % value) if resp3 else reply_bytes(client, b"%d" % value)
    if isinstance(value, Attributed):
        if resp3:
            reply_line(client, b"|%d\r\n" % len(value.attributes))
            for key, item in value.attributes.items():
                reply_value(client, key)
                reply_value(client, item)
        return reply_value(client, value.reply)
    if isinstance(value, WithPush):
        reply_value(client, value.reply)
        defer(client, DEFERRED_MESSAGE, value.push, len(value.push))
        return 0
    raise TypeError(f"a command returned {type(value).__name__}, which no reply is made of")
