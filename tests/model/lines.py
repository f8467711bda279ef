"""What the guests of a table say and do: lines by the command they need, garbage, ways to go."""

from hypothesis import strategies as st

from differential.delivered import delivered_commands
from model.table import GUESTS, Table

TWO_MINUTES = 120_000

# Commands by groups; a line is used when its command is delivered. `{b}` is a guest's id, `{@b}` its address. A group's
# weight is how often it is drawn from, in tenths.
DATA = (
    "set a 1", "set a 2", "get a", "incr a", "append b x", "get b", "del a b", "rpush l 1", "rpush l 2 3",
    "lpush l 4", "lpush m 5", "lpop l", "rpop m", "lrange l 0 -1", "rename m l", "del l m", "mget a b", "strlen l",
    "lmove l m left right", "exists l m", "setnx a 7", "getdel b", "expire a -1", "pexpire l 1000000", "type l",
    "copy a b", "swapdb 0 1", "flushdb", "flushall", "move l 1", "touch a b", "nosuch x", "get", "incr l",
    "set a 1 get", "echo hello", "ping", "ping text", "mset a 1 b 2", "object encoding a", "dbsize", "persist l",
)  # fmt: skip
TRANSACTION = (
    "multi", "multi", "multi", "exec", "exec", "exec", "exec", "discard", "watch a", "watch a l", "watch b b",
    "unwatch",
)  # fmt: skip
PUBSUB = (
    "subscribe one", "subscribe one two", "psubscribe o*", "psubscribe ?ne t*", "ssubscribe one", "ssubscribe s",
    "unsubscribe", "unsubscribe one", "unsubscribe nosuch", "punsubscribe", "punsubscribe o*", "sunsubscribe",
    "sunsubscribe one", "publish one hello", "publish two there", "publish nobody x", "spublish one shard",
    "spublish s shard", "pubsub numsub one two", "pubsub numpat", "pubsub shardnumsub one s",
    "subscribe __keyevent@0__:expired __keyevent@0__:lpop", "psubscribe __keyspace@0__:l",
)  # fmt: skip
BLOCKING = (
    "blpop l 0", "blpop m l 0", "brpop l m 0", "blmove l m left right 0", "blmove m l right left 0",
    "brpoplpush l l 0", "blmpop 0 2 l m left", "blmpop 0 1 l right count 2", "blpop a 0", "blpop l nonsense",
    "blpop l -1", "client unblock {a}", "client unblock {b} error", "client unblock {c} timeout",
    "client unblock {d}", "client unblock {me}", "client unblock 999999", "wait 0 0",
)  # fmt: skip
PAUSE = (
    f"client pause {TWO_MINUTES} write", f"client pause {TWO_MINUTES} write", "client unpause", "client unpause",
    "client unpause", "client unpause", "client pause x", "client pause 1 nonsense",
)  # fmt: skip
CONNECTION = (
    "hello 3", "hello 3", "hello 2", "hello", "hello 4", "hello 3 setname three", "reset", "select 1", "select 0",
    "select 99", "client id", "client setname somebody", 'client setname ""', "client getname",
    "client setinfo lib-name x", "quit", "quit now", "auth x",
)  # fmt: skip
KILL = (
    "client kill id {a}", "client kill id {b}", "client kill id {c}", "client kill id {me}",
    "client kill id {me} skipme no", "client kill {@a}", "client kill {@me}", "client kill 1.2.3.4:5",
    "client kill type pubsub not-name control", "client kill name somebody", "client kill db 1",
    "client kill flags x", "client kill flags b not-name control",
    "client kill not-flags N not-name control skipme no", "client kill id {a} {b} {d} skipme no", "client kill id 0",
)  # fmt: skip
REPLY = ("client reply on", "client reply on", "client reply off", "client reply skip", "client reply skip")
MONITOR = ("monitor",)
TRACKING = (
    "client tracking on", "client tracking on", "client tracking on bcast",
    "client tracking on bcast prefix a prefix l", "client tracking on optin", "client tracking on optout",
    "client tracking on noloop", "client tracking off", "client tracking off", "client tracking on redirect {a}",
    "client tracking on redirect {b} bcast", "client caching yes", "client caching no", "client getredir",
    "client trackinginfo", "subscribe __redis__:invalidate", "client tracking on redirect 999999",
    "client tracking on bcast prefix a prefix ab", "client tracking on optin optout",
)  # fmt: skip
EVICTION = ("client no-evict on", "client no-evict off", "client no-touch on", "client no-touch off")

GROUPS = (
    (8, DATA, ()), (5, TRANSACTION, ("MULTI", "WATCH")), (5, PUBSUB, ("SUBSCRIBE", "SPUBLISH")),
    (5, BLOCKING, ("BLPOP", "CLIENT|UNBLOCK")), (2, PAUSE, ("CLIENT|PAUSE",)), (4, CONNECTION, ()),
    (1, KILL, ("CLIENT|KILL",)), (1, REPLY, ("CLIENT|REPLY",)), (1, MONITOR, ("MONITOR",)),
    (4, TRACKING, ("CLIENT|TRACKING", "CLIENT|CACHING", "CLIENT|GETREDIR", "CLIENT|TRACKINGINFO")),
    (1, EVICTION, ("CLIENT|NO-EVICT", "CLIENT|NO-TOUCH")),
)  # fmt: skip

GARBAGE = (
    b"*x\r\n", b"*1\r\n$x\r\n", b"*1\r\nfoo\r\n", b"*2\r\n$4\r\nPING\r\n$-5\r\n", b'echo "unbalanced\r\n',
    b"*3000000000\r\n", b"*1\r\n$4\r\nPINGxx", b"POST / HTTP/1.1\r\n", b"\r\n", b"*0\r\n", b"*-1\r\n", b"ping\n",
    b"PING\r\n*x\r\nPING\r\n", b"*1\r\n$4\r\nQUIT\r\n*x\r\n",
)  # fmt: skip
WAYS_TO_GO = ("FIN", "RST", "half-close")


def delivered_groups() -> list[tuple[str, ...]]:
    """The groups that are delivered, each as often as it weighs."""
    delivered = set(delivered_commands())
    return [group for weight, group, needed in GROUPS for _ in range(weight) if delivered.issuperset(needed)]


def lines() -> st.SearchStrategy[str]:
    """A line of a group that is delivered."""
    return st.sampled_from(delivered_groups()).flatmap(st.sampled_from)


GUEST = st.sampled_from(GUESTS)


def steps(longest: int) -> st.SearchStrategy[list[tuple[object, ...]]]:
    """Steps: the name of a Table's method, and its arguments."""
    line = lines()
    kinds = (
        (1, st.just(("nothing",))),
        (18, st.tuples(st.just("say"), GUEST, st.lists(line, min_size=1, max_size=1))),
        (4, st.tuples(st.just("say"), GUEST, st.lists(line, min_size=2, max_size=4))),
        (3, st.tuples(st.just("say"), GUEST, st.lists(line, min_size=1, max_size=3), st.integers(1, 999))),
        (2, st.tuples(st.just("part"), GUEST, st.sampled_from(WAYS_TO_GO))),
        (1, st.tuples(st.just("garbage"), GUEST, st.sampled_from(GARBAGE))),
        (1, st.tuples(st.just("pause_everything"), GUEST, st.dictionaries(GUEST, line, max_size=3))),
        (2, st.tuples(st.just("check"))),
    )
    # Not one_of: it forgets how often it was given an alternative.
    step = st.sampled_from([kind for weight, kind in kinds for _ in range(weight)]).flatmap(lambda kind: kind)
    # Not from one step on: such lists would hardly ever grow long.
    return st.lists(step, min_size=longest // 3, max_size=longest)


def play(table: Table, script: list[tuple[object, ...]]) -> None:
    """Do the steps, compare what is shown at the end, and leave the table."""
    try:
        for method, *arguments in script:
            getattr(table, str(method))(*arguments)
        table.check()
        table.leave()
    except (TimeoutError, EOFError) as error:
        raise AssertionError(f"the control connection: {error!r}, after\n{table.story()}") from error
