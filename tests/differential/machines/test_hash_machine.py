"""The hash machine: random hash commands beside live Valkey, fields that expire included (far away, or in the past)."""

import random

import pytest

from differential.compare import Request
from differential.machines.runner import PROTOCOLS, Machine, Rule, run_machine
from harness.process import ServerProcess

NAMES = (b"f", b"g", b"h", b"i", b"1", b"-7", b"0012", b"", b"name\x00\xff", b"n" * 63, b"m" * 64, b"l" * 65, b"42")
VALUES = (
    *(b"", b"v", b"10", b"-3", b"3.5", b"text", b"9223372036854775807", b"w" * 64, b"x" * 65, b"y" * 300, b"z" * 5000),
    *(b"\r\n\x00", b"1e3", b" 1"),
)
MANY = tuple(b"field:%d" % number for number in range(40))
TIMES = (b"4102444800000", b"4102444800500", b"4202444800000", b"1", b"0")
NUMBERS = (b"1", b"-1", b"5", b"1000", b"9223372036854775807", b"-9223372036854775808", b"1.5", b"x", b"")
COUNTS = (b"0", b"1", b"2", b"-2", b"5", b"1000", b"-10", b"x")


def name(choose: random.Random) -> bytes:
    return choose.choice(NAMES if choose.random() < 0.7 else MANY)


def names(choose: random.Random) -> list[bytes]:
    return [name(choose) for _ in range(choose.choice((1, 1, 2, 3)))]


def fields(choose: random.Random) -> list[bytes]:
    """FIELDS with its count, now and then a wrong one."""
    chosen = names(choose)
    count = len(chosen) + (choose.random() < 0.05)
    return [b"FIELDS", b"%d" % count, *chosen]


def pairs(choose: random.Random) -> list[bytes]:
    number = choose.choice((1, 1, 1, 2, 3, 12))
    return [part for _ in range(number) for part in (name(choose), choose.choice(VALUES))]


def on_key(command: bytes) -> Rule:
    return lambda choose, key: (command, key)


def on_name(command: bytes) -> Rule:
    return lambda choose, key: (command, key, name(choose))


def on_names(command: bytes) -> Rule:
    return lambda choose, key: (command, key, *names(choose))


def on_fields(command: bytes) -> Rule:
    return lambda choose, key: (command, key, *fields(choose))


def set_pairs(command: bytes) -> Rule:
    return lambda choose, key: (command, key, *pairs(choose))


def hsetnx(choose: random.Random, key: bytes) -> Request:
    return b"HSETNX", key, name(choose), choose.choice(VALUES)


def add(command: bytes) -> Rule:
    return lambda choose, key: (command, key, name(choose), choose.choice(NUMBERS))


def expire(choose: random.Random, key: bytes) -> Request:
    condition = choose.choice(((), (), (b"NX",), (b"XX",), (b"GT",), (b"LT",), (b"XX", b"GT"), (b"NX", b"LT")))
    return b"HPEXPIREAT", key, choose.choice(TIMES), *condition, *fields(choose)


def hgetex(choose: random.Random, key: bytes) -> Request:
    option = choose.choice(((), (b"PERSIST",), (b"PXAT", choose.choice(TIMES)), (b"EX", b"x")))
    return b"HGETEX", key, *option, *fields(choose)


def hsetex(choose: random.Random, key: bytes) -> Request:
    condition = choose.choice(((), (), (b"NX",), (b"XX",), (b"FNX",), (b"FXX",), (b"FNX", b"FXX")))
    option = choose.choice(((), (b"KEEPTTL",), (b"PXAT", choose.choice(TIMES))))
    chosen = pairs(choose)
    return b"HSETEX", key, *condition, *option, b"FIELDS", b"%d" % (len(chosen) // 2), *chosen


def hrandfield(choose: random.Random, key: bytes) -> Request:
    return b"HRANDFIELD", key, *choose.choice(((), (choose.choice(COUNTS),), (choose.choice(COUNTS), b"WITHVALUES")))


def hscan(choose: random.Random, key: bytes) -> Request:
    option = choose.choice(((), (b"NOVALUES",), (b"MATCH", b"f*"), (b"COUNT", choose.choice(COUNTS))))
    return b"HSCAN", key, choose.choice((b"0", b"0", b"x")), *option


def other(choose: random.Random, key: bytes) -> Request:
    """What happens to keys of any type."""
    target = choose.choice((b"a", b"b", b"c"))
    return choose.choice((
        (b"DEL", key), (b"UNLINK", key), (b"RENAME", key, target), (b"COPY", key, target, b"REPLACE"),
        (b"PEXPIRE", key, b"100000000"), (b"PERSIST", key), (b"SET", key, b"text"), (b"TYPE", key), (b"EXISTS", key),
    ))


def probes(key: bytes) -> list[Request]:
    everything = (*NAMES, *MANY)
    return [
        (b"HLEN", key), (b"HGETALL", key), (b"HKEYS", key), (b"HVALS", key),
        (b"HPEXPIRETIME", key, b"FIELDS", b"%d" % len(everything), *everything),
    ]


MACHINE = Machine(
    name="hash",
    rules=(
        (8, set_pairs(b"HSET")), (2, set_pairs(b"HMSET")), (3, hsetnx), (4, on_name(b"HGET")), (3, on_names(b"HMGET")),
        (6, on_names(b"HDEL")), (2, on_key(b"HLEN")), (2, on_name(b"HEXISTS")), (2, on_name(b"HSTRLEN")),
        (2, on_key(b"HGETALL")), (2, on_key(b"HKEYS")), (2, on_key(b"HVALS")), (4, add(b"HINCRBY")),
        (4, add(b"HINCRBYFLOAT")), (3, hrandfield), (2, hscan), (5, expire), (2, on_fields(b"HPEXPIRETIME")),
        (2, on_fields(b"HEXPIRETIME")), (3, on_fields(b"HPERSIST")), (4, hgetex), (5, hsetex),
        (3, on_fields(b"HGETDEL")), (3, other),
    ),
    probes=probes,
    settings=(
        (b"hash-max-listpack-entries", b"512", b"hash-max-listpack-value", b"64"),
        (b"hash-max-listpack-entries", b"6", b"hash-max-listpack-value", b"1000"),
        (b"hash-max-listpack-entries", b"12", b"hash-max-listpack-value", b"8"),
        (b"hash-max-listpack-entries", b"0", b"hash-max-listpack-value", b"0"),
    ),
)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_hashes_go_as_on_valkey(
    server: ServerProcess, valkey: ServerProcess, protocol: int, request: pytest.FixtureRequest
) -> None:
    run_machine(MACHINE, server, valkey, protocol, int(request.config.getoption("--seed")))
