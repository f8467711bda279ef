"""Rates per second over the last samples of counters that only grow: INFO's `instantaneous_...`."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final

SAMPLES: Final = 16     # at ten samples a second, the last 1.6 seconds


class Rates:
    """The server's cron hands in its counters; `per_second` is what they grew by."""

    def __init__(self) -> None:
        self._samples: deque[tuple[int, Mapping[str, int]]] = deque(maxlen=SAMPLES)

    def sample(self, monotonic_ms: int, counters: Mapping[str, int]) -> None:
        """Keep a copy of the counters as they are at this moment."""
        self._samples.append((monotonic_ms, dict(counters)))

    def per_second(self, name: str) -> float:
        """0 until two samples lie apart in time, and after a reset of the counter."""
        if len(self._samples) < 2:
            return 0.0
        (first_ms, first), (last_ms, last) = self._samples[0], self._samples[-1]
        grown = last.get(name, 0) - first.get(name, 0)
        return max(0, grown) * 1000 / (last_ms - first_ms) if last_ms > first_ms else 0.0

    def per_unit(self, name: str, unit: str) -> float:
        """What the counter `name` grew by for each one that `unit` grew by; 0 when it did not."""
        if len(self._samples) < 2:
            return 0.0
        first, last = self._samples[0][1], self._samples[-1][1]
        grown, units = last.get(name, 0) - first.get(name, 0), last.get(unit, 0) - first.get(unit, 0)
        return grown / units if units > 0 and grown > 0 else 0.0

    def reset(self) -> None:
        """After CONFIG RESETSTAT: the counters begin anew."""
        self._samples.clear()
