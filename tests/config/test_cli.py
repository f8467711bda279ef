"""The command line as a user meets it: forms, start-up lines, refusals, signals, background, systemd."""

import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.process import free_port
from harness.wire import Wire
from ranvier import __version__
from ranvier.cli import COMPATIBLE_VERSION, main
from ranvier.config.option_table import OPTIONS

COMMAND = [sys.executable, "-m", "ranvier.cli"]
TIMEOUT_SECONDS = 30.0
LOG_LINE = re.compile(r"(\d+):M \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d\.\d{3} [.\-*#] (.+)")


class Started:
    """A server started from the command line, its log read line by line from its standard output."""

    def __init__(
        self, *arguments: str, content: str = "", open_files: int = 0, environment: dict[str, str] | None = None
    ) -> None:
        """`content` goes to standard input; `open_files` is a limit on them."""
        limit = ["sh", "-c", f'ulimit -n {open_files}; exec "$@"', "sh"] if open_files else []
        # A directory of its own: by default a server saves what it holds where it was started.
        self.directory = tempfile.TemporaryDirectory(prefix="ranvier-test-cli-")
        modules = os.pathsep.join(map(os.path.abspath, filter(None, sys.path)))
        self.process = subprocess.Popen(
            [*limit, *COMMAND, *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "PYTHONPATH": modules, **(environment or {})}, cwd=self.directory.name,
        )  # fmt: skip
        assert self.process.stdin is not None
        self.process.stdin.write(content)
        self.process.stdin.close()
        self.lines: list[str] = []

    def read_until(self, text: str) -> list[str]:
        """The texts of the log lines up to the first one that contains `text`."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            match = LOG_LINE.fullmatch(line.rstrip("\n"))
            assert match is not None, line
            assert int(match[1]) == self.process.pid, "the process that was started is the server"
            self.lines.append(match[2])
            if text in match[2]:
                return self.lines
        raise AssertionError(f"no line with {text!r} in {self.lines}")

    def rest(self) -> str:
        """What else was written, once the server has ended."""
        assert self.process.stdout is not None
        return self.process.stdout.read()

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(TIMEOUT_SECONDS)


@pytest.fixture
def started() -> Iterator[list[Started]]:
    """Servers put here are killed at the end of the test, if they still run."""
    servers: list[Started] = []
    yield servers
    for server in servers:
        server.process.kill()
        server.process.wait()
        assert server.process.stdout is not None
        server.process.stdout.close()
        server.directory.cleanup()


def run(*arguments: str, content: str | None = None) -> subprocess.CompletedProcess[str]:
    """A command line that is expected to end by itself."""
    return subprocess.run(
        [*COMMAND, *arguments], input=content, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
    )


@pytest.mark.parametrize("words", [["-v"], ["--version"], ["-v", "--port", "x"]])
def test_version(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    output = capsys.readouterr().out
    version = re.escape(__version__)
    assert re.fullmatch(rf"Ranvier server v={version} compatible={COMPATIBLE_VERSION} bits=\d+\n", output)


@pytest.mark.parametrize("words", [["-h"], ["--help"], ["--help", "x"]])
def test_help_shows_the_forms_and_only_real_options(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    output = capsys.readouterr().out
    assert output.startswith("Usage: ranvier [FILE] [--option value ...] [-]\n")
    known = {option.name for option in OPTIONS} | {"version", "help", "option"}
    assert set(re.findall(r"--([a-z-]+)", output)) <= known


@pytest.mark.parametrize(
    "words", [["--test-memory"], ["--test-memory", "100"], ["--check-system"], ["--sentinel"], ["x.conf", "--sentinel"]]
)
def test_what_ranvier_does_not_do_is_refused_in_words(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.fullmatch(r"ranvier (does not|is not) .+: .+\.\n", captured.err)


def test_a_bad_file_is_refused_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "bad.conf"
    path.write_text("port 0\n\nmaxclients many\n")
    done = run(str(path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"\n*** FATAL CONFIG FILE ERROR (Ranvier {__version__}) ***\n"
        f"Reading the configuration file, at line 3 of {path}\n"
        ">>> 'maxclients many'\n"
        "argument couldn't be parsed into an integer\n"
    )


def test_a_bad_option_and_a_bad_line_of_standard_input_are_refused() -> None:
    done = run("--no-such-option", "1")
    assert done.returncode == 1
    assert ">>> 'no-such-option \"1\"'\nBad directive or wrong number of arguments\n" in done.stderr
    done = run("-", content="hz 10\nhz \xff\n")
    assert done.returncode == 1
    assert "at line 2 of standard input\n>>> 'hz \xff'\n" in done.stderr


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["/nonexistent/a.conf"], "can't open config file '/nonexistent/a.conf': No such file or directory"),
        (["--logfile", "/nonexistent/a.log"], "Can't open the log file: No such file or directory"),
        (["--dir", "/nonexistent"], "No such file or directory"),
        (["--dir", "/dev/null"], "Not a directory"),
    ],
)
def test_files_that_cannot_be_had_stop_the_start(words: list[str], reason: str) -> None:
    done = run(*words)
    assert done.returncode == 1
    assert "FATAL CONFIG FILE ERROR" in done.stderr
    assert done.stderr.endswith(f"{reason}\n")


def test_a_directory_that_may_not_be_written_to_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tests may run as root, whom no permission stops."""
    monkeypatch.setattr(os, "access", lambda path, mode: not (path == str(tmp_path) and mode & os.W_OK))
    assert main(["--dir", str(tmp_path)]) == 1
    assert capsys.readouterr().err.endswith(f">>> 'dir \"{tmp_path}\"'\nPermission denied\n")


def test_start_up_lines_are_those_that_tools_wait_for(started: list[Started]) -> None:
    port = free_port()
    server = Started("--port", str(port), "--save", "", "--tls-replication", "yes", "--loadmodule", "", "--hz", "20")
    started.append(server)
    lines = server.read_until("Ready to accept connections tcp")
    texts = "\n".join(lines)
    assert f"PID: {server.process.pid}" in texts
    assert f"Running mode=standalone, port={port}." in lines
    assert lines[-2:] == ["Server initialized", "Ready to accept connections tcp"]
    warnings = [line for line in lines if "does not act upon" in line]
    assert [warning.partition(": ")[2] for warning in warnings] == ["tls-replication, loadmodule"]
    with Wire(port) as wire:
        assert wire.call("CONFIG", "GET", "tls-replication").plain() == [b"tls-replication", b"yes"]
    assert server.end() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_the_server_cleanly(number: signal.Signals, started: list[Started], tmp_path: Path) -> None:
    pid_file, port = tmp_path / "server.pid", free_port()
    server = Started("--pidfile", str(pid_file), "--port", str(port))
    started.append(server)
    server.read_until("Ready to accept connections")
    assert pid_file.read_text() == f"{server.process.pid}\n"
    with Wire(port) as wire:
        assert wire.call("PING").raw == b"+PONG\r\n"
        assert server.end(number) == 0
        assert wire.read_to_end() == (b"", "eof")
    assert not pid_file.exists()
    lines = server.read_until("bye bye")
    assert f"Received {number.name} scheduling shutdown..." in lines


def test_a_second_interrupt_ends_a_server_that_is_stuck(started: list[Started], tmp_path: Path) -> None:
    pid_file, port = tmp_path / "server.pid", free_port()
    server = Started("--pidfile", str(pid_file), "--enable-debug-command", "yes", "--port", str(port))
    started.append(server)
    server.read_until("Ready to accept connections")
    with Wire(port) as wire:
        wire.send_command("DEBUG", "SLEEP", "60")
        server.process.send_signal(signal.SIGINT)
        server.read_until("Received SIGINT")
        assert server.end(signal.SIGINT) == 1
    assert "You insist... exiting now." in server.read_until("Removing the pid file.")
    assert not pid_file.exists()


def test_a_taken_port_ends_the_start() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        done = run("--bind", "127.0.0.1", "--port", str(port))
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert "Address already in use" in lines[-2]
    assert lines[-1].endswith(f" # Failed listening on port {port} (tcp), aborting.")


def test_nothing_to_listen_on_ends_the_start() -> None:
    done = run("--port", "0")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].endswith(" # Configured to not listen anywhere, exiting.")


@pytest.mark.parametrize(("open_files", "maxclients"), [(500, 468), (33, 1)])
def test_maxclients_is_fitted_to_the_open_files(open_files: int, maxclients: int, started: list[Started]) -> None:
    port = free_port()
    server = Started("--port", str(port), "--bind", "127.0.0.1", open_files=open_files)
    started.append(server)
    lines = server.read_until("Ready to accept connections")
    assert any(line.startswith(f"maxclients has been reduced from 10000 to {maxclients}: ") for line in lines)
    with Wire(port) as wire:
        assert wire.call("CONFIG", "GET", "maxclients").items[1].text == str(maxclients).encode()
    assert server.end() == 0


def test_a_limit_on_open_files_that_leaves_no_client_ends_the_start(started: list[Started]) -> None:
    server = Started("--port", "0", "--unixsocket", "unused", open_files=32)
    started.append(server)
    assert "that leaves no client" in server.read_until("aborting.")[-1]
    assert server.process.wait(TIMEOUT_SECONDS) == 1


def test_a_unix_socket_that_cannot_be_had_ends_the_start() -> None:
    done = run("--port", "0", "--unixsocket", "/nonexistent/socket")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].endswith("Failed to open the Unix socket, aborting.")


def test_a_unix_socket_alone_is_enough_and_goes_at_the_end(started: list[Started], tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    server = Started("--unixsocket", str(path), "--unixsocketperm", "700", "--port", "0")
    started.append(server)
    lines = server.read_until("Ready to accept connections unix")
    assert "Ready to accept connections tcp" not in lines
    with Wire(str(path)) as wire:
        assert wire.call("PING").raw == b"+PONG\r\n"
        assert path.stat().st_mode & 0o777 == 0o700
    assert server.end() == 0
    assert not path.exists()


def test_the_file_standard_input_and_options_together(started: list[Started], tmp_path: Path) -> None:
    path, port = tmp_path / "a.conf", free_port()
    path.write_text("hz 11\ntimeout 11\nport 0\n")
    server = Started(str(path), "--hz", "13", "--dir", str(tmp_path), "-", content=f"hz 12\nport {port}\n")
    started.append(server)
    assert server.process.stdout is not None
    assert "Reading config from stdin" in server.read_until("Ready to accept connections tcp")
    with Wire(port) as wire:
        values = [wire.call("CONFIG", "GET", name).items[1].text for name in ("hz", "timeout", "dir")]
        assert values == [b"13", b"11", str(tmp_path).encode()]
        assert wire.call("CONFIG", "REWRITE").raw == b"+OK\r\n"
    assert server.end() == 0
    assert path.read_text().startswith(f"hz 13\ntimeout 11\nport {port}\n")


class NotifySocket:
    """The service manager's end of systemd's notification protocol."""

    def __init__(self, directory: Path) -> None:
        self.path = str(directory / "notify")

    def __enter__(self) -> tuple[socket.socket, dict[str, str]]:
        self.channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.channel.settimeout(TIMEOUT_SECONDS)
        self.channel.bind(self.path)
        return self.channel, {"NOTIFY_SOCKET": self.path}

    def __exit__(self, *exception: object) -> None:
        self.channel.close()


def test_a_log_file_takes_the_log(started: list[Started], tmp_path: Path) -> None:
    with NotifySocket(tmp_path) as (channel, environment):
        words = ["--logfile", "server.log", "--dir", str(tmp_path), "--port", str(free_port())]
        server = Started(*words, environment=environment)
        started.append(server)
        assert channel.recv(1000).startswith(b"READY=1")
        assert server.end() == 0
    assert server.rest() == ""
    assert "Ready to accept connections tcp" in (tmp_path / "server.log").read_text()


def test_systemd_is_told_of_the_start_and_the_end(started: list[Started], tmp_path: Path) -> None:
    port = free_port()
    with NotifySocket(tmp_path) as (channel, environment):
        server = Started("--supervised", "systemd", "--port", str(port), environment=environment)
        started.append(server)
        assert channel.recv(1000).splitlines()[0] == b"READY=1"
        with Wire(port) as wire:
            assert wire.call("PING").raw == b"+PONG\r\n"
        assert server.end() == 0
        assert channel.recv(1000) == b"STOPPING=1"


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="the end of a process that is no child is seen by pidfd only")
def test_a_daemon_lives_on_by_itself_and_cleans_up(started: list[Started], tmp_path: Path) -> None:
    port, pid_file, log_file = free_port(), tmp_path / "server.pid", tmp_path / "server.log"
    with NotifySocket(tmp_path) as (channel, environment):
        words = ["--daemonize", "yes", "--pidfile", str(pid_file), "--logfile", str(log_file), "--port", str(port)]
        starter = Started(*words, environment=environment)
        started.append(starter)
        assert starter.rest() == ""  # which ends although the daemon lives: it holds no stream
        assert starter.process.wait(TIMEOUT_SECONDS) == 0
        assert channel.recv(1000).startswith(b"READY=1")
        pid = int(pid_file.read_text())
        assert pid != starter.process.pid
        assert os.getsid(pid) not in (pid, os.getsid(0))
        with Wire(port) as wire:
            assert wire.call("PING").raw == b"+PONG\r\n"
        ended = os.pidfd_open(pid)
        os.kill(pid, signal.SIGTERM)
        assert select.select([ended], [], [], TIMEOUT_SECONDS)[0]
        os.close(ended)
    assert not pid_file.exists()
    assert f"{pid}:M " in log_file.read_text()
    assert "bye bye" in log_file.read_text()


def test_a_daemon_of_a_bad_configuration_fails_in_the_foreground() -> None:
    done = run("--daemonize", "yes", "--hz", "bad")
    assert done.returncode == 1
    assert "FATAL CONFIG FILE ERROR" in done.stderr
