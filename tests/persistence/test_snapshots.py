"""Snapshots as bytes: what is written is loaded, whatever the type; what is no snapshot is refused, with its place."""

import os
import random
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness.memory import drop_garbage, memory_client, memory_server, read_replies, used_bytes
from persistence.data_sets import (
    FAR_FUTURE_MS,
    FIELDS_THAT_EXPIRE,
    fill_memory,
    length,
    lines,
    rdb_file,
    request,
    text,
)  # fmt: skip
from ranvier.engine.persistence.snapshot_load import SnapshotLoader
from ranvier.errors import SnapshotError, SnapshotVersionError
from ranvier.server.server import Server
from ranvier.shells.memory import MemoryClient

FOR_EVER = 10**12
MUTATIONS = int(os.environ.get("RANVIER_SNAPSHOT_MUTATIONS", "1000"))       # `make fuzz` tries more


@pytest.fixture
def server() -> Iterator[Server]:
    with memory_server() as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[MemoryClient]:
    with memory_client(server) as client:
        yield client


def call(client: MemoryClient, *words: str | int | bytes) -> object:
    (reply,) = read_replies(client.talk(request(*words)))
    return reply.plain()


def written(server: Server, **options: object) -> bytes:
    pieces: list[bytes] = []
    server.engine.snapshots.write(pieces.append, **options)  # type: ignore[arg-type]
    return b"".join(pieces)


def load(server: Server, data: bytes, nanoseconds: int = FOR_EVER, **options: bool) -> SnapshotLoader:
    loader = server.engine.snapshots.load(data, **options)
    while not loader.step(nanoseconds):
        assert loader.position < len(data)
    return loader


def digest(server: Server) -> object:
    with memory_client(server) as client:
        return call(client, "DEBUG", "DIGEST")


@contextmanager
def other_server(**options: object) -> Iterator[Server]:
    with memory_server(enable_debug_command="yes", **options) as server:
        yield server


# ---- there and back -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("nanoseconds", [FOR_EVER, 0])
def test_every_type_comes_back(compress: bool, nanoseconds: int) -> None:
    with other_server() as source, other_server() as target, memory_client(source) as client:
        fill_memory(client, lines())
        data = written(source, compress=compress)
        assert data[:9] == b"REDIS0010"
        loader = load(target, data, nanoseconds)
        assert digest(source) == digest(target)
        assert loader.position == len(data) and loader.keys_expired == 0
        assert loader.keys_loaded == source.engine.snapshots.key_count() == target.engine.snapshots.key_count()
        for ours, theirs in zip(source.engine.databases, target.engine.databases, strict=True):
            assert (len(ours), ours.volatile_count) == (len(theirs), theirs.volatile_count)


def test_many_keys_go_through_the_buffer_whole() -> None:
    """More than is handed over at once, in pieces of a megabyte, and tables that are made large at once."""
    with other_server() as source, other_server() as target:
        database = source.engine.databases[0]
        for number in range(60_000):
            database.set(b"key:%d" % number, b"value:%d" % number * (number % 7))
        database.set(b"large", random.Random(1).randbytes(3_000_000))
        data = written(source)
        loader = load(target, data)
        assert loader.keys_loaded == 60_001
        assert digest(source) == digest(target)
        for number in range(0, 60_000, 7):
            assert target.engine.databases[0].delete(b"key:%d" % number)
        assert len(target.engine.databases[0]) == 60_001 - 8572


def test_an_empty_data_set(server: Server) -> None:
    data = written(server, auxiliary=[(b"redis-bits", b"64"), (b"name", b"text")], functions=[b"#!lua name=x\n"])
    assert data[:-8] == b"REDIS0010\xfa\x0aredis-bits\xc0\x40\xfa\x04name\x04text\xf5\x0d#!lua name=x\n\xff"
    loader = load(server, data)
    assert loader.auxiliary == {b"redis-bits": b"64", b"name": b"text"}
    assert loader.functions == [b"#!lua name=x\n"]
    assert (loader.keys_loaded, loader.version) == (0, 10)


def test_fields_that_expire_need_valkeys_form(server: Server, client: MemoryClient) -> None:
    fill_memory(client, [("SELECT", 3), *FIELDS_THAT_EXPIRE])
    with pytest.raises(SnapshotVersionError) as refusal:
        written(server, version=10)
    assert (refusal.value.key, refusal.value.database, refusal.value.needed) == (b"k", 3, 80)
    assert "b'k'" in str(refusal.value)
    assert server.engine.snapshots.version(80) == 80
    data = written(server)
    assert data[:9] == b"VALKEY080"
    with other_server() as target, memory_client(target) as reader:
        load(target, data)
        call(reader, "SELECT", 3)
        assert call(reader, "HPEXPIRETIME", "k", "FIELDS", 3, "a", "b", "c") == [FAR_FUTURE_MS, -1, FAR_FUTURE_MS]
        call(reader, "HPERSIST", "k", "FIELDS", 2, "a", "c")
        assert written(target)[:9] == b"REDIS0010"


def test_a_mark_frames_what_has_no_known_length(server: Server) -> None:
    plain = written(server)
    assert written(server, eof_mark=b"m" * 40) == b"$EOF:" + b"m" * 40 + b"\r\n" + plain + b"m" * 40


def test_without_a_checksum(server: Server) -> None:
    data = written(server, checksum=False)
    assert data[-8:] == bytes(8)
    load(server, data)


@pytest.mark.parametrize("policy, answer", [("allkeys-lru", "IDLETIME"), ("allkeys-lfu", "FREQ")])
def test_what_is_known_of_the_use_is_kept(policy: str, answer: str) -> None:
    with other_server(maxmemory_policy=policy) as source, memory_client(source) as client:
        fill_memory(client, [("SET", "k", "v")])
        fill_memory(client, [("RESTORE", "j", 0, *restore_words(client, answer))])
        before = call(client, "OBJECT", answer, "j")
        data = written(source)
        with other_server(maxmemory_policy=policy) as target, memory_client(target) as reader:
            load(target, data)
            assert call(reader, "OBJECT", answer, "j") == before
            assert before in (77, 1000)
        with other_server() as target:
            load(target, data)
    with other_server() as source, memory_client(source) as client:
        fill_memory(client, [("SET", "k", "v")])
        assert not {0xF8, 0xF9} & set(written(source)[:-9])


def restore_words(client: MemoryClient, answer: str) -> tuple[bytes, str, int]:
    payload = call(client, "DUMP", "k")
    assert isinstance(payload, bytes)
    return (payload, "IDLETIME", 1000) if answer == "IDLETIME" else (payload, "FREQ", 77)


def test_what_take_raises_is_raised(server: Server) -> None:
    def full(data: bytes) -> None:
        raise OSError(28, "full")

    with pytest.raises(OSError, match="full"):
        server.engine.snapshots.write(full)


# ---- time -----------------------------------------------------------------------------------------------------------

def expiring_file(now_ms: int) -> bytes:
    return rdb_file(
        10, b"\xfc" + struct.pack("<q", now_ms - 1) + b"\0" + text(b"gone") + text(b"v"),
        b"\xfc" + struct.pack("<q", now_ms + 5000) + b"\0" + text(b"later") + text(b"v"),
        b"\xfd" + struct.pack("<i", now_ms // 1000 + 9) + b"\0" + text(b"seconds") + text(b"v"),
        b"\xfd" + struct.pack("<i", 5) + b"\4" + text(b"old") + length(1) + text(b"f") + text(b"v"),
        b"\0" + text(b"for ever") + text(b"v"),
    )


def test_a_primary_drops_what_has_expired_a_replica_does_not(server: Server) -> None:
    now_ms = server.clock.wall_ms()
    database = server.engine.databases[0]
    loader = load(server, expiring_file(now_ms))
    assert (loader.keys_loaded, loader.keys_expired) == (3, 2)
    assert [database.expiry_ms(key) for key in (b"later", b"seconds", b"for ever")] == [
        now_ms + 5000, (now_ms // 1000 + 9) * 1000, -1,
    ]
    database.flush()
    assert load(server, expiring_file(now_ms), drop_expired=False).keys_loaded == 5
    assert (len(database), database.volatile_count) == (5, 4)


# ---- beside the data set --------------------------------------------------------------------------------------------

def test_loaded_aside_it_takes_the_place_when_told(server: Server, client: MemoryClient) -> None:
    fill_memory(client, [("SET", "k", "new"), ("SELECT", 3), ("SET", "j", "3"), ("SELECT", 0)])
    data = written(server)
    fill_memory(client, [("FLUSHALL",), ("SET", "k", "old"), ("SET", "other", "old")])
    loader = server.engine.snapshots.load(data, aside=True)
    with pytest.raises(ValueError):
        loader.take_place()
    assert loader.step(FOR_EVER)
    assert call(client, "GET", "k") == b"old"
    loader.take_place()
    assert (call(client, "GET", "k"), call(client, "EXISTS", "other")) == (b"new", 0)
    with pytest.raises(ValueError):
        loader.take_place()


def test_loaded_aside_it_is_merged(server: Server, client: MemoryClient) -> None:
    fill_memory(client, [("SET", "k", "new"), ("PEXPIREAT", "k", FAR_FUTURE_MS), *FIELDS_THAT_EXPIRE[0:0]])
    fill_memory(client, [(*FIELDS_THAT_EXPIRE[0][:1], "h", *FIELDS_THAT_EXPIRE[0][2:]),
                         ("HPEXPIREAT", "h", FAR_FUTURE_MS, "FIELDS", "1", "a")])
    data = written(server)
    fill_memory(client, [("FLUSHALL",), ("SET", "k", "old"), ("SET", "other", "old")])
    loader = load(server, data, aside=True)
    with pytest.raises(SnapshotError, match="there already"):
        loader.merge(False)
    assert call(client, "GET", "k") == b"old"
    loader.merge(True)
    assert (call(client, "GET", "k"), call(client, "GET", "other")) == (b"new", b"old")
    database = server.engine.databases[0]
    assert (len(database), database.volatile_count, database.volatile_hash_count) == (3, 1, 1)


def test_whoever_watches_learns_of_it(server: Server, client: MemoryClient) -> None:
    data = written(server)
    fill_memory(client, [("SET", "k", "v"), ("WATCH", "k"), ("MULTI",), ("PING",)])
    load(server, data, aside=True).take_place()
    assert call(client, "EXEC") is None
    fill_memory(client, [("SET", "k", "v"), ("WATCH", "k"), ("MULTI",), ("PING",)])
    server.engine.snapshots.empty_databases()
    assert call(client, "EXEC") is None
    assert call(client, "DBSIZE") == 0


# ---- old and foreign forms ------------------------------------------------------------------------------------------

ZIPMAP = b"\x02\x01a\x01\x001\x01b\x02\x002x\xff"
ZIPLIST = bytes.fromhex("13000000" "0d000000" "0200" "00" "0161" "03" "fe05" "ff")
INTSET = struct.pack("<IIhh", 2, 2, -3, 900)


def test_the_forms_of_old_versions(server: Server, client: MemoryClient) -> None:
    load(server, rdb_file(
        5, b"\xfe\0", b"\x09" + text(b"zipmap") + text(ZIPMAP), b"\x0b" + text(b"intset") + text(INTSET),
        b"\1" + text(b"list") + length(2) + text(b"x") + b"\xc0\x07",
        b"\2" + text(b"set") + length(1) + text(b"m"), b"\3" + text(b"zset") + length(1) + text(b"m") + b"\x031.5",
        b"\4" + text(b"hash") + length(1) + text(b"f") + text(b"v"), b"\0" + text(b"number") + b"\xc1\x39\x30",
    ))
    assert call(client, "HGETALL", "zipmap") == [b"a", b"1", b"b", b"2x"]
    assert call(client, "SMEMBERS", "intset") == [b"-3", b"900"]
    assert call(client, "LRANGE", "list", 0, -1) == [b"x", b"7"]
    assert call(client, "ZRANGE", "zset", 0, -1, "WITHSCORES") == [b"m", b"1.5"]
    assert call(client, "HGETALL", "hash") == [b"f", b"v"]
    assert call(client, "GET", "number") == b"12345"


@pytest.mark.parametrize("version", range(1, 13))
def test_versions_one_to_twelve(server: Server, version: int) -> None:
    assert load(server, rdb_file(version, b"\0\1k\1v")).version == version


@pytest.mark.parametrize("data", [
    rdb_file(13), rdb_file(0), rdb_file(80), rdb_file(81, magic=b"VALKEY%03d"), rdb_file(79, magic=b"VALKEY%03d"),
])
def test_other_versions_are_tried_only_when_told(server: Server, data: bytes) -> None:
    with pytest.raises(SnapshotError, match="version that is not known") as refusal:
        load(server, data)
    assert refusal.value.offset == 0
    if b"0000" not in data[:9]:
        load(server, data, any_version=True)


MODULE = (0b010011 << 58) | 5           # its name begins with T


def module_part(part: int, data: bytes) -> bytes:
    return length(part) + data


PARTS = b"".join([module_part(1, length(7)), module_part(2, length(70)), module_part(3, b"ffff"),
                  module_part(4, b"dddddddd"), module_part(5, text(b"text")), length(0)])


def test_what_modules_have_left_is_skipped_and_told(server: Server) -> None:
    number = b"\x81" + struct.pack(">Q", MODULE)
    loader = load(server, rdb_file(
        10, b"\xf7" + number + length(2) + length(1) + PARTS, b"\x07" + text(b"k") + number + PARTS, b"\0\1j\1v",
        b"\xf4" + length(1) + length(300) + length(2),
    ))
    assert loader.skipped_modules == {"TAAAAAAAA": 2}
    assert loader.keys_loaded == 1


@pytest.mark.parametrize("item, told", [
    (b"\x06\1k", "module"), (b"\xf6", "release candidate"), (b"\xf3", "import of slots"), (b"\x08\1k", "no sense"),
    (b"\xfe\x10", "database 16"), (b"\xfe\x81" + b"\xff" * 8, "database 18446744073709551615"),
    (b"\0\1k\1v\0\1j\1v\0\1k\1v", "twice"), (b"\x07\1k\x05\x09", "no sense"), (b"\x80", "no sense"),
])
def test_what_cannot_be_loaded_is_named(server: Server, item: bytes, told: str) -> None:
    with pytest.raises(SnapshotError, match=told) as refusal:
        load(server, rdb_file(10, item))
    assert 9 < refusal.value.offset <= 40


# ---- bad bytes ------------------------------------------------------------------------------------------------------

def small_file() -> bytes:
    with other_server() as source, memory_client(source) as client:
        fill_memory(client, lines(small=True, fields_expire=True))
        return written(source, auxiliary=[(b"redis-ver", b"7.2.4")], functions=[b"#!lua name=x\n"])


@pytest.fixture(scope="module")
def snapshot() -> bytes:
    return small_file()


def test_truncated_at_every_byte(server: Server, snapshot: bytes) -> None:
    drop_garbage(server)
    load(server, snapshot, aside=True).discard()
    drop_garbage(server)
    before = used_bytes(server)
    for end in range(len(snapshot)):
        with pytest.raises(SnapshotError) as refusal:
            load(server, snapshot[:end], aside=True)
        assert refusal.value.offset <= end
        assert refusal.value.text in (
            "it ends in the middle of something", "it does not begin as a snapshot does", "it makes no sense",
        )
        del refusal                  # whose traceback holds the loader
        drop_garbage(server)
    assert used_bytes(server) == before
    assert server.engine.snapshots.key_count() == 0


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Something that is nearly a snapshot: a bit or a byte is another one, some are missing, twice there, or moved."""
    place, count = chance.randrange(9, len(data) - 9), chance.choice((1, 1, 2, 8, 40))
    part = data[place:place + count]
    match chance.randrange(6):
        case 0 | 1:
            part = bytes([part[0] ^ (1 << chance.randrange(8))]) + part[1:]
        case 2:
            part = chance.choice((b"\x00", b"\xff", b"\x80", b"\x81", b"\xc0", b"\xc3", b"\x3f")) + part[1:]
        case 3:
            part = b""
        case 4:
            part *= 2
        case 5:
            other = chance.randrange(9, len(data))
            part = data[other:other + count]
    return data[:place] + part + data[place + count:]


@pytest.mark.parametrize("checksum", [True, False])
def test_bytes_that_change(server: Server, snapshot: bytes, checksum: bool) -> None:
    """With its checksum no change goes unseen; without, none does worse than to load something else."""
    chance = random.Random(4)
    before = used_bytes(server)
    for _ in range(MUTATIONS):
        data = mutated(snapshot, chance)
        loader = server.engine.snapshots.load(data, aside=True, alone=True, checksum=checksum)
        try:
            loader.step(FOR_EVER)
        except SnapshotError as error:
            assert 9 <= error.offset <= len(data)
        else:
            assert not checksum or data == snapshot
        loader.discard()
        drop_garbage(server)
    assert used_bytes(server) == before
    assert server.engine.snapshots.key_count() == 0


def test_the_checksum_is_looked_at_only_if_there_is_one(server: Server) -> None:
    good = rdb_file(10, b"\0\1k\1v")
    for bad, offset in ((good[:-1] + b"\0", len(good) - 8), (good[:13] + b"w" + good[14:], len(good) - 8)):
        with pytest.raises(SnapshotError, match="checksum") as refusal:
            load(server, bad, aside=True)
        assert refusal.value.offset == offset
        load(server, bad, aside=True, checksum=False).discard()
    load(server, rdb_file(10, b"\0\1k\1v", checksum=False))


def test_announced_sizes_cost_no_more_than_the_file(server: Server) -> None:
    """A file that claims a billion keys makes the tables no larger than what it could hold."""
    huge = b"\x81" + struct.pack(">Q", 10**15)
    before = used_bytes(server)
    loader = server.engine.snapshots.load(
        rdb_file(10, *(b"\xfe" + bytes([database]) + b"\xfb" + huge + huge for database in range(16)), bytes(400_000))
    )
    with pytest.raises(SnapshotError):
        loader.step(FOR_EVER)
    assert used_bytes(server) - before < 16 * 1_000_000


def test_what_follows_the_end_is_left(server: Server) -> None:
    data = rdb_file(10, b"\0\1k\1v")
    loader = server.engine.snapshots.load(data + b"*1\r\n$4\r\nPING\r\n")
    assert loader.step(FOR_EVER)
    assert loader.position == len(data)
    assert loader.step(0)
    with pytest.raises(SnapshotError, match="more follows"):
        load(server, data + b"\0", alone=True, aside=True)


def test_a_loader_that_failed_is_of_no_use(server: Server) -> None:
    loader = server.engine.snapshots.load(b"REDIS0010\0\1k")
    with pytest.raises(SnapshotError):
        loader.step(FOR_EVER)
    with pytest.raises(ValueError):
        loader.step(FOR_EVER)
    loader.discard()


def test_the_bytes_are_let_go_of(server: Server) -> None:
    """What holds a buffer cannot be resized."""
    data = bytearray(rdb_file(10, b"\0\1k\1v"))
    loader = server.engine.snapshots.load(data)
    with pytest.raises(BufferError):
        data.clear()
    loader.step(FOR_EVER)
    data.clear()
    for bad in (b"", b"REDIS00x0", b"VALKEY08", b"HELLO 123"):
        with pytest.raises(SnapshotError, match="does not begin"):
            server.engine.snapshots.load(bad)
