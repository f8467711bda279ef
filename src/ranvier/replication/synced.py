"""How much of the stream survives a crash of this server: what REPLCONF ACK tells as FACK, for WAITAOF.

The append-only file counts its own bytes, in which the stream's stand in another form. So places that belong together
are noted, and those that the file has on the disk tell how much of the stream is there.
"""

from __future__ import annotations

from collections import deque
from typing import Final

NOTES: Final = 64                # places between two syncs of the file; more of them say nothing that matters


class SyncedOffset:
    """The places of one server."""

    def __init__(self) -> None:
        self._notes: deque[tuple[int, int]] = deque()        # bytes of the file, of the stream
        self._offset = -1

    def note(self, applied: int, written: int, synced: int) -> int:
        """How much of the stream is on the disk; -1 while nobody knows.

        `applied` bytes of the stream have made `written` bytes of the file, of which `synced` are on the disk.
        """
        if len(self._notes) < NOTES:
            self._notes.append((written, applied))
        while self._notes and self._notes[0][0] <= synced:
            self._offset = self._notes.popleft()[1]
        return self._offset

    def forget(self) -> None:
        """Another data set, and another stream."""
        self._notes.clear()
        self._offset = -1
