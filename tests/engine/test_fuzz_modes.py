"""Clients in every mode against each other in memory, with garbage, kills and lost connections in between.

Nothing is compared here: the server lives, every client gets RESP, and when all have left, no figure of a mode and no
byte is left. tests/model holds the same conversations against Valkey; this one meets the sanitized engine, where a
client that is freed too early is seen at once.
"""

import random
import re
import socket
from typing import NamedTuple

import pytest

from harness.memory import drop_garbage, memory_client, memory_server, read_replies, received, turn, used_bytes
from harness.wire import encode_command
from model.lines import GARBAGE, delivered_groups
from ranvier.clock import VirtualClock
from ranvier.engine.client import ClientHandle
from ranvier.server.server import Server

SEATS = "abcdef"
STEPS = 10_000
ACTIONS = (
    *["say"] * 24, *["together"] * 8, *["part"] * 2, "garbage", "half-close", "kill", "leave", "leave", "time",
)  # fmt: skip
OUTPUT_LIMIT = "normal 200000 0 0 pubsub 100000 0 0"
LARGE = (
    "set a {large}", "publish one {large}", "spublish s {large}", "rpush l {large}", "get a", "lrange l 0 -1",
    "multi {large}", "watch {large}", "echo {large}", "subscribe {large}",
)  # fmt: skip


class Step(NamedTuple):
    seat: str
    action: str
    said: tuple[str, ...] = ()
    number: int = 0


class Peer:
    """A client with a socket, and the other end of it."""

    def __init__(self, server: Server, name: str) -> None:
        self.unsent = bytearray()
        ours, self.socket = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        for end in (ours, self.socket):
            end.setblocking(False)
        self.handle = ClientHandle(server, f"{name}:1")
        server.engine.add_client(ours.detach(), self.handle)
        self.handle.authenticated = True

    def say(self, data: bytes, keep: int = 0) -> None:
        """Send all but the last `keep` thousandths, or what the socket takes; the rest comes first the next time."""
        self.unsent += data
        at = len(self.unsent) - len(self.unsent) * keep // 1000
        try:
            del self.unsent[: self.socket.send(self.unsent[:at])]
        except (BlockingIOError, BrokenPipeError, ConnectionResetError):
            return

    def leave(self) -> None:
        self.socket.close()


class Room:
    """A server in memory with a peer in every seat."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.peers = {seat: Peer(server, seat) for seat in SEATS}

    def data(self, step: Step) -> bytes:
        def replaced(match: re.Match[str]) -> str:
            if match[2] == "large":
                return "x" * (step.number * 50)
            handle = self.peers[step.seat if match[2] == "me" else match[2]].handle
            return handle.address if match[1] else str(handle.id)

        words = [[re.sub(r"\{(@?)(\w+)\}", replaced, word) for word in line.split()] for line in step.said]
        return b"".join(encode_command(*line) for line in words)

    def do(self, step: Step) -> None:
        peer = self.peers[step.seat]
        if step.action in ("say", "together"):
            peer.say(self.data(step))
        elif step.action == "part":
            peer.say(self.data(step), step.number)
        elif step.action == "garbage":
            peer.say(GARBAGE[step.number % len(GARBAGE)])
        elif step.action == "half-close" and not peer.handle.closed:
            peer.socket.shutdown(socket.SHUT_WR)
        elif step.action == "kill":
            peer.handle.close()
        elif step.action == "time":
            assert isinstance(self.server.clock, VirtualClock)
            self.server.clock.advance(step.number * 200)
        if step.action != "together":        # then what follows comes in the same turn
            turn(self.server, 1 + step.number % 2)
        if step.number % 4 == 0:
            received(peer.socket)            # most of them read little
        if step.action == "leave" or peer.handle.closed:
            peer.leave()
            turn(self.server)
            self.peers[step.seat] = Peer(self.server, step.seat)


def random_step(chance: random.Random, groups: list[tuple[str, ...]]) -> Step:
    action = chance.choice(ACTIONS)
    said = tuple(chance.choice(chance.choice(groups)) for _ in range(chance.choice((1, 1, 1, 2, 4))))
    return Step(chance.choice(SEATS), action, said, chance.randrange(1000))


def assert_nothing_is_left(server: Server, before: int) -> None:
    assert server.engine.client_count == 0
    assert set(server.engine.blocked.figures().values()) == {0}
    assert set(server.engine.pubsub.counts()) == {0}
    with memory_client(server) as witness:
        answered = read_replies(witness.talk(b"FLUSHALL\r\nECHO alive\r\n"))
        assert [reply.raw for reply in answered] == [b"+OK\r\n", b"$5\r\nalive\r\n"]
    numbers = server.engine.statistics()
    assert (numbers["watching_clients"], numbers["watched_keys"]) == (0, 0)
    drop_garbage(server)
    assert used_bytes(server) - before < 4096


@pytest.mark.parametrize("seed", range(5))
def test_clients_in_every_mode_leave_nothing(seed: int) -> None:
    chance = random.Random(seed)
    groups = [*delivered_groups(), LARGE, LARGE]
    with memory_server(**{"client-output-buffer-limit": OUTPUT_LIMIT, "timeout": 60}) as server:
        with memory_client(server) as first:
            first.talk(b"PING\r\n")
        before = used_bytes(server)
        room = Room(server)
        for _ in range(STEPS):
            room.do(random_step(chance, groups))
        server.pause.end()
        turn(server, 2)
        for peer in room.peers.values():
            peer.leave()
        turn(server, 3)
        for handle in list(server.engine.clients):       # none but who lingers
            handle.close()
        turn(server)
        server.pause.end()                               # whom the first end let go may have begun another
        assert_nothing_is_left(server, before)
