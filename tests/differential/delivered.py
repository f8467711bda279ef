"""Which commands the differential tests compare. A command joins its list when Ranvier delivers it."""

import csv
from pathlib import Path

COMMANDS_TABLE = Path(__file__).parent.parent / "data" / "commands.tsv"

# The groups of types that are delivered whole.
GROUPS = (
    "string",
    "list",
    "hash",
    "set",
    "bitmap",
    "hyperloglog",
    "sorted-set",
    "geo",
)

# These would stop a random conversation; tests/modes/test_blocked.py compares them.
BLOCKING = {"BLMOVE", "BLMPOP", "BLPOP", "BRPOP", "BRPOPLPUSH", "BZMPOP", "BZPOPMAX", "BZPOPMIN"}

# Two servers pop different members, and then differ in everything: tests/commands/test_sets.py and the state machine of
# sets (tests/differential/machines) look after it.
# Ranges of names mean nothing where scores differ: what is found, removed or stored then is anybody's guess.
RANDOM = {"SPOP", "ZREMRANGEBYLEX", "ZRANGESTORE"}


def names(text: str) -> list[str]:
    return text.split()


GENERIC = names(
    "DEL UNLINK EXISTS TYPE KEYS SCAN RANDOMKEY RENAME RENAMENX COPY MOVE TOUCH EXPIRE PEXPIRE EXPIREAT PEXPIREAT "
    "TTL PTTL EXPIRETIME PEXPIRETIME PERSIST OBJECT|ENCODING OBJECT|FREQ OBJECT|IDLETIME OBJECT|REFCOUNT SORT SORT_RO"
)

SERVER = names(
    "DBSIZE FLUSHDB FLUSHALL SWAPDB TIME LOLWUT CONFIG|GET MEMORY|USAGE COMMAND|COUNT COMMAND|INFO COMMAND|GETKEYS "
    "COMMAND|GETKEYSANDFLAGS SLOWLOG|GET SLOWLOG|LEN SLOWLOG|RESET COMMANDLOG|GET COMMANDLOG|LEN COMMANDLOG|RESET "
    "LATENCY|LATEST LATENCY|HISTORY LATENCY|GRAPH LATENCY|RESET LATENCY|DOCTOR MEMORY|PURGE MEMORY|MALLOC-STATS "
    "MEMORY|DOCTOR"
)

CONNECTION = names(
    "PING ECHO SELECT HELLO RESET AUTH CLIENT|ID CLIENT|SETNAME CLIENT|GETNAME CLIENT|SETINFO CLIENT|INFO CLIENT|LIST "
    "CLIENT|NO-EVICT CLIENT|NO-TOUCH CLIENT|CAPA CLIENT|IMPORT-SOURCE"
)

# Delivered too, but unfit for random requests: they end, stall or reconfigure the server or the connection. Their
# tests stand in test_directed.py and tests/lifecycle.
DIRECTED = names(
    "QUIT CLIENT|KILL CONFIG|SET CONFIG|RESETSTAT CONFIG|REWRITE INFO SHUTDOWN COMMAND|DOCS COMMAND|LIST "
    "WAIT WAITAOF CLIENT|UNBLOCK CLIENT|PAUSE CLIENT|UNPAUSE CLIENT|HELP CLIENT|REPLY MONITOR "
    "OBJECT|HELP MEMORY|HELP MEMORY|STATS SLOWLOG|HELP COMMANDLOG|HELP LATENCY|HELP LATENCY|HISTOGRAM "
    "DUMP RESTORE RESTORE-ASKING MIGRATE "
    "PFDEBUG PFSELFTEST "
    "MODULE|LIST MODULE|LOAD MODULE|LOADEX MODULE|UNLOAD MODULE|HELP "
    "SAVE BGSAVE LASTSAVE BGREWRITEAOF ROLE REPLICAOF SLAVEOF FAILOVER PSYNC SYNC REPLCONF DEBUG "
    "COMMAND|HELP CONFIG|HELP"
)

# Compared conversation by conversation, in tests/modes/test_pubsub.py.
PUBSUB = names(
    "SUBSCRIBE UNSUBSCRIBE PSUBSCRIBE PUNSUBSCRIBE SSUBSCRIBE SUNSUBSCRIBE PUBLISH SPUBLISH PUBSUB|CHANNELS "
    "PUBSUB|NUMSUB PUBSUB|NUMPAT PUBSUB|SHARDCHANNELS PUBSUB|SHARDNUMSUB PUBSUB|HELP"
)


# Pushes would come between the replies: tests/modes/test_tracking.py and test_tracking_model.py compare conversations.
TRACKING = names("CLIENT|TRACKING CLIENT|CACHING CLIENT|GETREDIR CLIENT|TRACKINGINFO")

# As random requests they would leave a connection inside MULTI: tests/modes/test_multi.py compares conversations.
TRANSACTIONS = names("MULTI EXEC DISCARD WATCH UNWATCH")

# Random ids would all be smaller than the first that a clock gave: the state machine of streams
# (tests/differential/machines) makes requests that meet.
CLOCKED = ("stream",)


def commands_of_group(group: str) -> list[str]:
    """The names of a group's commands that Valkey 9.1 has, blocking ones left out."""
    with COMMANDS_TABLE.open(newline="") as table:
        rows = list(csv.DictReader(table, delimiter="\t"))
    found = [row["name"] for row in rows if row["group"] == group and row["in_valkey_9.1"] == "yes"]
    return [name.replace(" ", "|") for name in found]


def values() -> list[str]:
    """The commands of the types, those aside that no random conversation can hold."""
    unfit = {*BLOCKING, *RANDOM, *DIRECTED}
    return [name for group in GROUPS for name in commands_of_group(group) if name not in unfit]


def random_commands() -> list[str]:
    """Every command that random requests are made of."""
    return [*values(), *GENERIC, *SERVER, *CONNECTION]


def delivered_commands() -> list[str]:
    """Every command of which Ranvier's metadata must equal Valkey's."""
    clocked = [name for group in CLOCKED for name in commands_of_group(group)]
    held = [*sorted(BLOCKING), *sorted(RANDOM), *DIRECTED, *PUBSUB, *TRACKING, *TRANSACTIONS]
    return [*random_commands(), *clocked, *held]
