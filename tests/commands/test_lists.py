"""List commands over a socket: requests as text, replies as the exact bytes."""

from collections.abc import Iterator

import pytest

from harness.process import ServerProcess
from harness.wire import Wire

WRONG_TYPE = b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
NOT_INTEGER = b"-ERR value is not an integer or out of range\r\n"
NOT_POSITIVE = b"-ERR value is out of range, must be positive\r\n"
SYNTAX = b"-ERR syntax error\r\n"
NULL = {2: b"$-1\r\n", 3: b"_\r\n"}
NULL_ARRAY = {2: b"*-1\r\n", 3: b"_\r\n"}
MINIMUM = b"-9223372036854775808"


def bulk(value: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(value), value)


def array(*values: bytes) -> bytes:
    return b"*%d\r\n" % len(values) + b"".join(bulk(value) for value in values)


@pytest.fixture(params=[2, 3])
def protocol(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def wire(server: ServerProcess, protocol: int) -> Iterator[Wire]:
    with server.connect(protocol=protocol) as connection:
        connection.call("FLUSHALL")
        connection.call("SET", "text", "x")
        yield connection
        connection.call("CONFIG", "SET", "list-max-listpack-size", "-2")
        connection.call("FLUSHALL")


def ask(wire: Wire, line: str) -> bytes:
    return wire.call(*line.split(" ")).raw


def fill(wire: Wire, *values: bytes, key: bytes = b"list") -> None:
    wire.call("DEL", key)
    assert wire.call("RPUSH", key, *values).number == len(values)


def content(wire: Wire, key: bytes = b"list") -> list[bytes]:
    return [item.text for item in wire.call("LRANGE", key, 0, -1).items]


def test_push(wire: Wire) -> None:
    assert ask(wire, "LPUSHX list a") == b":0\r\n"
    assert ask(wire, "RPUSHX list a") == b":0\r\n"
    assert ask(wire, "EXISTS list") == b":0\r\n"
    assert ask(wire, "LPUSH list a b c") == b":3\r\n"
    assert ask(wire, "RPUSH list 1 2") == b":5\r\n"
    assert ask(wire, "LPUSHX list d e") == b":7\r\n"
    assert ask(wire, "RPUSHX list 3") == b":8\r\n"
    assert ask(wire, "LLEN list") == b":8\r\n"
    assert ask(wire, "TYPE list") == b"+list\r\n"
    assert content(wire) == [b"e", b"d", b"c", b"b", b"a", b"1", b"2", b"3"]


@pytest.mark.parametrize(
    "line",
    [
        "LPUSH text a", "RPUSH text a", "LPUSHX text a", "RPUSHX text a", "LPOP text", "RPOP text 1", "LPOP text 0",
        "LLEN text", "LRANGE text 0 1", "LINDEX text 0", "LINDEX text a", "LSET text 0 a", "LSET text a b",
        "LINSERT text BEFORE a b", "LREM text 0 a", "LTRIM text 0 1", "LPOS text a", "LPOS text a COUNT 0",
        "RPOPLPUSH text list", "LMOVE text list LEFT LEFT", "LMPOP 2 absent text LEFT",
    ],
)  # fmt: skip
def test_another_type_is_refused(wire: Wire, line: str) -> None:
    assert ask(wire, line) == WRONG_TYPE
    assert ask(wire, "GET text") == bulk(b"x")


def test_pop(wire: Wire, protocol: int) -> None:
    null, null_array = NULL[protocol], NULL_ARRAY[protocol]
    assert ask(wire, "LPOP list") == ask(wire, "RPOP list") == null
    assert ask(wire, "LPOP list 0") == ask(wire, "RPOP list 1") == null_array
    for count in ("-1", "x", "9223372036854775808"):
        assert ask(wire, f"LPOP list {count}") == ask(wire, f"LPOP text {count}") == NOT_POSITIVE
    assert ask(wire, "LPOP list 1 2") == b"-ERR wrong number of arguments for 'lpop' command\r\n"
    fill(wire, *b"a b c d e f g h".split())
    assert ask(wire, "LPOP list") == bulk(b"a")
    assert ask(wire, "RPOP list") == bulk(b"h")
    assert ask(wire, "LPOP list 0") == array()
    assert ask(wire, "LPOP list 2") == array(b"b", b"c")
    assert ask(wire, "RPOP list 2") == array(b"g", b"f")
    assert ask(wire, "RPOP list 1") == array(b"e")
    assert ask(wire, "RPOP list 9223372036854775807") == array(b"d")
    assert ask(wire, "EXISTS list") == b":0\r\n"


def test_range(wire: Wire) -> None:
    assert ask(wire, "LRANGE absent 0 1") == array()
    assert ask(wire, "LRANGE absent a 1") == NOT_INTEGER
    assert ask(wire, "LRANGE absent 0 b") == NOT_INTEGER
    values = [b"%d" % number for number in range(-5, 5)]
    fill(wire, *values)
    for start in (0, 1, 5, 9, 10, 11, -1, -3, -10, -11, -(2**63)):
        for stop in (0, 1, 5, 9, 10, 2**63 - 1, -1, -2, -10, -11, -(2**63)):
            first = max(0, start + 10 if start < 0 else start)
            last = stop + 10 if stop < 0 else stop
            assert ask(wire, f"LRANGE list {start} {stop}") == array(*values[first : max(0, last + 1)])


def test_index(wire: Wire, protocol: int) -> None:
    assert ask(wire, "LINDEX absent a") == NULL[protocol]
    fill(wire, b"a", b"17", b"c")
    assert ask(wire, "LINDEX list x") == NOT_INTEGER
    assert [wire.call("LINDEX", "list", index).value for index in (0, 1, 2, 3, -1, -3, -4, MINIMUM)] == [
        b"a", b"17", b"c", None, b"c", b"a", None, None,
    ]  # fmt: skip


def test_set(wire: Wire) -> None:
    assert ask(wire, "LSET absent 0 a") == ask(wire, "LSET absent x a") == b"-ERR no such key\r\n"
    fill(wire, b"a", b"b", b"c")
    assert ask(wire, "LSET list x a") == NOT_INTEGER
    assert ask(wire, "LSET list 3 a") == ask(wire, "LSET list -4 a") == b"-ERR index out of range\r\n"
    assert ask(wire, "LSET list 0 100000") == ask(wire, "LSET list -1 z") == b"+OK\r\n"
    assert content(wire) == [b"100000", b"b", b"z"]


def test_insert(wire: Wire) -> None:
    assert ask(wire, "LINSERT absent BETWEEN a b") == SYNTAX
    assert ask(wire, "LINSERT absent BEFORE a b") == b":0\r\n"
    fill(wire, b"a", b"5", b"a")
    assert ask(wire, "LINSERT list BEFORE missing b") == b":-1\r\n"
    assert ask(wire, "LINSERT list before a first") == b":4\r\n"
    assert ask(wire, "LINSERT list After a second") == b":5\r\n"
    assert ask(wire, "LINSERT list AFTER 5 6") == b":6\r\n"
    assert content(wire) == [b"first", b"a", b"second", b"5", b"6", b"a"]


def test_remove(wire: Wire) -> None:
    assert ask(wire, "LREM absent 1 a") == b":0\r\n"
    assert ask(wire, "LREM absent x a") == NOT_INTEGER
    assert wire.call("LREM", "absent", MINIMUM, "a").raw == (
        b"-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807\r\n"
    )
    for line, removed, rest in (
        ("LREM list 1 a", 1, b"1b12ab1"),
        ("LREM list -2 1", 2, b"a1b2ab"),
        ("LREM list 0 1", 3, b"ab2ab"),
        ("LREM list 9 1", 3, b"ab2ab"),
    ):
        fill(wire, *(bytes([byte]) for byte in b"a1b12ab1"))
        assert ask(wire, line) == b":%d\r\n" % removed
        assert b"".join(content(wire)) == rest
    assert ask(wire, "LREM list 0 a") == b":2\r\n"
    assert ask(wire, "LREM list 0 b") == b":2\r\n"
    assert ask(wire, "LREM list -1 2") == b":1\r\n"
    assert ask(wire, "EXISTS list") == b":0\r\n"


def test_trim(wire: Wire) -> None:
    assert ask(wire, "LTRIM absent 0 1") == b"+OK\r\n"
    assert ask(wire, "LTRIM absent a 1") == NOT_INTEGER
    values = [b"%d" % number for number in range(10)]
    for start, stop in ((0, -1), (2, 5), (-3, -1), (0, 100), (-100, 3), (5, 2), (10, 20), (0, -11), (9, 9)):
        fill(wire, *values)
        assert ask(wire, f"LTRIM list {start} {stop}") == b"+OK\r\n"
        first = max(0, start + 10 if start < 0 else start)
        last = stop + 10 if stop < 0 else stop
        assert content(wire) == values[first : max(0, last + 1)]


def test_position_options(wire: Wire, protocol: int) -> None:
    fill(wire, *b"a b c 1 2 3 c c".split())
    null = NULL[protocol]
    for options, expected in {
        "c": b":2\r\n", "3": b":5\r\n", "x": null, "c RANK 2": b":6\r\n", "c RANK -1": b":7\r\n", "c RANK 4": null,
        "c COUNT 0": b"*3\r\n:2\r\n:6\r\n:7\r\n", "c COUNT 1": b"*1\r\n:2\r\n", "x COUNT 0": b"*0\r\n",
        "c RANK -1 COUNT 2": b"*2\r\n:7\r\n:6\r\n", "c RANK 2 COUNT 5": b"*2\r\n:6\r\n:7\r\n",
        "c MAXLEN 2": null, "c MAXLEN 3": b":2\r\n", "c maxlen 7 count 0": b"*2\r\n:2\r\n:6\r\n",
        "c RANK -9223372036854775807": null, "c RANK 1 RANK 3": b":7\r\n",
        "c COUNT": SYNTAX, "c OTHER 1": SYNTAX, "c RANK x": NOT_INTEGER,
        "c COUNT -1": b"-ERR COUNT can't be negative\r\n", "c MAXLEN -1": b"-ERR MAXLEN can't be negative\r\n",
        "c COUNT x": b"-ERR COUNT can't be negative\r\n",
        "c RANK 0": b"-ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use "
                    b"negative to start from the end of the list\r\n",
        "c RANK -9223372036854775808": b"-ERR value is out of range, value must between -9223372036854775807 and "
                                       b"9223372036854775807\r\n",
    }.items():  # fmt: skip
        assert ask(wire, f"LPOS list {options}") == expected, options
    assert ask(wire, "LPOS absent c") == null
    assert ask(wire, "LPOS absent c COUNT 1") == b"*0\r\n"


def test_move(wire: Wire, protocol: int) -> None:
    null = NULL[protocol]
    assert ask(wire, "RPOPLPUSH absent text") == ask(wire, "LMOVE absent text LEFT LEFT") == null
    fill(wire, b"1", b"2", b"3")
    assert ask(wire, "LMOVE list other UP LEFT") == ask(wire, "LMOVE list other LEFT DOWN") == SYNTAX
    assert ask(wire, "RPOPLPUSH list text") == ask(wire, "LMOVE list text LEFT LEFT") == WRONG_TYPE
    assert ask(wire, "RPOPLPUSH list other") == bulk(b"3")
    assert ask(wire, "LMOVE list other left RIGHT") == bulk(b"1")
    assert (content(wire), content(wire, b"other")) == ([b"2"], [b"3", b"1"])
    assert ask(wire, "RPOPLPUSH other other") == bulk(b"1")
    assert ask(wire, "LMOVE other other LEFT LEFT") == bulk(b"1")
    assert content(wire, b"other") == [b"1", b"3"]
    assert ask(wire, "LMOVE list list LEFT RIGHT") == bulk(b"2")
    assert ask(wire, "LMOVE list other RIGHT LEFT") == bulk(b"2")
    assert ask(wire, "EXISTS list") == b":0\r\n"
    assert content(wire, b"other") == [b"2", b"1", b"3"]


def test_pop_from_the_first_of_several(wire: Wire, protocol: int) -> None:
    assert ask(wire, "LMPOP 2 absent list LEFT") == NULL_ARRAY[protocol]
    fill(wire, b"1", b"2", b"3", b"4", b"5")
    for line, expected in {
        "LMPOP 0 list LEFT": b"-ERR numkeys should be greater than 0\r\n",
        "LMPOP x list LEFT": b"-ERR numkeys should be greater than 0\r\n",
        "LMPOP 2 list LEFT": SYNTAX,
        "LMPOP 9223372036854775807 list LEFT": SYNTAX,
        "LMPOP 1 list UP": SYNTAX,
        "LMPOP 1 list LEFT COUNT": SYNTAX,
        "LMPOP 1 list LEFT COUNT 1 COUNT 1": SYNTAX,
        "LMPOP 1 list LEFT COUNT 0": b"-ERR count should be greater than 0\r\n",
    }.items():
        assert ask(wire, line) == expected, line
    assert ask(wire, "LMPOP 2 absent list left") == b"*2\r\n" + bulk(b"list") + array(b"1")
    assert ask(wire, "LMPOP 1 list RIGHT COUNT 2") == b"*2\r\n" + bulk(b"list") + array(b"5", b"4")
    assert ask(wire, "LMPOP 1 list LEFT count 9") == b"*2\r\n" + bulk(b"list") + array(b"2", b"3")
    assert ask(wire, "EXISTS list") == b":0\r\n"


def test_encoding_follows_the_size(wire: Wire) -> None:
    fill(wire, b"a")
    assert ask(wire, "OBJECT ENCODING list") == bulk(b"listpack")
    wire.call("RPUSH", "list", b"x" * 8190)
    assert ask(wire, "OBJECT ENCODING list") == bulk(b"quicklist")
    assert ask(wire, "RPOP list") == bulk(b"x" * 8190)
    assert ask(wire, "OBJECT ENCODING list") == bulk(b"listpack")
    wire.call("CONFIG", "SET", "list-max-listpack-size", "4")
    fill(wire, b"1", b"2", b"3", b"4")
    assert ask(wire, "OBJECT ENCODING list") == bulk(b"listpack")
    wire.call("LPUSH", "list", "0")
    assert ask(wire, "OBJECT ENCODING list") == bulk(b"quicklist")


def test_large_elements_pass_through_every_command(wire: Wire) -> None:
    """From 16 KB a reply refers to the list's own memory: it must be right after the element is gone, too."""
    large = [bytes([97 + i]) * size for i, size in enumerate((9_000, 20_000, 40_000, 200_000))]
    fill(wire, *large)
    replies = wire.pipeline(
        [
            ("LRANGE", "list", 0, -1), ("LINDEX", "list", 2), ("LMOVE", "list", "other", "LEFT", "RIGHT"),
            ("RPOP", "list"), ("LSET", "list", 0, "small"), ("LPUSH", "other", large[2]), ("DEL", "list"),
            ("LRANGE", "other", 0, -1), ("LPOP", "other", 5),
        ]
    )  # fmt: skip
    assert [reply.plain() for reply in replies] == [
        large, large[2], large[0], large[3], b"OK", 2, 1, [large[2], large[0]], [large[2], large[0]],
    ]  # fmt: skip


def test_a_long_list_is_answered_whole(wire: Wire) -> None:
    values = [b"element:%d" % number for number in range(20_000)]
    fill(wire, *values)
    assert content(wire) == values
    assert wire.call("RPOP", "list", 15_000).plain() == values[:4999:-1]
    assert wire.call("LTRIM", "list", 10, 4000).text == b"OK"
    assert content(wire) == values[10:4001]


def test_an_expiry_stays_with_the_list_and_goes_with_the_key(wire: Wire) -> None:
    fill(wire, b"a", b"b")
    wire.call("EXPIRE", "list", 1000)
    wire.call("RPUSH", "list", b"c" * 10_000)
    assert 990 < wire.call("TTL", "list").number <= 1000
    wire.call("LPOP", "list", 3)
    wire.call("RPUSH", "list", "a")
    assert wire.call("TTL", "list").number == -1
