"""Commands on the server and on whole databases."""

from __future__ import annotations

import re
from typing import Final

from ranvier import __version__
from ranvier.commands.numbers import database_index, integer
from ranvier.commands.surroundings import Client
from ranvier.commands.words import option, shown
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


# DEBUG

_NUMBER: Final = re.compile(rb"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")

_DEBUG_HELP: Final = """DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:
OBJECT <key>
    How the value of <key> is kept.
SET-ACTIVE-EXPIRE <0|1>
    Switch the cycle that deletes expired keys which nobody asks for.
SLEEP <seconds>
    Stop everything for so long; fractions are allowed.
TURNS
    How many turns of the loop took how much processor time: the least number of
    microseconds in powers of two, and the turns up to the next one.
HELP
    Print this help."""


def _leading_number(argument: bytes) -> float:
    """What the argument begins with as a number, else 0: the reference servers read it so."""
    match = _NUMBER.match(argument)
    return float(match[0]) if match is not None else 0.0


def _debug_object(client: Client, key: bytes) -> Reply:
    database = client.database
    encoding = database.encoding(key)
    if encoding is None:
        raise CommandError("ERR no such key")
    # An estimate in memory, where the reference servers give the length of the saved form.
    length = database.memory_usage(key) or 0
    idle = database.idle_seconds(key) or 0
    clock = (client.server.clock.wall_ms() // 1000 - idle) & 0xFFFFFF
    return Status(
        f"Value at:0x0 refcount:1 encoding:{encoding} serializedlength:{length} lru:{clock} lru_seconds_idle:{idle}"
    )


def debug(client: Client, args: list[bytes]) -> Reply:
    """DEBUG SLEEP seconds | OBJECT key | SET-ACTIVE-EXPIRE 0|1 | TURNS | HELP"""
    match option(args[0]), args[1:]:
        case b"SLEEP", [seconds]:
            client.server.sleep(max(0.0, _leading_number(seconds)))
        case b"OBJECT", [key] | [key, _]:
            return _debug_object(client, key)
        case b"SET-ACTIVE-EXPIRE", [active]:
            client.server.set_active_expire(_leading_number(active) != 0)
        case b"TURNS", []:
            return {b"%d" % lowest: turns for lowest, turns in client.server.engine.turn_histogram().items()}
        case b"HELP", []:
            return [Status(line) for line in _DEBUG_HELP.split("\n")]
        case _:
            raise CommandError(
                f"ERR unknown subcommand or wrong number of arguments for '{shown(args[0][:128])}'. Try DEBUG HELP."
            )
    return OK


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
