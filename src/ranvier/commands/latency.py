"""LATENCY: events that took long, and how long commands take."""

from __future__ import annotations

from typing import Final

from ranvier.commands.surroundings import Client, LatencyEvent
from ranvier.commands.words import shown
from ranvier.errors import CommandError
from ranvier.values import Reply, Status, Verbatim

GRAPH_COLUMNS: Final = 80
GRAPH_ROWS: Final = 4
LEVELS: Final = "_o#"             # within a row, from low to high

# Durations are shown in steps of two, each as the longest that the reference servers count to it: 1.031, 2.063, ... us.
FIRST_STEP_NS: Final = 1024
STEP_COUNT: Final = 21            # up to a second


def _event(client: Client, name: bytes) -> LatencyEvent | None:
    return client.server.latency.events.get(name.decode("utf-8", "surrogateescape"))


def latency_latest(client: Client, args: list[bytes]) -> Reply:
    """LATENCY LATEST: name, Unix time, latest, longest, sum and number of milliseconds, for each event."""
    return [
        [name.encode(), *event.samples[-1], event.longest_ms, event.total_ms, event.count]
        for name, event in client.server.latency.events.items()
    ]


def latency_history(client: Client, args: list[bytes]) -> Reply:
    """LATENCY HISTORY event"""
    event = _event(client, args[0])
    return [list(sample) for sample in event.samples] if event is not None else []


def latency_reset(client: Client, args: list[bytes]) -> Reply:
    """LATENCY RESET [event ...]"""
    return client.server.latency.reset([name.decode("utf-8", "surrogateescape") for name in args])


# LATENCY GRAPH

def _age(seconds: int) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{max(0, seconds)}s"


def _columns(values: list[int], low: int, high: int) -> list[str]:
    """One column of GRAPH_ROWS characters, top first, for each value."""
    levels = GRAPH_ROWS * len(LEVELS)
    drawn = []
    for value in values:
        level = min((value - low) * levels // ((high - low) or 1), levels - 1)
        full, top = divmod(level, len(LEVELS))
        drawn.append(" " * (GRAPH_ROWS - full - 1) + LEVELS[top] + "|" * full)
    return drawn


def _graph(name: str, event: LatencyEvent, now_seconds: int) -> str:
    values = [milliseconds for _, milliseconds in event.samples]
    low, high = min(values), max(values)
    lines = [f"{name} - high {high} ms, low {low} ms (all time high {event.longest_ms} ms)", "-" * GRAPH_COLUMNS]
    for first in range(0, len(values), GRAPH_COLUMNS):
        if first:
            lines.append("")
        columns = _columns(values[first:first + GRAPH_COLUMNS], low, high)
        labels = [_age(now_seconds - when) for when, _ in event.samples[first:first + GRAPH_COLUMNS]]
        depth = max(map(len, labels))
        columns = [column + " " + label.ljust(depth) for column, label in zip(columns, labels, strict=True)]
        lines += ["".join(row) for row in zip(*columns, strict=True)]
    return "".join(line + "\n" for line in lines)


def latency_graph(client: Client, args: list[bytes]) -> Reply:
    """LATENCY GRAPH event: one column a second in which it happened, its age below."""
    event = _event(client, args[0])
    if event is None:
        raise CommandError(f"ERR No samples available for event '{shown(args[0])}'")
    name = args[0].decode("utf-8", "surrogateescape")
    return Verbatim(_graph(name, event, client.server.clock.wall_ms() // 1000))


def latency_doctor(client: Client, args: list[bytes]) -> Reply:
    """LATENCY DOCTOR: a report in words."""
    threshold = client.server.latency_threshold_ms()
    events = client.server.latency.events
    if not events and not threshold:
        return Verbatim(
            "The latency monitor is off, so there is nothing to report. CONFIG SET latency-monitor-threshold "
            "<milliseconds> switches it on.\n"
        )
    if not events:
        return Verbatim(f"Nothing took {threshold} milliseconds or more since the last reset.\n")
    lines = ["What took long on this server:", ""]
    for number, (name, event) in enumerate(events.items(), 1):
        average = event.total_ms / event.count
        lines.append(
            f"{number}. {name}: {event.count} times, {average:.0f} ms on average, {event.longest_ms} ms at most."
        )
    lines += ["", "What may help:", ""]
    if events.keys() & {"command", "fast-command"}:
        lines.append("- SLOWLOG GET names the commands. One that takes linear time (KEYS, SORT) holds up all others.")
    if events.keys() & {"expire-cycle", "eviction-cycle", "eviction-del"}:
        lines.append("- Keys that expire at the same time, and a maxmemory that is always met, cost every turn time.")
    lines.append("- DEBUG TURNS shows how long whole turns of the loop take.")
    return Verbatim("".join(line + "\n" for line in lines))


# LATENCY HISTOGRAM

def _histogram(counts: list[tuple[int, int]]) -> Reply:
    """Calls up to each step of two, where another call is added."""
    steps: dict[int, int] = {}
    seen = last = place = 0
    for step in range(STEP_COUNT):
        end = FIRST_STEP_NS << step
        while place < len(counts) and counts[place][0] < end:
            seen += counts[place][1]
            place += 1
        if seen > last or (step == STEP_COUNT - 1 and place < len(counts)):
            seen += sum(calls for _, calls in counts[place:]) if step == STEP_COUNT - 1 else 0
            steps[(end + end // 128 - 1) // 1000] = last = seen
    return {b"calls": sum(calls for _, calls in counts), b"histogram_usec": dict(steps)}


def latency_histogram(client: Client, args: list[bytes]) -> Reply:
    """LATENCY HISTOGRAM [command ...]: those that were called; a container stands for its subcommands."""
    server = client.server
    names: list[str] = []
    table = {bound.command.name: bound for bound in server.commands.values()}
    wanted = [name.decode("latin-1").upper().replace("|", " ") for name in args] or list(table)
    for name in wanted:
        bound = table.get(name.partition(" ")[0])
        if bound is None:
            continue
        entries = [bound, *bound.subcommands.values()]
        names += [
            entry.command.full_name for entry in entries
            if entry.command.name == name or entry.command.name.startswith(name + " ")
        ]
    found: dict[bytes, Reply] = {}
    for name in names:
        counts = list(server.latency_histogram(name))
        if counts:
            found[name.encode()] = _histogram(counts)
    return found


_HELP: Final = """LATENCY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:
DOCTOR
    Explain in words what took long.
GRAPH <event>
    Draw an event's samples.
HISTORY <event>
    An event's samples: Unix time and milliseconds.
LATEST
    For each event: name, Unix time and milliseconds of the latest sample, the
    longest, the sum and the number of all.
RESET [<event> ...]
    Forget these events, or all of them.
HISTOGRAM [<command> ...]
    How many calls of these commands, or of all, took up to how many
    microseconds.
HELP
    Print this help."""


def latency_help(client: Client, args: list[bytes]) -> Reply:
    """LATENCY HELP"""
    return [Status(line) for line in _HELP.split("\n")]
