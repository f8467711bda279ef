"""What Redis 8 has and Valkey 9.1 does not: SET with conditions, INCREX, LMOVEM, SDIFFCARD, SUNIONCARD.

There is no reference to hold it against: what is expected is what Redis's documentation says, and what its client asks.
(DIGEST and DELEX: test_string_digests.py; XACKDEL and XDELEX: test_stream_groups.py.)
"""

from collections.abc import Iterator

import pytest
import redis

from harness.process import ServerProcess
from harness.waiting import eventually
from harness.wire import Wire

SYNTAX = b"-ERR syntax error\r\n"
NOT_AN_INTEGER = b"-ERR value is not an integer or out of range\r\n"
NOT_A_FLOAT = b"-ERR value is not a valid float\r\n"
WRONG_TYPE = b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
LARGEST = 2**63 - 1


@pytest.fixture(params=[2, 3])
def wire(request: pytest.FixtureRequest, server: ServerProcess) -> Iterator[Wire]:
    with server.connect(protocol=request.param) as connection:
        connection.call("FLUSHALL")
        yield connection
        connection.call("FLUSHALL")


@pytest.fixture
def client(server: ServerProcess) -> Iterator[redis.Redis]:
    with redis.Redis(port=server.port) as connection:
        connection.flushall()
        yield connection
        connection.flushall()


# SET

@pytest.mark.parametrize(("words", "sets"), [
    (("IFEQ", "v"), True), (("IFEQ", "w"), False), (("IFNE", "v"), False), (("ifne", "w"), True),
    (("IFDEQ", "%"), True), (("IFDEQ", "0" * 16), False), (("IFDNE", "%"), False), (("ifdne", "0" * 16), True),
])
def test_set_under_a_condition(wire: Wire, words: tuple[str, str], sets: bool) -> None:
    wire.call("SET", "k", "v", "EX", 1000)
    given = [wire.call("DIGEST", "k").text.upper() if word == "%" else word for word in words]
    reply = wire.call("SET", "k", "new", *given, "KEEPTTL")
    assert reply.value == (b"OK" if sets else None)
    assert wire.call("GET", "k").text == (b"new" if sets else b"v")
    assert wire.call("TTL", "k").number > 0
    wire.call("SET", "k", "v")
    assert wire.call("SET", "k", "new", "GET", *given).text == b"v"
    assert wire.call("GET", "k").text == (b"new" if sets else b"v")


@pytest.mark.parametrize(("words", "sets"), [
    (("IFEQ", ""), False), (("IFNE", ""), True), (("IFDEQ", "0" * 16), False), (("IFDNE", "0" * 16), True),
])
def test_an_absent_key_differs_from_every_value(wire: Wire, words: tuple[str, str], sets: bool) -> None:
    assert wire.call("SET", "k", "new", *words).value == (b"OK" if sets else None)
    assert wire.call("EXISTS", "k").number == sets


@pytest.mark.parametrize("words", [
    "IFNE", "IFDEQ", "NX IFNE a", "IFNE a XX", "IFEQ a IFNE b", "IFDNE 0000000000000000 IFDEQ 0000000000000000",
    "IFNE a IFNE a",
])
def test_conditions_that_are_no_syntax(wire: Wire, words: str) -> None:
    assert wire.call("SET", "k", "v", *words.split()).raw == SYNTAX
    assert wire.call("MSETEX", 1, "k", "v", "IFNE", "a").raw == SYNTAX
    assert wire.call("GETEX", "k", "IFNE", "a").raw == SYNTAX


def test_conditions_on_other_values(wire: Wire) -> None:
    wire.call("RPUSH", "list", "x")
    for words in (("IFNE", "a"), ("IFDNE", "0" * 16)):
        assert wire.call("SET", "list", "v", *words).raw == WRONG_TYPE
    for digest in ("", "0" * 15, "0" * 17, "x" * 16):
        assert wire.call("SET", "k", "v", "IFDNE", digest).is_error
    wire.call("SET", "n", 12)
    assert wire.call("SET", "n", 13, "IFNE", 12).value is None


# INCREX

def counted(wire: Wire, *words: str | int) -> list[float]:
    reply = wire.call("INCREX", "k", *words)
    assert len(reply.items) == 2, reply
    return [float(item.text) if item.kind == b"$" else item.number for item in reply.items]


def test_counting(wire: Wire) -> None:
    assert counted(wire) == [1, 1]
    assert counted(wire, "BYINT", -5) == [-4, -5]
    assert counted(wire, "byfloat", "0.5") == [-3.5, 0.5]
    assert wire.call("INCREX", "k", "BYFLOAT", 4).items[0].text == b"0.5"
    assert wire.call("INCREX", "k").raw == NOT_AN_INTEGER
    assert wire.call("GET", "k").text == b"0.5"


@pytest.mark.parametrize(("before", "words", "value", "step"), [
    (10, "BYINT 5 UBOUND 12", 10, 0), (10, "BYINT 5 UBOUND 12 SATURATE", 12, 2), (10, "BYINT 5 UBOUND 15", 15, 5),
    (10, "BYINT -5 LBOUND 7", 10, 0), (10, "BYINT -5 LBOUND 7 SATURATE", 7, -3), (10, "LBOUND 0 UBOUND 20", 11, 1),
    (LARGEST - 1, "BYINT 2", LARGEST - 1, 0), (LARGEST - 1, "BYINT 2 SATURATE", LARGEST, 1),
    (-LARGEST, "BYINT -7 SATURATE", -LARGEST - 1, -1), (-LARGEST - 1, "BYINT -1", -LARGEST - 1, 0),
    (50, "BYINT 1 UBOUND 20", 50, 0), (50, "BYINT 1 UBOUND 20 SATURATE", 20, -30),
    (1.5, "BYFLOAT 0.25 LBOUND 0 UBOUND 2", 1.75, 0.25), (1.5, "BYFLOAT 1 UBOUND 2", 1.5, 0),
    (1.5, "BYFLOAT 1 UBOUND 2 SATURATE", 2, 0.5), (1.5, "BYFLOAT -4 LBOUND -1 SATURATE", -1, -2.5),
])
def test_bounds(wire: Wire, before: float, words: str, value: float, step: float) -> None:
    wire.call("SET", "k", before, "EX", 1000)
    assert counted(wire, *words.split(), "EX", 5) == [value, step]
    assert wire.call("GET", "k").text == str(value).removesuffix(".0").encode()
    changed = step != 0
    assert (wire.call("TTL", "k").number <= 5) == changed


def test_an_absent_key_beyond_a_bound_stays_absent(wire: Wire) -> None:
    assert counted(wire, "BYINT", 5, "UBOUND", 4) == [0, 0]
    assert wire.call("EXISTS", "k").number == 0


def test_expiry(wire: Wire) -> None:
    counted(wire, "EX", 1000)
    assert 0 < wire.call("TTL", "k").number <= 1000
    counted(wire)
    assert wire.call("TTL", "k").number > 0
    counted(wire, "PX", 5000, "ENX")
    assert wire.call("TTL", "k").number > 5
    counted(wire, "PERSIST")
    assert wire.call("TTL", "k").number == -1
    counted(wire, "ENX", "EXAT", 4102444800)
    assert wire.call("EXPIRETIME", "k").number == 4102444800
    assert counted(wire, "PXAT", 1) == [6, 1]
    assert wire.call("EXISTS", "k").number == 0


@pytest.mark.parametrize(("words", "error"), [
    ("BYINT x", NOT_AN_INTEGER), ("BYINT 1.5", NOT_AN_INTEGER), ("BYFLOAT x", NOT_A_FLOAT),
    ("BYFLOAT inf", NOT_A_FLOAT),
    ("UBOUND x", NOT_AN_INTEGER), ("BYFLOAT 1 LBOUND x", NOT_A_FLOAT), ("BYINT", SYNTAX), ("BYINT 1 BYFLOAT 1", SYNTAX),
    ("EX 1 PX 1", SYNTAX), ("EX 1 PERSIST", SYNTAX), ("PERSIST EX 1", SYNTAX), ("ENX", SYNTAX), ("ENX PERSIST", SYNTAX),
    ("NX", SYNTAX), ("LBOUND 1 LBOUND 2", SYNTAX), ("UBOUND 1 UBOUND 2", SYNTAX), ("KEEPTTL", SYNTAX), ("EX", SYNTAX),
    ("EX 0", b"-ERR invalid expire time in 'increx' command\r\n"), ("EX x", NOT_AN_INTEGER),
    ("LBOUND 2 UBOUND 1", b"-ERR LBOUND can't be greater than UBOUND\r\n"),
    ("BYFLOAT 1 LBOUND 2 UBOUND 1", b"-ERR LBOUND can't be greater than UBOUND\r\n"),
])
def test_bad_counting(wire: Wire, words: str, error: bytes) -> None:
    wire.call("SET", "k", 5)
    assert wire.call("INCREX", "k", *words.split()).raw == error
    assert wire.call("GET", "k").text == b"5"


def test_counting_other_values(wire: Wire) -> None:
    wire.call("RPUSH", "k", "x")
    assert wire.call("INCREX", "k").raw == WRONG_TYPE
    wire.call("SET", "k", "x")
    assert wire.call("INCREX", "k").raw == NOT_AN_INTEGER
    assert wire.call("INCREX", "k", "BYFLOAT", 1).raw == NOT_A_FLOAT
    wire.call("SET", "k", -LARGEST)
    assert wire.call("INCREX", "k", "LBOUND", LARGEST, "SATURATE").raw == (
        b"-ERR increment or decrement would overflow\r\n"
    )
    wire.call("SET", "k", "1" + "0" * 4932)
    assert wire.call("INCREX", "k", "BYFLOAT", "-1" + "0" * 4932, "LBOUND", 0).items[0].text == b"0"


# LMOVEM

def make_list(wire: Wire, key: str = "a", values: str = "12345") -> None:
    wire.call("DEL", "a", "b")
    wire.call("RPUSH", key, *values)


def moved(wire: Wire, ends: str, *words: str | int) -> tuple[str, str, str]:
    """What was replied, and what both lists hold."""
    names = {"L": "LEFT", "R": "RIGHT"}
    reply = wire.call("LMOVEM", "a", "b", names[ends[0]], names[ends[1]], *words)
    lists = ("".join(item.text.decode() for item in wire.call("LRANGE", key, 0, -1).items) for key in "ab")
    return "".join(item.text.decode() for item in reply.items), *lists  # type: ignore[return-value]


@pytest.mark.parametrize(("ends", "order", "reply", "left", "target"), [
    ("LL", "OBO", "321", "45", "3219"), ("LL", "BULK", "123", "45", "1239"), ("LR", "OBO", "123", "45", "9123"),
    ("LR", "BULK", "123", "45", "9123"), ("RR", "OBO", "543", "12", "9543"), ("RR", "BULK", "345", "12", "9345"),
    ("RL", "OBO", "345", "12", "3459"), ("RL", "BULK", "345", "12", "3459"),
])
def test_many_elements_move(wire: Wire, ends: str, order: str, reply: str, left: str, target: str) -> None:
    for how in ("COUNT", "exactly"):
        make_list(wire)
        wire.call("RPUSH", "b", 9)
        assert moved(wire, ends, how, 3, order) == (reply, left, target)


def test_how_many_move(wire: Wire) -> None:
    make_list(wire)
    assert moved(wire, "LR") == ("1", "2345", "1")
    assert moved(wire, "LR", "COUNT", 99, "BULK") == ("2345", "", "12345")
    assert wire.call("EXISTS", "a").number == 0
    make_list(wire)
    null = b"*-1\r\n" if wire.call("GET", "none").raw == b"$-1\r\n" else b"_\r\n"
    assert wire.call("LMOVEM", "a", "b", "LEFT", "LEFT", "EXACTLY", 6, "OBO").raw == null
    assert wire.call("LMOVEM", "none", "b", "LEFT", "LEFT").raw == null
    assert wire.call("LLEN", "a").number == 5


@pytest.mark.parametrize(("ends", "after"), [("LR", "45123"), ("RL", "34512"), ("LL", "12345"), ("RR", "12345")])
def test_a_list_moves_into_itself(wire: Wire, ends: str, after: str) -> None:
    names = {"L": "LEFT", "R": "RIGHT"}
    for order in ("OBO", "BULK"):
        make_list(wire)
        reply = wire.call("LMOVEM", "a", "a", names[ends[0]], names[ends[1]], "COUNT", 3, order)
        assert len(reply.items) == 3
        assert "".join(item.text.decode() for item in wire.call("LRANGE", "a", 0, -1).items) == after


def test_long_lists_with_long_elements(wire: Wire) -> None:
    values = [f"{number}" * (1 + number * 7 % 3000) for number in range(900)]
    for order in ("OBO", "BULK"):
        wire.call("DEL", "a", "b")
        wire.call("RPUSH", "a", *values)
        reply = wire.call("LMOVEM", "a", "b", "LEFT", "LEFT", "COUNT", 600, order)
        expected = values[:600] if order == "BULK" else values[599::-1]
        assert [item.text.decode() for item in reply.items] == expected
        assert [item.text.decode() for item in wire.call("LRANGE", "b", 0, -1).items] == expected
        assert [item.text.decode() for item in wire.call("LRANGE", "a", 0, -1).items] == values[600:]


@pytest.mark.parametrize("words", [
    "LEFT UP", "UP LEFT", "LEFT LEFT COUNT", "LEFT LEFT COUNT 1", "LEFT LEFT 1 OBO", "LEFT LEFT COUNT 1 X",
    "LEFT LEFT ALL 1 OBO", "LEFT LEFT COUNT 1 OBO BULK", "LEFT LEFT COUNT 0 OBO", "LEFT LEFT EXACTLY -1 OBO",
    "LEFT LEFT COUNT x OBO",
])
def test_bad_moves(wire: Wire, words: str) -> None:
    make_list(wire)
    assert wire.call("LMOVEM", "a", "b", *words.split()).is_error
    first, last, *rest = words.split()
    assert wire.call("BLMOVEM", "a", "b", first, last, 0, *rest).is_error
    wire.call("SET", "s", "x")
    assert wire.call("LMOVEM", "a", "s", "LEFT", "LEFT").raw == WRONG_TYPE
    assert wire.call("LMOVEM", "s", "a", "LEFT", "LEFT").raw == WRONG_TYPE
    assert wire.call("LLEN", "a").number == 5


def test_waiting_for_elements(wire: Wire, server: ServerProcess) -> None:
    with server.connect() as other:
        other.send_command("BLMOVEM", "a", "b", "LEFT", "RIGHT", 0, "EXACTLY", 3, "BULK")
        eventually(lambda: server.info("clients")["blocked_clients"] == "1", "the client is blocked")
        wire.call("RPUSH", "a", 1, 2)
        assert wire.call("LLEN", "a").number == 2
        wire.call("RPUSH", "a", 3, 4)
        assert [item.text for item in other.reply().items] == [b"1", b"2", b"3"]
        assert other.call("BLMOVEM", "a", "b", "LEFT", "RIGHT", 0, "COUNT", 9, "OBO").items[0].text == b"4"
        assert other.call("BLMOVEM", "a", "b", "LEFT", "RIGHT", "0.01").value is None
        other.call("MULTI")
        other.call("BLMOVEM", "a", "b", "LEFT", "RIGHT", 0)
        assert other.call("EXEC").items[0].value is None


# SDIFFCARD, SUNIONCARD

def test_counting_members(wire: Wire) -> None:
    wire.call("SADD", "a", *range(1000))
    wire.call("SADD", "b", *range(500, 1500))
    wire.call("SADD", "c", "x", "y")
    assert wire.call("SDIFFCARD", 2, "a", "b").number == 500
    assert wire.call("SDIFFCARD", 2, "a", "b", "LIMIT", 20).number == 20
    assert wire.call("SDIFFCARD", 2, "a", "b", "LIMIT", 0).number == 500
    assert wire.call("SDIFFCARD", 2, "a", "none").number == 1000
    assert wire.call("SDIFFCARD", 3, "a", "b", "a").number == 0
    assert wire.call("SDIFFCARD", 2, "none", "a").number == 0
    assert wire.call("SUNIONCARD", 3, "a", "b", "c").number == 1502
    assert wire.call("SUNIONCARD", 3, "a", "b", "c", "LIMIT", 1200).number == 1200
    assert wire.call("SUNIONCARD", 2, "none", "c", "LIMIT", 9).number == 2
    assert wire.call("SUNIONCARD", 1, "none").number == 0
    assert 1450 < wire.call("SUNIONCARD", 3, "a", "b", "c", "APPROX").number < 1550
    assert wire.call("SUNIONCARD", 3, "a", "b", "c", "approx", "limit", 7).number == 7


@pytest.mark.parametrize("words", [
    "0 a", "x a", "-1 a", "3 a b", "1 a b", "1 a LIMIT", "1 a LIMIT -1", "1 a LIMIT x", "1 a COUNT 2",
])
def test_bad_counts(wire: Wire, words: str) -> None:
    ours = wire.call("SINTERCARD", *words.split()).raw
    assert ours.startswith(b"-ERR ")
    for command in ("SDIFFCARD", "SUNIONCARD"):
        assert wire.call(command, *words.split()).raw == ours
    assert wire.call("SDIFFCARD", 1, "a", "APPROX").raw == SYNTAX
    wire.call("SET", "s", "x")
    assert wire.call("SUNIONCARD", 2, "a", "s").raw == WRONG_TYPE


# As a client library asks

def test_redis_py_is_understood(client: redis.Redis) -> None:
    client.set("k", "10")
    assert client.increx("k", byint=5, ubound=12) == [10, 0]
    assert client.increx("k", byint=2, ex=60, enx=True) == [12, 2]
    with pytest.warns(UserWarning, match="experimental"):
        assert client.set("k", "v", ifne="w") is True
    client.rpush("a", "1", "2", "3", "4", "5")
    assert client.lmovem("a", "b") == [b"1"]
    assert client.lmovem("a", "b", "LEFT", "LEFT", count=3, ordering="OBO") == [b"4", b"3", b"2"]
    assert client.lmovem("a", "b", "LEFT", "LEFT", count=5, ordering="BULK") == [b"5"]
    assert client.lmovem("a", "b", count=2, ordering="BULK") is None
    assert client.blmovem("a", "b", 0.01, count=2, ordering="BULK") is None
    client.sadd("s", "a", "b")
    assert client.sdiffcard(2, ["s", "t"]) == 2
    assert client.sunioncard(2, ["s", "t"], approx=True) == 2
