"""Commands of the group sorted-set. Notation: see `commands/spec.py`."""

from functools import partial

from ranvier.commands.spec import Command

command = partial(Command, group="sorted-set")

COMMANDS = (
    command(
        "BZMPOP", -5, "write blocking", "2# RW access delete",
        since="7.0.0", complexity="O(K) + O(M*log(N)) for K keys, N members and M popped.",
        summary="Pops from the first sorted set that has members; waits for one.",
        arguments="timeout:double numkeys:integer key@0... where(MIN | MAX) [COUNT count:integer]",
        propagated="ZPOPMIN key count or ZPOPMAX key count",
    ),
    command(
        "BZPOPMAX", -3, "write blocking fast", "1..-2 RW access delete",
        since="5.0.0", complexity="O(log(N)) with N being the number of elements in the sorted set.",
        summary="Pops the member with the highest score; waits for one.",
        arguments="key@0... timeout:double",
        propagated="ZPOPMAX key",
    ),
    command(
        "BZPOPMIN", -3, "write blocking fast", "1..-2 RW access delete",
        since="5.0.0", complexity="O(log(N)) with N being the number of elements in the sorted set.",
        summary="Pops the member with the lowest score; waits for one.",
        arguments="key@0... timeout:double",
        propagated="ZPOPMIN key",
    ),
    command(
        "ZADD", -4, "write denyoom fast", "1 RW update",
        since="1.2.0",
        complexity="O(log(N)) for each item added, where N is the number of elements in the sorted set.",
        summary="Adds members with scores, or changes scores.",
        arguments="key@0 [condition(NX | XX)^3.0.2] [comparison(GT | LT)^6.2.0] [change=CH^3.0.2] "
                  "[increment=INCR^3.0.2] data(score:double member)...",
        propagated="verbatim",
    ),
    command(
        "ZCARD", 2, "readonly fast", "1 RO",
        since="1.2.0", complexity="O(1)",
        summary="Counts the members of a sorted set.",
        arguments="key@0",
    ),
    command(
        "ZCOUNT", 4, "readonly fast", "1 RO access",
        since="2.0.0", complexity="O(log(N)) with N being the number of elements in the sorted set.",
        summary="Counts the members within a range of scores.",
        arguments="key@0 min:double max:double",
    ),
    command(
        "ZDIFF", -3, "readonly", "1# RO access",
        since="6.2.0",
        complexity="O(L + (N-K)log(N)) for L members altogether, N in the first set and K in the result.",
        summary="Returns the first sorted set without the members of the others.",
        arguments="numkeys:integer key@0... [WITHSCORES]",
    ),
    command(
        "ZDIFFSTORE", -4, "write denyoom", "1 OW update; 2# RO access",
        since="6.2.0",
        complexity="O(L + (N-K)log(N)) for L members altogether, N in the first set and K in the result.",
        summary="Stores the difference of sorted sets.",
        arguments="destination@0 numkeys:integer key@1...",
        propagated="DEL destination, then ZADD destination score member...",
    ),
    command(
        "ZINCRBY", 4, "write denyoom fast", "1 RW access update",
        since="1.2.0", complexity="O(log(N)) where N is the number of elements in the sorted set.",
        summary="Adds to a member's score.",
        arguments="key@0 increment:integer member",
        propagated="ZADD key score member",
    ),
    command(
        "ZINTER", -3, "readonly", "1# RO access",
        since="6.2.0", complexity="O(N*K)+O(M*log(M)) for K sets, N members in the smallest and M in the result.",
        summary="Returns the members common to all sorted sets.",
        arguments="numkeys:integer key@0... [WEIGHTS weight:integer...] [AGGREGATE aggregate(SUM | MIN | MAX)] "
                  "[WITHSCORES]",
    ),
    command(
        "ZINTERCARD", -3, "readonly", "1# RO access",
        since="7.0.0", complexity="O(N*K) for K sets and N members in the smallest.",
        summary="Counts the members common to all sorted sets.",
        arguments="numkeys:integer key@0... [LIMIT limit:integer]",
    ),
    command(
        "ZINTERSTORE", -4, "write denyoom", "1 OW update; 2# RO access",
        since="2.0.0", complexity="O(N*K)+O(M*log(M)) for K sets, N members in the smallest and M in the result.",
        summary="Stores the members common to all sorted sets.",
        arguments="destination@0 numkeys:integer key@1... [WEIGHTS weight:integer...] [AGGREGATE aggregate(SUM | "
                  "MIN | MAX)]",
        propagated="DEL destination, then ZADD destination score member...",
    ),
    command(
        "ZLEXCOUNT", 4, "readonly fast", "1 RO access",
        since="2.8.9", complexity="O(log(N)) with N being the number of elements in the sorted set.",
        summary="Counts the members within a lexicographical range.",
        arguments="key@0 min max",
    ),
    command(
        "ZMPOP", -4, "write", "1# RW access delete",
        since="7.0.0", complexity="O(K) + O(M*log(N)) for K keys, N members and M popped.",
        summary="Pops from the first sorted set that has members.",
        arguments="numkeys:integer key@0... where(MIN | MAX) [COUNT count:integer]",
        propagated="ZPOPMIN key count or ZPOPMAX key count",
    ),
    command(
        "ZMSCORE", -3, "readonly fast", "1 RO access",
        since="6.2.0", complexity="O(N) where N is the number of members being requested.",
        summary="Returns the scores of members.",
        arguments="key@0 member...",
    ),
    command(
        "ZPOPMAX", -2, "write fast", "1 RW access delete",
        since="5.0.0", complexity="O(log(N)*M) for N members and M popped.",
        summary="Pops the members with the highest scores.",
        arguments="key@0 [count:integer]",
        propagated="verbatim",
    ),
    command(
        "ZPOPMIN", -2, "write fast", "1 RW access delete",
        since="5.0.0", complexity="O(log(N)*M) for N members and M popped.",
        summary="Pops the members with the lowest scores.",
        arguments="key@0 [count:integer]",
        propagated="verbatim",
    ),
    command(
        "ZRANDMEMBER", -2, "readonly", "1 RO access",
        tips="nondeterministic_output",
        since="6.2.0", complexity="O(N) where N is the number of members returned",
        summary="Returns random members.",
        arguments="key@0 [options(count:integer [WITHSCORES])]",
    ),
    command(
        "ZRANGE", -4, "readonly", "1 RO access",
        since="1.2.0", complexity="O(log(N)+M) for N members and M returned.",
        summary="Returns a range of members.",
        arguments="key@0 start stop [sortby(BYSCORE | BYLEX)^6.2.0] [REV^6.2.0] [LIMIT limit(offset:integer "
                  "count:integer)^6.2.0] [WITHSCORES]",
    ),
    command(
        "ZRANGEBYLEX", -4, "readonly", "1 RO access",
        since="2.8.9", complexity="O(log(N)+M) for N members and M returned.",
        summary="Returns a lexicographical range of members.",
        arguments="key@0 min max [LIMIT limit(offset:integer count:integer)]",
    ),
    command(
        "ZRANGEBYSCORE", -4, "readonly", "1 RO access",
        since="1.0.5", complexity="O(log(N)+M) for N members and M returned.",
        summary="Returns a range of members by score.",
        arguments="key@0 min:double max:double [WITHSCORES^2.0.0] [LIMIT limit(offset:integer count:integer)]",
    ),
    command(
        "ZRANGESTORE", -5, "write denyoom", "1 OW update; 2 RO access",
        since="6.2.0", complexity="O(log(N)+M) for N members and M stored.",
        summary="Stores a range of members.",
        arguments="dst@0 src@1 min max [sortby(BYSCORE | BYLEX)] [REV] [LIMIT limit(offset:integer count:integer)]",
        propagated="DEL destination, then ZADD destination score member...",
    ),
    command(
        "ZRANK", -3, "readonly fast", "1 RO access",
        since="2.0.0", complexity="O(log(N))",
        summary="Returns a member's rank by ascending scores.",
        arguments="key@0 member [WITHSCORE]",
    ),
    command(
        "ZREM", -3, "write fast", "1 RW delete",
        since="1.2.0", complexity="O(M*log(N)) for N members and M removed.",
        summary="Removes members.",
        arguments="key@0 member...",
        propagated="verbatim",
    ),
    command(
        "ZREMRANGEBYLEX", 4, "write", "1 RW delete",
        since="2.8.9", complexity="O(log(N)+M) for N members and M removed.",
        summary="Removes a lexicographical range of members.",
        arguments="key@0 min max",
        propagated="verbatim",
    ),
    command(
        "ZREMRANGEBYRANK", 4, "write", "1 RW delete",
        since="2.0.0", complexity="O(log(N)+M) for N members and M removed.",
        summary="Removes a range of members by rank.",
        arguments="key@0 start:integer stop:integer",
        propagated="verbatim",
    ),
    command(
        "ZREMRANGEBYSCORE", 4, "write", "1 RW delete",
        since="1.2.0", complexity="O(log(N)+M) for N members and M removed.",
        summary="Removes a range of members by score.",
        arguments="key@0 min:double max:double",
        propagated="verbatim",
    ),
    command(
        "ZREVRANGE", -4, "readonly", "1 RO access",
        since="1.2.0", complexity="O(log(N)+M) for N members and M returned.",
        summary="Returns a range of members, highest score first.",
        arguments="key@0 start:integer stop:integer [WITHSCORES]",
    ),
    command(
        "ZREVRANGEBYLEX", -4, "readonly", "1 RO access",
        since="2.8.9", complexity="O(log(N)+M) for N members and M returned.",
        summary="Returns a lexicographical range of members backwards.",
        arguments="key@0 max min [LIMIT limit(offset:integer count:integer)]",
    ),
    command(
        "ZREVRANGEBYSCORE", -4, "readonly", "1 RO access",
        since="2.2.0", complexity="O(log(N)+M) for N members and M returned.",
        summary="Returns a range of members by score, highest first.",
        arguments="key@0 max:double min:double [WITHSCORES] [LIMIT limit(offset:integer count:integer)]",
    ),
    command(
        "ZREVRANK", -3, "readonly fast", "1 RO access",
        since="2.0.0", complexity="O(log(N))",
        summary="Returns a member's rank by descending scores.",
        arguments="key@0 member [WITHSCORE]",
    ),
    command(
        "ZSCAN", -3, "readonly", "1 RO access",
        tips="nondeterministic_output",
        since="2.8.0", complexity="O(1) for every call, O(N) for a whole walk over N elements.",
        summary="Walks over the members of a sorted set.",
        arguments="key@0 cursor:integer [MATCH pattern:pattern] [COUNT count:integer] [NOSCORES]",
    ),
    command(
        "ZSCORE", 3, "readonly fast", "1 RO access",
        since="1.2.0", complexity="O(1)",
        summary="Returns a member's score.",
        arguments="key@0 member",
    ),
    command(
        "ZUNION", -3, "readonly", "1# RO access",
        since="6.2.0", complexity="O(N)+O(M*log(M)) for N members in all sets and M in the result.",
        summary="Returns the members of all sorted sets.",
        arguments="numkeys:integer key@0... [WEIGHTS weight:integer...] [AGGREGATE aggregate(SUM | MIN | MAX)] "
                  "[WITHSCORES]",
    ),
    command(
        "ZUNIONSTORE", -4, "write denyoom", "1 OW update; 2# RO access",
        since="2.0.0", complexity="O(N)+O(M log(M)) for N members in all sets and M in the result.",
        summary="Stores the members of all sorted sets.",
        arguments="destination@0 numkeys:integer key@1... [WEIGHTS weight:integer...] [AGGREGATE aggregate(SUM | "
                  "MIN | MAX)]",
        propagated="DEL destination, then ZADD destination score member...",
    ),
)
