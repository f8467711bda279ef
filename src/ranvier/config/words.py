"""Words of a configuration line: splitting with quotes and escapes, and quoting.

The rules are those of redis.conf and of inline requests: words are parted by white space; `"..."` knows \\n \\r \\t
\\b \\a, \\xHH and any other escaped character, `'...'` knows only \\'; quotes may begin inside a word and (as
Valkey 9 has it) end inside one. Text is str: a byte that is not UTF-8 travels as a surrogate escape, so any file
goes through unchanged.
"""

from __future__ import annotations

SPACES = " \n\r\t\v\f"
_HEXADECIMAL = frozenset("0123456789abcdefABCDEF")
_ESCAPES = {"n": b"\n", "r": b"\r", "t": b"\t", "b": b"\b", "a": b"\a"}
_QUOTED = {0x5C: "\\\\", 0x22: '\\"', 0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t", 0x07: "\\a", 0x08: "\\b"}


def encode(text: str) -> bytes:
    """The bytes that a configuration text stands for."""
    return text.encode("utf-8", "surrogateescape")


def decode(data: bytes) -> str:
    """The text of configuration bytes; `encode` gives the same bytes back."""
    return data.decode("utf-8", "surrogateescape")


def split(line: str) -> list[str] | None:
    """The words of a line; None if its quotes are not balanced."""
    words: list[str] = []
    position, end = 0, len(line)
    while True:
        while position < end and line[position] in SPACES:
            position += 1
        if position == end:
            return words
        word = bytearray()
        while position < end and line[position] not in SPACES:
            character = line[position]
            if character in "\"'":
                after = _quoted(line, position + 1, character, word)
                if after is None:
                    return None
                position = after
            else:
                word += encode(character)
                position += 1
        words.append(decode(bytes(word)))


def _quoted(line: str, position: int, quote_mark: str, word: bytearray) -> int | None:
    """Append a quoted part to `word`; the position after its closing quote, or None if there is none."""
    end = len(line)
    while position < end:
        character = line[position]
        if character == quote_mark:
            return position + 1
        if character == "\\" and position + 1 < end and (quote_mark == '"' or line[position + 1] == "'"):
            escaped = line[position + 1]
            digits = line[position + 2 : position + 4]
            if quote_mark == '"' and escaped == "x" and len(digits) == 2 and _HEXADECIMAL.issuperset(digits):
                word.append(int(digits, 16))
                position += 4
                continue
            word += encode(escaped) if quote_mark == "'" else _ESCAPES.get(escaped, encode(escaped))
            position += 2
            continue
        word += encode(character)
        position += 1
    return None


def quote(text: str) -> str:
    """The text as one word in double quotes, printable ASCII only; `split` gives it back."""
    parts = ['"']
    for byte in encode(text):
        if byte in _QUOTED:
            parts.append(_QUOTED[byte])
        elif 0x20 <= byte <= 0x7E:
            parts.append(chr(byte))
        else:
            parts.append(f"\\x{byte:02x}")
    parts.append('"')
    return "".join(parts)
