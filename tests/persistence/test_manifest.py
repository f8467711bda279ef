"""The manifest of the append-only file: its format, and what the reference servers refuse."""

from pathlib import Path

import pytest

from ranvier.persistence.files import SystemFiles
from ranvier.persistence.manifest import BASE, HISTORY, INCREMENT, Manifest, ManifestError, ManifestFile, Part, parse

NAME = "appendonly.aof"


def test_a_data_set_from_its_first_file_on() -> None:
    first = Manifest().with_base(NAME, "rdb", 0).with_increment(NAME)
    assert first.text() == (
        "file appendonly.aof.1.base.rdb seq 1 type b\nfile appendonly.aof.1.incr.aof seq 1 type i\n"
    )
    second = first.with_increment(NAME).with_base(NAME, "rdb", 1)
    assert second.text() == (
        "file appendonly.aof.2.base.rdb seq 2 type b\nfile appendonly.aof.1.base.rdb seq 1 type h\n"
        "file appendonly.aof.1.incr.aof seq 1 type h\nfile appendonly.aof.2.incr.aof seq 2 type i\n"
    )
    assert parse(second.text()) == second
    assert [part.name for part in second.parts] == ["appendonly.aof.2.base.rdb", "appendonly.aof.2.incr.aof"]
    third = second.with_increment(NAME)
    assert third.without(second.history).history == ()
    assert third.without(second.history[:1]).history == second.history[1:]
    # Without an increment that goes on: AOF is off, and BGREWRITEAOF makes a base alone.
    alone = third.with_base(NAME, "rdb", 0)
    assert alone.parts == (Part("appendonly.aof.3.base.rdb", 3, BASE),)
    assert len(alone.history) == 5


def test_names_that_need_it_are_quoted() -> None:
    part = Part('my "own"\n\xe9.aof', 1, INCREMENT)
    assert part.line() == 'file "my \\"own\\"\\n\\xc3\\xa9.aof" seq 1 type i\n'
    assert parse(part.line()).increments == (part,)


def test_comments_and_pairs_of_later_versions_are_passed_over() -> None:
    text = "# made by hand\nSEQ 3 FILE \"a b\" TYPE base startoffset 12\nfile c seq 7 type i\n"
    assert parse(text) == Manifest(Part("a b", 3, BASE), (), (Part("c", 7, INCREMENT),), 3, 7)


@pytest.mark.parametrize(
    ("text", "reason", "line"),
    [
        ("", "Found an empty AOF manifest", 0),
        ("\n", "Invalid AOF manifest file format", 1),
        ("file x seq\n", "Invalid AOF manifest file format", 1),
        ("file x seq 1 type\n", "Invalid AOF manifest file format", 1),
        ("file x seq 0 type b\n", "Invalid AOF manifest file format", 1),
        ("file x seq +1 type b\n", "Invalid AOF manifest file format", 1),
        ('file "x seq 1 type b\n', "Invalid AOF manifest file format", 1),
        ("file x seq 1 type x\n", "Unknown AOF file type", 1),
        ("file ../x seq 1 type i\n", "File can't be a path, just a filename", 1),
        ("file a seq 1 type b\nfile b seq 2 type b\n", "Found duplicate base file information", 2),
        ("file a seq 2 type i\nfile b seq 2 type i\n", "Found a non-monotonic sequence number", 2),
        ("file " + 1024 * "x" + " seq 1 type b\n", "The AOF manifest file contains too long line", 1),
    ],
)
def test_what_is_refused(text: str, reason: str, line: int) -> None:
    with pytest.raises(ManifestError) as caught:
        parse(text)
    assert (caught.value.reason, caught.value.line) == (reason, line)


def test_it_is_replaced_whole(tmp_path: Path) -> None:
    on_disk = ManifestFile(SystemFiles(), str(tmp_path), NAME)
    assert not on_disk.exists()
    manifest = Manifest().with_base(NAME, "rdb", 0)
    for _ in range(3):
        manifest = manifest.with_increment(NAME)
        on_disk.write(manifest)
        assert on_disk.read() == manifest
    assert [path.name for path in tmp_path.iterdir()] == ["appendonly.aof.manifest"]
    for part in manifest.parts[1:]:
        (tmp_path / part.name).touch()
    on_disk.remove((*manifest.parts, Part("gone", 1, HISTORY)))
    assert [path.name for path in tmp_path.iterdir()] == ["appendonly.aof.manifest"]
