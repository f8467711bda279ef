"""The stream machine: random stream and group commands beside live Valkey, with small blocks so that they are crossed.

Ids are given, small and close together, so that requests meet; what tells a time (XPENDING's long form, XINFO
CONSUMERS) is left to tests/commands.
"""

import random

import pytest

from differential.compare import Request
from differential.machines.runner import PROTOCOLS, Machine, Rule, run_machine
from harness.process import ServerProcess

KEYS = (b"a", b"b")
GROUPS = (b"g", b"h")
CONSUMERS = (b"c", b"d", b"e")
FIELDS = (
    (b"a", b"1"), (b"a", b"x" * 80), (b"a", b"1", b"b", b"-200"), (b"b", b"70000", b"a", b"z"), (b"a", b""),
    (b"f" * 70, b"-1000000000000"), (b"", b"9223372036854775807"),
)  # fmt: skip


def full_id(choose: random.Random) -> bytes:
    return b"%d-%d" % (choose.randrange(60), choose.randrange(4))


def some_id(choose: random.Random) -> bytes:
    return full_id(choose) if choose.random() < 0.8 else choose.choice((b"0", b"7", b"59", b"99-9", b"x"))


def bound(choose: random.Random) -> bytes:
    return choose.choice((b"", b"", b"(")) + choose.choice((some_id(choose), b"-", b"+"))


def trimming(choose: random.Random) -> list[bytes]:
    by_length = choose.random() < 0.5
    operator = choose.choice(((), (b"=",), (b"~",), (b"~",)))
    limit = (b"LIMIT", b"%d" % choose.randrange(9)) if b"~" in operator and choose.random() < 0.4 else ()
    threshold = b"%d" % choose.randrange(12) if by_length else some_id(choose)
    return [b"MAXLEN" if by_length else b"MINID", *operator, threshold, *limit]


def count(choose: random.Random) -> tuple[bytes, ...]:
    return choose.choice(((), (b"COUNT", b"%d" % choose.randrange(6))))


def xadd(choose: random.Random, key: bytes) -> Request:
    options = trimming(choose) if choose.random() < 0.2 else []
    name = choose.choice((full_id(choose), full_id(choose), b"%d-*" % choose.randrange(60), some_id(choose)))
    return b"XADD", key, *options, name, *choose.choice(FIELDS)


def xdel(choose: random.Random, key: bytes) -> Request:
    return b"XDEL", key, *(some_id(choose) for _ in range(choose.randrange(1, 4)))


def xtrim(choose: random.Random, key: bytes) -> Request:
    return b"XTRIM", key, *trimming(choose)


def xsetid(choose: random.Random, key: bytes) -> Request:
    added = choose.choice(((), (b"ENTRIESADDED", b"%d" % choose.randrange(60))))
    deleted = choose.choice(((), (b"MAXDELETEDID", some_id(choose))))
    return b"XSETID", key, some_id(choose), *added, *deleted


def ranges(choose: random.Random, key: bytes) -> Request:
    return choose.choice((b"XRANGE", b"XREVRANGE")), key, bound(choose), bound(choose), *count(choose)


def xread(choose: random.Random, key: bytes) -> Request:
    return b"XREAD", *count(choose), b"STREAMS", key, choose.choice((some_id(choose), b"$", b"+"))


def xgroup(choose: random.Random, key: bytes) -> Request:
    group, consumer = choose.choice(GROUPS), choose.choice(CONSUMERS)
    name = choose.choice((some_id(choose), b"$", b"0"))
    read = choose.choice(((), (b"ENTRIESREAD", b"%d" % choose.randrange(-1, 50))))
    return choose.choice((
        (b"XGROUP", b"CREATE", key, group, name, *read, *choose.choice(((), (b"MKSTREAM",)))),
        (b"XGROUP", b"CREATE", key, group, b"0"),
        (b"XGROUP", b"SETID", key, group, name, *read),
        (b"XGROUP", b"CREATECONSUMER", key, group, consumer),
        (b"XGROUP", choose.choice((b"DELCONSUMER", b"CREATECONSUMER")), key, group, consumer),
        (b"XGROUP", b"DESTROY", key, group) if choose.random() < 0.3 else (b"XINFO", b"GROUPS", key),
    ))


def xreadgroup(choose: random.Random, key: bytes) -> Request:
    streams = choose.choice(((key, b">"), (key, some_id(choose)), (key, key, b">", b">"), (*KEYS, b">", b">")))
    option = choose.choice(((), (), (b"NOACK",)))
    return (b"XREADGROUP", b"GROUP", choose.choice(GROUPS), choose.choice(CONSUMERS), *count(choose), *option,
            b"STREAMS", *streams)  # fmt: skip


def xack(choose: random.Random, key: bytes) -> Request:
    return b"XACK", key, choose.choice(GROUPS), *(some_id(choose) for _ in range(3))


def xclaim(choose: random.Random, key: bytes) -> Request:
    option = choose.choice((
        (), (b"JUSTID",), (b"FORCE",), (b"FORCE", b"JUSTID"), (b"RETRYCOUNT", b"3"), (b"LASTID", full_id(choose)),
        (b"IDLE", b"1000000"), (b"TIME", b"-5"), (b"IDLE", b"x"),
    ))  # fmt: skip
    named = (full_id(choose) for _ in range(3))
    return b"XCLAIM", key, choose.choice(GROUPS), choose.choice(CONSUMERS), b"0", *named, *option


def xautoclaim(choose: random.Random, key: bytes) -> Request:
    idle = choose.choice((b"0", b"0", b"500000"))
    option = choose.choice(((), (b"JUSTID",)))
    return (b"XAUTOCLAIM", key, choose.choice(GROUPS), choose.choice(CONSUMERS), idle, some_id(choose),
            *count(choose), *option)  # fmt: skip


def on_key(*command: bytes) -> Rule:
    return lambda choose, key: (*command, key)


def other(choose: random.Random, key: bytes) -> Request:
    target = choose.choice(KEYS)
    return choose.choice((
        (b"DEL", key), (b"RENAME", key, target), (b"COPY", key, target, b"REPLACE"), (b"SET", key, b"text"),
        (b"DEL", key), (b"TYPE", key), (b"XPENDING", key, b"g"), (b"XPENDING", key, b"h"),
    ))  # fmt: skip


def probes(key: bytes) -> list[Request]:
    return [
        (b"XRANGE", key, b"-", b"+"), (b"XREVRANGE", key, b"+", b"-"), (b"XINFO", b"STREAM", key),
        (b"XINFO", b"GROUPS", key), *((b"XPENDING", key, group) for group in GROUPS),
    ]  # fmt: skip


MACHINE = Machine(
    name="stream",
    rules=(
        (14, xadd), (4, xdel), (2, xtrim), (1, xsetid), (5, ranges), (1, on_key(b"XLEN")), (2, xread), (4, xgroup),
        (8, xreadgroup), (2, xack), (2, xclaim), (3, xautoclaim), (1, other), (1, on_key(b"XINFO", b"STREAM")),
    ),
    probes=probes,
    keys=KEYS,
    settings=(
        (b"stream-node-max-entries", b"100", b"stream-node-max-bytes", b"4096"),
        (b"stream-node-max-entries", b"1", b"stream-node-max-bytes", b"0"),
        (b"stream-node-max-entries", b"3", b"stream-node-max-bytes", b"4096"),
        (b"stream-node-max-entries", b"0", b"stream-node-max-bytes", b"120"),
    ),
)  # fmt: skip


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_streams_go_as_on_valkey(
    server: ServerProcess, valkey: ServerProcess, protocol: int, request: pytest.FixtureRequest
) -> None:
    run_machine(MACHINE, server, valkey, protocol, int(request.config.getoption("--seed")))
