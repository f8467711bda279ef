"""Calls that a server has planned on its own clock."""

from libc.stdint cimport int64_t, uint64_t

cdef class Timers:
    cdef list _heap                  # (monotonic ms, number, callback), earliest first
    cdef uint64_t _sequence
    cdef int64_t next_ms             # of the earliest, -1: there is none

    cdef object pop(self)
    cdef void _look(self)
