"""Hashes of which fields expire as payloads: to Valkey and from it, from Redis 7.4's own forms, and hostile ones."""

import struct
from collections.abc import Iterator

import anycrc
import pytest

from harness.process import ServerProcess
from harness.wire import Wire
from ranvier.engine.types.list_handle import listpack_encode

CHECKSUM = anycrc.Model("CRC64-REDIS")
LATER_MS = 4_102_444_800_000
PAST_MS = 1_000
BAD = b"-ERR Bad data format\r\n"


@pytest.fixture
def wire(server: ServerProcess) -> Iterator[Wire]:
    with server.connect() as connection:
        connection.call("FLUSHALL")
        yield connection
        connection.call("FLUSHALL")


def string(data: bytes) -> bytes:
    assert len(data) < 64
    return bytes([len(data)]) + data


def payload(value: bytes, version: int = 80) -> bytes:
    body = value + struct.pack("<H", version)
    return body + struct.pack("<Q", CHECKSUM.calc(body))


def field(name: bytes, value: bytes, at_ms: int = -1) -> bytes:
    return string(name) + string(value) + struct.pack("<q", at_ms)


def content(wire: Wire, *names: str) -> object:
    return [
        wire.call("HMGET", "k", *names).plain(), wire.call("HPEXPIRETIME", "k", "FIELDS", len(names), *names).plain(),
        wire.call("HLEN", "k").number, wire.call("OBJECT", "ENCODING", "k").text,
    ]


def test_payloads_go_to_valkey_and_come_from_it(wire: Wire, valkey: ServerProcess) -> None:
    with valkey.connect() as other:
        for source, target in ((wire, other), (other, wire)):
            source.call("FLUSHALL")
            target.call("FLUSHALL")
            source.call("HSETEX", "k", "PXAT", LATER_MS, "FIELDS", 2, "a", "1", "b", b"x" * 5000)
            source.call("HSET", "k", "c", "lasting")
            dumped = source.call("DUMP", "k").text
            assert (dumped[0], struct.unpack("<H", dumped[-10:-8])[0]) == (22, 80)
            assert target.call("RESTORE", "k", 0, dumped).raw == b"+OK\r\n"
            assert content(target, "a", "b", "c") == content(source, "a", "b", "c") \
                == [[b"1", b"x" * 5000, b"lasting"], [LATER_MS, LATER_MS, -1], 3, b"hashtable"]
            assert b"keys_with_volatile_items=1" in target.call("INFO", "keyspace").text
        other.call("FLUSHALL")


REDIS_FIELDS = b"\x18" + struct.pack("<Q", LATER_MS) + b"\x03" + b"\x01" + string(b"a") + string(b"1") \
    + b"\x40\x65" + string(b"b") + string(b"2") + b"\x00" + string(b"c") + string(b"3")
REDIS_PACK = b"\x19" + struct.pack("<Q", LATER_MS) + string(listpack_encode(
    [b"a", b"1", b"%d" % LATER_MS, b"b", b"2", b"%d" % (LATER_MS + 100), b"c", b"3", b"0"]))


@pytest.mark.parametrize("value", [REDIS_FIELDS, REDIS_PACK])
def test_redis_own_forms(wire: Wire, value: bytes) -> None:
    assert wire.call("RESTORE", "k", 0, payload(value, 12)).raw == b"+OK\r\n"
    assert content(wire, "a", "b", "c") == [[b"1", b"2", b"3"], [LATER_MS, LATER_MS + 100, -1], 3, b"hashtable"]


def test_fields_whose_time_has_passed_are_left_out(wire: Wire) -> None:
    value = b"\x16\x02" + field(b"a", b"1", PAST_MS) + field(b"b", b"2")
    assert wire.call("RESTORE", "k", 0, payload(value)).raw == b"+OK\r\n"
    assert wire.call("HGETALL", "k").plain() == [b"b", b"2"]
    assert wire.call("OBJECT", "ENCODING", "k").text == b"listpack"
    value = b"\x16\x01" + field(b"a", b"1", PAST_MS)
    assert wire.call("RESTORE", "gone", 0, payload(value)).raw == b"+OK\r\n"
    assert wire.call("EXISTS", "gone").number == 0


@pytest.mark.parametrize("value", [
    b"\x16", b"\x16\x00", b"\x04\x00", b"\x16\x01" + field(b"a", b"1")[:-1], b"\x16\x02" + field(b"a", b"1"),
    b"\x16\x01" + field(b"a", b"1", -2), b"\x16\x02" + 2 * field(b"a", b"1"), b"\x04\x01" + string(b"a"),
    b"\x16\x02" + 2 * field(b"a", b"1", PAST_MS)[:3], b"\x16\x81" + b"\xff" * 8 + field(b"a", b"1"),
    b"\x10" + string(listpack_encode([])), b"\x10" + string(listpack_encode([b"a"])),
    b"\x10" + string(listpack_encode([b"a", b"1", b"a", b"2"])),
    b"\x19" + struct.pack("<Q", 1) + string(listpack_encode([b"a", b"1"])),
    b"\x19" + struct.pack("<Q", 1) + string(listpack_encode([b"a", b"1", b"x"])),
    b"\x19" + struct.pack("<Q", 1) + string(listpack_encode([b"a", b"1", b"-5"])), b"\x19" + b"\x01" * 7,
    b"\x18" + b"\xff" * 8 + b"\x01\x02" + string(b"a") + string(b"1"), b"\x18" + b"\x00" * 8 + b"\x01\x02",
])  # fmt: skip
def test_hostile_payloads_are_refused(wire: Wire, value: bytes) -> None:
    assert wire.call("RESTORE", "k", 0, payload(value)).raw == BAD
    assert wire.call("EXISTS", "k").number == 0
