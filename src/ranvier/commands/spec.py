"""The one table of commands: what a record says, and what follows from it.

COMMAND, COMMAND DOCS, ACL categories, the gates, docs/commands.md and the fuzzers all come from these records. They lie
in `table/`, one file per group, and hold every command of Valkey 9.1 and of Redis 8, and Ranvier's own.
A record without a handler is a command that Ranvier does not have yet: clients are told that it does not exist.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from ranvier.commands.keys import KeySpec, legacy_range, movable, parse_key_specs
from ranvier.commands.syntax import Argument, parse_arguments

# COMMAND INFO shows them in this order. `movablekeys` is derived from the key specs and stands in no record.
VISIBLE_FLAGS: Final = (
    "write", "readonly", "denyoom", "module", "admin", "pubsub", "noscript", "blocking", "loading", "stale",
    "skip_monitor", "skip_commandlog", "asking", "fast", "no_auth", "no_mandatory_keys",
    "no_async_loading", "no_multi", "movablekeys", "allow_busy",
)

# Known to the gates and to the logs, shown to nobody.
HIDDEN_FLAGS: Final = (
    "protected",          # asks for enable-debug-command or enable-module-command
    "may_replicate",      # not a write, but replicated: held back by CLIENT PAUSE WRITE
    "only_sentinel",      # exists in Sentinel only
)

# As ACL CAT lists them.
ACL_CATEGORIES: Final = (
    "keyspace", "read", "write", "set", "sortedset", "list", "hash", "string", "bitmap", "hyperloglog", "geo", "stream",
    "pubsub", "admin", "fast", "slow", "blocking", "dangerous", "connection", "transaction", "scripting",
)

# The category that the commands of a group are in, unless a record says otherwise.
_GROUP_CATEGORIES: Final = {
    "bitmap": "bitmap", "connection": "connection", "generic": "keyspace", "geo": "geo", "hash": "hash",
    "hyperloglog": "hyperloglog", "list": "list", "pubsub": "pubsub", "scripting": "scripting", "set": "set",
    "sorted-set": "sortedset", "stream": "stream", "string": "string", "transactions": "transaction",
}


@dataclass(frozen=True)
class Command:
    """One command or subcommand.

    Lists of words are strings of words. `keys` is in the notation of `commands/keys.py`, `arguments` in that of
    `commands/syntax.py`. `categories` None means: the group's own.
    """

    name: str                           # upper case; a subcommand has its container in front: "CLIENT ID"
    arity: int                          # names included; negative: at least that many
    flags: str = ""                     # of VISIBLE_FLAGS and HIDDEN_FLAGS
    keys: str = ""
    categories: str | None = None       # ACL categories beside those that flags imply
    tips: str = ""                      # hints for proxies and client libraries
    group: str = ""
    since: str = ""                     # the version of Redis or Valkey that brought it
    summary: str = ""
    complexity: str = ""
    arguments: str = ""
    documentation: str = ""             # "deprecated" or "syscmd"
    deprecated_since: str = ""
    replaced_by: str = ""
    propagated: str = ""                # deterministic form for replicas and the append-only file; "" = never
    own: bool = False                   # unknown to Valkey 9.1: Ranvier's alone, or Redis's
    handler: str | None = None          # "native:get", "module:function", or None: not there yet

    @property
    def container(self) -> str | None:
        """The container's name if this is a subcommand."""
        container, _, subcommand = self.name.partition(" ")
        return container if subcommand else None

    @cached_property
    def full_name(self) -> str:
        """As COMMAND INFO, CLIENT LIST and error texts show it: `client|id`."""
        return self.name.lower().replace(" ", "|")

    @cached_property
    def flag_set(self) -> frozenset[str]:
        """All flags, hidden and derived ones included."""
        flags = frozenset(self.flags.split())
        unknown = flags - set(VISIBLE_FLAGS) - set(HIDDEN_FLAGS)
        if unknown:
            raise ValueError(f"{self.name}: unknown flags {sorted(unknown)}")
        return flags | {"movablekeys"} if movable(self.key_specs) else flags

    @cached_property
    def visible_flags(self) -> tuple[str, ...]:
        return tuple(flag for flag in VISIBLE_FLAGS if flag in self.flag_set)

    @cached_property
    def key_specs(self) -> tuple[KeySpec, ...]:
        return parse_key_specs(self.keys)

    @cached_property
    def key_range(self) -> tuple[int, int, int]:
        """First key, last key, step; zeros where there is none."""
        return legacy_range(self.key_specs)

    @cached_property
    def acl_categories(self) -> tuple[str, ...]:
        """Without the `@`, as ACL CAT orders them."""
        flags = self.flag_set
        group = _GROUP_CATEGORIES.get(self.group, "")
        own = set((group if self.categories is None else self.categories).split())
        unknown = own - set(ACL_CATEGORIES)
        if unknown:
            raise ValueError(f"{self.name}: unknown categories {sorted(unknown)}")
        if "write" in flags:
            own.add("write")
        if "readonly" in flags and "scripting" not in own:
            own.add("read")
        if "admin" in flags:
            own |= {"admin", "dangerous"}
        own |= flags & {"pubsub", "blocking"}
        own.add("fast" if "fast" in flags else "slow")
        return tuple(category for category in ACL_CATEGORIES if category in own)

    @cached_property
    def argument_tree(self) -> tuple[Argument, ...]:
        return parse_arguments(self.arguments)


class CommandTable:
    """Records by name, with their subcommands."""

    def __init__(self, records: Iterable[Command]) -> None:
        self._records: Final = {record.name: record for record in records}
        self._subcommands: Final[dict[str, list[Command]]] = {}
        for record in self._records.values():
            if record.container is not None:
                if record.container not in self._records:
                    raise ValueError(f"{record.name}: its container {record.container} has no record")
                self._subcommands.setdefault(record.container, []).append(record)

    def __iter__(self) -> Iterator[Command]:
        """All records, subcommands too."""
        return iter(self._records.values())

    def __len__(self) -> int:
        return len(self._records)

    def get(self, name: str) -> Command | None:
        """The record of "GET", "CLIENT" or "CLIENT ID" (upper case)."""
        return self._records.get(name)

    def subcommands(self, container: str) -> list[Command]:
        return self._subcommands.get(container, [])

    def implemented(self) -> CommandTable:
        """The commands that have a handler, and the containers of such."""
        return CommandTable(
            record for record in self
            if record.handler is not None
            or any(subcommand.handler is not None for subcommand in self.subcommands(record.name))
        )

    def top_level(self) -> list[Command]:
        """The records that are no subcommands."""
        return [record for record in self if record.container is None]


def load_table() -> CommandTable:
    """The whole table, commands without handlers included. A fresh object: a server may own it."""
    from ranvier.commands.table import ALL

    return CommandTable(ALL)
