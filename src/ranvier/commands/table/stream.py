"""Commands of the group stream. Notation: see `commands/spec.py`."""

from functools import partial

from ranvier.commands.spec import Command

command = partial(Command, group="stream")

COMMANDS = (
    command(
        "XACK", -4, "write fast", "1 RW update",
        since="5.0.0", complexity="O(1) for each message ID processed.",
        summary="Acknowledges messages for a consumer group.",
        arguments="key@0 group id...",
        propagated="verbatim",
        handler="native:xack",
    ),
    command(
        "XACKDEL", -6, "write fast", "1 RW update delete",
        since="8.2.0", complexity="O(1) for each message ID, O(N) in the groups under DELREF and ACKED.",
        summary="Acknowledges messages for a consumer group and deletes them.",
        arguments="key@0 group [condition(KEEPREF | DELREF | ACKED)] IDS ids(numids:integer id...)",
        propagated="XACK key group id and XDEL key id, one per message",
        handler="native:xackdel", own=True,
    ),
    command(
        "XADD", -5, "write denyoom fast", "1 RW update",
        tips="nondeterministic_output",
        since="5.0.0",
        complexity="O(1) when adding a new entry, O(N) when trimming where N being the number of entries evicted.",
        summary="Appends a message to a stream.",
        arguments='key@0 [NOMKSTREAM^6.2.0] [trim(strategy(MAXLEN | MINID^6.2.0) [operator(equal="=" | '
                  'approximately="~")] threshold [LIMIT count:integer^6.2.0])] id-selector(auto-id="*" | id) '
                  'data(field value)...',
        propagated="XADD key with the id that was given out and exact trimming",
        handler="native:xadd",
    ),
    command(
        "XAUTOCLAIM", -6, "write fast", "1 RW delete",
        tips="nondeterministic_output",
        since="6.2.0", complexity="O(1) if COUNT is small.",
        summary="Takes pending messages over from other consumers.",
        arguments="key@0 group consumer min-idle-time start [COUNT count:integer] [JUSTID]",
        propagated="XCLAIM key group consumer 0 id TIME ms RETRYCOUNT n FORCE JUSTID LASTID id, one per message",
        handler="native:xautoclaim",
    ),
    command(
        "XCLAIM", -6, "write fast", "1 RW update",
        tips="nondeterministic_output",
        since="5.0.0", complexity="O(log N) with N being the number of messages in the PEL of the consumer group.",
        summary="Takes named pending messages over.",
        arguments="key@0 group consumer min-idle-time id... [IDLE ms:integer] [TIME "
                  "unix-time-milliseconds:unix-time] [RETRYCOUNT count:integer] [FORCE] [JUSTID] [LASTID lastid]",
        propagated="XCLAIM key group consumer 0 id TIME ms RETRYCOUNT n FORCE JUSTID LASTID id, one per message",
        handler="native:xclaim",
    ),
    command(
        "XDEL", -3, "write fast", "1 RW delete",
        since="5.0.0", complexity="O(1) for each single item to delete in the stream, regardless of the stream size.",
        summary="Deletes messages.",
        arguments="key@0 id...",
        propagated="verbatim",
        handler="native:xdel",
    ),
    command(
        "XDELEX", -5, "write fast", "1 RW delete",
        since="8.2.0", complexity="O(1) for each message ID, O(N) in the groups under DELREF and ACKED.",
        summary="Deletes messages, with a say in what becomes of references to them.",
        arguments="key@0 [condition(KEEPREF | DELREF | ACKED)] IDS ids(numids:integer id...)",
        propagated="XDEL key id, one per message, and XACK key group id under DELREF",
        handler="native:xdelex", own=True,
    ),
    command(
        "XGROUP", -2,
        categories="",
        since="5.0.0", complexity="Depends on subcommand.",
        summary="Commands about consumer groups.",
    ),
    command(
        "XGROUP CREATE", -5, "write denyoom", "2 RW insert",
        since="5.0.0", complexity="O(1)",
        summary="Creates a consumer group.",
        arguments='key@0 group id-selector(id | new-id="$") [MKSTREAM] [ENTRIESREAD '
                  'entriesread:integer<entries-read>]',
        propagated="XGROUP CREATE key group id with $ resolved",
        handler="native:xgroup_create",
    ),
    command(
        "XGROUP CREATECONSUMER", 5, "write denyoom", "2 RW insert",
        since="6.2.0", complexity="O(1)",
        summary="Creates a consumer.",
        arguments="key@0 group consumer",
        propagated="verbatim",
        handler="native:xgroup_createconsumer",
    ),
    command(
        "XGROUP DELCONSUMER", 5, "write", "2 RW delete",
        since="5.0.0", complexity="O(1)",
        summary="Deletes a consumer.",
        arguments="key@0 group consumer",
        propagated="verbatim",
        handler="native:xgroup_delconsumer",
    ),
    command(
        "XGROUP DESTROY", 4, "write", "2 RW delete",
        since="5.0.0", complexity="O(N) where N is the number of entries in the group's pending entries list (PEL).",
        summary="Deletes a consumer group.",
        arguments="key@0 group",
        propagated="verbatim",
        handler="native:xgroup_destroy",
    ),
    command(
        "XGROUP HELP", 2, "loading stale",
        since="5.0.0", complexity="O(1)",
        summary="Explains the subcommands.",
        handler="streams:xgroup_help",
    ),
    command(
        "XGROUP SETID", -5, "write", "2 RW update",
        since="5.0.0", complexity="O(1)",
        summary="Sets what a group has delivered last.",
        arguments='key@0 group id-selector(id | new-id="$") [ENTRIESREAD entriesread:integer<entries-read>]',
        propagated="XGROUP SETID key group id with $ resolved",
        handler="native:xgroup_setid",
    ),
    command(
        "XINFO", -2,
        categories="",
        since="5.0.0", complexity="Depends on subcommand.",
        summary="Looks into streams.",
    ),
    command(
        "XINFO CONSUMERS", 4, "readonly", "2 RO access",
        tips="nondeterministic_output",
        since="5.0.0", complexity="O(1)",
        summary="Describes a group's consumers.",
        arguments="key@0 group",
        handler="streams:xinfo_consumers",
    ),
    command(
        "XINFO GROUPS", 3, "readonly", "2 RO access",
        since="5.0.0", complexity="O(1)",
        summary="Describes a stream's groups.",
        arguments="key@0",
        handler="streams:xinfo_groups",
    ),
    command(
        "XINFO HELP", 2, "loading stale",
        since="5.0.0", complexity="O(1)",
        summary="Explains the subcommands.",
        handler="streams:xinfo_help",
    ),
    command(
        "XINFO STREAM", -3, "readonly", "2 RO access",
        since="5.0.0", complexity="O(1)",
        summary="Describes a stream.",
        arguments="key@0 [full-block(FULL [COUNT count:integer])]",
        handler="streams:xinfo_stream",
    ),
    command(
        "XLEN", 2, "readonly fast", "1 RO",
        since="5.0.0", complexity="O(1)",
        summary="Counts the messages of a stream.",
        arguments="key@0",
        handler="native:xlen",
    ),
    command(
        "XPENDING", -3, "readonly", "1 RO access",
        tips="nondeterministic_output",
        since="5.0.0",
        complexity="O(N) in the elements returned, O(M) in those scanned under IDLE; the summary costs O(1) and "
                   "O(N) in consumers.",
        summary="Describes messages delivered and not acknowledged.",
        arguments="key@0 group [filters([IDLE min-idle-time:integer^6.2.0] start end count:integer [consumer])]",
        handler="native:xpending",
    ),
    command(
        "XRANGE", -4, "readonly", "1 RO access",
        since="5.0.0", complexity="O(N) in the elements returned; O(1) with a fixed COUNT.",
        summary="Returns a range of messages.",
        arguments="key@0 start end [COUNT count:integer]",
        handler="native:xrange",
    ),
    command(
        "XREAD", -4, "readonly blocking", "STREAMS@1..-1%2 RO access",
        since="5.0.0",
        summary="Returns messages newer than given ids; can wait.",
        arguments="[COUNT count:integer] [BLOCK milliseconds:integer] STREAMS streams(key@0... id...)",
        handler="native:xread",
    ),
    command(
        "XREADGROUP", -7, "write blocking", "STREAMS@4..-1%2 RO access",
        since="5.0.0",
        complexity="O(M) in the elements returned from each stream; waking N waiting clients costs XADD O(N).",
        summary="Returns messages for a consumer of a group; can wait.",
        arguments="GROUP group-block(group consumer) [COUNT count:integer] [BLOCK milliseconds:integer] [NOACK] "
                  "STREAMS streams(key@0... id...)",
        propagated="XCLAIM key group consumer 0 id TIME ms RETRYCOUNT n FORCE JUSTID LASTID id per message, or "
                   "XGROUP SETID under NOACK",
        handler="native:xreadgroup",
    ),
    command(
        "XREVRANGE", -4, "readonly", "1 RO access",
        since="5.0.0", complexity="O(N) in the elements returned; O(1) with a fixed COUNT.",
        summary="Returns a range of messages, newest first.",
        arguments="key@0 end start [COUNT count:integer]",
        handler="native:xrevrange",
    ),
    command(
        "XSETID", -3, "write denyoom fast", "1 RW update",
        since="5.0.0", complexity="O(1)",
        summary="Internal: sets a stream's last id.",
        arguments="key@0 last-id [ENTRIESADDED entries-added:integer^7.0.0] [MAXDELETEDID max-deleted-id^7.0.0]",
        propagated="verbatim",
        handler="native:xsetid",
    ),
    command(
        "XTRIM", -4, "write", "1 RW delete",
        tips="nondeterministic_output",
        since="5.0.0", complexity="O(N) in the entries dropped, a node of them at a time.",
        summary="Drops the oldest messages.",
        arguments='key@0 trim(strategy(MAXLEN | MINID^6.2.0) [operator(equal="=" | approximately="~")] threshold '
                  '[LIMIT count:integer^6.2.0])',
        propagated="XTRIM key with exact trimming",
        handler="native:xtrim",
    ),
)
