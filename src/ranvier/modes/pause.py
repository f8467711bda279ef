"""CLIENT PAUSE: what clients ask for is held back for a while, and runs in the order in which it came.

The engine's gates hold requests back, its blocked clients keep them (`engine/modes/blocked`); this is the pause itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ranvier.engine.loop import Engine


class Pause:
    """The pause of one server: none, or of writes or of everything, until a moment."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._everything = False
        self._end_ms: int | None = None      # monotonic
        self._failover = False               # a failover holds writes back, until it is over

    def begin(self, milliseconds: int, everything: bool) -> None:
        """Pause, or go on pausing: of two pauses at once the later end and the stricter kind hold."""
        end_ms = self._engine.monotonic_ms + milliseconds
        self._everything = self._everything or everything
        if self._end_ms is None or end_ms > self._end_ms:
            self._end_ms = end_ms
            self._engine.timers.cancel(self.end)
            self._engine.timers.call_at(end_ms, self.end)
        self._hold()

    def end(self) -> None:
        """End the pause, if there is one; what was held back runs before the loop sleeps."""
        self._end_ms = None
        self._everything = False
        self._engine.timers.cancel(self.end)
        self._hold()

    def hold_for_failover(self, held: bool) -> None:
        """Begin or end to hold writes back, whatever clients asked for."""
        self._failover = held
        self._hold()

    def _hold(self) -> None:
        self._engine.blocked.hold(writes=self._end_ms is not None or self._failover, everything=self._everything)

    @property
    def active(self) -> bool:
        """Clients are paused, for writes at least."""
        return self._end_ms is not None or self._failover

    def figures(self) -> dict[str, int | str]:
        """INFO's fields."""
        if self._failover:
            return {"paused_reason": "failover_in_progress", "paused_actions": "all" if self._everything else "write",
                    "paused_timeout_milliseconds": 0}
        if self._end_ms is None:
            return {"paused_reason": "none", "paused_actions": "none", "paused_timeout_milliseconds": 0}
        return {
            "paused_reason": "client_pause", "paused_actions": "all" if self._everything else "write",
            "paused_timeout_milliseconds": max(0, self._end_ms - self._engine.monotonic_ms),
        }
