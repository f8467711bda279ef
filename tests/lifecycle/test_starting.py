"""Start and failed start: what tools that start servers read, and what a person who made a mistake reads."""

import re
from pathlib import Path

import pytest

from harness.process import StartServer, free_port, run_to_end
from harness.waiting import eventually
from harness.wire import Wire


def test_start_lines_that_tools_wait_for(start_server: StartServer) -> None:
    server = start_server()
    log = server.log()
    line = re.compile(r"^(\d+):\w \d\d \w{3} \d{4} \d\d:\d\d:\d\d\.\d{3} [*#.-] ", re.MULTILINE)
    assert {int(pid) for pid in line.findall(log)} == {server.pid}
    assert re.search(r"^\d+:\w .* \* Server initialized$", log, re.MULTILINE)
    assert re.search(r"^\d+:\w .* \* Ready to accept connections", log, re.MULTILINE)
    if server.kind == "ranvier":
        assert f"PID: {server.pid}" in log


def test_the_started_process_is_the_server(start_server: StartServer) -> None:
    server = start_server()
    assert int(server.info("server")["process_id"]) == server.pid


def test_port_taken_names_the_port_and_ends_with_1(start_server: StartServer) -> None:
    first = start_server()
    outcome = run_to_end(first.kind, ["--port", str(first.port), "--bind", "127.0.0.1", "--save", ""])
    assert outcome.returncode == 1
    assert f"Failed listening on port {first.port}" in outcome.stdout + outcome.stderr
    assert "Traceback" not in outcome.stdout + outcome.stderr
    with first.connect() as wire:
        assert wire.call("PING").raw == b"+PONG\r\n"


def test_a1_01_nothing_to_listen_on_ends_the_start(server_kind: str) -> None:
    outcome = run_to_end(server_kind, ["--port", "0", "--save", ""])
    assert outcome.returncode == 1
    assert "Configured to not listen anywhere, exiting." in outcome.stdout + outcome.stderr


def test_missing_directory_ends_the_start(server_kind: str) -> None:
    outcome = run_to_end(server_kind, ["--port", str(free_port()), "--dir", "/proc/no/such/directory"])
    assert outcome.returncode == 1
    assert "/proc/no/such/directory" in outcome.stdout + outcome.stderr
    assert "No such file or directory" in outcome.stdout + outcome.stderr


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("port 6380\nno-such-option yes\n", 2, "no-such-option yes"),
        ("\n# comment\nmaxmemory lots\n", 3, "maxmemory lots"),
        ('port "6380\n', 1, "Unbalanced quotes"),
        ("databases 0\n", 1, "databases 0"),
        ("port\n", 1, "port"),
    ],
)
def test_bad_configuration_names_file_line_and_text(
    server_kind: str, tmp_path: Path, text: str, line: int, reason: str
) -> None:
    path = tmp_path / "redis.conf"
    path.write_text(text)
    outcome = run_to_end(server_kind, [str(path)])
    assert outcome.returncode == 1
    assert "FATAL CONFIG FILE ERROR" in outcome.stderr
    assert f"line {line}" in outcome.stderr
    assert reason in outcome.stderr


def test_bad_option_on_the_command_line(server_kind: str) -> None:
    outcome = run_to_end(server_kind, ["--no-such-option", "yes"])
    assert outcome.returncode == 1
    assert "FATAL CONFIG FILE ERROR" in outcome.stderr


def test_configuration_from_standard_input_and_options_over_it(server_kind: str, tmp_path: Path) -> None:
    """The taken directory shows which value won: the start fails in the one that the option names."""
    outcome = run_to_end(
        server_kind, ["-", "--dir", "/proc/from/option"], standard_input=f"port {free_port()}\ndir {tmp_path}\n"
    )
    assert outcome.returncode == 1
    assert "/proc/from/option" in outcome.stdout + outcome.stderr


def test_version_and_help(server_kind: str) -> None:
    for option in ("--version", "-v"):
        outcome = run_to_end(server_kind, [option])
        assert outcome.returncode == 0
        assert re.search(r"v=\d+\.\d+\.\d+", outcome.stdout)
    outcome = run_to_end(server_kind, ["--help"])
    assert "--port" in outcome.stdout + outcome.stderr


def test_unused_options_of_other_servers_are_accepted(start_server: StartServer) -> None:
    """Tools start servers with options that are none of Ranvier's business yet."""
    server = start_server("--rdbcompression", "yes", "--appendfsync", "everysec", "--lua-time-limit", "5000")
    with server.connect() as wire:
        assert wire.call("PING").raw == b"+PONG\r\n"


def test_pidfile_is_written_and_removed(start_server: StartServer, tmp_path: Path) -> None:
    path = tmp_path / "server.pid"
    server = start_server("--pidfile", str(path), clean=False)
    assert path.read_text().strip() == str(server.pid)
    assert server.stop() == 0
    assert not path.exists()


def test_logfile_takes_the_lines(start_server: StartServer, tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    start_server("--logfile", str(path))
    eventually(lambda: "Ready to accept connections" in path.read_text(), "the log file has the line")


def test_daemonize_leaves_a_server_behind_that_its_pidfile_names(server_kind: str, tmp_path: Path) -> None:
    port, pidfile = free_port(), tmp_path / "server.pid"
    options = ["--port", str(port), "--bind", "127.0.0.1", "--daemonize", "yes", "--pidfile", str(pidfile)]
    options += ["--logfile", str(tmp_path / "log"), "--dir", str(tmp_path), "--save", ""]
    outcome = run_to_end(server_kind, options)
    assert outcome.returncode == 0
    eventually(pidfile.exists, "the pid file is there")

    def answers() -> bool:
        try:
            with Wire(port) as wire:
                return wire.call("PING").raw == b"+PONG\r\n"
        except OSError:
            return False

    eventually(answers, "the daemon answers")
    with Wire(port) as wire:
        assert f"process_id:{pidfile.read_text().strip()}\r\n".encode() in wire.call("INFO", "server").text
        wire.send_command("SHUTDOWN", "NOSAVE")
        wire.read_to_end()
    eventually(lambda: not pidfile.exists(), "the pid file is removed")
