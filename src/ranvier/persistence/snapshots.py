"""Snapshots of one server: when they are made, where they lie, what becomes of them, and how they are loaded.

A snapshot is written to a file of another name, synchronised, and renamed: at every moment the file that is loaded at
the start is a whole one. A child writes it (BGSAVE, save points) or the server itself (SAVE, the end); where the files
have no descriptors (a simulated disk), always the server.

Invariant: the file that a child writes is removed when that fails. Snapshots are numbered as they are begun, and a file
never takes the place of one with a higher number.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ranvier import __version__
from ranvier.errors import CommandError, SnapshotError
from ranvier.persistence.children import KILLED, ChildKind, Children
from ranvier.persistence.disk_errors import SNAPSHOTS_FAIL, DiskErrors

if TYPE_CHECKING:
    from ranvier.config.options import Configuration
    from ranvier.engine.loop import Engine
    from ranvier.engine.persistence.snapshot_load import SnapshotLoader
    from ranvier.persistence.background import Background
    from ranvier.persistence.files import File, Files, Mapping

COMPATIBLE_VERSION: Final = b"7.2.4"            # what INFO shows as redis_version
IN_PROGRESS: Final = "ERR Background save already in progress"
OTHER_CHILD: Final = (
    "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to schedule a "
    "BGSAVE whenever possible."
)
NOTHING_TO_CANCEL: Final = "ERR Background saving is currently not in progress or scheduled"
FAILED: Final = "ERR"                           # as the reference servers say it: the log tells more
NOT_RELOADED: Final = "ERR Error trying to load the RDB dump, check server logs."
RELOAD_STEP_NANOSECONDS: Final = 1_000_000_000
RETRY_MILLISECONDS: Final = 5000                # after a failure, before save points try again
MEGABYTE: Final = 1024 * 1024

Log = Callable[[str], object]
Auxiliary = list[tuple[bytes, bytes]]


class SnapshotFile:
    """A snapshot's file that is being loaded (a job of `persistence/loading`). `close` it if it is given up."""

    def __init__(self, mapping: Mapping, loader: SnapshotLoader) -> None:
        self._mapping = mapping
        self.loader = loader

    @property
    def position(self) -> int:
        return self.loader.position

    @property
    def total_bytes(self) -> int:
        return self.loader.total_bytes

    @property
    def auxiliary(self) -> dict[bytes, bytes]:
        return self.loader.auxiliary

    def step(self, nanoseconds: int) -> bool:
        done = False
        try:
            done = self.loader.step(nanoseconds)
        except SnapshotError:
            self.close()
            raise
        if done:
            self._mapping.close()
        return done

    def close(self) -> None:
        """Give the loading up, and what it loaded aside. Idempotent."""
        self.loader.discard()
        self._mapping.close()


@dataclass(frozen=True, slots=True)
class _Save:
    """A snapshot that is made in the background."""

    temporary: str
    path: str
    number: int
    dirty: int              # changes up to it, since the start


class Snapshots:
    """The snapshots of one server. Belongs to the server's thread."""

    def __init__(self, engine: Engine, configuration: Configuration, files: Files, background: Background,
                 children: Children, disk_errors: DiskErrors, *, notice: Log, warn: Log) -> None:
        self._engine = engine
        self._configuration = configuration
        self._files = files
        self._background = background
        self._children = children
        self._disk_errors = disk_errors
        self._notice, self._warn = notice, warn
        self._token = os.urandom(4).hex()       # servers of one process may share a directory
        self._placing = False                   # a child's file is being given its name
        self._placed = threading.Lock()         # held while a file is, and for `_newest`
        self._newest = 0                        # number of the newest snapshot that was written
        self._saved_dirty = 0                   # changes that the last snapshot has
        self._saves = 0
        self._number = 0                        # of snapshots that were begun
        self._last_save_ms = engine.wall_ms
        self._last_ok = True                    # of the last one that was made in the background
        self._last_seconds = -1
        self._last_copied_bytes = 0
        self._tried_ms = 0                      # monotonic
        self._scheduled = False
        self._keys_loaded = self._keys_expired = 0
        self.functions: list[bytes] = []        # libraries of the snapshot that was loaded, kept for the next one
        self.loaded_auxiliary: dict[bytes, bytes] = {}
        self.replication_fields: Callable[[], Auxiliary] = list     # what a snapshot tells of the replication stream

    # ---- what it is made of -----------------------------------------------------------------------------------------

    @property
    def path(self) -> str:
        """The file that is written, and loaded at the start."""
        return os.path.join(self._configuration.dir, self._configuration.dbfilename)

    @property
    def last_save_seconds(self) -> int:
        """When the last snapshot was made, or the server started: Unix time."""
        return self._last_save_ms // 1000

    @property
    def changes(self) -> int:
        """Changes that no snapshot has."""
        return self._engine.dirty - self._saved_dirty

    def auxiliary(self, *, aof_base: bool = False) -> Auxiliary:
        """The fields before the data: who wrote it, when, and what stands in the stream of replication."""
        return [
            (b"redis-ver", COMPATIBLE_VERSION),
            (b"ranvier-ver", __version__.encode()),
            (b"redis-bits", b"64"),
            (b"ctime", b"%d" % (self._engine.wall_ms // 1000)),
            (b"used-mem", b"%d" % self._engine.used_memory_bytes),
            *self.replication_fields(),
            (b"aof-base", b"1" if aof_base else b"0"),
        ]

    def _new_temporary(self, purpose: str) -> str:
        return os.path.join(self._configuration.dir, f"temp-{os.getpid()}-{self._token}-{purpose}.rdb")

    def _place(self, temporary: str, path: str, number: int) -> None:
        """Give a file that is whole and synchronised its name, unless a newer one has it. In any thread.

        Removing the old file, which the rename does, may take as long as it is large.
        """
        with self._placed:
            if number < self._newest:
                self._files.remove(temporary)
                return
            self._newest = number
            self._files.rename(temporary, path)
        self._files.sync_directory(os.path.dirname(path))

    def _forget_file(self, path: str) -> None:
        """Remove what is left of a snapshot that failed; if even that fails, the log has the first error already."""
        try:
            self._files.remove(path)
        except OSError as error:
            self._warn(f"Cannot remove {path}: {error.strerror}")

    # ---- by the server itself ---------------------------------------------------------------------------------------

    def save(self) -> bool:
        """Write a snapshot here and now; False, with the cause in the log, when that fails."""
        dirty = self._engine.dirty
        if not self._write_file(self._new_temporary("save")):
            return False
        self._note_saved(dirty)
        self._last_ok = True
        self.update_gate()
        return True

    def _write_file(self, temporary: str) -> bool:
        file: File | None = None
        try:
            file = self._files.create(temporary)
            self._write_to(file)
            file.sync()
            file.close()
            self._number += 1
            self._place(temporary, self.path, self._number)
        except OSError as error:
            self._warn(f"Failed to write the snapshot {self.path}: {error.strerror}")
            if file is not None:
                file.close()
                self._forget_file(temporary)
            return False
        self._notice("DB saved on disk")
        return True

    def _write_to(self, file: File) -> None:
        def take(data: bytes) -> None:
            view = memoryview(data)
            while view:
                view = view[file.write(view):]

        configuration = self._configuration
        self._engine.snapshots.write(
            take, auxiliary=self.auxiliary(), functions=self.functions, compress=configuration.rdbcompression,
            checksum=configuration.rdbchecksum, delay_microseconds=configuration.rdb_key_save_delay,
        )

    def _note_saved(self, dirty: int) -> None:
        self._saved_dirty = max(self._saved_dirty, dirty)
        self._saves += 1
        self._last_save_ms = self._engine.wall_ms

    # ---- in the background ------------------------------------------------------------------------------------------

    def save_in_background(self) -> bool:
        """Fork a child that writes a snapshot; False, with the cause in the log, when that fails. There is no child."""
        configuration = self._configuration
        self._tried_ms = self._engine.monotonic_ms
        self._number += 1
        self._scheduled = False
        made = _Save(self._new_temporary("bgsave"), self.path, self._number, self._engine.dirty)
        file: File | None = None
        try:
            file = self._files.create(made.temporary)
            descriptor = file.descriptor
            if descriptor is None:
                self._write_to(file)
                file.sync()
                file.close()
                self._placing = True
                self._engine.post(lambda: self._child_ended(made, True, ""))
                return True
            pid = self._children.start(
                ChildKind.SNAPSHOT,
                lambda: self._engine.snapshots.start_child(
                    [descriptor], auxiliary=self.auxiliary(), functions=self.functions,
                    compress=configuration.rdbcompression, checksum=configuration.rdbchecksum,
                    delay_microseconds=configuration.rdb_key_save_delay,
                    incremental_sync=configuration.rdb_save_incremental_fsync,
                ),
                lambda ok, text: self._child_ended(made, ok, text),
            )
        except OSError as error:
            self._warn(f"Can't save in background: {error.strerror}")
            if file is not None:
                file.close()
                self._forget_file(made.temporary)
            self._note_background(False)
            return False
        file.close()
        self._notice(f"Background saving started by pid {pid}")
        return True

    def _child_ended(self, made: _Save, ok: bool, text: str) -> None:
        if not ok:
            self._save_ended(made, text)
            return
        self._placing = True
        self._background.submit(
            lambda: self._place(made.temporary, made.path, made.number),
            lambda error: self._save_ended(made, "" if error is None else error.strerror or "rename"),
            slow=True,
        )

    def _save_ended(self, made: _Save, text: str) -> None:
        """A save in the background is over; `text` says why it failed."""
        self._placing = False
        self._last_seconds = (self._engine.monotonic_ms - self._tried_ms) // 1000
        self._last_copied_bytes = self._children.copied_bytes
        if not text:
            self._notice("Background saving terminated with success")
            self._note_saved(made.dirty)
        else:
            self._forget_file(made.temporary)
            self._warn("Background saving was called off" if text == KILLED else f"Background saving error: {text}")
        if text != KILLED:
            self._note_background(not text)

    def _note_background(self, ok: bool) -> None:
        self._last_ok = ok
        self.update_gate()

    def update_gate(self) -> None:
        """Refuse writes, or let them through again; called when an option changed, too."""
        configuration = self._configuration
        refuses = not self._last_ok and configuration.save and configuration.stop_writes_on_bgsave_error
        self._disk_errors.set("snapshot", SNAPSHOTS_FAIL if refuses else None)

    # ---- commands ---------------------------------------------------------------------------------------------------

    @property
    def _running(self) -> bool:
        """A snapshot is being made in the background, for a file or for replicas."""
        return self._placing or self._children.kind in (ChildKind.SNAPSHOT, ChildKind.SYNCHRONISATION)

    def save_command(self) -> None:
        """SAVE. Raises CommandError."""
        if self._running:
            raise CommandError(IN_PROGRESS)
        if not self.save():
            raise CommandError(FAILED)

    def background_command(self, *, schedule: bool, wait: bool) -> bool:
        """BGSAVE; False: it is scheduled. Raises CommandError.

        `wait`: not here, in the middle of a transaction.
        """
        kind = self._children.kind
        if self._running:
            raise CommandError(IN_PROGRESS)
        if kind is not None and not (schedule or wait):
            raise CommandError(OTHER_CHILD)
        if kind is not None or wait:
            self._scheduled = True
            return False
        if not self.save_in_background():
            raise CommandError(FAILED)
        return True

    def cancel_command(self) -> bool:
        """BGSAVE CANCEL; False: it was only scheduled. Raises CommandError."""
        if self._children.kind is ChildKind.SNAPSHOT:
            self._notice("Background saving will be aborted due to user request")
            self._children.kill()
            return True
        if self._scheduled:
            self._scheduled = False
            return False
        raise CommandError(NOTHING_TO_CANCEL)

    def reload_command(self, *, save: bool, flush: bool, merge: bool) -> None:
        """DEBUG RELOAD: load the snapshot, made now unless `save` is false, at once. Raises CommandError.

        `flush`: in place of all keys, else beside them; keys that are there already are an error then, unless `merge`.
        What there is stays as it is when that fails.
        """
        if save and not self.save():
            raise CommandError(FAILED)
        try:
            file = self.open(self.path, aside=True)
            try:
                while not file.step(RELOAD_STEP_NANOSECONDS):
                    pass
                if flush:
                    file.loader.take_place()
                else:
                    file.loader.merge(merge)
            finally:
                file.close()
        except (SnapshotError, OSError) as error:
            self._warn(f"Cannot load {self.path}: {error}")
            raise CommandError(NOT_RELOADED) from None
        self.loaded(file.loader)
        self._notice("DB reloaded by DEBUG RELOAD")

    def run_due(self) -> None:
        """The cron: a save point that has come, or what was scheduled."""
        engine, configuration = self._engine, self._configuration
        if self._children.kind is not None or self._placing:
            return
        may_try = self._last_ok or engine.monotonic_ms - self._tried_ms > RETRY_MILLISECONDS
        passed_seconds = (engine.wall_ms - self._last_save_ms) // 1000
        for point in configuration.save:
            if may_try and self.changes >= point.changes and passed_seconds > point.seconds:
                self._notice(f"{point.changes} changes in {point.seconds} seconds. Saving...")
                self.save_in_background()
                return
        if self._scheduled and may_try:
            self.save_in_background()

    # ---- loading ----------------------------------------------------------------------------------------------------

    def open(self, path: str, *, aside: bool = False, drop_expired: bool = True) -> SnapshotFile:
        """Begin to load a snapshot's file; see Engine.snapshots.load. Raises OSError, SnapshotError."""
        mapping = self._files.map(path)
        configuration = self._configuration
        try:
            loader = self._engine.snapshots.load(
                mapping.data, checksum=configuration.rdbchecksum, drop_expired=drop_expired, aside=aside, alone=True,
                any_version=configuration.rdb_version_check == "relaxed",
                delay_microseconds=configuration.key_load_delay,
            )
        except SnapshotError:
            mapping.close()
            raise
        return SnapshotFile(mapping, loader)

    def loaded(self, loader: SnapshotLoader) -> None:
        """A snapshot is loaded: keep and log what it told."""
        fields = loader.auxiliary
        self.functions = loader.functions
        self.loaded_auxiliary = fields
        self._keys_loaded, self._keys_expired = loader.keys_loaded, loader.keys_expired
        maker = fields.get(b"valkey-ver") or fields.get(b"redis-ver") or b"unknown"
        self._notice(f"Loading RDB produced by version {maker.decode('utf-8', 'replace')}")
        written, memory = fields.get(b"ctime", b""), fields.get(b"used-mem", b"")
        if written.isdigit():
            self._notice(f"RDB age {self._engine.wall_ms // 1000 - int(written)} seconds")
        if memory.isdigit():
            self._notice(f"RDB memory usage when created {int(memory) / MEGABYTE:.2f} Mb")
        for name, count in loader.skipped_modules.items():
            self._warn(f"The snapshot has data of module {name}, which cannot be loaded: {count} of them were left out")
        if self.functions:
            self._warn(f"The snapshot has {len(self.functions)} libraries of functions: kept, but not loaded")
        self._notice(
            f"Done loading RDB, keys loaded: {loader.keys_loaded}, keys expired: {loader.keys_expired}."
        )

    def saved_elsewhere(self) -> None:
        """What the server holds now lies in a file: no change waits for a snapshot (after loading)."""
        self._saved_dirty = self._engine.dirty

    # ---- the end, and figures ---------------------------------------------------------------------------------------

    @property
    def points(self) -> bool:
        """Whether there are save points: then the server saves when it ends."""
        return bool(self._configuration.save)

    def figures(self) -> dict[str, int | str]:
        """INFO's fields."""
        running = self._running
        passed_ms = self._engine.monotonic_ms - self._children.started_ms
        return {
            "rdb_changes_since_last_save": self.changes,
            "rdb_bgsave_in_progress": int(running),
            "rdb_last_save_time": self.last_save_seconds,
            "rdb_last_bgsave_status": "ok" if self._last_ok else "err",
            "rdb_last_bgsave_time_sec": self._last_seconds,
            "rdb_current_bgsave_time_sec": passed_ms // 1000 if running else -1,
            "rdb_saves": self._saves,
            "rdb_last_cow_size": self._last_copied_bytes,
            "rdb_last_load_keys_expired": self._keys_expired,
            "rdb_last_load_keys_loaded": self._keys_loaded,
        }
