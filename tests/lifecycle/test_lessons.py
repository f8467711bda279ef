"""Lessons that others paid for (lessons 6 to 19), as far as no test beside the code holds them already."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness.memory import memory_client, memory_server, read_replies, received, socket_client, turn, used_bytes
from harness.process import ServerProcess, StartServer
from harness.waiting import eventually
from harness.wire import encode_command
from ranvier.config.options import Configuration
from ranvier.engine.modes.glob import matches
from ranvier.observe.log import ServerLog
from ranvier.server.server import Server

PING, PONG = b"PING\r\n", b"+PONG\r\n"
MEGABYTE = 1 << 20
DAY_MILLISECONDS = 86_400_000

LOOSE_NUMBERS = [b"+4", b"04", b" 4", b"4 ", b"4_0", b"0x4", b"4.0", b"4e0", b"\xef\xbc\x94", b"-0", b"", b"--4",
                 b"99999999999999999999", b"\x004", b"4\x00"]
NUMBERED = ["set k v ex @", "incrby n @", "expire k @", "setrange k @ x", "lrange l 0 @", "lpop l @", "select @",
            "hello @", "client kill id @", "client unblock @", "client pause @", "lset l @ x", "blmpop 0 @ l left",
            "copy k c db @", "getrange k 0 @", "object freq k @", "swapdb 0 @", "client list maxage @"]


@pytest.mark.parametrize("line", NUMBERED)
def test_lesson_06_numbers_are_strict(line: str, server: ServerProcess, valkey: ServerProcess) -> None:
    """A3-15: what a lenient parser takes for a number is refused as by Valkey, in every place."""
    heard = []
    for one in (server, valkey):
        with one.connect() as wire:
            wire.pipeline([("FLUSHALL",), ("SET", "k", "v"), ("SET", "n", "1"), ("RPUSH", "l", "a")])
            heard.append([wire.call(*[number if word == "@" else word for word in line.split()]).raw
                          for number in LOOSE_NUMBERS])
            wire.pipeline([("RESET",), ("CLIENT", "UNPAUSE"), ("FLUSHALL",)])
    assert list(zip(LOOSE_NUMBERS, heard[0], strict=True)) == list(zip(LOOSE_NUMBERS, heard[1], strict=True))


@pytest.mark.parametrize("number", [b"+1", b"01", b" 1", b"1 ", b"1_0", b"\xef\xbc\x91", b"0x1", b"1.0", b"-0"])
def test_lesson_06_counts_and_lengths_are_strict(number: bytes) -> None:
    """A3-15"""
    for data, text in ((b"*%b\r\n$4\r\nPING\r\n", b"multibulk"), (b"*1\r\n$%b\r\nPING\r\n", b"bulk")):
        with memory_server() as server, memory_client(server) as client:
            assert client.talk(PING + data % number) == PONG + b"-ERR Protocol error: invalid %s length\r\n" % text
            assert client.handle.closed


@pytest.mark.parametrize("empty", [b"*0\r\n", b"\r\n", b"\n", b"*-1\r\n", b"  \r\n"])
def test_lesson_07_an_empty_request_resets_the_parser(empty: bytes) -> None:
    """Multibulk and inline in any order behind it, cut anywhere."""
    inline, multibulk, big = PING, encode_command("PING"), encode_command("ECHO", b"b" * 40_000)
    stream = inline + empty + multibulk + empty * 3 + inline + empty + big + empty + multibulk
    expected = PONG * 3 + b"$40000\r\n" + b"b" * 40_000 + b"\r\n" + PONG
    edges = [*range(1, 60), *range(len(stream) - 40, len(stream))]
    with memory_server() as server:
        for cut in edges:
            with memory_client(server) as client:
                assert client.talk(stream[:cut]) + client.talk(stream[cut:]) == expected


def test_lesson_08_a_thousand_announcements_cost_little(start_server: StartServer) -> None:
    """Resident memory, of a real process: 500 GB are announced."""
    server = start_server()
    with server.connect() as other:
        wires = [server.connect() for _ in range(100)]
        other.call("PING")
        before = server.resident_bytes()
        for wire in wires:
            wire.send(b"*1000000\r\n$3\r\nSET\r\n$536870912\r\n")
        server.settle()
        assert server.resident_bytes() - before < 100 * 128 * 1024
        for wire in wires:
            wire.close()


def test_lesson_11_a_slow_reader_costs_the_server_what_the_kernel_does_not_take(start_server: StartServer) -> None:
    """Only beyond the three or four megabytes of a loopback socket is anything seen: here it is, exactly."""
    server = start_server()
    size = 24 * MEGABYTE
    with server.connect(receive_buffer_bytes=4096) as wire, server.connect() as other:
        identity = wire.call("CLIENT", "ID").number
        other.call("SET", "k", b"v" * size)
        wire.send_command("GET", "k")

        def owed() -> int:
            line = other.call("CLIENT", "LIST", "ID", identity).text.decode()
            return int(dict(field.partition("=")[::2] for field in line.split())["omem"])

        eventually(lambda: owed() > 0, "the request is executed")
        assert 16 * MEGABYTE < owed() <= size + 65_536
        assert wire.reply().text == b"v" * size


def test_lesson_12_strangers_have_small_rooms() -> None:
    """Arguments and bulks, each to its last byte and one beyond; replies: A6-9, input: A2-5."""
    refused = b"-NOAUTH Authentication required.\r\n"
    cases = [
        (encode_command("SET", *["x"] * 9), refused, False),
        (b"*11\r\n", b"-ERR Protocol error: unauthenticated multibulk length\r\n", True),
        (encode_command("GET", b"x" * 16_384), refused, False),
        (b"*2\r\n$3\r\nGET\r\n$16385\r\n", b"-ERR Protocol error: unauthenticated bulk length\r\n", True),
    ]
    for data, answer, closed in cases:
        with memory_server(requirepass="secret") as server, memory_client(server) as client:
            assert (client.talk(data), client.handle.closed) == (answer, closed)


def test_lesson_13_the_answer_to_auth_comes_behind_what_is_pending() -> None:
    with memory_server(requirepass="secret") as server, socket_client(server, send_buffer_bytes=4096) as peer:
        with memory_client(server) as other:
            other.handle.authenticated = True
            other.talk(encode_command("SET", "k", b"v" * MEGABYTE))
        peer.send(encode_command("GET", "k") + encode_command("AUTH", "wrong") + PING)
        data = b""
        for _ in range(10_000):
            turn(server)
            data += received(peer)[0]
            if data.endswith(PONG):
                break
        assert data[-100:].endswith(
            b"v\r\n-WRONGPASS invalid username-password pair or user is disabled.\r\n" + PONG)
    with memory_server(requirepass="secret") as server, memory_client(server) as client:
        answers = read_replies(client.talk(b"GET k\r\n" * 5 + b"AUTH wrong\r\nGET k\r\nAUTH secret\r\nGET k\r\n"))
        assert [reply.raw.split()[0] for reply in answers] == [b"-NOAUTH"] * 5 + [
            b"-WRONGPASS", b"-NOAUTH", b"+OK", b"$-1"]


ECHOING = ["nosuch{}", "client {}", "client kill {} x", "client setinfo {} x", "client list type {}", "config set {} x",
           "hello 3 {}", "object {} k", "set k v {}", "client kill user {}", "config set maxclients {}",
           "client pause 1 {}", "copy a b {}", "lmpop 1 k {}", "subscribe{}", "client unblock 1 {}", "debug {}",
           "config set save {}", "client list flags {}", "expire k 1 {}", "config rewrite {}"]


@pytest.mark.parametrize("line", ECHOING)
def test_lesson_14_echoed_text_is_one_line(line: str) -> None:
    """A3-20: whatever is sent in the place of a word, one whole reply comes back, and the next answer is the next."""
    for evil in ("a\r\nb", "\r\n+OK\r\n", "\n", "x\r", "\r\n" * 50, "\x00\r\n"):
        words = [word.replace("{}", evil) for word in line.split()]
        with memory_server() as server, memory_client(server) as client:
            replies = read_replies(client.talk(encode_command(*words) + PING))
            assert len(replies) == 2, replies
            assert replies[1].raw == PONG


def test_lesson_15_what_is_unbounded_by_default_has_an_option() -> None:
    """The output of normal clients: none, all, as the option says; idle ones likewise (A10-1)."""
    for limit, ends in (("normal 0 0 0", False), ("normal 300000 0 0", True)):
        with memory_server(**{"client-output-buffer-limit": limit}) as server, memory_client(server) as other, \
                socket_client(server, send_buffer_bytes=4096) as peer:
            other.talk(encode_command("SET", "k", b"v" * 60_000))
            handle = max(server.engine.clients, key=lambda client: client.id)
            peer.send(encode_command("GET", "k") * 10)
            turn(server, 2)
            assert handle.closed == ends


class TwoClocks:
    """A wall clock and a monotonic clock that a test moves apart."""

    def __init__(self) -> None:
        self.wall, self.monotonic = 1_700_000_000_000, 5_000_000

    def wall_ms(self) -> int:
        return self.wall

    def monotonic_ms(self) -> int:
        return self.monotonic


@contextmanager
def server_of_two_clocks(**options: object) -> Iterator[tuple[Server, TwoClocks]]:
    clocks = TwoClocks()
    configuration = Configuration.of({"port": 0, "loglevel": "nothing", "save": "", **options})
    server = Server(configuration, ServerLog(level="nothing"), clocks)
    try:
        yield server, clocks
    finally:
        server.engine.close()


@pytest.mark.parametrize("jump", [DAY_MILLISECONDS, -DAY_MILLISECONDS])
def test_lesson_16_the_wall_clock_moves_nothing_but_expiry(jump: int) -> None:
    """Idle times, soft limits, blocking time-outs: on the monotonic clock, whichever way the wall clock jumps."""
    limit = {"client-output-buffer-limit": "normal 0 100000 5"}
    with server_of_two_clocks(timeout=10, **limit) as (server, clocks), \
            socket_client(server, send_buffer_bytes=4096) as slow, socket_client(server) as blocked, \
            socket_client(server) as idle, memory_client(server) as other:
        other.talk(encode_command("RPUSH", "l", *["e" * 1000] * 300) + b"SET t v PX 1000\r\n")
        handles = sorted((client for client in server.engine.clients if client.fd >= 0), key=lambda client: client.id)
        slow.send(encode_command("LRANGE", "l", 0, -1))
        blocked.send(b"BLPOP nobody 8\r\n")
        idle.send(PING)
        turn(server, 2)
        assert (received(idle), received(blocked)) == ((PONG, "open"), (b"", "open"))
        clocks.wall += jump
        turn(server, 2)
        server.engine.check_clients(10)
        assert [handle.closed for handle in handles] == [False] * 3
        assert received(blocked) == (b"", "open")
        assert other.talk(b"EXISTS t\r\n") == (b":0\r\n" if jump > 0 else b":1\r\n")
        clocks.monotonic += 6000
        turn(server, 2)
        server.engine.check_clients(10)
        assert [handle.close_reason for handle in handles] == ["output-buffer-limit", "none", "none"]
        clocks.monotonic += 2000
        turn(server, 2)
        assert received(blocked) == (b"*-1\r\n", "open")
        clocks.monotonic += 3000
        turn(server)
        server.engine.check_clients(10)
        assert [handle.close_reason for handle in handles[1:]] == ["none", "idle"]


@pytest.mark.parametrize("pattern", [
    b"a*" * 60 + b"b", b"*a?" * 40 + b"b", b"*[ab]" * 50 + b"c", b"*" * 1000 + b"b", b"*a" * 60 + b"*b",
    b"\\a*" * 60 + b"b", b"*[^b]" * 50 + b"b",
])
def test_lesson_19_native_patterns_do_not_explode(pattern: bytes) -> None:
    """Of 2,000 bytes that do not match: tried in every way, this would outlast the universe; in the engine, as KEYS."""
    text = b"a" * 2000
    assert not matches(pattern, text)
    with memory_server() as server, memory_client(server) as client, memory_client(server) as listener:
        client.talk(encode_command("SET", text, "v"))
        assert client.talk(encode_command("KEYS", pattern)) == b"*0\r\n"
        assert client.talk(encode_command("SCAN", 0, "MATCH", pattern, "COUNT", 100)).endswith(b"*0\r\n")
        listener.talk(encode_command("PSUBSCRIBE", pattern))
        assert client.talk(encode_command("PUBLISH", text, "x")) == b":0\r\n"


def test_lesson_10_a_value_referenced_by_many_is_charged_to_each() -> None:
    """Two clients wait for one value: held once, owed by each in full."""
    with memory_server() as server, memory_client(server) as other:
        other.talk(encode_command("SET", "k", b"v" * MEGABYTE))
        before = used_bytes(server)
        with memory_client(server) as one, memory_client(server) as two:
            for client in (one, two):
                server.engine.feed(client.handle, encode_command("GET", "k"))
            assert used_bytes(server) - before < MEGABYTE // 2
            assert all(client.handle.describe()["omem"] >= MEGABYTE for client in (one, two))
