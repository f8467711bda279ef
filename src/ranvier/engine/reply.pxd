"""The typed reply helpers. Commands say what they answer; RESP2 or RESP3 is chosen here."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t
from libc.string cimport memcpy

from ranvier.engine.core cimport Call, Client
from ranvier.engine.memory cimport Blob
from ranvier.engine.number cimport print_integer
from ranvier.engine.output cimport output_append, output_commit, output_room
from ranvier.engine.store.entry cimport Entry

cdef enum:
    COPIED_BYTES = 3900          # a bulk up to this is written in one piece (output_room gives at most 4096)

cdef void reply_long_bulk(Client *client, const char *data, size_t length) noexcept nogil
# `text` without the leading '-' and the line end; CR and LF in it become spaces. Counts the error and fails the call.
cdef void reply_error(Call *call, const char *text) noexcept
cdef void reply_error_bytes(Client *client, bytes text)
# The value's bytes, referenced instead of copied when they are large.
cdef void reply_entry_string(Client *client, const Entry *entry) noexcept nogil
cdef void reply_blob(Client *client, Blob *blob, const char *data, size_t length) noexcept nogil
# What a Python handler returned, by its type (ranvier.values for those that Python has no type for).
cdef int reply_value(Client *client, object value) except -1


cdef inline void reply_raw(Client *client, const char *text, size_t length) noexcept nogil:
    """A short constant (at most 4096 bytes) that is the same in both protocols."""
    memcpy(output_room(client, length), text, length)
    output_commit(client, length)


cdef inline void reply_ok(Client *client) noexcept nogil:
    reply_raw(client, b"+OK\r\n", 5)


cdef inline void reply_header(Client *client, char kind, int64_t number) noexcept nogil:
    cdef char *target = output_room(client, 32)
    cdef size_t length
    target[0] = kind
    length = 1 + print_integer(target + 1, number)
    target[length] = c'\r'
    target[length + 1] = c'\n'
    output_commit(client, length + 2)


cdef inline void reply_integer(Client *client, int64_t value) noexcept nogil:
    reply_header(client, c':', value)


cdef inline void reply_null(Client *client) noexcept nogil:
    if client.protocol == 2:
        reply_raw(client, b"$-1\r\n", 5)
    else:
        reply_raw(client, b"_\r\n", 3)


cdef inline void reply_null_array(Client *client) noexcept nogil:
    if client.protocol == 2:
        reply_raw(client, b"*-1\r\n", 5)
    else:
        reply_raw(client, b"_\r\n", 3)


cdef inline void reply_array(Client *client, int64_t count) noexcept nogil:
    reply_header(client, c'*', count)


cdef inline void reply_map(Client *client, int64_t pairs) noexcept nogil:
    if client.protocol == 2:
        reply_header(client, c'*', pairs * 2)
    else:
        reply_header(client, c'%', pairs)


cdef inline void reply_bulk(Client *client, const char *data, size_t length) noexcept nogil:
    cdef char *target
    cdef size_t head
    if length > COPIED_BYTES:
        reply_long_bulk(client, data, length)
        return
    target = output_room(client, length + 32)
    target[0] = c'$'
    head = 1 + print_integer(target + 1, <int64_t>length)
    target[head] = c'\r'
    target[head + 1] = c'\n'
    memcpy(target + head + 2, data, length)
    target += head + 2 + length
    target[0] = c'\r'
    target[1] = c'\n'
    output_commit(client, head + length + 4)


cdef inline void reply_bulk_integer(Client *client, int64_t value) noexcept nogil:
    """An integer as a bulk string."""
    cdef char digits[24]
    cdef size_t length = print_integer(digits, value)
    reply_bulk(client, digits, length)
