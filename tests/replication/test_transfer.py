"""A snapshot's transfer: every way to cut it into pieces, bad headers, and where it is collected."""

import os
import random
from pathlib import Path

import pytest

from ranvier.replication.collect import FileCollector, MemoryCollector, collector
from ranvier.replication.transfer import Transfer, TransferError

MARK = b"3bf1d5c2a7e94f60b8c1d2e3f40516273849aabb"
BODY = b"REDIS0011" + bytes(range(256)) + MARK[:39] + b"x" + MARK[1:]
STREAM = b"*1\r\n$4\r\nPING\r\n"
FORMS = {
    "counted": b"$%d\r\n%b" % (len(BODY), BODY),
    "marked": b"$EOF:%b\r\n%b%b" % (MARK, BODY, MARK),
    "after keep-alives": b"\n\n\r\n$%d\r\n%b" % (len(BODY), BODY),
    "marked after keep-alives": b"\n\n$EOF:%b\r\n%b%b" % (MARK, BODY, MARK),
}


def run(pieces: list[bytes]) -> tuple[Transfer, bytes, bytes]:
    """The transfer, what it collected, and what of the pieces was not its own."""
    found = MemoryCollector()
    transfer = Transfer(found)
    rest = b""
    for piece in pieces:
        used = 0 if transfer.done else transfer.take(piece)
        rest += piece[used:]
    collected = bytes(found.data())
    found.close()
    return transfer, collected, rest


@pytest.mark.parametrize("form", FORMS)
def test_split_at_every_byte(form: str) -> None:
    whole = FORMS[form] + STREAM
    for cut in range(len(whole) + 1):
        transfer, collected, rest = run([whole[:cut], whole[cut:]])
        assert transfer.done
        assert collected == BODY
        assert rest == STREAM
        assert transfer.total_bytes == len(BODY)


@pytest.mark.parametrize("form", FORMS)
def test_one_byte_at_a_time_and_at_random(form: str) -> None:
    whole = FORMS[form] + STREAM
    generator = random.Random(5)
    cuts = [list(range(len(whole)))] + [sorted(generator.sample(range(len(whole)), 20)) for _ in range(50)]
    for places in cuts:
        pieces = [whole[begin:end] for begin, end in zip([0, *places], [*places, len(whole)], strict=True)]
        transfer, collected, rest = run(pieces)
        assert transfer.done
        assert (collected, rest) == (BODY, STREAM)


def test_progress() -> None:
    transfer = Transfer(MemoryCollector())
    assert not transfer.begun
    transfer.take(b"$10\r\nabc")
    assert (transfer.begun, transfer.marked, transfer.total_bytes, transfer.read_bytes) == (True, False, 10, 3)
    transfer.take(b"defghijKLM")
    assert (transfer.done, transfer.read_bytes) == (True, 10)


def test_an_empty_snapshot_is_over_at_once() -> None:
    transfer = Transfer(MemoryCollector())
    assert transfer.take(b"$0\r\nrest") == 4
    assert transfer.done


@pytest.mark.parametrize("header", [
    b"$-1\r\n", b"$\r\n", b"$x\r\n", b"$1x\r\n", b"+FULL\r\n", b"*1\r\n", b"$EOF:short\r\n",
    b"$EOF:" + b"x" * 41 + b"\r\n", b"$99999999999999999999\r\n", b"\x00\n", b"x" * 2000,
])
def test_a_header_that_is_none(header: bytes) -> None:
    with pytest.raises(TransferError, match="Bad protocol from PRIMARY") as refusal:
        Transfer(MemoryCollector()).take(header)
    assert str(refusal.value).isprintable()


def test_sizes_beyond_reason() -> None:
    with pytest.raises(TransferError, match="would be larger"):
        Transfer(MemoryCollector()).take(b"$9223372036854775807\r\n")
    with pytest.raises(TransferError, match="is larger"):
        Transfer(MemoryCollector(), 10).take(b"$EOF:" + MARK + b"\r\n" + b"x" * 60)


def test_an_announced_size_costs_nothing() -> None:
    found = MemoryCollector()
    Transfer(found).take(b"$70000000000000\r\nabc")
    assert bytes(found.data()) == b"abc"


def test_the_primary_gives_up() -> None:
    with pytest.raises(TransferError, match=r"^PRIMARY aborted replication with an error: ERR no memory$"):
        Transfer(MemoryCollector()).take(b"\n\n-ERR no memory\r\n")


def test_a_file_leaves_nothing_behind(tmp_path: Path) -> None:
    found = FileCollector(str(tmp_path))
    found.add(BODY)
    found.add(BODY)
    found.cut(len(BODY) + 3)
    assert bytes(found.data()) == BODY + BODY[:3]
    assert os.listdir(tmp_path) == []
    found.close()
    found.close()


def test_where_it_is_collected(tmp_path: Path) -> None:
    for setting, empty, kind in (
        ("disabled", True, FileCollector), ("on-empty-db", False, FileCollector),
        ("on-empty-db", True, MemoryCollector), ("swapdb", False, MemoryCollector),
        ("flush-before-load", False, MemoryCollector),
    ):
        found = collector(str(tmp_path), setting, lambda empty=empty: empty)  # type: ignore[misc]
        assert isinstance(found, kind)
        found.close()
