"""The request parser as a peer meets it: bytes in, replies out, cut anywhere (lifecycle A2, A3)."""

import itertools
import random
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from differential.protocol_cases import CASES, UNAUTHENTICATED_CASES, Case
from harness.memory import memory_client, memory_server, read_replies, used_bytes
from harness.wire import encode_command
from ranvier import limits
from ranvier.server.server import Server

PING, PONG = b"PING\r\n", b"+PONG\r\n"
BIG = limits.BIG_ARGUMENT_BYTES
EDGES = (BIG - 1, BIG, BIG + 1, 65536, 200_000)


def echo(*texts: bytes) -> bytes:
    return b"".join(encode_command("ECHO", text) for text in texts)


def bulk(text: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(text), text)


def error(text: str) -> bytes:
    return f"-ERR Protocol error: {text}\r\n".encode()


def talk_in_pieces(data: bytes, pieces: Iterable[bytes], **options: object) -> tuple[bytes, bool]:
    """What a new client of a new server is answered, and whether it was closed."""
    with memory_server(**options) as server, memory_client(server) as client:
        answered = b"".join(client.talk(piece) for piece in pieces)
        return answered, client.handle.closed


def by_bytes(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


# What is sent, what is answered, whether the connection is closed then.
WIRE = [
    (b"\r\n", b"", False),
    (b"\r\n\n   \r\n\t\r\n", b"", False),
    (b"*0\r\n", b"", False),
    (b"*-10\r\n*-1\r\n", b"", False),
    (b"\r\n*0\r\n\r\nPING\r\n*0\r\n*1\r\n$4\r\nPING\r\n", PONG * 2, False),
    *((b"*%b\r\n" % count, error("invalid multibulk length"), True)
      for count in (b"3000000000", b"2147483648", b"01", b"+1", b" 1", b"abc", b"", b"-0", b"1_0", b"1 ")),
    (b"*" + b"1" * 65537, error("too big mbulk count string"), True),
    (b"*1\r\n$" + b"1" * 65537, error("too big bulk count string"), True),
    (b"*1\r\nfoo\r\n", error("expected '$', got 'f'"), True),
    (b"*2\r\n$4\r\nECHO\r\n:1\r\n", error("expected '$', got ':'"), True),
    *((b"*1\r\n$%b\r\n" % length, error("invalid bulk length"), True)
      for length in (b"-10", b"-1", b"blabla", b"", b"04", b"+4", b" 4", b"536870913", b"99999999999999999999")),
    (b"x" * 65537, error("too big inline request"), True),
    (b'ECHO "abc\r\n', error("unbalanced quotes in request"), True),
    (b"ECHO 'abc\r\n", error("unbalanced quotes in request"), True),
    (b'ECHO a"b\r\n', error("unbalanced quotes in request"), True),
    (b"*1\r\n$4\r\nPINGxx", error("invalid CRLF in request"), True),
    (b"*1\rx", error("invalid CRLF in request"), True),
    (b"*1\r\n$4\rx", error("invalid CRLF in request"), True),
    (b"*2\r\n$4\r\nECHO\r\n$40000\r\n" + b"e" * 40000 + b"\n\r", error("invalid CRLF in request"), True),
    (PING + b"ECHO a\r\n" + b"*x\r\n", PONG + bulk(b"a") + error("invalid multibulk length"), True),
    (b"PING\n", PONG, False),
    (b"ECHO a\x0bb\n", bulk(b"a\x0bb"), False),
    (rb'ECHO "\x41\x00\xff\xzz\x4"' + b"\r\n", bulk(b"A\x00\xffxzzx4"), False),
    (rb'ECHO "\n\r\t\b\a\q\""' + b"\r\n", bulk(b'\n\r\t\b\aq"'), False),
    (rb"ECHO 'a\'b\n\\'" + b"\r\n", bulk(rb"a'b\n\\"), False),
    (b'ECHO a"b c"\r\n', bulk(b"ab c"), False),
    (b'ECHO "a"b\r\n', bulk(b"ab"), False),
    (b'ECHO ""\r\n', bulk(b""), False),
    (b"ECHO ''\r\n", bulk(b""), False),
    (b"  ECHO \t a \r\r\n", bulk(b"a"), False),
    (b'""\r\n', b"-ERR unknown command '', with args beginning with: \r\n", False),
    (b"POST / HTTP/1.1\r\n", b"", True),
    (b"*1\r\n$5\r\nhOsT:\r\n", b"", True),
    (encode_command("fo\r\no", "a\r\nb"),
     b"-ERR unknown command 'fo  o', with args beginning with: 'a  b' \r\n", False),
    (encode_command("ECHO", ""), bulk(b""), False),
    (encode_command("ECHO", b"\r\n$1\r\n*1\r\n\x00"), bulk(b"\r\n$1\r\n*1\r\n\x00"), False),
    (encode_command(*["DEL"] * 10_000), b":0\r\n", False),
    (encode_command("GET"), b"-ERR wrong number of arguments for 'get' command\r\n", False),
    *((echo(b"e" * size), bulk(b"e" * size), False) for size in EDGES),
    (echo(*[b"%d" % n * 40_000 for n in range(4)], b"end"),
     b"".join(bulk(b"%d" % n * 40_000) for n in range(4)) + bulk(b"end"), False),
    (encode_command("MSET", b"k" * 40_000, b"v" * 70_000, "small", "1", b"l" * BIG, b"w" * BIG)
     + encode_command("MGET", b"k" * 40_000, "small", b"l" * BIG),
     b"+OK\r\n*3\r\n" + bulk(b"v" * 70_000) + bulk(b"1") + bulk(b"w" * BIG), False),
]

WAITING = [
    b"*2147483647\r\n", b"*2\r\n$4\r\nECHO\r\n$536870912\r\n", b"*1\n$4\nPING\n", b"PI\x00NG\r\n", b"\x00\n\n",
    b"x" * 65536,
    b"*1\r", b"*", b"$", b"*1\r\n$4\r\nPING\r", b"*2\r\n$4\r\nECHO\r\n$40000\r\n" + b"t" * 40_001, b'ECHO "', b"\r",
]


def label(value: object) -> str | None:
    return repr(value)[:60] if isinstance(value, bytes) else None


@pytest.mark.parametrize(("data", "answer", "closed"), WIRE, ids=label)
class TestWire:
    def test_whole(self, data: bytes, answer: bytes, closed: bool) -> None:
        assert talk_in_pieces(data, [data]) == (answer, closed)

    def test_byte_by_byte(self, data: bytes, answer: bytes, closed: bool) -> None:
        assert talk_in_pieces(data, by_bytes(data)) == (answer, closed)

    def test_with_a_request_behind_it(self, data: bytes, answer: bytes, closed: bool) -> None:
        """It is answered, or nothing is after a close."""
        expected = answer if closed else answer + PONG
        assert talk_in_pieces(data, [data + PING]) == (expected, closed)
        assert talk_in_pieces(data, [data, PING]) == (expected, closed)


@pytest.mark.parametrize("data", WAITING, ids=label)
def test_what_is_incomplete_waits_without_an_answer(data: bytes) -> None:
    assert talk_in_pieces(data, [data]) == (b"", False)
    assert talk_in_pieces(data, by_bytes(data)) == (b"", False)


@pytest.mark.parametrize("case", [case for case in CASES if case.cuttable], ids=lambda case: f"{case.rule}-{case.name}")
def test_the_cases_that_valkey_answers_alike_do_not_depend_on_cuts(case: Case) -> None:
    """Compared with Valkey in tests/differential; here, cut anywhere."""
    data = case.data + case.then
    whole = talk_in_pieces(data, [data])
    assert talk_in_pieces(data, by_bytes(data)) == whole
    at = random.Random(case.name).randrange(len(data) + 1)
    assert talk_in_pieces(data, [data[:at], data[at:]]) == whole
    read_replies(whole[0])


@pytest.mark.parametrize("case", UNAUTHENTICATED_CASES, ids=lambda case: f"{case.rule}-{case.name}")
def test_a_stranger_is_read_alike_however_the_bytes_are_cut(case: Case) -> None:
    data = case.data + case.then
    whole = talk_in_pieces(data, [data], requirepass="secret")
    assert talk_in_pieces(data, by_bytes(data), requirepass="secret") == whole


def test_a_password_in_the_same_read_lifts_the_limits() -> None:
    """A2-12, lesson 9."""
    data = encode_command("AUTH", "secret") + encode_command("DEL", *["k"] * 20) + echo(b"e" * 20_000)
    expected = (b"+OK\r\n:0\r\n" + bulk(b"e" * 20_000), False)
    assert talk_in_pieces(data, [data], requirepass="secret") == expected
    assert talk_in_pieces(data, by_bytes(data), requirepass="secret") == expected


# ---- random requests, random cuts -----------------------------------------------------------------------------------

TEXT = st.one_of(st.binary(max_size=20), st.sampled_from([b"\r\n", b"*1\r\n", b"$-1\r\n", b"a" * (BIG + 5)]))
REQUEST = st.one_of(
    st.tuples(st.just(b"ECHO"), TEXT),
    st.tuples(st.just(b"SET"), st.sampled_from([b"k", b"l"]), TEXT),
    st.tuples(st.sampled_from([b"GET", b"STRLEN", b"DEL"]), st.sampled_from([b"k", b"l"])),
    st.tuples(st.just(b"MGET"), st.just(b"k"), st.just(b"l"), TEXT),
    st.tuples(st.just(b"HELLO"), st.sampled_from([b"2", b"3"])),
    st.tuples(st.just(b"NOSUCH"), TEXT),
).map(lambda request: encode_command(*request))
RAW = st.sampled_from([b"\r\n", b"*0\r\n", b"PING\r\n", b"ECHO 'a b'\n", b"*-1\r\n", b"GET k\r\n"])
STREAM = st.lists(st.one_of(REQUEST, RAW), max_size=12).map(b"".join)


@given(STREAM, st.lists(st.floats(0, 1), max_size=6))
@settings(max_examples=60, deadline=None)
def test_any_stream_is_answered_alike_however_it_is_cut(stream: bytes, cuts: list[float]) -> None:
    offsets = [0, *sorted(int(cut * len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[start:end] for start, end in itertools.pairwise(offsets)]
    # HELLO tells the client's id, which is the same on every new server.
    assert talk_in_pieces(stream, pieces) == talk_in_pieces(stream, [stream])


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=20), st.sampled_from([b"2", b"3"]))
@settings(max_examples=60, deadline=None)
def test_what_is_echoed_is_what_was_sent(texts: list[bytes], protocol: bytes) -> None:
    with memory_server() as server, memory_client(server) as client:
        assert len(read_replies(client.talk(encode_command("HELLO", protocol)))) == 1
        replies = read_replies(client.talk(echo(*texts)))
        assert [reply.text for reply in replies] == texts
        client.talk(encode_command("DEL", "list") + encode_command("RPUSH", "list", *texts))
        (listed,) = read_replies(client.talk(encode_command("LRANGE", "list", 0, -1)))
        assert listed.plain() == texts
        (missing,) = read_replies(client.talk(encode_command("MGET", *texts)))
        assert missing.plain() == [None] * len(texts)


# ---- what it costs --------------------------------------------------------------------------------------------------

def peak_while_feeding(server: Server, pieces: Iterable[bytes]) -> int:
    """The most memory in use beyond what it was before, after any piece."""
    with memory_client(server) as client:
        before = used_bytes(server)
        largest = 0
        for piece in pieces:
            server.engine.feed(client.handle, piece)
            largest = max(largest, used_bytes(server) - before)
        return largest


@pytest.mark.parametrize("announced", [
    b"*2147483647\r\n",
    b"*2147483647\r\n$4\r\nMGET\r\n",
    b"*2\r\n$4\r\nECHO\r\n$536870912\r\n",
    b"*1000000\r\n$536870912\r\n",
    b"*3\r\n$3\r\nSET\r\n$40000\r\n",
])
def test_announced_sizes_cost_nothing(announced: bytes) -> None:
    """A2-11, lesson 8."""
    with memory_server() as server:
        assert peak_while_feeding(server, [announced]) < 1024
        assert peak_while_feeding(server, by_bytes(announced)) < 1024


@pytest.mark.parametrize("size", [5_000, BIG, 65_536, 300_000])
def test_an_argument_takes_memory_as_it_arrives(size: int) -> None:
    """At most twice what has come, and a first read's worth."""
    request = echo(b"e" * size)
    with memory_server() as server, memory_client(server) as client:
        before = used_bytes(server)
        for sent in range(1, len(request)):
            server.engine.feed(client.handle, request[sent - 1 : sent])
            assert used_bytes(server) - before <= 4 * sent + limits.READ_MINIMUM_BYTES + 512, sent
        assert client.talk(request[-1:]) == bulk(b"e" * size)


def test_many_arguments_leave_nothing_behind() -> None:
    """The tables that held a hundred thousand arguments go with them, however they came."""
    request = encode_command(*["DEL"] * 100_000)
    with memory_server() as server, memory_client(server) as client:
        client.talk(PING)
        before = used_bytes(server)
        assert client.talk(request) == b":0\r\n"
        assert client.talk(request[:500_000]) == b""
        assert client.talk(request[500_000:]) == b":0\r\n"
        assert used_bytes(server) - before < 32_768


def test_big_arguments_of_an_unfinished_request_count_as_input() -> None:
    """Each of them is complete, and none of them is in the query buffer any more."""
    with memory_server(client_query_buffer_limit="1mb") as server, memory_client(server) as client:
        client.talk(b"*100000\r\n$4\r\nMSET\r\n")
        for _ in range(40):
            client.talk(bulk(b"v" * 40_000))
        assert client.handle.closed
        assert client.handle.close_reason == "query-buffer-limit"
        assert server.engine.statistics()["query_buffer_disconnections"] == 1
