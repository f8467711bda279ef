"""The arguments of commands on the fields of hashes: FIELDS with its fields, options, conditions, times."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint32_t

from ranvier.engine.core cimport Arg, Call

cdef enum Option:
    OPTION_NX = 1
    OPTION_XX = 2
    OPTION_GT = 4
    OPTION_LT = 8
    OPTION_FIELDS_NX = 16
    OPTION_FIELDS_XX = 32
    OPTION_PERSIST = 64
    OPTION_KEEP = 128
    OPTION_EX = 256
    OPTION_PX = 512
    OPTION_EXAT = 1024
    OPTION_PXAT = 2048
    OPTIONS_TIME = 3840          # the last four

# The fields that a request names, and what it wants of them.
cdef struct Wanted:
    size_t first                 # the first field's place in the arguments
    size_t count
    uint32_t options
    const Arg *time
    int64_t at_ms                # -1: no expiry is given
    bint passed                  # at_ms is in the past, and it is for this server to delete

# All of these are 0 with the error replied.

# FIELDS as the first word behind the key, one argument per field.
cdef bint parse_fields_at_once(Call *call, bint strict_error, Wanted *wanted) noexcept
# The time, conditions and fields of HEXPIRE and its kin.
cdef bint parse_expire(Call *call, bint milliseconds, bint absolute, Wanted *wanted) noexcept
# Everything behind the key of HGETEX and HSETEX but the value of the time; `step` arguments per field.
cdef bint parse_options(Call *call, uint32_t allowed, size_t step, Wanted *wanted) noexcept
# That value, if there is one: read only when the key has been found to be a hash, or absent.
cdef bint parse_option_time(Call *call, Wanted *wanted) noexcept
