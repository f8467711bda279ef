"""Commands of the group cluster. Notation: see `commands/spec.py`."""

from functools import partial

from ranvier.commands.spec import Command

command = partial(Command, group="cluster")

COMMANDS = (
    command(
        "ASKING", 1, "fast",
        categories="connection",
        since="3.0.0", complexity="O(1)",
        summary="Announces that the next command follows an -ASK redirection.",
    ),
    command(
        "CLUSTER", -2,
        since="3.0.0", complexity="Depends on subcommand.",
        summary="Cluster commands.",
    ),
    command(
        "CLUSTERSCAN", -2, "readonly", "1 not_key",
        categories="keyspace", tips="nondeterministic_output request_policy:special response_policy:special",
        since="9.1.0", complexity="O(N) where N is the number of elements returned.",
        summary="Walks over the keys of a whole cluster.",
        arguments="cursor [MATCH match-pattern:pattern] [COUNT count:integer] [TYPE type] [SLOT slot:integer]",
    ),
    command(
        "CLUSTER ADDSLOTS", -3, "admin stale no_async_loading",
        since="3.0.0", complexity="O(N) where N is the total number of hash slot arguments",
        summary="Assigns hash slots to this node.",
        arguments="slot:integer...",
    ),
    command(
        "CLUSTER ADDSLOTSRANGE", -4, "admin stale no_async_loading",
        since="7.0.0",
        complexity="O(N) where N is the total number of the slots between the start slot and end slot arguments.",
        summary="Assigns ranges of hash slots to this node.",
        arguments="range(start-slot:integer end-slot:integer)...",
    ),
    command(
        "CLUSTER BUMPEPOCH", 2, "admin stale no_async_loading",
        tips="nondeterministic_output",
        since="3.0.0", complexity="O(1)",
        summary="Advances the configuration epoch.",
    ),
    command(
        "CLUSTER CANCELSLOTMIGRATIONS", 2, "admin stale no_async_loading",
        since="9.0.0", complexity="O(N), where N is the number of slot migration operations being cancelled.",
        summary="Stops every slot migration under way.",
    ),
    command(
        "CLUSTER COUNT-FAILURE-REPORTS", 3, "admin stale",
        tips="nondeterministic_output",
        since="3.0.0", complexity="O(N) where N is the number of failure reports",
        summary="Counts the failure reports about a node.",
        arguments="node-id",
    ),
    command(
        "CLUSTER COUNTKEYSINSLOT", 3, "stale",
        since="3.0.0", complexity="O(1)",
        summary="Counts the keys of a hash slot.",
        arguments="slot:integer",
    ),
    command(
        "CLUSTER DELSLOTS", -3, "admin stale no_async_loading",
        since="3.0.0", complexity="O(N) where N is the total number of hash slot arguments",
        summary="Gives hash slots of this node up.",
        arguments="slot:integer...",
    ),
    command(
        "CLUSTER DELSLOTSRANGE", -4, "admin stale no_async_loading",
        since="7.0.0",
        complexity="O(N) where N is the total number of the slots between the start slot and end slot arguments.",
        summary="Gives ranges of hash slots up.",
        arguments="range(start-slot:integer end-slot:integer)...",
    ),
    command(
        "CLUSTER FAILOVER", -2, "admin stale no_async_loading",
        since="3.0.0", complexity="O(1)",
        summary="Makes this replica take over from its primary.",
        arguments="[options(FORCE | TAKEOVER)]",
    ),
    command(
        "CLUSTER FLUSHSLOT", -3, "write admin no_async_loading",
        categories="keyspace",
        since="9.0.0", complexity="O(N) where N is the number of keys in the target slot",
        summary="Empties a hash slot.",
        arguments="slot:integer [flush-type(ASYNC | SYNC)]",
        propagated="CLUSTER FLUSHSLOT slot SYNC or ASYNC",
    ),
    command(
        "CLUSTER FLUSHSLOTS", 2, "admin stale no_async_loading",
        since="3.0.0", complexity="O(1)",
        summary="Gives all slots of this node up.",
    ),
    command(
        "CLUSTER FORGET", 3, "admin stale no_async_loading",
        since="3.0.0", complexity="O(1)",
        summary="Takes a node out of the node table.",
        arguments="node-id",
    ),
    command(
        "CLUSTER GETKEYSINSLOT", 4, "stale",
        tips="nondeterministic_output",
        since="3.0.0", complexity="O(N) where N is the number of requested keys",
        summary="Names keys of a hash slot.",
        arguments="slot:integer count:integer",
    ),
    command(
        "CLUSTER GETSLOTMIGRATIONS", 2, "admin stale no_async_loading",
        since="9.0.0", complexity="O(N), where N is the number of active slot import and export jobs.",
        summary="Tells how slot migrations stand.",
    ),
    command(
        "CLUSTER HELP", 2, "loading stale",
        since="5.0.0", complexity="O(1)",
        summary="Explains the subcommands.",
    ),
    command(
        "CLUSTER INFO", 2, "loading stale",
        tips="nondeterministic_output",
        since="3.0.0", complexity="O(1)",
        summary="Tells how this node sees the cluster.",
    ),
    command(
        "CLUSTER KEYSLOT", 3, "stale",
        since="3.0.0", complexity="O(N) where N is the number of bytes in the key",
        summary="Computes the hash slot of a key.",
        arguments="key",
    ),
    command(
        "CLUSTER LINKS", 2, "stale",
        tips="nondeterministic_output",
        since="7.0.0", complexity="O(N) where N is the total number of Cluster nodes",
        summary="Lists the links between this node and its peers.",
    ),
    command(
        "CLUSTER MEET", -4, "admin stale no_async_loading",
        since="3.0.0", complexity="O(1)",
        summary="Introduces another node to this one.",
        arguments="ip port:integer [cluster-bus-port:integer^4.0.0]",
    ),
    command(
        "CLUSTER MIGRATESLOTS", -4, "admin stale no_async_loading",
        since="9.0.0",
        complexity="O(N) where N is the total number of the slots between all start slot and end slot arguments.",
        summary="Starts to move slots to other nodes.",
        arguments="migration-group(slotsrange-token=SLOTSRANGE, range(start-slot:integer end-slot:integer)... "
                  "node-token=NODE, node-id)...",
    ),
    command(
        "CLUSTER MYID", 2, "loading stale",
        since="3.0.0", complexity="O(1)",
        summary="Returns this node's id.",
    ),
    command(
        "CLUSTER MYSHARDID", 2, "loading stale",
        tips="nondeterministic_output",
        since="7.2.0", complexity="O(1)",
        summary="Returns the id of this node's shard.",
    ),
    command(
        "CLUSTER NODES", 2, "loading stale",
        tips="nondeterministic_output",
        since="3.0.0", complexity="O(N) where N is the total number of Cluster nodes",
        summary="Returns the node table as text.",
    ),
    command(
        "CLUSTER REPLICAS", 3, "admin stale",
        tips="nondeterministic_output",
        since="5.0.0", complexity="O(N) where N is the number of replicas.",
        summary="Lists a primary's replicas.",
        arguments="node-id",
    ),
    command(
        "CLUSTER REPLICATE", -3, "admin stale no_async_loading",
        since="3.0.0", complexity="O(1)",
        summary="Makes this node a replica of another, or detaches it.",
        arguments="args(node-id | no-one(NO ONE)^9.0.0)",
    ),
    command(
        "CLUSTER RESET", -2, "admin noscript stale",
        since="3.0.0", complexity="O(N) in the nodes known; it may empty the databases too.",
        summary="Resets this node.",
        arguments="[reset-type(HARD | SOFT)]",
    ),
    command(
        "CLUSTER SAVECONFIG", 2, "admin stale no_async_loading",
        since="3.0.0", complexity="O(1)",
        summary="Writes the cluster configuration to disk.",
    ),
    command(
        "CLUSTER SET-CONFIG-EPOCH", 3, "admin stale no_async_loading",
        since="3.0.0", complexity="O(1)",
        summary="Sets a new node's configuration epoch.",
        arguments="config-epoch:integer",
    ),
    command(
        "CLUSTER SETSLOT", -4, "admin stale no_async_loading",
        since="3.0.0", complexity="O(1)",
        summary="Binds a hash slot to a node.",
        arguments="slot:integer subcommand(IMPORTING importing<node-id> | MIGRATING migrating<node-id> | "
                  "NODE node<node-id> | STABLE) [TIMEOUT timeout:integer^8.0.0]",
    ),
    command(
        "CLUSTER SHARDS", 2, "loading stale",
        tips="nondeterministic_output",
        since="7.0.0", complexity="O(N) where N is the total number of cluster nodes",
        summary="Lists the shards with their slots and nodes.",
    ),
    command(
        "CLUSTER SLAVES", 3, "admin stale",
        tips="nondeterministic_output",
        since="3.0.0", complexity="O(N) where N is the number of replicas.",
        summary="Lists a primary's replicas.",
        arguments="node-id",
        documentation="deprecated", deprecated_since="5.0.0", replaced_by="`CLUSTER REPLICAS`",
    ),
    command(
        "CLUSTER SLOT-STATS", -4, "loading stale",
        tips="nondeterministic_output request_policy:all_shards",
        since="8.0.0",
        complexity="O(N) where N is the total number of slots based on arguments. O(N*log(N)) with ORDERBY "
                   "subcommand.",
        summary="Returns usage figures by slot.",
        arguments="filter(SLOTSRANGE slotsrange(start-slot:integer end-slot:integer) | ORDERBY orderby(metric "
                  "[LIMIT limit:integer] [order(ASC | DESC)]))",
    ),
    command(
        "CLUSTER SLOTS", 2, "loading stale",
        tips="nondeterministic_output",
        since="3.0.0", complexity="O(N) where N is the total number of Cluster nodes",
        summary="Tells which node serves which slots.",
    ),
    command(
        "CLUSTER SYNCSLOTS", -3, "admin stale no_async_loading",
        since="9.0.0", complexity="Depends on subcommand.",
        summary="Internal commands of slot migration.",
        documentation="syscmd",
    ),
    command(
        "READONLY", 1, "loading stale fast",
        categories="connection",
        since="3.0.0", complexity="O(1)",
        summary="Allows reads from a cluster replica on this connection.",
    ),
    command(
        "READWRITE", 1, "loading stale fast",
        categories="connection",
        since="3.0.0", complexity="O(1)",
        summary="Ends what READONLY allowed.",
    ),
)
