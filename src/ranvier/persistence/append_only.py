"""The append-only file: every change, on disk before it is forgotten.

Strategy. The engine collects what each execution changed as one unit (`engine/persistence/append_buffer`). Once a turn,
before replies leave, what was collected is written to the last increment in one piece; `appendfsync` says when it is
synced: before those replies (always), by the background thread within a second (everysec), or by the system (no).

Durability rests on this order, and on nothing else:

- always: write, sync, and only then the replies of the turn. What cannot be written or synced ends the server: it must
  not answer for what is not there.
- everysec: at most one sync at a time is on its way, begun a second after the one before. The turn writes beside it,
  which may take long when the disk is busy: what has been answered must survive the end of the process at least.
- a write that was cut short is undone by cutting the file back, so that it holds whole units only, and the same bytes
  are written again when there is room. Meanwhile writes are refused (MISCONF).
- an increment begins when the one before it is synced, and is named by the manifest before it is written to.

Invariant: while the file is open, it holds exactly `_file_bytes`, and the buffer what follows them.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

from ranvier.errors import CommandError, LoadError, PersistenceError
from ranvier.persistence.aof_load import AppendOnlyLoad
from ranvier.persistence.environment import State
from ranvier.persistence.files import File, discard
from ranvier.persistence.manifest import Manifest, ManifestError, ManifestFile, Part
from ranvier.persistence.rewrite import Rewrite

if TYPE_CHECKING:
    from ranvier.persistence.environment import Environment

Figure = int | float | str

SLOW_SYNC_MILLISECONDS: Final = 2000  # of a sync beside which a write is told of
SYNC_MILLISECONDS: Final = 1000  # between the beginnings of two syncs (everysec)
RETRY_MILLISECONDS: Final = 1000  # before what could not be written is tried again
LOG_MILLISECONDS: Final = 30_000  # between two log lines about failing writes
UNDER_LOCK_BYTES: Final = 65536  # a larger write lets the threads of the program run meanwhile


def _nothing_follows(error: OSError | None) -> None:
    """Of a close: what mattered was synced before."""


class AppendOnly:
    """A server's append-only file."""

    def __init__(self, world: Environment) -> None:
        configuration = world.configuration
        self.world = world
        self._buffer = world.engine.append_buffer
        self._state = State.OFF
        self.manifest = Manifest()
        self.rewrite = Rewrite(world, self)
        self._name = configuration.appendfilename
        self._directory = ""
        self._file: File | None = None
        self._file_bytes = 0
        self.closed_bytes = 0                   # of the base and of all increments but the last
        self.base_bytes = 0                     # of everything, when the last base was made
        self._unsynced = False
        self._syncing = False                   # a sync is on its way
        self._synced_ms = 0                     # monotonic: the last began
        self._written_offset = 0                # of the buffer's
        self.synced_offset = 0
        self._told_slow = False                 # ... takes long, and that was told
        self._tried_ms = 0
        self._logged_ms: int | None = None
        self.delayed_syncs = 0
        self._write_error: OSError | None = None
        self._sync_error: OSError | None = None
        self._failure: PersistenceError | None = None    # always: nothing may be answered any more

    @property
    def state(self) -> State:
        """Whether changes go to a file."""
        return self._state

    def _enter(self, state: State) -> None:
        self._state = state
        self._buffer.note_stage(state.value)

    # ---- where it is ------------------------------------------------------------------------------------------------

    @property
    def directory(self) -> str:
        """appenddirname, below `dir` as it was when the files were opened."""
        return self._directory if self.state is not State.OFF else self._configured_directory()

    def _configured_directory(self) -> str:
        configuration = self.world.configuration
        return os.path.join(configuration.dir, configuration.appenddirname)

    @property
    def on_disk(self) -> ManifestFile:
        return ManifestFile(self.world.files, self.directory, self._name)

    @property
    def size_bytes(self) -> int:
        """Of all its files."""
        return self.closed_bytes + self._file_bytes

    # ---- beginning and end ------------------------------------------------------------------------------------------

    def open(self, manifest: Manifest) -> None:
        """Go on with the files that were loaded, or that `start_anew` made. Raises OSError."""
        self._directory = self._configured_directory()
        self.manifest = manifest
        last = manifest.increments[-1] if manifest.increments else None
        if last is None:
            self._create_increment("on server start")
        else:
            self.world.notice(f"Opening AOF incr file {last.name} on server start")
            file = self.world.files.append(self.on_disk.path_of(last))
            # What an earlier run left to the system may never have been synced.
            file.sync()
            self._take_file(file)
        self._enter(State.ON)
        self.timestamps_changed()
        self.remove_history()

    def start_anew(self) -> Manifest:
        """The first files of a data set: a base with what there is now. Raises OSError."""
        files = self.world.files
        files.make_directory(self.directory)
        files.sync_directory(self.world.configuration.dir)
        manifest = Manifest().with_base(self._name, self.rewrite.suffix, 0)
        assert manifest.base is not None
        self.world.notice(f"Creating AOF base file {manifest.base.name} on server start")
        self.rewrite.write_base(self.on_disk.path_of(manifest.base))
        return manifest

    def start(self) -> None:
        """appendonly yes: changes are kept from the first base on, which is made at once or when no child runs.

        Raises PersistenceError when it cannot be made.
        """
        if self.state is not State.OFF:
            return
        self._directory = self._configured_directory()
        self._enter(State.BEGINNING)
        self.timestamps_changed()
        if self.world.children.kind is not None:
            self.rewrite.schedule()
            self.world.notice("AOF was enabled but there is already another background operation. An AOF "
                                 "background was scheduled to start when possible.")
        elif not self.rewrite.start():
            self.stop()
            raise PersistenceError("Unable to turn on AOF. Check server logs.")

    def begin_unbased(self) -> None:
        """Collect changes, from this moment on, in an increment of a base of this moment. Raises OSError."""
        self._discard_unbased()
        self.read_manifest()
        self.manifest = self.manifest.with_increment(self._name)
        self._retire()
        self._buffer.clear()
        self.closed_bytes = 0
        self._take_file(self.world.files.create(self.on_disk.path_of(self.manifest.increments[-1])))

    def _discard_unbased(self) -> None:
        """Remove the increment whose first base has not come to be, unless a manifest names it."""
        if self._file is None:
            return
        part = self.manifest.increments[-1]
        self.read_manifest()
        if part not in self.manifest.parts:
            discard(self.world.files, self.on_disk.path_of(part))

    def read_manifest(self) -> None:
        """While no file is open: learn which files lie there. Raises OSError and ManifestError."""
        files = self.world.files
        files.make_directory(self.directory)
        files.sync_directory(self.world.configuration.dir)
        found = self.on_disk.read() if self.on_disk.exists() else Manifest()
        self.manifest = found.behind(self.manifest)

    def remove_history(self) -> None:
        """Remove, aside, the files that the manifest keeps as history."""
        if self.world.configuration.aof_disable_auto_gc:
            return
        parts, disk = self.manifest.history, self.on_disk
        for part in parts:
            self.world.notice(f"Removing the history file {part.name} in the background")
        if parts:
            self.world.background.submit(lambda: disk.remove(parts), lambda error: self._removed(parts, error),
                                         slow=True)

    def _removed(self, parts: tuple[Part, ...], error: OSError | None) -> None:
        """Files of the past are gone: the manifest forgets them, too."""
        manifest = self.manifest.without(parts)
        if error is None:
            try:
                self.on_disk.write(manifest)
            except OSError as failure:
                error = failure
        if error is None:
            self.manifest = manifest
        else:
            self.world.warn(f"History files of the AOF stay in the manifest: {error}")

    def replace_base(self, manifest: Manifest, base_bytes: int) -> None:
        """The manifest names a new base: what it does not hold stands in the file that is open, if one is."""
        self.manifest = manifest
        self.closed_bytes = base_bytes
        self.base_bytes = self.size_bytes
        if self.state is State.BEGINNING:
            self._enter(State.ON)
            if not self._unsynced and not self._syncing:
                self._synced(self._written_offset, None)
        self.remove_history()

    def stop(self) -> None:
        """appendonly no: what was collected is written and synced; the files stay."""
        if self.state is State.OFF:
            return
        self.rewrite.kill()
        self.finish()
        self._buffer.end()
        self._buffer.clear()
        if self.state is State.BEGINNING:
            self.world.warn("AOF was disabled before its first base file was there")
            with contextlib.suppress(OSError, ManifestError):  # it stays then, and nothing names it
                self._discard_unbased()
        self._retire()
        self._enter(State.OFF)
        self._settle_gate(None, None)

    def unwritten_bytes(self) -> int:
        """Write what waits; how much of it cannot be written."""
        self.flush(force=True)
        return self._buffer.length if self._file is not None else 0

    def finish(self) -> None:
        """Write and sync everything: the server ends, or stops to append. What fails is logged."""
        if self._file is None:
            return
        if unwritten := self.unwritten_bytes():
            self.world.warn(f"{unwritten} bytes of changes cannot be written to the AOF file, which ends without them.")
        self.world.notice("Calling fsync() on the AOF file.")
        try:
            self._file.sync()
        except OSError as error:
            self.world.warn(f"Fail to fsync the AOF file: {error.strerror}")
            return
        self._synced(self._written_offset, None)

    def close(self) -> None:
        """The server has ended: let go of the file."""
        self._retire()

    def _take_file(self, file: File) -> None:
        """Append to this file from now on; it begins with a SELECT."""
        self._file = file
        self._file_bytes = file.size()
        self._unsynced = False
        self._buffer.begin()

    def _retire(self) -> None:
        """Close the file behind a sync that may be on its way: its descriptor must not become another file's."""
        if self._file is not None:
            self.world.background.submit(self._file.close, _nothing_follows)
            self._file = None
            self._file_bytes = 0

    def _create_increment(self, occasion: str) -> None:
        manifest = self.manifest.with_increment(self._name)
        part = manifest.increments[-1]
        self.world.notice(f"Creating AOF incr file {part.name} {occasion}")
        file = self.world.files.create(self.on_disk.path_of(part))
        try:
            self.on_disk.write(manifest, made=[part])
        except OSError:
            file.close()
            self._take_back(part)
            raise
        self.manifest = manifest
        self.closed_bytes += self._file_bytes
        self._retire()
        self._take_file(file)

    def _take_back(self, part: Part) -> None:
        """Where the manifest that failed has its name already, have the one before again: what is written to must be
        the last file that is named, or a torn tail would stand in the middle."""
        with contextlib.suppress(OSError, ManifestError):      # the failure itself is told
            if part in self.on_disk.read().parts:
                self.on_disk.write(self.manifest)
                discard(self.world.files, self.on_disk.path_of(part))

    def next_increment(self) -> None:
        """Begin another increment: what is in the ones before is synced then. Raises OSError."""
        assert self._file is not None
        self.flush(force=True)
        if self._write_error is not None:
            raise self._write_error
        self._file.sync()
        self._synced(self._written_offset, None)
        self._create_increment("on background rewrite")

    # ---- writing ----------------------------------------------------------------------------------------------------

    def flush(self, *, force: bool = False) -> None:
        """Write what was collected, and see that it is synced when it must be. Raises PersistenceError (always).

        `force`: try at once what has just failed, too.
        """
        if self._file is None:
            return
        if self._failure is not None:
            raise self._failure
        if self._buffer.length and (force or not self._postpones()):
            self._write()
        if self._unsynced:
            self._sync_if_due()

    def tick(self) -> None:
        """The cron's: what no turn has written or synced since is looked at, a rewrite may be due."""
        self.flush()
        self.rewrite.tick()

    def _postpones(self) -> bool:
        """Whether the next try after an error is still to come."""
        now_ms = self.world.engine.monotonic_ms
        return self._write_error is not None and now_ms - self._tried_ms < RETRY_MILLISECONDS

    def _note_slow_sync(self) -> None:
        """A write beside a sync that takes long may take long, too: that is counted, and told, once for each sync."""
        if self._syncing and not self._told_slow and self._tried_ms - self._synced_ms >= SLOW_SYNC_MILLISECONDS:
            self._told_slow = True
            self.delayed_syncs += 1
            self.world.notice("Asynchronous AOF fsync is taking too long (disk is busy?). Writing the AOF buffer "
                              "without waiting for fsync to complete, this may slow down Ranvier.")

    def _write(self) -> None:
        file, buffer = self._file, self._buffer
        assert file is not None
        self._tried_ms = self.world.engine.monotonic_ms
        self._note_slow_sync()
        length = buffer.length
        try:
            descriptor = file.descriptor
            # Beside a sync on its way a write may stand still: then other threads run.
            if descriptor is not None and length <= UNDER_LOCK_BYTES and not self._syncing:
                taken = buffer.write_under_lock(descriptor)
            else:
                taken = buffer.write(file)
        except OSError as error:
            self._write_failed(0, length, error)
            return
        if taken < length:
            self._write_failed(taken, length, OSError(28, os.strerror(28)))
            return
        self._written(taken)
        if self._write_error is not None:
            self.world.warn("AOF write error looks solved. The server can write again.")
            self._settle_gate(None, self._sync_error)

    def _written(self, count: int) -> None:
        self._buffer.drop(count)
        self._file_bytes += count
        self._written_offset = self._buffer.offset - self._buffer.length
        self._unsynced = True

    def _write_failed(self, taken: int, length: int, error: OSError) -> None:
        """Undo what was written of it, so that the file ends with a whole unit, and refuse writes until it works."""
        assert self._file is not None
        if taken:
            self._log_failure(f"Short write while writing to the AOF file: (nwritten={taken}, expected={length})")
        else:
            self._log_failure(f"Error writing to the AOF file: {error.strerror}")
        if taken:
            try:
                self._file.truncate(self._file_bytes)
            except OSError as refusal:
                self._log_failure(
                    "Could not remove short write from the append-only file. The file may be corrupted if the server "
                    f"ends now. ftruncate: {refusal.strerror}"
                )
                self._written(taken)
        if self.world.configuration.appendfsync == "always":
            text = "Can't recover from AOF write error when the AOF fsync policy is 'always'. Exiting..."
            raise self._failed(text)
        self._settle_gate(error, self._sync_error)

    def _log_failure(self, text: str) -> None:
        now_ms = self.world.engine.monotonic_ms
        if self._write_error is None or self._logged_ms is None or now_ms - self._logged_ms > LOG_MILLISECONDS:
            self._logged_ms = now_ms
            self.world.warn(text)

    # ---- syncing ----------------------------------------------------------------------------------------------------

    def _sync_if_due(self) -> None:
        configuration = self.world.configuration
        if configuration.no_appendfsync_on_rewrite and self.world.children.kind is not None:
            return
        if configuration.appendfsync == "always":
            self._sync_now()
        elif configuration.appendfsync == "everysec" and not self._syncing \
                and self.world.engine.monotonic_ms - self._synced_ms >= SYNC_MILLISECONDS:
            self._sync_aside()

    def _sync_now(self) -> None:
        assert self._file is not None
        self._synced_ms = self.world.engine.monotonic_ms
        try:
            self._file.sync()
        except OSError as error:
            text = (f"Can't persist AOF for fsync error when the AOF fsync policy is 'always': {error.strerror}. "
                    "Exiting...")
            raise self._failed(text) from error
        self._synced(self._written_offset, None)

    def _failed(self, text: str) -> PersistenceError:
        """Under `always`: the server ends before another reply leaves, whoever asked for the write or the sync."""
        self.world.warn(text)
        self._failure = PersistenceError(text)
        self._buffer.insist(True)
        return self._failure

    def _sync_aside(self) -> None:
        assert self._file is not None
        offset = self._written_offset
        self._syncing, self._unsynced, self._told_slow = True, False, False
        self._synced_ms = self.world.engine.monotonic_ms
        self.world.background.submit(self._file.sync, lambda error: self._synced_aside(offset, error))

    def _synced_aside(self, offset: int, error: OSError | None) -> None:
        self._syncing = False
        if error is not None and self._sync_error is None:
            self.world.warn(f"Fail to fsync the AOF file: {error.strerror}")
        self._synced(offset, error)

    def _synced(self, offset: int, error: OSError | None) -> None:
        """Everything up to `offset` is on the disk, or an error says that it may not be."""
        if error is not None:
            self._unsynced = True
        else:
            if self._sync_error is not None:
                # What the system dropped when it failed is in memory alone: a new base brings it back.
                self.rewrite.schedule()
            self._unsynced = self._written_offset > offset
            if self.state is State.ON:
                self.synced_offset = max(self.synced_offset, offset)
                self._buffer.note_synced(self.synced_offset)
        if self.state is not State.OFF:
            self._settle_gate(self._write_error, error)

    def _settle_gate(self, write_error: OSError | None, sync_error: OSError | None) -> None:
        changed = (write_error is None, sync_error is None) != (self._write_error is None, self._sync_error is None)
        self._write_error, self._sync_error = write_error, sync_error
        if changed:
            self.world.disk_errors.set("append-only", self.error or None)

    @property
    def error(self) -> str:
        """Why writes are refused; empty while they are not."""
        error = self._write_error or self._sync_error
        return f"Errors writing to the AOF file: {error.strerror}" if error is not None else ""

    # ---- options and figures ----------------------------------------------------------------------------------------

    def options_changed(self) -> None:
        """appendonly, appendfsync or aof-timestamp-enabled was set. Raises PersistenceError, and stays so."""
        configuration = self.world.configuration
        self.timestamps_changed()
        if self.state is not State.OFF and not configuration.appendonly:
            self.stop()
        elif self.state is State.OFF and configuration.appendonly:
            self.start()
        elif configuration.appendfsync == "always":
            self.flush(force=True)              # nothing that is written may stay unsynced

    def timestamps_changed(self) -> None:
        self._buffer.set_timestamps(self.world.configuration.aof_timestamp_enabled)

    # ---- commands and figures ---------------------------------------------------------------------------------------

    def rewrite_command(self) -> str:
        """BGREWRITEAOF: the status to answer. Raises CommandError."""
        return self.rewrite.ask()

    def reload_command(self) -> None:
        """DEBUG LOADAOF: load the files in place of the data set, at once. Raises CommandError."""
        try:
            self.flush(force=True)
            if self.state is State.OFF:
                self.read_manifest()
            job = AppendOnlyLoad(self.world, self.on_disk, self.manifest)
            for database in self.world.engine.databases:
                database.flush()
            self.world.loading.run(job)
        except (LoadError, ManifestError, OSError) as error:
            self.world.warn(f"The append-only file cannot be loaded: {error}")
            raise CommandError("ERR Error trying to load the AOF files, check server logs.") from None
        self.world.notice("Append Only File loaded by DEBUG LOADAOF")

    def note_sizes(self, sizes: list[int], manifest: Manifest) -> None:
        """The files were loaded: so many bytes each."""
        self.closed_bytes = sum(sizes[:-1] if manifest.increments else sizes)
        self.base_bytes = sizes[0] if manifest.base is not None else 0

    def figures(self) -> dict[str, Figure]:
        """INFO's fields."""
        figures: dict[str, Figure] = {
            "aof_enabled": int(self.state is not State.OFF),
            "aof_last_write_status": "ok" if not self.error else "err",
            **self.rewrite.figures(),
        }
        if self.state is not State.OFF:
            figures |= {
                "aof_current_size": self.size_bytes,
                "aof_base_size": self.base_bytes,
                "aof_pending_rewrite": int(self.rewrite.scheduled),
                "aof_buffer_length": self._buffer.length,
                "aof_pending_bio_fsync": int(self._syncing),
                "aof_delayed_fsync": self.delayed_syncs,
            }
        return figures
