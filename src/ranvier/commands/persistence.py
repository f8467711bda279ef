"""Commands on the files that a server keeps."""

from __future__ import annotations

from typing import Final

from ranvier.commands.surroundings import Client
from ranvier.commands.words import option
from ranvier.errors import CommandError
from ranvier.values import Reply, Status

OK: Final = Status("OK")
STARTED: Final = Status("Background saving started")
SCHEDULED: Final = Status("Background saving scheduled")
CANCELLED: Final = Status("Background saving cancelled")
SCHEDULED_CANCELLED: Final = Status("Scheduled background saving cancelled")


def save(client: Client, args: list[bytes]) -> Reply:
    """SAVE"""
    client.server.snapshots.save_command()
    return OK


def background_save(client: Client, args: list[bytes]) -> Reply:
    """BGSAVE [SCHEDULE|CANCEL]"""
    word = option(args[0]) if len(args) == 1 else b""
    if args and word not in (b"SCHEDULE", b"CANCEL"):
        raise CommandError("ERR syntax error")
    if word == b"CANCEL":
        return CANCELLED if client.server.snapshots.cancel_command() else SCHEDULED_CANCELLED
    started = client.server.snapshots.background_command(schedule=bool(args), wait=client.deny_blocking)
    return STARTED if started else SCHEDULED


def rewrite_append_only(client: Client, args: list[bytes]) -> Reply:
    """BGREWRITEAOF"""
    return Status(client.server.append_only.rewrite_command())


def last_save(client: Client, args: list[bytes]) -> Reply:
    """LASTSAVE"""
    return client.server.snapshots.last_save_seconds
