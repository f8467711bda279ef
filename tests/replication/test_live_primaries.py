"""Ranvier as the replica of live servers: whole and partial synchronisation, chains, promotion, failover."""

import random

import pytest

from harness.process import ServerProcess, StartServer
from harness.waiting import eventually

PRIMARIES = ("valkey", "redis", "ranvier")
OPTIONS = ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")
WITHOUT_PINGS = (*OPTIONS, "--repl-ping-replica-period", "600")


def call(server: ServerProcess, *words: str | int | bytes) -> bytes:
    with server.connect() as wire:
        return wire.call(*words).raw


def follow(replica: ServerProcess, primary: ServerProcess) -> None:
    assert call(replica, "REPLICAOF", "127.0.0.1", primary.port) == b"+OK\r\n"
    in_step(replica, primary)


def in_step(replica: ServerProcess, primary: ServerProcess) -> None:
    """Until the replica has applied what the primary has written by now, and their data are the same."""
    wanted = int(primary.info("replication")["master_repl_offset"])

    def reached() -> bool:
        told = replica.info("replication")
        return told["master_link_status"] == "up" and int(told["slave_repl_offset"]) >= wanted

    eventually(reached, f"offset {wanted}", 30)
    # What has just expired goes when the primary says so.
    eventually(lambda: call(replica, "DEBUG", "DIGEST") == call(primary, "DEBUG", "DIGEST"), "the same data")


def write(primary: ServerProcess, seed: int, field_times: bool) -> None:
    """A little of every type, in three databases, some of it in transactions."""
    choose = random.Random(seed)
    with primary.connect(30) as wire:
        for _ in range(20):
            wire.call("SELECT", choose.randrange(3))
            in_transaction = choose.random() < 0.4
            requests: list[tuple[bytes | str | float, ...]] = [("MULTI",)] if in_transaction else []
            for _ in range(20):
                number = choose.randrange(50)
                requests.append(choose.choice((
                    ("SET", f"s{number}", choose.randbytes(choose.choice((3, 300, 40_000)))),
                    ("INCR", f"n{number}"), ("APPEND", f"s{number}", "more"), ("DEL", f"s{number}"),
                    ("SET", f"t{number}", number, "EX", 1000 + number), ("RPUSH", f"l{number % 5}", *range(number + 1)),
                    ("LPOP", f"l{number % 5}"), ("SADD", f"set{number % 5}", *range(number + 1)),
                    ("SPOP", f"set{number % 5}", 3), ("ZADD", f"z{number % 5}", number * 0.5, number),
                    ("HSET", f"h{number % 5}", number, "x" * number), ("HDEL", f"h{number % 5}", number),
                    ("XADD", f"x{number % 3}", "*", "f", number), ("PFADD", "hll", number),
                    ("SETBIT", "bits", number, 1),
                    ("EXPIRE", f"n{number}", 500), ("SET", f"gone{number}", 1, "PX", 5),
                    *([("HEXPIRE", f"h{number % 5}", 1000, "FIELDS", 1, number)] if field_times else []),
                )))
            if in_transaction:
                requests.append(("EXEC",))
            wire.pipeline(requests)


@pytest.mark.parametrize("diskless", ["yes", "no"])
@pytest.mark.parametrize("load", ["disabled", "swapdb"])
@pytest.mark.parametrize("kind", PRIMARIES)
def test_synchronisation(kind: str, load: str, diskless: str, start_server: StartServer) -> None:
    """Whole, then the stream, then partial after the link was killed on either side."""
    primary = start_server(*OPTIONS, "--repl-diskless-sync", diskless, kind=kind)
    replica = start_server("--repl-diskless-load", load, kind="ranvier")
    write(primary, 1, kind != "redis")
    call(replica, "SET", "old", 1)
    follow(replica, primary)
    assert call(replica, "GET", "old") == b"$-1\r\n"
    write(primary, 2, kind != "redis")
    in_step(replica, primary)
    for number, (server, kind_of_client) in enumerate(((primary, "replica"), (replica, "master"))):
        assert call(server, "CLIENT", "KILL", "TYPE", kind_of_client) == b":1\r\n"
        write(primary, 3 + number, kind != "redis")
        in_step(replica, primary)
        assert primary.info("stats")["sync_full"] == "1"
        assert primary.info("stats")["sync_partial_ok"] == str(number + 1)
    assert call(replica, "REPLICAOF", "NO", "ONE") == b"+OK\r\n"
    assert call(replica, "SET", "own", 1) == b"+OK\r\n"


@pytest.mark.parametrize("kind", PRIMARIES)
def test_a_chain(kind: str, start_server: StartServer) -> None:
    """What a replica's replicas get is the primary's stream; when the one in the middle leads, they go on with it."""
    # A ping that the primary writes when the one in the middle has left would make its history another one.
    primary = start_server(*WITHOUT_PINGS, kind=kind)
    middle = start_server(*WITHOUT_PINGS, kind="ranvier")
    write(primary, 1, False)
    follow(middle, primary)
    ends = [start_server(*WITHOUT_PINGS, kind=other) for other in ("valkey", "redis", "ranvier")]
    for end in ends:
        follow(end, middle)
    write(primary, 2, False)
    for server in (middle, *ends):
        in_step(server, primary)
    assert call(middle, "REPLICAOF", "NO", "ONE") == b"+OK\r\n"
    write(middle, 3, False)
    for end in ends:
        in_step(end, middle)
    assert middle.info("stats")["sync_full"] == "3"
    assert call(primary, "REPLICAOF", "127.0.0.1", middle.port) == b"+OK\r\n"
    in_step(primary, middle)
    assert middle.info("stats")["sync_full"] == "3"


@pytest.mark.parametrize(("one", "other"), [("valkey", "ranvier"), ("ranvier", "valkey"), ("ranvier", "ranvier")])
def test_failover(one: str, other: str, start_server: StartServer) -> None:
    primary, replica = start_server(*OPTIONS, kind=one), start_server(*OPTIONS, kind=other)
    write(primary, 1, True)
    follow(replica, primary)
    write(primary, 2, True)
    # The replica's side of the link is up before its acknowledgement has put it online.
    eventually(lambda: "state=online" in primary.info("replication")["slave0"], "the primary has it online")
    assert call(primary, "FAILOVER", "TO", "127.0.0.1", replica.port) == b"+OK\r\n"
    eventually(lambda: replica.info("replication")["role"] == "master", "the replica leads")
    eventually(lambda: primary.info("replication")["master_failover_state"] == "no-failover", "it is over")
    in_step(primary, replica)
    assert replica.info("stats")["sync_partial_ok"] == "1"
    write(replica, 3, True)
    in_step(primary, replica)
    assert call(primary, "SET", "k", 1).startswith(b"-READONLY")


def test_a_password_is_told(start_server: StartServer) -> None:
    primary = start_server(*OPTIONS, "--requirepass", "secret", kind="valkey")
    replica = start_server("--replicaof", "127.0.0.1", str(primary.port), kind="ranvier")
    eventually(lambda: "Unable to AUTH" in replica.log() or "NOAUTH" in replica.log(), "it is refused")
    assert call(replica, "CONFIG", "SET", "masterauth", "secret") == b"+OK\r\n"
    eventually(lambda: replica.info("replication")["master_link_status"] == "up", "it is let in", 30)


def test_wait_is_answered(start_server: StartServer) -> None:
    primary, replica = start_server(*OPTIONS, kind="valkey"), start_server(kind="ranvier")
    follow(replica, primary)
    with primary.connect() as wire:
        for number in range(20):
            wire.call("SET", "k", number)
            assert wire.call("WAIT", 1, 10_000).number == 1


def test_what_a_primary_waits_for_is_on_the_replicas_disk(start_server: StartServer) -> None:
    """WAITAOF of Valkey; and the append-only file begins anew with the data set that was taken over."""
    primary = start_server(*OPTIONS, kind="valkey")
    replica = start_server("--appendonly", "yes", kind="ranvier", clean=False)
    call(replica, "SET", "old", 1)
    write(primary, 1, True)
    follow(replica, primary)
    eventually(lambda: replica.info("persistence")["aof_rewrite_in_progress"] == "0", "the new base is there", 30)
    write(primary, 2, True)
    with primary.connect(30) as wire:
        wire.call("SET", "last", 1)
        assert [item.number for item in wire.call("WAITAOF", 0, 1, 20_000).items] == [0, 1]
    in_step(replica, primary)
    replica.kill()
    again = start_server("--appendonly", "yes", "--dir", replica.directory.name, kind="ranvier")
    eventually(lambda: call(again, "DEBUG", "DIGEST") == call(primary, "DEBUG", "DIGEST"), "the same data")
    assert call(again, "GET", "last") == b"$1\r\n1\r\n"
