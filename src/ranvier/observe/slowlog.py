"""The logs of slow and of large commands: the newest entries, of which `engine/command_sizes` keeps each small."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

DEFAULT_ENTRIES: Final = 128        # commandlog-...-max-len
KINDS: Final = ("slow", "large-request", "large-reply")


@dataclass(frozen=True, slots=True)
class SlowlogEntry:
    """One command. `value`: microseconds, or bytes of request or reply. `args` are cut, the name included."""

    id: int
    wall_seconds: int
    value: int
    args: tuple[bytes, ...]
    client_address: str
    client_name: bytes


class Slowlog:
    """The newest `limit` entries; older ones go. Whether a command is noted decides its caller."""

    def __init__(self, limit: int = DEFAULT_ENTRIES) -> None:
        self._entries: deque[SlowlogEntry] = deque(maxlen=limit)
        self._next_id = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def limit(self) -> int:
        """The option slowlog-max-len, or commandlog-...-max-len."""
        return self._entries.maxlen or 0

    @limit.setter
    def limit(self, limit: int) -> None:
        self._entries = deque(islice(self._entries, limit), maxlen=limit)

    def note(self, value: int, args: Sequence[bytes], client_address: str, client_name: bytes,
             wall_seconds: int) -> None:
        """Keep a command. `args` begin with its name, and hold no secrets any more (see `observe/redaction`)."""
        self._entries.appendleft(SlowlogEntry(
            self._next_id, wall_seconds, value, tuple(args), client_address, client_name,
        ))
        self._next_id += 1

    def newest(self, count: int) -> list[SlowlogEntry]:
        """At most `count` entries, newest first; -1 for all."""
        return list(self._entries if count < 0 else islice(self._entries, count))

    def reset(self) -> None:
        """Forget all entries; ids go on."""
        self._entries.clear()
