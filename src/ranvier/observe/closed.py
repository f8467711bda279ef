"""The last closes: who went, why, and what each had done. What CLIENT CLOSED reads, and INFO counts."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from ranvier.limits import CLOSED_NAME_BYTES

DEFAULT_ENTRIES: Final = 128        # client-closed-max-len


@dataclass(frozen=True, slots=True)
class ClosedClient:
    """One close. `id` 0 was a connection that never became a client. Names are cut to CLOSED_NAME_BYTES."""

    id: int
    address: str
    local_address: str
    name: bytes
    user: str
    reason: str
    wall_ms: int
    age_seconds: int = 0
    idle_seconds: int = 0
    database: int = 0
    last_command: str = "NULL"
    commands: int = 0
    input_bytes: int = 0
    output_bytes: int = 0
    dropped_bytes: int = 0      # replies that never left


class ClosedClients:
    """The newest `limit` closes, older ones go; and how many there were for each reason."""

    def __init__(self, reasons: Sequence[str], limit: int = DEFAULT_ENTRIES) -> None:
        """`reasons`: all that there are, in the order in which INFO shows them."""
        self._entries: deque[ClosedClient] = deque(maxlen=limit)
        self._counts: dict[str, int] = dict.fromkeys(reasons, 0)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def limit(self) -> int:
        """The option client-closed-max-len."""
        return self._entries.maxlen or 0

    @limit.setter
    def limit(self, limit: int) -> None:
        self._entries = deque(islice(self._entries, limit), maxlen=limit)

    @property
    def counts(self) -> Mapping[str, int]:
        """Closes by reason, since the start or CONFIG RESETSTAT; every reason is there."""
        return self._counts

    def note(self, entry: ClosedClient) -> None:
        """Count a close, and keep it."""
        self._counts[entry.reason] += 1
        self._entries.appendleft(entry)

    def newest(self, count: int) -> list[ClosedClient]:
        """At most `count` entries, newest first; -1 for all."""
        return list(self._entries if count < 0 else islice(self._entries, count))

    def reset_counts(self) -> None:
        """CONFIG RESETSTAT: the counts begin anew, the entries stay."""
        self._counts = dict.fromkeys(self._counts, 0)


def trim_name(name: bytes) -> bytes:
    """A client's name as an entry keeps it: no client can make the ring large."""
    return name[:CLOSED_NAME_BYTES]
