"""Where the keys of a command stand: key specs, their notation in the command table, and extraction.

A key spec in the table reads `place flags`, several are separated by `;`:

- place `1` is one key at argument 1 (the command's name is argument 0); `1..-1` goes on to the last argument, `1..-1/2`
  takes every second one, `1..-1%2` only the first half of what is left (XREAD's keys before its ids);
- `2#` is a count of keys at argument 2, keys behind it; `1#/2` keys at every second argument;
- `STREAMS@1` starts behind the word STREAMS, looked for from argument 1 (negative: backwards from the end);
- `?` cannot be told from the arguments alone.

The flags are those of COMMAND INFO: RO RW OW RM, access update insert delete, not_key, incomplete, variable_flags.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ranvier.commands.numbers import leading_int

_PLACE: Final = re.compile(
    r"(?:(?P<keyword>[A-Z]+)@(?P<start>-?\d+)|(?P<index>\d+))"
    r"(?:(?P<count>#)|\.\.(?P<last>-?\d+))?(?:/(?P<step>\d+))?(?:%(?P<limit>\d+))?"
)

# COMMAND INFO shows them in this order.
KEY_FLAGS: Final = (
    "RO", "RW", "OW", "RM", "access", "update", "insert", "delete", "not_key", "incomplete", "variable_flags",
)


class KeysError(Exception):
    """The arguments do not say which keys they name."""


@dataclass(frozen=True, slots=True)
class KeySpec:
    """One way in which a command's arguments name keys. `index` 0 and no keyword: unknown."""

    flags: tuple[str, ...]
    index: int = 0
    keyword: str | None = None
    start_from: int = 0
    counted: bool = False       # the first argument says how many keys follow
    last: int = 0               # relative to the first; negative: from the end
    step: int = 1
    limit: int = 0              # with `last` -1: only the n-th part of what is left

    @property
    def unknown(self) -> bool:
        return not self.index and self.keyword is None

    @property
    def simple(self) -> bool:
        """A plain range at a fixed place, which first/last/step can express."""
        return bool(self.index) and not self.counted and not self.limit and "incomplete" not in self.flags


@dataclass(frozen=True, slots=True)
class Key:
    """A key in a command line: at which argument it stands, and what is done with it."""

    index: int
    flags: tuple[str, ...]


def parse_key_specs(notation: str) -> tuple[KeySpec, ...]:
    """The key specs of a record; ValueError when the notation cannot be read."""
    return tuple(_parse_key_spec(part.split()) for part in notation.split(";") if part.strip())


def _parse_key_spec(words: list[str]) -> KeySpec:
    place, *flags = words
    unknown = set(flags) - set(KEY_FLAGS)
    if unknown:
        raise ValueError(f"key spec {' '.join(words)!r}: unknown flags {sorted(unknown)}")
    ordered = tuple(flag for flag in KEY_FLAGS if flag in flags)
    if place == "?":
        return KeySpec(ordered)
    match = _PLACE.fullmatch(place)
    if match is None:
        raise ValueError(f"key spec {' '.join(words)!r}: cannot read the place")
    return KeySpec(
        ordered, index=int(match["index"] or 0), keyword=match["keyword"], start_from=int(match["start"] or 0),
        counted=match["count"] is not None, last=int(match["last"] or 0), step=int(match["step"] or 1),
        limit=int(match["limit"] or 0),
    )


def legacy_range(specs: Sequence[KeySpec]) -> tuple[int, int, int]:
    """first key, last key and step as COMMAND INFO has shown them since 2.8.13; zeros when no plain range exists.

    Ranges that lie side by side (RENAME: 1 and 2) become one.
    """
    first = last = step = 0
    for spec in specs:
        if not spec.index or spec.counted:
            continue
        spec_last = spec.index + spec.last if spec.last >= 0 else spec.last
        if not first:
            first, last, step = spec.index, spec_last, spec.step
        elif spec.index == last + 1 and spec.step == step == 1:
            last = spec_last
    return first, last, step


def movable(specs: Sequence[KeySpec]) -> bool:
    """Whether first, last and step do not tell all keys."""
    return not all(spec.simple for spec in specs)


def plain_keys(specs: Sequence[KeySpec]) -> bool:
    """Whether `legacy_range` tells all keys, and nothing else."""
    return len(specs) == 1 and specs[0].simple and "not_key" not in specs[0].flags


def _key_count(argument: bytes) -> int | None:
    """A count of keys: strict decimal without sign or leading zero."""
    if not argument.isdigit() or len(argument) > 10 or (argument[:1] == b"0" and argument != b"0"):
        return None
    return int(argument)


def _places(spec: KeySpec, argv: Sequence[bytes], keys_required: bool) -> list[int] | None:
    """Indices of the spec's keys, None when the arguments contradict it."""
    first = spec.index
    if spec.keyword is not None:
        word = spec.keyword.encode()
        start = spec.start_from if spec.start_from > 0 else len(argv) + spec.start_from
        order = range(start, len(argv) - 1) if spec.start_from > 0 else range(start, 0, -1)
        first = next((i + 1 for i in order if i < len(argv) and argv[i].upper() == word), 0)
    if not 0 < first < len(argv):
        return None
    step = spec.step
    if spec.counted:
        count = _key_count(argv[first])
        first += 1
        if count is None or first + (count - 1) * step >= len(argv) or (count == 0 and keys_required):
            return None
        return list(range(first, first + count * step, step))
    last = first + spec.last
    if spec.last < 0:
        last = len(argv) + spec.last
        if spec.limit > 1:
            last = first + (last - first + 1) // spec.limit - 1
    if last >= len(argv) or last < first:
        return None
    return list(range(first, last + 1, step))


def _sort_keys(argv: Sequence[bytes]) -> list[Key] | None:
    """SORT: the key, and the destination behind the last STORE. Option values are skipped, so GET STORE is none."""
    skip = {b"LIMIT": 2, b"GET": 1, b"BY": 1}
    keys = [Key(1, ("RO", "access"))]
    store = 0
    i = 2
    while i < len(argv):
        word = argv[i].upper()
        if word == b"STORE" and i + 1 < len(argv):
            store = i + 1
            i += 1
        i += 1 + skip.get(word, 0)
    if store:
        keys.append(Key(store, ("OW", "update")))
    return keys


def _sort_ro_keys(argv: Sequence[bytes]) -> list[Key] | None:
    return [Key(1, ("RO", "access"))]


def _migrate_keys(argv: Sequence[bytes]) -> list[Key] | None:
    """MIGRATE: the third argument, or, when that is empty, all behind KEYS. Values of AUTH and AUTH2 are skipped."""
    flags = ("RW", "access", "delete")
    skip = {b"AUTH": 1, b"AUTH2": 2}
    i = 6
    while i < len(argv):
        word = argv[i].upper()
        if word == b"KEYS":
            if argv[3]:
                return None
            return [Key(place, flags) for place in range(i + 1, len(argv))] or [Key(3, flags)]
        i += 1 + skip.get(word, 0)
    return [Key(3, flags)]


def _set_keys(argv: Sequence[bytes]) -> list[Key] | None:
    """SET only writes, unless GET returns the value before."""
    reads = any(word.upper() == b"GET" for word in argv[3:])
    return [Key(1, ("RW", "access", "update") if reads else ("OW", "update"))]


def _bitfield_keys(argv: Sequence[bytes]) -> list[Key] | None:
    """BITFIELD with no SET and no INCRBY only reads."""
    arguments = {b"GET": 2, b"SET": 3, b"INCRBY": 3, b"OVERFLOW": 1}
    reads_only = True
    i = 2
    while i < len(argv):
        word = argv[i].upper()
        reads_only = reads_only and word in (b"GET", b"OVERFLOW")
        i += 1 + arguments.get(word, 0)
    return [Key(1, ("RO", "access") if reads_only else ("RW", "access", "update"))]


def _georadius_keys(argv: Sequence[bytes]) -> list[Key] | None:
    """GEORADIUS: the source, and the destination of the last STORE or STOREDIST."""
    start = 6 if argv[0].upper() == b"GEORADIUS" else 5
    keys = [Key(1, ("RO", "access"))]
    stores = [i for i in range(start, len(argv) - 1) if argv[i].upper() in (b"STORE", b"STOREDIST")]
    if stores:
        keys.append(Key(stores[-1] + 1, ("OW", "update")))
    return keys


_EXTRACTORS: Final[dict[str, Callable[[Sequence[bytes]], list[Key] | None]]] = {
    "SORT": _sort_keys,
    "SORT_RO": _sort_ro_keys,
    "MIGRATE": _migrate_keys,
    "SET": _set_keys,
    "BITFIELD": _bitfield_keys,
    "GEORADIUS": _georadius_keys,
    "GEORADIUSBYMEMBER": _georadius_keys,
}


def _loosely_counted_keys(specs: Sequence[KeySpec], argv: Sequence[bytes]) -> list[Key] | None:
    """The keys behind a count that is no strict number: the reference servers then read it as C's atoi does.

    They know no flags of these keys, and name a destination last.
    """
    spec = next((spec for spec in specs if spec.counted and spec.index and spec.step == 1), None)
    if spec is None:
        return None
    first = spec.index + 1
    count = leading_int(argv[spec.index])
    if not 1 <= count <= len(argv) - first:
        return None
    destinations = (other.index for other in specs if other.index and not other.counted)
    return [Key(place, ()) for place in (*range(first, first + count), *destinations)]


def extract_keys(name: str, specs: Sequence[KeySpec], argv: Sequence[bytes], *,
                 keys_required: bool = True) -> list[Key]:
    """The keys of the command line `argv` (name first), in the order in which they are named.

    `argv` must have passed the arity check. `keys_required` false: the command (EVAL) runs without keys too. Raises
    KeysError when the arguments contradict the command's specs.
    """
    extractor = _EXTRACTORS.get(name)
    if extractor is not None:
        special = extractor(argv)
        if special is None:
            raise KeysError(name)
        return special
    keys: list[Key] = []
    for spec in specs:
        if "not_key" in spec.flags or spec.unknown:
            continue
        places = _places(spec, argv, keys_required)
        if places is None:
            loose = _loosely_counted_keys(specs, argv)
            if loose is None:
                raise KeysError(name)
            return loose
        keys += [Key(place, spec.flags) for place in places]
    return keys
