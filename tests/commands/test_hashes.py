"""Hash commands over a socket: requests as text, replies as the exact bytes; the expiry of fields on a virtual clock.

What every request answers is compared with Valkey's in tests/differential; here stand the rules, and what has no random
test: chance, time, large values, hostile counts.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

import ranvier
from harness.process import ServerProcess
from harness.wire import Wire
from ranvier.clock import VirtualClock

WRONG_TYPE = b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
NOT_INTEGER = b"-ERR value is not an integer or out of range\r\n"
SYNTAX = b"-ERR syntax error\r\n"
FIELD_COUNT = b"-ERR numfields should be greater than 0 and match the provided number of fields\r\n"
WALL_MS = 1_700_000_000_000


@pytest.fixture(params=[2, 3])
def protocol(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def wire(server: ServerProcess, protocol: int) -> Iterator[Wire]:
    with server.connect(protocol=protocol) as connection:
        connection.call("FLUSHALL")
        connection.call("SET", "text", "x")
        yield connection
        connection.call("FLUSHALL")


def ask(wire: Wire, line: str) -> bytes:
    return wire.call(*line.split(" ")).raw


def fill(wire: Wire, count: int, key: str = "h") -> None:
    wire.call("DEL", key)
    for start in range(0, count, 500):
        numbers = range(start, min(count, start + 500))
        wire.call("HSET", key, *(part for n in numbers for part in (f"field:{n}", f"value:{n}")))


def test_setting_and_getting(wire: Wire) -> None:
    assert ask(wire, "HSET h a 1 b 2") == b":2\r\n"
    assert ask(wire, "HSET h a 3 c 4") == b":1\r\n"
    assert ask(wire, "HMSET h a 5") == b"+OK\r\n"
    assert ask(wire, "HSETNX h a 6") == b":0\r\n"
    assert ask(wire, "HSETNX h d 6") == b":1\r\n"
    assert ask(wire, "HGET h a") == b"$1\r\n5\r\n"
    assert wire.call("HMGET", "h", "a", "no", "d").plain() == [b"5", None, b"6"]
    assert ask(wire, "HLEN h") == b":4\r\n"
    assert ask(wire, "HEXISTS h a") == b":1\r\n"
    assert ask(wire, "HEXISTS h no") == b":0\r\n"
    assert ask(wire, "HSTRLEN h a") == b":1\r\n"
    assert ask(wire, "HDEL h a a no b") == b":2\r\n"
    assert ask(wire, "HDEL h c d") == b":2\r\n"
    assert ask(wire, "EXISTS h") == b":0\r\n"


def test_listing(wire: Wire, protocol: int) -> None:
    wire.call("HSET", "h", "a", "1", "b", "2")
    header = b"*4\r\n" if protocol == 2 else b"%2\r\n"
    assert ask(wire, "HGETALL h") == header + b"$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$1\r\n2\r\n"
    assert ask(wire, "HKEYS h") == b"*2\r\n$1\r\na\r\n$1\r\nb\r\n"
    assert ask(wire, "HVALS h") == b"*2\r\n$1\r\n1\r\n$1\r\n2\r\n"
    assert ask(wire, "HGETALL none") == (b"*0\r\n" if protocol == 2 else b"%0\r\n")


@pytest.mark.parametrize("line", [
    "HSET text a 1", "HMSET text a 1", "HSETNX text a 1", "HGET text a", "HMGET text a", "HDEL text a", "HLEN text",
    "HEXISTS text a", "HSTRLEN text a", "HGETALL text", "HKEYS text", "HVALS text", "HINCRBY text a 1",
    "HINCRBYFLOAT text a 1", "HRANDFIELD text", "HRANDFIELD text 3 WITHVALUES", "HSCAN text 0", "HSCAN text 0 COUNT x",
    "HEXPIRE text 1 FIELDS 1 a", "HTTL text FIELDS 1 a", "HPERSIST text FIELDS 1 a", "HGETEX text FIELDS 1 a",
    "HGETEX text EX x FIELDS 1 a", "HSETEX text EX x FIELDS 1 a 1", "HGETDEL text FIELDS 1 a",
])  # fmt: skip
def test_another_type_is_refused(wire: Wire, line: str) -> None:
    assert ask(wire, line) == WRONG_TYPE


@pytest.mark.parametrize(("line", "error"), [
    ("HSET h a", b"-ERR wrong number of arguments for 'hset' command\r\n"),
    ("HSET h a 1 b", b"-ERR wrong number of arguments for 'hset' command\r\n"),
    ("HINCRBY h text 1", b"-ERR hash value is not an integer\r\n"),
    ("HINCRBY h a x", NOT_INTEGER),
    ("HINCRBY h max 1", b"-ERR increment or decrement would overflow\r\n"),
    ("HINCRBY h min -1", b"-ERR increment or decrement would overflow\r\n"),
    ("HINCRBYFLOAT h text 1", b"-ERR hash value is not a float\r\n"),
    ("HINCRBYFLOAT h a nan", b"-ERR value is not a valid float\r\n"),
    ("HINCRBYFLOAT h a -inf", b"-ERR value is NaN or Infinity\r\n"),
    ("HRANDFIELD h x", NOT_INTEGER),
    ("HRANDFIELD h 1 FOO", SYNTAX),
    ("HRANDFIELD h -9223372036854775807 WITHVALUES", b"-ERR value is out of range\r\n"),
    ("HRANDFIELD h -9223372036854775807", b"-ERR value is out of range\r\n"),
    ("HSCAN h x", b"-ERR invalid cursor\r\n"),
    ("HSCAN h 0 COUNT 0", SYNTAX),
    ("HSCAN h 0 TYPE hash", SYNTAX),
    ("HEXPIRE h 1 FIELDS 9223372036854775807 a", FIELD_COUNT),
    ("HEXPIRE h 1 FIELDS 0 a", FIELD_COUNT),
    ("HEXPIRE h 1 FIELD 1 a", FIELD_COUNT),
    ("HEXPIRE h 1 FOO FIELDS 1 a", b"-ERR Unsupported option FOO\r\n"),
    ("HEXPIRE h -1 FIELDS 1 a", b"-ERR invalid expire time in 'hexpire' command\r\n"),
    ("HEXPIRE h 9223372036854775807 FIELDS 1 a", b"-ERR invalid expire time in 'hexpire' command\r\n"),
    ("HPEXPIREAT h 9223372036854775808 FIELDS 1 a", NOT_INTEGER),
    ("HTTL h FIELDS 2 a", SYNTAX),
    ("HGETEX h KEEPTTL FIELDS 1 a", SYNTAX),
    ("HSETEX h PERSIST FIELDS 1 a 1", SYNTAX),
    ("HSETEX h EX 1 PX 1 FIELDS 1 a 1", SYNTAX),
    ("HSETEX h FIELDS 9223372036854775807 a 1", FIELD_COUNT),
])  # fmt: skip
def test_bad_input(wire: Wire, line: str, error: bytes) -> None:
    wire.call("HSET", "h", "text", "abc", "max", "9223372036854775807", "min", "-9223372036854775808")
    assert ask(wire, line) == error


def test_counting(wire: Wire) -> None:
    assert ask(wire, "HINCRBY h n 5") == b":5\r\n"
    assert ask(wire, "HINCRBY h n -7") == b":-2\r\n"
    assert ask(wire, "HINCRBYFLOAT h n 2.25") == b"$4\r\n0.25\r\n"
    assert ask(wire, "HINCRBYFLOAT h n 3.0e3") == b"$7\r\n3000.25\r\n"


@pytest.mark.parametrize("size", [3899, 3901, 4096, 4097, 70_000, 3_000_000])
def test_large_values(wire: Wire, size: int) -> None:
    value = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    wire.call("HSET", "h", "small", "1", "large", value)
    assert wire.call("HGET", "h", "large").value == value
    assert wire.call("HSTRLEN", "h", "large").number == size
    assert wire.call("COPY", "h", "copy").number == 1
    assert wire.call("HSET", "h", "large", "now small").number == 0
    assert wire.call("HMGET", "copy", "large", "small").plain() == [value, b"1"]
    assert wire.call("HGETDEL", "copy", "FIELDS", 1, "large").plain() == [value]


@pytest.mark.parametrize("count", [5, 400, 600, 5000])
def test_chance_meets_every_field_equally(wire: Wire, count: int) -> None:
    fill(wire, count)
    every = {b"field:%d" % number for number in range(count)}
    assert {item.text for item in wire.call("HRANDFIELD", "h", 10 * count).items} == every
    for wanted in (1, count // 5, count // 2, count - 1):
        chosen = [item.text for item in wire.call("HRANDFIELD", "h", wanted).items]
        assert len(set(chosen)) == len(chosen) == wanted and every.issuperset(chosen)
    drawn = Counter(item.text for item in wire.call("HRANDFIELD", "h", -40 * count).items)
    assert set(drawn) == every and max(drawn.values()) < 100
    assert wire.call("HRANDFIELD", "h").text in every


def test_chance_with_values(wire: Wire, protocol: int) -> None:
    fill(wire, 20)
    found = wire.call("HRANDFIELD", "h", 5, "WITHVALUES").plain()
    assert isinstance(found, list)
    pairs = found if protocol == 3 else list(zip(found[::2], found[1::2], strict=True))
    assert len(pairs) == 5
    assert all(value == name.replace(b"field", b"value") for name, value in pairs)


@pytest.mark.parametrize("count", [20, 3000])
def test_scanning(wire: Wire, count: int) -> None:
    fill(wire, count)
    found: dict[bytes, bytes] = {}
    names: set[bytes] = set()
    cursor: bytes = b"0"
    while True:
        reply = wire.call("HSCAN", "h", cursor, "COUNT", 50)
        cursor, items = reply.items[0].text, [item.text for item in reply.items[1].items]
        found |= dict(zip(items[::2], items[1::2], strict=True))
        if cursor == b"0":
            break
    assert found == {b"field:%d" % n: b"value:%d" % n for n in range(count)}
    reply = wire.call("HSCAN", "h", 0, "COUNT", 2**62, "MATCH", "*:1?", "NOVALUES")
    names = {item.text for item in reply.items[1].items}
    assert (reply.items[0].text, names) == (b"0", {b"field:%d" % n for n in range(10, 20)})


# ---- time -----------------------------------------------------------------------------------------------------------

@dataclass
class Timed:
    """A server on a virtual clock, and what its effect calls told."""

    server: ranvier.Server
    clock: VirtualClock
    wire: Wire
    events: list[tuple[str, str]] = field(default_factory=list)
    propagated: list[list[bytes]] = field(default_factory=list)

    def ask(self, line: str) -> object:
        return self.wire.call(*line.split(" ")).plain()

    def wait(self, milliseconds: int) -> None:
        self.clock.advance(milliseconds)
        self.wire.call("PING")
        self.events.clear()
        self.propagated.clear()


@pytest.fixture
def timed() -> Iterator[Timed]:
    clock = VirtualClock(WALL_MS)
    with ranvier.Server(clock=clock, enable_debug_command="yes") as server, Wire(server.port) as wire:
        seen = Timed(server, clock, wire)
        server.core.post(lambda: server.core.observe(
            lambda database, key, _, event: seen.events.append((key.decode(), event)),
            lambda database, requests: seen.propagated.extend(requests),
        ))
        wire.call("DEBUG", "SET-ACTIVE-EXPIRE", "0")
        wire.call("HSETEX", "h", "PX", 10, "FIELDS", 1, "a", "1")
        wire.call("HSET", "h", "b", "2")
        yield seen


@pytest.mark.parametrize(("line", "reply"), [
    ("HGET h a", None), ("HMGET h a b", [None, b"2"]), ("HEXISTS h a", 0), ("HSTRLEN h a", 0), ("HLEN h", 2),
    ("HGETALL h", [b"b", b"2"]), ("HKEYS h", [b"b"]), ("HVALS h", [b"2"]), ("HDEL h a", 0), ("HRANDFIELD h", b"b"),
    ("HRANDFIELD h 5", [b"b"]), ("HRANDFIELD h -2", [b"b", b"b"]), ("HSCAN h 0", [b"0", [b"b", b"2"]]),
    ("HTTL h FIELDS 2 a b", [-2, -1]), ("HPERSIST h FIELDS 1 a", [-2]), ("HEXPIRE h 9 FIELDS 1 a", [-2]),
    ("HGETEX h PERSIST FIELDS 1 a", [None]), ("HGETDEL h FIELDS 1 a", [None]),
    ("HSETEX h FXX FIELDS 1 a 5", 0), ("EXISTS h", 1), ("OBJECT ENCODING h", b"hashtable"),
])  # fmt: skip
def test_a_field_whose_time_has_passed_is_absent(timed: Timed, line: str, reply: object) -> None:
    assert timed.ask("HGET h a") == b"1"
    assert timed.ask("HPTTL h FIELDS 1 a") == [10]
    timed.wait(11)
    assert timed.ask(line) == reply
    assert timed.events == []


@pytest.mark.parametrize(("line", "reply", "events", "propagated"), [
    ("HSET h a 5", 1, ["hexpired", "hset"], [b"HSET h a 5"]),
    ("HSETNX h a 5", 1, ["hexpired", "hset"], [b"HSET h a 5"]),
    ("HINCRBY h a 5", 5, ["hexpired", "hincrby"], [b"HSET h a 5"]),
    ("HINCRBYFLOAT h a 5", b"5", ["hexpired", "hincrbyfloat"], [b"HSET h a 5"]),
    ("HSETEX h FNX FIELDS 1 a 5", 1, ["hexpired", "hset"], [b"HSETEX h FIELDS 1 a 5"]),
    ("HSETEX h KEEPTTL FIELDS 1 a 5", 1, ["hexpired", "hset"], [
        b"MULTI", b"HDEL h a", b"HSETEX h KEEPTTL FIELDS 1 a 5", b"EXEC",
    ]),
])  # fmt: skip
def test_writing_over_a_field_whose_time_has_passed(
    timed: Timed, line: str, reply: object, events: list[str], propagated: list[bytes]
) -> None:
    timed.wait(11)
    assert timed.ask(line) == reply
    assert [event for _, event in timed.events] == events
    assert [b" ".join(request) for request in timed.propagated] == propagated
    assert timed.ask("HMGET h a b") == [b"5", b"2"]
    assert timed.ask("HTTL h FIELDS 1 a") == [-1]


def test_the_cycle_deletes_what_nobody_asks_for(timed: Timed) -> None:
    for number in range(300):
        timed.ask(f"HSETEX many PX 10 FIELDS 1 field:{number} x")
        timed.ask(f"HSETEX key:{number} PX 10 FIELDS 1 only x")
    timed.ask("HSET many lasting x")
    assert b"keys_with_volatile_items=302" in timed.wire.call("INFO", "keyspace").text
    timed.ask("WATCH key:7")
    timed.wait(11)
    timed.ask("DEBUG SET-ACTIVE-EXPIRE 1")
    while timed.ask("DBSIZE") != 2:
        timed.clock.advance(100)
    while timed.ask("HLEN many") != 1 or timed.ask("HLEN h") != 1:
        timed.clock.advance(100)
    assert timed.ask("HGETALL many") == [b"lasting", b"x"]
    assert Counter(timed.events)["key:7", "hexpired"] == Counter(timed.events)["key:7", "del"] == 1
    deleted = Counter(name for request in timed.propagated for name in request[2:] if request[:2] == [b"HDEL", b"many"])
    assert deleted == Counter(b"field:%d" % number for number in range(300))
    info = timed.wire.call("INFO", "everything").text
    assert b"expired_fields:601\r\n" in info and b"keys_with_volatile_items=0" in info
    assert timed.ask("MULTI") == b"OK" and timed.ask("PING") == b"QUEUED" and timed.ask("EXEC") is None


def test_a_large_hash_expires_in_slices(timed: Timed) -> None:
    names = [f"field:{number}" for number in range(20_000)]
    for start in range(0, len(names), 1000):
        part = names[start : start + 1000]
        pairs = [word for name in part for word in (name, "")]
        timed.wire.call("HSETEX", "many", "PX", 10, "FIELDS", len(part), *pairs)
    timed.wait(11)
    timed.ask("DEBUG SET-ACTIVE-EXPIRE 1")
    while timed.ask("EXISTS many") == 1:
        timed.clock.advance(100)
    sizes = [len(request) - 2 for request in timed.propagated if request[:2] == [b"HDEL", b"many"]]
    assert sum(sizes) == len(names) and max(sizes) <= 64


def test_expiry_survives_what_moves_the_hash(timed: Timed) -> None:
    timed.ask("RENAME h moved")
    timed.ask("COPY moved copy")
    timed.ask("MOVE copy 1")
    assert timed.ask("HPEXPIRETIME moved FIELDS 2 a b") == [WALL_MS + 10, -1]
    timed.ask("SELECT 1")
    assert timed.ask("HPEXPIRETIME copy FIELDS 2 a b") == [WALL_MS + 10, -1]
    timed.wait(11)
    assert timed.ask("HGET copy a") is None
    timed.ask("SWAPDB 0 1")
    assert timed.ask("HMGET moved a b") == [None, b"2"]


def test_trackers_hear_of_fields_that_expire(timed: Timed) -> None:
    with Wire(timed.server.port, protocol=3) as tracker:
        tracker.call("CLIENT", "TRACKING", "ON")
        tracker.call("HGET", "h", "a")
        timed.wait(11)
        timed.ask("DEBUG SET-ACTIVE-EXPIRE 1")
        while timed.ask("HLEN h") != 1:
            timed.clock.advance(100)
        assert tracker.reply().plain() == [b"invalidate", [b"h"]]
