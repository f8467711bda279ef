"""The tests' own reader, against bytes written by hand and against a real server."""

import socket
from collections.abc import Iterator

import pytest

from harness.process import ServerProcess
from harness.wire import ProtocolViolation, Wire


@pytest.fixture
def speaker() -> Iterator[tuple[socket.socket, Wire]]:
    """A socket that plays the server, and a Wire connected to it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        wire = Wire(listener.getsockname()[1], 5.0, counted=False)
        accepted, _ = listener.accept()
        with wire, accepted:
            yield accepted, wire


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        (b"+OK\r\n", b"OK"),
        (b"-ERR no\r\n", b"ERR no"),
        (b":-9223372036854775808\r\n", -(1 << 63)),
        (b"$0\r\n\r\n", b""),
        (b"$5\r\na\r\nbc\r\n", b"a\r\nbc"),
        (b"$-1\r\n", None),
        (b"*-1\r\n", None),
        (b"*0\r\n", []),
        (b"*3\r\n:1\r\n*1\r\n$-1\r\n+x\r\n", [1, [None], b"x"]),
        (b"_\r\n", None),
        (b"#t\r\n", True),
        (b",inf\r\n", float("inf")),
        (b"(123456789012345678901234567890\r\n", 123456789012345678901234567890),
        (b"!5\r\nERR x\r\n", b"ERR x"),
        (b"=6\r\ntxt:hi\r\n", b"txt:hi"),
        (b"%1\r\n+a\r\n:1\r\n", [b"a", 1]),
        (b"~2\r\n:1\r\n:2\r\n", [1, 2]),
        (b">2\r\n+message\r\n$1\r\nx\r\n", [b"message", b"x"]),
        (b"|1\r\n+ttl\r\n:3\r\n$1\r\nx\r\n", b"x"),
    ],
)
def test_each_type_is_read_whole_and_alone(speaker: tuple[socket.socket, Wire], raw: bytes, plain: object) -> None:
    server, wire = speaker
    server.sendall(raw + b"+next\r\n")
    reply = wire.reply()
    assert (reply.raw, reply.plain()) == (raw, plain)
    assert wire.reply().raw == b"+next\r\n"


@pytest.mark.parametrize(
    "raw", [b"+OK\n", b"$2\r\nabc\r\n", b":1x\r\n", b"*x\r\n", b"#y\r\n", b"\r\n", b"$1 \r\na\r\n"]
)
def test_what_is_no_resp_is_refused(speaker: tuple[socket.socket, Wire], raw: bytes) -> None:
    server, wire = speaker
    server.sendall(raw)
    with pytest.raises(ProtocolViolation):
        wire.reply()


def test_end_and_reset_are_told_apart(speaker: tuple[socket.socket, Wire]) -> None:
    server, wire = speaker
    server.sendall(b"+bye\r\n")
    server.close()
    assert wire.read_to_end() == (b"+bye\r\n", "eof")


def test_valkey_is_the_version_that_differences_are_judged_by(valkey: ServerProcess) -> None:
    assert valkey.info("server")["valkey_version"] == "9.1.2"


def test_large_replies_keep_their_place(valkey: ServerProcess) -> None:
    with valkey.connect() as wire:
        value = bytes(range(256)) * 4096
        replies = wire.pipeline([("SET", "large", value), *[("GET", "large")] * 3, ("DEL", "large"), ("PING",)])
        assert [reply.value for reply in replies] == [b"OK", value, value, value, 1, b"PONG"]
        wire.send_command("PING", value)
        wire.skip_exactly(len(b"$1048576\r\n") + len(value) + 2)
        assert wire.call("PING").raw == b"+PONG\r\n"
