"""Commands about replication that a primary serves: PSYNC, SYNC, REPLCONF; and ROLE."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ranvier.commands.numbers import integer
from ranvier.commands.words import option, shown
from ranvier.errors import CommandError
from ranvier.modes.replica import KNOWN_CAPABILITIES, ReplicaMode, mode_of
from ranvier.values import NoReply, Reply, Status

if TYPE_CHECKING:
    from ranvier.engine.client import ClientHandle

OK: Final = Status("OK")
SYNTAX_ERROR: Final = "ERR syntax error"
ADDRESS_CHARACTERS: Final = 255
VERSION: Final = re.compile(r"(\d{1,9})\.(\d{1,9})\.(\d{1,9})")
INTEGER: Final = re.compile(rb"-?\d{1,18}")


def psync(client: ClientHandle, args: list[bytes]) -> Reply:
    """PSYNC replication-id offset [FAILOVER]: everything, or what is lacking of a history."""
    if client.is_replica:
        return NoReply
    server = client.server
    if len(args) > 2 and option(args[2]) == b"FAILOVER":
        server.primary.take_over(client, shown(args[0]))
    server.primary.check_synchronization(client)
    offset = integer(args[1])
    server.primary.synchronize(client, shown(args[0]), offset)
    return NoReply


def sync(client: ClientHandle, args: list[bytes]) -> Reply:
    """SYNC: everything, as before there was PSYNC."""
    if client.is_replica:
        return NoReply
    client.server.primary.check_synchronization(client)
    mode_of(client).before_psync = True
    client.server.primary.synchronize(client, "?", -1)
    return NoReply


def replconf(client: ClientHandle, args: list[bytes]) -> Reply:
    """REPLCONF [option value] ...: a replica introduces itself, tells how far it is, or is asked for that."""
    if len(args) % 2:
        raise CommandError(SYNTAX_ERROR)
    for index in range(0, len(args), 2):
        name, value = option(args[index]), args[index + 1]
        if name == b"ACK":
            _acknowledge(client, args[index:])
            return NoReply
        if name == b"GETACK":
            client.server.acknowledge(client)
            return NoReply
        _introduce(mode_of(client), name, args[index], value)
    return OK


def _acknowledge(client: ClientHandle, words: list[bytes]) -> None:
    """ACK offset [FACK offset], which is never answered, whatever it holds."""
    if not client.is_replica or not INTEGER.fullmatch(words[1]):
        return
    on_disk = -1
    if len(words) > 3 and option(words[2]) == b"FACK" and INTEGER.fullmatch(words[3]):
        on_disk = int(words[3])
    client.server.primary.acknowledged(client, int(words[1]), on_disk)


def _introduce(mode: ReplicaMode, name: bytes, given_name: bytes, value: bytes) -> None:
    if name == b"LISTENING-PORT":
        mode.listening_port = integer(value)
    elif name == b"IP-ADDRESS":
        if len(value) > ADDRESS_CHARACTERS:
            raise CommandError(f"ERR REPLCONF ip-address provided by replica instance is too long: {len(value)} bytes")
        mode.address = shown(value)
    elif name == b"CAPA":
        mode.capabilities |= {shown(value).lower()} & KNOWN_CAPABILITIES
    elif name == b"VERSION":
        version = VERSION.match(shown(value))
        if version is None:
            raise CommandError(f"ERR Unrecognized version format: {shown(value)}")
        mode.version = tuple(int(part) for part in version.groups())
    elif name == b"RDB-ONLY":
        mode.snapshot_only = integer(value) == 1
    elif name == b"RDB-FILTER-ONLY":
        for word in value.split():
            if option(word) != b"FUNCTIONS":
                raise CommandError(f"ERR Unsupported rdb-filter-only option: {shown(word)}")
        mode.without_data = True
    else:
        raise CommandError(f"ERR Unrecognized REPLCONF option: {shown(given_name)}")


def role(client: ClientHandle, args: list[bytes]) -> Reply:
    """ROLE: the server's side of replication, how far it is, and who follows it."""
    reply: Reply = client.server.role()
    return reply
