"""client-read-budget-usec: one client's pipeline does not hold the loop (beyond the references; issue 3).

The budget is one microsecond here, less than any batch takes: a turn runs the batch that starts the clock and the next.
"""

import random
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from harness.memory import drop_garbage, memory_client, memory_server, received, socket_client, turn, used_bytes
from harness.wire import encode_command
from ranvier import limits
from ranvier.engine.client import ClientHandle
from ranvier.server.before_sleep import before_sleep
from ranvier.server.server import Server

PER_TURN = 2 * limits.BATCH_REQUESTS
INCR = encode_command("INCR", "n")
GET = encode_command("GET", "k")


@pytest.fixture
def server() -> Iterator[Server]:
    with memory_server(client_read_budget_usec=1) as running:
        yield running


def counter(server: Server) -> int:
    with memory_client(server) as client:
        return int(client.talk(b"INCRBY n 0\r\n")[1:])


def numbers(first: int, last: int) -> bytes:
    return b"".join(b":%d\r\n" % number for number in range(first, last + 1))


def collect(server: Server, peer: socket.socket, size: int) -> tuple[bytes, str]:
    """Turn until `size` bytes have come, or the connection has ended."""
    data, state = b"", "open"
    for _ in range(2000):
        piece, state = received(peer)
        data += piece
        if len(data) >= size or state != "open":
            break
        turn(server)
    return data, state


def handle_of(server: Server) -> ClientHandle:
    (handle,) = [client for client in server.engine.clients if client.fd >= 0]
    return handle


def test_another_client_is_served_before_the_pipeline_is_through(server: Server) -> None:
    with socket_client(server) as greedy, socket_client(server) as modest:
        greedy.send(INCR * 2000)
        modest.send(b"PING\r\n")
        turn(server)
        assert received(modest) == (b"+PONG\r\n", "open")
        assert counter(server) == PER_TURN
        modest.send(b"INCR n\r\n")
        turn(server)
        assert received(modest)[0] == b":%d\r\n" % (PER_TURN + 1), "who has waited for the next turn goes to the back"
        answered, state = collect(server, greedy, len(numbers(1, 2001)) - len(numbers(PER_TURN + 1, PER_TURN + 1)))
        assert answered == numbers(1, PER_TURN) + numbers(PER_TURN + 2, 2001)
        assert state == "open"


def test_without_a_budget_a_pipeline_runs_in_one_turn() -> None:
    with memory_server() as server, socket_client(server) as greedy:
        greedy.send(INCR * 2000)
        turn(server)
        assert counter(server) == 2000


def test_a_budget_that_suffices_changes_nothing(server: Server) -> None:
    with memory_client(server) as client, socket_client(server) as greedy:
        assert client.talk(encode_command("CONFIG", "SET", "client-read-budget-usec", 2_000_000_000)) == b"+OK\r\n"
        greedy.send(INCR * 2000)
        turn(server)
        assert counter(server) == 2000


def test_a_client_without_a_socket_is_not_served_in_turns(server: Server) -> None:
    with memory_client(server) as client:
        assert client.talk(INCR * 1000) == numbers(1, 1000)


def test_what_comes_meanwhile_follows(server: Server) -> None:
    with socket_client(server) as peer:
        for _ in range(5):
            peer.send(INCR * 300)
            turn(server)
        assert counter(server) == 5 * PER_TURN, "bytes that arrive buy no second share of a turn"
        assert collect(server, peer, len(numbers(1, 1500))) == (numbers(1, 1500), "open")
        peer.send(b"PING\r\n")
        turn(server)
        assert received(peer) == (b"+PONG\r\n", "open")


def test_the_end_of_input_waits_for_the_pipeline(server: Server) -> None:
    with socket_client(server) as peer:
        peer.send(INCR * 1000)
        peer.shutdown(socket.SHUT_WR)
        assert collect(server, peer, 1 << 20) == (numbers(1, 1000), "ended")
        turn(server)
        assert server.engine.client_count == 0


def test_blocking_in_the_middle(server: Server) -> None:
    with socket_client(server) as peer, memory_client(server) as other:
        peer.send(INCR * 300 + b"BLPOP l 0\r\n" + INCR * 300)
        expected = numbers(1, 300)
        assert collect(server, peer, len(expected)) == (expected, "open")
        turn(server, 20)
        assert received(peer) == (b"", "open")
        assert counter(server) == 300
        assert handle_of(server).describe()["events"] == "r", "the peer's end must be heard"
        other.talk(b"LPUSH l e\r\n")
        expected = b"*2\r\n$1\r\nl\r\n$1\r\ne\r\n" + numbers(301, 600)
        assert collect(server, peer, len(expected)) == (expected, "open")


@pytest.mark.parametrize("fed", [False, True], ids=["gone", "served"])
def test_the_end_of_input_and_blocking_in_the_middle(server: Server, fed: bool) -> None:
    """As without a budget: nobody blocks who has ended, and what it would have taken stays."""
    with socket_client(server) as peer, memory_client(server) as other:
        if fed:
            other.talk(b"LPUSH l e\r\n")
        peer.send(INCR * 300 + b"BLPOP l 0\r\n" + INCR * 10)
        peer.shutdown(socket.SHUT_WR)
        answered, state = collect(server, peer, 1 << 20)
        expected = numbers(1, 300) + (b"*2\r\n$1\r\nl\r\n$1\r\ne\r\n" + numbers(301, 310) if fed else b"")
        assert (answered, state) == (expected, "ended")
        turn(server)
        assert server.engine.client_count == 1
        assert server.engine.blocked.figures()["blocked_clients"] == 0


def test_a_transaction_across_turns(server: Server) -> None:
    with socket_client(server) as peer:
        peer.send(b"MULTI\r\n" + INCR * 300 + b"EXEC\r\n" + INCR * 200)
        turn(server)
        assert counter(server) == 0
        expected = b"+OK\r\n" + b"+QUEUED\r\n" * 300 + b"*300\r\n" + numbers(1, 500)
        assert collect(server, peer, len(expected)) == (expected, "open")


@pytest.mark.parametrize("last", [b"QUIT\r\n", b"*x\r\n"])
def test_the_end_of_a_conversation_behind_a_pipeline(server: Server, last: bytes) -> None:
    answer = b"+OK\r\n" if last == b"QUIT\r\n" else b"-ERR Protocol error: invalid multibulk length\r\n"
    with socket_client(server) as peer:
        peer.send(INCR * 500 + last + INCR * 500)
        assert collect(server, peer, 1 << 20) == (numbers(1, 500) + answer, "ended")
        assert counter(server) == 500
    turn(server, 3)
    assert server.engine.client_count == 0


def test_a_big_argument_behind_a_pipeline(server: Server) -> None:
    value = b"b" * 100_000
    request = INCR * 500 + encode_command("ECHO", value) + INCR
    expected = numbers(1, 500) + b"$100000\r\n" + value + b"\r\n" + numbers(501, 501)
    with socket_client(server) as peer:
        data = b""
        for start in range(0, len(request), 5000):
            peer.send(request[start : start + 5000])
            turn(server)
            data += received(peer)[0]
        assert data + collect(server, peer, len(expected) - len(data))[0] == expected


def send_all(server: Server, peer: socket.socket, data: bytes) -> int:
    """Send until nothing moves any more; the peer reads nothing. How many bytes were taken."""
    sent, idle = 0, 0
    while sent < len(data) and idle < 50:
        try:
            sent += peer.send(data[sent : sent + 65536])
            idle = 0
        except BlockingIOError:
            idle += 1
        turn(server)
    return sent


def test_who_sends_faster_than_its_budget_is_not_read_ahead(server: Server) -> None:
    """The peer's own socket holds what there is no time for; it all runs in the end."""
    count = 40_000
    with socket_client(server) as peer:
        data, sent, answered, held, seen = INCR * count, 0, b"", 0, set()
        while len(answered) < len(numbers(1, count)):
            if sent < len(data):
                with suppress(BlockingIOError):
                    sent += peer.send(data[sent : sent + 65536])
            turn(server)
            described = handle_of(server).describe()
            held = max(held, described["qbuf"])
            seen.add(described["events"])
            answered += received(peer)[0]
        assert answered == numbers(1, count)
        assert limits.READ_AHEAD_BYTES < held < 4 * limits.READ_AHEAD_BYTES
        assert seen == {"r", ""}
        assert handle_of(server).describe()["events"] == "r"


def test_who_sends_without_reading_is_taken_to_the_end(server: Server) -> None:
    """No deadlock: a client that is owed too much is read on, as without a budget, and hears everything."""
    count = 30_000
    with memory_client(server) as other:
        other.talk(encode_command("SET", "k", "v" * 1000))
    reply = b"$1000\r\n" + b"v" * 1000 + b"\r\n"
    with socket_client(server, send_buffer_bytes=65536) as peer:
        data = GET * count
        assert send_all(server, peer, data) == len(data)
        assert collect(server, peer, len(reply) * count)[0] == reply * count


def test_who_is_never_read_meets_its_output_limit() -> None:
    with memory_server(client_read_budget_usec=1, client_output_buffer_limit="normal 500kb 0 0") as server:
        with memory_client(server) as other:
            other.talk(encode_command("SET", "k", "v" * 1000))
        with socket_client(server, send_buffer_bytes=65536) as peer:
            peer.send(GET * 5000)
            turn(server, 100)
            assert server.engine.client_count == 0
            assert server.engine.statistics()["output_buffer_disconnections"] == 1


def test_the_query_buffer_limit_holds() -> None:
    with memory_server(client_query_buffer_limit="1mb", client_read_budget_usec=1) as server:
        with memory_client(server) as other:
            other.talk(encode_command("SET", "k", "v" * 60_000))
        with socket_client(server, send_buffer_bytes=65536) as peer:
            with suppress(OSError):
                send_all(server, peer, GET * 100_000)
            assert server.engine.client_count == 0
            assert server.engine.statistics()["query_buffer_disconnections"] == 1


@pytest.mark.parametrize("way", ["kill", "reset", "stop"])
def test_a_client_that_waits_for_its_turn_can_go(way: str) -> None:
    with memory_server(client_read_budget_usec=1) as server:
        before = used_bytes(server)
        with socket_client(server) as first, socket_client(server) as second, socket_client(server) as third:
            for peer in (first, second, third):
                peer.send(INCR * 2000)
            turn(server, 2)
            if way == "kill":
                server.engine.clients[1].close()
                turn(server)
                assert received(second)[1] in ("ended", "reset")
                assert server.engine.client_count == 2
            elif way == "reset":
                second.close()
                turn(server, 40)
                assert server.engine.client_count == 2
            else:
                server.request_shutdown("test")
                turn(server, 40)
                assert [received(peer)[1] for peer in (first, second, third)] == ["ended"] * 3
        turn(server, 40)
        assert server.engine.client_count == 0
        with memory_client(server) as other:
            other.talk(b"FLUSHALL\r\n")
        drop_garbage(server)
        assert used_bytes(server) - before < 4096


def test_a_waiting_pipeline_keeps_the_loop_awake(server: Server) -> None:
    """The poll does not wait while somebody's pipeline goes on in the next turn."""
    with socket_client(server) as peer:
        peer.send(INCR * 2000)
        turns = 0

        def step(engine: object) -> None:
            nonlocal turns
            turns += 1
            before_sleep(server.engine)
            if counter(server) == 2000:
                server.engine.stop()

        server.engine.run(step)
        assert turns == -(-2000 // PER_TURN)


def conversation(server: Server, pieces: list[bytes]) -> tuple[bytes, str]:
    """All that a client hears who sends these pieces and ends, and whom another one feeds whenever it waits."""
    heard = b""
    with socket_client(server) as peer, memory_client(server) as other:
        handle = handle_of(server)
        for piece in [*pieces, *[b""] * 200]:
            while piece and not handle.closed:
                try:
                    piece = piece[peer.send(piece) :]
                except BlockingIOError:
                    turn(server)
                except OSError:
                    break
            turn(server, 2)
            if not handle.closed and handle.describe()["blocked"]:
                other.talk(encode_command("SELECT", handle.database_index) + encode_command("LPUSH", "l", "e"))
            heard += received(peer)[0]
        with suppress(OSError):
            peer.shutdown(socket.SHUT_WR)
        rest, state = collect(server, peer, 1 << 30)
        return heard + rest, state


@pytest.mark.parametrize("seed", range(12))
def test_any_conversation_is_the_same_as_without_a_budget(seed: int) -> None:
    generator = random.Random(seed)
    kinds = [
        INCR * 70, INCR * 200, b"PING\r\n" * 5, b"\r\n*0\r\n", encode_command("NOSUCH", "\r\n"), encode_command("GET"),
        encode_command("ECHO", "e" * 40_000), encode_command("BLPOP", "l", 0), encode_command("SELECT", 1) + INCR * 90,
        encode_command("MULTI") + INCR * 130 + encode_command("BLPOP", "l", 0) + encode_command("EXEC"),
        encode_command("SUBSCRIBE", "c") + encode_command("UNSUBSCRIBE"), encode_command("HELLO", 3), INCR * 64,
        encode_command("DISCARD"), encode_command("SET", "n", "0"), INCR * 65 + encode_command("RESET"),
    ]  # fmt: skip
    stream = b"".join(generator.choice(kinds) for _ in range(30)) + generator.choice([b"", b"QUIT\r\n", b"*x\r\n"])
    pieces = []
    while stream:
        cut = generator.choice([1, 17, 900, 20_000, 60_000])
        pieces.append(stream[:cut])
        stream = stream[cut:]
    heard = []
    for budget in (0, 1):
        with memory_server(client_read_budget_usec=budget) as server:
            heard.append(conversation(server, pieces))
    assert heard[0] == heard[1]
