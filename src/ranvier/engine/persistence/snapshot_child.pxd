"""A snapshot that a forked child writes to files and sockets."""

from libc.stdint cimport int64_t, uint64_t

from ranvier.engine.persistence.snapshot_write cimport SnapshotWrite

cdef struct SnapshotChild:
    SnapshotWrite snapshot
    int *descriptors                 # written to, each the same bytes
    int *errors                      # of each: 0, or the errno with which it was given up
    int count
    int pipe                         # to the parent
    int patience_ms                  # how long a socket may take nothing
    bint incremental                 # what is written goes to the disk as it comes: rdb-save-incremental-fsync
    uint64_t written_bytes           # to each descriptor that was not given up
    uint64_t written_back_bytes
    int64_t reported_ns              # monotonic: the last report
    int64_t measuring_ns             # how long measuring the memory took the last time

# Fork. The child's pid, or minus errno. The parent ends the snapshot and frees what the struct refers to.
cdef int snapshot_fork(SnapshotChild *self) noexcept nogil
