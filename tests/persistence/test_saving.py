"""SAVE, BGSAVE, save points and what follows from a save that fails; the start loads what the end has saved."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.process import ServerProcess, StartServer, free_port, parse_info, run_to_end
from harness.waiting import eventually
from harness.wire import Wire, encode_command
from persistence.data_sets import digest, fill, lines

SLOW = ("--rdb-key-save-delay", "10000000")      # a child is there until somebody ends it


def persistence(wire: Wire) -> dict[str, str]:
    return parse_info(wire.call("INFO", "persistence").text)


def saved(wire: Wire) -> bool:
    return persistence(wire)["rdb_bgsave_in_progress"] == "0"


def path_of(server: ServerProcess, name: str = "dump.rdb") -> Path:
    return Path(server.directory.name, name)


def files_of(server: ServerProcess) -> set[str]:
    return set(os.listdir(server.directory.name)) - {"server.log"}


# ---- the commands, beside Valkey ------------------------------------------------------------------------------------

CONVERSATION = [
    "SAVE", "SAVE now", "BGSAVE x", "BGSAVE SCHEDULE x", "BGSAVE CANCEL", "BGSAVE", "BGSAVE", "BGSAVE SCHEDULE", "SAVE",
    "BGSAVE CANCEL", "MULTI", "BGSAVE", "LASTSAVE", "EXEC", "BGSAVE CANCEL", "MULTI", "SAVE", "DISCARD",
]


@pytest.mark.parametrize("kind", ["ranvier", "valkey"])
def test_commands_answer_as_valkeys(kind: str, start_server: StartServer) -> None:
    """The same conversation with both; what it must be stands here, so that a difference names the culprit."""
    server = start_server(kind=kind)
    with server.connect() as wire:
        fill(server, [("SET", "k", "v")])
        replies = []
        for line in CONVERSATION:
            if line == "BGSAVE":                            # from here on a child does not end by itself
                wire.call("CONFIG", "SET", SLOW[0].removeprefix("--"), SLOW[1])
            reply = wire.call(*line.split())
            replies.append(reply.raw if not reply.raw.startswith((b":", b"*")) else reply.raw[:1])
            if line == "BGSAVE CANCEL":
                eventually(lambda: saved(wire), "the child is gone")
                wire.call("CONFIG", "SET", SLOW[0].removeprefix("--"), "0")
        in_progress = b"-ERR Background save already in progress\r\n"
        assert replies == [
            b"+OK\r\n", b"-ERR wrong number of arguments for 'save' command\r\n", b"-ERR syntax error\r\n",
            b"-ERR syntax error\r\n", b"-ERR Background saving is currently not in progress or scheduled\r\n",
            b"+Background saving started\r\n", in_progress, in_progress, in_progress,
            b"+Background saving cancelled\r\n", b"+OK\r\n", b"+QUEUED\r\n", b"+QUEUED\r\n", b"*",
            b"+Scheduled background saving cancelled\r\n", b"+OK\r\n",
            b"-ERR Command 'save' not allowed inside a transaction\r\n", b"+OK\r\n",
        ]
        assert persistence(wire)["rdb_last_bgsave_status"] == "ok"
        assert files_of(server) == {"dump.rdb"}


def test_what_is_saved_is_there_after_the_next_start(
    mortal: StartServer, start_server: StartServer, tmp_path: Path
) -> None:
    server = mortal("--dir", str(tmp_path))
    before = fill(server, lines(fields_expire=True))
    with server.connect() as wire:
        assert int(persistence(wire)["rdb_changes_since_last_save"]) > 100
        assert wire.call("BGSAVE").raw == b"+Background saving started\r\n"
        eventually(lambda: saved(wire), "the child has ended")
        told = persistence(wire)
        assert (told["rdb_last_bgsave_status"], told["rdb_saves"]) == ("ok", "1")
        assert (told["rdb_changes_since_last_save"], told["current_save_keys_total"]) == ("0", "0")
        assert int(parse_info(wire.call("INFO", "stats").text)["total_forks"]) == 1
        assert abs(wire.call("LASTSAVE").number - int(wire.call("TIME").items[0].text)) < 100
    assert os.listdir(tmp_path) == ["dump.rdb"]
    server.kill()
    again = start_server("--dir", str(tmp_path))
    with again.connect() as wire:
        assert digest(wire) == before
        assert int(persistence(wire)["rdb_last_load_keys_loaded"]) == 75
        assert wire.call("DEBUG", "RELOAD").raw == b"+OK\r\n"
        assert digest(wire) == before
    assert "DB loaded from disk" in again.log()


@pytest.fixture
def mortal(start_server: StartServer) -> Iterator[StartServer]:
    """Servers that the test itself ends."""
    yield lambda *options, **named: start_server(*options, **{"clean": False, **named})


def test_the_end_saves_if_there_are_save_points(mortal: StartServer, tmp_path: Path) -> None:
    server = mortal("--dir", str(tmp_path), "--save", "3600 1")
    fill(server, [("SET", "k", "1")])
    server.process.terminate()
    assert server.process.wait(15) == 0
    server = mortal("--dir", str(tmp_path), "--save", "3600 1")
    with server.connect() as wire:
        assert wire.call("INCR", "k").number == 2
        wire.send_command("SHUTDOWN", "NOSAVE")
        assert wire.read_to_end() == (b"", "eof")
    server = mortal("--dir", str(tmp_path))
    with server.connect() as wire:
        assert wire.call("INCR", "k").number == 2
        wire.send_command("SHUTDOWN", "SAVE")
        assert wire.read_to_end() == (b"", "eof")
    server = mortal("--dir", str(tmp_path))
    with server.connect() as wire:
        assert wire.call("GET", "k").text == b"2"


def test_a_save_point_saves(start_server: StartServer) -> None:
    server = start_server("--save", "1 2", "--hz", "100")
    with server.connect() as wire:
        wire.call("SET", "k", "v")
        wire.call("SET", "k", "w")
        eventually(lambda: persistence(wire)["rdb_saves"] == "1", "the save point has come")
        assert persistence(wire)["rdb_changes_since_last_save"] == "0"
        wire.call("CONFIG", "SET", "save", "")
    assert "2 changes in 1 seconds. Saving..." in server.log()


def test_an_end_kills_the_child_and_removes_its_file(mortal: StartServer) -> None:
    server = mortal(*SLOW)
    with server.connect() as wire:
        wire.call("SET", "k", "v")
        wire.call("BGSAVE")
        wire.call("CONFIG", "SET", "rdb-key-save-delay", "0")
        assert len(files_of(server)) == 1
        wire.send_command("SHUTDOWN", "SAVE")
        assert wire.read_to_end() == (b"", "eof")
    assert server.process.wait(15) == 0
    assert files_of(server) == {"dump.rdb"}
    assert "There is a child saving an .rdb. Killing it!" in server.log()


def test_a_child_whose_server_is_killed_ends_by_itself(mortal: StartServer) -> None:
    server = mortal("--rdb-key-save-delay", "200000")
    with server.connect() as wire:
        wire.pipeline([("SET", f"k{number}", "v") for number in range(1000)])
        wire.call("BGSAVE")
        (child,) = children_of(server.pid)
    server.kill()
    eventually(lambda: not alive(child), "the child has ended")


def children_of(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(word) for word in (task / "children").read_text().split()]
    return found


def alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


# ---- failures -------------------------------------------------------------------------------------------------------

def test_a4_13_a17_2_writes_are_refused_while_snapshots_fail(start_server: StartServer) -> None:
    """A4-13, A17-2: MISCONF after a BGSAVE that failed, until one succeeds."""
    server = start_server("--save", "3600 1000000")
    with server.connect() as wire:
        wire.call("SET", "k", "v")
        descriptors = server.descriptors()
        path_of(server).mkdir()
        for _ in range(3):
            assert wire.call("BGSAVE").raw == b"+Background saving started\r\n"
            eventually(lambda: saved(wire), "the child has ended")
        assert persistence(wire)["rdb_last_bgsave_status"] == "err"
        assert files_of(server) == {"dump.rdb"}
        for words in (["SET", "k", "w"], ["PING"], ["DEL", "k"]):
            assert wire.call(*words).text.startswith(b"MISCONF "), words
        assert b"stop-writes-on-bgsave-error" in wire.call("SET", "k", "w").text
        assert wire.call("GET", "k").text == b"v"
        assert wire.call("SAVE").raw == b"-ERR\r\n"
        wire.call("MULTI")
        assert wire.call("SET", "k", "w").text.startswith(b"MISCONF ")
        assert wire.call("EXEC").text.startswith(b"EXECABORT")
        for name, closed in (("stop-writes-on-bgsave-error", "yes"), ("save", "3600 1000000")):
            wire.call("CONFIG", "SET", name, "no" if closed == "yes" else "")
            assert wire.call("SET", "k", "w").raw == b"+OK\r\n"
            wire.call("CONFIG", "SET", name, closed)
            assert wire.call("SET", "k", "w").is_error
        assert len(server.descriptors()) == len(descriptors)
        path_of(server).rmdir()
        assert wire.call("BGSAVE").raw == b"+Background saving started\r\n"
        eventually(lambda: saved(wire), "the child has ended")
        assert wire.call("SET", "k", "w").raw == b"+OK\r\n"
        wire.call("CONFIG", "SET", "save", "")


def test_a_directory_that_is_gone(start_server: StartServer, tmp_path: Path) -> None:
    directory = tmp_path / "data"
    directory.mkdir()
    server = start_server("--dir", str(directory))
    with server.connect() as wire:
        directory.rmdir()
        assert wire.call("SAVE").is_error
        assert wire.call("BGSAVE").is_error
        assert persistence(wire)["rdb_last_bgsave_status"] == "err"
        assert wire.call("SET", "k", "v").raw == b"+OK\r\n"       # no save points: nobody relies on snapshots
        directory.mkdir()
        assert wire.call("SAVE").raw == b"+OK\r\n"
        assert persistence(wire)["rdb_last_bgsave_status"] == "ok"
    assert "No such file or directory" in server.log()


def test_a_killed_child_is_an_error_that_is_named(start_server: StartServer) -> None:
    server = start_server(*SLOW)
    with server.connect() as wire:
        wire.call("SET", "k", "v")
        wire.call("BGSAVE")
        os.kill(children_of(server.pid)[0], signal.SIGKILL)
        eventually(lambda: saved(wire), "the child has ended")
        assert persistence(wire)["rdb_last_bgsave_status"] == "err"
    assert "terminated by signal 9" in server.log()
    assert files_of(server) == set()


# ---- what the child holds -------------------------------------------------------------------------------------------

def held_by(process: int) -> list[str]:
    found = []
    for entry in Path(f"/proc/{process}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):        # closed while we look
            found.append(os.readlink(entry))
    return found


def test_lesson_2_a_child_holds_no_sockets(start_server: StartServer) -> None:
    """While a child writes, a client that is killed sees the end of its connection, and the port is free to others."""
    server = start_server(*SLOW)
    with server.connect() as wire, server.connect() as other:
        number = other.call("CLIENT", "ID").number
        wire.call("SET", "k", "v")
        wire.call("BGSAVE")
        (child,) = children_of(server.pid)
        eventually(lambda: len(held_by(child)) == 2, "the child has closed what it inherited")
        held = held_by(child)
        assert sum("temp-" in name for name in held) == sum("pipe" in name for name in held) == 1
        wire.call("CLIENT", "KILL", "ID", number)
        assert other.read_to_end() == (b"", "eof")
        assert wire.call("BGSAVE", "CANCEL").raw == b"+Background saving cancelled\r\n"


class LoadingServer(ServerProcess):
    """One that is ready when it says that it is not."""

    def _wait_until_ready(self) -> None:
        eventually(self._loads, "it says that it is loading", self.start_timeout_seconds)

    def _loads(self) -> bool:
        try:
            with self.connect() as wire:
                return wire.call("PING").text.startswith(b"LOADING")
        except (OSError, EOFError):
            return False


# ---- loading --------------------------------------------------------------------------------------------------------

def test_a4_18_a17_7_loading_answers_loading(start_server: StartServer, tmp_path: Path) -> None:
    """A4-18, A17-7: while the data set is loaded commands on it are refused, and INFO tells how far it is."""
    server = start_server("--dir", str(tmp_path))
    with server.connect() as wire:
        wire.pipeline([("SET", f"k{number}", "v") for number in range(40)])
        assert wire.call("SAVE").raw == b"+OK\r\n"
    slow = LoadingServer("ranvier", ["--dir", str(tmp_path), "--key-load-delay", "500000"])
    with slow.connect() as wire:
        for words in (["GET", "k1"], ["SET", "k1", "v"], ["DBSIZE"], ["BGSAVE"], ["PING"]):
            assert wire.call(*words).raw == b"-LOADING Ranvier is loading the dataset in memory\r\n", words
        told = persistence(wire)
        assert told["loading"] == "1"
        assert int(told["loading_total_bytes"]) == (tmp_path / "dump.rdb").stat().st_size
        assert 0 < int(told["loading_loaded_bytes"]) < int(told["loading_total_bytes"])
        assert 0 < float(told["loading_loaded_perc"]) < 100
        assert int(told["loading_rdb_used_mem"]) > 10_000, "what the server held that wrote it"
        wire.send(encode_command("SHUTDOWN"))
        assert wire.read_to_end() == (b"", "eof")
    assert slow.process.wait(15) == 0
    slow.discard()


def test_a_bad_file_ends_the_start_and_is_left_alone(mortal: StartServer, tmp_path: Path) -> None:
    server = mortal("--dir", str(tmp_path))
    fill(server, lines(small=True))
    with server.connect() as wire:
        assert wire.call("SAVE").raw == b"+OK\r\n"
    good = (tmp_path / "dump.rdb").read_bytes()
    for bad, told in ((good[:-20], "offset"), (b"", "offset 0"), (good[:40] + b"\xee" + good[41:], "offset")):
        (tmp_path / "dump.rdb").write_bytes(bad)
        outcome = run_to_end("ranvier", ["--port", str(free_port()), "--dir", str(tmp_path), "--save", "1 1"])
        assert outcome.returncode == 1
        assert told in outcome.stdout and "Fatal error loading the DB" in outcome.stdout, outcome.stdout
        assert (tmp_path / "dump.rdb").read_bytes() == bad


# ---- DEBUG RELOAD ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", ["ranvier", "valkey"])
def test_debug_reload(kind: str, start_server: StartServer) -> None:
    server = start_server(kind=kind)
    with server.connect() as wire:
        assert wire.call("DEBUG", "RELOAD", "NOSAVE").is_error
        wire.pipeline([("SET", "a", "1"), ("SAVE",), ("SET", "a", "2"), ("SET", "b", "2")])
        assert wire.call("DEBUG", "RELOAD", "NOSAVE", "NOFLUSH", "MERGE").raw == b"+OK\r\n"
        assert wire.call("MGET", "a", "b").plain() == [b"1", b"2"]
        wire.call("SET", "a", "3")
        assert wire.call("DEBUG", "RELOAD", "NOSAVE").raw == b"+OK\r\n"
        assert wire.call("MGET", "a", "b").plain() == [b"1", None]
        wire.call("SET", "c", "4")
        assert wire.call("DEBUG", "RELOAD").raw == b"+OK\r\n"
        assert wire.call("MGET", "a", "c").plain() == [b"1", b"4"]
        assert persistence(wire)["rdb_changes_since_last_save"] == "0"


def test_a_reload_that_fails_changes_nothing(start_server: StartServer) -> None:
    server = start_server()
    with server.connect() as wire:
        wire.pipeline([("SET", "a", "1"), ("SAVE",), ("SET", "a", "2")])
        assert wire.call("DEBUG", "RELOAD", "NOSAVE", "NOFLUSH").is_error
        data = path_of(server).read_bytes()
        path_of(server).write_bytes(data[:-9])
        reply = wire.call("DEBUG", "RELOAD", "NOSAVE")
        assert reply.raw == b"-ERR Error trying to load the RDB dump, check server logs.\r\n"
        assert wire.call("GET", "a").text == b"2"
    assert f"at byte {len(data) - 9}" in server.log()
