"""SLOWLOG and its subcommands."""

from __future__ import annotations

from typing import Final

from ranvier.commands.numbers import integer
from ranvier.commands.surroundings import Client, SlowlogEntry
from ranvier.commands.words import shown
from ranvier.errors import CommandError
from ranvier.values import Reply, Status

DEFAULT_COUNT: Final = 10


def _entry(entry: SlowlogEntry) -> Reply:
    return [
        entry.id, entry.wall_seconds, entry.duration_usec, list(entry.args), entry.client_address.encode(),
        entry.client_name,
    ]


def slowlog_get(client: Client, args: list[bytes]) -> Reply:
    """SLOWLOG GET [count]: newest first, -1 for all."""
    if len(args) > 1:
        raise CommandError(
            f"ERR unknown subcommand or wrong number of arguments for '{shown(client.request_word(1))}'. "
            "Try SLOWLOG HELP."
        )
    count = integer(args[0], "ERR count should be greater than or equal to -1", -1) if args else DEFAULT_COUNT
    return [_entry(entry) for entry in client.server.slowlog.newest(count)]


def slowlog_len(client: Client, args: list[bytes]) -> Reply:
    """SLOWLOG LEN"""
    return len(client.server.slowlog)


def slowlog_reset(client: Client, args: list[bytes]) -> Reply:
    """SLOWLOG RESET"""
    client.server.slowlog.reset()
    return Status("OK")


_HELP: Final = """SLOWLOG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:
GET [<count>]
    The newest entries (10 unless <count> says otherwise, -1 for all), each as:
    id, Unix time, microseconds, arguments, client address, client name.
LEN
    How many entries there are.
RESET
    Forget all entries.
HELP
    Print this help."""


def slowlog_help(client: Client, args: list[bytes]) -> Reply:
    """SLOWLOG HELP"""
    return [Status(line) for line in _HELP.split("\n")]
