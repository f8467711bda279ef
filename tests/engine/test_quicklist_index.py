"""Lists of thousands of nodes, changed at random places by commands: they hold what a Python list holds, and the index
over their nodes finds every one of them, at a depth that grows with the logarithm."""

import random

import pytest

from harness.memory import drop_garbage, memory_client, memory_server, read_replies, used_bytes
from harness.wire import Argument, encode_command
from ranvier.engine.types.list_handle import list_of
from ranvier.server.server import Server
from ranvier.shells.memory import MemoryClient

ELEMENTS = 8_000
STEPS = 2_500
CHECKED_EVERY = 250
SIZES = (0, 3, 20, 300, 3_000, 9_000)             # the last one makes a node of its own
ENTRY_BYTES = 100                                 # at most: of a short key
KINDS = ("end", "index", "set", "insert", "remove", "trim", "move", "range")
WEIGHTS = (3, 3, 3, 3, 1, 0.1, 2, 1)


class Lists:
    """Two lists under keys, and what they are expected to hold. One step of each kind is a method of that name."""

    def __init__(self, client: MemoryClient, seed: int) -> None:
        self.client = client
        self.random = random.Random(seed)
        self.made = 0
        self.models: dict[str, list[bytes]] = {"a": [], "b": []}
        for key in self.models:
            while len(self.models[key]) < ELEMENTS:
                self.push(key, self.random.choice(("LPUSH", "RPUSH")), 200)

    def ask(self, *words: Argument) -> object:
        (reply,) = read_replies(self.client.talk(encode_command(*words)))
        assert not reply.is_error, (words[:2], reply)
        return [item.text for item in reply.items] if isinstance(reply.value, tuple) else reply.value

    def element(self) -> bytes:
        """A new one each time, so that a command that looks for it finds one place."""
        self.made += 1
        return b"%d:%s" % (self.made, b"x" * self.random.choices(SIZES, (40, 30, 20, 6, 2, 2))[0])

    def push(self, key: str, command: str, count: int) -> None:
        added = [self.element() for _ in range(count)]
        self.models[key][:] = added[::-1] + self.models[key] if command == "LPUSH" else self.models[key] + added
        assert self.ask(command, key, *added) == len(self.models[key])

    def step(self) -> None:
        key = self.random.choice("ab")
        model = self.models[key]
        if len(model) < ELEMENTS // 2:
            self.push(key, self.random.choice(("LPUSH", "RPUSH")), ELEMENTS)
        getattr(self, self.random.choices(KINDS, WEIGHTS)[0])(key, model, self.random.randrange(len(model)))

    def end(self, key: str, model: list[bytes], _place: int) -> None:
        if self.random.random() < 0.5:
            self.push(key, self.random.choice(("LPUSH", "RPUSH")), self.random.choice((1, 2, 30)))
            return
        command, end = self.random.choice((("LPOP", 0), ("RPOP", -1)))
        assert self.ask(command, key) == model.pop(end)

    def index(self, key: str, model: list[bytes], place: int) -> None:
        assert self.ask("LINDEX", key, place) == model[place]
        assert self.ask("LINDEX", key, place - len(model)) == model[place]

    def set(self, key: str, model: list[bytes], place: int) -> None:
        model[place] = self.element()
        assert self.ask("LSET", key, place, model[place]) == b"OK"

    def insert(self, key: str, model: list[bytes], place: int) -> None:
        pivot, added = model[place], self.element()
        after = self.random.random() < 0.5
        model.insert(place + after, added)
        assert self.ask("LINSERT", key, "AFTER" if after else "BEFORE", pivot, added) == len(model)

    def remove(self, key: str, model: list[bytes], place: int) -> None:
        assert self.ask("LREM", key, self.random.choice((0, 1, -1)), model.pop(place)) == 1

    def trim(self, key: str, model: list[bytes], place: int) -> None:
        start, stop = place // 8, len(model) - self.random.randrange(len(model) // 4)
        assert self.ask("LTRIM", key, start, stop - 1) == b"OK"
        model[:] = model[start:stop]

    def move(self, key: str, model: list[bytes], _place: int) -> None:
        other = self.random.choice("ab")
        source, target = self.random.choice(("LEFT", "RIGHT")), self.random.choice(("LEFT", "RIGHT"))
        moved = model.pop(0 if source == "LEFT" else -1)
        self.models[other].insert(0 if target == "LEFT" else len(self.models[other]), moved)
        assert self.ask("LMOVE", key, other, source, target) == moved

    def range(self, key: str, model: list[bytes], place: int) -> None:
        count = self.random.choice((1, 20))
        assert self.ask("LRANGE", key, place, place + count - 1) == model[place : place + count]


def check(server: Server, lists: Lists) -> None:
    for key, model in lists.models.items():
        handle = list_of(server.engine.databases[0], key.encode())
        handle.check()
        assert list(handle) == model


@pytest.mark.parametrize("fill", ["1", "4", "-1"])
def test_random_commands_in_the_middle_of_big_lists(fill: str, request: pytest.FixtureRequest) -> None:
    seed = int(request.config.getoption("--seed"))
    with memory_server(**{"list-max-listpack-size": fill}) as server, memory_client(server) as client:
        lists = Lists(client, seed)
        database = server.engine.databases[0]
        if fill != "-1":
            assert list_of(database, b"a").node_count > 1_000
        for step in range(STEPS):
            lists.step()
            if step % CHECKED_EVERY == 0:
                check(server, lists)
        check(server, lists)
        lists.ask("COPY", "a", "c")
        list_of(database, b"c").check()
        lists.ask("UNLINK", "c")                      # shares the large elements
        drop_garbage(server)
        held, values = used_bytes(server), sum(list_of(database, key).memory_usage() for key in (b"a", b"b"))
        lists.ask("UNLINK", "a", "b")
        drop_garbage(server)
        assert 0 < held - used_bytes(server) - values < 2 * ENTRY_BYTES


def test_a_list_that_shrinks_to_its_ends_and_grows_again() -> None:
    """Nodes become ends and inner ones again, one at a time, from either side."""
    with memory_server(**{"list-max-listpack-size": "1"}) as server, memory_client(server) as client:
        handle = list_of(server.engine.databases[0], b"list")
        for count in (2, 3, 4, 7):
            for at_head in (False, True):
                for number in range(count):
                    client.talk(encode_command("LPUSH" if at_head else "RPUSH", "list", f"element {number}"))
                    handle.check()
                for _ in range(count):
                    client.talk(b"LPOP list\r\n" if at_head else b"RPOP list\r\n")
                    handle.check()
        assert len(handle) == 0
