"""Geo commands: places as scores of sorted sets (`keyspace/geohash`), members around a place.

The four older searches (GEORADIUS, GEORADIUSBYMEMBER and their _RO forms) and GEOSEARCH differ in how they name centre,
shape and destination; `commands/geo_search` reads them into one `Search`, which is run here.
"""

from __future__ import annotations

from math import inf
from typing import Final

from ranvier.commands.geo_search import (
    FLAVOURS,
    UNITS,
    Found,
    Search,
    number,
    place,
    read_search,
    sorted_set,
    type_checked,
)
from ranvier.commands.surroundings import EVENT_GENERIC, EVENT_SORTED_SET
from ranvier.commands.words import option
from ranvier.engine.client import ClientHandle
from ranvier.errors import CommandError
from ranvier.keyspace.geohash import cell_at, distance, geohash_text, place_of, score_ranges
from ranvier.values import NullArray, PlainDouble, Reply

SYNTAX: Final = "ERR syntax error"


def geoadd(client: ClientHandle, args: list[bytes]) -> Reply:
    """GEOADD key [NX | XX] [CH] longitude latitude member [longitude latitude member ...]"""
    key, i = args[0], 1
    words = set()
    while i < len(args) and (word := option(args[i])) in (b"NX", b"XX", b"CH"):
        words.add(word)
        i += 1
    if (len(args) - i) % 3 or {b"NX", b"XX"} <= words:
        raise CommandError(SYNTAX)
    scored = []
    for at in range(i, len(args), 3):
        longitude, latitude = place(args[at], args[at + 1])
        scored.append((args[at + 2], cell_at(longitude, latitude).number))
    members = sorted_set(client, key)
    outcomes: list[str] = []
    expected = False
    for member, score in scored:
        if not expected and (outcomes or len(members)):
            # As ZADD: the encoding is chosen before the members come, once there is a value to choose it for.
            members.expect(len(scored), max(len(one) for one, _ in scored))
            expected = True
        outcomes.append(members.add(member, float(score), only_new=b"NX" in words, only_present=b"XX" in words))
    done = {"added", "updated"}
    new = [part for (member, score), outcome in zip(scored, outcomes, strict=True) if outcome in done
           for part in (b"%d" % score, member)]
    if new:
        client.changed(key, "zadd", EVENT_SORTED_SET, [[b"ZADD", key, *new]])
    return sum(outcome == "added" or (outcome == "updated" and b"CH" in words) for outcome in outcomes)


def geodist(client: ClientHandle, args: list[bytes]) -> Reply:
    """GEODIST key member1 member2 [M | KM | FT | MI]"""
    if len(args) > 4:
        raise CommandError(SYNTAX)
    metres = UNITS.get(option(args[3])) if len(args) == 4 else 1.0
    if metres is None:
        raise CommandError("ERR unsupported unit provided. please use M, KM, FT, MI")
    if not type_checked(client, args[0]):
        return None
    members = sorted_set(client, args[0])
    scores = members.score(args[1]), members.score(args[2])
    if scores[0] is None or scores[1] is None:
        return None
    return _distance_text(distance(*place_of(scores[0]), *place_of(scores[1])) / metres)


def geohash(client: ClientHandle, args: list[bytes]) -> Reply:
    """GEOHASH key [member ...]"""
    return [None if score is None else geohash_text(*place_of(score)) for score in _scores(client, args)]


def geopos(client: ClientHandle, args: list[bytes]) -> Reply:
    """GEOPOS key [member ...]"""
    return [NullArray if score is None else _coordinates(score) for score in _scores(client, args)]


def _scores(client: ClientHandle, args: list[bytes]) -> list[float | None]:
    """Of the members args[1:]."""
    if not type_checked(client, args[0]):
        return [None] * (len(args) - 1)
    members = sorted_set(client, args[0])
    return [members.score(member) for member in args[1:]]


def _distance_text(length: float) -> bytes:
    return b"%.4f" % length


def _coordinates(score: float) -> Reply:
    return [PlainDouble(coordinate) for coordinate in place_of(score)]


# ---- searching ------------------------------------------------------------------------------------------------------


def georadius(client: ClientHandle, args: list[bytes]) -> Reply:
    """GEORADIUS key longitude latitude radius M | KM | FT | MI [options] [STORE key | STOREDIST key]"""
    return _run(client, read_search(client, args, FLAVOURS["georadius"]))


def georadius_ro(client: ClientHandle, args: list[bytes]) -> Reply:
    """GEORADIUS_RO key longitude latitude radius M | KM | FT | MI [options]"""
    return _run(client, read_search(client, args, FLAVOURS["georadius_ro"]))


def georadiusbymember(client: ClientHandle, args: list[bytes]) -> Reply:
    """GEORADIUSBYMEMBER key member radius M | KM | FT | MI [options] [STORE key | STOREDIST key]"""
    return _run(client, read_search(client, args, FLAVOURS["georadiusbymember"]))


def georadiusbymember_ro(client: ClientHandle, args: list[bytes]) -> Reply:
    """GEORADIUSBYMEMBER_RO key member radius M | KM | FT | MI [options]"""
    return _run(client, read_search(client, args, FLAVOURS["georadiusbymember_ro"]))


def geosearch(client: ClientHandle, args: list[bytes]) -> Reply:
    """GEOSEARCH key FROMMEMBER | FROMLONLAT ... BYRADIUS | BYBOX ..., or BYPOLYGON ... [options]"""
    return _run(client, read_search(client, args, FLAVOURS["geosearch"]))


def geosearchstore(client: ClientHandle, args: list[bytes]) -> Reply:
    """GEOSEARCHSTORE destination source [as GEOSEARCH] [STOREDIST]"""
    return _run(client, read_search(client, args, FLAVOURS["geosearchstore"]))


def _run(client: ClientHandle, search: Search) -> Reply:
    found = _find(client, search)
    if search.destination is not None:
        return _store(client, search, search.destination, found)
    if not (search.with_distance or search.with_hash or search.with_coordinates):
        return [member for member, _, _ in found]
    return [_described(search, *one) for one in found]


def _find(client: ClientHandle, search: Search) -> list[Found]:
    """(member, score, metres from the centre), in the order asked for, as many as asked for."""
    if search.shape is None:
        return []
    members = sorted_set(client, search.key)
    enough = search.count if search.any else inf
    found: list[Found] = []
    for first, end in score_ranges(search.shape):
        for member, score in members.range_by_score(first, end, exclude_maximum=True):
            metres = search.shape.distance_to(*place_of(score))
            if metres is not None:
                found.append((member, score, metres))
                if len(found) >= enough:
                    break
        if len(found) >= enough:
            break
    if search.order or (search.count and not search.any):
        found.sort(key=lambda one: one[2], reverse=search.order == b"DESC")
    return found[: search.count] if search.count else found


def _described(search: Search, member: bytes, score: float, metres: float) -> list[Reply]:
    described: list[Reply] = [member]
    if search.with_distance:
        described.append(_distance_text(metres / search.unit_metres))
    if search.with_hash:
        described.append(int(score))
    if search.with_coordinates:
        described.append(_coordinates(score))
    return described


def _store(client: ClientHandle, search: Search, destination: bytes, found: list[Found]) -> int:
    """Replace the destination by what was found; nothing found deletes it."""
    existed = client.database.delete(destination)
    if not found:
        if existed:
            client.changed(destination, "del", EVENT_GENERIC, [[b"DEL", destination]])
        return 0
    members = sorted_set(client, destination)
    stored: list[bytes] = []
    for member, score, metres in found:
        kept = metres / search.unit_metres if search.store_distance else score
        members.add(member, kept)
        stored += (number(kept), member)
    event = "geosearchstore" if search.flavour.searches else "georadiusstore"
    client.changed(destination, event, EVENT_SORTED_SET,
                   [[b"DEL", destination], [b"ZADD", destination, *stored]])
    return len(found)
