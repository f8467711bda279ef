"""The records of all commands, one file per group (the group `server` fills two)."""

from typing import Final

from ranvier.commands.spec import Command
from ranvier.commands.table import (
    bitmap,
    cluster,
    connection,
    generic,
    geo,
    hash,
    hyperloglog,
    introspection,
    list,
    pubsub,
    scripting,
    sentinel,
    server,
    set,
    sorted_set,
    stream,
    string,
    transactions,
)

ALL: Final[tuple[Command, ...]] = (
    *bitmap.COMMANDS,
    *cluster.COMMANDS,
    *connection.COMMANDS,
    *generic.COMMANDS,
    *geo.COMMANDS,
    *hash.COMMANDS,
    *hyperloglog.COMMANDS,
    *introspection.COMMANDS,
    *list.COMMANDS,
    *pubsub.COMMANDS,
    *scripting.COMMANDS,
    *sentinel.COMMANDS,
    *server.COMMANDS,
    *set.COMMANDS,
    *sorted_set.COMMANDS,
    *stream.COMMANDS,
    *string.COMMANDS,
    *transactions.COMMANDS,
)
