"""What took long, and when: the events of the latency monitor; and percentiles of commands' run times.

An event is noted when it takes `latency-monitor-threshold` milliseconds or more. Of each kind the newest 160 seconds in
which it happened are kept, with the longest of each second, as on the reference servers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

SAMPLES: Final = 160


@dataclass(slots=True)
class LatencyEvent:
    """One kind of event. `samples`: (Unix time, milliseconds), one a second."""

    samples: list[tuple[int, int]] = field(default_factory=list)
    longest_ms: int = 0
    total_ms: int = 0
    count: int = 0


class LatencyMonitor:
    """Events by name, since the start or the last reset."""

    def __init__(self) -> None:
        self.threshold_ms = 0       # 0: off
        self.events: dict[str, LatencyEvent] = {}

    def note(self, name: str, milliseconds: int, wall_seconds: int) -> None:
        """Keep an event, if it took as long as the threshold."""
        if not 0 < self.threshold_ms <= milliseconds:
            return
        event = self.events.setdefault(name, LatencyEvent())
        event.longest_ms = max(event.longest_ms, milliseconds)
        event.total_ms += milliseconds
        event.count += 1
        if event.samples and event.samples[-1][0] == wall_seconds:
            event.samples[-1] = (wall_seconds, max(event.samples[-1][1], milliseconds))
            return
        event.samples.append((wall_seconds, milliseconds))
        del event.samples[:-SAMPLES]

    def reset(self, names: Sequence[str] = ()) -> int:
        """Forget these events, all without a name; how many there were."""
        found = [name for name in (names or list(self.events)) if self.events.pop(name, None) is not None]
        return len(found)


def percentiles(counts: Sequence[tuple[int, int]], wanted: Iterable[float]) -> dict[float, float]:
    """Percentile -> microseconds, of calls by how many nanoseconds they took at most (in rising order)."""
    total = sum(calls for _, calls in counts)
    found: dict[float, float] = {}
    for percentile in wanted:
        due = max(1, round(total * percentile / 100))
        seen = 0
        for nanoseconds, calls in counts:
            seen += calls
            if seen >= due:
                found[percentile] = nanoseconds / 1000
                break
    return found
