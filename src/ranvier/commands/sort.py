"""SORT and SORT_RO: the elements of a list, set or sorted set in order, by themselves or by other keys."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from ranvier.commands.numbers import integer
from ranvier.commands.surroundings import EVENT_GENERIC, EVENT_LIST, Client
from ranvier.commands.words import c_string, option
from ranvier.errors import CommandError
from ranvier.keyspace import contents
from ranvier.values import Reply

SORTABLE: Final = frozenset({"list", "set", "zset"})
SYNTAX_ERROR: Final = "ERR syntax error"
WRONG_TYPE: Final = "WRONGTYPE Operation against a key holding the wrong kind of value"
NOT_A_DOUBLE: Final = "ERR One or more scores can't be converted into double"

_NUMBER: Final = re.compile(rb"[+-]?(?:inf(?:inity)?|([0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?)", re.IGNORECASE)

Lookup = Callable[[bytes], bytes | None]


@dataclass(slots=True)
class Options:
    """What the words behind the key ask for."""

    descending: bool = False
    alphabetic: bool = False
    unsorted: bool = False
    start: int = 0
    count: int = -1                     # negative: all
    by: bytes | None = None
    patterns: list[bytes] = field(default_factory=list)
    target: bytes | None = None


def _options(args: list[bytes], may_store: bool) -> Options:
    found = Options()
    words = iter(args)
    rest = len(args)
    for argument in words:
        rest -= 1
        word = option(argument)
        if word in (b"ASC", b"DESC"):
            found.descending = word == b"DESC"
        elif word == b"ALPHA":
            found.alphabetic = True
        elif word == b"LIMIT" and rest >= 2:
            found.start, found.count = integer(next(words)), integer(next(words))
            rest -= 2
        elif word == b"STORE" and rest and may_store:
            found.target = next(words)
            rest -= 1
        elif word == b"BY" and rest:
            found.by = next(words)
            found.unsorted = found.unsorted or b"*" not in c_string(found.by)
            rest -= 1
        elif word == b"GET" and rest:
            found.patterns.append(next(words))
            rest -= 1
        else:
            raise CommandError(SYNTAX_ERROR)
    return found


def _lookup(client: Client, pattern: bytes) -> Lookup:
    """What a pattern of BY or GET makes of an element: `#` is itself, `*` stands for it, `->` names a hash's field."""
    if c_string(pattern) == b"#":
        return lambda element: element
    star = c_string(pattern).find(b"*")
    if star < 0:
        return lambda element: None
    prefix, suffix, name = pattern[:star], pattern[star + 1 :], b""
    arrow = c_string(suffix).find(b"->")
    if arrow >= 0 and c_string(suffix[arrow + 2 :]):
        suffix, name = suffix[:arrow], suffix[arrow + 2 :]
    database = client.database

    def value_of(element: bytes) -> bytes | None:
        key = prefix + element + suffix
        kind = database.type_name(key)
        if kind == "string" and not name:
            return database.get(key)
        if not database.touch(key) or kind != "hash" or not name:
            return None
        return contents.hash_field(database, key, name, client.server.clock.wall_ms())

    return value_of


def _double(text: bytes | None) -> float:
    """A weight; what is missing weighs nothing. CommandError for anything that is no finite double or infinity."""
    if text is None:
        return 0.0
    found = _NUMBER.fullmatch(c_string(text))
    if found is not None:
        value = float(found[0])
        too_large = math.isinf(value) and found[1] is not None
        too_small = value == 0 and found[1] is not None and found[1].strip(b"0.") != b""
        if not too_large and not too_small:
            return value
    raise CommandError(NOT_A_DOUBLE)


def _sorted(client: Client, items: list[bytes], asked: Options) -> list[bytes]:
    """The elements in order. Equal weights: by the elements' bytes; equal texts: as they came.

    Texts are C strings, which a NUL byte ends, unless the result is stored: so compare the reference servers, too.
    """
    weigh: Lookup = (lambda element: element) if asked.by is None else _lookup(client, asked.by)
    if not asked.alphabetic:
        return sorted(items, key=lambda item: (_double(weigh(item)), item), reverse=asked.descending)
    if asked.by is None and asked.target is not None:
        return sorted(items, reverse=asked.descending)
    texts = [weigh(item) for item in items]
    if asked.target is None:
        texts = [None if text is None else c_string(text) for text in texts]
    keys = [(text is not None, text or b"") for text in texts]
    order = sorted(range(len(items)), key=lambda index: keys[index], reverse=asked.descending)
    return [items[index] for index in order]


def _ordered(client: Client, key: bytes, kind: str, asked: Options) -> list[bytes]:
    """The part of the elements that LIMIT leaves, in the order that is asked for."""
    start = max(asked.start, 0)
    if asked.unsorted and kind == "set" and asked.target is not None:
        # What is stored must not depend on the order in which a set happens to lie.
        asked.unsorted, asked.alphabetic, asked.by = False, True, None
    if asked.unsorted:
        count = asked.count if asked.count >= 0 else None
        return contents.elements(client.database, key, kind, start, count, asked.descending)
    items = _sorted(client, contents.elements(client.database, key, kind), asked)
    return items[start:] if asked.count < 0 else items[start : start + asked.count]


def _store(client: Client, target: bytes, values: list[bytes]) -> Reply:
    existed = client.database.delete(target)
    forms = [[b"DEL", target]] if existed else []
    if values:
        contents.store_list(client.database, target, values, client.server.list_pack_size)
        client.changed(target, "sortstore", EVENT_LIST, [*forms, [b"RPUSH", target, *values]])
    elif existed:
        client.changed(target, "del", EVENT_GENERIC, forms)
    return len(values)


def _sort(client: Client, args: list[bytes], may_store: bool) -> Reply:
    key = args[0]
    asked = _options(args[1:], may_store)
    client.database.touch(key)
    kind = client.database.type_name(key)
    if kind is not None and kind not in SORTABLE:
        raise CommandError(WRONG_TYPE)
    items = _ordered(client, key, kind, asked) if kind is not None else []
    if asked.patterns:
        lookups = [_lookup(client, pattern) for pattern in asked.patterns]
        values = [lookup(item) for item in items for lookup in lookups]
    else:
        values = list(items)
    if asked.target is None:
        return values
    return _store(client, asked.target, [value or b"" for value in values])


def sort(client: Client, args: list[bytes]) -> Reply:
    """SORT key [BY pattern] [LIMIT offset count] [GET pattern ...] [ASC|DESC] [ALPHA] [STORE destination]"""
    return _sort(client, args, may_store=True)


def sort_ro(client: Client, args: list[bytes]) -> Reply:
    """SORT_RO key [BY pattern] [LIMIT offset count] [GET pattern ...] [ASC|DESC] [ALPHA]"""
    return _sort(client, args, may_store=False)
