"""SORT and SORT_RO beside Valkey: the same requests on the same keys, replies and what is stored compared."""

from collections.abc import Iterator

import pytest

from harness.process import ServerProcess
from harness.wire import Wire
from ranvier.commands.spec import load_table

IMPLEMENTED = {record.name for record in load_table().implemented()}
SETUP = [
    "RPUSH l 3 1 2 10 -1 2.5", "SADD s 3 1 2", "ZADD z 5 a 1 b 3 c", "SET text x", "RPUSH one 7",
    "MSET w_1 30 w_2 20 w_3 10 d_1 one d_2 two w_10 1e3 same_1 x same_2 x same_3 y", "HSET h_1 f 9 g x", "HSET h_2 f 8",
    "RPUSH many 5 4 3 2 1 5 4 3 2 1", "RPUSH words b a A aa B", "RPUSH list_1 a",
]
WHOLE = [
    "SORT l", "SORT l DESC", "SORT l ALPHA", "SORT l ALPHA DESC", "SORT l LIMIT 1 2", "SORT l LIMIT -1 2",
    "SORT l LIMIT 1 -1", "SORT l LIMIT 6 1", "SORT l LIMIT 0 0", "SORT l LIMIT 0 -5", "SORT l LIMIT x 1",
    "SORT l LIMIT 9223372036854775807 9223372036854775807", "SORT l LIMIT 1 9223372036854775807", "SORT l LIMIT 1",
    "SORT l LIMIT 1 9223372036854775808", "SORT l LIMIT -9223372036854775808 3", "SORT l DESC LIMIT 1 3",
    "SORT l BY w_*", "SORT l BY w_* GET d_*", "SORT l BY h_*->f", "SORT l BY h_*->", "SORT l BY h_*->f DESC",
    "SORT l BY w_* GET # GET d_* GET h_*->f GET h_*->no GET h_* GET d_*->f GET nostar GET * GET h_*->", "SORT l BY *",
    "SORT l BY nosort", "SORT l BY nosort DESC", "SORT l BY nosort LIMIT 1 2", "SORT l BY nosort DESC LIMIT 1 2",
    "SORT l BY nosort LIMIT 9223372036854775807 5", "SORT l BY nosort DESC LIMIT 9223372036854775807 5",
    "SORT l BY nosort LIMIT 2 -1", "SORT l BY nosort DESC LIMIT 2 -1", "SORT l BY d_*", "SORT l BY d_* ALPHA",
    "SORT l BY d_* ALPHA DESC", "SORT many BY same_* ALPHA", "SORT many BY same_* ALPHA DESC", "SORT many BY same_*",
    "SORT words ALPHA", "SORT words ALPHA DESC", "SORT words", "SORT words ALPHA LIMIT 1 2",
    "SORT s", "SORT s DESC", "SORT z", "SORT z ALPHA", "SORT z BY nosort", "SORT z BY nosort DESC", "SORT s BY w_*",
    "SORT z BY nosort LIMIT 1 1", "SORT z BY nosort DESC LIMIT 0 2", "SORT z BY nosort LIMIT 5 5", "SORT s GET d_*",
    "SORT z BY nosort LIMIT 1 -1", "SORT text", "SORT no", "SORT no STORE x", "SORT l STORE",
    "SORT l STORE x STORE y", "SORT l FOO", "SORT l GET", "SORT l BY", "SORT_RO l STORE x", "SORT_RO l", "SORT_RO",
    "SORT", "SORT l BY #", "SORT l BY nosort GET # STORE x", "SORT s BY nosort STORE x", "SORT l GET d_* STORE x",
    "SORT l LIMIT 10 1 STORE one", "SORT text STORE x", "SORT words STORE x", "SORT l ASC DESC ASC",
    "SORT one STORE one",
    "SORT l limit 0 2 Limit 1 1", "SORT l BY w_* BY nosort", "SORT l BY nosort BY w_*", "SORT l GET h_*->f->g",
    "SORT s BY nosort LIMIT 0 1 STORE x", "SORT l GET GET", "SORT z BY nosort STORE x", "SORT z BY nosort DESC STORE x",
    "SORT l BY w_*->f", "SORT l STORE l", "SORT l STORE text", "SORT no STORE one", "SORT l GET list_*",
    "SORT no ALPHA X",
]
NEEDS = {"s": "SADD", "z": "ZADD", "h": "HSET"}


def is_here(line: str) -> bool:
    """Whether Ranvier has the types that the request works on."""
    return all(need in IMPLEMENTED or f" {key}" not in f" {line}".replace("_", " ").replace("sort", "")
               for key, need in NEEDS.items())


@pytest.fixture(params=[2, 3])
def pair(request: pytest.FixtureRequest, server: ServerProcess, valkey: ServerProcess) -> Iterator[tuple[Wire, Wire]]:
    with server.connect(protocol=request.param) as ours, valkey.connect(protocol=request.param) as theirs:
        for wire in (ours, theirs):
            wire.call("FLUSHALL")
        yield ours, theirs
        for wire in (ours, theirs):
            wire.call("FLUSHALL")


def answers(wire: Wire, line: str) -> list[bytes]:
    for words in SETUP:
        if words.split()[0] in IMPLEMENTED:
            wire.call(*words.split())
    found = [wire.call(*line.split()).raw]
    for key in ("x", "y", "one", "l", "text"):
        found += [wire.call("TYPE", key).raw, wire.call("LRANGE", key, 0, -1).raw]
        found.append(wire.call("OBJECT", "ENCODING", key).raw)
    return found


@pytest.mark.parametrize("line", [line for line in WHOLE if is_here(line)])
def test_replies_are_valkeys(line: str, pair: tuple[Wire, Wire]) -> None:
    ours, theirs = (answers(wire, line) for wire in pair)
    assert ours == theirs


@pytest.mark.parametrize("text", [
    *(b"0x10", b" 1", b"1 ", b"", b"1\0x", b"inf", b"-inf", b"Infinity", b"nan", b"1e400", b"1e-400", b"-0", b"+5"),
    *(b".5", b"5.", b"1_0", b"0x", b"0x1p3", b"nan(5)", b"1e5x", b"\t3", b"\xd9\xa3", b"\0", b"1e-310", b"1d", b"1,5"),
    *(b"1e", b"-", b"+", b".", b"abc", b"-1e-400", b"0e-400", b"1e308", b"-1e400", b"infx", b"infinit", b"+inf"),
    *(b"9007199254740993", b"9223372036854775808", b"0" * 400, b"1" * 309, b"1" * 310, b"4.9e-324", b"2e-324"),
])
def test_what_is_a_double(text: bytes, pair: tuple[Wire, Wire]) -> None:
    found = []
    for wire in pair:
        wire.call("RPUSH", "k", text, "7", "-3", b"9007199254740992")
        found.append(wire.call("SORT", "k").raw)
    assert found[0] == found[1]


def test_a_long_list_is_stored_as_lists_are(pair: tuple[Wire, Wire]) -> None:
    found = []
    for wire in pair:
        wire.call("RPUSH", "k", *(str(number * 7919 % 5003) for number in range(5000)))
        wire.call("SORT", "k", "STORE", "x")
        wire.call("CONFIG", "SET", "list-max-listpack-size", "100")
        wire.call("SORT", "k", "LIMIT", "0", "200", "STORE", "y")
        wire.call("CONFIG", "SET", "list-max-listpack-size", "-2")
        found.append([wire.call("LRANGE", key, 0, -1).raw + wire.call("OBJECT", "ENCODING", key).raw for key in "xy"])
    assert found[0] == found[1]


def test_binary_names(pair: tuple[Wire, Wire]) -> None:
    found = []
    for wire in pair:
        wire.call("MSET", b"w\r\n\xff1", "9", b"w\r\n\xff2", "8")
        wire.call("RPUSH", "k", "1", "2")
        found.append(wire.call("SORT", "k", "BY", b"w\r\n\xff*", "GET", b"w\r\n\xff*").raw)
    assert found[0] == found[1]


@pytest.mark.parametrize("rest", ["ALPHA", "ALPHA DESC", "ALPHA STORE x", "ALPHA DESC STORE x", "BY w* ALPHA"])
def test_texts_end_at_a_nul_byte_unless_they_are_stored(rest: str, pair: tuple[Wire, Wire]) -> None:
    found = []
    for wire in pair:
        wire.call("RPUSH", "k", b"\0b", b"\0a", b"x\0b", b"x\0a", b"", b"\xff", b"\x80a", b"Z", b"z", b"\xc3\xa9")
        wire.call("MSET", b"wZ", b"b\0b", b"wz", b"b\0a", b"w", b"")
        found.append(wire.call("SORT", "k", *rest.split()).raw + wire.call("LRANGE", "x", 0, -1).raw)
    assert found[0] == found[1]
