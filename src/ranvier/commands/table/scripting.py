"""Commands of the group scripting. Notation: see `commands/spec.py`."""

from functools import partial

from ranvier.commands.spec import Command

command = partial(Command, group="scripting")

COMMANDS = (
    command(
        "EVAL", -3, "noscript stale skip_monitor no_mandatory_keys may_replicate", "2# RW access update",
        since="2.6.0", complexity="Depends on the script that is executed.",
        summary="Runs a Lua script.",
        arguments="script numkeys:integer [key@0...] [arg...]",
        propagated="the writes of the script, between MULTI and EXEC",
    ),
    command(
        "EVAL_RO", -3, "readonly noscript stale skip_monitor no_mandatory_keys", "2# RO access",
        since="7.0.0", complexity="Depends on the script that is executed.",
        summary="Runs a Lua script that only reads.",
        arguments="script numkeys:integer [key@0...] [arg...]",
    ),
    command(
        "EVALSHA", -3, "noscript stale skip_monitor no_mandatory_keys may_replicate", "2# RW access update",
        since="2.6.0", complexity="Depends on the script that is executed.",
        summary="Runs a cached Lua script.",
        arguments="sha1 numkeys:integer [key@0...] [arg...]",
        propagated="the writes of the script, between MULTI and EXEC",
    ),
    command(
        "EVALSHA_RO", -3, "readonly noscript stale skip_monitor no_mandatory_keys", "2# RO access",
        since="7.0.0", complexity="Depends on the script that is executed.",
        summary="Runs a cached Lua script that only reads.",
        arguments="sha1 numkeys:integer [key@0...] [arg...]",
    ),
    command(
        "FCALL", -3, "noscript stale skip_monitor no_mandatory_keys may_replicate", "2# RW access update",
        since="7.0.0", complexity="Depends on the function that is executed.",
        summary="Calls a function.",
        arguments="function numkeys:integer [key@0...] [arg...]",
        propagated="the writes of the function, between MULTI and EXEC",
    ),
    command(
        "FCALL_RO", -3, "readonly noscript stale skip_monitor no_mandatory_keys", "2# RO access",
        since="7.0.0", complexity="Depends on the function that is executed.",
        summary="Calls a function that only reads.",
        arguments="function numkeys:integer [key@0...] [arg...]",
    ),
    command(
        "FUNCTION", -2,
        categories="",
        since="7.0.0", complexity="Depends on subcommand.",
        summary="Commands about function libraries.",
    ),
    command(
        "FUNCTION DELETE", 3, "write noscript",
        tips="request_policy:all_shards response_policy:all_succeeded",
        since="7.0.0", complexity="O(1)",
        summary="Deletes a library.",
        arguments="library-name",
        propagated="verbatim",
    ),
    command(
        "FUNCTION DUMP", 2, "noscript",
        since="7.0.0", complexity="O(N) where N is the number of functions",
        summary="Returns all libraries in serialized form.",
    ),
    command(
        "FUNCTION FLUSH", -2, "write noscript",
        tips="request_policy:all_shards response_policy:all_succeeded",
        since="7.0.0", complexity="O(N) where N is the number of functions deleted",
        summary="Deletes all libraries.",
        arguments="[flush-type(ASYNC | SYNC)]",
        propagated="verbatim",
    ),
    command(
        "FUNCTION HELP", 2, "loading stale",
        since="7.0.0", complexity="O(1)",
        summary="Explains the subcommands.",
    ),
    command(
        "FUNCTION KILL", 2, "noscript allow_busy",
        tips="request_policy:all_shards response_policy:one_succeeded",
        since="7.0.0", complexity="O(1)",
        summary="Stops the running function.",
    ),
    command(
        "FUNCTION LIST", -2, "noscript",
        tips="nondeterministic_output_order",
        since="7.0.0", complexity="O(N) where N is the number of functions",
        summary="Describes the libraries.",
        arguments="[LIBRARYNAME library-name-pattern] [WITHCODE]",
    ),
    command(
        "FUNCTION LOAD", -3, "write denyoom noscript",
        tips="request_policy:all_shards response_policy:all_succeeded",
        since="7.0.0", complexity="O(1) (considering compilation time is redundant)",
        summary="Creates a library.",
        arguments="[REPLACE] function-code",
        propagated="verbatim",
    ),
    command(
        "FUNCTION RESTORE", -3, "write denyoom noscript",
        tips="request_policy:all_shards response_policy:all_succeeded",
        since="7.0.0", complexity="O(N) where N is the number of functions on the payload",
        summary="Loads libraries from a serialized form.",
        arguments="serialized-value [policy(FLUSH | APPEND | REPLACE)]",
        propagated="verbatim",
    ),
    command(
        "FUNCTION STATS", 2, "noscript allow_busy",
        tips="nondeterministic_output request_policy:all_shards response_policy:special",
        since="7.0.0", complexity="O(1)",
        summary="Describes the running function and the engines.",
    ),
    command(
        "SCRIPT", -2,
        categories="",
        since="2.6.0", complexity="Depends on subcommand.",
        summary="Commands about Lua scripts.",
    ),
    command(
        "SCRIPT DEBUG", -3, "noscript",
        since="3.2.0", complexity="O(1)",
        summary="Sets the debug mode of scripts.",
        arguments="mode(YES | SYNC | NO) [engine^9.1.0]",
    ),
    command(
        "SCRIPT EXISTS", -3, "noscript stale",
        tips="request_policy:all_shards response_policy:agg_logical_and",
        since="2.6.0",
        complexity="O(N) with N being the number of scripts to check (so checking a single script is an O(1) "
                   "operation).",
        summary="Tells which scripts are cached.",
        arguments="sha1...",
    ),
    command(
        "SCRIPT FLUSH", -2, "noscript stale",
        tips="request_policy:all_nodes response_policy:all_succeeded",
        since="2.6.0", complexity="O(N) with N being the number of scripts in cache",
        summary="Empties the script cache.",
        arguments="[flush-type(ASYNC | SYNC)^6.2.0]",
    ),
    command(
        "SCRIPT HELP", 2, "loading stale",
        since="5.0.0", complexity="O(1)",
        summary="Explains the subcommands.",
    ),
    command(
        "SCRIPT KILL", 2, "noscript allow_busy",
        tips="request_policy:all_shards response_policy:one_succeeded",
        since="2.6.0", complexity="O(1)",
        summary="Stops the running script.",
    ),
    command(
        "SCRIPT LOAD", 3, "noscript stale",
        tips="request_policy:all_nodes response_policy:all_succeeded",
        since="2.6.0", complexity="O(N) with N being the length in bytes of the script body.",
        summary="Caches a script.",
        arguments="script",
    ),
    command(
        "SCRIPT SHOW", 3, "noscript stale",
        since="8.0.0", complexity="O(1).",
        summary="Returns a cached script's source.",
        arguments="sha1",
    ),
)
