"""Commands of the group connection. Notation: see `commands/spec.py`."""

from functools import partial

from ranvier.commands.spec import Command

command = partial(Command, group="connection")

COMMANDS = (
    command(
        "AUTH", -2, "noscript loading stale fast no_auth allow_busy",
        since="1.0.0", complexity="O(N) where N is the number of passwords defined for the user",
        summary="Authenticates the connection.",
        arguments="[username^6.0.0] password",
        handler="connection:auth",
    ),
    command(
        "CLIENT", -2,
        categories="",
        since="2.4.0", complexity="Depends on subcommand.",
        summary="Commands about client connections.",
    ),
    command(
        "CLIENT CACHING", 3, "noscript loading stale allow_busy",
        since="6.0.0", complexity="O(1)",
        summary="Includes the next command's keys in tracking, or leaves them out.",
        arguments="mode(YES | NO)",
        handler="tracking:caching",
    ),
    command(
        "CLIENT CAPA", -3, "noscript loading stale allow_busy",
        since="8.0.0", complexity="O(1)",
        summary="Tells the server what this client can do.",
        arguments="capability...",
        handler="connection:client_capa",
    ),
    command(
        "CLIENT CLOSED", -2, "admin noscript loading stale",
        tips="nondeterministic_output",
        since="0.1.0", complexity="O(N) where N is the number of entries asked for",
        summary="Returns the connections that ended last, with the reason of each.",
        arguments="[COUNT count:integer]",
        own=True,
        handler="closed:client_closed",
    ),
    command(
        "CLIENT GETNAME", 2, "noscript loading stale allow_busy",
        since="2.6.9", complexity="O(1)",
        summary="Returns the connection's name.",
        handler="connection:client_getname",
    ),
    command(
        "CLIENT GETREDIR", 2, "noscript loading stale allow_busy",
        since="6.0.0", complexity="O(1)",
        summary="Returns the client that receives this one's invalidations.",
        handler="tracking:getredir",
    ),
    command(
        "CLIENT HELP", 2, "loading stale",
        since="5.0.0", complexity="O(1)",
        summary="Explains the subcommands.",
        handler="client_help:client_help",
    ),
    command(
        "CLIENT ID", 2, "noscript loading stale allow_busy",
        since="5.0.0", complexity="O(1)",
        summary="Returns the connection's id.",
        handler="connection:client_id",
    ),
    command(
        "CLIENT IMPORT-SOURCE", 3, "noscript loading stale",
        since="8.1.0", complexity="O(1)",
        summary="Marks this client as the source of an import.",
        arguments="enabled(ON | OFF)",
        handler="connection:client_import_source",
    ),
    command(
        "CLIENT INFO", 2, "noscript loading stale",
        tips="nondeterministic_output",
        since="6.2.0", complexity="O(1)",
        summary="Describes this connection.",
        handler="connection:client_info",
    ),
    command(
        "CLIENT KILL", -3, "admin noscript loading stale",
        since="2.4.0", complexity="O(N) where N is the number of client connections",
        summary="Closes connections.",
        arguments="filter(old-format<ip:port>^^2.8.12 | new-format([ID client-id:integer^2.8.12...] | [TYPE "
                  "client-type(NORMAL | MASTER^3.2.0 | PRIMARY^8.0.0 | SLAVE | REPLICA^5.0.0 | PUBSUB)^2.8.12] | "
                  "[USER username] | [ADDR addr<ip:port>] | [LADDR laddr<ip:port>^6.2.0] | [SKIPME skipme(YES | "
                  "NO)] | [MAXAGE maxage:integer^8.0.0] | [NAME name^9.0.0] | [IDLE idle:integer^9.0.0] | [FLAGS "
                  "flags^9.0.0] | [LIB-NAME lib-name^9.0.0] | [LIB-VER lib-ver^9.0.0] | [DB db:integer^9.0.0] | "
                  "[CAPA capa^9.0.0] | [IP ip^9.0.0] | [NOT-TYPE not-client-type(NORMAL | MASTER | PRIMARY | SLAVE "
                  "| REPLICA | PUBSUB)^9.0.0] | [NOT-ID not-client-id:integer^9.0.0...] | [NOT-USER "
                  "not-username^9.0.0] | [NOT-ADDR not-addr<ip:port>^9.0.0] | [NOT-LADDR not-laddr<ip:port>^9.0.0] "
                  "| [NOT-NAME not-name^9.0.0] | [NOT-FLAGS not-flags^9.0.0] | [NOT-LIB-NAME not-lib-name^9.0.0] | "
                  "[NOT-LIB-VER not-lib-ver^9.0.0] | [NOT-DB not-db:integer^9.0.0] | [NOT-CAPA not-capa^9.0.0] | "
                  "[NOT-IP not-ip^9.0.0])...)",
        handler="connection:client_kill",
    ),
    command(
        "CLIENT LIST", -2, "admin noscript loading stale",
        tips="nondeterministic_output",
        since="2.4.0", complexity="O(N) where N is the number of client connections",
        summary="Describes the open connections.",
        arguments="[TYPE client-type(NORMAL | MASTER | REPLICA | PUBSUB)^5.0.0] [ID client-id:integer^6.2.0...] "
                  "[USER username^8.1.0] [ADDR addr<ip:port>^8.1.0] [LADDR laddr<ip:port>^8.1.0] [SKIPME skipme(YES "
                  "| NO)^8.1.0] [MAXAGE maxage:integer^8.1.0] [NAME name^9.0.0] [IDLE idle:integer^9.0.0] [FLAGS "
                  "flags^9.0.0] [LIB-NAME lib-name^9.0.0] [LIB-VER lib-ver^9.0.0] [DB db:integer^9.0.0] [CAPA "
                  "capa^9.0.0] [IP ip^9.0.0] [NOT-TYPE not-client-type(NORMAL | MASTER | REPLICA | PUBSUB)^9.0.0] "
                  "[NOT-ID not-client-id:integer^9.0.0...] [NOT-USER not-username^9.0.0] [NOT-ADDR "
                  "not-addr<ip:port>^9.0.0] [NOT-LADDR not-laddr<ip:port>^9.0.0] [NOT-NAME not-name^9.0.0] "
                  "[NOT-FLAGS not-flags^9.0.0] [NOT-LIB-NAME not-lib-name^9.0.0] [NOT-LIB-VER not-lib-ver^9.0.0] "
                  "[NOT-DB not-db:integer^9.0.0] [NOT-CAPA not-capa^9.0.0] [NOT-IP not-ip^9.0.0]",
        handler="connection:client_list",
    ),
    command(
        "CLIENT NO-EVICT", 3, "admin noscript loading stale allow_busy",
        since="7.0.0", complexity="O(1)",
        summary="Exempts this connection from client eviction.",
        arguments="enabled(ON | OFF)",
        handler="connection:client_no_evict",
    ),
    command(
        "CLIENT NO-TOUCH", 3, "noscript loading stale allow_busy",
        since="7.2.0", complexity="O(1)",
        summary="Keeps this connection from refreshing the access times of keys.",
        arguments="enabled(ON | OFF)",
        handler="connection:client_no_touch",
    ),
    command(
        "CLIENT PAUSE", -3, "admin noscript loading stale",
        since="3.0.0", complexity="O(1)",
        summary="Holds commands of all clients back for a while.",
        arguments="timeout:integer [mode(WRITE | ALL)^6.2.0]",
        handler="connection:client_pause",
    ),
    command(
        "CLIENT REPLY", 3, "noscript loading stale no_multi allow_busy",
        since="3.2.0", complexity="O(1)",
        summary="Turns replies on or off.",
        arguments="action(ON | OFF | SKIP)",
        handler="native:client_reply",
    ),
    command(
        "CLIENT SETINFO", 4, "noscript loading stale allow_busy",
        tips="request_policy:all_nodes response_policy:all_succeeded",
        since="7.2.0", complexity="O(1)",
        summary="Tells the server which library this client uses.",
        arguments="attr(LIB-NAME libname | LIB-VER libver)",
        handler="connection:client_setinfo",
    ),
    command(
        "CLIENT SETNAME", 3, "noscript loading stale allow_busy",
        tips="request_policy:all_nodes response_policy:all_succeeded",
        since="2.6.9", complexity="O(1)",
        summary="Names the connection.",
        arguments="connection-name",
        handler="connection:client_setname",
    ),
    command(
        "CLIENT TRACKING", -3, "noscript loading stale",
        since="6.0.0", complexity="O(1). Some options may introduce additional complexity.",
        summary="Switches invalidation messages for client-side caches.",
        arguments="status(ON | OFF) [REDIRECT client-id:integer] [PREFIX... prefix...] [BCAST] [OPTIN] [OPTOUT] "
                  "[NOLOOP]",
        handler="tracking:tracking",
    ),
    command(
        "CLIENT TRACKINGINFO", 2, "noscript loading stale",
        since="6.2.0", complexity="O(1)",
        summary="Tells how tracking is set up for this connection.",
        handler="tracking:trackinginfo",
    ),
    command(
        "CLIENT UNBLOCK", -3, "admin noscript loading stale",
        since="5.0.0", complexity="O(log N) where N is the number of client connections",
        summary="Wakes a client that waits in a blocking command.",
        arguments="client-id:integer [unblock-type(TIMEOUT | ERROR)]",
        handler="connection:client_unblock",
    ),
    command(
        "CLIENT UNPAUSE", 2, "admin noscript loading stale",
        since="6.2.0", complexity="O(N) Where N is the number of paused clients",
        summary="Ends CLIENT PAUSE.",
        handler="connection:client_unpause",
    ),
    command(
        "ECHO", 2, "loading stale fast",
        since="1.0.0", complexity="O(1)",
        summary="Returns its argument.",
        arguments="message",
        handler="native:echo",
    ),
    command(
        "HELLO", -1, "noscript loading stale fast no_auth allow_busy",
        since="6.0.0", complexity="O(1)",
        summary="Opens the conversation and chooses the protocol version.",
        arguments="[arguments(protover:integer [AUTH auth(username password)] [SETNAME clientname])]",
        handler="connection:hello",
    ),
    command(
        "PING", -1, "fast",
        tips="request_policy:all_shards response_policy:all_succeeded",
        since="1.0.0", complexity="O(1)",
        summary="Answers PONG, or its argument.",
        arguments="[message]",
        handler="native:ping",
    ),
    command(
        "QUIT", -1, "noscript loading stale fast no_auth allow_busy",
        since="1.0.0", complexity="O(1)",
        summary="Closes the connection.",
        handler="connection:quit",
    ),
    command(
        "RESET", 1, "noscript loading stale fast no_auth allow_busy",
        since="6.2.0", complexity="O(1)",
        summary="Puts the connection back into its first state.",
        handler="connection:reset",
    ),
    command(
        "SELECT", 2, "loading stale fast allow_busy",
        since="1.0.0", complexity="O(1)",
        summary="Chooses the database.",
        arguments="index:integer",
        handler="connection:select",
    ),
)
