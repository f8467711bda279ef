"""Commands of the group server: the data set as a whole, and replication. Notation: see `commands/spec.py`."""

from functools import partial

from ranvier.commands.spec import Command

command = partial(Command, group="server")

COMMANDS = (
    command(
        "BGREWRITEAOF", 1, "admin noscript no_async_loading",
        since="1.0.0", complexity="O(1)",
        summary="Rewrites the append-only file in the background.",
        handler="persistence:rewrite_append_only",
    ),
    command(
        "BGSAVE", -1, "admin noscript no_async_loading",
        since="1.0.0", complexity="O(1)",
        summary="Saves a snapshot in the background.",
        arguments="[operation(SCHEDULE^3.2.2 | CANCEL^8.1.0)]",
        handler="persistence:background_save",
    ),
    command(
        "DBSIZE", 1, "readonly fast",
        categories="keyspace", tips="request_policy:all_shards response_policy:agg_sum",
        since="1.0.0", complexity="O(1)",
        summary="Counts the keys of the database.",
        handler="server:dbsize",
    ),
    command(
        "FAILOVER", -1, "admin noscript stale",
        since="6.2.0", complexity="O(1)",
        summary="Hands the role of primary over to a replica.",
        arguments="[TO target(host port:integer [FORCE])] [ABORT] [TIMEOUT milliseconds:integer]",
        handler="replica:failover",
    ),
    command(
        "FLUSHALL", -1, "write",
        categories="dangerous keyspace", tips="request_policy:all_shards response_policy:all_succeeded",
        since="1.0.0", complexity="O(N) where N is the total number of keys in all databases",
        summary="Empties all databases.",
        arguments="[flush-type(ASYNC^4.0.0 | SYNC^6.2.0)]",
        propagated="FLUSHALL", handler="server:flushall",
    ),
    command(
        "FLUSHDB", -1, "write",
        categories="dangerous keyspace", tips="request_policy:all_shards response_policy:all_succeeded",
        since="1.0.0", complexity="O(N) where N is the number of keys in the selected database",
        summary="Empties the database.",
        arguments="[flush-type(ASYNC^4.0.0 | SYNC^6.2.0)]",
        propagated="FLUSHDB", handler="server:flushdb",
    ),
    command(
        "LASTSAVE", 1, "loading stale fast",
        categories="admin dangerous", tips="nondeterministic_output",
        since="1.0.0", complexity="O(1)",
        summary="Returns when the last snapshot was saved.",
        handler="persistence:last_save",
    ),
    command(
        "LOLWUT", -1, "readonly fast",
        since="5.0.0",
        summary="Draws something and names the version.",
        arguments="[VERSION version:integer]",
        handler="server:lolwut",
    ),
    command(
        "MONITOR", 1, "admin noscript loading stale",
        since="1.0.0",
        summary="Shows every command that the server runs.",
        handler="native:monitor",
    ),
    command(
        "PSYNC", -3, "admin noscript no_async_loading no_multi",
        since="2.8.0",
        summary="Internal: starts or resumes replication.",
        arguments="replicationid offset:integer",
        handler="replication:psync",
    ),
    command(
        "REPLCONF", -1, "admin noscript loading stale allow_busy",
        since="3.0.0", complexity="O(1)",
        summary="Internal: talks about a replication link.",
        handler="replication:replconf",
        documentation="syscmd",
    ),
    command(
        "REPLICAOF", 3, "admin noscript stale no_async_loading",
        since="5.0.0", complexity="O(1)",
        summary="Makes the server a replica, or a primary again.",
        arguments="args(host-port(host port:integer) | no-one(NO ONE))",
        handler="replica:replicaof",
    ),
    command(
        "RESTORE-ASKING", -4, "write denyoom asking", "1 OW update",
        categories="dangerous keyspace",
        since="3.0.0",
        complexity="O(1) to create the key, O(N*M) to read N items of average size M; sorted sets take "
                   "O(N*M*log(N)).",
        summary="Internal: RESTORE during a slot migration.",
        arguments="key@0 ttl:integer serialized-value [REPLACE^3.0.0] [ABSTTL^5.0.0] [IDLETIME "
                  "seconds:integer^5.0.0] [FREQ frequency:integer^5.0.0]",
        documentation="syscmd",
        propagated="RESTORE-ASKING key ms value ... ABSTTL, or UNLINK key when the time has passed",
        handler="dump:restore",
    ),
    command(
        "ROLE", 1, "noscript loading stale fast",
        categories="admin dangerous",
        since="2.8.12", complexity="O(1)",
        summary="Returns the server's role in replication.",
        handler="replication:role",
    ),
    command(
        "SAVE", 1, "admin noscript no_async_loading no_multi",
        since="1.0.0", complexity="O(N) where N is the total number of keys in all databases",
        summary="Saves a snapshot while everything waits.",
        handler="persistence:save",
    ),
    command(
        "SHUTDOWN", -1, "admin noscript loading stale no_multi allow_busy",
        since="1.0.0",
        complexity="O(N) when saving, where N is the total number of keys in all databases when saving data, "
                   "otherwise O(1)",
        summary="Saves and ends the server.",
        arguments="[abort-selector(save-selector-block([save-selector(NOSAVE | SAVE)] [NOW^7.0.0] [FORCE^7.0.0] "
                  "[SAFE^9.0.0] [FAILOVER^9.0.0]) | ABORT^7.0.0)]",
        handler="server:shutdown",
    ),
    command(
        "SLAVEOF", 3, "admin noscript stale no_async_loading",
        since="1.0.0", complexity="O(1)",
        summary="Makes the server a replica, or a primary again.",
        arguments="args(host-port(host port:integer) | no-one(NO ONE))",
        documentation="deprecated", deprecated_since="5.0.0", replaced_by="`REPLICAOF`",
        handler="replica:replicaof",
    ),
    command(
        "SWAPDB", 3, "write fast",
        categories="dangerous keyspace",
        since="4.0.0",
        complexity="O(N) where N is the count of clients watching or blocking on keys from both databases.",
        summary="Swaps two databases.",
        arguments="index1:integer index2:integer",
        propagated="verbatim", handler="server:swapdb",
    ),
    command(
        "SYNC", 1, "admin noscript no_async_loading no_multi",
        since="1.0.0",
        summary="Internal: starts replication.",
        handler="replication:sync",
    ),
    command(
        "TIME", 1, "loading stale fast",
        tips="nondeterministic_output",
        since="2.6.0", complexity="O(1)",
        summary="Returns the server's time.",
        handler="server:time",
    ),
)
