"""The group pubsub, as far as it looks into Pub/Sub: PUBSUB. What subscribes and publishes is native."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ranvier.commands.words import shown
from ranvier.engine.modes.glob import matches
from ranvier.errors import CommandError
from ranvier.values import Status

if TYPE_CHECKING:
    from ranvier.commands.surroundings import Client

CHANNEL: Final = 0      # engine/modes/pubsub.pxd, ChannelKind
PATTERN: Final = 1
SHARD: Final = 2


def _names(client: Client, kind: int, patterns: list[bytes]) -> list[bytes]:
    if len(patterns) > 1:
        raise CommandError("ERR unknown subcommand or wrong number of arguments for "
                           f"'{shown(client.request_word(1))}'. Try PUBSUB HELP.")
    names = client.server.engine.pubsub.channels(kind)
    return [name for name in names if matches(patterns[0], name)] if patterns else names


def _counts(client: Client, kind: int, names: list[bytes]) -> list[bytes | int]:
    """Each name followed by its number of subscribers."""
    pubsub = client.server.engine.pubsub
    return [item for name in names for item in (name, pubsub.subscriber_count(kind, name))]


def channels(client: Client, args: list[bytes]) -> list[bytes]:
    """PUBSUB CHANNELS [pattern]"""
    return _names(client, CHANNEL, args)


def shardchannels(client: Client, args: list[bytes]) -> list[bytes]:
    """PUBSUB SHARDCHANNELS [pattern]"""
    return _names(client, SHARD, args)


def numsub(client: Client, args: list[bytes]) -> list[bytes | int]:
    """PUBSUB NUMSUB [channel ...]"""
    return _counts(client, CHANNEL, args)


def shardnumsub(client: Client, args: list[bytes]) -> list[bytes | int]:
    """PUBSUB SHARDNUMSUB [shardchannel ...]"""
    return _counts(client, SHARD, args)


def numpat(client: Client, args: list[bytes]) -> int:
    """PUBSUB NUMPAT: patterns that somebody is subscribed to, each counted once."""
    return len(client.server.engine.pubsub.channels(PATTERN))


def help(client: Client, args: list[bytes]) -> list[Status]:
    """PUBSUB HELP"""
    return [Status(line) for line in (
        "PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CHANNELS [<pattern>]",
        "    Channels that have subscribers.",
        "HELP",
        "    This text.",
        "NUMPAT",
        "    How many different patterns are subscribed to.",
        "NUMSUB [<channel> ...]",
        "    How many clients are subscribed to each of these channels, patterns left out.",
        "SHARDCHANNELS [<pattern>]",
        "    Shard channels that have subscribers.",
        "SHARDNUMSUB [<shardchannel> ...]",
        "    How many clients are subscribed to each of these shard channels.",
    )]
