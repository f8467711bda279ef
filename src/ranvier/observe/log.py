"""The server log: one line per event, in the shape that tools for Redis read.

`pid:role day month year time mark text`, the mark telling the level. A line is one unbuffered write, so that lines
of several threads never mix and nothing is lost in a crash.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable

DEBUG, VERBOSE, NOTICE, WARNING, NOTHING = range(5)
LEVELS = ("debug", "verbose", "notice", "warning", "nothing")
MARKS = ".-*#"
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
STANDARD_OUTPUT = 1
LOG_FILE_MODE = 0o644


class ServerLog:
    """A log that writes to one descriptor.

    `level` is one of LEVELS; `role` is M for a primary, S for a replica, C for a child process; `now` gives the
    wall clock in seconds. A line that cannot be written is dropped: there is nobody else to tell.
    """

    __slots__ = ("_now", "descriptor", "level", "pid", "role")

    def __init__(
        self,
        descriptor: int = STANDARD_OUTPUT,
        level: str = "notice",
        role: str = "M",
        now: Callable[[], float] = time.time,
    ) -> None:
        self.descriptor = descriptor
        self.level = LEVELS.index(level)
        self.role = role
        self.pid = os.getpid()
        self._now = now

    @classmethod
    def to_file(cls, path: str, level: str = "notice") -> ServerLog:
        """A log that appends to a file; raises OSError if it cannot be opened."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        return cls(os.open(path, flags, LOG_FILE_MODE), level)

    def set_level(self, level: str) -> None:
        """Write events of this level and above from now on."""
        self.level = LEVELS.index(level)

    def log(self, level: int, text: str) -> None:
        """Write one event, if its level (DEBUG to WARNING) is on."""
        if level < self.level:
            return
        now = self._now()
        parts = time.localtime(now)
        stamp = (
            f"{parts.tm_mday:02d} {MONTHS[parts.tm_mon - 1]} {parts.tm_year}"
            f" {parts.tm_hour:02d}:{parts.tm_min:02d}:{parts.tm_sec:02d}.{int(now * 1000) % 1000:03d}"
        )
        line = f"{self.pid}:{self.role} {stamp} {MARKS[level]} {text}\n"
        with contextlib.suppress(OSError):
            os.write(self.descriptor, line.encode("utf-8", "surrogateescape"))

    def close(self) -> None:
        """Close the descriptor, unless it is standard output."""
        if self.descriptor != STANDARD_OUTPUT:
            os.close(self.descriptor)
