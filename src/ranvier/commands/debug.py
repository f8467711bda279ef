"""DEBUG: what operators and test suites look into and switch. It needs enable-debug-command."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Final

from ranvier.commands.numbers import integer
from ranvier.commands.surroundings import Client
from ranvier.commands.words import c_string, option, shown
from ranvier.engine.modes.glob import matches
from ranvier.engine.types import rdb_handle
from ranvier.engine.types.list_handle import listpack_decode
from ranvier.errors import CommandError
from ranvier.keyspace import contents, digest
from ranvier.values import Attributed, BigNumber, Members, Pairs, Reply, Status, Verbatim, WithPush

OK: Final = Status("OK")
NO_SUCH_KEY: Final = "ERR no such key"

PACKED_THRESHOLD_LIMIT_BYTES: Final = 2**32
GLOB_TESTS: Final = 20_000
MATCH_LENGTH_MAXIMUM: Final = 2**26     # characters that STRINGMATCH-LEN matches at most
SLOTS_PER_BUCKET: Final = 7             # items that a home bucket holds before it gets another one

_NUMBER: Final = re.compile(rb"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_SIZE: Final = re.compile(rb"([0-9]*)(|b|k|kb|m|mb|g|gb)", re.IGNORECASE)
_UNITS: Final = {b"": 1, b"b": 1, b"k": 1000, b"kb": 1024, b"m": 1000**2, b"mb": 1024**2, b"g": 1000**3, b"gb": 1024**3}

_HELP: Final = """DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:
DIGEST
    A digest of the whole data set, as Valkey calculates it: equal data, equal
    digest.
DIGEST-VALUE <key> [<key> ...]
    The digest of each value; zeros for a key that does not exist.
ERROR <text>
    Answer <text> as an error.
HTSTATS <dbid> [full]
    The hash tables of a database in figures.
HTSTATS-KEY <key> [full]
    The hash table of a value.
LISTPACK <key>
    Print the elements of a listpack to the standard output.
LOADAOF
    Load the append-only file in place of the data set.
LOG <message>
    Write <message> to the log.
OBJECT <key> [fast]
    How the value of <key> is kept; `fast` leaves the saved length out.
POPULATE <count> [<prefix>] [<size>]
    Make the strings <prefix>:0 and so on ("key" unless said otherwise), of
    <size> bytes. Keys that exist are left alone; nothing is propagated.
PROTOCOL <type>
    Answer with an example of a type of reply: string, integer, double, bignum,
    null, array, set, map, attrib, push, verbatim, true or false.
QUICKLIST <key> [<0|1>]
    Print the nodes of a quicklist, and with 1 their elements, to the standard
    output.
QUICKLIST-PACKED-THRESHOLD <size>
    From how many bytes on an element has a node of its own; 0: as soon as it
    does not fit into a listpack.
RELOAD [option ...]
    Save a snapshot and load it in place of the data set. NOSAVE: the snapshot
    that there is. NOFLUSH: the data set stays, and a key of the snapshot that
    it has is an error, or with MERGE takes its place.
SET-ACTIVE-EXPIRE <0|1>
    Switch the cycle that deletes expired keys which nobody asks for.
SET-SKIP-CHECKSUM-VALIDATION <0|1>
    With 1, RESTORE does not look at checksums.
SLEEP <seconds>
    Stop everything for so long; fractions are allowed.
STRINGMATCH-LEN <length> <pattern>
    Match <pattern> with a text of <length> letters "a".
STRINGMATCH-TEST
    Match random patterns with random texts.
TURNS
    How many turns of the loop took how much processor time: the least number of
    microseconds in powers of two, and the turns up to the next one.
CLIENT-ENFORCE-REPLY-LIST <0|1>, DICT-RESIZING <0|1>,
HASHTABLE-CAN-ABORT-SHRINK <0|1>, REPLYBUFFER PEAK-RESET-TIME <time>,
REPLYBUFFER RESIZING <0|1>
    Accepted for test suites, and without effect: Ranvier has no such parts.
HELP
    Print this help."""


def _leading_number(argument: bytes) -> float:
    """What the argument begins with as a number, else 0: the reference servers read it so."""
    match = _NUMBER.match(argument)
    return float(match[0]) if match is not None else 0.0


def _encoding(client: Client, key: bytes) -> str:
    encoding = client.database.encoding(key)
    if encoding is None:
        raise CommandError(NO_SUCH_KEY)
    return encoding


def _object(client: Client, key: bytes, fast: bool) -> Reply:
    database = client.database
    encoding = _encoding(client, key)
    text = f"Value at:0x0 refcount:1 encoding:{encoding}"
    if not fast:
        saved = rdb_handle.save(database, key, client.server.compresses)
        text += f" serializedlength:{len(saved[1]) - 1 if saved is not None else 0}"
    idle = database.idle_seconds(key) or 0
    clock = (client.server.clock.wall_ms() // 1000 - idle) & 0xFFFFFF
    text += f" lru:{clock} lru_seconds_idle:{idle}"
    if encoding == "quicklist":
        value = contents.handle(database, key, "list")
        text += f" ql_nodes:{value.node_count} ql_avg_node:{len(value) / value.node_count:.2f}"
        text += f" ql_listpack_max:{client.server.list_pack_size} ql_compressed:0"
        if not fast:
            text += f" ql_uncompressed_size:{sum(len(block) for _, block in value.blocks())}"
    return Status(text)


def _listpack(client: Client, key: bytes) -> Reply:
    if _encoding(client, key) != "listpack":
        raise CommandError("ERR Not a listpack encoded object.")
    saved = rdb_handle.save(client.database, key, compress=False)
    kind = client.database.type_name(key)
    if kind == "list":
        (_, block), = contents.handle(client.database, key, kind).blocks()
        print("\n".join(map(repr, listpack_decode(block))), flush=True)
    elif saved is not None:
        print(repr(saved[1]), flush=True)
    return Status("Listpack structure printed on stdout")


def _quicklist(client: Client, key: bytes, full: bool) -> Reply:
    if _encoding(client, key) != "quicklist":
        raise CommandError("ERR Not a quicklist encoded object.")
    for plain, block in contents.handle(client.database, key, "list").blocks():
        print(f"{'plain' if plain else 'listpack'} of {len(block)} bytes", flush=True)
        if full:
            print("\n".join(map(repr, [block] if plain else listpack_decode(block))), flush=True)
    return Status("Quicklist structure printed on stdout")


def _packed_threshold(client: Client, size: bytes) -> Reply:
    match = _SIZE.fullmatch(c_string(size))
    if match is None or int(match[1] or 0) * _UNITS[match[2].lower()] >= PACKED_THRESHOLD_LIMIT_BYTES:
        raise CommandError("ERR argument must be a memory value bigger than 1 and smaller than 4gb")
    client.server.set_list_plain_bytes(int(match[1] or 0) * _UNITS[match[2].lower()])
    return OK


def _table_figures(size: int, entries: int) -> str:
    return "" if not entries else (
        f"Hash table 0 stats (main hash table):\n table size: {size}\n number of entries: {entries}\n"
        " rehashing index: -1\n"
    )


def _table_statistics(client: Client, number: bytes) -> Reply:
    index = integer(number)
    databases = client.server.engine.databases
    if not 0 <= index < len(databases):
        raise CommandError("ERR Out of range database")
    database = databases[index]
    keys, volatile = len(database), database.volatile_count
    return Verbatim(
        f"[Dictionary HT]\n{_table_figures(database.buckets * SLOTS_PER_BUCKET, keys)}"
        f"[Expires HT]\n{_table_figures(volatile, volatile)}"
    )


def _key_statistics(client: Client, key: bytes) -> Reply:
    if _encoding(client, key) not in ("hashtable", "skiplist"):
        raise CommandError("ERR The value stored at the specified key is not represented using an hash table")
    size = len(contents.handle(client.database, key, client.database.type_name(key) or ""))
    return Verbatim(_table_figures(size, size))


def _populate(client: Client, arguments: list[bytes]) -> Reply:
    database = client.database
    count, size = (
        integer(number, "ERR value is out of range, must be positive", 0)
        for number in (arguments[0], arguments[2] if len(arguments) > 2 else b"0")
    )
    prefix = arguments[1] if len(arguments) > 1 else b"key"
    for number in range(count):
        key = b"%b:%d" % (prefix, number)
        if not database.exists(key):
            value = b"value:%d" % number
            database.set(key, value if not size else value[:size].ljust(size, b"\0"))
    return OK


def _reload(client: Client, words: list[bytes]) -> Reply:
    options = {option(word) for word in words}
    if not options <= {b"MERGE", b"NOFLUSH", b"NOSAVE"}:
        raise CommandError("ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.")
    client.server.snapshots.reload_command(
        save=b"NOSAVE" not in options, flush=b"NOFLUSH" not in options, merge=b"MERGE" in options
    )
    return OK


def _load_append_only(client: Client, words: list[bytes]) -> Reply:
    client.server.append_only.reload_command()
    return OK


def _match_at_random() -> Reply:
    choose = random.Random(1)
    for _ in range(GLOB_TESTS):
        pattern, text = (bytes(choose.choices(b"*?[]^-\\ab\x00\xff", k=choose.randrange(1, 32))) for _ in range(2))
        matches(pattern, text)
    return Status("Apparently the server did not crash: test passed")


def _digest(client: Client, arguments: list[bytes]) -> Reply:
    return Status(digest.data_digest(client.server.engine.databases, client.server.clock.wall_ms()).decode())


def _digest_values(client: Client, arguments: list[bytes]) -> Reply:
    now_ms = client.server.clock.wall_ms()
    return [Status(digest.value_digest(client.database, key, now_ms).decode()) for key in arguments]


def _error(client: Client, arguments: list[bytes]) -> Reply:
    raise CommandError(arguments[0].decode("utf-8", "surrogateescape"))


def _sleep(client: Client, arguments: list[bytes]) -> Reply:
    client.server.sleep(max(0.0, _leading_number(arguments[0])))
    return OK


def _set_active_expire(client: Client, arguments: list[bytes]) -> Reply:
    client.server.set_active_expire(_leading_number(arguments[0]) != 0)
    return OK


def _skip_checksums(client: Client, arguments: list[bytes]) -> Reply:
    client.server.skip_checksums = _leading_number(arguments[0]) != 0
    return OK


def _turns(client: Client, arguments: list[bytes]) -> Reply:
    return {b"%d" % lowest: turns for lowest, turns in client.server.engine.turn_histogram().items()}


# What PROTOCOL answers; a type without a reply in RESP2 is refused there.
_EXAMPLES: Final[dict[bytes, Reply]] = {
    b"STRING": b"Hello World",
    b"INTEGER": 12345,
    b"DOUBLE": 3.141,
    b"BIGNUM": BigNumber(1234567999999999999999999999999999999),
    b"NULL": None,
    b"ARRAY": [0, 1, 2],
    b"SET": Members([0, 1, 2]),
    b"MAP": Pairs([(0, False), (1, True), (2, False)]),
    b"ATTRIB": Attributed({b"key-popularity": [b"key:123", 90]}, b"Some real reply following the attribute"),
    b"PUSH": WithPush(b"Some real reply following the push reply", b">2\r\n$16\r\nserver-cpu-usage\r\n:42\r\n"),
    b"VERBATIM": Verbatim("This is a verbatim\nstring"),
    b"TRUE": True,
    b"FALSE": False,
}


def _protocol(client: Client, arguments: list[bytes]) -> Reply:
    kind = option(arguments[0])
    if kind not in _EXAMPLES:
        raise CommandError(
            "ERR Wrong protocol type name. Please use one of the following: "
            "string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false"
        )
    if kind == b"PUSH" and client.protocol == 2:
        raise CommandError("ERR RESP2 is not supported by this command")
    return _EXAMPLES[kind]


def _log(client: Client, arguments: list[bytes]) -> Reply:
    client.server.log_for(shown(arguments[0]))
    return OK


def _match_length(client: Client, arguments: list[bytes]) -> Reply:
    length = integer(arguments[0], "ERR value is out of range, must be positive", 0, MATCH_LENGTH_MAXIMUM)
    return int(matches(arguments[1], b"a" * length))


def _reply_buffer(client: Client, arguments: list[bytes]) -> Reply:
    what = option(arguments[0])
    if what == b"PEAK-RESET-TIME":
        if option(arguments[1]) not in (b"NEVER", b"RESET"):
            integer(arguments[1])
    elif what != b"RESIZING":
        raise _unknown(client.request_word(1))
    return OK


def _unknown(name: bytes) -> CommandError:
    return CommandError(
        f"ERR unknown subcommand or wrong number of arguments for '{shown(name[:128])}'. Try DEBUG HELP."
    )


Subcommand = Callable[[Client, list[bytes]], Reply]

# By name: the fewest and the most arguments, and what it does.
_SUBCOMMANDS: Final[dict[bytes, tuple[int, int | None, Subcommand]]] = {
    b"CLIENT-ENFORCE-REPLY-LIST": (1, 1, lambda client, arguments: OK),
    b"DICT-RESIZING": (1, 1, lambda client, arguments: OK),
    b"DIGEST": (0, 0, _digest),
    b"DIGEST-VALUE": (0, None, _digest_values),
    b"ERROR": (1, 1, _error),
    b"HASHTABLE-CAN-ABORT-SHRINK": (1, 1, lambda client, arguments: OK),
    b"HELP": (0, 0, lambda client, arguments: [Status(line) for line in _HELP.split("\n")]),
    b"HTSTATS": (1, 2, lambda client, arguments: _table_statistics(client, arguments[0])),
    b"HTSTATS-KEY": (1, 2, lambda client, arguments: _key_statistics(client, arguments[0])),
    b"LISTPACK": (1, 1, lambda client, arguments: _listpack(client, arguments[0])),
    b"LOADAOF": (0, 0, _load_append_only),
    b"LOG": (1, 1, _log),
    b"OBJECT": (1, 2, lambda client, arguments: _object(client, arguments[0], option(arguments[-1]) == b"FAST")),
    b"POPULATE": (1, 3, _populate),
    b"PROTOCOL": (1, 1, _protocol),
    b"QUICKLIST": (1, 2, lambda client, arguments: _quicklist(client, arguments[0], arguments[1:] == [b"1"])),
    b"QUICKLIST-PACKED-THRESHOLD": (1, 1, lambda client, arguments: _packed_threshold(client, arguments[0])),
    b"RELOAD": (0, None, _reload),
    b"REPLYBUFFER": (2, 2, _reply_buffer),
    b"SET-ACTIVE-EXPIRE": (1, 1, _set_active_expire),
    b"SET-SKIP-CHECKSUM-VALIDATION": (1, 1, _skip_checksums),
    b"SLEEP": (1, 1, _sleep),
    b"STRINGMATCH-LEN": (2, 2, _match_length),
    b"STRINGMATCH-TEST": (0, 0, lambda client, arguments: _match_at_random()),
    b"TURNS": (0, 0, _turns),
}


def debug(client: Client, args: list[bytes]) -> Reply:
    """DEBUG subcommand ..."""
    found = _SUBCOMMANDS.get(option(args[0]))
    arguments = args[1:]
    if found is None or len(arguments) < found[0] or (found[1] is not None and len(arguments) > found[1]):
        raise _unknown(args[0])
    return found[2](client, arguments)
