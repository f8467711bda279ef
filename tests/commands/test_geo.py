"""Geo commands over a socket: known places, what is printed of them, and errors."""

from collections.abc import Iterator

import pytest

from harness.process import ServerProcess
from harness.wire import Wire
from ranvier.keyspace.geohash import Box, Circle, Polygon, cell_at, distance, place_of, score_ranges

SICILY = ("13.361389", "38.115556", "Palermo", "15.087269", "37.502669", "Catania")
SYNTAX = b"-ERR syntax error\r\n"
WRONG_TYPE = b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
BAD_UNIT = b"-ERR unsupported unit provided. please use M, KM, FT, MI\r\n"


@pytest.fixture(params=[2, 3])
def wire(server: ServerProcess, request: pytest.FixtureRequest) -> Iterator[Wire]:
    with server.connect(protocol=request.param) as connection:
        connection.call("FLUSHALL")
        assert connection.call("GEOADD", "Sicily", *SICILY).number == 2
        yield connection
        connection.call("FLUSHALL")


def ask(wire: Wire, line: str) -> object:
    reply = wire.call(*line.split())
    return reply.raw if reply.is_error else reply.plain()


def test_places_are_scores(wire: Wire) -> None:
    assert float(str(wire.call("ZSCORE", "Sicily", "Palermo").plain()).strip("b'")) == 3479099956230698
    assert ask(wire, "GEOHASH Sicily Palermo none Catania") == [b"sqc8b49rny0", None, b"sqdtr74hyu0"]
    found = wire.call("GEOPOS", "Sicily", "Palermo", "none")
    assert b"13.36138933897018433" in found.raw
    assert b"38.11555639549629859" in found.raw
    assert found.items[1].value is None
    assert ask(wire, "GEOHASH none a") == [None]
    assert ask(wire, "GEOPOS none") == []


def test_adding_with_conditions(wire: Wire) -> None:
    assert ask(wire, "GEOADD Sicily NX CH 1 2 Palermo") == 0
    assert ask(wire, "GEOADD Sicily XX CH 13.5 38 Palermo 1 1 other") == 1
    assert ask(wire, "GEOADD Sicily 13.5 38 Palermo 1 1 other") == 1
    assert ask(wire, "GEOADD none XX 1 1 a") == 0
    assert ask(wire, "EXISTS none") == 0
    assert ask(wire, "GEOADD Sicily NX XX 1 1 a") == SYNTAX
    assert ask(wire, "GEOADD Sicily 1 1 a 2") == SYNTAX
    assert ask(wire, "GEOADD Sicily 181 1 a") == b"-ERR invalid longitude,latitude pair 181.000000,1.000000\r\n"
    assert ask(wire, "GEOADD Sicily nan 1 a") == b"-ERR value is not a valid float\r\n"


def test_distances(wire: Wire) -> None:
    assert ask(wire, "GEODIST Sicily Palermo Catania") == b"166274.1516"
    assert ask(wire, "GEODIST Sicily Palermo Catania km") == b"166.2742"
    assert ask(wire, "GEODIST Sicily Palermo Catania MI") == b"103.3182"
    assert ask(wire, "GEODIST Sicily Palermo none") is None
    assert ask(wire, "GEODIST none a b furlong") == BAD_UNIT


def test_searches(wire: Wire) -> None:
    assert ask(wire, "GEOSEARCH Sicily FROMLONLAT 15 37 BYRADIUS 200 km ASC") == [b"Catania", b"Palermo"]
    assert ask(wire, "GEOSEARCH Sicily FROMLONLAT 15 37 BYRADIUS 100 km") == [b"Catania"]
    assert ask(wire, "GEOSEARCH Sicily FROMMEMBER Palermo BYBOX 400 400 km DESC COUNT 1") == [b"Catania"]
    assert ask(wire, "GEOSEARCH Sicily BYPOLYGON 3 10 30 20 30 15 45 ASC") == [b"Catania", b"Palermo"]
    assert ask(wire, "GEORADIUS Sicily 15 37 200 km COUNT 1 WITHDIST WITHHASH") == [
        [b"Catania", b"56.4413", 3479447370796909]
    ]
    assert ask(wire, "GEORADIUSBYMEMBER_RO Sicily Palermo 1 m") == [b"Palermo"]
    assert ask(wire, "GEOSEARCH none FROMLONLAT 15 37 BYRADIUS 1 m") == []


def test_storing(wire: Wire) -> None:
    wire.call("SET", "found", "text")
    assert ask(wire, "GEOSEARCHSTORE found Sicily FROMLONLAT 15 37 BYRADIUS 200 km STOREDIST") == 2
    assert ask(wire, "ZRANGE found 0 -1") == [b"Catania", b"Palermo"]
    assert ask(wire, "GEORADIUS Sicily 15 37 100 km STORE found") == 1
    assert ask(wire, "GEOPOS found Palermo") == [None]
    assert ask(wire, "GEOSEARCHSTORE found Sicily FROMLONLAT 0 0 BYRADIUS 1 m") == 0
    assert ask(wire, "EXISTS found") == 0
    assert ask(wire, "GEOSEARCHSTORE Sicily Sicily FROMLONLAT 15 37 BYRADIUS 100 km") == 1
    assert ask(wire, "ZCARD Sicily") == 1


@pytest.mark.parametrize(("line", "error"), [
    ("FROMLONLAT 1 1 BYRADIUS -1 km", "ERR radius cannot be negative"),
    ("FROMLONLAT 1 1 BYRADIUS x km", "ERR need numeric radius"),
    ("FROMLONLAT 1 1 BYRADIUS nan km", "ERR need numeric radius"),
    ("FROMLONLAT 1 1 BYBOX x 1 km", "ERR need numeric width"),
    ("FROMLONLAT 1 1 BYBOX 1 x km", "ERR need numeric height"),
    ("FROMLONLAT 1 1 BYBOX 1 -1 km", "ERR height or width cannot be negative"),
    ("FROMMEMBER none BYRADIUS 1 km", "ERR member none does not exist"),
    ("BYRADIUS 1 km ASC DESC", "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for GEOSEARCH"),
    ("FROMLONLAT 1 1 ASC ASC", "ERR exactly one of BYRADIUS, BYBOX and BYPOLYGON can be specified for GEOSEARCH"),
    ("FROMLONLAT 1 1 BYRADIUS 1 km BYBOX 1 1 km", "ERR syntax error"),
    ("FROMLONLAT 1 1 FROMMEMBER a BYRADIUS 1 km", "ERR syntax error"),
    ("FROMLONLAT 1 1 BYRADIUS 1 km ANY", "ERR the ANY argument requires COUNT argument"),
    ("FROMLONLAT 1 1 BYRADIUS 1 km COUNT 0", "ERR COUNT must be > 0"),
    ("BYPOLYGON 9223372036854775807 1 1 2 2", "ERR invalid number of vertices"),
    ("BYPOLYGON 4 1 1 2 2 3 3", "ERR GEOSEARCH BYPOLYGON must have at least 3 vertices"),
])
def test_errors(wire: Wire, line: str, error: str) -> None:
    assert ask(wire, f"GEOSEARCH Sicily {line}") == f"-{error}\r\n".encode()


def test_other_types(wire: Wire) -> None:
    wire.call("RPUSH", "list", "x")
    for line in ("GEOADD list 1 1 a", "GEODIST list a b", "GEOHASH list a", "GEOPOS list a",
                 "GEOSEARCH list FROMLONLAT 1 1 BYRADIUS 1 km", "GEORADIUS list 1 1 1 km",
                 "GEORADIUSBYMEMBER list a 1 km", "GEOSEARCHSTORE d list FROMLONLAT 1 1 BYRADIUS 1 km"):
        assert ask(wire, line) == WRONG_TYPE


@pytest.mark.parametrize(
    "centre", [(0.0, 0.0), (15.0, 37.0), (179.99, 0.1), (-179.99, -60.0), (20.0, 70.0), (5.0, 84.0)]
)
@pytest.mark.parametrize("reach", [1.0, 100.0, 5_000.0, 300_000.0, 1_000_000.0])
def test_ranges_hold_every_place_in_reach(centre: tuple[float, float], reach: float) -> None:
    circle = Circle(*centre, reach)
    ranges = list(score_ranges(circle))
    assert len(ranges) <= 9
    west, south, east, north = circle.bounds()
    for step in range(441):
        longitude = west + (east - west) * (step % 21) / 20
        latitude = south + (north - south) * (step // 21) / 20
        if not (-180 <= longitude <= 180 and -85 <= latitude <= 85) or circle.distance_to(longitude, latitude) is None:
            continue
        score = cell_at(longitude, latitude).number
        assert any(first <= score < end for first, end in ranges)
        assert distance(longitude, latitude, *place_of(score)) < 1


def test_shapes_without_size_or_end() -> None:
    assert Circle(1, 1, 0).distance_to(1, 1) == 0
    assert Box(1, 1, 0, 0).distance_to(1.1, 1) is None
    everything = Circle(1, 1, float("inf"))
    assert everything.distance_to(-179, -85) is not None
    assert sum(end - first for first, end in score_ranges(everything)) >= 2**52
    assert Circle(0, 0, 3e7).distance_to(180, 0) is not None
    assert Polygon([(0, 0), (1, 1), (2, 2)]).distance_to(5, 5) is None
