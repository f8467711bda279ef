"""Links that break at any byte, stall and are reset; servers that meet each other at the wrong moment."""

import random

import pytest

from harness.data_set import expect_equal
from harness.link import FaultyLink
from harness.process import ServerProcess, StartServer
from harness.replication import (
    Synchronisations,
    attach,
    follow,
    link_is_up,
    promote,
    wait_for_link,
    wait_until_in_step,
)
from harness.waiting import eventually
from replication.pairs import OWN, StartPair

KEYS, VALUE_BYTES = 300, 5_000


def fill(server: ServerProcess) -> None:
    """Some 1.5 MB that do not compress, and a little of another type."""
    noise = random.Random(1)
    with server.connect() as wire:
        wire.pipeline(("SET", f"key:{number}", noise.randbytes(VALUE_BYTES)) for number in range(KEYS))
        wire.pipeline(("RPUSH", "list", number) for number in range(500))


@pytest.mark.parametrize("diskless_load", ["disabled", "swapdb"])
def test_a_transfer_that_is_cut_is_done_again(
    pair: tuple[str, str], diskless_load: str, start_pair: StartPair
) -> None:
    """In the handshake, in the first line of the answer, at the snapshot's start, in it, and just before its end."""
    both = start_pair(pair, "--repl-diskless-load", diskless_load)
    fill(both.primary)
    with both.replica.connect() as wire, FaultyLink(both.primary.port) as link:
        wire.call("SET", "of old", "kept until the new data are whole")
        for count in (3, 30, 100, 600, 40_000, 1_000_000, 1_490_000):
            link.cut_down_after(count)
            seen = link.accepted
            follow(both.replica, link.port)
            link.wait_for_connections(seen + 1)
            eventually(lambda: link.open == 0, f"the link is cut after {count} bytes")
            assert not link_is_up(both.replica)
            assert wire.call("PING").raw.startswith((b"+PONG", b"-LOADING", b"-MASTERDOWN"))
            promote(both.replica)
            if diskless_load == "disabled":
                assert wire.call("GET", "of old").text.startswith(b"kept")
        link.cut_down_after(None)
        attach(both.replica, both.primary, port=link.port)
        expect_equal(both.primary, both.replica)
        assert wire.call("EXISTS", "of old").number == 0
        promote(both.replica)


def test_a_stream_that_is_cut_at_any_byte_goes_on_there(pair: tuple[str, str], start_pair: StartPair) -> None:
    """In the middle of commands and of transactions: nothing is executed twice, nothing is left out."""
    both = start_pair(pair)
    chance = random.Random(7)
    with FaultyLink(both.primary.port) as link:
        attach(both.replica, both.primary, port=link.port)
        # A diskless primary begins the stream a moment later: from here on it flows.
        both.workload.run(50)
        wait_until_in_step(both.replica, both.primary)
        seen = link.accepted
        for _ in range(6):
            link.cut_down_after(chance.randrange(1, 3_000))
            both.workload.run(50)
        link.cut_down_after(None)
        wait_for_link(both.replica)
        wait_until_in_step(both.replica, both.primary)
        assert link.accepted > seen
        expect_equal(both.primary, both.replica)
        synchronised = Synchronisations.of(both.primary)
        assert synchronised.full == 1
        assert synchronised.partial_ok >= 1
        promote(both.replica)


def test_a_cut_acknowledgement_costs_the_connection_alone(pair: tuple[str, str], start_pair: StartPair) -> None:
    both = start_pair(pair)
    with FaultyLink(both.primary.port) as link:
        attach(both.replica, both.primary, port=link.port)
        both.workload.run(100)
        link.refuse()
        link.reset()
        eventually(lambda: both.primary.info("replication")["connected_slaves"] == "0", "the primary has noticed")
        # Behind the handshake of a partial synchronisation: in the first acknowledgements.
        link.cut_up_after(260)
        link.refuse(False)
        seen = link.accepted
        link.wait_for_connections(seen + 1)
        link.cut_up_after(None)
        both.workload.run(100)
        wait_for_link(both.replica)
        wait_until_in_step(both.replica, both.primary)
        expect_equal(both.primary, both.replica)
        promote(both.replica)


def test_a_link_that_stalls_is_given_up_on_both_sides(pair: tuple[str, str], start_pair: StartPair) -> None:
    both = start_pair(pair, "--repl-timeout", "2", "--repl-ping-replica-period", "1")
    with FaultyLink(both.primary.port) as link:
        attach(both.replica, both.primary, port=link.port)
        link.stall()
        eventually(lambda: both.replica.info("replication")["master_link_status"] == "down",
                   "the replica has given up")
        eventually(lambda: both.primary.info("replication")["connected_slaves"] == "0", "the primary has given up")
        link.reset()
        link.resume()
        both.workload.run(100)
        wait_for_link(both.replica)
        wait_until_in_step(both.replica, both.primary)
        expect_equal(both.primary, both.replica)
        promote(both.replica)


@pytest.mark.parametrize("diskless", ["yes", "no"])
def test_two_replicas_synchronise_at_once(diskless: str, start_one: StartServer) -> None:
    """And a third that comes while their snapshot is being made."""
    primary = start_one(OWN, "--repl-diskless-sync", diskless)
    replicas = [start_one(kind) for kind in ("valkey", "redis", OWN)]
    fill(primary)
    for replica in replicas:
        follow(replica, primary.port)
    with primary.connect() as wire:
        wire.pipeline(("SET", f"meanwhile:{number}", number) for number in range(1000))
    for replica in replicas:
        wait_for_link(replica)
        wait_until_in_step(replica, primary)
        expect_equal(primary, replica)


@pytest.mark.parametrize("kind", ["valkey", "redis"])
def test_another_history_is_not_taken_for_ones_own(kind: str, start_one: StartServer) -> None:
    """The primary's id changes under its replica: offsets that fit mean nothing then."""
    primary, replica = start_one(kind), start_one(OWN)
    with FaultyLink(primary.port) as link:
        attach(replica, primary, port=link.port)
        link.refuse()
        link.reset()
        with primary.connect() as wire:
            assert wire.call("DEBUG", "CHANGE-REPL-ID").raw == b"+OK\r\n"
            assert wire.call("SET", "after", "the change").raw == b"+OK\r\n"
        link.refuse(False)
        wait_for_link(replica)
        wait_until_in_step(replica, primary)
        expect_equal(primary, replica)
        assert replica.info("replication")["master_replid"] == primary.info("replication")["master_replid"]
        assert Synchronisations.of(primary).full == 2
        promote(replica)


def test_a_replica_of_itself_and_of_each_other_do_no_harm(start_one: StartServer) -> None:
    """Two servers that follow each other never get data, and recover when one is promoted."""
    one, other = start_one(OWN), start_one(OWN)
    follow(one, other.port)
    follow(other, one.port)
    for server in (one, other):
        with server.connect() as wire:
            assert wire.call("PING").raw == b"+PONG\r\n"
    promote(one)
    with one.connect() as wire:
        assert wire.call("SET", "key", "value").raw == b"+OK\r\n"
    wait_for_link(other)
    wait_until_in_step(other, one)
    expect_equal(one, other)
