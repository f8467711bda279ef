"""Commands of the group pubsub. Notation: see `commands/spec.py`."""

from functools import partial

from ranvier.commands.spec import Command

command = partial(Command, group="pubsub")

COMMANDS = (
    command(
        "PSUBSCRIBE", -2, "pubsub noscript loading stale",
        since="2.0.0", complexity="O(N) where N is the number of patterns to subscribe to.",
        summary="Subscribes to the channels that match patterns.",
        arguments="pattern:pattern...",
        handler="native:psubscribe",
    ),
    command(
        "PUBLISH", 3, "pubsub loading stale fast may_replicate",
        since="2.0.0", complexity="O(N+M) for N subscribers of the channel and M subscribed patterns.",
        summary="Sends a message to a channel.",
        arguments="channel message",
        propagated="verbatim",
        handler="native:publish",
    ),
    command(
        "PUBSUB", -2,
        categories="",
        since="2.8.0", complexity="Depends on subcommand.",
        summary="Looks into Pub/Sub.",
    ),
    command(
        "PUBSUB CHANNELS", -2, "pubsub loading stale",
        since="2.8.0", complexity="O(N) in the active channels, names and pattern being short.",
        summary="Lists channels that have subscribers.",
        arguments="[pattern:pattern]",
        handler="pubsub:channels",
    ),
    command(
        "PUBSUB HELP", 2, "loading stale",
        categories="",
        since="6.2.0", complexity="O(1)",
        summary="Explains the subcommands.",
        handler="pubsub:help",
    ),
    command(
        "PUBSUB NUMPAT", 2, "pubsub loading stale",
        since="2.8.0", complexity="O(1)",
        summary="Counts the patterns subscribed to.",
        handler="pubsub:numpat",
    ),
    command(
        "PUBSUB NUMSUB", -2, "pubsub loading stale",
        since="2.8.0", complexity="O(N) for the NUMSUB subcommand, where N is the number of requested channels",
        summary="Counts the subscribers of channels.",
        arguments="[channel...]",
        handler="pubsub:numsub",
    ),
    command(
        "PUBSUB SHARDCHANNELS", -2, "pubsub loading stale",
        since="7.0.0", complexity="O(N) in the active shard channels, names and pattern being short.",
        summary="Lists shard channels that have subscribers.",
        arguments="[pattern:pattern]",
        handler="pubsub:shardchannels",
    ),
    command(
        "PUBSUB SHARDNUMSUB", -2, "pubsub loading stale",
        since="7.0.0",
        complexity="O(N) for the SHARDNUMSUB subcommand, where N is the number of requested shard channels",
        summary="Counts the subscribers of shard channels.",
        arguments="[shardchannel...]",
        handler="pubsub:shardnumsub",
    ),
    command(
        "PUNSUBSCRIBE", -1, "pubsub noscript loading stale",
        since="2.0.0", complexity="O(N) where N is the number of patterns to unsubscribe.",
        summary="Unsubscribes from patterns.",
        arguments="[pattern:pattern...]",
        handler="native:punsubscribe",
    ),
    command(
        "SPUBLISH", 3, "pubsub loading stale fast may_replicate", "1 not_key",
        since="7.0.0", complexity="O(N) where N is the number of clients subscribed to the receiving shard channel.",
        summary="Sends a message to a shard channel.",
        arguments="shardchannel message",
        propagated="verbatim",
        handler="native:spublish",
    ),
    command(
        "SSUBSCRIBE", -2, "pubsub noscript loading stale", "1..-1 not_key",
        since="7.0.0", complexity="O(N) where N is the number of shard channels to subscribe to.",
        summary="Subscribes to shard channels.",
        arguments="shardchannel...",
        handler="native:ssubscribe",
    ),
    command(
        "SUBSCRIBE", -2, "pubsub noscript loading stale",
        since="2.0.0", complexity="O(N) where N is the number of channels to subscribe to.",
        summary="Subscribes to channels.",
        arguments="channel...",
        handler="native:subscribe",
    ),
    command(
        "SUNSUBSCRIBE", -1, "pubsub noscript loading stale", "1..-1 not_key",
        since="7.0.0", complexity="O(N) where N is the number of shard channels to unsubscribe.",
        summary="Unsubscribes from shard channels.",
        arguments="[shardchannel...]",
        handler="native:sunsubscribe",
    ),
    command(
        "UNSUBSCRIBE", -1, "pubsub noscript loading stale",
        since="2.0.0", complexity="O(N) where N is the number of channels to unsubscribe.",
        summary="Unsubscribes from channels.",
        arguments="[channel...]",
        handler="native:unsubscribe",
    ),
)
