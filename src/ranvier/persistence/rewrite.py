"""Rewriting the append-only file: a new base with what there is, in place of all that led to it.

Strategy: another increment begins, a child writes a snapshot of this moment (or, without aof-use-rdb-preamble, the
commands that make it) beside the files, and when it is whole it gets its name and the manifest names it and that
increment alone; the rest is removed. Whatever fails on the way leaves the files as they were, with one increment more.
Without a descriptor that a child could write to (a simulated disk) the base is written at once.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from ranvier.errors import CommandError
from ranvier.persistence.children import KILLED, ChildKind
from ranvier.persistence.environment import State
from ranvier.persistence.files import File, discard
from ranvier.persistence.manifest import ManifestError

if TYPE_CHECKING:
    from ranvier.persistence.append_only import AppendOnly
    from ranvier.persistence.environment import Environment

IN_PROGRESS: Final = "ERR Background append only file rewriting already in progress"
FAILED: Final = "ERR Can't execute an AOF background rewriting. Please check the server logs for more information."

FAILURES_BEFORE_DELAY: Final = 3  # one after the other; then the automatic rewrite waits
DELAY_MINUTES: Final = 1  # doubled by each further failure
DELAY_MAXIMUM_MINUTES: Final = 60


class Rewrite:
    """The rewriting of one server's append-only file."""

    def __init__(self, world: Environment, owner: AppendOnly) -> None:
        self._world = world
        self._owner = owner
        self._file: File | None = None          # that the child writes to
        self._path = ""
        self._suffix = ""                       # of the base's name
        self._kept_increments = 0
        self._started_ms = 0
        self.scheduled = False
        self._succeeded = True
        self._count = 0
        self._failures = 0                      # since the last success
        self._delayed_until_ms = 0
        self._last_seconds = -1
        self._last_copied_bytes = 0

    @property
    def running(self) -> bool:
        return self._file is not None

    # ---- when -------------------------------------------------------------------------------------------------------

    def ask(self) -> str:
        """BGREWRITEAOF: the status to answer. Raises CommandError."""
        if self.running:
            raise CommandError(IN_PROGRESS)
        if self._world.children.kind is not None:
            self.scheduled = True
            return "Background append only file rewriting scheduled"
        if not self.start():
            raise CommandError(FAILED)
        return "Background append only file rewriting started"

    def schedule(self) -> None:
        """Rewrite as soon as no child runs."""
        self.scheduled = True

    def tick(self) -> None:
        """The cron's: start what is scheduled, or what has become due because the file has grown."""
        if self.running or self._world.children.kind is not None:
            return
        if self.scheduled or self._owner.state is State.BEGINNING:
            # A first base that failed is tried again, but not ten times a second.
            if self._delayed_until_ms <= self._world.engine.monotonic_ms:
                self.start()
            return
        growth = self._growth()
        if growth is not None and not self._limited():
            self._world.notice(f"Starting automatic rewriting of AOF on {growth}% growth")
            self.start()

    def _growth(self) -> int | None:
        """By how many per cent the files have grown since the last rewrite, if that makes the next one due."""
        configuration, owner = self._world.configuration, self._owner
        wanted, least_bytes = configuration.auto_aof_rewrite_percentage, configuration.auto_aof_rewrite_min_size_bytes
        if owner.state is not State.ON or wanted == 0 or owner.size_bytes <= least_bytes:
            return None
        growth = owner.size_bytes * 100 // (owner.base_bytes or 1) - 100
        return growth if growth >= wanted else None

    def _limited(self) -> bool:
        """Whether the automatic rewrite waits after failures."""
        return self._failures >= FAILURES_BEFORE_DELAY and self._delayed_until_ms > self._world.engine.monotonic_ms

    @property
    def suffix(self) -> str:
        """Of a base that is begun now: `rdb`, a snapshot, or `aof`, commands, which do not express functions."""
        commands = not self._world.configuration.aof_use_rdb_preamble and not self._world.snapshots.functions
        return "aof" if commands else "rdb"

    # ---- how --------------------------------------------------------------------------------------------------------

    def start(self) -> bool:
        """Begin; False, with the reason in the log, when that fails."""
        world, owner = self._world, self._owner
        self.scheduled = False
        self._started_ms = world.engine.monotonic_ms
        self._path = os.path.join(owner.directory, f"temp-rewriteaof-bg-{os.getpid()}.aof")
        self._suffix = self.suffix
        try:
            if owner.state is State.ON:
                owner.next_increment()
            elif owner.state is State.BEGINNING:
                owner.begin_unbased()
            else:
                owner.read_manifest()
            self._kept_increments = int(owner.state is not State.OFF)
            self._file = world.files.create(self._path)
            if self._file.descriptor is None:
                self._write_to(self._file)
                self._file.sync()
                world.engine.post(lambda: self._ended(True, ""))
            else:
                self._fork(self._file.descriptor)
        except (OSError, ManifestError) as error:
            world.warn(f"Can't rewrite append only file in background: {error}")
            self._fail()
            return False
        return True

    def write_base(self, path: str) -> None:
        """Write a base in the foreground, whole and durable when this returns. Raises OSError."""
        files = self._world.files
        temporary = os.path.join(self._owner.directory, f"temp-rewriteaof-{os.getpid()}.aof")
        file = files.create(temporary)
        try:
            self._write_to(file)
            file.sync()
            files.rename(temporary, path)
            self._owner.closed_bytes = file.size()
        except OSError:
            discard(files, temporary)
            raise
        finally:
            file.close()

    def _write_to(self, file: File) -> None:
        def take(data: bytes) -> None:
            view = memoryview(data)
            while view:
                view = view[file.write(view):]

        configuration, snapshots = self._world.configuration, self._world.snapshots
        self._world.engine.snapshots.write(
            take, auxiliary=snapshots.auxiliary(aof_base=True), functions=snapshots.functions,
            compress=configuration.rdbcompression, checksum=configuration.rdbchecksum, commands=self.suffix == "aof",
        )

    def _fork(self, descriptor: int) -> None:
        world = self._world
        configuration, snapshots = world.configuration, world.snapshots
        pid = world.children.start(
            ChildKind.REWRITE,
            lambda: world.engine.snapshots.start_child(
                [descriptor], auxiliary=snapshots.auxiliary(aof_base=True), functions=snapshots.functions,
                compress=configuration.rdbcompression, checksum=configuration.rdbchecksum,
                delay_microseconds=configuration.rdb_key_save_delay,
                incremental_sync=configuration.aof_rewrite_incremental_fsync, commands=self._suffix == "aof",
            ),
            self._ended,
        )
        world.notice(f"Background append only file rewriting started by pid {pid}")

    def _ended(self, succeeded: bool, text: str) -> None:
        """The child is done, or gone."""
        if self._file is None:
            return
        world = self._world
        self._last_copied_bytes = world.children.copied_bytes
        if text == KILLED:
            self._drop()
            return
        if not succeeded:
            world.warn(f"Background AOF rewrite terminated by error: {text}")
            self._fail()
            return
        world.notice("Background AOF rewrite terminated with success")
        try:
            self._install()
        except OSError as error:
            world.warn(f"The rewritten AOF could not be put in place: {error}")
            self._fail()

    def _install(self) -> None:
        """Have the manifest name the new base; what it replaces is removed."""
        world, owner, disk = self._world, self._owner, self._owner.on_disk
        assert self._file is not None
        base_bytes = self._file.size()
        manifest = owner.manifest.with_base(world.configuration.appendfilename, self._suffix, self._kept_increments)
        assert manifest.base is not None
        world.files.rename(self._path, disk.path_of(manifest.base))
        world.notice(f"Successfully renamed the temporary AOF base file {os.path.basename(self._path)} into "
                       f"{manifest.base.name}")
        disk.write(manifest, made=[manifest.base])
        self._file.close()
        self._file = None
        self._succeed()
        owner.replace_base(manifest, base_bytes)

    def _succeed(self) -> None:
        self._succeeded, self._failures = True, 0
        self._delayed_until_ms = 0
        self._count += 1
        self._last_seconds = (self._world.engine.monotonic_ms - self._started_ms) // 1000
        self._world.notice("Background AOF rewrite finished successfully")

    def _fail(self) -> None:
        self._succeeded = False
        self._count += 1
        self._failures += 1
        self._drop()
        over = self._failures - FAILURES_BEFORE_DELAY
        if over >= 0:
            minutes = min(DELAY_MINUTES << min(over, 10), DELAY_MAXIMUM_MINUTES)
            self._delayed_until_ms = self._world.engine.monotonic_ms + minutes * 60_000
            self._world.warn("Background AOF rewrite has repeatedly failed and triggered the limit, will "
                                 f"retry in {minutes} minutes")
        else:
            self._delayed_until_ms = self._world.engine.monotonic_ms + 1000

    def _drop(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
            discard(self._world.files, self._path)

    def kill(self) -> None:
        """Call it off: the child ends, the files stay as they were."""
        self.scheduled = False
        if self._file is None:
            return
        self._world.notice("Killing running AOF rewrite child")
        if self._world.children.kind is ChildKind.REWRITE:
            self._world.children.kill()
        else:
            self._drop()

    def figures(self) -> dict[str, int | float | str]:
        """INFO's fields."""
        now_ms = self._world.engine.monotonic_ms
        return {
            "aof_rewrite_in_progress": int(self.running),
            "aof_rewrite_scheduled": int(self.scheduled),
            "aof_last_rewrite_time_sec": self._last_seconds,
            "aof_current_rewrite_time_sec": (now_ms - self._started_ms) // 1000 if self.running else -1,
            "aof_last_bgrewrite_status": "ok" if self._succeeded else "err",
            "aof_rewrites": self._count,
            "aof_rewrites_consecutive_failures": self._failures,
            "aof_last_cow_size": self._last_copied_bytes,
        }
