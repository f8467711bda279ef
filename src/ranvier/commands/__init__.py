"""Commands: `spec` says what they are, one module per group does what they do, `bind_table` joins the two."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import Any, Final

from ranvier.commands.gates import Gate, gates_of
from ranvier.commands.spec import Command, CommandTable, load_table
from ranvier.values import Reply

__all__ = ["BoundCommand", "Handler", "bind_table"]

# handler(client, arguments without the names) -> reply
Handler = Callable[[Any, "list[bytes]"], Reply]

NATIVE: Final = "native:"


@dataclass(slots=True)
class BoundCommand:
    """A record with what runs it. A container has subcommands, and a handler only if it runs alone (COMMAND)."""

    command: Command
    gates: Gate
    native: str | None = None               # name of a handler in the engine
    handler: Handler | None = None
    subcommands: dict[bytes, BoundCommand] = field(default_factory=dict)     # by name in lower case


def _resolve(name: str, handler: str, modules: dict[str, ModuleType]) -> Handler:
    module_name, _, function = handler.partition(":")
    module = modules.get(module_name)
    if module is None:
        path = f"{__name__}.{module_name}"
        try:
            module = modules[module_name] = import_module(path)
        except ModuleNotFoundError as error:
            if error.name != path:
                raise
            raise LookupError(f"command {name}: there is no module {path} for its handler {handler!r}") from error
    found: Handler | None = getattr(module, function, None)
    if found is None:
        raise LookupError(f"command {name}: module {module.__name__} has no function {function!r}")
    return found


def _bind(command: Command, natives: Iterable[str] | None, modules: dict[str, ModuleType]) -> BoundCommand:
    bound = BoundCommand(command, gates_of(command))
    if command.handler is None:
        return bound
    if command.handler.startswith(NATIVE):
        bound.native = command.handler.removeprefix(NATIVE)
        if natives is not None and bound.native not in natives:
            raise LookupError(f"command {command.name}: the engine has no native handler {bound.native!r}")
    else:
        bound.handler = _resolve(command.name, command.handler, modules)
    return bound


def bind_table(natives: Mapping[str, object] | frozenset[str] | None = None,
               table: CommandTable | None = None) -> dict[bytes, BoundCommand]:
    """The implemented commands of `table` (default: all) by name in lower case, with their handlers.

    `natives` holds the names of the engine's handlers; None leaves them unchecked. Raises LookupError when a record
    names a module, function or native handler that does not exist: that is a bug, found at the start.
    """
    implemented = (table or load_table()).implemented()
    modules: dict[str, ModuleType] = {}
    bound: dict[bytes, BoundCommand] = {}
    for command in implemented.top_level():
        entry = bound[command.name.lower().encode()] = _bind(command, natives, modules)
        for subcommand in implemented.subcommands(command.name):
            name = subcommand.name.partition(" ")[2].lower().encode()
            entry.subcommands[name] = _bind(subcommand, natives, modules)
    return bound
