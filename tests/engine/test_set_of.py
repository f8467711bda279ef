"""The set's structure and the handle on a set under a key: against Python's set, at every threshold."""

import random
import struct

import pytest

from ranvier.engine.store.handles import DatabaseHandle, StandaloneKeyspace
from ranvier.engine.types.set_handle import SetHandle, intset_decode, intset_encode, intset_is_valid, set_of
from ranvier.errors import CommandError

KINDS = {
    "intset": [b"%d" % (11 * i) for i in range(200)],
    "listpack": [b"member:%d" % i for i in range(100)],
    "hashtable": [b"member:%d" % i for i in range(3000)],
}


@pytest.fixture
def keyspace() -> StandaloneKeyspace:
    return StandaloneKeyspace()


@pytest.fixture
def database(keyspace: StandaloneKeyspace) -> DatabaseHandle:
    return keyspace.database()


# ---- intsets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "code"), [(2, "h"), (4, "i"), (8, "q")])
def test_the_block_is_redis_own(width: int, code: str) -> None:
    widest = 2 ** (8 * width - 1)
    values = [-widest, -3, 0, 5, widest - 1]
    block = struct.pack(f"<II5{code}", width, 5, *values)
    assert intset_encode(random.Random(1).sample(values, 5)) == block
    assert intset_decode(block) == values


@pytest.mark.parametrize(
    "block",
    [
        b"", b"\x02\0\0\0", struct.pack("<II", 2, 0), struct.pack("<IIh", 3, 1, 5), struct.pack("<IIhh", 2, 1, 5, 6),
        struct.pack("<IIh", 2, 2, 5), struct.pack("<IIhh", 2, 2, 5, 5), struct.pack("<IIhh", 2, 2, 6, 5),
        struct.pack("<IIq", 8, 2**31 + 1, 5), struct.pack("<II", 8, 2**32 - 1), struct.pack("<IIb", 1, 1, 5),
    ],
)  # fmt: skip
def test_malformed_intsets_are_refused(block: bytes) -> None:
    assert not intset_is_valid(block)
    with pytest.raises(ValueError, match="not an intset"):
        intset_decode(block)


# ---- the structure ---------------------------------------------------------------------------------------------------


def any_member(choose: random.Random) -> bytes:
    kind = choose.random()
    if kind < 0.7:
        return b"%d" % choose.randrange(-40, 40)
    if kind < 0.8:
        return b"%d" % choose.choice((2**15, -(2**15) - 1, 2**31, -(2**31) - 1, 2**63 - 1, -(2**63), 2**63, 10**30))
    return choose.choice((b"", b"\x00", b"007", b"-0", b"+1", b"x" * 9, b"y" * 254, b"z" * 255, b"w" * 5000))


@pytest.mark.parametrize("seed", range(12))
def test_it_holds_what_pythons_set_holds(seed: int) -> None:
    choose = random.Random(seed)
    entries, pack, longest = choose.choice(((512, 128, 64), (8, 4, 9), (0, 8, 300), (30, 0, 0), (3, 30, 300)))
    handle, model = SetHandle((), entries, pack, longest), set[bytes]()
    for _ in range(2500):
        value = any_member(choose)
        if choose.random() < 0.6:
            assert handle.add(value) == (value not in model)
            model.add(value)
        else:
            assert handle.discard(value) == (value in model)
            model.discard(value)
        assert len(handle) == len(model)
        assert (value in handle) == (value in model)
    found = handle.members()
    assert sorted(found) == sorted(model)
    assert handle.copy().members() == found or handle.encoding == "hashtable"
    assert sorted(handle.copy()) == sorted(model)
    if model:
        assert handle.choose() in model
        assert set(handle.sample(5)) <= model
        assert handle.sample(10_000) == found
    for value in model:
        assert handle.discard(value)
    assert (handle.encoding, handle.used_bytes) == (None, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_memory_is_counted_and_comes_back(kind: str) -> None:
    values = KINDS[kind]
    handle = SetHandle(values)
    assert (handle.encoding, len(handle)) == (kind, len(values))
    assert handle.memory_usage() == pytest.approx(handle.used_bytes, rel=0.02)      # chained buckets are a little more
    assert handle.memory_usage(5) == pytest.approx(handle.used_bytes, rel=0.15)
    copy = handle.copy()
    assert copy.used_bytes <= handle.used_bytes * 1.1
    for value in values:
        handle.discard(value)
    assert handle.used_bytes == 0
    assert sorted(copy) == sorted(values)
    steps = 1
    while not copy.clear_slice(64):
        steps += 1
    assert steps == pytest.approx(len(values) / 64, abs=1) if kind == "hashtable" else steps == 1
    assert copy.used_bytes == 0


def test_a_member_of_a_large_set_takes_one_small_allocation() -> None:
    handle = SetHandle([b"%d" % (10**9 + i) for i in range(100_000)])
    # 24 for the member, 16 to 17 for its place: how many buckets overflow depends on the seed of the hash.
    assert handle.used_bytes / 100_000 < 24 + 18


def test_a_large_intset_takes_little_more_than_its_integers() -> None:
    handle = SetHandle([b"%d" % (10**9 + i) for i in range(5000)], intset_entries=10_000)
    assert handle.encoding == "intset"
    assert handle.used_bytes < 1.2 * 4 * 5000


# ---- under a key -----------------------------------------------------------------------------------------------------


def test_the_first_member_makes_the_key_and_the_last_takes_it(database: DatabaseHandle) -> None:
    handle = set_of(database, b"set")
    assert (len(handle), handle.choose(), handle.members(), handle.encoding) == (0, None, [], None)
    assert not database.exists(b"set")
    assert handle.add(b"b")
    assert not set_of(database, b"set").add(b"b")
    assert database.type_name(b"set") == "set"
    assert list(set_of(database, b"set")) == [b"b"]
    assert handle.discard(b"b")
    assert not handle.discard(b"b")
    assert not database.exists(b"set")


def test_another_type_is_refused(database: DatabaseHandle) -> None:
    database.set(b"text", b"x")
    for use in (len, list, SetHandle.choose, SetHandle.scan):
        with pytest.raises(CommandError, match="WRONGTYPE"):
            use(set_of(database, b"text"))
    with pytest.raises(CommandError, match="WRONGTYPE"):
        set_of(database, b"text").add(b"a")
    assert database.get(b"text") == b"x"


def test_the_expiry_stays(database: DatabaseHandle, keyspace: StandaloneKeyspace) -> None:
    handle = set_of(database, b"set")
    handle.add(b"1")
    database.set_expiry_ms(b"set", keyspace.wall_ms + 1000)
    for number in range(1000):
        handle.add(b"m%d" % number)
    assert database.expiry_ms(b"set") == keyspace.wall_ms + 1000
    assert (database.encoding(b"set"), len(handle)) == ("hashtable", 1001)


def test_a_walk_in_steps_finds_all(database: DatabaseHandle) -> None:
    handle = set_of(database, b"set")
    for value in KINDS["hashtable"]:
        handle.add(value)
    found: list[bytes] = []
    cursor, steps = 0, 0
    while steps == 0 or cursor:
        cursor, some = handle.scan(cursor)
        found += some
        steps += 1
    assert sorted(found) == sorted(KINDS["hashtable"])
    assert steps > 300


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lazily", [False, True])
def test_create_and_delete_leaves_nothing(keyspace: StandaloneKeyspace, kind: str, lazily: bool) -> None:
    database = keyspace.database()
    database.set(b"stays", b"x")
    before = None
    for _ in range(5):
        for key in (b"one", b"two"):
            for value in KINDS[kind]:
                set_of(database, key).add(value)
        database.copy_to(database, b"one", b"copy")
        database.rename(b"two", b"copy")
        for key in (b"one", b"copy"):
            assert sorted(set_of(database, key)) == sorted(KINDS[kind])
            database.delete(key, lazily)
        while keyspace.garbage_count:
            keyspace.free_garbage(100)
        before = before or keyspace.used_bytes
        assert keyspace.used_bytes == before


def test_deleting_a_large_set_is_bounded_work(keyspace: StandaloneKeyspace, database: DatabaseHandle) -> None:
    for value in KINDS["hashtable"]:
        set_of(database, b"set").add(value)
    database.delete(b"set", lazily=True)
    assert keyspace.garbage_count == 1
    steps = 0
    while keyspace.garbage_count:
        assert keyspace.free_garbage(100) <= 101
        steps += 1
    assert steps >= len(KINDS["hashtable"]) // 100
