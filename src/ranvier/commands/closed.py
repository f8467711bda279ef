"""CLIENT CLOSED: which connections the server has lost or ended lately, and why. No reference server has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ranvier.commands.numbers import integer
from ranvier.commands.words import option
from ranvier.errors import CommandError

if TYPE_CHECKING:
    from ranvier.engine.client import ClientHandle
    from ranvier.observe.closed import ClosedClient
    from ranvier.values import Reply

DEFAULT_COUNT: Final = 10


def _fields(entry: ClosedClient) -> dict[bytes, bytes | int]:
    """An entry under the names of CLIENT LIST."""
    return {
        b"id": entry.id,
        b"addr": entry.address.encode("utf-8", "surrogateescape"),
        b"laddr": entry.local_address.encode("utf-8", "surrogateescape"),
        b"name": entry.name,
        b"user": entry.user.encode("utf-8", "surrogateescape"),
        b"reason": entry.reason.encode(),
        b"time": entry.wall_ms,
        b"age": entry.age_seconds,
        b"idle": entry.idle_seconds,
        b"db": entry.database,
        b"cmd": entry.last_command.encode(),
        b"tot-cmds": entry.commands,
        b"tot-net-in": entry.input_bytes,
        b"tot-net-out": entry.output_bytes,
        b"dropped": entry.dropped_bytes,
    }


def client_closed(client: ClientHandle, args: list[bytes]) -> Reply:
    """CLIENT CLOSED [COUNT n]: the newest closes first, 10 unless said otherwise, -1 for all that are kept."""
    count = DEFAULT_COUNT
    if args:
        if len(args) != 2 or option(args[0]) != b"COUNT":
            raise CommandError("ERR syntax error")
        count = integer(args[1], "ERR count should be greater than or equal to -1", -1)
    return [_fields(entry) for entry in client.server.closed.newest(count)]
