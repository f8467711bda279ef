"""A base made of commands (aof-use-rdb-preamble no): which ones, and that they make the data set again."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.data_set import expect_equal
from harness.process import StartServer
from harness.waiting import eventually
from harness.wire import encode_command
from persistence.disk_world import World, world

NAME = "appendonly.aof"
AT = "2000000000000"
MANY = [str(number) for number in range(130)]
ITEMS = 64          # of one request

CASES = {
    "string": (["SET k v"], ["SET k v"]),
    "number": (["INCRBY k 12"], ["SET k 12"]),
    "empty": (["SETRANGE k 0 a", "SET k a", f"PEXPIREAT k {AT}"], ["SET k a", f"PEXPIREAT k {AT}"]),
    "list": (["RPUSH l a 1", "LPUSH l b"], ["RPUSH l b a 1"]),
    "long list": (
        [f"RPUSH l {' '.join(MANY)}"],
        [f"RPUSH l {' '.join(MANY[begin:begin + ITEMS])}" for begin in range(0, 130, ITEMS)],
    ),
    "chain": (["CONFIG SET list-max-listpack-size 2", "RPUSH l a b c d e"], ["RPUSH l a b c d e"]),
    "integers": (["SADD s 3 1 2"], ["SADD s 1 2 3"]),
    "set": (["SADD s one", "SADD s 2"], ["SADD s one 2"]),
    "sorted set": (["ZADD z 2 b 1.5 a -inf c 0.1 d"], ["ZADD z -inf c 0.1 d 1.5 a 2 b"]),
    "index": (["CONFIG SET zset-max-listpack-entries 1", "ZADD z 3 c 1 a 17 b"], ["ZADD z 1 a 3 c 17 b"]),
    "hash": (["HSET h f v g 1"], ["HSET h f v g 1"]),
    "field": (["HSET h f v", f"HPEXPIREAT h {AT} FIELDS 1 f"], ["HSET h f v", f"HPEXPIREAT h {AT} FIELDS 1 f"]),
    "database": (["SELECT 3", "SET k v"], ["SELECT 3", "SET k v"]),
    "stream": (
        ["XADD x 1-1 f v", "XADD x 2-0 g 1 h 2", "XADD x 3-0 f w", "XDEL x 3-0"],
        ["XADD x 1-1 f v", "XADD x 2-0 g 1 h 2", "XSETID x 3-0 ENTRIESADDED 3 MAXDELETEDID 3-0"],
    ),
    "no entries": (
        ["XADD x 5-5 f v", "XTRIM x MAXLEN 0"],
        ["XADD x MAXLEN 0 5-5 x y", "XSETID x 5-5 ENTRIESADDED 1 MAXDELETEDID 0-0"],
    ),
    "never an entry": (
        ["XGROUP CREATE x g 0 MKSTREAM"],
        ["XADD x MAXLEN 0 0-1 x y", "XSETID x 0-0 ENTRIESADDED 0 MAXDELETEDID 0-0",
         "XGROUP CREATE x g 0-0 ENTRIESREAD -1"],
    ),
    "group": (
        ["XADD x 1-0 f v", "XGROUP CREATE x g 0", "XGROUP CREATECONSUMER x g idle",
         "XCLAIM x g c 0 1-0 TIME 1000 RETRYCOUNT 3 FORCE JUSTID"],
        ["XADD x 1-0 f v", "XSETID x 1-0 ENTRIESADDED 1 MAXDELETEDID 0-0", "XGROUP CREATE x g 0-0 ENTRIESREAD -1",
         "XGROUP CREATECONSUMER x g c", "XCLAIM x g c 0 1-0 TIME 1000 RETRYCOUNT 3 FORCE JUSTID",
         "XGROUP CREATECONSUMER x g idle"],
    ),
}


def rewritten(w: World) -> bytes:
    w.call("BGREWRITEAOF")
    w.pass_time(300)
    return w.kept(f"{NAME}.2.base.aof")


@pytest.mark.parametrize(("requests", "expected"), CASES.values(), ids=CASES)
def test_every_type_as_the_commands_that_make_it(requests: Sequence[str], expected: Sequence[str]) -> None:
    with world(aof_use_rdb_preamble=False) as w:
        assert w.kept(f"{NAME}.1.base.aof") == b""
        for line in requests:
            assert not w.call(*line.split()).startswith(b"-"), line
        lines = list(expected) if expected[0].startswith("SELECT") else ["SELECT 0", *expected]
        assert rewritten(w) == b"".join(encode_command(*line.split()) for line in lines)
        digest = w.call("DEBUG", "DIGEST")
        with world(w.disk) as again:
            assert again.call("DEBUG", "DIGEST") == digest


def test_a_large_value_goes_through_whole() -> None:
    with world(aof_use_rdb_preamble=False) as w:
        text = "x" * 3_000_000
        w.call("SET", "k", text)
        w.call("RPUSH", "l", text, "y")
        base = rewritten(w)
        for request in (encode_command("SET", "k", text), encode_command("RPUSH", "l", text, "y")):
            assert request in base


def test_the_option_holds_from_the_next_base_on() -> None:
    with world() as w:
        w.call("SET", "a", "1")
        assert w.call("CONFIG", "SET", "aof-use-rdb-preamble", "no") == b"+OK\r\n"
        assert rewritten(w).endswith(encode_command("SET", "a", "1"))
        w.call("CONFIG", "SET", "aof-use-rdb-preamble", "yes")
        w.call("BGREWRITEAOF")
        w.pass_time(300)
        assert w.kept(f"{NAME}.3.base.rdb").startswith(b"REDIS0010")
        with world(w.disk) as again:
            assert again.call("GET", "a") == b"$1\r\n1\r\n"


def test_functions_are_kept_by_a_snapshot() -> None:
    with world(aof_use_rdb_preamble=False) as w:
        w.server.snapshots.functions = [b"#!lua name=library"]
        w.call("BGREWRITEAOF")
        w.pass_time(300)
        assert b"#!lua name=library" in w.kept(f"{NAME}.2.base.rdb")


@pytest.mark.parametrize("kind", ["ranvier", "valkey"])
def test_groups_and_fields_come_back(start_server: StartServer, kind: str) -> None:
    """What a digest does not tell: consumers, what pends, times of fields."""
    options = ("--appendonly", "yes", "--aof-use-rdb-preamble", "no")
    ours = start_server(*options, clean=False)
    with ours.connect() as wire:
        for number in range(1, 300):
            wire.call("XADD", "x", f"{number}-1", "field", "v" * number, f"of its own {number % 3}", number)
        for words in (
            ("XGROUP", "CREATE", "x", "g", "0"), ("XGROUP", "CREATE", "x", "h", "50-1", "ENTRIESREAD", 50),
            ("XREADGROUP", "GROUP", "g", "one", "COUNT", 100, "STREAMS", "x", ">"),
            ("XREADGROUP", "GROUP", "g", "two", "COUNT", 100, "STREAMS", "x", ">"), ("XACK", "x", "g", "7-1"),
            ("XGROUP", "CREATECONSUMER", "x", "h", "idle"), ("XDEL", "x", "250-1"),
            ("HSET", "h", *(word for number in range(600) for word in (number, f"value {number}"))),
            ("HEXPIRE", "h", 10_000, "FIELDS", 3, "1", "2", "3"), ("EXPIRE", "x", 10_000),
        ):
            assert not wire.call(*words).is_error, words
        wire.call("BGREWRITEAOF")
        eventually(lambda: ours.info("persistence")["aof_rewrites"] == "1", "it is rewritten")
    source = Path(ours.directory.name, "appendonlydir")
    eventually(lambda: len(list(source.iterdir())) == 3, "history is removed")
    assert (source / f"{NAME}.2.base.aof").read_bytes().startswith(encode_command("SELECT", 0))
    theirs = start_server(kind=kind)
    theirs.stop()
    shutil.copytree(source, Path(theirs.directory.name, "appendonlydir"))
    theirs.restart(*options)
    expect_equal(ours, theirs, group_details=True)
