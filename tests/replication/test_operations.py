"""The commands of docs/operations.md, run as they stand there, while a client writes."""

import re
import subprocess
import threading
from pathlib import Path
from types import TracebackType

import pytest

from harness import programs
from harness.data_set import expect_equal, read_data_set
from harness.process import ServerProcess, StartServer
from harness.waiting import eventually
from harness.workload import Workload
from replication.pairs import OWN

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
BLOCK = re.compile(r"<!-- run: (?P<name>[\w ]+) -->\n```sh\n(?P<script>.*?)```", re.DOTALL)
OLD, RANVIER, NEW = 6379, 6380, 6381
SCRIPT_SECONDS = 60


def blocks() -> dict[str, str]:
    return {found["name"]: found["script"] for found in BLOCK.finditer(PAGE.read_text())}


def run(name: str, directory: Path, **servers: ServerProcess) -> str:
    """Run one of the page's blocks with the ports of these servers; what it prints."""
    programs.require("redis-cli")
    script = blocks()[name]
    for written, role in ((OLD, "old"), (RANVIER, "own"), (NEW, "new")):
        if role in servers:
            script = script.replace(str(written), str(servers[role].port))
    outcome = subprocess.run(["sh", "-eu", "-c", script], cwd=directory, capture_output=True, text=True,
                             timeout=SCRIPT_SECONDS, check=False)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert "ERR" not in outcome.stdout, outcome.stdout
    return outcome.stdout


class Application:
    """A client that counts, one number after the other, and moves when it is told to."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self._ending = threading.Event()
        self.acknowledged: list[int] = []
        self.moved_after = 0
        self._thread = threading.Thread(target=self._write, daemon=True)

    def __enter__(self) -> "Application":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join(40)

    def move(self, server: ServerProcess) -> None:
        """The next connection goes there: the old server closes this one."""
        self._server = server
        self.moved_after = len(self.acknowledged)

    def _write(self) -> None:
        number = 0
        while not self._ending.is_set():
            server = self._server
            try:
                with server.connect(60) as wire:
                    while server is self._server and not self._ending.wait(0.001):
                        if wire.call("SET", f"app:{number}", number).raw == b"+OK\r\n":
                            self.acknowledged.append(number)
                            number += 1
            except (OSError, EOFError):
                continue


def expect_whole(server: ServerProcess, application: Application) -> None:
    """Every write that was acknowledged, by whichever server, is there."""
    held = {key for _, key in read_data_set(server, [0])}
    assert application.acknowledged
    assert [number for number in application.acknowledged if b"app:%d" % number not in held] == []


@pytest.mark.parametrize(("old_kind", "new_kind"), [("redis", "valkey"), ("valkey", "redis")])
def test_a_live_data_set_moves_in_and_on(
    old_kind: str, new_kind: str, start_server: StartServer, server_kind: str, tmp_path: Path
) -> None:
    """Redis to Ranvier to Valkey, and the other way round: nothing that was acknowledged is lost on the way."""
    options = ("--repl-diskless-sync-delay", "0")
    old = start_server(*options, kind=old_kind, clean=False)
    own = start_server(*options, "--appendonly", "yes", kind=server_kind)
    new = start_server(*options, kind=new_kind)
    Workload(old, 3, with_redis=True).run(800)
    with Application(old) as application:
        run("follow", tmp_path, old=old, own=own)
        run("switch", tmp_path, old=old, own=own)
        application.move(own)
        old.kill()
        expect_goes_on(application)
        run("follow on", tmp_path, own=own, new=new)
        run("switch on", tmp_path, own=own, new=new)
        application.move(new)
        own.stop()
        expect_goes_on(application)
    own.restart()
    expect_whole(new, application)
    keys = {place for place in read_data_set(own) if not place[1].startswith(b"app:")}
    assert keys == {place for place in read_data_set(new) if not place[1].startswith(b"app:")}


def expect_goes_on(application: Application) -> None:
    wanted = len(application.acknowledged) + 20
    eventually(lambda: len(application.acknowledged) >= wanted, "the application writes to the new server")


@pytest.mark.parametrize("old_kind", ["redis", "valkey", OWN])
def test_one_command_switches_roles(
    old_kind: str, start_server: StartServer, server_kind: str, tmp_path: Path
) -> None:
    options = ("--repl-diskless-sync-delay", "0")
    old = start_server(*options, kind=server_kind if old_kind == OWN else old_kind)
    own = start_server(*options, kind=server_kind)
    Workload(old, 4, with_redis=True).run(300)
    run("follow", tmp_path, old=old, own=own)
    run("failover", tmp_path, old=old, own=own)
    with own.connect() as wire:
        assert wire.call("SET", "written", "to the new primary").raw == b"+OK\r\n"
    expect_equal(own, old)


def test_a_backup_over_the_network(start_server: StartServer, server_kind: str, tmp_path: Path) -> None:
    own = start_server("--repl-diskless-sync-delay", "0", kind=server_kind)
    programs.require("redis-check-rdb")
    Workload(own, 5, with_redis=True).run(300)
    assert "RDB looks OK" in run("backup", tmp_path, own=own)
    restored = start_server(kind=server_kind, files={"dump.rdb": (tmp_path / "backup.rdb").read_bytes()})
    expect_equal(own, restored)
