#!/usr/bin/env python3
"""CPU per transaction of MULTI, ten INCR and EXEC, sixteen transactions in a pipeline, on several servers in turn.

    PYTHONPATH=tests python tools/transactions.py [--clients 50] [--rounds 60] [--repeats 5] [--server valkey ...]

A round: every client sends its pipeline, then every client reads all its replies. The counters start at a million, so
that all replies have one length. CPU is that of the server's threads, by the scheduler's own count.
"""

from __future__ import annotations

from contextlib import ExitStack

from harness.cost import compare_costs, cost_arguments
from harness.process import ServerProcess
from harness.wire import encode_command

COUNTERS = 10
START = 1_000_000
PIPELINE = 16
REPLY_BYTES = len(b"+OK\r\n" + b"+QUEUED\r\n" * COUNTERS + b"*10\r\n" + b":1000000\r\n" * COUNTERS)


def run(server: ServerProcess, clients: int, rounds: int) -> float:
    """Microseconds of the server's CPU per transaction."""
    with ExitStack() as stack:
        wires = [stack.enter_context(server.connect()) for _ in range(clients)]
        pipelines = []
        for number, wire in enumerate(wires):
            keys = [f"counter:{number:04}:{counter:04}" for counter in range(COUNTERS)]
            wire.pipeline([("SET", key, START) for key in keys])
            commands = [("MULTI",), *(("INCR", key) for key in keys), ("EXEC",)]
            pipelines.append(b"".join(encode_command(*command) for command in commands) * PIPELINE)

        def play(times: int) -> None:
            for _ in range(times):
                for wire, pipeline in zip(wires, pipelines, strict=True):
                    wire.send(pipeline)
                for wire in wires:
                    wire.skip_exactly(REPLY_BYTES * PIPELINE)

        play(2)
        before = server.cpu_seconds()
        play(rounds)
        cost = (server.cpu_seconds() - before) * 1e6 / (clients * rounds * PIPELINE)
        done = wires[0].call("GET", "counter:0000:0000").text
        assert int(done) == START + (rounds + 2) * PIPELINE, done
        return cost


def main() -> None:
    parser = cost_arguments(__doc__ or "")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=60)
    options = parser.parse_args()
    compare_costs(options, "multi-exec", "transaction", lambda server: run(server, options.clients, options.rounds))


if __name__ == "__main__":
    main()
