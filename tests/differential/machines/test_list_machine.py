"""The list machine: random list commands beside live Valkey, blocking ones where they do not have to wait."""

import random

import pytest

from differential.compare import Request
from differential.machines.runner import PROTOCOLS, Machine, Rule, run_machine
from harness.process import ServerProcess

KEYS = (b"a", b"b", b"c")
SMALL = tuple(b"%d" % number for number in range(-3, 12))
WORDS = (b"", b"x", b"y", b"z", b"007", b"9223372036854775807", b"9223372036854775808", b"\x00\xff\r\n", b"w" * 70)
LONG = (b"m" * 300, b"n" * 2500, b"o" * 4100, b"p" * 9000, b"q" * 40000)
INDEXES = (b"0", b"1", b"2", b"-1", b"-2", b"5", b"-7", b"100", b"-100", b"x", b"9223372036854775807",
           b"-9223372036854775808")  # fmt: skip
COUNTS = (b"0", b"1", b"2", b"3", b"-1", b"-2", b"1000", b"x", b"9223372036854775807", b"-9223372036854775808")
ENDS = (b"LEFT", b"RIGHT", b"left", b"right", b"LEFT", b"RIGHT", b"UP")


def element(choose: random.Random) -> bytes:
    dice = choose.random()
    return choose.choice(SMALL if dice < 0.6 else WORDS if dice < 0.85 else LONG)


def elements(choose: random.Random) -> list[bytes]:
    return [element(choose) for _ in range(choose.choice((1, 1, 1, 2, 3, 12)))]


def on_key(command: bytes) -> Rule:
    return lambda choose, key: (command, key)


def push(command: bytes) -> Rule:
    return lambda choose, key: (command, key, *elements(choose))


def pop(command: bytes) -> Rule:
    return lambda choose, key: (command, key, *choose.choice(((), (), (choose.choice(COUNTS),))))


def with_range(command: bytes) -> Rule:
    return lambda choose, key: (command, key, choose.choice(INDEXES), choose.choice(INDEXES))


def ltrim(choose: random.Random, key: bytes) -> Request:
    """Mostly little of it."""
    if choose.random() < 0.7:
        return b"LTRIM", key, choose.choice((b"0", b"1")), choose.choice((b"-1", b"-2", b"30"))
    return b"LTRIM", key, choose.choice(INDEXES), choose.choice(INDEXES)


def lindex(choose: random.Random, key: bytes) -> Request:
    return b"LINDEX", key, choose.choice(INDEXES)


def lset(choose: random.Random, key: bytes) -> Request:
    return b"LSET", key, choose.choice(INDEXES), element(choose)


def linsert(choose: random.Random, key: bytes) -> Request:
    where = choose.choice((b"BEFORE", b"after", b"BEFORE", b"AFTER", b"x"))
    return b"LINSERT", key, where, element(choose), element(choose)


def lrem(choose: random.Random, key: bytes) -> Request:
    return b"LREM", key, choose.choice(COUNTS), element(choose)


def lpos(choose: random.Random, key: bytes) -> Request:
    words: list[bytes] = []
    for _ in range(choose.choice((0, 1, 2))):
        words += [choose.choice((b"RANK", b"COUNT", b"MAXLEN", b"foo")), choose.choice(COUNTS)]
    return b"LPOS", key, element(choose), *words


def lmove(choose: random.Random, key: bytes) -> Request:
    words = (key, choose.choice(KEYS), choose.choice(ENDS), choose.choice(ENDS))
    return choose.choice(((b"LMOVE", *words), (b"BLMOVE", *words, b"0.001"), (b"RPOPLPUSH", *words[:2])))


def lmpop(choose: random.Random, key: bytes) -> Request:
    keys = (key, *(choose.choice(KEYS) for _ in range(choose.choice((0, 1)))))
    count = choose.choice(((), (b"COUNT", choose.choice(COUNTS)), (b"COUNT",)))
    return b"LMPOP", b"%d" % (len(keys) + choose.choice((0, 0, 0, 0, 1, -1))), *keys, choose.choice(ENDS), *count


def blpop(choose: random.Random, key: bytes) -> Request:
    return choose.choice((b"BLPOP", b"BRPOP")), key, choose.choice(KEYS), b"0.001"


def other(choose: random.Random, key: bytes) -> Request:
    """What happens to keys of any type."""
    target = choose.choice(KEYS)
    return choose.choice((
        (b"DEL", key), (b"RENAME", key, target), (b"COPY", key, target, b"REPLACE"), (b"PEXPIRE", key, b"100000000"),
        (b"PERSIST", key), (b"SET", key, b"text"), (b"SORT", key, b"ALPHA", b"STORE", target), (b"TYPE", key),
    ))


def probes(key: bytes) -> list[Request]:
    return [(b"LLEN", key), (b"LRANGE", key, b"0", b"-1"), (b"LINDEX", key, b"3"), (b"TTL", key)]


MACHINE = Machine(
    name="list",
    rules=(
        (10, push(b"LPUSH")), (12, push(b"RPUSH")), (3, push(b"LPUSHX")), (3, push(b"RPUSHX")), (5, pop(b"LPOP")),
        (5, pop(b"RPOP")), (2, on_key(b"LLEN")), (4, with_range(b"LRANGE")), (3, ltrim), (4, lindex), (6, lset),
        (6, linsert), (5, lrem), (4, lpos), (6, lmove), (3, lmpop), (2, blpop), (2, other),
    ),
    probes=probes,
    keys=KEYS,
    settings=(
        (b"list-max-listpack-size", b"-2"), (b"list-max-listpack-size", b"-1"), (b"list-max-listpack-size", b"4"),
        (b"list-max-listpack-size", b"1"), (b"list-max-listpack-size", b"20"), (b"list-max-listpack-size", b"0"),
    ),
)  # fmt: skip


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_lists_go_as_on_valkey(
    server: ServerProcess, valkey: ServerProcess, protocol: int, request: pytest.FixtureRequest
) -> None:
    run_machine(MACHINE, server, valkey, protocol, int(request.config.getoption("--seed")))
