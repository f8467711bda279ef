"""What is told of a command that seems large. The hook looks closer: it knows the protocol's share of a request."""

from ranvier.engine.client cimport ClientHandle
from ranvier.engine.core cimport COMMAND_SKIP_SLOWLOG
from ranvier.engine.dispatch cimport arguments


cdef void count_size(Call *call, size_t owed) noexcept:
    cdef size_t reply_bytes = call.client.owed_bytes - owed if call.client.owed_bytes > owed else 0
    if not call.command.flags & COMMAND_SKIP_SLOWLOG:
        (<object>call.core.hooks).large(<ClientHandle>call.client.handle, arguments(call, 0), reply_bytes)
