"""Sets from payloads that nobody vouches for: encodings as Valkey chooses them, and what is malformed refused."""

import random
import struct
from collections.abc import Iterator

import anycrc
import pytest

from harness.process import ServerProcess
from harness.wire import Wire
from ranvier.engine.types.list_handle import listpack_encode
from ranvier.engine.types.set_handle import intset_encode

CHECKSUM = anycrc.Model("CRC64-REDIS")
MALFORMED = b"-ERR Bad data format\r\n"
SET, INTSET, LISTPACK = b"\x02", b"\x0b", b"\x14"


def payload(value: bytes, version: int = 11) -> bytes:
    whole = value + struct.pack("<H", version)
    return whole + struct.pack("<Q", CHECKSUM.calc(whole))


def length(number: int) -> bytes:
    return bytes([number]) if number < 64 else b"\x80" + struct.pack(">I", number)


def string(value: bytes) -> bytes:
    return length(len(value)) + value


def members(*values: bytes) -> bytes:
    return SET + length(len(values)) + b"".join(map(string, values))


def listpack(*values: bytes) -> bytes:
    return LISTPACK + string(listpack_encode(values))


def intset(*values: int) -> bytes:
    return INTSET + string(intset_encode(values))


@pytest.fixture
def wire(server: ServerProcess) -> Iterator[Wire]:
    with server.connect() as wire:
        wire.call("FLUSHALL")
        yield wire
        wire.call("FLUSHALL")


NUMBERS = [b"%d" % number for number in range(600)]
WELL_FORMED = {
    "integers": (members(b"3", b"1", b"2"), "intset"),
    "512 integers": (members(*NUMBERS[:512]), "intset"),
    "513 integers": (members(*NUMBERS[:513]), "hashtable"),
    "mixed": (members(b"3", b"a", b"1"), "listpack"),
    "128 mixed": (members(b"a", *NUMBERS[:127]), "listpack"),
    "129 mixed": (members(*NUMBERS[:128], b"a"), "hashtable"),
    "long": (members(b"1", b"x" * 65), "hashtable"),
    "an intset": (intset(5, -70000, 2**40), "intset"),
    "a large intset": (intset(*range(513)), "hashtable"),
    "a listpack": (listpack(b"a", b"5", b""), "listpack"),
    "a listpack of integers": (listpack(b"7", b"5"), "listpack"),
    "a large listpack": (listpack(*(b"m%d" % number for number in range(129))), "hashtable"),
    "a long member in a listpack": (listpack(b"x" * 300), "listpack"),
}


@pytest.mark.parametrize("name", WELL_FORMED)
def test_the_encoding_is_valkeys(name: str, wire: Wire, valkey: ServerProcess) -> None:
    value, encoding = WELL_FORMED[name]
    found = []
    with valkey.connect() as theirs:
        for each in (wire, theirs):
            each.call("FLUSHALL")
            assert each.call("RESTORE", "k", 0, payload(value)).raw == b"+OK\r\n"
            assert each.call("OBJECT", "ENCODING", "k").text.decode() == encoding
            found.append(sorted(item.text for item in each.call("SMEMBERS", "k").items))
        theirs.call("FLUSHALL")
    assert found[0] == found[1]


REFUSED = [
    members(), members(b"a", b"a"), members(b"1", b"1"), members(b"1", b"a", b"1"), SET,
    SET + b"\x03" + string(b"a"),
    members(*NUMBERS, b"5"), SET + b"\x81" + b"\xff" * 8 + string(b"a"), INTSET + string(b""), listpack(),
    INTSET + string(struct.pack("<II", 2, 0)), INTSET + string(struct.pack("<IIhh", 2, 2, 5, 5)),
    INTSET + string(struct.pack("<IIhh", 2, 2, 6, 5)), INTSET + string(struct.pack("<IIh", 2, 2, 5)),
    INTSET + string(struct.pack("<IIh", 3, 1, 5)), INTSET + string(struct.pack("<II", 8, 2**32 - 1)),
    LISTPACK + string(b""), LISTPACK + string(b"\x07\0\0\0\0\0"), listpack(b"a", b"a"), listpack(b"5", b"5"),
    listpack(*(b"m%d" % (number % 200) for number in range(201))),
]  # fmt: skip


@pytest.mark.parametrize("value", REFUSED)
def test_what_makes_no_set_is_refused(value: bytes, wire: Wire) -> None:
    assert wire.call("RESTORE", "k", 0, payload(value)).raw == MALFORMED
    assert wire.call("EXISTS", "k").number == 0


def test_what_is_refused_leaves_no_memory(wire: Wire) -> None:
    def used() -> int:
        text = wire.call("INFO", "memory").text
        return int(next(line for line in text.split(b"\r\n") if line.startswith(b"used_memory_dataset:"))[20:])

    def refuse_all() -> None:
        for value in REFUSED:
            wire.call("RESTORE", "k", 0, payload(value))

    refuse_all()
    before = used()
    for _ in range(100):
        refuse_all()
    assert abs(used() - before) < 100 * 16         # a lost allocation takes 24 bytes each time


@pytest.mark.parametrize("name", WELL_FORMED)
def test_damaged_payloads_do_no_harm(name: str, wire: Wire) -> None:
    """The sanitizer build runs it, too: whatever is accepted is a set."""
    value, _ = WELL_FORMED[name]
    choose = random.Random(name)
    for _ in range(150):
        damaged = bytearray(value)
        for _ in range(choose.choice((1, 1, 2, 5))):
            kind, at = choose.randrange(3), choose.randrange(1, len(damaged) + 1)
            if kind == 0:
                damaged[at : at + 1] = bytes([choose.choice((0, 1, 127, 128, 192, 195, 240, 241, 255))])
            elif kind == 1:
                del damaged[at : at + choose.randrange(1, 9)]
            else:
                damaged[at:at] = choose.randbytes(choose.randrange(1, 9))
        answer = wire.call("RESTORE", "k", 0, payload(bytes(damaged)), "REPLACE")
        if answer.raw == b"+OK\r\n":
            found = [item.text for item in wire.call("SMEMBERS", "k").items]
            assert wire.call("SCARD", "k").number == len(found) == len(set(found)) > 0
            assert all(item.number == 1 for item in wire.call("SMISMEMBER", "k", *found).items)
            wire.call("SADD", "k", "more", "1")
            wire.call("SREM", "k", *found[::2])
        else:
            assert answer.raw == MALFORMED
