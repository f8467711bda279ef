"""MODULE of a server without modules: binary ones are written against another server's memory layout."""

from __future__ import annotations

from typing import Final, NoReturn

from ranvier.commands.surroundings import Client
from ranvier.commands.words import shown
from ranvier.errors import CommandError
from ranvier.values import Reply, Status

_HELP: Final = """MODULE <subcommand> [<arg> [value] [opt] ...]. Subcommands are:
LIST
    The loaded modules: none.
LOAD <path> [<arg> ...]
    Refused: there are no modules for this server.
LOADEX <path> [[CONFIG NAME VALUE] [CONFIG NAME VALUE]] [ARGS ...]
    Refused: there are no modules for this server.
UNLOAD <name>
    Refused: there are no modules for this server.
HELP
    Print this help."""


def module_list(client: Client, args: list[bytes]) -> Reply:
    """MODULE LIST"""
    return []


def module_load(client: Client, args: list[bytes]) -> NoReturn:
    """MODULE LOAD path [arg ...] and MODULE LOADEX path [CONFIG name value ...] [ARGS arg ...]"""
    client.server.warn(f"Module {shown(args[0])} failed to load: this server has no binary modules")
    raise CommandError("ERR Error loading the extension. Please check the server logs.")


def module_unload(client: Client, args: list[bytes]) -> NoReturn:
    """MODULE UNLOAD name"""
    raise CommandError("ERR Error unloading module: no such module with that name")


def module_help(client: Client, args: list[bytes]) -> Reply:
    """MODULE HELP"""
    return [Status(line) for line in _HELP.split("\n")]
