"""Calls that a server has planned on its own clock: a heap by time, those of the same time in the order of planning.

The loop asks `next_ms` for how long it may sleep, and takes what is due. Belongs to the server's thread.
"""

import heapq


cdef class Timers:
    """A server's planned calls."""

    def __init__(self) -> None:
        self._heap = []
        self.next_ms = -1

    def call_at(self, monotonic_ms: int, callback: object) -> None:
        """Call `callback()` in the first turn at or after that time of the server's monotonic clock."""
        self._sequence += 1
        heapq.heappush(self._heap, (monotonic_ms, self._sequence, callback))
        self._look()

    def cancel(self, callback: object) -> None:
        """Forget every call of this callback that has not come yet."""
        self._heap = [timer for timer in self._heap if timer[2] != callback]
        heapq.heapify(self._heap)
        self._look()

    cdef object pop(self):
        """The earliest callback, of which there must be one."""
        cdef object callback = heapq.heappop(self._heap)[2]
        self._look()
        return callback

    cdef void _look(self):
        self.next_ms = self._heap[0][0] if self._heap else -1
