"""Set commands over a socket: requests as text, replies as the exact bytes."""

import random
from collections import Counter
from collections.abc import Iterator

import pytest

from harness.process import ServerProcess
from harness.wire import Wire

WRONG_TYPE = b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
NOT_INTEGER = b"-ERR value is not an integer or out of range\r\n"
NOT_POSITIVE = b"-ERR value is out of range, must be positive\r\n"
SYNTAX = b"-ERR syntax error\r\n"
NULL = {2: b"$-1\r\n", 3: b"_\r\n"}
THRESHOLDS = ("set-max-intset-entries", "512", "set-max-listpack-entries", "128", "set-max-listpack-value", "64")


def bulk(value: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(value), value)


def array(*values: bytes) -> bytes:
    return b"*%d\r\n" % len(values) + b"".join(bulk(value) for value in values)


@pytest.fixture(params=[2, 3])
def protocol(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def wire(server: ServerProcess, protocol: int) -> Iterator[Wire]:
    with server.connect(protocol=protocol) as connection:
        connection.call("FLUSHALL")
        connection.call("SET", "text", "x")
        yield connection
        connection.call("CONFIG", "SET", *THRESHOLDS)
        connection.call("FLUSHALL")


def ask(wire: Wire, line: str) -> bytes:
    return wire.call(*line.split(" ")).raw


def fill(wire: Wire, key: str, *values: bytes | str | int) -> None:
    wire.call("DEL", key)
    wire.call("SADD", key, *[value if isinstance(value, bytes) else str(value) for value in values])


def members(wire: Wire, key: str) -> set[bytes]:
    found = [item.text for item in wire.call("SMEMBERS", key).items]
    assert len(found) == len(set(found)) == wire.call("SCARD", key).number
    return set(found)


def encoding(wire: Wire, key: str) -> str:
    return wire.call("OBJECT", "ENCODING", key).text.decode()


def a_set(protocol: int, *values: bytes) -> bytes:
    return (b"*" if protocol == 2 else b"~") + array(*values)[1:]


def test_members_one_by_one(wire: Wire, protocol: int) -> None:
    assert ask(wire, "SADD s 3 1 2 1") == b":3\r\n"
    assert ask(wire, "SMEMBERS s") == a_set(protocol, b"1", b"2", b"3")
    assert ask(wire, "SADD s 1 a") == b":1\r\n"
    assert ask(wire, "SMEMBERS s") == a_set(protocol, b"1", b"2", b"3", b"a")
    assert ask(wire, "SISMEMBER s a") == ask(wire, "SISMEMBER s 1") == b":1\r\n"
    assert ask(wire, "SISMEMBER s 01") == ask(wire, "SISMEMBER absent a") == b":0\r\n"
    assert ask(wire, "SMISMEMBER s 1 x a") == b"*3\r\n:1\r\n:0\r\n:1\r\n"
    assert ask(wire, "SMISMEMBER absent x a") == b"*2\r\n:0\r\n:0\r\n"
    assert ask(wire, "SREM s 2 2 x") == b":1\r\n"
    assert ask(wire, "SCARD s") == b":3\r\n"
    assert ask(wire, "SREM s 1 3 a") == b":3\r\n"
    assert ask(wire, "EXISTS s") == ask(wire, "SCARD s") == ask(wire, "SREM s 1") == b":0\r\n"
    assert ask(wire, "SMEMBERS s") == a_set(protocol)
    assert ask(wire, "TYPE s") == b"+none\r\n"


def test_binary_members(wire: Wire) -> None:
    odd = [b"", b"\x00", b"\xff\r\n", b"x" * 300, b"y" * 70000, b"-0", b"9223372036854775807", b"9223372036854775808"]
    for count in (3, len(odd)):
        fill(wire, "s", *odd[:count])
        assert members(wire, "s") == set(odd[:count])
        assert [wire.call("SREM", "s", value).number for value in odd] == [1] * count + [0] * (len(odd) - count)


@pytest.mark.parametrize(
    "line",
    [
        "SADD text a", "SREM text a", "SCARD text", "SMEMBERS text", "SISMEMBER text a", "SMISMEMBER text a b",
        "SPOP text", "SPOP text 1", "SRANDMEMBER text", "SRANDMEMBER text 0", "SMOVE text t a", "SSCAN text 0",
        "SSCAN text 0 FOO", "SINTER text", "SINTER absent text", "SINTERCARD 2 absent text", "SUNION absent text",
        "SDIFF absent text", "SINTERSTORE d absent text", "SUNIONSTORE d text", "SDIFFSTORE d absent text",
    ],
)  # fmt: skip
def test_another_type_is_refused(wire: Wire, line: str) -> None:
    assert ask(wire, line) == WRONG_TYPE
    assert ask(wire, "GET text") == bulk(b"x")
    assert ask(wire, "EXISTS d") == b":0\r\n"


# Thresholds (intset, listpack, value), then what is added by one SADD each, and the encoding after each.
ENCODINGS = [
    ((512, 128, 64), [range(512)], ["intset"]),
    ((512, 128, 64), [range(513)], ["hashtable"]),
    ((512, 128, 64), [range(512), [600]], ["intset", "hashtable"]),
    ((512, 128, 64), [range(512), [5]], ["intset", "intset"]),
    ((512, 128, 64), [[1], [1] * 513], ["intset", "hashtable"]),
    ((512, 128, 64), [range(127), ["a"]], ["intset", "listpack"]),
    ((512, 128, 64), [range(128), ["a"]], ["intset", "hashtable"]),
    ((512, 128, 64), [["a"] * 129], ["hashtable"]),
    ((512, 128, 64), [["a"], ["a"] * 129], ["listpack", "hashtable"]),
    ((512, 128, 64), [[f"a{i}" for i in range(128)], ["a1"], ["z"]], ["listpack", "listpack", "hashtable"]),
    ((512, 128, 64), [["x" * 64]], ["listpack"]),
    ((512, 128, 64), [["x" * 65]], ["hashtable"]),
    ((512, 128, 64), [["a"], ["x" * 65]], ["listpack", "hashtable"]),
    ((512, 128, 64), [[1], ["x" * 65]], ["intset", "hashtable"]),
    ((512, 128, 64), [[*range(199), "a"]], ["hashtable"]),
    ((512, 1000, 64), [range(513)], ["listpack"]),
    ((512, 1000, 64), [range(512), [999]], ["intset", "hashtable"]),
    ((0, 128, 64), [[1], ["a"]], ["listpack", "listpack"]),
    ((0, 0, 64), [[1]], ["hashtable"]),
    ((5, 3, 2), [[10], ["a"]], ["intset", "listpack"]),
    ((5, 3, 2), [[10, -10], ["a"]], ["intset", "hashtable"]),
    ((5, 3, 2), [["a", "b"], ["100"]], ["listpack", "hashtable"]),
]


@pytest.mark.parametrize(("thresholds", "additions", "encodings"), ENCODINGS)
def test_encodings_change_at_the_thresholds(
    wire: Wire, thresholds: tuple[int, int, int], additions: list[list[str]], encodings: list[str]
) -> None:
    for name, value in zip(THRESHOLDS[::2], thresholds, strict=True):
        wire.call("CONFIG", "SET", name, value)
    found = []
    for values in additions:
        wire.call("SADD", "s", *values)
        found.append(encoding(wire, "s"))
    assert found == encodings
    assert members(wire, "s") == {str(value).encode() for values in additions for value in values}


def test_intsets_widen_and_stay_sorted(wire: Wire, protocol: int) -> None:
    chosen = random.Random(4)
    for bits in (8, 16, 17, 32, 33, 63):
        values = {chosen.randrange(-(2**bits), 2**bits) for _ in range(100)} | {-(2**bits), 2**bits - 1}
        fill(wire, "s", *values)
        assert ask(wire, "SMEMBERS s") == a_set(protocol, *(b"%d" % value for value in sorted(values)))
        for value in chosen.sample(sorted(values), 50):
            values.remove(value)
            wire.call("SREM", "s", value)
        assert ask(wire, "SMEMBERS s") == a_set(protocol, *(b"%d" % value for value in sorted(values)))


# ---- SPOP, SRANDMEMBER --------------------------------------------------------------------------------------------


def test_arguments_of_the_random_ones(wire: Wire, protocol: int) -> None:
    fill(wire, "s", 1, 2, 3)
    for count in ("-1", "x", "9223372036854775808", "-9223372036854775808"):
        assert ask(wire, f"SPOP s {count}") == ask(wire, f"SPOP text {count}") == NOT_POSITIVE
    assert ask(wire, "SPOP s 1 2") == ask(wire, "SRANDMEMBER s 1 2") == SYNTAX
    for count in ("x", "9223372036854775808", "1.0", ""):
        assert ask(wire, f"SRANDMEMBER text {count}") == NOT_INTEGER
    assert ask(wire, "SRANDMEMBER s -9223372036854775808") == (
        b"-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807\r\n"
    )
    assert ask(wire, "SRANDMEMBER s -9223372036854775807") == b"-ERR value is out of range\r\n"    # Valkey never ends
    assert ask(wire, "SPOP absent") == ask(wire, "SRANDMEMBER absent") == NULL[protocol]
    assert ask(wire, "SPOP absent 3") == ask(wire, "SPOP s 0") == a_set(protocol)
    assert ask(wire, "SRANDMEMBER absent -3") == ask(wire, "SRANDMEMBER s 0") == b"*0\r\n"
    for count in ("3", "4", "9223372036854775807"):
        assert ask(wire, f"SRANDMEMBER s {count}") == array(b"1", b"2", b"3")
    assert ask(wire, "SPOP s 9223372036854775807") == a_set(protocol, b"1", b"2", b"3")
    assert ask(wire, "EXISTS s") == b":0\r\n"


KINDS = {
    "intset": [b"%d" % (7 * i) for i in range(300)],
    "listpack": [b"member:%d" % i for i in range(100)],
    "hashtable": [b"member:%d" % i for i in range(600)],
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.7, 0.95, 0.99])
def test_several_are_popped(wire: Wire, kind: str, share: float) -> None:
    values = KINDS[kind]
    count = max(1, int(share * len(values)))
    fill(wire, "s", *values)
    assert encoding(wire, "s") == kind
    popped = [item.text for item in wire.call("SPOP", "s", count).items]
    assert len(popped) == count
    assert members(wire, "s") | set(popped) == set(values)
    assert len(members(wire, "s")) == len(values) - count
    if kind != "hashtable":                # they come, and stay, in the order of the set
        assert popped == [value for value in values if value in set(popped)]
        assert wire.call("SMEMBERS", "s").items[0].text == next(value for value in values if value not in set(popped))
    while (one := wire.call("SPOP", "s")).value is not None:
        assert one.text in set(values)
    assert ask(wire, "EXISTS s") == b":0\r\n"


def test_what_is_left_of_a_large_set_starts_small(wire: Wire) -> None:
    fill(wire, "s", *range(1000))
    wire.call("SPOP", "s", 900)
    assert encoding(wire, "s") == "intset"
    fill(wire, "s", *KINDS["hashtable"])
    wire.call("SPOP", "s", 300)
    assert encoding(wire, "s") == "hashtable"
    wire.call("SPOP", "s", 290)
    assert encoding(wire, "s") == "listpack"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 5, 40, 90])
def test_several_are_chosen(wire: Wire, kind: str, count: int) -> None:
    values = KINDS[kind]
    fill(wire, "s", *values)
    chosen = [item.text for item in wire.call("SRANDMEMBER", "s", count).items]
    assert len(set(chosen)) == len(chosen) == count
    assert set(chosen) <= set(values)
    repeated = [item.text for item in wire.call("SRANDMEMBER", "s", -3 * len(values)).items]
    assert len(repeated) == 3 * len(values)
    assert set(repeated) <= set(values)
    assert members(wire, "s") == set(values)


@pytest.mark.parametrize("kind", KINDS)
def test_each_choice_is_as_likely(wire: Wire, kind: str) -> None:
    """Chi-squared far beyond what chance gives: 60 members, 6,000 draws, each form of drawing."""
    values = KINDS[kind][:60] if kind != "hashtable" else [b"m" * 65, *KINDS[kind][:59]]
    fill(wire, "s", *values)
    assert encoding(wire, "s") == kind
    for line, rounds in (("SRANDMEMBER s -6000", 1), ("SRANDMEMBER s 15", 400), ("SRANDMEMBER s 40", 150)):
        counts = Counter(item.text for _ in range(rounds) for item in wire.call(*line.split()).items)
        assert sum(counts.values()) == 6000
        assert sum((counts[value] - 100) ** 2 / 100 for value in values) < 140


# ---- sets together ------------------------------------------------------------------------------------------------

SOURCES: dict[str, list[str]] = {
    "none": [],
    "few": ["1", "2", "c"],
    "some": ["a", "b", "1", "2"],
    "ints": [str(i) for i in range(300)],
    "more": [str(i) for i in range(250, 900)],
    "long": ["x" * 70, "1", "2"],
    "text": [f"a{i}" for i in range(200)] + ["1", "2", "3"],
    "half": [str(i) for i in range(150)] + ["x" * 70],
}


@pytest.fixture
def sources(wire: Wire) -> Wire:
    wire.call("DEL", "text")
    for key, values in SOURCES.items():
        if values:
            fill(wire, key, *values)
    return wire


@pytest.mark.parametrize("first", SOURCES)
@pytest.mark.parametrize("second", SOURCES)
def test_sets_are_combined(sources: Wire, first: str, second: str) -> None:
    one, other = set(SOURCES[first]), set(SOURCES[second])
    expected = {"SINTER": one & other, "SUNION": one | other, "SDIFF": one - other}
    for command, wanted in expected.items():
        reply = sources.call(command, first, second)
        found = [item.text.decode() for item in reply.items]
        assert (set(found), len(found)) == (wanted, len(wanted))
        for third in (first, second):
            again = {item.text.decode() for item in sources.call(command, first, second, third).items}
            assert again == (set() if command == "SDIFF" and third == first else wanted)
        sources.call("SET", "target", "x")
        assert sources.call(f"{command}STORE", "target", first, second).number == len(wanted)
        assert {value.decode() for value in members(sources, "target")} == wanted
        assert sources.call("EXISTS", "target").number == bool(wanted)
    assert sources.call("SINTERCARD", 2, first, second).number == len(one & other)
    assert sources.call("SINTERCARD", 2, first, second, "LIMIT", 2).number == min(2, len(one & other))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("SINTERSTORE d ints more", "intset"), ("SINTERSTORE d more", "hashtable"),
        ("SINTERSTORE d text some", "intset"),
        ("SINTERSTORE d half more ints", "hashtable"), ("SINTERSTORE d half ints", "intset"),
        ("SINTERSTORE d some", "listpack"), ("SUNIONSTORE d ints", "intset"), ("SUNIONSTORE d some few", "listpack"),
        ("SUNIONSTORE d some ints", "hashtable"), ("SUNIONSTORE d more", "hashtable"),
        ("SDIFFSTORE d ints some", "intset"), ("SDIFFSTORE d half ints", "hashtable"),
        ("SDIFFSTORE d some ints", "listpack"), ("SDIFFSTORE d long few", "hashtable"),
    ],
)  # fmt: skip
def test_what_is_stored_is_as_small_as_can_be(sources: Wire, line: str, expected: str) -> None:
    if sources.call(*line.split()).number:
        assert encoding(sources, "d") == expected


def test_the_destination_may_be_a_source(wire: Wire) -> None:
    for command, left in (("SINTERSTORE", b"2"), ("SUNIONSTORE", b"123"), ("SDIFFSTORE", b"1")):
        fill(wire, "a", 1, 2)
        fill(wire, "b", 2, 3)
        wire.call("EXPIRE", "a", 100)
        assert wire.call(command, "a", "a", "b").number == len(left)
        assert members(wire, "a") == {left[i : i + 1] for i in range(len(left))}
        assert ask(wire, "TTL a") == b":-1\r\n"
    assert ask(wire, "SDIFFSTORE a a a") == b":0\r\n"
    assert ask(wire, "EXISTS a") == b":0\r\n"


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("SINTERCARD 0 s", b"-ERR numkeys should be greater than 0\r\n"),
        ("SINTERCARD -1 s", b"-ERR numkeys should be greater than 0\r\n"),
        ("SINTERCARD x s", b"-ERR numkeys should be greater than 0\r\n"),
        ("SINTERCARD 99999999999999999999 s", b"-ERR numkeys should be greater than 0\r\n"),
        ("SINTERCARD 2 s", b"-ERR Number of keys can't be greater than number of args\r\n"),
        ("SINTERCARD 9223372036854775807 s", b"-ERR Number of keys can't be greater than number of args\r\n"),
        ("SINTERCARD 1 s LIMIT", SYNTAX), ("SINTERCARD 1 s FOO 2", SYNTAX),
        ("SINTERCARD 1 s LIMIT -1", b"-ERR LIMIT can't be negative\r\n"),
        ("SINTERCARD 1 s LIMIT x", b"-ERR LIMIT can't be negative\r\n"),
        ("SINTERCARD 1 s LIMIT 0", b":3\r\n"), ("SINTERCARD 1 s LIMIT 2", b":2\r\n"),
        ("SINTERCARD 1 s LIMIT 2 LIMIT 1", b":1\r\n"), ("SINTERCARD 2 s s", b":3\r\n"),
    ],
)  # fmt: skip
def test_intersections_are_counted(wire: Wire, line: str, reply: bytes) -> None:
    fill(wire, "s", 1, 2, "a")
    assert ask(wire, line) == reply


def test_smove(wire: Wire) -> None:
    fill(wire, "s", 1, "a", 7)
    assert ask(wire, "SMOVE absent t a") == ask(wire, "SMOVE absent text a") == ask(wire, "SMOVE s t q") == b":0\r\n"
    assert ask(wire, "SMOVE s text q") == ask(wire, "SMOVE s text a") == WRONG_TYPE
    assert ask(wire, "SMOVE s s a") == b":1\r\n"
    assert ask(wire, "SMOVE s s q") == b":0\r\n"
    assert ask(wire, "SMOVE s t a") == ask(wire, "SMOVE s u 7") == b":1\r\n"
    assert (encoding(wire, "t"), encoding(wire, "u")) == ("listpack", "intset")
    fill(wire, "t", 1, 2)
    assert ask(wire, "SMOVE s t 1") == b":1\r\n"
    assert ask(wire, "EXISTS s") == b":0\r\n"
    assert members(wire, "t") == {b"1", b"2"}


# ---- SSCAN --------------------------------------------------------------------------------------------------------


def scan_all(wire: Wire, *options: str | int) -> list[bytes]:
    found, cursor, steps = [], b"0", 0
    while steps == 0 or cursor != b"0":
        reply = wire.call("SSCAN", "s", cursor, *options).items
        cursor, steps = reply[0].text, steps + 1
        found += [item.text for item in reply[1].items]
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_scan_finds_every_member_once(wire: Wire, kind: str) -> None:
    values = KINDS[kind]
    fill(wire, "s", *values)
    for options in ((), ("COUNT", 1), ("COUNT", 100), ("COUNT", 2**63 - 1)):
        assert sorted(scan_all(wire, *options)) == sorted(values)
    assert sorted(scan_all(wire, "MATCH", "*9")) == sorted(value for value in values if value.endswith(b"9"))
    assert scan_all(wire, "MATCH", "no*") == []


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("SSCAN s 0", b"*2\r\n$1\r\n0\r\n" + array(b"1", b"2", b"a")),
        ("SSCAN s 5 COUNT 1", b"*2\r\n$1\r\n0\r\n" + array(b"1", b"2", b"a")),
        ("SSCAN s 18446744073709551615", b"*2\r\n$1\r\n0\r\n" + array(b"1", b"2", b"a")),
        ("SSCAN s 0 match a* count 1", b"*2\r\n$1\r\n0\r\n" + array(b"a")),
        ("SSCAN absent 0", b"*2\r\n$1\r\n0\r\n*0\r\n"), ("SSCAN absent 0 FOO 1", b"*2\r\n$1\r\n0\r\n*0\r\n"),
        ("SSCAN s x", b"-ERR invalid cursor\r\n"), ("SSCAN absent x", b"-ERR invalid cursor\r\n"),
        ("SSCAN text x", b"-ERR invalid cursor\r\n"), ("SSCAN s -1", b"-ERR invalid cursor\r\n"),
        ("SSCAN s 18446744073709551616", b"-ERR invalid cursor\r\n"), ("SSCAN s 0 COUNT 0", SYNTAX),
        ("SSCAN s 0 COUNT x", NOT_INTEGER), ("SSCAN s 0 COUNT", SYNTAX), ("SSCAN s 0 MATCH", SYNTAX),
        ("SSCAN s 0 TYPE set", SYNTAX),
        ("SSCAN s 0 NOVALUES", b"-ERR NOVALUES option can only be used in HSCAN\r\n"),
    ],
)  # fmt: skip
def test_scan_arguments(wire: Wire, line: str, reply: bytes) -> None:
    fill(wire, "s", 1, 2, "a")
    assert ask(wire, line) == reply


def test_a_scan_survives_changes(wire: Wire) -> None:
    stay = KINDS["hashtable"]
    fill(wire, "s", *stay)
    found, cursor, number = set(), b"0", 0
    while number == 0 or cursor != b"0":
        reply = wire.call("SSCAN", "s", cursor, "COUNT", 20).items
        cursor = reply[0].text
        found |= {item.text for item in reply[1].items}
        for other in range(40):
            wire.call("SADD" if number < 20 else "SREM", "s", f"other:{number % 20 * 40 + other}")
        number += 1
    assert set(stay) <= found


# ---- leaks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("end", ["DEL s", "UNLINK s", "SPOP s 1000", "SREM", "SPOP", "SUNIONSTORE s absent", "SET s x"])
def test_no_memory_is_left(server: ServerProcess, kind: str, end: str) -> None:
    """What a set took comes back, however it goes."""
    values = KINDS[kind]
    with server.connect() as wire:

        def used() -> int:
            for _ in range(100):           # garbage is freed in slices, a turn each
                wire.call("PING")
            text = wire.call("INFO", "memory").text
            return int(next(line for line in text.split(b"\r\n") if line.startswith(b"used_memory_dataset:"))[20:])

        def cycle() -> None:
            wire.call("SADD", "s", *values)
            wire.call("SADD", "s", *values)
            wire.call("SINTERSTORE", "copy", "s", "s")
            wire.call("SDIFF", "s", "absent")
            wire.call("COPY", "s", "other")
            if end == "SREM":
                wire.call("SREM", "s", *values)
            elif end == "SPOP":
                for _ in values:
                    wire.call("SPOP", "s")
            else:
                wire.call(*end.split())
            wire.call("DEL", "s", "copy", "other")

        wire.call("FLUSHALL")
        cycle()
        before = used()
        for _ in range(20):
            cycle()
        assert abs(used() - before) < 20 * 16          # a lost allocation takes 24 bytes each time
