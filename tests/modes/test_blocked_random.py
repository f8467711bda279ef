"""Blocked clients under random requests, kills, time-outs and pauses: elements are conserved, and nothing is left."""

import random
from contextlib import ExitStack

import pytest

from harness.memory import drop_garbage, memory_server, read_replies, turn, used_bytes
from harness.wire import encode_command
from ranvier.clock import VirtualClock
from ranvier.shells.memory import MemoryClient

CLIENTS = 12
STEPS = 1500


class Crowd:
    """Clients that come and go; every element pushed is unique, and is looked for wherever it may be."""

    def __init__(self, seed: int, stack: ExitStack) -> None:
        self.random = random.Random(seed)
        self.server = stack.enter_context(memory_server())
        self.clients = [MemoryClient(self.server) for _ in range(CLIENTS)]
        self.pusher = MemoryClient(self.server)      # never blocks, so that every element gets into its list
        self.pushed: set[bytes] = set()
        self.taken: list[bytes] = []

    def key(self) -> str:
        return self.random.choice(["a", "b", "c", "d"])

    def line(self) -> str:
        pick = self.random.random()
        timeout = self.random.choice(["0", "0.005", "0.02"])
        ends = f"{self.random.choice(['left', 'right'])} {self.random.choice(['left', 'right'])}"
        if pick < 0.6:
            return f"blpop {self.key()} {self.key()} {timeout}"
        if pick < 0.75:
            return f"blmove {self.key()} {self.key()} {ends} {timeout}"
        if pick < 0.85:
            return f"blmpop {timeout} 2 {self.key()} {self.key()} left count {self.random.randint(1, 3)}"
        if pick < 0.9:
            return f"renamenx {self.key()} spare"
        if pick < 0.95:
            return f"lmove spare {self.key()} {ends}"
        return f"brpop {self.key()} {timeout}"

    def push(self) -> None:
        elements = [f"e{len(self.pushed) + i}" for i in range(self.random.randint(1, 3))]
        self.pushed.update(element.encode() for element in elements)
        self.take(self.pusher, f"{self.random.choice(['lpush', 'rpush'])} {self.key()} {' '.join(elements)}")

    def take(self, client: MemoryClient, line: str | None = None) -> None:
        data = encode_command(*line.split()) if line else b""
        if client.handle.closed:
            return
        # Elements stand only in the answers of the commands that take them out; moves answer with a plain string.
        for reply in read_replies(client.talk(data)):
            if isinstance(reply.value, tuple):
                last = reply.value[-1]
                inner = last.value if isinstance(last.value, tuple) else (last,)
                self.taken += [item.text for item in inner]

    def step(self) -> None:
        client = self.random.choice(self.clients)
        pick = self.random.random()
        if pick < 0.3:
            self.push()
        elif pick < 0.8:
            self.take(client, self.line())
        elif pick < 0.85 and not client.handle.closed:
            self.take(client)
            client.close()
            self.clients[self.clients.index(client)] = MemoryClient(self.server)
        elif pick < 0.9:
            self.server.engine.blocked.unblock(client.handle.id, self.random.random() < 0.5)
        elif pick < 0.93:
            self.server.pause.begin(self.random.randint(0, 20), self.random.random() < 0.3)
        else:
            assert isinstance(self.server.clock, VirtualClock)
            self.server.clock.advance(self.random.randint(1, 20))
            turn(self.server)


def left_over(crowd: Crowd) -> list[bytes]:
    reader = MemoryClient(crowd.server)
    found: list[bytes] = []
    for key in ("a", "b", "c", "d", "spare"):
        found += [item.text for item in read_replies(reader.talk(encode_command("LRANGE", key, 0, -1)))[0].items]
    reader.close()
    return found


@pytest.mark.parametrize("seed", range(6))
def test_elements_are_conserved_and_nothing_is_left(seed: int) -> None:
    with ExitStack() as stack:
        crowd = Crowd(seed, stack)
        before = used_bytes(crowd.server)
        for _ in range(STEPS):
            crowd.step()
        crowd.server.pause.end()
        turn(crowd.server, 3)
        for client in crowd.clients:
            crowd.take(client)
        everything = crowd.taken + left_over(crowd)
        assert sorted(everything) == sorted(crowd.pushed)
        for client in [*crowd.clients, crowd.pusher]:
            client.close()
        assert set(crowd.server.engine.blocked.figures().values()) == {0}
        cleaner = MemoryClient(crowd.server)
        cleaner.talk(encode_command("FLUSHALL"))
        cleaner.close()
        turn(crowd.server)
        drop_garbage(crowd.server)
        assert used_bytes(crowd.server) <= before
