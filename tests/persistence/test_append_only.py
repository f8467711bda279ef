"""The append-only file of a running server: its files, its options at run time, rewriting, loading, a full disk."""

import errno
from pathlib import Path

import pytest

import ranvier
from harness.memory import turn
from harness.process import ServerProcess, StartServer, run_to_end
from harness.waiting import eventually
from harness.wire import Wire, encode_command
from persistence.disk_world import world
from ranvier.errors import PersistenceError
from ranvier.persistence.environment import State

ON = ("--appendonly", "yes")
NAME = "appendonly.aof"


def test_a_full_disk_refuses_writes_and_recovers_by_itself() -> None:
    """A17-3, A4-13: MISCONF, to PING also."""
    with world() as w:
        w.call("SET", "a", "1")
        before = w.kept(f"{NAME}.1.incr.aof")
        w.disk.room_bytes = 10
        assert w.call("SET", "b", "2") == b"+OK\r\n", "its write fails when it has been answered for: as everysec says"
        assert w.kept(f"{NAME}.1.incr.aof") == before, "what was written of it is cut off again"
        refused = b"-MISCONF Errors writing to the AOF file: No space left on device\r\n"
        assert w.call("SET", "c", "3") == refused
        assert w.call("PING") == refused
        assert w.call("GET", "b") == b"$1\r\n2\r\n"
        assert w.info("aof_last_write_status") == "err"
        assert any("Short write while writing to the AOF file" in line for line in w.log)
        w.pass_time(3000)
        assert w.call("SET", "c", "3") == refused
        w.disk.room_bytes = None
        w.pass_time(1100)
        assert w.call("SET", "c", "3") == b"+OK\r\n"
        assert w.info("aof_last_write_status") == "ok"
        assert any("AOF write error looks solved" in line for line in w.log)
        written = w.kept(f"{NAME}.1.incr.aof")
        assert written == before + encode_command("SET", "b", "2") + encode_command("SET", "c", "3")


def test_a_write_error_under_always_ends_the_server_before_it_answers() -> None:
    with world(appendfsync="always") as w:
        w.call("SET", "a", "1")
        w.disk.room_bytes = 10
        with pytest.raises(PersistenceError, match="always"):
            w.call("SET", "b", "2")
    with world(appendfsync="always") as w:
        w.disk.sync_error = errno.EIO
        with pytest.raises(PersistenceError, match="fsync"):
            w.call("SET", "b", "2")


def test_a_sync_error_refuses_writes_until_one_succeeds_and_makes_a_new_base() -> None:
    with world() as w:
        w.disk.sync_error = errno.EIO
        w.call("SET", "a", "1")
        w.pass_time(1200)
        assert w.call("SET", "b", "2") == b"-MISCONF Errors writing to the AOF file: Input/output error\r\n"
        w.disk.sync_error = 0
        w.pass_time(2200)
        assert w.call("SET", "b", "2") == b"+OK\r\n"
        w.pass_time(200)
        assert w.info("aof_rewrites") == "1", "what the system dropped is in memory alone"


def test_a_write_does_not_wait_for_a_sync_that_is_on_its_way() -> None:
    """What was answered would be lost with the process meanwhile; a sync that takes long is counted."""
    with world() as w:
        held: list[tuple[object, object]] = []          # syncs that do not end
        w.background.submit = lambda work, done, *, slow=False: held.append((work, done))  # type: ignore[method-assign]
        w.pass_time(1000)
        w.call("SET", "a", "2")
        assert len(held) == 1, "a sync is on its way"
        for expected in ("0", "1", "1"):
            w.call("SET", "a", "3")
            assert w.info("aof_buffer_length") == "0"
            assert w.info("aof_pending_bio_fsync") == "1"
            assert w.info("aof_delayed_fsync") == expected
            w.pass_time(2000)
        assert len(held) == 1


def test_appendfsync_no_leaves_the_sync_to_the_system() -> None:
    with world(appendfsync="no") as w:
        w.call("SET", "a", "1")
        operations = w.disk.operations
        w.pass_time(5000)
        assert w.disk.operations == operations
        w.call("CONFIG", "SET", "appendfsync", "always")
        assert w.disk.operations > operations, "nothing that is written may stay unsynced then"


def test_no_appendfsync_on_rewrite_leaves_it_while_a_child_writes() -> None:
    for policy in ("always", "everysec"):
        with world(appendfsync=policy, no_appendfsync_on_rewrite=True) as w:
            w.server.children.kind = object()  # type: ignore[assignment]
            w.call("SET", "a", "1")
            operations = w.disk.operations
            w.pass_time(3000)
            assert w.disk.operations == operations
            w.server.children.kind = None
            w.pass_time(1100)
            assert w.disk.operations > operations


def test_failing_rewrites_leave_everything_and_are_tried_again_later_and_later() -> None:
    with world(auto_aof_rewrite_min_size=1, auto_aof_rewrite_percentage=1) as w:
        for number in range(20):
            w.call("SET", f"key:{number}", "x" * 100)
        digest = w.call("DEBUG", "DIGEST")
        create = w.disk.create

        def fails(path: str) -> object:
            if "temp-rewriteaof" in path:
                raise OSError(errno.EIO, "no")
            return create(path)

        w.disk.create = fails  # type: ignore[method-assign, assignment]
        w.pass_time(20_000)
        failures = int(w.info("aof_rewrites_consecutive_failures"))
        assert failures >= 3
        assert w.info("aof_last_bgrewrite_status") == "err"
        assert any("will retry in 1 minutes" in line for line in w.log)
        w.pass_time(30_000)
        assert int(w.info("aof_rewrites_consecutive_failures")) == failures
        w.disk.create = create  # type: ignore[method-assign]
        w.pass_time(40_000)
        assert w.info("aof_last_bgrewrite_status") == "ok"
        assert w.call("DEBUG", "LOADAOF") == b"+OK\r\n"
        assert w.call("DEBUG", "DIGEST") == digest


def test_switched_on_at_run_time_it_counts_from_its_base_on() -> None:
    with world(appendonly=False) as w:
        for _ in range(10):
            w.call("INCR", "n")
        assert w.call("CONFIG", "SET", "appendonly", "yes") == b"+OK\r\n"
        w.call("INCR", "n")
        w.pass_time(1200)
        assert w.server.append_only.state is State.ON
        assert w.call("CONFIG", "SET", "appendonly", "no") == b"+OK\r\n"
        w.call("INCR", "n")
        assert w.call("CONFIG", "SET", "appendonly", "yes") == b"+OK\r\n"
        w.call("INCR", "n")
        w.pass_time(1200)
        with world(w.disk) as again:
            assert again.call("GET", "n") == b"$2\r\n13\r\n"
            assert again.disk.list("/appendonlydir") == [
                f"{NAME}.2.base.rdb", f"{NAME}.2.incr.aof", f"{NAME}.manifest"
            ]


def test_a_first_base_that_fails_begins_again_with_an_empty_increment() -> None:
    """Or the base would hold what the increment repeats."""
    with world(appendonly=False) as w:
        w.call("INCR", "n")
        w.server.children.kind = object()  # type: ignore[assignment]
        assert w.call("CONFIG", "SET", "appendonly", "yes") == b"+OK\r\n"
        w.call("INCR", "n")
        w.server.children.kind = None
        w.disk.sync_error = errno.EIO
        w.pass_time(3000)
        w.call("INCR", "n")
        w.disk.sync_error = 0
        w.pass_time(70_000)
        assert w.server.append_only.state is State.ON
        w.call("INCR", "n")
        w.pass_time(1200)
        with world(w.disk) as again:
            assert again.call("GET", "n") == b"$1\r\n4\r\n"


def test_appendonly_yes_is_refused_where_it_cannot_begin() -> None:
    with world(appendonly=False) as w:
        w.disk.room_bytes = 0
        answer = w.call("CONFIG", "SET", "appendonly", "yes")
        assert answer == (b"-ERR CONFIG SET failed (possibly related to argument 'appendonly') - "
                          b"Unable to turn on AOF. Check server logs.\r\n")
        assert w.call("CONFIG", "GET", "appendonly").endswith(b"no\r\n")
        w.disk.room_bytes = None
        assert w.call("SET", "a", "1") == b"+OK\r\n"


def test_a_number_is_not_given_again_while_its_file_may_still_be_removed() -> None:
    with world(longest_sync_ms=5000) as w:
        w.call("SET", "a", "1")
        w.call("CONFIG", "SET", "appendonly", "no")
        w.call("BGREWRITEAOF")
        turn(w.server)
        w.call("CONFIG", "SET", "appendonly", "yes")
        turn(w.server)
        w.call("SET", "a", "2")
        w.pass_time(12_000)
        with world(w.disk) as again:
            assert again.call("GET", "a") == b"$1\r\n2\r\n"


# ---- real servers and files -----------------------------------------------------------------------------------------

def parts(server: ServerProcess) -> list[str]:
    return sorted(path.name for path in Path(server.directory.name, "appendonlydir").iterdir())


def restarted(server: ServerProcess, start_server: StartServer, *options: str) -> ServerProcess:
    """Another server over the same files; the first is killed."""
    server.kill()
    return start_server("--dir", server.directory.name, *ON, *options)


def digest(server: ServerProcess) -> bytes:
    with server.connect() as wire:
        return wire.call("DEBUG", "DIGEST").text


def test_a_rewrite_in_the_background_goes_beside_writes(start_server: StartServer) -> None:
    server = start_server(*ON, clean=False)
    with server.connect() as wire:
        wire.call("DEBUG", "POPULATE", "50000")
        for number in range(3):
            assert wire.call("BGREWRITEAOF").text.startswith(b"Background append only file rewriting")
            while server.info("persistence")["aof_rewrites"] == str(number):
                wire.pipeline([("INCR", "n"), ("LPUSH", "l", "x"), ("SPOP", "l2")])
        eventually(lambda: parts(server) == [f"{NAME}.4.base.rdb", f"{NAME}.4.incr.aof", f"{NAME}.manifest"],
                   "history is removed")
        info = server.info("persistence")
        assert info["aof_last_bgrewrite_status"] == "ok"
        assert int(info["aof_last_cow_size"]) > 0
    wanted = digest(server)
    assert digest(restarted(server, start_server)) == wanted


def test_it_is_rewritten_when_it_has_grown(start_server: StartServer) -> None:
    server = start_server(*ON, "--auto-aof-rewrite-min-size", "10kb", "--auto-aof-rewrite-percentage", "50")
    with server.connect() as wire:
        # In one execution: no rewrite can begin in its middle, whose file would keep the rest and count as its base.
        wire.pipeline([("MULTI",), *[("SET", "a", "x" * 1000)] * 400, ("EXEC",)])
        eventually(lambda: int(server.info("persistence")["aof_rewrites"]) > 0, "it is rewritten")
        eventually(lambda: int(server.info("persistence")["aof_current_size"]) < 100_000, "and is small then")
    assert "Starting automatic rewriting of AOF on" in server.log()


def test_a_child_that_is_killed_leaves_everything_as_it_was(start_server: StartServer) -> None:
    server = start_server(*ON, "--rdb-key-save-delay", "100000", clean=False)
    with server.connect() as wire:
        wire.call("DEBUG", "POPULATE", "1000")
        wire.call("SET", "a", "1")
        assert wire.call("BGREWRITEAOF").text == b"Background append only file rewriting started"
        assert wire.call("BGREWRITEAOF").text == b"ERR Background append only file rewriting already in progress"
        assert server.info("persistence")["aof_rewrite_in_progress"] == "1"
        assert wire.call("CONFIG", "SET", "appendonly", "no").text == b"OK"
        assert server.info("persistence")["aof_rewrite_in_progress"] == "0"
        assert not [name for name in parts(server) if name.startswith("temp")]
        assert wire.call("GET", "a").text == b"1"
        server.kill()
    again = start_server("--dir", server.directory.name, *ON)
    with again.connect() as wire:
        assert wire.call("GET", "a").text == b"1"


def test_shutdown_ends_a_rewrite_and_syncs(start_server: StartServer) -> None:
    server = start_server(*ON, "--rdb-key-save-delay", "100000", "--appendfsync", "no", clean=False)
    with server.connect() as wire:
        wire.call("DEBUG", "POPULATE", "1000")
        wire.call("SET", "a", "1")
        wire.call("BGREWRITEAOF")
        wire.send_command("SHUTDOWN")
        wire.read_to_end()
    assert server.process.wait(15) == 0
    assert "There is a child rewriting the AOF. Killing it!" in server.log()
    assert "Calling fsync() on the AOF file." in server.log()
    assert digest(start_server("--dir", server.directory.name, *ON))


def test_what_is_appended_while_a_snapshot_is_made_is_scheduled(start_server: StartServer) -> None:
    server = start_server(*ON, "--rdb-key-save-delay", "1000000")
    with server.connect() as wire:
        wire.call("SET", "a", "1")
        wire.call("SET", "b", "1")
        assert wire.call("BGSAVE").text == b"Background saving started"
        assert wire.call("BGREWRITEAOF").text == b"Background append only file rewriting scheduled"
        assert server.info("persistence")["aof_rewrite_scheduled"] == "1"
        wire.call("BGSAVE", "CANCEL")
        wire.call("CONFIG", "SET", "rdb-key-save-delay", "0")
        eventually(lambda: server.info("persistence")["aof_rewrites"] != "0", "the rewrite that was scheduled")


def test_a_program_is_not_refused_the_end(tmp_path: Path) -> None:
    """Neither by a snapshot that cannot be written, nor by a first base that is being made."""
    (tmp_path / "data").mkdir()
    server = ranvier.Server(dir=str(tmp_path / "data"), save="3600 1", rdb_key_save_delay=10**6)
    with server, Wire(server.port) as wire:
        wire.call("SET", "a", "1")
        wire.call("SET", "b", "1")
        assert wire.call("CONFIG", "SET", "appendonly", "yes").text == b"OK"
        wire.call("CONFIG", "SET", "rdb-key-save-delay", "0")
        (tmp_path / "data").rename(tmp_path / "gone")
    assert not (tmp_path / "data").exists()


# ---- what is loaded, and what is not --------------------------------------------------------------------------------

FIRST = f"file {NAME}.1.incr.aof seq 1 type i\n"
SET_A, SET_B = encode_command("SET", "a", "1"), encode_command("SET", "b", "2")


def lay(directory: Path, content: bytes, manifest: str = FIRST) -> Path:
    below = directory / "appendonlydir"
    below.mkdir(exist_ok=True)
    (below / f"{NAME}.manifest").write_text(manifest)
    path = below / f"{NAME}.1.incr.aof"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("torn", "line"),
    [
        (SET_B[:-3], "short read"), (b"*3\r\n$", "short read"), (SET_B[:8] + b"\0" * 100, "short read"),
        (b"\0" * 5000, "short read"), (encode_command("MULTI") + SET_B, "Revert incomplete MULTI/EXEC"),
        (encode_command("MULTI") + SET_B + encode_command("EXEC")[:-1], "short read"),
        (encode_command("MULTI") + SET_B + SET_B[:8] + b"\0" * 100, "Revert incomplete MULTI/EXEC"),
    ],
)
def test_a_torn_tail_is_cut_off(start_server: StartServer, tmp_path: Path, torn: bytes, line: str) -> None:
    path = lay(tmp_path, SET_A + torn)
    refused = run_to_end("ranvier", ["--port", "0", "--unixsocket", str(tmp_path / "s"), "--dir", str(tmp_path), *ON,
                                     "--aof-load-truncated", "no"])
    assert refused.returncode == 1
    assert f"behind byte {len(SET_A)}" in refused.stdout
    assert path.read_bytes() == SET_A + torn, "nobody has touched it"
    server = start_server("--dir", str(tmp_path), *ON, clean=False)
    with server.connect() as wire:
        assert wire.call("EXISTS", "a", "b").number == 1
        wire.call("SET", "c", "3")
    assert line in server.log()
    assert f"!!! Truncating the AOF {NAME}.1.incr.aof at offset {len(SET_A)} !!!" in server.log()
    server.stop()
    assert path.read_bytes() == SET_A + encode_command("SELECT", "0") + encode_command("SET", "c", "3")


@pytest.mark.parametrize(
    ("content", "offset", "reason"),
    [
        (SET_A + b"x" + SET_B, 27, "Bad file format"), (SET_A + b"\0" * 9 + SET_B, 27, "Bad file format"),
        (SET_A.replace(b"$1\r\na", b"$7\r\na") + SET_B * 5, 0, "Bad file format"),
        (SET_A.replace(b"$1\r\na", b"$9999\r\na") + SET_B, 0, "others follow it"),
        (encode_command("MULTI") + SET_A.replace(b"$1\r\na", b"$9999\r\na") + encode_command("EXEC") + SET_B, 15,
         "others follow it"),
        (encode_command("MULTI") + SET_A + encode_command("multi") + SET_B, 42, "MULTI inside of a transaction"),
        (SET_A + encode_command("EXEC") + SET_B, 27, "EXEC without a transaction"),
        (SET_A + encode_command("SEX", "b") + SET_B, 27, "unknown command 'SEX'"),
        (SET_A + encode_command("SET", "b") + SET_B, 27, "wrong number of arguments"),
        (b"REDIS0011junk", 0, "Error reading the RDB base file"),
    ],
)
def test_a_damaged_file_ends_the_server_with_the_offset(tmp_path: Path, content: bytes, offset: int,
                                                        reason: str) -> None:
    path = lay(tmp_path, content)
    outcome = run_to_end(
        "ranvier", ["--port", "0", "--unixsocket", str(tmp_path / "s"), "--dir", str(tmp_path), *ON]
    )
    assert outcome.returncode == 1
    assert reason in outcome.stdout
    assert "REDIS" in content.decode("latin-1") or f"offset {offset}" in outcome.stdout
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("manifest", "line"),
    [
        ("file x seq\n", "Invalid AOF manifest file format"),
        (f"{FIRST}file gone seq 2 type i\n", "Unable to obtain the AOF file gone length"),
        (f"{FIRST}file {NAME}.manifest seq 2 type i\n", "Fatal error: the truncated file is not the last file"),
    ],
)
def test_files_that_do_not_fit_together_end_the_server(tmp_path: Path, manifest: str, line: str) -> None:
    path = lay(tmp_path, SET_A + b"*3", manifest)
    outcome = run_to_end(
        "ranvier", ["--port", "0", "--unixsocket", str(tmp_path / "s"), "--dir", str(tmp_path), *ON]
    )
    assert outcome.returncode == 1
    assert line in outcome.stdout
    assert path.read_bytes() == SET_A + b"*3", "or the next start would not know of it"


def test_a_file_of_the_old_kind_is_taken_over(start_server: StartServer, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(SET_A + b"*3\r\n$3\r\nSET")
    server = start_server("--dir", str(tmp_path), *ON, clean=False)
    with server.connect() as wire:
        assert wire.call("GET", "a").text == b"1"
        wire.call("SET", "b", "2")
    assert not (tmp_path / NAME).exists()
    assert (tmp_path / "appendonlydir" / f"{NAME}.manifest").read_text() == (
        f"file {NAME} seq 1 type b\nfile {NAME}.1.incr.aof seq 1 type i\n"
    )
    again = restarted(server, start_server, "--dir", str(tmp_path))
    with again.connect() as wire:
        assert wire.call("EXISTS", "a", "b").number == 2


def test_a_snapshot_without_an_append_only_file_is_left_alone_and_told_of(start_server: StartServer,
                                                                          tmp_path: Path) -> None:
    first = start_server("--dir", str(tmp_path), clean=False)
    with first.connect() as wire:
        wire.call("SET", "a", "1")
        wire.call("SAVE")
    first.stop()
    server = start_server("--dir", str(tmp_path), *ON)
    with server.connect() as wire:
        assert wire.call("DBSIZE").number == 0
    assert "is not loaded: there is no append-only file" in server.log()


def test_clients_are_told_loading_meanwhile(start_server: StartServer, tmp_path: Path) -> None:
    elements = ["x" * 20] * 200
    lay(tmp_path, b"".join(encode_command("RPUSH", f"list:{number}", *elements) for number in range(20_000)))
    server = start_server("--dir", str(tmp_path), *ON)
    with server.connect() as wire:
        assert wire.call("DBSIZE").number == 20_000
        assert wire.call("INFO", "commandstats").text.count(b"cmdstat_rpush") == 0, "nobody has asked for them"


def test_annotations_with_the_time(start_server: StartServer) -> None:
    server = start_server(*ON, "--aof-timestamp-enabled", "yes", clean=False)
    with server.connect() as wire:
        wire.pipeline([("SET", "a", "1")] * 3)
    content = Path(server.directory.name, "appendonlydir", f"{NAME}.1.incr.aof").read_bytes()
    assert content.startswith(b"#TS:")
    assert content.count(b"#TS:") <= 2
    assert digest(restarted(server, start_server)) != b"0" * 40
