"""Who follows a child through its pipe, and who loads a data set step by step: every way in which they end."""

import os
import signal
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.memory import memory_server, turn
from harness.waiting import eventually
from ranvier.commands.gates import Gate
from ranvier.errors import LoadError
from ranvier.persistence.children import KILLED, ChildKind, Children
from ranvier.persistence.disk_errors import DiskErrors
from ranvier.persistence.loading import Loading
from ranvier.server.server import Server

RECORD = struct.Struct("=4q")


class Forks:
    forks, fork_microseconds = 3, 2000

    def key_count(self) -> int:
        return 10


class Loop:
    """An engine, as far as children and loading know it."""

    def __init__(self) -> None:
        self.snapshots = Forks()
        self.settings = self
        self.monotonic_ms = self.wall_ms = 1000
        self.watched: dict[int, Callable[[], None]] = {}
        self.posted: list[Callable[[], object]] = []
        self.gates: set[int] = set()

    def watch(self, fd: int, callback: Callable[[], None]) -> None:
        self.watched[fd] = callback

    def unwatch(self, fd: int) -> None:
        del self.watched[fd]

    def post(self, callback: Callable[[], object]) -> None:
        self.posted.append(callback)

    def set_gate(self, gate: int, closed: bool) -> None:
        self.gates = self.gates | {gate} if closed else self.gates - {gate}

    def turned(self, found: object) -> bool:
        """A turn; whether there is something in `found`, a list or the like, or was before."""
        self.turn()
        return bool(found)

    def turn(self) -> None:
        for ready in list(self.watched.values()):
            ready()
        posted, self.posted = self.posted, []
        for callback in posted:
            callback()


def forked(*records: tuple[int, int, int, int], status: int = 0, last: int = 0) -> Callable[[], tuple[int, int]]:
    """A child that reports this, and then ends, or is ended by the signal `last`."""
    def fork() -> tuple[int, int]:
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        pid = os.fork()
        if pid == 0:
            for record in records:
                data = RECORD.pack(*record)
                os.write(writing, data[:7])
                os.write(writing, data[7:])
            if last:
                os.kill(os.getpid(), last)
            os._exit(status)
        os.close(writing)
        return pid, reading

    return fork


@pytest.mark.parametrize("records, status, last, ok, text", [
    ([(1, 5, 4096, 0), (2, 0, 0, 99), (3, 10, 8192, 99)], 0, 0, True, ""),
    ([(2, 0, 28, 99)], 1, 0, False, "No space left on device"),
    ([], 3, 0, False, "ended with status 3"),
    ([(1, 5, 4096, 0)], 0, signal.SIGTERM, False, "terminated by signal 15"),
    ([(3, 10, 8192, 99)], 1, 0, False, "ended with status 1"),
    ([], 0, 0, False, "ended with status 0"),
])
def test_a_child_ends(records: Any, status: int, last: int, ok: bool, text: str) -> None:
    loop, told, noted = Loop(), [], []
    children = Children(loop, lambda event, milliseconds: noted.append((event, milliseconds)))
    pid = children.start(ChildKind.SNAPSHOT, forked(*records, status=status, last=last),
                         lambda ok, text: told.append((ok, text, children.kind)))
    assert (children.kind, children.pid, noted) == (ChildKind.SNAPSHOT, pid, [("fork", 2)])
    with pytest.raises(RuntimeError):
        children.start(ChildKind.REWRITE, forked(), lambda ok, text: None)
    eventually(lambda: loop.turned(told), "it has ended")
    assert told == [(ok, text, None)]
    assert not loop.watched
    assert children.errors == {first: second for kind, first, second, _ in records if kind == 2}
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def test_figures_of_a_child_that_runs() -> None:
    loop = Loop()
    children = Children(loop)
    children.kill()
    assert children.figures() == {"latest_fork_usec": 2000, "total_forks": 3}
    told: list[tuple[bool, str]] = []
    children.start(ChildKind.SNAPSHOT, forked((1, 5, 4096, 0), last=signal.SIGSTOP),
                   lambda ok, text: told.append((ok, text)))
    eventually(lambda: loop.turned(0) or children.copied_bytes > 0, "it has reported")
    loop.monotonic_ms += 2000
    figures = children.figures()
    assert figures["current_fork_perc"] == 50.0
    assert figures["current_cow_size"] == figures["current_cow_peak"] == 4096
    assert (figures["current_save_keys_processed"], figures["current_save_keys_total"]) == (5, 10)
    children.kill()
    assert told == [(False, KILLED)] and not loop.watched and children.kind is None


def test_a_host_that_waits_for_all_children_disturbs_nothing() -> None:
    loop, told = Loop(), []
    children = Children(loop)
    pid = children.start(ChildKind.SNAPSHOT, forked((3, 10, 0, 99)), lambda ok, text: told.append(ok))
    os.waitpid(pid, 0)
    eventually(lambda: loop.turned(told), "it has ended")
    assert told == [True]
    pid = children.start(ChildKind.SNAPSHOT, forked(), lambda ok, text: told.append(ok))
    os.waitpid(pid, 0)
    children.kill()
    assert told == [True, False]


# ---- loading --------------------------------------------------------------------------------------------------------

class Job:
    def __init__(self, steps: int, error: Exception | None = None) -> None:
        self.steps, self.error, self.total_bytes, self.position = steps, error, 10 * steps, 0
        self.auxiliary = {b"used-mem": b"1234"}

    def step(self, nanoseconds: int) -> bool:
        assert nanoseconds > 0
        self.position += 10
        if self.position == self.total_bytes and self.error is not None:
            raise self.error
        return self.position == self.total_bytes


def test_a_job_is_loaded_step_by_step() -> None:
    loop = Loop()
    told: list[object] = []
    logged: list[str] = []
    loading = Loading(loop, logged.append)
    assert loading.figures() == {} and not loading.active
    loading.begin(Job(3), lambda: told.append((set(loop.gates), loading.active)), lambda error: None)
    with pytest.raises(RuntimeError):
        loading.begin(Job(3), lambda: None, lambda error: None)
    assert loop.gates == {int(Gate.LOADING)}
    loop.turn()
    loop.monotonic_ms += 6000
    loop.turn()
    figures = loading.figures()
    assert (figures["loading"], figures["loading_loaded_bytes"], figures["loading_total_bytes"]) == (1, 20, 30)
    assert (figures["loading_eta_seconds"], figures["loading_rdb_used_mem"]) == (3, 1234)
    assert logged == ["Loading: 20 bytes (66%) in 6 seconds"]
    loop.turn()
    assert told == [(set(), False)]
    loop.turn()
    assert not loop.posted


@pytest.mark.parametrize("error", [LoadError("bad", 7), OSError(5, "read")])
def test_a_job_that_fails(error: Exception) -> None:
    loop = Loop()
    told: list[object] = []
    loading = Loading(loop, lambda text: None)
    loading.begin(Job(1, error), lambda: told.append("done"), told.append, beside=True)
    assert loop.gates == {int(Gate.ASYNC_LOADING)}
    assert (loading.figures()["loading"], loading.figures()["async_loading"]) == (0, 1)
    loop.turn()
    assert told == [error] and not loop.gates
    with pytest.raises(type(error)):
        loading.run(Job(1, error))
    assert not loop.gates and not loading.active


def test_a_job_that_is_called_off_and_the_next_one() -> None:
    loop, told = Loop(), []
    loading = Loading(loop, lambda text: None)
    first, second = Job(3), Job(2)
    loading.begin(first, lambda: told.append("first"), lambda error: None)
    loop.turn()
    loading.cancel()
    loading.cancel()
    assert not loop.gates
    loading.begin(second, lambda: told.append("second"), lambda error: None)
    loop.turn()
    assert (first.position, second.position) == (10, 10)
    loop.turn()
    assert told == ["second"]
    loading.run(Job(5))
    assert not loading.active


def test_two_disk_errors_close_one_gate() -> None:
    loop = Loop()
    errors = DiskErrors(loop)
    errors.set("append-only", "Errors writing to the AOF file: x")
    errors.set("snapshot", "snapshots fail")
    assert errors.text == "snapshots fail" and loop.gates == {int(Gate.DISK_ERROR)}
    errors.set("snapshot", None)
    assert errors.text.startswith("Errors") and loop.gates
    errors.set("append-only", None)
    assert not loop.gates and errors.text == ""


def told_after_a_turn(server: Server) -> bool:
    turn(server)
    return server.snapshots.figures()["rdb_saves"] == 1


def test_without_descriptors_the_server_writes_itself(tmp_path: Path) -> None:
    """A simulated disk has none: BGSAVE writes there and then, and tells of it in the next turn."""
    from ranvier.persistence.files import SystemFiles

    class Plain(SystemFiles):
        def create(self, path: str) -> Any:
            file = super().create(path)

            class WithoutDescriptor:
                descriptor = None
                write, sync, close = file.write, file.sync, file.close

            return WithoutDescriptor()

    with memory_server(dir=str(tmp_path)) as server:
        server.snapshots._files = Plain()
        server.engine.databases[0].set(b"k", b"v")
        assert server.snapshots.save_in_background()
        eventually(lambda: told_after_a_turn(server), "it tells of it")
        assert os.listdir(tmp_path) == ["dump.rdb"]
