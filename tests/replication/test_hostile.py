"""Primaries and replicas that send anything: the server lives, and follows the next good one, or is followed by it.

Conversations as they should be are changed at random places; both sides also hear every command there is. What the
sanitized engine adds (`tools/fuzz.py --sanitized-tests`, with more of them) is that a byte read or freed too early is
seen at once. RANVIER_HOSTILE_CONVERSATIONS is the number of conversations of each kind.
"""

import os
import random
from collections.abc import Iterator

import pytest

from harness.fake_primary import AGREED, ID, FakePrimary, fake_primary, until
from harness.memory import memory_client, memory_server, read_replies, received, turn
from harness.raw_replica import RawReplica, Stage, a_stage, advance, raw_replica
from harness.wire import Argument, encode_command
from persistence.data_sets import fill_memory, lines
from persistence.test_append_only_mutations import changed, content, loader
from ranvier.commands.spec import load_table
from ranvier.server.server import Server
from replication.replica_room import ask, follow

CONVERSATIONS = int(os.environ.get("RANVIER_HOSTILE_CONVERSATIONS", "120"))
# What ends the server, stops it for a time or sends it elsewhere is its owner's to say, and what writes files here.
NOT_SENT = (
    "SHUTDOWN", "DEBUG", "MIGRATE", "REPLICAOF", "SLAVEOF", "FAILOVER", "CLIENT PAUSE", "SAVE", "BGSAVE",
    "BGREWRITEAOF",
)
SENDABLE = [record for record in load_table().implemented() if not record.name.startswith(NOT_SENT)]
WORDS: tuple[Argument, ...] = (
    "k", "other", "0", "1", "-1", "2", "9223372036854775807", "*", "x", "", "a b", "STREAMS", "COUNT", "LEFT", "RIGHT",
    "1-1", ">", "$", "+", "(1", "[a", "GET", "SET", b"\x00\xff", "3", "ON", "OFF", "yes", "no", "ASYNC", "NO", "ONE",
)  # fmt: skip


def any_command(choose: random.Random) -> list[Argument]:
    """One of all commands with as many arguments as it takes, or a few more."""
    record = choose.choice(SENDABLE)
    names: list[Argument] = list(record.name.split())
    more = max(abs(record.arity) - len(names), 0) + (0 if record.arity > 0 else choose.randint(0, 4))
    return names + [choose.choice(WORDS) for _ in range(more)]


# ---- a primary ------------------------------------------------------------------------------------------------------

def pieces_of(choose: random.Random, data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        size = choose.choice((1, 3, 40, 1000, 100_000))
        yield data[at:at + size]
        at += size


@pytest.fixture(name="snapshot", scope="module")
def a_snapshot() -> bytes:
    parts: list[bytes] = []
    with memory_server() as server, memory_client(server) as client:
        fill_memory(client, lines(small=True, fields_expire=True))
        server.engine.snapshots.write(parts.append)
    return b"".join(parts)


def conversation(choose: random.Random, snapshot: bytes) -> bytes:
    """What a primary says, changed before the snapshot, in it, behind it, or everywhere."""
    agreed = AGREED + b"+FULLRESYNC %b %d\r\n" % (ID.encode(), choose.randrange(10**6))
    mark = b"m" * 40
    if choose.random() < 0.5:
        sent = [agreed + b"$%d\r\n" % len(snapshot), snapshot, content(9)]
    else:
        sent = [agreed + b"$EOF:%b\r\n" % mark, snapshot + mark, content(9)]
    where = choose.randrange(4)
    if where == 3:
        return bytes(changed(choose, b"".join(sent)))
    if where == 1:
        at = choose.randrange(len(snapshot))
        sent[1] = sent[1][:at] + choose.randbytes(choose.randint(0, 3)) + sent[1][at + choose.randint(0, 3):]
    else:
        sent[where] = changed(choose, sent[where]) if where == 2 else flipped_line(choose, sent[where])
    return b"".join(sent)


def flipped_line(choose: random.Random, data: bytes) -> bytes:
    at = choose.randrange(len(data))
    return data[:at] + choose.choice((b"", b"\r\n", b"-", b"$", b"9" * 25, choose.randbytes(4))) + data[at + 1:]


def say(server: Server, primary: FakePrimary, data: bytes, choose: random.Random) -> None:
    """Send it in pieces, as long as the replica listens."""
    primary.accept()
    for piece in pieces_of(choose, data):
        try:
            primary.send(piece)
        except (BrokenPipeError, ConnectionResetError):
            break
    turn(server, 3)


@pytest.mark.parametrize("load", ["disabled", "swapdb"])
def test_a_primary_that_says_something_else(snapshot: bytes, load: str) -> None:
    choose = random.Random(f"primary {load}")
    with memory_server(repl_diskless_load=load) as server, memory_client(server) as client, \
            fake_primary(server) as primary:
        for number in range(CONVERSATIONS):
            follow(client, primary)
            say(server, primary, conversation(choose, snapshot), choose)
            until(server, lambda: not server.loading.active, f"conversation {number}: it has loaded, or failed")
            assert ask(client, "REPLICAOF", "NO", "ONE") == b"+OK\r\n", number
            primary.drop()
            primary.refuse_all()
            assert ask(client, "PING") == b"+PONG\r\n", number
        follow(client, primary)
        say(server, primary, AGREED + b"+FULLRESYNC %b 0\r\n$%d\r\n" % (ID.encode(), len(snapshot)) + snapshot, choose)
        until(server, lambda: server.replica_side.link.is_up, "the link is up")
        primary.send(encode_command("SET", "behind", "1"))
        assert ask(client, "GET", "behind") == b"$1\r\n1\r\n"


def test_a_primary_whose_stream_has_every_command() -> None:
    """Not one of them stops the stream, whatever it does to its client elsewhere, or it ends the link alone."""
    choose = random.Random(4)
    with memory_server() as server, memory_client(server) as client, fake_primary(server) as primary:
        fill_memory(client, lines(small=True))
        snapshot: list[bytes] = []
        server.engine.snapshots.write(snapshot.append)
        follow(client, primary)
        for number in range(CONVERSATIONS):
            if not server.replica_side.link.is_up:
                primary.drop()
                primary.refuse_all()
                assert ask(client, "REPLICAOF", "NO", "ONE") == b"+OK\r\n", number
                follow(client, primary)
                primary.synchronise(snapshot=b"".join(snapshot))
            said = b"".join(encode_command(*any_command(choose)) for _ in range(30))
            try:
                primary.send(said)
            except (BrokenPipeError, ConnectionResetError):
                continue
            primary.heard()
            with memory_client(server) as other:
                assert read_replies(other.talk(b"INFO replication\r\n")), number


# ---- a file ---------------------------------------------------------------------------------------------------------

def test_a_file_that_has_every_command() -> None:
    """It loads, or is damaged where a command has no business in a file."""
    choose = random.Random(5)
    with loader() as ours:
        for number in range(CONVERSATIONS):
            data = b"".join(encode_command(*any_command(choose)) for _ in range(choose.randint(1, 60)))
            error = ours.load(content(7) + data)
            assert not error or "offset" in error or "byte" in error, number
            with memory_client(ours.server) as client:
                assert client.talk(b"PING\r\n") == b"+PONG\r\n", number


# ---- a replica ------------------------------------------------------------------------------------------------------

NUMBERS = ("0", "-1", "1", "7", "99999999999", "9223372036854775807", "-9223372036854775808", "9" * 30, "x", "")
OPTIONS = (
    "listening-port", "ip-address", "capa", "version", "rdb-only", "rdb-filter-only", "ACK", "GETACK", "FACK", "x",
    "main-ch-client-id", "set-rdb-client-id", "set-cluster-node-id",
)  # fmt: skip
VALUES: tuple[Argument, ...] = (
    *NUMBERS, "eof", "psync2", "dual-channel", "9.1.2", "9.9.9.9", "1.2", "a" * 300, "functions", "*", b"\x00\xff", ID,
)  # fmt: skip


RAW = (
    b"\n", b"\r\n", b"*x\r\n", b"PSYNC\r\n", b"*1\r\n$-5\r\n", b"$5\r\nhello\r\n", b"REPLCONF ACK 5\r\n", b"\x00" * 50,
)  # fmt: skip


def words_of_a_replica(choose: random.Random, stage: Stage) -> list[Argument]:
    match choose.randrange(8):
        case 0:
            history = choose.choice((stage.server.replication.replication_id, "?", ID, "", "x" * 40))
            offset = choose.choice((*NUMBERS, str(stage.server.replication.offset + choose.randint(-300, 2))))
            return ["PSYNC", history, offset, *choose.choice(((), (), ("FAILOVER",), ("x",)))]
        case 1:
            return ["SYNC"]
        case 2 | 3:
            told = str(stage.server.replication.offset + choose.choice((0, 0, -10, 10, 10**9)))
            return ["REPLCONF", "ACK", told, *choose.choice(((), ("FACK", told), ("FACK", choose.choice(NUMBERS))))]
        case 4:
            return any_command(choose)
        case _:
            return ["REPLCONF", *(word for _ in range(choose.randint(0, 3))
                                  for word in (choose.choice(OPTIONS), choose.choice(VALUES)))]


def step_of_a_replica(choose: random.Random, stage: Stage, replica: RawReplica) -> None:
    try:
        if choose.random() < 0.1:
            replica.peer.send(choose.choice(RAW))
        else:
            replica.peer.send(encode_command(*words_of_a_replica(choose, stage)))
    except (BlockingIOError, BrokenPipeError, ConnectionResetError):
        pass
    match choose.randrange(10):
        case 0 if stage.maker.busy:
            stage.maker.finish(choose.random() < 0.8)
        case 1:
            advance(stage.server, choose.choice((100, 1000, 5000)))
        case 2 | 3:
            stage.run("SET", "a", b"x" * choose.choice((1, 100, 50_000)))
        case 4:
            received(replica.peer)
        case _:
            turn(stage.server)


def test_replicas_that_say_anything() -> None:
    choose = random.Random(6)
    with a_stage() as stage:
        stage.run("CONFIG", "SET", "repl-backlog-size", "65536")
        for number in range(CONVERSATIONS):
            with raw_replica(stage.server, send_buffer_bytes=4096) as one, raw_replica(stage.server) as other:
                for _ in range(choose.randint(3, 25)):
                    step_of_a_replica(choose, stage, choose.choice((one, one, other)))
            turn(stage.server, 2)
            with memory_client(stage.server) as client:
                assert client.talk(b"PING\r\n") == b"+PONG\r\n", number
        if stage.maker.busy:
            stage.maker.finish()
            turn(stage.server, 2)
        assert not len(stage.server.primary)
        stage.maker.begun = 0
        with raw_replica(stage.server) as good:
            good.synchronize(stage.maker)
            stage.run("SET", "a", "good")
            assert b"good" in good.heard()
