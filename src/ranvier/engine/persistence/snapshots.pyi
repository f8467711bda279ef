from collections.abc import Callable

from typing_extensions import Buffer

from ranvier.engine.persistence.snapshot_load import SnapshotLoader

class Snapshots:
    """An engine's snapshots (`engine.snapshots`)."""

    forks: int
    fork_microseconds: int
    def key_count(self) -> int: ...
    def empty_databases(self) -> None: ...
    def version(self, newest: int) -> int: ...
    def write(
        self,
        take: Callable[[bytes], object],
        *,
        version: int = 80,
        auxiliary: list[tuple[bytes, bytes]] = ...,
        functions: list[bytes] = ...,
        compress: bool = True,
        checksum: bool = True,
        eof_mark: bytes = b"",
        delay_microseconds: int = 0,
        commands: bool = False,
    ) -> int: ...
    def start_child(
        self,
        descriptors: list[int],
        *,
        version: int = 80,
        auxiliary: list[tuple[bytes, bytes]] = ...,
        functions: list[bytes] = ...,
        compress: bool = True,
        checksum: bool = True,
        eof_mark: bytes = b"",
        delay_microseconds: int = 0,
        incremental_sync: bool = True,
        patience_seconds: float = 60.0,
        commands: bool = False,
    ) -> tuple[int, int]: ...
    def load(
        self,
        data: Buffer,
        *,
        checksum: bool = True,
        drop_expired: bool = True,
        any_version: bool = False,
        aside: bool = False,
        alone: bool = False,
        delay_microseconds: int = 0,
    ) -> SnapshotLoader: ...
