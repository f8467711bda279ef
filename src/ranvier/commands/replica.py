"""Commands that make a replica or a primary of this server: REPLICAOF, SLAVEOF, FAILOVER."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ranvier.commands.numbers import integer
from ranvier.commands.words import option, shown
from ranvier.errors import CommandError
from ranvier.values import Reply, Status

if TYPE_CHECKING:
    from ranvier.engine.client import ClientHandle

OK: Final = Status("OK")
SYNTAX_ERROR: Final = "ERR syntax error"
PORT_MAXIMUM: Final = 65535


def replicaof(client: ClientHandle, args: list[bytes]) -> Reply:
    """REPLICAOF host port | NO ONE; SLAVEOF is the same."""
    server = client.server
    if server.replica_side.failover.goes_on:
        raise CommandError("ERR REPLICAOF not allowed while failing over.")
    if [option(word) for word in args] == [b"NO", b"ONE"]:
        server.replica_side.lead_for(client)
        return OK
    if client.is_replica:
        raise CommandError("ERR Command is not valid when client is a replica.")
    port = integer(args[1], "ERR Invalid master port", 0, PORT_MAXIMUM)
    if server.replica_side.follow_for(shown(args[0]), port, client):
        return OK
    return Status("OK Already connected to specified master")


def failover(client: ClientHandle, args: list[bytes]) -> Reply:
    """FAILOVER [TO host port [FORCE]] [ABORT] [TIMEOUT milliseconds]"""
    words = [option(word) for word in args]
    if words == [b"ABORT"]:
        client.server.replica_side.failover.abort()
        return OK
    target: tuple[str, int] | None = None
    timeout_ms = 0
    force = False
    while words:
        if words[0] == b"TIMEOUT" and len(words) > 1 and timeout_ms == 0:
            timeout_ms = integer(args[1])
            if timeout_ms <= 0:
                raise CommandError("ERR FAILOVER timeout must be greater than 0")
            taken = 2
        elif words[0] == b"TO" and len(words) > 2 and target is None:
            target = (shown(args[1]), integer(args[2]))
            taken = 3
        elif words[0] == b"FORCE" and not force:
            force = True
            taken = 1
        else:
            raise CommandError(SYNTAX_ERROR)
        del words[:taken]
        args = args[taken:]
    client.server.replica_side.failover.begin(target, timeout_ms, force)
    return OK
