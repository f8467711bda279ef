"""Glob patterns over bytes as KEYS, SCAN, CONFIG GET and COMMAND LIST understand them, in bounded time.

`*` any bytes, `?` one byte, `[a-z]` and `[^a-z]` one of (or none of) a set, `\\` makes the next byte ordinary. What
is not finished is taken as it comes, as the reference servers do: a `[` without end closes at the pattern's end, a
final backslash stands for itself.

A pattern is cut at its stars. The pieces between two stars are found leftmost first, which is always right because a
piece's first match leaves most for the others; so the work is at most the pattern's length times the text's, however
many stars a peer sends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_STAR: Final = 0x2A
_ANY: Final = 0x3F
_OPEN: Final = 0x5B
_CLOSE: Final = 0x5D
_ESCAPE: Final = 0x5C
_NOT: Final = 0x5E
_RANGE: Final = 0x2D

# One byte of text: None takes any, an int this one, a set one of these.
_Item = int | frozenset[int] | None
_Piece = tuple[_Item, ...]


def _fold(byte: int) -> int:
    return byte + 32 if 0x41 <= byte <= 0x5A else byte


def _read_set(pattern: bytes, at: int, fold: bool) -> tuple[frozenset[int], int]:
    """The set whose `[` stands before `at`, and the offset behind its `]`."""
    negated = at < len(pattern) and pattern[at] == _NOT
    if negated:
        at += 1
    members: set[int] = set()
    while at < len(pattern) and pattern[at] != _CLOSE:
        if pattern[at] == _ESCAPE and at + 1 < len(pattern):
            members.add(pattern[at + 1])
            at += 2
        elif at + 2 < len(pattern) and pattern[at + 1] == _RANGE:
            low, high = sorted((pattern[at], pattern[at + 2]))
            members |= set(range(_fold(low), _fold(high) + 1)) if fold else set(range(low, high + 1))
            at += 3
        else:
            members.add(pattern[at])
            at += 1
    if fold:
        members = {_fold(byte) for byte in members}
    if negated:
        members = set(range(256)) - members
    return frozenset(members), at + 1


def _read_pieces(pattern: bytes, fold: bool) -> list[_Piece]:
    """The pieces between the stars: one more than there are runs of stars."""
    pieces: list[_Piece] = []
    piece: list[_Item] = []
    at = 0
    while at < len(pattern):
        byte = pattern[at]
        at += 1
        if byte == _STAR:
            pieces.append(tuple(piece))
            piece = []
            while at < len(pattern) and pattern[at] == _STAR:
                at += 1
        elif byte == _ANY:
            piece.append(None)
        elif byte == _OPEN:
            members, at = _read_set(pattern, at, fold)
            piece.append(members)
        else:
            if byte == _ESCAPE and at < len(pattern):
                byte = pattern[at]
                at += 1
            piece.append(_fold(byte) if fold else byte)
    pieces.append(tuple(piece))
    return pieces


def _fits(piece: _Piece, text: bytes, at: int) -> bool:
    """Whether `piece` matches at `at`; the text is long enough."""
    for item in piece:
        if item is not None and text[at] != item and (isinstance(item, int) or text[at] not in item):
            return False
        at += 1
    return True


def _literal(piece: _Piece) -> bytes | None:
    """The piece as bytes when it has no wildcard."""
    if all(isinstance(item, int) for item in piece):
        return bytes(item for item in piece if isinstance(item, int))
    return None


def _find(piece: _Piece, literal: bytes | None, text: bytes, start: int, end: int) -> int:
    """Where the piece first fits between `start` and `end`, or -1."""
    if literal is not None:
        return text.find(literal, start, end)
    return next((at for at in range(start, end - len(piece) + 1) if _fits(piece, text, at)), -1)


def compile_glob(pattern: bytes, ignore_case: bool = False) -> Callable[[bytes], bool]:
    """A function that tells whether a text matches `pattern`; `ignore_case` concerns ASCII letters."""
    pieces = _read_pieces(pattern, ignore_case)
    literals = [_literal(piece) for piece in pieces]
    shortest = sum(map(len, pieces))
    first, last = pieces[0], pieces[-1]

    def matches(text: bytes) -> bool:
        if ignore_case:
            text = text.lower()
        length = len(text)
        if not length:
            return pattern in (b"", b"*")       # the reference servers' matching does not begin: `**` is refused
        if length < shortest or not _fits(first, text, 0):
            return False
        if len(pieces) == 1:
            return length == shortest
        at, end = len(first), length - len(last)
        if not _fits(last, text, end):
            return False
        for piece, literal in zip(pieces[1:-1], literals[1:-1], strict=True):
            found = _find(piece, literal, text, at, end)
            if found < 0:
                return False
            at = found + len(piece)
        return True

    return matches


def glob_matches(pattern: bytes, text: bytes, ignore_case: bool = False) -> bool:
    """Whether `text` matches `pattern`; to ask more than once, keep what `compile_glob` returns."""
    return compile_glob(pattern, ignore_case)(text)
