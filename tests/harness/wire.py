"""A raw RESP connection: sends bytes as they are, reads exactly one reply at a time, keeps the reply's own bytes.

The reader knows RESP2 and RESP3 and is strict: a test must notice a reply that a lenient client would forgive.
"""

import contextlib
import select
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from harness.ledger import UNASKED, Ledger, uncounted

Value = bytes | int | float | bool | None | tuple["Reply", ...]
Argument = bytes | str | int | float
Ending = Literal["eof", "reset"]


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply. `kind` is its type byte; a map's `value` lists keys and values in turn; `raw` are the bytes sent."""

    kind: bytes
    value: Value
    raw: bytes
    attribute: "Reply | None" = None

    @property
    def is_error(self) -> bool:
        return self.kind in (b"-", b"!")

    @property
    def text(self) -> bytes:
        """The bytes of a string, status or error; a test that meets anything else fails here."""
        assert isinstance(self.value, bytes), self
        return self.value

    @property
    def number(self) -> int:
        assert isinstance(self.value, int), self
        return self.value

    @property
    def items(self) -> tuple["Reply", ...]:
        assert isinstance(self.value, tuple), self
        return self.value

    def plain(self) -> object:
        """The reply without types: bytes, numbers, None, lists and (for maps) lists of pairs' members in turn."""
        return [item.plain() for item in self.value] if isinstance(self.value, tuple) else self.value

    def __repr__(self) -> str:
        return f"<{self.raw[:300]!r}{'...' if len(self.raw) > 300 else ''}>"


class ProtocolViolation(AssertionError):
    """The server sent something that is no RESP."""


def encode_command(*arguments: Argument) -> bytes:
    """One request as an array of bulk strings."""
    parts = [argument if isinstance(argument, bytes) else str(argument).encode() for argument in arguments]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


def _strict_integer(text: bytes) -> int:
    digits = text[1:] if text[:1] in (b"-", b"+") else text
    if not digits.isdigit():
        raise ProtocolViolation(f"not a number: {text!r}")
    return int(text)


class Wire:
    """A connection to a server.

    Arguments: `address` is a port on 127.0.0.1 or a path of a Unix socket; `timeout_seconds` bounds every wait;
    `receive_buffer_bytes` shrinks the kernel's receive buffer (a client that reads slowly); `protocol` 3 says HELLO.
    Answers are counted against requests (`harness/ledger.py`), unless `counted` is False: the peer is no server.
    """

    def __init__(
        self,
        address: int | str,
        timeout_seconds: float = 20.0,
        *,
        protocol: int = 2,
        receive_buffer_bytes: int | None = None,
        counted: bool = True,
    ) -> None:
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        if receive_buffer_bytes is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self.socket.settimeout(timeout_seconds)
        self.socket.connect(address if isinstance(address, str) else ("127.0.0.1", address))
        if family == socket.AF_INET:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()
        self._position = 0
        self.ledger = Ledger() if counted else uncounted()
        if protocol == 3:
            assert not self.call("HELLO", "3").is_error

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Sending

    def send(self, data: bytes) -> None:
        self.ledger.sent(data)
        self.socket.sendall(data)

    def send_command(self, *arguments: Argument) -> None:
        self.send(encode_command(*arguments))

    def call(self, *arguments: Argument) -> Reply:
        """Send one request and read one reply."""
        self.send_command(*arguments)
        return self.reply()

    def pipeline(self, commands: Iterable[Iterable[Argument]]) -> list[Reply]:
        """Send all requests in one piece, then read as many replies."""
        encoded = [encode_command(*command) for command in commands]
        self.send(b"".join(encoded))
        return self.replies(len(encoded))

    # Reading

    def reply(self) -> Reply:
        """The next reply, with its own bytes."""
        start = self._position
        reply = self._read(start)
        self.ledger.answered(reply.raw[:1000])
        if self._position > 1 << 16:
            del self._buffer[: self._position]
            self._position = 0
        return reply

    def replies(self, count: int) -> list[Reply]:
        return [self.reply() for _ in range(count)]

    def read_exactly(self, count: int) -> bytes:
        """`count` raw bytes, whatever they are."""
        self.ledger.counted = False
        self._fill(count)
        return self._take(count)

    def skip_exactly(self, count: int) -> None:
        """Read and forget `count` bytes: for replies too large to keep."""
        self.ledger.counted = False
        held = min(count, len(self._buffer) - self._position)
        self._take(held)
        while held < count:
            held += len(self._receive(count - held))

    def read_to_end(self) -> tuple[bytes, Ending]:
        """Everything up to the end of the connection, and how it ended."""
        self.ledger.counted = False
        while True:
            try:
                data = self.socket.recv(1 << 16)
            except ConnectionResetError:
                return self._take(len(self._buffer) - self._position), "reset"
            if not data:
                return self._take(len(self._buffer) - self._position), "eof"
            self._buffer += data

    def has_input(self, wait_seconds: float = 0.0) -> bool:
        """Whether bytes (or the end) are there to be read, within `wait_seconds`."""
        if self._position < len(self._buffer):
            return True
        poll = select.poll()     # select() knows descriptors below 1,024 only
        poll.register(self.socket, select.POLLIN)
        return bool(poll.poll(wait_seconds * 1000))

    # Ending

    def half_close(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close with RST: what is unsent or unread is thrown away."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        """Close, and find the answers that nobody has asked for and nobody has read."""
        unread = bytes(self._buffer[self._position :])
        if self.ledger.counted and self.ledger.answers == self.ledger.requests and self.socket.fileno() >= 0:
            with contextlib.suppress(OSError):
                self.socket.setblocking(False)
                unread += self.socket.recv(1000)
            self.socket.close()
            assert not unread or unread.startswith((b">", *UNASKED)), f"answers to no request: {unread[:200]!r}"
        self.socket.close()

    # The parser

    def _receive(self, at_most: int) -> bytes:
        data = self.socket.recv(at_most)
        if not data:
            raise EOFError(f"the server closed the connection; unread: {bytes(self._buffer[self._position :])[:200]!r}")
        return data

    def _fill(self, count: int) -> None:
        while len(self._buffer) - self._position < count:
            self._buffer += self._receive(max(1 << 16, min(count, 1 << 22)))

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[self._position : self._position + count])
        self._position += count
        if self._position == len(self._buffer):
            self._buffer.clear()
            self._position = 0
        return taken

    def _line(self, searched: int) -> tuple[bytes, int]:
        """The line that starts at `searched`, and the offset behind its CRLF."""
        start = searched
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            self._buffer += self._receive(1 << 16)
        if self._buffer[end - 1 : end] != b"\r":
            raise ProtocolViolation(f"a line without CR: {bytes(self._buffer[start : end + 1])!r}")
        return bytes(self._buffer[start : end - 1]), end + 1

    def _read(self, start: int) -> Reply:
        reply, end = self._parse(start)
        self._position = end
        if end == len(self._buffer):
            self._buffer.clear()
            self._position = 0
        return reply

    def _parse(self, start: int) -> tuple[Reply, int]:
        line, end = self._line(start)
        kind, rest = line[:1], line[1:]
        value: Value
        if kind in b"+-" and kind:
            value = rest
        elif kind == b":":
            value = _strict_integer(rest)
        elif kind in (b"$", b"=", b"!"):
            value, end = self._parse_bulk(rest, end)
        elif kind in (b"*", b"%", b"~", b">"):
            value, end = self._parse_items(kind, rest, end)
        elif kind == b"|":
            pairs, end = self._parse_items(b"%", rest, end)
            attribute = Reply(kind, pairs, bytes(self._buffer[start:end]))
            reply, end = self._parse(end)
            return Reply(reply.kind, reply.value, bytes(self._buffer[start:end]), attribute), end
        else:
            value = _parse_scalar(kind, rest)
        return Reply(kind, value, bytes(self._buffer[start:end])), end

    def _parse_bulk(self, announced: bytes, end: int) -> tuple[bytes | None, int]:
        length = _strict_integer(announced)
        if length == -1:
            return None, end
        while len(self._buffer) < end + length + 2:
            self._buffer += self._receive(max(1 << 16, min(length, 1 << 22)))
        if self._buffer[end + length : end + length + 2] != b"\r\n":
            raise ProtocolViolation(f"a bulk of {length} bytes does not end with CRLF")
        return bytes(self._buffer[end : end + length]), end + length + 2

    def _parse_items(self, kind: bytes, announced: bytes, end: int) -> tuple[tuple[Reply, ...] | None, int]:
        count = _strict_integer(announced)
        if count == -1 and kind == b"*":
            return None, end
        items = []
        for _ in range(count * 2 if kind == b"%" else count):
            item, end = self._parse(end)
            items.append(item)
        return tuple(items), end


def _parse_scalar(kind: bytes, rest: bytes) -> Value:
    if kind == b"_" and not rest:
        return None
    if kind == b"#" and rest in (b"t", b"f"):
        return rest == b"t"
    if kind == b",":
        return float(rest)
    if kind == b"(":
        return _strict_integer(rest)
    raise ProtocolViolation(f"no RESP: {kind + rest!r}")
