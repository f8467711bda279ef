"""That the tests notice an answer too many or too few (lesson 20)."""

import socket
from collections.abc import Iterator

import pytest

from harness.ledger import Ledger
from harness.memory import memory_client, memory_server
from harness.wire import Wire, encode_command
from ranvier.engine.client import ClientHandle


@pytest.mark.parametrize(("data", "requests"), [
    (b"", 0), (b"\r\n", 0), (b" \t\r\n", 0), (b"*0\r\n", 0), (b"*-5\r\n", 0), (b"PING\r\n", 1), (b"PING\n", 1),
    (encode_command("PING"), 1), (encode_command("", ""), 1), (encode_command("SET", "k", b"a\r\n*1\r\n"), 1),
    (b"PING\r\n\r\n" + encode_command("GET", "k") * 3 + b"*0\r\nPING\r\n", 5),
    (encode_command("ECHO", b"x" * 100_000) * 2, 2), (b"*2\r\n$4\r\nECHO\r\n$3\r\nab", 0), (b"PIN", 0),
])  # fmt: skip
def test_requests_are_counted_however_they_are_cut(data: bytes, requests: int) -> None:
    for size in (1 if len(data) < 1000 else 97, 7000, 10**6):
        ledger = Ledger()
        for start in range(0, len(data), size):
            ledger.sent(data[start : start + size])
        assert ledger.counted
        assert ledger.requests == requests


@pytest.mark.parametrize("data", [
    b"*x\r\n", b"*01\r\n", b"*1\r\n$x\r\n", b"*1\r\n:1\r\n", b"*1\n$4\n", b'ECHO "a b"\r\n', b"P\0ING\r\n",
    b"x" * 65_536, encode_command("SUBSCRIBE", "a"), b"psubscribe a\r\n",
    encode_command("Client", "Reply", "off"), b"MONITOR\r\n",
])  # fmt: skip
def test_what_cannot_be_counted_is_left_alone(data: bytes) -> None:
    ledger = Ledger()
    ledger.sent(data)
    assert not ledger.counted


@pytest.fixture
def speaker() -> Iterator[tuple[socket.socket, Wire]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        wire = Wire(listener.getsockname()[1], 5.0)
        accepted, _ = listener.accept()
        with accepted:
            yield accepted, wire
        wire.socket.close()


def test_an_answer_too_many_is_noticed_when_it_is_read(speaker: tuple[socket.socket, Wire]) -> None:
    server, wire = speaker
    server.sendall(b"+PONG\r\n>1\r\n+push\r\n+PONG\r\n")
    assert wire.call("PING").raw == b"+PONG\r\n"
    assert wire.reply().kind == b">"
    with pytest.raises(AssertionError, match="2 answers to 1 requests"):
        wire.reply()


def test_an_answer_too_many_is_noticed_at_the_close(speaker: tuple[socket.socket, Wire]) -> None:
    server, wire = speaker
    server.sendall(b"+PONG\r\n+PONG\r\n")
    wire.call("PING")
    with pytest.raises(AssertionError, match="answers to no request"):
        wire.close()


@pytest.mark.parametrize("answers", [1, 3])
def test_a_client_in_memory_notices_at_once(answers: int) -> None:
    """A command that swallows the answer before it, and one that says too much."""
    def handler(client: ClientHandle, args: list[bytes]) -> int:
        if answers == 3:
            client.send(b":1\r\n")
        else:
            server.engine.take_output(client)
        return 2

    with memory_server() as server, memory_client(server) as client:
        server.engine.add_command("broken", -1, 0, (0, 0, 0), handler, None, container=False, skip_slowlog=True,
                                  quick=False)
        with pytest.raises(AssertionError, match=f"{answers} answers to 2 requests"):
            client.talk(b"PING\r\nBROKEN\r\n")
