"""A disk without room, for real: no file of a running server may grow beyond a limit, until there is room again.

The limit is the system's own (RLIMIT_FSIZE): a write is cut short there, and the next one fails with EFBIG, as they do
at the end of a disk; it is set and lifted from outside while the server runs. Valkey stands beside it: what a client is
answered, and when, is the same. The order of every single failure is the business of the simulated disk (at the end).
"""

import itertools
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random

import pytest

from harness.lossy_files import LossyDisk
from harness.process import ServerProcess, StartServer
from harness.replication import PRIMARY_OPTIONS, attach, follow, link_is_up, wait_for_link, wait_until_in_step
from harness.waiting import eventually
from harness.wire import Reply, Wire
from persistence.disk_world import World, world
from ranvier.persistence.environment import State
from ranvier.persistence.manifest import Manifest

ROOM_BYTES = 100_000
VALUE_BYTES = 1_000
KEYS = 3 * ROOM_BYTES // VALUE_BYTES    # more than fits
BOTH = pytest.mark.parametrize("kind", ["ranvier", "valkey"])
FULL = "File too large"
ON = ("--appendonly", "yes")


@contextmanager
def without_room(server: ServerProcess, room_bytes: int = ROOM_BYTES) -> Iterator[None]:
    """No file of this server, or of its children, gets longer than this; its log is much shorter."""
    _, most = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (room_bytes, most))
    try:
        yield
    finally:
        if server.is_running():
            resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (most, most))


def value_of(number: int) -> bytes:
    return Random(number).randbytes(VALUE_BYTES)


def fill(wire: Wire) -> None:
    for number in range(KEYS):
        assert wire.call("SET", f"key:{number}", value_of(number)).text == b"OK"


def files_of(server: ServerProcess) -> set[str]:
    """All files below the server's directory, without its log."""
    return {path.name for path in server.path.rglob("*") if path.is_file()} - {"server.log"}


def temporaries(server: ServerProcess) -> list[str]:
    return [name for name in files_of(server) if name.startswith("temp")]


def persistence(server: ServerProcess) -> dict[str, str]:
    return server.info("persistence")


def is_refused(reply: Reply) -> bool:
    return reply.raw.startswith(b"-MISCONF ")


def is_told(server: ServerProcess, text: str) -> bool:
    return text in server.log_path.read_text(errors="replace")


def digest(server: ServerProcess) -> bytes:
    with server.connect() as wire:
        return wire.call("DEBUG", "DIGEST").text


def digest_after_kill(server: ServerProcess) -> bytes:
    server.kill()
    server.restart()
    return digest(server)


# ---- snapshots ------------------------------------------------------------------------------------------------------

@BOTH
def test_a_snapshot_that_has_no_room_refuses_writes_until_one_has(start_server: StartServer, kind: str) -> None:
    server = start_server("--save", "1 1", kind=kind, clean=False)
    with server.connect() as wire:
        wire.call("SET", "old", "1")
        assert wire.call("SAVE").text == b"OK"
        with without_room(server):
            wire.call("CONFIG", "SET", "save", "3600 1000000")
            fill(wire)
            assert wire.call("BGSAVE").text == b"Background saving started"
            eventually(lambda: persistence(server)["rdb_last_bgsave_status"] == "err", "the child has failed")
            assert is_told(server, FULL)
            assert files_of(server) == {"dump.rdb"}
            assert all(is_refused(wire.call(*words)) for words in (("SET", "a", "1"), ("DEL", "old"), ("PING",)))
            assert wire.call("GET", "key:7").text == value_of(7)
            assert wire.call("SAVE").text == b"ERR"
            assert files_of(server) == {"dump.rdb"}
            wire.call("CONFIG", "SET", "save", "1 1")
        eventually(lambda: wire.call("SET", "new", "1").text == b"OK", "a save point finds room", 30)
        assert files_of(server) == {"dump.rdb"}
        assert wire.call("SAVE").text == b"OK"
    before = digest(server)
    assert digest_after_kill(server) == before


def test_a_snapshot_that_failed_leaves_the_one_before(start_server: StartServer) -> None:
    server = start_server(clean=False)
    with server.connect() as wire:
        wire.call("SET", "old", "1")
        assert wire.call("SAVE").text == b"OK"
        before = digest(server)
        with without_room(server):
            fill(wire)
            wire.call("BGSAVE")
            eventually(lambda: persistence(server)["rdb_last_bgsave_status"] == "err", "the child has failed")
            assert wire.call("SET", "a", "1").text == b"OK", "without save points nothing is refused"
    assert digest_after_kill(server) == before


# ---- the append-only file -------------------------------------------------------------------------------------------

def write_until_refused(wire: Wire) -> int:
    """How many writes were acknowledged, one after the other."""
    for number in itertools.count():
        reply = wire.call("SET", f"key:{number}", value_of(number))
        if is_refused(reply):
            return number
        assert reply.text == b"OK"
        assert number < KEYS
    raise AssertionError


def expect_values(wire: Wire, numbers: range) -> None:
    assert [number for number in numbers if wire.call("GET", f"key:{number}").value != value_of(number)] == []


@BOTH
@pytest.mark.parametrize("policy", ["everysec", "no"])
def test_appending_goes_on_when_there_is_room(start_server: StartServer, kind: str, policy: str) -> None:
    server = start_server(*ON, "--appendfsync", policy, kind=kind, clean=False)
    with server.connect() as wire:
        with without_room(server):
            written = write_until_refused(wire)
            assert wire.call("PING").text.startswith(b"MISCONF Errors writing to the AOF file: ")
            assert is_refused(wire.call("DEL", "key:0"))
            expect_values(wire, range(written))
            assert persistence(server)["aof_last_write_status"] == "err"
            assert is_told(server, "writing to the AOF file")
        eventually(lambda: wire.call("SET", f"key:{written}", value_of(written)).text == b"OK", "it is written again")
        assert persistence(server)["aof_last_write_status"] == "ok"
        assert is_told(server, "AOF write error looks solved")
    before = digest(server)
    assert digest_after_kill(server) == before
    with server.connect() as wire:
        expect_values(wire, range(written + 1))


def test_a_server_that_is_killed_without_room_leaves_whole_units(start_server: StartServer) -> None:
    """All but the write that met the end of the disk, which had been answered for: so everysec says."""
    server = start_server(*ON, clean=False)
    with server.connect() as wire, without_room(server):
        written = write_until_refused(wire)
        server.kill()
    server.restart()
    assert not is_told(server, "short read")
    with server.connect() as wire:
        expect_values(wire, range(written - 1))


def test_always_answers_for_nothing_that_has_no_room(start_server: StartServer) -> None:
    server = start_server(*ON, "--appendfsync", "always", clean=False)
    with server.connect() as wire, without_room(server):
        written = 0
        with pytest.raises((EOFError, ConnectionError)):
            while wire.call("SET", f"key:{written}", value_of(written)).text == b"OK":
                written += 1
        assert server.process.wait(15) == 1
    server.restart()
    with server.connect() as wire:
        expect_values(wire, range(written))


def test_an_end_that_would_lose_changes_is_refused(start_server: StartServer) -> None:
    server = start_server(*ON, clean=False)
    with server.connect() as wire:
        with without_room(server):
            written = write_until_refused(wire)
            assert wire.call("SHUTDOWN").text == b"ERR Errors trying to SHUTDOWN. Check logs."
            server.process.terminate()
            eventually(lambda: server.log_path.read_text().count("can't exit") == 2, "SIGTERM is refused, too")
            expect_values(wire, range(written))
        server.process.terminate()
        assert server.process.wait(15) == 0
    server.restart()
    with server.connect() as wire:
        expect_values(wire, range(written))


@pytest.mark.parametrize("word", ["FORCE", "NOSAVE"])
def test_an_end_that_loses_changes_is_told(start_server: StartServer, word: str) -> None:
    server = start_server(*ON, clean=False)
    with server.connect() as wire, without_room(server):
        write_until_refused(wire)
        wire.send_command("SHUTDOWN", word)
        assert server.process.wait(15) == 0
    assert is_told(server, "bytes of changes cannot be written to the AOF file, which ends without them.")


@BOTH
def test_a_rewrite_without_room_leaves_everything(start_server: StartServer, kind: str) -> None:
    server = start_server(*ON, kind=kind, clean=False)
    with server.connect() as wire:
        fill(wire)
        assert wire.call("BGREWRITEAOF").text == b"Background append only file rewriting started"
        eventually(lambda: persistence(server)["aof_rewrite_in_progress"] == "0", "the first rewrite")
        eventually(lambda: len(files_of(server)) == 3, "history is removed")
        with without_room(server):
            wire.call("BGREWRITEAOF")
            eventually(lambda: persistence(server)["aof_last_bgrewrite_status"] == "err", "the child has failed")
            assert is_told(server, FULL)
            assert not temporaries(server)
            assert wire.call("SET", "a", "1").text == b"OK", "the file itself can be written"
        before = digest(server)
        assert digest_after_kill(server) == before
    with server.connect() as wire:
        wire.call("BGREWRITEAOF")
        eventually(lambda: persistence(server)["aof_last_bgrewrite_status"] == "ok", "there is room")
        eventually(lambda: len(files_of(server)) == 3, "one base, one increment and their manifest are left")
    assert digest_after_kill(server) == before


# ---- replication ----------------------------------------------------------------------------------------------------

@BOTH
def test_a_replica_without_room_keeps_what_it_has_and_tries_again(start_server: StartServer, kind: str) -> None:
    """The transfer goes to its disk; the data set that it has is served on."""
    primary = start_server(*PRIMARY_OPTIONS)
    replica = start_server("--repl-diskless-load", "disabled", kind=kind)
    with primary.connect() as wire, replica.connect() as reader:
        fill(wire)
        reader.call("SET", "own", "1")
        with without_room(replica):
            follow(replica, primary.port)
            eventually(lambda: is_told(replica, "Write error or short write writing to the DB"), "the transfer fails")
            assert not link_is_up(replica)
            assert reader.call("GET", "own").text == b"1"
            eventually(lambda: not temporaries(replica), "nothing of the transfer is left")
        wait_for_link(replica, 60)
        wait_until_in_step(replica, primary)
        assert reader.call("GET", "key:7").text == value_of(7)
        assert not temporaries(replica)
    assert digest(replica) == digest(primary)


@BOTH
def test_a_primary_without_room_for_a_replica_goes_on(start_server: StartServer, kind: str) -> None:
    primary = start_server(*PRIMARY_OPTIONS, "--repl-diskless-sync", "no", kind=kind)
    replica = start_server()
    with primary.connect() as wire:
        fill(wire)
        with without_room(primary):
            follow(replica, primary.port)
            eventually(lambda: is_told(primary, "SYNC failed. BGSAVE child returned an error"), "the child has failed")
            assert wire.call("SET", "a", "1").text == b"OK"
        wait_for_link(replica, 60)
        wait_until_in_step(replica, primary)
        assert not temporaries(primary)
    assert digest(replica) == digest(primary)


def test_a_replica_follows_beside_an_append_only_file_without_room(start_server: StartServer) -> None:
    """What comes from the primary is applied; what its file lacks is written when there is room."""
    primary = start_server(*PRIMARY_OPTIONS, clean=False)
    replica = start_server(*PRIMARY_OPTIONS, *ON, clean=False)
    attach(replica, primary)
    with primary.connect() as wire:
        eventually(lambda: persistence(replica)["aof_rewrite_in_progress"] == "0", "the base of what it was given")
        with without_room(replica):
            fill(wire)
            eventually(lambda: persistence(replica)["aof_last_write_status"] == "err", "its file is full")
            wait_until_in_step(replica, primary)
            with replica.connect() as reader:
                expect_values(reader, range(KEYS))
        eventually(lambda: persistence(replica)["aof_last_write_status"] == "ok", "there is room")
        eventually(lambda: persistence(replica)["aof_buffer_length"] == "0", "all of it is written")
    before = digest(primary)
    replica.kill()
    primary.kill()
    replica.restart()
    assert digest(replica) == before


# ---- every single failure, on the simulated disk --------------------------------------------------------------------

def names_of(disk: LossyDisk) -> set[str]:
    return set(disk.list("/")) | ({f"aof/{name}" for name in disk.list("/aof")} if disk.exists("/aof") else set())


def expect_no_leftovers(w: World) -> None:
    """Every file is the snapshot, the manifest, or named by it."""
    disk = w.server.append_only.on_disk
    manifest = disk.read() if disk.exists() else Manifest()
    named = {f"aof/{part.name}" for part in (*manifest.parts, *manifest.history)}
    assert names_of(w.disk) <= named | {"dump.rdb", "aof/appendonly.aof.manifest"}


def rewrite(w: World) -> None:
    w.call("BGREWRITEAOF")
    w.pass_time(300)


def switch_on(w: World) -> None:
    w.call("CONFIG", "SET", "appendonly", "yes")
    w.pass_time(5000)


@pytest.mark.parametrize(
    ("begin", "appends"),
    [
        (rewrite, True), (switch_on, False), (lambda w: w.call("SAVE"), False), (lambda w: w.call("BGSAVE"), False),
        (lambda w: w.call("BGSAVE"), True),
    ],
    ids=["rewrite", "switch on", "save", "bgsave", "bgsave beside the append-only file"],
)
def test_whatever_fails_leaves_no_file_behind(begin: Callable[[World], object], appends: bool) -> None:
    """Each operation on files fails in turn, until one run meets none of them."""
    for operation in itertools.count(1):
        with world(appendonly=appends, appenddirname="aof") as w:
            w.call("SET", "a", "1")
            w.pass_time(1200)
            w.disk.fail_at(operation)
            before = w.disk.operations
            begin(w)
            w.pass_time(5000)
            met = w.disk.operations - before >= operation
            expect_no_leftovers(w)
            w.call("SET", "b", "2")
            w.pass_time(2000)
            if w.server.append_only.state is State.ON:
                named, used = w.server.append_only.on_disk.read(), w.server.append_only.manifest
                assert named.increments[-1] == used.increments[-1], "it writes to the last file that is named"
                with world(w.disk, appenddirname="aof") as again:
                    assert again.call("MGET", "a", "b") == b"*2\r\n$1\r\n1\r\n$1\r\n2\r\n", operation
        if not met:
            return
