"""What SSCAN, HSCAN and ZSCAN have in common: their arguments, how far one step goes, the first part of the reply."""

from libc.stddef cimport size_t
from libc.stdint cimport INT64_MAX, int64_t, uint64_t

from ranvier.engine.core cimport Arg, Call, Client
from ranvier.engine.modes.glob cimport glob_match

cdef enum:
    SCAN_EFFORT = 10             # buckets visited at most, per item asked for
    SCAN_COUNT = 10              # without COUNT

# What is replied of an item: the option that leaves a part out belongs to one of the commands.
cdef enum ScanKind:
    SCAN_MEMBERS = 0
    SCAN_FIELDS = 1              # NOVALUES
    SCAN_SCORES = 2              # NOSCORES

cdef struct ScanOptions:
    int64_t count
    const Arg *pattern           # NULL: everything
    bint names_only              # without values or scores

# args[2], an unsigned 64-bit integer; 0 with the error replied.
cdef bint parse_cursor(Call *call, uint64_t *cursor) noexcept
# From args[3] on; they may repeat, the last one counts. 0 with the error replied.
cdef bint parse_scan_options(Call *call, int kind, ScanOptions *options) noexcept
# The two parts' header and the first part.
cdef void reply_scan(Client *client, uint64_t cursor) noexcept nogil
# The whole reply when there is no such key.
cdef void reply_nothing_scanned(Client *client) noexcept nogil


cdef inline int64_t scan_steps(const ScanOptions *options) noexcept nogil:
    """How many buckets of a table one call visits at most."""
    return options.count * SCAN_EFFORT if options.count < INT64_MAX // SCAN_EFFORT else INT64_MAX


cdef inline bint scan_matches(const ScanOptions *options, const char *text, size_t length) noexcept nogil:
    return options.pattern == NULL or glob_match(options.pattern.data, options.pattern.length, text, length)
