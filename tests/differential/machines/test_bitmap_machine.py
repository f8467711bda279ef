"""The bitmap machine: random bits, fields and combinations of short strings beside live Valkey."""

import random

import pytest

from differential.compare import Request
from differential.machines.runner import PROTOCOLS, Machine, run_machine
from harness.process import ServerProcess

KEYS = (b"a", b"b", b"c")
TEXTS = (b"", b"123", b"-5", b"foobar", b"\xff" * 9, b"\x00" * 9, b"\xff" * 40, b"\x00" * 39 + b"\x10", b"012345" * 30)
EXTREMES = (b"x", b"", b"9223372036854775807", b"-9223372036854775808", b"4294967296", b"9223372036854775808")
WIDTHS = (1, 2, 3, 7, 8, 9, 13, 16, 31, 32, 33, 62, 63, 64, 65)
UNITS = ((), (), (b"BIT",), (b"byte",), (b"bits",))


def number(choose: random.Random) -> bytes:
    dice = choose.random()
    if dice < 0.04:
        return choose.choice(EXTREMES)
    return b"%d" % (choose.randint(0, 40) if dice < 0.6 else choose.randint(-30, 400))


def value(choose: random.Random) -> bytes:
    kinds = (choose.randint(-(2**63), 2**63 - 1), choose.randint(-300, 300), 2 ** choose.randint(0, 62), -(2**63))
    return b"%d" % choose.choice(kinds)


def setbit(choose: random.Random, key: bytes) -> Request:
    return b"SETBIT", key, number(choose), choose.choice((b"0", b"1", b"1", b"1", b"2"))


def getbit(choose: random.Random, key: bytes) -> Request:
    return b"GETBIT", key, number(choose)


def interval(choose: random.Random) -> list[bytes]:
    return [*(number(choose) for _ in range(choose.choice((0, 1, 2, 2, 2)))), *choose.choice(UNITS)]


def bitcount(choose: random.Random, key: bytes) -> Request:
    return b"BITCOUNT", key, *interval(choose)


def bitpos(choose: random.Random, key: bytes) -> Request:
    return b"BITPOS", key, choose.choice((b"0", b"1")), *interval(choose)


def bitop(choose: random.Random, key: bytes) -> Request:
    sources = [choose.choice((*KEYS, b"none")) for _ in range(choose.choice((1, 1, 2, 3)))]
    return b"BITOP", choose.choice((b"AND", b"OR", b"XOR", b"NOT", b"NOT", b"DIFF")), key, *sources


def bitfield(choose: random.Random, key: bytes) -> Request:
    words = [choose.choice((b"BITFIELD", b"BITFIELD", b"BITFIELD", b"BITFIELD_RO")), key]
    for _ in range(choose.randrange(4)):
        word = choose.choice((b"GET", b"SET", b"INCRBY", b"OVERFLOW"))
        if word == b"OVERFLOW":
            words += [word, choose.choice((b"WRAP", b"sat", b"SAT", b"FAIL", b"FAIL", b"SAT", b"SAT", b"no"))]
            continue
        kind = choose.choice((b"u", b"i")) + b"%d" % choose.choice(WIDTHS)
        words += [word, kind, (b"#%d" % choose.randrange(20)) if choose.random() < 0.3 else number(choose)]
        if word != b"GET":
            words.append(value(choose))
    return tuple(words)


def other(choose: random.Random, key: bytes) -> Request:
    return choose.choice((
        (b"SET", key, choose.choice(TEXTS)), (b"SET", key, choose.choice(TEXTS)), (b"DEL", key),
        (b"COPY", key, choose.choice(KEYS), b"REPLACE"), (b"RPUSH", key, b"1"), (b"SETRANGE", key, b"50", b"z"),
        (b"APPEND", key, b"xyz"),
    ))


def probes(key: bytes) -> list[Request]:
    return [(b"STRLEN", key), (b"GET", key), (b"BITCOUNT", key)]


MACHINE = Machine(
    name="bitmap",
    rules=((6, setbit), (3, getbit), (4, bitcount), (4, bitpos), (3, bitop), (8, bitfield), (3, other)),
    probes=probes,
    keys=KEYS,
)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_bitmaps_go_as_on_valkey(
    server: ServerProcess, valkey: ServerProcess, protocol: int, request: pytest.FixtureRequest
) -> None:
    run_machine(MACHINE, server, valkey, protocol, int(request.config.getoption("--seed")))
