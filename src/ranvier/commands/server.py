"""Commands on the server and on whole databases."""

from __future__ import annotations

from typing import Final

from ranvier import __version__
from ranvier.commands.numbers import database_index, integer
from ranvier.commands.surroundings import Client
from ranvier.commands.words import option
from ranvier.errors import CommandError
from ranvier.limits import DRAWING_SIDE
from ranvier.values import NoReply, Reply, Status, Verbatim

OK: Final = Status("OK")
SYNTAX_ERROR: Final = "ERR syntax error"


def time(client: Client, args: list[bytes]) -> Reply:
    """TIME: seconds and microseconds."""
    seconds, milliseconds = divmod(client.server.clock.wall_ms(), 1000)
    return [b"%d" % seconds, b"%d" % (milliseconds * 1000)]


# Databases

def dbsize(client: Client, args: list[bytes]) -> Reply:
    """DBSIZE"""
    return len(client.database)


def _check_flush_mode(args: list[bytes]) -> None:
    """Either mode is fast: what a database held is freed in slices between turns."""
    if args and (len(args) > 1 or option(args[0]) not in (b"ASYNC", b"SYNC")):
        raise CommandError(SYNTAX_ERROR)


def flushdb(client: Client, args: list[bytes]) -> Reply:
    """FLUSHDB [ASYNC|SYNC]"""
    _check_flush_mode(args)
    # Before the keys are gone: those who watch must be able to see which of theirs exist.
    client.database_changed(client.database.index, "flushdb")
    client.database.flush()
    return OK


def flushall(client: Client, args: list[bytes]) -> Reply:
    """FLUSHALL [ASYNC|SYNC]"""
    _check_flush_mode(args)
    for database in client.server.engine.databases:
        client.database_changed(database.index, "flushdb")
        database.flush()
    return OK


def swapdb(client: Client, args: list[bytes]) -> Reply:
    """SWAPDB index1 index2"""
    first = integer(args[0], "ERR invalid first DB index", -2**31, 2**31 - 1)
    second = integer(args[1], "ERR invalid second DB index", -2**31, 2**31 - 1)
    for argument in args:
        database_index(client, argument)
    if first != second:
        databases = client.server.engine.databases
        client.database_changed(first, "swapdb", second)
        client.database_changed(second, "swapdb", first)
        databases[first].swap_with(databases[second])
    return OK


# SHUTDOWN

_SHUTDOWN_WORDS: Final = frozenset({b"SAVE", b"NOSAVE", b"NOW", b"FORCE", b"SAFE", b"FAILOVER", b"ABORT"})


def shutdown(client: Client, args: list[bytes]) -> Reply:
    """SHUTDOWN [NOSAVE|SAVE] [NOW] [FORCE] [SAFE] [FAILOVER] or SHUTDOWN ABORT: no reply when it works."""
    words = {option(arg) for arg in args}
    if words - _SHUTDOWN_WORDS or {b"SAVE", b"NOSAVE"} <= words or (b"ABORT" in words and len(words) > 1):
        raise CommandError(SYNTAX_ERROR)
    if b"ABORT" in words:
        if not client.server.abort_shutdown():
            raise CommandError("ERR No shutdown in progress.")
        return OK
    save = True if b"SAVE" in words else False if b"NOSAVE" in words else None
    if client.deny_blocking and b"NOW" not in words:
        raise CommandError("ERR SHUTDOWN without NOW or ABORT isn't allowed for DENY BLOCKING client")
    client.server.shutdown(
        client, save=save, now=b"NOW" in words, force=b"FORCE" in words, safe=b"SAFE" in words,
        failover=b"FAILOVER" in words,
    )
    return NoReply


# LOLWUT

LOLWUT_COLUMNS: Final = 66
LOLWUT_ROWS: Final = 9

# The course of an action potential: rise over the threshold, the spike, the undershoot, rest. Fractions of the height.
_POTENTIAL: Final = (0.15, 0.15, 0.2, 0.3, 0.55, 0.9, 1.0, 0.8, 0.45, 0.15, 0.0, 0.0, 0.05, 0.1, 0.15, 0.15)


def _draw(columns: int, rows: int) -> str:
    """A nerve fibre with its sheath and nodes, and above it the signal that jumps from node to node."""
    lines = []
    heights = [round(_POTENTIAL[x % len(_POTENTIAL)] * (rows - 1)) for x in range(columns)]
    for row in range(rows - 1, -1, -1):
        lines.append("".join("*" if height == row else " " for height in heights).rstrip())
    at_node = [x % len(_POTENTIAL) == 6 for x in range(columns)]
    sheath = "".join(" " if node else "~" for node in at_node)
    fibre = "".join("+" if node else "=" for node in at_node)
    return "\n".join([*lines, sheath, fibre, sheath])


def lolwut(client: Client, args: list[bytes]) -> Reply:
    """LOLWUT [VERSION version] [columns rows]: all versions draw the same."""
    if args and args[0].upper() == b"VERSION":
        if len(args) < 2:
            raise CommandError("ERR Syntax error. Use: LOLWUT [columns rows]")
        integer(args[1])
        args = args[2:]
    sizes = [integer(arg, "ERR Syntax error. Use: LOLWUT [columns rows]") for arg in args]
    columns = min(max(sizes[0] if sizes else LOLWUT_COLUMNS, 1), DRAWING_SIDE)
    rows = min(max(sizes[1] if len(sizes) > 1 else LOLWUT_ROWS, 1), DRAWING_SIDE)
    return Verbatim(f"{_draw(columns, rows)}\n\nA signal jumps from node to node. Ranvier ver. {__version__}\n")
