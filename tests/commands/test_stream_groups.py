"""Consumer groups over a socket: requests as text, replies as the exact bytes."""

from collections.abc import Iterator

import pytest

from commands.test_streams import INVALID_ID, NULL_ARRAY, WRONG_TYPE, array, ask, bulk, entries, streams
from harness.process import ServerProcess
from harness.wire import Wire

NO_KEY = (
    b"-ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM "
    b"option to create an empty stream automatically.\r\n"
)


@pytest.fixture(params=[2, 3])
def protocol(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def wire(server: ServerProcess, protocol: int) -> Iterator[Wire]:
    with server.connect(protocol=protocol) as connection:
        connection.call("FLUSHALL")
        connection.call("SET", "text", "x")
        for name in ("1-1", "2-1", "3-1"):
            connection.call("XADD", "s", name, "a", name)
        connection.call("XGROUP", "CREATE", "s", "g", "0")
        yield connection
        connection.call("FLUSHALL")


def read(wire: Wire, *options: str, consumer: str = "c", start: str = ">", key: str = "s") -> bytes:
    return wire.call("XREADGROUP", "GROUP", "g", consumer, *options, "STREAMS", key, start).raw


def pending(wire: Wire, group: str = "g") -> list[tuple[bytes, bytes, int]]:
    """(id, consumer, deliveries)"""
    items = wire.call("XPENDING", "s", group, "-", "+", "1000").items
    return [(item.items[0].text, item.items[1].text, item.items[3].number) for item in items]


def test_making_and_deleting(wire: Wire) -> None:
    for line, reply in (
        ("CREATE s g 0", b"-BUSYGROUP Consumer Group name already exists\r\n"),
        ("CREATE s h x", INVALID_ID),
        ("CREATE s h +", INVALID_ID),
        ("CREATE text h 0", WRONG_TYPE),
        ("CREATE absent h 0", NO_KEY),
        ("DESTROY absent h", NO_KEY),
        ("SETID absent h 0", NO_KEY),
        ("CREATE absent h $ MKSTREAM", b"+OK\r\n"),
        ("CREATE s h $ ENTRIESREAD -2", b"-ERR value for ENTRIESREAD must be positive or -1\r\n"),
        ("CREATE s h $ ENTRIESREAD x", b"-ERR value is not an integer or out of range\r\n"),
        ("SETID s nobody 0", b"-NOGROUP No such consumer group 'nobody' for key name 's'\r\n"),
        ("CREATECONSUMER s nobody c", b"-NOGROUP No such consumer group 'nobody' for key name 's'\r\n"),
        ("CREATECONSUMER s g c", b":1\r\n"),
        ("CREATECONSUMER s g c", b":0\r\n"),
        ("DELCONSUMER s g c", b":0\r\n"),
        ("DESTROY s g", b":1\r\n"),
        ("DESTROY s g", b":0\r\n"),
    ):
        assert ask(wire, f"XGROUP {line}") == reply, line
    assert ask(wire, "XGROUP create s h $ FOO") == (
        b"-ERR unknown subcommand or wrong number of arguments for 'create'. Try XGROUP HELP.\r\n"
    )
    assert ask(wire, "TYPE absent") == b"+stream\r\n"


def test_reading_and_acknowledging(wire: Wire, protocol: int) -> None:
    assert read(wire, "COUNT", "2") == streams(protocol, s=entries("1-1 a 1-1", "2-1 a 2-1"))
    assert read(wire, consumer="d") == streams(protocol, s=entries("3-1 a 3-1"))
    assert read(wire) == NULL_ARRAY[protocol]
    assert pending(wire) == [(b"1-1", b"c", 1), (b"2-1", b"c", 1), (b"3-1", b"d", 1)]
    assert read(wire, start="1-1") == streams(protocol, s=entries("2-1 a 2-1"))
    assert read(wire, consumer="new", start="0") == streams(protocol, s=b"*0\r\n")
    assert ask(wire, "XACK s g 1-1 9-9") == b":1\r\n"
    assert ask(wire, "XACK s g 1-1") == ask(wire, "XACK absent g 1-1") == ask(wire, "XACK s nobody 1-1") == b":0\r\n"
    assert ask(wire, "XACK s g 2-1 x") == INVALID_ID
    assert pending(wire) == [(b"2-1", b"c", 2), (b"3-1", b"d", 1)]
    wire.call("XDEL", "s", "2-1")
    assert read(wire, start="0") == streams(protocol, s=b"*1\r\n*2\r\n" + bulk(b"2-1") + NULL_ARRAY[protocol])
    assert ask(wire, "XPENDING s g") == b"*4\r\n:2\r\n" + bulk(b"2-1") + bulk(b"3-1") + (
        b"*2\r\n" + array(b"c", b"1") + array(b"d", b"1")
    )
    assert ask(wire, "XGROUP DELCONSUMER s g c") == b":1\r\n"
    assert pending(wire) == [(b"3-1", b"d", 1)]


def test_the_same_stream_twice(wire: Wire, protocol: int) -> None:
    """What the first place takes, the second does not get."""
    words = ("XREADGROUP", "GROUP", "g", "c", "COUNT", "1", "STREAMS", "s", "s", "s", "s", ">", ">", "0", ">")
    found = (("1-1",), ("2-1",), ("1-1",), ("3-1",))
    head = b"%4\r\n" if protocol == 3 else b"*4\r\n"
    between = b"" if protocol == 3 else b"*2\r\n"
    assert wire.call(*words).raw == head + b"".join(
        between + bulk(b"s") + entries(*(f"{name} a {name}" for name in names)) for names in found
    )


def test_no_acknowledgement(wire: Wire, protocol: int) -> None:
    assert read(wire, "NOACK", "COUNT", "1") == streams(protocol, s=entries("1-1 a 1-1"))
    assert pending(wire) == []
    assert ask(wire, "XPENDING s g") == b"*4\r\n:0\r\n" + (
        b"$-1\r\n$-1\r\n*-1\r\n" if protocol == 2 else b"_\r\n_\r\n_\r\n"
    )


def test_claims(wire: Wire) -> None:
    read(wire)
    assert ask(wire, "XCLAIM s g d 0 1-1 2-1") == entries("1-1 a 1-1", "2-1 a 2-1")
    assert ask(wire, "XCLAIM s g d 0 1-1 JUSTID") == array(b"1-1")
    assert ask(wire, "XCLAIM s g e 3600000 1-1 1-1") == array()
    assert ask(wire, "XCLAIM s g e 0 1-1 RETRYCOUNT 7 IDLE 3600000 JUSTID") == array(b"1-1")
    # Named twice, but idle no more when it is looked at again.
    assert ask(wire, "XCLAIM s g d 1800000 1-1 1-1 JUSTID") == array(b"1-1")
    assert pending(wire) == [(b"1-1", b"d", 7), (b"2-1", b"d", 2), (b"3-1", b"c", 1)]
    assert ask(wire, "XCLAIM s g d 0 9-9 FORCE") == array()
    wire.call("XACK", "s", "g", "3-1")
    assert ask(wire, "XCLAIM s g d 0 3-1") == array()
    assert ask(wire, "XCLAIM s g d 0 3-1 FORCE JUSTID") == array(b"3-1")
    wire.call("XDEL", "s", "3-1")
    assert ask(wire, "XCLAIM s g d 0 3-1") == array()
    assert [item[0] for item in pending(wire)] == [b"1-1", b"2-1"]
    for line, error in (
        ("s nobody d 0 1-1", "NOGROUP No such key 's' or consumer group 'nobody'"),
        ("s g d x 1-1", "ERR Invalid min-idle-time argument for XCLAIM"),
        ("s g d 0 1-1 IDLE x", "ERR Invalid IDLE option argument for XCLAIM"),
        ("s g d 0 1-1 x", "ERR Unrecognized XCLAIM option 'x'"),
    ):
        assert ask(wire, f"XCLAIM {line}") == b"-" + error.encode() + b"\r\n"


def test_automatic_claims(wire: Wire) -> None:
    read(wire)
    wire.call("XDEL", "s", "2-1")
    three = b"*3\r\n"
    assert ask(wire, "XAUTOCLAIM s g d 3600000 0") == three + bulk(b"0-0") + array() + array(b"2-1")
    assert ask(wire, "XAUTOCLAIM s g d 0 0 COUNT 1") == three + bulk(b"3-1") + entries("1-1 a 1-1") + array()
    assert ask(wire, "XAUTOCLAIM s g d 0 3-1 JUSTID") == three + bulk(b"0-0") + array(b"3-1") + array()
    assert ask(wire, "XAUTOCLAIM s g d 0 (3-1") == three + bulk(b"0-0") + array() + array()
    assert pending(wire) == [(b"1-1", b"d", 2), (b"3-1", b"d", 1)]
    for count in ("0", "x", "9223372036854775807"):
        assert ask(wire, f"XAUTOCLAIM s g d 0 0 COUNT {count}") == b"-ERR COUNT must be > 0\r\n"


def test_pending_arguments(wire: Wire) -> None:
    read(wire)
    assert ask(wire, "XPENDING s g - + 0") == ask(wire, "XPENDING s g - + 10 nobody") == array()
    assert len(wire.call("XPENDING", "s", "g", "(1-1", "3", "10", "c").items) == 2
    assert ask(wire, "XPENDING s g IDLE 3600000 - + 10") == array()
    assert ask(wire, "XPENDING s g x + 1") == INVALID_ID
    assert ask(wire, "XPENDING s g IDLE 5 - +") == ask(wire, "XPENDING s g -") == b"-ERR syntax error\r\n"
    assert ask(wire, "XPENDING text g") == WRONG_TYPE
    assert ask(wire, "XPENDING s nobody") == b"-NOGROUP No such key 's' or consumer group 'nobody'\r\n"


def test_deleting_with_references(wire: Wire) -> None:
    wire.call("XGROUP", "CREATE", "s", "h", "0")
    read(wire, "COUNT", "2")
    assert ask(wire, "XDELEX s ACKED IDS 2 1-1 9-9") == b"*2\r\n:2\r\n:-1\r\n"
    assert ask(wire, "XACKDEL s g ACKED IDS 1 1-1") == b"*1\r\n:2\r\n"
    wire.call("XREADGROUP", "GROUP", "h", "c", "NOACK", "STREAMS", "s", ">")
    assert ask(wire, "XDELEX s ACKED IDS 1 1-1") == b"*1\r\n:1\r\n"
    assert ask(wire, "XDELEX s IDS 1 2-1") == b"*1\r\n:1\r\n"
    assert pending(wire) == [(b"2-1", b"c", 1)]
    assert ask(wire, "XACKDEL s g DELREF IDS 2 2-1 3-1") == b"*2\r\n:1\r\n:-1\r\n"
    read(wire)
    assert ask(wire, "XDELEX s DELREF IDS 1 3-1") == b"*1\r\n:1\r\n"
    assert pending(wire) == []
    assert ask(wire, "XLEN s") == b":0\r\n"
    assert ask(wire, "XDELEX absent IDS 1 3-1") == ask(wire, "XACKDEL s nobody IDS 1 3-1") == b"*1\r\n:-1\r\n"
    assert ask(wire, "XDELEX text IDS 1 3-1") == WRONG_TYPE
    for line in ("s FOO 1 3-1", "s KEEPREF 1 3-1"):
        assert ask(wire, f"XDELEX {line}") == b"-ERR syntax error\r\n"
    assert ask(wire, "XDELEX s IDS 2 3-1") == (
        b"-ERR The `numids` parameter must match the number of arguments\r\n"
    )
    assert ask(wire, "XDELEX s IDS 0 3-1") == b"-ERR Number of IDs must be a positive integer\r\n"


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        ("DEL s", b"NOGROUP"), ("UNLINK s", b"NOGROUP"), ("RENAME s elsewhere", b"NOGROUP"), ("FLUSHALL", b"NOGROUP"),
        ("FLUSHDB", b"NOGROUP"), ("SWAPDB 0 1", b"NOGROUP"), ("MOVE s 1", b"NOGROUP"), ("EXPIRE s -1", b"NOGROUP"),
        ("SET s x", b"WRONGTYPE"), ("RENAME text s", b"WRONGTYPE"), ("XGROUP DESTROY s g", b"NOGROUP"),
        ("DEL s;XADD s 9-1 a 1", b"NOGROUP"), ("MULTI;DEL s;XADD s 9-1 a 1;EXEC", b"NOGROUP"),
    ],
)  # fmt: skip
def test_who_waits_learns_that_the_group_has_gone(server: ServerProcess, wire: Wire, lines: str, error: bytes) -> None:
    read(wire)
    with server.connect() as waiting:
        waiting.send_command("XREADGROUP", "GROUP", "g", "w", "BLOCK", "0", "STREAMS", "s", ">")
        wait_for_blocked(wire)
        for line in lines.split(";"):
            assert not wire.call(*line.split()).is_error
        assert waiting.reply().raw.startswith(b"-" + error)


def wait_for_blocked(wire: Wire) -> None:
    while b"blocked_clients:1" not in wire.call("INFO", "clients").text:
        pass


def test_who_waits_gets_what_comes(server: ServerProcess, wire: Wire) -> None:
    read(wire)
    with server.connect() as waiting:
        waiting.send_command("XREADGROUP", "GROUP", "g", "w", "BLOCK", "0", "STREAMS", "s", ">")
        wait_for_blocked(wire)
        # Nothing of this gives it an entry, although the group is set back.
        for line in ("XGROUP SETID s g 0", "XDEL s 1-1", "XTRIM s MAXLEN 1", "XGROUP CREATECONSUMER s g z"):
            wire.call(*line.split())
        assert b"blocked_clients:1" in wire.call("INFO", "clients").text
        wire.call("XADD", "s", "5-1", "b", "2")
        assert waiting.reply().raw == streams(2, s=entries("3-1 a 3-1", "5-1 b 2"))


def test_information(wire: Wire, protocol: int) -> None:
    read(wire, "COUNT", "1")
    group = wire.call("XINFO", "GROUPS", "s").items[0].items
    names = [b"name", b"consumers", b"pending", b"last-delivered-id", b"entries-read", b"lag"]
    assert [item.text for item in group[::2]] == names
    assert [item.value for item in group[1::2]] == [b"g", 1, 1, b"1-1", 1, 2]
    stream = wire.call("XINFO", "STREAM", "s").items
    assert [item.value for item in stream[1:16:2]] == [3, 1, 2, b"3-1", b"0-0", 3, b"1-1", 1]
    assert stream[-1].raw == entries("3-1 a 3-1").removeprefix(b"*1\r\n")
    full = wire.call("XINFO", "STREAM", "s", "FULL", "COUNT", "2").items
    assert full[15].raw == entries("1-1 a 1-1", "2-1 a 2-1")
    consumer = wire.call("XINFO", "CONSUMERS", "s", "g").items[0].items
    assert [item.text for item in consumer[::2]] == [b"name", b"pending", b"idle", b"inactive"]
    for line in ("STREAM absent", "GROUPS absent", "CONSUMERS absent g"):
        assert ask(wire, f"XINFO {line}") == b"-ERR no such key\r\n"
    assert ask(wire, "XINFO CONSUMERS s nobody") == b"-NOGROUP No such consumer group 'nobody' for key name 's'\r\n"
    assert ask(wire, "XINFO stream s FOO") == (
        b"-ERR unknown subcommand or wrong number of arguments for 'stream'. Try XINFO HELP.\r\n"
    )


# How far a group is when an entry behind its position, or that very entry, was deleted: found by the state machine.
DELETED_BEHIND = [(50, 2, 55), (50, 7, 50), (50, 7, 15), (50, 7, 58), (15, 7, 50), (5, 1, 15)]


@pytest.mark.parametrize(("position", "read", "deleted"), DELETED_BEHIND)
def test_entries_read_after_deletions(
    server: ServerProcess, valkey: ServerProcess, protocol: int, position: int, read: int, deleted: int
) -> None:
    found = []
    for one in (server, valkey):
        with one.connect(protocol=protocol) as wire:
            wire.pipeline([("FLUSHALL",), *(("XADD", "s", f"{number}-0", "a", "1") for number in (15, 50))])
            wire.call("XGROUP", "CREATE", "s", "g", f"{position}-0", "ENTRIESREAD", read)
            wire.pipeline([("XADD", "s", f"{number}-0", "a", "1") for number in (55, 58, 60)])
            wire.call("XDEL", "s", f"{deleted}-0")
            replies = [wire.call("XINFO", "GROUPS", "s").raw]
            for _ in range(3):
                wire.call("XREADGROUP", "GROUP", "g", "c", "COUNT", 1, "NOACK", "STREAMS", "s", ">")
                replies.append(wire.call("XINFO", "GROUPS", "s").raw)
            wire.call("FLUSHALL")
        found.append(replies)
    assert found[0] == found[1]
