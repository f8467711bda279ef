"""Commands of the group sentinel. Notation: see `commands/spec.py`."""

from functools import partial

from ranvier.commands.spec import Command

command = partial(Command, group="sentinel")

COMMANDS = (
    command(
        "SENTINEL", -2, "admin only_sentinel",
        since="2.8.4", complexity="Depends on subcommand.",
        summary="Sentinel commands.",
    ),
    command(
        "SENTINEL CKQUORUM", 3, "admin only_sentinel",
        since="2.8.4",
        summary="Tells whether a quorum can be reached.",
        arguments="primary-name",
    ),
    command(
        "SENTINEL CONFIG", -4, "admin only_sentinel",
        since="6.2.0", complexity="O(N) when N is the number of configuration parameters provided",
        summary="Reads and sets Sentinel's options.",
        arguments="action(SET set(parameter value)... | GET parameter...)",
    ),
    command(
        "SENTINEL DEBUG", -2, "admin only_sentinel",
        since="7.0.0", complexity="O(N) where N is the number of configurable parameters",
        summary="Lists or sets Sentinel's timings.",
        arguments="[data(parameter value)...]",
    ),
    command(
        "SENTINEL FAILOVER", -3, "admin only_sentinel",
        since="2.8.4",
        summary="Starts a failover.",
        arguments="primary-name [COORDINATED^9.0.0]",
    ),
    command(
        "SENTINEL FLUSHCONFIG", 2, "admin only_sentinel",
        since="2.8.4", complexity="O(1)",
        summary="Rewrites Sentinel's configuration file.",
    ),
    command(
        "SENTINEL GET-MASTER-ADDR-BY-NAME", 3, "admin only_sentinel",
        since="2.8.4", complexity="O(1)",
        summary="Returns a primary's address.",
        arguments="primary-name",
        documentation="deprecated", deprecated_since="8.0.0", replaced_by="`SENTINEL GET-PRIMARY-ADDR-BY-NAME`",
    ),
    command(
        "SENTINEL GET-PRIMARY-ADDR-BY-NAME", 3, "admin only_sentinel",
        since="8.0.0", complexity="O(1)",
        summary="Returns a primary's address.",
        arguments="primary-name",
    ),
    command(
        "SENTINEL HELP", 2, "loading stale only_sentinel",
        since="6.2.0", complexity="O(1)",
        summary="Explains the subcommands.",
    ),
    command(
        "SENTINEL INFO-CACHE", -3, "admin only_sentinel",
        since="3.2.0", complexity="O(N) where N is the number of instances",
        summary="Returns cached INFO replies of the instances.",
        arguments="nodename...",
    ),
    command(
        "SENTINEL IS-MASTER-DOWN-BY-ADDR", 6, "admin only_sentinel",
        since="2.8.4", complexity="O(1)",
        summary="Tells whether a primary is down.",
        arguments="ip port:integer current-epoch:integer runid",
        documentation="deprecated", deprecated_since="8.0.0", replaced_by="`SENTINEL IS-PRIMARY-DOWN-BY-ADDR`",
    ),
    command(
        "SENTINEL IS-PRIMARY-DOWN-BY-ADDR", 6, "admin only_sentinel",
        since="8.0.0", complexity="O(1)",
        summary="Tells whether a primary is down.",
        arguments="ip port:integer current-epoch:integer runid",
    ),
    command(
        "SENTINEL MASTER", 3, "admin only_sentinel",
        since="2.8.4", complexity="O(1)",
        summary="Describes a primary.",
        arguments="primary-name",
        documentation="deprecated", deprecated_since="8.0.0", replaced_by="`SENTINEL PRIMARY`",
    ),
    command(
        "SENTINEL MASTERS", 2, "admin only_sentinel",
        since="2.8.4", complexity="O(N) where N is the number of primaries",
        summary="Describes all primaries.",
        documentation="deprecated", deprecated_since="8.0.0", replaced_by="`SENTINEL PRIMARIES`",
    ),
    command(
        "SENTINEL MONITOR", 6, "admin only_sentinel",
        since="2.8.4", complexity="O(1)",
        summary="Starts to watch a primary.",
        arguments="name ip port:integer quorum:integer",
    ),
    command(
        "SENTINEL MYID", 2, "admin only_sentinel",
        since="6.2.0", complexity="O(1)",
        summary="Returns this Sentinel's id.",
    ),
    command(
        "SENTINEL PENDING-SCRIPTS", 2, "admin only_sentinel",
        since="2.8.4",
        summary="Lists scripts that wait to run.",
    ),
    command(
        "SENTINEL PRIMARIES", 2, "admin only_sentinel",
        since="8.0.0", complexity="O(N) where N is the number of primaries",
        summary="Describes all primaries.",
    ),
    command(
        "SENTINEL PRIMARY", 3, "admin only_sentinel",
        since="8.0.0", complexity="O(1)",
        summary="Describes a primary.",
        arguments="primary-name",
    ),
    command(
        "SENTINEL REMOVE", 3, "admin only_sentinel",
        since="2.8.4", complexity="O(1)",
        summary="Stops watching a primary.",
        arguments="primary-name",
    ),
    command(
        "SENTINEL REPLICAS", 3, "admin only_sentinel",
        since="5.0.0", complexity="O(N) where N is the number of replicas",
        summary="Lists a primary's replicas.",
        arguments="primary-name",
    ),
    command(
        "SENTINEL RESET", 3, "admin only_sentinel",
        since="2.8.4", complexity="O(N) where N is the number of monitored primaries",
        summary="Forgets the state of primaries.",
        arguments="pattern:pattern",
    ),
    command(
        "SENTINEL SENTINELS", 3, "admin only_sentinel",
        since="2.8.4", complexity="O(N) where N is the number of Sentinels",
        summary="Lists the other Sentinels.",
        arguments="primary-name",
    ),
    command(
        "SENTINEL SET", -5, "admin only_sentinel",
        since="2.8.4", complexity="O(1)",
        summary="Changes a primary's options.",
        arguments="primary-name data(option value)...",
    ),
    command(
        "SENTINEL SIMULATE-FAILURE", -3, "admin only_sentinel",
        since="3.2.0",
        summary="Crashes at chosen points, for tests.",
        arguments="[mode(crash-after-election:pure-token | crash-after-promotion:pure-token | help:pure-token)...]",
    ),
    command(
        "SENTINEL SLAVES", 3, "admin only_sentinel",
        since="2.8.0", complexity="O(N) where N is the number of replicas.",
        summary="Lists a primary's replicas.",
        arguments="primary-name",
        documentation="deprecated", deprecated_since="5.0.0", replaced_by="`SENTINEL REPLICAS`",
    ),
)
