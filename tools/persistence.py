"""What keeping data costs beside Valkey: SET with an append-only file, loading and saving a snapshot.

    PYTHONPATH=tests python tools/persistence.py [--server valkey --server ranvier] [--only aof,load,save] [--keys N]

CPU is the server's own, all threads, on a processor of its own. Loading is the time from the start of the process to
its first PONG, less that of a start with nothing to load; the snapshot is the first server's. Saving is what SAVE
takes; of BGSAVE the time until it has ended, and how long the parent stood still for it, are shown beside.
"""

import argparse
import time
from collections.abc import Callable

from harness.cost import compare_costs, compare_times, cost_arguments, fill, pipelined_set_cost
from harness.process import ServerProcess, name_of, parse_info
from harness.waiting import eventually
from harness.wire import Wire

AOF_OPTIONS = ("--appendonly", "yes", "--appendfsync", "everysec", "--auto-aof-rewrite-percentage", "0")
AOF_GOAL, LOAD_GOAL, SAVE_GOAL = 0.75, 1.3, 1.3
PATIENCE_SECONDS = 120.0


def aof_cost(options: argparse.Namespace) -> None:
    compare_costs(options, f"set-P16 AOF (goal {AOF_GOAL})", "SET",
                  lambda server: pipelined_set_cost(server, options.requests), AOF_OPTIONS)


def start_seconds(kind: str, files: dict[str, bytes], keys: int) -> float:
    """From the start of the process to its first PONG."""
    started = time.monotonic()
    server = ServerProcess(kind, files=files)
    passed = time.monotonic() - started
    try:
        with server.connect() as wire:
            assert wire.call("DBSIZE").number == keys
    finally:
        server.kill()
        server.discard()
    return passed


def load_times(options: argparse.Namespace, snapshot: bytes) -> None:
    times: dict[str, list[float]] = {name_of(kind): [] for kind in options.server}
    for _ in range(options.repeats):
        for kind in options.server:
            empty = start_seconds(kind, {}, 0)
            times[name_of(kind)].append(start_seconds(kind, {"dump.rdb": snapshot}, options.keys) - empty)
    compare_times(f"loading {options.keys:,} keys", "s", times, LOAD_GOAL)


def save_times(options: argparse.Namespace) -> bytes:
    """The file that the first server has written."""
    foreground: dict[str, list[float]] = {}
    background: dict[str, list[float]] = {}
    stood_still: dict[str, list[float]] = {}
    servers = {name_of(kind): ServerProcess(kind) for kind in options.server}
    try:
        for server in servers.values():
            with server.connect(PATIENCE_SECONDS) as wire:
                fill(wire, options.keys)
        for _ in range(options.repeats):
            for name, server in servers.items():
                with server.connect(PATIENCE_SECONDS) as wire:
                    foreground.setdefault(name, []).append(timed(lambda wire=wire: save(wire)))  # type: ignore[misc]
                    background.setdefault(name, []).append(timed(lambda wire=wire: bgsave(wire)))  # type: ignore[misc]
                stood_still.setdefault(name, []).append(int(server.info("stats")["latest_fork_usec"]) / 1000)
        first = next(iter(servers.values()))
        written = (first.path / "dump.rdb").read_bytes()
    finally:
        for server in servers.values():
            server.kill()
            server.discard()
    compare_times(f"SAVE of {options.keys:,} keys", "s", foreground, SAVE_GOAL)
    compare_times("BGSAVE, until it has ended", "s", background, SAVE_GOAL)
    compare_times("BGSAVE, the parent's pause", "ms", stood_still, None)
    return written


def timed(work: Callable[[], None]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def save(wire: Wire) -> None:
    assert wire.call("SAVE").raw == b"+OK\r\n"


def bgsave(wire: Wire) -> None:
    assert not wire.call("BGSAVE").is_error

    def ended() -> bool:
        return parse_info(wire.call("INFO", "persistence").text)["rdb_bgsave_in_progress"] == "0"

    eventually(ended, "the snapshot is written", PATIENCE_SECONDS)
    assert parse_info(wire.call("INFO", "persistence").text)["rdb_last_bgsave_status"] == "ok"


def main() -> None:
    parser = cost_arguments(__doc__)
    parser.add_argument("--only", default="aof,save,load", help="parts, comma-separated (default: all)")
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--requests", type=int, default=400_000, help="SETs of a round (default 400,000)")
    options = parser.parse_args()
    options.server = options.server or ["valkey", "ranvier"]
    parts = options.only.split(",")
    if "save" in parts or "load" in parts:
        written = save_times(options)
        if "load" in parts:
            load_times(options, written)
    if "aof" in parts:
        aof_cost(options)


if __name__ == "__main__":
    main()
