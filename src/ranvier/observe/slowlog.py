"""The logs of slow and of large commands: the newest entries, trimmed so that no command can make a log large."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from ranvier.limits import SLOWLOG_ARGUMENT_BYTES, SLOWLOG_ARGUMENTS

DEFAULT_ENTRIES: Final = 128        # commandlog-...-max-len
KINDS: Final = ("slow", "large-request", "large-reply")


@dataclass(frozen=True, slots=True)
class SlowlogEntry:
    """One command. `value`: microseconds, or bytes of request or reply. `args` are trimmed, the name included."""

    id: int
    wall_seconds: int
    value: int
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


def request_bytes(args: Sequence[bytes]) -> int:
    """What a request takes in the protocol, if it came as an array of bulk strings."""
    return len(b"*%d\r\n" % len(args)) + sum(len(b"$%d\r\n" % len(arg)) + len(arg) + 2 for arg in args)


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
        """Keep a command. `args` begin with its name and hold no secrets any more (see `observe/redaction`)."""
        self._entries.appendleft(SlowlogEntry(
            self._next_id, wall_seconds, value, trim_arguments(args), client_address, client_name,
        ))
        self._next_id += 1

    def newest(self, count: int) -> list[SlowlogEntry]:
        """At most `count` entries, newest first; -1 for all."""
        return list(self._entries if count < 0 else islice(self._entries, count))

    def reset(self) -> None:
        """Forget all entries; ids go on."""
        self._entries.clear()
