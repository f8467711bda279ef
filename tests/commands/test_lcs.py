"""LCS against the plain table of the textbook, and at its limit of memory."""

import random
from collections.abc import Iterator

import pytest

from harness.process import ServerProcess
from harness.wire import Wire


@pytest.fixture
def wire(server: ServerProcess) -> Iterator[Wire]:
    with server.connect() as connection:
        connection.call("FLUSHALL")
        yield connection
        connection.call("FLUSHALL")


def length_of(a: bytes, b: bytes) -> int:
    """Row by row, as every textbook has it."""
    row = [0] * (len(b) + 1)
    for one in a:
        before = row
        row = [0]
        for index, other in enumerate(b):
            row.append(before[index] + 1 if one == other else max(before[index + 1], row[index]))
    return row[-1]


def is_within(part: bytes, whole: bytes) -> bool:
    rest = iter(whole)
    return all(byte in rest for byte in part)


@pytest.mark.parametrize("seed", range(20))
def test_common_bytes_and_their_places(wire: Wire, valkey: ServerProcess, seed: int) -> None:
    choose = random.Random(seed)
    a, b = (bytes(choose.choice(b"abcd"[: 1 + seed % 4]) for _ in range(choose.randrange(120))) for _ in range(2))
    wire.call("MSET", "a", a, "b", b)
    common = wire.call("LCS", "a", "b").text
    assert len(common) == wire.call("LCS", "a", "b", "LEN").number == length_of(a, b)
    assert is_within(common, a)
    assert is_within(common, b)
    with valkey.connect() as theirs:
        theirs.call("MSET", "a", a, "b", b)
        for words in ((), ("LEN",), ("IDX",), ("IDX", "MINMATCHLEN", 2, "WITHMATCHLEN")):
            assert wire.call("LCS", "a", "b", *words).raw == theirs.call("LCS", "a", "b", *words).raw
        theirs.call("DEL", "a", "b")


def test_strings_too_long_to_compare(wire: Wire) -> None:
    wire.call("SETRANGE", "a", 40_000, "x")
    assert wire.call("LCS", "a", "a").raw.startswith(b"-ERR Insufficient memory")
    wire.call("SET", "b", "xyz")
    assert wire.call("LCS", "a", "b").text == b"x"
