"""Bitmap commands over a socket: against numbers in Python, at the limits, and in memory."""

import random
from collections.abc import Iterator

import pytest

from harness.process import ServerProcess
from harness.wire import Wire

NOT_OFFSET = b"-ERR bit offset is not an integer or out of range\r\n"
NOT_BIT = b"-ERR bit is not an integer or out of range\r\n"
NOT_INTEGER = b"-ERR value is not an integer or out of range\r\n"
SYNTAX = b"-ERR syntax error\r\n"
WRONG_TYPE = b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
NOT_FIELD = (
    b"-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.\r\n"
)
LAST_OFFSET = 2**32 - 1


@pytest.fixture
def wire(server: ServerProcess) -> Iterator[Wire]:
    with server.connect() as connection:
        connection.call("FLUSHALL")
        yield connection
        connection.call("FLUSHALL")


def ask(wire: Wire, line: str) -> bytes:
    return wire.call(*line.split(" ")).raw


def bits_of(data: bytes) -> str:
    return "".join(f"{byte:08b}" for byte in data)


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 15, 16, 17, 31, 64, 100, 4096, 4097, 5000])
def test_ranges_of_strings_of_any_length(wire: Wire, length: int) -> None:
    choose = random.Random(length)
    for data in (choose.randbytes(length), bytes(length), b"\xff" * length, bytes(length // 2) + b"\x80" * length):
        wire.call("SET", "k", data)
        text = bits_of(data)
        assert wire.call("BITCOUNT", "k").number == text.count("1")
        assert wire.call("BITPOS", "k", 1).number == text.find("1")
        assert wire.call("BITPOS", "k", 0).number == (text + "0").find("0") - (not data)
        for _ in range(30):
            first, last = sorted(choose.randrange(len(text) + 9) for _ in range(2))
            assert wire.call("BITCOUNT", "k", first, last, "BIT").number == text[first : last + 1].count("1")
            for bit in "01":
                expected = text.find(bit, first, last + 1)
                assert wire.call("BITPOS", "k", bit, first, last, "BIT").number == expected
            first, last = first // 8, last // 8
            assert wire.call("BITCOUNT", "k", first, last).number == text[first * 8 : last * 8 + 8].count("1")


def test_a_bit_is_the_number_that_was_set(wire: Wire) -> None:
    choose = random.Random(7)
    number = 0
    for _ in range(2000):
        place, bit = choose.randrange(900), choose.randrange(2)
        mask = 1 << (1023 - place)
        assert wire.call("SETBIT", "k", place, bit).number == bool(number & mask)
        number = number | mask if bit else number & ~mask
        assert wire.call("GETBIT", "k", place).number == bit
    data = wire.call("GET", "k").text
    assert data == number.to_bytes(128, "big")[: len(data)]


def test_growing_bit_by_bit_costs_no_more_than_the_string(wire: Wire) -> None:
    for place in range(0, 80_000, 8):
        wire.send(b"*4\r\n$6\r\nSETBIT\r\n$1\r\nk\r\n$%d\r\n%d\r\n$1\r\n1\r\n" % (len(str(place)), place))
    assert all(reply.number == 0 for reply in wire.replies(10_000))
    assert wire.call("STRLEN", "k").number == 10_000
    assert wire.call("MEMORY", "USAGE", "k").number < 2.2 * 10_000


def test_a_copy_keeps_its_bits(wire: Wire) -> None:
    wire.call("SETBIT", "k", 70_000, 1)
    wire.call("COPY", "k", "other")
    wire.call("SETBIT", "k", 3, 1)
    assert wire.call("BITCOUNT", "other").number == 1


def test_offsets_up_to_512_megabytes(wire: Wire) -> None:
    assert ask(wire, f"GETBIT k {LAST_OFFSET}") == b":0\r\n"
    for offset in (LAST_OFFSET + 1, -1, 2**63, "x", "", "1 "):
        assert wire.call("GETBIT", "k", offset).raw == NOT_OFFSET
        assert wire.call("SETBIT", "k", offset, 1).raw == NOT_OFFSET
        assert wire.call("BITFIELD", "k", "SET", "u8", offset, 1).raw == NOT_OFFSET
    for offset in ("#536870912", "#9223372036854775807", "#-1", "#", "#4611686018427387904"):
        assert wire.call("BITFIELD", "k", "GET", "u8", offset).raw == NOT_OFFSET
    assert ask(wire, "EXISTS k") == b":0\r\n"


def test_offsets_obey_proto_max_bulk_len(wire: Wire) -> None:
    wire.call("CONFIG", "SET", "proto-max-bulk-len", "1mb")
    try:
        assert ask(wire, "SETBIT k 8388608 1") == NOT_OFFSET
        assert ask(wire, "SETBIT k 8388607 1") == b":0\r\n"
    finally:
        wire.call("CONFIG", "SET", "proto-max-bulk-len", "512mb")


def test_bad_input(wire: Wire) -> None:
    wire.call("RPUSH", "list", "x")
    assert ask(wire, "SETBIT k 1 2") == NOT_BIT
    assert ask(wire, "SETBIT k 1 01") == NOT_BIT
    assert ask(wire, "BITCOUNT k 0 x") == NOT_INTEGER
    assert ask(wire, "BITCOUNT k 0 1 BITS") == SYNTAX
    assert ask(wire, "BITPOS k 2") == b"-ERR The bit argument must be 1 or 0.\r\n"
    assert ask(wire, "BITOP NOT k a b") == b"-ERR BITOP NOT must be called with a single source key.\r\n"
    assert ask(wire, "BITOP DIFF k a b") == SYNTAX
    assert ask(wire, "BITFIELD k GET u8") == SYNTAX
    assert ask(wire, "BITFIELD k OVERFLOW no") == b"-ERR Invalid OVERFLOW type specified\r\n"
    assert ask(wire, "BITFIELD_RO k SET u8 0 1") == b"-ERR BITFIELD_RO only supports the GET subcommand\r\n"
    for kind in ("u64", "i65", "u0", "i", "x8", "U8", "u+8", "i08"):
        assert ask(wire, f"BITFIELD k GET {kind} 0") == NOT_FIELD
    for line in ("SETBIT list 1 1", "GETBIT list 1", "BITCOUNT list", "BITPOS list 1", "BITOP AND k k list",
                 "BITFIELD list SET u8 0 1", "BITFIELD list GET u8 0"):
        assert ask(wire, line) == WRONG_TYPE
    assert ask(wire, "EXISTS k") == b":0\r\n"


@pytest.mark.parametrize("operation", ["AND", "OR", "XOR", "NOT"])
def test_operations_on_strings_of_different_lengths(wire: Wire, operation: str) -> None:
    choose = random.Random(operation)
    for _ in range(20):
        sources = [choose.randbytes(choose.choice((0, 1, 7, 8, 9, 33, 5000))) for _ in range(choose.choice((1, 2, 4)))]
        sources = sources[:1] if operation == "NOT" else sources
        for index, source in enumerate(sources):
            wire.call("SET", index, source)
        size = max(map(len, sources))
        numbers = [int.from_bytes(source.ljust(size, b"\0"), "big") for source in sources]
        result = numbers[0] ^ (256**size - 1) if operation == "NOT" else numbers[0]
        for number in numbers[1:]:
            result = {"AND": result & number, "OR": result | number, "XOR": result ^ number}[operation]
        assert wire.call("BITOP", operation, "k", *range(len(sources))).number == size
        assert wire.call("GET", "k").value == (result.to_bytes(size, "big") if size else None)


def test_a_result_replaces_any_value(wire: Wire) -> None:
    wire.call("SET", "a", "foo")
    wire.call("RPUSH", "k", "x")
    assert ask(wire, "BITOP OR k a") == b":3\r\n"
    wire.call("EXPIRE", "k", 100)
    assert ask(wire, "BITOP OR k k a") == b":3\r\n"
    assert ask(wire, "TTL k") == b":-1\r\n"
    assert ask(wire, "BITOP OR k none") == b":0\r\n"
    assert ask(wire, "EXISTS k") == b":0\r\n"


@pytest.mark.parametrize("overflow", ["WRAP", "SAT", "FAIL"])
@pytest.mark.parametrize("kind", ["u1", "u8", "u33", "u63", "i1", "i8", "i33", "i64"])
def test_fields_count_and_overflow(wire: Wire, kind: str, overflow: str) -> None:
    choose = random.Random(kind + overflow)
    width, signed = int(kind[1:]), kind[0] == "i"
    least, greatest = (-(2 ** (width - 1)), 2 ** (width - 1) - 1) if signed else (0, 2**width - 1)
    value = 0
    for _ in range(100):
        numbers = (1, -1, greatest, choose.randint(-(2**63), 2**63 - 1), choose.randint(least, greatest))
        increment = choose.choice(numbers)
        increment = max(-(2**63), min(2**63 - 1, increment))
        wanted = value + increment
        reply = wire.call("BITFIELD", "k", "OVERFLOW", overflow, "INCRBY", kind, 13, increment).items[0]
        if not least <= wanted <= greatest:
            wrapped = (wanted - least) % 2**width + least
            saturated = greatest if wanted > greatest else least
            wanted = {"WRAP": wrapped, "SAT": saturated, "FAIL": value}[overflow]
            assert reply.value == (None if overflow == "FAIL" else wanted)
        else:
            assert reply.number == wanted
        value = wanted
        assert wire.call("BITFIELD_RO", "k", "GET", kind, 13).items[0].number == value
    assert wire.call("BITFIELD", "k", "GET", "u13", 0).items[0].number == 0


def test_no_operation_runs_when_one_is_wrong(wire: Wire) -> None:
    assert ask(wire, "BITFIELD k SET u8 0 255 GET u8 x") == NOT_OFFSET
    assert ask(wire, "EXISTS k") == b":0\r\n"
    assert ask(wire, "BITFIELD k") == b"*0\r\n"
    assert ask(wire, "BITFIELD k SET u8 #1 7 GET u8 8 GET u16 0") == b"*3\r\n:0\r\n:7\r\n:7\r\n"
