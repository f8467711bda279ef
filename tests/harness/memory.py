"""Servers and clients without sockets or threads: bytes in, bytes out, and a clock that stands still."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from harness.ledger import uncounted
from harness.wire import Reply, Wire
from ranvier.clock import VirtualClock
from ranvier.config.options import Configuration
from ranvier.engine.client import ClientHandle
from ranvier.engine.loop import Engine
from ranvier.observe.log import ServerLog
from ranvier.server.before_sleep import before_sleep
from ranvier.server.server import Server
from ranvier.shells.memory import MemoryClient


@contextmanager
def memory_server(**options: object) -> Iterator[Server]:
    """A server that does not listen, owned by the calling thread."""
    configuration = Configuration.of({"port": 0, "loglevel": "nothing", "save": "", **options})
    server = Server(configuration, ServerLog(level="nothing"), VirtualClock())
    try:
        yield server
    finally:
        server.replica_side.stop()
        server.engine.close()


@contextmanager
def memory_client(server: Server) -> Iterator[MemoryClient]:
    client = MemoryClient(server)
    try:
        yield client
    finally:
        client.close()


class _Received(Wire):
    """The reader of replies on bytes that are all there."""

    def __init__(self, data: bytes) -> None:
        self._buffer = bytearray(data)
        self._position = 0
        self.ledger = uncounted()

    def _receive(self, at_most: int) -> bytes:
        raise AssertionError(f"a reply is cut short: {bytes(self._buffer[self._position:])[:200]!r}")

    def all(self) -> list[Reply]:
        found = []
        while self._position < len(self._buffer):
            found.append(self.reply())
        return found


def read_replies(data: bytes) -> list[Reply]:
    """Whole replies, and nothing else: anything left over fails."""
    return _Received(data).all()


class _HeardLog(ServerLog):
    __slots__ = ("lines",)

    def __init__(self) -> None:
        super().__init__(level="nothing")
        self.lines: list[str] = []

    def log(self, level: int, text: str) -> None:
        self.lines.append(text)


def hear_log(server: Server) -> list[str]:
    """The lines that the server logs from now on, whatever their level."""
    server.log = heard = _HeardLog()
    return heard.lines


def used_bytes(server: Server) -> int:
    """Memory in use, without the output blocks that are kept for later replies."""
    numbers = server.engine.statistics()
    return numbers["used_memory_bytes"] - numbers["spare_bytes"]


def drop_garbage(server: Server) -> None:
    """Have everything freed that was only unlinked."""
    while server.engine.frees_values:
        server.engine.free_values()


@contextmanager
def socket_client(server: Server, *, send_buffer_bytes: int | None = None) -> Iterator[socket.socket]:
    """The peer's end of a client with a socket; `turn` serves it. Closed by either side."""
    ours, theirs = socket.socketpair()
    if send_buffer_bytes is not None:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
    ours.setblocking(False)
    theirs.setblocking(False)
    handle = ClientHandle(server, f"peer:{theirs.fileno()}")
    server.engine.add_client(ours.detach(), handle)
    handle.authenticated = True
    with theirs:
        yield theirs


def turn(server: Server, count: int = 1) -> None:
    """Run so many whole turns of the loop in this thread. None of them waits for anything."""
    for _ in range(count):
        server.engine.post(lambda: None)      # what is readable ends the poll at once

        def half_a_turn(engine: Engine) -> None:
            before_sleep(engine)
            engine.stop()

        server.engine.run(half_a_turn)


def received(peer: socket.socket) -> tuple[bytes, str]:
    """Everything that has arrived at the peer, and whether the connection is "open", "ended" or "reset"."""
    data = bytearray()
    while True:
        try:
            piece = peer.recv(1 << 20)
        except BlockingIOError:
            return bytes(data), "open"
        except ConnectionResetError:
            return bytes(data), "reset"
        if not piece:
            return bytes(data), "ended"
        data += piece
