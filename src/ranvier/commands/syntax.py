"""The notation of command arguments in the command table, read into the trees that COMMAND DOCS shows.

    key@0 value [condition(NX | XX)] [GET^6.2.0] [expiration(EX seconds:integer | KEEPTTL^6.0.0)]

- `name` is an argument, a string unless a type follows: `seconds:integer`. Types are those of COMMAND DOCS.
- `name@0` is touched by key spec 0; it is a key unless it has a type.
- `WORD`, or `"="`, is a token. Before an argument it introduces it (`EX seconds:integer`); alone, or before a comma, it
  is an argument of its own, named like the word in lower case or as `equal="="` says.
- `name(a b)` is a block, `name(a | b)` a choice.
- `[...]` makes its one argument optional. Behind an argument `...` means that it repeats, and behind its token that
  the token repeats as well: `GET... pattern...`.
- `name<shown as>` has a display text of its own. `^6.2.0` is the version that brought it, `^^2.8.12` the version that
  deprecated it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

_LEXEME: Final = re.compile(
    r'\s*(?:(?P<repeat>\.\.\.)|(?P<mark>[\[\](),|])|(?P<quoted>"[^"]*")|(?P<token>[A-Z][A-Z0-9-]*)'
    r"|(?P<name>[a-z][a-z0-9-]*)(?P<assign>=)?|:(?P<type>[a-z-]+)|@(?P<index>\d+)|<(?P<display>[^>]*)>"
    r"|\^\^(?P<deprecated>\d+(?:\.\d+)*)|\^(?P<since>\d+(?:\.\d+)*))"
)


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a command, as COMMAND DOCS describes it."""

    name: str
    type: str
    token: str | None = None
    display: str | None = None
    key_spec_index: int | None = None
    since: str | None = None
    deprecated_since: str | None = None
    optional: bool = False
    multiple: bool = False
    multiple_token: bool = False
    arguments: tuple[Argument, ...] = ()


class _Reader:
    """Recursive descent over the lexemes of one notation."""

    def __init__(self, notation: str) -> None:
        self.notation = notation
        self.lexemes: list[tuple[str, str]] = []
        self.at = 0
        place = 0
        text = notation.rstrip()
        while place < len(text):
            match = _LEXEME.match(text, place)
            if match is None:
                raise ValueError(f"argument notation {notation!r}: cannot read {text[place:place + 20]!r}")
            place = match.end()
            kind = match.lastgroup or ""
            if kind == "assign":
                self.lexemes += [("name", match["name"]), ("assign", "=")]
            else:
                self.lexemes.append((kind, match[kind]))

    def kind(self) -> str:
        """What stands next: a lexeme's kind, the character itself for marks, "" at the end."""
        if self.at == len(self.lexemes):
            return ""
        kind, text = self.lexemes[self.at]
        return text if kind == "mark" else kind

    def take(self, kind: str) -> str | None:
        """The next lexeme's text if it is of that kind."""
        if self.kind() != kind:
            return None
        self.at += 1
        return self.lexemes[self.at - 1][1]

    def expect(self, kind: str) -> None:
        if self.take(kind) is None:
            raise ValueError(f"argument notation {self.notation!r}: {kind} missing at lexeme {self.at}")

    def sequence(self) -> tuple[tuple[Argument, ...], bool]:
        """Arguments up to the end or a closing bracket, and whether `|` stood between them."""
        arguments: list[Argument] = []
        choice = False
        while self.kind() not in ("", ")", "]"):
            if self.take(",") is not None:
                continue
            if self.take("|") is not None:
                choice = True
                continue
            arguments.append(self.argument())
        return tuple(arguments), choice

    def argument(self) -> Argument:
        if self.take("[") is not None:
            argument = self.argument()
            self.expect("]")
            return replace(argument, optional=True)
        token = self.token()
        multiple_token = token is not None and self.take("repeat") is not None
        name = self.take("name")
        if token is not None and name is not None and self.kind() == "assign":
            self.at -= 1        # the name belongs to the next token: `MAXLEN equal="="`
            name = None
        if name is None:
            if token is None:
                raise ValueError(f"argument notation {self.notation!r}: argument missing at lexeme {self.at}")
            return self.suffixes(Argument(token.lower(), "pure-token", token))
        if token is None and self.take("assign") is not None:
            token = self.token()
            if token is None:
                raise ValueError(f"argument notation {self.notation!r}: token missing behind {name}=")
            return self.suffixes(Argument(name, "pure-token", token))
        if self.take("(") is not None:
            inner, choice = self.sequence()
            self.expect(")")
            kind = "oneof" if choice else "block"
            return self.suffixes(Argument(name, kind, token, multiple_token=multiple_token, arguments=inner))
        return self.suffixes(Argument(name, "", token, multiple_token=multiple_token))

    def token(self) -> str | None:
        quoted = self.take("quoted")
        return self.take("token") if quoted is None else quoted[1:-1]

    def suffixes(self, argument: Argument) -> Argument:
        kind = self.take("type") or argument.type
        index = self.take("index")
        if not kind:
            kind = "string" if index is None else "key"
        return replace(
            argument, type=kind, key_spec_index=None if index is None else int(index), display=self.take("display"),
            since=self.take("since"), deprecated_since=self.take("deprecated"),
            multiple=self.take("repeat") is not None,
        )


def parse_arguments(notation: str) -> tuple[Argument, ...]:
    """The arguments that `notation` (see the head of this file) describes; ValueError when it cannot be read."""
    reader = _Reader(notation)
    arguments, choice = reader.sequence()
    if choice or reader.kind():
        raise ValueError(f"argument notation {notation!r}: unexpected {reader.kind() or '|'!r} at the top")
    return arguments
