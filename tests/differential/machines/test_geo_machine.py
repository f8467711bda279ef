"""The geo machine: random places and searches beside live Valkey, small and world-wide, near poles and edges."""

import random

import pytest

from differential.compare import Request
from differential.machines.runner import PROTOCOLS, Machine, Rule, run_machine
from harness.process import ServerProcess

KEYS = (b"a", b"b", b"c")
MEMBERS = tuple(b"place:%d" % number for number in range(25))
LONGITUDES = (b"0", b"180", b"-180", b"179.9999", b"-179.9999", b"13.361389", b"1e-9", b"181", b"nan", b"x")
LATITUDES = (b"0", b"85.05112878", b"-85.05112878", b"84.9", b"66.1", b"-80.1", b"38.115556", b"86", b"inf", b"")
UNITS = (b"m", b"km", b"KM", b"ft", b"mi")


def place(choose: random.Random) -> tuple[bytes, bytes]:
    dice = choose.random()
    if dice < 0.15:
        return choose.choice(LONGITUDES), choose.choice(LATITUDES)
    if dice < 0.6:
        return b"%.6f" % choose.uniform(10, 16), b"%.6f" % choose.uniform(35, 40)
    return b"%.9f" % choose.uniform(-180, 180), b"%.9f" % choose.uniform(-85, 85)


def length(choose: random.Random) -> bytes:
    if choose.random() < 0.05:
        return choose.choice((b"-1", b"x", b"nan", b"inf", b"1e300", b"0"))
    return b"%.3f" % (10 ** choose.uniform(-1, 4.5))


def geoadd(choose: random.Random, key: bytes) -> Request:
    words = choose.choice(((), (), (), (b"NX",), (b"XX",), (b"CH",), (b"XX", b"CH"), (b"NX", b"XX")))
    number = choose.choice((1, 1, 2, 3, 10))
    placed = [part for _ in range(number) for part in (*place(choose), choose.choice(MEMBERS))]
    return b"GEOADD", key, *words, *placed


def geodist(choose: random.Random, key: bytes) -> Request:
    unit = choose.choice(((), (), (choose.choice(UNITS),), (b"in",)))
    return b"GEODIST", key, choose.choice(MEMBERS), choose.choice(MEMBERS), *unit


def on_members(command: bytes) -> Rule:
    return lambda choose, key: (command, key, *choose.choices(MEMBERS, k=choose.randrange(4)))


def shape(choose: random.Random) -> list[bytes]:
    dice = choose.random()
    if dice < 0.45:
        return [b"BYRADIUS", length(choose), choose.choice(UNITS)]
    if dice < 0.9:
        return [b"BYBOX", length(choose), length(choose), choose.choice(UNITS)]
    return choose.choice(([], [b"BYRADIUS", b"1"], [b"BYRADIUS", b"1", b"km", b"BYBOX", b"1", b"1", b"km"]))


def centre(choose: random.Random) -> list[bytes]:
    if choose.random() < 0.5:
        return [b"FROMMEMBER", choose.choice(MEMBERS)]
    return [b"FROMLONLAT", *place(choose)] if choose.random() < 0.9 else []


def polygon(choose: random.Random) -> list[bytes]:
    """Small ones; the order of what is found in them is asked for."""
    count = choose.choice((3, 3, 4, 5, 2))
    corners = [b"%.6f" % choose.uniform(*limits) for _ in range(count) for limits in ((8, 18), (33, 42))]
    return [b"BYPOLYGON", b"%d" % count, *corners, b"ASC"]


def options(choose: random.Random) -> list[bytes]:
    words = (b"ASC", b"DESC", b"WITHCOORD", b"WITHDIST", b"WITHHASH")
    chosen = [word for word in words if choose.random() < 0.2]
    if choose.random() < 0.3:
        chosen += [b"COUNT", choose.choice((b"1", b"2", b"5", b"100", b"9223372036854775807", b"0", b"-1", b"x"))]
        chosen += [b"ANY"] * (choose.random() < 0.3)
    return chosen


def geosearch(choose: random.Random, key: bytes) -> Request:
    """Which places of a polygon ANY meets first is nobody's promise."""
    if choose.random() < 0.15:
        return b"GEOSEARCH", key, *polygon(choose), *(word for word in options(choose) if word != b"ANY")
    return b"GEOSEARCH", key, *centre(choose), *shape(choose), *options(choose)


def geosearchstore(choose: random.Random, key: bytes) -> Request:
    where = [*centre(choose), *shape(choose)]
    distance = [b"STOREDIST"] * (choose.random() < 0.3)
    return b"GEOSEARCHSTORE", choose.choice((*KEYS, b"d")), key, *where, *distance, *options(choose)[:2]


def georadius(choose: random.Random, key: bytes) -> Request:
    store = choose.choice(((), (), (b"STORE", choose.choice(KEYS)), (b"STOREDIST", b"d")))
    start: tuple[bytes, ...] = (b"GEORADIUS", key, *place(choose))
    if choose.random() < 0.5:
        start = (b"GEORADIUSBYMEMBER", key, choose.choice(MEMBERS))
    if choose.random() < 0.3:
        start = (start[0] + b"_RO", *start[1:])
    return *start, length(choose), choose.choice(UNITS), *options(choose), *store


def other(choose: random.Random, key: bytes) -> Request:
    score = choose.choice((b"-5", b"1.5", b"9007199254740993", b"inf", b"-inf", b"1e20", b"4503599627370496"))
    return choose.choice((
        (b"ZREM", key, choose.choice(MEMBERS)), (b"ZADD", key, score, choose.choice(MEMBERS)), (b"DEL", key),
        (b"SET", key, b"text"), (b"ZCARD", key),
    ))


def probes(key: bytes) -> list[Request]:
    return [(b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"), (b"ZRANGE", b"d", b"0", b"-1", b"WITHSCORES")]


MACHINE = Machine(
    name="geo",
    rules=(
        (8, geoadd), (3, geodist), (2, on_members(b"GEOHASH")), (2, on_members(b"GEOPOS")), (8, geosearch),
        (3, geosearchstore), (5, georadius), (2, other),
    ),
    probes=probes,
    keys=KEYS,
    settings=((), (b"zset-max-listpack-entries", b"4", b"zset-max-listpack-value", b"7")),
)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_places_go_as_on_valkey(
    server: ServerProcess, valkey: ServerProcess, protocol: int, request: pytest.FixtureRequest
) -> None:
    run_machine(MACHINE, server, valkey, protocol, int(request.config.getoption("--seed")))
