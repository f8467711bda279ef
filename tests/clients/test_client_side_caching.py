"""redis-py's client-side caching: replies come from its own memory until Ranvier says that the key changed.

The client asks for version 7.4 of a server that calls itself redis. Ranvier says 7.2.4, as Valkey does, so the test
lowers what the client asks for: the conversation is the same.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import redis
from redis.cache import CacheConfig
from redis.connection import CacheProxyConnection

from harness.process import ServerProcess
from harness.waiting import eventually


@pytest.fixture
def cached(server: ServerProcess, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(CacheProxyConnection, "MIN_ALLOWED_VERSION", "7.2.0")
    client = redis.Redis(port=server.port, protocol=3, cache_config=CacheConfig(max_size=100))
    client.flushall()
    yield client
    client.close()


def reads(server: ServerProcess) -> int:
    """How often GET and MGET ran."""
    info = server.info("commandstats")
    return sum(int(info.get(f"cmdstat_{name}", "calls=0").split("calls=")[1].split(",")[0]) for name in ("get", "mget"))


def test_a13_a_cached_reply_is_used_until_the_key_changes(server: ServerProcess, cached: Any) -> None:
    with redis.Redis(port=server.port) as other:
        other.mset({"k": "one", "l": "left"})
        assert cached.get("k") == b"one"
        before = reads(server)
        assert [cached.get("k") for _ in range(10)] == [b"one"] * 10
        assert reads(server) == before
        other.set("k", "two")
        # The writer's reply and the message leave in one turn, in either order.
        eventually(lambda: cached.get("k") == b"two", "the cache hears of the change")
        assert cached.get("k") == b"two"
        assert reads(server) == before + 1


def test_a13_own_changes_and_flushes_reach_the_cache(server: ServerProcess, cached: Any) -> None:
    cached.set("k", "one")
    assert (cached.get("k"), cached.get("k")) == (b"one", b"one")
    cached.set("k", "two")
    assert cached.get("k") == b"two"
    assert cached.mget("k", "l") == [b"two", None]
    cached.incr("l")
    assert cached.mget("k", "l") == [b"two", b"1"]
    with redis.Redis(port=server.port) as other:
        other.flushall()
    eventually(lambda: cached.get("k") is None, "the cache hears of the flush")
    assert len(cached.get_cache().collection) == 0
