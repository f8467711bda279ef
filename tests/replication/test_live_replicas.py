"""Real servers as replicas of Ranvier: Valkey 9.1 and Redis 7.0 take its data set, keep up with it, and come back."""

import random
from collections.abc import Callable, Iterator

import pytest

from harness.process import ServerProcess, StartServer
from harness.waiting import eventually
from harness.wire import Wire, encode_command
from ranvier.modes.replica import STAGE_NAMES, Stage

KINDS = ("valkey", "redis")
QUICK = ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")
BY_DISK = ("--repl-diskless-sync", "no")
ONLINE = f"state={STAGE_NAMES[Stage.ONLINE]}"


def follows(replica: ServerProcess) -> bool:
    return replica.info("replication")["master_link_status"] == "up"


def start_replica(start_server: StartServer, primary: ServerProcess, kind: str, *, clean: bool = True) -> ServerProcess:
    replica = start_server(
        "--replicaof", f"127.0.0.1 {primary.port}", "--repl-ping-replica-period", "1", kind=kind, clean=clean
    )
    eventually(lambda: follows(replica), f"the link of {kind} is up")
    return replica


def offset_of(server: ServerProcess) -> int:
    return int(server.info("replication")["master_repl_offset"])


def digest(server: ServerProcess) -> bytes:
    with server.connect() as wire:
        return wire.call("DEBUG", "DIGEST").text


def catch_up(primary: ServerProcess, replica: ServerProcess) -> None:
    """Everything that the primary has done is done at the replica, too."""
    with primary.connect() as wire:
        wire.call("SET", "the last", "1")
        assert wire.call("WAIT", 1, 15_000).number >= 1
    eventually(lambda: offset_of(replica) >= offset_of(primary), "the replica has the whole stream")
    # A key's time may pass between one look and the other; its deletion follows.
    eventually(lambda: digest(replica) == digest(primary), "the data are equal")


def fill(wire: Wire, seed: int, count: int) -> None:
    """Changes of every type, expiry and flags included, some of them random in what they do."""
    chance = random.Random(seed)
    requests = bytearray()
    for _ in range(count):
        requests += encode_command(*chance.choice(CHANGES)(chance))
    wire.send(bytes(requests))
    for _ in range(count):
        wire.reply()


def key(chance: random.Random, kind: str) -> str:
    return f"{kind}{chance.randrange(30)}"


def word(chance: random.Random) -> str:
    return "x" * chance.choice((1, 3, 20, 70, 300)) + str(chance.randrange(100))


Change = Callable[[random.Random], tuple[str | int | float, ...]]
CHANGES: tuple[Change, ...] = (
    lambda r: ("SET", key(r, "string"), word(r)),
    lambda r: ("SET", key(r, "string"), word(r), "PX", r.choice((1, 50, 100_000))),
    lambda r: ("GETEX", key(r, "string"), "EX", r.choice((1, 1000))),
    lambda r: ("INCRBYFLOAT", key(r, "number"), r.choice(("0.1", "3", "-2.5"))),
    lambda r: ("APPEND", key(r, "string"), word(r)),
    lambda r: ("SETRANGE", key(r, "string"), r.randrange(500), word(r)),
    lambda r: ("SETBIT", key(r, "bits"), r.randrange(5000), r.randrange(2)),
    lambda r: ("PFADD", key(r, "log"), word(r), word(r)),
    lambda r: ("RPUSH", key(r, "list"), word(r), word(r)),
    lambda r: ("LPOP", key(r, "list"), r.randrange(1, 4)),
    lambda r: ("LMOVE", key(r, "list"), key(r, "list"), "LEFT", "RIGHT"),
    lambda r: ("LINSERT", key(r, "list"), "BEFORE", word(r), word(r)),
    lambda r: ("SADD", key(r, "set"), word(r), r.randrange(1000)),
    lambda r: ("SPOP", key(r, "set"), r.randrange(1, 4)),
    lambda r: ("SMOVE", key(r, "set"), key(r, "set"), r.randrange(1000)),
    lambda r: ("SUNIONSTORE", key(r, "set"), key(r, "set"), key(r, "set")),
    lambda r: ("ZADD", key(r, "ordered"), r.randrange(1000), word(r)),
    # Eighths: the digests of Redis and Valkey print other fractions differently.
    lambda r: ("ZINCRBY", key(r, "ordered"), r.randrange(80) / 8, word(r)),
    lambda r: ("ZPOPMIN", key(r, "ordered"), r.randrange(1, 4)),
    lambda r: ("ZRANGESTORE", key(r, "ordered"), key(r, "ordered"), 0, 5),
    lambda r: ("GEOADD", key(r, "geo"), r.uniform(-170, 170), r.uniform(-80, 80), word(r)),
    lambda r: ("HSET", key(r, "hash"), word(r), word(r)),
    lambda r: ("HINCRBY", key(r, "hash"), "count", r.randrange(10)),
    lambda r: ("HDEL", key(r, "hash"), word(r)),
    lambda r: ("XADD", key(r, "stream"), "MAXLEN", "~", 100, "*", word(r), word(r)),
    lambda r: ("XADD", key(r, "stream"), "*", "a", word(r)),
    lambda r: ("XTRIM", key(r, "stream"), "MAXLEN", r.randrange(50)),
    lambda r: ("XGROUP", "CREATE", key(r, "stream"), "group", "0", "MKSTREAM"),
    lambda r: ("XREADGROUP", "GROUP", "group", "consumer", "COUNT", 3, "STREAMS", key(r, "stream"), ">"),
    lambda r: ("DEL", key(r, r.choice(("string", "list", "set", "hash", "stream")))),
    lambda r: ("RENAME", key(r, "string"), key(r, "string")),
    lambda r: ("COPY", key(r, "list"), key(r, "list"), "REPLACE"),
    lambda r: ("PEXPIRE", key(r, r.choice(("list", "set", "hash"))), r.choice((1, 30, 100_000))),
    lambda r: ("SELECT", r.randrange(3)),
)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def primary(start_server: StartServer) -> Iterator[ServerProcess]:
    yield start_server(*QUICK, kind="ranvier")


@pytest.mark.parametrize("way", ["diskless", "disk"])
def test_a_full_synchronisation_under_load_ends_with_equal_data(start_server: StartServer, kind: str, way: str) -> None:
    primary = start_server(*QUICK, *(BY_DISK if way == "disk" else ()), kind="ranvier")
    with primary.connect() as wire:
        fill(wire, 1, 5000)
        replica = start_replica(start_server, primary, kind)
        fill(wire, 2, 5000)
        wire.call("SELECT", 5)
        wire.call("SET", "elsewhere", "1")
    catch_up(primary, replica)
    info = primary.info("everything")
    assert (info["sync_full"], info["connected_slaves"]) == ("1", "1")
    assert ONLINE in info["slave0"]
    with primary.connect() as wire:
        wire.call("FLUSHALL")
    catch_up(primary, replica)


def test_a_replica_that_lost_its_link_goes_on_where_it_was(start_server: StartServer, primary: ServerProcess,
                                                            kind: str) -> None:
    replica = start_replica(start_server, primary, kind)
    with primary.connect() as wire:
        for seed in range(3):
            fill(wire, seed, 500)
            assert wire.call("CLIENT", "KILL", "TYPE", "replica").number == 1
            fill(wire, seed + 10, 500)
            eventually(lambda: follows(replica), "the link is up again")
            catch_up(primary, replica)
    info = primary.info("stats")
    assert int(info["sync_full"]) == 1
    assert int(info["sync_partial_ok"]) == 3


def test_without_enough_backlog_everything_comes_again(start_server: StartServer, kind: str) -> None:
    primary = start_server(*QUICK, "--repl-backlog-size", "16kb", kind="ranvier")
    replica = start_replica(start_server, primary, kind)
    with primary.connect() as wire:
        with replica.connect() as other:
            other.call("REPLICAOF", "127.0.0.1", 1)          # nobody
            fill(wire, 3, 3000)
            other.call("REPLICAOF", "127.0.0.1", primary.port)
        eventually(lambda: follows(replica), "the link is up again")
        catch_up(primary, replica)
    assert int(primary.info("stats")["sync_full"]) == 2


def test_two_replicas_at_once_and_one_of_theirs(start_server: StartServer, primary: ServerProcess) -> None:
    with primary.connect() as wire:
        fill(wire, 4, 2000)
        first = start_replica(start_server, primary, "valkey")
        second = start_replica(start_server, primary, "redis")
        below = start_replica(start_server, first, "valkey")
        fill(wire, 5, 2000)
        wire.call("SET", "w", "1")
        assert wire.call("WAIT", 2, 15_000).number == 2
    for replica in (first, second):
        catch_up(primary, replica)
    eventually(lambda: offset_of(below) >= offset_of(primary), "the replica's replica has the whole stream")
    eventually(lambda: digest(below) == digest(primary), "the data are equal")


def test_expiry_and_eviction_arrive_as_deletions(start_server: StartServer, kind: str) -> None:
    primary = start_server(*QUICK, "--maxmemory-policy", "allkeys-random", kind="ranvier")
    replica = start_replica(start_server, primary, kind)
    with primary.connect() as wire:
        for number in range(300):
            wire.call("SET", f"short{number}", "x", "PX", 1 + number % 50)
        eventually(lambda: wire.call("DBSIZE").number == 0, "all keys expire")
        for number in range(2000):
            wire.call("SET", f"long{number}", "x" * 1000)
        used = int(primary.info("memory")["used_memory"])
        wire.call("CONFIG", "SET", "maxmemory", used - 1_000_000)
        eventually(lambda: wire.call("DBSIZE").number < 1500, "keys are evicted")
        wire.call("CONFIG", "SET", "maxmemory", 0)
    catch_up(primary, replica)
    assert int(primary.info("stats")["evicted_keys"]) > 0


def test_fields_that_expire_go_to_who_reads_them(start_server: StartServer, primary: ServerProcess) -> None:
    with primary.connect() as wire:
        wire.call("HSET", "hash", "field", "value", "other", "value")
        wire.call("HEXPIRE", "hash", 100_000, "FIELDS", 1, "field")
    replica = start_replica(start_server, primary, "valkey")
    with replica.connect() as wire:
        assert wire.call("HTTL", "hash", "FIELDS", 1, "field").items[0].number > 0
    old = start_server("--replicaof", f"127.0.0.1 {primary.port}", kind="redis")
    eventually(lambda: "b'hash'" in old.log(), "the replica's log names the key")
    assert "b'hash'" in primary.log()


def test_a_killed_primary_child_or_replica_leaves_the_primary_as_it_was(start_server: StartServer,
                                                                         primary: ServerProcess) -> None:
    with primary.connect() as wire:
        fill(wire, 6, 1000)
    descriptors = len(primary.descriptors())
    for _ in range(3):
        replica = start_replica(start_server, primary, "valkey", clean=False)
        replica.kill()
        eventually(lambda: primary.info("replication")["connected_slaves"] == "0", "the replica is gone")
    eventually(lambda: len(primary.descriptors()) <= descriptors, "no descriptor is left open")
    assert primary.info("memory")["mem_clients_slaves"] == "0"


@pytest.mark.parametrize("way", ["diskless", "disk"])
def test_replicas_of_a_replica_and_its_promotion(start_server: StartServer, primary: ServerProcess, kind: str,
                                                 way: str) -> None:
    """The stream goes through as it is, whatever database it has selected; the promoted one's history goes on."""
    middle = start_server(*QUICK, *(BY_DISK if way == "disk" else ()), "--replicaof", f"127.0.0.1 {primary.port}",
                          kind="ranvier")
    eventually(lambda: follows(middle), "the link of the one in the middle is up")
    with primary.connect() as wire:
        fill(wire, 7, 1000)
        wire.call("SELECT", 7)
        wire.call("SET", "elsewhere", "1")
        below = start_replica(start_server, middle, kind)
        wire.call("SET", "elsewhere too", "1")
        fill(wire, 8, 500)
    eventually(lambda: offset_of(below) >= offset_of(primary), "the lowest has the whole stream")
    eventually(lambda: digest(below) == digest(primary), "the data are equal")
    with middle.connect() as wire:
        wire.call("REPLICAOF", "NO", "ONE")
        eventually(lambda: int(middle.info("stats")["sync_partial_ok"]) == 1, "the lowest goes on")
        fill(wire, 9, 500)
    catch_up(middle, below)
    assert int(middle.info("stats")["sync_full"]) == 1
