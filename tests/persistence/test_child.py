"""The forked child: what it holds, what it tells, how it ends; and that nothing of its host program disturbs it."""

import contextlib
import errno
import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.memory import memory_server, used_bytes
from harness.waiting import eventually
from persistence.data_sets import CHECKSUM
from ranvier.errors import SnapshotVersionError
from ranvier.server.server import Server

PROGRESS, DESCRIPTOR, END = 1, 2, 3
Record = tuple[int, ...]


@pytest.fixture
def server() -> Iterator[Server]:
    with memory_server() as server:
        for number in range(1000):
            server.engine.databases[0].set(b"key:%d" % number, b"value" * 100)
        yield server


@contextlib.contextmanager
def opened(path: Path | str) -> Iterator[int]:
    descriptor = os.open(path, os.O_WRONLY | (os.O_CREAT if isinstance(path, Path) else 0))
    yield descriptor
    os.close(descriptor)


def ended(pid: int, pipe: int) -> tuple[int, list[Record]]:
    """Wait for the child: its exit status (negative: the signal), and all that it reported."""
    os.set_blocking(pipe, True)
    data = b""
    while part := os.read(pipe, 65536):
        data += part
    os.close(pipe)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), list(struct.iter_unpack("=4q", data))


def good(data: bytes) -> bool:
    return data[:5] == b"REDIS" and data[-8:] == struct.pack("<Q", CHECKSUM.calc(data[:-8]))


def test_it_writes_a_file_and_tells_of_it(server: Server, tmp_path: Path) -> None:
    with opened(tmp_path / "a") as one, opened(tmp_path / "b") as two:
        pid, pipe = server.engine.snapshots.start_child([one, two])
        assert server.engine.snapshots.forks == 1
        assert not os.get_inheritable(pipe)
        status, reports = ended(pid, pipe)
    data = (tmp_path / "a").read_bytes()
    assert status == 0 and good(data) and (tmp_path / "b").read_bytes() == data
    assert [report[:3] for report in reports if report[0] == DESCRIPTOR] == [(2, 0, 0), (2, 1, 0)]
    assert (reports[-1][0], reports[-1][1], reports[-1][3]) == (END, 1000, len(data))
    assert 0 < reports[-1][2] < 100_000_000          # the stack, at least, is its own


def test_a_full_disk_is_told_and_the_others_go_on(server: Server, tmp_path: Path) -> None:
    with opened("/dev/full") as full, opened(tmp_path / "a") as file:
        status, reports = ended(*server.engine.snapshots.start_child([full, file]))
        assert status == 0 and reports[-1][0] == END
        assert [report[1:3] for report in reports if report[0] == DESCRIPTOR] == [(0, errno.ENOSPC), (1, 0)]
        status, reports = ended(*server.engine.snapshots.start_child([full]))
        assert status == 1
        assert [report[:3] for report in reports] == [(DESCRIPTOR, 0, errno.ENOSPC)]
    assert good((tmp_path / "a").read_bytes())


def test_a_peer_that_takes_nothing_is_given_up(server: Server) -> None:
    server.engine.databases[0].set(b"large", os.urandom(20_000_000))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        status, reports = ended(*server.engine.snapshots.start_child([ours.fileno()], patience_seconds=0.2))
    assert status == 1
    assert reports[-1][:3] == (DESCRIPTOR, 0, errno.ETIMEDOUT)


def test_a_peer_that_is_gone_is_given_up(server: Server) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        theirs.close()
        status, reports = ended(*server.engine.snapshots.start_child([ours.fileno()]))
    assert status == 1
    assert reports[-1][:3] == (DESCRIPTOR, 0, errno.EPIPE)


def test_a_slow_peer_gets_it_all(server: Server) -> None:
    """A socket that does not block, as a server's are, and a mark around what has no known length."""
    server.engine.databases[0].set(b"large", os.urandom(20_000_000))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        pid, pipe = server.engine.snapshots.start_child([ours.fileno()], eof_mark=b"x" * 40)
        ours.close()
        data = b""
        while part := theirs.recv(1 << 20):
            data += part
        assert ended(pid, pipe)[0] == 0
    assert data[:47] == b"$EOF:" + b"x" * 40 + b"\r\n" and data[-40:] == b"x" * 40
    assert good(data[47:-40])


def test_it_holds_nothing_but_what_it_was_given(server: Server, tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with opened(tmp_path / "a") as file, theirs:
        os.dup2(file, 900)
        pid, pipe = server.engine.snapshots.start_child([file], delay_microseconds=100_000)
        os.close(900)
        eventually(lambda: len(os.listdir(f"/proc/{pid}/fd")) == 2, "two descriptors are left to it")
        ours.close()
        assert theirs.recv(1) == b""
        os.kill(pid, signal.SIGTERM)
        assert ended(pid, pipe)[0] == -signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_keys_of_the_terminal_do_not_end_it(number: signal.Signals, server: Server, tmp_path: Path) -> None:
    with opened(tmp_path / "a") as file:
        pid, pipe = server.engine.snapshots.start_child([file], delay_microseconds=200)
        eventually(lambda: len(os.listdir(f"/proc/{pid}/fd")) == 2, "it has come so far that it ignores them")
        os.kill(pid, number)
        assert ended(pid, pipe)[0] == 0
    assert good((tmp_path / "a").read_bytes())


def test_handlers_of_the_host_do_not_run_in_it(server: Server, tmp_path: Path) -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(number))
    try:
        with opened(tmp_path / "a") as file:
            pid, pipe = server.engine.snapshots.start_child([file], delay_microseconds=100_000)
            os.kill(pid, signal.SIGUSR1)
            assert ended(pid, pipe)[0] == -signal.SIGUSR1
        os.kill(os.getpid(), signal.SIGUSR1)
        assert seen == [signal.SIGUSR1]
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_it_ends_when_nobody_listens(server: Server, tmp_path: Path) -> None:
    """Its parent may have been killed. The next report tells it."""
    with opened(tmp_path / "a") as file:
        pid, pipe = server.engine.snapshots.start_child([file], delay_microseconds=50_000)
        os.close(pipe)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1


def test_progress_comes_while_it_writes(server: Server, tmp_path: Path) -> None:
    with opened(tmp_path / "a") as file:
        pid, pipe = server.engine.snapshots.start_child([file], delay_microseconds=20_000)
        os.set_blocking(pipe, True)
        kind, keys, copied, _ = struct.unpack("=4q", os.read(pipe, 32))
        assert kind == PROGRESS and 0 < keys < 1000 and copied > 0
        os.kill(pid, signal.SIGKILL)
        assert ended(pid, pipe)[0] == -signal.SIGKILL


def test_what_a_file_may_not_hold_is_refused_before_the_fork(server: Server, tmp_path: Path) -> None:
    for bad in ([], list(range(600))):
        with pytest.raises(ValueError):
            server.engine.snapshots.start_child(bad)
    with pytest.raises(TypeError):
        server.engine.snapshots.start_child(["a"])  # type: ignore[list-item]
    assert server.engine.snapshots.forks == 0
    assert SnapshotVersionError(b"k", 0, 10, 80).needed == 80


def test_a_host_with_threads_is_not_disturbed(server: Server, tmp_path: Path) -> None:
    """Threads that run Python code, allocate, and hold locks while the fork happens, a hundred times over."""
    stop = threading.Event()
    rounds = [0, 0, 0, 0]

    def work(place: int) -> None:
        while not stop.is_set():
            blocks = [bytearray(size) for size in range(1, 200_000, 9_999)]
            rounds[place] += len([{number: str(number)} for number in range(500)]) + len(blocks)

    threads = [threading.Thread(target=work, args=(place,)) for place in range(len(rounds))]
    for thread in threads:
        thread.start()
    try:
        for number in range(100):
            path = tmp_path / f"file{number}"
            with opened(path) as file:
                status, reports = ended(*server.engine.snapshots.start_child([file], incremental_sync=False))
            assert status == 0 and reports[-1][:2] == (END, 1000)
            assert good(path.read_bytes())
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert all(rounds)


def test_the_parent_goes_on_while_it_writes(server: Server, tmp_path: Path) -> None:
    """What changes after the fork is not in the file."""
    database = server.engine.databases[0]
    with opened(tmp_path / "a") as file:
        pid, pipe = server.engine.snapshots.start_child([file], delay_microseconds=500)
        begin = time.monotonic()
        for number in range(1000):
            database.set(b"key:%d" % number, b"changed" * 100)
        assert time.monotonic() > begin
        assert ended(pid, pipe)[0] == 0
    assert b"changed" not in (tmp_path / "a").read_bytes()


def test_failures_leave_nothing_behind(server: Server) -> None:
    """Descriptors and memory are what they were, whoever fails: the disk, or the function that takes the bytes."""
    def refuse(data: bytes) -> None:
        raise OSError(errno.ENOSPC, "full")

    snapshots = server.engine.snapshots
    with opened("/dev/full") as full:
        before = (len(os.listdir("/proc/self/fd")), used_bytes(server))
        for _ in range(20):
            assert ended(*snapshots.start_child([full]))[0] == 1
            with pytest.raises(OSError):
                snapshots.write(refuse)
            with pytest.raises(ValueError):
                snapshots.start_child([])
        assert (len(os.listdir("/proc/self/fd")), used_bytes(server)) == before
