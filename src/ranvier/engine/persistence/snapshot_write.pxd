"""Writing the data set as a snapshot: in C alone, so that a forked child may do it."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint64_t

from ranvier.engine.core cimport Core
from ranvier.engine.store.entry cimport Entry
from ranvier.engine.types.rdb cimport Writer, flush_t

cdef enum:
    SNAPSHOT_FLUSH_BYTES = 1 << 20       # handed over at once

# Called now and then while keys are written; False ends the writing.
ctypedef bint (*progress_t)(void *context) noexcept nogil

cdef struct SnapshotWrite:
    Core *core
    Writer writer
    const uint8_t *head                  # what stands before the databases, from the magic on
    size_t head_length
    const uint8_t *announcement          # what is written before it all, and
    size_t announcement_length
    const uint8_t *mark                  # ... behind it all, for a peer that cannot be told the length before
    size_t mark_length
    bint as_commands                     # requests instead of a snapshot; nothing stands around them
    bint checksum
    uint64_t crc                         # of what was handed over
    flush_t flush                        # where the bytes go
    void *context
    progress_t progress                  # or NULL
    uint64_t keys                        # written so far
    uint64_t bytes                       # handed over so far
    int delay_microseconds               # behind each key: rdb-key-save-delay

# All the memory that small values need is allocated here; `head`, `flush` and the rest are the caller's to fill in.
cdef void snapshot_begin(SnapshotWrite *self, Core *core, int version, bint compress) noexcept nogil
# The whole snapshot, the last byte handed over; False when that failed.
cdef bint snapshot_write(SnapshotWrite *self) noexcept nogil
cdef void snapshot_end(SnapshotWrite *self) noexcept nogil

cdef uint64_t snapshot_keys(const Core *core) noexcept nogil
# Some key that only RDB_VERSION_FIELD_EXPIRY can hold, and in which database it lies; NULL: there is none.
cdef const Entry *newest_entry(Core *core, int *database) noexcept nogil
