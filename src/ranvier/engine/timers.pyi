from collections.abc import Callable

class Timers:
    """A server's planned calls."""

    def call_at(self, monotonic_ms: int, callback: Callable[[], None]) -> None: ...
    def cancel(self, callback: Callable[[], None]) -> None: ...
