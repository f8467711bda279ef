"""What is unlinked, flushed, evicted or expired is freed in slices, whoever asked for it and however (counters, not
clocks); what was freed goes back to the system in pieces."""

from collections.abc import Callable

import pytest

from harness.memory import drop_garbage, memory_client, memory_server, turn, used_bytes
from harness.wire import Argument, encode_command
from ranvier import limits
from ranvier.clock import VirtualClock
from ranvier.server.server import Server
from ranvier.shells.memory import MemoryClient

BATCH = 2000
SLICE = limits.FREED_ITEMS_PER_SLICE
EMPTY_BYTES = 100_000          # more than what is in use besides keys
ELEMENTS = {"list": 400_000, "set": 20_000, "hash": 20_000, "sorted set": 20_000, "stream": 100_000, "keys": 20_000}
# The requests that add what these numbers stand for.
ADDING: dict[str, Callable[[range], list[tuple[Argument, ...]]]] = {
    "list": lambda numbers: [("RPUSH", "huge", *(f"element{n:09}" for n in numbers))],
    "set": lambda numbers: [("SADD", "huge", *(f"element{n:09}" for n in numbers))],
    "hash": lambda numbers: [("HSET", "huge", *(word for n in numbers for word in (f"element{n:09}", "value")))],
    "sorted set": lambda numbers: [
        ("ZADD", "huge", *(word for n in numbers for word in (n * 7 % 1000, f"element{n:09}")))
    ],
    "stream": lambda numbers: [("XADD", "huge", f"{n + 1}-0", "field", f"value{n:09}") for n in numbers],
    "keys": lambda numbers: [("SET", f"key{n:09}", f"value{n:09}") for n in numbers],
}
WAYS = {
    "UNLINK": "UNLINK huge",
    "DEL": "DEL huge",
    "replaced": "SET huge x",
    "FLUSHDB": "FLUSHDB",
    "FLUSHDB SYNC": "FLUSHDB SYNC",
    "FLUSHALL ASYNC": "FLUSHALL ASYNC",
    "expired": "PEXPIRE huge 1",
    "evicted": "CONFIG SET maxmemory 100000",
}


# Every way for a list, three for the others; keys by themselves are no value.
CASES = [
    (kind, way)
    for kind in ELEMENTS
    for way in (WAYS if kind == "list" else ("UNLINK", "FLUSHALL ASYNC", "evicted"))
    if (kind, way) != ("keys", "UNLINK")
]


def fill(client: MemoryClient, kind: str, count: int) -> None:
    for start in range(0, count, BATCH):
        requests = ADDING[kind](range(start, start + BATCH))
        assert b"-" not in client.talk(b"".join(encode_command(*request) for request in requests))[:1]


def freed_items(server: Server) -> int:
    return server.engine.statistics()["freed_items"]


def evicted_keys(server: Server) -> int:
    return int(server.engine.key_eviction.figures()["evicted_keys"])


@pytest.mark.parametrize(("kind", "way"), CASES)
def test_what_is_huge_goes_in_slices(kind: str, way: str) -> None:
    with memory_server(**{"maxmemory-policy": "allkeys-lru", "maxmemory-eviction-tenacity": "0"}) as server, \
            memory_client(server) as client:
        empty = used_bytes(server)
        fill(client, kind, ELEMENTS[kind])
        held = used_bytes(server)
        assert held > empty + ELEMENTS[kind] * 10
        freed = freed_items(server)
        assert client.talk(WAYS[way].encode() + b"\r\n")[:1] in b"+:"
        if way == "expired":
            assert isinstance(server.clock, VirtualClock)
            server.clock.advance(1000)
            turn(server)
            assert client.talk(b"EXISTS huge\r\n") == b":0\r\n"
        # What the command itself frees is bounded, too: a little for each of sixteen databases.
        assert freed_items(server) - freed <= 16 * SLICE
        while used_bytes(server) > EMPTY_BYTES + empty:
            before = freed_items(server), evicted_keys(server)
            if way == "evicted":
                server.engine.key_eviction.step()
                # A slice without time of its own: the clock is looked at behind every two pieces.
                assert freed_items(server) - before[0] <= 3 * SLICE
                assert evicted_keys(server) - before[1] <= SLICE
            else:
                server.engine.free_values()
        drop_garbage(server)
        assert server.engine.statistics()["lazyfree_pending"] == 0
        if (kind, way) != ("keys", "evicted"):
            assert freed_items(server) - freed >= ELEMENTS[kind] // 1000


LARGE = b"x" * 40_000_000
# What makes one large allocation, and the command that takes it away.
LARGE_PARTS: dict[str, tuple[tuple[Argument, ...], tuple[Argument, ...]]] = {
    "string": (("SET", "huge", LARGE), ("GETDEL", "huge")),
    "element of a list": (("RPUSH", "huge", "small", LARGE), ("RPOP", "huge")),
    "value of a field": (("HSET", "huge", "field", LARGE, "other", "small"), ("HDEL", "huge", "field")),
    "name of a field": (("HSET", "huge", LARGE, "small", "other", "small"), ("HDEL", "huge", LARGE)),
    "member of a set": (("SADD", "huge", LARGE, "small"), ("SREM", "huge", LARGE)),
    "member of a sorted set": (("ZADD", "huge", 1, LARGE, 2, "small"), ("ZPOPMIN", "huge")),
    "entry of a stream": (("XADD", "huge", "1-1", "field", LARGE), ("XTRIM", "huge", "MAXLEN", 0)),
    "replaced": (("SET", "huge", LARGE), ("SET", "huge", "small")),
}


@pytest.mark.parametrize("part", LARGE_PARTS)
@pytest.mark.parametrize("way", ["UNLINK", "DEL", "FLUSHALL ASYNC", "evicted", "taken out"])
def test_a_large_allocation_goes_in_slices(part: str, way: str) -> None:
    """What counts is the memory that the kernel takes back, not the number of elements."""
    adding, taking_out = LARGE_PARTS[part]
    with memory_server(**{"maxmemory-policy": "allkeys-lru", "maxmemory-eviction-tenacity": "0"}) as server, \
            memory_client(server) as client:
        empty = used_bytes(server)
        client.talk(encode_command(*adding))
        drop_garbage(server)
        assert used_bytes(server) > empty + len(LARGE)
        freed = freed_items(server)
        client.talk(encode_command(*taking_out) if way == "taken out" else WAYS[way].encode() + b"\r\n")
        if way != "evicted":
            drop_garbage(server)
        while used_bytes(server) > EMPTY_BYTES + empty:
            before = used_bytes(server)
            server.engine.key_eviction.step()
            assert before - used_bytes(server) <= 4 * SLICE * 16384
        assert freed_items(server) - freed >= len(LARGE) // 16384
        assert server.engine.statistics()["lazyfree_pending"] == 0


def test_a_value_is_freed_at_once_where_the_options_say_so() -> None:
    with memory_server(**{"lazyfree-lazy-user-del": "no"}) as server, memory_client(server) as client:
        fill(client, "list", 100_000)
        client.talk(b"DEL huge\r\n")
        assert not server.engine.frees_values
        fill(client, "list", 100_000)
        client.talk(b"UNLINK huge\r\n")
        assert server.engine.frees_values


@pytest.mark.parametrize("kind", ["set", "hash", "sorted set", "keys"])
def test_growing_moves_a_bounded_number_of_buckets_per_element(kind: str) -> None:
    """No table is rehashed as a whole: the memory in use never jumps."""
    with memory_server() as server, memory_client(server) as client:
        fill(client, kind, BATCH)
        largest = 0
        before = used_bytes(server)
        for n in range(BATCH, 5 * BATCH):
            client.talk(encode_command(*ADDING[kind](range(n, n + 1))[0]))
            now = used_bytes(server)
            largest = max(largest, now - before)
            before = now
        assert largest < 80_000, "a segment of 1,024 buckets is 64 KB"


def test_freed_memory_goes_back_in_pieces_and_then_as_a_whole() -> None:
    with memory_server() as server, memory_client(server) as client:
        engine = server.engine
        fill(client, "keys", 200_000)
        client.talk(b"FLUSHALL\r\n")
        drop_garbage(server)
        assert engine.untrimmed_bytes > limits.TRIM_AT_ONCE_BYTES
        before = engine.statistics()["trimmed_pieces"]
        engine.begin_trim(True)
        pieces = []
        while engine.trims:
            engine.free_values()
            pieces.append(engine.statistics()["trimmed_pieces"])
        assert pieces[-1] > before
        assert engine.untrimmed_bytes == 0
        engine.begin_trim(False)                 # nothing to give back: it ends by itself
        while engine.trims:
            engine.free_values()
        fill(client, "keys", 2_000)              # and the allocator's memory is in order
        assert client.talk(b"GET key000000007\r\n") == b"$14\r\nvalue000000007\r\n"


def test_an_engine_that_ends_in_the_middle_of_a_trim_leaves_nothing() -> None:
    with memory_server() as server, memory_client(server) as client:
        fill(client, "keys", 20_000)
        client.talk(b"FLUSHALL\r\n")
        drop_garbage(server)
        server.engine.begin_trim(True)
        server.engine.free_values()
