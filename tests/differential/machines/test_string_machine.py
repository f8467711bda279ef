"""The string machine: random string commands beside live Valkey."""

import random

import pytest

from differential.compare import Request
from differential.machines.runner import PROTOCOLS, Machine, Rule, run_machine
from harness.process import ServerProcess

KEYS = (b"a", b"b", b"c", b"k" * 40)
NUMBERS = (
    b"0", b"1", b"-1", b"7", b"12345", b"-99", b"9223372036854775807", b"-9223372036854775808", b"9223372036854775808",
    b"1.5", b"-0.25", b"1e3", b"3.0e-7", b"007", b"+1", b" 1", b"-0", b"inf", b"nan", b"0x10", b"x", b"",
)  # fmt: skip
TEXTS = (
    b"", b"v", b"text", b"\x00\xff\r\n", b"e" * 40, b"f" * 43, b"g" * 44, b"h" * 45, b"i" * 64, b"j" * 300,
    b"k" * 5000, b"l" * 70000,
)  # fmt: skip
OFFSETS = (
    b"0", b"1", b"3", b"-1", b"-3", b"40", b"100", b"-100", b"9999", b"536870911", b"536870912", b"x",
    b"9223372036854775807", b"-9223372036854775808",
)  # fmt: skip
# Far away, so that nothing expires meanwhile, or long past, or no times at all.
SECONDS = (b"100000", b"200000", b"0", b"-1", b"x", b"9223372036854775807", b"9223372036854775")
MOMENTS = (b"4102444800", b"4102444801", b"1", b"0", b"-5", b"x")


def value(choose: random.Random) -> bytes:
    return choose.choice(NUMBERS if choose.random() < 0.5 else TEXTS)


def on_key(command: bytes) -> Rule:
    return lambda choose, key: (command, key)


def with_value(command: bytes) -> Rule:
    return lambda choose, key: (command, key, value(choose))


def with_number(command: bytes) -> Rule:
    return lambda choose, key: (command, key, choose.choice(NUMBERS))


def expiry(choose: random.Random) -> list[bytes]:
    word = choose.choice((b"EX", b"PX", b"EXAT", b"PXAT"))
    if not word.endswith(b"AT"):
        return [word, choose.choice(SECONDS)]
    moment = choose.choice(MOMENTS)
    return [word, moment + b"000" if word == b"PXAT" and len(moment) > 5 else moment]


def set_(choose: random.Random, key: bytes) -> Request:
    words: list[bytes] = []
    for _ in range(choose.choice((0, 0, 1, 1, 2, 3))):
        words += choose.choice((
            [b"NX"], [b"xx"], [b"GET"], [b"KEEPTTL"], expiry(choose), expiry(choose), [b"IFEQ", value(choose)],
            [b"foo"],
        ))
    return b"SET", key, value(choose), *words


def getex(choose: random.Random, key: bytes) -> Request:
    return b"GETEX", key, *choose.choice(([], [b"PERSIST"], expiry(choose), expiry(choose), [b"KEEPTTL"]))


def setex(choose: random.Random, key: bytes) -> Request:
    return choose.choice((b"SETEX", b"PSETEX")), key, choose.choice(SECONDS), value(choose)


def setrange(choose: random.Random, key: bytes) -> Request:
    """Never far out: what it makes is read back."""
    return b"SETRANGE", key, choose.choice(OFFSETS[:9]), choose.choice(TEXTS[:9])


def getrange(choose: random.Random, key: bytes) -> Request:
    return choose.choice((b"GETRANGE", b"SUBSTR")), key, choose.choice(OFFSETS), choose.choice(OFFSETS)


def pairs(choose: random.Random) -> list[bytes]:
    return [word for _ in range(choose.choice((1, 2, 3))) for word in (choose.choice(KEYS), value(choose))]


def many(command: bytes) -> Rule:
    return lambda choose, key: (command, key, value(choose), *pairs(choose))


def msetex(choose: random.Random, key: bytes) -> Request:
    words = pairs(choose)
    count = len(words) // 2 + choose.choice((0, 0, 0, 0, 1, -1))
    options = choose.choice(([], [b"NX"], [b"XX"], [b"KEEPTTL"], expiry(choose), [b"NX", *expiry(choose)]))
    return b"MSETEX", b"%d" % count, *words, *options


def mget(choose: random.Random, key: bytes) -> Request:
    return b"MGET", key, *(choose.choice((*KEYS, b"none")) for _ in range(3))


def lcs(choose: random.Random, key: bytes) -> Request:
    """Of short strings: the work is the product of their lengths."""
    words = choose.choice(([], [b"LEN"], [b"IDX"], [b"IDX", b"WITHMATCHLEN"], [b"IDX", b"MINMATCHLEN", b"2"],
                           [b"LEN", b"IDX"]))
    return b"LCS", b"short", choose.choice((b"short", b"none")), *words


def other(choose: random.Random, key: bytes) -> Request:
    """What happens to keys of any type."""
    target = choose.choice(KEYS)
    return choose.choice((
        (b"DEL", key), (b"UNLINK", key), (b"RENAME", key, target), (b"COPY", key, target, b"REPLACE"),
        (b"PEXPIRE", key, b"100000000"), (b"PERSIST", key), (b"RPUSH", key, b"1"), (b"SETBIT", key, b"77", b"1"),
        (b"EXISTS", key), (b"TTL", key), (b"STRLEN", key), (b"SET", b"short", choose.choice(TEXTS[:9])),
    ))


def probes(key: bytes) -> list[Request]:
    return [(b"GET", key), (b"STRLEN", key), (b"EXPIRETIME", key)]


MACHINE = Machine(
    name="string",
    rules=(
        (14, set_), (6, on_key(b"GET")), (4, with_value(b"APPEND")), (4, setrange), (4, getrange), (3, getex),
        (3, setex), (3, on_key(b"GETDEL")), (3, with_value(b"GETSET")), (3, with_value(b"SETNX")),
        (3, with_value(b"DELIFEQ")), (3, on_key(b"INCR")), (3, on_key(b"DECR")), (4, with_number(b"INCRBY")),
        (4, with_number(b"DECRBY")), (4, with_number(b"INCRBYFLOAT")), (2, on_key(b"STRLEN")),
        (3, many(b"MSET")), (3, many(b"MSETNX")), (3, msetex), (3, mget), (1, lcs), (5, other),
    ),
    probes=probes,
    keys=KEYS,
)  # fmt: skip


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_strings_go_as_on_valkey(
    server: ServerProcess, valkey: ServerProcess, protocol: int, request: pytest.FixtureRequest
) -> None:
    run_machine(MACHINE, server, valkey, protocol, int(request.config.getoption("--seed")))
