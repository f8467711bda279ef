"""A value's elements whatever its type, for the commands that take several types (SORT, DEBUG DIGEST).

The handles are found by the name that TYPE gives, as command handlers are found by theirs.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

from ranvier.engine.types.list_handle import list_of

_HANDLES: Final = {
    "list": ("list_handle", "list_of"),
    "set": ("set_handle", "set_of"),
    "zset": ("sorted_set_handle", "sorted_set_of"),
    "hash": ("hash_handle", "hash_of"),
    "stream": ("stream_handle", "stream_of"),
}


def handle(database: Any, key: bytes, type_name: str) -> Any:
    """Python's handle on the value of that type, anything but a string, under the key."""
    module, function = _HANDLES[type_name]
    return getattr(import_module(f"ranvier.engine.types.{module}"), function)(database, key)


def elements(database: Any, key: bytes, type_name: str, start: int = 0, count: int | None = None,
             reverse: bool = False) -> list[bytes]:
    """Elements of a list, set or sorted set, `count` of them from `start` on, in the order that it has.

    `reverse` counts from the other end; the order of a set means nothing, so that there it changes nothing.
    """
    value = handle(database, key, type_name)
    if count is None:
        count = max(len(value) - start, 0)
    if type_name == "list":
        return list(value.range(-1 - start if reverse else start, count, not reverse))
    if type_name == "zset":
        return [member for member, _ in value.range_by_rank(start, count, reverse)]
    return list(value)[start : start + count]


def hash_field(database: Any, key: bytes, name: bytes, now_ms: int) -> bytes | None:
    """The value of a field of the hash under the key; None if there is no such field, or its time has passed."""
    fields = handle(database, key, "hash")
    at_ms = fields.expiry_ms(name)
    if at_ms is None or 0 <= at_ms < now_ms:
        return None
    value: bytes | None = fields.get(name)
    return value


def store_list(database: Any, key: bytes, values: list[bytes], pack_size: int) -> None:
    """A new list under a key that does not exist. `pack_size`: list-max-listpack-size."""
    made = list_of(database, key, pack_size)
    for value in values:
        made.push(value)
