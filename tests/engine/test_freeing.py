"""What is unlinked, flushed or evicted is freed in slices, whoever asked for it and however (counters, not clocks)."""

import pytest

from harness.memory import drop_garbage, memory_client, memory_server, used_bytes
from harness.wire import encode_command
from ranvier import limits
from ranvier.shells.memory import MemoryClient

ELEMENTS, BATCH = 400_000, 2000
WAYS = {
    "UNLINK": "UNLINK huge",
    "DEL": "DEL huge",
    "replaced": "SET huge x",
    "FLUSHDB": "FLUSHDB",
    "FLUSHDB SYNC": "FLUSHDB SYNC",
    "FLUSHALL ASYNC": "FLUSHALL ASYNC",
    "evicted": "CONFIG SET maxmemory 100000",
}


def push(client: MemoryClient, count: int) -> None:
    for start in range(0, count, BATCH):
        client.talk(encode_command("RPUSH", "huge", *(f"element{n:09}" for n in range(start, start + BATCH))))


@pytest.mark.parametrize("way", WAYS)
def test_a_huge_value_goes_in_slices(way: str) -> None:
    with memory_server(**{"maxmemory-policy": "allkeys-lru", "maxmemory-eviction-tenacity": "0"}) as server, \
            memory_client(server) as client:
        empty = used_bytes(server)
        push(client, ELEMENTS)
        held = used_bytes(server)
        assert held > empty + ELEMENTS * 10
        freed = server.engine.statistics()["freed_items"]
        assert client.talk(WAYS[way].encode() + b"\r\n")[:1] in b"+:"
        # What the command itself frees is bounded, too: a little for each of sixteen databases.
        assert server.engine.statistics()["freed_items"] - freed <= 16 * limits.FREED_ITEMS_PER_SLICE
        while used_bytes(server) > 100_000 + empty:
            before = server.engine.statistics()["freed_items"]
            if way == "evicted":
                server.engine.key_eviction.step()
                # A slice without time of its own: the clock is looked at behind every two pieces.
                assert server.engine.statistics()["freed_items"] - before <= 3 * limits.FREED_ITEMS_PER_SLICE
            else:
                server.engine.free_values()
        drop_garbage(server)
        assert server.engine.statistics()["freed_items"] - freed >= ELEMENTS // 1000
        assert server.engine.statistics()["lazyfree_pending"] == 0


def test_a_value_is_freed_at_once_where_the_options_say_so() -> None:
    with memory_server(**{"lazyfree-lazy-user-del": "no"}) as server, memory_client(server) as client:
        push(client, 100_000)
        client.talk(b"DEL huge\r\n")
        assert not server.engine.frees_values
        push(client, 100_000)
        client.talk(b"UNLINK huge\r\n")
        assert server.engine.frees_values
