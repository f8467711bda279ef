"""Ranvier beside real Valkey and Redis, as their primary and as their replica: the same data on both sides, always."""

import pytest

from harness.data_set import expect_equal
from harness.link import FaultyLink
from harness.process import StartServer
from harness.replication import (
    Synchronisations,
    attach,
    follow,
    offset,
    promote,
    replica_lines,
    wait_for_link,
    wait_until_in_step,
)
from harness.waiting import eventually
from harness.workload import Workload
from replication.pairs import OWN, Pair, StartPair

REQUESTS = 1500


@pytest.mark.parametrize("diskless", ["yes", "no"])
def test_a_replica_gets_everything_and_then_every_write(
    pair: tuple[str, str], diskless: str, start_pair: StartPair
) -> None:
    both = start_pair(pair, "--repl-diskless-sync", diskless)
    both.workload.run(REQUESTS)
    attach(both.replica, both.primary)
    assert expect_equal(both.primary, both.replica, group_details=True) > 50
    both.workload.run(REQUESTS)
    wait_until_in_step(both.replica, both.primary)
    expect_equal(both.primary, both.replica)
    assert Synchronisations.of(both.primary).full == 1
    expect_roles(both)


def expect_roles(both: Pair) -> None:
    """Each side tells of the other what Sentinel and operators read."""
    with both.primary.connect() as primary, both.replica.connect() as replica:
        role, told_offset, replicas = primary.call("ROLE").items
        assert role.text == b"master"
        assert told_offset.number >= 0
        assert [[part.text for part in one.items][:2] for one in replicas.items] == [
            [b"127.0.0.1", str(both.replica.port).encode()]
        ]
        kind, host, port, state, _ = replica.call("ROLE").items
        assert (kind.text, host.text, port.number, state.text) == \
            (b"slave", b"127.0.0.1", both.primary.port, b"connected")
        assert replica.call("SET", "k", "v").text.startswith(b"READONLY ")
    lines = replica_lines(both.primary)
    assert [(line["ip"], line["port"], line["state"]) for line in lines] == \
        [("127.0.0.1", str(both.replica.port), "online")]
    eventually(lambda: int(replica_lines(both.primary)[0]["offset"]) >= offset(both.primary) - 1000,
               "the replica's acknowledgement shows in INFO")
    told = both.replica.info("replication")
    assert (told["role"], told["master_host"], told["master_port"]) == ("slave", "127.0.0.1", str(both.primary.port))
    assert told["slave_read_only"] == "1"


def test_a_short_break_costs_only_what_was_missed(pair: tuple[str, str], start_pair: StartPair) -> None:
    both = start_pair(pair)
    both.workload.run(500)
    with FaultyLink(both.primary.port) as link:
        attach(both.replica, both.primary, port=link.port)
        for number in range(3):
            link.refuse()
            link.reset()
            both.workload.run(300)
            link.refuse(False)
            wait_for_link(both.replica)
            wait_until_in_step(both.replica, both.primary)
            expect_equal(both.primary, both.replica)
            synchronised = Synchronisations.of(both.primary)
            assert (synchronised.full, synchronised.partial_ok) == (1, number + 1)
        promote(both.replica)


def test_a_long_break_needs_everything_again(pair: tuple[str, str], start_pair: StartPair) -> None:
    both = start_pair(pair, "--repl-backlog-size", "16kb")
    with FaultyLink(both.primary.port) as link:
        attach(both.replica, both.primary, port=link.port)
        link.refuse()
        link.reset()
        with both.primary.connect() as wire:
            for number in range(100):
                assert wire.call("SET", f"key:{number}", "v" * 5000).raw == b"+OK\r\n"
        link.refuse(False)
        eventually(lambda: Synchronisations.of(both.primary).full == 2, "a second full synchronisation")
        wait_for_link(both.replica)
        wait_until_in_step(both.replica, both.primary)
        expect_equal(both.primary, both.replica)
        assert Synchronisations.of(both.primary).partial_ok == 0
        promote(both.replica)


def test_a_promoted_replica_goes_on_with_the_history(pair: tuple[str, str], start_pair: StartPair) -> None:
    """The old primary follows it and is told only what it misses (PSYNC2)."""
    # A ping of the primary's that the replica does not get any more would make its history another one.
    both = start_pair(pair, "--repl-ping-replica-period", "600")
    both.workload.run(500)
    attach(both.replica, both.primary)
    both.workload.run(200)
    wait_until_in_step(both.replica, both.primary)
    promote(both.replica)
    with both.replica.connect() as wire:
        assert wire.call("SET", "after", "promotion").raw == b"+OK\r\n"
    attach(both.primary, both.replica)
    expect_equal(both.replica, both.primary)
    synchronised = Synchronisations.of(both.replica)
    assert (synchronised.full, synchronised.partial_ok) == (0, 1)
    told, before = both.replica.info("replication"), both.primary.info("replication")
    assert told["master_replid"] == before["master_replid"] != told["master_replid2"]
    assert int(told["second_repl_offset"]) > 0


@pytest.mark.parametrize("kinds", [
    (OWN, OWN, OWN), ("redis", OWN, "valkey"), ("valkey", OWN, OWN), (OWN, "valkey", OWN),
], ids="-".join)
def test_a_chain_carries_the_same_stream(kinds: tuple[str, str, str], start_one: StartServer) -> None:
    """The middle passes the first one's stream on as it is: ids and offsets are the same all along."""
    first, middle, last = (start_one(kind) for kind in kinds)
    workload = Workload(first, 5, with_redis="redis" in kinds)
    workload.run(500)
    attach(middle, first)
    follow(last, middle.port)
    wait_for_link(last)
    workload.run(500)
    wait_until_in_step(middle, first)
    wait_until_in_step(last, first)
    expect_equal(first, middle)
    expect_equal(first, last)
    ids = {server.info("replication")["master_replid"] for server in (first, middle, last)}
    assert len(ids) == 1


def test_a_killed_replica_comes_back(pair: tuple[str, str], start_pair: StartPair) -> None:
    both = start_pair(pair, clean=False)
    both.workload.run(500)
    attach(both.replica, both.primary)
    both.replica.kill()
    both.workload.run(500)
    eventually(lambda: both.primary.info("replication")["connected_slaves"] == "0", "the primary has noticed")
    both.replica.restart("--replicaof", "127.0.0.1", str(both.primary.port))
    wait_for_link(both.replica)
    wait_until_in_step(both.replica, both.primary)
    expect_equal(both.primary, both.replica)


def test_a_killed_primary_comes_back(pair: tuple[str, str], start_pair: StartPair) -> None:
    """With an append-only file it has everything that was acknowledged; its replica finds it again by itself."""
    both = start_pair(pair, "--appendonly", "yes", "--appendfsync", "always", clean=False)
    both.workload.run(500)
    attach(both.replica, both.primary)
    both.workload.run(200)
    wait_until_in_step(both.replica, both.primary)
    both.primary.kill()
    eventually(lambda: both.replica.info("replication")["master_link_status"] == "down", "the replica has noticed")
    both.primary.restart()
    wait_for_link(both.replica)
    wait_until_in_step(both.replica, both.primary)
    expect_equal(both.primary, both.replica)
    with both.primary.connect() as wire:
        assert wire.call("DBSIZE").number >= 0
        assert wire.call("SET", "after", "restart").raw == b"+OK\r\n"
        assert wire.call("WAIT", 1, 10_000).number == 1
    expect_equal(both.primary, both.replica)
    # Redis does not end while it writes its file anew.
    eventually(lambda: both.replica.info("persistence")["aof_rewrite_in_progress"] == "0", "its file is whole")
