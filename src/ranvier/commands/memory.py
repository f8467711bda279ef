"""MEMORY: what keys and the server take."""

from __future__ import annotations

from typing import Final

from ranvier.commands.numbers import integer
from ranvier.commands.surroundings import Client
from ranvier.commands.words import option
from ranvier.errors import CommandError
from ranvier.values import Reply, Status, Verbatim

SYNTAX_ERROR: Final = "ERR syntax error"
DEFAULT_SAMPLES: Final = 5

# From here MEMORY DOCTOR finds fault.
SMALL_BYTES: Final = 5 * 1024**2
PEAK_RATIO: Final = 1.5
FRAGMENTATION_RATIO: Final = 1.4
FRAGMENTATION_BYTES: Final = 10 * 1024**2
CLIENT_BYTES: Final = 200 * 1024


def memory_usage(client: Client, args: list[bytes]) -> Reply:
    """MEMORY USAGE key [SAMPLES count]"""
    samples = DEFAULT_SAMPLES
    options = iter(args[1:])
    for word in options:
        value = next(options, None)
        if option(word) != b"SAMPLES" or value is None:
            raise CommandError(SYNTAX_ERROR)
        samples = integer(value)
        if samples < 0:
            raise CommandError(SYNTAX_ERROR)
    return client.database.memory_usage(args[0], samples)


def memory_stats(client: Client, args: list[bytes]) -> Reply:
    """MEMORY STATS"""
    return {
        name.encode(): {part.encode(): size for part, size in value.items()} if isinstance(value, dict) else value
        for name, value in client.server.memory_statistics().items()
    }


def memory_doctor(client: Client, args: list[bytes]) -> Reply:
    """MEMORY DOCTOR: a report in words."""
    statistics = client.server.memory_statistics()
    used = statistics["total.allocated"]
    if used < SMALL_BYTES:
        return Verbatim("This server holds very little: its figures would say nothing about how it uses memory.\n")
    lines = []
    if statistics["peak.allocated"] > used * PEAK_RATIO:
        lines.append(
            "- Peak: it once held more than one and a half times what it holds now. The allocator keeps part of that "
            "for new keys, so the resident memory may look too large. MEMORY PURGE gives back what is free."
        )
    if statistics["fragmentation"] > FRAGMENTATION_RATIO and statistics["fragmentation.bytes"] > FRAGMENTATION_BYTES:
        lines.append(
            "- Fragmentation: the resident memory is over 1.4 times what is in use. Free memory lies between what is "
            "in use; only a restart, or handing the data over to another process, joins it."
        )
    clients = client.server.client_count()
    if clients and statistics["clients.normal"] / clients > CLIENT_BYTES:
        lines.append(
            "- Clients: they hold more than 200 KB each on average. Some read their replies too slowly, or ask for "
            "too much at once. CLIENT LIST shows tot-mem of each; maxmemory-clients limits all of them."
        )
    if not lines:
        return Verbatim("Nothing is wrong with the use of memory, as far as the figures tell.\n")
    return Verbatim("".join(line + "\n" for line in ["What is notable about this server's memory:", "", *lines]))


def memory_purge(client: Client, args: list[bytes]) -> Reply:
    """MEMORY PURGE"""
    client.server.purge_memory()
    return Status("OK")


def memory_malloc_stats(client: Client, args: list[bytes]) -> Reply:
    """MEMORY MALLOC-STATS: the C library's allocator has no report."""
    return b"Stats not supported for the current allocator"


_HELP: Final = """MEMORY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:
DOCTOR
    Explain in words what is wrong with the use of memory.
MALLOC-STATS
    The allocator's own report, where it has one.
PURGE
    Have the allocator give its free memory back to the system.
STATS
    What the server's memory is used for.
USAGE <key> [SAMPLES <count>]
    Bytes that <key> and its value take. Of large values <count> elements are
    measured (5 unless said otherwise, 0 for all) and the rest is estimated.
HELP
    Print this help."""


def memory_help(client: Client, args: list[bytes]) -> Reply:
    """MEMORY HELP"""
    return [Status(line) for line in _HELP.split("\n")]
