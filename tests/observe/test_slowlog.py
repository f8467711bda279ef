"""The slow log keeps the newest entries, cut, and shows no secrets."""

import pytest

from harness.process import StartServer
from ranvier.observe.redaction import REDACTED, redact
from ranvier.observe.slowlog import Slowlog


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


@pytest.mark.parametrize("kind", ["slow", "large-request", "large-reply"])
def test_arguments_are_cut_as_the_reference_does(start_server: StartServer, kind: str) -> None:
    options = ("--commandlog-execution-slower-than", "0", "--commandlog-request-larger-than", "0",
               "--commandlog-reply-larger-than", "0")
    with start_server(*options).connect() as ours, start_server(*options, kind="valkey").connect() as theirs:
        for wire in (ours, theirs):
            wire.call("COMMANDLOG", "RESET", kind)
            wire.call("MGET", *(str(n) for n in range(31)))
            wire.call("MGET", *(str(n) for n in range(32)))
            wire.call("MSET", "k" * 128, "v" * 129, "a", "v" * 3_000_000)
            wire.call("AUTH", "x" * 200, "y" * 200)
        shown = [
            [(entry.items[2].number if kind == "large-request" else None, entry.items[3].plain())
             for entry in wire.call("COMMANDLOG", "GET", "4", kind).items]
            for wire in (ours, theirs)
        ]
    assert shown[0] == shown[1]
    assert len(shown[0]) == 4


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
