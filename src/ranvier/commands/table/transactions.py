"""Commands of the group transactions. Notation: see `commands/spec.py`."""

from functools import partial

from ranvier.commands.spec import Command

command = partial(Command, group="transactions")

COMMANDS = (
    command(
        "DISCARD", 1, "noscript loading stale fast allow_busy",
        since="2.0.0", complexity="O(N), when N is the number of queued commands",
        summary="Drops the transaction.",
        handler="native:discard",
    ),
    command(
        "EXEC", 1, "noscript loading stale skip_commandlog",
        since="1.2.0", complexity="Depends on commands in the transaction",
        summary="Runs the transaction.",
        propagated="the writes of its commands, between MULTI and EXEC",
        handler="native:exec",
    ),
    command(
        "MULTI", 1, "noscript loading stale fast no_multi allow_busy",
        since="1.2.0", complexity="O(1)",
        summary="Opens a transaction.",
        handler="native:multi",
    ),
    command(
        "UNWATCH", 1, "noscript loading stale fast allow_busy",
        since="2.2.0", complexity="O(1)",
        summary="Forgets all watched keys.",
        handler="native:unwatch",
    ),
    command(
        "WATCH", -2, "noscript loading stale fast no_multi allow_busy", "1..-1 RO",
        since="2.2.0", complexity="O(1) for every key.",
        summary="Makes EXEC depend on keys that stay as they are.",
        arguments="key@0...",
        handler="native:watch",
    ),
)
