"""Secrets in command lines, taken out before a line is shown in MONITOR, the slow log or a server log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

REDACTED: Final = b"(redacted)"

# Options whose values CONFIG SET must not show.
SECRET_OPTIONS: Final = frozenset({
    b"requirepass", b"masterauth", b"primaryauth", b"masteruser", b"primaryuser", b"tls-key-file-pass",
    b"tls-client-key-file-pass",
})


# Commands whose arguments can be secrets, by full name.
SECRET_COMMANDS: Final = frozenset({"acl|setuser", "auth", "config|set", "hello", "migrate"})


def _secret_places(argv: Sequence[bytes]) -> list[int]:
    """Indices of the arguments that hold secrets."""
    name = argv[0].upper()
    subcommand = argv[1].upper() if len(argv) > 1 else b""
    if name == b"AUTH":
        return list(range(1, len(argv)))
    if name == b"ACL" and subcommand == b"SETUSER":
        return list(range(2, len(argv)))
    if name == b"CONFIG" and subcommand == b"SET":
        return [i + 1 for i in range(2, len(argv) - 1, 2) if argv[i].lower() in SECRET_OPTIONS]
    behind = {b"HELLO": {b"AUTH": 2}, b"MIGRATE": {b"AUTH": 1, b"AUTH2": 2}}.get(name, {})
    return [
        place
        for i in range(1, len(argv))
        for place in range(i + 1, i + 1 + behind.get(argv[i].upper(), 0))
    ]


def redact(argv: Sequence[bytes]) -> list[bytes]:
    """The command line (name first) with `(redacted)` in place of passwords and of the users they belong to."""
    shown = list(argv)
    if shown:
        for place in _secret_places(argv):
            if place < len(shown):
                shown[place] = REDACTED
    return shown
