"""Keys, values and their expiry: one database against a model, and the promises about work and memory."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ranvier.engine.store.handles import DatabaseHandle, StandaloneKeyspace

# One value of every representation, at the edges where it changes.
VALUES = [
    b"",
    b"x",
    b"0",
    b"-1",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"9223372036854775808",
    b"007",
    b"-0",
    b"+1",
    b" 1",
    b"x" * 16,
    b"x" * 100,
    b"x" * 4096,
    b"y" * 4097,
    b"z" * 70000,
]
KEYS = [b"", b"k", b"key:000000000001", b"K" * 255, b"K" * 256, b"K" * 5000]


class Store:
    """A keyspace with its first two databases and the memory that it held when empty."""

    def __init__(self) -> None:
        self.keyspace = StandaloneKeyspace()
        self.keyspace.wall_ms = 1_000_000
        self.start_bytes = self.keyspace.used_bytes
        self.database = self.keyspace.database(0)
        self.other = self.keyspace.database(1)

    @property
    def held_bytes(self) -> int:
        return self.keyspace.used_bytes - self.start_bytes

    def empty(self) -> None:
        self.database.flush()
        self.other.flush()
        while self.keyspace.free_garbage(1000):
            pass
        assert self.held_bytes == 0
        assert self.keyspace.garbage_count == 0


@pytest.fixture
def store() -> Store:
    return Store()


def all_keys(database: DatabaseHandle) -> list[bytes]:
    found = []
    cursor = 0
    while True:
        cursor, keys = database.scan(cursor, 100, None, False)
        found += keys
        if cursor == 0:
            return found


# --- against a model ---


class DatabaseAgainstModel(RuleBasedStateMachine):
    """Two databases under everything that moves, replaces or expires entries."""

    keys = st.sampled_from(KEYS + [b"a%d" % i for i in range(30)])
    values = st.sampled_from(VALUES) | st.binary(max_size=60)
    indexes = st.integers(0, 1)

    def __init__(self) -> None:
        super().__init__()
        self.store = Store()
        self.handles = (self.store.database, self.store.other)
        self.model: list[dict[bytes, tuple[bytes, int]]] = [{}, {}]

    def living(self, index: int) -> dict[bytes, tuple[bytes, int]]:
        now = self.store.keyspace.wall_ms
        return {key: (value, at) for key, (value, at) in self.model[index].items() if at < 0 or at >= now}

    @rule(index=indexes, key=keys, value=values, keep=st.booleans())
    def set(self, index: int, key: bytes, value: bytes, keep: bool) -> None:
        expiry = self.living(index).get(key, (b"", -1))[1] if keep else -1
        self.handles[index].set(key, value, keep)
        self.model[index][key] = (value, expiry)

    @rule(index=indexes, key=keys, tail=values)
    def append(self, index: int, key: bytes, tail: bytes) -> None:
        held = self.living(index).get(key)
        if held is None:
            with pytest.raises(KeyError):
                self.handles[index].append(key, tail)
        else:
            assert self.handles[index].append(key, tail) == len(held[0]) + len(tail)
            self.model[index][key] = (held[0] + tail, held[1])

    @rule(index=indexes, key=keys, after=st.none() | st.sampled_from([0, 1, 10, 50]))
    def expire(self, index: int, key: bytes, after: int | None) -> None:
        held = self.living(index).get(key)
        at_ms = None if after is None else self.store.keyspace.wall_ms + after
        assert self.handles[index].set_expiry_ms(key, at_ms) is (held is not None)
        if held is not None:
            self.model[index][key] = (held[0], -1 if at_ms is None else at_ms)

    @rule(index=indexes, key=keys, lazily=st.booleans())
    def delete(self, index: int, key: bytes, lazily: bool) -> None:
        assert self.handles[index].delete(key, lazily) is (key in self.living(index))
        self.model[index].pop(key, None)

    @rule(index=indexes, key=keys, other=keys)
    def rename(self, index: int, key: bytes, other: bytes) -> None:
        held = self.living(index).get(key)
        assert self.handles[index].rename(key, other) is (held is not None)
        if held is not None:
            del self.model[index][key]
            self.model[index][other] = held

    @rule(index=indexes, to=indexes, key=keys, other=keys)
    def copy(self, index: int, to: int, key: bytes, other: bytes) -> None:
        held = self.living(index).get(key)
        assert self.handles[index].copy_to(self.handles[to], key, other) is (held is not None)
        if held is not None:
            self.model[to][other] = held

    @rule(index=indexes, key=keys)
    def move(self, index: int, key: bytes) -> None:
        movable = key in self.living(index) and key not in self.living(1 - index)
        assert self.handles[index].move_to(self.handles[1 - index], key) is movable
        if movable:
            self.model[1 - index][key] = self.model[index].pop(key)

    @rule(by_ms=st.sampled_from([1, 5, 20, 100]))
    def wait(self, by_ms: int) -> None:
        self.store.keyspace.wall_ms += by_ms

    @rule(index=indexes, buckets=st.integers(1, 50))
    def expire_slice(self, index: int, buckets: int) -> None:
        self.handles[index].expire_slice(buckets)

    @rule()
    def swap(self) -> None:
        self.handles[0].swap_with(self.handles[1])
        self.model.reverse()

    @rule(budget=st.integers(1, 20))
    def free_garbage(self, budget: int) -> None:
        assert self.store.keyspace.free_garbage(budget) <= budget

    @rule(index=indexes)
    def flush(self, index: int) -> None:
        self.handles[index].flush()
        self.model[index].clear()

    @invariant()
    def same_as_model(self) -> None:
        for index, handle in enumerate(self.handles):
            living = self.living(index)
            assert sorted(all_keys(handle)) == sorted(living)
            assert handle.volatile_count >= sum(at >= 0 for _, at in living.values())
            for key, (value, at) in living.items():
                assert handle.get(key) == value
                assert handle.expiry_ms(key) == at

    def teardown(self) -> None:
        self.store.empty()


TestDatabaseAgainstModel = DatabaseAgainstModel.TestCase
TestDatabaseAgainstModel.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize("key", KEYS, ids=len)
@pytest.mark.parametrize("keep_expiry", [False, True])
def test_every_value_replaces_every_other(store: Store, key: bytes, keep_expiry: bool) -> None:
    for before in VALUES:
        for after in VALUES:
            for expiry in (None, 2_000_000):
                store.database.set(key, before)
                store.database.set_expiry_ms(key, expiry)
                store.database.set(key, after, keep_expiry)
                assert store.database.get(key) == after
                assert store.database.expiry_ms(key) == (expiry if expiry and keep_expiry else -1)
                assert store.database.volatile_count == int(bool(expiry and keep_expiry))
    store.empty()


# --- strings ---


@pytest.mark.parametrize(
    ("value", "encoding"),
    [
        (b"12", "int"),
        (b"-9223372036854775808", "int"),
        (b"9223372036854775808", "embstr"),
        (b"012", "embstr"),
        (b"-0", "embstr"),
        (b"", "embstr"),
        (b"v" * 97, "embstr"),
        (b"v" * 98, "raw"),
        (b"v" * 5000, "raw"),
    ],
)
def test_encoding_as_valkey_names_it(store: Store, value: bytes, encoding: str) -> None:
    store.database.set(b"k" * 16, value)
    assert store.database.encoding(b"k" * 16) == encoding


@pytest.mark.parametrize(("key_length", "longest"), [(1, 112), (31, 82), (32, 79), (60, 51), (110, 1)])
def test_longest_embedded_string_depends_on_the_key(store: Store, key_length: int, longest: int) -> None:
    """The figures were read from Valkey 9.1.2."""
    key = b"k" * key_length
    store.database.set(key, b"v" * longest)
    assert store.database.encoding(key) == "embstr"
    store.database.set(key, b"v" * (longest + 1))
    assert store.database.encoding(key) == "raw"


def test_a_string_that_was_changed_in_place_is_raw(store: Store) -> None:
    store.database.set(b"k", b"12")
    assert store.database.append(b"k", b"3") == 3
    assert (store.database.encoding(b"k"), store.database.get(b"k")) == ("raw", b"123")
    store.database.set(b"k", b"123")
    assert store.database.encoding(b"k") == "int"


def test_appending_often_copies_seldom(store: Store) -> None:
    store.database.set(b"k", b"")
    sizes = set()
    for _ in range(20_000):
        store.database.append(b"k", b"x")
        sizes.add(store.keyspace.used_bytes)
    assert len(sizes) < 30
    assert store.database.get(b"k") == b"x" * 20_000


def test_a_copy_of_a_large_string_is_independent(store: Store) -> None:
    store.database.set(b"a", b"x" * 10_000)
    shared = store.held_bytes
    assert store.database.copy_to(store.other, b"a", b"b")
    assert store.held_bytes < shared + 1000
    store.other.append(b"b", b"!")
    assert store.database.get(b"a") == b"x" * 10_000
    assert store.other.get(b"b") == b"x" * 10_000 + b"!"


def test_overwriting_reuses_memory_but_does_not_waste_it(store: Store) -> None:
    store.database.set(b"k", b"x" * 1000)
    held = store.held_bytes
    store.database.set(b"k", b"y" * 990)
    assert store.held_bytes == held
    store.database.set(b"k", b"y" * 100)
    assert store.held_bytes < held - 800


def test_memory_usage(store: Store) -> None:
    assert store.database.memory_usage(b"k") is None
    store.database.set(b"k", b"x" * 10_000)
    usage = store.database.memory_usage(b"k")
    assert usage is not None and 10_000 < usage < 10_200
    store.database.set(b"k", b"1")
    usage = store.database.memory_usage(b"k")
    assert usage is not None and 25 <= usage <= 48  # 17 bytes of entry as the allocator serves them, and a slot


def test_absent_keys(store: Store) -> None:
    database = store.database
    assert database.get(b"k") is None
    assert database.type_name(b"k") is None
    assert database.encoding(b"k") is None
    assert database.expiry_ms(b"k") is None
    assert database.idle_seconds(b"k") is None
    assert database.frequency(b"k") is None
    assert not database.set_expiry_ms(b"k", 5)
    assert not database.rename(b"k", b"k")
    assert not database.copy_to(store.other, b"k", b"k")
    assert not database.move_to(store.other, b"k")
    database.set(b"k", b"")
    assert database.type_name(b"k") == "string"


def test_hits_and_misses(store: Store) -> None:
    store.database.set(b"k", b"1")
    for key in (b"k", b"absent", b"k"):
        store.database.get(key)
    store.database.touch(b"k")
    store.database.look_up(b"absent")
    store.database.exists(b"k")
    store.database.exists(b"absent")
    assert (store.keyspace.hits, store.keyspace.misses) == (3, 2)


# --- expiry ---


def test_a_key_lives_through_its_last_millisecond(store: Store) -> None:
    store.database.set(b"k", b"v")
    store.database.set_expiry_ms(b"k", 1_000_100)
    store.keyspace.wall_ms = 1_000_100
    assert store.database.get(b"k") == b"v"
    assert store.keyspace.expired_keys == []
    store.keyspace.wall_ms = 1_000_101
    assert len(store.database) == 1
    assert store.database.get(b"k") is None
    assert len(store.database) == 0
    assert store.keyspace.expired_keys == [(0, b"k")]
    assert (store.keyspace.expired, store.keyspace.misses) == (1, 1)


def test_setting_over_an_expired_key_expires_it_first(store: Store) -> None:
    store.database.set(b"k", b"old")
    store.database.set_expiry_ms(b"k", 1_000_000)
    store.keyspace.wall_ms += 1
    store.database.set(b"k", b"new", True)
    assert store.keyspace.expired_keys == [(0, b"k")]
    assert (store.database.get(b"k"), store.database.expiry_ms(b"k")) == (b"new", -1)


def test_a_replica_hides_expired_keys_and_keeps_them(store: Store) -> None:
    store.keyspace.configure(expires_are_deletes=False)
    store.database.set(b"k", b"v")
    store.database.set_expiry_ms(b"k", 1_000_000)
    store.keyspace.wall_ms += 1
    assert store.database.get(b"k") is None
    assert store.database.scan(0) == (0, [])
    assert store.database.random_key() is None
    assert store.database.expire_slice(100) == (0, 1)
    assert len(store.database) == 1
    assert store.keyspace.expired_keys == []
    store.database.set(b"k", b"again")
    assert (len(store.database), store.database.get(b"k")) == (1, b"again")
    store.empty()


def test_scan_removes_expired_keys(store: Store) -> None:
    for i in range(100):
        store.database.set(b"%d" % i, b"v")
        store.database.set_expiry_ms(b"%d" % i, 1_000_000 + i)
    store.keyspace.wall_ms = 1_000_050
    assert len(all_keys(store.database)) == 50
    assert len(store.database) == 100
    cursor = -1
    while cursor:
        cursor, _ = store.database.scan(max(cursor, 0))
    assert len(store.database) == 50


def test_random_key_never_returns_an_expired_one(store: Store) -> None:
    for i in range(50):
        store.database.set(b"%d" % i, b"v")
        if i:
            store.database.set_expiry_ms(b"%d" % i, 1_000_000)
    store.keyspace.wall_ms += 1
    assert {store.database.random_key() for _ in range(60)} == {b"0"}


def expire_at_one_instant(store: Store, count: int) -> None:
    """Assert the work of every step of the active cycle when all keys expire together."""
    database = store.database
    for i in range(count):
        database.set(b"%d" % i, b"v")
        database.set_expiry_ms(b"%d" % i, 1_000_000)
    assert database.volatile_count == count
    store.keyspace.wall_ms += 1
    moved = database.moved_total
    slices = 0
    while len(database):
        expired, seen = database.expire_slice(16)
        assert expired <= 16 * 64
        assert expired <= seen
        assert database.moved_total - moved <= 4 * expired
        moved = database.moved_total
        slices += 1
    assert slices >= count / (16 * 64)
    assert store.keyspace.expired == len(store.keyspace.expired_keys) == count
    assert store.held_bytes < 500


def test_the_active_cycle_is_bounded_when_all_expires_at_once(store: Store) -> None:
    expire_at_one_instant(store, 20_000)


@pytest.mark.slow
def test_the_active_cycle_is_bounded_when_a_million_keys_expire_at_once(store: Store) -> None:
    expire_at_one_instant(store, 1_000_000)


def test_the_active_cycle_reaches_every_key_and_estimates_the_time_to_live(store: Store) -> None:
    for i in range(3000):
        store.database.set(b"%d" % i, b"v")
        store.database.set_expiry_ms(b"%d" % i, 1_000_000 if i % 3 == 0 else 1_060_001)
    store.keyspace.wall_ms += 1
    expired = sum(store.database.expire_slice(10)[0] for _ in range(400))
    assert expired == 1000
    assert len(store.database) == 2000
    assert store.database.average_ttl_ms == 60_000


def test_expiry_before_1970_is_refused(store: Store) -> None:
    store.database.set(b"k", b"v")
    with pytest.raises(ValueError, match="before 1970"):
        store.database.set_expiry_ms(b"k", -1)


# --- freeing ---


def test_a_flushed_database_is_freed_in_slices(store: Store) -> None:
    for i in range(10_000):
        store.database.set(b"key:%d" % i, b"v" * 50)
        if i % 2:
            store.database.set_expiry_ms(b"key:%d" % i, 2_000_000)
    moved = store.database.moved_total
    store.database.flush()
    assert (len(store.database), store.database.volatile_count) == (0, 0)
    assert store.keyspace.freed_total == 0
    assert store.keyspace.garbage_count == 15_000
    store.database.set(b"key:1", b"new")                  # the database is in use again at once
    before = store.held_bytes
    while (freed := store.keyspace.free_garbage(256)) != 0:
        assert freed <= 256
        assert before - store.held_bytes < 256 * 120 + 2 * 65_600          # entries, and a segment of each table
        before = store.held_bytes
    assert store.keyspace.freed_total == 15_000
    assert store.database.moved_total == 0 < moved
    assert store.database.get(b"key:1") == b"new"
    store.empty()


def test_flushing_a_small_database_frees_it_at_once(store: Store) -> None:
    for i in range(30):
        store.database.set(b"%d" % i, b"v")
    store.database.flush()
    assert store.held_bytes == 0


@pytest.mark.parametrize("way", ["delete", "overwrite", "expire", "rename over"])
def test_a_huge_string_is_freed_in_slices(store: Store, way: str) -> None:
    size = 20_000_000
    store.database.set(b"small", b"v")
    store.database.set(b"k", b"x" * size)
    if way == "delete":
        store.database.delete(b"k")
    elif way == "overwrite":
        store.database.set(b"k", b"1")
    elif way == "expire":
        store.database.set_expiry_ms(b"k", 1)
        assert store.database.get(b"k") is None
    else:
        store.database.rename(b"small", b"k")
    assert store.keyspace.garbage_count == 1
    assert store.held_bytes > size
    before = store.held_bytes
    slices = 0
    while store.keyspace.free_garbage(100):
        assert before - store.held_bytes < 2 * 100 * 16384
        before = store.held_bytes
        slices += 1
    assert slices > 10
    assert store.held_bytes < 1000
    assert store.keyspace.garbage_count == 0


def test_deleting_at_once_frees_at_once(store: Store) -> None:
    store.database.set(b"k", b"x" * 20_000_000)
    store.database.delete(b"k", False)
    assert store.keyspace.garbage_count == 0
    assert store.held_bytes < 1000


def test_a_huge_string_in_a_flushed_database_is_freed_in_slices(store: Store) -> None:
    for i in range(100):
        store.database.set(b"%d" % i, b"v")
    store.database.set(b"k", b"x" * 20_000_000)
    store.database.flush()
    before = store.held_bytes
    while store.keyspace.free_garbage(100):
        assert before - store.held_bytes < 2 * 100 * 16384
        before = store.held_bytes
    assert store.held_bytes == 0


# --- access clock ---


def test_idle_time(store: Store) -> None:
    store.keyspace.lru_clock = 1000
    store.database.set(b"k", b"v")
    store.keyspace.lru_clock = 1100
    assert store.database.idle_seconds(b"k") == 100
    store.database.look_up(b"k")
    store.database.type_name(b"k")
    assert store.database.idle_seconds(b"k") == 100
    store.database.get(b"k")
    assert store.database.idle_seconds(b"k") == 0


def test_idle_time_across_the_clocks_end(store: Store) -> None:
    store.keyspace.lru_clock = 0xFFFFF0
    store.database.set(b"k", b"v")
    store.keyspace.lru_clock = 0x1000010
    assert store.database.idle_seconds(b"k") == 0x20


def test_clients_that_do_not_touch(store: Store) -> None:
    store.keyspace.lru_clock = 1000
    store.database.set(b"k", b"v")
    store.keyspace.lru_clock = 1100
    store.keyspace.configure(no_touch=True)
    store.database.get(b"k")
    assert store.database.idle_seconds(b"k") == 100
    assert store.keyspace.hits == 1


def test_access_clock_begins_anew_under_a_new_name(store: Store) -> None:
    store.keyspace.lru_clock = 1000
    store.database.set(b"k", b"v")
    store.keyspace.lru_clock = 1100
    store.database.set_expiry_ms(b"k", 2_000_000)
    store.database.rename(b"k", b"a longer name")
    store.database.move_to(store.other, b"a longer name")
    assert store.other.idle_seconds(b"a longer name") == 0


def test_frequency_starts_at_five_and_counts_every_access_with_factor_zero(store: Store) -> None:
    store.keyspace.configure(lfu=True, lfu_log_factor=0)
    store.database.set(b"k", b"v")
    assert store.database.frequency(b"k") == 5
    for _ in range(20):
        store.database.get(b"k")
    assert store.database.frequency(b"k") == 25
    for _ in range(300):
        store.database.get(b"k")
    assert store.database.frequency(b"k") == 255


@pytest.mark.parametrize(("factor", "hits", "low", "high"), [(1, 1000, 35, 65), (10, 1000, 14, 24), (100, 1000, 7, 13)])
def test_frequency_is_logarithmic(store: Store, factor: int, hits: int, low: int, high: int) -> None:
    """Redis documents 49, 18 and 11 after 1000 hits; the bounds are around these, for a fixed seed."""
    store.keyspace.configure(lfu=True, lfu_log_factor=factor)
    store.database.set(b"k", b"v")
    for _ in range(hits):
        store.database.get(b"k")
    frequency = store.database.frequency(b"k")
    assert frequency is not None and low <= frequency <= high


def test_frequency_decays_by_minutes(store: Store) -> None:
    store.keyspace.configure(lfu=True, lfu_log_factor=0, lfu_decay_minutes=2)
    store.database.set(b"k", b"v")
    for _ in range(15):
        store.database.get(b"k")
    store.keyspace.wall_ms += 6 * 60_000
    assert store.database.frequency(b"k") == 17
    store.keyspace.wall_ms += 200 * 60_000
    assert store.database.frequency(b"k") == 0
    store.keyspace.configure(lfu_decay_minutes=0)
    assert store.database.frequency(b"k") == 20


def test_overwriting_keeps_the_frequency(store: Store) -> None:
    store.keyspace.configure(lfu=True, lfu_log_factor=0)
    store.database.set(b"k", b"v")
    for _ in range(10):
        store.database.get(b"k")
    store.database.set(b"k", b"w" * 1000)
    assert store.database.frequency(b"k") == 16
