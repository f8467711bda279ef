"""The stream's structure by way of its handle: blocks, index, groups, memory."""

import random

import pytest

from ranvier.engine.store.handles import DatabaseHandle, StandaloneKeyspace
from ranvier.engine.types.stream_handle import StreamHandle, stream_of
from ranvier.errors import CommandError


@pytest.fixture
def keyspace() -> StandaloneKeyspace:
    return StandaloneKeyspace()


@pytest.fixture
def database(keyspace: StandaloneKeyspace) -> DatabaseHandle:
    return keyspace.database()


@pytest.mark.parametrize("block_entries", [1, 2, 5, 64, 100])
def test_entries_like_a_list_of_pairs(block_entries: int) -> None:
    choose = random.Random(block_entries)
    stream = StreamHandle(4096, block_entries)
    model: list[tuple[tuple[int, int], list[bytes]]] = []
    for number in range(3000):
        name = (number // 3 + 1, number % 3)
        fields = [b"field", b"%d" % number] if number % 7 else [b"a", b"x" * (number % 50), b"b", b"-%d" % number]
        stream.append(name, *fields)
        model.append((name, fields))
        if choose.random() < 0.4:
            gone = choose.choice(model)
            assert stream.delete(gone[0])
            assert not stream.delete(gone[0])
            model.remove(gone)
        if number % 500 == 0:
            stream.check()
    stream.check()
    assert list(stream) == model
    for _ in range(200):
        low, high = sorted((choose.randrange(1100), choose.randrange(3)) for _ in range(2))
        inside = [entry for entry in model if low <= entry[0] <= high]
        assert stream.range(low, high) == inside
        assert stream.range(low, high, forward=False) == inside[::-1]
        limit = choose.randrange(1, 2000)
        for forward in (True, False):
            assert stream.count(low, high, forward) == len(inside)
            assert stream.count(low, high, forward, limit) == min(len(inside), limit)


def test_trimming() -> None:
    for approximate in (False, True):
        stream = StreamHandle(4096, 10)
        for number in range(1, 101):
            stream.append((number, 0), b"a", b"%d" % number)
        stream.delete((15, 0))
        left = 55
        gone = stream.trim(length=left, approximate=approximate)
        assert len(stream) == 99 - gone
        assert gone == (39 if approximate else 44)
        stream.check()
        gone = stream.trim(least_id=(75, 0), approximate=approximate)
        assert stream.range(count=1)[0][0] == ((71, 0) if approximate else (75, 0))
        stream.check()
        assert stream.trim(length=0, approximate=True, limit=10) in (6, 10)
        rest = len(stream)
        assert stream.trim(length=0) == rest
        assert stream.figures()["first_id"] == (0, 0)


def test_pending_entries_in_any_order() -> None:
    choose = random.Random(7)
    stream = StreamHandle()
    stream.add_group(b"g")
    for name in (b"c", b"d", b"b"):
        assert stream.add_consumer(b"g", name)
    assert stream.consumers(b"g") == [b"b", b"c", b"d"]
    owners: dict[tuple[int, int], bytes] = {}
    ids = [(choose.randrange(2**64), choose.randrange(2**64)) for _ in range(4000)]
    for step, identity in enumerate([*ids, *choose.choices(ids, k=6000)]):
        if step % 3 == 2 and identity in owners:
            assert stream.acknowledge(b"g", identity)
            assert not stream.acknowledge(b"g", identity)
            del owners[identity]
        else:
            owners[identity] = choose.choice([b"b", b"c", b"d"])
            stream.give(b"g", owners[identity], identity)
    assert [(item[0], item[1]) for item in stream.pending(b"g")] == sorted(owners.items())
    stream.check()
    copy = stream.copy()
    count = sum(owner == b"c" for owner in owners.values())
    assert stream.delete_consumer(b"g", b"c") == count
    stream.check()
    for identity in choose.sample(sorted(owners), len(owners)):
        assert stream.acknowledge(b"g", identity) == (owners[identity] != b"c")
    assert stream.pending(b"g") == []
    copy.check()
    assert len(copy.pending(b"g")) == len(owners)


def test_bounded_freeing_and_memory() -> None:
    stream = StreamHandle(4096, 1)
    for number in range(1000):
        stream.append((number + 1, 0), b"a", b"%d" % number)
    stream.add_group(b"g")
    stream.add_consumer(b"g", b"c")
    for number in range(1000):
        stream.give(b"g", b"c", (number + 1, 0))
    slices = 0
    while not stream.clear_slice(50):
        slices += 1
    assert 40 <= slices <= 50
    assert stream.used_bytes == 0


def test_memory_of_many_entries() -> None:
    """An entry of one small field and value costs a few bytes more than its value."""
    stream = StreamHandle()
    for number in range(50_000):
        stream.append((1_700_000_000_000 + number, 0), b"field", b"value:%07d" % number)
    assert stream.used_bytes < 50_000 * 26
    assert stream.used_bytes * 0.9 < stream.memory_usage(10) < stream.used_bytes * 1.1


def test_a_stream_under_a_key(database: DatabaseHandle, keyspace: StandaloneKeyspace) -> None:
    stream_of(database, b"warm").append((1, 0), b"a", b"b")
    database.delete(b"warm")
    before = keyspace.used_bytes
    stream = stream_of(database, b"s", block_entries=3)
    assert (stream.exists, list(stream), len(stream), stream.figures()) == (False, [], 0, {})
    for number in range(300):
        stream.append((number + 1, 0), b"a", b"%d" % number)
    stream.add_group(b"g", (5, 0))
    stream.add_consumer(b"g", b"c")
    stream.give(b"g", b"c", (3, 0))
    assert database.type_name(b"s") == database.encoding(b"s") == "stream"
    database.copy_to(database, b"s", b"copy")
    copy = stream_of(database, b"copy")
    copy.check()
    assert list(copy) == list(stream)
    assert copy.pending(b"g") == stream.pending(b"g") == [((3, 0), b"c", 0, 1)]
    stream.trim(length=0)
    assert stream.exists
    assert len(copy) == 300
    for key in (b"s", b"copy"):
        database.delete(key)
    while keyspace.free_garbage(64):
        pass
    assert keyspace.used_bytes == before


def test_another_type_is_refused(database: DatabaseHandle) -> None:
    database.set(b"text", b"x")
    with pytest.raises(CommandError, match="WRONGTYPE"):
        len(stream_of(database, b"text"))
    with pytest.raises(CommandError, match="WRONGTYPE"):
        stream_of(database, b"text").append((1, 0), b"a", b"b")
    with pytest.raises(KeyError):
        stream_of(database, b"absent").pending(b"g")
