"""The arguments of the geo searches, read into a `Search`: seven spellings of one question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from ranvier.commands.numbers import integer
from ranvier.commands.words import option, shown
from ranvier.engine.client import ClientHandle
from ranvier.engine.types.sorted_set_handle import SortedSetHandle, parse_score, sorted_set_of
from ranvier.errors import CommandError
from ranvier.keyspace.geohash import Box, Circle, Polygon, Shape, place_of, valid_place

SYNTAX: Final = "ERR syntax error"
UNITS: Final[Mapping[bytes, float]] = {b"M": 1.0, b"KM": 1000.0, b"FT": 0.3048, b"MI": 1609.34}
LEAST_VERTICES: Final = 3

Found: TypeAlias = tuple[bytes, float, float]       # member, score, metres from the centre
Place: TypeAlias = tuple[float, float]              # longitude, latitude


@dataclass(frozen=True, slots=True)
class Flavour:
    """How one of the commands spells its question."""

    key: int = 0                # which argument is the sorted set
    options: int = 1            # the first argument that is an option
    searches: bool = False      # centre and shape are named by options
    by_member: bool = False     # ... or stand in front of them, the centre as a member
    stores: bool = False        # STORE and STOREDIST name a destination


FLAVOURS: Final = {
    "georadius": Flavour(options=5, stores=True),
    "georadius_ro": Flavour(options=5),
    "georadiusbymember": Flavour(options=4, by_member=True, stores=True),
    "georadiusbymember_ro": Flavour(options=4, by_member=True),
    "geosearch": Flavour(searches=True),
    "geosearchstore": Flavour(key=1, options=2, searches=True),
}


@dataclass(slots=True)
class Search:
    """What to look for. `shape` stays None when there is no sorted set to look in."""

    flavour: Flavour
    key: bytes
    destination: bytes | None = None
    store_distance: bool = False
    centre: Place | None = None
    radius: float | None = None         # metres
    sides: Place | None = None          # width and height in metres
    vertices: list[Place] | None = None
    unit_metres: float = 1.0
    count: int = 0                      # 0: no limit
    any: bool = False                   # the first that are found
    order: bytes = b""                  # ASC, DESC or none
    with_distance: bool = False
    with_hash: bool = False
    with_coordinates: bool = False
    shape: Shape | None = None
    by_member: bool = False
    by_place: bool = False


# ---- single arguments -----------------------------------------------------------------------------------------------


def number(value: float) -> bytes:
    """As ZADD reads it back without a loss."""
    return b"%d" % int(value) if value.is_integer() and abs(value) < 2.0**63 else repr(value).encode()


def _double(argument: bytes, error: str = "ERR value is not a valid float") -> float:
    value = parse_score(argument)
    if value is None:
        raise CommandError(error)
    return value


def place(longitude: bytes, latitude: bytes) -> Place:
    """Two arguments as a place on the map; CommandError if they are none."""
    found = _double(longitude), _double(latitude)
    if not valid_place(*found):
        raise CommandError(f"ERR invalid longitude,latitude pair {found[0]:f},{found[1]:f}")
    return found


def _unit(argument: bytes) -> float:
    metres = UNITS.get(option(argument))
    if metres is None:
        raise CommandError("ERR unsupported unit provided. please use M, KM, FT, MI")
    return metres


def sorted_set(client: ClientHandle, key: bytes) -> SortedSetHandle:
    """The sorted set under a key, with the server's thresholds."""
    configuration = client.server.configuration
    return sorted_set_of(client.database, key, configuration.zset_max_listpack_entries,
                         configuration.zset_max_listpack_value_bytes)


def type_checked(client: ClientHandle, key: bytes) -> bool:
    """Whether the key exists, counted as a read; CommandError if it holds no sorted set."""
    if not client.database.touch(key):
        return False
    if client.database.type_name(key) != "zset":
        raise CommandError("WRONGTYPE Operation against a key holding the wrong kind of value")
    return True


# ---- the whole ------------------------------------------------------------------------------------------------------


def read_search(client: ClientHandle, args: list[bytes], flavour: Flavour) -> Search:
    """Read and check everything, in the order in which the reference finds errors."""
    search = Search(flavour, args[flavour.key])
    exists = type_checked(client, search.key)
    if flavour.searches:
        search.destination = args[0] if flavour.key else None
    elif not flavour.by_member:
        search.centre = place(args[1], args[2])
        _read_radius(search, args[3], args[4])
    elif exists:
        search.centre = _member_place(client, search.key, args[1])
        _read_radius(search, args[2], args[3])
    i = flavour.options
    while i < len(args):
        i += 1 + _read_option(client, search, args, i, exists)
    _check_options(client, search)
    if exists:
        search.shape = _shape(search)
    return search


def _read_radius(search: Search, radius: bytes, unit: bytes) -> None:
    length = _double(radius, "ERR need numeric radius")
    if length < 0:
        raise CommandError("ERR radius cannot be negative")
    search.unit_metres = _unit(unit)
    search.radius = length * search.unit_metres


def _read_box(search: Search, width: bytes, height: bytes, unit: bytes) -> None:
    sides = _double(width, "ERR need numeric width"), _double(height, "ERR need numeric height")
    if min(sides) < 0:
        raise CommandError("ERR height or width cannot be negative")
    search.unit_metres = _unit(unit)
    search.sides = sides[0] * search.unit_metres, sides[1] * search.unit_metres


def _member_place(client: ClientHandle, key: bytes, member: bytes) -> Place:
    score = sorted_set(client, key).score(member)
    if score is None:
        raise CommandError(f"ERR member {shown(member)} does not exist")
    return place_of(score)


def _read_option(client: ClientHandle, search: Search, args: list[bytes], i: int, exists: bool) -> int:
    """The option at args[i]; returns how many arguments belong to it."""
    left = len(args) - i - 1
    word = option(args[i])
    if word == b"WITHDIST":
        search.with_distance = True
    elif word == b"WITHHASH":
        search.with_hash = True
    elif word == b"WITHCOORD":
        search.with_coordinates = True
    elif word == b"ANY":
        search.any = True
    elif word in (b"ASC", b"DESC"):
        search.order = word
    elif word == b"COUNT" and left >= 1:
        search.count = integer(args[i + 1])
        if search.count <= 0:
            raise CommandError("ERR COUNT must be > 0")
        return 1
    elif word in (b"STORE", b"STOREDIST") and left >= 1 and search.flavour.stores:
        search.destination = args[i + 1]
        search.store_distance = word == b"STOREDIST"
        return 1
    elif word == b"STOREDIST" and search.flavour.searches and search.destination is not None:
        search.store_distance = True
    elif search.flavour.searches:
        return _read_where(client, search, args, i, exists)
    else:
        raise CommandError(SYNTAX)
    return 0


def _read_where(client: ClientHandle, search: Search, args: list[bytes], i: int, exists: bool) -> int:
    """An option of GEOSEARCH for centre or shape; returns how many arguments belong to it."""
    left = len(args) - i - 1
    word = option(args[i])
    polygon = search.vertices is not None
    if word == b"FROMMEMBER" and left >= 1 and not search.by_place and not polygon:
        search.by_member = True
        if exists:
            search.centre = _member_place(client, search.key, args[i + 1])
        return 1
    if word == b"FROMLONLAT" and left >= 2 and not search.by_member and not polygon:
        search.by_place = True
        search.centre = place(args[i + 1], args[i + 2])
        return 2
    if word == b"BYRADIUS" and left >= 2 and search.sides is None and not polygon:
        _read_radius(search, args[i + 1], args[i + 2])
        return 2
    if word == b"BYBOX" and left >= 3 and search.radius is None and not polygon:
        _read_box(search, *args[i + 1 : i + 4])
        return 3
    centred = search.by_member or search.by_place or search.radius is not None or search.sides is not None
    if word == b"BYPOLYGON" and left >= 1 and not centred:
        return _read_polygon(search, args, i + 1)
    raise CommandError(SYNTAX)


def _read_polygon(search: Search, args: list[bytes], i: int) -> int:
    count = integer(args[i], "ERR invalid number of vertices")
    left = len(args) - i - 1
    if count > 2**62:
        raise CommandError("ERR invalid number of vertices")
    if count < LEAST_VERTICES or count * 2 > left:
        raise CommandError("ERR GEOSEARCH BYPOLYGON must have at least 3 vertices")
    search.vertices = [place(args[at], args[at + 1]) for at in range(i + 1, i + 1 + 2 * count, 2)]
    return 1 + 2 * count


def _check_options(client: ClientHandle, search: Search) -> None:
    shows = search.with_distance or search.with_hash or search.with_coordinates
    if search.destination is not None and shows:
        what = "GEOSEARCHSTORE is" if search.flavour.searches else "STORE option in GEORADIUS is"
        raise CommandError(f"ERR {what} not compatible with WITHDIST, WITHHASH and WITHCOORD options")
    if search.flavour.searches and search.vertices is None:
        name = shown(client.request_word(0))
        if not search.by_member and not search.by_place:
            raise CommandError(f"ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for {name}")
        if search.radius is None and search.sides is None:
            raise CommandError(f"ERR exactly one of BYRADIUS, BYBOX and BYPOLYGON can be specified for {name}")
    if search.any and not search.count:
        raise CommandError("ERR the ANY argument requires COUNT argument")


def _shape(search: Search) -> Shape:
    if search.vertices is not None:
        return Polygon(search.vertices)
    assert search.centre is not None
    if search.sides is not None:
        return Box(*search.centre, *search.sides)
    assert search.radius is not None
    return Circle(*search.centre, search.radius)
