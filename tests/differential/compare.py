"""Runs groups of requests on two servers, finds the first reply that differs, and shrinks the group to that."""

from collections.abc import Sequence
from dataclasses import dataclass

from differential.differences import equal
from harness.process import ServerProcess
from harness.wire import ProtocolViolation, Reply, Wire, encode_command

Request = tuple[bytes, ...]

REPLY_TIMEOUT_SECONDS = 20.0
SHRINK_RUNS = 150
# What is left in the databases that the generator uses: names, types, encodings and values.
STATE_DATABASES = (b"0", b"1", b"9")


@dataclass(frozen=True)
class Mismatch:
    """The requests that show a difference in the reply to the last of them."""

    requests: tuple[Request, ...]
    ours: Reply | str
    theirs: Reply | str

    def __str__(self) -> str:
        shown = "\n".join("    " + " ".join(_shown(argument) for argument in request) for request in self.requests)
        return f"  after\n{shown}\n  ours   {self.ours}\n  theirs {self.theirs}"


def _shown(argument: bytes) -> str:
    return repr(argument)[1:] if len(argument) <= 80 else f"{argument[:60]!r}... ({len(argument)} bytes)"


class Pair:
    """The server under test and the reference, each over one connection that is remade when it ends."""

    def __init__(self, ours: ServerProcess, theirs: ServerProcess, protocol: int = 2) -> None:
        self.ours, self.theirs, self.protocol = ours, theirs, protocol
        self.requests_sent = 0

    def first_mismatch(self, group: Sequence[Request]) -> Mismatch | None:
        """Run the group, then look at what it left behind; the first difference, shrunk."""
        probe = [*group, *_state_probe()]
        found = self._run(probe)
        if found is None and (found := self._compare_states(group)) is None:
            return None
        return self._shrunk(found)

    def first_difference(self, group: Sequence[Request]) -> Mismatch | None:
        """As `first_mismatch` for a group that asks for its state itself (`differential.machines`)."""
        found = self._run(group)
        return None if found is None else self._shrunk(found)

    def _run(self, group: Sequence[Request]) -> Mismatch | None:
        ours, theirs = (self._replies(server, group) for server in (self.ours, self.theirs))
        self.requests_sent += len(group)
        for index, request in enumerate(group):
            mine = ours[index] if index < len(ours) else "no reply"
            other = theirs[index] if index < len(theirs) else "no reply"
            if isinstance(mine, Reply) and isinstance(other, Reply):
                if equal(request, mine, other):
                    continue
            elif isinstance(mine, str) and isinstance(other, str):
                return None
            return Mismatch(tuple(group[: index + 1]), mine, other)
        return None

    def _replies(self, server: ServerProcess, group: Sequence[Request]) -> list[Reply | str]:
        """The group's replies on a connection of its own; ends early with a text when the server does not answer."""
        replies: list[Reply | str] = []
        preface: list[Request] = [(b"HELLO", b"3")] if self.protocol == 3 else []
        preface.append((b"FLUSHALL",))
        with Wire(server.port, REPLY_TIMEOUT_SECONDS) as wire:
            wire.send(b"".join(encode_command(*request) for request in (*preface, *group)))
            wire.replies(len(preface))
            try:
                replies.extend(wire.reply() for _ in group)
            except (OSError, EOFError, ProtocolViolation) as error:
                replies.append(f"{type(error).__name__}: {error}")
        return replies

    def _compare_states(self, group: Sequence[Request]) -> Mismatch | None:
        """The values that the group leaves in the databases, one request per key."""
        listing = [*group]
        for database in STATE_DATABASES:
            listing += [(b"SELECT", database), (b"KEYS", b"*")]
        replies = self._replies(self.theirs, listing)
        probes: list[Request] = []
        for index, database in enumerate(STATE_DATABASES):
            keys = replies[len(group) + 2 * index + 1]
            if not isinstance(keys, Reply) or keys.is_error:
                return None
            probes.append((b"SELECT", database))
            for key in sorted(item.text for item in keys.items):
                probes += [(b"OBJECT", b"ENCODING", key), (b"GET", key), (b"LRANGE", key, b"0", b"-1"), (b"PTTL", key)]
                probes.append((b"HGETALL", key))
                probes.append((b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"))
        return self._run([*group, *probes])

    def _shrunk(self, found: Mismatch) -> Mismatch:
        """Leave out requests, large pieces first, as long as the last reply still differs."""
        best, runs = found, 0
        size = max(1, (len(best.requests) - 1) // 2)
        while size and runs < SHRINK_RUNS:
            start = len(best.requests) - 1 - size
            while start > -size and runs < SHRINK_RUNS:
                low = max(0, start)
                fewer = best.requests[:low] + best.requests[low + size :][: len(best.requests)]
                if start + size <= len(best.requests) - 1 and (smaller := self._same_end(fewer, best)) is not None:
                    best = smaller
                runs += 1
                start -= size
            size //= 2
        return best

    def _same_end(self, requests: tuple[Request, ...], best: Mismatch) -> Mismatch | None:
        if not requests or requests[-1] != best.requests[-1]:
            return None
        smaller = self._run(requests)
        return smaller if smaller is not None and smaller.requests[-1] == best.requests[-1] else None


def _state_probe() -> list[Request]:
    probe: list[Request] = []
    for database in STATE_DATABASES:
        probe += [(b"SELECT", database), (b"DBSIZE",), (b"KEYS", b"*")]
    return probe
