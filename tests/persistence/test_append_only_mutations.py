"""Append-only files that somebody has changed: refused with the offset and left as they are, or loaded as far as whole.

A reader in Python, which knows the format and nothing of the engine, says of every changed file what has to become of
it: all of it runs, a torn tail is cut off behind the last whole unit, or the file is damaged at an offset. What was
loaded is compared by digest with what another server makes of the same requests. `tools/fuzz.py --sanitized-tests` runs
this, with more files, on the engine that is built with sanitizers; RANVIER_APPEND_ONLY_MUTATIONS is their number.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import NamedTuple

import pytest

from harness.lossy_files import LossyDisk
from harness.memory import drop_garbage, hear_log, memory_client, memory_server, used_bytes
from harness.wire import encode_command
from persistence.data_sets import lines
from ranvier.clock import VirtualClock
from ranvier.commands.spec import load_table
from ranvier.config.options import Configuration
from ranvier.errors import LoadError
from ranvier.observe.log import ServerLog
from ranvier.persistence.aof_load import AppendOnlyLoad
from ranvier.persistence.manifest import Manifest
from ranvier.server.server import Server

MUTATIONS = int(os.environ.get("RANVIER_APPEND_ONLY_MUTATIONS", "600"))     # in each of two files; `make fuzz`: more
FOR_EVER = 10**12
NAME = "appendonly.aof"
BASE, FIRST, SECOND = f"{NAME}.1.base.rdb", f"{NAME}.1.incr.aof", f"{NAME}.2.incr.aof"
ARITIES = {record.name.encode(): record.arity for record in load_table().implemented() if record.container is None}
CONTAINERS = {(record.container or "").encode() for record in load_table().implemented()}
HEADER = re.compile(rb"([*$])([0-9]+)\r\n")
BEGINNING = re.compile(rb"\r\n(?=\*[1-9][0-9]*\r\n\$[0-9])")
HOSTILE_NUMBERS = (
    b"0", b"-1", b"1", b"2", b"3", b"7", b"255", b"65536", b"1000000", b"2147483648", b"4294967295", b"99999999999",
    b"999999999999999999", b"9223372036854775807", b"18446744073709551615", b"99999999999999999999", b"", b"x", b" 3",
)  # fmt: skip


# ---- what a file is, by another reader ------------------------------------------------------------------------------

class Torn(Exception):
    """The file ends inside of what was being read."""


class Damaged(Exception):
    """What stands there is no part of the format."""


def number_at(data: bytes, at: int, kind: bytes) -> tuple[int, int]:
    """The number of a header line, and what is behind it."""
    found = re.compile(rb"\%b([0-9]{1,18})\r\n" % kind).match(data, at)
    if found:
        return int(found[1]), found.end()
    if re.fullmatch(rb"(\%b([0-9]{1,18}\r?)?)?" % kind, data[at:at + 30]):
        raise Torn
    raise Damaged


def request_at(data: bytes, at: int) -> tuple[list[bytes], int]:
    """A request's words, none for a note, and what is behind it. Raises Torn and Damaged."""
    if data[at:at + 1] == b"#":
        end = data.find(b"\n", at)
        if end < 0:
            raise Torn
        return [], end + 1
    count, at = number_at(data, at, b"*")
    if not count:
        raise Damaged
    words = []
    for _ in range(count):
        length, at = number_at(data, at, b"$")
        behind = data[at + length:at + length + 2]
        if at + length > len(data):
            raise Torn
        if behind != b"\r\n":
            raise Torn if behind in (b"", b"\r") else Damaged
        words.append(data[at:at + length])
        at += length + 2
    if not is_known(words):
        raise Damaged
    return words, at


def is_known(words: list[bytes]) -> bool:
    name = words[0].upper()
    arity = ARITIES.get(name)
    if arity is None:
        return False
    return name in CONTAINERS or (len(words) == arity if arity > 0 else len(words) >= -arity)


class Reading(NamedTuple):
    """What has to become of a file: `requests` run, up to `whole`; `damaged_at` is set if it is refused."""

    requests: list[list[bytes]]
    whole: int
    damaged_at: int | None


def read(data: bytes, *, is_last: bool = True) -> Reading:
    """What has to become of a file of requests."""
    requests: list[list[bytes]] = []
    unit: list[list[bytes]] = []
    at = whole = 0
    in_transaction = False
    while at < len(data):
        try:
            words, end = request_at(data, at)
            name = words[0].upper() if words else b""
            if name == (b"MULTI" if in_transaction else b"EXEC"):
                raise Damaged
        except Torn:
            return Reading(requests, whole, at if hides_requests(data, at) else None)
        except Damaged:
            if is_last and is_torn_before_zeros(data, at):
                return Reading(requests, whole, at if hides_requests(data, at) else None)
            return Reading(requests, whole, at)
        if words:
            unit.append(words)
        at = end
        in_transaction = name == b"MULTI" or (in_transaction and name != b"EXEC")
        if not in_transaction:
            requests += unit
            unit.clear()
            whole = at
    return Reading(requests, whole, None)


def is_torn_before_zeros(data: bytes, at: int) -> bool:
    stripped = max(at, len(data.rstrip(b"\0")))
    if stripped == len(data):
        return False
    try:
        request_at(data[:stripped], at)
    except Torn:
        return True
    except Damaged:
        return False
    return stripped == at


def hides_requests(data: bytes, at: int) -> bool:
    """Whether whole requests stand behind a torn one: then it is a length that is wrong."""
    for place in BEGINNING.finditer(data, at):
        try:
            request_at(data, place.end())
        except (Torn, Damaged):
            continue
        return True
    return False


# ---- a server that loads --------------------------------------------------------------------------------------------

class Loader:
    """A server over a simulated disk. `load` has it load files that it is given; `log` is what it says meanwhile."""

    def __init__(self, server: Server, disk: LossyDisk) -> None:
        self.server = server
        self.disk = disk
        self.log = hear_log(server)
        self.on_disk = server.append_only.on_disk

    def load(self, *increments: bytes, base: bytes | None = None, keep_torn: bool = False) -> str:
        """Load them into nothing; the error, empty if there is none."""
        for database in self.server.engine.databases:
            database.flush()
        drop_garbage(self.server)
        del self.log[:]
        manifest = Manifest() if base is None else Manifest().with_base(NAME, "rdb", 0)
        for _ in increments:
            manifest = manifest.with_increment(NAME)
        for part, data in zip(manifest.parts, (() if base is None else (base,)) + increments, strict=True):
            self.disk.create(self.on_disk.path_of(part)).write(data)
        self.server.configuration.aof_load_truncated = not keep_torn
        job = AppendOnlyLoad(self.server.append_only.world, self.on_disk, manifest)
        try:
            while not job.step(FOR_EVER):
                continue
        except LoadError as error:
            return error.text
        finally:
            job.close()
            self.server.engine.free_closed()
        return ""

    def kept(self, name: str = FIRST) -> bytes:
        """What lies on the disk."""
        with self.disk.map(f"{self.on_disk.directory}/{name}") as mapping:
            return bytes(mapping.data)


@contextmanager
def loader() -> Iterator[Loader]:
    disk = LossyDisk(Random(1))
    configuration = Configuration.of(
        {"port": 0, "save": "", "dir": "/", "loglevel": "nothing", "enable-debug-command": "yes"}
    )
    server = Server(configuration, ServerLog(level="nothing"), VirtualClock(), disk)
    disk.make_directory("/")
    disk.make_directory("/appendonlydir")
    try:
        yield Loader(server, disk)
    finally:
        server.engine.close()


def digest(server: Server) -> bytes:
    with memory_client(server) as client:
        return client.talk(b"DEBUG DIGEST\r\n")


def digest_of(server: Server, requests: list[list[bytes]]) -> bytes:
    """What another server has when it has run them."""
    with memory_client(server) as client:
        client.talk(b"FLUSHALL\r\n" + b"".join(encode_command(*words) for words in requests))
        client.talk(b"SELECT 0\r\n")
        return client.talk(b"DEBUG DIGEST\r\n")


# ---- changed files --------------------------------------------------------------------------------------------------

def content(seed: int) -> bytes:
    """A file with all types in it, with transactions and notes."""
    choose = Random(seed)
    data = b"#TS:1700000000\r\n"
    left = 0
    for line in lines(small=True, fields_expire=True):
        if not left and choose.random() < 0.15:
            left = choose.randint(1, 4)
            data += encode_command("MULTI")
        data += encode_command(*line)
        if left == 1:
            data += encode_command("EXEC") + b"#TS:1700000001\r\n"
        left = max(left - 1, 0)
    return data + (encode_command("EXEC") if left else b"")


def hostile_number(choose: Random, data: bytes) -> bytes:
    """One of the counts and lengths is another one."""
    header = choose.choice(list(HEADER.finditer(data)))
    number = choose.choice(HOSTILE_NUMBERS) if choose.random() < 0.7 else b"%d" % choose.randint(0, len(data))
    return data[:header.start(2)] + number + data[header.end(2):]


def truncated(choose: Random, data: bytes) -> bytes:
    return data[:choose.randrange(len(data))]


def zeros_behind(choose: Random, data: bytes) -> bytes:
    return truncated(choose, data) + bytes(choose.choice((1, 2, 7, 100, 5000)))


def flipped(choose: Random, data: bytes) -> bytes:
    at = choose.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << choose.randrange(8)]) + data[at + 1:]


def pieces(choose: Random, data: bytes) -> bytes:
    """A few bytes are others, are missing, stand there twice, or come from elsewhere."""
    at, count = choose.randrange(len(data)), choose.choice((1, 1, 2, 8, 40, 300))
    part = data[at:at + count]
    elsewhere = choose.randrange(len(data))
    new = choose.choice((
        choose.randbytes(len(part)), b"", part * 2, data[elsewhere:elsewhere + count], b"\r\n", b"\0" * len(part),
    ))
    return data[:at] + new + data[at + count:]


def requests_moved(choose: Random, data: bytes) -> bytes:
    """A whole request is missing, stands there twice or elsewhere."""
    starts = [found.end() for found in BEGINNING.finditer(data)]
    number = choose.randrange(len(starts) - 1)
    begin, end = starts[number], starts[number + 1]
    rest, place = data[:begin] + data[end:], choose.choice(starts[:number + 1])
    return rest if choose.random() < 0.5 else rest[:place] + data[begin:end] + rest[place:]


CHANGES: tuple[Callable[[Random, bytes], bytes], ...] = (
    truncated, zeros_behind, flipped, flipped, pieces, hostile_number, hostile_number, requests_moved,
)


def changed(choose: Random, data: bytes) -> bytes:
    """One to four changes, as long as enough is left for another one."""
    for _ in range(choose.choice((1, 1, 1, 2, 4))):
        if len(BEGINNING.findall(data)) > 2:
            data = choose.choice(CHANGES)(choose, data)
    return data


@pytest.mark.parametrize("seed", [1, 2])
def test_a_changed_file_is_refused_or_loaded_as_far_as_it_is_whole(seed: int) -> None:
    whole_file, choose = content(seed), Random(seed)
    outcomes = {"all": 0, "cut": 0, "refused": 0, "damaged": 0}
    with loader() as ours, memory_server(**{"enable-debug-command": "yes"}) as other:
        assert not ours.load(whole_file), "it loads as it is"
        ours.load(b"")
        before = used_bytes(ours.server)
        for number in range(MUTATIONS):
            data, keep_torn = changed(choose, whole_file), choose.random() < 0.2
            wanted, name = read(data), f"seed {seed}, mutation {number}"
            error = ours.load(data, keep_torn=keep_torn)
            if wanted.damaged_at is not None:
                outcomes["damaged"] += 1
                assert f"offset {wanted.damaged_at}" in error, f"{name}: {error or 'loaded'}"
                assert ours.kept() == data, f"{name}: nobody may touch it"
            elif wanted.whole < len(data) and keep_torn:
                outcomes["refused"] += 1
                assert f"behind byte {wanted.whole}." in error, f"{name}: {error or 'loaded'}"
                assert ours.kept() == data, f"{name}: nobody may touch it"
            else:
                outcomes["cut" if wanted.whole < len(data) else "all"] += 1
                assert not error, f"{name}: whole up to {wanted.whole}"
                assert ours.kept() == data[:wanted.whole], name
                assert any("Truncating" in line for line in ours.log) == (wanted.whole < len(data)), name
                assert digest(ours.server) == digest_of(other, wanted.requests), name
        ours.load(b"")
        assert used_bytes(ours.server) <= before
    assert min(outcomes.values()) > MUTATIONS // 100, outcomes


@pytest.fixture(scope="module")
def snapshot() -> bytes:
    """A data set of all types, as a rewrite leaves it."""
    parts: list[bytes] = []
    with memory_server() as server:
        digest_of(server, read(content(3)).requests)
        server.engine.snapshots.write(parts.append)
    return b"".join(parts)


def test_only_the_last_file_may_be_torn(snapshot: bytes) -> None:
    choose, base = Random(5), read(content(3)).requests
    first, last = content(4), content(5)
    refused = 0
    with loader() as ours, memory_server(**{"enable-debug-command": "yes"}) as other:
        assert not ours.load(first, last, base=snapshot), "they load as they are"
        for number in range(MUTATIONS // 4):
            data = changed(choose, first)
            wanted, name = read(data, is_last=False), f"mutation {number}"
            error = ours.load(data, last, base=snapshot)
            assert (ours.kept(BASE), ours.kept(FIRST), ours.kept(SECOND)) == (snapshot, data, last), name
            if wanted.damaged_at is not None:
                refused += 1
                assert f"offset {wanted.damaged_at}" in error, f"{name}: {error or 'loaded'}"
            elif wanted.whole < len(data):
                refused += 1
                assert f"{FIRST} ends behind byte {wanted.whole}" in error, f"{name}: {error or 'loaded'}"
            else:
                assert not error, name
                assert digest(ours.server) == digest_of(other, base + wanted.requests + read(last).requests), name
    assert refused > MUTATIONS // 20


def test_the_snapshot_at_the_beginning_is_whole(snapshot: bytes) -> None:
    """Or the server does not begin without it."""
    choose, increment = Random(6), content(4)
    with loader() as ours:
        for number in range(MUTATIONS // 4):
            data = snapshot[:number] if number < min(len(snapshot), MUTATIONS // 8) else flipped(choose, snapshot)
            assert ours.load(increment, base=data), f"mutation {number}"
            assert ours.kept(BASE) == data
