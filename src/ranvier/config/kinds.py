"""The kinds of option values: how each is read, shown by CONFIG GET and written to a configuration file.

A kind is stateless. `parse` takes the words that followed the option's name and the value so far (some kinds change
only a part of it) and raises BadValue; its texts are those that Valkey 9.1.2 prints, because tools match them.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

from ranvier.config.words import encode, quote
from ranvier.limits import PROXY_NETWORKS

INT_MIN, INT_MAX = -(2**31), 2**31 - 1
LONG_MIN, LONG_MAX = -(2**63), 2**63 - 1
UINT_MAX, ULONG_MAX = 2**32 - 1, 2**64 - 1
PORT_MAX = 65535

BIND_ADDRESSES_MAX = 16
OOM_SCORE_MAX = 2000
NUL_IN_PATH = "a path cannot hold a NUL byte"

UNITS = {
    "": 1, "b": 1,
    "k": 1000, "kb": 1024,
    "m": 1000**2, "mb": 1024**2,
    "g": 1000**3, "gb": 1024**3,
}  # fmt: skip
_STRICT_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")
_MEMORY = re.compile(r"(-?)((?<!-)[0-9]{0,20}|[1-9][0-9]{0,19})([a-z]{0,2})", re.IGNORECASE)
_OCTAL = re.compile(r"-?[0-7]{1,8}")
_PERCENTILE = re.compile(r"[+-]?(inf|([0-9]{1,20}\.?[0-9]{0,40}|\.[0-9]{1,40})(e[+-]?[0-9]{1,2})?)", re.IGNORECASE)


class BadValue(Exception):
    """A value that its kind refuses; the text is the reason."""


class SavePoint(NamedTuple):
    """Snapshot when `changes` keys changed within `seconds`."""

    seconds: int
    changes: int


class OutputLimit(NamedTuple):
    """Reply memory of one client class: `hard_bytes` at once, `soft_bytes` for longer than `soft_seconds`; 0 = none."""

    hard_bytes: int
    soft_bytes: int
    soft_seconds: int


class OutputLimits(NamedTuple):
    """The three client classes of `client-output-buffer-limit`."""

    normal: OutputLimit
    replica: OutputLimit
    pubsub: OutputLimit


Value: TypeAlias = bool | int | str | tuple[str, ...] | tuple[SavePoint, ...] | OutputLimits


class Kind(Protocol):
    """What the option table needs of a kind. `many`: more than one word may follow the name."""

    @property
    def many(self) -> bool: ...

    def parse(self, words: Sequence[str], current: Value) -> Value:
        """Read the words of one directive; `current` is the value so far."""
        ...

    def show(self, value: Value) -> str:
        """The text of CONFIG GET."""
        ...

    def directive(self, value: Value) -> str:
        """What follows the option's name in a configuration file."""
        ...


@dataclass(frozen=True, slots=True)
class YesNo:
    """yes or no, in any case."""

    many: bool = False

    def parse(self, words: Sequence[str], current: Value) -> Value:
        word = words[0].lower()
        if word not in ("yes", "no"):
            raise BadValue("argument must be 'yes' or 'no'")
        return word == "yes"

    def show(self, value: Value) -> str:
        return "yes" if value else "no"

    def directive(self, value: Value) -> str:
        return self.show(value)


@dataclass(frozen=True, slots=True)
class Integer:
    """A decimal integer within a range; `clamp` narrows it silently where Valkey does so (hz)."""

    minimum: int
    maximum: int
    clamp: tuple[int, int] | None = None
    many: bool = False

    def parse(self, words: Sequence[str], current: Value) -> Value:
        text = words[0]
        if not _STRICT_INTEGER.fullmatch(text) or not LONG_MIN <= int(text) <= LONG_MAX:
            raise BadValue("argument couldn't be parsed into an integer")
        number = within(int(text), self.minimum, self.maximum)
        return min(max(number, self.clamp[0]), self.clamp[1]) if self.clamp else number

    def show(self, value: Value) -> str:
        return str(value)

    def directive(self, value: Value) -> str:
        return str(value)


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes, with kb/mb/gb (powers of 1024), k/m/g (powers of 1000), or `%`, which is kept as a negative number."""

    minimum: int
    maximum: int
    percent: bool = False
    many: bool = False

    def parse(self, words: Sequence[str], current: Value) -> Value:
        text = words[0]
        if self.percent and text.endswith("%"):
            digits = text[:-1]
            if not re.fullmatch(r"[0-9]{1,20}", digits):
                raise BadValue(self._reason())
            if int(digits) > 100:
                raise BadValue("percentage argument must be less or equal to 100")
            return -int(digits)
        match = _MEMORY.fullmatch(text)
        unit = UNITS.get(match.group(3).lower()) if match else None
        if match is None or unit is None or (match.group(1) and (self.minimum >= 0 or match.group(3))):
            raise BadValue(self._reason())
        size = int(match.group(2) or "0") * unit
        if size > ULONG_MAX:
            raise BadValue(self._reason())
        return within(-size if match.group(1) else size, self.minimum, self.maximum)

    def _reason(self) -> str:
        return "argument must be a memory or percent value" if self.percent else "argument must be a memory value"

    def show(self, value: Value) -> str:
        number = integer(value)
        return f"{-number}%" if self.percent and number < 0 else str(number)

    def directive(self, value: Value) -> str:
        number = integer(value)
        return self.show(value) if self.percent and number < 0 else memory_text(number)


@dataclass(frozen=True, slots=True)
class Octal:
    """File permissions, 0 to 777."""

    many: bool = False

    def parse(self, words: Sequence[str], current: Value) -> Value:
        text = words[0] or "0"
        if not _OCTAL.fullmatch(text):
            raise BadValue("argument couldn't be parsed as an octal number")
        number = int(text, 8)
        if not 0 <= number <= 0o777:
            raise BadValue("argument must be between 0 and 777 inclusive")
        return number

    def show(self, value: Value) -> str:
        return f"{integer(value):o}"

    def directive(self, value: Value) -> str:
        return self.show(value)


class Enumeration:
    """One of a few words, in any case; shown as spelled in the table."""

    __slots__ = ("words",)
    many = False

    def __init__(self, *words: str) -> None:
        self.words = words

    def parse(self, words: Sequence[str], current: Value) -> Value:
        return chosen(words[0], self.words)

    def show(self, value: Value) -> str:
        return str(value)

    def directive(self, value: Value) -> str:
        return str(value)


class ShutdownFlags:
    """A set of words out of a few, the first of which means none of the others (shutdown-on-sigterm)."""

    __slots__ = ("words",)
    many = True

    def __init__(self, *words: str) -> None:
        self.words = words

    def parse(self, words: Sequence[str], current: Value) -> Value:
        found = {chosen(word, self.words) for word in words} if words else {chosen("", self.words)}
        if {"save", "nosave"} <= found:
            raise BadValue("shutdown options SAVE and NOSAVE can't be used simultaneously")
        return tuple(word for word in self.words[1:] if word in found)

    def show(self, value: Value) -> str:
        return " ".join(strings(value)) or self.words[0]

    def directive(self, value: Value) -> str:
        return self.show(value)


class Text:
    """Any text; `pattern` and `length_max` (in bytes), each with its refusal, narrow it."""

    __slots__ = ("length_max", "pattern", "refusal", "too_long")
    many = False

    def __init__(self, pattern: str = "", refusal: str = "", length_max: int = 0, too_long: str = "") -> None:
        self.pattern = re.compile(pattern, re.DOTALL) if pattern else None
        self.refusal = refusal
        self.length_max = length_max
        self.too_long = too_long

    def parse(self, words: Sequence[str], current: Value) -> Value:
        if self.length_max and len(encode(words[0])) > self.length_max:
            raise BadValue(self.too_long)
        if self.pattern is not None and not self.pattern.fullmatch(words[0]):
            raise BadValue(self.refusal)
        return words[0]

    def show(self, value: Value) -> str:
        return str(value)

    def directive(self, value: Value) -> str:
        return quote(str(value))


@dataclass(frozen=True, slots=True)
class FileName:
    """A name within a directory: the option's own `name` and `what` it is (filename, dirname) stand in the refusals."""

    name: str
    what: str = "filename"
    many: bool = False

    def parse(self, words: Sequence[str], current: Value) -> Value:
        if not words[0]:
            raise BadValue(f"{self.name} can't be empty")
        if "/" in words[0] or "\0" in words[0]:
            raise BadValue(f"{self.name} can't be a path, just a {self.what}")
        return words[0]

    def show(self, value: Value) -> str:
        return str(value)

    def directive(self, value: Value) -> str:
        return quote(str(value))


@dataclass(frozen=True, slots=True)
class Directory:
    """An existing directory that may be written to, kept absolute; relative to the one before it."""

    many: bool = False

    def parse(self, words: Sequence[str], current: Value) -> Value:
        if not words[0]:
            raise BadValue("dir can't be empty")
        if "\0" in words[0]:
            raise BadValue(NUL_IN_PATH)
        path = os.path.abspath(os.path.join(str(current), words[0]))
        if not os.path.isdir(path):
            raise BadValue(os.strerror(errno.ENOTDIR if os.path.exists(path) else errno.ENOENT))
        if not os.access(path, os.W_OK | os.X_OK):
            raise BadValue(os.strerror(errno.EACCES))
        return path

    def show(self, value: Value) -> str:
        return str(value)

    def directive(self, value: Value) -> str:
        return quote(str(value))


@dataclass(frozen=True, slots=True)
class Address:
    """Empty, or one numeric IP address of the given version (4 or 6)."""

    version: int
    many: bool = False

    def parse(self, words: Sequence[str], current: Value) -> Value:
        if words[0]:
            try:
                address = ipaddress.ip_address(words[0])
            except ValueError:
                raise BadValue(f"Invalid IPv{self.version} address") from None
            if address.version != self.version:
                raise BadValue(f"Invalid IPv{self.version} address")
        return words[0]

    def show(self, value: Value) -> str:
        return str(value)

    def directive(self, value: Value) -> str:
        return quote(str(value))


@dataclass(frozen=True, slots=True)
class Addresses:
    """The list of addresses to listen on; a leading `-` makes one optional, one empty word is an empty list."""

    many: bool = True

    def parse(self, words: Sequence[str], current: Value) -> Value:
        if len(words) > BIND_ADDRESSES_MAX:
            raise BadValue("Too many bind addresses specified.")
        return () if list(words) == [""] else tuple(words)

    def show(self, value: Value) -> str:
        return " ".join(strings(value))

    def directive(self, value: Value) -> str:
        return self.show(value) or '""'


@dataclass(frozen=True, slots=True)
class Networks:
    """A list of IP networks in CIDR notation, or single addresses; one empty word is an empty list."""

    many: bool = True

    def parse(self, words: Sequence[str], current: Value) -> Value:
        if list(words) == [""]:
            return ()
        if len(words) > PROXY_NETWORKS:
            raise BadValue(f"at most {PROXY_NETWORKS} networks are allowed")
        for word in words:
            try:
                ipaddress.ip_network(word)
            except ValueError as error:
                raise BadValue(f"not a network in CIDR notation: {error}") from None
        return tuple(words)

    def show(self, value: Value) -> str:
        return " ".join(strings(value))

    def directive(self, value: Value) -> str:
        return self.show(value) or '""'


@dataclass(frozen=True, slots=True)
class SavePoints:
    """Pairs of seconds and changes; an empty word clears them. The caller decides what they are added to."""

    many: bool = True

    def parse(self, words: Sequence[str], current: Value) -> Value:
        if not words or list(words) == [""]:
            return ()
        numbers = [int(word) if _STRICT_INTEGER.fullmatch(word) else -1 for word in words]
        points = tuple(SavePoint(*pair) for pair in zip(numbers[::2], numbers[1::2], strict=False))
        refused = [point for point in points if point.seconds < 1 or point.changes < 0]
        if len(numbers) % 2 or refused or max(numbers) > INT_MAX:
            raise BadValue("Invalid save parameters")
        return (*save_points(current), *points)

    def show(self, value: Value) -> str:
        return " ".join(f"{point.seconds} {point.changes}" for point in save_points(value))

    def directive(self, value: Value) -> str:
        return self.show(value) or '""'


@dataclass(frozen=True, slots=True)
class ClientOutputLimits:
    """Groups of class, hard limit, soft limit and soft seconds; a class that is not named keeps its limits."""

    many: bool = True

    def parse(self, words: Sequence[str], current: Value) -> Value:
        if len(words) % 4 or list(words) == [""]:
            raise BadValue("Wrong number of arguments in buffer limit configuration.")
        limits = output_limits(current)
        for start in range(0, len(words), 4):
            name, hard, soft, seconds = words[start : start + 4]
            name = name.lower()
            name = "replica" if name == "slave" else name
            if name not in OutputLimits._fields:
                raise BadValue("Invalid client class specified in buffer limit configuration.")
            limits = limits._replace(**{name: self._limit(hard, soft, seconds)})
        return limits

    def _limit(self, hard: str, soft: str, seconds: str) -> OutputLimit:
        memory = Memory(0, ULONG_MAX)
        try:
            hard_bytes, soft_bytes = integer(memory.parse([hard], 0)), integer(memory.parse([soft], 0))
            soft_seconds = integer(Integer(0, INT_MAX).parse([seconds], 0))
        except BadValue:
            raise BadValue("Error in hard, soft or soft_seconds setting in buffer limit configuration.") from None
        return OutputLimit(hard_bytes, soft_bytes, soft_seconds)

    def show(self, value: Value) -> str:
        limits = output_limits(value)
        named = (("normal", limits.normal), ("slave", limits.replica), ("pubsub", limits.pubsub))
        return " ".join(f"{name} {limit[0]} {limit[1]} {limit[2]}" for name, limit in named)

    def directive(self, value: Value) -> str:
        parts = []
        for name, limit in zip(OutputLimits._fields, output_limits(value), strict=True):
            parts.append(f"{name} {memory_text(limit[0])} {memory_text(limit[1])} {limit[2]}")
        return " ".join(parts)


@dataclass(frozen=True, slots=True)
class EventClasses:
    """The letters of notify-keyspace-events, kept in canonical order, with `A` for all that it stands for."""

    all_classes: str = "g$lshzxetd"
    more_classes: str = "nKEm"
    many: bool = False

    def parse(self, words: Sequence[str], current: Value) -> Value:
        letters = set(words[0])
        if letters - set(f"A{self.all_classes}{self.more_classes}"):
            raise BadValue("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")
        if "A" in letters or letters >= set(self.all_classes):
            return "A" + "".join(letter for letter in "KEmn" if letter in letters)
        return "".join(letter for letter in f"{self.all_classes}{self.more_classes}" if letter in letters)

    def show(self, value: Value) -> str:
        return str(value)

    def directive(self, value: Value) -> str:
        return quote(str(value))


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Percentiles of INFO latencystats, 0 to 100, shown with at most six decimals."""

    many: bool = True

    def parse(self, words: Sequence[str], current: Value) -> Value:
        if not words or list(words) == [""]:
            return ()
        shown = []
        for word in words:
            if not _PERCENTILE.fullmatch(word):
                raise BadValue("Invalid latency-tracking-info-percentiles parameters")
            if not 0.0 <= float(word) <= 100.0:
                raise BadValue("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]")
            shown.append(f"{float(word):.6f}".rstrip("0").rstrip("."))
        return tuple(shown)

    def show(self, value: Value) -> str:
        return " ".join(strings(value))

    def directive(self, value: Value) -> str:
        return self.show(value) or '""'


@dataclass(frozen=True, slots=True)
class OomScores:
    """Three adjustments of the kernel's out-of-memory score: primary, replica, child."""

    many: bool = True

    def parse(self, words: Sequence[str], current: Value) -> Value:
        if len(words) != 3:
            raise BadValue("wrong number of arguments")
        for word in words:
            if not _STRICT_INTEGER.fullmatch(word) or abs(int(word)) > OOM_SCORE_MAX:
                raise BadValue("Invalid oom-score-adj-values, elements must be between -2000 and 2000.")
        return tuple(words)

    def show(self, value: Value) -> str:
        return " ".join(strings(value))

    def directive(self, value: Value) -> str:
        return self.show(value)


@dataclass(frozen=True, slots=True)
class PrimaryAddress:
    """`replicaof host port`, or `no one`."""

    many: bool = True

    def parse(self, words: Sequence[str], current: Value) -> Value:
        if len(words) != 2:
            raise BadValue("wrong number of arguments")
        if [word.lower() for word in words] == ["no", "one"]:
            return ()
        if not _STRICT_INTEGER.fullmatch(words[1]) or not 0 <= int(words[1]) <= PORT_MAX:
            raise BadValue("Invalid primary port")
        return tuple(words)

    def show(self, value: Value) -> str:
        return " ".join(strings(value))

    def directive(self, value: Value) -> str:
        return self.show(value) or "no one"


def within(number: int, minimum: int, maximum: int) -> int:
    """The number, if it is in the range (both ends included)."""
    if not minimum <= number <= maximum:
        raise BadValue(f"argument must be between {minimum} and {maximum} inclusive")
    return number


def chosen(word: str, words: Sequence[str]) -> str:
    """The table's spelling of an enumeration word."""
    for candidate in words:
        if candidate.lower() == word.lower():
            return candidate
    raise BadValue(f"argument(s) must be one of the following: {', '.join(words)}")


def memory_text(size_bytes: int) -> str:
    """Bytes as a configuration file says them: with the largest unit that divides them."""
    for unit in ("gb", "mb", "kb"):
        if size_bytes and size_bytes % UNITS[unit] == 0:
            return f"{size_bytes // UNITS[unit]}{unit}"
    return str(size_bytes)


def integer(value: Value) -> int:
    """The value as the int that its kind keeps."""
    if not isinstance(value, int):
        raise TypeError(f"not an integer: {value!r}")
    return value


def strings(value: Value) -> tuple[str, ...]:
    """The value as the words that its kind keeps."""
    if not isinstance(value, tuple):
        raise TypeError(f"not words: {value!r}")
    return tuple(str(item) for item in value)


def save_points(value: Value) -> tuple[SavePoint, ...]:
    """The value of `save`."""
    if not isinstance(value, tuple):
        raise TypeError(f"not save points: {value!r}")
    return tuple(item for item in value if isinstance(item, SavePoint))


def output_limits(value: Value) -> OutputLimits:
    """The value of `client-output-buffer-limit`."""
    if not isinstance(value, OutputLimits):
        raise TypeError(f"not output limits: {value!r}")
    return value
