"""Commands of the group hash that are not native: HSCAN."""

from __future__ import annotations

from ranvier.commands.numbers import cursor, integer
from ranvier.commands.surroundings import Client
from ranvier.commands.words import option
from ranvier.engine.store.handles import DatabaseHandle
from ranvier.engine.types.hash_handle import hash_of
from ranvier.errors import CommandError
from ranvier.keyspace.glob import compile_glob
from ranvier.values import Reply


def hscan(client: Client, args: list[bytes]) -> Reply:
    """HSCAN key cursor [MATCH pattern] [COUNT count] [NOVALUES]: options may repeat, the last one counts."""
    key, *options = args
    position = cursor(options[0])
    client.database.touch(key)
    database = client.database
    assert isinstance(database, DatabaseHandle)
    found = hash_of(database, key)
    if not len(found):
        return [b"0", []]
    count, pattern, with_values = _scan_options(options[1:])
    position, items = found.scan(position, count, living=True)
    matches = None if pattern == b"*" else compile_glob(pattern)
    chosen = [item for item in items if matches is None or matches(item[0])]
    width = 2 if with_values else 1
    return [b"%d" % position, [part for item in chosen for part in item[:width]]]


def _scan_options(options: list[bytes]) -> tuple[int, bytes, bool]:
    """Count, pattern, and whether values are wanted."""
    count, pattern, with_values = 10, b"*", True
    words = iter(options)
    for word in words:
        name = option(word)
        if name == b"NOVALUES":
            with_values = False
            continue
        value = next(words, None)
        if value is None or name not in (b"COUNT", b"MATCH"):
            raise CommandError("ERR syntax error")
        if name == b"MATCH":
            pattern = value
        elif (count := integer(value)) < 1:
            raise CommandError("ERR syntax error")
    return count, pattern, with_values
