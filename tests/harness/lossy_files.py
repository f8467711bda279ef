"""A simulated disk that loses what was not synced (`persistence/files`, Files), driven by a seed.

What is seen and what would survive are two things. Every change of a file and of a directory is seen at once; a crash
keeps what was synced, and of the rest, as disks do, any beginning: of a directory's changes since its last sync the
first few, of a file's bytes behind the synced ones a few more, perhaps followed by zeros where the length was kept and
the bytes were not. A file that was cut may come back as it was before.

A crash is a picture of what survives, taken before the n-th operation (`crash_before`). The run that goes on behind it
belongs to a world that is gone; what counts is what had happened until then, which `at_crash` is called to note.
"""

import errno
import os
import posixpath
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from types import TracebackType

from ranvier.clock import VirtualClock
from ranvier.persistence.background import Done, Work

ZEROS_MAXIMUM = 64  # behind what survived of a file


@dataclass(eq=False)
class Content:
    """A file's bytes, and those of them that survive."""

    data: bytearray = field(default_factory=bytearray)
    synced: bytes = b""

    def after_crash(self, random: Random) -> bytes:
        if not self.data.startswith(self.synced):
            return self.synced if random.random() < 0.5 else bytes(self.data)
        torn = len(self.data) - len(self.synced)
        if not torn:
            return self.synced
        kept = random.choice((0, torn, random.randint(0, torn)))
        zeros = random.randint(1, ZEROS_MAXIMUM) if random.random() < 0.2 else 0
        return bytes(self.data[:len(self.synced) + kept]) + b"\0" * zeros


Change = tuple[str, str, Content | None]


class LossyFile:
    """An open file (`File`)."""

    descriptor = None

    def __init__(self, disk: "LossyDisk", content: Content) -> None:
        self._disk = disk
        self._content = content

    def write(self, data: bytes | bytearray | memoryview) -> int:
        self._disk.operation()
        taken = len(data)
        if self._disk.room_bytes is not None:
            taken = min(taken, self._disk.room_bytes)
            if not taken and len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._disk.room_bytes -= taken
        self._content.data += memoryview(data)[:taken]
        return taken

    def sync(self) -> None:
        self._disk.operation()
        if self._disk.sync_error:
            raise OSError(self._disk.sync_error, os.strerror(self._disk.sync_error))
        self._content.synced = bytes(self._content.data)

    def truncate(self, length_bytes: int) -> None:
        self._disk.operation()
        if self._disk.room_bytes is not None:
            self._disk.room_bytes += len(self._content.data) - length_bytes
        del self._content.data[length_bytes:]

    def size(self) -> int:
        return len(self._content.data)

    def close(self) -> None:
        pass


class LossyMapping:
    """A file's bytes to read (`Mapping`)."""

    def __init__(self, content: Content) -> None:
        self.data = memoryview(bytes(content.data))

    def close(self) -> None:
        self.data.release()

    def __enter__(self) -> "LossyMapping":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()


class LossyDisk:
    """A disk (`Files`). `room_bytes`: what fits on it yet, None: anything. `sync_error`: the errno of every sync."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.room_bytes: int | None = None
        self.sync_error = 0
        self.operations = 0
        self._fails_at = -1
        self.survived: LossyDisk | None = None      # after a crash
        self._crash_before = -1
        self._at_crash: Callable[[], None] = lambda: None
        self._seen: dict[str, Content] = {}
        self._kept: dict[str, Content] = {}
        self._changes: dict[str, list[Change]] = {}
        self._directories: set[str] = set()

    # ---- crashing ---------------------------------------------------------------------------------------------------

    def crash_before(self, operation: int, at_crash: Callable[[], None]) -> None:
        """Crash before the operation of this number, counted from now on: 1 is the next."""
        self._crash_before = self.operations + operation
        self._at_crash = at_crash

    def fail_at(self, operation: int) -> None:
        """Fail, once, in the operation of this number, counted from now on: 1 is the next."""
        self._fails_at = self.operations + operation

    def crash_now(self) -> None:
        """Take the picture of what survives."""
        assert self.survived is None
        self._at_crash()
        after = LossyDisk(self.random)
        after._directories = set(self._directories)
        kept = dict(self._kept)
        for changes in self._changes.values():
            _apply(kept, changes[:self.random.randint(0, len(changes))])
        for path, content in kept.items():
            data = content.after_crash(self.random)
            after._seen[path] = after._kept[path] = Content(bytearray(data), data)
        self.survived = after

    def operation(self) -> None:
        self.operations += 1
        if self.operations == self._fails_at:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if self.operations == self._crash_before and self.survived is None:
            self.crash_now()

    # ---- Files ------------------------------------------------------------------------------------------------------

    def create(self, path: str) -> LossyFile:
        self.operation()
        content = Content()
        self._change(path, "link", content)
        return LossyFile(self, content)

    def append(self, path: str) -> LossyFile:
        self.operation()
        if path not in self._seen:
            self._change(path, "link", Content())
        return LossyFile(self, self._seen[path])

    def map(self, path: str) -> LossyMapping:
        return LossyMapping(self._content(path))

    def rename(self, old_path: str, new_path: str) -> None:
        self.operation()
        content = self._content(old_path)
        directory = posixpath.dirname(new_path)
        changes = self._changes.setdefault(directory, [])
        if posixpath.dirname(old_path) == directory:
            changes.append((f"rename {old_path}", new_path, content))
        else:
            self._change(new_path, "link", content)
            self._change(old_path, "unlink", None)
        self._seen.pop(old_path)
        self._seen[new_path] = content

    def remove(self, path: str) -> None:
        self.operation()
        self._content(path)
        self._change(path, "unlink", None)

    def exists(self, path: str) -> bool:
        return path in self._seen or path in self._directories

    def list(self, directory: str) -> list[str]:
        if directory not in self._directories:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), directory)
        return sorted(posixpath.basename(path) for path in self._seen if posixpath.dirname(path) == directory)

    def make_directory(self, path: str) -> None:
        self._directories.add(path)

    def sync_directory(self, path: str) -> None:
        self.operation()
        _apply(self._kept, self._changes.pop(path, []))

    def _content(self, path: str) -> Content:
        if path not in self._seen:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return self._seen[path]

    def _change(self, path: str, what: str, content: Content | None) -> None:
        self._changes.setdefault(posixpath.dirname(path), []).append((what, path, content))
        if content is None:
            self._seen.pop(path)
        else:
            self._seen[path] = content


def _apply(names: dict[str, Content], changes: list[Change]) -> None:
    for what, path, content in changes:
        if content is None:
            names.pop(path, None)
        else:
            names[path] = content
        if what.startswith("rename "):
            names.pop(what.removeprefix("rename "), None)


class BackgroundInTime:
    """Work on files aside (`Background`), each piece done some virtual milliseconds after the one before it."""

    def __init__(self, clock: VirtualClock, random: Random, longest_ms: int) -> None:
        self._clock = clock
        self._random = random
        self._longest_ms = longest_ms
        self._lanes: tuple[list[tuple[int, Work, Done]], ...] = ([], [])

    def submit(self, work: Work, done: Done, *, slow: bool = False) -> None:
        lane = self._lanes[slow]
        begins_ms = max([self._clock.monotonic_ms(), *(at_ms for at_ms, _, _ in lane)])
        lane.append((begins_ms + self._random.randint(0, self._longest_ms), work, done))

    def run_due(self, everything: bool = False) -> None:
        """Do what is due by now."""
        for lane in self._lanes:
            self._run_lane(lane, everything)

    def _run_lane(self, lane: list[tuple[int, Work, Done]], everything: bool) -> None:
        while lane and (everything or lane[0][0] <= self._clock.monotonic_ms()):
            _, work, done = lane.pop(0)
            failure: OSError | None = None
            try:
                work()
            except OSError as error:
                failure = error
            done(failure)

    def close(self) -> None:
        self.run_due(everything=True)
