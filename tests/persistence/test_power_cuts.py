"""Durability on a disk that loses whatever was not synced, at any moment: what was promised is there, and it loads.

One round: a server over the simulated disk, a client on a real socket, random changes, rewrites and snapshots, and a
crash before a random operation on the disk. The next round begins with what survived. The client's replies at that
moment are what was acknowledged; virtual time tells how old each change is.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import pytest

from harness.lossy_files import BackgroundInTime, LossyDisk
from harness.memory import memory_client, received, socket_client, turn
from harness.wire import encode_command
from ranvier.clock import VirtualClock
from ranvier.config.options import Configuration
from ranvier.observe.log import ServerLog
from ranvier.server.load import load_data_set
from ranvier.server.server import Server

ROUNDS = int(os.environ.get("RANVIER_CRASH_ROUNDS", "60"))
DIRECTORY = "/"  # of the simulated disk; it must exist on the real one, which is not touched
LONGEST_ADVANCE_MS = 250
# A change may wait a second for its sync to begin; a turn sees that late, and so does who looks whether it is over.
LONGEST_SYNC_MS = 500
EVERYSEC_MS = 2000
STEPS = 40

State = tuple[str, tuple[str, ...]]


class Universe:
    """What has been asked for, what was acknowledged by when, and the clock and disk that go from round to round."""

    def __init__(self, seed: int, policy: str) -> None:
        self.random = Random(seed)
        self.policy = policy
        self.disk = LossyDisk(self.random)
        self.disk.make_directory(DIRECTORY)
        self.clock = VirtualClock()
        self.states: list[State] = [("0", ())]      # behind each change that was asked for
        self.asked: list[bytes] = []                # not acknowledged yet: the answer that each of them gets
        self.acknowledged_ms: list[int] = []
        self.answers = bytearray()

    @contextmanager
    def server(self) -> Iterator[tuple[Server, BackgroundInTime]]:
        configuration = Configuration.of({
            "port": 0, "save": "", "dir": DIRECTORY, "appendonly": True, "appendfsync": self.policy,
            "loglevel": "nothing", "auto-aof-rewrite-min-size": 2000, "auto-aof-rewrite-percentage": 50,
            "aof-use-rdb-preamble": self.random.random() < 0.5,
        })
        background = BackgroundInTime(self.clock, self.random, LONGEST_SYNC_MS)
        server = Server(configuration, ServerLog(level="nothing"), self.clock, self.disk, background)
        ready: list[bool] = []
        load_data_set(server, lambda: ready.append(True))
        while not ready:
            assert server.failure is None, f"what survived does not load: {server.failure}"
            turn(server)
        try:
            yield server, background
        finally:
            server.engine.close()

    def state_of(self, server: Server) -> State:
        with memory_client(server) as client:
            number = client.talk(encode_command("GET", "n"))
            members = client.talk(encode_command("LRANGE", "l", 0, -1)).split(b"\r\n")[2::2]
        return (number.split(b"\r\n")[1].decode() if number != b"$-1\r\n" else "0",
                tuple(member.decode() for member in members))

    def change(self) -> bytes:
        """The next change, one unit: numbers tell which changes a state has."""
        number = len(self.states)
        count, members = self.states[-1]
        if self.random.random() < 0.5:
            self.states.append((count, (*members[-5:], str(number))))
            self.asked.append(b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:%d\r\n+OK\r\n" % (len(members) + 1))
            return encode_command("MULTI") + encode_command("RPUSH", "l", number) \
                + encode_command("LTRIM", "l", -6, -1) + encode_command("EXEC")
        self.states.append((str(number), members))
        self.asked.append(b"+OK\r\n")
        return encode_command("SET", "n", number)

    def note_answers(self, data: bytes) -> None:
        self.answers += data
        while self.asked and self.answers.startswith(self.asked[0]):
            del self.answers[:len(self.asked.pop(0))]
            self.acknowledged_ms.append(self.clock.monotonic_ms())

    def promised(self) -> int:
        """How many of the changes must be there after a crash now."""
        if self.policy == "always":
            return len(self.acknowledged_ms)
        return sum(at_ms <= self.clock.monotonic_ms() - EVERYSEC_MS for at_ms in self.acknowledged_ms)


def live(universe: Universe) -> tuple[int, int]:
    """One life of a server, until it crashes; how many changes were promised then, and how many asked for."""
    random, disk = universe.random, universe.disk
    outcome: list[tuple[int, int]] = []
    with universe.server() as (server, background), socket_client(server) as peer:
        peer.setblocking(False)

        def at_crash() -> None:
            data, _ = received(peer)
            universe.note_answers(data)
            outcome.append((universe.promised(), len(universe.states) - 1))

        disk.crash_before(random.randint(1, random.choice((10, 60, 200))), at_crash)
        for _ in range(STEPS):
            step(universe, server, peer)
            turn(server)
            if disk.survived is not None:
                break
            universe.note_answers(received(peer)[0])
            universe.clock.advance(random.choice((0, 1, 20, 100, LONGEST_ADVANCE_MS)))
            background.run_due()
            if disk.survived is not None:
                break
        if disk.survived is None:
            disk.crash_now()
    assert disk.survived is not None
    universe.disk = disk.survived
    return outcome[0]


def step(universe: Universe, server: Server, peer: socket.socket) -> None:
    chance = universe.random.random()
    if chance < 0.04:
        with memory_client(server) as other:
            other.talk(encode_command("BGREWRITEAOF"))
    elif chance < 0.06:
        with memory_client(server) as other:
            other.talk(encode_command("SAVE"))
    else:
        peer.send(b"".join(universe.change() for _ in range(universe.random.choice((1, 1, 2, 10)))))


@pytest.mark.parametrize("policy", ["always", "everysec"])
def test_what_was_promised_survives_every_crash(policy: str) -> None:
    """A0 ORDER-5: always: a reply that has left tells of what is on the disk."""
    universe = Universe(1, policy)
    lost = torn = 0
    for number in range(ROUNDS):
        promised, asked = live(universe)
        with universe.server() as (server, _):
            state = universe.state_of(server)
        possible = [n for n in range(promised, asked + 1) if universe.states[n] == state]
        assert possible, (
            f"round {number} of {policy}: {promised} of {asked} changes were promised, and there is {state} instead of "
            f"{universe.states[promised]} or later"
        )
        lost += asked - possible[-1]
        torn += possible[-1] > promised
        # The rest of the story begins with what is there.
        universe.states[:] = [state]
        universe.asked.clear()
        universe.acknowledged_ms.clear()
        universe.answers.clear()
    assert lost, "no crash has lost anything: the disk does not do its work"
    assert torn, "no crash has kept anything that was not promised"
