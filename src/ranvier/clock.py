"""Time as an argument: the system's clock, and one that only moves when it is told to.

Wall-clock time decides when keys expire; monotonic time everything else (idle times, time-outs, soft limits).
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What a server asks for the time."""

    def wall_ms(self) -> int:
        """Milliseconds since 1970 (Unix time)."""

    def monotonic_ms(self) -> int:
        """Milliseconds since some fixed moment; never goes back."""


class SystemClock:
    """The machine's clocks."""

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000


class VirtualClock:
    """A clock that stands still until `advance` is called. Only the server's own thread may read it while it moves."""

    def __init__(self, wall_ms: int = 1_700_000_000_000) -> None:
        self._wall_ms = wall_ms
        self._monotonic_ms = 1_000_000

    def wall_ms(self) -> int:
        return self._wall_ms

    def monotonic_ms(self) -> int:
        return self._monotonic_ms

    def advance(self, milliseconds: int) -> None:
        """Move both clocks forward."""
        if milliseconds < 0:
            raise ValueError("a clock does not go back")
        self._wall_ms += milliseconds
        self._monotonic_ms += milliseconds
