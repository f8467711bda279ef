"""How well keys are chosen: the hit rate of a cache of limited memory, on the same zipfian requests as Valkey's.

Both servers serve the requests batch by batch in turn, so that the same seconds pass for their clocks of access; both
may hold as many bytes as the same number of keys take there. RANVIER_EVICTION_REQUESTS makes the trace longer (`make
nightly`).
"""

import itertools
import os
import random

import pytest

from harness.process import ServerProcess, StartServer
from harness.wire import Wire, encode_command

REQUESTS = int(os.environ.get("RANVIER_EVICTION_REQUESTS", "30000"))
KEYS, FITTING = 12_000, 2_000
SKEW = 0.9
BATCH = 100
VALUE = "v" * 1000
POINTS = 0.02                    # no more than that below Valkey's


class Cache:
    """A server as a cache: what is missing is stored."""

    def __init__(self, server: ServerProcess, policy: str) -> None:
        self.wire: Wire = server.connect()
        self.hits = self.asked = 0
        self.set("maxmemory-policy", policy)
        empty = int(server.info("memory")["used_memory"])
        self.store([f"filler{n}" for n in range(FITTING)])
        limit = int(server.info("memory")["used_memory"])
        self.set("maxmemory", str(limit))
        # What a batch takes while it is served counts, too, and not equally: so many keys more, then, or less.
        for number in range(FITTING // BATCH):
            self.store([f"other{number}:{n}" for n in range(BATCH)])
        missing = FITTING - self.wire.call("DBSIZE").number
        self.set("maxmemory", str(limit + missing * (limit - empty) // FITTING))

    def set(self, option: str, value: str) -> None:
        assert self.wire.call("CONFIG", "SET", option, value).text == b"OK"

    def store(self, keys: list[str]) -> None:
        self.wire.send(b"".join(encode_command("SET", key, VALUE) for key in keys))
        self.wire.skip_exactly(len(b"+OK\r\n") * len(keys))

    def ask(self, keys: list[int]) -> None:
        self.wire.send(b"".join(encode_command("GET", f"key{key}") for key in keys))
        missing = [key for key in keys if self.wire.reply().value is None]
        self.asked += len(keys)
        self.hits += len(keys) - len(missing)
        self.store([f"key{key}" for key in missing])

    @property
    def rate(self) -> float:
        return self.hits / self.asked


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu"])
def test_the_hit_rate_is_valkeys(policy: str, start_server: StartServer, request: pytest.FixtureRequest) -> None:
    choose = random.Random(request.config.getoption("--seed"))
    weights = list(itertools.accumulate(1 / rank**SKEW for rank in range(1, KEYS + 1)))
    ours, theirs = (Cache(start_server(kind=kind), policy) for kind in ("ranvier", "valkey"))
    for _ in range(REQUESTS // BATCH):
        keys = choose.choices(range(KEYS), cum_weights=weights, k=BATCH)
        ours.ask(keys)
        theirs.ask(keys)
    held = [cache.wire.call("DBSIZE").number for cache in (ours, theirs)]
    print(f"{policy}: {ours.rate:.4f} with {held[0]} keys, Valkey {theirs.rate:.4f} with {held[1]} keys")
    assert all(abs(number - FITTING) < FITTING // 10 for number in held)
    assert ours.rate >= theirs.rate - POINTS
