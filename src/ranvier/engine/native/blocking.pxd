"""Native handlers of commands that wait."""

from libc.stdint cimport int64_t

from ranvier.engine.core cimport Arg, Call, native_t

cdef native_t blocking_handler(str name) except? NULL
# A time-out in seconds, as milliseconds; 0 with the error replied.
cdef bint parse_seconds(Call *call, const Arg *arg, int64_t *timeout_ms) noexcept
# A time-out in milliseconds; 0 with the error replied.
cdef bint parse_milliseconds(Call *call, const Arg *arg, int64_t *timeout_ms) noexcept
