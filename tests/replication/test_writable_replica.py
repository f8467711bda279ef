"""Keys that the clients of a writable replica gave an expiry (replica-read-only no): nobody else would delete them."""

import pytest

from harness.fake_primary import FakePrimary
from harness.memory import turn
from harness.process import StartServer
from harness.replication import attach, wait_until_in_step
from harness.waiting import eventually
from harness.wire import encode_command
from ranvier.clock import VirtualClock
from ranvier.server.server import Server
from ranvier.shells.memory import MemoryClient
from replication.pairs import OWN
from replication.replica_room import a_client, a_primary, a_server, ask, follow  # noqa: F401, fixtures

WRITABLE = ("--replica-read-only", "no")


@pytest.mark.parametrize("kind", [OWN, "valkey"])
def test_they_are_deleted_and_the_primarys_are_only_hidden(start_one: StartServer, kind: str) -> None:
    primary, replica = start_one(OWN), start_one(kind, *WRITABLE)
    attach(replica, primary)
    with primary.connect() as wire, replica.connect() as own:
        wire.call("DEBUG", "SET-ACTIVE-EXPIRE", 0)
        wire.call("SET", "theirs", "1", "PX", 1)
        wait_until_in_step(replica, primary)
        own.call("SET", "kept", "1")
        own.call("SET", "own", "1", "PX", 1)
        own.call("SADD", "set", "a")
        assert own.call("PEXPIRE", "set", 1).number == 1
        eventually(lambda: own.call("DBSIZE").number == 2, "what it wrote itself is deleted")
        assert own.call("GET", "theirs").value is None
        assert own.call("DBSIZE").number == 2, "the primary has not said that it goes"
        wire.call("GET", "theirs")
        wait_until_in_step(replica, primary)
        assert own.call("DBSIZE").number == 1


def pass_time(server: Server) -> None:
    clock = server.engine.clock
    assert isinstance(clock, VirtualClock)
    clock.advance(1_000)
    turn(server)
    server.engine.expire_keys(True)


def test_whose_an_expiry_is_goes_by_who_set_it_last(
    server: Server, primary: FakePrimary, client: MemoryClient
) -> None:
    follow(client, primary)
    primary.synchronise()
    client.talk(b"CONFIG SET replica-read-only no\r\n")
    primary.send(encode_command("SET", "taken", 1, "PX", 500) + encode_command("SET", "theirs", 1, "PX", 500))
    for words in (
        ("SET", "own", 1, "PX", 500), ("SET", "given", 1, "PX", 500), ("PEXPIRE", "taken", 400),
        ("SET", "renamed", 1, "PX", 500), ("RENAME", "renamed", "other"), ("COPY", "theirs", "copied"),
        ("SET", "persisted", 1, "PX", 500), ("PERSIST", "persisted"),
    ):
        assert ask(client, *words)[:1] in b"+:"
    primary.send(encode_command("PEXPIRE", "given", 500))
    pass_time(server)
    assert ask(client, "DBSIZE") == b":4\r\n", "loaded, theirs, given, persisted"
    client.talk(b"REPLICAOF NO ONE\r\n")
    pass_time(server)
    assert ask(client, "DBSIZE") == b":2\r\n", "all that has expired is deleted now"


def test_a_pause_keeps_them(server: Server, primary: FakePrimary, client: MemoryClient) -> None:
    follow(client, primary)
    primary.synchronise()
    client.talk(b"CONFIG SET replica-read-only no\r\n")
    assert ask(client, "SET", "own", 1, "PX", 500) == b"+OK\r\n"
    client.talk(b"CLIENT PAUSE 100000 WRITE\r\n")
    pass_time(server)
    assert ask(client, "DBSIZE") == b":2\r\n"
    client.talk(b"CLIENT UNPAUSE\r\n")
    assert ask(client, "GET", "own") == b"$-1\r\n"
    assert ask(client, "DBSIZE") == b":1\r\n"
