"""What native handlers have in common."""

from cpython.bytes cimport PyBytes_FromStringAndSize

from ranvier.engine.reply cimport reply_error_bytes


cdef bytes arg_bytes(const Arg *arg):
    return PyBytes_FromStringAndSize(arg.data, arg.length)


cdef bint arg_is(const Arg *arg, const char *word) noexcept nogil:
    cdef size_t i
    cdef char c
    for i in range(arg.length):
        c = arg.data[i]
        if c'A' <= c <= c'Z':
            c |= 32
        # The word's terminating NUL ends the comparison of a longer argument, unless that holds a NUL there too.
        if c != word[i] or word[i] == 0:
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
