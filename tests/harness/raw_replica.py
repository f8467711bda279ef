"""A replica that is no server: a socket whose bytes a test sees, and a maker of snapshots that does what it is told."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from socket import socket

from harness.memory import hear_log, memory_client, memory_server, read_replies, received, socket_client, turn
from harness.process import parse_info
from harness.wire import encode_command
from ranvier.engine.client import ClientHandle
from ranvier.errors import SnapshotVersionError
from ranvier.replication.full_sync import WhenDone
from ranvier.server.server import Server
from ranvier.shells.memory import MemoryClient

SNAPSHOT = b"REDIS0010" + b"\xff" + bytes(8)


class Maker:
    """Makes `snapshot` when `finish` is called (`replication.full_sync.SnapshotMaker`)."""

    def __init__(self) -> None:
        self.snapshot = SNAPSHOT
        self.needed = 10
        self.busy = False
        self.refusal: OSError | None = None
        self.begun = self.stopped = 0
        self.version = 0
        self._descriptors: Sequence[int] = ()
        self._mark = b""
        self._when_done: WhenDone | None = None

    def needed_version(self, newest: int) -> int:
        if newest < self.needed:
            raise SnapshotVersionError(b"hash", 0, newest, self.needed)
        return self.needed

    def begin(self, descriptors: Sequence[int], version: int, eof_mark: bytes, when_done: WhenDone) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.begun += 1
        self.busy = True
        self.version = version
        self._descriptors = [os.dup(descriptor) for descriptor in descriptors]
        self._mark, self._when_done = eof_mark, when_done

    def stop(self) -> None:
        self.stopped += 1
        self._let_go()

    def _let_go(self) -> None:
        self.busy = False
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors = ()

    def finish(self, whole: bool = True) -> None:
        assert self._when_done is not None
        errors = []
        head = b"$EOF:%b\r\n" % self._mark if self._mark else b""
        for descriptor in self._descriptors:
            try:
                os.write(descriptor, head + self.snapshot + self._mark)
                errors.append(0)
            except OSError as error:
                errors.append(error.errno or 0)
        self._let_go()
        self._when_done(whole, errors)


def give_maker(server: Server) -> Maker:
    """A maker of the test's own for the server."""
    maker = Maker()
    server.primary.full_sync._maker = maker
    return maker


class RawReplica:
    """One replica's connection, from the peer's side."""

    def __init__(self, server: Server, peer: socket) -> None:
        self.server = server
        self.peer = peer
        self.handle: ClientHandle = server.engine.clients[-1]

    def say(self, *words: object, turns: int = 2) -> bytes:
        """Send a request; everything that has come when the server has served it."""
        self.peer.send(encode_command(*[word if isinstance(word, bytes) else str(word) for word in words]))
        return self.heard(turns)

    def heard(self, turns: int = 2) -> bytes:
        turn(self.server, turns)
        return received(self.peer)[0]

    @property
    def ended(self) -> bool:
        """The server has closed the connection."""
        return received(self.peer)[1] != "open"

    def introduce(self, *capabilities: str, port: int = 7777) -> None:
        assert self.say("REPLCONF", "listening-port", port) == b"+OK\r\n"
        for capability in capabilities:
            assert self.say("REPLCONF", "capa", capability) == b"+OK\r\n"

    def synchronize(self, maker: Maker, *capabilities: str) -> int:
        """All of a full synchronisation up to the first acknowledgement; the offset where it stands."""
        self.introduce(*capabilities)
        data = self.say("PSYNC", "?", -1)
        if not maker.begun or not maker.busy:
            advance(self.server, 5000)
        maker.finish()
        self.server.primary.tick()
        data += self.heard()
        self.server.primary.tick()
        line = data.lstrip(b"\n").split(b"\r\n")[0].split()
        assert line[0] == b"+FULLRESYNC", data
        self.say("REPLCONF", "ACK", int(line[2]))
        return int(line[2])


def advance(server: Server, milliseconds: int) -> None:
    """Let time pass, with the cron's run at the end of it, and two turns."""
    server.clock.advance(milliseconds)  # type: ignore[attr-defined]
    turn(server)
    server.primary.tick()
    turn(server, 2)


@contextmanager
def raw_replica(server: Server, *, send_buffer_bytes: int | None = None) -> Iterator[RawReplica]:
    with socket_client(server, send_buffer_bytes=send_buffer_bytes) as peer:
        yield RawReplica(server, peer)
    turn(server, 2)


SELECT = b"*2\r\n$6\r\nSELECT\r\n$1\r\n%d\r\n"


def set_of(key: str, value: bytes | str) -> bytes:
    """A change as replicas hear of it."""
    return encode_command("SET", key, value)


class Stage:
    """A server, somebody who writes, and the maker of its snapshots."""

    def __init__(self, server: Server, writer: MemoryClient) -> None:
        self.server = server
        self.writer = writer
        self.maker = give_maker(server)
        self.log = hear_log(server)

    def run(self, *words: str | bytes) -> bytes:
        return self.writer.talk(encode_command(*words))

    def info(self) -> dict[str, str]:
        (reply,) = read_replies(self.writer.talk(b"INFO everything\r\n"))
        return parse_info(reply.text)

    @property
    def history(self) -> bytes:
        return self.server.replication.replication_id.encode()


@contextmanager
def a_stage() -> Iterator[Stage]:
    with memory_server(**{"repl-ping-replica-period": 1000}) as server, memory_client(server) as writer:
        yield Stage(server, writer)
