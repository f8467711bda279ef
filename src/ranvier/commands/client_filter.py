"""The filters of CLIENT LIST and CLIENT KILL: `NAME value` pairs, all of which a client must meet.

One table says how each filter reads its value and what it compares; `NOT-` in front of a name turns it round.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from ranvier.commands.client_line import client_flags
from ranvier.errors import CommandError

if TYPE_CHECKING:
    from ranvier.engine.client import ClientHandle

Test = Callable[["ClientHandle"], bool]

TYPES: Final = {"normal": "normal", "master": "master", "primary": "master", "replica": "replica",
                "slave": "replica", "pubsub": "pubsub"}
INTEGER: Final = re.compile(rb"-?[1-9][0-9]{0,18}|0")
SYNTAX_ERROR: Final = "ERR syntax error"


def _integer(value: bytes) -> int | None:
    return int(value) if INTEGER.fullmatch(value) else None


def _type_test(value: bytes) -> Test:
    kind = TYPES.get(value.decode("latin-1").lower())
    if kind is None:
        raise CommandError(f"ERR Unknown client type '{value.decode('utf-8', 'surrogateescape')}'")
    return lambda client: kind == "normal"


def _user_test(value: bytes) -> Test:
    user = value.decode("utf-8", "surrogateescape")
    if user != "default":
        raise CommandError(f"ERR No such user '{user}'")
    return lambda client: client.user == user


def _age_test(value: bytes) -> Test:
    age_seconds = _integer(value)
    if age_seconds is None:
        raise CommandError("ERR maxage is not an integer or out of range")
    if age_seconds <= 0:
        raise CommandError("ERR maxage should be greater than 0")
    return lambda client: client.describe()["age"] >= age_seconds


def _idle_test(value: bytes) -> Test:
    idle_seconds = _integer(value)
    if idle_seconds is None:
        raise CommandError("ERR idle is not an integer or out of range")
    if idle_seconds <= 0:
        raise CommandError("ERR idle should be greater than 0")
    return lambda client: client.describe()["idle"] >= idle_seconds


def _database_test(value: bytes) -> Test:
    index = _integer(value)
    if index is None or index < 0:
        raise CommandError("ERR DB index is not an integer or out of range")
    return lambda client: client.database_index == index


def _flags_test(value: bytes) -> Test:
    flags = value.decode("latin-1")
    return lambda client: all(letter in client_flags(client) for letter in flags)


def _text_test(read: Callable[[Any], str | bytes]) -> Callable[[bytes], Test]:
    def make(value: bytes) -> Test:
        def test(client: ClientHandle) -> bool:
            found = read(client)
            return (found.encode() if isinstance(found, str) else found) == value
        return test
    return make


MAKERS: Final[dict[str, Callable[[bytes], Test]]] = {
    "TYPE": _type_test,
    "USER": _user_test,
    "MAXAGE": _age_test,
    "IDLE": _idle_test,
    "DB": _database_test,
    "FLAGS": _flags_test,
    "ADDR": _text_test(lambda client: client.address),
    "LADDR": _text_test(lambda client: client.local_address),
    "NAME": _text_test(lambda client: client.name),
    "LIB-NAME": _text_test(lambda client: client.library_name),
    "LIB-VER": _text_test(lambda client: client.library_version),
    "IP": _text_test(lambda client: client.address.rpartition(":")[0].strip("[]")),
    "CAPA": _text_test(lambda client: b""),
}
POSITIVE_ONLY: Final = ("MAXAGE", "IDLE")


class ClientFilter:
    """What CLIENT LIST or KILL was asked for. `skip_me` is None when SKIPME was not given."""

    def __init__(self, words: list[bytes]) -> None:
        self.skip_me: bool | None = None
        self._tests: list[Test] = []
        i = 0
        while i < len(words):
            i = self._read(words, i)

    def _read(self, words: list[bytes], i: int) -> int:
        name = words[i].decode("latin-1").upper()
        inverted = name.startswith("NOT-")
        name = name.removeprefix("NOT-")
        if i + 1 >= len(words):
            raise CommandError(SYNTAX_ERROR)
        if name == "ID":
            return self._read_ids(words, i + 1, inverted)
        value = words[i + 1]
        if name == "SKIPME" and not inverted and value.lower() in (b"yes", b"no"):
            self.skip_me = value.lower() == b"yes"
            return i + 2
        maker = MAKERS.get(name)
        if maker is None or (inverted and name in POSITIVE_ONLY):
            raise CommandError(SYNTAX_ERROR)
        self._add(maker(value), inverted)
        return i + 2

    def _read_ids(self, words: list[bytes], i: int, inverted: bool) -> int:
        """As many ids as follow; the first word must be one."""
        ids: set[int] = set()
        first = i
        while i < len(words) and (identifier := _integer(words[i])) is not None:
            if identifier < 1:
                raise CommandError("ERR client-id should be greater than 0")
            ids.add(identifier)
            i += 1
        if i == first:
            raise CommandError(SYNTAX_ERROR)
        self._add(lambda client: client.id in ids, inverted)
        return i

    def _add(self, test: Test, inverted: bool) -> None:
        self._tests.append((lambda client: not test(client)) if inverted else test)

    def matches(self, client: ClientHandle) -> bool:
        return not client.closed and all(test(client) for test in self._tests)
