"""A primary from its replicas' side, byte by byte, under a clock that stands still."""

import gc
import os
import weakref
from collections.abc import Callable, Iterator

import pytest

from harness.memory import memory_client, memory_server, received, socket_client, turn, used_bytes
from harness.raw_replica import SELECT, SNAPSHOT, RawReplica, Stage, a_stage, advance, raw_replica, set_of
from harness.wire import encode_command
from ranvier.engine.client import ClientHandle
from ranvier.replication.state import NO_ID

KILOBYTE = 1024
MEGABYTE = 1 << 20
GETACK = encode_command("REPLCONF", "GETACK", "*")
PING = b"*1\r\n$4\r\nPING\r\n"


@pytest.fixture
def stage() -> Iterator[Stage]:
    with a_stage() as found:
        yield found


# ---- full synchronisation -------------------------------------------------------------------------------------------

def test_diskless_the_stream_begins_with_the_first_acknowledgement(stage: Stage) -> None:
    stage.run("SET", "before", "1")
    with raw_replica(stage.server) as replica:
        replica.introduce("eof", "psync2")
        assert replica.say("PSYNC", "?", -1) == b""
        assert stage.maker.begun == 0, "others may be about to come"
        advance(stage.server, 4999)
        assert stage.maker.begun == 0
        advance(stage.server, 1)
        assert stage.maker.begun == 1
        assert replica.heard().lstrip(b"\n") == b"+FULLRESYNC %s 0\r\n" % stage.history
        stage.run("SET", "meanwhile", "2")
        stage.maker.finish()
        mark = stage.maker._mark
        assert replica.heard() == b"$EOF:" + mark + b"\r\n" + SNAPSHOT + mark
        stage.run("SET", "later", "3")
        assert replica.heard() == b"", "the mark has not been found yet"
        assert replica.say("REPLCONF", "ACK", 0) == SELECT % 0 + set_of("meanwhile", "2") + set_of("later", "3")
        stage.run("SELECT", "3")
        stage.run("SET", "there", "4")
        assert replica.heard() == SELECT % 3 + set_of("there", "4")


def test_by_disk_the_stream_follows_the_file(stage: Stage) -> None:
    """A13 REPLICA-1: newlines while the snapshot is made, then its length, itself, and the stream."""
    with raw_replica(stage.server) as replica:
        replica.introduce("psync2")
        assert replica.say("PSYNC", "?", -1) == b"+FULLRESYNC %s 0\r\n" % stage.history
        advance(stage.server, 1000)
        advance(stage.server, 1000)
        assert set(replica.heard()) == set(b"\n")
        stage.maker.snapshot = SNAPSHOT + b"x" * (3 * MEGABYTE)
        stage.run("SET", "meanwhile", "2")
        stage.maker.finish()
        data = b""
        for _ in range(400):
            data += replica.heard(1)
        snapshot = stage.maker.snapshot
        assert data == b"$%d\r\n" % len(snapshot) + snapshot + SELECT % 0 + set_of("meanwhile", "2")
        stage.server.primary.tick()
        assert stage.info()["slave0"] == "ip=peer,port=7777,state=online,offset=0,lag=0,type=replica"


def test_sync_gets_no_line_about_offsets(stage: Stage) -> None:
    with raw_replica(stage.server) as replica:
        assert replica.say("SYNC") == b""
        stage.maker.finish()
        assert replica.heard() == b"$%d\r\n" % len(SNAPSHOT) + SNAPSHOT
        stage.run("SET", "a", "1")
        assert replica.heard() == SELECT % 0 + set_of("a", "1")
        advance(stage.server, 1_000_000)
        assert not replica.ended, "it cannot acknowledge anything"


def test_all_that_wait_share_a_snapshot_and_who_comes_for_the_file_joins(stage: Stage) -> None:
    with raw_replica(stage.server) as first, raw_replica(stage.server) as second, raw_replica(stage.server) as third:
        for replica in (first, second):
            replica.introduce("eof")
            replica.say("PSYNC", "?", -1)
        advance(stage.server, 5000)
        third.introduce("eof")
        third.say("PSYNC", "?", -1)
        advance(stage.server, 5000)
        assert stage.maker.begun == 1, "nobody can join what goes to sockets"
        stage.maker.finish()
        assert stage.maker.begun == 2
        stage.maker.finish()
    with raw_replica(stage.server) as first, raw_replica(stage.server) as second:
        first.say("PSYNC", "?", -1)
        stage.run("SET", "meanwhile", "1")
        offset = stage.server.replication.offset
        answer = second.say("PSYNC", "?", -1)
        assert answer.startswith(b"+FULLRESYNC") and offset > 0
        assert stage.maker.begun == 3
        stage.maker.finish()
        change = SELECT % 0 + set_of("meanwhile", "1")
        assert first.heard().endswith(change)
        assert second.heard().endswith(change)


def test_enough_replicas_need_not_wait_for_more(stage: Stage) -> None:
    stage.run("CONFIG", "SET", "repl-diskless-sync-max-replicas", "2")
    with raw_replica(stage.server) as first, raw_replica(stage.server) as second:
        first.introduce("eof")
        first.say("PSYNC", "?", -1)
        assert stage.maker.begun == 0
        second.introduce("eof")
        second.say("PSYNC", "?", -1)
        assert stage.maker.begun == 1


def test_a_snapshot_that_nobody_waits_for_is_stopped(stage: Stage) -> None:
    """A8-16: a useless child is killed."""
    with raw_replica(stage.server) as first, raw_replica(stage.server) as second:
        first.say("PSYNC", "?", -1)
        second.say("PSYNC", "?", -1)
        first.peer.close()
        turn(stage.server, 2)
        assert stage.maker.stopped == 0
        second.peer.close()
        turn(stage.server, 2)
        assert stage.maker.stopped == 1
        assert not stage.server.primary.full_sync.making
    assert len(stage.server.engine.replicas) == 0


def test_a_snapshot_that_fails_closes_those_it_was_for(stage: Stage) -> None:
    for capability in ("eof", "psync2"):
        with raw_replica(stage.server) as replica:
            replica.introduce(capability)
            replica.say("PSYNC", "?", -1)
            advance(stage.server, 5000)
            stage.maker.finish(whole=False)
            turn(stage.server, 2)
            assert replica.ended
    stage.maker.refusal = OSError(12, "Cannot allocate memory")
    with raw_replica(stage.server) as replica:
        assert replica.say("PSYNC", "?", -1).endswith(b"\r\n-BGSAVE failed, replication can't continue\r\n")
    assert not stage.server.primary.full_sync.making


def test_an_old_replica_is_told_which_key_it_could_not_read(stage: Stage) -> None:
    stage.maker.needed = 80
    with raw_replica(stage.server) as old, raw_replica(stage.server) as new:
        new.say("REPLCONF", "version", "9.0.1")
        answer = old.say("PSYNC", "?", -1)
        assert answer.startswith(b"-ERR Cannot be synchronized: the fields of key b'hash' in database 0 expire")
        assert any("cannot be synchronized" in line and "b'hash'" in line for line in stage.log)
        assert new.say("PSYNC", "?", -1).startswith(b"+FULLRESYNC")
        assert stage.maker.version == 80


def test_who_wants_the_snapshot_alone_is_let_go_with_it(stage: Stage) -> None:
    for capability in ("eof", "psync2"):
        with raw_replica(stage.server) as replica:
            replica.introduce(capability)
            replica.say("REPLCONF", "rdb-only", 1)
            replica.say("PSYNC", "?", -1)
            advance(stage.server, 5000)
            stage.maker.finish()
            turn(stage.server, 3)
            data = received(replica.peer)[0]
            stage.server.primary.tick()
            turn(stage.server, 2)
            assert SNAPSHOT in data
            assert replica.ended


# ---- partial synchronisation ----------------------------------------------------------------------------------------

def test_a_replica_goes_on_from_the_backlog(stage: Stage) -> None:
    with raw_replica(stage.server) as replica:
        offset = replica.synchronize(stage.maker)
        stage.run("SET", "a", "1")
        first = replica.heard()
        stage.run("SET", "b", "2")
    assert stage.info()["connected_slaves"] == "0"
    stage.run("SET", "c", "3")
    change = set_of("b", "2") + set_of("c", "3")
    with raw_replica(stage.server) as replica:
        replica.introduce("psync2")
        answer = replica.say("PSYNC", stage.history, offset + len(first) + 1)
        assert answer == b"+CONTINUE %s\r\n" % stage.history + change
    with raw_replica(stage.server) as replica:
        assert replica.say("PSYNC", stage.history, offset + len(first) + 1) == b"+CONTINUE\r\n" + change
        stage.run("SET", "d", "4")
        assert replica.heard() == set_of("d", "4")
    info = stage.info()
    assert (info["sync_full"], info["sync_partial_ok"], info["sync_partial_err"]) == ("1", "2", "0")


@pytest.mark.parametrize("what", ["another history", "too late", "too early"])
def test_what_the_backlog_does_not_have_is_a_full_synchronisation(stage: Stage, what: str) -> None:
    stage.run("CONFIG", "SET", "repl-backlog-size", "16384")
    with raw_replica(stage.server) as replica:
        replica.synchronize(stage.maker)
    for _ in range(100):
        stage.run("SET", "a", b"x" * KILOBYTE)
        turn(stage.server)
    offset = stage.server.replication.offset
    history, wanted = {
        "another history": (b"1" * 40, offset), "too late": (stage.history, offset + 2),
        "too early": (stage.history, 1),
    }[what]
    with raw_replica(stage.server) as replica:
        assert replica.say("PSYNC", history, wanted).startswith(b"+FULLRESYNC")
    assert stage.info()["sync_partial_err"] == "1"


def test_the_second_history_counts_up_to_where_it_ended(stage: Stage) -> None:
    with raw_replica(stage.server) as replica:
        replica.synchronize(stage.maker)
    stage.run("SET", "a", "1")
    state = stage.server.replication
    old, ended = stage.history, state.offset
    state.follow("nobody", 1)
    stage.server.stream_follows(True)
    state.lead()
    stage.server.stream_follows(False)
    stage.run("SET", "b", "2")
    with raw_replica(stage.server) as replica:
        replica.introduce("psync2")
        answer = replica.say("PSYNC", old, ended + 1)
        assert answer == b"+CONTINUE %s\r\n" % stage.history + SELECT % 0 + set_of("b", "2")
    with raw_replica(stage.server) as replica:
        assert replica.say("PSYNC", old, ended + 2).startswith(b"+FULLRESYNC")
    with raw_replica(stage.server) as replica:
        assert replica.say("PSYNC", NO_ID, 1).startswith(b"+FULLRESYNC")


def test_the_backlog_goes_when_nobody_has_followed_for_long(stage: Stage) -> None:
    stage.run("CONFIG", "SET", "repl-backlog-ttl", "10")
    before = used_bytes(stage.server)
    with raw_replica(stage.server) as replica:
        replica.synchronize(stage.maker)
    history = stage.history
    stage.run("SET", "a", "1")
    advance(stage.server, 9000)
    assert stage.info()["repl_backlog_active"] == "1"
    advance(stage.server, 2000)
    info = stage.info()
    for name in ("repl_backlog_active", "repl_backlog_histlen", "mem_replication_backlog"):
        assert info[name] == "0"
    assert stage.history != history
    assert stage.server.engine.settings.effects & 1 << 5 == 0, "nothing is collected for nobody"
    stage.run("DEL", "a")
    assert abs(used_bytes(stage.server) - before) < 512


# ---- the stream -----------------------------------------------------------------------------------------------------

def test_a_transaction_arrives_in_one_piece_and_expiry_as_a_deletion(stage: Stage) -> None:
    with raw_replica(stage.server) as replica:
        replica.synchronize(stage.maker)
        stage.writer.talk(b"MULTI\r\nSET a 1 PX 100\r\nINCR n\r\nEXEC\r\n")
        data = replica.heard()
        assert data.startswith(SELECT % 0 + b"*1\r\n$5\r\nMULTI\r\n")
        assert data.endswith(encode_command("INCR", "n") + b"*1\r\n$4\r\nEXEC\r\n")
        advance(stage.server, 200)
        stage.run("GET", "a")
        data = replica.heard()
        assert data in (encode_command("DEL", "a"), encode_command("UNLINK", "a"))


def test_a_replica_that_falls_behind_is_closed_at_its_limit(stage: Stage) -> None:
    """A6-8, A13 REPLICA-2: what it costs is the backlog and its limit; the others lose nothing."""
    stage.run("CONFIG", "SET", "repl-backlog-size", "65536")
    stage.run("CONFIG", "SET", "client-output-buffer-limit", "replica 1mb 0 0")
    before = used_bytes(stage.server)
    with raw_replica(stage.server, send_buffer_bytes=4096) as slow, raw_replica(stage.server) as quick:
        for replica in (slow, quick):
            replica.synchronize(stage.maker)
        most = heard = sent = 0
        while not slow.handle.closed and sent < 10 * MEGABYTE:
            stage.run("SET", "a", b"x" * 10_000)
            sent += 10_000
            turn(stage.server)
            heard += len(quick.heard(1))
            most = max(most, used_bytes(stage.server) - before)
        assert slow.handle.closed
        assert MEGABYTE <= most < MEGABYTE + 200_000
        assert MEGABYTE <= sent < MEGABYTE + 200_000
        assert stage.info()["client_output_buffer_limit_disconnections"] == "1"
        assert any("overcoming of output buffer limits" in line for line in stage.log)
        stage.run("SET", "a", "last")
        assert quick.heard(3).endswith(set_of("a", "last"))
        turn(stage.server)
        assert used_bytes(stage.server) - before < 200_000, "the stream is trimmed to the backlog"


def test_the_limit_of_replicas_is_never_below_the_backlog(stage: Stage) -> None:
    stage.run("CONFIG", "SET", "client-output-buffer-limit", "replica 100kb 0 0")
    stage.run("CONFIG", "SET", "repl-backlog-size", "1mb")
    with raw_replica(stage.server, send_buffer_bytes=4096) as slow:
        slow.synchronize(stage.maker)
        for _ in range(60):
            stage.run("SET", "a", b"x" * 10_000)
            turn(stage.server)
        assert not slow.handle.closed
        assert int(stage.info()["mem_total_replication_buffers"]) > 600_000


def test_eight_replicas_share_one_stream(stage: Stage) -> None:
    def cost(count: int) -> int:
        with memory_server() as server, memory_client(server) as writer:
            other = Stage(server, writer)
            contexts = [raw_replica(server, send_buffer_bytes=4096) for _ in range(count)]
            replicas = [context.__enter__() for context in contexts]
            before = used_bytes(server)
            for replica in replicas:
                replica.synchronize(other.maker)
            for _ in range(100):
                other.run("SET", "a", b"x" * 10_000)
                turn(server)
            held = used_bytes(server) - before
            for context in contexts:
                context.__exit__(None, None, None)
            return held

    assert cost(8) <= 1.2 * cost(1)


def test_whatever_the_socket_takes_the_stream_arrives_whole(stage: Stage) -> None:
    with raw_replica(stage.server, send_buffer_bytes=4096) as replica:
        replica.synchronize(stage.maker)
        expected, data = bytearray(SELECT % 0), bytearray()
        for number in range(200):
            value = bytes([65 + number % 26]) * (number * number % 30_000)
            stage.run("SET", str(number), value)
            expected += set_of(str(number), value)
            if number % 3 == 0:
                data += replica.heard(1)
        for _ in range(3000):
            data += replica.heard(1)
            if len(data) >= len(expected):
                break
        assert data == expected
        assert replica.handle.describe()["events"] == "r"


def test_a4_21_a_replica_may_not_touch_keys_and_gets_no_reply(stage: Stage) -> None:
    """A5-1: an answer would stand in the middle of the stream."""
    for request in (b"PING\r\n", b"GET a\r\n", b"NOSUCH\r\n", b"GET\r\n", b"QUIT\r\n", b"*x\r\n", b"MULTI\r\nPING\r\n"):
        with raw_replica(stage.server) as replica:
            replica.synchronize(stage.maker)
            replica.peer.send(request)
            turn(stage.server, 3)
            data, end = received(replica.peer)
            assert (data, end != "open") == (b"", True), request
    assert sum("Replica generated a reply to command" in line for line in stage.log) >= 5


def test_what_a_replica_may_say_without_an_answer(stage: Stage) -> None:
    with raw_replica(stage.server) as replica:
        replica.synchronize(stage.maker)
        for words in (("REPLCONF", "ACK", 1), ("REPLCONF", "ACK", "x"), ("REPLCONF", "ACK", 5, "FACK", 3),
                      ("REPLCONF", "GETACK", "*"), ("PSYNC", "?", -1), ("SYNC",)):
            assert replica.say(*words) == b""
        replica.peer.send(b"\r\n\n")
        turn(stage.server, 2)
        assert not replica.ended


# ---- being asked, and waiting ---------------------------------------------------------------------------------------

def test_wait_asks_once_and_counts_who_has_it(stage: Stage) -> None:
    with raw_replica(stage.server) as first, raw_replica(stage.server) as second, socket_client(stage.server) as peer:
        for replica in (first, second):
            replica.synchronize(stage.maker)
        peer.send(b"WAIT 2 0\r\n")
        turn(stage.server, 2)
        assert received(peer)[0] == b":2\r\n", "it has changed nothing"
        peer.send(b"SET a 1\r\nWAIT 2 0\r\nPING\r\n")
        turn(stage.server, 2)
        assert received(peer)[0] == b"+OK\r\n"
        change = SELECT % 0 + set_of("a", "1")
        assert first.heard() == change + GETACK
        offset = stage.server.replication.offset
        first.say("REPLCONF", "ACK", offset - len(GETACK))
        assert received(peer)[0] == b""
        second.say("REPLCONF", "ACK", offset - len(GETACK) - 1)
        assert received(peer)[0] == b""
        second.say("REPLCONF", "ACK", offset)
        turn(stage.server, 2)
        assert received(peer)[0] == b":2\r\n+PONG\r\n"
        peer.send(b"SET b 1\r\nWAIT 2 100\r\n")
        turn(stage.server, 2)
        first.say("REPLCONF", "ACK", stage.server.replication.offset)
        advance(stage.server, 101)
        assert received(peer)[0] == b"+OK\r\n:1\r\n", "time is up: one had it"
        peer.send(b"MULTI\r\nSET c 1\r\nWAIT 2 0\r\nEXEC\r\n")
        turn(stage.server, 2)
        assert received(peer)[0].endswith(b"*2\r\n+OK\r\n:1\r\n"), "of what came before"


def test_waitaof_counts_what_is_on_the_replicas_disks(stage: Stage) -> None:
    with raw_replica(stage.server) as replica, socket_client(stage.server) as peer:
        replica.synchronize(stage.maker)
        peer.send(b"SET a 1\r\nWAITAOF 0 1 0\r\n")
        turn(stage.server, 2)
        offset = stage.server.replication.offset
        replica.say("REPLCONF", "ACK", offset)
        assert received(peer)[0] == b"+OK\r\n"
        replica.say("REPLCONF", "ACK", offset, "FACK", offset)
        turn(stage.server)
        assert received(peer)[0] == b"*2\r\n:0\r\n:1\r\n"


def test_a4_14_too_few_good_replicas(stage: Stage) -> None:
    stage.run("CONFIG", "SET", "min-replicas-to-write", "1")
    refusal = b"-NOREPLICAS Not enough good replicas to write.\r\n"
    assert stage.run("SET", "a", "1") == refusal
    assert stage.run("GET", "a") == b"$-1\r\n"
    with raw_replica(stage.server) as replica:
        replica.synchronize(stage.maker)
        assert stage.run("SET", "a", "1") == b"+OK\r\n"
        advance(stage.server, 11_000)
        assert stage.run("SET", "a", "1") == refusal
        replica.say("REPLCONF", "ACK", 1)
        advance(stage.server, 1000)
        assert stage.run("SET", "a", "1") == b"+OK\r\n"
    assert stage.run("SET", "a", "1") == refusal
    stage.run("CONFIG", "SET", "min-replicas-to-write", "0")
    assert stage.run("SET", "a", "1") == b"+OK\r\n"


def test_pings_come_in_time_and_not_in_a_pause(stage: Stage) -> None:
    stage.run("CONFIG", "SET", "repl-ping-replica-period", "10")
    with raw_replica(stage.server) as replica:
        replica.synchronize(stage.maker)
        advance(stage.server, 10_000)
        replica.heard()
        data = b""
        for _ in range(10):
            advance(stage.server, 1000)
            data += replica.say("REPLCONF", "ACK", 0)
        assert data == PING
        stage.run("CLIENT", "PAUSE", "100000", "WRITE")
        for _ in range(20):
            advance(stage.server, 1000)
            assert replica.say("REPLCONF", "ACK", 0) == b""
        assert replica.say("REPLCONF", "ACK", 0) == b""
        assert not replica.ended


def test_a_replica_that_says_nothing_is_closed(stage: Stage) -> None:
    stage.run("CONFIG", "SET", "repl-timeout", "5")
    with raw_replica(stage.server) as replica:
        replica.synchronize(stage.maker)
        advance(stage.server, 5000)
        assert not replica.handle.closed
        advance(stage.server, 1000)
        assert replica.ended
        assert "Disconnecting timedout replica (streaming sync): peer:7777" in stage.log


def test_a3_1_an_empty_line_shows_that_a_replica_lives(stage: Stage) -> None:
    """It loads its snapshot, which may take longer than repl-timeout."""
    stage.run("CONFIG", "SET", "repl-timeout", "5")
    with raw_replica(stage.server) as replica:
        replica.synchronize(stage.maker)
        for _ in range(10):
            advance(stage.server, 1000)
            replica.peer.send(b"\n")
            turn(stage.server)
        assert not replica.ended
        assert stage.info()["slave0"].endswith("lag=0,type=replica")


def test_the_end_waits_for_replicas(stage: Stage) -> None:
    """A13 REPLICA-2: up to shutdown-timeout."""
    with raw_replica(stage.server) as replica:
        replica.synchronize(stage.maker)
        stage.run("SET", "a", "1")
        assert stage.server.request_shutdown("the test ends")
        replica.heard()
        offset = stage.server.replication.offset
        assert not stage.server.end._may_end()
        replica.say("REPLCONF", "ACK", offset)
        assert stage.server.end._may_end()
        assert "Waiting for replicas before shutting down." in stage.log


# ---- leaving nothing ------------------------------------------------------------------------------------------------

def go_while_waiting(stage: Stage, replica: RawReplica) -> None:
    replica.introduce("eof")
    replica.say("PSYNC", "?", -1)


def go_while_it_is_made_for_its_socket(stage: Stage, replica: RawReplica) -> None:
    go_while_waiting(stage, replica)
    advance(stage.server, 5000)
    assert stage.maker.busy


def go_while_it_is_made_to_a_file(stage: Stage, replica: RawReplica) -> None:
    replica.say("PSYNC", "?", -1)
    assert stage.maker.busy


def go_while_the_file_is_sent(stage: Stage, replica: RawReplica) -> None:
    replica.peer.send(encode_command("PSYNC", "?", "-1"))
    turn(stage.server, 2)
    stage.maker.snapshot = SNAPSHOT + b"x" * (8 * MEGABYTE)
    stage.maker.finish()
    turn(stage.server, 2)
    stage.maker.snapshot = SNAPSHOT
    assert replica.handle.describe()["events"] == "rw"


def go_before_the_first_acknowledgement(stage: Stage, replica: RawReplica) -> None:
    go_while_it_is_made_for_its_socket(stage, replica)
    stage.maker.finish()
    turn(stage.server)


def go_while_following(stage: Stage, replica: RawReplica) -> None:
    replica.synchronize(stage.maker)


def go_while_behind(stage: Stage, replica: RawReplica) -> None:
    replica.synchronize(stage.maker)
    for _ in range(300):
        stage.run("SET", "a", b"x" * 10_000)
        turn(stage.server)
    assert replica.handle.describe()["events"] == "rw"


@pytest.mark.parametrize("way", ["the peer", "killed", "the limit of time"])
@pytest.mark.parametrize("go", [
    go_while_waiting, go_while_it_is_made_for_its_socket, go_while_it_is_made_to_a_file, go_while_the_file_is_sent,
    go_before_the_first_acknowledgement, go_while_following, go_while_behind,
])
def test_a8_16_a_replica_leaves_nothing(stage: Stage, go: Callable[[Stage, RawReplica], None], way: str) -> None:
    """A8-9, A8-16: whatever it was in the middle of."""
    stage.run("CONFIG", "SET", "repl-backlog-size", "65536")

    def one_round() -> "weakref.ref[ClientHandle]":
        with raw_replica(stage.server, send_buffer_bytes=4096) as replica:
            go(stage, replica)
            gone = weakref.ref(replica.handle)
            if way == "killed":
                assert stage.run("CLIENT", "KILL", "TYPE", "replica") == b":1\r\n"
            elif way == "the limit of time":
                for client in stage.server.primary.clients:
                    client.close()
        turn(stage.server, 2)
        for _ in range(10):
            stage.run("SET", "a", b"x" * 10_000)
            turn(stage.server)
        stage.log.clear()
        return gone

    def measure() -> tuple[int, ...]:
        gc.collect()
        replicas = stage.server.engine.replicas
        return (used_bytes(stage.server) // 70_000, len(os.listdir("/proc/self/fd")), len(replicas),
                len(stage.server.primary), stage.server.engine.client_count, int(stage.info()["connected_slaves"]))

    for _ in range(2):
        one_round()
    before = measure()
    for _ in range(4):
        gone = one_round()
        gc.collect()
        assert gone() is None, "somebody holds the client's handle"
    assert measure() == before
    assert not stage.maker.busy
    assert not stage.server.primary.full_sync.making
