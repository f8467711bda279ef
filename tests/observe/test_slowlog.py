"""The slow log keeps the newest entries, trimmed, and shows no secrets."""

import pytest

from ranvier.observe.redaction import REDACTED, redact
from ranvier.observe.slowlog import Slowlog, trim_arguments


def note(slowlog: Slowlog, *args: bytes) -> None:
    slowlog.note(12, args, "127.0.0.1:5", b"worker", 1_700_000_000)


def test_newest_come_first_and_the_oldest_go() -> None:
    slowlog = Slowlog(limit=3)
    for word in (b"a", b"b", b"c", b"d"):
        note(slowlog, word)
    assert [(entry.id, entry.args) for entry in slowlog.newest(-1)] == [(3, (b"d",)), (2, (b"c",)), (1, (b"b",))]
    assert [entry.id for entry in slowlog.newest(2)] == [3, 2]
    assert slowlog.newest(0) == []
    entry = slowlog.newest(1)[0]
    assert (entry.wall_seconds, entry.value, entry.client_address, entry.client_name) == (
        1_700_000_000, 12, "127.0.0.1:5", b"worker",
    )


def test_a_smaller_limit_drops_the_oldest_and_reset_keeps_counting() -> None:
    slowlog = Slowlog(limit=4)
    for word in (b"a", b"b", b"c"):
        note(slowlog, word)
    slowlog.limit = 1
    assert [entry.id for entry in slowlog.newest(-1)] == [2]
    slowlog.reset()
    assert len(slowlog) == 0
    note(slowlog, b"d")
    assert slowlog.newest(1)[0].id == 3
    slowlog.limit = 0
    note(slowlog, b"e")
    assert len(slowlog) == 0


def test_arguments_are_trimmed_as_the_reference_does() -> None:
    assert trim_arguments([b"%d" % i for i in range(32)]) == tuple(b"%d" % i for i in range(32))
    trimmed = trim_arguments([b"mset"] + [b"%d" % i for i in range(40)])
    assert len(trimmed) == 32
    assert trimmed[30:] == (b"29", b"... (10 more arguments)")
    assert trim_arguments([b"x" * 128, b"x" * 200]) == (b"x" * 128, b"x" * 128 + b"... (72 more bytes)")


@pytest.mark.parametrize(("line", "shown"), [
    ("auth secret", "auth -"),
    ("AUTH user secret", "AUTH - -"),
    ("hello 3 auth user secret setname x", "hello 3 auth - - setname x"),
    ("hello 3 auth user", "hello 3 auth -"),
    ("config set requirepass secret maxmemory 1", "config set requirepass - maxmemory 1"),
    ("config set masterauth", "config set masterauth"),
    ("config get requirepass", "config get requirepass"),
    ("acl setuser bob >secret on", "acl setuser - - -"),
    ("migrate h 1 k 0 9 auth2 user secret keys k", "migrate h 1 k 0 9 auth2 - - keys k"),
    ("set auth secret", "set auth secret"),
])
def test_secrets_are_taken_out(line: str, shown: str) -> None:
    expected = [REDACTED if word == "-" else word.encode() for word in shown.split()]
    assert redact([word.encode() for word in line.split()]) == expected
