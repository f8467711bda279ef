"""A forked child that never touches the interpreter: the fork itself, and what the child tells its parent."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint64_t

cdef enum ReportKind:
    REPORT_PROGRESS = 1              # keys so far, bytes copied on write
    REPORT_DESCRIPTOR = 2            # index of the descriptor, errno (0: all was written and synchronised), bytes
    REPORT_END = 3                   # keys, bytes copied on write, bytes written

# One record on the pipe to the parent; smaller than a pipe takes at once.
cdef struct Report:
    int64_t kind
    int64_t first
    int64_t second
    int64_t third

# What the child does: the exit status.
ctypedef int (*child_t)(void *context) noexcept nogil

# As fork(2): the child's pid, or minus errno. In the child: signals are as at a program's start, but those that come
# from a terminal or a broken pipe are ignored; every descriptor but `keep[:count]` is closed; `child` runs, and the
# child ends with its status, without any cleaning up.
cdef int fork_child(const int *keep, int count, child_t child, void *context) noexcept nogil
# False: nobody listens any more.
cdef bint report(int pipe, int64_t kind, int64_t first, int64_t second, int64_t third) noexcept nogil
# Memory of this process that is its own alone, that is, was copied since the fork; 0 where the system does not tell.
cdef int64_t own_memory_bytes() noexcept nogil
# Write all of it, waiting for a full socket for `patience_ms` at most; 0, or errno.
cdef int write_all(int descriptor, const uint8_t *data, size_t length, int patience_ms) noexcept nogil
# fsync, if it is a regular file; 0, or errno.
cdef int synchronise(int descriptor) noexcept nogil
# Have the system begin to write these bytes of a file to the disk; a hint.
cdef void write_back(int descriptor, uint64_t begin, uint64_t length) noexcept nogil
