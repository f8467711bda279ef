"""Commands of the group string. Notation: see `commands/spec.py`."""

from functools import partial

from ranvier.commands.spec import Command

command = partial(Command, group="string")

COMMANDS = (
    command(
        "APPEND", 3, "write denyoom fast", "1 RW insert",
        since="2.0.0", complexity="O(1) amortized, as the string's memory grows in steps.",
        summary="Appends to a string.",
        arguments="key@0 value",
        propagated="verbatim", handler="native:append",
    ),
    command(
        "DECR", 2, "write denyoom fast", "1 RW access update",
        since="1.0.0", complexity="O(1)",
        summary="Subtracts one.",
        arguments="key@0",
        propagated="verbatim", handler="native:decr",
    ),
    command(
        "DECRBY", 3, "write denyoom fast", "1 RW access update",
        since="1.0.0", complexity="O(1)",
        summary="Subtracts an integer.",
        arguments="key@0 decrement:integer",
        propagated="verbatim", handler="native:decrby",
    ),
    command(
        "DELEX", -2, "write fast", "1 RM delete",
        since="8.4.0", complexity="O(1), for a digest O(N) in the length of the string.",
        summary="Deletes a key, if its value or the value's digest is, or is not, the argument.",
        arguments="key@0 [condition(IFEQ value | IFNE value | IFDEQ digest | IFDNE digest)]",
        propagated="DEL key", handler="native:delex", own=True,
    ),
    command(
        "DELIFEQ", 3, "write fast", "1 RM delete",
        since="9.0.0", complexity="O(1)",
        summary="Deletes a key whose value equals the argument.",
        arguments="key@0 value",
        propagated="DEL key", handler="native:delifeq",
    ),
    command(
        "DIGEST", 2, "readonly fast", "1 RO access",
        since="8.4.0", complexity="O(N) in the length of the string.",
        summary="Returns the XXH3 digest of a string in hexadecimal digits.",
        arguments="key@0",
        handler="native:digest", own=True,
    ),
    command(
        "GET", 2, "readonly fast", "1 RO access",
        since="1.0.0", complexity="O(1)",
        summary="Returns the value of a string.",
        arguments="key@0",
        handler="native:get",
    ),
    command(
        "GETDEL", 2, "write fast", "1 RW access delete",
        since="6.2.0", complexity="O(1)",
        summary="Returns the value of a string and deletes its key.",
        arguments="key@0",
        propagated="DEL key", handler="native:getdel",
    ),
    command(
        "GETEX", -2, "write fast", "1 RW access update",
        since="6.2.0", complexity="O(1)",
        summary="Returns the value of a string and changes its expiry.",
        arguments="key@0 [expiration(EX seconds:integer | PX milliseconds:integer | "
                  "EXAT unix-time-seconds:unix-time | PXAT unix-time-milliseconds:unix-time | PERSIST)]",
        propagated="PEXPIREAT key ms, PERSIST key, or UNLINK key when the time has passed", handler="native:getex",
    ),
    command(
        "GETRANGE", 4, "readonly", "1 RO access",
        since="2.4.0", complexity="O(N) in the length returned; O(1) in practice for short strings.",
        summary="Returns a part of a string.",
        arguments="key@0 start:integer end:integer",
        handler="native:getrange",
    ),
    command(
        "GETSET", 3, "write denyoom fast", "1 RW access update",
        since="1.0.0", complexity="O(1)",
        summary="Sets a string and returns the value before.",
        arguments="key@0 value",
        propagated="SET key value", handler="native:getset",
    ),
    command(
        "INCR", 2, "write denyoom fast", "1 RW access update",
        since="1.0.0", complexity="O(1)",
        summary="Adds one.",
        arguments="key@0",
        propagated="verbatim", handler="native:incr",
    ),
    command(
        "INCRBY", 3, "write denyoom fast", "1 RW access update",
        since="1.0.0", complexity="O(1)",
        summary="Adds an integer.",
        arguments="key@0 increment:integer",
        propagated="verbatim", handler="native:incrby",
    ),
    command(
        "INCRBYFLOAT", 3, "write denyoom fast", "1 RW access update",
        since="2.6.0", complexity="O(1)",
        summary="Adds a number.",
        arguments="key@0 increment:double",
        propagated="SET key value KEEPTTL", handler="native:incrbyfloat",
    ),
    command(
        "INCREX", -2, "write denyoom fast", "1 RW access update",
        since="8.8.0", complexity="O(1)",
        summary="Adds a number within bounds, and sets the expiry.",
        arguments="key@0 [by(BYINT increment:integer | BYFLOAT increment:double)] [LBOUND bound:double] "
                  "[UBOUND bound:double] [SATURATE] [expiration(EX seconds:integer | PX milliseconds:integer | "
                  "EXAT unix-time-seconds:unix-time | PXAT unix-time-milliseconds:unix-time | PERSIST)] [ENX]",
        propagated="SET key value, with PXAT if the key expires", handler="native:increx", own=True,
    ),
    command(
        "LCS", -3, "readonly", "1..1 RO access",
        since="7.0.0", complexity="O(N*M) where N and M are the lengths of s1 and s2, respectively",
        summary="Finds the longest common subsequence of two strings.",
        arguments="key1@0 key2@0 [LEN] [IDX] [MINMATCHLEN min-match-len:integer] [WITHMATCHLEN]",
        handler="native:lcs",
    ),
    command(
        "MGET", -2, "readonly fast", "1..-1 RO access",
        tips="request_policy:multi_shard",
        since="1.0.0", complexity="O(N) where N is the number of keys to retrieve.",
        summary="Returns the values of several keys.",
        arguments="key@0...",
        handler="native:mget",
    ),
    command(
        "MSET", -3, "write denyoom", "1..-1/2 OW update",
        tips="request_policy:multi_shard response_policy:all_succeeded",
        since="1.0.1", complexity="O(N) where N is the number of keys to set.",
        summary="Sets several keys.",
        arguments="data(key@0 value)...",
        propagated="verbatim", handler="native:mset",
    ),
    command(
        "MSETEX", -4, "write denyoom", "1#/2 OW update",
        tips="request_policy:multi_shard response_policy:all_succeeded",
        since="9.1.0", complexity="O(N) where N is the number of keys to set.",
        summary="Sets several keys together with their expiry.",
        arguments="numkeys:integer data(key@0 value)... [condition(NX | XX)] [expiration(EX seconds:integer | "
                  "PX milliseconds:integer | EXAT unix-time-seconds:unix-time | "
                  "PXAT unix-time-milliseconds:unix-time | KEEPTTL)]",
        propagated="SET key value [PXAT ms or KEEPTTL] for each key", handler="native:msetex",
    ),
    command(
        "MSETNX", -3, "write denyoom", "1..-1/2 OW insert",
        since="1.0.1", complexity="O(N) where N is the number of keys to set.",
        summary="Sets several keys if none of them exists.",
        arguments="data(key@0 value)...",
        propagated="verbatim", handler="native:msetnx",
    ),
    command(
        "PSETEX", 4, "write denyoom", "1 OW update",
        since="2.6.0", complexity="O(1)",
        summary="Sets a string with a time to live in milliseconds.",
        arguments="key@0 milliseconds:integer value",
        propagated="SET key value PXAT ms", handler="native:psetex",
    ),
    command(
        "SET", -3, "write denyoom", "1 RW access update variable_flags",
        since="1.0.0", complexity="O(1)",
        summary="Sets a string.",
        arguments="key@0 value [condition(NX^2.6.12 | XX^2.6.12 | IFEQ comparison-value^8.1.0)] [GET^6.2.0] "
                  "[expiration(EX seconds:integer^2.6.12 | PX milliseconds:integer^2.6.12 | "
                  "EXAT unix-time-seconds:unix-time^6.2.0 | PXAT unix-time-milliseconds:unix-time^6.2.0 | "
                  "KEEPTTL^6.0.0)]",
        propagated="SET key value [PXAT ms or KEEPTTL], or UNLINK key when the time has passed", handler="native:set",
    ),
    command(
        "SETEX", 4, "write denyoom", "1 OW update",
        since="2.0.0", complexity="O(1)",
        summary="Sets a string with a time to live in seconds.",
        arguments="key@0 seconds:integer value",
        propagated="SET key value PXAT ms", handler="native:setex",
    ),
    command(
        "SETNX", 3, "write denyoom fast", "1 OW insert",
        since="1.0.0", complexity="O(1)",
        summary="Sets a string whose key does not exist yet.",
        arguments="key@0 value",
        propagated="verbatim", handler="native:setnx",
    ),
    command(
        "SETRANGE", 4, "write denyoom", "1 RW update",
        since="2.2.0", complexity="O(1), beside copying the M bytes of the argument, O(M).",
        summary="Overwrites a part of a string.",
        arguments="key@0 offset:integer value",
        propagated="verbatim", handler="native:setrange",
    ),
    command(
        "STRLEN", 2, "readonly fast", "1 RO",
        since="2.2.0", complexity="O(1)",
        summary="Returns the length of a string.",
        arguments="key@0",
        handler="native:strlen",
    ),
    command(
        "SUBSTR", 4, "readonly", "1 RO access",
        since="1.0.0", complexity="O(N) in the length returned; O(1) in practice for short strings.",
        summary="Returns a part of a string.",
        arguments="key@0 start:integer end:integer",
        handler="native:substr",
    ),
)
