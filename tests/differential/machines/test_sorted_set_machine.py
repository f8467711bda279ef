"""The sorted-set machine: random sorted-set commands beside live Valkey.

Two of the keys hold members of one score, and they alone are asked for names in order: with different scores such a
question has no answer that two servers could agree on.
"""

import random

import pytest

from differential.compare import Request
from differential.machines.runner import PROTOCOLS, Machine, Rule, run_machine
from harness.process import ServerProcess

NAMES = (b"a", b"b", b"c", b"d", b"1", b"-7", b"0012", b"", b"name\x00\xff", b"n" * 63, b"m" * 64, b"l" * 65, b"42")
MANY = tuple(b"member:%d" % number for number in range(40))
SCORES = (
    *(b"0", b"1", b"-1", b"2", b"3", b"3", b"5", b"10", b"0.1", b"-2.5", b"3.14", b"1e20", b"100000000", b"1e-7"),
    *(b"inf", b"-inf", b"880030168773411.8", b"4503599627370497", b"63214108773.48209", b"0x10", b"nan", b"", b"1e400"),
)
RANKS = (b"0", b"1", b"2", b"-1", b"-2", b"5", b"-5", b"10", b"100", b"-100", b"x", b"9223372036854775807")
ENDS = (b"-inf", b"+inf", b"0", b"(0", b"1", b"(1", b"3", b"(3", b"10", b"-2.5", b"(inf", b"0.1", b"x", b"")
NAME_ENDS = (b"-", b"+", b"[a", b"(a", b"[c", b"(c", b"[member:2", b"(member:30", b"[", b"x", b"[m")
COUNTS = (b"0", b"1", b"2", b"3", b"10", b"-2", b"x")
KEYS = (b"a", b"b", b"same", b"level")


def name(choose: random.Random) -> bytes:
    return choose.choice(NAMES if choose.random() < 0.6 else MANY)


def score(choose: random.Random, key: bytes) -> bytes:
    return b"7" if key in (b"same", b"level") else choose.choice(SCORES)


def pairs(choose: random.Random, key: bytes) -> list[bytes]:
    number = choose.choice((1, 1, 1, 2, 3, 12))
    return [part for _ in range(number) for part in (score(choose, key), name(choose))]


def zadd(choose: random.Random, key: bytes) -> Request:
    options = choose.choice(((), (), (), (b"NX",), (b"XX",), (b"GT",), (b"LT",), (b"CH",), (b"XX", b"GT", b"CH"),
                             (b"NX", b"GT"), (b"LT", b"CH")))
    return b"ZADD", key, *options, *pairs(choose, key)


def zincr(choose: random.Random, key: bytes) -> Request:
    if key in (b"same", b"level"):
        return b"ZSCORE", key, name(choose)
    if choose.random() < 0.5:
        return b"ZINCRBY", key, choose.choice(SCORES), name(choose)
    return b"ZADD", key, choose.choice((b"NX", b"XX", b"GT", b"LT")), b"INCR", choose.choice(SCORES), name(choose)


def on_key(command: bytes) -> Rule:
    return lambda choose, key: (command, key)


def on_names(command: bytes) -> Rule:
    return lambda choose, key: (command, key, *(name(choose) for _ in range(choose.choice((1, 1, 2, 3)))))


def rank(command: bytes) -> Rule:
    return lambda choose, key: (command, key, name(choose), *choose.choice(((), (b"WITHSCORE",))))


def limit(choose: random.Random) -> tuple[bytes, ...]:
    option = b"LIMIT", choose.choice((b"0", b"1", b"2", b"5")), choose.choice((b"-1", b"1", b"3"))
    return choose.choice(((), (), option))


def zrange(choose: random.Random, key: bytes) -> Request:
    backward = choose.choice(((), (b"REV",)))
    scores = choose.choice(((), (b"WITHSCORES",)))
    kind = choose.randrange(3)
    if kind == 0:
        return b"ZRANGE", key, choose.choice(RANKS), choose.choice(RANKS), *backward, *scores
    if kind == 1:
        return b"ZRANGE", key, choose.choice(ENDS), choose.choice(ENDS), b"BYSCORE", *backward, *limit(choose), *scores
    ends = choose.choice(NAME_ENDS), choose.choice(NAME_ENDS)
    return b"ZRANGE", by_name(key), *ends, b"BYLEX", *backward, *limit(choose)


def by_name(key: bytes) -> bytes:
    return b"level" if key == b"a" else b"same"


def range_of(command: bytes, ends: tuple[bytes, ...]) -> Rule:
    def rule(choose: random.Random, key: bytes) -> Request:
        target = by_name(key) if ends is NAME_ENDS else key
        return command, target, choose.choice(ends), choose.choice(ends)

    return rule


def store_range(choose: random.Random, key: bytes) -> Request:
    source = by_name(key)
    return (b"ZRANGESTORE", source, *choose.choice((
        (source, choose.choice(RANKS), choose.choice(RANKS)),
        (source, b"-", choose.choice(NAME_ENDS), b"BYLEX", *limit(choose)),
    ))) if choose.random() < 0.3 else (
        b"ZRANGESTORE", b"a", choose.choice(KEYS), choose.choice(ENDS), choose.choice(ENDS), b"BYSCORE", *limit(choose)
    )


def pop(command: bytes) -> Rule:
    return lambda choose, key: (command, key, *choose.choice(((), (choose.choice(COUNTS),))))


def zmpop(choose: random.Random, key: bytes) -> Request:
    count = choose.choice(((), (b"COUNT", choose.choice(COUNTS))))
    if choose.random() < 0.3:
        return b"BZMPOP", b"0.001", b"2", key, b"b", choose.choice((b"MIN", b"MAX")), *count
    return b"ZMPOP", b"2", key, b"b", choose.choice((b"MIN", b"MAX")), *count


def combine(choose: random.Random, key: bytes) -> Request:
    sources = choose.sample((*KEYS, b"set"), choose.choice((1, 2, 3)))
    options: list[bytes] = []
    if choose.random() < 0.5:
        options += [b"WEIGHTS", *(choose.choice((b"1", b"2", b"-1", b"0.5", b"inf", b"0", b"x")) for _ in sources)]
    if choose.random() < 0.5:
        options += [b"AGGREGATE", choose.choice((b"SUM", b"MIN", b"MAX", b"max"))]
    verb = choose.choice((b"ZUNION", b"ZINTER"))
    numbered = (b"%d" % len(sources), *sources)
    if choose.random() < 0.4:
        return verb + b"STORE", choose.choice((b"a", b"b")), *numbered, *options
    return verb, *numbered, *options, *choose.choice(((), (b"WITHSCORES",)))


def subtract(choose: random.Random, key: bytes) -> Request:
    sources = choose.sample((*KEYS, b"set"), choose.choice((1, 2, 3)))
    numbered = (b"%d" % len(sources), *sources)
    return choose.choice((
        (b"ZDIFF", *numbered, b"WITHSCORES"), (b"ZDIFFSTORE", b"b", *numbered), (b"ZINTERCARD", *numbered),
        (b"ZINTERCARD", *numbered, b"LIMIT", choose.choice(COUNTS)),
    ))


def other(choose: random.Random, key: bytes) -> Request:
    """What happens to keys of any type."""
    target = b"same" if key == b"level" else b"b"
    return choose.choice((
        (b"DEL", key), (b"COPY", key, target, b"REPLACE") if key != b"same" else (b"TYPE", key),
        (b"SADD", b"set", name(choose), name(choose)), (b"SREM", b"set", name(choose)), (b"SADD", b"set", *MANY),
        (b"PEXPIRE", key, b"100000000"), (b"SET", b"b", b"text"), (b"ZRANDMEMBER", key),
    ))


def zrandmember(choose: random.Random, key: bytes) -> Request:
    return b"ZRANDMEMBER", key, choose.choice(COUNTS), *choose.choice(((), (b"WITHSCORES",)))


def zscan(choose: random.Random, key: bytes) -> Request:
    option = choose.choice(((), (b"NOSCORES",), (b"MATCH", b"m*"), (b"COUNT", choose.choice(COUNTS))))
    return b"ZSCAN", key, choose.choice((b"0", b"0", b"x")), *option


def probes(key: bytes) -> list[Request]:
    return [
        (b"ZCARD", key), (b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"), (b"ZREVRANGE", key, b"0", b"-1"),
        (b"ZMSCORE", key, *NAMES, *MANY), *((b"ZRANK", key, member) for member in NAMES),
        (b"ZCOUNT", key, b"-inf", b"(3"),
    ]


MACHINE = Machine(
    name="sorted-set",
    keys=KEYS,
    rules=(
        (12, zadd), (4, zincr), (3, on_names(b"ZMSCORE")), (5, on_names(b"ZREM")), (1, on_key(b"ZCARD")),
        (2, rank(b"ZRANK")), (2, rank(b"ZREVRANK")), (6, zrange), (2, range_of(b"ZCOUNT", ENDS)),
        (2, range_of(b"ZLEXCOUNT", NAME_ENDS)), (2, range_of(b"ZREVRANGE", RANKS)),
        (2, range_of(b"ZRANGEBYSCORE", ENDS)), (2, range_of(b"ZREVRANGEBYSCORE", ENDS)),
        (2, range_of(b"ZRANGEBYLEX", NAME_ENDS)), (2, range_of(b"ZREVRANGEBYLEX", NAME_ENDS)),
        (1, range_of(b"ZREMRANGEBYRANK", RANKS)), (1, range_of(b"ZREMRANGEBYSCORE", ENDS)),
        (1, range_of(b"ZREMRANGEBYLEX", NAME_ENDS)), (2, store_range), (2, pop(b"ZPOPMIN")), (2, pop(b"ZPOPMAX")),
        (2, zmpop), (6, combine), (3, subtract), (3, other), (1, zrandmember), (1, zscan),
    ),
    probes=probes,
    settings=(
        (b"zset-max-listpack-entries", b"128", b"zset-max-listpack-value", b"64"),
        (b"zset-max-listpack-entries", b"6", b"zset-max-listpack-value", b"1000"),
        (b"zset-max-listpack-entries", b"12", b"zset-max-listpack-value", b"8"),
        (b"zset-max-listpack-entries", b"0", b"zset-max-listpack-value", b"0"),
    ),
)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_sorted_sets_go_as_on_valkey(
    server: ServerProcess, valkey: ServerProcess, protocol: int, request: pytest.FixtureRequest
) -> None:
    run_machine(MACHINE, server, valkey, protocol, int(request.config.getoption("--seed")))
