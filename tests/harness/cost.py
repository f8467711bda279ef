"""What the same work costs several servers in CPU time, side by side in one run. Used by the tools, not by tests."""

import argparse
import json
import os
import statistics
from collections.abc import Callable
from pathlib import Path

from harness.process import ServerProcess, name_of

SERVER_CPU, LOAD_CPU = 0, 1


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


def compare_costs(
    options: argparse.Namespace, workload: str, unit: str, measure: Callable[[ServerProcess], float]
) -> None:
    """Run `measure` (microseconds of the server's CPU per unit) on every server in turn; medians, and ratios."""
    kinds = options.server or ["valkey", "ranvier"]
    servers = {name_of(kind): ServerProcess(kind) for kind in kinds}
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
