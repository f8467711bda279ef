"""Append-only files go from server to server: Ranvier's load in Redis and Valkey, theirs in Ranvier, to equal data."""

import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import programs
from harness.process import ServerProcess, StartServer
from harness.waiting import eventually
from harness.wire import Argument

COMMANDS = 1500
ON = ("--appendonly", "yes", "--appendfsync", "no")
REFERENCES = ("valkey", "redis")


def workload(seed: int) -> list[list[Argument]]:
    """Random changes of all types, also such that are propagated in another form than they came."""
    chance = random.Random(seed)
    found: list[list[Argument]] = []

    def key(kind: str) -> str:
        return f"{kind}:{chance.randrange(12)}"

    def word() -> str:
        begin = chance.choice(("", "a", "-7", "12345678901", "x" * 70, "\x00\xff\r\n", "3.5"))
        return begin + str(chance.randrange(40))

    def score() -> float:
        # Redis 7.0 makes digests of scores with 17 digits, Valkey of the shortest form: these are the same in both.
        return chance.randrange(-4000, 4000) / 4

    makers: list[Callable[[], list[Argument]]] = [
        lambda: ["SET", key("s"), word()],
        lambda: ["SET", key("s"), word(), "EX", 10_000 + chance.randrange(9)],
        lambda: ["SETRANGE", key("s"), chance.randrange(30), word()],
        lambda: ["APPEND", key("s"), word()],
        lambda: ["INCRBYFLOAT", key("f"), "1.25"],
        lambda: ["INCR", key("i")],
        lambda: ["SETBIT", key("bits"), chance.randrange(900), 1],
        lambda: ["GETEX", key("s"), "PERSIST"],
        lambda: ["PEXPIRE", key("l"), 10_000_000],
        lambda: ["RPUSH", key("l"), *(word() for _ in range(chance.choice((1, 2, 60))))],
        lambda: ["LPOP", key("l"), 2],
        lambda: ["BLPOP", key("l"), key("l"), "0.001"],
        lambda: ["LMOVE", key("l"), key("l"), "LEFT", "RIGHT"],
        lambda: ["LINSERT", key("l"), "BEFORE", word(), word()],
        lambda: ["SADD", key("u"), *(chance.randrange(10_000) for _ in range(chance.choice((1, 5, 200))))],
        lambda: ["SADD", key("u"), word()],
        lambda: ["SPOP", key("u"), chance.randrange(1, 4)],
        lambda: ["SUNIONSTORE", key("u"), key("u"), key("u")],
        lambda: ["ZADD", key("z"), *(item for _ in range(chance.choice((1, 100))) for item in (score(), word()))],
        lambda: ["ZINCRBY", key("z"), "0.5", word()],
        lambda: ["ZPOPMIN", key("z")],
        lambda: ["ZUNIONSTORE", key("z"), 2, key("z"), key("z")],
        lambda: ["HSET", key("h"), word(), word(), word(), word()],
        lambda: ["HINCRBY", key("hi"), "n", 5],
        lambda: ["HDEL", key("h"), word()],
        lambda: ["XADD", key("x"), "MAXLEN", "~", 50, "*", "field", word()],
        lambda: ["XGROUP", "CREATE", key("x"), "g", "0", "MKSTREAM"],
        lambda: ["XREADGROUP", "GROUP", "g", "c", "COUNT", 2, "STREAMS", key("x"), ">"],
        lambda: ["XDEL", key("x"), "1-1"],
        lambda: ["GEOADD", key("geo"), chance.uniform(-180, 180), chance.uniform(-80, 80), word()],
        lambda: ["PFADD", key("p"), word(), word()],
        lambda: ["COPY", key("l"), key("l"), "REPLACE"],
        lambda: ["RENAME", key("s"), key("s")],
        lambda: ["DEL", key(chance.choice("sluzhx"))],
        lambda: ["SELECT", chance.choice((0, 0, 1, 7))],
        lambda: ["MULTI"],
        lambda: ["EXEC"],
    ]
    for _ in range(COMMANDS):
        found.append(chance.choice(makers)())
    return [*found, ["EXEC"]]


def fill(server: ServerProcess, seed: int) -> bytes:
    """Run the workload, half of it behind a rewrite; the digest."""
    commands = workload(seed)
    with server.connect() as wire:
        wire.pipeline(commands[:COMMANDS // 2])
        wire.call("EXEC")
        before = int(server.info("persistence")["aof_rewrites"]) if server.kind != "redis" else 0
        wire.call("BGREWRITEAOF")
        wire.pipeline(commands[COMMANDS // 2:])
        if server.kind == "redis":
            eventually(lambda: server.info("persistence")["aof_rewrite_in_progress"] == "0", "it is rewritten")
        else:
            eventually(lambda: int(server.info("persistence")["aof_rewrites"]) > before, "it is rewritten")
        wire.pipeline(commands[COMMANDS // 3:])
        return wire.call("DEBUG", "DIGEST").text


def check(server: ServerProcess) -> None:
    """redis-check-aof judges the files."""
    manifest = Path(server.directory.name, "appendonlydir", "appendonly.aof.manifest")
    outcome = subprocess.run([str(programs.require("redis-check-aof")), str(manifest)], capture_output=True, text=True,
                             check=False, timeout=60)
    assert "All AOF files and manifest are valid" in outcome.stdout, outcome.stdout


@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize("preamble", ["yes", "no"])
@pytest.mark.parametrize("seed", [1, 2])
def test_files_of_ranvier_load_elsewhere(
    start_server: StartServer, reference: str, preamble: str, seed: int
) -> None:
    stamps = "yes" if seed == 1 else "no"
    ours = start_server(*ON, "--aof-timestamp-enabled", stamps, "--aof-use-rdb-preamble", preamble, clean=False)
    wanted = fill(ours, seed)
    ours.stop()
    check(ours)
    again = start_server(*ON, "--dir", ours.directory.name, clean=False)
    with again.connect() as wire:
        assert wire.call("DEBUG", "DIGEST").text == wanted
    again.stop()
    theirs = start_server(*ON, "--dir", ours.directory.name, kind=reference, clean=False)
    with theirs.connect() as wire:
        assert wire.call("DEBUG", "DIGEST").text == wanted
    theirs.stop()


@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize("seed", [3, 4])
def test_files_of_others_load_in_ranvier(start_server: StartServer, reference: str, seed: int) -> None:
    preamble = "yes" if seed == 3 else "no"
    theirs = start_server(*ON, "--aof-use-rdb-preamble", preamble, kind=reference, clean=False)
    wanted = fill(theirs, seed)
    theirs.stop()
    ours = start_server(*ON, "--dir", theirs.directory.name, clean=False)
    with ours.connect() as wire:
        assert wire.call("DEBUG", "DIGEST").text == wanted
    ours.stop()
    if reference == "redis":            # Debian's redis-check-aof does not know Valkey's snapshots
        check(theirs)
