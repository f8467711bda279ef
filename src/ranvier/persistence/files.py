"""The files that a server keeps, as an argument: the system's, or a simulated disk that loses what was not synced.

What durability rests on, and nothing more. A file's bytes survive a crash when `File.sync` has returned; that a file
exists, or has its new name, survives when `Files.sync_directory` of its directory has. Paths are those of the system;
relative ones count from the process's working directory. Every method raises OSError with `errno` set.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import sys
from types import TracebackType
from typing import Final, Protocol

Bytes = bytes | bytearray | memoryview

MODE: Final = 0o644
DIRECTORY_MODE: Final = 0o755


class File(Protocol):
    """A file open for writing; every write goes to its end."""

    @property
    def descriptor(self) -> int | None:
        """The system's descriptor, which a forked child may write to; None where there is none (a simulated disk)."""

    def write(self, data: Bytes) -> int:
        """Append; how many bytes were taken, which may be fewer than given when the disk is nearly full."""

    def sync(self) -> None:
        """Return when all bytes written so far survive a crash. May be called from another thread."""

    def truncate(self, length_bytes: int) -> None:
        """Cut the file to this length."""

    def size(self) -> int:
        """Bytes in the file."""

    def close(self) -> None:
        """Let go of it, without a sync. Idempotent."""


class Mapping(Protocol):
    """A file's bytes to read, as they were when it was mapped. A context manager, which closes it."""

    @property
    def data(self) -> memoryview:
        """All bytes; of no use once the mapping is closed."""

    def close(self) -> None:
        """Let go of it; nobody may hold a view of `data` then. Idempotent."""

    def __enter__(self) -> Mapping: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None: ...


class Files(Protocol):
    """Where a server's files are."""

    def create(self, path: str) -> File:
        """A new file; one of this name is emptied."""

    def append(self, path: str) -> File:
        """A file to go on with; made if there is none."""

    def map(self, path: str) -> Mapping:
        """A file's bytes. Raises FileNotFoundError when there is no such file."""

    def rename(self, old_path: str, new_path: str) -> None:
        """Give a file another name, at once; a file that has that name is replaced."""

    def remove(self, path: str) -> None:
        """Remove a file. Raises FileNotFoundError when there is none."""

    def exists(self, path: str) -> bool:
        """Whether there is a file or directory of this name."""

    def list(self, directory: str) -> list[str]:
        """The names in a directory, sorted. Raises FileNotFoundError when there is none."""

    def make_directory(self, path: str) -> None:
        """Make a directory unless it is there."""

    def sync_directory(self, path: str) -> None:
        """Return when the names in the directory, new ones and those that are gone, survive a crash."""


class SystemFile:
    """A file of the system (`File`)."""

    __slots__ = ("_descriptor",)

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @property
    def descriptor(self) -> int | None:
        return self._descriptor

    def write(self, data: Bytes) -> int:
        return os.write(self._descriptor, data)

    def sync(self) -> None:
        synchronise(self._descriptor)

    def truncate(self, length_bytes: int) -> None:
        os.ftruncate(self._descriptor, length_bytes)

    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class SystemMapping:
    """A mapped file of the system (`Mapping`)."""

    __slots__ = ("_data", "_map")

    def __init__(self, path: str) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            # An empty file cannot be mapped.
            length_bytes = os.fstat(descriptor).st_size
            self._map = mmap.mmap(descriptor, length_bytes, access=mmap.ACCESS_READ) if length_bytes else None
        finally:
            os.close(descriptor)
        self._data = memoryview(self._map or b"")

    @property
    def data(self) -> memoryview:
        return self._data

    def close(self) -> None:
        self._data.release()
        if self._map is not None:
            self._map.close()

    def __enter__(self) -> SystemMapping:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()


class SystemFiles:
    """The system's files (`Files`)."""

    def create(self, path: str) -> SystemFile:
        return SystemFile(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, MODE))

    def append(self, path: str) -> SystemFile:
        return SystemFile(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, MODE))

    def map(self, path: str) -> SystemMapping:
        return SystemMapping(path)

    def rename(self, old_path: str, new_path: str) -> None:
        os.replace(old_path, new_path)

    def remove(self, path: str) -> None:
        os.unlink(path)

    def exists(self, path: str) -> bool:
        return os.path.exists(path)

    def list(self, directory: str) -> list[str]:
        return sorted(os.listdir(directory))

    def make_directory(self, path: str) -> None:
        os.makedirs(path, DIRECTORY_MODE, exist_ok=True)

    def sync_directory(self, path: str) -> None:
        descriptor = os.open(path or os.curdir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def discard(files: Files, path: str) -> None:
    """Remove what is left of a file that failed to come to be; that it failed, and why, is told by whom it failed."""
    with contextlib.suppress(OSError):
        files.remove(path)


def synchronise(descriptor: int) -> None:
    """Bring a file's bytes and its length to the disk; what else is known of it may come later."""
    if sys.platform == "darwin":
        import fcntl

        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)  # fsync there stops at the drive's own memory
    else:
        os.fdatasync(descriptor)
