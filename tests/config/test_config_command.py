"""CONFIG over the wire, against Valkey by the raw bytes where both know the answer."""

from pathlib import Path

import pytest

from harness.process import ServerProcess, StartServer, free_port
from harness.wire import Wire

SAME = [
    ["CONFIG"], ["CONFIG", "FOO"], ["CONFIG", "GET"], ["CONFIG", "SET"], ["CONFIG", "SET", "hz"],
    ["CONFIG", "SET", "hz", "10", "timeout"], ["CONFIG", "SET", "nosuch", "1"],
    ["CONFIG", "SET", "hz", "11", "hz", "12"], ["CONFIG", "SET", "daemonize", "no"],
    ["CONFIG", "SET", "TIMEOUT", "bad"], ["CONFIG", "SET", "a\r\nb", "1"], ["CONFIG", "GET", "HZ"],
    ["CONFIG", "GET", "h?"], ["CONFIG", "GET", "nosuch"], ["CONFIG", "REWRITE"], ["CONFIG", "REWRITE", "x"],
    ["CONFIG", "RESETSTAT"], ["CONFIG", "RESETSTAT", "x"], ["CONFIG", "HELP", "x"], ["CONFIG", "SET", "dir", "/"],
    ["CONFIG", "SET", "client-output-buffer-limit", "master 1 1 1"],
    ["CONFIG", "SET", "timeout", "5", "tcp-keepalive", "6"], ["CONFIG", "GET", "timeout", "tcp-keepalive"],
    ["CONFIG", "SET", "timeout", "0", "tcp-keepalive", "300"], ["config", "get", "max-new-connections-per-cycle"],
]  # fmt: skip


@pytest.mark.parametrize("protocol", [2, 3])
def test_answers_are_those_of_valkey(server: ServerProcess, valkey: ServerProcess, protocol: int) -> None:
    """One sequence of requests on both; pairs of a map are compared without their order."""
    with server.connect(protocol=protocol) as own, valkey.connect(protocol=protocol) as reference:
        for request in SAME:
            answer, expected = own.call(*request), reference.call(*request)
            assert answer.kind == expected.kind, request
            if expected.kind in (b"%", b"*"):
                assert sorted(item.raw for item in answer.items) == sorted(item.raw for item in expected.items), request
            else:
                assert answer.raw == expected.raw, request


def test_help_lists_every_subcommand(server: ServerProcess) -> None:
    with server.connect() as wire:
        lines = [item.text.decode() for item in wire.call("CONFIG", "HELP").items]
    assert lines[0] == "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
    shown = [line.split()[0] for line in lines[1:] if not line.startswith(" ")]
    assert shown == ["GET", "SET", "RESETSTAT", "REWRITE", "HELP"]


def test_a_password_set_at_run_time_is_asked_for(start_server: StartServer) -> None:
    server = start_server()
    with server.connect() as before:
        assert before.call("CONFIG", "SET", "requirepass", "secret").raw == b"+OK\r\n"
        with server.connect() as after:
            assert after.call("PING").raw == b"-NOAUTH Authentication required.\r\n"
            assert after.call("AUTH", "secret").raw == b"+OK\r\n"
        assert before.call("CONFIG", "GET", "requirepass").plain() == [b"requirepass", b"secret"]


def test_a_new_port_is_listened_on_and_a_taken_one_is_refused(start_server: StartServer) -> None:
    first, second = start_server(), start_server()
    with first.connect() as wire:
        answer = wire.call("CONFIG", "SET", "port", str(second.port))
        assert answer.text.startswith(b"ERR CONFIG SET failed (possibly related to argument 'port') - Unable to listen")
        assert wire.call("CONFIG", "GET", "port").items[1].text == str(first.port).encode()
    with first.connect() as again:
        assert again.call("PING").raw == b"+PONG\r\n"
        port = free_port()
        assert again.call("CONFIG", "SET", "port", str(port)).raw == b"+OK\r\n"
        with Wire(port) as moved:
            assert moved.call("PING").raw == b"+PONG\r\n"


def test_an_address_that_is_not_there_is_refused(start_server: StartServer) -> None:
    server = start_server()
    with server.connect() as wire:
        assert wire.call("CONFIG", "SET", "bind", "192.0.2.1").raw == (
            b"-ERR CONFIG SET failed (possibly related to argument 'bind') - Failed to bind to specified addresses.\r\n"
        )
        assert wire.call("CONFIG", "GET", "bind").items[1].text == b"127.0.0.1"
    with server.connect() as wire:
        assert wire.call("PING").raw == b"+PONG\r\n"


def test_addresses_change_at_the_same_port(start_server: StartServer) -> None:
    server = start_server()
    with server.connect() as wire:
        assert wire.call("CONFIG", "SET", "bind", "127.0.0.1 -192.0.2.1").raw == b"+OK\r\n"
    with server.connect() as wire:
        assert wire.call("CONFIG", "GET", "bind").items[1].text == b"127.0.0.1 -192.0.2.1"


@pytest.mark.parametrize(("permission", "allowed"), [("no", False), ("local", True), ("yes", True)])
def test_protected_options_are_for_whom_they_are_opened(
    start_server: StartServer, permission: str, allowed: bool, tmp_path: Path
) -> None:
    server = start_server("--enable-protected-configs", permission)
    with server.connect() as wire:
        answer = wire.call("CONFIG", "SET", "dir", str(tmp_path))
        directory = wire.call("CONFIG", "GET", "dir").items[1].text.decode()
    assert answer.is_error != allowed
    assert directory == (str(tmp_path) if allowed else server.directory.name)


def test_the_client_sees_its_limits_at_once(start_server: StartServer) -> None:
    server = start_server("--proto-max-bulk-len", "1mb")
    with server.connect() as wire:
        wire.send(b"*2\r\n$4\r\nECHO\r\n$1048577\r\n")
        assert wire.reply().raw == b"-ERR Protocol error: invalid bulk length\r\n"
    with server.connect() as wire:
        assert wire.call("CONFIG", "SET", "proto-max-bulk-len", "2mb").raw == b"+OK\r\n"
        assert wire.call("ECHO", "x" * 1048577).text == b"x" * 1048577
