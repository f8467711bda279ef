"""HyperLogLog commands over a socket: estimates, both forms, and strings that only look like one."""

from collections.abc import Iterator

import pytest

from harness.process import ServerProcess
from harness.wire import Wire

WRONG_TYPE = b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
NO_HYPERLOGLOG = b"-WRONGTYPE Key is not a valid HyperLogLog string value.\r\n"
CORRUPT = b"-INVALIDOBJ Corrupted HLL object detected\r\n"
STALE = b"HYLL\x01\x00\x00\x00" + b"\x00" * 7 + b"\x80"
KEPT = b"HYLL\x01\x00\x00\x00" + b"\x05" + b"\x00" * 7


@pytest.fixture
def wire(server: ServerProcess) -> Iterator[Wire]:
    with server.connect() as connection:
        connection.call("FLUSHALL")
        yield connection
        connection.call("FLUSHALL")


def add(wire: Wire, key: str, first: int, last: int) -> None:
    for start in range(first, last, 1000):
        wire.call("PFADD", key, *(f"element:{number}" for number in range(start, min(start + 1000, last))))


@pytest.mark.parametrize("count", [0, 1, 2, 10, 100, 1000, 10_000, 100_000])
def test_estimates_are_near(wire: Wire, count: int) -> None:
    add(wire, "k", 0, count)
    assert abs(wire.call("PFCOUNT", "k").number - count) <= count * 0.03
    assert wire.call("PFCOUNT", "k", "none").number == wire.call("PFCOUNT", "k").number


def test_bytes_are_those_of_valkey_at_every_size(wire: Wire, valkey: ServerProcess) -> None:
    with valkey.connect() as theirs:
        theirs.call("FLUSHALL")
        for start in range(0, 3000, 100):
            for connection in (wire, theirs):
                add(connection, "k", start, start + 100)
            assert wire.call("GET", "k").text == theirs.call("GET", "k").text
        assert wire.call("PFDEBUG", "ENCODING", "k").text == b"dense"
        assert wire.call("PFCOUNT", "k").raw == theirs.call("PFCOUNT", "k").raw
        assert wire.call("GET", "k").text == theirs.call("GET", "k").text
        theirs.call("FLUSHALL")


def test_sparse_turns_dense_at_the_configured_size(wire: Wire) -> None:
    wire.call("CONFIG", "SET", "hll-sparse-max-bytes", "40")
    try:
        add(wire, "k", 0, 3)
        assert wire.call("PFDEBUG", "ENCODING", "k").text == b"sparse"
        add(wire, "k", 3, 20)
        assert wire.call("PFDEBUG", "ENCODING", "k").text == b"dense"
    finally:
        wire.call("CONFIG", "SET", "hll-sparse-max-bytes", "3000")
    assert wire.call("STRLEN", "k").number == 12304
    assert wire.call("MEMORY", "USAGE", "k").number < 13_000


def test_adding_tells_whether_the_estimate_can_have_changed(wire: Wire) -> None:
    requests = ((), (), ("a",), ("a",), ("a", "b"))
    assert [wire.call("PFADD", "k", *elements).number for elements in requests] == [1, 0, 1, 0, 1]


def test_a_merge_counts_what_any_source_has(wire: Wire) -> None:
    add(wire, "a", 0, 3000)
    add(wire, "b", 2000, 5000)
    union = wire.call("PFCOUNT", "a", "b").number
    assert abs(union - 5000) < 150
    assert wire.call("PFMERGE", "k", "a", "none", "b").text == b"OK"
    assert wire.call("PFCOUNT", "k").number == union
    assert wire.call("PFMERGE", "empty").text == b"OK"
    assert wire.call("PFCOUNT", "empty").number == 0


def test_the_kept_estimate_is_written_into_the_value(wire: Wire) -> None:
    add(wire, "k", 0, 3)
    assert wire.call("GETRANGE", "k", 8, 15).text == b"\x00" * 7 + b"\x80"
    wire.call("COPY", "k", "other")
    assert wire.call("PFCOUNT", "k").number == 3
    assert wire.call("GETRANGE", "k", 8, 15).text == b"\x03" + b"\x00" * 7
    assert wire.call("GETRANGE", "other", 8, 15).text == b"\x00" * 7 + b"\x80"
    wire.call("SET", "k", KEPT)
    assert wire.call("PFCOUNT", "k").number == 5


def test_counting_wakes_whoever_watches_the_value(wire: Wire, server: ServerProcess) -> None:
    add(wire, "k", 0, 3)
    wire.call("WATCH", "k")
    with server.connect() as other:
        other.call("PFCOUNT", "k")
    wire.call("MULTI")
    wire.call("PING")
    assert wire.call("EXEC").value is None


@pytest.mark.parametrize("value", [
    b"", b"foo", b"HYLL", b"HYLL" + b"\x00" * 12, b"HYLL\x02" + b"\x00" * 12299, b"HYLL" + b"\x00" * 12301,
    b"HYLX\x01" + b"\x00" * 11 + b"\x7f\xff",
])
def test_strings_that_are_none(wire: Wire, value: bytes) -> None:
    wire.call("SET", "k", value)
    for request in (("PFADD", "k", "a"), ("PFCOUNT", "k"), ("PFCOUNT", "k", "x"), ("PFMERGE", "k"),
                    ("PFMERGE", "x", "k"), ("PFDEBUG", "GETREG", "k"), ("PFDEBUG", "DECODE", "k")):
        assert wire.call(*request).raw == NO_HYPERLOGLOG
    assert wire.call("GET", "k").text == value


@pytest.mark.parametrize("opcodes", [
    b"", b"\x00", b"\x7f", b"\x7f\xfe", b"\x7f\xff\x00", b"\x7f\xff\x80", b"\x7f\xff\x7f", b"\x7f\xff\x7f\xff",
    b"\xff" * 4095, b"\xff" * 4097, b"\x3f" * 257, b"\x80" * 40_000,
])
def test_registers_that_do_not_add_up(wire: Wire, opcodes: bytes) -> None:
    wire.call("SET", "k", STALE + opcodes)
    for request in (("PFCOUNT", "k"), ("PFCOUNT", "k", "x"), ("PFMERGE", "x", "k"), ("PFMERGE", "k"),
                    ("PFDEBUG", "GETREG", "k"), ("PFDEBUG", "TODENSE", "k")):
        assert wire.call(*request).raw == CORRUPT
    assert wire.call("GET", "k").text == STALE + opcodes
    for number in range(300):
        wire.call("PFADD", "k", number)
    assert wire.call("PING").text == b"PONG"


def test_other_types(wire: Wire) -> None:
    wire.call("RPUSH", "list", "x")
    for request in (("PFADD", "list", "a"), ("PFCOUNT", "list"), ("PFMERGE", "k", "list"),
                    ("PFDEBUG", "ENCODING", "list")):
        assert wire.call(*request).raw == WRONG_TYPE
    assert wire.call("PFDEBUG", "ENCODING", "none").raw == b"-ERR The specified key does not exist\r\n"


def test_looking_inside(wire: Wire) -> None:
    wire.call("PFADD", "k", "a", "b", "c")
    assert wire.call("PFDEBUG", "DECODE", "k").text == b"Z:8436 v:1,1 Z:4274 v:2,1 Z:3068 v:1,1 Z:603"
    assert wire.call("PFDEBUG", "TODENSE", "k").number == 1
    assert wire.call("PFDEBUG", "TODENSE", "k").number == 0
    assert wire.call("PFDEBUG", "DECODE", "k").raw == b"-ERR HLL encoding is not sparse\r\n"
    registers = [item.number for item in wire.call("PFDEBUG", "GETREG", "k").items]
    assert {index: value for index, value in enumerate(registers) if value} == {8436: 1, 12711: 2, 15780: 1}
    assert wire.call("PFDEBUG", "x", "k").raw == b"-ERR Unknown PFDEBUG subcommand 'x'\r\n"
    assert wire.call("PFDEBUG", "SIMD", "on").text == b"enabled"
    assert wire.call("PFSELFTEST").text == b"OK"
