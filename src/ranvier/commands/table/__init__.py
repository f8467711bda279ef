"""The records of all commands, one file per group (`server` fills two); what Redis alone has stands in `redis_only`."""

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
    redis_only,
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
    *redis_only.COMMANDS,
    *scripting.COMMANDS,
    *sentinel.COMMANDS,
    *server.COMMANDS,
    *set.COMMANDS,
    *sorted_set.COMMANDS,
    *stream.COMMANDS,
    *string.COMMANDS,
    *transactions.COMMANDS,
)
