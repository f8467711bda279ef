"""What is told of a command for the logs of slow and of large ones: no more of its arguments than such a log keeps."""

from cpython.bytes cimport PyBytes_FromStringAndSize

from ranvier.engine.client cimport ClientHandle
from ranvier.engine.core cimport COMMAND_SKIP_SLOWLOG, Arg
from ranvier.engine.number cimport print_integer

from ranvier import limits

cdef size_t KEPT_ARGUMENTS = limits.SLOWLOG_ARGUMENTS
cdef size_t KEPT_BYTES = limits.SLOWLOG_ARGUMENT_BYTES


cdef bytes cut(const Arg *arg):
    if arg.length <= KEPT_BYTES:
        return PyBytes_FromStringAndSize(arg.data, arg.length)
    return PyBytes_FromStringAndSize(arg.data, KEPT_BYTES) + b"... (%d more bytes)" % (arg.length - KEPT_BYTES)


cdef list cut_arguments(const Call *call):
    """The first arguments, and of long ones the beginning; as the reference servers cut them."""
    cdef size_t count = call.count if call.count <= KEPT_ARGUMENTS else KEPT_ARGUMENTS - 1
    return [cut(&call.args[i]) for i in range(count)]


cdef size_t request_size(const Call *call) noexcept nogil:
    """What the request takes in the protocol, if it came as an array of bulk strings."""
    cdef char[24] digits
    cdef size_t size = print_integer(digits, <int64_t>call.count) + 3, i
    for i in range(call.count):
        size += print_integer(digits, <int64_t>call.args[i].length) + 3 + call.args[i].length + 2
    return size


cdef void count_size(Call *call, size_t owed) noexcept:
    cdef size_t reply_bytes = call.client.owed_bytes - owed if call.client.owed_bytes > owed else 0
    if not call.command.flags & COMMAND_SKIP_SLOWLOG:
        (<object>call.core.hooks).large(
            <ClientHandle>call.client.handle, cut_arguments(call), call.count, request_size(call), reply_bytes)


cdef void tell_slow(Call *call, int64_t nanoseconds) noexcept:
    (<object>call.core.hooks).slow(
        <ClientHandle>call.client.handle, <object>call.command.record, cut_arguments(call), call.count,
        nanoseconds // 1000)
