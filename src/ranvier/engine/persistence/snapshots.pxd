"""Snapshots of the data set: written by a child, written here, and loaded."""

from ranvier.engine.core cimport Core
from ranvier.engine.persistence.snapshot_write cimport SnapshotWrite


cdef class Snapshots:
    cdef Core *core                  # the engine's, which keeps this object
    cdef readonly int forks          # since the start
    cdef readonly int fork_microseconds      # how long the last one held the server

    cdef int version_for(self, int version) except -1
    cdef bytes head(self, int version, object auxiliary, object functions)
    cdef void begin(self, SnapshotWrite *snapshot, int version, bytes head, bint compress, bint checksum,
                    bytes announcement, bytes mark, int delay_microseconds) noexcept


cdef Snapshots snapshots_of(Core *core)
