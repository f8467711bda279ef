"""The child that writes a snapshot: what it writes to, and what it tells its parent.

All descriptors get the same bytes, the slowest one sets the pace. One that fails, or whose peer takes nothing for
`patience_ms`, is given up and the rest goes on; without any left the child ends. A socket may be in non-blocking mode,
which the parent needs: it is the same open file.

Invariant: see fork.pyx; everything that the child needs lies in this struct and in the data set.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t

from ranvier.engine.clocks cimport now_ns
from ranvier.engine.persistence.fork cimport (
    REPORT_DESCRIPTOR, REPORT_END, REPORT_PROGRESS, fork_child, own_memory_bytes, report, synchronise, write_all,
    write_back,
)
from ranvier.engine.persistence.snapshot_write cimport snapshot_write

cdef enum:
    REPORT_NS = 1000000000           # between two reports, at least
    MEASURING_SHARE = 100            # measuring the memory takes this part of the time, at most
    WRITE_BACK_BYTES = 4 << 20
    MOST_DESCRIPTORS = 512


cdef bint progress(void *context) noexcept nogil:
    """Tell the parent, once a second; False when it is gone."""
    cdef SnapshotChild *self = <SnapshotChild *>context
    cdef int64_t begin_ns = now_ns(), copied_bytes
    if begin_ns - self.reported_ns < REPORT_NS or begin_ns - self.reported_ns < MEASURING_SHARE * self.measuring_ns:
        return True
    copied_bytes = own_memory_bytes()
    self.reported_ns = now_ns()
    self.measuring_ns = self.reported_ns - begin_ns
    return report(self.pipe, REPORT_PROGRESS, <int64_t>self.snapshot.keys, copied_bytes, 0)


cdef bint write_everywhere(void *context, const uint8_t *data, size_t length) noexcept nogil:
    """The snapshot's flush function."""
    cdef SnapshotChild *self = <SnapshotChild *>context
    cdef int i, left = 0
    for i in range(self.count):
        if self.errors[i] == 0:
            self.errors[i] = write_all(self.descriptors[i], data, length, self.patience_ms)
            left += self.errors[i] == 0
    self.written_bytes += length
    if self.incremental and self.written_bytes - self.written_back_bytes >= WRITE_BACK_BYTES:
        for i in range(self.count):
            write_back(self.descriptors[i], self.written_back_bytes, self.written_bytes - self.written_back_bytes)
        self.written_back_bytes = self.written_bytes
    return left > 0 and progress(self)


cdef int child_main(void *context) noexcept nogil:
    """In the child: the exit status is 0 if any descriptor has got it all."""
    cdef SnapshotChild *self = <SnapshotChild *>context
    cdef int i, left = 0
    cdef bint whole
    self.snapshot.context = self
    whole = snapshot_write(&self.snapshot)
    for i in range(self.count):
        if whole and self.errors[i] == 0:
            self.errors[i] = synchronise(self.descriptors[i])
            left += self.errors[i] == 0
        report(self.pipe, REPORT_DESCRIPTOR, i, self.errors[i], <int64_t>self.written_bytes)
    if not whole or left == 0:
        return 1
    return not report(self.pipe, REPORT_END, <int64_t>self.snapshot.keys, own_memory_bytes(),
                      <int64_t>self.snapshot.bytes)


cdef int snapshot_fork(SnapshotChild *self) noexcept nogil:
    cdef int keep[MOST_DESCRIPTORS + 1]
    cdef int i
    for i in range(self.count):
        keep[i] = self.descriptors[i]
    keep[self.count] = self.pipe
    self.snapshot.flush = &write_everywhere
    self.snapshot.context = self
    self.snapshot.progress = &progress
    self.reported_ns = now_ns()
    return fork_child(keep, self.count + 1, &child_main, self)
