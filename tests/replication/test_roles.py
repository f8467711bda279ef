"""Becoming a replica and a primary again: what is refused meanwhile, and who is told."""

import pytest

from harness.fake_primary import ID, OTHER_ID, FakePrimary, fake_primary, until
from harness.memory import hear_log, memory_client, read_replies, received, socket_client, turn
from harness.wire import encode_command
from ranvier.server.server import Server
from ranvier.shells.memory import MemoryClient
from replication.replica_room import a_client, a_primary, a_server, ask, follow, info  # noqa: F401


def test_promotion(server: Server, primary: FakePrimary, client: MemoryClient) -> None:
    follow(client, primary)
    primary.synchronise(offset=9)
    primary.send(encode_command("SELECT", "2") + encode_command("SET", "k", "1"))
    offset = server.replica_side.link.offset
    assert client.talk(b"REPLICAOF NO ONE\r\n") == b"+OK\r\n"
    assert primary.is_closed()
    found = info(client)
    assert (found["role"], found["master_replid2"], found["second_repl_offset"]) == ("master", ID, str(offset + 1))
    assert found["master_replid"] not in (ID, OTHER_ID)
    assert "master_host" not in found
    assert client.talk(b"SELECT 2\r\nGET k\r\nSET k 2\r\n") == b"+OK\r\n$1\r\n1\r\n+OK\r\n"
    assert client.talk(b"REPLICAOF NO ONE\r\n") == b"+OK\r\n"


def test_the_same_primary_again(primary: FakePrimary, client: MemoryClient) -> None:
    follow(client, primary)
    assert ask(client, "SLAVEOF", "127.0.0.1", primary.port) == b"+OK Already connected to specified master\r\n"


@pytest.mark.parametrize("port", ["x", "-1", "65536", "01", ""])
def test_ports_that_are_none(client: MemoryClient, port: str) -> None:
    assert ask(client, "REPLICAOF", "127.0.0.1", port) == b"-ERR Invalid master port\r\n"
    assert ask(client, "REPLICAOF", "NO", port) == b"-ERR Invalid master port\r\n"


def test_another_primary_may_know_the_history(server: Server, primary: FakePrimary, client: MemoryClient) -> None:
    follow(client, primary)
    primary.synchronise(offset=9)
    with fake_primary(server) as other:
        follow(client, other)
        assert primary.is_closed()
        other.agree()
        assert other.heard().endswith(encode_command("PSYNC", ID, "10"))
        other.send(b"+CONTINUE %b\r\n" % OTHER_ID.encode() + encode_command("SET", "k", "1"))
        assert ask(client, "GET", "k") == b"$1\r\n1\r\n"


def test_a_primary_asks_to_go_on_from_its_own_history(primary: FakePrimary, client: MemoryClient) -> None:
    replication_id = info(client)["master_replid"]
    follow(client, primary)
    primary.agree()
    assert primary.heard().endswith(encode_command("PSYNC", replication_id, "1"))


def test_stale_data(server: Server, primary: FakePrimary, client: MemoryClient) -> None:
    """A4-17"""
    down = b"-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n"
    client.talk(b"SET k 1\r\nCONFIG SET replica-serve-stale-data no\r\n")
    assert ask(client, "GET", "k") == b"$1\r\n1\r\n"
    follow(client, primary)
    assert ask(client, "GET", "k") == down
    assert ask(client, "PING").startswith(down[:11])
    assert ask(client, "INFO").startswith(b"$")
    primary.synchronise()
    assert ask(client, "GET", "k") == b"$-1\r\n"
    primary.drop()
    until(server, lambda: not server.replica_side.link.is_up, "the link is lost")
    assert ask(client, "GET", "k") == down
    client.talk(b"CONFIG SET replica-serve-stale-data yes\r\n")
    assert ask(client, "GET", "k") == b"$-1\r\n"
    client.talk(b"CONFIG SET replica-serve-stale-data no\r\nREPLICAOF NO ONE\r\n")
    assert ask(client, "GET", "k") == b"$-1\r\n"


def test_a_writable_replica(primary: FakePrimary, client: MemoryClient) -> None:
    """A4-15"""
    follow(client, primary)
    primary.synchronise()
    assert ask(client, "SET", "k", "1").startswith(b"-READONLY")
    assert client.talk(b"MULTI\r\nSET k 1\r\nEXEC\r\n").endswith(
        b"-EXECABORT Transaction discarded because of previous errors.\r\n")
    client.talk(b"CONFIG SET replica-read-only no\r\n")
    assert ask(client, "SET", "k", "1") == b"+OK\r\n"


def test_redirection(server: Server, primary: FakePrimary, client: MemoryClient) -> None:
    """A4-9v"""
    there = b"-REDIRECT 127.0.0.1:%d\r\n" % primary.port
    client.talk(b"CLIENT CAPA redirect\r\n")
    with memory_client(server) as other:
        follow(client, primary)
        other.talk(b"CLIENT CAPA redirect\r\n")
        for redirected in (client, other):
            assert redirected.talk(b"SET k 1\r\nGET k\r\nPING\r\n") == there * 2 + b"+PONG\r\n"
    client.talk(b"REPLICAOF NO ONE\r\n")
    assert client.talk(b"SET k 1\r\n") == b"+OK\r\n"


def test_who_waits_is_told_that_it_is_in_vain(server: Server, primary: FakePrimary, client: MemoryClient) -> None:
    """A13 BLOCKED-3"""
    with memory_client(server) as waits, memory_client(server) as redirected, memory_client(server) as paused:
        waits.talk(b"BLPOP nosuch 0\r\nPING\r\n")
        redirected.talk(b"CLIENT CAPA redirect\r\n")
        redirected.talk(b"BLPOP nosuch 0\r\n")
        client.talk(b"CLIENT PAUSE 10000 WRITE\r\n")
        paused.talk(b"SET k 1\r\n")
        follow(client, primary)
        assert waits.talk(b"") == (
            b"-UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)\r\n")
        assert waits.handle.closed
        assert redirected.talk(b"PING\r\n") == b"-REDIRECT 127.0.0.1:%d\r\n+PONG\r\n" % primary.port
        client.talk(b"CLIENT UNPAUSE\r\n")
        turn(server)
        assert paused.talk(b"").startswith(b"-READONLY")


def test_the_configuration_follows(client: MemoryClient) -> None:
    ask(client, "REPLICAOF", "Example.invalid", 7)
    (reply,) = read_replies(ask(client, "CONFIG", "GET", "replicaof"))
    assert reply.items[1].text == b"Example.invalid 7"
    client.talk(b"REPLICAOF NO ONE\r\n")
    (reply,) = read_replies(ask(client, "CONFIG", "GET", "slaveof"))
    assert reply.items[1].text == b""


def test_nobody_is_let_in_while_the_role_is_handed_over(server: Server, primary: FakePrimary) -> None:
    """A17-24"""
    def asked() -> bytes:
        with socket_client(server) as peer:
            peer.send(b"PSYNC ? -1\r\n")
            turn(server, 2)
            return received(peer)[0]

    replication_id, offset = server.replication.replication_id, server.replication.offset
    server.replica_side.hand_over("127.0.0.1", primary.port)
    assert asked() == b"-NOMASTERLINK Can't SYNC while failing over\r\n"
    primary.agree()
    assert primary.heard().endswith(encode_command("PSYNC", replication_id, offset + 1, "FAILOVER"))
    server.replica_side.take_back()
    server.replica_side.hold_writes(False)
    assert asked()[:1] != b"-"


def test_where_the_link_comes_from(primary: FakePrimary, client: MemoryClient) -> None:
    client.talk(b"CONFIG SET bind-source-addr 127.0.0.1\r\n")
    follow(client, primary)
    primary.accept()
    assert primary.peer is not None
    assert primary.peer.getpeername()[0] == "127.0.0.1"
    client.talk(b"REPLICAOF NO ONE\r\nCONFIG SET bind-source-addr 127.0.0.2\r\n")
    follow(client, primary)
    primary.accept()
    assert primary.peer.getpeername()[0] == "127.0.0.2"


def test_an_address_that_is_not_here_is_told(server: Server, primary: FakePrimary, client: MemoryClient) -> None:
    lines = hear_log(server)
    client.talk(b"CONFIG SET bind-source-addr 192.0.2.1\r\n")
    follow(client, primary)
    until(server, lambda: any("Error condition on socket for SYNC" in line for line in lines), "it is told")
