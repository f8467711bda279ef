"""Our blocks inside a live Valkey, and Valkey's inside ours: DUMP and RESTORE carry them (RDB type 18, version 10)."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
import valkey as valkey_client

from harness.process import ServerProcess
from ranvier.engine.types.list_handle import ListHandle, listpack_is_valid

QUICKLIST_2 = 18
PLAIN, PACKED = 1, 2
CRC64_POLYNOMIAL = 0x95AC9329AC4BC9B5  # CRC-64/Jones, reflected


@pytest.fixture
def reference(valkey: ServerProcess) -> Iterator[Any]:
    client: Any = valkey_client.Valkey(port=valkey.port, protocol=2)
    client.flushall()
    client.config_set("rdbcompression", "no")
    yield client
    client.config_set("list-max-listpack-size", "-2")
    client.config_set("rdbcompression", "yes")
    client.flushall()
    client.close()


def crc64(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (CRC64_POLYNOMIAL if crc & 1 else 0)
    return crc


def rdb_length(number: int) -> bytes:
    """RDB's length encoding: 6, 14 or 32 bits."""
    if number < 64:
        return bytes([number])
    if number < 16384:
        return bytes([0x40 | number >> 8, number & 255])
    return b"\x80" + number.to_bytes(4, "big")


def read_rdb_length(payload: bytes, place: int) -> tuple[int, int]:
    first = payload[place]
    if first < 64:
        return first, place + 1
    if first < 128:
        return (first & 63) << 8 | payload[place + 1], place + 2
    assert first == 0x80
    return int.from_bytes(payload[place + 1 : place + 5], "big"), place + 5


def dump(blocks: list[tuple[bool, bytes]]) -> bytes:
    """The DUMP payload of a list made of these nodes."""
    payload = bytes([QUICKLIST_2]) + rdb_length(len(blocks))
    for plain, block in blocks:
        payload += rdb_length(PLAIN if plain else PACKED) + rdb_length(len(block)) + block
    payload += (10).to_bytes(2, "little")
    return payload + crc64(payload).to_bytes(8, "little")


def undump(payload: bytes) -> list[tuple[bool, bytes]]:
    assert payload[0] == QUICKLIST_2
    nodes, place = read_rdb_length(payload, 1)
    blocks = []
    for _ in range(nodes):
        container, place = read_rdb_length(payload, place)
        size, place = read_rdb_length(payload, place)
        blocks.append((container == PLAIN, payload[place : place + size]))
        place += size
    assert place == len(payload) - 10
    return blocks


def element(source: random.Random) -> bytes:
    kind = source.randrange(4)
    if kind == 0:
        return b"%d" % source.randrange(-(2 ** source.randrange(1, 64)), 2 ** source.randrange(1, 64))
    if kind == 1:
        return source.choice([b"", b"-0", b"00", b"9223372036854775808", b"-9223372036854775808", b"1.5"])
    if kind == 2:
        return source.randbytes(source.choice([1, 16, 62, 63, 64, 124, 125, 126, 127, 128]))
    return b"v" * source.choice([4093, 4094, 4095, 4096, 4097, 8191, 8192, 8193, 16380, 16384, 20000])


@pytest.mark.parametrize("seed", range(8))
def test_valkey_restores_our_bytes(reference: Any, seed: int) -> None:
    source = random.Random(seed)
    values = [element(source) for _ in range(source.choice([1, 5, 60, 400]))]
    ours = ListHandle(values)
    reference.restore("key", 0, dump(ours.blocks()))
    assert reference.lrange("key", 0, -1) == values
    assert reference.object("encoding", "key").decode() == ours.encoding


@pytest.mark.parametrize("fill", [-2, -1, 5, 128])
@pytest.mark.parametrize("seed", range(4))
def test_the_same_pushes_make_the_same_nodes(reference: Any, seed: int, fill: int) -> None:
    source = random.Random(seed)
    reference.config_set("list-max-listpack-size", fill)
    ours = ListHandle(fill=fill)
    for _ in range(source.choice([3, 30, 300])):
        value, at_head = element(source), source.random() < 0.5
        ours.push(value, at_head)
        (reference.lpush if at_head else reference.rpush)("key", value)
    blocks = undump(reference.dump("key"))
    assert ours.blocks() == blocks
    assert all(plain or listpack_is_valid(block) for plain, block in blocks)
    loaded = ListHandle(fill=fill)
    for plain, block in blocks:
        loaded.append_block(plain, block)
    loaded.settle()
    loaded.check()
    assert list(loaded) == list(ours)
    assert loaded.encoding == ours.encoding == reference.object("encoding", "key").decode()


def step(source: random.Random, ours: ListHandle, reference: Any) -> None:
    """The same random change to both."""
    value, place = element(source), source.randrange(len(ours)) if len(ours) else 0
    match source.randrange(6) if len(ours) else 0:
        case 0:
            ours.push(value)
            reference.rpush("key", value)
        case 1:
            ours[place] = value
            reference.lset("key", place, value)
        case 2:
            pivot = ours[place]
            place = list(ours).index(pivot)
            after = source.random() < 0.5
            ours.insert(place, value, after)
            reference.linsert("key", "after" if after else "before", pivot, value)
        case 3:
            for _ in range(source.randrange(10)):
                assert ours.pop(True) == reference.lpop("key")
        case 4:
            value = ours[place]
            assert ours.remove(value, 2, False) == reference.lrem("key", -2, value)
        case 5:
            stop = min(len(ours), place + source.randrange(200))
            ours.delete_range(stop, len(ours))
            if stop:
                reference.ltrim("key", 0, stop - 1)
            else:
                reference.delete("key")


@pytest.mark.parametrize("fill", [-2, -1, 4])
@pytest.mark.parametrize("seed", range(4))
def test_the_encoding_changes_where_valkey_changes_it(reference: Any, seed: int, fill: int) -> None:
    source = random.Random(seed)
    reference.config_set("list-max-listpack-size", fill)
    ours = ListHandle(fill=fill)
    seen = set()
    for _ in range(250):
        step(source, ours, reference)
        ours.check()
        if len(ours):
            assert ours.encoding == reference.object("encoding", "key").decode()
            seen.add(ours.encoding)
            assert ours.blocks() == undump(reference.dump("key"))
    assert list(ours) == reference.lrange("key", 0, -1)
    assert seen == {"listpack", "quicklist"}
