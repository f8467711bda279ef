"""A replica's link to a primary whose every byte the test sends: cut anywhere, hostile, late, and its offsets."""


import pytest

from harness.fake_primary import (
    AGREED,
    ID,
    OTHER_ID,
    FakePrimary,
    advance,
    fake_primary,
    stub_load,
    until,
)
from harness.memory import hear_log, memory_client, memory_server, read_replies, received, socket_client, turn
from harness.process import parse_info
from harness.wire import encode_command
from ranvier.server.server import Server
from ranvier.shells.memory import MemoryClient
from replication.replica_room import a_client, a_primary, a_server, ask, follow, info  # noqa: F401

MARK = b"3bf1d5c2a7e94f60b8c1d2e3f40516273849aabb"
SNAPSHOT = b"REDIS0011" + bytes(range(256))
STREAM = (
    ("SELECT", "0"), ("SET", "a", "1"), ("PING",), ("INCR", "n"), ("MULTI",), ("SET", "b", "2"), ("SELECT", "1"),
    ("SET", "c", "3"), ("EXEC",), ("INCR", "n"), ("SET", "large", "x" * 3000), ("SELECT", "0"), ("INCR", "n"),
)


def status(server: Server) -> str:
    return server.replica_side.link.status.name


# ---- full synchronisation -------------------------------------------------------------------------------------------

FORMS = {
    "counted": b"\n\n$%d\r\n%b" % (len(SNAPSHOT), SNAPSHOT),
    "marked": b"\n$EOF:%b\r\n%b%b" % (MARK, SNAPSHOT, MARK),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("diskless", ["disabled", "swapdb"])
def test_a_whole_conversation_split_anywhere(form: str, diskless: str) -> None:
    stream = b"".join(encode_command(*words) for words in STREAM[:4])
    whole = AGREED + b"+FULLRESYNC %b 1000\r\n" % ID.encode() + FORMS[form] + stream
    with memory_server(repl_diskless_load=diskless) as server, memory_client(server) as client, \
            fake_primary(server) as primary:
        stub_load(server, {b"loaded": b"yes"})
        for cut in range(0, len(whole), 7 if diskless == "disabled" else 1):
            follow(client, primary)
            primary.accept()
            primary.send(whole[:cut])
            primary.send(whole[cut:])
            until(server, lambda: info(client)["slave_repl_offset"] == str(1000 + len(stream)), f"cut at {cut}")
            assert client.talk(b"GET loaded\r\nGET a\r\nGET n\r\n") == b"$3\r\nyes\r\n$1\r\n1\r\n$1\r\n1\r\n"
            assert client.talk(b"REPLICAOF NO ONE\r\n") == b"+OK\r\n"


def test_what_is_told_on_the_way(server: Server, primary: FakePrimary, client: MemoryClient) -> None:
    port = primary.port
    client.talk(b"SET old 1\r\n")
    follow(client, primary)
    assert info(client)["role"] == "slave"
    assert info(client)["master_link_status"] == "down"
    assert ask(client, "ROLE").endswith(b"$7\r\nconnect\r\n:-1\r\n")
    primary.accept()
    assert status(server) in ("CONNECTING", "HANDSHAKE")
    primary.send(AGREED + b"+FULLRESYNC %b 7\r\n" % ID.encode())
    primary.send(b"$%d\r\nREDIS" % len(SNAPSHOT))
    found = info(client)
    assert found["master_sync_in_progress"] == "1"
    assert (found["master_sync_total_bytes"], found["master_sync_read_bytes"]) == (str(len(SNAPSHOT)), "5")
    assert (found["master_sync_left_bytes"], found["master_sync_perc"]) == (str(len(SNAPSHOT) - 5), "1.89")
    assert found["master_sync_last_io_seconds_ago"] == "0"
    assert ask(client, "ROLE").endswith(b"$4\r\nsync\r\n:-1\r\n")
    assert client.talk(b"GET old\r\n") == b"$1\r\n1\r\n"
    primary.send(SNAPSHOT[5:])
    until(server, lambda: server.replica_side.link.is_up, "the link is up")
    found = info(client)
    assert list(found)[:14] == [
        "role", "master_host", "master_port", "master_link_status", "master_last_io_seconds_ago",
        "master_sync_in_progress", "slave_read_repl_offset", "slave_repl_offset", "replicas_repl_buffer_size",
        "replicas_repl_buffer_peak", "slave_priority", "slave_read_only", "replica_announced", "connected_slaves",
    ]
    assert (found["master_link_status"], found["master_replid"]) == ("up", ID)
    assert (found["slave_repl_offset"], found["slave_read_repl_offset"]) == ("7", "7")
    assert ask(client, "ROLE") == (
        b"*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:%d\r\n$9\r\nconnected\r\n:7\r\n" % port
    )
    assert client.talk(b"GET old\r\n") == b"$-1\r\n"


# ---- offsets --------------------------------------------------------------------------------------------------------

def applied_prefixes() -> tuple[bytes, list[int]]:
    """The stream, and for every length of it that has arrived, how much of it is applied."""
    stream = b""
    applied = [0]
    in_transaction = False
    for words in STREAM:
        request = encode_command(*words)
        stream += request
        in_transaction = words[0] == "MULTI" or (in_transaction and words[0] != "EXEC")
        applied += [applied[-1]] * (len(request) - 1)
        applied.append(applied[-1] if in_transaction else len(stream))
    return stream, applied


def test_the_offset_is_that_of_what_is_applied_at_every_byte(
    server: Server, primary: FakePrimary, client: MemoryClient
) -> None:
    stream, applied = applied_prefixes()
    follow(client, primary)
    primary.synchronise(offset=500)
    primary.heard()
    assert primary.peer is not None
    for end in range(1, len(stream) + 1):
        primary.peer.send(stream[end - 1:end])
        turn(server)
        found = info(client) if end % 16 == 0 or end > len(stream) - 50 else None
        assert server.replica_side.link.offset == 500 + applied[end]
        if found is not None:
            assert found["slave_read_repl_offset"] == str(500 + end)
            assert found["slave_repl_offset"] == str(500 + applied[end])
    assert ask(client, "GET", "n") == b"$1\r\n2\r\n"
    advance(server, 1000)
    primary.expect("REPLCONF", "ACK", 500 + len(stream))


@pytest.mark.parametrize("step", range(3))
def test_a_link_that_is_cut_anywhere_goes_on_from_what_is_applied(step: int) -> None:
    """A8-4: id, offset and database are kept when the link is lost."""
    stream, applied = applied_prefixes()
    there = b"+OK\r\n$1\r\n3\r\n-READONLY"
    with memory_server() as server, memory_client(server) as client, fake_primary(server) as primary:
        stub_load(server, {})
        for cut in range(step, 420, 3):
            follow(client, primary)
            primary.synchronise(offset=500)
            primary.send(stream[:cut])
            primary.drop()
            primary.agree()
            begin = 500 + applied[cut]
            assert primary.heard().endswith(encode_command("PSYNC", ID, begin + 1))
            primary.send(b"+CONTINUE\r\n" + stream[applied[cut]:])
            until(server, lambda: server.replica_side.link.offset == 500 + len(stream), f"cut at {cut}")
            assert ask(client, "GET", "n") == b"$1\r\n2\r\n"
            assert client.talk(b"SELECT 1\r\nGET c\r\nINCR n\r\nSELECT 0\r\n").startswith(there)
            client.talk(b"REPLICAOF NO ONE\r\nFLUSHALL\r\n")


def test_the_database_of_the_stream_is_kept(server: Server, primary: FakePrimary, client: MemoryClient) -> None:
    follow(client, primary)
    primary.synchronise()
    primary.send(encode_command("SELECT", "3"))
    primary.drop()
    primary.agree()
    primary.send(b"+CONTINUE\r\n" + encode_command("SET", "there", "1"))
    assert client.talk(b"SELECT 3\r\nGET there\r\n") == b"+OK\r\n$1\r\n1\r\n"


def test_a_snapshot_says_in_which_database_the_stream_goes_on(
    server: Server, primary: FakePrimary, client: MemoryClient
) -> None:
    stub_load(server, {}, {b"repl-stream-db": b"4"})
    follow(client, primary)
    primary.synchronise()
    primary.send(encode_command("SET", "there", "1"))
    assert client.talk(b"SELECT 4\r\nGET there\r\n") == b"+OK\r\n$1\r\n1\r\n"


def test_another_id_goes_on_with_the_same_history(server: Server, primary: FakePrimary, client: MemoryClient) -> None:
    follow(client, primary)
    primary.synchronise(offset=9)
    primary.drop()
    primary.agree()
    primary.send(b"+CONTINUE %b\r\n" % OTHER_ID.encode())
    until(server, lambda: server.replica_side.link.is_up, "the link is up")
    found = info(client)
    assert (found["master_replid"], found["master_replid2"], found["second_repl_offset"]) == (OTHER_ID, ID, "10")


def test_an_empty_line_counts(server: Server, primary: FakePrimary, client: MemoryClient) -> None:
    follow(client, primary)
    primary.synchronise(offset=9)
    primary.send(b"\r\n\n" + encode_command("PING"))
    assert server.replica_side.link.offset == 9 + 3 + 14


def test_a_question_is_answered_with_what_came_before_it(
    server: Server, primary: FakePrimary, client: MemoryClient
) -> None:
    question = encode_command("REPLCONF", "GETACK", "*")
    change = encode_command("SET", "k", "1")
    follow(client, primary)
    primary.synchronise(offset=100)
    assert primary.heard().endswith(encode_command("REPLCONF", "ACK", 100))
    primary.send(question)
    primary.expect("REPLCONF", "ACK", 100)
    primary.send(change + question + change + question + encode_command("MULTI") + change)
    at = 100 + len(question) + len(change)
    answers = encode_command("REPLCONF", "ACK", at)
    answers += encode_command("REPLCONF", "ACK", at + len(question + change))
    assert primary.heard() == answers
    advance(server, 1000)
    primary.expect("REPLCONF", "ACK", at + len(question + change + question))
    primary.send(encode_command("EXEC") + question)
    primary.expect("REPLCONF", "ACK", at + len(question + change + question + change) + 15 + 14)


def test_the_stream_goes_on_byte_by_byte(server: Server, primary: FakePrimary, client: MemoryClient) -> None:
    """What is applied stands in the backlog as it came: a replica of this server would get these bytes."""
    stream, applied = applied_prefixes()
    follow(client, primary)
    primary.synchronise(offset=500)
    for end in range(0, len(stream), 37):
        primary.send(stream[end:end + 37])
        assert server.replication.offset == 500 + applied[min(end + 37, len(stream))]
    with socket_client(server) as peer:
        peer.send(b"REPLCONF capa psync2\r\n")
        turn(server, 2)
        peer.send(encode_command("PSYNC", ID, 501))
        turn(server, 3)
        assert received(peer)[0] == b"+OK\r\n+CONTINUE %b\r\n" % ID.encode() + stream


# ---- what comes by the link -----------------------------------------------------------------------------------------

def test_nothing_is_answered(server: Server, primary: FakePrimary, client: MemoryClient) -> None:
    follow(client, primary)
    primary.synchronise()
    primary.heard()
    primary.send(b"".join(encode_command(*words) for words in (
        ("PING",), ("NOSUCH",), ("GET",), ("LPUSH", "l", "1"), ("INCR", "l"), ("CLIENT", "REPLY", "ON"), ("PING",),
        ("SET", "big", "v" * 50_000), ("GET", "big"), ("BLPOP", "nosuch", "0"), ("SUBSCRIBE", "c"),
        ("UNSUBSCRIBE",), ("PUNSUBSCRIBE", "c"), ("INCR", "n"),
    )))
    assert primary.heard() == b""
    assert ask(client, "GET", "n") == b"$1\r\n1\r\n"


def test_what_cannot_be_done_here_is_told_in_the_log(
    server: Server, primary: FakePrimary, client: MemoryClient
) -> None:
    """And does not keep the rest of its transaction from being done."""
    follow(client, primary)
    primary.synchronise()
    lines = hear_log(server)
    primary.send(b"".join(encode_command(*words) for words in (
        ("MULTI",), ("SET", "a", "1"), ("NOSUCH", "x"), ("SET", "b", "1"), ("EXEC",), ("GET",),
    )))
    assert client.talk(b"MGET a b\r\n") == b"*2\r\n$1\r\n1\r\n$1\r\n1\r\n"
    (line,) = [line for line in lines if line.startswith("== CRITICAL ==")]
    assert "'ERR unknown command 'NOSUCH'" in line
    (reply,) = read_replies(client.talk(b"INFO stats\r\n"))
    assert parse_info(reply.text)["unexpected_error_replies"] == "2"


def test_a_trim_as_redis_7_tells_it(server: Server, primary: FakePrimary, client: MemoryClient) -> None:
    """XADD key MAXLEN ~ n LIMIT m: the length becomes exact, the LIMIT stays."""
    follow(client, primary)
    primary.synchronise()
    for number in range(1, 6):
        primary.send(encode_command("XADD", "s", f"{number}-0", "f", "v"))
    primary.send(encode_command("XADD", "s", "MAXLEN", "=", 3, "LIMIT", 1, "6-0", "f", "v"))
    assert client.talk(b"XLEN s\r\n") == b":3\r\n"
    primary.send(encode_command("XTRIM", "s", "MAXLEN", "=", 2, "LIMIT", 1))
    assert client.talk(b"XLEN s\r\n") == b":2\r\n"


def test_an_id_that_only_a_primary_of_redis_7_takes(
    server: Server, primary: FakePrimary, client: MemoryClient
) -> None:
    """XSETID below an entry that was deleted: Redis 7.0 takes it, and so must its replica."""
    follow(client, primary)
    primary.synchronise()
    for words in (("XADD", "s", "9-0", "f", "v"), ("XDEL", "s", "9-0"), ("XSETID", "s", "5-0")):
        primary.send(encode_command(*words))
    assert b"5-0" in client.talk(b"XINFO STREAM s\r\n").partition(b"last-generated-id")[2][:20]
    client.talk(b"REPLICAOF NO ONE\r\n")
    assert client.talk(b"XSETID s 4-0\r\n").startswith(b"-ERR The ID specified in XSETID is smaller")


def test_the_link_is_a_client_of_a_class_of_its_own(
    server: Server, primary: FakePrimary, client: MemoryClient
) -> None:
    follow(client, primary)
    primary.synchronise()
    for kind in ("master", "primary"):
        (reply,) = read_replies(ask(client, "CLIENT", "LIST", "TYPE", kind))
        assert b" flags=M " in reply.text
        assert b" user=(superuser) " in reply.text
        assert b"addr=127.0.0.1:%d " % primary.port in reply.text
    assert ask(client, "CLIENT", "KILL", "TYPE", "primary") == b":1\r\n"
    primary.agree()
    assert primary.heard().endswith(encode_command("PSYNC", ID, "1"))


def test_what_a_replica_refuses_is_done_for_its_primary(
    server: Server, primary: FakePrimary, client: MemoryClient
) -> None:
    """A4-27"""
    for name, value in (("maxmemory", "1mb"), ("replica-ignore-maxmemory", "no"), ("replica-serve-stale-data", "no")):
        assert ask(client, "CONFIG", "SET", name, value) == b"+OK\r\n"
    follow(client, primary)
    primary.synchronise()
    primary.send(encode_command("SET", "k", "x" * 2_000_000))
    until(server, lambda: ask(client, "STRLEN", "k") == b":2000000\r\n", "it has arrived")
    assert ask(client, "SET", "k", "1").startswith(b"-OOM")
    primary.send(encode_command("SET", "k", "1"))
    assert ask(client, "DEL", "k") == b"-READONLY You can't write against a read only replica.\r\n"


def test_what_is_past_its_time_is_the_primarys_to_say(
    server: Server, primary: FakePrimary, client: MemoryClient
) -> None:
    follow(client, primary)
    primary.synchronise()
    at_ms = server.engine.wall_ms + 1000
    primary.send(encode_command("SET", "k", "5", "PXAT", at_ms) + encode_command("SET", "other", "1", "PXAT", at_ms))
    primary.send(encode_command("HSET", "h", "f", "1", "g", "2"))
    primary.send(encode_command("HPEXPIREAT", "h", at_ms, "FIELDS", 1, "f"))
    assert client.talk(b"GET k\r\nHGET h f\r\n") == b"$1\r\n5\r\n$1\r\n1\r\n"
    advance(server, 5000)
    server.engine.expire_keys(True)
    assert client.talk(b"GET k\r\nEXISTS k\r\nTTL k\r\nHGET h f\r\n") == b"$-1\r\n:0\r\n:-2\r\n$-1\r\n"
    assert client.talk(b"DBSIZE\r\n") == b":4\r\n"
    primary.send(encode_command("INCR", "k") + encode_command("PERSIST", "k") + encode_command("DEL", "other"))
    primary.send(encode_command("HINCRBY", "h", "f", "1"))
    assert client.talk(b"GET k\r\nDBSIZE\r\n") == b"$1\r\n6\r\n:3\r\n"
    assert client.talk(b"REPLICAOF NO ONE\r\n") == b"+OK\r\n"
    server.engine.expire_keys(True)
    assert client.talk(b"HGET h f\r\nHLEN h\r\n") == b"$-1\r\n:1\r\n"


def test_a_pause_holds_the_stream_back_and_its_offset(
    server: Server, primary: FakePrimary, client: MemoryClient
) -> None:
    follow(client, primary)
    primary.synchronise()
    client.talk(b"CLIENT PAUSE 10000 WRITE\r\n")
    stream = encode_command("SET", "k", "1") + encode_command("SET", "k", "2")
    primary.send(stream)
    assert ask(client, "GET", "k") == b"$-1\r\n"
    assert server.replica_side.link.offset == 0
    client.talk(b"CLIENT UNPAUSE\r\n")
    turn(server, 2)
    assert ask(client, "GET", "k") == b"$1\r\n2\r\n"
    assert server.replica_side.link.offset == len(stream)


# ---- links that break -----------------------------------------------------------------------------------------------

def test_inline_requests_break_it(server: Server, primary: FakePrimary, client: MemoryClient) -> None:
    """A3-12 and A17-27: and nothing of its state is kept."""
    lines = hear_log(server)
    follow(client, primary)
    primary.synchronise(offset=5)
    primary.send(encode_command("SET", "k", "1") + b"SET k 2\r\n")
    assert primary.is_closed()
    assert ask(client, "GET", "k") == b"$1\r\n1\r\n"
    assert any(line.startswith("WARNING: Receiving inline protocol from master, master stream corruption?")
               for line in lines)
    primary.agree()
    assert primary.heard().endswith(encode_command("PSYNC", "?", "-1"))


@pytest.mark.parametrize("bad", [b"*x\r\n", b"*1\r\nfoo\r\n", b"*1\r\n$-5\r\n", b"*3\r\n$3\r\nSET\r\n$99999999999\r\n"])
def test_broken_requests_break_it(server: Server, primary: FakePrimary, client: MemoryClient, bad: bytes) -> None:
    lines = hear_log(server)
    follow(client, primary)
    primary.synchronise(offset=5)
    primary.heard()
    primary.send(bad)
    assert primary.is_closed()
    assert any("Protocol error" in line for line in lines)
    primary.agree()
    assert primary.heard().endswith(encode_command("PSYNC", "?", "-1"))


BAD_ANSWERS = {
    "no primary": (b"HTTP/1.1 400 Bad Request\r\n", "Error reply to PING from primary: 'HTTP/1.1 400 Bad Request'"),
    "an endless line": (b"+" * 5000, "a line that does not end"),
    "no synchronisation": (AGREED + b"-ERR no\r\n", "Unexpected reply to PSYNC from primary: -ERR no"),
    "an odd answer": (AGREED + b"+FULLRESYNC x 1\r\n", "wrong +FULLRESYNC syntax"),
    "loading": (AGREED + b"-LOADING x\r\n", "should be in the future: -LOADING x"),
    "no snapshot": (AGREED + b"+FULLRESYNC %b 1\r\nHello\r\n" % ID.encode(), "Bad protocol from PRIMARY"),
    "a hostile size": (AGREED + b"+FULLRESYNC %b 1\r\n$9223372036854775807\r\n" % ID.encode(), "would be larger"),
    "an aborted snapshot": (AGREED + b"+FULLRESYNC %b 1\r\n-ERR full\r\n" % ID.encode(),
                            "PRIMARY aborted replication with an error: ERR full"),
    "a broken snapshot": (AGREED + b"+FULLRESYNC %b 1\r\n$5\r\nhello" % ID.encode(),
                          "Failed trying to load the PRIMARY synchronization DB: Wrong signature"),
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_bad_answers(server: Server, primary: FakePrimary, client: MemoryClient, name: str) -> None:
    answer, told = BAD_ANSWERS[name]
    lines = hear_log(server)
    client.talk(b"SET old 1\r\n")
    follow(client, primary)
    primary.accept()
    primary.send(answer)
    assert primary.is_closed()
    assert any(told in line for line in lines), lines
    assert status(server) == "CONNECT"
    assert ask(client, "GET", "old") == b"$1\r\n1\r\n"
    advance(server, 1000)
    primary.synchronise()


def test_a_primary_that_is_reached_in_vain_is_asked_less_and_less_often(
    server: Server, primary: FakePrimary, client: MemoryClient
) -> None:
    follow(client, primary)
    for delay_ms in (1000, 2000, 4000, 8000, 8000):
        primary.accept()
        primary.send(AGREED + b"-ERR no\r\n")
        lines = hear_log(server)
        advance(server, delay_ms - 1)
        assert not any("Connecting to PRIMARY" in line for line in lines)
        advance(server, 1)
        assert any("Connecting to PRIMARY" in line for line in lines)


def test_nobody_there_is_tried_every_second(server: Server, client: MemoryClient) -> None:
    lines = hear_log(server)

    def refusals() -> list[str]:
        return [line for line in lines if line == "Error condition on socket for SYNC: Connection refused"]

    with fake_primary(server) as nobody:
        port = nobody.port
    ask(client, "REPLICAOF", "127.0.0.1", port)
    for count in range(1, 5):
        until(server, lambda: status(server) == "CONNECT" and len(refusals()) > 0, "refused")
        assert len(refusals()) == count
        advance(server, 1000)
        until(server, lambda count=count: len(refusals()) > count, "again")  # type: ignore[misc]


def test_a_name_that_there_is_not(server: Server, client: MemoryClient) -> None:
    lines = hear_log(server)
    ask(client, "REPLICAOF", "no such host", 1)
    until_threads(server, lambda: any("Unable to connect to PRIMARY" in line for line in lines))


def until_threads(server: Server, condition: object) -> None:
    """Turns in which another thread's answer may come."""
    import time

    deadline = time.monotonic() + 20
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        turn(server)


LATE = {
    "after connecting": (b"", "Timeout connecting to the PRIMARY..."),
    "in the handshake": (b"+PONG\r\n+OK\r\n", "Timeout connecting to the PRIMARY..."),
    "before the snapshot": (AGREED + b"+FULLRESYNC %b 1\r\n" % ID.encode(), "Timeout receiving bulk data"),
    "in the snapshot": (AGREED + b"+FULLRESYNC %b 1\r\n$9\r\nREDIS" % ID.encode(), "Timeout receiving bulk data"),
}


@pytest.mark.parametrize("name", LATE)
def test_a_link_that_stalls_is_given_up(server: Server, primary: FakePrimary, client: MemoryClient, name: str) -> None:
    sent, told = LATE[name]
    lines = hear_log(server)
    client.talk(b"CONFIG SET repl-timeout 5\r\n")
    follow(client, primary)
    primary.accept()
    primary.send(sent)
    for _ in range(5):
        advance(server, 1000)
    assert not any(told in line for line in lines)
    advance(server, 1000)
    assert any(told in line for line in lines)
    assert primary.is_closed()
    advance(server, 1000)
    primary.synchronise()


def test_newlines_keep_a_slow_primary_alive(server: Server, primary: FakePrimary, client: MemoryClient) -> None:
    client.talk(b"CONFIG SET repl-timeout 5\r\n")
    follow(client, primary)
    primary.accept()
    primary.send(AGREED)
    for _ in range(10):
        advance(server, 1000)
        primary.send(b"\n")
    primary.send(b"+FULLRESYNC %b 1\r\n" % ID.encode())
    for _ in range(10):
        advance(server, 1000)
        primary.send(b"\n")
    primary.send(b"$9\r\nREDIS0011")
    until(server, lambda: server.replica_side.link.is_up, "the link is up")


def test_a_primary_that_falls_silent_is_left(server: Server, primary: FakePrimary, client: MemoryClient) -> None:
    lines = hear_log(server)
    client.talk(b"CONFIG SET repl-timeout 5\r\n")
    follow(client, primary)
    primary.synchronise(offset=3)
    for _ in range(5):
        advance(server, 1000)
    assert server.replica_side.link.is_up
    advance(server, 1000)
    assert "PRIMARY timeout: no data nor PING received..." in lines
    assert info(client)["master_link_down_since_seconds"] == "0"
    primary.agree()
    assert primary.heard().endswith(encode_command("PSYNC", ID, "4"))


@pytest.mark.parametrize("cut", range(1, 30, 3))
def test_a_transfer_that_breaks_costs_nothing(cut: int) -> None:
    with memory_server() as server, memory_client(server) as client, fake_primary(server) as primary:
        stub_load(server, {b"new": b"1"})
        client.talk(b"SET old 1\r\n")
        follow(client, primary)
        primary.agree()
        primary.send((b"+FULLRESYNC %b 1\r\n" % ID.encode() + b"$9\r\nREDIS0011")[:-cut])
        primary.drop()
        until(server, lambda: status(server) == "CONNECT", "it is noticed")
        assert client.talk(b"GET old\r\nGET new\r\n") == b"$1\r\n1\r\n$-1\r\n"
        advance(server, 1000)
        primary.synchronise()
        assert client.talk(b"GET old\r\nGET new\r\n") == b"$-1\r\n$1\r\n1\r\n"
