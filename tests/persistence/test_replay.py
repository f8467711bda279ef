"""The engine's replay: requests of a file, run again, and the byte at which a file is wrong."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness.memory import memory_client, memory_server
from harness.wire import encode_command
from ranvier.engine.client import ClientHandle
from ranvier.engine.persistence.replay import Replay
from ranvier.errors import ReplayError
from ranvier.server.server import Server

LONG_NS = 10**10


@contextmanager
def replay_on(server: Server) -> Iterator[Replay]:
    handle = ClientHandle(server, "replay")
    server.engine.add_client(-1, handle)
    replay = server.engine.append_buffer.replay(handle)
    try:
        yield replay
    finally:
        replay.close()
        server.engine.free_closed()


@pytest.fixture
def server() -> Iterator[Server]:
    with memory_server() as running:
        yield running


def run(server: Server, data: bytes) -> tuple[int, int]:
    """Run all of it; where it stopped, and where it may be cut."""
    with replay_on(server) as replay:
        replay.load(data)
        assert replay.step(LONG_NS)
        return replay.position, replay.whole


def requests(*lines: str) -> bytes:
    return b"".join(encode_command(*line.split(" ")) for line in lines)


def test_requests_run_and_nobody_sees_the_client(server: Server) -> None:
    data = requests("SET a 1", "SELECT 3", "INCRBY a 5", "MULTI", "LPUSH l x", "LPUSH l y", "EXEC")
    with memory_client(server) as client, replay_on(server) as replay:
        before = client.talk(b"CLIENT LIST\r\n"), server.client_count()
        replay.load(data)
        assert replay.step(LONG_NS)
        assert (replay.position, replay.whole, replay.errors) == (len(data), len(data), 0)
        assert server.client_count() == before[1]
        assert client.talk(b"GET a\r\n") == b"$1\r\n1\r\n"
        assert client.talk(b"SELECT 3\r\nGET a\r\nLPOP l 2\r\n").endswith(b"5\r\n*2\r\n$1\r\ny\r\n$1\r\nx\r\n")


def test_a_large_file_runs_in_steps(server: Server) -> None:
    data = b"".join(encode_command("SET", f"key:{i}", "x" * (i % 100)) for i in range(20_000))
    steps = 0
    with replay_on(server) as replay:
        replay.load(data)
        while not replay.step(100_000):
            steps += 1
        assert replay.position == len(data)
    assert steps > 5
    assert len(server.engine.databases[0]) == 20_000


@pytest.mark.parametrize("keep", range(1, 31))
def test_a_torn_request_is_not_run(server: Server, keep: int) -> None:
    first, torn = requests("SET a 1"), requests("APPEND a 234")
    assert len(torn) == 32
    assert run(server, first + torn[:keep]) == (len(first), len(first))
    with memory_client(server) as client:
        assert client.talk(b"GET a\r\n") == b"$1\r\n1\r\n"


def test_a_transaction_without_its_exec_is_not_run(server: Server) -> None:
    first, begun = requests("SET a 1"), requests("MULTI", "SET a 2", "SET b 2")
    for data in (first + begun, first + begun + requests("EXEC")[:-1]):
        assert run(server, data)[1] == len(first)
        with memory_client(server) as client:
            assert client.talk(b"GET a\r\nEXISTS b\r\n") == b"$1\r\n1\r\n:0\r\n"


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (b"x", "number of arguments"), (b"*0\r\n", "number of arguments"), (b"*-1\r\n", "number of arguments"),
        (b"*1\r\n*", "length of an argument"), (b"*1\r\n$-1\r\n", "length of an argument"),
        (b"*1\r\n$4\r\nPINGG\r\n", "does not end"), (b"*1\r\n$5\r\nPING\r\n\r\n", "does not end"),
        (b"*1\n$4\r\nPING\r\n", "number of arguments"), (b"*11111111111111111111\r\n", "number of arguments"),
        (requests("SEX a"), "unknown command 'SEX', with args beginning with: 'a'"),
        (requests("SET a"), "wrong number of arguments for 'set' command"),
        (b"PING\r\n", "number of arguments"), (requests("client|id"), "unknown command"),
    ],
)
def test_what_is_wrong_is_told_with_its_offset(server: Server, wrong: bytes, reason: str) -> None:
    first = requests(*[f"SET {i} {i}" for i in range(100)])
    with replay_on(server) as replay:
        replay.load(first + wrong + requests("SET after 1"))
        with pytest.raises(ReplayError, match="byte") as caught:
            replay.step(LONG_NS)
        assert reason in caught.value.reason
        assert caught.value.offset == replay.position == len(first)
    assert len(server.engine.databases[0]) == 100, "what is before it has run, and nothing behind it"


def test_annotations_are_passed_over(server: Server) -> None:
    data = b"#TS:1700000000\r\n" + requests("SET a 1") + b"#any\r\n" + requests("SET b 1")
    assert run(server, data) == (len(data), len(data))
    assert run(server, data + b"#TS:17") == (len(data), len(data))
    assert run(server, b"") == (0, 0)


def test_errors_are_counted_and_change_nothing_else(server: Server) -> None:
    with replay_on(server) as replay:
        replay.load(requests("SET a 1", "LPUSH a x", "SET b 1"))
        assert replay.step(LONG_NS)
        assert replay.errors == 1
        assert replay.error is not None
        assert replay.error.startswith(b"WRONGTYPE")
    assert server.engine.statistics()["errors"] == 0
    assert server.engine.statistics()["commands"] == 0


def test_keys_that_have_expired_since_are_found(server: Server) -> None:
    """They were there when the request ran; else APPEND would make a key that never expires."""
    past = server.clock.wall_ms() - 1
    run(server, requests(f"SET a x PXAT {past}", "APPEND a y", f"PEXPIREAT a {past}", "SET b x"))
    with memory_client(server) as client:
        assert client.talk(b"EXISTS a\r\nEXISTS b\r\n") == b":0\r\n:1\r\n"


def test_nothing_is_propagated_and_no_gate_stands_in_the_way(server: Server) -> None:
    told: list[object] = []
    server.observe(on_propagate=lambda database, units: told.append(units))
    server.engine.append_buffer.begin()
    server.engine.key_eviction.set_limit(1)
    for gate in range(24):
        server.engine.settings.set_gate(1 << gate, True)
    run(server, requests("SET a 1", "MULTI", "SET b 1", "EXEC"))
    assert not told
    assert server.engine.append_buffer.length == 0
    assert len(server.engine.databases[0]) == 2


def test_a_request_that_blocks_is_no_part_of_a_file(server: Server) -> None:
    data = requests("BLPOP l 0", "SET a 1")
    assert run(server, data) == (len(data), len(data))
    with replay_on(server) as replay:
        replay.load(requests("MULTI", "EXEC", "BLPOP l 0"))
        with pytest.raises(ReplayError, match="blocked"):
            replay.step(LONG_NS)


def test_modes_of_a_client_are_no_part_of_a_file_and_do_no_harm(server: Server) -> None:
    """Nobody writes such files; who is given one reads it to its end, and answers nobody."""
    run(server, requests(
        "SUBSCRIBE a", "PUBLISH a b", "UNSUBSCRIBE", "PUNSUBSCRIBE x", "SSUBSCRIBE s", "HELLO 3", "CLIENT TRACKING ON",
        "GET a", "SET a 1", "CLIENT REPLY OFF", "CLIENT REPLY SKIP", "MONITOR", "SET a 2", "RESET", "WATCH a",
        "LPUSH a x", "CLIENT NO-TOUCH OFF", "LPUSH a x", "SET a 3",
    ))
    with memory_client(server) as client:
        assert client.talk(b"GET a\r\nPUBSUB CHANNELS\r\nCLIENT LIST\r\n").startswith(b"$1\r\n3\r\n*0\r\n$")


def test_what_was_collected_is_replayed_to_the_same(server: Server) -> None:
    buffer = server.engine.append_buffer
    buffer.set_timestamps(True)
    buffer.begin()
    taken = bytearray()

    class Taker:
        def write(self, data: memoryview, /) -> int:
            taken.extend(data)
            return len(data)

    with memory_client(server) as client:
        for line in ("SET a 1", "SELECT 2", "MULTI", "SET b 2", "SELECT 0", "SET c 3", "EXEC", "GET a", "SPOP none"):
            client.talk(encode_command(*line.split()))
        wanted = client.talk(b"DEBUG DIGEST\r\n")
        assert buffer.write(Taker()) == buffer.length == buffer.offset == len(taken)
        assert taken.startswith(b"#TS:1700000000\r\n" + requests("SELECT 0", "SET a 1"))
        buffer.drop(5)
        assert (buffer.length, buffer.offset) == (len(taken) - 5, len(taken))
        buffer.clear()
        assert not buffer.due
        client.talk(b"FLUSHALL\r\n")
        buffer.end()
        run(server, bytes(taken))
        assert client.talk(b"DEBUG DIGEST\r\n") == wanted


def fail_to_load() -> None:
    """The error and the frame of this function refer to each other, and the frame to the server."""
    with memory_server() as running, replay_on(running) as replay:
        replay.load(b"no request")
        with pytest.raises(ReplayError) as caught:
            replay.step(LONG_NS)
        assert caught.value.offset == 0


def test_what_an_error_keeps_of_a_replay_outlives_the_engine() -> None:
    """As a program's server does that could not load. What is collected first is the collector's choice."""
    for _ in range(20):
        fail_to_load()
    gc.collect()
