"""DIGEST and DELEX, which Valkey 9.1 does not have: digests against known ones, conditions against the digest."""

from collections.abc import Iterator

import pytest

from harness.process import ServerProcess
from harness.wire import Wire

DIGESTS = (
    (0, b"2d06800538d394c2"),
    (1, b"c44bdff4074eecdb"),
    (2, b"d6645fc3051a9457"),
    (3, b"5f4299fc161c9cbb"),
    (4, b"60dab036a58211f2"),
    (7, b"0cd2084a62406b69"),
    (8, b"3a1c2d7c85af88f8"),
    (9, b"e9612598145bb9dc"),
    (15, b"55ecedc2b87bb042"),
    (16, b"8355e3a6f61770db"),
    (17, b"9ef341a99de37328"),
    (32, b"3523581fe96e4c05"),
    (33, b"e68c56ba88991e58"),
    (64, b"6187eb9089b0ed55"),
    (65, b"6928c76ce90422d0"),
    (96, b"278a3e12ea046dfb"),
    (97, b"e7220282dc4e14f4"),
    (128, b"85c6174c7ff4c46b"),
    (129, b"ec7642b431ba3e5a"),
    (143, b"8222e885f060341d"),
    (144, b"028e1e35ff4c0a01"),
    (200, b"f42a8864feaf0703"),
    (240, b"375a384d957fe865"),
    (241, b"02e8cd95421c6d02"),
    (255, b"074191baf9c49567"),
    (256, b"44f5d90dacde463a"),
    (1023, b"d3d91d80ac495685"),
    (1024, b"e5d78bafa45b2aa5"),
    (1025, b"e95c42288f28186e"),
    (1088, b"1a848d807034c403"),
    (1089, b"a51e35ec282cb1d8"),
    (2048, b"25339063db861586"),
    (2049, b"6c9600c0e506e2ae"),
    (5000, b"b418500fc42320ee"),
    (20000, b"1d7286988c9c84ad"),
)


@pytest.fixture
def wire(server: ServerProcess) -> Iterator[Wire]:
    with server.connect() as connection:
        connection.call("FLUSHALL")
        yield connection
        connection.call("FLUSHALL")


@pytest.mark.parametrize(("length", "digest"), DIGESTS)
def test_digests(wire: Wire, length: int, digest: bytes) -> None:
    """The bytes are 0, 1, 2, ...; the digests are those of the xxhash package."""
    wire.call("SET", "k", bytes(index % 251 for index in range(length)))
    assert wire.call("DIGEST", "k").text == digest


def test_digest_of_other_things(wire: Wire) -> None:
    assert wire.call("DIGEST", "k").value is None
    wire.call("SET", "k", "12")
    wire.call("SET", "other", "1")
    wire.call("APPEND", "other", "2")
    assert wire.call("DIGEST", "k").text == wire.call("DIGEST", "other").text
    wire.call("RPUSH", "list", "x")
    assert wire.call("DIGEST", "list").raw.startswith(b"-WRONGTYPE ")


def test_deleting_what_is_still_the_same(wire: Wire) -> None:
    wire.call("SET", "k", "v")
    digest = wire.call("DIGEST", "k").text
    for condition in (("IFEQ", "w"), ("IFNE", "v"), ("IFDNE", digest), ("ifdeq", "0" * 16)):
        assert wire.call("DELEX", "k", *condition).number == 0
    met: list[tuple[str | bytes, ...]] = [("IFEQ", "v"), ("IFNE", "w"), ("IFDEQ", digest.upper()), ("ifdne", "0" * 16)]
    for words in [*met, ()]:
        wire.call("SET", "k", "v")
        assert wire.call("DELEX", "k", *words).number == 1
        assert wire.call("EXISTS", "k").number == 0
        assert wire.call("DELEX", "k", *words).number == 0


def test_bad_input(wire: Wire) -> None:
    wire.call("RPUSH", "list", "x")
    assert wire.call("DELEX", "list", "IFEQ", "x").raw == (
        b"-ERR Key should be of string type if conditions are specified\r\n"
    )
    assert wire.call("DELEX", "k", "IF", "x").raw == b"-ERR syntax error\r\n"
    assert wire.call("DELEX", "k", "IFEQ").raw == b"-ERR wrong number of arguments for 'delex' command\r\n"
    for digest in ("", "0", "0" * 15 + "g", "0" * 17):
        assert wire.call("DELEX", "k", "IFDEQ", digest).is_error
    assert wire.call("DELEX", "list").number == 1
