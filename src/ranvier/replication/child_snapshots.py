"""Snapshots for replicas, made by a forked child (`full_sync.SnapshotMaker`)."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ranvier.persistence.children import ChildKind, Children
from ranvier.replication.full_sync import WhenDone

if TYPE_CHECKING:
    from ranvier.config.options import Configuration
    from ranvier.engine.loop import Engine
    from ranvier.persistence.snapshots import Snapshots


class ChildSnapshots:
    """The server's child, when it writes to files and sockets of replicas."""

    def __init__(self, engine: Engine, configuration: Configuration, children: Children,
                 snapshots: Snapshots) -> None:
        self._engine = engine
        self._configuration = configuration
        self._children = children
        self._snapshots = snapshots
        self._when_done: WhenDone | None = None      # None while nothing is made, or nobody wants to hear of it
        self._count = 0                              # of descriptors

    @property
    def busy(self) -> bool:
        return self._children.kind is not None

    def needed_version(self, newest: int) -> int:
        return self._engine.snapshots.version(newest)

    def begin(self, descriptors: Sequence[int], version: int, eof_mark: bytes, when_done: WhenDone) -> None:
        configuration = self._configuration

        def fork() -> tuple[int, int]:
            return self._engine.snapshots.start_child(
                list(descriptors), version=version, auxiliary=self._snapshots.auxiliary(),
                functions=self._snapshots.functions, compress=configuration.rdbcompression,
                checksum=configuration.rdbchecksum, eof_mark=eof_mark,
                patience_seconds=configuration.repl_timeout_seconds,
            )

        self._children.start(ChildKind.SYNCHRONISATION, fork, self._ended)
        self._when_done, self._count = when_done, len(descriptors)

    def stop(self) -> None:
        self._when_done = None
        if self._children.kind is ChildKind.SYNCHRONISATION:
            self._children.kill()

    def _ended(self, ok: bool, text: str) -> None:
        when_done, self._when_done = self._when_done, None
        if when_done is None:
            return
        unknown = 0 if ok else errno.EIO
        when_done(ok, [self._children.errors.get(index, unknown) for index in range(self._count)])
