"""Turns of the loop over real sockets, in this thread, one by one: reading, writing, and every way to end."""

import socket
import threading
from collections.abc import Iterator

import pytest

from harness.memory import drop_garbage, memory_client, memory_server, received, socket_client, turn, used_bytes
from harness.wire import encode_command
from ranvier import limits
from ranvier.clock import SystemClock, VirtualClock
from ranvier.engine.client import ClientHandle
from ranvier.server.before_sleep import before_sleep
from ranvier.server.server import Server

PING, PONG = b"PING\r\n", b"+PONG\r\n"
MEGABYTE = 1 << 20
PROTOCOL_ERROR = b"-ERR Protocol error: invalid multibulk length\r\n"


def bulk(text: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(text), text)


@pytest.fixture
def server() -> Iterator[Server]:
    with memory_server() as running:
        yield running


def set_value(server: Server, size: int) -> bytes:
    with memory_client(server) as client:
        client.talk(encode_command("SET", "k", b"v" * size))
    return bulk(b"v" * size)


def drain(server: Server, peer: socket.socket, size: int) -> tuple[bytes, str]:
    """Read and turn until `size` bytes have come, or the connection has ended."""
    data, state = received(peer)
    for _ in range(100_000):
        if len(data) >= size or state != "open":
            break
        turn(server)
        piece, state = received(peer)
        data += piece
    return data, state


def handle_of(server: Server) -> ClientHandle:
    (handle,) = [client for client in server.engine.clients if client.fd >= 0]
    return handle


# ---- ends -----------------------------------------------------------------------------------------------------------

def test_a_client_killed_by_one_before_it_in_the_turn_runs_nothing(server: Server) -> None:
    """Its requests have been received already; what it sent is dropped with it."""
    with socket_client(server) as first, socket_client(server) as second, socket_client(server) as third:
        ids = [client.id for client in server.engine.clients]
        third.send(encode_command("CLIENT", "KILL", "ID", ids[0]) + encode_command("CLIENT", "KILL", "ID", ids[1]))
        first.send(encode_command("CLIENT", "KILL", "ID", ids[1]) + encode_command("CLIENT", "KILL", "ID", ids[2]))
        second.send(encode_command("CLIENT", "KILL", "ID", ids[0]) + encode_command("CLIENT", "KILL", "ID", ids[2]))
        turn(server)
        assert sorted(received(peer) for peer in (first, second, third)) == [
            (b"", "ended"), (b"", "ended"), (b":1\r\n" * 2, "open")
        ]
        assert server.engine.client_count == 1


def test_clients_killed_while_their_events_wait_for_the_next_turn(server: Server) -> None:
    """What all have sent is more than one turn reads: the events left over name clients that are gone."""
    pipeline = PING * (limits.READ_MINIMUM_BYTES // len(PING))
    with socket_client(server) as killer:
        peers = [socket.socketpair() for _ in range(30)]
        for ours, theirs in peers:
            ours.setblocking(False)
            theirs.setblocking(False)
            handle = ClientHandle(server, "victim")
            server.engine.add_client(ours.detach(), handle)
            handle.authenticated = True
        killer.send(encode_command("CLIENT", "KILL", "SKIPME", "yes"))
        for _, theirs in peers:
            theirs.send(pipeline)
        del handle
        turn(server)
        answered, state = received(killer)
        assert (answered, state) == (b":30\r\n", "open")
        assert server.engine.client_count == 1
        killer.send(PING)
        turn(server, 3)
        assert received(killer) == (PONG, "open")
        for _, theirs in peers:
            assert received(theirs)[1] in ("ended", "reset")
            theirs.close()


def test_lesson_1_a_callback_frees_nobody_whose_requests_have_been_received(server: Server) -> None:
    """It may close a client, and another may leave, before what both have sent in this turn is served."""
    counts = []
    with socket_client(server) as peer:
        peer.send(PING)

        def close() -> None:
            server.engine.clients[0].close()
            server.engine.free_closed()
            counts.append(server.engine.client_count)

        server.engine.post(close)
        turn(server)
        assert counts == [1]
        assert server.engine.client_count == 0
        assert received(peer)[0] == b""


@pytest.mark.parametrize("ending", [b"QUIT\r\n", b"CLIENT KILL ID %d SKIPME no\r\n"])
def test_nothing_runs_behind_the_end_of_a_conversation(server: Server, ending: bytes) -> None:
    """A2-8, A5-1."""
    with socket_client(server) as peer:
        if b"%d" in ending:
            ending %= handle_of(server).id
        peer.send(PING + ending + encode_command("SET", "k", "v") * 100)
        turn(server)
        answered, state = received(peer)
        assert answered in (PONG + b"+OK\r\n", PONG + b":1\r\n")
        assert state == "ended"
        turn(server)
        assert server.engine.client_count == 0
        with memory_client(server) as other:
            assert other.talk(b"EXISTS k\r\n") == b":0\r\n"


def test_a_protocol_error_behind_a_large_reply(server: Server) -> None:
    """The reply, the error, the end: in this order, and nothing of what follows is run."""
    expected = set_value(server, 5 * MEGABYTE)
    with socket_client(server, send_buffer_bytes=4096) as peer:
        peer.send(encode_command("GET", "k") + PING + b"*x\r\n" + b"DEL k\r\n")
        turn(server, 3)
        peer.send(b"DEL k\r\n" * 100)
        assert drain(server, peer, len(expected) + len(PONG + PROTOCOL_ERROR) + 1) == (
            expected + PONG + PROTOCOL_ERROR, "ended"
        )
        with memory_client(server) as other:
            assert other.talk(b"EXISTS k\r\n") == b":1\r\n"
        peer.close()
        turn(server, 2)
        assert server.engine.client_count == 0


def test_the_bounds_of_a_lingering_close() -> None:
    """A3-17, lesson 3."""
    clock = VirtualClock()
    for bound in ("bytes", "time", "peer"):
        with memory_server() as server, socket_client(server) as peer:
            server = Server(server.configuration, server.log, clock)
            with socket_client(server) as peer:
                peer.send(b"*x\r\n")
                turn(server)
                assert received(peer) == (PROTOCOL_ERROR, "ended")
                assert server.engine.client_count == 1
                if bound == "bytes":
                    for _ in range(limits.LINGER_BYTES // 16384 + 2):
                        if server.engine.client_count:
                            peer.send(b"x" * 16384)
                            turn(server)
                elif bound == "time":
                    clock.advance(limits.LINGER_MILLISECONDS)
                    turn(server)
                    server.engine.check_clients(10)
                    turn(server)
                else:
                    peer.shutdown(socket.SHUT_WR)
                    turn(server)
                turn(server)
                assert server.engine.client_count == 0
            server.engine.close()


def test_half_close_delivers_what_is_stalled(server: Server) -> None:
    expected = set_value(server, 300_000) * 15
    with socket_client(server, send_buffer_bytes=65536) as peer:
        peer.send(encode_command("GET", "k") * 15 + encode_command("SET", "done", "yes"))
        peer.shutdown(socket.SHUT_WR)
        turn(server, 3)
        assert drain(server, peer, len(expected) + 6) == (expected + b"+OK\r\n", "ended")
        turn(server)
        assert server.engine.client_count == 0


@pytest.mark.parametrize("state", ["ready", "half", "big", "owed", "stalled", "after reply", "draining", "half-closed"])
def test_closing_undoes_every_state(server: Server, state: str) -> None:
    before = used_bytes(server)
    set_value(server, 3 * MEGABYTE)
    with socket_client(server, send_buffer_bytes=4096) as peer:
        peer.send({
            "ready": PING,
            "half": b"*2\r\n$4\r\nEC",
            "big": b"*2\r\n$4\r\nECHO\r\n$100000\r\n" + b"b" * 50_000,
            "owed": encode_command("GET", "k"),
            "stalled": encode_command("GET", "k") * 100,
            "after reply": encode_command("GET", "k") + b"QUIT\r\n",
            "draining": b"*x\r\n",
            "half-closed": encode_command("GET", "k"),
        }[state])
        if state == "half-closed":
            peer.shutdown(socket.SHUT_WR)
        turn(server, 3)
        handle = handle_of(server)
        handle.close()
        assert handle.fd == -1
        assert received(peer)[1] == "ended"       # at once, before the turn is over
        handle.close()
        turn(server)
        assert server.engine.client_count == 0
        with memory_client(server) as other:
            other.talk(b"FLUSHALL\r\n")
        drop_garbage(server)
        assert used_bytes(server) - before < 4096


def test_a_peer_that_resets_is_gone(server: Server) -> None:
    set_value(server, 3 * MEGABYTE)
    for request in (PING, encode_command("GET", "k"), encode_command("GET", "k") * 50, b"*x\r\n", b"QUIT\r\n", b"*2"):
        with socket_client(server, send_buffer_bytes=4096) as peer:
            peer.send(request)
            turn(server, 2)
        turn(server, 3)
        assert server.engine.client_count == 0, request


def test_a_client_that_reads_nothing_after_quit_is_idle() -> None:
    """Only `timeout` can end it, and does."""
    clock = VirtualClock()
    with memory_server(timeout=10) as template:
        server = Server(template.configuration, template.log, clock)
        set_value(server, 3 * MEGABYTE)
        with socket_client(server, send_buffer_bytes=4096) as peer:
            peer.send(encode_command("GET", "k") + b"QUIT\r\n")
            turn(server, 2)
            assert server.engine.client_count == 1
            clock.advance(11_500)
            turn(server)
            server.engine.check_clients(10)
            turn(server)
            assert server.engine.client_count == 0
        server.engine.close()


# ---- sleeping -------------------------------------------------------------------------------------------------------

WAITING_STATES = {
    "idle": [PING],
    "half a request": [b"*2\r\n$4\r\nEC"],
    "half a big argument": [b"*2\r\n$4\r\nECHO\r\n$100000\r\n" + b"b" * 50_000],
    "owed": [encode_command("GET", "k")],
    "stalled": [encode_command("GET", "k") * 50, PING],
    "stalled in a big argument": [encode_command("GET", "k") + encode_command("ECHO", b"b" * 100_000)[:60_000]],
    "closing after the reply": [encode_command("GET", "k") + b"QUIT\r\n", PING],
    "draining": [b"*x\r\n", PING],
}


@pytest.mark.parametrize("shut", [False, True], ids=["open", "half-closed"])
@pytest.mark.parametrize("state", WAITING_STATES)
def test_who_waits_for_a_peer_sleeps(state: str, shut: bool) -> None:
    """No state of a client keeps the loop turning while nothing happens."""
    with memory_server() as template:
        server = Server(template.configuration, template.log, SystemClock())
        set_value(server, 3 * MEGABYTE)
        with socket_client(server, send_buffer_bytes=4096) as peer:
            for data in WAITING_STATES[state]:
                peer.send(data)
                turn(server, 2)
            if shut:
                peer.shutdown(socket.SHUT_WR)
            turn(server, 60)
            turns = 0

            def count(engine: object) -> None:
                nonlocal turns
                turns += 1
                before_sleep(server.engine)

            server.engine.timers.call_at(server.engine.monotonic_ms + 20, server.engine.stop)
            server.engine.run(count)
            assert turns < 10
        server.engine.close()


def test_expiry_that_is_switched_off_half_way_lets_the_loop_sleep() -> None:
    clock = VirtualClock()
    with memory_server() as template:
        server = Server(template.configuration, template.log, clock)
        with memory_client(server) as client:
            for start in range(0, 200_000, 10_000):
                client.talk(b"".join(encode_command("SET", n, "v", "PX", 1) for n in range(start, start + 10_000)))
            clock.advance(10)
            turn(server)
            server.engine.expire_keys(True)
            expired = server.engine.statistics()["expired_keys"]
            assert 0 < expired < 200_000, "the cycle is bounded in time, and so many keys take longer"
            server.set_active_expire(False)
            turns = 0

            def count(engine: object) -> None:
                nonlocal turns
                turns += 1
                before_sleep(server.engine)

            threading.Timer(0.02, server.engine.post, [server.engine.stop]).start()
            server.engine.run(count)
            assert turns < 10
            assert server.engine.statistics()["expired_keys"] == expired
        server.engine.close()


def test_a_lone_client_is_hardly_ever_waited_for() -> None:
    """However fast it asks: a wait that brings no company is not tried again soon (decision 6)."""
    with memory_server() as server, socket_client(server) as peer:
        for _ in range(1000):
            peer.send(b"PING\r\n")
            turn(server)
            assert received(peer) == (b"+PONG\r\n", "open")
        assert server.engine.statistics()["waits_for_company"] <= 4
