"""Files go from Ranvier to Valkey 9.1 and Redis 7.0 and come from them: the same data, by the digest of each."""

import shutil
import subprocess
from pathlib import Path

import pytest

from commands.test_dump import VALUES
from harness.process import ServerProcess, StartServer
from harness.wire import Wire
from persistence.data_sets import digest, fill, lines

KEYS = 3 * len(VALUES)


def stop(server: ServerProcess) -> None:
    with server.connect() as wire:
        wire.send_command("SHUTDOWN", "NOSAVE")
        wire.read_to_end()
    server.process.wait(15)


def key_count(wire: Wire) -> int:
    return sum(int(line.partition("keys=")[2].split(",")[0]) for line in
               wire.call("INFO", "keyspace").text.decode().split("\r\n") if line.startswith("db"))


def saved_by(kind: str, start_server: StartServer, directory: Path, *options: str, **made: bool) -> tuple[bytes, bytes]:
    """Have a server of this kind save a data set into `directory`; its digest, and the file."""
    server = start_server("--dir", str(directory), *options, kind=kind, clean=False)
    before = fill(server, lines(**made))
    with server.connect() as wire:
        assert wire.call("SAVE").raw == b"+OK\r\n"
    stop(server)
    return before, (directory / "dump.rdb").read_bytes()


def loaded_by(kind: str, start_server: StartServer, directory: Path, *options: str) -> tuple[bytes, int]:
    server = start_server("--dir", str(directory), *options, kind=kind, clean=False)
    with server.connect() as wire:
        found = digest(wire), key_count(wire)
    stop(server)
    return found


@pytest.mark.parametrize("compression", ["yes", "no"])
@pytest.mark.parametrize("kind", ["valkey", "redis"])
def test_our_files_are_theirs(kind: str, compression: str, start_server: StartServer, tmp_path: Path) -> None:
    """The digest is compared with that of the same commands run there: Redis 7.0 prints scores in its own way."""
    _, data = saved_by("ranvier", start_server, tmp_path, "--rdbcompression", compression)
    assert data.startswith(b"REDIS0010")
    check = shutil.which("redis-check-rdb")
    assert check is not None
    judged = subprocess.run([check, str(tmp_path / "dump.rdb")], capture_output=True, text=True, check=False)
    assert judged.returncode == 0 and "RDB looks OK" in judged.stdout, judged.stdout
    found = loaded_by(kind, start_server, tmp_path)
    reference = start_server(kind=kind)
    assert found == (fill(reference, lines()), KEYS)


@pytest.mark.parametrize("compression", ["yes", "no"])
@pytest.mark.parametrize("kind", ["valkey", "redis"])
def test_their_files_are_ours(kind: str, compression: str, start_server: StartServer, tmp_path: Path) -> None:
    saved_by(kind, start_server, tmp_path, "--rdbcompression", compression)
    found = loaded_by("ranvier", start_server, tmp_path)
    reference = start_server()
    assert found == (fill(reference, lines()), KEYS)


@pytest.mark.parametrize("writer, reader", [("ranvier", "valkey"), ("valkey", "ranvier")])
def test_fields_that_expire_go_both_ways(writer: str, reader: str, start_server: StartServer, tmp_path: Path) -> None:
    before, data = saved_by(writer, start_server, tmp_path, fields_expire=True)
    assert data.startswith(b"VALKEY080")
    assert loaded_by(reader, start_server, tmp_path) == (before, KEYS + 3)


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu"])
@pytest.mark.parametrize("writer, reader", [("ranvier", "valkey"), ("valkey", "ranvier"), ("redis", "ranvier")])
def test_what_is_known_of_the_use_goes_along(
    writer: str, reader: str, policy: str, start_server: StartServer, tmp_path: Path
) -> None:
    options = ("--maxmemory-policy", policy)
    saved_by(writer, start_server, tmp_path, *options, small=True)
    answer = "FREQ" if policy == "allkeys-lfu" else "IDLETIME"
    server = start_server("--dir", str(tmp_path), *options, kind=reader, clean=False)
    with server.connect() as wire:
        assert wire.call("OBJECT", answer, "string int:0").number < 100
    stop(server)
    loaded_by(reader, start_server, tmp_path)


def test_the_oldest_encodings_of_each(start_server: StartServer, tmp_path: Path) -> None:
    """Thresholds of zero and of very much: every collection in both its forms, whatever the reader's thresholds are."""
    for name, size in (("small", "0"), ("large", "100000")):
        options = [word for option in ("hash-max-listpack-entries", "zset-max-listpack-entries",
                                       "set-max-listpack-entries", "set-max-intset-entries")
                   for word in (f"--{option}", size)]
        directory = tmp_path / name
        directory.mkdir()
        before, _ = saved_by("valkey", start_server, directory, *options)
        assert loaded_by("ranvier", start_server, directory) == (before, KEYS)


def test_functions_are_kept_for_the_next_snapshot(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server("--dir", str(tmp_path), kind="valkey", clean=False)
    library = "#!lua name=mine\nserver.register_function('one', function() return 1 end)"
    with server.connect() as wire:
        assert wire.call("FUNCTION", "LOAD", library).text == b"mine"
        wire.call("SAVE")
    stop(server)
    ours = start_server("--dir", str(tmp_path), clean=False)
    with ours.connect() as wire:
        assert wire.call("SAVE").raw == b"+OK\r\n"
    assert "libraries of functions: kept" in ours.log()
    stop(ours)
    again = start_server("--dir", str(tmp_path), kind="valkey", clean=False)
    with again.connect() as wire:
        assert wire.call("FCALL", "one", "0").number == 1
    stop(again)
