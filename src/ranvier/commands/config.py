"""CONFIG: the handlers behind the configuration that the server holds.

Option names and values are text in the configuration, bytes on the wire; what is not UTF-8 goes through unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ranvier.errors import CommandError
from ranvier.values import Status

HELP = (
    "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GET <pattern> [<pattern> ...]",
    "    The options whose names match, with their values.",
    "SET <option> <value> [<option> <value> ...]",
    "    Change options at once: all of them, or none if one is refused.",
    "RESETSTAT",
    "    Set the counters of INFO back to zero.",
    "REWRITE",
    "    Write the present values to the configuration file.",
    "HELP",
    "    Print this help.",
)

LOCAL_ADDRESSES = ("127.", "[::1]")  # of peers whom `enable-protected-configs local` trusts


class Settings(Protocol):
    """What the handlers need of the configuration (`ranvier.config.options.Configuration`)."""

    def match(self, patterns: Sequence[str]) -> list[tuple[str, str]]: ...

    def set(self, pairs: Sequence[tuple[str, str]], target: object, local: bool = False) -> None: ...

    def rewrite(self) -> None: ...


class Owner(Protocol):
    """What the handlers need of the server."""

    @property
    def configuration(self) -> Settings: ...

    def reset_statistics(self) -> None: ...


class Caller(Protocol):
    """What the handlers need of the client."""

    @property
    def address(self) -> str: ...

    @property
    def unix_socket(self) -> bool: ...

    @property
    def server(self) -> Owner: ...


def config_get(client: Caller, args: list[bytes]) -> dict[bytes, bytes]:
    """CONFIG GET pattern ..."""
    found = client.server.configuration.match([_text(pattern) for pattern in args])
    return {_bytes(name): _bytes(text) for name, text in found}


def config_set(client: Caller, args: list[bytes]) -> Status:
    """CONFIG SET name value ..."""
    if len(args) % 2:
        raise CommandError("ERR syntax error")
    words = [_text(argument) for argument in args]
    pairs = list(zip(words[::2], words[1::2], strict=True))
    server = client.server
    server.configuration.set(pairs, server, local=client.unix_socket or client.address.startswith(LOCAL_ADDRESSES))
    return Status("OK")


def config_rewrite(client: Caller, args: list[bytes]) -> Status:
    """CONFIG REWRITE"""
    client.server.configuration.rewrite()
    return Status("OK")


def config_resetstat(client: Caller, args: list[bytes]) -> Status:
    """CONFIG RESETSTAT"""
    client.server.reset_statistics()
    return Status("OK")


def config_help(client: Caller, args: list[bytes]) -> list[Status]:
    """CONFIG HELP"""
    return [Status(line) for line in HELP]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
