"""What a replica and its primary say to each other before the data: lines in, requests out, an outcome at the end.

No socket, no clock: `begin` gives what is sent first, `take` the answer to each line that the primary sent. The order
is that of Valkey 9.1: PING; then AUTH and the REPLCONFs in one go, each answered by a line; then PSYNC, whose answer
may take a while, with empty lines meanwhile. What a primary of an older kind does not understand of REPLCONF does no
harm. What follows the answer to PSYNC - a snapshot or the stream - is not read here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from ranvier.replication.state import ID_CHARACTERS

# The version that Ranvier tells: from 9 on, a Valkey primary sends what only Valkey 9 can hold (expiring hash fields).
ANNOUNCED_VERSION: Final = "9.1.0"
OFFSET_MAXIMUM: Final = 2**63 - 1
# Answers to PING of a primary that wants AUTH first; Redis before 2.8 and forks say it in words of their own.
WANTS_AUTHENTICATION: Final = (b"-NOAUTH", b"-NOPERM", b"-ERR operation not permitted")
TRY_LATER: Final = (b"-NOMASTERLINK", b"-LOADING")


class HandshakeError(Exception):
    """The primary does not want this replica, or is none; the text says why."""


class TryLater(HandshakeError):
    """The primary cannot synchronise anybody now, but will: it loads, or has lost its own primary."""


class Step(Enum):
    """What the next line answers."""

    PING = auto()
    OPTIONS = auto()
    PSYNC = auto()
    OVER = auto()


@dataclass(frozen=True, slots=True)
class Position:
    """Where a replica's history stands: its id and the bytes of it that are applied."""

    replication_id: str
    offset: int


@dataclass(frozen=True, slots=True)
class Introduction:
    """Who asks, and what for.

    `known`: where this replica's history stands; None asks for everything. `failover`: the peer is to become the
    primary, now. `ip` is empty unless another address than the connection's is to be announced.
    """

    port: int
    ip: str = ""
    user: str = ""
    password: str = ""
    known: Position | None = None
    failover: bool = False


@dataclass(frozen=True, slots=True)
class Full:
    """Everything comes as a snapshot; the stream begins behind `offset`."""

    position: Position


@dataclass(frozen=True, slots=True)
class Partial:
    """The stream goes on where it stood; under another id when one is told."""

    replication_id: str | None


def request(*words: bytes) -> bytes:
    """A request in the protocol's form."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def shown(line: bytes) -> str:
    """A primary's line for the log: what it sends may be anything."""
    return "".join(chr(byte) if 32 <= byte < 127 else "." for byte in line)


class Handshake:
    """One handshake. `warn` is told, in a line for the log, of what fails without harm."""

    def __init__(self, introduction: Introduction, warn: Callable[[str], None]) -> None:
        self._introduction = introduction
        self._warn = warn
        self._step = Step.PING
        self._expected: list[str] = []       # what the next lines answer, while step is OPTIONS
        self.outcome: Full | Partial | None = None

    @property
    def step(self) -> Step:
        return self._step

    def begin(self) -> bytes:
        """What is sent first."""
        return request(b"PING")

    def take(self, line: bytes) -> bytes:
        """A line of the primary's, without its end; what is to be sent next. Raises HandshakeError."""
        if self._step is Step.PING:
            return self._pong(line)
        if self._step is Step.OPTIONS:
            return self._option(line)
        if line:                             # an empty one says that the primary is still busy with it
            self.outcome = self._answer(line)
            self._step = Step.OVER
        return b""

    def _pong(self, line: bytes) -> bytes:
        if not line.startswith((b"+", *WANTS_AUTHENTICATION)):
            raise HandshakeError(f"Error reply to PING from primary: '{shown(line)}'")
        self._step = Step.OPTIONS
        sent = []
        for name, words in self._options():
            self._expected.append(name)
            sent.append(request(*words))
        return b"".join(sent)

    def _options(self) -> Sequence[tuple[str, tuple[bytes, ...]]]:
        """What is told before PSYNC, each with the name that the log calls it by."""
        me = self._introduction
        options: list[tuple[str, tuple[bytes, ...]]] = []
        if me.password:
            user = (me.user.encode("utf-8", "surrogateescape"),) if me.user else ()
            options.append(("AUTH", (b"AUTH", *user, me.password.encode("utf-8", "surrogateescape"))))
        options.append(("REPLCONF listening-port", (b"REPLCONF", b"listening-port", b"%d" % me.port)))
        if me.ip:
            ip = me.ip.encode("utf-8", "surrogateescape")
            options.append(("REPLCONF ip-address", (b"REPLCONF", b"ip-address", ip)))
        options.append(("REPLCONF capa", (b"REPLCONF", b"capa", b"eof", b"capa", b"psync2")))
        options.append(("REPLCONF VERSION", (b"REPLCONF", b"version", ANNOUNCED_VERSION.encode())))
        return options

    def _option(self, line: bytes) -> bytes:
        name = self._expected.pop(0)
        if line.startswith(b"-"):
            if name == "AUTH":
                raise HandshakeError(f"Unable to AUTH to PRIMARY: {shown(line)}")
            self._warn(f"(Non critical) Primary does not understand {name}: {shown(line)}")
        elif not line.startswith(b"+"):
            raise HandshakeError(f"Primary answered {name} with '{shown(line)}': is it a primary at all?")
        if self._expected:
            return b""
        self._step = Step.PSYNC
        return self._psync()

    def _psync(self) -> bytes:
        known = self._introduction.known
        if known is None:
            return request(b"PSYNC", b"?", b"-1")
        words = (b"PSYNC", known.replication_id.encode(), b"%d" % (known.offset + 1))
        return request(*words, b"FAILOVER") if self._introduction.failover else request(*words)

    def _answer(self, line: bytes) -> Full | Partial:
        if line.startswith(b"+FULLRESYNC"):
            if self._introduction.failover:
                raise HandshakeError("Failover target rejected psync request")
            return _full(line)
        if line.startswith(b"+CONTINUE"):
            if self._introduction.known is None:
                raise HandshakeError("Primary goes on with a stream that was never begun")
            return _partial(line)
        if line.startswith(TRY_LATER):
            raise TryLater(f"Primary is currently unable to PSYNC but should be in the future: {shown(line)}")
        raise HandshakeError(f"Unexpected reply to PSYNC from primary: {shown(line)}")


def _is_id(word: bytes) -> bool:
    return len(word) == ID_CHARACTERS and word.isalnum() and word.isascii()


def _full(line: bytes) -> Full:
    """`+FULLRESYNC id offset`"""
    words = line.split(b" ")
    if len(words) != 3 or not _is_id(words[1]) or not words[2].isdigit() or int(words[2]) > OFFSET_MAXIMUM:
        raise HandshakeError(f"Primary replied with wrong +FULLRESYNC syntax: {shown(line)}")
    return Full(Position(words[1].decode(), int(words[2])))


def _partial(line: bytes) -> Partial:
    """`+CONTINUE [id]`; a primary from before PSYNC2 tells no id."""
    words = line.split()
    if words == [b"+CONTINUE"]:
        return Partial(None)
    if words[0] != b"+CONTINUE" or len(words) != 2 or not _is_id(words[1]):
        raise HandshakeError(f"Primary replied with wrong +CONTINUE syntax: {shown(line)}")
    return Partial(words[1].decode())
