"""Values in RDB form: compression, strings and lists to bytes and back; hostile bytes are refused, no memory lost."""

import random
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.memory import drop_garbage, memory_server, used_bytes
from ranvier.engine.types import rdb_handle
from ranvier.engine.types.list_handle import list_of, listpack_encode
from ranvier.server.server import Server
from ranvier.shells.memory import MemoryClient

# ---- compression ----------------------------------------------------------------------------------------------------

@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=30), st.integers(0, 2**32))
def test_what_is_compressed_expands_to_itself(pieces: list[bytes], seed: int) -> None:
    choose = random.Random(seed)
    data = b"".join(choose.choice(pieces) for _ in range(200))
    packed = rdb_handle.compress(data)
    assert packed is None or (len(packed) <= len(data) and rdb_handle.expand(packed, len(data)) == data)


@pytest.mark.parametrize("data", [b"a" * 3, b"a" * 4, b"a" * 264, b"a" * 265, b"a" * 10_000, b"ab" * 5000,
                                  bytes(range(256)) * 33, b"x" * 8192 + b"0123456789" + b"x" * 8192 + b"0123456789"])
def test_runs_and_far_copies(data: bytes) -> None:
    packed = rdb_handle.compress(data)
    assert packed is None or rdb_handle.expand(packed, len(data)) == data
    if len(data) > 100:
        assert packed is not None and len(packed) < len(data)


def test_what_does_not_get_shorter_is_left() -> None:
    assert rdb_handle.compress(random.Random(1).randbytes(1000)) is None
    assert rdb_handle.compress(b"") is None


@given(st.binary(max_size=60), st.integers(0, 300))
def test_hostile_streams_are_refused(stream: bytes, length: int) -> None:
    expanded = rdb_handle.expand(stream, length)
    assert expanded is None or len(expanded) == length


@pytest.mark.parametrize("stream, length", [
    (b"\x00", 1), (b"\x05abc", 6), (b"\x00a\x20", 4), (b"\x00a\x20\x01", 4), (b"\x00a\xe0", 12), (b"\x00a\xe0\x00", 10),
    (b"\x00a", 2), (b"\x01ab", 1), (b"\x00a\x20\x00", 3), (b"\x20\x00", 3),
])
def test_broken_streams(stream: bytes, length: int) -> None:
    assert rdb_handle.expand(stream, length) is None


def test_overlapping_copies() -> None:
    assert rdb_handle.expand(b"\x00a\x20\x00", 4) == b"aaaa"
    assert rdb_handle.expand(b"\x01ab\xe0\x00\x01", 11) == b"ab" * 5 + b"a"


# ---- values ---------------------------------------------------------------------------------------------------------

STRINGS = [
    *(b"", b"a", b"0", b"-1", b"127", b"128", b"-128", b"-129", b"32767", b"32768", b"-32768", b"-32769", b"007"),
    *(b"2147483647", b"2147483648", b"-2147483648", b"-2147483649", b"9223372036854775807", b"-9223372036854775808"),
    *(b"x" * 63, bytes(64), b"0123456789" * 1638 + b"abc", b"y" * 70_000, random.Random(2).randbytes(20_000)),
]


@pytest.fixture
def server() -> Iterator[Server]:
    with memory_server() as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[MemoryClient]:
    client = MemoryClient(server)
    yield client
    client.close()


def reload(client: MemoryClient, source: bytes, target: bytes) -> bytes:
    """Save one key, load it into another; the payload."""
    database = client.handle.database
    saved = rdb_handle.save(database, source)
    assert saved is not None
    version, payload = saved
    assert version == 10
    loaded = rdb_handle.load(client.handle, payload, version)
    assert loaded is not None
    loaded.put(database, target)
    return payload


@pytest.mark.parametrize("value", STRINGS, ids=lambda value: repr(value[:20]))
def test_strings_come_back(client: MemoryClient, value: bytes) -> None:
    database = client.handle.database
    database.set(b"k", value)
    payload = reload(client, b"k", b"j")
    assert payload[0] == 0
    assert database.get(b"j") == value
    assert database.encoding(b"j") == database.encoding(b"k")


@pytest.mark.parametrize("value, payload", [
    (b"v", b"\0\x01v"), (b"5", b"\0\xc0\x05"), (b"-300", b"\0\xc1\xd4\xfe"), (b"65536", b"\0\xc2\0\0\1\0"),
    (b"2147483648", b"\0\x0a2147483648"), (b"a" * 20, b"\0\x14" + b"a" * 20), (b"01", b"\0\x0201"),
])
def test_strings_have_their_shortest_form(client: MemoryClient, value: bytes, payload: bytes) -> None:
    client.handle.database.set(b"k", value)
    assert rdb_handle.save(client.handle.database, b"k") == (10, payload)


def test_long_strings_are_compressed_when_asked(client: MemoryClient) -> None:
    database = client.handle.database
    database.set(b"k", b"a" * 21)
    packed, plain = rdb_handle.save(database, b"k", True), rdb_handle.save(database, b"k", False)
    assert packed is not None and plain is not None
    assert packed[1][:2] == b"\0\xc3" and len(packed[1]) < 12
    assert plain[1] == b"\0\x15" + b"a" * 21


@pytest.mark.parametrize("elements", [
    [b"a"], [b"1", b"-5", b"x" * 100], [b"%d" % number for number in range(3000)],
    [b"y" * 9000, b"a", b"z" * 9000], [b"q" * 9000],
])
def test_lists_come_back(client: MemoryClient, elements: list[bytes]) -> None:
    database = client.handle.database
    source = list_of(database, b"l")
    for element in elements:
        source.push(element)
    assert reload(client, b"l", b"m")[0] == 18
    target = list_of(database, b"m")
    target.check()
    assert (list(target), target.encoding) == (elements, source.encoding)


def load(client: MemoryClient, payload: bytes) -> list[bytes] | bytes | None:
    """What a payload loads as; None when it is refused."""
    database = client.handle.database
    loaded = rdb_handle.load(client.handle, payload, 10)
    if loaded is None:
        return None
    loaded.put(database, b"loaded")
    return list(list_of(database, b"loaded")) if database.type_name(b"loaded") == "list" else database.get(b"loaded")


def ziplist(*entries: bytes) -> bytes:
    """A ziplist of entries that are encoded but for the length of the one before."""
    body, last, previous = b"", 10, 0
    for entry in entries:
        last = 10 + len(body)
        whole = (bytes([previous]) if previous < 254 else b"\xfe" + struct.pack("<I", previous)) + entry
        body += whole
        previous = len(whole)
    return struct.pack("<IIH", 11 + len(body), last, len(entries)) + body + b"\xff"


def string(data: bytes) -> bytes:
    return b"\x80" + struct.pack(">I", len(data)) + data


ZIPLIST_ENTRIES = [
    (b"\x01a", b"a"), (b"\x00", b""), (b"\x41\x2c" + b"x" * 300, b"x" * 300),
    (b"\x80\x00\x00\x40\x00" + b"y" * 16384, b"y" * 16384), (b"\xf1", b"0"), (b"\xfd", b"12"), (b"\xfe\x80", b"-128"),
    (b"\xc0\x00\x80", b"-32768"), (b"\xf0\xff\xff\x7f", b"8388607"), (b"\xf0\x00\x00\x80", b"-8388608"),
    (b"\xd0\x00\x00\x00\x80", b"-2147483648"), (b"\xe0" + b"\0" * 7 + b"\x80", b"-9223372036854775808"),
    (b"\xe0" + b"\xff" * 7 + b"\x7f", b"9223372036854775807"), (b"\x01b", b"b"),
]


def test_ziplists(client: MemoryClient) -> None:
    block = ziplist(*(entry for entry, _ in ZIPLIST_ENTRIES))
    expected = [value for _, value in ZIPLIST_ENTRIES]
    assert load(client, b"\x0a" + string(block)) == expected
    assert load(client, b"\x0e\x02" + 2 * string(block)) == 2 * expected


@pytest.mark.parametrize("block", [
    b"", ziplist()[:-1], ziplist(b"\x01a")[:-1] + b"\0", ziplist(b"\x02a"), ziplist(b"\xc1"), ziplist(b"\xc0\0"),
    ziplist(b"\x01a", b"\xff"), ziplist(b"\x80\xff\xff\xff\xff"), ziplist(b"\x40"), ziplist(b"\x80\0\0"),
    struct.pack("<IIH", 14, 10, 2) + b"\0\x01a\xff", struct.pack("<IIH", 14, 11, 1) + b"\0\x01a\xff",
    struct.pack("<IIH", 14, 10, 1) + b"\1\x01a\xff", struct.pack("<IIH", 13, 10, 1) + b"\0\x01a\xff",
    struct.pack("<IIH", 12, 10, 1) + b"\xfe\xff", struct.pack("<IIH", 12, 10, 1) + b"\0\xff",
])
def test_broken_ziplists(client: MemoryClient, block: bytes) -> None:
    assert load(client, b"\x0a" + string(block)) is None


PACK = listpack_encode([b"a", b"b"])


@pytest.mark.parametrize("payload", [
    b"", b"\x00", b"\x00\x02a", b"\x00\xc4a", b"\x00\xc0", b"\x00\xc1\0", b"\x00\x82aaaa", b"\x00\x80\xff\xff\xff\xff",
    b"\x00\x81" + b"\xff" * 8, b"\x00\xc3", b"\x00\xc3\x02\x05\x00a", b"\x00\xc3\x02\x81" + b"\xff" * 8 + b"\x00a",
    b"\x00\xc3\x02\x80\x10\x00\x00\x00\x00a", b"\x01\x00", b"\x01\x02\x01a", b"\x01\x81" + b"\xff" * 8, b"\x12\x00",
    b"\x12\x01\x02" + string(PACK[:-1]), b"\x12\x01\x03" + string(PACK), b"\x12\x02\x02" + string(PACK),
    b"\x12\x01\x02" + string(listpack_encode([])), b"\x12\xc0\x01\x02" + string(PACK), b"\x07\x00", b"\xff",
    b"\x08\x00", b"\x06\x00", b"\xfe\x00", b"\x0e\x00", b"\x0a\x00",
])
def test_hostile_payloads_are_refused(client: MemoryClient, payload: bytes) -> None:
    assert load(client, payload) is None


def test_a_damaged_payload_is_refused_or_is_another_value(client: MemoryClient, server: Server) -> None:
    """Bits flipped, bytes cut off and put in, in payloads of every form; all memory comes back."""
    database = client.handle.database
    for element in [b"x" * 40, b"12", b"y" * 9000, *(b"%d" % number for number in range(2000))]:
        list_of(database, b"l").push(element)
    database.set(b"s", b"some text " * 40)
    payloads = [b"\x0a" + string(ziplist(*(entry for entry, _ in ZIPLIST_ENTRIES))), b"\x01\x02\x01a\xc0\x05"]
    for key in (b"l", b"s"):
        for compress in (True, False):
            saved = rdb_handle.save(database, key, compress)
            assert saved is not None
            payloads.append(saved[1])
    choose = random.Random(5)
    before = -1
    for number in range(4000):
        payload = bytearray(choose.choice(payloads))
        for _ in range(choose.choice((1, 1, 2, 5))):
            at = choose.randrange(min(len(payload), choose.choice((8, 40, 100_000))))
            if (kind := choose.randrange(4)) == 0:
                del payload[at:]
                break
            if kind == 1:
                payload.insert(at, choose.randrange(256))
            else:
                payload[at] ^= 1 << choose.randrange(8) if kind == 2 else choose.randrange(256)
        payload[:1] = bytes([choose.choice(payloads)[0]])
        load(client, bytes(payload))
        list_of(database, b"loaded").check() if database.type_name(b"loaded") == "list" else None
        database.delete(b"loaded")
        drop_garbage(server)
        if number == 0:
            before = used_bytes(server)
    assert abs(used_bytes(server) - before) < 4096


def test_a_value_that_is_not_put_anywhere_goes(client: MemoryClient, server: Server) -> None:
    payload = b"\x12\x01\x02" + string(PACK)
    before = used_bytes(server)
    for _ in range(1000):
        assert rdb_handle.load(client.handle, payload, 10) is not None
        assert rdb_handle.load(client.handle, b"\0" + b"\xc3\x05\x40\x40\x00a\xe0\xff\x00"[:3], 10) is None
    assert used_bytes(server) - before < 1024
