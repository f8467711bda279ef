#!/usr/bin/env python3
"""What other subscribers notice of one that never reads: how long a message takes to reach them all, with and without.

    PYTHONPATH=tests python tools/slow_subscriber.py [--server ranvier] [--rounds 6] [--messages 3000] [--readers 10]

Rounds alternate: without, with, without, with ... A message's time runs from its PUBLISH until the last reader has it.
In a round with a slow subscriber, the next one comes as soon as the server has closed the one before: somebody is
always owed something. The figures are the medians of the rounds' percentiles; the goal holds for the 99th.
"""

import argparse
import statistics
import sys
from contextlib import ExitStack

from harness.process import ServerProcess
from harness.slow_subscriber import SlowSubscriber, close_counters, delivery_microseconds
from harness.wire import Wire

GOAL = 1.5
CHANNEL = "news"
LOOKS = 20               # a round's looks at the slow subscriber


class Figures:
    """Percentiles of rounds, and the most that a slow subscriber was owed."""

    def __init__(self) -> None:
        self.median: dict[bool, list[float]] = {False: [], True: []}
        self.late: dict[bool, list[float]] = {False: [], True: []}
        self.most_owed = 0
        self.closed = 0

    def add(self, slow: bool, took: list[float]) -> None:
        cuts = statistics.quantiles(took, n=100)
        self.median[slow].append(cuts[49])
        self.late[slow].append(cuts[98])


def one_round(
    figures: Figures, server: ServerProcess, wires: list[Wire], messages: int, text: bytes, slow: bool
) -> None:
    control, publisher, *readers = wires
    took: list[float] = []
    subscriber = SlowSubscriber(server, CHANNEL) if slow else None
    for number in range(messages):
        if subscriber is not None and number % max(1, messages // LOOKS) == 0:
            owed = subscriber.owed_bytes(control)
            figures.most_owed = max(figures.most_owed, owed or 0)
            if owed is None:
                figures.closed += 1
                subscriber.close()
                subscriber = SlowSubscriber(server, CHANNEL)
        elif number % max(1, messages // LOOKS) == 0:
            control.call("CLIENT", "LIST", "ID", 1)          # the same look, at nobody
        took.append(delivery_microseconds(publisher, readers, CHANNEL, text))
    if subscriber is not None:
        subscriber.close()
    server.settle()
    figures.add(slow, took)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default="ranvier", help="ranvier or valkey")
    for name, default in (("rounds", 6), ("messages", 3000), ("readers", 10), ("bytes", 16384), ("limit-mb", 8)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    limit_bytes = options.limit_mb << 20
    server = ServerProcess(options.server, ("--client-output-buffer-limit", f"pubsub {limit_bytes} 0 0"))
    figures = Figures()
    text = b"m" * options.bytes
    try:
        with ExitStack() as stack:
            wires = [stack.enter_context(server.connect()) for _ in range(options.readers + 2)]
            for reader in wires[2:]:
                reader.call("SUBSCRIBE", CHANNEL)
            for number in range(2 * options.rounds):
                one_round(figures, server, wires, options.messages, text, bool(number % 2))
            counters = close_counters(wires[0])
    finally:
        server.stop()
        server.discard()
    for slow in (False, True):
        print(f"{'with' if slow else 'without':8} median {statistics.median(figures.median[slow]):8.0f} us   "
              f"p99 {statistics.median(figures.late[slow]):8.0f} us")
    ratio = statistics.median(after / before for before, after in zip(figures.late[False], figures.late[True],
                                                                       strict=True))
    bounded = figures.most_owed <= limit_bytes and figures.closed > 0
    print(f"p99 with / without {ratio:5.2f}  goal <= {GOAL}  {'ok' if ratio <= GOAL else 'OVER'}")
    print(f"a slow subscriber was owed {figures.most_owed:,} of {limit_bytes:,} bytes at most; "
          f"{figures.closed} closed  {'ok' if bounded else 'OVER'}")
    print("  ".join(f"{name}:{value}" for name, value in counters.items()))
    sys.exit(0 if bounded and ratio <= GOAL else 1)


if __name__ == "__main__":
    main()
