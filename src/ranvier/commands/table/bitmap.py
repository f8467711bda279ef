"""Commands of the group bitmap. Notation: see `commands/spec.py`."""

from functools import partial

from ranvier.commands.spec import Command

command = partial(Command, group="bitmap")

COMMANDS = (
    command(
        "BITCOUNT", -2, "readonly", "1 RO access",
        since="2.6.0", complexity="O(N)",
        summary="Counts the bits that are set in a string.",
        arguments="key@0 [range(start:integer [end-unit-block(end:integer [unit(BYTE | BIT)^7.0.0])])]",
        handler="native:bitcount",
    ),
    command(
        "BITFIELD", -2, "write denyoom", "1 RW access update variable_flags",
        since="3.2.0", complexity="O(1) for each subcommand specified",
        summary="Reads, sets and increments integers of any width inside a string.",
        arguments="key@0 [operation(GET get-block(encoding offset:integer) | write([OVERFLOW overflow-block(WRAP | "
                  "SAT | FAIL)] write-operation(SET set-block(encoding offset:integer value:integer) | "
                  "INCRBY incrby-block(encoding offset:integer increment:integer))))...]",
        propagated="verbatim",
        handler="native:bitfield",
    ),
    command(
        "BITFIELD_RO", -2, "readonly fast", "1 RO access",
        since="6.0.0", complexity="O(1) for each subcommand specified",
        summary="Reads integers of any width inside a string.",
        arguments="key@0 [GET... get-block(encoding offset:integer)...]",
        handler="native:bitfield_ro",
    ),
    command(
        "BITOP", -4, "write denyoom", "2 OW update; 3..-1 RO access",
        since="2.6.0", complexity="O(N)",
        summary="Combines strings bit by bit into another key.",
        arguments="operation(AND | OR | XOR | NOT) destkey@0 key@1...",
        propagated="verbatim",
        handler="native:bitop",
    ),
    command(
        "BITPOS", -3, "readonly", "1 RO access",
        since="2.8.7", complexity="O(N)",
        summary="Finds the first bit that is set, or clear.",
        arguments="key@0 bit:integer [range(start:integer [end-unit-block(end:integer [unit(BYTE | BIT)^7.0.0])])]",
        handler="native:bitpos",
    ),
    command(
        "GETBIT", 3, "readonly fast", "1 RO access",
        since="2.2.0", complexity="O(1)",
        summary="Reads one bit of a string.",
        arguments="key@0 offset:integer",
        handler="native:getbit",
    ),
    command(
        "SETBIT", 4, "write denyoom", "1 RW access update",
        since="2.2.0", complexity="O(1)",
        summary="Sets or clears one bit of a string.",
        arguments="key@0 offset:integer value:integer",
        propagated="verbatim",
        handler="native:setbit",
    ),
)
