"""What native handlers have in common."""

from cpython.bytes cimport PyBytes_FromStringAndSize

from ranvier.engine.core cimport EVENT_EXPIRED
from ranvier.engine.effects cimport changed, propagate_as, propagates
from ranvier.engine.reply cimport reply_error_bytes
from ranvier.engine.store.database cimport database_delete


cdef bytes arg_bytes(const Arg *arg):
    return PyBytes_FromStringAndSize(arg.data, arg.length)


cdef Entry *look_up(Call *call, const Arg *key) noexcept:
    cdef Entry *entry
    call.core.keyspace.no_touch += 1
    entry = find_read(call, key)
    call.core.keyspace.no_touch -= 1
    return entry


cdef void delete_expired(Call *call, uint64_t hash, const Arg *key) noexcept:
    database_delete(call.database, hash, key.data, key.length, call.core.lazy_expire)
    call.core.keyspace.expired += 1
    changed(call, key.data, key.length, EVENT_EXPIRED, b"expired")
    if propagates(call):
        propagate_as(call, [[b"UNLINK" if call.core.lazy_expire else b"DEL", arg_bytes(key)]])


cdef bint arg_is(const Arg *arg, const char *word) noexcept nogil:
    cdef size_t i
    cdef char c
    for i in range(arg.length):
        c = arg.data[i]
        if c == 0:
            return word[i] == 0
        if c'A' <= c <= c'Z':
            c |= 32
        if c != word[i]:
            return False
    return word[arg.length] == 0


cdef void reply_command_error(Call *call, const char *before) noexcept:
    """`before` followed by " in 'name' command"."""
    cdef bytes name = PyBytes_FromStringAndSize(call.command.name, call.command.name_length)
    call.failed = True
    reply_error_bytes(call.client, b"%s in '%s' command" % (<bytes>before, name))


cdef void reply_wrong_arity(Call *call) noexcept:
    cdef bytes name = PyBytes_FromStringAndSize(call.command.name, call.command.name_length)
    call.failed = True
    reply_error_bytes(call.client, b"ERR wrong number of arguments for '%s' command" % name)


cdef bint parse_expiry(Call *call, const Arg *arg, bint milliseconds, bint absolute, int64_t *at_ms) noexcept:
    cdef int64_t value = 0
    if not integer_argument(call, arg, &value):
        return False
    if value <= 0 or (not milliseconds and value > <int64_t>(0x7fffffffffffffffULL // 1000)):
        reply_command_error(call, b"ERR invalid expire time")
        return False
    if not milliseconds:
        value *= 1000
    if not absolute:
        if value > <int64_t>0x7fffffffffffffffULL - call.core.wall_ms:
            reply_command_error(call, b"ERR invalid expire time")
            return False
        value += call.core.wall_ms
    at_ms[0] = value
    return True
