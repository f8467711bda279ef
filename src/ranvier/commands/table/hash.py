"""Commands of the group hash. Notation: see `commands/spec.py`."""

from functools import partial

from ranvier.commands.spec import Command

command = partial(Command, group="hash")

COMMANDS = (
    command(
        "HDEL", -3, "write fast", "1 RW delete",
        since="2.0.0", complexity="O(N) where N is the number of fields to be removed.",
        summary="Deletes fields of a hash.",
        arguments="key@0 field...",
        propagated="verbatim",
        handler="native:hdel",
    ),
    command(
        "HEXISTS", 3, "readonly fast", "1 RO",
        since="2.0.0", complexity="O(1)",
        summary="Tells whether a field exists.",
        arguments="key@0 field",
        handler="native:hexists",
    ),
    command(
        "HEXPIRE", -6, "write fast", "1 RW update",
        since="9.0.0", complexity="O(N) where N is the number of specified fields.",
        summary="Sets fields' time to live in seconds.",
        arguments="key@0 seconds:integer [condition(NX | XX | GT | LT)] FIELDS fields(numfields:integer field...)",
        propagated="HPEXPIREAT key ms FIELDS n field..., or HDEL key field...",
        handler="native:hexpire",
    ),
    command(
        "HEXPIREAT", -6, "write fast", "1 RW update",
        since="9.0.0", complexity="O(N) where N is the number of specified fields.",
        summary="Sets fields' moment of expiry, in Unix seconds.",
        arguments="key@0 unix-time-seconds:integer [condition(NX | XX | GT | LT)^9.0.0] "
                  "FIELDS fields(numfields:integer@0 field...)",
        propagated="HPEXPIREAT key ms FIELDS n field..., or HDEL key field...",
        handler="native:hexpireat",
    ),
    command(
        "HEXPIRETIME", -5, "readonly fast", "1 RO access",
        since="9.0.0", complexity="O(N) where N is the number of specified fields.",
        summary="Returns fields' moment of expiry in Unix seconds.",
        arguments="key@0 FIELDS fields(numfields:integer@0 field...)",
        handler="native:hexpiretime",
    ),
    command(
        "HGET", 3, "readonly fast", "1 RO access",
        since="2.0.0", complexity="O(1)",
        summary="Returns a field's value.",
        arguments="key@0 field",
        handler="native:hget",
    ),
    command(
        "HGETALL", 2, "readonly", "1 RO access",
        tips="nondeterministic_output_order",
        since="2.0.0", complexity="O(N) where N is the size of the hash.",
        summary="Returns all fields with their values.",
        arguments="key@0",
        handler="native:hgetall",
    ),
    command(
        "HGETDEL", -5, "write fast", "1 RW access delete",
        since="9.1.0", complexity="O(N) where N is the number of fields to be retrieved and deleted.",
        summary="Returns fields' values and deletes them.",
        arguments="key@0 FIELDS fields(numfields:integer@0 field...)",
        propagated="HDEL key field...",
        handler="native:hgetdel",
    ),
    command(
        "HGETEX", -5, "write fast", "1 RW access update",
        since="9.0.0", complexity="O(N) where N is the number of specified fields.",
        summary="Returns fields' values and changes their expiry.",
        arguments="key@0 [expiration(EX seconds:integer | PX milliseconds:integer | "
                  "EXAT unix-time-seconds:unix-time | PXAT unix-time-milliseconds:unix-time | PERSIST)] "
                  "FIELDS fields(numfields:integer@0 field...)",
        propagated="HPEXPIREAT key ms FIELDS n field..., HPERSIST or HDEL",
        handler="native:hgetex",
    ),
    command(
        "HINCRBY", 4, "write denyoom fast", "1 RW access update",
        since="2.0.0", complexity="O(1)",
        summary="Adds an integer to a field.",
        arguments="key@0 field increment:integer",
        propagated="verbatim",
        handler="native:hincrby",
    ),
    command(
        "HINCRBYFLOAT", 4, "write denyoom fast", "1 RW access update",
        since="2.6.0", complexity="O(1)",
        summary="Adds a number to a field.",
        arguments="key@0 field increment:double",
        propagated="HSET key field value",
        handler="native:hincrbyfloat",
    ),
    command(
        "HKEYS", 2, "readonly", "1 RO access",
        tips="nondeterministic_output_order",
        since="2.0.0", complexity="O(N) where N is the size of the hash.",
        summary="Returns all fields.",
        arguments="key@0",
        handler="native:hkeys",
    ),
    command(
        "HLEN", 2, "readonly fast", "1 RO",
        since="2.0.0", complexity="O(1)",
        summary="Counts the fields.",
        arguments="key@0",
        handler="native:hlen",
    ),
    command(
        "HMGET", -3, "readonly fast", "1 RO access",
        since="2.0.0", complexity="O(N) where N is the number of fields being requested.",
        summary="Returns the values of several fields.",
        arguments="key@0 field...",
        handler="native:hmget",
    ),
    command(
        "HMSET", -4, "write denyoom fast", "1 RW update",
        since="2.0.0", complexity="O(N) where N is the number of fields being set.",
        summary="Sets several fields.",
        arguments="key@0 data(field value)...",
        propagated="verbatim",
        handler="native:hmset",
    ),
    command(
        "HPERSIST", -5, "write fast", "1 RW update",
        since="9.0.0", complexity="O(N) where N is the number of specified fields.",
        summary="Removes the expiry of fields.",
        arguments="key@0 FIELDS fields(numfields:integer@0 field...)",
        propagated="verbatim",
        handler="native:hpersist",
    ),
    command(
        "HPEXPIRE", -6, "write fast", "1 RW update",
        since="9.0.0", complexity="O(N) where N is the number of specified fields.",
        summary="Sets fields' time to live in milliseconds.",
        arguments="key@0 milliseconds:integer [condition(NX | XX | GT | LT)^9.0.0] "
                  "FIELDS fields(numfields:integer@0 field...)",
        propagated="HPEXPIREAT key ms FIELDS n field..., or HDEL key field...",
        handler="native:hpexpire",
    ),
    command(
        "HPEXPIREAT", -6, "write fast", "1 RW update",
        since="9.0.0", complexity="O(N) where N is the number of specified fields.",
        summary="Sets fields' moment of expiry, in Unix milliseconds.",
        arguments="key@0 unix-time-milliseconds:integer [condition(NX | XX | GT | LT)^9.0.0] "
                  "FIELDS fields(numfields:integer@0 field...)",
        propagated="HPEXPIREAT key ms FIELDS n field..., or HDEL key field...",
        handler="native:hpexpireat",
    ),
    command(
        "HPEXPIRETIME", -5, "readonly fast", "1 RO access",
        since="9.0.0", complexity="O(N) where N is the number of specified fields.",
        summary="Returns fields' moment of expiry in Unix milliseconds.",
        arguments="key@0 FIELDS fields(numfields:integer@0 field...)",
        handler="native:hpexpiretime",
    ),
    command(
        "HPTTL", -5, "readonly fast", "1 RO access",
        since="9.0.0", complexity="O(N) where N is the number of specified fields.",
        summary="Returns fields' time to live in milliseconds.",
        arguments="key@0 FIELDS fields(numfields:integer@0 field...)",
        handler="native:hpttl",
    ),
    command(
        "HRANDFIELD", -2, "readonly", "1 RO access",
        tips="nondeterministic_output",
        since="6.2.0", complexity="O(N) where N is the number of fields returned",
        summary="Returns random fields.",
        arguments="key@0 [options(count:integer [WITHVALUES])]",
        handler="native:hrandfield",
    ),
    command(
        "HSCAN", -3, "readonly", "1 RO access",
        tips="nondeterministic_output",
        since="2.8.0", complexity="O(1) for every call, O(N) for a whole walk over N elements.",
        summary="Walks over the fields of a hash.",
        arguments="key@0 cursor:integer [MATCH pattern:pattern] [COUNT count:integer] [NOVALUES]",
        handler="native:hscan",
    ),
    command(
        "HSET", -4, "write denyoom fast", "1 RW update",
        since="2.0.0", complexity="O(1) for each pair, O(N) for N of them.",
        summary="Sets fields of a hash.",
        arguments="key@0 data(field value)...",
        propagated="verbatim",
        handler="native:hset",
    ),
    command(
        "HSETEX", -6, "write denyoom fast", "1 RW insert",
        since="9.0.0", complexity="O(N) where N is the number of specified fields.",
        summary="Sets fields together with their expiry.",
        arguments="key@0 [key-condition(NX | XX)] [fields-condition(FNX | FXX)] [expiration(EX seconds:integer | "
                  "PX milliseconds:integer | EXAT unix-time-seconds:unix-time | "
                  "PXAT unix-time-milliseconds:unix-time | KEEPTTL)] FIELDS fields(numfields:integer@0 data(field "
                  "value)...)",
        propagated="HSETEX key PXAT ms FIELDS n field value..., or HDEL key field...",
        handler="native:hsetex",
    ),
    command(
        "HSETNX", 4, "write denyoom fast", "1 RW insert",
        since="2.0.0", complexity="O(1)",
        summary="Sets a field that does not exist yet.",
        arguments="key@0 field value",
        propagated="verbatim",
        handler="native:hsetnx",
    ),
    command(
        "HSTRLEN", 3, "readonly fast", "1 RO",
        since="3.2.0", complexity="O(1)",
        summary="Returns the length of a field's value.",
        arguments="key@0 field",
        handler="native:hstrlen",
    ),
    command(
        "HTTL", -5, "readonly fast", "1 RO access",
        since="9.0.0", complexity="O(N) where N is the number of specified fields.",
        summary="Returns fields' time to live in seconds.",
        arguments="key@0 FIELDS fields(numfields:integer@0 field...)",
        handler="native:httl",
    ),
    command(
        "HVALS", 2, "readonly", "1 RO access",
        tips="nondeterministic_output_order",
        since="2.0.0", complexity="O(N) where N is the size of the hash.",
        summary="Returns all values of a hash.",
        arguments="key@0",
        handler="native:hvals",
    ),
)
