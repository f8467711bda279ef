"""Numbers in arguments: strict decimal, as the reference servers read them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ranvier.commands.words import c_string
from ranvier.errors import CommandError

if TYPE_CHECKING:
    from ranvier.commands.surroundings import Client, Database

_INTEGER: Final = re.compile(rb"0|-?[1-9][0-9]{0,18}")
_CURSOR: Final = re.compile(rb"[ \t-\r]*([+-]?)([0-9]+)")
_LEADING: Final = re.compile(rb"[ \t-\r]*([+-]?)([0-9]+)")
_INT_RANGE: Final = range(-2**31, 2**31)

CURSOR_DIGITS: Final = 4300         # as many as int() reads; more of them are zeros, or too large a number
INT64_DIGITS: Final = 19
NOT_AN_INTEGER: Final = "ERR value is not an integer or out of range"


def integer(argument: bytes, error: str = NOT_AN_INTEGER, low: int = -2**63, high: int = 2**63 - 1) -> int:
    """A signed 64-bit integer between `low` and `high`; CommandError(`error`) for anything else.

    No sign `+`, no leading zeros, no spaces.
    """
    if _INTEGER.fullmatch(argument) is not None and low <= (value := int(argument)) <= high:
        return value
    raise CommandError(error)


def is_integer(argument: bytes) -> bool:
    """Whether `integer` would read it."""
    return _INTEGER.fullmatch(argument) is not None and -2**63 <= int(argument) < 2**63


def cursor(argument: bytes) -> int:
    """A SCAN cursor: an unsigned 64-bit integer.

    As C's strtoull reads it, except that a plain negative number of 64 bits is refused (Valkey 9.1).
    """
    text = c_string(argument)
    found = _CURSOR.fullmatch(text)
    if found is None or len(found[2]) > CURSOR_DIGITS or int(found[2]) >= 2**64 \
            or (text[:1] == b"-" and is_integer(text)):
        raise CommandError("ERR invalid cursor")
    return int(found[1] + found[2]) % 2**64


def leading_int(argument: bytes) -> int:
    """What the argument begins with as a number, cut to 32 bits, 0 if it is none: C's atoi."""
    found = _LEADING.match(argument)
    if found is None:
        return 0
    digits = found[2].lstrip(b"0")[:INT64_DIGITS + 1] or b"0"
    value = min(int(digits), 2**63 - 1) if found[1] != b"-" else max(-int(digits), -2**63)
    return (value + 2**31) % 2**32 - 2**31


def int_argument(argument: bytes) -> int:
    """A signed 32-bit integer."""
    value = integer(argument)
    if value not in _INT_RANGE:
        raise CommandError("ERR value is out of range, value must between -2147483648 and 2147483647")
    return value


def database_index(client: Client, argument: bytes) -> int:
    """The number of an existing database."""
    index = int_argument(argument)
    if not 0 <= index < len(client.server.engine.databases):
        raise CommandError("ERR DB index is out of range")
    return index


def named_database(client: Client, argument: bytes) -> Database:
    return client.server.engine.databases[database_index(client, argument)]
