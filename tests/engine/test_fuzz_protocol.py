"""Random bytes and random requests, mixed over several clients of one server, in memory.

Whatever they send: the server lives, whoever sends whole requests gets one reply for each, in order, and when all have
left and the keys are gone, the memory is what it was.
"""

import gc
from typing import NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.memory import drop_garbage, memory_client, memory_server, read_replies, used_bytes
from harness.wire import encode_command
from ranvier.server.server import Server
from ranvier.shells.memory import MemoryClient

CLIENTS = 3
KEYS = st.sampled_from([b"a", b"b", b"c", b"", b"k" * 300, b"K" * 33_000])
VALUES = st.one_of(
    st.binary(max_size=30),
    st.integers(-(1 << 63), 1 << 63).map(lambda number: b"%d" % number),
    st.sampled_from([b"", b"\r\n", b"*3\r\n", b"x" * 5000, b"y" * 32_768, b"z" * 70_000]),
)
SMALL = st.integers(-3, 40).map(lambda number: b"%d" % number)
# One reply each, none of which closes the connection.
REQUESTS = st.one_of(
    st.tuples(st.sampled_from([b"SET", b"APPEND", b"GETSET", b"RPUSH", b"LPUSH", b"SETNX"]), KEYS, VALUES),
    st.tuples(st.sampled_from([b"GET", b"DEL", b"INCR", b"STRLEN", b"TYPE", b"LPOP", b"LLEN", b"TTL"]), KEYS),
    st.tuples(st.sampled_from([b"MSET", b"LINSERT", b"LMOVE", b"SETRANGE"]), KEYS, SMALL, KEYS, VALUES),
    st.tuples(st.sampled_from([b"LRANGE", b"GETRANGE", b"LTRIM", b"SETRANGE", b"LSET", b"SETBIT"]), KEYS, SMALL, SMALL),
    st.tuples(st.sampled_from([b"MGET", b"UNLINK", b"RENAME", b"COPY", b"TOUCH", b"LCS"]), KEYS, KEYS),
    st.tuples(st.sampled_from([b"PEXPIRE", b"EXPIRE", b"INCRBY", b"SELECT"]), KEYS, SMALL),
    st.tuples(st.sampled_from([b"PING", b"DBSIZE", b"RANDOMKEY", b"FLUSHALL", b"RESET", b"CLIENT", b"INFO", b"no"])),
    st.tuples(st.just(b"HELLO"), st.sampled_from([b"2", b"3", b"4"])),
    st.tuples(st.sampled_from([b"MULTI", b"EXEC", b"EXEC", b"DISCARD", b"UNWATCH"])),
    st.tuples(st.just(b"WATCH"), KEYS, KEYS),
    st.tuples(st.sampled_from([b"OBJECT", b"CLIENT", b"COMMAND", b"CONFIG", b"MEMORY"]), VALUES, VALUES),
    st.tuples(VALUES, VALUES),
)
SPACES = st.sampled_from([b"\r\n", b"*0\r\n", b"*-1\r\n", b"\n", b" \t\r\n"])
SOUP = st.one_of(
    st.binary(max_size=60),
    st.lists(
        st.sampled_from([b"*", b"$", b"1", b"2", b"-", b"\r\n", b"\r", b"\n", b"\x00", b"PING", b'"', b"'", b"\\x4",
                         b" ", b"QUIT\r\n", b"*2147483647\r\n", b"$536870912\r\n", b"*2\r\n$4\r\nECHO\r\n$40000\r\n",
                         b"POST / HTTP/1.1\r\n", b"s" * 33_000]),
        max_size=12,
    ).map(b"".join),
)


class Step(NamedTuple):
    """`requests` whole ones, or garbage (-1), for one client; `cut` in thousandths is where the bytes are parted."""

    client: int
    data: bytes
    requests: int
    cut: int


def _requests(client: int, requests: list[tuple[bytes, ...]], spaces: list[bytes], cut: int) -> Step:
    parts = [encode_command(*request) for request in requests]
    for number, space in enumerate(spaces):
        parts.insert(number * 2, space)
    return Step(client, b"".join(parts), len(requests), cut)


WHOLE = st.builds(
    _requests, st.integers(0, CLIENTS - 1), st.lists(REQUESTS, max_size=8), st.lists(SPACES, max_size=2),
    st.integers(0, 1000),
)
GARBAGE = st.builds(Step, st.integers(0, CLIENTS - 1), SOUP, st.just(-1), st.integers(0, 1000))
# Names that the anti-HTTP rule closes for, or that close by their meaning, are no ordinary requests.
CLOSING = (b"post", b"host:", b"quit", b"shutdown")


def talk(client: MemoryClient, step: Step) -> bytes:
    at = len(step.data) * step.cut // 1000
    return client.talk(step.data[:at]) + client.talk(step.data[at:])


def is_alive(server: Server) -> bool:
    with memory_client(server) as witness:
        return witness.talk(b"ECHO alive\r\n") == b"$5\r\nalive\r\n"


def ends_a_client(step: Step) -> bool:
    return any(word in step.data.lower() for word in CLOSING)


@given(st.lists(st.one_of(WHOLE, WHOLE, GARBAGE), max_size=12))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_whatever_is_sent(steps: list[Step]) -> None:
    """Also lesson 22: the protocol is fuzzed."""
    with memory_server() as server:
        assert is_alive(server)
        before = used_bytes(server)
        clients = [MemoryClient(server) for _ in range(CLIENTS)]
        ordered = [True] * CLIENTS           # has sent nothing but whole requests so far
        for step in steps:
            client = clients[step.client]
            answered = talk(client, step)
            if step.requests < 0 or ends_a_client(step):
                ordered[step.client] = False
            if ordered[step.client]:
                assert len(read_replies(answered)) == step.requests
                assert not client.handle.closed
            if client.handle.closed:
                assert client.talk(b"PING\r\n") == b""
        assert is_alive(server)
        for client in clients:
            client.close()
        with memory_client(server) as last:
            assert last.talk(b"FLUSHALL\r\n") == b"+OK\r\n"
        drop_garbage(server)
        assert server.engine.client_count == 0
        assert used_bytes(server) - before < 4096


def test_clients_come_and_go_without_a_trace() -> None:
    """A hundred rounds of everything that a client can hold; neither memory nor objects nor clients remain."""
    halves = [
        encode_command("ECHO", b"x" * 100_000)[:50_000],
        encode_command("MSET", b"k" * 40_000, b"v" * 40_000)[:60_000],
        encode_command(*["DEL"] * 5000)[:20_000],
        b"GET k\r\n" * 5000,
        b"PING",
        b'ECHO "',
        b"QUIT\r\n",
        b"*x\r\n",
    ]
    with memory_server(client_closed_max_len=0) as server:

        def round_of_clients() -> None:
            with memory_client(server) as setting:
                setting.talk(encode_command("SET", "k", b"v" * 50_000))
            clients = [MemoryClient(server) for _ in halves]
            for client, half in zip(clients, halves, strict=True):
                server.engine.feed(client.handle, half)
            for client in clients:
                client.close()
            with memory_client(server) as setting:
                setting.talk(b"FLUSHALL\r\n")
            drop_garbage(server)

        round_of_clients()
        gc.collect()
        memory, objects = used_bytes(server), len(gc.get_objects())
        for _ in range(100):
            round_of_clients()
        gc.collect()
        # A chunk may be a few bytes larger than asked for, as the heap lies; a leak would count a hundredfold.
        assert abs(used_bytes(server) - memory) < 1024
        assert len(gc.get_objects()) - objects < 100
        assert server.engine.client_count == 0
