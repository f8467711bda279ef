"""The file layer over the system's files: what persistence relies on."""

import os
from pathlib import Path

import pytest

from ranvier.persistence.files import SystemFiles

FILES = SystemFiles()


def read(path: Path) -> bytes:
    with FILES.map(str(path)) as mapping:
        return bytes(mapping.data)


def test_a_file_is_written_synced_cut_and_read(tmp_path: Path) -> None:
    file = FILES.create(str(tmp_path / "one"))
    assert file.write(b"hello") == 5
    assert file.write(memoryview(b" world")[:3]) == 3
    file.sync()
    assert file.size() == 8
    file.truncate(5)
    assert file.write(b"!") == 1, "a write goes to the end, wherever that is after a cut"
    assert file.descriptor is not None
    assert not os.get_inheritable(file.descriptor)
    file.close()
    file.close()
    assert read(tmp_path / "one") == b"hello!"


def test_append_goes_on_and_create_begins_anew(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    for expected in (b"ab", b"abab"):
        file = FILES.append(path)
        file.write(b"ab")
        file.close()
        assert read(tmp_path / "log") == expected
    FILES.create(path).close()
    assert read(tmp_path / "log") == b"", "an empty file can be read, too"


def test_names(tmp_path: Path) -> None:
    directory = str(tmp_path / "appendonlydir")
    assert not FILES.exists(directory)
    FILES.make_directory(directory)
    FILES.make_directory(directory)
    for name in ("b", "a"):
        file = FILES.create(os.path.join(directory, name))
        file.write(name.encode())
        file.close()
    assert FILES.list(directory) == ["a", "b"]
    FILES.rename(os.path.join(directory, "a"), os.path.join(directory, "b"))
    assert FILES.list(directory) == ["b"]
    assert read(tmp_path / "appendonlydir" / "b") == b"a"
    FILES.sync_directory(directory)
    FILES.remove(os.path.join(directory, "b"))
    assert FILES.list(directory) == []


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    for action in (FILES.map, FILES.remove, FILES.list, FILES.sync_directory):
        with pytest.raises(FileNotFoundError):
            action(missing)
    assert os.listdir(tmp_path) == []


def test_a_mapping_leaves_no_descriptor(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"1" * 5000)
    before = len(os.listdir("/dev/fd"))
    mapping = FILES.map(str(tmp_path / "one"))
    assert len(mapping.data) == 5000
    mapping.close()
    mapping.close()
    assert len(os.listdir("/dev/fd")) == before
