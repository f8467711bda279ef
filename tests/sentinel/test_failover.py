"""Three real Sentinels watch a pair; the primary is killed, the other takes its place, and clients go on writing.

The pairs of CI stand in QUICK_PAIRS; `make sentinel` runs the others too, and with Valkey's Sentinel.
"""

import os

import pytest

from harness.data_set import expect_equal, read_data_set
from harness.process import ServerProcess, StartServer
from harness.replication import PRIMARY_OPTIONS, attach, wait_for_link, wait_until_in_step
from harness.sentinel import NEVER_DOWN_MS, Sentinels
from harness.waiting import eventually
from sentinel.clients import NodeWriter, PythonWriter

OWN = "own"
FAILOVER_SECONDS = 30.0
QUICK_PAIRS = ((OWN, "redis", "redis"), ("redis", OWN, "redis"), (OWN, OWN, "valkey"))
LONG_PAIRS = ((OWN, OWN, "redis"), (OWN, "valkey", "valkey"), ("valkey", OWN, "valkey"), (OWN, "redis", "valkey"))
EVERYTHING = os.environ.get("RANVIER_EVERY_FAILOVER") == "1"
CASES = QUICK_PAIRS + (LONG_PAIRS if EVERYTHING else ())


@pytest.fixture
def start_watched(start_server: StartServer, server_kind: str) -> StartServer:
    """A server with a configuration file, which Sentinel has rewritten, and which is killed or not."""

    def start(kind: str) -> ServerProcess:
        return start_server(*PRIMARY_OPTIONS, kind=server_kind if kind == OWN else kind, clean=False, rewritable=True)

    return start


def told(server: ServerProcess, name: str) -> str:
    """A field of INFO replication; "" when the connection that asks is closed meanwhile.

    Each Sentinel has all clients of a server closed whose role it changes, and they do not wait for each other.
    """
    try:
        return server.info("replication").get(name, "")
    except (OSError, EOFError):
        return ""


@pytest.mark.parametrize(("first", "second", "sentinel"), CASES, ids=["-".join(case) for case in CASES])
def test_the_replica_takes_the_place_of_a_killed_primary(
    first: str, second: str, sentinel: str, start_watched: StartServer
) -> None:
    primary, replica = start_watched(first), start_watched(second)
    attach(replica, primary)
    with Sentinels(primary, kind=sentinel) as sentinels, PythonWriter(sentinels.addresses) as writer:
        writer.expect_more(50, "before")
        eventually(lambda: len(writer.confirmed) > 20, "writes confirmed by the replica")
        primary.kill()
        confirmed = writer.stop_confirming()
        sentinels.wait_for_primary(replica.port, FAILOVER_SECONDS)
        writer.expect_more(50, "after the failover")
        eventually(lambda: told(replica, "role") == "master", "the replica leads")
        assert "replicaof" not in replica.configuration_path.read_text()

        primary.restart()
        eventually(lambda: told(primary, "role") == "slave", "the old primary is made a replica", FAILOVER_SECONDS)
        eventually(lambda: told(primary, "master_link_status") == "up", "it has the new one's data", FAILOVER_SECONDS)
        assert f"replicaof 127.0.0.1 {replica.port}" in primary.configuration_path.read_text()
    wait_until_in_step(primary, replica)
    held = {key for _, key in read_data_set(replica, [0])}
    assert [number for number in confirmed if b"python:%d" % number not in held] == []
    expect_equal(replica, primary)


def test_ioredis_goes_on_writing(start_watched: StartServer) -> None:
    primary, replica = start_watched(OWN), start_watched(OWN)
    attach(replica, primary)
    with Sentinels(primary) as sentinels, NodeWriter(sentinels.addresses) as writer:
        writer.expect_more(50, "before")
        primary.kill()
        sentinels.wait_for_primary(replica.port, FAILOVER_SECONDS)
        writer.expect_more(50, "after the failover")


def test_a_failover_that_was_asked_for_loses_nothing(start_watched: StartServer) -> None:
    """SENTINEL FAILOVER of a healthy pair: the clients of the old primary are sent away by CLIENT KILL."""
    primary, replica = start_watched(OWN), start_watched("redis")
    attach(replica, primary)
    with Sentinels(primary, down_after_ms=NEVER_DOWN_MS) as sentinels, PythonWriter(sentinels.addresses) as writer:
        writer.expect_more(20, "before")
        with sentinels.all[0].connect() as wire:
            assert wire.call("SENTINEL", "FAILOVER", "mymaster").raw == b"+OK\r\n"
        sentinels.wait_for_primary(replica.port, FAILOVER_SECONDS)
        eventually(lambda: told(primary, "role") == "slave", "the old primary follows", FAILOVER_SECONDS)
        writer.expect_more(20, "after the failover")
    wait_for_link(primary)
    wait_until_in_step(primary, replica)
    expect_equal(replica, primary)
