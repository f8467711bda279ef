"""CLIENT HELP: the subcommands with their arguments, as many lines as Valkey 9.1 prints, explained in our own words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ranvier.values import Status

if TYPE_CHECKING:
    from ranvier.engine.client import ClientHandle

# Filters of KILL and LIST: what they are given, and what they ask of a connection.
_FILTERS: Final = {
    "USER <username>": "It is logged in as this user.",
    "SKIPME (YES|NO)": "",
    "MAXAGE <maxage>": "It is open for at least so many seconds.",
    "FLAGS <flags>": "It has all these flags.",
    "NAME <client-name>": "It is named so.",
    "IDLE <idle>": "It has been idle for at least so many seconds.",
    "LIB-NAME <library-name>": "Its client library is named so.",
    "LIB-VER <library-version>": "Its client library has this version.",
    "DB <db-id>": "It has this database selected.",
    "CAPA <capa>": "It has claimed all these capabilities.",
    "IP <ip>": "It comes from this host.",
}
_TYPE: Final = ("TYPE (NORMAL|PRIMARY|REPLICA|PUBSUB)", "It is of this type.")
_ID: Final = ("ID <client-id> [<client-id>...]", "It has one of these ids.")


def _filter_lines(filters: list[tuple[str, str]]) -> list[str]:
    return [line for usage, meaning in filters for line in (f"    * {usage}", f"      {meaning}")]


def _kill_filters() -> list[str]:
    own = {**_FILTERS, "SKIPME (YES|NO)": "Whether to spare this connection (yes unless said otherwise)."}
    rest = list(own.items())
    return _filter_lines([
        ("ADDR (<ip:port>|<unixsocket>:0)", "It comes from this address."),
        ("LADDR (<ip:port>|<unixsocket>:0)", "It came in at this address of ours."),
        _TYPE, *rest[:2], _ID, *rest[2:],
    ])


def _list_filters() -> list[str]:
    own = {**_FILTERS, "SKIPME (YES|NO)": "Whether to leave this connection out (no unless said otherwise)."}
    rest = list(own.items())
    return _filter_lines([
        _TYPE, rest[0],
        ("ADDR <ip:port>", "It comes from this address."),
        ("LADDR <ip:port>", "It came in at this address of ours."),
        _ID, *rest[1:],
    ])


def help_lines() -> list[str]:
    return [
        "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CACHING (YES|NO)",
        "    Whether tracking keeps the keys of the next command, in OPTIN and OPTOUT mode.",
        "CAPA <option> [options...]",
        "    What this client is able to do:",
        "    * REDIRECT",
        "      It follows when a standalone server sends it on to another one.",
        "CLOSED [COUNT <count>]",
        "    The connections that ended last and why, newest first: 10 unless <count> says otherwise, -1 for all.",
        "GETREDIR",
        "    The id of the connection that gets this one's invalidations.",
        "GETNAME",
        "    The name of this connection.",
        "ID",
        "    The id of this connection.",
        "INFO",
        "    What LIST shows of this connection.",
        "KILL <ip:port>",
        "    Close the connection that comes from there.",
        "KILL <option> <value> [<option> <value> [...]]",
        "    Close the connections that meet all of these:",
        *_kill_filters(),
        "LIST [options ...]",
        "    Describe the connections, a line each; all of them, or those that meet all of these:",
        *_list_filters(),
        "UNPAUSE",
        "    End a pause: what was held back runs.",
        "PAUSE <timeout> [WRITE|ALL]",
        "    For so many milliseconds, hold back what connections ask for, or only what writes.",
        "REPLY (ON|OFF|SKIP)",
        "    Whether this connection is answered; SKIP leaves out one answer.",
        "SETNAME <name>",
        "    Name this connection; an empty name takes the name away.",
        "SETINFO <option> <value>",
        "    Say which client library this is:",
        "    * LIB-NAME: its name.",
        "    * LIB-VER: its version.",
        "UNBLOCK <clientid> [TIMEOUT|ERROR]",
        "    End a blocking command of that connection, as if its time were up, or with an error.",
        "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]",
        "         [OPTIN] [OPTOUT] [NOLOOP]",
        "    Tell this connection when keys change that it has read, for a cache on its side.",
        "TRACKINGINFO",
        "    How this connection tracks keys.",
        "NO-EVICT (ON|OFF)",
        "    Whether maxmemory-clients spares this connection.",
        "NO-TOUCH (ON|OFF)",
        "    Whether this connection's commands leave the access times of keys alone.",
        "IMPORT-SOURCE (ON|OFF)",
        "    Whether this connection copies keys in while import-mode is on:",
        "    it then sees keys whose time has passed, so that a tool can bring",
        "    them up to date.",
        "HELP",
        "    This text.",
    ]


def client_help(client: ClientHandle, args: list[bytes]) -> list[Status]:
    """CLIENT HELP"""
    return [Status(line) for line in help_lines()]
