"""The hash table, seen through a database: against a dict, under scans, in its work per operation and its memory."""

import math
import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ranvier.engine.store.handles import DatabaseHandle, StandaloneKeyspace

MASK = 2**64 - 1


def sip_hash(key: bytes, text: bytes, block_rounds: int, final_rounds: int) -> int:
    """SipHash-c-d as the paper writes it."""

    def rounds(v: list[int], count: int) -> None:
        def mix(a: int, b: int, bits: int) -> None:
            v[a] = (v[a] + v[b]) & MASK
            v[b] = ((v[b] << bits | v[b] >> (64 - bits)) & MASK) ^ v[a]

        for _ in range(count):
            mix(0, 1, 13)
            mix(2, 3, 16)
            v[0] = (v[0] << 32 | v[0] >> 32) & MASK
            mix(2, 1, 17)
            mix(0, 3, 21)
            v[2] = (v[2] << 32 | v[2] >> 32) & MASK

    k0, k1 = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")
    names = (b"somepseu", b"dorandom", b"lygenera", b"tedbytes")
    v = [int.from_bytes(name, "big") ^ k for name, k in zip(names, (k0, k1, k0, k1), strict=True)]
    whole = len(text) // 8 * 8
    tail = text[whole:].ljust(7, b"\0") + bytes([len(text) & 255])
    for i in range(0, whole + 8, 8):
        word = int.from_bytes((text[:whole] + tail)[i : i + 8], "little")
        v[3] ^= word
        rounds(v, block_rounds)
        v[0] ^= word
    v[2] ^= 255
    rounds(v, final_rounds)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def test_the_reference_gives_the_papers_example() -> None:
    assert sip_hash(bytes(range(16)), bytes(range(15)), 2, 4) == 0xA129CA6149BE45E5


@given(st.binary(max_size=70), st.binary(min_size=16, max_size=16))
@settings(max_examples=150, deadline=None)
def test_hash_is_siphash_1_3(text: bytes, key: bytes) -> None:
    keyspace = StandaloneKeyspace(*struct.unpack("<QQ", key))
    assert keyspace.hash(text) == sip_hash(key, text, 1, 3)


def all_keys(database: DatabaseHandle, count: int = 10) -> list[bytes]:
    """Every key that one undisturbed scan returns."""
    found = []
    cursor = 0
    while True:
        cursor, keys = database.scan(cursor, count)
        found += keys
        if cursor == 0:
            return found


# Integers of hypothesis are mostly small; growth and shrinkage need amounts of every size.
STARTS = st.sampled_from([0, 1, 40, 500, 1000, 3000])
COUNTS = st.sampled_from([1, 3, 8, 30, 100, 700, 2000, 4000])


class TableAgainstDict(RuleBasedStateMachine):
    """Any history of sets, deletes, growth and shrinkage leaves what a dict would hold."""

    def __init__(self) -> None:
        super().__init__()
        self.keyspace = StandaloneKeyspace(3, 4)
        self.start_bytes = self.keyspace.used_bytes
        self.database = self.keyspace.database()
        self.model: dict[bytes, bytes] = {}

    @rule(key=st.binary(max_size=300), value=st.binary(max_size=100))
    def set(self, key: bytes, value: bytes) -> None:
        self.database.set(key, value)
        self.model[key] = value

    @rule(start=STARTS, count=COUNTS)
    def fill(self, start: int, count: int) -> None:
        for i in range(start, start + count):
            key = b"k%d" % i
            self.database.set(key, b"v%d" % i)
            self.model[key] = b"v%d" % i

    @rule(start=STARTS, count=COUNTS)
    def drain(self, start: int, count: int) -> None:
        for i in range(start, start + count):
            key = b"k%d" % i
            assert self.database.delete(key) is (self.model.pop(key, None) is not None)

    @rule(data=st.data())
    def delete_present(self, data: st.DataObject) -> None:
        if self.model:
            key = data.draw(st.sampled_from(sorted(self.model)))
            assert self.database.delete(key)
            del self.model[key]
            assert self.database.get(key) is None

    @rule(key=st.binary(max_size=300))
    def get(self, key: bytes) -> None:
        assert self.database.get(key) == self.model.get(key)

    @rule()
    def compare(self) -> None:
        assert sorted(all_keys(self.database)) == sorted(self.model)
        assert all(self.database.get(key) == value for key, value in self.model.items())

    @rule()
    def flush(self) -> None:
        self.database.flush()
        while self.keyspace.free_garbage(100):
            pass
        self.model.clear()
        assert self.keyspace.used_bytes == self.start_bytes

    @invariant()
    def counted(self) -> None:
        assert len(self.database) == len(self.model)

    @invariant()
    def load_is_bounded(self) -> None:
        # Not more than 4.5 items per home bucket, and not fewer than 2 unless the table is one bucket.
        assert 2 * len(self.model) <= 9 * max(self.database.buckets, 1)
        assert self.database.buckets <= 1 or len(self.model) >= 2 * self.database.buckets


TestTableAgainstDict = TableAgainstDict.TestCase
TestTableAgainstDict.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize("seed", range(6))
def test_waves_of_growth_and_shrinkage(seed: int) -> None:
    """Buckets that were given back are used again, over and over, across the first segment's end."""
    numbers = random.Random(seed)
    database = StandaloneKeyspace(seed, seed).database()
    held = 0
    for _ in range(20):
        target = numbers.choice([0, 1, 5, 50, 900, 4000, 9000])
        for i in range(held, target):
            database.set(b"%d" % i, b"%d" % i)
        for i in range(target, held):
            assert database.delete(b"%d" % i)
        held = target
        assert sorted(all_keys(database)) == sorted(b"%d" % i for i in range(held))
        assert all(database.get(b"%d" % i) == b"%d" % i for i in range(held))
        assert not database.exists(b"%d" % held)


@given(
    seed=st.integers(1, 2**32),
    stable=st.integers(1, 400),
    churn=st.lists(st.tuples(st.booleans(), COUNTS), max_size=12),
)
@settings(max_examples=150, deadline=None)
def test_scan_sees_what_stays_while_the_table_grows_and_shrinks(
    seed: int, stable: int, churn: list[tuple[bool, int]]
) -> None:
    database = StandaloneKeyspace(seed, 5).database()
    stays = {b"stay%d" % i for i in range(stable)}
    for key in stays:
        database.set(key, b"1")
    seen: set[bytes] = set()
    others = 0
    cursor, step = 0, 0
    while True:
        cursor, keys = database.scan(cursor, 5)
        seen.update(keys)
        if cursor == 0:
            break
        if step < len(churn):
            grow, amount = churn[step]
            if grow:
                for i in range(others, others + amount):
                    database.set(b"other%d" % i, b"1")
                others += amount
            else:
                for i in range(max(0, others - amount), others):
                    database.delete(b"other%d" % i)
                others = max(0, others - amount)
        step += 1
    assert stays <= seen


def test_undisturbed_scan_returns_each_key_once() -> None:
    database = StandaloneKeyspace().database()
    for i in range(5000):
        database.set(b"%d" % i, b"")
        if i in (0, 1, 4, 5, 9, 10, 4607, 4608, 4609, 4999):
            assert sorted(all_keys(database)) == sorted(b"%d" % n for n in range(i + 1))


def test_scan_visits_no_more_than_its_effort_when_a_type_filter_finds_nothing() -> None:
    database = StandaloneKeyspace().database()
    for i in range(20000):
        database.set(b"%d" % i, b"")
    calls = 0
    cursor = -1
    while cursor:
        cursor, keys = database.scan(max(cursor, 0), 10, "list")
        assert keys == []
        calls += 1
    assert calls >= len(database) / 30          # about ten keys looked at per call, never the whole table


@pytest.mark.parametrize("count", [1, 2, 5, 300, 1100])
def test_random_key_is_uniform(count: int) -> None:
    database = StandaloneKeyspace(7, 8, random=99).database()
    for i in range(count):
        database.set(b"%d" % i, b"")
    draws = 40 * count + 1000
    hits = dict.fromkeys((b"%d" % i for i in range(count)), 0)
    for _ in range(draws):
        key = database.random_key()
        assert key is not None
        hits[key] += 1
    expected = draws / count
    chi_square = sum((n - expected) ** 2 / expected for n in hits.values())
    assert chi_square < count + 4 * math.sqrt(2 * count)          # four standard deviations, with a fixed seed


def test_random_key_reaches_every_key_of_a_crowded_bucket() -> None:
    """Deleting in the order of a scan leaves the rest in few buckets, whose chains are long."""
    database = StandaloneKeyspace(7, 8, random=99).database()
    for i in range(20_000):
        database.set(b"%d" % i, b"")
    cursor = 0
    while len(database) > 300:
        cursor, keys = database.scan(cursor)
        for key in keys[: len(database) - 300]:
            database.delete(key)
    assert database.chained_buckets > database.buckets / 10
    left = set(all_keys(database))
    assert len(left) == 300
    assert {database.random_key() for _ in range(20_000)} == left


def test_random_key_of_an_empty_database() -> None:
    assert StandaloneKeyspace().database().random_key() is None


def grow_and_shrink(count: int) -> None:
    """Assert the work of every single operation on the way up to `count` keys and down again."""
    keyspace = StandaloneKeyspace()
    start_bytes = keyspace.used_bytes
    database = keyspace.database()
    moved = 0
    for i in range(count):
        database.set(b"%d" % i, b"")
        now = database.moved_total
        assert now - moved <= 2
        moved = now
    assert database.buckets > count / 5
    for i in range(count):
        database.delete(b"%d" % i)
        now = database.moved_total
        assert now - moved <= 2
        moved = now
    assert database.buckets == 1
    assert keyspace.used_bytes - start_bytes < 200


def test_work_per_operation_is_bounded() -> None:
    grow_and_shrink(200_000)


@pytest.mark.slow
def test_work_per_operation_is_bounded_at_five_million_keys() -> None:
    grow_and_shrink(5_000_000)


def test_memory_per_key() -> None:
    """16-byte keys and values: 40 bytes of entry and about 16 of table, wherever between two powers of two."""
    keyspace = StandaloneKeyspace()
    start_bytes = keyspace.used_bytes
    database = keyspace.database()
    order = list(range(100_000))
    random.Random(1).shuffle(order)
    for count, i in enumerate(order, 1):
        database.set(b"key:%012d" % i, b"v" * 16)
        if count % 10_000 == 0:
            assert (keyspace.used_bytes - start_bytes) / count < (64 if count < 50_000 else 60)
            assert database.chained_buckets < 0.2 * database.buckets


def test_a_small_table_is_small() -> None:
    keyspace = StandaloneKeyspace()
    start_bytes = keyspace.used_bytes
    keyspace.database().set(b"key", b"value")
    assert keyspace.used_bytes - start_bytes <= 200
