"""What a primary shows of its replicas, what it answers them, and what it does as a replica itself."""

from collections.abc import Iterator

import pytest

from harness.memory import turn
from harness.raw_replica import Stage, a_stage, advance, raw_replica

PING = b"*1\r\n$4\r\nPING\r\n"


@pytest.fixture
def stage() -> Iterator[Stage]:
    with a_stage() as found:
        yield found


# ---- what is shown --------------------------------------------------------------------------------------------------

def test_what_is_shown_of_replicas(stage: Stage) -> None:
    """A11 FLAGS S; connected_clients counts no replicas (A16)."""
    with raw_replica(stage.server) as replica:
        replica.say("REPLCONF", "ip-address", "10.1.1.1\r\nx:y")
        replica.introduce()
        replica.say("PSYNC", "?", -1)
        assert stage.info()["slave0"].startswith("ip=10.1.1.1  x:y,port=7777,state=wait_bgsave,offset=0,lag=0")
        stage.maker.finish()
        replica.heard()
        stage.server.primary.tick()
        replica.say("REPLCONF", "ACK", 0)
        replica.say("REPLCONF", "ip-address", "10.1.1.1")
    with raw_replica(stage.server) as replica:
        replica.synchronize(stage.maker)
        stage.run("SET", "a", "1")
        offset = stage.server.replication.offset
        replica.say("REPLCONF", "ACK", offset)
        advance(stage.server, 2000)
        info = stage.info()
        assert (info["role"], info["connected_slaves"], info["connected_clients"]) == ("master", "1", "1")
        assert info["slave0"] == f"ip=peer,port=7777,state=online,offset={offset},lag=2,type=replica"
        assert (info["master_repl_offset"], info["repl_backlog_first_byte_offset"]) == (str(offset), "1")
        assert info["repl_backlog_histlen"] == str(offset)
        role = stage.run("ROLE")
        assert role == (b"*3\r\n$6\r\nmaster\r\n:%d\r\n*1\r\n*3\r\n$4\r\npeer\r\n$4\r\n7777\r\n$%d\r\n%d\r\n"
                        % (offset, len(str(offset)), offset))
        line = stage.run("CLIENT", "LIST", "TYPE", "replica")
        assert b"flags=S" in line
        assert line.count(b"id=") == 1
        assert stage.run("CLIENT", "LIST", "TYPE", "normal").count(b"id=") == 1
        assert stage.run("CLIENT", "KILL", "TYPE", "slave") == b":1\r\n"
        turn(stage.server, 2)
        assert replica.ended
    assert stage.run("ROLE") == b"*3\r\n$6\r\nmaster\r\n:%d\r\n*0\r\n" % offset


def test_traffic_of_replicas_is_counted_apart(stage: Stage) -> None:
    with raw_replica(stage.server) as replica:
        replica.synchronize(stage.maker)
        before = stage.info()
        stage.server.figures.sample()
        stage.run("SET", "a", b"x" * 100_000)
        replica.heard()
        advance(stage.server, 1000)
        stage.server.figures.sample()
        info = stage.info()
    grown = int(info["total_net_repl_output_bytes"]) - int(before["total_net_repl_output_bytes"])
    assert 100_000 < grown < 100_200
    assert info["total_net_output_bytes"] == before["total_net_output_bytes"]
    assert 90 < float(info["instantaneous_output_repl_kbps"]) < 110


@pytest.mark.parametrize(("request_", "answer"), [
    (("REPLCONF",), b"+OK\r\n"),
    (("REPLCONF", "a"), b"-ERR syntax error\r\n"),
    (("REPLCONF", "foo", "b"), b"-ERR Unrecognized REPLCONF option: foo\r\n"),
    (("REPLCONF", "listening-port", "abc"), b"-ERR value is not an integer or out of range\r\n"),
    (("REPLCONF", "listening-port", "1", "ip-address", "1.2.3.4"), b"+OK\r\n"),
    (("REPLCONF", "ip-address", "x" * 300),
     b"-ERR REPLCONF ip-address provided by replica instance is too long: 300 bytes\r\n"),
    (("REPLCONF", "capa", "eof", "capa", "psync2", "capa", "zzz"), b"+OK\r\n"),
    (("REPLCONF", "version", "9.1.0"), b"+OK\r\n"),
    (("REPLCONF", "version", "abc"), b"-ERR Unrecognized version format: abc\r\n"),
    (("REPLCONF", "rdb-only", "x"), b"-ERR value is not an integer or out of range\r\n"),
    (("REPLCONF", "rdb-filter-only", "bogus"), b"-ERR Unsupported rdb-filter-only option: bogus\r\n"),
    (("REPLCONF", "rdb-filter-only", ""), b"+OK\r\n"),
    (("REPLCONF", "getack", "*"), b""),
    (("REPLCONF", "ack", "5"), b""),
    (("REPLCONF", "ack", "x"), b""),
    (("REPLCONF", "rdb-channel", "1"), b"-ERR Unrecognized REPLCONF option: rdb-channel\r\n"),
    (("PSYNC", "?"), b"-ERR wrong number of arguments for 'psync' command\r\n"),
    (("PSYNC", "?", "abc"), b"-ERR value is not an integer or out of range\r\n"),
    (("PSYNC", "?", "-1", "FAILOVER"), b"-ERR PSYNC FAILOVER can't be sent to a master.\r\n"),
    (("SYNC", "a"), b"-ERR wrong number of arguments for 'sync' command\r\n"),
    (("WAIT", "x", "1"), b"-ERR value is not an integer or out of range\r\n"),
])
def test_a13_replconf_and_its_like(stage: Stage, request_: tuple[str, ...], answer: bytes) -> None:
    """A13 REPLICA-1, as Valkey 9.1 answers (a channel of its own for the snapshot is not offered)."""
    with raw_replica(stage.server) as replica:
        assert replica.say(*request_) == answer


def test_a17_25_who_is_not_let_in(stage: Stage) -> None:
    with raw_replica(stage.server) as replica:
        assert replica.say("MULTI") + replica.say("PSYNC", "?", -1) == (
            b"+OK\r\n-ERR Command 'psync' not allowed inside a transaction\r\n")
    with raw_replica(stage.server) as replica:
        replica.peer.send(b"PING\r\nPSYNC ? -1\r\n")
        assert replica.heard() == b"+PONG\r\n-ERR SYNC and PSYNC are invalid with pending output\r\n"
        stage.server.replication.follow("nobody", 1)
        assert replica.say("SYNC") == b"-NOMASTERLINK Can't SYNC while not connected with my master\r\n"
        stage.server.replication.lead()
        stage.server.primary.failing_over = True
        assert replica.say("SYNC") == b"-NOMASTERLINK Can't SYNC while failing over\r\n"
    assert len(stage.server.engine.replicas) == 0


# ---- replicas of a replica ------------------------------------------------------------------------------------------

def test_a_replica_hands_its_primarys_stream_on_as_it_is(stage: Stage) -> None:
    state, replicas = stage.server.replication, stage.server.engine.replicas
    state.follow("primary", 1)
    stage.server.stream_follows(True)
    state.adopt("a" * 40, 1000)
    state.link_up = True
    with raw_replica(stage.server) as replica:
        assert replica.say("PSYNC", "?", -1) == b"+FULLRESYNC " + b"a" * 40 + b" 1000\r\n"
        stage.maker.finish()
        replica.heard()
        stage.run("SET", "mine", "1")
        replicas.feed(b"*1\r\n$4\r\nPI")
        replicas.feed(b"NG\r\n")
        advance(stage.server, 2_000)
        assert replica.heard() == PING
        assert state.offset == 1000 + len(PING)
        assert stage.run("WAIT", "1", "1").startswith(b"-ERR WAIT cannot be used with replica instances.")
        stage.server.drop_replicas()
        turn(stage.server)
        assert replica.ended
    with raw_replica(stage.server) as replica:
        assert replica.say("PSYNC", "a" * 40, 1001) == b"+CONTINUE\r\n" + PING
    state.adopt("b" * 40, 5)
    info = stage.info()
    assert (info["master_repl_offset"], info["repl_backlog_first_byte_offset"], info["repl_backlog_histlen"]) == (
        "5", "6", "0")
