"""What a command returns when a plain Python value does not say which reply it becomes.

int, bytes, None, list, dict, set, float and bool stand for themselves; a dict becomes a map in RESP3 and a flat array
of its keys and values in RESP2, in its own order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any, Final, TypeAlias


class Status(str):
    """A simple string: `Status("OK")` is `+OK`. The text holds no CR or LF."""

    __slots__ = ()


class Verbatim:
    """Text with a format of three letters: a verbatim string in RESP3, a bulk string in RESP2."""

    __slots__ = ("format", "text")

    def __init__(self, text: str | bytes, format: str = "txt") -> None:
        self.text: Final = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
        self.format: Final = format

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Verbatim) and (self.text, self.format) == (other.text, other.format)

    def __hash__(self) -> int:
        return hash((self.text, self.format))

    def __repr__(self) -> str:
        return f"Verbatim({self.text!r}, {self.format!r})"


class PlainDouble(float):
    """A double in plain notation, with at most 17 digits behind the point: a coordinate.

    A double in RESP3, a bulk string in RESP2, as any float.
    """

    __slots__ = ()

    def __bytes__(self) -> bytes:
        digits = b"%.17f" % self
        digits = digits.rstrip(b"0").rstrip(b".")
        return b"0" if digits == b"-0" else digits


class NullArrayType:
    """The type of `NullArray`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "NullArray"


# `*-1` in RESP2, where None would be `$-1`; RESP3 has one null.
NullArray: Final = NullArrayType()


class NoReplyType:
    """The type of `NoReply`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "NoReply"


# The command answers nothing (SHUTDOWN that succeeds).
NoReply: Final = NoReplyType()


class Push(list[Any]):
    """An out-of-band message: a push in RESP3, an array in RESP2."""

    __slots__ = ()


class WithPush:
    """A reply, and a push that leaves behind it, and behind all of EXEC's. Only for clients of RESP3."""

    __slots__ = ("push", "reply")

    def __init__(self, reply: Reply, push: bytes) -> None:
        self.reply: Final = reply
        self.push: Final = push             # as it goes over the wire


class Attributed:
    """A reply with attributes in front of it: RESP2 has the reply alone."""

    __slots__ = ("attributes", "reply")

    def __init__(self, attributes: Mapping[Any, Reply], reply: Reply) -> None:
        self.attributes: Final = attributes
        self.reply: Final = reply


class BigNumber(int):
    """An integer of any size: a big number in RESP3, a bulk string in RESP2."""

    __slots__ = ()


class Pairs(list[tuple[Any, Any]]):
    """A map whose keys repeat or cannot be hashed: a map in RESP3, a flat array in RESP2."""

    __slots__ = ()


class Members(list[Any]):
    """A set in its own order, which a Python set would lose: a set in RESP3, an array in RESP2."""

    __slots__ = ()


# A plain str is refused on purpose: it does not say whether it is a bulk or a simple string. Sequence and Mapping stand
# for list, tuple and dict because those are invariant in what they hold.
Reply: TypeAlias = (
    "int | bytes | float | bool | Status | Verbatim | NullArrayType | NoReplyType | WithPush | Attributed"
    " | Sequence[Reply] | Mapping[Any, Reply] | Set[Any] | None"
)
