"""Commands on keys of any type. Those that programs send often (DEL, EXPIRE, TTL, ...) are native."""

from __future__ import annotations

from typing import Final

from ranvier.commands.numbers import cursor, integer, named_database
from ranvier.commands.surroundings import EVENT_GENERIC, Client
from ranvier.commands.words import c_string, option, shown
from ranvier.errors import CommandError
from ranvier.keyspace.glob import compile_glob
from ranvier.values import Reply, Status

OK: Final = Status("OK")

SAME_OBJECT: Final = "ERR source and destination objects are the same"

# As TYPE names them.
TYPE_NAMES: Final = frozenset({"string", "list", "set", "zset", "hash", "stream"})

# KEYS walks the whole table anyway; a large step keeps the number of calls into the engine down.
KEYS_STEP: Final = 1000


def keys(client: Client, args: list[bytes]) -> Reply:
    """KEYS pattern"""
    matches = None if args[0] == b"*" else compile_glob(args[0])
    found: list[bytes] = []
    position = 0
    while True:
        # Nothing may change between the steps, or a key could be seen twice: expired keys stay where they are.
        position, some = client.database.scan(position, KEYS_STEP, delete_expired=False)
        found += some if matches is None else filter(matches, some)
        if position == 0:
            return found


def scan(client: Client, args: list[bytes]) -> Reply:
    """SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]: options may repeat, the last one counts."""
    position = cursor(args[0])
    count = 10
    pattern = b"*"
    type_name: str | None = None
    for i in range(1, len(args), 2):
        value = args[i + 1] if i + 1 < len(args) else None
        match option(args[i]):
            case b"NOVALUES":
                raise CommandError("ERR NOVALUES option can only be used in HSCAN")
            case b"NOSCORES":
                raise CommandError("ERR NOSCORES option can only be used in ZSCAN")
            case _ if value is None:
                raise CommandError("ERR syntax error")
            case b"COUNT":
                count = integer(value)
                if count < 1:
                    raise CommandError("ERR syntax error")
            case b"MATCH":
                pattern = value
            case b"TYPE":
                type_name = c_string(value).decode("latin-1").lower()
                if type_name not in TYPE_NAMES:
                    raise CommandError(f"ERR unknown type name '{shown(value)}'")
            case _:
                raise CommandError("ERR syntax error")
    position, found = client.database.scan(position, count, type_name)
    if pattern != b"*":
        found = list(filter(compile_glob(pattern), found))
    return [b"%d" % position, found]


def randomkey(client: Client, args: list[bytes]) -> Reply:
    """RANDOMKEY"""
    return client.database.random_key()


def touch(client: Client, args: list[bytes]) -> Reply:
    """TOUCH key [key ...]"""
    return sum(client.database.touch(key, always=True) for key in args)


def rename(client: Client, args: list[bytes]) -> Reply:
    """RENAME key newkey"""
    source, target = args
    if not client.database.exists(source):
        raise CommandError("ERR no such key")
    if source != target:
        _rename(client, source, target)
    return OK


def renamenx(client: Client, args: list[bytes]) -> Reply:
    """RENAMENX key newkey"""
    source, target = args
    if not client.database.exists(source):
        raise CommandError("ERR no such key")
    if source == target or client.database.exists(target):
        return 0
    _rename(client, source, target)
    return 1


def _rename(client: Client, source: bytes, target: bytes) -> None:
    client.database.rename(source, target)
    client.changed(source, "rename_from", EVENT_GENERIC)
    client.changed(target, "rename_to", EVENT_GENERIC)


def copy(client: Client, args: list[bytes]) -> Reply:
    """COPY source destination [DB destination-db] [REPLACE]"""
    source, target = args[:2]
    database = client.database
    replace = False
    options = iter(args[2:])
    for argument in options:
        word = option(argument)
        if word == b"REPLACE":
            replace = True
        elif word == b"DB" and (number := next(options, None)) is not None:
            database = named_database(client, number)
        else:
            raise CommandError("ERR syntax error")
    if database.index == client.database.index and source == target:
        raise CommandError(SAME_OBJECT)
    if not client.database.touch(source) or (not replace and database.exists(target)):
        return 0
    client.database.copy_to(database, source, target)
    client.changed(target, "copy_to", EVENT_GENERIC, database_index=database.index)
    return 1


def move(client: Client, args: list[bytes]) -> Reply:
    """MOVE key db"""
    key = args[0]
    database = named_database(client, args[1])
    if database.index == client.database.index:
        raise CommandError(SAME_OBJECT)
    if not client.database.move_to(database, key):
        return 0
    client.changed(key, "move_from", EVENT_GENERIC)
    client.changed(key, "move_to", EVENT_GENERIC, database_index=database.index)
    return 1


# OBJECT: looking counts as a hit or a miss, but not as using

def object_encoding(client: Client, args: list[bytes]) -> Reply:
    """OBJECT ENCODING key"""
    encoding = client.database.encoding(args[0]) if client.database.look_up(args[0]) else None
    return None if encoding is None else encoding.encode()


def object_refcount(client: Client, args: list[bytes]) -> Reply:
    """OBJECT REFCOUNT key: values are never shared between keys."""
    return 1 if client.database.look_up(args[0]) else None


def object_idletime(client: Client, args: list[bytes]) -> Reply:
    """OBJECT IDLETIME key"""
    if not client.database.look_up(args[0]):
        return None
    if client.server.lfu:
        raise CommandError(
            "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between "
            "policies at runtime LRU and LFU data will take some time to adjust."
        )
    return client.database.idle_seconds(args[0])


def object_freq(client: Client, args: list[bytes]) -> Reply:
    """OBJECT FREQ key"""
    if not client.database.look_up(args[0]):
        return None
    if not client.server.lfu:
        raise CommandError(
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when "
            "switching between policies at runtime LRU and LFU data will take some time to adjust."
        )
    return client.database.frequency(args[0])


_OBJECT_HELP: Final = """OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:
ENCODING <key>
    How the value of <key> is kept in memory.
FREQ <key>
    The access counter of <key>, which grows with the logarithm of its use
    (LFU policies only).
IDLETIME <key>
    Seconds since <key> was last used.
REFCOUNT <key>
    How many references the value of <key> has: always 1.
HELP
    Print this help."""


def object_help(client: Client, args: list[bytes]) -> Reply:
    """OBJECT HELP"""
    return [Status(line) for line in _OBJECT_HELP.split("\n")]
