"""The filters of CLIENT LIST and CLIENT KILL: `NAME value` pairs, all of which a client must meet.

One table says how each filter reads its value and what it compares; `NOT-` in front of a name turns it round. Of a
filter that is given twice the last one counts, except ID, which collects.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ranvier.commands.client_line import client_capabilities, client_flags
from ranvier.commands.numbers import integer, is_integer
from ranvier.commands.words import c_string, option, shown
from ranvier.errors import CommandError

if TYPE_CHECKING:
    from ranvier.engine.client import ClientHandle

Test = Callable[["ClientHandle"], bool]

TYPES: Final = {"normal": "normal", "master": "master", "primary": "master", "replica": "replica",
                "slave": "replica", "pubsub": "pubsub"}
FLAGS: Final = frozenset("ABEIMNOPRSTUbcdeirtux")       # all that Valkey 9.1 knows, had by our clients or not
CAPABILITIES: Final = frozenset("r")
SYNTAX_ERROR: Final = "ERR syntax error"


@dataclass(frozen=True, slots=True)
class Given:
    """A filter as it was asked for."""

    name: str
    inverted: bool
    value: bytes
    database_count: int

    @property
    def full_name(self) -> str:
        return f"NOT-{self.name}" if self.inverted else self.name


def _type_test(given: Given) -> Test:
    kind = TYPES.get(shown(given.value).lower())
    if kind is None:
        raise CommandError(f"ERR Unknown client type '{shown(given.value)}'")
    return lambda client: kind == client_type(client)


def client_type(client: ClientHandle) -> str:
    """As CLIENT LIST TYPE tells clients apart."""
    flags = client_flags(client)
    return "replica" if "S" in flags else "master" if "M" in flags else "pubsub" if "P" in flags else "normal"


def _user_test(given: Given) -> Test:
    if given.value != b"default":
        raise CommandError(f"ERR No such user '{shown(given.value)}'")
    return lambda client: client.user == "default"


def _age_test(given: Given) -> Test:
    age_seconds = integer(given.value, "ERR maxage is not an integer or out of range")
    if age_seconds <= 0:
        raise CommandError("ERR maxage should be greater than 0")
    return lambda client: client.describe()["age"] >= age_seconds


def _idle_test(given: Given) -> Test:
    idle_seconds = integer(given.value, "ERR idle is not an integer or out of range")
    if idle_seconds <= 0:
        raise CommandError("ERR idle should be greater than 0")
    return lambda client: client.describe()["idle"] >= idle_seconds


def _database_test(given: Given) -> Test:
    name = given.full_name
    index = integer(given.value, f"ERR {name} is not an integer or out of range", -2**31, 2**31 - 1)
    if not 0 <= index < given.database_count:
        raise CommandError(f"ERR {name} number should be between 0 and {given.database_count - 1}")
    return lambda client: client.database_index == index


def _letters_test(known: frozenset[str], read: Callable[[ClientHandle], str]) -> Callable[[Given], Test]:
    """A test whether all letters of the value are among those that `read` finds."""
    def make(given: Given) -> Test:
        letters = frozenset(shown(given.value))
        if letters - known:
            where = f"the {given.full_name} filter" if given.inverted else "the provided filter"
            raise CommandError(f"ERR Unknown {given.name.lower()} found in {where}: {shown(given.value)}")
        return lambda client: letters <= frozenset(read(client))
    return make


Text = Callable[["ClientHandle"], bytes]


def _text_test(read: Text, part: Callable[[bytes], bytes] = bytes) -> Callable[[Given], Test]:
    """A test whether the value equals what `read` finds, in as much as `part` takes; what is not set equals nothing."""
    def make(given: Given) -> Test:
        wanted = part(given.value)
        return lambda client: bool(found := read(client)) and part(found) == wanted
    return make


MAKERS: Final[dict[str, Callable[[Given], Test]]] = {
    "TYPE": _type_test,
    "USER": _user_test,
    "MAXAGE": _age_test,
    "IDLE": _idle_test,
    "DB": _database_test,
    "FLAGS": _letters_test(FLAGS, client_flags),
    "ADDR": _text_test(lambda client: client.address.encode(), c_string),
    "LADDR": _text_test(lambda client: client.local_address.encode(), c_string),
    "NAME": _text_test(lambda client: client.name, c_string),
    "LIB-NAME": _text_test(lambda client: client.library_name),
    "LIB-VER": _text_test(lambda client: client.library_version),
    "IP": _text_test(lambda client: client.address.rpartition(":")[0].strip("[]").encode(), c_string),
    "CAPA": _letters_test(CAPABILITIES, client_capabilities),
}
POSITIVE_ONLY: Final = ("MAXAGE", "IDLE")


class ClientFilter:
    """What CLIENT LIST or KILL was asked for. `skip_me` is None when SKIPME was not given."""

    def __init__(self, words: list[bytes], database_count: int) -> None:
        self.skip_me: bool | None = None
        self._database_count = database_count
        self._tests: dict[str, Test] = {}       # by name, NOT- included
        self._ids: dict[str, set[int]] = {}
        if len(words) == 1:
            raise CommandError(SYNTAX_ERROR)
        i = 0
        while i < len(words):
            i = self._read(words, i)

    def _read(self, words: list[bytes], i: int) -> int:
        name = option(words[i]).decode("latin-1")
        inverted = name.startswith("NOT-")
        name = name.removeprefix("NOT-")
        if name == "ID":
            return self._read_ids(words, i + 1, inverted)
        if i + 1 >= len(words):
            raise CommandError(SYNTAX_ERROR)
        value = words[i + 1]
        if name == "SKIPME" and not inverted and option(value) in (b"YES", b"NO"):
            self.skip_me = option(value) == b"YES"
            return i + 2
        maker = MAKERS.get(name)
        if maker is None or (inverted and name in POSITIVE_ONLY):
            raise CommandError(SYNTAX_ERROR)
        self._add(name, maker(Given(name, inverted, value, self._database_count)), inverted)
        return i + 2

    def _read_ids(self, words: list[bytes], i: int, inverted: bool) -> int:
        """As many ids as follow, be it none."""
        ids = self._ids.setdefault("NOT-ID" if inverted else "ID", set())
        while i < len(words) and is_integer(words[i]):
            identifier = int(words[i])
            if identifier < 1:
                raise CommandError("ERR client-id should be greater than 0")
            ids.add(identifier)
            i += 1
        self._add("ID", lambda client: client.id in ids, inverted)
        return i

    def _add(self, name: str, test: Test, inverted: bool) -> None:
        if inverted:
            self._tests[f"NOT-{name}"] = lambda client: not test(client)
        else:
            self._tests[name] = test

    def matches(self, client: ClientHandle) -> bool:
        return not client.closed and all(test(client) for test in self._tests.values())
