"""DUMP and RESTORE: payloads go to Valkey 9.1.2 and Redis 7.0 and come from them, for every type and encoding."""

import struct
from collections.abc import Iterator

import anycrc
import pytest

from harness.process import ServerProcess, StartServer
from harness.wire import Argument, Wire
from ranvier.commands.spec import load_table

CHECKSUM = anycrc.Model("CRC64-REDIS")
Line = tuple[Argument, ...]

# What makes a key `k`, by type and the encoding that Ranvier and Valkey then give it.
NUMBERS = tuple(str(number * number) for number in range(2000))
VALUES: dict[str, list[Line]] = {
    "string empty": [("SET", "k", "")],
    "string int": [("SET", "k", "-12345")],
    "string large int": [("SET", "k", "9223372036854775807")],
    "string embstr": [("SET", "k", b"\x00\xff binary")],
    "string raw": [("SET", "k", b"some text " * 30)],
    "string large": [("SET", "k", bytes(range(256)) * 400)],
    "list listpack": [("RPUSH", "k", "a", "1", "-70000", b"x" * 100, "")],
    "list quicklist": [("RPUSH", "k", *NUMBERS)],
    "list quicklist with large elements": [("RPUSH", "k", b"y" * 9000, "a", b"z" * 70_000, *NUMBERS)],
    "set intset": [("SADD", "k", "1", "-5", "70000")],
    "set intset of 64 bits": [("SADD", "k", "1", "-5", "9223372036854775807")],
    "set listpack": [("SADD", "k", "a", "b", "12")],
    "set hashtable": [("SADD", "k", *(f"member:{number}" for number in NUMBERS))],
    "set hashtable of long members": [("SADD", "k", b"m" * 100, "1")],
    "zset listpack": [("ZADD", "k", "1", "a", "-2.5", "b", "inf", "c", "-inf", "d", "1e300", "5")],
    "zset skiplist": [("ZADD", "k", *(word for n in NUMBERS for word in (f"{n}.25", f"member:{n}")))],
    "hash listpack": [("HSET", "k", "field", "value", "5", "6", "", "")],
    "hash hashtable": [("HSET", "k", *(word for n in NUMBERS for word in (f"field:{n}", f"value:{n}")))],
    "hash hashtable of long values": [("HSET", "k", "f", b"v" * 1000)],
    "stream": [("XADD", "k", "1-1", "f", "v"), ("XADD", "k", "2-1", "f", "v", "g", b"w" * 300), ("XDEL", "k", "1-1")],
    "stream long": [("XADD", "k", f"{n}-0", "name", f"value:{n}", "other", n) for n in sorted(NUMBERS[1:], key=int)],
    "stream with groups": [
        ("XADD", "k", "1-1", "f", "v"), ("XADD", "k", "2-1", "f", "w"), ("XGROUP", "CREATE", "k", "g", "0"),
        ("XGROUP", "CREATE", "k", "other", "$"), ("XREADGROUP", "GROUP", "g", "me", "COUNT", "1", "STREAMS", "k", ">"),
    ],
    "hyperloglog": [("PFADD", "k", *NUMBERS)],
    "geo": [("GEOADD", "k", "13.361389", "38.115556", "Palermo", "15.087269", "37.502669", "Catania")],
}
IMPLEMENTED = {record.name for record in load_table().implemented()}
HERE = [name for name, lines in VALUES.items() if all(line[0] in IMPLEMENTED for line in lines)]


def content(wire: Wire) -> object:
    """What key `k` holds, in an order of its own."""
    kind = wire.call("TYPE", "k").text
    match kind:
        case b"string":
            return kind, wire.call("GET", "k").value
        case b"list":
            return kind, wire.call("LRANGE", "k", 0, -1).plain()
        case b"set":
            return kind, sorted(item.text for item in wire.call("SMEMBERS", "k").items)
        case b"zset":
            # As numbers: Redis 7.0 prints all 17 digits, Valkey fewer.
            items = [item.text for item in wire.call("ZRANGE", "k", 0, -1, "WITHSCORES").items]
            return kind, [(name, float(score)) for name, score in zip(items[::2], items[1::2], strict=True)]
        case b"hash":
            items = [item.text for item in wire.call("HGETALL", "k").items]
            return kind, sorted(zip(items[::2], items[1::2], strict=True))
        case b"stream":
            groups = wire.call("XINFO", "GROUPS", "k").plain()
            return kind, wire.call("XRANGE", "k", "-", "+").plain(), groups
    return kind


def make(wire: Wire, name: str) -> bytes:
    """Have key `k` hold it; its payload."""
    wire.call("FLUSHALL")
    for line in VALUES[name]:
        assert not wire.call(*line).is_error, line
    return wire.call("DUMP", "k").text


@pytest.fixture(scope="module")
def redis() -> Iterator[ServerProcess]:
    server = ServerProcess("redis")
    yield server
    assert server.stop() == 0
    server.discard()


@pytest.fixture(params=["valkey", "redis", "ranvier"])
def other(request: pytest.FixtureRequest, server: ServerProcess) -> Iterator[Wire]:
    peer = server if request.param == "ranvier" else request.getfixturevalue(request.param)
    with peer.connect() as wire:
        yield wire
        wire.call("FLUSHALL")


@pytest.fixture
def wire(server: ServerProcess) -> Iterator[Wire]:
    with server.connect() as wire:
        wire.call("FLUSHALL")
        yield wire
        wire.call("FLUSHALL")


@pytest.mark.parametrize("name", HERE)
def test_our_payloads_are_theirs(name: str, wire: Wire, other: Wire) -> None:
    payload = make(wire, name)
    assert payload[-10:-8] == b"\x0a\x00"
    expected = content(wire)
    encoding = wire.call("OBJECT", "ENCODING", "k").text
    other.call("FLUSHALL")
    assert other.call("RESTORE", "k", 0, payload).raw == b"+OK\r\n"
    assert content(other) == expected
    if b"redis_version:7.0" not in other.call("INFO", "server").text:
        assert other.call("OBJECT", "ENCODING", "k").text == encoding


@pytest.mark.parametrize("name", HERE)
def test_their_payloads_are_ours(name: str, wire: Wire, other: Wire) -> None:
    payload = make(other, name)
    expected = content(other)
    encoding = other.call("OBJECT", "ENCODING", "k").text
    is_old = b"redis_version:7.0" in other.call("INFO", "server").text
    wire.call("FLUSHALL")
    assert wire.call("RESTORE", "k", 0, payload).raw == b"+OK\r\n"
    assert content(wire) == expected
    if not is_old:
        assert wire.call("OBJECT", "ENCODING", "k").text == encoding


def payload(value: bytes, version: int = 10) -> bytes:
    """A value with the trailer that it needs."""
    whole = value + struct.pack("<H", version)
    return whole + struct.pack("<Q", CHECKSUM.calc(whole))


V = payload(b"\x00\x01v")
WRONG = b"-ERR DUMP payload version or checksum are wrong"
MALFORMED = b"-ERR Bad data format"
OLDER: list[tuple[bytes, bytes]] = [
    (payload(b"\x00\x01v", 1), b"+OK"), (payload(b"\x00\x01v", 11), b"+OK"), (payload(b"\x00\x01v", 80), b"+OK"),
    (payload(b"\x00\x01v", 0), WRONG),
    (payload(b"\x00\x01v", 13), WRONG),
    (payload(b"\x00\x01v", 79), WRONG),
    (payload(b"\x00\x01v", 81), WRONG),
    (payload(b"\x00\x01v")[:-1], WRONG),
    (b"", WRONG), (b"x" * 9, WRONG),
    (payload(b""), MALFORMED), (payload(b"\xc9"), MALFORMED),
    (payload(b"\x12\x00"), MALFORMED), (payload(b"\x00\x01vmore"), b"+OK"),
]


@pytest.mark.parametrize("data, answer", OLDER)
def test_versions_and_checksums(data: bytes, answer: bytes, wire: Wire, valkey: ServerProcess) -> None:
    with valkey.connect() as theirs:
        theirs.call("FLUSHALL")
        assert wire.call("RESTORE", "k", 0, data).raw == answer + b"\r\n"
        assert theirs.call("RESTORE", "k", 0, data).raw == answer + b"\r\n"
        theirs.call("FLUSHALL")


def test_redis_7_4s_version_is_read(wire: Wire) -> None:
    """Valkey refuses it."""
    assert wire.call("RESTORE", "k", 0, payload(b"\x00\x01v", 12)).raw == b"+OK\r\n"


FUTURE = 4102444800000
REQUESTS: list[Line] = [
    ("RESTORE",), ("RESTORE", "n", "0"), ("DUMP",), ("DUMP", "no"), ("DUMP", "a", "b"),
    ("RESTORE", "k", "0", V), ("RESTORE", "k", "0", "x"), ("RESTORE", "k", "-1", "x"), ("RESTORE", "n", "-1", "x"),
    ("RESTORE", "n", "abc", "x"), ("RESTORE", "n", "0", "x", "foo"), ("RESTORE", "k", "0", "x", "REPLACE"),
    ("RESTORE", "n", "0", V, "IDLETIME"), ("RESTORE", "n", "0", V, "IDLETIME", "-1"),
    ("RESTORE", "n", "0", V, "IDLETIME", "x"), ("RESTORE", "n", "0", V, "FREQ", "256"),
    ("RESTORE", "n", "0", V, "FREQ", "-1"), ("RESTORE", "n", "0", V, "FREQ", "5", "IDLETIME", "5"),
    ("RESTORE", "n", "0", V, "IDLETIME", "5", "FREQ", "5"),
    ("RESTORE", "n", "0", V, "idletime", "1", "IdleTime", "90000"),
    ("RESTORE", "n", "0", V, "FREQ", "255", "REPLACE"), ("RESTORE", "n", "1", V, "ABSTTL"),
    ("RESTORE", "k", "1", V, "ABSTTL", "REPLACE"), ("RESTORE", "k", str(FUTURE), V, "ABSTTL", "REPLACE"),
    ("RESTORE", "k", "9223372036854775807", V, "ABSTTL", "REPLACE"),
    ("RESTORE", "k", "9223372036854775807", V, "REPLACE"),
    ("RESTORE", "k", "9223372036854775808", V, "REPLACE"), ("RESTORE", "", "0", V), ("RESTORE", "n", "0", V, "REPLACE"),
    ("RESTORE-ASKING", "n", "0", V), ("RESTORE", "n", "0", payload(b"\x01\x01\x00"), "REPLACE", "ABSTTL"),
    ("RESTORE", "n", "00", V), ("RESTORE", "l", "0", V, "replace"),
]


@pytest.mark.parametrize("line", REQUESTS, ids=lambda line: " ".join(map(str, line))[:60])
def test_replies_are_valkeys(line: Line, wire: Wire, valkey: ServerProcess) -> None:
    with valkey.connect() as theirs:
        theirs.call("FLUSHALL")
        found = []
        for each in (wire, theirs):
            each.call("SET", "k", "here")
            each.call("RPUSH", "l", "element")
            replies = [each.call(*line).raw]
            for key in ("k", "n", "l", ""):
                replies += [each.call("TYPE", key).raw, each.call("PEXPIRETIME", key).raw]
                idle = each.call("OBJECT", "IDLETIME", key).value
                replies.append(b"%d" % (idle // 1000) if isinstance(idle, int) else b"none")
            found.append(replies)
        theirs.call("FLUSHALL")
    assert found[0] == found[1]


def test_a_relative_time_to_live(wire: Wire) -> None:
    wire.call("RESTORE", "k", "100000", V)
    assert 90_000 < wire.call("PTTL", "k").number <= 100_000


def test_frequency_under_an_lfu_policy(start_server: StartServer) -> None:
    server = start_server("--maxmemory-policy", "allkeys-lfu", "--lfu-decay-time", "0")
    with server.connect() as wire:
        wire.call("RESTORE", "k", "0", V, "FREQ", "200")
        assert wire.call("OBJECT", "FREQ", "k").number == 200
        wire.call("RESTORE", "k", "0", V, "REPLACE", "IDLETIME", "200")
        assert wire.call("OBJECT", "FREQ", "k").number == 5


def test_watched_and_replaced(wire: Wire, server: ServerProcess) -> None:
    with server.connect() as watcher:
        wire.call("SET", "k", "v")
        watcher.call("WATCH", "k")
        watcher.call("MULTI")
        watcher.call("PING")
        wire.call("RESTORE", "k", "0", V, "REPLACE")
        assert watcher.call("EXEC").value is None


def test_versions_that_are_not_known_are_tried_when_asked(start_server: StartServer, valkey: ServerProcess) -> None:
    server = start_server("--rdb-version-check", "relaxed")
    with server.connect() as wire, valkey.connect() as theirs:
        theirs.call("CONFIG", "SET", "rdb-version-check", "relaxed")
        for version in (0, 1, 13, 79, 81, 65535):
            data = payload(b"\x00\x01v", version)
            ours, answer = (each.call("RESTORE", "k", 0, data, "REPLACE").raw for each in (wire, theirs))
            assert ours == answer
        theirs.call("CONFIG", "SET", "rdb-version-check", "strict")
        theirs.call("FLUSHALL")


def test_compression_is_an_option(start_server: StartServer) -> None:
    server = start_server("--rdbcompression", "no")
    with server.connect() as wire:
        wire.call("SET", "k", "a" * 1000)
        assert len(wire.call("DUMP", "k").text) > 1000
        wire.call("CONFIG", "SET", "rdbcompression", "yes")
        assert len(wire.call("DUMP", "k").text) < 100
