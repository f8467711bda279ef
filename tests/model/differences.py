"""What two servers may show differently of one conversation, each with its reason. All else is compared as it came."""

import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from harness.wire import Reply

if TYPE_CHECKING:
    from model.table import Side

Heard = tuple[bytes, object]         # the reply's type byte; its value, or a tuple of further ones

# A line of MONITOR: its time is the server's own.
MONITOR_TIME = re.compile(rb"^\d+\.\d{6} \[")
# HELLO names the server, its version and its modules.
HELLO_IDENTITY = (b"server", b"version", b"modules")

# CLIENT LIST: everything but times, descriptors, memory, traffic and addresses, which are each server's own.
COMPARED_FIELDS = ("name", "flags", "capa", "db", "sub", "psub", "ssub", "multi", "watch", "cmd", "user", "redir",
                   "resp", "lib-name", "lib-ver")
COMPARED_FIGURES = ("blocked_clients", "tracking_clients", "pubsub_clients", "watching_clients",
                    "clients_in_timeout_table", "total_watched_keys", "total_blocking_keys",
                    "total_blocking_keys_on_nokey", "pubsub_channels", "pubsub_patterns", "pubsubshard_channels")

# A client that monitors already: Valkey leaves a second MONITOR unanswered, and puts the lines of the client's own
# transaction between the replies in EXEC's array. Ranvier answers, and shows the lines behind the array. After CLIENT
# REPLY SKIP Valkey drops the lines, too, that come before the client's next command; they are nobody's replies.
UNSAID_BY_MONITORS = ("monitor", "multi", "client reply skip")


def canonical(reply: Reply, names: Mapping[bytes, bytes]) -> Heard:
    """The reply as it is compared: addresses by the guests' names, without the time of a MONITOR line."""
    if isinstance(reply.value, tuple):
        items = list(reply.value)
        if items and items[0].value == b"server" and len(items) >= 14:
            known = [item for pair in zip(items[::2], items[1::2], strict=True) for item in pair
                     if pair[0].value not in HELLO_IDENTITY]
            return reply.kind, ("HELLO", *(canonical(item, names) for item in known))
        return reply.kind, tuple(canonical(item, names) for item in items)
    value = reply.value
    if isinstance(value, bytes):
        if reply.kind == b"+":
            value = MONITOR_TIME.sub(b"(time) [", value)
        for address, name in names.items():
            if address in value:
                value = value.replace(address, name)
    return reply.kind, value


def _sort_key(heard: Heard) -> tuple[str, ...]:
    """Messages of one PUBLISH to several patterns, and one request's goodbyes to all channels, come in any order."""
    kind, value = heard
    if kind in (b"*", b">") and isinstance(value, tuple) and value and isinstance(value[0], tuple):
        word = value[0][1]
        if word == b"pmessage":
            return ("pmessage", repr(value[2:]))
        if word in (b"unsubscribe", b"punsubscribe", b"sunsubscribe"):
            return (str(word),)
    return ()


def in_any_order(heard: Sequence[Heard]) -> list[object]:
    """The replies in their order, but neighbours whose order the references leave to a hash table as sorted groups."""
    found: list[object] = []
    for key, group in groupby(heard, _sort_key):
        members = list(group)
        if not key:
            found += members
        elif key[0] == "pmessage":
            found.append((key, sorted(map(repr, members))))
        else:
            # The channels in any order; what is left counts down in its own.
            found.append((key, sorted(repr(value[1]) for _, value in members), [value[2:] for _, value in members]))  # type: ignore[index]
    return found


def shown_client(fields: Mapping[str, str]) -> dict[str, str]:
    """A client's compared fields."""
    shown = {name: fields[name] for name in COMPARED_FIELDS}
    if "d" in shown["flags"]:
        # Whose watch is broken watches nothing any more; Valkey's FLUSHDB and FLUSHALL leave that for later.
        shown["watch"] = "(broken)"
    if shown["multi"] == "0" and "x" not in shown["flags"]:
        shown["multi"] = "-1"        # Valkey 9.1 after a RESET out of MULTI: a quirk
    return shown


def compared_figures(figures: Mapping[str, str], clients: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """INFO's compared figures."""
    shown = {name: figures[name] for name in COMPARED_FIGURES}
    if any("d" in fields["flags"] for fields in clients.values()):
        # As above: Valkey counts the watches that FLUSHDB, FLUSHALL and SWAPDB have broken until they are dropped.
        del shown["watching_clients"], shown["total_watched_keys"]
    return shown


def cut_short(ours: bytes, theirs: bytes) -> bool:
    """Whether their last reply is a piece of ours: Valkey cuts EXEC's array off behind the reply to a CLIENT KILL of
    the client itself; Ranvier delivers it whole, then closes."""
    return len(theirs) > 0 and ours.startswith(theirs)


def lingers_silently(side: "Side", name: str) -> bool:
    """Whether Valkey keeps a connection that it has decided to close: with CLIENT REPLY OFF nothing is ever written,
    and it closes only after a write (A7-2). Ranvier closes at once."""
    fields = side.clients().get(name)
    return fields is not None and "c" in fields["flags"]
