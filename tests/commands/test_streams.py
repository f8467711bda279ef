"""Stream commands over a socket: requests as text, replies as the exact bytes."""

from collections.abc import Iterator

import pytest

from harness.process import ServerProcess
from harness.wire import Reply, Wire

WRONG_TYPE = b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
INVALID_ID = b"-ERR Invalid stream ID specified as stream command argument\r\n"
SMALL_ID = b"-ERR The ID specified in XADD is equal or smaller than the target stream top item\r\n"
NULL_ARRAY = {2: b"*-1\r\n", 3: b"_\r\n"}
LARGEST = b"18446744073709551615"


@pytest.fixture(params=[2, 3])
def protocol(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def wire(server: ServerProcess, protocol: int) -> Iterator[Wire]:
    with server.connect(protocol=protocol) as connection:
        connection.call("FLUSHALL")
        connection.call("SET", "text", "x")
        yield connection
        connection.call("CONFIG", "SET", "stream-node-max-entries", "100", "stream-node-max-bytes", "4096")
        connection.call("FLUSHALL")


def ask(wire: Wire, line: str) -> bytes:
    return wire.call(*line.split(" ")).raw


def bulk(value: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(value), value)


def array(*values: bytes) -> bytes:
    return b"*%d\r\n" % len(values) + b"".join(bulk(value) for value in values)


def entry(text: str) -> bytes:
    """`1-1 a 1`: an id with its fields and values."""
    name, *pairs = text.encode().split()
    return b"*2\r\n" + bulk(name) + array(*pairs)


def entries(*texts: str) -> bytes:
    return b"*%d\r\n" % len(texts) + b"".join(entry(text) for text in texts)


def streams(protocol: int, **found: bytes) -> bytes:
    """XREAD's reply: a map in RESP3."""
    head = b"%%%d\r\n" % len(found) if protocol == 3 else b"*%d\r\n" % len(found)
    between = b"" if protocol == 3 else b"*2\r\n"
    return head + b"".join(between + bulk(name.encode()) + value for name, value in found.items())


def ids(reply: Reply) -> list[bytes]:
    return [item.items[0].text for item in reply.items]


def test_ids_that_are_given_out(wire: Wire) -> None:
    assert ask(wire, "XADD s 1-1 a 1") == bulk(b"1-1")
    assert ask(wire, "XADD s 1-1 a 1") == ask(wire, "XADD s 1 a 1") == ask(wire, "XADD s 0-5 a 1") == SMALL_ID
    assert ask(wire, "XADD s 2-* a 2") == bulk(b"2-0")
    assert ask(wire, "XADD s 2-* a 2 b 3") == bulk(b"2-1")
    assert ask(wire, "XADD other 0-* a 1") == bulk(b"0-1")
    assert ask(wire, "XADD other 0-0 a 1") == b"-ERR The ID specified in XADD must be greater than 0-0\r\n"
    assert ask(wire, "XLEN s") == b":3\r\n"
    ms, _, sequence = wire.call("XADD", "s", "*", "a", "1").text.partition(b"-")
    assert int(ms) > 1_600_000_000_000
    assert sequence == b"0"
    last = LARGEST + b"-" + LARGEST
    assert wire.call("XADD", "s", last, "a", "1").text == last
    for name in ("*", "1-1", last):
        assert wire.call("XADD", "s", name, "a", "1").raw == (
            b"-ERR The stream has exhausted the last possible ID, unable to add more items\r\n"
        )
    assert ask(wire, "TYPE s") == b"+stream\r\n"
    assert ask(wire, "OBJECT ENCODING s") == bulk(b"stream")


@pytest.mark.parametrize("name", ["x", "-", "+", "*-*", "5-x", "1-1-1", "18446744073709551616-1", "9--3", "-5", "1-"])
def test_what_is_no_id(wire: Wire, name: str) -> None:
    assert ask(wire, f"XADD s {name} a 1") == ask(wire, f"XADD text {name} a 1") == INVALID_ID
    assert ask(wire, "EXISTS s") == b":0\r\n"


def test_ids_are_read_as_loosely_as_the_reference_does(wire: Wire) -> None:
    for given, read in ((b" 7", b"7-0"), (b"+8", b"8-0"), (b"009", b"9-0"), (b"9--03", b"9-18446744073709551613")):
        assert wire.call("XADD", "s", given, "a", "1").text == read


def test_trimming_options(wire: Wire, protocol: int) -> None:
    for line, error in (
        ("MAXLEN x * a b", "ERR value is not an integer or out of range"),
        ("MAXLEN -1 * a b", "ERR The MAXLEN argument must be >= 0."),
        ("MAXLEN = 5 LIMIT 5 * a b", "ERR syntax error, LIMIT cannot be used without the special ~ option"),
        ("MAXLEN ~ 5 LIMIT -1 * a b", "ERR The LIMIT argument must be >= 0."),
        ("LIMIT 5 * a b", "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy"),
        (
            "MAXLEN 5 MINID 3 * a b",
            "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
        ),
        ("MAXLEN 5 * a", "ERR wrong number of arguments for 'xadd' command"),
        ("MINID + * a b", INVALID_ID.decode()[1:-2]),
    ):
        assert ask(wire, f"XADD s {line}") == b"-" + error.encode() + b"\r\n"
    assert ask(wire, "XADD s NOMKSTREAM * a 1") == (b"$-1\r\n" if protocol == 2 else b"_\r\n")
    wire.call("CONFIG", "SET", "stream-node-max-entries", "3")
    for number in range(1, 11):
        wire.call("XADD", "s", number, "a", number)
    assert ask(wire, "XTRIM s MAXLEN ~ 9") == b":0\r\n"
    assert ask(wire, "XTRIM s MAXLEN ~ 6 LIMIT 2") == b":0\r\n"
    assert ask(wire, "XTRIM s MAXLEN ~ 6") == b":3\r\n"
    assert ask(wire, "XTRIM s MINID ~ 6") == b":0\r\n"
    assert ask(wire, "XTRIM s MINID 6") == b":2\r\n"
    assert ids(wire.call("XRANGE", "s", "-", "+")) == [b"6-0", b"7-0", b"8-0", b"9-0", b"10-0"]
    assert ask(wire, "XADD s MAXLEN 2 11 a 1") == bulk(b"11-0")
    assert ids(wire.call("XRANGE", "s", "-", "+")) == [b"10-0", b"11-0"]
    assert ask(wire, "XTRIM s MAXLEN 0") == b":2\r\n"
    assert ask(wire, "XTRIM s FOO 1") == b"-ERR syntax error\r\n"
    assert ask(wire, "EXISTS s") == b":1\r\n"
    assert ask(wire, "XADD s 11 a 1") == SMALL_ID


@pytest.mark.parametrize("entries_per_block", [1, 2, 3, 7, 100])
def test_ranges_over_blocks(wire: Wire, entries_per_block: int) -> None:
    wire.call("CONFIG", "SET", "stream-node-max-entries", entries_per_block)
    names = [(ms, sequence) for ms in range(1, 9) for sequence in range(3)]
    for ms, sequence in names:
        pairs = ("n", ms * 10 + sequence) if sequence else ("n", "x" * ms, "m", -ms)
        wire.call("XADD", "s", f"{ms}-{sequence}", *pairs)
    for gone in ((1, 0), (3, 1), (4, 0), (4, 1), (4, 2), (8, 2)):
        assert wire.call("XDEL", "s", "{}-{}".format(*gone)).number == 1
        names.remove(gone)
    texts = [b"%d-%d" % name for name in names]
    assert ids(wire.call("XRANGE", "s", "-", "+")) == texts
    assert ids(wire.call("XREVRANGE", "s", "+", "-")) == texts[::-1]
    for start in range(10):
        for end in range(10):
            inside = [b"%d-%d" % name for name in names if start <= name[0] <= end]
            assert ids(wire.call("XRANGE", "s", start, end)) == inside
            assert ids(wire.call("XREVRANGE", "s", end, start)) == inside[::-1]
            assert ids(wire.call("XRANGE", "s", start, end, "COUNT", 4)) == inside[:4]
            assert ids(wire.call("XREVRANGE", "s", end, start, "COUNT", 1)) == inside[::-1][:1]
    assert ids(wire.call("XRANGE", "s", "(2-0", "(5-1")) == [name for name in texts if b"2-0" < name < b"5-1"]


def test_range_arguments(wire: Wire, protocol: int) -> None:
    wire.call("XADD", "s", "1-1", "a", "1")
    assert ask(wire, "XRANGE s - + COUNT 0") == ask(wire, "XRANGE s - + COUNT -5") == NULL_ARRAY[protocol]
    assert ask(wire, "XRANGE absent - + COUNT 0") == ask(wire, "XRANGE s + -") == b"*0\r\n"
    assert ask(wire, "XRANGE text - +") == WRONG_TYPE
    for bad in ("(-", "(+", "(", "x"):
        assert ask(wire, f"XRANGE s {bad} +") == ask(wire, f"XRANGE absent - {bad}") == INVALID_ID
    last = (LARGEST + b"-" + LARGEST).decode()
    assert ask(wire, f"XRANGE s ({last} +") == b"-ERR invalid start ID for the interval\r\n"
    assert ask(wire, "XREVRANGE s (0-0 -") == b"-ERR invalid end ID for the interval\r\n"
    assert ask(wire, "XRANGE s - + COUNT 9223372036854775807") == entries("1-1 a 1")


def test_deleting(wire: Wire) -> None:
    for name in ("1-1", "2-1", "3-1"):
        wire.call("XADD", "s", name, "a", "1")
    assert ask(wire, "XDEL s 1-1 1-1 9-9") == b":1\r\n"
    assert ask(wire, "XDEL s 2-1 x") == INVALID_ID
    assert ask(wire, "XLEN s") == b":2\r\n"
    assert ask(wire, "XDEL absent x") == b":0\r\n"
    assert ask(wire, "XDEL text 1") == WRONG_TYPE
    assert ask(wire, "XDEL s 2-1 3-1") == b":2\r\n"
    assert ask(wire, "XRANGE s - +") == b"*0\r\n"
    assert ask(wire, "EXISTS s") == b":1\r\n"
    assert ask(wire, "XADD s 3-1 a 1") == SMALL_ID
    assert ask(wire, "XADD s 4-1 a 1") == bulk(b"4-1")


def test_setid(wire: Wire) -> None:
    assert ask(wire, "XSETID s 1-1") == b"-ERR no such key\r\n"
    assert ask(wire, "XSETID text 1-1") == WRONG_TYPE
    wire.call("XADD", "s", "6-1", "a", "1")
    assert ask(wire, "XSETID s 5-1") == (
        b"-ERR The ID specified in XSETID is smaller than the target stream top item\r\n"
    )
    assert ask(wire, "XSETID s 9-0 ENTRIESADDED 0") == (
        b"-ERR The entries_added specified in XSETID is smaller than the target stream length\r\n"
    )
    assert ask(wire, "XSETID s 9-0 ENTRIESADDED -1") == b"-ERR entries_added must be positive\r\n"
    assert ask(wire, "XSETID s 9-0 MAXDELETEDID 10-0") == (
        b"-ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id\r\n"
    )
    assert ask(wire, "XSETID s 9-0 ENTRIESADDED 7 MAXDELETEDID 3-0") == b"+OK\r\n"
    assert ask(wire, "XADD s 9-0 a 1") == SMALL_ID


def test_read(wire: Wire, protocol: int) -> None:
    wire.call("XADD", "s", "1-1", "a", "1")
    wire.call("XADD", "s", "2-1", "a", "2", "b", "3")
    wire.call("XADD", "t", "1-1", "z", "1")
    both = entries("1-1 a 1", "2-1 a 2 b 3")
    assert ask(wire, "XREAD STREAMS s 0") == ask(wire, "XREAD COUNT 0 STREAMS s 0-1") == streams(protocol, s=both)
    assert ask(wire, "XREAD COUNT 1 STREAMS s absent t 0 0 0") == (
        streams(protocol, s=entries("1-1 a 1"), t=entries("1-1 z 1"))
    )
    assert ask(wire, "XREAD STREAMS s 2-1") == ask(wire, "XREAD STREAMS s $") == NULL_ARRAY[protocol]
    assert ask(wire, "XREAD COUNT 3 STREAMS s +") == streams(protocol, s=entries("2-1 a 2 b 3"))
    assert ask(wire, "XREAD STREAMS absent +") == NULL_ARRAY[protocol]
    assert ask(wire, "XREAD STREAMS s text 0 0") == WRONG_TYPE
    assert ask(wire, "XREAD STREAMS s x") == INVALID_ID
    assert ask(wire, "XREAD STREAMS s t 0") == (
        b"-ERR Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be specified.\r\n"
    )
    assert ask(wire, "XREAD BLOCK -1 STREAMS s 0") == b"-ERR timeout is negative\r\n"
    assert ask(wire, "XREAD COUNT 1 COUNT 2") == b"-ERR syntax error\r\n"


def test_read_waits(server: ServerProcess, wire: Wire, protocol: int) -> None:
    wire.call("XADD", "s", "5-1", "a", "1")
    with server.connect(protocol=protocol) as waiting:
        for mark, line in (("$", "6-1 b 2"), ("+", "7-1 b 2"), ("7-1", "8-1 b 2")):
            if mark == "+":
                wire.call("XDEL", "s", "6-1")
            waiting.send_command("XREAD", "BLOCK", "0", "STREAMS", "absent", "s", "$", mark)
            while b"blocked_clients:1" not in wire.call("INFO", "clients").text:
                pass
            wire.call("XDEL", "s", "5-1")
            wire.call("XTRIM", "s", "MAXLEN", "1000")
            wire.call("XADD", "s", *line.split())
            assert waiting.reply().raw == streams(protocol, s=entries(line))


def test_memory_comes_back(wire: Wire) -> None:
    wire.call("CONFIG", "SET", "stream-node-max-entries", "1")
    for number in range(500):
        wire.call("XADD", "s", f"{number + 1}", "field", "x" * (number % 70))
    assert wire.call("MEMORY", "USAGE", "s").number > 500 * 40
    assert ask(wire, "COPY s copy") == b":1\r\n"
    assert wire.call("XRANGE", "copy", "-", "+").raw == wire.call("XRANGE", "s", "-", "+").raw
    assert wire.call("XDEL", "copy", *range(1, 400)).number == 399
    assert ask(wire, "XLEN s") == b":500\r\n"
    assert ask(wire, "UNLINK s copy") == b":2\r\n"
