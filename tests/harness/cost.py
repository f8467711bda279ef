"""What the same work costs several servers in CPU time, side by side in one run. Used by the tools, not by tests."""

import argparse
import json
import os
import statistics
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from harness import programs
from harness.process import ServerProcess, name_of
from harness.wire import Wire, encode_command

SERVER_CPU, LOAD_CPU = 0, 1
FILL_BATCH = 1000


def pin(server: ServerProcess) -> None:
    """The server's threads to one processor, this process to another, where there are two."""
    if (os.cpu_count() or 1) > 1:
        for task in Path(f"/proc/{server.pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), {SERVER_CPU})
        os.sched_setaffinity(0, {LOAD_CPU})


def cost_arguments(description: str) -> argparse.ArgumentParser:
    """The options that every such tool has."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", action="append", metavar="KIND",
                        help="valkey, redis, ranvier or ranvier@CHECKOUT; the first is what ratios are taken against")
    parser.add_argument("--repeats", type=int, default=5, help="interleaved (default 5)")
    parser.add_argument("--json", metavar="FILE", type=Path)
    return parser


def pipelined_set_cost(server: ServerProcess, requests: int) -> float:
    """Microseconds of the server's CPU per SET, 50 connections with 16 requests under way each."""
    command = [str(programs.require("redis-benchmark")), "-p", str(server.port), "-n", str(requests), "-c", "50"]
    before = server.cpu_seconds()
    subprocess.run([*command, "-P", "16", "-r", "100000", "-q", "SET", "key:__rand_int__", "x" * 16],
                   check=True, capture_output=True, timeout=300)
    return (server.cpu_seconds() - before) / requests * 1e6


def fill(wire: Wire, count: int, value_bytes: int = 16) -> None:
    """`count` keys of 16 bytes by pipelined SET, with values of `value_bytes`."""
    value = b"%0*d"
    for start in range(0, count, FILL_BATCH):
        keys = range(start, min(start + FILL_BATCH, count))
        wire.send(b"".join(encode_command("SET", b"key:%012d" % key, value % (value_bytes, key)) for key in keys))
        wire.skip_exactly(len(b"+OK\r\n") * len(keys))


def compare_times(what: str, unit: str, by_name: dict[str, list[float]], goal: float | None) -> None:
    """One line: each server's median, and the second's ratio to the first, pair by pair."""
    names = list(by_name)
    line = f"{what:34}" + "".join(f"{name}: {statistics.median(by_name[name]):9.2f} {unit}   " for name in names)
    if len(names) > 1:
        pairs = zip(by_name[names[0]], by_name[names[1]], strict=True)
        ratio = statistics.median(second / first for first, second in pairs)
        verdict = "" if goal is None else f"  goal <= {goal:.2f}  {'ok' if ratio <= goal else 'OVER'}"
        line += f"ratio {ratio:5.2f}{verdict}"
    print(line, flush=True)


def compare_costs(
    options: argparse.Namespace,
    workload: str,
    unit: str,
    measure: Callable[[ServerProcess], float],
    server_options: Sequence[str] = (),
) -> None:
    """Run `measure` (microseconds of the server's CPU per unit) on every server in turn; medians, and ratios.

    `server_options` are for all of them.
    """
    kinds = options.server or ["valkey", "ranvier"]
    servers = {name_of(kind): ServerProcess(kind, server_options) for kind in kinds}
    samples: dict[str, list[float]] = {name: [] for name in servers}
    try:
        for server in servers.values():
            pin(server)
        for _ in range(options.repeats):
            for name, server in servers.items():
                with server.connect() as wire:
                    wire.call("FLUSHALL")
                samples[name].append(measure(server))
    finally:
        for server in servers.values():
            server.stop()
            server.discard()
    first = next(iter(samples))
    report = {}
    for name, costs in samples.items():
        ratio = statistics.median(one / base for one, base in zip(costs, samples[first], strict=True))
        cost = statistics.median(costs)
        report[name] = {"cpu_us": cost, "ratio": ratio}
        print(f"{workload:14} {name:12}{cost:10.3f} us per {unit}   x {first} {ratio:.2f}", flush=True)
    if options.json:
        options.json.write_text(json.dumps({workload: report}))
