"""Query and output buffers on a clock that stands still: limits, what cron looks at, log lines (lifecycle A2, A6)."""

import socket
from collections.abc import Iterator

import pytest

from harness.memory import hear_log, memory_client, memory_server, received, socket_client, turn
from harness.wire import encode_command
from ranvier.clock import VirtualClock
from ranvier.engine.client import ClientHandle
from ranvier.server.server import Server

VALUE_BYTES = 100_000
GET = encode_command("GET", "k")


@pytest.fixture
def server() -> Iterator[Server]:
    with memory_server() as running:
        with memory_client(running) as client:
            client.talk(encode_command("SET", "k", "v" * VALUE_BYTES))
        yield running


def configure(server: Server, name: str, value: str) -> None:
    with memory_client(server) as admin:
        assert admin.talk(encode_command("CONFIG", "SET", name, value)) == b"+OK\r\n"


def handle_of(server: Server) -> ClientHandle:
    (handle,) = [client for client in server.engine.clients if client.fd >= 0]
    return handle


def pass_time(server: Server, milliseconds: int) -> None:
    """The clock moves on, and the cron looks at every client."""
    assert isinstance(server.clock, VirtualClock)
    server.clock.advance(milliseconds)
    turn(server)
    server.engine.check_clients(max(1, server.engine.client_count))
    turn(server)


# ---- query buffers --------------------------------------------------------------------------------------------------

def test_a2_10_an_idle_client_keeps_no_spare_room(server: Server) -> None:
    request = encode_command("ECHO", "x" * 20_000)
    with socket_client(server) as peer:
        peer.send(request[:7000])
        turn(server)
        peer.send(request[7000:15_000])
        turn(server)
        described = handle_of(server).describe()
        assert (described["qbuf"], described["qbuf-free"] > 4096) == (15_000, True)
        pass_time(server, 2000)
        assert handle_of(server).describe()["qbuf-free"] == described["qbuf-free"], "two seconds are not more than two"
        pass_time(server, 1)
        assert (handle_of(server).describe()["qbuf"], handle_of(server).describe()["qbuf-free"]) == (15_000, 0)
        peer.send(request[15_000:])
        turn(server)
        assert received(peer) == (b"$20000\r\n" + b"x" * 20_000 + b"\r\n", "open")
        assert handle_of(server).describe()["qbuf-free"] == 0


def test_a2_10_a_busy_client_gives_back_half_empty_room(server: Server) -> None:
    """What grew beyond 32 KB and is less than half used; the rest of its request is not lost."""
    with socket_client(server) as peer:
        peer.send(encode_command("BLPOP", "list", 0) + b"PING\r\n" * 10_000 + b"*2\r\n$4\r\nECHO\r\n$3\r\na")
        turn(server, 6)
        assert handle_of(server).describe()["qbuf"] > 60_000
        with memory_client(server) as other:
            other.talk(encode_command("RPUSH", "list", "e"))
        turn(server)
        described = handle_of(server).describe()
        assert (described["qbuf"], described["qbuf-free"] >= 60_000) == (19, True)
        pass_time(server, 100)
        assert (handle_of(server).describe()["qbuf"], handle_of(server).describe()["qbuf-free"]) == (19, 0)
        peer.send(b"bc\r\n")
        turn(server)
        assert received(peer)[0].endswith(b"+PONG\r\n$3\r\nabc\r\n")


def test_a2_10_little_spare_room_stays(server: Server) -> None:
    with socket_client(server) as peer:
        peer.send(b"*2\r\n$4\r\nECHO\r\n$3000\r\n" + b"x" * 100)
        turn(server)
        before = handle_of(server).describe()["qbuf-free"]
        assert before <= 4096
        pass_time(server, 60_000)
        assert handle_of(server).describe()["qbuf-free"] == before


def test_a2_04_queued_commands_count_toward_the_query_buffer_limit(server: Server) -> None:
    configure(server, "client-query-buffer-limit", "1mb")
    log = hear_log(server)
    with socket_client(server) as peer:
        peer.send(encode_command("MULTI"))
        for _ in range(60):
            try:
                peer.send(encode_command("ECHO", "x" * 20_000))
            except OSError:
                break
            turn(server)
        assert server.engine.client_count == 0
        assert set(received(peer)[0].split(b"\r\n")) == {b"+OK", b"+QUEUED", b""}
    assert server.engine.statistics()["query_buffer_disconnections"] == 1
    (line,) = [line for line in log if "max query buffer length" in line]
    assert line.startswith("Closing client that reached max query buffer length: id=")


def test_a2_05_what_a_stranger_may_leave_unread_is_1_mb() -> None:
    """Held back by a pause, so that nothing of it is answered; a friend may have up to the option."""
    with memory_server(requirepass="secret") as server:
        with memory_client(server) as admin:
            admin.handle.authenticated = True
            admin.talk(encode_command("CLIENT", "PAUSE", 100_000))
        for friend in (True, False):
            with socket_client(server) as peer:
                handle_of(server).authenticated = friend
                peer.send(encode_command("AUTH", "secret"))
                turn(server)
                for _ in range(70):
                    try:
                        peer.send(b"PING\r\n" * 2700)
                    except OSError:
                        break
                    turn(server)
                assert (server.engine.client_count == 1) == friend
                if friend:
                    assert handle_of(server).describe()["qbuf"] > 1 << 20
            turn(server, 2)
            assert server.engine.client_count == 0
        assert server.engine.statistics()["query_buffer_disconnections"] == 1


# ---- output buffers -------------------------------------------------------------------------------------------------

def owe(server: Server, peer: socket.socket, replies: int) -> None:
    """Have the server owe the peer, who reads nothing, so many replies of 100 KB."""
    peer.send(GET * replies)
    turn(server)


def test_a6_08_the_periodic_look_closes_who_stays_over_the_soft_limit(server: Server) -> None:
    """More than its seconds, in whole ones; closed at once, with its own line in the log."""
    configure(server, "client-output-buffer-limit", "normal 0 300kb 3")
    log = hear_log(server)
    with socket_client(server, send_buffer_bytes=4096) as peer:
        owe(server, peer, 5)
        for _ in range(3):
            pass_time(server, 1000)
        pass_time(server, 999)
        assert server.engine.client_count == 1
        pass_time(server, 1)
        assert server.engine.client_count == 0
        assert received(peer)[1] == "ended"
    assert server.engine.statistics()["output_buffer_disconnections"] == 1
    (line,) = [line for line in log if "output buffer limits" in line]
    assert line.startswith("Client id=") and line.endswith(" closed for overcoming of output buffer limits.")
    assert " scheduled " not in line and " omem=0 " not in line and " fd=-1 " not in line


def test_a6_08_one_look_below_the_soft_limit_forgives(server: Server) -> None:
    configure(server, "client-output-buffer-limit", "normal 0 300kb 3")
    with socket_client(server, send_buffer_bytes=4096) as peer:
        owe(server, peer, 5)
        pass_time(server, 3500)
        while received(peer)[0]:
            turn(server)
        pass_time(server, 100)
        owe(server, peer, 5)
        pass_time(server, 3500)
        assert server.engine.client_count == 1
        pass_time(server, 600)
        assert server.engine.client_count == 0


def test_a6_08_the_soft_limit_acts_while_replies_come_too(server: Server) -> None:
    configure(server, "client-output-buffer-limit", "normal 0 300kb 1")
    log = hear_log(server)
    with socket_client(server, send_buffer_bytes=4096) as peer:
        owe(server, peer, 5)
        assert isinstance(server.clock, VirtualClock)
        server.clock.advance(2000)
        owe(server, peer, 1)
        assert server.engine.client_count == 0
    (line,) = [line for line in log if "output buffer limits" in line]
    assert line.endswith(" scheduled to be closed ASAP for overcoming of output buffer limits.")


def test_a6_08_the_hard_limit_is_met_at_its_very_bytes(server: Server) -> None:
    """`>=`, of blocks and referenced values; the line shows what was owed."""
    with socket_client(server, send_buffer_bytes=4096) as peer:
        owe(server, peer, 2)
        held = handle_of(server).describe()["omem"]
    turn(server, 2)
    for limit, stays in ((held + 1, True), (held, False)):
        configure(server, "client-output-buffer-limit", f"normal {limit} 0 0")
        log = hear_log(server)
        with socket_client(server, send_buffer_bytes=4096) as peer:
            owe(server, peer, 2)
            assert (server.engine.client_count == 1) == stays
        turn(server, 2)
        lines = [line for line in log if "output buffer limits" in line]
        assert len(lines) == (0 if stays else 1)
        assert all(f" omem={held} " in line for line in lines)


def test_a6_08_every_class_has_its_own_limits(server: Server) -> None:
    """A subscriber is of class pubsub while it is subscribed to anything."""
    configure(server, "client-output-buffer-limit", "normal 300kb 0 0 pubsub 900kb 0 0")
    with socket_client(server, send_buffer_bytes=4096) as peer, memory_client(server) as publisher:
        handle_of(server).protocol = 3
        peer.send(encode_command("PSUBSCRIBE", "c*"))
        turn(server)
        owe(server, peer, 5)
        assert server.engine.client_count == 2
        for _ in range(4):
            publisher.talk(encode_command("PUBLISH", "ch", "m" * 100_000))
        turn(server)
        assert server.engine.client_count == 1
    with socket_client(server, send_buffer_bytes=4096) as peer:
        peer.send(encode_command("SUBSCRIBE", "c") + encode_command("UNSUBSCRIBE", "c") + GET * 5)
        turn(server)
        assert server.engine.client_count == 0
    assert server.engine.statistics()["output_buffer_disconnections"] == 2


def test_a6_08_commands_of_a_running_transaction_all_complete(server: Server) -> None:
    configure(server, "client-output-buffer-limit", "normal 300kb 0 0")
    with socket_client(server, send_buffer_bytes=4096) as peer:
        peer.send(b"".join([
            encode_command("MULTI"), GET * 6, encode_command("SET", "inside", 1), encode_command("EXEC"),
            encode_command("SET", "after", 1),
        ]))
        turn(server)
        assert server.engine.client_count == 0
    with memory_client(server) as other:
        assert other.talk(encode_command("EXISTS", "inside") + encode_command("EXISTS", "after")) == b":1\r\n:0\r\n"


def test_a6_09_whoever_was_authenticated_once_is_no_stranger() -> None:
    with memory_server(requirepass="secret") as server:
        for known in (False, True):
            with socket_client(server, send_buffer_bytes=4096) as peer:
                handle = handle_of(server)
                if not known:
                    handle = ClientHandle(server, "stranger")
                peer.send(encode_command("RESET") + encode_command("PING") * 1200)
                if not known:
                    ours, theirs = socket.socketpair()
                    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
                    ours.setblocking(False)
                    server.engine.add_client(ours.detach(), handle)
                    handle.authenticated = False
                    theirs.send(encode_command("PING") * 1200)
                turn(server, 2)
                assert handle.closed != known
                if not known:
                    theirs.close()
            turn(server, 2)
