"""Where a snapshot from the primary is collected before it is loaded: a file nobody else sees, or memory.

Both give the whole as one piece of memory in the end (`data`), and leave nothing behind when they are closed. The
file is not the server's own snapshot and never becomes it: see docs/decisions/0008.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from mmap import ACCESS_READ, mmap
from typing import IO, Protocol

from ranvier.replication.transfer import Chunk


class Collected(Protocol):
    """A collector with its end."""

    def add(self, data: Chunk) -> None: ...

    def cut(self, length_bytes: int) -> None: ...

    def data(self) -> memoryview:
        """Everything. Nothing is added afterwards. Raises OSError."""

    def close(self) -> None:
        """Give the room back; idempotent. Nobody may hold a view of `data` then."""


class MemoryCollector:
    """Memory that grows with what arrives (repl-diskless-load)."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._view: memoryview | None = None

    def add(self, data: Chunk) -> None:
        self._bytes += data

    def cut(self, length_bytes: int) -> None:
        del self._bytes[length_bytes:]

    def data(self) -> memoryview:
        self._view = memoryview(self._bytes)
        return self._view

    def close(self) -> None:
        if self._view is not None:
            self._view.release()
        self._bytes = bytearray()


class FileCollector:
    """A file without a name in the server's directory, which is gone whatever happens to the server."""

    def __init__(self, directory: str) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(  # noqa: SIM115, closed by `close`
            prefix="temp-replica-", suffix=".rdb", dir=directory, buffering=0
        )
        self._map: mmap | None = None
        self._view: memoryview | None = None

    def add(self, data: Chunk) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest):]

    def cut(self, length_bytes: int) -> None:
        self._file.truncate(length_bytes)

    def data(self) -> memoryview:
        length_bytes = os.fstat(self._file.fileno()).st_size
        if length_bytes:                     # an empty file cannot be mapped
            self._map = mmap(self._file.fileno(), length_bytes, access=ACCESS_READ)
        self._view = memoryview(self._map or b"")
        return self._view

    def close(self) -> None:
        if self._view is not None:
            self._view.release()
            self._view = None
        if self._map is not None:
            self._map.close()
            self._map = None
        self._file.close()


def collector(directory: str, diskless_load: str, is_empty: Callable[[], bool]) -> Collected:
    """By repl-diskless-load: `on-empty-db` takes a file while there is a data set that needs the memory."""
    if diskless_load == "disabled" or (diskless_load == "on-empty-db" and not is_empty()):
        return FileCollector(directory)
    return MemoryCollector()
