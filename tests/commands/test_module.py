"""MODULE beside Valkey, whose only module is its scripting engine, and the option that protects it."""

import pytest

from harness.process import ServerProcess, StartServer

REQUESTS = (
    "MODULE LIST x", "MODULE LOAD /nope", "MODULE LOAD /nope a b", "MODULE LOADEX /nope CONFIG a b ARGS c",
    "MODULE LOADEX /nope x", "MODULE UNLOAD nope", "MODULE", "MODULE NOPE",
)  # fmt: skip


@pytest.mark.parametrize("allowed", ["yes", "local", "no"])
@pytest.mark.parametrize("debug", ["yes", "no"])
def test_replies_equal_valkeys(start_server: StartServer, allowed: str, debug: str) -> None:
    options = ("--enable-module-command", allowed, "--enable-debug-command", debug)
    with start_server(*options).connect() as ours, start_server(*options, kind="valkey").connect() as theirs:
        for line in (*REQUESTS, "DEBUG HELP x"):
            assert ours.call(*line.split()).raw == theirs.call(*line.split()).raw, line


def test_there_are_no_modules(server: ServerProcess) -> None:
    with server.connect() as wire:
        assert wire.call("MODULE", "LIST").raw == b"*0\r\n"
        assert wire.call("MODULE", "HELP").items[0].text.startswith(b"MODULE <subcommand>")


def test_the_log_says_why_nothing_is_loaded(start_server: StartServer) -> None:
    server = start_server("--enable-module-command", "local")
    with server.connect() as wire:
        assert wire.call("MODULE", "LOAD", "/nope").is_error
    assert "Module /nope failed to load: this server has no binary modules" in server.log()
