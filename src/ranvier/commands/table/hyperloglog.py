"""Commands of the group hyperloglog. Notation: see `commands/spec.py`."""

from functools import partial

from ranvier.commands.spec import Command

command = partial(Command, group="hyperloglog")

COMMANDS = (
    command(
        "PFADD", -2, "write denyoom fast", "1 RW insert",
        since="2.8.9", complexity="O(1) to add every element.",
        summary="Adds elements to a HyperLogLog.",
        arguments="key@0 [element...]",
        propagated="verbatim",
        handler="native:pfadd",
    ),
    command(
        "PFCOUNT", -2, "readonly may_replicate", "1..-1 RW access",
        since="2.8.9", complexity="O(1) for one key, O(N) with larger constants for N keys.",
        summary="Estimates how many different elements were added.",
        arguments="key@0...",
        propagated="PFCOUNT key when the cached estimate changed",
        handler="native:pfcount",
    ),
    command(
        "PFDEBUG", 3, "write denyoom admin", "2 RW access",
        since="2.8.9", complexity="N/A",
        summary="Internal: looks into a HyperLogLog.",
        arguments="subcommand key@0",
        documentation="syscmd",
        propagated="verbatim",
        handler="native:pfdebug",
    ),
    command(
        "PFMERGE", -2, "write denyoom", "1 RW access insert; 2..-1 RO access",
        since="2.8.9", complexity="O(N) to merge N HyperLogLogs, but with high constant times.",
        summary="Merges HyperLogLogs.",
        arguments="destkey@0 [sourcekey@1...]",
        propagated="verbatim",
        handler="native:pfmerge",
    ),
    command(
        "PFSELFTEST", 1, "admin",
        since="2.8.9", complexity="N/A",
        summary="Internal: tests the HyperLogLog code.",
        documentation="syscmd",
        handler="native:pfselftest",
    ),
)
