"""COMMAND and its subcommands: what clients may know of the command table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from ranvier.commands import BoundCommand
from ranvier.commands.keys import Key, KeysError, KeySpec, extract_keys
from ranvier.commands.spec import ACL_CATEGORIES, Command
from ranvier.commands.surroundings import Client
from ranvier.commands.syntax import Argument
from ranvier.commands.words import option
from ranvier.errors import CommandError
from ranvier.keyspace.glob import compile_glob
from ranvier.values import Members, Pairs, Reply, Status

Commands = Mapping[bytes, BoundCommand]


def _find(commands: Commands, name: bytes) -> BoundCommand | None:
    """The command called `get`, or `client|id`, in any case."""
    container, _, subcommand = name.lower().partition(b"|")
    found = commands.get(container)
    return found.subcommands.get(subcommand) if found is not None and subcommand else found


def _all_names(commands: Commands) -> Iterable[BoundCommand]:
    for bound in commands.values():
        yield bound
        yield from bound.subcommands.values()


# COMMAND INFO

def _key_spec(spec: KeySpec) -> dict[bytes, Reply]:
    begin: dict[bytes, Reply]
    find: dict[bytes, Reply]
    if spec.unknown:
        kinds, begin, find = (b"unknown", b"unknown"), {}, {}
    else:
        if spec.keyword is not None:
            begin = {b"keyword": spec.keyword.encode(), b"startfrom": spec.start_from}
        else:
            begin = {b"index": spec.index}
        if spec.counted:
            find = {b"keynumidx": 0, b"firstkey": 1, b"keystep": spec.step}
        else:
            find = {b"lastkey": spec.last, b"keystep": spec.step, b"limit": spec.limit}
        kinds = (b"index" if spec.keyword is None else b"keyword", b"keynum" if spec.counted else b"range")
    return {
        b"flags": Members(map(Status, spec.flags)),
        b"begin_search": {b"type": kinds[0], b"spec": begin},
        b"find_keys": {b"type": kinds[1], b"spec": find},
    }


def _info(bound: BoundCommand) -> Reply:
    record = bound.command
    return [
        record.full_name.encode(),
        record.arity,
        Members(map(Status, record.visible_flags)),
        *record.key_range,
        Members(Status(f"@{category}") for category in record.acl_categories),
        Members(tip.encode() for tip in record.tips.split()),
        Members(map(_key_spec, record.key_specs)),
        [_info(subcommand) for subcommand in bound.subcommands.values()],
    ]


def command(client: Client, args: list[bytes]) -> Reply:
    """COMMAND"""
    return [_info(bound) for bound in client.server.commands.values()]


def command_info(client: Client, args: list[bytes]) -> Reply:
    """COMMAND INFO [name ...]: null for what does not exist."""
    if not args:
        return command(client, args)
    found = (_find(client.server.commands, name) for name in args)
    return [None if bound is None else _info(bound) for bound in found]


def command_count(client: Client, args: list[bytes]) -> Reply:
    """COMMAND COUNT: subcommands are not counted."""
    return len(client.server.commands)


# COMMAND DOCS

def _argument(argument: Argument) -> dict[bytes, Reply]:
    reply: dict[bytes, Reply] = {b"name": argument.name.encode(), b"type": argument.type.encode()}
    if not argument.arguments:
        reply[b"display_text"] = (argument.display or argument.name).encode()
    if argument.key_spec_index is not None:
        reply[b"key_spec_index"] = argument.key_spec_index
    if argument.token is not None:
        reply[b"token"] = argument.token.encode()
    if argument.since is not None:
        reply[b"since"] = argument.since.encode()
    if argument.deprecated_since is not None:
        reply[b"deprecated_since"] = argument.deprecated_since.encode()
    flags = [flag for flag in ("optional", "multiple", "multiple_token") if getattr(argument, flag)]
    if flags:
        reply[b"flags"] = Members(map(Status, flags))
    if argument.arguments:
        reply[b"arguments"] = [_argument(inner) for inner in argument.arguments]
    return reply


def _docs(bound: BoundCommand) -> dict[bytes, Reply]:
    record = bound.command
    reply: dict[bytes, Reply] = {
        b"summary": record.summary.encode(), b"since": record.since.encode(), b"group": record.group.encode(),
    }
    if record.complexity:
        reply[b"complexity"] = record.complexity.encode()
    if record.documentation:
        reply[b"doc_flags"] = Members(map(Status, record.documentation.split()))
    if record.deprecated_since:
        reply[b"deprecated_since"] = record.deprecated_since.encode()
    if record.replaced_by:
        reply[b"replaced_by"] = record.replaced_by.encode()
    if record.argument_tree:
        reply[b"arguments"] = [_argument(argument) for argument in record.argument_tree]
    if bound.subcommands:
        reply[b"subcommands"] = {
            subcommand.command.full_name.encode(): _docs(subcommand) for subcommand in bound.subcommands.values()
        }
    return reply


def command_docs(client: Client, args: list[bytes]) -> Reply:
    """COMMAND DOCS [name ...]: leaves out what does not exist."""
    commands = client.server.commands
    found = [_find(commands, name) for name in args] if args else commands.values()
    return Pairs((bound.command.full_name.encode(), _docs(bound)) for bound in found if bound is not None)


# COMMAND LIST

def _filter(kind: bytes, value: bytes) -> Callable[[Command], bool] | None:
    """What COMMAND LIST FILTERBY lets through; None when there is no such filter."""
    if kind == b"MODULE":
        return lambda record: False         # no command of a module yet
    if kind == b"ACLCAT":
        category = value.decode("latin-1").lower()
        known = category in ACL_CATEGORIES
        return lambda record: known and category in record.acl_categories
    if kind == b"PATTERN":
        matches = compile_glob(value, ignore_case=True)
        return lambda record: matches(record.full_name.encode())
    return None


def command_list(client: Client, args: list[bytes]) -> Reply:
    """COMMAND LIST [FILTERBY MODULE name | ACLCAT category | PATTERN pattern]: subcommands are listed too."""
    chosen: Callable[[Command], bool] | None = None
    if args:
        if len(args) == 3 and option(args[0]) == b"FILTERBY":
            chosen = _filter(option(args[1]), args[2])
        if chosen is None:
            raise CommandError("ERR syntax error")
    records = (bound.command for bound in _all_names(client.server.commands))
    return [record.full_name.encode() for record in records if chosen is None or chosen(record)]


# COMMAND GETKEYS

def _keys(client: Client, argv: list[bytes]) -> list[Key]:
    """The keys of the command line; CommandError in the reference servers' words."""
    bound = client.server.commands.get(argv[0].lower())
    if bound is not None and bound.subcommands and len(argv) > 1:
        bound = bound.subcommands.get(argv[1].lower())
    if bound is None:
        raise CommandError("ERR Invalid command specified")
    record = bound.command
    if all("not_key" in spec.flags for spec in record.key_specs):
        raise CommandError("ERR The command has no key arguments")
    if len(argv) != record.arity if record.arity > 0 else len(argv) < -record.arity:
        raise CommandError("ERR Invalid number of arguments specified for command")
    keys_required = "no_mandatory_keys" not in record.flag_set
    try:
        return extract_keys(record.name, record.key_specs, argv, keys_required=keys_required)
    except KeysError as error:
        if keys_required:
            raise CommandError("ERR Invalid arguments specified for command") from error
        return []


def command_getkeys(client: Client, args: list[bytes]) -> Reply:
    """COMMAND GETKEYS command [arg ...]"""
    return [args[key.index] for key in _keys(client, args)]


def command_getkeysandflags(client: Client, args: list[bytes]) -> Reply:
    """COMMAND GETKEYSANDFLAGS command [arg ...]"""
    return [[args[key.index], Members(map(Status, key.flags))] for key in _keys(client, args)]


_HELP = """COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:
(no subcommand)
    Describe every command.
COUNT
    Count the commands.
LIST [FILTERBY MODULE <name>|ACLCAT <category>|PATTERN <pattern>]
    List the names of commands and subcommands.
INFO [<command-name> ...]
    Describe these commands, or all.
DOCS [<command-name> ...]
    Document these commands, or all.
GETKEYS <full-command>
    Name the keys in a command line.
GETKEYSANDFLAGS <full-command>
    Name the keys in a command line, and what the command does with them.
HELP
    Print this help."""


def command_help(client: Client, args: list[bytes]) -> Reply:
    """COMMAND HELP"""
    return [Status(line) for line in _HELP.split("\n")]
