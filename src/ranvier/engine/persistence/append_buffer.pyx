"""What the append-only file is to be given: whole units, collected until the turn's end.

Strategy: the feed copies each unit to the end of one piece of memory, which leaves in one write a turn. So the file
only ever grows by whole units; a write that was cut short is undone by cutting the file where it was before, and what
is here is written again. The write itself is a copy into the system's cache: it goes under the interpreter's lock, like
a few sends (docs/architecture.md), unless it is large or the disk is busy.

Invariant: data[0:used] begins and ends between two units; `offset` counts every byte that was ever added.
"""

from cpython.buffer cimport PyBUF_READ
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.errno cimport EINTR, errno
from libc.string cimport memcpy, memmove, memset
from posix.unistd cimport write

from ranvier.engine.client cimport ClientHandle
from ranvier.engine.core cimport FEED_APPEND_ONLY
from ranvier.engine.memory cimport allocate, ranvier_usable_size, release, resize
from ranvier.engine.modes.acknowledged cimport acknowledgements_came
from ranvier.engine.number cimport print_integer
from ranvier.engine.persistence.replay cimport Replay, replay_of
from ranvier.engine.propagation cimport feed_begin, feed_end

import os

cdef enum:
    FIRST_BYTES = 16384
    KEPT_BYTES = 1 << 20         # more is given back when all is written
    STAMP_BYTES = 32


cdef void appended_end(Core *core) noexcept nogil:
    cdef Appended *appended = <Appended *>core.append_only
    if appended != NULL:
        release(&core.memory, appended.data)
        release(&core.memory, appended)
        core.append_only = NULL


cdef void add(Core *core, const char *data, size_t length) noexcept nogil:
    cdef Appended *appended = <Appended *>core.append_only
    if appended.capacity - appended.used < length:
        appended.capacity = 2 * (appended.used + length)
        if appended.capacity < FIRST_BYTES:
            appended.capacity = FIRST_BYTES
        appended.data = <char *>resize(&core.memory, appended.data, appended.capacity)
    memcpy(appended.data + appended.used, data, length)
    appended.used += length
    appended.offset += <int64_t>length


cdef void take(Core *core, const char *data, size_t length) noexcept nogil:
    """The feed: a unit, or the SELECT in front of one."""
    cdef Appended *appended = <Appended *>core.append_only
    cdef char[STAMP_BYTES] stamp
    cdef size_t size
    if appended.stamped and core.wall_ms // 1000 > appended.stamp_seconds:
        appended.stamp_seconds = core.wall_ms // 1000
        memcpy(stamp, b"#TS:", 4)
        size = 4 + print_integer(stamp + 4, appended.stamp_seconds)
        memcpy(stamp + size, b"\r\n", 2)
        add(core, stamp, size + 2)
    add(core, data, length)


cdef class AppendBuffer:
    """An engine's changes on their way to a file. Belongs to the server's thread."""

    def begin(self) -> None:
        """Collect every change from now on; the next unit begins with a SELECT, as a file must."""
        feed_begin(self.core, FEED_APPEND_ONLY, take)
        self.appended.stamp_seconds = 0

    def end(self) -> None:
        """Collect nothing more; what is here stays."""
        feed_end(self.core, FEED_APPEND_ONLY)

    def clear(self) -> None:
        """Forget what is here."""
        self.drop(self.appended.used)

    def set_timestamps(self, bint on) -> None:
        """Whether an annotation with the time stands in front of the first unit of a second."""
        self.appended.stamped = on

    @property
    def length(self) -> int:
        """Bytes that wait."""
        return self.appended.used

    @property
    def due(self) -> bool:
        """Something waits to be written, or has to be synced before replies leave."""
        return self.appended.used > 0 or self.appended.insisted

    def insist(self, bint on) -> None:
        """What is written must be synced before replies leave: `due` even when nothing waits to be written."""
        self.appended.insisted = on

    def note_synced(self, int64_t offset) -> None:
        """All bytes before `offset` are on the disk."""
        self.appended.synced = offset
        acknowledgements_came(self.core)

    def note_stage(self, int stage) -> None:
        """An AppendStage: whether a file is kept, and whether what is in it counts."""
        self.appended.stage = stage
        acknowledgements_came(self.core)

    @property
    def memory_bytes(self) -> int:
        return ranvier_usable_size(self.appended.data) if self.appended.data != NULL else 0

    @property
    def offset(self) -> int:
        """Bytes collected since the start."""
        return self.appended.offset

    def write(self, file: object) -> int:
        """Have `file.write` take what waits, once; how much it took. All of it stays here until `drop`."""
        if self.appended.used == 0:
            return 0
        return file.write(PyMemoryView_FromMemory(self.appended.data, self.appended.used, PyBUF_READ))

    def write_under_lock(self, int descriptor) -> int:
        """The same with a descriptor and without letting other threads run meanwhile. Raises OSError."""
        cdef ssize_t taken
        while True:
            taken = write(descriptor, self.appended.data, self.appended.used)
            if taken >= 0:
                return taken
            if errno != EINTR:
                raise OSError(errno, os.strerror(errno))

    def drop(self, size_t count) -> None:
        """The first `count` bytes are written."""
        cdef Appended *appended = self.appended
        if count > appended.used:
            raise ValueError(count)
        appended.used -= count
        if appended.used > 0:
            memmove(appended.data, appended.data + count, appended.used)
        elif appended.capacity > KEPT_BYTES:
            release(&self.core.memory, appended.data)
            appended.data = NULL
            appended.capacity = 0

    def replay(self, handle: ClientHandle) -> Replay:
        """What runs the requests of append-only files, through a client without a socket that does nothing else."""
        return replay_of(self.core, handle)


cdef AppendBuffer append_buffer(Core *core):
    cdef AppendBuffer buffer = AppendBuffer.__new__(AppendBuffer)
    core.append_only = allocate(&core.memory, sizeof(Appended))
    memset(core.append_only, 0, sizeof(Appended))
    buffer.core = core
    buffer.appended = <Appended *>core.append_only
    return buffer
