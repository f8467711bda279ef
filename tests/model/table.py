"""A table of two servers and the same guests at both: whatever a guest says, it says to both, and hears the same.

Strategy: client ids are made equal on both servers, so that replies with ids compare as they are; addresses become
names. After every step a fence is raised on a control connection: two round trips of a command that does not exist.
Such a command is refused before everything that could hold or observe it (CLIENT PAUSE, MONITOR, the keyspace), and the
second one is answered in a later turn than the first: by then the step has been read, executed and answered.
Invariant: timing decides nothing. Where the two streams differ behind a fence, both are read on until they agree, and
only a bound in time makes a failure of it.
"""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from harness.process import ServerProcess, parse_info
from harness.wire import Argument, Reply, Wire, encode_command
from model.differences import (
    COMPARED_FIGURES,
    UNSAID_BY_MONITORS,
    Heard,
    canonical,
    compared_figures,
    cut_short,
    in_any_order,
    lingers_silently,
    shown_client,
)

AGREEMENT_SECONDS = 10.0
PAUSE_MILLISECONDS = 40          # at least
PAUSE_FENCES = 50                # so many times what a fence takes just then: the machine may be busy
GUESTS = "abcd"
SPREAD_OF_IDS = 2000

Request = tuple[bytes, ...]


class NothingYet(Exception):
    """The bytes that have arrived end within a reply."""


class Ear(Wire):
    """A connection whose replies are taken when they are there, never waited for."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.ended = False
        self.socket.setblocking(False)

    def _receive(self, at_most: int) -> bytes:
        try:
            data = self.socket.recv(at_most)
        except BlockingIOError:
            raise NothingYet from None
        except ConnectionResetError:
            data = b""           # whether the kernel had unread input to reset for is a matter of time
        if not data:
            self.ended = True
            raise NothingYet
        return data

    def arrived(self) -> list[Reply]:
        """The whole replies that are there."""
        found: list[Reply] = []
        while not self.ended:
            try:
                found.append(self.reply())
            except NothingYet:
                break
        return found

    def unread(self) -> bytes:
        """What has arrived of a reply that is not whole."""
        return bytes(self._buffer[self._position :])

    def forget_unread(self) -> None:
        self._buffer.clear()
        self._position = 0

    def say(self, data: bytes) -> None:
        """Send; a connection that has been closed meanwhile swallows it."""
        try:
            self.send(data)
        except (BrokenPipeError, ConnectionResetError):
            self.ended = True


@dataclass
class Seat:
    """A guest's connection to one server, and what it has heard on it."""

    ear: Ear
    identity: int
    address: bytes
    heard: list[Heard] = field(default_factory=list)
    last: bytes = b""                # what it heard last, as it came
    unsent: bytes = b""              # the tail of a request that was sent in part

    def say(self, data: bytes, keep: int = 0) -> None:
        """Send what waits and `data`; the last `keep` thousandths wait for the next time."""
        data = self.unsent + data
        at = len(data) - len(data) * keep // 1000
        self.ear.say(data[:at])
        self.unsent = data[at:]


class Side:
    """One of the two servers with its guests."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.control = server.connect()
        self._fences = 0
        self.control.call("CLIENT", "SETNAME", "control")
        self._clean()                # a conversation that failed may have left a pause, keys, and guests half gone
        self.seats: dict[str, Seat] = {}
        self.names: dict[bytes, bytes] = {self.address(self.control): b"(control)"}

    @staticmethod
    def address(wire: Wire) -> bytes:
        host, port = wire.socket.getsockname()
        return f"{host}:{port}".encode()

    def next_identity(self) -> int:
        with self.server.connect() as wire:
            return wire.call("CLIENT", "ID").number + 1

    def sit(self, name: str) -> None:
        """A new connection for this guest."""
        ear = Ear(self.server.port)
        address = self.address(ear)
        self.names[address] = b"(%s)" % name.encode()
        self.fence()
        # The connection cannot be asked for its id before its first command of the conversation; the list can.
        lines = self.control.call("CLIENT", "LIST", "ADDR", address).text.split()
        self.seats[name] = Seat(ear, int(lines[0].partition(b"=")[2]), address)

    def fence(self) -> None:
        for _ in range(2):
            self._fences += 1
            word = f"fence-{self._fences}"
            answer = self.control.call(word)
            assert answer.is_error and word.encode() in answer.text, answer

    def listen(self) -> None:
        for seat in self.seats.values():
            for reply in seat.ear.arrived():
                seat.heard.append(canonical(reply, self.names))
                seat.last = reply.raw

    # What is said

    def words(self, line: str, name: str) -> list[Argument]:
        """The line's words; `{b}` is b's id, `{@b}` its address, `{me}` and `{@me}` the speaker's own."""

        def replaced(match: re.Match[str]) -> str:
            seat = self.seats[name if match[2] == "me" else match[2]]
            return seat.address.decode() if match[1] else str(seat.identity)

        return [re.sub(r"\{(@?)(\w+)\}", replaced, word) if word != '""' else "" for word in line.split()]

    def clients(self) -> dict[str, dict[str, str]]:
        """What CLIENT LIST says of the guests."""
        by_identity = {str(seat.identity): name for name, seat in self.seats.items()}
        found = {}
        for line in self.control.call("CLIENT", "LIST").text.decode().splitlines():
            fields = dict(entry.partition("=")[::2] for entry in line.split(" "))
            if fields["id"] in by_identity:
                found[by_identity[fields["id"]]] = fields
        return found

    def figures(self) -> dict[str, str]:
        return parse_info(self.control.call("INFO", "clients", "stats").text)

    def leave(self) -> None:
        """Everybody goes, the server is as it was, and knows nobody but the control connection."""
        for seat in self.seats.values():
            seat.ear.close()
        self.seats.clear()
        self._clean()

    def _clean(self) -> None:
        self.control.call("CLIENT", "UNPAUSE")
        self.fence()
        self.control.call("FLUSHALL")


class Table:
    """Both servers, side by side."""

    def __init__(self, ours: ServerProcess, theirs: ServerProcess, patience_seconds: float = AGREEMENT_SECONDS) -> None:
        """`patience_seconds`: how long the two may differ before it counts as a difference."""
        self.patience_seconds = patience_seconds
        self.sides = (Side(ours), Side(theirs))
        self.steps: list[str] = []
        self.monitors: set[str] = set()          # who has said MONITOR on this connection
        self._align()
        for name in GUESTS:
            self._sit(name)

    def __enter__(self) -> "Table":
        return self

    def __exit__(self, *_: object) -> None:
        for side in self.sides:
            side.control.close()
            for seat in side.seats.values():
                seat.ear.close()

    def _align(self) -> None:
        """Make both servers give the same id next, by connections that the one behind it gets."""
        for _ in range(SPREAD_OF_IDS):
            ours, theirs = (side.next_identity() for side in self.sides)
            if ours == theirs:
                return
            (self.sides[0] if ours < theirs else self.sides[1]).next_identity()
        raise AssertionError("the servers' client ids do not meet")

    def _sit(self, name: str) -> None:
        self.monitors.discard(name)
        for side in self.sides:
            side.sit(name)
        assert self.sides[0].seats[name].identity == self.sides[1].seats[name].identity

    # What guests do

    def say(self, name: str, lines: Sequence[str], keep: int = 0) -> None:
        """The lines in one piece to both servers; the last `keep` thousandths of it wait for the next time."""
        lines = self._permitted(name, lines)
        self.steps.append(f"{name}: {' ; '.join(lines)}" + (f" ({keep} of 1000 wait)" if keep else ""))
        self._tell(name, lines, keep)
        self.agree()

    def garbage(self, name: str, data: bytes) -> None:
        self.steps.append(f"{name}: bytes {data!r}")
        for side in self.sides:
            side.seats[name].say(data)
        self.agree()

    def part(self, name: str, how: str) -> None:
        """The guest goes by "FIN", "RST" or "half-close", and comes back as a new client."""
        self.steps.append(f"{name} leaves by {how}")
        for side in self.sides:
            ear = side.seats[name].ear
            if how == "half-close":
                ear.half_close()
            else:
                ear.reset() if how == "RST" else ear.close()
                ear.ended = True
        self.agree()

    def nothing(self) -> None:
        """What a step is made into when a shorter way to a failure is looked for."""

    def pause_everything(self, name: str, lines: dict[str, str]) -> None:
        """A pause of everybody, during which each of the others says one line at most.

        Nobody can end such a pause but its time. It is over when the control connection, held like all, is answered;
        single requests in a row come to the same whether they were held or not, as long as it lasts until all have
        spoken: Valkey may serve who speaks right after it before those whom it held.
        """
        for side in self.sides:
            side.control.call("CLIENT", "UNPAUSE")
        self.agree()
        flags = "".join(fields["flags"] for side in self.sides for fields in side.clients().values())
        # Held or queued requests would run with, or long after, what is said now; a pipeline that was just let go may
        # have begun a long pause again.
        paused = any(side.figures()["paused_reason"] != "none" for side in self.sides)
        unsent = any(seat.unsent for side in self.sides for seat in side.seats.values())
        if paused or unsent or "b" in flags or "x" in flags:
            return
        self.steps.append(f"{name} pauses everything, meanwhile {lines}")
        began = time.monotonic()
        self._fence()
        milliseconds = max(PAUSE_MILLISECONDS, int((time.monotonic() - began) * 1000 * PAUSE_FENCES))
        self._tell(name, [f"client pause {milliseconds} all"])
        self._fence()
        for other, line in lines.items():
            if other != name:
                self._tell(other, self._permitted(other, [line]))
                self._fence()
        for side in self.sides:
            side.control.call("ECHO", "the pause is over")
        self.agree()

    def _fence(self) -> None:
        """All that was said has been read: what two connections bring to one poll may be served in either order."""
        for side in self.sides:
            side.fence()

    def _permitted(self, name: str, lines: Sequence[str]) -> list[str]:
        """The lines without those whose answers differ on purpose (`differences.UNSAID_BY_MONITORS`)."""
        said = []
        for line in lines:
            if name in self.monitors and line in UNSAID_BY_MONITORS:
                continue
            if line == "monitor":
                self.monitors.add(name)
            said.append(line)
        return said

    def _tell(self, name: str, lines: Sequence[str], keep: int = 0) -> None:
        for side in self.sides:
            data = b"".join(encode_command(*side.words(line, name)) for line in lines)
            side.seats[name].say(data, keep)

    # What must be the same

    def agree(self) -> None:
        """Everybody has heard the same on both sides; who has lost the connection sits down anew."""
        self._until_same(self._heard)
        for name in GUESTS:
            ended = [side.seats[name].ear.ended for side in self.sides]
            for side in self.sides:
                side.seats[name].heard.clear()
            if any(ended):
                for side in self.sides:
                    side.seats[name].ear.close()
                    side.fence()
                self._sit(name)

    def _heard(self) -> list[object]:
        for side in self.sides:
            side.fence()
            side.listen()
        self._forgive()
        found: list[object] = []
        for side in self.sides:
            found.append({name: (in_any_order(seat.heard), seat.ear.ended) for name, seat in side.seats.items()})
        return found

    def _forgive(self) -> None:
        """Two ways of ending a connection that differ on purpose."""
        for name in GUESTS:
            ours, theirs = (side.seats[name] for side in self.sides)
            if ours.ear.ended and not theirs.ear.ended and lingers_silently(self.sides[1], name):
                theirs.ear.ended = True
            if ours.ear.ended and theirs.ear.ended and cut_short(ours.last, theirs.ear.unread()):
                theirs.ear.forget_unread()
                theirs.heard.append(ours.heard[-1])

    def check(self) -> None:
        """What both servers say of the guests and of their modes is the same."""
        self.steps.append("(CLIENT LIST, INFO and PUBSUB are compared)")
        self._until_same(self._shown)

    def _shown(self) -> list[object]:
        found: list[object] = []
        for side in self.sides:
            clients = {name: shown_client(fields) for name, fields in side.clients().items()}
            figures = compared_figures(side.figures(), clients)
            channels = [sorted(side.control.call("PUBSUB", kind).plain()) for kind in ("CHANNELS", "SHARDCHANNELS")]  # type: ignore[call-overload]
            patterns = side.control.call("PUBSUB", "NUMPAT").number
            found.append((clients, figures, channels, patterns))
        return found

    def _until_same(self, read: Callable[[], list[object]]) -> None:
        deadline = time.monotonic() + self.patience_seconds
        ours, theirs = read()
        while ours != theirs:
            if time.monotonic() > deadline:
                raise AssertionError(f"after\n{self.story()}\n{self.sides[0].server.kind}: {ours}\n"
                                     f"{self.sides[1].server.kind}: {theirs}")
            time.sleep(0.002)
            ours, theirs = read()

    def story(self) -> str:
        return "\n".join(f"  {step}" for step in self.steps)

    def leave(self) -> None:
        """All go; afterwards the servers are as they were, and no figure of a mode is left on ours."""
        self.steps.append("(all leave)")
        for side in self.sides:
            side.leave()
        self._until_same(self._left)

    def _left(self) -> list[object]:
        ours = self.sides[0].figures()
        return [{name: ours[name] for name in COMPARED_FIGURES}, dict.fromkeys(COMPARED_FIGURES, "0")]
