"""Python's view of snapshots; the server's `persistence/` decides when and where, here is how.

What a snapshot begins with - magic, auxiliary fields, libraries of functions - is made of Python objects, so it is made
ready before a fork, as bytes that the child then only copies out.
"""

import os
from array import array

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memset

from ranvier.engine.clocks cimport now_ns
from ranvier.engine.persistence.placing cimport empty_databases
from ranvier.engine.persistence.snapshot_child cimport SnapshotChild, snapshot_fork
from ranvier.engine.persistence.snapshot_format cimport OPCODE_AUXILIARY, OPCODE_FUNCTIONS
from ranvier.engine.persistence.snapshot_load cimport SnapshotLoader, snapshot_loader
from ranvier.engine.persistence.snapshot_write cimport (
    SnapshotWrite, newest_entry, snapshot_begin, snapshot_end, snapshot_keys, snapshot_write,
)
from ranvier.engine.store.entry cimport Entry, entry_key, entry_key_length
from ranvier.engine.types.rdb cimport (
    RDB_VERSION, RDB_VERSION_FIELD_EXPIRY, Writer, write_byte, write_bytes, write_string, writer_begin, writer_end,
)

from ranvier.errors import SnapshotVersionError

DESCRIPTORS = 512        # that one child writes to, at most


cdef class ToPython:
    """A foreground snapshot's way into Python: what the function raised, if it did."""

    cdef object take
    cdef object error


cdef bint hand_to_python(void *context, const uint8_t *data, size_t length) noexcept nogil:
    with gil:
        target = <ToPython>context
        try:
            target.take((<const char *>data)[:length])
        except BaseException as error:
            target.error = error         # raised again by `write`
            return False
        return True


cdef class Snapshots:
    """An engine's snapshots. Belongs to the server's thread."""

    def key_count(self) -> int:
        """Keys of all databases: what a snapshot would hold now."""
        return snapshot_keys(self.core)

    def empty_databases(self) -> None:
        """Let go of all keys, before another data set is loaded; they are freed bit by bit.

        Whoever watches or tracks keys learns of it; nothing is propagated.
        """
        empty_databases(self.core)

    cdef int version_for(self, int version) except -1:
        """The version to write, if at most `version` may be written."""
        cdef int database = 0
        cdef const Entry *entry = newest_entry(self.core, &database)
        if entry == NULL:
            return RDB_VERSION
        if version < RDB_VERSION_FIELD_EXPIRY:
            key = entry_key(entry)[:entry_key_length(entry)]
            raise SnapshotVersionError(key, database, version, RDB_VERSION_FIELD_EXPIRY)
        return RDB_VERSION_FIELD_EXPIRY

    def version(self, int newest) -> int:
        """The version that the data set needs, 10 or 80. Raises SnapshotVersionError if that is above `newest`."""
        return self.version_for(newest)

    cdef bytes head(self, int version, object auxiliary, object functions):
        """Magic, auxiliary fields and functions."""
        cdef Writer writer
        cdef bytes name, text
        writer_begin(&writer, &self.core.memory, version, False)
        magic = b"REDIS%04d" % version if version < RDB_VERSION_FIELD_EXPIRY else b"VALKEY%03d" % version
        write_bytes(&writer, <const char *>magic, <size_t>len(magic))
        for name, text in auxiliary or ():
            write_byte(&writer, OPCODE_AUXILIARY)
            write_string(&writer, name, <size_t>len(name))
            write_string(&writer, text, <size_t>len(text))
        for text in functions or ():
            write_byte(&writer, OPCODE_FUNCTIONS)
            write_string(&writer, text, <size_t>len(text))
        made = (<const char *>writer.data)[:writer.length]
        writer_end(&writer)
        return made

    cdef void begin(self, SnapshotWrite *snapshot, int version, bytes head, bint compress, bint checksum,
                    bytes announcement, bytes mark, int delay_microseconds) noexcept:
        snapshot_begin(snapshot, self.core, version, compress)
        snapshot.checksum = checksum
        snapshot.head = <const uint8_t *>PyBytes_AS_STRING(head)
        snapshot.head_length = <size_t>PyBytes_GET_SIZE(head)
        snapshot.announcement = <const uint8_t *>PyBytes_AS_STRING(announcement)
        snapshot.announcement_length = <size_t>PyBytes_GET_SIZE(announcement)
        snapshot.mark = <const uint8_t *>PyBytes_AS_STRING(mark)
        snapshot.mark_length = <size_t>PyBytes_GET_SIZE(mark)
        snapshot.delay_microseconds = delay_microseconds

    def write(self, take: object, *, int version=RDB_VERSION_FIELD_EXPIRY, list auxiliary=None, list functions=None,
              bint compress=True, bint checksum=True, bytes eof_mark=b"", int delay_microseconds=0,
              bint commands=False) -> int:
        """Write a snapshot here and now: `take(bytes)` gets it piece by piece; what it raises is raised. Bytes written.

        `version`: the newest that may be written. 10 is written unless a value needs 80 (fields that expire), with the
        magic VALKEY080; SnapshotVersionError names the key if that may not be. `auxiliary`: names and texts that stand
        before the data; `functions`: libraries as they were loaded. `compress`: long strings (LZF). `checksum`: else it
        is 0. `eof_mark`: the snapshot is announced as `$EOF:mark` and a line end, and followed by the mark, as a
        synchronisation without a known length is. `delay_microseconds`: waited behind every key (tests). `commands`:
        requests that make the data set again are written instead, without version, fields, functions and checksum.
        """
        cdef SnapshotWrite snapshot
        cdef ToPython target = ToPython.__new__(ToPython)
        cdef int needed = self.version_for(version)
        cdef bytes head = b"" if commands else self.head(needed, auxiliary, functions)
        cdef bytes announcement = announced(eof_mark)
        target.take = take
        self.begin(&snapshot, needed, head, compress, checksum and not commands, announcement, eof_mark,
                   delay_microseconds)
        snapshot.as_commands = commands
        snapshot.flush = &hand_to_python
        snapshot.context = <void *>target
        snapshot_write(&snapshot)
        snapshot_end(&snapshot)
        if target.error is not None:
            raise target.error
        return snapshot.bytes

    def start_child(self, list descriptors, *, int version=RDB_VERSION_FIELD_EXPIRY, list auxiliary=None,
                    list functions=None, bint compress=True, bint checksum=True, bytes eof_mark=b"",
                    int delay_microseconds=0, bint incremental_sync=True, double patience_seconds=60.0,
                    bint commands=False) -> tuple:
        """Fork a child that writes the data set as it is now to every descriptor; (pid, pipe to read its reports from).

        Options as for `write`. The child closes every other descriptor, synchronises files, and gives a socket up that
        takes nothing for `patience_seconds` (0: waits for ever). Its reports are records of `REPORT` (four 64-bit
        numbers): 1, keys so far, bytes copied on write, 0 about once a second; 2, index of the descriptor, errno or 0,
        bytes for each at the end; last 3, keys, bytes copied on write, bytes if any descriptor got it all. The pipe is
        the caller's to read (it does not block) and close, the child the caller's to wait for. A child whose pipe is
        closed ends by itself. Raises OSError if the system has no memory or process for a fork.
        """
        cdef SnapshotChild child
        cdef int needed = self.version_for(version)
        cdef bytes head = b"" if commands else self.head(needed, auxiliary, functions)
        cdef bytes announcement = announced(eof_mark)
        cdef int pid
        cdef int64_t begin_ns
        cdef int[::1] numbers
        if not 0 < len(descriptors) <= DESCRIPTORS:
            raise ValueError(f"a child writes to 1 to {DESCRIPTORS} descriptors")
        numbers = array("i", [*descriptors, *([0] * len(descriptors))])      # and the error of each
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        memset(&child, 0, sizeof(SnapshotChild))
        child.count = <int>len(descriptors)
        child.descriptors = &numbers[0]
        child.errors = &numbers[0] + child.count
        child.pipe = writing
        child.incremental = incremental_sync
        child.patience_ms = <int>(patience_seconds * 1000) if patience_seconds > 0 else -1
        self.begin(&child.snapshot, needed, head, compress, checksum and not commands, announcement, eof_mark,
                   delay_microseconds)
        child.snapshot.as_commands = commands
        begin_ns = now_ns()
        with nogil:
            pid = snapshot_fork(&child)
        if pid > 0:
            self.forks += 1
            self.fork_microseconds = <int>((now_ns() - begin_ns) // 1000)
        snapshot_end(&child.snapshot)
        os.close(writing)
        if pid < 0:
            os.close(reading)
            raise OSError(-pid, os.strerror(-pid))
        return pid, reading

    def load(self, data: object, *, bint checksum=True, bint drop_expired=True, bint any_version=False,
             bint aside=False, bint alone=False, int delay_microseconds=0) -> SnapshotLoader:
        """A loader of the snapshot that `data` (bytes, a mapping) begins with: see SnapshotLoader.

        `checksum`: that of the file is looked at (0 is always right). `drop_expired`: keys and fields whose time has
        passed are left out, as a primary does. `any_version`: unknown versions are tried. `aside`: it is loaded into
        databases beside the present ones, whose place they take when `SnapshotLoader.take_place` is called; else into
        the present ones, which the caller has emptied, and empties again when the loading fails. `alone`: nothing may
        follow its end, which a changed byte can bring early. Nobody is told of the keys: no event, no propagation.
        Raises SnapshotError if it does not begin as a snapshot does.
        """
        return snapshot_loader(self.core, data, checksum, drop_expired, any_version, aside, alone,
                               delay_microseconds)


cdef bytes announced(bytes mark):
    return b"$EOF:%b\r\n" % mark if mark else b""


cdef Snapshots snapshots_of(Core *core):
    cdef Snapshots snapshots = Snapshots.__new__(Snapshots)
    snapshots.core = core
    return snapshots
