"""The handle on a list under a key: nothing kept between calls, and the key's fate tied to the list's."""

import pytest

from ranvier.engine.store.handles import DatabaseHandle, StandaloneKeyspace
from ranvier.engine.types.list_handle import ListHandle, list_of
from ranvier.errors import CommandError


@pytest.fixture
def keyspace() -> StandaloneKeyspace:
    return StandaloneKeyspace()


@pytest.fixture
def database(keyspace: StandaloneKeyspace) -> DatabaseHandle:
    return keyspace.database()


def test_the_first_element_makes_the_key_and_the_last_takes_it(database: DatabaseHandle) -> None:
    handle = list_of(database, b"list")
    assert (len(handle), handle.pop(), handle.range(), handle.encoding) == (0, None, [], None)
    assert not database.exists(b"list")
    handle.push(b"a")
    handle.push(b"b", at_head=True)
    assert database.type_name(b"list") == "list"
    assert list(list_of(database, b"list")) == [b"b", b"a"]
    assert (handle.pop(), handle.pop()) == (b"a", b"b")
    assert not database.exists(b"list")


def test_another_type_is_refused(database: DatabaseHandle) -> None:
    database.set(b"text", b"x")
    for use in (len, list, ListHandle.pop, ListHandle.settle):
        with pytest.raises(CommandError, match="WRONGTYPE"):
            use(list_of(database, b"text"))
    with pytest.raises(CommandError, match="WRONGTYPE"):
        list_of(database, b"text").push(b"a")
    assert database.get(b"text") == b"x"


def test_changes_between_calls_are_seen(database: DatabaseHandle) -> None:
    handle, other = list_of(database, b"list"), list_of(database, b"list")
    for number in range(3000):
        (handle if number % 2 else other).push(b"element:%d" % number)
    handle.check()
    assert list(other) == [b"element:%d" % number for number in range(3000)]
    assert other.encoding == database.encoding(b"list") == "quicklist"
    database.delete(b"list")
    assert len(handle) == 0
    handle.push(b"again")
    assert list(other) == [b"again"]
    with pytest.raises(IndexError):
        handle[1]


def test_the_expiry_stays(database: DatabaseHandle, keyspace: StandaloneKeyspace) -> None:
    handle = list_of(database, b"list")
    handle.push(b"a")
    database.set_expiry_ms(b"list", keyspace.wall_ms + 1000)
    handle.push(b"x" * 10_000)
    handle[0] = b"b"
    assert database.expiry_ms(b"list") == keyspace.wall_ms + 1000
    keyspace.wall_ms += 1001
    assert len(handle) == 0


def test_memory_comes_back(database: DatabaseHandle, keyspace: StandaloneKeyspace) -> None:
    list_of(database, b"warm").push(b"up")
    list_of(database, b"warm").pop()
    before = keyspace.used_bytes
    source = list_of(database, b"list")
    for number in range(200):
        source.push(b"x" * (100 if number % 20 else 50_000))
    database.copy_to(database, b"list", b"copy")
    copy = list_of(database, b"copy")
    copy[0] = b"changed"
    assert source[0] == b"x" * 50_000
    source.delete_range(0, 150)
    assert len(source.copy()) == 50
    assert len(copy) == 200
    database.delete(b"list")
    database.delete(b"copy")
    while keyspace.free_garbage(64):
        pass
    assert keyspace.used_bytes == before
