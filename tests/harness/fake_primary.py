"""A primary made of a listening socket, for a replica in this process: every byte is the test's own."""

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

from harness.memory import received, turn
from harness.wire import encode_command
from ranvier.clock import VirtualClock
from ranvier.replication.link import LoadOrders
from ranvier.server.server import Server

ID = "0123456789abcdef0123456789abcdef01234567"
OTHER_ID = "fedcba9876543210fedcba9876543210fedcba98"
TURNS = 400
AGREED = b"+PONG\r\n+OK\r\n+OK\r\n+OK\r\n"       # the answers up to PSYNC, of a replica without a password


def until(server: Server, condition: Callable[[], bool], what: str) -> None:
    """Turn until it is so; nothing in here waits for time to pass."""
    for _ in range(TURNS):
        if condition():
            return
        turn(server)
    raise AssertionError(f"not within {TURNS} turns: {what}; the link: {server.replica_side.link.status.name}")


def advance(server: Server, milliseconds: int) -> None:
    assert isinstance(server.clock, VirtualClock)
    server.clock.advance(milliseconds)
    turn(server, 3)


def stub_load(server: Server, keys: Mapping[bytes, bytes], auxiliary: Mapping[bytes, bytes] | None = None) -> None:
    """Every snapshot is these keys: what snapshots look like is tested elsewhere."""

    def load(data: memoryview, orders: LoadOrders) -> None:
        if bytes(data[:5]) != b"REDIS":
            orders.when_failed("Wrong signature")
            return
        orders.when_replaced()
        for database in server.engine.databases:
            database.flush()
        for key, value in keys.items():
            server.engine.databases[0].set(key, value)
        server.engine.post(lambda: orders.when_done(auxiliary or {}))

    server.replica_side.load_snapshot = load  # type: ignore[method-assign]


class FakePrimary:
    """A listening socket and the one connection of now."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.port = int(self._listener.getsockname()[1])
        self.peer: socket.socket | None = None

    def accept(self) -> None:
        """Take the replica's next connection, turning until it comes."""
        self.drop()

        def came() -> bool:
            try:
                self.peer, _ = self._listener.accept()
            except BlockingIOError:
                return False
            self.peer.setblocking(False)
            self.peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)      # what is sent is there at once
            return True

        until(self._server, came, "a connection to the primary")

    def send(self, data: bytes) -> None:
        """As the replica takes it."""
        assert self.peer is not None
        while data:
            try:
                data = data[self.peer.send(data):]
            except BlockingIOError:
                turn(self._server)
        turn(self._server, 2)

    def heard(self) -> bytes:
        assert self.peer is not None
        turn(self._server)
        return received(self.peer)[0]

    def expect(self, *words: bytes | str | int) -> None:
        """The replica says this and nothing else."""
        wanted = encode_command(*words)
        found = b""

        def came() -> bool:
            nonlocal found
            found += self.heard()
            return len(found) >= len(wanted)

        until(self._server, came, f"{wanted!r}")
        assert found == wanted

    def is_closed(self) -> bool:
        assert self.peer is not None
        turn(self._server)
        return received(self.peer)[1] != "open"

    def drop(self) -> None:
        """Close the connection, if there is one."""
        if self.peer is not None:
            self.peer.close()
            self.peer = None

    def refuse_all(self) -> None:
        """Close every connection that has come and was not accepted."""
        with suppress(BlockingIOError):
            while True:
                self._listener.accept()[0].close()

    def close(self) -> None:
        self.drop()
        self._listener.close()

    def agree(self) -> None:
        """Accept, and answer everything up to PSYNC, which is left to the test."""
        self.accept()
        self.send(AGREED)

    def synchronise(self, offset: int = 0, replication_id: str = ID, snapshot: bytes = b"REDIS0011") -> None:
        """Accept, and send a snapshot."""
        self.agree()
        self.send(b"+FULLRESYNC %b %d\r\n" % (replication_id.encode(), offset))
        self.send(b"$%d\r\n%b" % (len(snapshot), snapshot))
        until(self._server, lambda: self._server.replica_side.link.is_up, "the link is up")


@contextmanager
def fake_primary(server: Server) -> Iterator[FakePrimary]:
    primary = FakePrimary(server)
    try:
        yield primary
    finally:
        primary.close()
