"""The set machine: random set commands beside live Valkey. What two servers pop, or in which order a table comes, may
differ; the order of intsets and listpacks is compared on its own, byte for byte."""

import random

import pytest

from differential.compare import Request
from differential.machines.runner import PROTOCOLS, Machine, Rule, run_machine, wanted_commands
from harness.process import ServerProcess
from harness.wire import Wire

KEYS = (b"a", b"b", b"c", b"d")
SMALL = tuple(b"%d" % number for number in range(-8, 24))
WIDE = (b"32767", b"32768", b"-32769", b"2147483648", b"-2147483649", b"9223372036854775807", b"-9223372036854775808")
WORDS = (b"", b"x", b"y", b"z", b"007", b"-0", b"9223372036854775808", b"1.5", b"\x00\xff\r\n", b"w" * 9)
LONG = (b"m" * 64, b"n" * 65, b"o" * 300, b"p" * 5000)
COUNTS = (b"0", b"1", b"2", b"-2", b"5", b"1000", b"-10", b"x", b"9223372036854775807", b"-9223372036854775808", b"")


def member(choose: random.Random) -> bytes:
    dice = choose.random()
    pool = SMALL if dice < 0.75 else WORDS if dice < 0.93 else WIDE if dice < 0.98 else LONG
    return choose.choice(pool)


def members(choose: random.Random) -> list[bytes]:
    return [member(choose) for _ in range(choose.choice((1, 1, 2, 3, 9)))]


def some_keys(choose: random.Random) -> list[bytes]:
    return [choose.choice(KEYS) for _ in range(choose.choice((1, 2, 2, 3)))]


def on_key(command: bytes) -> Rule:
    return lambda choose, key: (command, key)


def on_member(command: bytes) -> Rule:
    return lambda choose, key: (command, key, member(choose))


def on_members(command: bytes) -> Rule:
    return lambda choose, key: (command, key, *members(choose))


def on_keys(command: bytes) -> Rule:
    return lambda choose, key: (command, key, *some_keys(choose))


def sintercard(choose: random.Random, key: bytes) -> Request:
    keys = (key, *some_keys(choose))
    count = len(keys) + choose.choice((0, 0, 0, 0, 1, -1))
    option = choose.choice(((), (b"LIMIT", choose.choice(COUNTS)), (b"LIMIT",)))
    return b"SINTERCARD", b"%d" % count, *keys, *option


def smove(choose: random.Random, key: bytes) -> Request:
    return b"SMOVE", key, choose.choice(KEYS), member(choose)


def spop(choose: random.Random, key: bytes) -> Request:
    """With counts that leave nothing to chance."""
    return b"SPOP", key, choose.choice((b"1000", b"0", b"-1", b"x", b"9223372036854775807", b"9223372036854775808"))


def srandmember(choose: random.Random, key: bytes) -> Request:
    return b"SRANDMEMBER", key, *choose.choice(((), (choose.choice(COUNTS),), (b"1", b"2")))


def sscan(choose: random.Random, key: bytes) -> Request:
    option = choose.choice(((), (b"NOVALUES",), (b"MATCH", b"1*"), (b"COUNT", choose.choice(COUNTS))))
    return b"SSCAN", key, choose.choice((b"0", b"0", b"x", b"18446744073709551616")), *option


def other(choose: random.Random, key: bytes) -> Request:
    """What happens to keys of any type."""
    target = choose.choice(KEYS)
    return choose.choice((
        (b"DEL", key), (b"UNLINK", key), (b"RENAME", key, target), (b"COPY", key, target, b"REPLACE"),
        (b"PEXPIRE", key, b"100000000"), (b"PERSIST", key), (b"SET", key, b"text"), (b"TYPE", key), (b"EXISTS", key),
    ))


def probes(key: bytes) -> list[Request]:
    return [(b"SCARD", key), (b"SMEMBERS", key), (b"SMISMEMBER", key, *SMALL, *WIDE, *WORDS, *LONG), (b"TTL", key)]


MACHINE = Machine(
    name="set",
    rules=(
        (14, on_members(b"SADD")), (8, on_members(b"SREM")), (3, on_member(b"SISMEMBER")),
        (3, on_members(b"SMISMEMBER")), (2, on_key(b"SCARD")), (2, on_key(b"SMEMBERS")), (4, smove), (1, spop),
        (3, srandmember), (3, sscan), (3, on_keys(b"SINTER")), (3, on_keys(b"SUNION")), (3, on_keys(b"SDIFF")),
        (3, sintercard), (3, on_keys(b"SINTERSTORE")), (3, on_keys(b"SUNIONSTORE")), (3, on_keys(b"SDIFFSTORE")),
        (3, other),
    ),
    probes=probes,
    keys=KEYS,
    # Never a listpack larger than an intset: which of them a stored union ends in would hang on a table's order.
    settings=(
        (b"set-max-intset-entries", b"512", b"set-max-listpack-entries", b"128", b"set-max-listpack-value", b"64"),
        (b"set-max-intset-entries", b"12", b"set-max-listpack-entries", b"12", b"set-max-listpack-value", b"1000"),
        (b"set-max-intset-entries", b"12", b"set-max-listpack-entries", b"6", b"set-max-listpack-value", b"2"),
        (b"set-max-intset-entries", b"8", b"set-max-listpack-entries", b"8", b"set-max-listpack-value", b"9"),
        (b"set-max-intset-entries", b"20", b"set-max-listpack-entries", b"0", b"set-max-listpack-value", b"0"),
    ),
)  # fmt: skip


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_sets_go_as_on_valkey(
    server: ServerProcess, valkey: ServerProcess, protocol: int, request: pytest.FixtureRequest
) -> None:
    run_machine(MACHINE, server, valkey, protocol, int(request.config.getoption("--seed")))


# ---- order ----------------------------------------------------------------------------------------------------------

CHANGES: tuple[Rule, ...] = (
    on_members(b"SADD"), on_members(b"SADD"), on_members(b"SADD"), on_members(b"SREM"), smove,
    on_keys(b"SINTERSTORE"), on_keys(b"SUNIONSTORE"), on_keys(b"SDIFFSTORE"),
)  # fmt: skip


def looks(choose: random.Random, key: bytes) -> list[Request]:
    keys = some_keys(choose)
    return [(b"SMEMBERS", key), (b"SRANDMEMBER", key, b"1000"), (b"SSCAN", key, b"0"), (b"SINTER", *keys)]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_small_sets_come_in_the_order_of_valkeys(
    server: ServerProcess, valkey: ServerProcess, protocol: int, request: pytest.FixtureRequest
) -> None:
    """Of fewer short members than a listpack takes: no table is ever made."""
    choose = random.Random(f"order {protocol} {request.config.getoption('--seed')}")
    with server.connect(protocol=protocol) as ours, valkey.connect(protocol=protocol) as theirs:

        def same(wires: tuple[Wire, Wire], line: Request) -> None:
            one, two = (wire.call(*line) for wire in wires)
            assert one.raw == two.raw, line

        same((ours, theirs), (b"FLUSHALL",))
        for number in range(wanted_commands() // 10):
            key = choose.choice(KEYS)
            line = choose.choice(CHANGES)(choose, key)
            if not set(line) & set(LONG):
                same((ours, theirs), line)
            for look in looks(choose, key):
                same((ours, theirs), look)
            if number % 100 == 99:
                same((ours, theirs), (b"DEL", key))
        ours.call(b"FLUSHALL")
        theirs.call(b"FLUSHALL")
