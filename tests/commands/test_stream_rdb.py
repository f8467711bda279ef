"""Streams through DUMP and RESTORE, beside Valkey in both directions; damaged payloads are refused."""

import random
from collections.abc import Iterator

import pytest

from harness.process import ServerProcess
from harness.wire import Wire


@pytest.fixture
def ours(server: ServerProcess) -> Iterator[Wire]:
    with server.connect() as wire:
        wire.call("FLUSHALL")
        yield wire
        wire.call("FLUSHALL")


def fill(wire: Wire) -> None:
    for number in range(1, 251):
        fields = ("a", number) if number % 5 else ("b", "x" * number, "a", -number)
        wire.call("XADD", "s", f"{number}-1", *fields)
    wire.call("XDEL", "s", "1-1", "20-1", "120-1")
    wire.call("XGROUP", "CREATE", "s", "g", "0")
    wire.call("XGROUP", "CREATE", "s", "h", "7-0", "ENTRIESREAD", "3")
    for consumer in ("c", "d"):
        wire.call("XREADGROUP", "GROUP", "g", consumer, "COUNT", "10", "STREAMS", "s", ">")
    wire.call("XACK", "s", "g", "5-1")


def content(wire: Wire, key: str = "s") -> list[bytes]:
    asked = [
        ("XRANGE", key, "-", "+"), ("XINFO", "STREAM", key), ("XINFO", "GROUPS", key), ("XPENDING", key, "g"),
        ("XPENDING", key, "h"),
    ]  # fmt: skip
    return [wire.call(*request).raw for request in asked]


def test_from_server_to_server(ours: Wire, valkey: ServerProcess) -> None:
    with valkey.connect() as theirs:
        for source, target in ((ours, theirs), (theirs, ours), (ours, ours)):
            for wire in (ours, theirs):
                wire.call("FLUSHALL")
            fill(source)
            payload = source.call("DUMP", "s").text
            assert target.call("RESTORE", "copy", "0", payload).raw == b"+OK\r\n"
            assert content(target, "copy") == content(source)
            assert target.call("XADD", "copy", "250-2", "a", "1").text == b"250-2"
            history = target.call("XREADGROUP", "GROUP", "g", "c", "STREAMS", "copy", "0")
            assert len(history.items[0].items[1].items) == 9
        theirs.call("FLUSHALL")


def test_an_empty_stream(ours: Wire) -> None:
    ours.call("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
    payload = ours.call("DUMP", "s").text
    assert ours.call("RESTORE", "copy", "0", payload).raw == b"+OK\r\n"
    assert content(ours, "copy")[0] == b"*0\r\n"


def test_damaged_payloads_are_refused_or_streams(ours: Wire) -> None:
    """Whatever is restored can be used; the checksum is made to fit (a sanitized build watches what is read)."""
    anycrc = pytest.importorskip("anycrc", reason="makes checksums fit")
    crc = anycrc.Model("CRC64-REDIS")
    choose = random.Random(5)
    fill(ours)
    ours.call("XTRIM", "s", "MAXLEN", "30")
    payload = ours.call("DUMP", "s").text
    for _ in range(400):
        damaged = bytearray(payload[:-8])
        for _ in range(choose.choice((1, 1, 2, 4))):
            place = choose.randrange(1, len(damaged) - 2)
            damaged[place] = choose.choice((0, 1, 0x7F, 0x80, 0xFF, choose.randrange(256)))
        sealed = bytes(damaged) + crc.calc(bytes(damaged)).to_bytes(8, "little")
        reply = ours.call("RESTORE", "damaged", "0", sealed, "REPLACE")
        assert reply.raw in (b"+OK\r\n", b"-ERR Bad data format\r\n")
        if reply.raw == b"+OK\r\n":
            for request in (
                ("XRANGE", "damaged", "-", "+"), ("XREVRANGE", "damaged", "+", "-"),
                ("XINFO", "STREAM", "damaged", "FULL"),
                ("XTRIM", "damaged", "MAXLEN", "3"), ("XREADGROUP", "GROUP", "g", "c", "STREAMS", "damaged", "0"),
                ("XAUTOCLAIM", "damaged", "g", "d", "0", "0"), ("XADD", "damaged", "*", "a", "1"), ("DEL", "damaged"),
            ):  # fmt: skip
                ours.call(*request)
    assert ours.call("PING").raw == b"+PONG\r\n"
