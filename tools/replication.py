"""What replicas cost beside Valkey: SET with one attached, a full synchronisation, the memory of one, eight, a laggard.

    PYTHONPATH=tests python tools/replication.py [--server valkey --server ranvier] [--only set,full,memory,lagging]

The replica of `set` and `full` is a Valkey for every primary, on another processor; `full` also measures each server
as the replica of a Valkey. Replicas of `memory` and `lagging` are connections that stop reading.
"""

import argparse
import contextlib
import time
from collections.abc import Iterator

from harness.cost import compare_costs, compare_times, cost_arguments, fill, pipelined_set_cost
from harness.process import ServerProcess, name_of
from harness.replication import DeafReplica, attach, follow, link_is_up, wait_until_in_step
from harness.waiting import eventually
from harness.wire import ProtocolViolation, encode_command

SET_GOAL, FULL_GOAL, EIGHT_GOAL = 0.80, 1.3, 1.2
MEGABYTE = 1 << 20
BACKLOG_BYTES, LIMIT_BYTES = 8 * MEGABYTE, 32 * MEGABYTE
VALUE_BYTES = 1000
PATIENCE_SECONDS = 300.0
PRIMARY_OPTIONS = ("--repl-diskless-sync-delay", "0", "--repl-backlog-size", str(BACKLOG_BYTES))


@contextlib.contextmanager
def running(kind: str, *options: str) -> Iterator[ServerProcess]:
    """A fresh server that ends with the block."""
    server = ServerProcess(kind, (*PRIMARY_OPTIONS, *options))
    try:
        yield server
    finally:
        server.kill()
        server.discard()


def set_cost(options: argparse.Namespace) -> None:
    replicas: dict[int, ServerProcess] = {}

    def measure(primary: ServerProcess) -> float:
        if primary.port not in replicas:
            replicas[primary.port] = ServerProcess("valkey", PRIMARY_OPTIONS)
            attach(replicas[primary.port], primary)
        cost = pipelined_set_cost(primary, options.requests)
        wait_until_in_step(replicas[primary.port], primary, PATIENCE_SECONDS)
        return cost

    try:
        compare_costs(options, f"set-P16 replica (goal {SET_GOAL})", "SET", measure, PRIMARY_OPTIONS)
    finally:
        for replica in replicas.values():
            replica.kill()
            replica.discard()


def synchronisation_seconds(primary_kind: str, replica_kind: str, megabytes: int) -> float:
    """From REPLICAOF to a link that is up, with so much in the primary."""
    with running(primary_kind) as primary, running(replica_kind) as replica:
        with primary.connect(PATIENCE_SECONDS) as wire:
            fill(wire, megabytes * MEGABYTE // VALUE_BYTES, VALUE_BYTES)
        started = time.monotonic()
        follow(replica, primary.port)
        eventually(lambda: link_is_up(replica), "the synchronisation has ended", PATIENCE_SECONDS)
        return time.monotonic() - started


def full_times(options: argparse.Namespace) -> None:
    as_primary: dict[str, list[float]] = {name_of(kind): [] for kind in options.server}
    as_replica: dict[str, list[float]] = {name_of(kind): [] for kind in options.server}
    for _ in range(options.repeats):
        for kind in options.server:
            as_primary[name_of(kind)].append(synchronisation_seconds(kind, "valkey", options.megabytes))
        for kind in options.server:
            as_replica[name_of(kind)].append(synchronisation_seconds("valkey", kind, options.megabytes))
    compare_times(f"{options.megabytes} MB to a Valkey replica", "s", as_primary, FULL_GOAL)
    compare_times(f"{options.megabytes} MB from a Valkey primary", "s", as_replica, FULL_GOAL)


def used_bytes(server: ServerProcess) -> int:
    return int(server.info("memory")["used_memory"])


def write(server: ServerProcess, megabytes: int) -> None:
    """So much into one key, over and over: the stream grows and the data set does not."""
    requests = encode_command("SET", "key", b"x" * VALUE_BYTES) * 100
    with server.connect(PATIENCE_SECONDS) as wire:
        for _ in range(megabytes * MEGABYTE // (100 * VALUE_BYTES)):
            wire.send(requests)
            wire.skip_exactly(100 * len(b"+OK\r\n"))


def held_for_replicas(kind: str, count: int, megabytes: int) -> float:
    """Megabytes that the primary holds more when `count` replicas have read nothing of `megabytes` of its stream."""
    with running(kind, "--client-output-buffer-limit", "replica 0 0 0") as primary:
        write(primary, 1)
        replicas = [DeafReplica(primary, receive_buffer_bytes=4096) for _ in range(count)]
        before = used_bytes(primary)
        write(primary, megabytes)
        held = (used_bytes(primary) - before) / MEGABYTE
        for replica in replicas:
            replica.close()
        return held


def memory(options: argparse.Namespace) -> None:
    for kind in options.server:
        one, eight = (held_for_replicas(kind, count, options.held_megabytes) for count in (1, 8))
        verdict = "ok" if eight / one <= EIGHT_GOAL else "OVER"
        print(f"{name_of(kind):12} {options.held_megabytes} MB unread: held for 1 replica {one:.1f} MB, 8 {eight:.1f} "
              f"MB   ratio {eight / one:.2f}  goal <= {EIGHT_GOAL}  {verdict}", flush=True)


def lagging(options: argparse.Namespace) -> None:
    """The most that a replica which stops reading costs, until it is sent away."""
    limit = f"replica {LIMIT_BYTES} 0 0"
    allowed = (BACKLOG_BYTES + LIMIT_BYTES) / MEGABYTE
    for kind in options.server:
        with running(kind, "--client-output-buffer-limit", limit) as primary:
            write(primary, 1)
            replica = DeafReplica(primary, receive_buffer_bytes=4096)
            before, most = used_bytes(primary), 0
            for _ in range(4 * (LIMIT_BYTES + BACKLOG_BYTES) // MEGABYTE):
                write(primary, 1)
                most = max(most, used_bytes(primary) - before)
            gone = primary.info("replication")["connected_slaves"] == "0"
            with contextlib.suppress(OSError, EOFError, ProtocolViolation):
                replica.close()
        verdict = "ok" if gone and most / MEGABYTE <= allowed * 1.05 else "OVER"
        print(f"{name_of(kind):12} a replica that stops reading: at most {most / MEGABYTE:.1f} MB, then "
              f"{'closed' if gone else 'STILL THERE'}  goal <= {allowed:.0f} MB  {verdict}", flush=True)


PARTS = {"set": set_cost, "full": full_times, "memory": memory, "lagging": lagging}


def main() -> None:
    parser = cost_arguments(__doc__)
    parser.add_argument("--only", default=",".join(PARTS), help="parts, comma-separated (default: all)")
    parser.add_argument("--requests", type=int, default=400_000, help="set: SETs of a round (default 400,000)")
    parser.add_argument("--megabytes", type=int, default=1024, help="full: size of the data set (default 1024)")
    parser.add_argument("--held-megabytes", type=int, default=64, help="memory: what is not read (default 64)")
    options = parser.parse_args()
    options.server = options.server or ["valkey", "ranvier"]
    for part in options.only.split(","):
        PARTS[part](options)


if __name__ == "__main__":
    main()
