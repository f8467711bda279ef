"""Sorted sets in RDB form: what comes back, and what is refused."""

import random
import struct
from collections.abc import Iterator

import pytest

from harness.memory import memory_server
from ranvier.engine.types import rdb_handle
from ranvier.engine.types.list_handle import listpack_encode
from ranvier.engine.types.sorted_set_handle import sorted_set_of
from ranvier.shells.memory import MemoryClient

INDEX, PACK = b"\x05", b"\x11"


@pytest.fixture
def client() -> Iterator[MemoryClient]:
    with memory_server() as server:
        client = MemoryClient(server)
        yield client
        client.close()


def load(client: MemoryClient, payload: bytes) -> list[tuple[bytes, float]] | None:
    """What a payload loads as; None when it is refused."""
    loaded = rdb_handle.load(client.handle, payload, 10)
    if loaded is None:
        return None
    loaded.put(client.handle.database, b"loaded")
    handle = sorted_set_of(client.handle.database, b"loaded")
    handle.check()
    return list(handle)


def string(data: bytes) -> bytes:
    return b"\x80" + struct.pack(">I", len(data)) + data


def number(value: float) -> bytes:
    return struct.pack("<d", value)


@pytest.mark.parametrize("members", [1, 128, 129, 5000])
def test_sorted_sets_come_back(client: MemoryClient, members: int) -> None:
    database = client.handle.database
    source = sorted_set_of(database, b"z")
    for index in range(members):
        source.add(b"m%d" % index, index / 7)
    source.add(b"m0", float("-inf"))
    saved = rdb_handle.save(database, b"z")
    assert saved is not None
    assert saved[1][:1] == (PACK if members <= 128 else INDEX)
    assert load(client, saved[1]) == list(source)


def test_a_loaded_index_has_its_encoding_from_the_thresholds(client: MemoryClient) -> None:
    assert load(client, INDEX + b"\x02\x01a" + number(2) + b"\x01b" + number(1)) == [(b"b", 1.0), (b"a", 2.0)]
    assert sorted_set_of(client.handle.database, b"loaded").encoding == "listpack"
    assert load(client, PACK + string(listpack_encode([b"a", b"1", b"m" * 65, b"2"]))) is not None
    assert sorted_set_of(client.handle.database, b"loaded").encoding == "skiplist"


@pytest.mark.parametrize("payload", [
    INDEX, INDEX + b"\x00", INDEX + b"\x01\x01a", INDEX + b"\x81" + b"\xff" * 8,
    INDEX + b"\x01\x01a" + number(float("nan")),
    INDEX + b"\x02\x01a" + number(1) + b"\x01a" + number(2), b"\x03\x01\x01a\xfd", b"\x03\x01\x01a\x03abc",
    PACK + string(listpack_encode([])), PACK + string(listpack_encode([b"a"])),
    PACK + string(listpack_encode([b"a", b"b"])),
    PACK + string(listpack_encode([b"a", b"1", b"a", b"2"])), PACK + string(listpack_encode([b"a", b"nan"])),
    PACK + string(listpack_encode([b"a", b"1"])[:-1]),
])  # fmt: skip
def test_hostile_payloads_are_refused(client: MemoryClient, payload: bytes) -> None:
    assert load(client, payload) is None


def test_damaged_payloads(client: MemoryClient) -> None:
    """Refused, or another sorted set in order."""
    database = client.handle.database
    for key, members in ((b"small", 20), (b"large", 200)):
        for index in range(members):
            sorted_set_of(database, key).add(b"member:%d" % index, index * 1.5)
    saved = [rdb_handle.save(database, key) for key in (b"small", b"large")]
    choose = random.Random(6)
    for _ in range(2000):
        found = choose.choice(saved)
        assert found is not None
        payload = bytearray(found[1])
        for _ in range(choose.choice((1, 2, 5))):
            payload[choose.randrange(1, len(payload))] = choose.randrange(256)
        load(client, bytes(payload))
