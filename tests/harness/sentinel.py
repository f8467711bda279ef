"""Real Sentinels that watch a pair: three processes with their own directories, fast enough for a test."""

import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from harness import programs
from harness.process import STOP_TIMEOUT_SECONDS, ServerProcess, free_port
from harness.waiting import eventually
from harness.wire import Wire

NAME = "mymaster"
# One sees the primary down before the others do, and stands for election alone: three that see it at once would split
# the votes, and try again much later. It needs the majority all the same.
QUORUM = 1
DOWN_AFTER_MS = (800, 3_000, 5_000)
NEVER_DOWN_MS = (60_000, 60_000, 60_000)
FAILOVER_TIMEOUT_MS = 3_000
FOUND_SECONDS = 30.0
# Sentinel asks and tells in its own rhythm, of seconds; a test need not wait for that. What it knows of a replica holds
# for five pings, and once the primary is down it asks every second: shorter pings make it find no good replica.
RHYTHM_MS = (
    ("info-period", 300), ("publish-period", 200), ("ping-period", 400), ("ask-period", 100),
    ("tilt-trigger", 5_000), ("slave-reconf-timeout", 3_000),
    ("default-failover-timeout", FAILOVER_TIMEOUT_MS), ("election-timeout", 1_000),
)  # fmt: skip


def sentinel_command(kind: str, configuration: Path) -> list[str]:
    """The command line of Redis's (`redis`) or Valkey's (`valkey`) Sentinel."""
    if kind == "valkey":
        return [str(programs.require("valkey-server")), str(configuration), "--sentinel"]
    return [str(programs.require("redis-sentinel")), str(configuration)]


class SentinelProcess:
    """One Sentinel that watches the primary at `primary_port`, which is down after `down_after_ms` of silence."""

    def __init__(self, kind: str, primary_port: int, down_after_ms: int) -> None:
        self.port = free_port()
        self.directory = tempfile.TemporaryDirectory(prefix="ranvier-test-sentinel-")
        path = Path(self.directory.name)
        configuration = path / "sentinel.conf"
        configuration.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {path}\n"
            f"sentinel monitor {NAME} 127.0.0.1 {primary_port} {QUORUM}\n"
            f"sentinel down-after-milliseconds {NAME} {down_after_ms}\n"
            f"sentinel failover-timeout {NAME} {FAILOVER_TIMEOUT_MS}\n"
        )
        self.log_path = path / "sentinel.log"
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                sentinel_command(kind, configuration), stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
            )

    def connect(self) -> Wire:
        return Wire(self.port)

    def is_ready(self) -> bool:
        assert self.process.poll() is None, f"a Sentinel ended: {self.log()}"
        try:
            with self.connect() as wire:
                return wire.call("PING").raw == b"+PONG\r\n"
        except OSError:
            return False

    def speed_up(self) -> None:
        """Shorten the periods in which this Sentinel asks, tells and elects."""
        with self.connect() as wire:
            for name, milliseconds in RHYTHM_MS:
                assert wire.call("SENTINEL", "DEBUG", name, milliseconds).raw == b"+OK\r\n", name

    def told(self, *words: str) -> dict[str, str]:
        """SENTINEL's answer to `words` as a dictionary."""
        with self.connect() as wire:
            texts = [item.text.decode() for item in wire.call("SENTINEL", *words, NAME).items]
        return dict(zip(texts[::2], texts[1::2], strict=True))

    def primary_port(self) -> int:
        with self.connect() as wire:
            return int(wire.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME).items[1].text)

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")[-4000:]

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.directory.cleanup()


class Sentinels:
    """Three of them. The block begins when each knows the others and `replicas` replicas of the primary.

    `down_after_ms`: what each of them takes for the primary's end; on a busy machine one may be silent for a while.
    """

    def __init__(
        self, primary: ServerProcess, *, kind: str = "redis", replicas: int = 1,
        down_after_ms: Sequence[int] = DOWN_AFTER_MS,
    ) -> None:  # fmt: skip
        self.all: Sequence[SentinelProcess] = [SentinelProcess(kind, primary.port, time) for time in down_after_ms]
        self._replicas = replicas

    def __enter__(self) -> "Sentinels":
        try:
            eventually(lambda: all(one.is_ready() for one in self.all), "the Sentinels answer")
            for one in self.all:
                one.speed_up()
            eventually(self._know_everybody, "the Sentinels know each other and the replicas", FOUND_SECONDS)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            error.add_note("\n".join(f"log of a Sentinel:\n{one.log()}" for one in self.all))
        self.stop()

    def stop(self) -> None:
        for one in self.all:
            one.stop()

    @property
    def addresses(self) -> list[tuple[str, int]]:
        return [("127.0.0.1", one.port) for one in self.all]

    def _know_everybody(self) -> bool:
        told = [one.told("MASTER") for one in self.all]
        return all(
            state["num-other-sentinels"] == str(len(self.all) - 1) and state["num-slaves"] == str(self._replicas)
            for state in told
        )

    def wait_for_primary(self, port: int, seconds: float) -> None:
        """Until all of them name the server at `port` as the primary."""
        eventually(lambda: all(one.primary_port() == port for one in self.all),
                   f"the Sentinels name the server at {port}", seconds)
