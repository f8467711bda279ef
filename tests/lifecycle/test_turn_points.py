"""The turn of the loop, reading, replies and writing (lifecycle A0, A2, A5, A6, A10), turn by turn in this thread.

The clock stands still until a test moves it, and every turn is asked for: nothing here depends on time or chance.
"""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from harness.memory import memory_client, memory_server, read_replies, received, socket_client, turn
from harness.wire import encode_command
from ranvier import limits
from ranvier.clock import VirtualClock
from ranvier.engine.client import ClientHandle
from ranvier.server.cron import Cron
from ranvier.server.server import Server

PING, PONG = b"PING\r\n", b"+PONG\r\n"
MEGABYTE = 1 << 20


@pytest.fixture
def server() -> Iterator[Server]:
    with memory_server() as running:
        yield running


def newest(server: Server) -> ClientHandle:
    return max(server.engine.clients, key=lambda client: client.id)


def advance(server: Server, milliseconds: int) -> None:
    assert isinstance(server.clock, VirtualClock)
    server.clock.advance(milliseconds)


def counted(server: Server, name: str) -> int:
    return server.engine.statistics()[name]


def read_all(peer: socket.socket) -> bytes:
    return received(peer)[0]


# ---- A0: a turn -----------------------------------------------------------------------------------------------------

def test_what_can_be_read_and_written_is_read_first(server: Server) -> None:
    """A0 ORDER-1: the reply to what is read in a turn leaves in the same send as what was owed before it."""
    with memory_client(server) as other:
        other.talk(encode_command("SET", "k", b"v" * 60_000))
    with socket_client(server, send_buffer_bytes=4096) as peer:
        peer.send(encode_command("GET", "k"))
        turn(server)
        assert newest(server).describe()["events"] == "rw"
        got = read_all(peer)
        while newest(server).describe()["obl"] or newest(server).describe()["omem"]:
            writes = counted(server, "writes")
            peer.send(PING)
            turn(server)
            assert counted(server, "writes") - writes <= 1
            got += read_all(peer)
        assert got.startswith(b"$60000\r\n" + b"v" * 60_000 + b"\r\n" + PONG)
        assert got.count(PONG) * len(PONG) == len(got) - len(b"$60000\r\n\r\n") - 60_000


def test_one_receive_per_event_and_all_of_its_requests_run(server: Server) -> None:
    """A0 ORDER-2, A0-2, A2-1: also where more is waiting than a read takes; others have their turn meanwhile."""
    with socket_client(server) as peer, socket_client(server) as other:
        before = counted(server, "reads"), counted(server, "commands"), counted(server, "writes")
        peer.send(PING * 1000)
        turn(server)
        after = counted(server, "reads"), counted(server, "commands"), counted(server, "writes")
        assert [b - a for a, b in zip(before, after, strict=True)] == [1, 1000, 1]
        assert read_all(peer) == PONG * 1000
        peer.send(b" " * 60_000 + PING * 10_000)
        other.send(PING)
        reads = counted(server, "reads")
        turn(server, 2)
        assert counted(server, "reads") - reads <= 3
        assert read_all(other) == PONG
        turn(server, 10)
        assert read_all(peer) == PONG * 10_000


def test_a0_1_replies_leave_in_the_turn_of_their_requests(server: Server) -> None:
    """A0-1, A6-1: of every client, and nobody waits for a writable event."""
    with ExitStack() as stack:
        peers = [stack.enter_context(socket_client(server)) for _ in range(100)]
        for peer in peers:
            peer.send(PING)
        turn(server)
        assert [read_all(peer) for peer in peers] == [PONG] * 100
        assert {client.describe()["events"] for client in server.engine.clients} == {"r"}


def test_before_sleeping_the_unblocked_come_before_the_writes_and_the_closed_last(server: Server) -> None:
    """A0 ORDER-3: all of it within the turn that brings it about."""
    with socket_client(server) as waiter, socket_client(server) as late, socket_client(server) as pusher:
        waiter.send(encode_command("BLPOP", "l", "0") + PING)
        late.send(encode_command("BLPOP", "nobody", "1") + PING)
        turn(server, 2)
        advance(server, 1000)
        pusher.send(encode_command("SET", "k", "v", "PX", "1") + encode_command("RPUSH", "l", "x") + b"QUIT\r\n")
        turn(server)
        assert read_all(waiter) == b"*2\r\n$1\r\nl\r\n$1\r\nx\r\n" + PONG
        assert read_all(late) == b"*-1\r\n" + PONG
        assert received(pusher) == (b"+OK\r\n:1\r\n+OK\r\n", "ended")
        assert server.engine.client_count == 2


def test_the_cron_looks_at_everybody_within_a_second() -> None:
    """A0 ORDER-4, A10-1: fifty clients, ten runs a second, five of them a run."""
    with memory_server(timeout=1) as server, ExitStack() as stack:
        Cron(server).start()
        peers = [stack.enter_context(socket_client(server)) for _ in range(50)]
        advance(server, 1950)
        turn(server, 2)
        left = [server.engine.client_count]
        for _ in range(10):
            advance(server, 100)
            turn(server, 2)
            left.append(server.engine.client_count)
        assert left == list(range(50, -1, -5))
        assert {received(peer) for peer in peers} == {(b"", "ended")}


# ---- A2: reading ----------------------------------------------------------------------------------------------------

def test_a2_1_the_end_of_input_and_a_reset_close(server: Server) -> None:
    for reset in (False, True):
        with socket_client(server) as peer:
            peer.send(PING)
            turn(server)
            if not reset:
                assert read_all(peer) == PONG
            peer.close()                    # with the reply unread, the kernel resets
            turn(server, 2)
            assert server.engine.client_count == 0


def test_a2_3_an_idle_client_holds_no_query_buffer(server: Server) -> None:
    with memory_client(server) as client:
        def held() -> tuple[int, int]:
            fields = client.handle.describe()
            return fields["qbuf"], fields["qbuf-free"]

        assert held() == (0, 0)
        assert client.talk(PING * 1000) == PONG * 1000
        assert held() == (0, 0)
        client.talk(b"*2\r\n$4\r\nECHO\r\n$5\r\nhel")
        assert held()[0] == len(b"*2\r\n$4\r\nECHO\r\n$5\r\nhel")
        assert client.talk(b"lo\r\n") == b"$5\r\nhello\r\n"
        assert held() == (0, 0)


def test_a2_9_a_million_requests_in_one_piece(server: Server) -> None:
    """Were the rest moved after each of them, this would move some 4 * 10^12 bytes."""
    count = 1_000_000
    with memory_client(server) as client:
        answered = client.talk(b"TIME x\r\n" * 3 + b"*0\r\n" * (2 * count))
        assert len(read_replies(answered)) == 3
        assert client.handle.describe()["qbuf"] == 0


LOOK_AHEAD = [
    # arity comes before the keys are looked for
    (["get", "get a b", "mget", "object encoding", "set a", "blmpop", "lmpop 1", "copy a", "ping"], None),
    # every request sees what the one before it changed
    (["select 1", "set k one", "select 0", "get k", "select 1", "get k", "del k"],
     b"+OK\r\n+OK\r\n+OK\r\n$-1\r\n+OK\r\n$3\r\none\r\n:1\r\n"),
    (["get k", "hello 9", "multi", "get k", "hello 2", "nosuch", "exec", "get k"], None),
    (["multi", "select 1", "set k v", "exec", "get k", "flushall"],
     b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n+OK\r\n$1\r\nv\r\n+OK\r\n"),
    (["set k 1", "rename k l", "get k", "get l", "swapdb 0 1", "get l", "flushall", "get l"],
     b"+OK\r\n+OK\r\n$-1\r\n$1\r\n1\r\n+OK\r\n$-1\r\n+OK\r\n$-1\r\n"),
]


@pytest.mark.parametrize(("lines", "expected"), LOOK_AHEAD)
def test_a2_12_parsing_ahead_changes_nothing(lines: list[str], expected: bytes | None) -> None:
    """Lesson 9: together, as one read, or one after the other; a protocol error behind them comes behind them."""
    requests = [encode_command(*line.split()) for line in lines]
    answers = []
    for pieces in ([b"".join(requests)], requests, [b"".join(requests) + b"*x\r\n"]):
        with memory_server() as server, memory_client(server) as client:
            answers.append(b"".join(client.talk(piece) for piece in pieces))
    assert answers[0] == answers[1] == (expected or answers[0])
    assert answers[2] == answers[0] + b"-ERR Protocol error: invalid multibulk length\r\n"
    assert len(read_replies(answers[0])) == len(lines)


def test_a2_12_hello_and_auth_count_for_what_follows_in_the_same_read() -> None:
    """lesson 9"""
    with memory_server(requirepass="secret") as server, memory_client(server) as client:
        refused = b"-NOAUTH Authentication required.\r\n"
        data = b"GET k\r\nHELLO 3 AUTH default secret\r\nGET k\r\nRESET\r\nGET k\r\nAUTH secret\r\nGET k\r\n"
        replies = read_replies(client.talk(data))
        assert [reply.raw for reply in replies if reply.kind != b"%"] == [
            refused, b"_\r\n", b"+RESET\r\n", refused, b"+OK\r\n", b"$-1\r\n"
        ]
        assert replies[1].kind == b"%"


# ---- A5, A6: replies and writing ------------------------------------------------------------------------------------

def test_a5_2_replies_fill_a_first_block_then_more(server: Server) -> None:
    """The first block is what the reference servers' static buffer is; the limits count what comes behind it."""
    with memory_client(server) as client:
        client.talk(encode_command("RPUSH", "l", *["e" * 100] * 1000))
        answered = b""
        server.engine.feed(client.handle, PING * 10)
        fields = client.handle.describe()
        assert (fields["obl"], fields["oll"], fields["omem"]) == (len(PONG) * 10, 0, 0)
        server.engine.feed(client.handle, encode_command("LRANGE", "l", 0, -1) + b"COMMAND DOCS\r\n" + PING)
        fields = client.handle.describe()
        assert fields["obl"] <= limits.OUTPUT_BLOCK_BYTES
        assert fields["omem"] == fields["oll"] * limits.OUTPUT_BLOCK_BYTES
        assert fields["oll"] > 100_000 // limits.OUTPUT_BLOCK_BYTES
        answered = server.engine.take_output(client.handle)
        replies = read_replies(answered)
        assert len(replies) == 13
        assert replies[10].plain() == [b"e" * 100] * 1000
        assert (client.handle.describe()["oll"], client.handle.describe()["omem"]) == (0, 0)


def test_a5_3_whoever_is_sent_something_is_written_to(server: Server) -> None:
    """Though it sent nothing in this turn."""
    with socket_client(server) as subscriber, memory_client(server) as publisher:
        subscriber.send(b"SUBSCRIBE ch\r\n")
        turn(server)
        read_all(subscriber)
        publisher.talk(encode_command("PUBLISH", "ch", "hello"))
        turn(server)
        assert read_all(subscriber) == b"*3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$5\r\nhello\r\n"


@pytest.mark.parametrize("step", [1, 7, 1000, 65_536])
def test_a6_2_a_partial_write_goes_on_at_its_byte(server: Server, step: int) -> None:
    """A peer that takes `step` bytes between any two turns: blocks and a referenced value in one stream."""
    value, rounds = b"0123456789" * 2000, 4 if step > 7 else 1
    request = (PING * 3 + encode_command("GET", "k") + encode_command("ECHO", "e" * 9000)) * rounds
    expected = (PONG * 3 + b"$20000\r\n" + value + b"\r\n$9000\r\n" + b"e" * 9000 + b"\r\n") * rounds
    with memory_client(server) as other:
        other.talk(encode_command("SET", "k", value))
    with socket_client(server, send_buffer_bytes=4096) as peer:
        peer.send(request)
        turn(server)
        got = b""
        while len(got) < len(expected):
            for _ in range(max(1, 3000 // step)):
                try:
                    got += peer.recv(step)
                except BlockingIOError:
                    break
            turn(server)
        assert got == expected


def test_a6_5_a_writable_event_is_waited_for_only_while_the_socket_is_full(server: Server) -> None:
    with memory_client(server) as other:
        other.talk(encode_command("SET", "k", b"v" * MEGABYTE))
    with socket_client(server, send_buffer_bytes=4096) as peer:
        handle = newest(server)
        peer.send(encode_command("GET", "k"))
        turn(server, 2)
        assert handle.describe()["events"] == "rw"
        got, size = 0, len(b"$%d\r\n\r\n" % MEGABYTE) + MEGABYTE
        while got < size:
            got += len(read_all(peer))
            turn(server)
        assert got == size
        assert handle.describe()["events"] == "r"
        turns, commands = 3, counted(server, "writes")
        turn(server, turns)
        assert counted(server, "writes") == commands


def test_a6_6_writing_refreshes_the_idle_clock() -> None:
    """Who reads a long reply slowly is not idle; who stops reading is."""
    with memory_server(timeout=10) as server, memory_client(server) as other:
        other.talk(encode_command("SET", "k", b"v" * MEGABYTE))
        with socket_client(server, send_buffer_bytes=4096) as peer:
            handle = newest(server)
            peer.send(encode_command("GET", "k"))
            turn(server, 2)
            for _ in range(5):
                advance(server, 9000)
                assert peer.recv(20_000)
                turn(server, 2)
                assert handle.describe()["idle"] == 0
                server.engine.check_clients(10)
                assert not handle.closed
            advance(server, 11_000)
            turn(server)
            server.engine.check_clients(10)
            assert handle.close_reason == "idle"


# ---- A10: the idle time-out -----------------------------------------------------------------------------------------

def test_a10_1_whole_seconds_more_than_the_option() -> None:
    with memory_server(timeout=1) as server, socket_client(server) as peer:
        handle = newest(server)
        peer.send(PING)
        turn(server)
        assert read_all(peer) == PONG
        for milliseconds, closed in ((1000, False), (999, False), (1, True)):
            advance(server, milliseconds)
            turn(server)
            server.engine.check_clients(5)
            assert (handle.close_reason == "idle") == closed
        turn(server)
        assert received(peer) == (b"", "ended")


@pytest.mark.parametrize(("lines", "spared"), [
    (b"SUBSCRIBE ch\r\n", True),
    (b"PSUBSCRIBE ch*\r\n", True),
    (b"SSUBSCRIBE ch\r\n", True),
    (b"BLPOP l 0\r\n", True),
    (b"MULTI\r\nGET k\r\n", False),
    (b"WATCH k\r\n", False),
    (b"SUBSCRIBE ch\r\nUNSUBSCRIBE\r\n", False),
    (b"*2\r\n$4\r\nECHO\r\n$100\r\nhalf", False),
])  # fmt: skip
def test_a10_2_who_is_spared(lines: bytes, spared: bool) -> None:
    with memory_server(timeout=1) as server, socket_client(server) as peer:
        handle = newest(server)
        peer.send(lines)
        turn(server, 2)
        advance(server, 3_600_000)
        turn(server)
        server.engine.check_clients(5)
        assert (handle.close_reason != "idle") == spared
