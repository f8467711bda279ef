"""What can refuse, delay or precede a command: the ordered list of gates, as data.

The server and each client keep one mask of what is refused or due now; a command carries the mask of the gates that
concern it. The fast path is one AND of the two. Only when a bit is left does dispatch walk `GATES`, in this order, and
the first gate that refuses answers. The order is that of Valkey 9.1: authentication comes before the look-up, so that a
stranger learns nothing about commands.

`engine/core.pxd` declares the same bits for the engine; a test holds both against each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from typing import Final

from ranvier.commands.spec import Command


class Gate(IntFlag):
    """One bit per gate, as `GATE_...` in `engine/core.pxd`. Who sets it: S the server's mask, C the client's."""

    PROTECTED = 1 << 0           # C: enable-debug-command or enable-module-command forbid it to this client
    AUTHENTICATION = 1 << 1      # C: not authenticated yet
    NO_MULTI = 1 << 2            # C: inside MULTI
    ACL = 1 << 3                 # C: its user may not run everything
    CLUSTER = 1 << 4             # S: cluster mode
    EVICT_CLIENTS = 1 << 5       # S: due, clients' memory is over maxmemory-clients
    OUT_OF_MEMORY = 1 << 6       # S: memory is over maxmemory
    TRACKING_TABLE = 1 << 7      # S: due, the tracking table is over tracking-table-max-keys
    DISK_ERROR = 1 << 8          # S: the last save or append failed, and that stops writes
    GOOD_REPLICAS = 1 << 9       # S: fewer good replicas than min-replicas-to-write
    READ_ONLY = 1 << 10          # S: a read-only replica
    SUBSCRIBED = 1 << 11         # C: RESP2 and subscribed
    STALE = 1 << 12              # S: a replica whose primary is away, and replica-serve-stale-data no
    LOADING = 1 << 13            # S: loading the data set
    BUSY = 1 << 14               # S: a script or function runs too long
    REPLICA = 1 << 15            # C: the connection is a replica's
    PAUSED_WRITE = 1 << 16       # S: CLIENT PAUSE WRITE
    PAUSED_ALL = 1 << 17         # S: CLIENT PAUSE ALL
    QUEUE = 1 << 18              # C: inside MULTI
    EVICT_KEYS = 1 << 19         # S: due, memory is over maxmemory and the policy can evict
    REDIRECT = 1 << 20           # C: understands REDIRECT, and the server is a replica
    ASYNC_LOADING = 1 << 21      # S: loading beside a data set that is served
    MONITOR = 1 << 22            # S: after the command: somebody runs MONITOR
    ENDING = 1 << 23             # S: a shutdown waits


@dataclass(frozen=True, slots=True)
class GateRule:
    """`number` is the check's number in the lifecycle contract (A4). `reply` "": acts, and refuses nothing itself.

    Dispatch fills `%s` in: PROTECTED takes DEBUG or MODULE and the option's name, NO_MULTI and SUBSCRIBED the command's
    full name, DISK_ERROR the error, LOADING and BUSY the server's name.
    """

    number: int
    gate: Gate
    reply: str


GATES: Final = (
    GateRule(6, Gate.AUTHENTICATION, "NOAUTH Authentication required."),
    GateRule(
        5, Gate.PROTECTED,
        "ERR %s command not allowed. If the %s option is set to \"local\", you can run it from a local connection, "
        "otherwise you need to set this option in the configuration file, and then restart the server.",
    ),
    GateRule(7, Gate.NO_MULTI, "ERR Command '%s' not allowed inside a transaction"),
    GateRule(8, Gate.ACL, "NOPERM User %s has no permissions to run the '%s' command"),
    GateRule(9, Gate.CLUSTER, ""),
    GateRule(9, Gate.REDIRECT, "REDIRECT %s"),
    GateRule(10, Gate.EVICT_CLIENTS, ""),
    GateRule(11, Gate.EVICT_KEYS, ""),
    GateRule(11, Gate.OUT_OF_MEMORY, "OOM command not allowed when used memory > 'maxmemory'."),
    GateRule(12, Gate.TRACKING_TABLE, ""),
    GateRule(13, Gate.DISK_ERROR, "MISCONF %s"),
    GateRule(14, Gate.GOOD_REPLICAS, "NOREPLICAS Not enough good replicas to write."),
    GateRule(15, Gate.READ_ONLY, "READONLY You can't write against a read only replica."),
    GateRule(
        16, Gate.SUBSCRIBED,
        "ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this "
        "context",
    ),
    GateRule(
        17, Gate.STALE, "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."
    ),
    GateRule(18, Gate.LOADING, "LOADING %s is loading the dataset in memory"),
    GateRule(19, Gate.ASYNC_LOADING, "LOADING %s is loading the dataset in memory"),
    GateRule(20, Gate.BUSY, "BUSY %s is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."),
    GateRule(21, Gate.REPLICA, "ERR Replica can't interact with the keyspace"),
    GateRule(22, Gate.PAUSED_WRITE, ""),
    GateRule(22, Gate.PAUSED_ALL, ""),
    GateRule(22, Gate.ENDING, ""),
    GateRule(23, Gate.QUEUE, ""),
    GateRule(24, Gate.MONITOR, ""),
)

# These concern every command.
_ALWAYS: Final = (
    Gate.ACL | Gate.EVICT_CLIENTS | Gate.EVICT_KEYS | Gate.TRACKING_TABLE | Gate.PAUSED_ALL
)

# EXEC stands for what it runs: dispatch looks at the flags of the queued commands.
_OF_EXEC: Final = (
    Gate.CLUSTER | Gate.REDIRECT | Gate.OUT_OF_MEMORY | Gate.DISK_ERROR | Gate.GOOD_REPLICAS | Gate.READ_ONLY
    | Gate.PAUSED_WRITE
)

# Run at once inside MULTI.
_NOT_QUEUED: Final = frozenset({"EXEC", "DISCARD", "MULTI", "WATCH", "QUIT", "RESET"})

# A RESP2 client that is subscribed may run these.
_SUBSCRIBER_COMMANDS: Final = frozenset({
    "PING", "SUBSCRIBE", "SSUBSCRIBE", "PSUBSCRIBE", "UNSUBSCRIBE", "SUNSUBSCRIBE", "PUNSUBSCRIBE", "QUIT", "RESET",
})

# The flag that lets a command through, where there is one.
_EXEMPTING_FLAGS: Final = {
    Gate.AUTHENTICATION: "no_auth", Gate.STALE: "stale", Gate.LOADING: "loading", Gate.BUSY: "allow_busy",
}

# The flag that brings a command before a gate.
_CONCERNING_FLAGS: Final = {
    Gate.PROTECTED: "protected", Gate.NO_MULTI: "no_multi", Gate.OUT_OF_MEMORY: "denyoom",
    Gate.ASYNC_LOADING: "no_async_loading",
}


def gates_of(command: Command) -> Gate:
    """The mask of the gates that concern `command`, from its flags and key specs."""
    flags = command.flag_set
    mask = _ALWAYS
    for gate, flag in _EXEMPTING_FLAGS.items():
        if flag not in flags:
            mask |= gate
    for gate, flag in _CONCERNING_FLAGS.items():
        if flag in flags:
            mask |= gate
    if command.key_specs:
        mask |= Gate.CLUSTER
    if flags & {"write", "readonly"}:
        mask |= Gate.REDIRECT
    if "write" in flags:
        mask |= Gate.DISK_ERROR | Gate.GOOD_REPLICAS | Gate.READ_ONLY
    if command.name == "PING":
        mask |= Gate.DISK_ERROR
    if flags & {"write", "readonly", "may_replicate"}:
        mask |= Gate.REPLICA
    if flags & {"write", "may_replicate"}:
        mask |= Gate.PAUSED_WRITE
    if command.key_specs or flags & {"write", "readonly", "may_replicate"} or command.name == "EXEC":
        mask |= Gate.ENDING
    if command.name == "EXEC":
        mask |= _OF_EXEC
    if command.name not in _NOT_QUEUED:
        mask |= Gate.QUEUE
    if command.name not in _SUBSCRIBER_COMMANDS:
        mask |= Gate.SUBSCRIBED
    if not flags & {"admin", "skip_monitor"}:
        mask |= Gate.MONITOR
    return mask
