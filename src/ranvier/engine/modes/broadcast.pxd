"""BCAST mode: prefixes, the keys that change under them, and the messages of a turn."""

from libc.stddef cimport size_t
from libc.stdint cimport uint64_t

from ranvier.engine.modes.tracking cimport Prefix, Tracker, Tracking

cdef void broadcast_begin(Tracking *tracking, uint64_t seed0, uint64_t seed1) noexcept
cdef void broadcast_end(Tracking *tracking) noexcept
# Whether a prefix begins the key.
cdef bint has_prefix(Tracking *tracking, const char *key, size_t length) noexcept nogil
# A key that some prefix begins has changed; `writer` is the id of the client that did it, 0: none.
cdef void note_written(Tracking *tracking, uint64_t writer, uint64_t hash, const char *key,
                       size_t length) noexcept nogil
# Send what was noted.
cdef void broadcast(Tracking *tracking) noexcept nogil
# `texts` are bytes, and none of them is the tracker's already.
cdef void add_prefixes(Tracking *tracking, Tracker *tracker, list texts) except *
cdef void leave_prefixes(Tracking *tracking, Tracker *tracker) noexcept nogil


cdef inline char *prefix_bytes(Prefix *prefix) noexcept nogil:
    return <char *>(prefix + 1)
