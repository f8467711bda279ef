"""Servers as child processes: started on a free port, ready when they say PONG, stopped by their own pid."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from harness import programs
from harness.wire import Wire

START_TIMEOUT_SECONDS = 30.0
STOP_TIMEOUT_SECONDS = 15.0
LOG_TAIL_BYTES = 8000

# What every server of a test is started with; a test's own options come behind and win.
COMMON_OPTIONS = ("--save", "", "--appendonly", "no", "--enable-debug-command", "yes")


def free_port() -> int:
    """A port on 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def server_command(kind: str) -> list[str]:
    """The command line, without options, that starts a server of this kind.

    The kinds are ranvier, valkey and redis, and `ranvier@CHECKOUT`: another working tree of it, built in place.
    """
    if checkout := kind.partition("@")[2]:
        return ["env", f"PYTHONPATH={Path(checkout, 'src').resolve()}", sys.executable, "-m", "ranvier.cli"]
    if kind == "valkey":
        return [str(programs.require("valkey-server"))]
    if kind == "redis":
        return [str(programs.require("redis-server"))]
    return [sys.executable, "-m", "ranvier.cli"]


def name_of(kind: str) -> str:
    """The name that figures are printed under; another checkout is the baseline."""
    return "baseline" if "@" in kind else kind


def environment_of(kind: str) -> dict[str, str]:
    """The server's environment: a preloaded sanitizer is for Ranvier's engine alone."""
    return {name: value for name, value in os.environ.items() if kind == "ranvier" or name != "LD_PRELOAD"}


class ServerProcess:
    """A running server in a directory of its own. `info(section)` and `connect()` are its two usual entrances.

    Arguments: `options` come behind those that every server gets, and win; `rewritable` starts it with a configuration
    file (empty at first), which CONFIG REWRITE needs; `files` (name -> content) lie in its directory before it starts.
    """

    def __init__(
        self,
        kind: str,
        options: Sequence[str] = (),
        *,
        rewritable: bool = False,
        files: Mapping[str, bytes] | None = None,
    ) -> None:
        self.kind = kind
        self.port = free_port()
        self.directory = tempfile.TemporaryDirectory(prefix=f"ranvier-test-{name_of(kind)}-")
        self.path = Path(self.directory.name)
        self.log_path = self.path / "server.log"
        self.configuration_path = self.path / "server.conf"
        for name, content in (files or {}).items():
            (self.path / name).write_bytes(content)
        if rewritable:
            self.configuration_path.touch()
        self.command = [
            *server_command(kind),
            *([str(self.configuration_path)] if rewritable else ()),
            *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.directory.name),
            *COMMON_OPTIONS,
            *options,
        ]
        self.start_timeout_seconds = START_TIMEOUT_SECONDS
        self._launch(())

    def _launch(self, more_options: Sequence[str]) -> None:
        # The others ignore SIGXFSZ as we do, so that a file at its limit is an error to them; Ranvier has to by itself.
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.command, *more_options], stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                env=environment_of(self.kind), restore_signals=self.kind.startswith("ranvier"),
            )  # fmt: skip
        self._wait_until_ready()

    def restart(self, *more_options: str) -> None:
        """Start again what has ended: the same port, directory and options, `more_options` behind them this once."""
        assert not self.is_running(), "it runs still"
        self._launch(more_options)

    @property
    def pid(self) -> int:
        return self.process.pid

    def log(self) -> str:
        return self.log_path.read_bytes()[-LOG_TAIL_BYTES:].decode("utf-8", "replace")

    def connect(
        self, timeout_seconds: float = 20.0, *, protocol: int = 2, receive_buffer_bytes: int | None = None
    ) -> Wire:
        return Wire(self.port, timeout_seconds, protocol=protocol, receive_buffer_bytes=receive_buffer_bytes)

    def info(self, section: str = "default") -> dict[str, str]:
        """INFO as a dictionary, asked over a connection of its own."""
        with self.connect() as wire:
            return parse_info(wire.call("INFO", section).text)

    def descriptors(self) -> list[str]:
        """What the process's open descriptors refer to."""
        found = []
        for name in os.listdir(f"/proc/{self.pid}/fd"):
            try:
                found.append(os.readlink(f"/proc/{self.pid}/fd/{name}"))
            except FileNotFoundError:
                continue                        # closed while we looked
        return found

    def lowest_free_descriptor(self) -> int:
        """The number that the next opened file would get."""
        used = {int(name) for name in os.listdir(f"/proc/{self.pid}/fd")}
        return next(number for number in range(len(used) + 1) if number not in used)

    def connection_count(self) -> int:
        """Connections on the server's port that a process still holds, in whatever state, by the kernel's account."""
        listening, closed_by_owner = "0A", "0"
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        ours = [row for row in rows if row[1].endswith(f":{self.port:04X}")]
        return sum(row[3] != listening and row[9] != closed_by_owner for row in ours)

    def thread_count(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/task"))

    def resident_bytes(self) -> int:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def cpu_seconds(self) -> float:
        """CPU time of all threads so far, by the scheduler's own count."""
        tasks = Path(f"/proc/{self.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9

    def settle(self) -> None:
        """Two round trips on another connection: whatever was sent before has been read and executed by then."""
        with self.connect() as wire:
            for _ in range(2):
                assert wire.call("ECHO", "settled").text == b"settled"

    def is_running(self) -> bool:
        return self.process.poll() is None

    def stop(self) -> int:
        """SIGTERM, then wait; returns the exit status. A server that does not end is killed and reported."""
        if self.is_running():
            self.process.terminate()
        try:
            return self.process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the server did not end within {STOP_TIMEOUT_SECONDS} s:\n{self.log()}") from None

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def discard(self) -> None:
        """Remove the server's directory; the log is gone afterwards."""
        self.directory.cleanup()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self.start_timeout_seconds
        while time.monotonic() < deadline:
            if (status := self.process.poll()) is not None:
                raise AssertionError(f"{self.command} ended with status {status}:\n{self.log()}")
            try:
                with Wire(self.port, 2.0) as wire:
                    answer = wire.call("PING")
            except (OSError, EOFError):
                time.sleep(0.01)
                continue
            if answer.raw == b"+PONG\r\n" or answer.value[:6] == b"NOAUTH":  # type: ignore[index]
                return
        self.kill()
        raise AssertionError(f"no PONG within {self.start_timeout_seconds} s:\n{self.log()}")


def run_to_end(
    kind: str, arguments: Sequence[str], standard_input: str = "", timeout_seconds: float = START_TIMEOUT_SECONDS
) -> subprocess.CompletedProcess[str]:
    """Run the server's program with these arguments alone until it ends by itself."""
    return subprocess.run(
        [*server_command(kind), *arguments],
        input=standard_input,
        capture_output=True,
        text=True,
        timeout=timeout_seconds,
        check=False,
        env=environment_of(kind),
    )


# The fixture `start_server`: options of the server, then `kind=` and `clean=`.
StartServer = Callable[..., ServerProcess]


def parse_info(text: bytes) -> dict[str, str]:
    """INFO's lines `name:value` as a dictionary."""
    lines = (line for line in text.decode().split("\r\n") if ":" in line and not line.startswith("#"))
    return {name: value for name, _, value in (line.partition(":") for line in lines)}
