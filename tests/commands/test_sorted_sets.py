"""Sorted-set commands over a socket: requests as text, replies as the exact bytes."""

from collections.abc import Iterator

import pytest

from harness.process import ServerProcess
from harness.wire import Wire

WRONG_TYPE = b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
NOT_INTEGER = b"-ERR value is not an integer or out of range\r\n"
NOT_FLOAT = b"-ERR value is not a valid float\r\n"
NOT_LIMIT = b"-ERR min or max is not a float\r\n"
NOT_NAME = b"-ERR min or max not valid string range item\r\n"
SYNTAX = b"-ERR syntax error\r\n"
NULL = {2: b"$-1\r\n", 3: b"_\r\n"}
NULL_ARRAY = {2: b"*-1\r\n", 3: b"_\r\n"}


def bulk(value: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(value), value)


def array(*values: bytes) -> bytes:
    return b"*%d\r\n" % len(values) + b"".join(bulk(value) for value in values)


@pytest.fixture(params=[2, 3])
def protocol(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(params=[128, 0])
def wire(server: ServerProcess, protocol: int, request: pytest.FixtureRequest) -> Iterator[Wire]:
    """Both encodings answer alike."""
    with server.connect(protocol=protocol) as connection:
        connection.call("FLUSHALL")
        connection.call("SET", "text", "x")
        connection.call("CONFIG", "SET", "zset-max-listpack-entries", request.param)
        yield connection
        connection.call("CONFIG", "SET", "zset-max-listpack-entries", 128)
        connection.call("FLUSHALL")


def ask(wire: Wire, line: str) -> bytes:
    return wire.call(*line.split(" ")).raw


def score(protocol: int, text: bytes) -> bytes:
    return bulk(text) if protocol == 2 else b",%s\r\n" % text


def pairs(protocol: int, *values: bytes) -> bytes:
    """Members and scores in turns, as the protocol shows them."""
    if protocol == 2:
        return array(*values)
    both = zip(values[::2], values[1::2], strict=True)
    each = (b"*2\r\n" + bulk(name) + score(protocol, number) for name, number in both)
    return b"*%d\r\n" % (len(values) // 2) + b"".join(each)


def test_add(wire: Wire, protocol: int) -> None:
    assert ask(wire, "ZADD z 1 a 2 b 3 c") == b":3\r\n"
    assert ask(wire, "ZADD z 1 a 5 d") == b":1\r\n"
    assert ask(wire, "ZADD z CH 2 a 5 d") == b":1\r\n"
    assert ask(wire, "ZADD z NX 9 a 9 e") == b":1\r\n"
    assert ask(wire, "ZADD z XX 9 f") == b":0\r\n"
    assert ask(wire, "ZADD z GT CH 1 a 9 b") == b":1\r\n"
    assert ask(wire, "ZADD z LT CH 1 a 10 b") == b":1\r\n"
    assert ask(wire, "ZADD z INCR 1.5 a") == score(protocol, b"2.5")
    assert ask(wire, "ZADD z INCR NX 1 a") == ask(wire, "ZADD z XX INCR 1 no") == NULL[protocol]
    assert ask(wire, "ZINCRBY z -0.5 a") == score(protocol, b"2")
    assert ask(wire, "ZCARD z") == b":5\r\n"
    assert ask(wire, "TYPE z") == b"+zset\r\n"
    assert ask(wire, "ZRANGE z 0 -1 WITHSCORES") == pairs(
        protocol, b"a", b"2", b"c", b"3", b"d", b"5", b"b", b"9", b"e", b"9"
    )


def test_what_zadd_refuses(wire: Wire, protocol: int) -> None:
    incompatible = b"-ERR GT, LT, and/or NX options at the same time are not compatible\r\n"
    assert ask(wire, "ZADD z NX XX 1 a") == b"-ERR XX and NX options at the same time are not compatible\r\n"
    assert ask(wire, "ZADD z GT LT 1 a") == ask(wire, "ZADD z NX GT 1 a") == incompatible
    assert ask(wire, "ZADD z 1 a 2") == ask(wire, "ZADD z NX 1") == SYNTAX
    assert ask(wire, "ZADD z INCR 1 a 2 b") == b"-ERR INCR option supports a single increment-element pair\r\n"
    for number in ("nan", "x", "0x10", "1e400", "1_0", "", "1e-400"):
        assert ask(wire, f"ZADD z 1 a {number} b") == ask(wire, f"ZINCRBY z {number} b") == NOT_FLOAT
    assert ask(wire, "EXISTS z") == b":0\r\n"
    assert ask(wire, "ZADD z inf a") == b":1\r\n"
    assert ask(wire, "ZINCRBY z -inf a") == b"-ERR resulting score is not a number (NaN)\r\n"
    assert ask(wire, "ZSCORE z a") == score(protocol, b"inf")


@pytest.mark.parametrize(
    "line",
    [
        "ZADD text 1 a", "ZINCRBY text 1 a", "ZSCORE text a", "ZMSCORE text a", "ZCARD text", "ZRANK text a",
        "ZREVRANK text a", "ZREM text a", "ZRANGE text 0 1", "ZREVRANGE text 0 1", "ZRANGEBYSCORE text 0 1",
        "ZRANGEBYLEX text - +", "ZCOUNT text 0 1", "ZLEXCOUNT text - +", "ZREMRANGEBYRANK text 0 1",
        "ZREMRANGEBYSCORE text 0 1", "ZREMRANGEBYLEX text - +", "ZPOPMIN text", "ZPOPMAX text 0", "ZMPOP 2 no text MIN",
        "BZPOPMIN no text 0", "BZMPOP 0 1 text MAX", "ZRANDMEMBER text", "ZRANDMEMBER text 2", "ZSCAN text 0",
        "ZUNION 2 no text", "ZINTER 1 text", "ZDIFF 2 no text", "ZINTERCARD 1 text", "ZUNIONSTORE z 1 text",
        "ZRANGESTORE z text 0 1",
    ],
)  # fmt: skip
def test_another_type_is_refused(wire: Wire, line: str) -> None:
    assert ask(wire, line) == WRONG_TYPE
    assert ask(wire, "GET text") == bulk(b"x")


def test_looking_up(wire: Wire, protocol: int) -> None:
    assert ask(wire, "ZSCORE z a") == ask(wire, "ZRANK z a") == NULL[protocol]
    assert ask(wire, "ZRANK z a WITHSCORE") == NULL_ARRAY[protocol]
    ask(wire, "ZADD z 1 a 2.5 b 2.5 c")
    assert ask(wire, "ZSCORE z b") == score(protocol, b"2.5")
    assert ask(wire, "ZMSCORE z a no b") == b"*3\r\n" + score(protocol, b"1") + NULL[protocol] + score(protocol, b"2.5")
    assert ask(wire, "ZRANK z c") == b":2\r\n"
    assert ask(wire, "ZREVRANK z c WITHSCORE") == b"*2\r\n:0\r\n" + score(protocol, b"2.5")
    assert ask(wire, "ZRANK z c x") == SYNTAX


def test_ranges(wire: Wire, protocol: int) -> None:
    assert ask(wire, "ZADD z 1 a 2 b 3 c 4 d 5 e") == b":5\r\n"
    for line, expected in {
        "ZRANGE z 0 1": b"ab", "ZRANGE z -2 -1": b"de", "ZRANGE z 3 1": b"", "ZRANGE z -9 9 REV": b"edcba",
        "ZREVRANGE z 0 1": b"ed", "ZRANGE z (1 3 BYSCORE": b"bc", "ZRANGE z 3 (1 BYSCORE REV": b"cb",
        "ZRANGE z -inf +inf BYSCORE LIMIT 1 2": b"bc", "ZRANGE z +inf -inf BYSCORE REV LIMIT 1 2": b"dc",
        "ZRANGEBYSCORE z 2 (4": b"bc", "ZREVRANGEBYSCORE z (4 2": b"cb", "ZRANGEBYSCORE z 4 2": b"",
        "ZRANGEBYSCORE z 0 9 LIMIT 4 -1": b"e", "ZRANGEBYSCORE z 0 9 LIMIT 9 1": b"", "ZRANGEBYSCORE z (inf 9": b"",
    }.items():  # fmt: skip
        assert ask(wire, line) == array(*(bytes([byte]) for byte in expected)), line
    assert ask(wire, "ZRANGEBYSCORE z 2 3 WITHSCORES") == pairs(protocol, b"b", b"2", b"c", b"3")
    assert ask(wire, "ZCOUNT z (1 +inf") == b":4\r\n"
    assert ask(wire, "ZRANGESTORE y z 1 3") == b":3\r\n"
    assert ask(wire, "ZRANGE y 0 -1 WITHSCORES") == pairs(protocol, b"b", b"2", b"c", b"3", b"d", b"4")
    assert ask(wire, "ZRANGESTORE text z 9 10") == b":0\r\n"
    assert ask(wire, "EXISTS text") == b":0\r\n"


def test_ranges_of_names(wire: Wire) -> None:
    ask(wire, "ZADD z 0 a 0 b 0 c 0 d")
    for line, expected in {
        "ZRANGEBYLEX z - +": b"abcd", "ZRANGEBYLEX z [b (d": b"bc", "ZREVRANGEBYLEX z + (b": b"dc",
        "ZRANGEBYLEX z + -": b"", "ZRANGE z [c - BYLEX REV LIMIT 1 1": b"b", "ZRANGEBYLEX z (a [c LIMIT 1 5": b"c",
    }.items():  # fmt: skip
        assert ask(wire, line) == array(*(bytes([byte]) for byte in expected)), line
    assert ask(wire, "ZLEXCOUNT z (a +") == b":3\r\n"
    assert ask(wire, "ZREMRANGEBYLEX z - (c") == b":2\r\n"
    assert ask(wire, "ZRANGE z 0 -1") == array(b"c", b"d")


def test_what_ranges_refuse(wire: Wire) -> None:
    for line, error in {
        "ZRANGE z 0 x": NOT_INTEGER, "ZRANGE z a b BYSCORE": NOT_LIMIT, "ZRANGE z a b BYLEX": NOT_NAME,
        "ZRANGE z 0 1 BYLEX BYSCORE": SYNTAX, "ZRANGE z 0 1 BYSCORE LIMIT 1": SYNTAX, "ZREVRANGE z 0 1 REV": SYNTAX,
        "ZRANGE z 0 1 BYSCORE LIMIT x 1": NOT_INTEGER, "ZCOUNT z nan 1": NOT_LIMIT, "ZLEXCOUNT z x +": NOT_NAME,
        "ZRANGE z 0 1 LIMIT 0 1":
            b"-ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX\r\n",
        "ZRANGEBYLEX z - + WITHSCORES":
            b"-ERR syntax error, WITHSCORES not supported in combination with BYLEX\r\n",
        "ZRANGESTORE y z 0 1 WITHSCORES": SYNTAX, "ZREMRANGEBYRANK z 0 x": NOT_INTEGER,
    }.items():  # fmt: skip
        assert ask(wire, line) == error, line


def test_removing(wire: Wire) -> None:
    ask(wire, "ZADD z 1 a 2 b 3 c 4 d 5 e 6 f")
    assert ask(wire, "ZREM z a no") == b":1\r\n"
    assert ask(wire, "ZREMRANGEBYRANK z 0 0") == b":1\r\n"
    assert ask(wire, "ZREMRANGEBYSCORE z (3 4") == b":1\r\n"
    assert ask(wire, "ZRANGE z 0 -1") == array(b"c", b"e", b"f")
    assert ask(wire, "ZREM z c e f f") == b":3\r\n"
    assert ask(wire, "EXISTS z") == b":0\r\n"


def test_popping(wire: Wire, protocol: int) -> None:
    assert ask(wire, "ZPOPMIN z") == ask(wire, "ZPOPMIN z 0") == b"*0\r\n"
    ask(wire, "ZADD z 1 a 2 b 3 c 4 d 5 e 6 f")
    assert ask(wire, "ZPOPMIN z") == b"*2\r\n" + bulk(b"a") + score(protocol, b"1")
    assert ask(wire, "ZPOPMAX z 2") == pairs(protocol, b"f", b"6", b"e", b"5")
    popped = b"*1\r\n*2\r\n" + bulk(b"b") + score(protocol, b"2")
    assert ask(wire, "ZMPOP 2 no z MIN") == b"*2\r\n" + bulk(b"z") + popped
    assert ask(wire, "BZPOPMAX no z 0") == b"*3\r\n" + bulk(b"z") + bulk(b"d") + score(protocol, b"4")
    assert ask(wire, "BZMPOP 0 1 z MAX COUNT 9") == (
        b"*2\r\n" + bulk(b"z") + b"*1\r\n*2\r\n" + bulk(b"c") + score(protocol, b"3")
    )
    assert ask(wire, "ZMPOP 1 z MIN") == ask(wire, "BZPOPMIN z 0.001") == NULL_ARRAY[protocol]
    assert ask(wire, "ZPOPMIN z -1") == b"-ERR value is out of range, must be positive\r\n"
    assert ask(wire, "ZMPOP 0 z MIN") == b"-ERR numkeys should be greater than 0\r\n"
    assert ask(wire, "ZMPOP 1 z MIN COUNT 0") == b"-ERR count should be greater than 0\r\n"


def test_a_blocked_client_gets_what_comes(wire: Wire, server: ServerProcess) -> None:
    with server.connect() as waiting, server.connect() as behind:
        waiting.send(b"*4\r\n$8\r\nBZPOPMIN\r\n$2\r\nno\r\n$1\r\nz\r\n$1\r\n0\r\n")
        while server.info("clients")["blocked_clients"] != "1":
            pass
        behind.send(b"*5\r\n$6\r\nBZMPOP\r\n$1\r\n0\r\n$1\r\n1\r\n$1\r\nz\r\n$3\r\nMAX\r\n")
        while server.info("clients")["blocked_clients"] != "2":
            pass
        wire.call("ZADD", "z", 1, "a", 2, "b", 3, "c")
        assert waiting.reply().raw == array(b"z", b"a", b"1")
        assert behind.reply().raw == b"*2\r\n" + bulk(b"z") + b"*1\r\n" + array(b"c", b"3")
    assert ask(wire, "ZRANGE z 0 -1") == array(b"b")


def test_combining(wire: Wire, protocol: int) -> None:
    ask(wire, "ZADD x 1 a 2 b 3 c")
    ask(wire, "ZADD y 10 b 20 c 30 d")
    ask(wire, "SADD s b z")
    assert ask(wire, "ZUNION 2 x y") == array(b"a", b"b", b"c", b"d")
    assert ask(wire, "ZUNION 2 x y WEIGHTS 2 1 AGGREGATE MAX WITHSCORES") == pairs(
        protocol, b"a", b"2", b"b", b"10", b"c", b"20", b"d", b"30"
    )
    assert ask(wire, "ZINTER 2 x s WITHSCORES") == pairs(protocol, b"b", b"3")
    assert ask(wire, "ZDIFF 3 x s no WITHSCORES") == pairs(protocol, b"a", b"1", b"c", b"3")
    assert ask(wire, "ZINTERCARD 2 x y LIMIT 1") == b":1\r\n"
    assert ask(wire, "ZUNIONSTORE x 2 x s WEIGHTS inf -inf") == b":4\r\n"
    assert ask(wire, "ZRANGE x 0 -1 WITHSCORES") == pairs(
        protocol, b"z", b"-inf", b"b", b"0", b"a", b"inf", b"c", b"inf"
    )
    assert ask(wire, "ZINTERSTORE x 2 x no") == ask(wire, "EXISTS x") == b":0\r\n"
    for line, error in {
        "ZUNION 0 x": b"-ERR at least 1 input key is needed for 'zunion' command\r\n", "ZINTER 3 x y": SYNTAX,
        "ZUNION x y": NOT_INTEGER, "ZUNION 1 y WEIGHTS x": b"-ERR weight value is not a float\r\n",
        "ZDIFF 1 y WEIGHTS 1": SYNTAX, "ZINTERCARD 1 y LIMIT -1": b"-ERR LIMIT can't be negative\r\n",
        "ZUNIONSTORE x 1 y WITHSCORES": SYNTAX, "ZUNION 1 y AGGREGATE x": SYNTAX,
    }.items():  # fmt: skip
        assert ask(wire, line) == error, line


def test_chance(wire: Wire, protocol: int) -> None:
    assert ask(wire, "ZRANDMEMBER z") == NULL[protocol]
    assert ask(wire, "ZRANDMEMBER z 5") == array()
    wire.call("ZADD", "z", *(part for number in range(100) for part in (number, f"m{number}")))
    names = {b"m%d" % number for number in range(100)}
    assert wire.call("ZRANDMEMBER", "z").text in names
    for count in (1, 10, 33, 34, 99, 100, 1000):
        chosen = [item.text for item in wire.call("ZRANDMEMBER", "z", count).items]
        assert len(set(chosen)) == len(chosen) == min(count, 100)
        assert set(chosen) <= names
    assert len(wire.call("ZRANDMEMBER", "z", -500).items) == 500
    assert len(wire.call("ZRANDMEMBER", "z", -5, "WITHSCORES").items) == (10 if protocol == 2 else 5)
    for count in (-(2**62), 2**62):
        assert ask(wire, f"ZRANDMEMBER z {count} WITHSCORES") == b"-ERR value is out of range\r\n"
    assert ask(wire, "ZRANDMEMBER z 1 x") == SYNTAX
    drawn = {wire.call("ZRANDMEMBER", "z").text for _ in range(3000)}
    assert drawn == names


def test_scan(wire: Wire) -> None:
    wire.call("ZADD", "z", *(part for number in range(1000) for part in (number, f"m{number}")))
    found: dict[bytes, bytes] = {}
    cursor = b"0"
    while True:
        reply = wire.call("ZSCAN", "z", cursor, "COUNT", 50)
        cursor, items = reply.items[0].text, [item.text for item in reply.items[1].items]
        found.update(zip(items[::2], items[1::2], strict=True))
        if cursor == b"0":
            break
    assert found == {b"m%d" % number: b"%d" % number for number in range(1000)}
    reply = wire.call("ZSCAN", "z", 0, "MATCH", "m99", "COUNT", 10_000, "NOSCORES")
    assert [item.text for item in reply.items[1].items] == [b"m99"]
    assert ask(wire, "ZSCAN z x") == b"-ERR invalid cursor\r\n"
    assert ask(wire, "ZSCAN z 0 COUNT 0") == SYNTAX
    assert ask(wire, "ZSCAN no 0") == b"*2\r\n" + bulk(b"0") + b"*0\r\n"


@pytest.mark.parametrize("members", [1, 100, 1000])
def test_a_payload_comes_back(wire: Wire, members: int) -> None:
    wire.call("ZADD", "z", *(part for number in range(members) for part in (number / 3, f"m{number}")))
    payload = wire.call("DUMP", "z").text
    assert wire.call("RESTORE", "y", 0, payload).raw == b"+OK\r\n"
    assert ask(wire, "ZRANGE y 0 -1 WITHSCORES") == ask(wire, "ZRANGE z 0 -1 WITHSCORES")
    assert ask(wire, "OBJECT ENCODING y") == ask(wire, "OBJECT ENCODING z")
