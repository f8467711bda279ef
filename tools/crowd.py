#!/usr/bin/env python3
"""Thousands of connections in every mode, sent away in every way: what the server holds before, at the height, after.

    PYTHONPATH=tests python tools/crowd.py [--guests 9000] [--rounds 3] [--server ranvier]

A round opens the guests, prints the figures, sends all away (FIN, RST, half-close, QUIT, kill, protocol error,
time-out, output and query limit) and prints what is left. Every counter must be zero, and after the last round
descriptors and resident memory are compared with those before the first. The allocator's free memory goes back to the
system from the server's cron, so the memory is looked at until it has come back, for a few seconds at most.
"""

import argparse
import sys
import time

from harness.crowd import COUNTERS, Crowd, pairs, raise_descriptor_limit
from harness.process import ServerProcess

GOAL = 1.02
TRIM_SECONDS = 10.0
RESERVED = 100


def shown(figures: dict[str, int]) -> str:
    counters = ", ".join(f"{name} {figures[name]}" for name in ("connected_clients", *COUNTERS) if figures[name])
    return (f"descriptors {figures['descriptors']:6,}   resident {figures['resident'] / 1e6:8.2f} MB   "
            f"used {figures['used_memory'] / 1e6:8.2f} MB   {counters}")


def settled(crowd: Crowd, before: dict[str, int]) -> dict[str, int]:
    """The figures when the memory has come back, or when it has had its time."""
    deadline = time.monotonic() + TRIM_SECONDS
    while (after := crowd.figures())["resident"] > before["resident"] * GOAL and time.monotonic() < deadline:
        time.sleep(0.2)
    return after


def verdict(before: dict[str, int], after: dict[str, int]) -> bool:
    left = {name: after[name] for name in COUNTERS if after[name]}
    ratio = after["resident"] / before["resident"]
    good = not left and after["descriptors"] == before["descriptors"] and ratio <= GOAL
    print(f"        counters left: {left or 'none'}; descriptors {after['descriptors'] - before['descriptors']:+}; "
          f"resident x {ratio:.3f}; used {after['used_memory'] - before['used_memory']:+,} B  "
          f"{'ok' if good else 'OVER'}", flush=True)
    return good


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--guests", type=int, default=9000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--server", default="ranvier", help="ranvier or valkey")
    options = parser.parse_args()
    guests = min(options.guests, raise_descriptor_limit(options.guests + RESERVED) - RESERVED)
    print(f"{guests} guests, {len(pairs())} pairs of a mode and a way to go")
    server = ServerProcess(options.server, ("--maxclients", str(guests + RESERVED), "--loglevel", "warning"))
    crowd = Crowd(server)
    good = True
    try:
        before = crowd.figures()
        print(f"before  {shown(before)}", flush=True)
        first: dict[str, int] = {}
        for number in range(options.rounds):
            present = crowd.arrive(guests)
            server.settle()
            print(f"height  {shown(crowd.figures())}", flush=True)
            crowd.send_away(present)
            after = settled(crowd, before)
            print(f"after {number + 1} {shown(after)}")
            good = verdict(before, after)
            first = first or after
        if options.rounds > 1:
            print("against what the first round left:")
            good = verdict(first, after) and good
        for name, value in crowd.closes().items():
            print(f"{name}: {value}")
    finally:
        crowd.close()
        server.stop()
        server.discard()
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
