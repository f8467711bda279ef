"""redis-py, with and without hiredis, and valkey-py, as programs use them."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis
import valkey as valkey_client

from harness.process import ServerProcess, StartServer

# The clients differ by name only; their types are Any here so that one test body serves all.
Client = Any


def redis_client(port: int, protocol: int, *, hiredis: bool) -> Client:
    from redis._parsers import _HiredisParser, _RESP2Parser, _RESP3Parser

    python_parser = _RESP3Parser if protocol == 3 else _RESP2Parser
    pool = redis.ConnectionPool(
        host="127.0.0.1", port=port, protocol=protocol, parser_class=_HiredisParser if hiredis else python_parser
    )
    return redis.Redis(connection_pool=pool)


def make_client(name: str, port: int) -> Client:
    library, protocol, parser = name.split()
    if library == "valkey-py":
        return valkey_client.Valkey(port=port, protocol=int(protocol))
    return redis_client(port, int(protocol), hiredis=parser == "hiredis")


NAMES = [
    *("redis-py 2 hiredis", "redis-py 3 hiredis", "redis-py 2 python", "redis-py 3 python"),
    *("valkey-py 2 default", "valkey-py 3 default"),
]


@pytest.fixture(params=NAMES)
def client(request: pytest.FixtureRequest, server: ServerProcess) -> Iterator[Client]:
    made = make_client(request.param, server.port)
    made.flushall()
    yield made
    made.close()


def test_strings(client: Client) -> None:
    assert client.ping() is True
    assert client.set("name", "value", ex=1000) is True
    assert client.get("name") == b"value"
    assert 990 < client.ttl("name") <= 1000
    assert client.set("name", "other", nx=True) is None
    assert client.set("name", "other", get=True) == b"value"
    assert client.incrby("counter", 41) == 41
    assert client.incr("counter") == 42
    assert client.incrbyfloat("float", 1.5) == 1.5
    assert client.mset({"a": 1, "b": 2}) is True
    assert client.mget("a", "none", "b") == [b"1", None, b"2"]
    assert client.append("a", "23") == 3
    assert client.getrange("a", 1, -1) == b"23"
    assert client.delete("a", "b", "none") == 2
    assert client.get("none") is None


def test_lists_and_keys(client: Client) -> None:
    assert client.rpush("list", *range(10)) == 10
    assert client.lrange("list", 0, 2) == [b"0", b"1", b"2"]
    assert client.lpop("list", 2) == [b"0", b"1"]
    assert client.lpos("list", "5") == 3
    assert client.lmove("list", "second", "LEFT", "RIGHT") == b"2"
    assert client.linsert("list", "BEFORE", "5", "x") == 8
    assert client.type("list") == b"list"
    assert client.rename("second", "third") is True
    assert sorted(client.keys("*")) == [b"list", b"third"]
    assert sorted(client.scan_iter(count=1)) == [b"list", b"third"]
    assert client.expire("list", 100, nx=True)
    assert client.persist("list")
    assert client.dbsize() == 2
    assert client.object("encoding", "list") == b"listpack"


def test_errors_are_the_clients_own(client: Client) -> None:
    errors = (redis.ResponseError, valkey_client.ResponseError)
    client.set("text", "x")
    with pytest.raises(errors, match="wrong kind of value"):
        client.lpush("text", 1)
    with pytest.raises(errors, match="not an integer"):
        client.incr("text")
    with pytest.raises(errors, match="unknown command"):
        client.execute_command("NOSUCH", "x")


def test_pipeline_without_transaction(client: Client) -> None:
    pipeline = client.pipeline(transaction=False)
    for number in range(1000):
        pipeline.set(f"k{number}", number)
        pipeline.get(f"k{number}")
    replies = pipeline.execute()
    assert replies[1::2] == [b"%d" % number for number in range(1000)]


def test_connection_commands(client: Client) -> None:
    assert client.client_setname("tester") is True
    assert client.client_getname() in (b"tester", "tester")
    assert isinstance(client.client_id(), int)
    info = client.client_info()
    assert info["name"] == "tester"
    assert info["lib-name"] in ("redis-py", "valkey-py")
    assert any(other["id"] == str(client.client_id()) for other in client.client_list())
    assert client.config_get("maxclients") == {"maxclients": "10000"}
    assert client.info("server")["redis_version"].startswith("7.2")
    assert "get" in client.command()
    assert client.time()[0] > 1_600_000_000


def test_binary_names_and_values(client: Client) -> None:
    everything = bytes(range(256)) * 300
    assert client.set(everything, everything)
    assert client.get(everything) == everything
    assert client.randomkey() == everything


def test_threads_share_a_pool(client: Client) -> None:
    failures: list[Exception] = []

    def work(number: int) -> None:
        try:
            for turn in range(100):
                client.set(f"{number}:{turn}", number)
                assert client.get(f"{number}:{turn}") == b"%d" % number
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert client.dbsize() == 800


def test_password_and_database_in_the_url(start_server: StartServer) -> None:
    server = start_server("--requirepass", "secret")
    for library in (redis, valkey_client):
        scheme = library.__name__
        with library.from_url(f"{scheme}://:secret@127.0.0.1:{server.port}/5?protocol=3") as client:
            client.set("k", scheme)
            assert client.client_info()["db"] in (5, "5")
        with library.from_url(f"{scheme}://127.0.0.1:{server.port}") as stranger:
            errors = (redis.AuthenticationError, valkey_client.AuthenticationError)
            with pytest.raises(errors):
                stranger.ping()
