"""Commands of the group set. Notation: see `commands/spec.py`."""

from functools import partial

from ranvier.commands.spec import Command

command = partial(Command, group="set")

COMMANDS = (
    command(
        "SADD", -3, "write denyoom fast", "1 RW insert",
        since="1.0.0", complexity="O(1) for each element, O(N) for N of them.",
        summary="Adds members to a set.",
        arguments="key@0 member...",
        propagated="verbatim",
    ),
    command(
        "SCARD", 2, "readonly fast", "1 RO",
        since="1.0.0", complexity="O(1)",
        summary="Counts the members of a set.",
        arguments="key@0",
    ),
    command(
        "SDIFF", -2, "readonly", "1..-1 RO access",
        tips="nondeterministic_output_order",
        since="1.0.0", complexity="O(N) where N is the total number of elements in all given sets.",
        summary="Returns the first set without the members of the others.",
        arguments="key@0...",
    ),
    command(
        "SDIFFSTORE", -3, "write denyoom", "1 OW update; 2..-1 RO access",
        since="1.0.0", complexity="O(N) where N is the total number of elements in all given sets.",
        summary="Stores the difference of sets.",
        arguments="destination@0 key@1...",
        propagated="DEL destination, then SADD destination member...",
    ),
    command(
        "SINTER", -2, "readonly", "1..-1 RO access",
        tips="nondeterministic_output_order",
        since="1.0.0",
        complexity="O(N*M) worst case where N is the cardinality of the smallest set and M is the number of sets.",
        summary="Returns the members common to all sets.",
        arguments="key@0...",
    ),
    command(
        "SINTERCARD", -3, "readonly", "1# RO access",
        since="7.0.0",
        complexity="O(N*M) worst case where N is the cardinality of the smallest set and M is the number of sets.",
        summary="Counts the members common to all sets.",
        arguments="numkeys:integer key@0... [LIMIT limit:integer]",
    ),
    command(
        "SINTERSTORE", -3, "write denyoom", "1 OW update; 2..-1 RO access",
        since="1.0.0",
        complexity="O(N*M) worst case where N is the cardinality of the smallest set and M is the number of sets.",
        summary="Stores the members common to all sets.",
        arguments="destination@0 key@1...",
        propagated="DEL destination, then SADD destination member...",
    ),
    command(
        "SISMEMBER", 3, "readonly fast", "1 RO",
        since="1.0.0", complexity="O(1)",
        summary="Tells whether a member is in the set.",
        arguments="key@0 member",
    ),
    command(
        "SMEMBERS", 2, "readonly", "1 RO access",
        tips="nondeterministic_output_order",
        since="1.0.0", complexity="O(N) where N is the set cardinality.",
        summary="Returns all members of a set.",
        arguments="key@0",
    ),
    command(
        "SMISMEMBER", -3, "readonly fast", "1 RO access",
        since="6.2.0", complexity="O(N) where N is the number of elements being checked for membership",
        summary="Tells which members are in the set.",
        arguments="key@0 member...",
    ),
    command(
        "SMOVE", 4, "write fast", "1 RW access delete; 2 RW insert",
        since="1.0.0", complexity="O(1)",
        summary="Moves a member to another set.",
        arguments="source@0 destination@1 member",
        propagated="verbatim",
    ),
    command(
        "SPOP", -2, "write fast", "1 RW access delete",
        tips="nondeterministic_output",
        since="1.0.0",
        complexity="Without the count argument O(1), otherwise O(N) where N is the value of the passed count.",
        summary="Removes and returns random members.",
        arguments="key@0 [count:integer^3.2.0]",
        propagated="SREM key member..., or DEL key when the set is used up",
    ),
    command(
        "SRANDMEMBER", -2, "readonly", "1 RO access",
        tips="nondeterministic_output",
        since="1.0.0",
        complexity="Without the count argument O(1), otherwise O(N) where N is the absolute value of the passed "
                   "count.",
        summary="Returns random members.",
        arguments="key@0 [count:integer^2.6.0]",
    ),
    command(
        "SREM", -3, "write fast", "1 RW delete",
        since="1.0.0", complexity="O(N) where N is the number of members to be removed.",
        summary="Removes members.",
        arguments="key@0 member...",
        propagated="verbatim",
    ),
    command(
        "SSCAN", -3, "readonly", "1 RO access",
        tips="nondeterministic_output",
        since="2.8.0", complexity="O(1) for every call, O(N) for a whole walk over N elements.",
        summary="Walks over the members of a set.",
        arguments="key@0 cursor:integer [MATCH pattern:pattern] [COUNT count:integer]",
    ),
    command(
        "SUNION", -2, "readonly", "1..-1 RO access",
        tips="nondeterministic_output_order",
        since="1.0.0", complexity="O(N) where N is the total number of elements in all given sets.",
        summary="Returns the members of all sets.",
        arguments="key@0...",
    ),
    command(
        "SUNIONSTORE", -3, "write denyoom", "1 OW update; 2..-1 RO access",
        since="1.0.0", complexity="O(N) where N is the total number of elements in all given sets.",
        summary="Stores the members of all sets.",
        arguments="destination@0 key@1...",
        propagated="DEL destination, then SADD destination member...",
    ),
)
