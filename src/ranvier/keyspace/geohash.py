"""Places on the globe as scores of a sorted set, and which scores a search has to look at.

A place is a cell of a grid: longitude and latitude are each cut in half 26 times, and the 52 answers, longitude first,
are the cell's number ("geohash", Niemeyer 2008, with the latitudes of the Mercator map instead of the poles). Numbers
of cells in one larger cell follow each other, so that a search reads nine ranges of scores: the cell of its centre, as
large as the search needs, and the eight around it. Numbers, order of ranges and floating-point operations are those of
the reference servers, because clients see them: as scores, in distances, and in the order of unsorted results.

Angles are degrees, lengths metres.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import asin, atan2, cos, inf, isfinite, pi, sin, sqrt
from typing import Final, Protocol, TypeAlias

LONGITUDE_LIMIT: Final = 180.0
LATITUDE_LIMIT: Final = 85.05112878          # of the Mercator map
POLE: Final = 90.0                           # of the geohash strings that others use
STEPS: Final = 26                            # halvings of each coordinate in a score
EARTH_RADIUS: Final = 6372797.560856
MERCATOR_LIMIT: Final = 20037726.37          # half the equator
RADIANS: Final = pi / 180.0
ALPHABET: Final = b"0123456789bcdefghjkmnpqrstuvwxyz"
GEOHASH_LENGTH: Final = 11

Bounds: TypeAlias = tuple[float, float, float, float]       # west, south, east, north


def _spread(number: int) -> int:
    """The bits of a 32-bit number, a zero before each."""
    number = (number | number << 16) & 0x0000FFFF0000FFFF
    number = (number | number << 8) & 0x00FF00FF00FF00FF
    number = (number | number << 4) & 0x0F0F0F0F0F0F0F0F
    number = (number | number << 2) & 0x3333333333333333
    return (number | number << 1) & 0x5555555555555555


def _gather(number: int) -> int:
    """Every second bit of a 64-bit number, from bit 0 on."""
    number &= 0x5555555555555555
    number = (number | number >> 1) & 0x3333333333333333
    number = (number | number >> 2) & 0x0F0F0F0F0F0F0F0F
    number = (number | number >> 4) & 0x00FF00FF00FF00FF
    number = (number | number >> 8) & 0x0000FFFF0000FFFF
    return (number | number >> 16) & 0x00000000FFFFFFFF


def valid_place(longitude: float, latitude: float) -> bool:
    """Whether a place lies on the map."""
    return -LONGITUDE_LIMIT <= longitude <= LONGITUDE_LIMIT and -LATITUDE_LIMIT <= latitude <= LATITUDE_LIMIT


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of the grid after `steps` halvings: its column from the west and its row from the south."""

    column: int
    row: int
    steps: int

    @property
    def number(self) -> int:
        return _spread(self.row) | _spread(self.column) << 1

    @property
    def scores(self) -> tuple[int, int]:
        """The range of scores in the cell, its end not included."""
        shift = 2 * (STEPS - self.steps)
        return self.number << shift, self.number + 1 << shift

    def beside(self, columns: int, rows: int) -> Cell:
        """A neighbour; beyond an edge of the map the other edge follows."""
        mask = (1 << self.steps) - 1
        column = self.column + columns & mask if columns else self.column
        return Cell(column, self.row + rows & mask if rows else self.row, self.steps)

    @property
    def bounds(self) -> Bounds:
        """West, south, east and north."""
        size = float(1 << self.steps)
        width, height = 2 * LONGITUDE_LIMIT, 2 * LATITUDE_LIMIT
        return (-LONGITUDE_LIMIT + self.column / size * width, -LATITUDE_LIMIT + self.row / size * height,
                -LONGITUDE_LIMIT + (self.column + 1) / size * width, -LATITUDE_LIMIT + (self.row + 1) / size * height)


def cell_at(longitude: float, latitude: float, steps: int = STEPS, latitude_limit: float = LATITUDE_LIMIT) -> Cell:
    """The cell of a place. On the eastern and northern edge it is one beyond the last, as the reference has it."""
    east = (longitude + LONGITUDE_LIMIT) / (2 * LONGITUDE_LIMIT)
    north = (latitude + latitude_limit) / (2 * latitude_limit)
    return Cell(int(east * (1 << steps)), int(north * (1 << steps)), steps)


def place_of(score: float) -> tuple[float, float]:
    """Longitude and latitude that a score stands for: the middle of its cell."""
    west, south, east, north = _cell_of(score).bounds
    longitude = min(max((west + east) / 2, -LONGITUDE_LIMIT), LONGITUDE_LIMIT)
    return longitude, min(max((south + north) / 2, -LATITUDE_LIMIT), LATITUDE_LIMIT)


def _cell_of(score: float) -> Cell:
    """Any score is the cell of its 64 bits: what does not fit in them, and what is no place, as C converts it."""
    if score >= 2.0**64:
        number = 0
    elif score < 0:
        number = int(max(score, -(2.0**63))) & 0xFFFFFFFFFFFFFFFF
    else:
        number = int(score)
    return Cell(_gather(number >> 1), _gather(number), STEPS)


def geohash_text(longitude: float, latitude: float) -> bytes:
    """The geohash that others use: latitudes up to the poles, 11 characters of which the last tells nothing."""
    number = cell_at(longitude, latitude, STEPS, POLE).number
    shifts = range(2 * STEPS - 5, 0, -5)
    text = bytes(ALPHABET[number >> shift & 31] for shift in shifts)
    return text.ljust(GEOHASH_LENGTH, ALPHABET[:1])


def distance(longitude: float, latitude: float, other_longitude: float, other_latitude: float) -> float:
    """Between two places, by the haversine formula on a sphere."""
    half_turn = sin((other_longitude * RADIANS - longitude * RADIANS) / 2)
    if half_turn == 0.0:
        return latitude_distance(latitude, other_latitude)
    one, other = latitude * RADIANS, other_latitude * RADIANS
    half_rise = sin((other - one) / 2)
    a = half_rise * half_rise + cos(one) * cos(other) * half_turn * half_turn
    return 2.0 * EARTH_RADIUS * asin(min(sqrt(a), 1.0))       # rounding may leave more than 1 on the far side


def latitude_distance(latitude: float, other: float) -> float:
    return EARTH_RADIUS * abs(other * RADIANS - latitude * RADIANS)


# ---- shapes ---------------------------------------------------------------------------------------------------------


class Shape(Protocol):
    """What a search looks in."""

    longitude: float            # of its middle
    latitude: float
    reach: float                # from the middle to the farthest point, which chooses the size of cells

    def distance_to(self, longitude: float, latitude: float) -> float | None:
        """From the middle to a place; None if it lies outside."""

    def bounds(self) -> Bounds:
        """West, south, east and north of the shape."""


def _box_bounds(longitude: float, latitude: float, half_width: float, half_height: float) -> Bounds:
    if not isfinite(half_width) or not isfinite(half_height):
        return -inf, -inf, inf, inf
    rise = half_height / EARTH_RADIUS / RADIANS
    # A degree of longitude is shortest where the box is nearest to a pole.
    edge = latitude - rise if latitude < 0 else latitude + rise
    turn = half_width / EARTH_RADIUS / cos(edge * RADIANS) / RADIANS
    return longitude - turn, latitude - rise, longitude + turn, latitude + rise


class Circle:
    """BYRADIUS"""

    def __init__(self, longitude: float, latitude: float, radius: float) -> None:
        self.longitude, self.latitude, self.reach = longitude, latitude, radius

    def distance_to(self, longitude: float, latitude: float) -> float | None:
        found = distance(self.longitude, self.latitude, longitude, latitude)
        return found if found <= self.reach else None

    def bounds(self) -> Bounds:
        return _box_bounds(self.longitude, self.latitude, self.reach, self.reach)


class Box:
    """BYBOX"""

    def __init__(self, longitude: float, latitude: float, width: float, height: float) -> None:
        self.longitude, self.latitude = longitude, latitude
        self.half_width, self.half_height = width / 2, height / 2
        self.reach = sqrt(self.half_width * self.half_width + self.half_height * self.half_height)

    def distance_to(self, longitude: float, latitude: float) -> float | None:
        if latitude_distance(latitude, self.latitude) > self.half_height:
            return None
        if distance(longitude, latitude, self.longitude, latitude) > self.half_width:
            return None
        return distance(self.longitude, self.latitude, longitude, latitude)

    def bounds(self) -> Bounds:
        return _box_bounds(self.longitude, self.latitude, self.half_width, self.half_height)


class Polygon:
    """BYPOLYGON: straight lines on the map between at least three places; distances are from their middle."""

    def __init__(self, vertices: Sequence[tuple[float, float]]) -> None:
        self.vertices = vertices
        x = y = z = 0.0
        for longitude, latitude in vertices:
            x += cos(latitude * RADIANS) * cos(longitude * RADIANS)
            y += cos(latitude * RADIANS) * sin(longitude * RADIANS)
            z += sin(latitude * RADIANS)
        count = len(vertices)
        x, y, z = x / count, y / count, z / count
        self.longitude = atan2(y, x) / RADIANS
        self.latitude = atan2(z, sqrt(x * x + y * y)) / RADIANS
        self.reach = max(distance(self.longitude, self.latitude, *vertex) for vertex in vertices)

    def distance_to(self, longitude: float, latitude: float) -> float | None:
        inside = False
        before_longitude, before_latitude = self.vertices[-1]
        for east, north in self.vertices:
            # A line to the east crosses this side.
            if (north > latitude) != (before_latitude > latitude) and longitude < (before_longitude - east) * (
                    latitude - north) / (before_latitude - north) + east:
                inside = not inside
            before_longitude, before_latitude = east, north
        return distance(self.longitude, self.latitude, longitude, latitude) if inside else None

    def bounds(self) -> Bounds:
        longitudes, latitudes = zip(*self.vertices, strict=True)
        return min(longitudes), min(latitudes), max(longitudes), max(latitudes)


# ---- searching ------------------------------------------------------------------------------------------------------


def _steps_for(reach: float, latitude: float) -> int:
    """Halvings after which a cell and its neighbours hold everything within reach."""
    if reach == 0:
        return STEPS
    steps = 1
    while reach < MERCATOR_LIMIT:
        reach *= 2
        steps += 1
    steps -= 2                   # a cell twice as large: the centre may lie at its edge
    if abs(latitude) > 66:       # cells are narrower near the poles
        steps -= 2 if abs(latitude) > 80 else 1
    return min(max(steps, 1), STEPS)


# The cell itself, then north, south, east, west, and the corners: the order in which unsorted results come.
_AROUND: Final = ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1))


def score_ranges(shape: Shape) -> Iterator[tuple[int, int]]:
    """The ranges of scores, ends not included, that hold every place in the shape, and others beside them."""
    west, south, east, north = shape.bounds()
    steps = _steps_for(shape.reach, shape.latitude)
    cell = cell_at(shape.longitude, shape.latitude, steps)
    if steps > 1 and (cell.beside(0, 1).bounds[3] < north or cell.beside(0, -1).bounds[1] > south
                      or cell.beside(1, 0).bounds[2] < east or cell.beside(-1, 0).bounds[0] > west):
        steps -= 1
        cell = cell_at(shape.longitude, shape.latitude, steps)
    cell_west, cell_south, cell_east, cell_north = cell.bounds
    before: Cell | None = None
    for columns, rows in _AROUND:
        # What lies beyond a side that the shape does not reach is left out.
        if steps >= 2 and ((rows < 0 and cell_south < south) or (rows > 0 and cell_north > north)
                           or (columns < 0 and cell_west < west) or (columns > 0 and cell_east > east)):
            continue
        beside = cell.beside(columns, rows)
        if beside == before:     # a large search meets the same cell from both sides
            continue
        before = beside
        yield beside.scores
