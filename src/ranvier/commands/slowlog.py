"""COMMANDLOG with its subcommands, and SLOWLOG, its older name for one of the three logs."""

from __future__ import annotations

from typing import Final

from ranvier.commands.numbers import integer
from ranvier.commands.surroundings import Client, Slowlog, SlowlogEntry
from ranvier.commands.words import c_string, shown
from ranvier.errors import CommandError
from ranvier.values import Reply, Status

DEFAULT_COUNT: Final = 10


LOG_ERROR: Final = "ERR type should be one of the following: slow, large-request, large-reply"
COUNT_ERROR: Final = "ERR count should be greater than or equal to -1"


def _entry(entry: SlowlogEntry) -> Reply:
    return [
        entry.id, entry.wall_seconds, entry.value, list(entry.args), entry.client_address.encode(),
        entry.client_name,
    ]


def slowlog_get(client: Client, args: list[bytes]) -> Reply:
    """SLOWLOG GET [count]: newest first, -1 for all."""
    if len(args) > 1:
        raise CommandError(
            f"ERR unknown subcommand or wrong number of arguments for '{shown(client.request_word(1))}'. "
            "Try SLOWLOG HELP."
        )
    count = integer(args[0], COUNT_ERROR, -1) if args else DEFAULT_COUNT
    return [_entry(entry) for entry in client.server.command_logs["slow"].newest(count)]


def slowlog_len(client: Client, args: list[bytes]) -> Reply:
    """SLOWLOG LEN"""
    return len(client.server.command_logs["slow"])


def slowlog_reset(client: Client, args: list[bytes]) -> Reply:
    """SLOWLOG RESET"""
    client.server.command_logs["slow"].reset()
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


# COMMANDLOG

def _log(client: Client, kind: bytes) -> Slowlog:
    log = client.server.command_logs.get(c_string(kind).decode("latin-1").lower())
    if log is None:
        raise CommandError(LOG_ERROR)
    return log


def commandlog_get(client: Client, args: list[bytes]) -> Reply:
    """COMMANDLOG GET count SLOW|LARGE-REQUEST|LARGE-REPLY: newest first, -1 for all."""
    count = integer(args[0], COUNT_ERROR, -1)
    return [_entry(entry) for entry in _log(client, args[1]).newest(count)]


def commandlog_len(client: Client, args: list[bytes]) -> Reply:
    """COMMANDLOG LEN SLOW|LARGE-REQUEST|LARGE-REPLY"""
    return len(_log(client, args[0]))


def commandlog_reset(client: Client, args: list[bytes]) -> Reply:
    """COMMANDLOG RESET SLOW|LARGE-REQUEST|LARGE-REPLY"""
    _log(client, args[0]).reset()
    return Status("OK")


_COMMANDLOG_HELP: Final = """COMMANDLOG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:
GET <count> <type>
    The newest <count> entries of a log (-1 for all), each as:
    id, Unix time, microseconds (slow) or bytes (large-request, large-reply),
    arguments, client address, client name.
LEN <type>
    How many entries a log has.
RESET <type>
    Forget a log's entries.
HELP
    Print this help."""


def commandlog_help(client: Client, args: list[bytes]) -> Reply:
    """COMMANDLOG HELP"""
    return [Status(line) for line in _COMMANDLOG_HELP.split("\n")]
