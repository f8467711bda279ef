"""Loading the append-only file: the base, then every increment, through a client without a socket.

Strategy: a job of `persistence/loading`, which calls `step` a few milliseconds a turn. A snapshot is read by the
engine's loader, requests are run by the engine's replay (`engine/persistence/replay`); both work on the mapped file.

A file may end in the middle only where a crash can have left it so: the last one, behind a whole unit. There it is cut
back to that unit (aof-load-truncated). A transaction without its EXEC goes as a whole, and so do zeros behind the last
bytes, which file systems leave where a length was kept and the bytes were not. Everything else that does not fit the
format is damage, and ends the server with the offset; so is a length that points behind the end of the file while whole
requests follow it.
"""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING, Final

from ranvier.errors import LoadError, ReplayError, SnapshotError
from ranvier.persistence.files import Mapping
from ranvier.persistence.manifest import BASE, Manifest, ManifestError, ManifestFile, Part

if TYPE_CHECKING:
    from ranvier.engine.persistence.replay import Replay
    from ranvier.engine.persistence.snapshot_load import SnapshotLoader
    from ranvier.persistence.environment import Environment

SNAPSHOT_MAGICS: Final = (b"REDIS", b"VALKEY")
SNAPSHOT_SUFFIX: Final = ".base.rdb"
CANDIDATES: Final = 1000  # places behind a torn request that are looked at for whole ones
ADVICE: Final = "Make a backup of your AOF file, then use redis-check-aof --fix <filename.manifest>."

_BEGINNING: Final = re.compile(rb"\r\n(?=\*[1-9][0-9]*\r\n\$[0-9])")


def find(world: Environment, disk: ManifestFile) -> Manifest:
    """What there is to load; an empty manifest if nothing. An append-only file of the old kind is moved into place.

    Raises LoadError.
    """
    files = world.files
    name, directory = world.configuration.appendfilename, world.configuration.dir
    old_path = os.path.join(directory, name)
    try:
        manifest = disk.read() if disk.exists() else Manifest()
        upgraded = Part(name, 1, BASE)
        if manifest == Manifest() and files.exists(old_path):
            files.make_directory(disk.directory)
            files.sync_directory(directory)
            manifest = Manifest(base=upgraded, base_sequence=1)
            disk.write(manifest)
        # The second half of it, which a crash may have kept from happening.
        if manifest.parts == (upgraded,) and files.exists(old_path) and not files.exists(disk.path_of(upgraded)):
            files.rename(old_path, disk.path_of(upgraded))
            files.sync_directory(disk.directory)
            files.sync_directory(directory)
            world.notice(f"Successfully migrated an old-style AOF file ({name}) into the AOF directory "
                           f"({world.configuration.appenddirname}).")
    except ManifestError as error:
        world.warn("*** FATAL AOF MANIFEST FILE ERROR ***")
        if error.line:
            world.warn(f"Reading the manifest file, at line {error.line}")
            world.warn(f">>> '{error.text}'")
        world.warn(error.reason)
        raise LoadError(error.reason, 0) from error
    except OSError as error:
        text = f"The append-only file cannot be read: {error}"
        world.warn(text)
        raise LoadError(text, 0) from error
    return manifest


class AppendOnlyLoad:
    """A job for `server.loading`. Raises LoadError where the files cannot be loaded; the log says why."""

    def __init__(self, world: Environment, disk: ManifestFile, manifest: Manifest) -> None:
        self._world = world
        self._disk = disk
        self._parts = list(manifest.parts)
        self._index = -1
        self._mapping: Mapping | None = None
        self._snapshot: SnapshotLoader | None = None
        self.auxiliary: dict[bytes, bytes] = {}     # of the base, if it is a snapshot
        self._loaded_bytes = 0                      # of the parts before this one
        self._started = self._part_started = time.monotonic()
        self.sizes = [self._size(part) for part in self._parts]
        self.total_bytes = sum(self.sizes)
        self._replay = self._new_replay()

    def _new_replay(self) -> Replay:
        handle = self._world.replay_client()
        self._world.engine.add_client(-1, handle)
        return self._world.engine.append_buffer.replay(handle)

    def _size(self, part: Part) -> int:
        try:
            with self._world.files.map(self._disk.path_of(part)) as mapping:
                return len(mapping.data)
        except OSError as error:
            raise self._refused(f"Unable to obtain the AOF file {part.name} length. stat: {error.strerror}") from error

    @property
    def position(self) -> int:
        """Bytes that are loaded."""
        if self._mapping is None:
            return self._loaded_bytes
        return self._loaded_bytes + (self._snapshot.position if self._snapshot else self._replay.position)

    def step(self, nanoseconds: int) -> bool:
        """Load for about so long; whether all of it is done."""
        try:
            if self._mapping is None and not self._next():
                self._end()
                return True
            if self._snapshot is not None:
                self._step_snapshot(nanoseconds)
            elif self._step_requests(nanoseconds):
                self._finish_part()
        except LoadError:
            self.close()
            raise
        return False

    def close(self) -> None:
        """Let go of the files and of the client. Idempotent."""
        self._snapshot = None
        if self._replay.handle.closed:
            return
        self._replay.close()
        if self._mapping is not None:
            self._mapping.close()
            self._mapping = None

    @property
    def _part(self) -> Part:
        return self._parts[self._index]

    def _next(self) -> bool:
        """Open the next part; false when there is none."""
        if self._index + 1 == len(self._parts):
            return False
        self._index += 1
        self._part_started = time.monotonic()
        try:
            self._mapping = self._world.files.map(self._disk.path_of(self._part))
        except OSError as error:
            text = f"Fatal error: can't open the append log file {self._part.name} for reading: {error.strerror}"
            raise self._refused(text) from error
        data = self._mapping.data
        if not data and self._part.kind == BASE and self._part.name.endswith(SNAPSHOT_SUFFIX):
            raise self._refused(f"The RDB base file {self._part.name} is empty: no snapshot is, not even of no keys")
        if bytes(data[:6]).startswith(SNAPSHOT_MAGICS):
            self._world.notice("Reading RDB base file on AOF loading...")
            # What has expired was there when the requests behind it were made: they say themselves when it went.
            configuration = self._world.configuration
            self._snapshot = self._world.engine.snapshots.load(
                data, checksum=configuration.rdbchecksum, drop_expired=False,
                any_version=configuration.rdb_version_check == "relaxed",
                delay_microseconds=configuration.key_load_delay,
            )
            self.auxiliary = self._snapshot.auxiliary
        else:
            self._replay.load(data)
        return True

    def _step_snapshot(self, nanoseconds: int) -> None:
        assert self._snapshot is not None
        assert self._mapping is not None
        try:
            if not self._snapshot.step(nanoseconds):
                return
        except SnapshotError as error:
            self._world.warn(str(error))
            text = f"Error reading the RDB base file {self._part.name}, AOF loading aborted"
            raise self._refused(text, error.offset) from error
        position = self._snapshot.position
        self._world.snapshots.loaded(self._snapshot)
        self._snapshot = None
        self._replay.load(self._mapping.data, position)

    def _step_requests(self, nanoseconds: int) -> bool:
        try:
            return self._replay.step(nanoseconds)
        except ReplayError as error:
            if self._is_last() and self._replay.is_torn_before_zeros():
                return True
            raise self._damaged(error.reason, error.offset) from error

    def _is_last(self) -> bool:
        return self._index + 1 == len(self._parts)

    def _finish_part(self) -> None:
        """All whole requests have run: what is behind them is no request, and goes."""
        assert self._mapping is not None
        replay, name = self._replay, self._part.name
        size, whole, torn_at = len(self._mapping.data), replay.whole, replay.position
        if torn_at < size:
            self._refuse_hidden_requests(torn_at)
        if replay.errors:
            shown = (replay.error or b"").decode("utf-8", "replace")
            self._world.warn(
                f"== CRITICAL == {replay.errors} of the requests of the append-only files up to {name} were answered "
                f"by errors, the last of them '{shown}'"
            )
        replay.release()
        self._mapping.close()
        self._mapping = None
        if whole < size:
            self._cut(whole, replay.in_transaction)
        self._loaded_bytes += self.sizes[self._index]
        self.sizes[self._index] = whole
        kind = "base" if self._part.kind == BASE else "incr"
        seconds = time.monotonic() - self._part_started
        if size:
            self._world.notice(f"DB loaded from {kind} file {name}: {seconds:.3f} seconds")

    def _refuse_hidden_requests(self, torn_at: int) -> None:
        """A crash tears the last request; where whole ones follow, it is a length in the middle that is wrong."""
        assert self._mapping is not None
        for number, match in enumerate(_BEGINNING.finditer(self._mapping.data, torn_at)):
            if number == CANDIDATES:
                return
            if self._replay.begins_request(match.end()):
                raise self._damaged("a request reaches behind the end of the file, and others follow it", torn_at)

    def _cut(self, whole: int, in_transaction: bool) -> None:
        name = self._part.name
        if in_transaction:
            self._world.warn(f"Revert incomplete MULTI/EXEC transaction in AOF file {name}")
        if not self._world.configuration.aof_load_truncated:
            raise self._refused(
                f"Unexpected end of file reading the append only file {name}, behind byte {whole}. You can: 1) "
                f"{ADVICE} 2) Alternatively you can set the 'aof-load-truncated' configuration option to yes and "
                "restart the server."
            )
        if not self._is_last():
            raise self._refused("Fatal error: the truncated file is not the last file: "
                                f"{name} ends behind byte {whole}")
        self._world.warn(f"!!! Warning: short read while loading the AOF file {name}!!!")
        self._world.warn(f"!!! Truncating the AOF {name} at offset {whole} !!!")
        try:
            file = self._world.files.append(self._disk.path_of(self._part))
            try:
                file.truncate(whole)
                file.sync()
            finally:
                file.close()
        except OSError as error:
            raise self._refused(f"Error truncating the AOF file {name}: {error.strerror}") from error
        self._world.warn(f"AOF {name} loaded anyway because aof-load-truncated is enabled")

    def _end(self) -> None:
        self.close()
        seconds = time.monotonic() - self._started
        self._world.notice(f"DB loaded from append only file: {seconds:.3f} seconds")

    def _damaged(self, reason: str, offset: int) -> LoadError:
        name = self._part.name
        if reason.startswith(("unknown command", "wrong number")):
            text = f"Error reading the append only file {name} at offset {offset}, error: {reason}"
        else:
            text = f"Bad file format reading the append only file {name} at offset {offset}: {reason}. {ADVICE}"
        return self._refused(text, offset)

    def _refused(self, text: str, offset: int = 0) -> LoadError:
        self._world.warn(text)
        return LoadError(text, offset)
