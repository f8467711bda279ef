#!/usr/bin/env python3
"""Memory of values by type, and the time of one operation against the size of its value, beside Valkey.

    PYTHONPATH=tests python tools/values.py --memory [--server valkey --server ranvier] [--scale 1.0]
    PYTHONPATH=tests python tools/values.py --growth

Memory is the growth of the resident set of a fresh server. The time of an operation is the server's CPU time of a
pipeline of them on random places, so that what is asked for is not in the processor's caches: logarithmic work shows
as a few more nanoseconds each time the value grows tenfold. Shown is the median of several such runs on one server.
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections.abc import Callable, Iterator

from harness.process import ServerProcess, name_of
from harness.wire import Wire, encode_command

Word = str | int
Request = tuple[Word, ...]
BATCH = 500
OPERATIONS = 20_000
GROWTH_ROUNDS = 5
MEMORY_GOAL = 1.25


def hashes(scale: float) -> Iterator[Request]:
    for key in range(int(1_000_000 * scale)):
        fields = ("name", f"somebody {key}", "age", key % 90, "city", "Lyon", "score", key, "ok", 1)
        yield ("HSET", f"user:{key:09}", *fields)


def small_sorted_sets(scale: float) -> Iterator[Request]:
    for key in range(int(100_000 * scale)):
        yield ("ZADD", f"board:{key:09}", *(word for rank in range(20) for word in (rank * 7, f"player:{rank:04}")))


def members(count: int) -> Iterator[tuple[str, int]]:
    numbers = random.Random(1)
    for member in range(count):
        yield f"member:{member:09}", numbers.randrange(1_000_000_000)


def large_sorted_set(scale: float) -> Iterator[Request]:
    words: list[Word] = []
    for member, score in members(int(1_000_000 * scale)):
        words += [score, member]
        if len(words) == 200:
            yield ("ZADD", "board", *words)
            words = []


def stream(scale: float) -> Iterator[Request]:
    for entry in range(int(1_000_000 * scale)):
        yield ("XADD", "stream", f"{entry + 1}-0", "sensor", 1234, "temperature", "19.8")


def small_integer_sets(scale: float) -> Iterator[Request]:
    for key in range(int(100_000 * scale)):
        yield ("SADD", f"group:{key:09}", *range(key, key + 50))


def large_integer_set(scale: float) -> Iterator[Request]:
    for start in range(0, int(1_000_000 * scale), 100):
        yield ("SADD", "ids", *(7 * number for number in range(start, start + 100)))


FILLINGS: dict[str, Callable[[float], Iterator[Request]]] = {
    "1,000,000 hashes of 5 fields": hashes,
    "100,000 sorted sets of 20": small_sorted_sets,
    "a sorted set of 1,000,000": large_sorted_set,
    "a stream of 1,000,000": stream,
    "100,000 sets of 50 integers": small_integer_sets,
    "a set of 1,000,000 integers": large_integer_set,
}


def load(wire: Wire, requests: Iterator[Request]) -> None:
    """Send everything in pipelines; an error ends the run."""
    batch: list[Request] = []
    for request in requests:
        batch.append(request)
        if len(batch) == BATCH:
            send(wire, batch)
            batch = []
    send(wire, batch)


def send(wire: Wire, batch: list[Request]) -> None:
    wire.send(b"".join(encode_command(*request) for request in batch))
    for request in batch:
        reply = wire.reply()
        if reply.is_error:
            raise RuntimeError(f"{request[:3]}: {reply.text!r}")


def measure_memory(kinds: list[str], scale: float) -> None:
    """Resident megabytes of each filling on a fresh server of each kind, and the ratio of the last to the first."""
    for name, filling in FILLINGS.items():
        grown = []
        for kind in kinds:
            server = ServerProcess(kind)
            try:
                with server.connect(300) as wire:
                    before = server.resident_bytes()
                    load(wire, filling(scale))
                    grown.append((server.resident_bytes() - before) / 1e6)
            finally:
                server.stop()
                server.discard()
        ratio = grown[-1] / grown[0]
        shown = "   ".join(f"{name_of(kind)} {size:8.1f} MB" for kind, size in zip(kinds, grown, strict=True))
        verdict = "ok" if ratio <= MEMORY_GOAL else "OVER"
        print(f"{name:32}{shown}   ratio {ratio:5.2f}  goal <= {MEMORY_GOAL}  {verdict}", flush=True)


def fill_list(wire: Wire, size: int) -> None:
    load(wire, (("RPUSH", "list", *range(start, start + 100)) for start in range(0, size, 100)))


def fill_sorted_set(wire: Wire, size: int) -> None:
    load(wire, large_sorted_set(size / 1_000_000))


def fill_stream(wire: Wire, size: int) -> None:
    load(wire, stream(size / 1_000_000))


# name -> (sizes, how to fill, one operation at a random place)
GROWTH: dict[str, tuple[tuple[int, ...], Callable[[Wire, int], None], Callable[[random.Random, int], Request]]] = {
    "LINDEX": ((10_000, 100_000, 1_000_000, 10_000_000), fill_list, lambda r, n: ("LINDEX", "list", r.randrange(n))),
    "LSET": ((10_000, 100_000, 1_000_000, 10_000_000), fill_list, lambda r, n: ("LSET", "list", r.randrange(n), 7)),
    "ZADD": ((10_000, 100_000, 1_000_000, 10_000_000), fill_sorted_set,
             lambda r, n: ("ZADD", "board", r.randrange(1_000_000_000), f"member:{r.randrange(n):09}")),
    "ZRANK": ((10_000, 100_000, 1_000_000, 10_000_000), fill_sorted_set,
              lambda r, n: ("ZRANK", "board", f"member:{r.randrange(n):09}")),
    "XRANGE": ((10_000, 100_000, 1_000_000), fill_stream,
               lambda r, n: ("XRANGE", "stream", (place := r.randrange(n) + 1), place)),
}


def cost_nanoseconds(server: ServerProcess, wire: Wire, requests: list[Request]) -> float:
    """The server's CPU time per request."""
    before = server.cpu_seconds()
    for start in range(0, len(requests), BATCH):
        send(wire, requests[start:start + BATCH])
    return (server.cpu_seconds() - before) * 1e9 / len(requests)


def measure_growth(kinds: list[str], largest: int) -> None:
    """Nanoseconds of CPU per operation for each size: constant network cost included, which is the same for all."""
    fills: dict[Callable[[Wire, int], None], list[str]] = {}
    for name, (_, fill, _operation) in GROWTH.items():
        fills.setdefault(fill, []).append(name)
    for fill, names in fills.items():
        for kind in kinds:
            costs: dict[str, list[str]] = {name: [] for name in names}
            sizes = [size for size in GROWTH[names[0]][0] if size <= largest]
            for size in sizes:
                server = ServerProcess(kind)
                try:
                    with server.connect(600) as wire:
                        fill(wire, size)
                        for name in names:
                            chance = random.Random(size)
                            found = []
                            for _round in range(GROWTH_ROUNDS):
                                requests = [GROWTH[name][2](chance, size) for _ in range(OPERATIONS)]
                                found.append(cost_nanoseconds(server, wire, requests))
                            costs[name].append(f"{statistics.median(found):8.0f}")
                finally:
                    server.stop()
                    server.discard()
            for name in names:
                row = "  ".join(f"{size:>10,}: {cost} ns" for size, cost in zip(sizes, costs[name], strict=True))
                print(f"{name:8}{name_of(kind):10}{row}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--server", action="append", metavar="KIND", help="valkey, ranvier (default: both)")
    parser.add_argument("--scale", type=float, default=1.0, help="memory: multiply the sizes")
    parser.add_argument("--largest", type=int, default=10_000_000, help="growth: the largest size")
    options = parser.parse_args()
    kinds = options.server or ["valkey", "ranvier"]
    if options.memory or not options.growth:
        measure_memory(kinds, options.scale)
    if options.growth or not options.memory:
        measure_growth(kinds, options.largest)


if __name__ == "__main__":
    main()
