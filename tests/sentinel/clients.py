"""Clients that write through Sentinel and go on writing when the primary has changed."""

import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import pytest
from redis.exceptions import RedisError
from redis.sentinel import Sentinel

from harness import programs
from harness.sentinel import NAME
from harness.waiting import eventually

CONFIRM_MS = 200
PAUSE_SECONDS = 0.002
MODULES = Path(__file__).parents[2] / "build" / "node" / "node_modules"


class PythonWriter:
    """redis-py's Sentinel client on a thread. Each write is a key of its own; `confirmed` are those a replica has."""

    def __init__(self, sentinels: Sequence[tuple[str, int]]) -> None:
        watchers = Sentinel(sentinels, socket_timeout=1)  # type: ignore[no-untyped-call]
        self._client = watchers.master_for(NAME, socket_timeout=1)  # type: ignore[no-untyped-call]
        self._ending = threading.Event()
        self._confirming = True
        self.acknowledged: list[int] = []
        self.confirmed: list[int] = []
        self.failures: list[str] = []
        self._thread = threading.Thread(target=self._write, daemon=True)

    def __enter__(self) -> "PythonWriter":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join(20)
        self._client.close()

    def _write(self) -> None:
        number = 0
        while not self._ending.wait(PAUSE_SECONDS):
            number += 1
            try:
                self._client.set(f"python:{number}", number)
                self.acknowledged.append(number)
                if self._confirming and self._client.wait(1, CONFIRM_MS):
                    self.confirmed.append(number)
            except RedisError as failure:
                self.failures.append(repr(failure))

    def stop_confirming(self) -> list[int]:
        """Wait for no replica any more; what replicas have by now."""
        self._confirming = False
        return list(self.confirmed)

    def expect_more(self, count: int, what: str, seconds: float = 20.0) -> None:
        """Wait for `count` further acknowledged writes."""
        wanted = len(self.acknowledged) + count
        eventually(lambda: len(self.acknowledged) >= wanted, f"{count} writes {what}: {self.failures[-3:]}", seconds)


class NodeWriter:
    """ioredis's Sentinel client in a node process; `writer.js` says what it prints."""

    def __init__(self, sentinels: Sequence[tuple[str, int]]) -> None:
        node = programs.find("node")
        if node is None:
            pytest.skip("node is not installed")
        if not (MODULES / "ioredis").exists():
            programs.unavailable("ioredis is not installed (tools/install_test_programs.sh does it where npm is)")
        self._process = subprocess.Popen(
            [str(node), str(Path(__file__).with_name("writer.js")), NAME, *(str(port) for _, port in sentinels)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={"NODE_PATH": str(MODULES), "PATH": "/usr/bin:/bin"},
        )  # fmt: skip
        self.acknowledged: list[int] = []
        self.failures: list[str] = []
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> "NodeWriter":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._thread.join(10)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            word, _, rest = line.strip().partition(" ")
            if word == "ok":
                self.acknowledged.append(int(rest))
            else:
                self.failures.append(line)

    def expect_more(self, count: int, what: str, seconds: float = 20.0) -> None:
        """Wait for `count` further acknowledged writes."""
        wanted = len(self.acknowledged) + count
        eventually(lambda: len(self.acknowledged) >= wanted, f"{count} writes {what}: {self.failures[-3:]}", seconds)
