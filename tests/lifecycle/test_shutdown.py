"""How a server ends, and how its end is called off (A7-6, lesson 4): over sockets, the process included."""

import signal
import socket
import struct
from pathlib import Path

import pytest

from harness.process import ServerProcess, StartServer, parse_info
from harness.programs import only_ranvier
from harness.waiting import eventually
from harness.wire import Wire, encode_command

MEGABYTE = 1 << 20
PENDING = 24 * MEGABYTE
FAILED = b"-ERR Errors trying to SHUTDOWN. Check logs.\r\n"
WORDS_REFUSED = (
    ("FOO",), ("SAVE", "NOSAVE"), ("ABORT", "NOW"), ("SAFE", "ABORT"), ("NOW", "NOW", "X"), ("ABORT",),
    ("abort", "ABORT"), ("FAILOVER",), ("failover", "FORCE"), ("FAILOVER", "NOW"), ("ABORT", "NOSAVE"),
)


@pytest.mark.parametrize("words", WORDS_REFUSED)
def test_a7_06_refused_words_and_an_abort_of_nothing_as_valkey(
    words: tuple[str, ...], server: ServerProcess, valkey: ServerProcess
) -> None:
    with server.connect() as ours, valkey.connect() as theirs:
        assert ours.call("SHUTDOWN", *words).raw == theirs.call("SHUTDOWN", *words).raw
    assert server.is_running()


def owing(server: ServerProcess, wire: Wire, other: Wire) -> None:
    """Have the server owe `wire` more than its socket takes."""
    other.call("SET", "value", b"v" * PENDING)
    wire.send_command("GET", "value")
    eventually(lambda: wire.has_input(), "the reply has begun")


def waits_for_shutdown(other: Wire) -> bool:
    return parse_info(other.call("INFO", "clients").text)["paused_reason"] == "shutdown_in_progress"


def test_a7_06_a_shutdown_waits_and_can_be_called_off(start_server: StartServer) -> None:
    """Reads and writes are held back meanwhile, commands about the server are answered, new clients too; then all
    goes on, the client that asked included."""
    server = start_server("--shutdown-timeout", "600")
    only_ranvier(server.kind, "it waits for replicas only")
    with server.connect(60, receive_buffer_bytes=65536) as slow, server.connect() as asker, server.connect() as other:
        owing(server, slow, other)
        asker.send(encode_command("SHUTDOWN", "NOSAVE") + b"PING\r\n")
        eventually(lambda: waits_for_shutdown(other), "the shutdown waits")
        figures = parse_info(other.call("INFO", "clients").text)
        assert figures["blocked_clients"] == "1"
        assert figures["paused_actions"] == "all"
        assert 0 < int(figures["paused_timeout_milliseconds"]) <= 600_000
        assert b" flags=b " in next(line for line in other.call("CLIENT", "LIST").text.splitlines()
                                    if b" cmd=shutdown " in line)
        with server.connect() as new:
            assert new.call("HELLO", "3").kind == b"%"
            new.send(encode_command("SET", "held", "1") + encode_command("GET", "held"))
            server.settle()
            assert not new.has_input()
            assert not asker.has_input()
            assert other.call("SHUTDOWN", "ABORT").raw == b"+OK\r\n"
            assert [new.reply().raw, new.reply().raw] == [b"+OK\r\n", b"$1\r\n1\r\n"]
        assert [asker.reply().raw, asker.reply().raw] == [FAILED, b"+PONG\r\n"]
        assert other.call("SHUTDOWN", "ABORT").raw == b"-ERR No shutdown in progress.\r\n"
        assert len(slow.reply().text) == PENDING
        assert slow.call("PING").raw == b"+PONG\r\n"
        assert parse_info(other.call("INFO", "clients").text)["paused_reason"] == "none"
    assert "Shutdown manually aborted." in server.log()


def test_a7_06_who_waits_for_a_shutdown_can_leave_and_a_second_one_joins(start_server: StartServer) -> None:
    server = start_server("--shutdown-timeout", "600", clean=False)
    only_ranvier(server.kind, "it waits for replicas only")
    with server.connect(60, receive_buffer_bytes=65536) as slow, server.connect() as other:
        owing(server, slow, other)
        first, second = server.connect(), server.connect()
        first_id, second_id = (wire.call("CLIENT", "ID").number for wire in (first, second))
        for wire in (first, second):
            wire.send_command("SHUTDOWN", "NOSAVE")
        eventually(lambda: parse_info(other.call("INFO", "clients").text)["blocked_clients"] == "2", "both wait")
        assert other.call("CLIENT", "UNBLOCK", first_id).raw == b":0\r\n"
        assert other.call("CLIENT", "KILL", "ID", first_id).raw == b":1\r\n"
        assert first.read_to_end() == (b"", "eof")
        assert waits_for_shutdown(other)
        assert other.call("CLIENT", "KILL", "ID", second_id).raw == b":1\r\n"
        other.send_command("SHUTDOWN", "NOW")
        assert other.read_to_end() == (b"", "eof")
        slow.read_to_end()
        first.close()
        second.close()
    assert server.process.wait(15) == 0


def test_a7_06_the_wait_ends_with_shutdown_timeout(start_server: StartServer) -> None:
    server = start_server("--shutdown-timeout", "1", clean=False)
    only_ranvier(server.kind, "it waits for replicas only")
    with server.connect(60, receive_buffer_bytes=65536) as slow, server.connect() as other:
        owing(server, slow, other)
        other.send_command("SHUTDOWN")
        assert other.read_to_end() == (b"", "eof")
        assert server.process.wait(15) == 0
        assert len(slow.read_to_end()[0]) < PENDING
    assert "shutdown-timeout is over" in server.log()


def test_lesson_04_shutdown_command_delivers_what_is_pending(start_server: StartServer) -> None:
    server = start_server("--shutdown-timeout", "60", clean=False)
    only_ranvier(server.kind, "pending replies are cut off")
    with server.connect(60, receive_buffer_bytes=65536) as slow, server.connect() as other:
        owing(server, slow, other)
        slow.send(b"PING\r\n" + encode_command("GET", "value"))       # not begun: not run any more
        other.send_command("SHUTDOWN", "NOSAVE")
        reply = slow.reply()
        assert reply.text == b"v" * PENDING
        assert slow.read_to_end()[1] == "eof"
    assert server.process.wait(15) == 0


def test_lesson_03_unread_input_eats_no_reply_at_the_end(start_server: StartServer) -> None:
    """What a client had sent and the server did not read any more would reset the connection: it is drained."""
    server = start_server("--shutdown-timeout", "60", clean=False)
    only_ranvier(server.kind, "it closes at once")
    with server.connect(60, receive_buffer_bytes=65536) as slow, server.connect() as other:
        owing(server, slow, other)
        other.send_command("SHUTDOWN", "NOSAVE")
        other.half_close()
        slow.send(b"PING\r\n" * 20_000)
        assert slow.reply().text == b"v" * PENDING
        assert slow.read_to_end()[1] == "eof"
    assert server.process.wait(15) == 0


def test_a7_06_signals_wait_obey_their_option_and_begin_anew_after_an_abort(start_server: StartServer) -> None:
    server = start_server("--shutdown-timeout", "600", "--shutdown-on-sigint", "nosave now", clean=False)
    only_ranvier(server.kind, "it waits for replicas only")
    with server.connect(60, receive_buffer_bytes=65536) as slow, server.connect() as other:
        owing(server, slow, other)
        for _ in range(2):
            server.process.send_signal(signal.SIGTERM)
            eventually(lambda: waits_for_shutdown(other), "the signal's shutdown waits")
            assert other.call("SHUTDOWN", "ABORT").raw == b"+OK\r\n"
        assert other.call("PING").raw == b"+PONG\r\n"
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(15) == 0
        assert other.read_to_end() == (b"", "eof")


def test_a7_06_a_second_sigint_ends_the_process_at_once(start_server: StartServer) -> None:
    server = start_server("--shutdown-timeout", "600", clean=False)
    only_ranvier(server.kind, "it waits for replicas only")
    with server.connect(60, receive_buffer_bytes=65536) as slow, server.connect() as other:
        owing(server, slow, other)
        server.process.send_signal(signal.SIGTERM)
        eventually(lambda: waits_for_shutdown(other), "the signal's shutdown waits")
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(15) == 1
    assert "You insist... exiting now." in server.log()


def test_a7_06_a_save_that_cannot_be_had_keeps_the_server_alive_unless_forced(start_server: StartServer) -> None:
    server = start_server("--shutdown-on-sigterm", "save", clean=False)
    Path(server.directory.name, "dump.rdb").mkdir()          # in whose place no file can be put
    with server.connect() as wire:
        assert wire.call("SHUTDOWN", "SAVE").raw == FAILED
        server.process.send_signal(signal.SIGTERM)
        eventually(lambda: "SIGTERM received but errors trying to shut down" in server.log(), "the log says so")
        assert wire.call("PING").raw == b"+PONG\r\n"
        wire.send_command("SHUTDOWN", "SAVE", "FORCE")
        assert wire.read_to_end() == (b"", "eof")
    assert server.process.wait(15) == 0


def test_a7_06_nothing_of_a_server_remains(start_server: StartServer, tmp_path: Path) -> None:
    """No reply to SHUTDOWN, EOF for everybody in every mode, no listener, no Unix socket, no pid file."""
    path, pid_file = tmp_path / "socket", tmp_path / "pid"
    server = start_server("--unixsocket", str(path), "--pidfile", str(pid_file), clean=False)
    modes = {
        "idle": b"PING\r\n",
        "in MULTI": b"MULTI\r\nSET a b\r\n",
        "watching": b"WATCH k\r\n",
        "subscribed": b"SUBSCRIBE c\r\n",
        "blocked": b"PING\r\nBLPOP nosuch 0\r\n",
        "in the middle of a request": b"PING\r\n*2\r\n$3\r\nGET\r\n$10\r\nab",
    }
    wires = {name: server.connect() for name in modes}
    for name, request in modes.items():
        wires[name].send(request)
        wires[name].reply()
    wires["in MULTI"].reply()
    unix = socket.socket(socket.AF_UNIX)
    unix.connect(str(path))
    assert pid_file.read_text() == f"{server.pid}\n"
    with server.connect() as wire:
        wire.send(b"PING\r\n" + encode_command("SHUTDOWN", "NOSAVE") + b"PING\r\n")
        assert wire.read_to_end() == (b"+PONG\r\n" if server.kind == "ranvier" else b"", "eof")
    for name, wire in wires.items():
        assert wire.read_to_end() == (b"", "eof"), name
        wire.close()
    with unix:
        assert unix.recv(100) == b""
    assert server.process.wait(15) == 0
    assert not path.exists()
    assert not pid_file.exists()
    with pytest.raises(ConnectionRefusedError):
        server.connect()


def test_a7_06_a_pipeline_behind_shutdown_now_does_not_run(start_server: StartServer) -> None:
    server = start_server(clean=False)
    with server.connect() as wire:
        wire.send(encode_command("SHUTDOWN", "NOW") + b"PING\r\n" * 10)
        assert wire.read_to_end()[0] == b""
    assert server.process.wait(15) == 0


def test_a7_06_paused_clients_and_a_pause_of_everything(start_server: StartServer) -> None:
    """CLIENT PAUSE ALL holds SHUTDOWN back as well (A11); a signal gets through, and the held clients see the end."""
    server = start_server(clean=False)
    with server.connect() as wire, server.connect() as held:
        assert wire.call("CLIENT", "PAUSE", "600000").raw == b"+OK\r\n"
        held.send_command("SHUTDOWN", "NOW")
        assert not held.has_input()
        server.process.send_signal(signal.SIGTERM)
        assert held.read_to_end() == (b"", "eof")
        assert wire.read_to_end() == (b"", "eof")
    assert server.process.wait(15) == 0


def test_a7_06_clients_that_reset_during_the_wait_do_not_prolong_it(start_server: StartServer) -> None:
    server = start_server("--shutdown-timeout", "600", clean=False)
    only_ranvier(server.kind, "it waits for replicas only")
    with server.connect(60, receive_buffer_bytes=65536) as slow, server.connect() as other:
        owing(server, slow, other)
        other.send_command("SHUTDOWN", "NOSAVE")
        slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        slow.socket.close()
        assert other.read_to_end() == (b"", "eof")
    assert server.process.wait(15) == 0
