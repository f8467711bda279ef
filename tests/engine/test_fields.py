"""The hash type itself: both encodings against a dictionary, conversions, expiry's index, freeing in slices."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ranvier.engine.store.handles import DatabaseHandle, StandaloneKeyspace
from ranvier.engine.types.hash_handle import HashHandle, hash_of
from ranvier.engine.types.list_handle import listpack_decode
from ranvier.errors import CommandError

NAMES = [b"", b"a", b"b", b"field", b"12", b"-7", b"007", b"n" * 63, b"n" * 64, b"n" * 300, b"n" * 5000, b"\x00\xff"]
VALUES = [b"", b"v", b"0", b"-1", b"9223372036854775807", b"v" * 64, b"v" * 4096, b"v" * 4097, b"v" * 70000]


@pytest.fixture
def database() -> DatabaseHandle:
    return StandaloneKeyspace().database()


def filled(count: int, **limits: int) -> HashHandle:
    return HashHandle(((b"field:%d" % number, b"%d" % number) for number in range(count)), **limits)


class HashModel(RuleBasedStateMachine):
    """A hash of its own beside a dictionary of values and expiries."""

    def __init__(self) -> None:
        super().__init__()
        self.hash = HashHandle(entries=6, value_bytes=64)
        self.model: dict[bytes, tuple[bytes, int]] = {}

    @rule(name=st.sampled_from(NAMES), value=st.sampled_from(VALUES), at_ms=st.sampled_from([-1, -1, -1, 5, 2**62]))
    def set(self, name: bytes, value: bytes, at_ms: int) -> None:
        assert self.hash.set(name, value, at_ms) == (name not in self.model)
        self.model[name] = (value, at_ms)

    @rule(name=st.sampled_from(NAMES), at_ms=st.sampled_from([-1, -1, 0, 7, 2**63 - 1]))
    def expire(self, name: bytes, at_ms: int) -> None:
        assert self.hash.set_expiry_ms(name, at_ms) == (name in self.model)
        if name in self.model:
            self.model[name] = (self.model[name][0], at_ms)

    @rule(name=st.sampled_from(NAMES))
    def remove(self, name: bytes) -> None:
        assert self.hash.remove(name) == (self.model.pop(name, None) is not None)

    @rule()
    def copy(self) -> None:
        copied = self.hash.copy()
        copied.check()
        assert (copied.items(), copied.encoding) == (self.hash.items(), self.hash.encoding)

    @rule(seed=st.integers(1, 2**63))
    def random(self, seed: int) -> None:
        found = self.hash.random(seed)
        assert found is None if not self.model else found is not None and self.model[found[0]][0] == found[1]

    @invariant()
    def agrees(self) -> None:
        self.hash.check()
        assert {name: (value, at_ms) for name, value, at_ms in self.hash.items()} == self.model
        for name in NAMES:
            value, at_ms = self.model.get(name, (None, None))
            assert (self.hash.get(name), self.hash.expiry_ms(name)) == (value, at_ms)
        assert self.model or self.hash.used_bytes == 0


TestHashModel = HashModel.TestCase
TestHashModel.settings = settings(max_examples=60, stateful_step_count=40, deadline=None, derandomize=True)


@pytest.mark.parametrize("count", [1, 5, 6, 7, 100, 511, 512, 513, 2000])
def test_the_number_of_fields_decides_the_encoding(count: int) -> None:
    handle = filled(count)
    handle.check()
    assert handle.encoding == ("listpack" if count <= 512 else "hashtable")
    for number in range(count):
        assert handle.get(b"field:%d" % number) == b"%d" % number
    for number in range(count - 1):
        assert handle.remove(b"field:%d" % number)
    assert handle.encoding == ("listpack" if count <= 512 else "hashtable"), "no way back"
    assert list(handle) == [b"field:%d" % (count - 1)]


@pytest.mark.parametrize(("name", "value", "encoding"), [
    (b"n" * 64, b"v" * 64, "listpack"), (b"n" * 65, b"", "hashtable"), (b"", b"v" * 65, "hashtable"),
])  # fmt: skip
def test_the_longest_string_decides_the_encoding(name: bytes, value: bytes, encoding: str) -> None:
    handle = HashHandle([(b"other", b"1"), (name, value)])
    assert (handle.encoding, handle.get(name)) == (encoding, value)


def test_a_field_that_expires_makes_a_table() -> None:
    handle = filled(3)
    assert handle.set_expiry_ms(b"field:1", -1) and handle.encoding == "listpack"
    assert handle.set_expiry_ms(b"field:1", 5) and handle.encoding == "hashtable"
    assert (handle.expiring, handle.expiry_ms(b"field:1"), handle.expiry_ms(b"field:2")) == (1, 5, -1)
    assert handle.set(b"field:1", b"x") is False and handle.expiring == 0


def test_a_small_hash_is_a_listpack_of_pairs() -> None:
    handle = HashHandle([(b"a", b"1"), (b"12", b"text")])
    block = handle.block()
    assert block is not None and listpack_decode(block) == [b"a", b"1", b"12", b"text"]


@pytest.mark.parametrize("count", [10, 5000])
def test_a_scan_meets_every_field_while_others_come_and_go(count: int) -> None:
    handle = filled(count)
    seen: set[bytes] = set()
    cursor, step = 0, 0
    while True:
        cursor, items = handle.scan(cursor, 20)
        seen |= {name for name, _, _ in items}
        if cursor == 0:
            break
        step += 1
        for number in range(20):
            handle.set(b"new:%d:%d" % (step, number), b"")
    assert seen >= {b"field:%d" % number for number in range(count)}


def test_random_fields_are_all_likely() -> None:
    for count in (8, 600):
        handle = filled(count)
        assert len({handle.random(seed * 2654435761 + 1) for seed in range(40 * count)}) == count


def test_freeing_goes_in_slices() -> None:
    handle = filled(3000)
    for number in range(1000):
        handle.set_expiry_ms(b"field:%d" % number, 5)
    slices = 1
    while not handle.clear_slice(100):
        slices += 1
    assert 40 <= slices <= 42
    assert handle.used_bytes == 0


def test_memory_usage_follows_what_is_held() -> None:
    for handle in (filled(100), filled(3000)):
        assert 0.9 < handle.memory_usage() / handle.used_bytes < 1.1
        assert 0.8 < handle.memory_usage(50) / handle.used_bytes < 1.2


def test_the_first_field_makes_the_key_and_the_last_takes_it(database: DatabaseHandle) -> None:
    handle = hash_of(database, b"hash")
    assert (len(handle), handle.get(b"a"), handle.encoding, handle.items()) == (0, None, None, [])
    assert handle.set(b"a", b"1") and database.type_name(b"hash") == "hash"
    assert b"a" in hash_of(database, b"hash")
    assert handle.remove(b"a") and not handle.remove(b"a")
    assert not database.exists(b"hash")


def test_another_type_is_refused(database: DatabaseHandle) -> None:
    database.set(b"text", b"x")
    with pytest.raises(CommandError, match="WRONGTYPE"):
        len(hash_of(database, b"text"))


def test_the_database_knows_which_hashes_have_fields_that_expire(database: DatabaseHandle) -> None:
    handle = hash_of(database, b"h" * 40)
    handle.set(b"a", b"1", at_ms=2**62)
    handle.set(b"b", b"1")
    assert database.volatile_hash_count == 1
    assert database.set_expiry_ms(b"h" * 40, 2**61), "moves the entry"
    assert database.rename(b"h" * 40, b"short") and database.volatile_hash_count == 1
    assert database.copy_to(database, b"short", b"copy") and database.volatile_hash_count == 2
    hash_of(database, b"copy").check()
    database.set(b"copy", b"text" * 100)
    assert database.volatile_hash_count == 1
    assert hash_of(database, b"short").set_expiry_ms(b"a", -1) and database.volatile_hash_count == 0
    assert hash_of(database, b"short").set_expiry_ms(b"a", 2**62) and database.volatile_hash_count == 1
    other = StandaloneKeyspace().database(0)
    assert other.volatile_hash_count == 0
    assert database.delete(b"short") and database.volatile_hash_count == 0


def test_flush_and_swap_take_the_index_along() -> None:
    keyspace = StandaloneKeyspace()
    one, other = keyspace.database(0), keyspace.database(1)
    hash_of(one, b"h").set(b"a", b"1", at_ms=2**62)
    one.swap_with(other)
    assert (one.volatile_hash_count, other.volatile_hash_count) == (0, 1)
    assert other.move_to(one, b"h")
    assert (one.volatile_hash_count, other.volatile_hash_count) == (1, 0)
    one.flush()
    assert one.volatile_hash_count == 0
