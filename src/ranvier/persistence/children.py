"""The forked child that writes the data set away: at most one at a time, followed through its pipe.

A child is a snapshot to a file, a rewrite of the append-only file or a full synchronisation: all of them copy what the
server changes meanwhile, so that two at once would cost twice the memory. The child tells of its work in records
(`engine/persistence/fork.pxd`), which the server's loop reads as they come. What counts is the record of its end: a
host program that waits for all children may have taken the exit status.

Invariant: while `kind` is set the pipe is open and watched, and the process has not been waited for.
"""

from __future__ import annotations

import contextlib
import os
import signal
import struct
from collections.abc import Callable
from enum import Enum
from typing import Final, Protocol

RECORD: Final = struct.Struct("=4q")
PROGRESS, DESCRIPTOR, END = 1, 2, 3             # engine/persistence/fork.pxd, ReportKind
READ_BYTES: Final = 128 * RECORD.size
KILLED: Final = "killed"

Fork = Callable[[], "tuple[int, int]"]
WhenDone = Callable[[bool, str], None]


class ChildKind(Enum):
    """What a child is for."""

    SNAPSHOT = "snapshot"
    REWRITE = "rewrite"
    SYNCHRONISATION = "synchronisation"


class Snapshots(Protocol):
    """`engine/persistence/snapshots`, as far as it is needed here."""

    forks: int
    fork_microseconds: int

    def key_count(self) -> int: ...


class Engine(Protocol):
    @property
    def snapshots(self) -> Snapshots: ...
    @property
    def monotonic_ms(self) -> int: ...
    def watch(self, fd: int, callback: Callable[[], None]) -> None: ...
    def unwatch(self, fd: int) -> None: ...


class Children:
    """The child of one server. Belongs to the server's thread."""

    def __init__(self, engine: Engine, note_latency: Callable[[str, int], None] = lambda event, ms: None) -> None:
        """`note_latency(event, milliseconds)`: the latency monitor."""
        self._engine = engine
        self._note_latency = note_latency
        self.kind: ChildKind | None = None
        self.pid = 0
        self.started_ms = 0                     # monotonic
        self.errors: dict[int, int] = {}        # of the last child: index of a descriptor -> errno; 0: it got it all
        self.copied_bytes = 0                   # on write, of this child or the last one
        self._pipe = -1
        self._unread = b""
        self._ended = False
        self._when_done: WhenDone = lambda ok, text: None
        self._copied_peak_bytes = 0
        self._reported_ms = 0
        self._keys = 0
        self._keys_total = 0

    def start(self, kind: ChildKind, fork: Fork, when_done: WhenDone) -> int:
        """Fork a child by `fork` (Snapshots.start_child); its pid. Raises OSError, and what `fork` raises.

        `when_done(ok, text)` is called when it has ended: `text` says how, KILLED after `kill`.
        """
        if self.kind is not None:
            raise RuntimeError("there is a child already")
        keys = self._engine.snapshots.key_count()
        self.pid, self._pipe = fork()
        self.kind, self._when_done = kind, when_done
        self.started_ms = self._reported_ms = self._engine.monotonic_ms
        self.errors = {}
        self.copied_bytes = self._copied_peak_bytes = self._keys = 0
        self._keys_total = keys
        self._unread, self._ended = b"", False
        self._note_latency("fork", self._engine.snapshots.fork_microseconds // 1000)
        self._engine.watch(self._pipe, self._read)
        return self.pid

    def kill(self) -> None:
        """End the child, if there is one; who started it learns of it before this returns."""
        if self.kind is None:
            return
        with contextlib.suppress(ProcessLookupError):       # it has just ended, and somebody else has waited for it
            os.kill(self.pid, signal.SIGKILL)
        self._finish(killed=True)

    def figures(self) -> dict[str, int | float]:
        """INFO's fields about a child that runs, and about forks."""
        snapshots = self._engine.snapshots
        figures: dict[str, int | float] = {
            "latest_fork_usec": snapshots.fork_microseconds, "total_forks": snapshots.forks,
        }
        if self.kind is not None:
            figures |= {
                "current_cow_peak": self._copied_peak_bytes,
                "current_cow_size": self.copied_bytes,
                "current_cow_size_age": (self._engine.monotonic_ms - self._reported_ms) // 1000,
                "current_fork_perc": 100.0 * self._keys / self._keys_total if self._keys_total else 0.0,
                "current_save_keys_processed": self._keys,
                "current_save_keys_total": self._keys_total,
            }
        return figures

    def _read(self) -> None:
        """The pipe is readable: records, or its end."""
        while True:
            try:
                data = os.read(self._pipe, READ_BYTES)
            except BlockingIOError:
                return
            if not data:
                self._finish(killed=False)
                return
            self._unread += data
            whole = len(self._unread) - len(self._unread) % RECORD.size
            for record in RECORD.iter_unpack(self._unread[:whole]):
                self._note(*record)
            self._unread = self._unread[whole:]

    def _note(self, kind: int, first: int, second: int, third: int) -> None:
        if kind == DESCRIPTOR:
            self.errors[first] = second
            return
        self._keys, self.copied_bytes = first, second
        self._copied_peak_bytes = max(self._copied_peak_bytes, second)
        self._reported_ms = self._engine.monotonic_ms
        self._ended = self._ended or kind == END

    def _finish(self, killed: bool) -> None:
        self._engine.unwatch(self._pipe)
        os.close(self._pipe)
        try:
            status = os.waitpid(self.pid, 0)[1]
        except ChildProcessError:
            status = 0                          # somebody else has waited for it: the pipe has told what counts
        ok = self._ended and not killed and status == 0
        self.kind = None
        when_done, self._when_done = self._when_done, lambda ok, text: None
        when_done(ok, KILLED if killed else "" if ok else self._cause(status))

    def _cause(self, status: int) -> str:
        if os.WIFSIGNALED(status):
            return f"terminated by signal {os.WTERMSIG(status)}"
        failed = next((error for error in self.errors.values() if error), 0)
        return os.strerror(failed) if failed else f"ended with status {os.WEXITSTATUS(status)}"
