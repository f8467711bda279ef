"""XINFO: what there is to know of a stream, its groups and their consumers; and the help of XINFO and XGROUP.

All other stream commands are native (`engine/native/streams`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ranvier.commands.numbers import integer
from ranvier.commands.words import c_string
from ranvier.engine.types.stream_handle import StreamHandle, stream_of
from ranvier.errors import CommandError
from ranvier.values import Reply, Status

if TYPE_CHECKING:
    from ranvier.commands.surroundings import Client

Id = tuple[int, int]

FULL_ENTRIES: Final = 10            # that XINFO STREAM FULL shows, of entries and of each list of pending ones

_XGROUP_HELP: Final = """XGROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:
CREATE <key> <group> <id|$> [MKSTREAM] [ENTRIESREAD <count>]
    Make a group that delivers what comes behind <id>; with MKSTREAM its stream, too.
CREATECONSUMER <key> <group> <consumer>
    Make a consumer.
DELCONSUMER <key> <group> <consumer>
    Delete a consumer and what pends for it.
DESTROY <key> <group>
    Delete a group.
SETID <key> <group> <id|$> [ENTRIESREAD <count>]
    Have a group go on behind <id>.
HELP
    Print this help."""

_XINFO_HELP: Final = """XINFO <subcommand> [<arg> [value] [opt] ...]. Subcommands are:
CONSUMERS <key> <group>
    The consumers of a group.
GROUPS <key>
    The groups of a stream.
STREAM <key> [FULL [COUNT <count>]]
    A stream; with FULL its entries and groups, too.
HELP
    Print this help."""


def xgroup_help(client: Client, args: list[bytes]) -> Reply:
    """XGROUP HELP"""
    return [Status(line) for line in _XGROUP_HELP.splitlines()]


def xinfo_help(client: Client, args: list[bytes]) -> Reply:
    """XINFO HELP"""
    return [Status(line) for line in _XINFO_HELP.splitlines()]


def _existing(client: Client, key: bytes) -> StreamHandle:
    if not client.database.look_up(key):
        raise CommandError("ERR no such key")
    stream = stream_of(client.database, key)         # type: ignore[arg-type]
    len(stream)                                      # or WRONGTYPE
    return stream


def _text(name: Id) -> bytes:
    return b"%d-%d" % name


def _entry(entry: tuple[Id, list[bytes]]) -> list[Any]:
    return [_text(entry[0]), entry[1]]


def xinfo_consumers(client: Client, args: list[bytes]) -> Reply:
    """XINFO CONSUMERS key group"""
    stream = _existing(client, args[0])
    if args[1] not in stream.groups():
        group, key = (c_string(name).decode("utf-8", "surrogateescape") for name in (args[1], args[0]))
        raise CommandError(f"NOGROUP No such consumer group '{group}' for key name '{key}'")
    now_ms = client.server.clock.wall_ms()
    reply: list[Reply] = []
    for name in stream.consumers(args[1]):
        figures = stream.consumer_figures(args[1], name)
        active_ms = figures["active_ms"]
        reply.append({
            b"name": name,
            b"pending": figures["pending"],
            b"idle": max(0, now_ms - figures["seen_ms"]),
            b"inactive": max(0, now_ms - active_ms) if active_ms >= 0 else -1,
        })
    return reply


def xinfo_groups(client: Client, args: list[bytes]) -> Reply:
    """XINFO GROUPS key"""
    stream = _existing(client, args[0])
    reply = []
    for name in stream.groups():
        figures = stream.group_figures(name)
        reply.append({
            b"name": name,
            b"consumers": figures["consumers"],
            b"pending": figures["pending"],
            b"last-delivered-id": _text(figures["last_id"]),
            b"entries-read": figures["entries_read"],
            b"lag": figures["lag"],
        })
    return reply


def _stream_figures(stream: StreamHandle) -> dict[bytes, Reply]:
    figures = stream.figures()
    return {
        b"length": figures["length"],
        b"radix-tree-keys": figures["blocks"],
        b"radix-tree-nodes": figures["radix_nodes"],
        b"last-generated-id": _text(figures["last_id"]),
        b"max-deleted-entry-id": _text(figures["max_deleted_id"]),
        b"entries-added": figures["entries_added"],
        b"recorded-first-entry-id": _text(figures["first_id"]),
    }


def _full_consumer(stream: StreamHandle, group: bytes, name: bytes, count: int) -> dict[bytes, Reply]:
    figures = stream.consumer_figures(group, name)
    return {
        b"name": name,
        b"seen-time": figures["seen_ms"],
        b"active-time": figures["active_ms"],
        b"pel-count": figures["pending"],
        b"pending": [[_text(item[0]), *item[2:]] for item in stream.pending(group, name, count)],
    }


def _full_group(stream: StreamHandle, name: bytes, count: int) -> dict[bytes, Reply]:
    figures = stream.group_figures(name)
    return {
        b"name": name,
        b"last-delivered-id": _text(figures["last_id"]),
        b"entries-read": figures["entries_read"],
        b"lag": figures["lag"],
        b"pel-count": figures["pending"],
        b"pending": [[_text(item[0]), *item[1:]] for item in stream.pending(name, None, count)],
        b"consumers": [_full_consumer(stream, name, consumer, count) for consumer in stream.consumers(name)],
    }


def _full_count(client: Client, options: list[bytes]) -> int:
    """How many entries `FULL [COUNT count]` asks for."""
    if len(options) not in (1, 3) or options[0].upper() != b"FULL" or (len(options) == 3
                                                                       and options[1].upper() != b"COUNT"):
        word = c_string(client.request_word(1)).decode("utf-8", "surrogateescape")
        raise CommandError(f"ERR unknown subcommand or wrong number of arguments for '{word:.128}'. Try XINFO HELP.")
    count = integer(options[2]) if len(options) == 3 else FULL_ENTRIES
    if count < 0:
        return FULL_ENTRIES
    return count or 2**63


def xinfo_stream(client: Client, args: list[bytes]) -> Reply:
    """XINFO STREAM key [FULL [COUNT count]]"""
    stream = _existing(client, args[0])
    if len(args) > 1:
        count = _full_count(client, args[1:])
        return _stream_figures(stream) | {
            b"entries": [_entry(entry) for entry in stream.range(count=count)],
            b"groups": [_full_group(stream, name, count) for name in stream.groups()],
        }
    first, last = stream.range(count=1), stream.range(count=1, forward=False)
    return _stream_figures(stream) | {
        b"groups": len(stream.groups()),
        b"first-entry": _entry(first[0]) if first else None,
        b"last-entry": _entry(last[0]) if last else None,
    }
