"""Numbers in arguments: strict decimal, as the reference servers read them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ranvier.errors import CommandError

if TYPE_CHECKING:
    from ranvier.commands.surroundings import Client, Database

_INTEGER: Final = re.compile(rb"0|-?[1-9][0-9]{0,18}")
_CURSOR: Final = re.compile(rb"[0-9]{1,20}")

NOT_AN_INTEGER: Final = "ERR value is not an integer or out of range"


def integer(argument: bytes, error: str = NOT_AN_INTEGER, low: int = -2**63, high: int = 2**63 - 1) -> int:
    """A signed 64-bit integer between `low` and `high`; CommandError(`error`) for anything else.

    No sign `+`, no leading zeros, no spaces.
    """
    if _INTEGER.fullmatch(argument) is not None and low <= (value := int(argument)) <= high:
        return value
    raise CommandError(error)


def cursor(argument: bytes) -> int:
    """A SCAN cursor: an unsigned 64-bit integer."""
    if _CURSOR.fullmatch(argument) is not None and (value := int(argument)) < 2**64:
        return value
    raise CommandError("ERR invalid cursor")


def database_index(client: Client, argument: bytes, error: str = NOT_AN_INTEGER) -> int:
    """The number of an existing database."""
    index = integer(argument, error)
    if not 0 <= index < len(client.server.engine.databases):
        raise CommandError("ERR DB index is out of range")
    return index


def named_database(client: Client, argument: bytes) -> Database:
    return client.server.engine.databases[database_index(client, argument)]
