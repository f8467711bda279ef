"""Every way in which a connection ends, and what its peer sees (lifecycle A3-16, A3-17, A7)."""

import signal

from harness.process import ServerProcess, StartServer
from harness.programs import only_ranvier
from harness.waiting import eventually
from harness.wire import Wire, encode_command

MEGABYTE = 1 << 20


def client_id(wire: Wire) -> int:
    return wire.call("CLIENT", "ID").number


def is_connected(other: Wire, identity: int) -> bool:
    return b"id=%d " % identity in other.call("CLIENT", "LIST").text


def test_a7_03_quit_answers_and_drops_the_rest(server: ServerProcess) -> None:
    with server.connect() as wire, server.connect() as other:
        other.call("DEL", "after-quit")
        wire.send(b"PING\r\nQUIT\r\nPING\r\n" + encode_command("SET", "after-quit", "1"))
        assert wire.read_to_end() == (b"+PONG\r\n+OK\r\n", "eof")
        assert other.call("EXISTS", "after-quit").raw == b":0\r\n"


def test_a7_03_quit_ignores_arguments_and_flushes_what_is_pending(start_server: StartServer) -> None:
    server = start_server()
    value = b"v" * (20 * MEGABYTE)
    with server.connect(60, receive_buffer_bytes=65536) as wire, server.connect() as other:
        other.call("SET", "value", value)
        wire.send(encode_command("GET", "value") + encode_command("QUIT", "now", "please") + b"PING\r\n")
        assert wire.reply().text == value
        assert wire.read_to_end() == (b"+OK\r\n", "eof")


def test_a3_16_replies_before_a_protocol_error_come_first(start_server: StartServer) -> None:
    server = start_server()
    value = b"v" * (20 * MEGABYTE)
    with server.connect(60, receive_buffer_bytes=65536) as wire, server.connect() as other:
        other.call("SET", "value", value)
        wire.send(encode_command("GET", "value") + b"PING\r\n*1\r\nfoo\r\nPING\r\n" + encode_command("DEL", "value"))
        assert wire.reply().text == value
        assert wire.read_to_end() == (b"+PONG\r\n-ERR Protocol error: expected '$', got 'f'\r\n", "eof")
        assert other.call("EXISTS", "value").raw == b":1\r\n"


def test_a3_17_unread_input_does_not_eat_the_error(server: ServerProcess) -> None:
    """The peer goes on sending after the error: it reads the text, then the end, no reset (lesson 3)."""
    only_ranvier(server.kind, "it closes at once, and the kernel resets")
    for rubbish in (1000, 70_000, 300_000):
        with server.connect() as wire:
            wire.send(b"PING\r\n*x\r\n" + b"r" * rubbish)
            server.settle()
            wire.send(b"r" * 1000)
            server.settle()
            assert wire.read_to_end() == (b"+PONG\r\n-ERR Protocol error: invalid multibulk length\r\n", "eof")
            wire.half_close()


def test_a3_17_a_peer_that_never_closes_is_let_go(start_server: StartServer) -> None:
    server = start_server()
    with server.connect() as wire, server.connect() as other:
        identity = client_id(wire)
        wire.send(b"*x\r\n")
        assert wire.read_to_end()[0] == b"-ERR Protocol error: invalid multibulk length\r\n"
        eventually(lambda: not is_connected(other, identity), "the client that lingers is let go")
        before = len(server.descriptors())
        eventually(lambda: len(server.descriptors()) <= before, "its socket too")


def test_a3_17_a_peer_that_never_stops_sending_is_let_go(start_server: StartServer) -> None:
    """The drain is bounded in bytes and time: after them the sender meets a closed socket."""
    server = start_server()
    with server.connect() as wire, server.connect() as other:
        identity = client_id(wire)
        wire.send(b"*x\r\n")
        refused = False
        for _ in range(2000):
            try:
                wire.send(b"r" * MEGABYTE)
            except OSError:
                refused = True
                break
        assert refused
        eventually(lambda: not is_connected(other, identity), "the client is let go")
        assert other.call("PING").raw == b"+PONG\r\n"


def test_a7_client_kill_by_id_address_and_name_of_another(server: ServerProcess) -> None:
    """A11 KILL."""
    with server.connect() as other:
        for way in ("id", "addr", "old form"):
            with server.connect() as wire:
                identity = client_id(wire)
                host, port = wire.socket.getsockname()
                if way == "id":
                    assert other.call("CLIENT", "KILL", "ID", identity).raw == b":1\r\n"
                elif way == "addr":
                    assert other.call("CLIENT", "KILL", "ADDR", f"{host}:{port}").raw == b":1\r\n"
                else:
                    assert other.call("CLIENT", "KILL", f"{host}:{port}").raw == b"+OK\r\n"
                assert wire.read_to_end() == (b"", "eof")
                assert not is_connected(other, identity)


def test_a7_client_kill_of_many_skips_the_caller(start_server: StartServer) -> None:
    server = start_server()
    wires = [server.connect() for _ in range(50)]
    with server.connect() as other:
        for wire in wires:
            wire.call("PING")
        assert other.call("CLIENT", "KILL", "TYPE", "normal").raw == b":50\r\n"
        for wire in wires:
            assert wire.read_to_end() == (b"", "eof")
            wire.close()
        assert other.call("PING").raw == b"+PONG\r\n"


def test_a7_client_kill_of_oneself_is_answered_first(server: ServerProcess) -> None:
    """A11 KILL."""
    with server.connect() as wire:
        identity = client_id(wire)
        wire.send(b"PING\r\n" + encode_command("CLIENT", "KILL", "ID", identity, "SKIPME", "no") + b"PING\r\n")
        assert wire.read_to_end() == (b"+PONG\r\n:1\r\n", "eof")


def test_a7_client_kill_drops_what_is_pending(start_server: StartServer) -> None:
    server = start_server()
    with server.connect(60, receive_buffer_bytes=4096) as wire, server.connect() as other:
        other.call("SET", "value", b"v" * (40 * MEGABYTE))
        identity = client_id(wire)
        wire.send_command("GET", "value")
        eventually(lambda: wire.has_input(), "the reply has begun")
        assert other.call("CLIENT", "KILL", "ID", identity).raw == b":1\r\n"
        raw, _ = wire.read_to_end()
        assert len(raw) < 40 * MEGABYTE


def test_idle_timeout_closes_the_idle_and_spares_the_busy(start_server: StartServer) -> None:
    server = start_server("--timeout", "1")
    with server.connect() as idle, server.connect() as busy:
        idle.call("PING")

        def idle_is_gone() -> bool:
            assert busy.call("PING").raw == b"+PONG\r\n"
            return idle.has_input()

        eventually(idle_is_gone, "the idle client is closed")
        assert idle.read_to_end() == (b"", "eof")


def test_a7_06_sigterm_ends_every_client_and_the_server(start_server: StartServer) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        server = start_server(clean=False)
        wires = [server.connect() for _ in range(20)]
        for wire in wires:
            wire.call("PING")
        server.process.send_signal(number)
        for wire in wires:
            assert wire.read_to_end() == (b"", "eof")
            wire.close()
        assert server.process.wait(15) == 0


def test_a7_06_shutdown_has_no_reply(start_server: StartServer) -> None:
    server = start_server(clean=False)
    with server.connect() as wire, server.connect() as other:
        wire.send(b"PING\r\n" + encode_command("SHUTDOWN", "NOSAVE") + b"PING\r\n")
        raw, _ = wire.read_to_end()
        assert raw in (b"", b"+PONG\r\n")
        assert other.read_to_end()[0] == b""
    assert server.process.wait(15) == 0


def test_lesson_04_shutdown_delivers_what_is_pending(start_server: StartServer) -> None:
    server = start_server(clean=False)
    only_ranvier(server.kind, "pending replies are cut off")
    value = b"v" * (24 * MEGABYTE)
    with server.connect(60, receive_buffer_bytes=65536) as wire, server.connect() as other:
        other.call("SET", "value", value)
        wire.send_command("GET", "value")
        eventually(lambda: wire.has_input(), "the reply has begun")
        server.process.send_signal(signal.SIGTERM)
        assert wire.reply().text == value
        assert wire.read_to_end() == (b"", "eof")
    assert server.process.wait(15) == 0


def test_a3_19_post_is_cut_off_and_logged(start_server: StartServer) -> None:
    """A17-26."""
    server = start_server()
    for _ in range(3):
        with server.connect() as wire:
            wire.send(b"POST / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert wire.read_to_end()[0] == b""
    eventually(lambda: "SECURITY ATTACK" in server.log(), "the log says so")
    assert server.log().count("SECURITY ATTACK") == 1
