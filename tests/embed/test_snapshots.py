"""Files of a server inside a program: none unless it asks for them, and then as a server of its own has them."""

import os
import threading
from pathlib import Path

import pytest

import ranvier
from harness.process import parse_info
from harness.waiting import eventually
from harness.wire import Wire
from ranvier.errors import SnapshotError


def test_a_program_that_names_no_file_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even one that lies where it runs is read."""
    with ranvier.Server(dir=str(tmp_path), save="3600 1") as server, Wire(server.port) as wire:
        wire.call("SET", "k", "v")
    data = (tmp_path / "dump.rdb").read_bytes()
    monkeypatch.chdir(tmp_path)
    with ranvier.Server() as server, Wire(server.port) as wire:
        assert wire.call("DBSIZE").number == 0
        wire.call("SET", "k", "w")
    assert (tmp_path / "dump.rdb").read_bytes() == data
    assert os.listdir(tmp_path) == ["dump.rdb"]


def test_a_program_that_names_a_directory_finds_its_data_again(tmp_path: Path) -> None:
    options = {"dir": str(tmp_path), "save": "3600 1"}
    for number in range(3):
        with ranvier.Server(**options) as server, Wire(server.port) as wire:  # type: ignore[arg-type]
            assert wire.call("INCR", "runs").number == number + 1


def test_data_that_do_not_load_are_an_error_of_the_program(tmp_path: Path) -> None:
    (tmp_path / "dump.rdb").write_bytes(b"REDIS0010\0\1k")
    server = ranvier.Server(dir=str(tmp_path))
    with pytest.raises(SnapshotError) as refusal:
        server.start()
    assert refusal.value.offset == 12
    assert (tmp_path / "dump.rdb").read_bytes() == b"REDIS0010\0\1k"
    (tmp_path / "dump.rdb").unlink()
    with server, Wire(server.port) as wire:
        assert wire.call("DBSIZE").number == 0


def test_bgsave_beside_threads_of_the_program(tmp_path: Path) -> None:
    """Threads run Python code and allocate while the server forks; nothing stands still, every file is whole."""
    stop = threading.Event()
    rounds = [0, 0, 0]

    def work(place: int) -> None:
        while not stop.is_set():
            rounds[place] += len([bytearray(size) for size in range(1, 100_000, 9_999)])

    threads = [threading.Thread(target=work, args=(place,)) for place in range(len(rounds))]
    with ranvier.Server(dir=str(tmp_path), enable_debug_command="yes") as server, Wire(server.port, 60) as wire:
        wire.call("DEBUG", "POPULATE", 20_000)
        before = wire.call("DEBUG", "DIGEST").text
        for thread in threads:
            thread.start()
        try:
            for number in range(1, 11):
                assert wire.call("BGSAVE").raw == b"+Background saving started\r\n"
                eventually(lambda: info(wire)["rdb_bgsave_in_progress"] == "0", "it has ended", 60)
                assert info(wire)["rdb_saves"] == str(number)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert wire.call("DEBUG", "RELOAD", "NOSAVE").raw == b"+OK\r\n"
        assert wire.call("DEBUG", "DIGEST").text == before
    assert all(rounds)
    assert os.listdir(tmp_path) == ["dump.rdb"]


def info(wire: Wire) -> dict[str, str]:
    return parse_info(wire.call("INFO", "persistence").text)
