"""The log of slow commands: the newest entries, trimmed so that no command can make the log large."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from ranvier.limits import SLOWLOG_ARGUMENT_BYTES, SLOWLOG_ARGUMENTS

DEFAULT_ENTRIES: Final = 128        # slowlog-max-len


@dataclass(frozen=True, slots=True)
class SlowlogEntry:
    """One slow command. `args` are trimmed, the name included."""

    id: int
    wall_seconds: int
    duration_usec: int
    args: tuple[bytes, ...]
    client_address: str
    client_name: bytes


def trim_arguments(args: Sequence[bytes]) -> tuple[bytes, ...]:
    """At most 32 arguments of 128 bytes; what is left out is said in words, as the reference servers do."""
    kept = list(args)
    if len(kept) > SLOWLOG_ARGUMENTS:
        left = len(kept) - (SLOWLOG_ARGUMENTS - 1)
        kept[SLOWLOG_ARGUMENTS - 1:] = [b"... (%d more arguments)" % left]
    return tuple(
        arg if len(arg) <= SLOWLOG_ARGUMENT_BYTES
        else arg[:SLOWLOG_ARGUMENT_BYTES] + b"... (%d more bytes)" % (len(arg) - SLOWLOG_ARGUMENT_BYTES)
        for arg in kept
    )


class Slowlog:
    """The newest `limit` entries; older ones go. Whether a command is slow decides the engine."""

    def __init__(self, limit: int = DEFAULT_ENTRIES) -> None:
        self._entries: deque[SlowlogEntry] = deque(maxlen=limit)
        self._next_id = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def limit(self) -> int:
        """The option slowlog-max-len."""
        return self._entries.maxlen or 0

    @limit.setter
    def limit(self, limit: int) -> None:
        self._entries = deque(islice(self._entries, limit), maxlen=limit)

    def note(self, duration_usec: int, args: Sequence[bytes], client_address: str, client_name: bytes,
             wall_seconds: int) -> None:
        """Keep a command. `args` begin with its name and hold no secrets any more (see `observe/redaction`)."""
        self._entries.appendleft(SlowlogEntry(
            self._next_id, wall_seconds, duration_usec, trim_arguments(args), client_address, client_name,
        ))
        self._next_id += 1

    def newest(self, count: int) -> list[SlowlogEntry]:
        """At most `count` entries, newest first; -1 for all."""
        return list(self._entries if count < 0 else islice(self._entries, count))

    def reset(self) -> None:
        """Forget all entries; ids go on."""
        self._entries.clear()
