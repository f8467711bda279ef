"""Commands that are slow or large enough for a log (COMMANDLOG): the cheap look that every command gets."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t

from ranvier.engine.core cimport Call

cdef enum:
    OVERHEAD_BYTES = 32              # of the protocol, for an argument and for the request, at most


cdef inline size_t request_bytes(const Call *call) noexcept nogil:
    """No less than what the request takes in the protocol; `request_size` knows what it does."""
    cdef size_t size = (call.count + 1) * OVERHEAD_BYTES, i
    for i in range(call.count):
        size += call.args[i].length
    return size


cdef inline bint seems_large(const Call *call, size_t owed) noexcept nogil:
    """`owed`: bytes owed to the client before the command ran. Less now, because it is closed, seems large, too."""
    return call.client.owed_bytes - owed >= call.core.large_reply_bytes \
        or request_bytes(call) >= call.core.large_request_bytes

# Tell of a command that seems large.
cdef void count_size(Call *call, size_t owed) noexcept
# Tell of a command that took so long.
cdef void tell_slow(Call *call, int64_t nanoseconds) noexcept
