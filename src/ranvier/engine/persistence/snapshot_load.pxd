"""Loading a snapshot, a bounded time at once."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint64_t

from cpython.buffer cimport Py_buffer

from ranvier.engine.core cimport Core
from ranvier.engine.store.database cimport Database
from ranvier.engine.store.entry cimport Entry
from ranvier.engine.types.rdb cimport Reader, ReadString

cdef enum:
    PENDING_KEYS = 16

# Something that only Python can keep: the loading stops there until it has.
cdef enum Note:
    NOTE_NONE = 0
    NOTE_AUXILIARY = 1           # name and text
    NOTE_FUNCTIONS = 2           # text
    NOTE_MODULE = 3              # data of a module were skipped

# A key that is made but stands in no table yet.
cdef struct PendingKey:
    uint64_t hash
    Entry *entry
    Database *database

cdef struct Loading:
    Core *core
    Reader reader
    Database **databases         # that are loaded into, as many as the core has
    Database *database
    PendingKey pending[PENDING_KEYS]
    int pending_count
    bint checksum
    uint64_t crc                 # of what is before `summed`
    size_t summed
    bint drop_expired
    bint alone                   # nothing may follow its end
    int64_t expiry_ms            # of the next key; -1 (all three): not said
    int64_t idle_seconds
    int frequency
    int delay_microseconds       # behind each key: key-load-delay
    uint64_t keys_loaded
    uint64_t keys_expired
    bint done
    const char *problem          # why it failed; NULL: the bytes make no sense, or end
    uint64_t problem_number      # what {} stands for in it
    uint64_t reservable          # keys that tables may still be made large for
    int note
    ReadString note_name
    ReadString note_text
    uint64_t note_module


cdef class SnapshotLoader:
    cdef Loading state
    cdef Py_buffer view
    cdef bint held               # the buffer is
    cdef bint aside
    cdef object engine           # keeps the core alive
    cdef readonly dict auxiliary
    cdef readonly list functions
    cdef readonly dict skipped_modules
    cdef readonly size_t total_bytes

    cdef void keep_note(self) except *
    cdef void let_go(self) noexcept
    cdef void drop(self) noexcept
    cdef void check_whole(self) except *
    cdef object failure(self)


cdef SnapshotLoader snapshot_loader(Core *core, object data, bint checksum, bint drop_expired, bint any_version,
                                    bint aside, bint alone, int delay_microseconds)
