"""WAITAOF's local half: a connection waits until what was written before is on the disk of this server."""

from pathlib import Path

import pytest

from harness.process import StartServer
from harness.wire import Wire

DISABLED = b"ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled."


def counts(wire: Wire, *words: str) -> object:
    return wire.call("WAITAOF", *words).plain()


@pytest.mark.parametrize("policy", ["always", "everysec"])
def test_a_write_is_waited_for(start_server: StartServer, policy: str) -> None:
    server = start_server("--appendonly", "yes", "--appendfsync", policy)
    with server.connect() as wire:
        assert counts(wire, "1", "0", "0") == [1, 0], "it has written nothing"
        for _ in range(3):
            replies = wire.pipeline([("INCR", "n"), ("WAITAOF", "1", "0", "0"), ("GET", "n")])
            assert replies[1].plain() == [1, 0]
        assert counts(wire, "0", "0", "0") == [1, 0]
        assert counts(wire, "1", "1", "1") == [1, 0], "there is no replica, and time is up"


def test_what_is_never_synced_ends_with_the_time(start_server: StartServer) -> None:
    server = start_server("--appendonly", "yes", "--appendfsync", "no")
    with server.connect() as wire, server.connect() as other:
        wire.call("SET", "a", "1")
        assert counts(wire, "1", "0", "20") == [0, 0]
        wire.send_command("WAITAOF", "1", "0", "0")
        other.call("CONFIG", "SET", "appendfsync", "always")
        assert wire.reply().plain() == [1, 0]


def test_without_a_file_there_is_nothing_to_wait_for(start_server: StartServer) -> None:
    server = start_server("--appendonly", "yes", "--appendfsync", "no")
    with server.connect() as wire, server.connect() as other:
        wire.call("SET", "a", "1")
        wire.send_command("WAITAOF", "1", "0", "0")
        server.settle()
        other.call("CONFIG", "SET", "appendonly", "no")
        assert wire.reply().text == DISABLED
        assert wire.call("WAITAOF", "1", "0", "0").text == DISABLED
        assert counts(wire, "0", "0", "0") == [0, 0]


def test_each_waits_for_its_own_writes(start_server: StartServer) -> None:
    """Beside Valkey: inside MULTI nobody waits, and what the transaction has written so far does not count yet."""
    conversation = [
        (0, "SET a 1"), (1, "WAITAOF 1 0 0"), (1, "WAITAOF 0 0 0"), (0, "WAITAOF 0 0 0"), (0, "WAITAOF 1 0 20"),
        (1, "MULTI"), (1, "SET b 1"), (1, "WAITAOF 1 0 0"), (1, "WAITAOF 0 1 0"), (1, "EXEC"), (1, "WAITAOF 1 1 20"),
        (0, "CONFIG SET appendfsync always"), (2, "SET c 1"), (0, "WAITAOF 1 0 0"), (1, "WAITAOF 1 0 0"),
        (0, "CONFIG SET appendonly no"), (1, "MULTI"), (1, "WAITAOF 1 0 0"), (1, "WAITAOF 0 0 0"), (1, "EXEC"),
        (0, "REPLICAOF 127.0.0.1 1"), (0, "WAITAOF 0 0 0"), (0, "WAITAOF 1 1 0"), (0, "WAITAOF 2 0 0"),
        (0, "MULTI"), (0, "WAITAOF 0 0 0"), (0, "EXEC"),
    ]
    answers = []
    for kind in ("ranvier", "valkey"):
        server = start_server("--appendonly", "yes", "--appendfsync", "no", kind=kind)
        with server.connect() as first, server.connect() as second, server.connect() as third:
            wires = (first, second, third)
            answers.append([(line, wires[number].call(*line.split()).raw) for number, line in conversation])
    assert answers[0] == answers[1]
    assert answers[0][1][1] == b"*2\r\n:1\r\n:0\r\n", "it has written nothing"
    assert answers[0][4][1] == b"*2\r\n:0\r\n:0\r\n"


def test_what_counts_begins_with_the_first_base(start_server: StartServer) -> None:
    server = start_server("--rdb-key-save-delay", "1000")
    with server.connect() as wire:
        wire.call("DEBUG", "POPULATE", "200")
        wire.call("CONFIG", "SET", "appendonly", "yes")
        wire.call("SET", "a", "1")
        assert counts(wire, "1", "0", "0") == [1, 0]
        assert Path(server.directory.name, "appendonlydir", "appendonly.aof.1.base.rdb").exists()


def test_replies_are_those_of_valkey(start_server: StartServer) -> None:
    requests = [
        ("WAITAOF", "2", "0", "1"), ("WAITAOF", "-1", "0", "1"), ("WAITAOF", "1", "-1", "1"),
        ("WAITAOF", "1", "0", "-1"), ("WAITAOF", "1", "x", "0"), ("WAITAOF", "1", "0"),
        ("WAITAOF", "0", "0", "0"), ("SET", "a", "1"),
        ("WAITAOF", "1", "0", "0"), ("WAITAOF", "1", "1", "1"), ("MULTI",), ("SET", "a", "2"),
        ("WAITAOF", "0", "0", "0"), ("EXEC",), ("CONFIG", "SET", "appendonly", "no"), ("WAITAOF", "1", "0", "0"),
        ("WAITAOF", "0", "0", "0"), ("WAITAOF", "0", "1", "1"),
    ]
    answers = []
    for kind in ("ranvier", "valkey"):
        server = start_server("--appendonly", "yes", "--appendfsync", "always", kind=kind, clean=False)
        with server.connect() as wire:
            answers.append([wire.call(*request).raw for request in requests])
    assert answers[0] == answers[1]
