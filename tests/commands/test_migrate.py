"""MIGRATE to Valkey, to Redis 7.0, to another Ranvier, and from Valkey; and servers that fail in the middle of it."""

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

import ranvier
from commands.test_dump import HERE, content, make
from harness.process import ServerProcess, StartServer
from harness.wire import Wire

FUTURE = 4102444800000


@pytest.fixture
def wire(server: ServerProcess) -> Iterator[Wire]:
    with server.connect() as wire:
        wire.call("FLUSHALL")
        yield wire
        wire.call("FLUSHALL")


@pytest.fixture(params=["valkey", "redis", "ranvier"])
def target(request: pytest.FixtureRequest, start_server: StartServer) -> ServerProcess:
    return start_server(kind=request.param)


def migrate(wire: Wire, port: int, *rest: object, timeout: int = 5000) -> bytes:
    key, *options = rest
    words = ["127.0.0.1", port, key, 0, timeout, *options]
    return wire.call("MIGRATE", *(word if isinstance(word, bytes) else str(word) for word in words)).raw


def test_every_value_moves(wire: Wire, target: ServerProcess) -> None:
    with target.connect() as there:
        for name in HERE:
            make(wire, name)
            wire.call("PEXPIREAT", "k", FUTURE)
            expected = content(wire)
            there.call("FLUSHALL")
            assert migrate(wire, target.port, "k") == b"+OK\r\n"
            assert wire.call("EXISTS", "k").number == 0
            assert content(there) == expected
            now_ms = 1000 * int(there.call("TIME").items[0].text)
            assert abs(there.call("PTTL", "k").number - (FUTURE - now_ms)) < 10_000


def test_many_keys_at_once(wire: Wire, target: ServerProcess) -> None:
    """More than fits into one group of requests."""
    names = [f"key:{number}" for number in range(300)]
    for name in names:
        wire.call("SET", name, name * 1500)
    assert migrate(wire, target.port, "", "COPY", "KEYS", *names, "no") == b"+OK\r\n"
    assert wire.call("DBSIZE").number == 300
    with target.connect() as there:
        assert there.call("DBSIZE").number == 300
        assert there.call("GET", "key:7").text == b"key:7" * 1500
        assert b"BUSYKEY" in migrate(wire, target.port, "", "KEYS", *names)
        assert wire.call("DBSIZE").number == 300
        there.call("DEL", "key:5")
        there.call("SET", "key:7", "older")
        assert b"BUSYKEY" in migrate(wire, target.port, "", "KEYS", *names)
        assert wire.call("EXISTS", "key:5").number == 0
        assert wire.call("DBSIZE").number == 299
        assert migrate(wire, target.port, "", "REPLACE", "KEYS", *names) == b"+OK\r\n"
        assert wire.call("DBSIZE").number == 0
        assert there.call("GET", "key:7").text == b"key:7" * 1500


def test_valkey_moves_its_keys_here(server: ServerProcess, valkey: ServerProcess, wire: Wire) -> None:
    with valkey.connect() as there:
        for name in HERE:
            make(there, name)
            expected = content(there)
            wire.call("FLUSHALL")
            assert migrate(there, server.port, "k") == b"+OK\r\n"
            assert there.call("EXISTS", "k").number == 0
            assert content(wire) == expected


def test_other_databases_and_passwords(wire: Wire, start_server: StartServer) -> None:
    target = start_server("--databases", "4", kind="valkey")
    with target.connect() as there:
        there.call("ACL", "SETUSER", "mover", "on", ">secret", "~*", "+@all")
        there.call("CONFIG", "SET", "requirepass", "pass")
        there.call("AUTH", "pass")
        wire.call("SET", "k", "v")
        assert migrate(wire, target.port, "k", "AUTH", "wrong").startswith(b"-ERR Target instance replied")
        assert migrate(wire, target.port, "k").startswith(b"-ERR Target instance replied with error: NOAUTH")
        assert migrate(wire, target.port, "k", "AUTH2", "mover", "wrong").startswith(b"-ERR Target instance")
        assert migrate(wire, target.port, "k", "COPY", "AUTH", "pass") == b"+OK\r\n"
        assert migrate(wire, target.port, "k", "AUTH2", "mover", "secret", "REPLACE") == b"+OK\r\n"
        assert there.call("GET", "k").text == b"v"
        wire.call("SET", "k", "w")
        args = ["127.0.0.1", str(target.port), "k"]
        assert wire.call("MIGRATE", *args, "3", "1000", "AUTH", "pass").raw == b"+OK\r\n"
        wire.call("SET", "k", "w")
        assert wire.call("MIGRATE", *args, "4", "1000", "AUTH", "pass").raw == (
            b"-ERR Target instance replied with error: ERR DB index is out of range\r\n"
        )
        there.call("SELECT", 3)
        assert there.call("GET", "k").text == b"w"


SAME = [
    "127.0.0.1 1 nokey 0 1000", "127.0.0.1 1 EMPTY 0 1000 KEYS", "127.0.0.1 1 EMPTY 0 1000 KEYS no nor",
    "127.0.0.1 1 a 0 1000 KEYS a", "127.0.0.1 1 a x 1000", "127.0.0.1 1 a 0 x", "127.0.0.1 x a 0 1000",
    "127.0.0.1 1 a 0 1000", "127.0.0.1 1 a 0 1000 REPLACE FOO", "127.0.0.1 1 a 0 1000 AUTH", "127.0.0.1 1 EMPTY 0 1000",
    "127.0.0.1 1 a 0 1000 AUTH2 u", "127.0.0.1 1 a 0", "127.0.0.1 70000 a 0 1000", "127.0.0.1 1 a 0 -5", "",
    "127.0.0.1 1 a 0 1000 copy Replace keys", "nohost.invalid 1 a 0 1000", "127.0.0.1 1 nokey x 1000",
]


@pytest.mark.parametrize("line", SAME)
def test_replies_are_valkeys(line: str, wire: Wire, valkey: ServerProcess) -> None:
    words = [word.replace("EMPTY", "") for word in line.split()]
    with valkey.connect() as theirs:
        replies = []
        for each in (wire, theirs):
            each.call("SET", "a", "1")
            replies.append([each.call("MIGRATE", *words).raw, each.call("EXISTS", "a").raw])
        theirs.call("FLUSHALL")
    assert replies[0] == replies[1]


def listening(answer: Callable[[socket.socket], None]) -> tuple[int, threading.Thread]:
    """A server that does this with the first connection that it gets."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener, listener.accept()[0] as peer:
            answer(peer)

    thread = threading.Thread(target=serve)
    thread.start()
    return listener.getsockname()[1], thread


READING = b"-IOERR error or timeout reading to target instance\r\n"


def receive_all(peer: socket.socket) -> None:
    """Until the other side closes."""
    while peer.recv(65536):
        pass


@pytest.mark.parametrize("said, left, reply", [
    (b"", 2, READING), (b"+OK\r\n", 2, READING), (b"+OK\r\n+OK\r\n", 1, READING), (b"+OK\r\n+OK\r\n+O", 1, READING),
    (b"+OK\r\n" + b"+" * 5000, 2, READING),
    (b"+OK\r\n-ERR no\r\n+OK\r\n", 1, b"-ERR Target instance replied with error: ERR no\r\n"),
    (b"-ERR db\r\n+OK\r\n+OK\r\n", 2, b"-ERR Target instance replied with error: ERR db\r\n"),
])
def test_a_target_that_stops_half_way(said: bytes, left: int, reply: bytes, wire: Wire) -> None:
    """What was acknowledged is gone, the rest stays."""

    def answer(peer: socket.socket) -> None:
        peer.sendall(said)
        peer.shutdown(socket.SHUT_WR)
        receive_all(peer)

    port, thread = listening(answer)
    wire.call("MSET", "a", "1", "b", "2")
    assert migrate(wire, port, "", "KEYS", "a", "b") == reply
    thread.join()
    assert wire.call("EXISTS", "a", "b").number == left


def test_a_target_that_never_answers(wire: Wire) -> None:
    port, thread = listening(receive_all)
    wire.call("SET", "a", "1")
    assert migrate(wire, port, "a", timeout=50) == READING
    thread.join()
    assert wire.call("EXISTS", "a").number == 1


def test_a_server_that_is_its_own_target(wire: Wire, server: ServerProcess) -> None:
    """It cannot answer while it waits."""
    wire.call("SET", "a", "1")
    assert migrate(wire, server.port, "a", timeout=50) == READING
    assert wire.call("GET", "a").text == b"1"


def test_passwords_are_shown_to_nobody(start_server: StartServer) -> None:
    server = start_server("--slowlog-log-slower-than", "0")
    with server.connect() as wire, server.connect() as monitor:
        monitor.call("MONITOR")
        wire.call("SET", "a", "1")
        migrate(wire, 1, "a", "AUTH2", "somebody", "secret")
        monitor.reply()
        assert b"secret" not in monitor.reply().text
        assert b"secret" not in wire.call("SLOWLOG", "GET").raw


def test_what_moved_is_propagated_as_deleted(start_server: StartServer) -> None:
    target = start_server(kind="valkey")
    propagated: list[list[bytes]] = []
    with ranvier.Server() as server, Wire(server.port) as wire, target.connect() as there:
        server.core.post(lambda: server.core.observe(None, lambda database, requests: propagated.extend(requests)))
        wire.call("MSET", "a", "1", "b", "2", "c", "3")
        there.call("SET", "b", "busy")
        propagated.clear()
        assert b"BUSYKEY" in migrate(wire, target.port, "", "KEYS", "a", "b", "no", "c")
        assert propagated == [[b"DEL", b"a", b"c"]]
