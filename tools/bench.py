"""The figures that Ranvier is judged by, beside Valkey 9.1.2 in the same run on the same machine (Linux only).

    make bench                                   everything, about fifteen minutes on two cores
    make bench BENCH='--only cpu --workloads get-P16,set-P16 --rounds 3'
    make bench BENCH='--only memory,idle'
    make bench BENCH='--only cpu,modes --baseline ../before'     beside another checkout, built in place

Parts: cpu (tools/cpu_per_request.py), modes (tools/fanout.py, transactions.py, ping_pong.py), memory (bytes per key),
values (tools/values.py: memory by type, time against size), idle (bytes per idle connection), neighbour (an embedded
server beside a CPU-bound Python thread), turns (histogram of the loop's turns under growth and mass expiry), start
(import to first PONG of an embedded server), persistence and replication (the tools of these names: what keeping and
copying data costs). Quote ratios: absolute figures move with the machine.
"""

import argparse
import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.process import COMMON_OPTIONS, ServerProcess, free_port, name_of, server_command
from harness.wire import Wire, encode_command

TOOLS = Path(__file__).parent

# CPU per request divided by Valkey's: what must not be passed.
GOALS = {
    "ping-P1": 1.0,
    "set-P1": 1.0,
    "get-P1": 1.0,
    "get-c1000": 1.05,
    "set-P16": 0.65,
    "get-P16": 0.65,
    "get-P100": 0.40,
    "set-1KB": 0.75,
    "get-1KB": 0.75,
    "set-64KB": 1.0,
    "get-64KB": 1.0,
    "incr-P16": 0.70,
    "mset-P16": 0.70,
    "expire-P16": 0.70,
    "lpush-P16": 0.80,
    "rpop-P16": 0.80,
    "lrange100": 1.0,
    "lrange600": 1.0,
    "sadd-P16": 1.0,
    "spop-P16": 1.0,
    "hset-P16": 1.0,
    "hget-P16": 1.0,
    "zadd-P16": 1.0,
    "zpopmin-P16": 1.0,
    "zrank-P16": 1.0,
    "zrange10": 1.0,
    "xadd-P16": 1.0,
    "pfadd-P16": 1.0,
    "setbit-P16": 1.0,
}
MODE_GOALS = {"fanout-P1": 1.0, "fanout-P16": 0.7, "multi-exec": 0.8, "ping-pong": 1.05}
# What a change may cost the workloads above, against the checkout before it.
BASELINE_GOAL = 1.03
MEMORY_GOAL, IDLE_GOAL, START_GOAL_MS = 1.2, 1.0, 150
GROWTH_KEYS, EXPIRING_KEYS = 5_000_000, 1_000_000
GROWTH_GOAL_US, EXPIRY_GOAL_US, FREEING_GOAL_US = 5_000, 25_000, 10_000
HUGE_ELEMENTS, HUGE_BATCH = 5_000_000, 1000
# Type -> the requests that add these elements.
HUGE_VALUES: dict[str, Callable[[range], list[list[str]]]] = {
    "list": lambda numbers: [["RPUSH", "huge", *(f"element:{n:016}" for n in numbers)]],
    "set": lambda numbers: [["SADD", "huge", *(f"element:{n:016}" for n in numbers)]],
    "hash": lambda numbers: [["HSET", "huge", *(word for n in numbers for word in (f"element:{n:016}", "value"))]],
    "sorted set": lambda numbers: [
        ["ZADD", "huge", *(word for n in numbers for word in (str(n * 7919 % 10**8), f"element:{n:016}"))]
    ],
    "stream": lambda numbers: [["XADD", "huge", f"{n + 1}-0", "field", f"{n:016}"] for n in numbers],
}
WAYS_OF_FREEING = {"UNLINK": ("UNLINK", "huge"), "FLUSHALL": ("FLUSHALL", "ASYNC"), "FLUSHDB": ("FLUSHDB",)}
SMALL_KEYS = (1_000_000, 5_000_000)
IDLE_CONNECTIONS = 9_000


def heading(text: str) -> None:
    print(f"\n{text}\n{'-' * len(text)}", flush=True)


@contextlib.contextmanager
def running(kind: str, *options: str) -> Iterator[ServerProcess]:
    """A fresh server that ends with the block."""
    server = ServerProcess(kind, options)
    try:
        yield server
    finally:
        server.stop()
        server.discard()


def fill(wire: Wire, count: int, *, batch: int = 1000, more: tuple[str, ...] = ()) -> None:
    """`count` keys of 16 bytes with values of 16 bytes by pipelined SET, `more` appended to each request."""
    for start in range(0, count, batch):
        keys = range(start, min(start + batch, count))
        wire.send(b"".join(encode_command("SET", f"key:{key:012d}", f"{key:016x}", *more) for key in keys))
        wire.skip_exactly(len(b"+OK\r\n") * len(keys))


def compare(name: str, unit: str, by_kind: dict[str, float], goal: float) -> None:
    """One line: each server's figure, and for servers beside the first their ratio and the goal."""
    first = next(iter(by_kind.values()))
    line = f"{name:24}" + "".join(f"{name_of(kind)}: {figure:10.1f} {unit}   " for kind, figure in by_kind.items())
    if len(by_kind) > 1:
        ratio = list(by_kind.values())[1] / first if first else float("inf")
        line += f"ratio {ratio:5.2f}  goal <= {goal:.2f}  {'ok' if ratio <= goal else 'OVER'}"
    print(line, flush=True)


def server_specifications(kinds: list[str], directory: str) -> list[str]:
    """`--server NAME=PORT:COMMAND` for tools that start the servers themselves."""
    words = []
    for kind in kinds:
        port = free_port()
        options = [*server_command(kind), "--port", str(port), "--dir", directory, *COMMON_OPTIONS]
        words += ["--server", f"{name_of(kind)}={port}:" + " ".join(option or '""' for option in options)]
    return words


def judge(figures: dict[str, dict[str, dict[str, float]]], goals: dict[str, float], kinds: list[str]) -> None:
    """A line per workload: the second server's ratio to the first, and to the baseline if there is one."""
    names = [name_of(kind) for kind in kinds]
    for workload, by_name in figures.items():
        if len(names) < 2 or workload not in goals:
            continue
        ratio, goal = by_name[names[1]]["ratio"], goals[workload]
        line = f"{workload:14} {ratio:5.2f}  goal <= {goal:.2f}  {'ok' if ratio <= goal else 'OVER'}"
        if "baseline" in by_name:
            before = by_name[names[1]]["cpu_us"] / by_name["baseline"]["cpu_us"]
            verdict = "ok" if before <= BASELINE_GOAL else "OVER"
            line += f"   baseline x {before:.3f}  goal <= {BASELINE_GOAL}  {verdict}"
        print(line, flush=True)


def bench_cpu(arguments: argparse.Namespace) -> None:
    heading("CPU per request divided by Valkey's")
    workloads = arguments.workloads or ",".join(GOALS)
    with tempfile.TemporaryDirectory(prefix="ranvier-bench-") as directory:
        report = Path(directory, "cpu.json")
        command = [sys.executable, str(TOOLS / "cpu_per_request.py"), "--rounds", str(arguments.rounds)]
        command += ["--scale", str(arguments.scale), "--only", workloads, "--json", str(report)]
        subprocess.run([*command, *server_specifications(arguments.servers, directory)], check=True)
        judge(json.loads(report.read_text()), GOALS, arguments.servers)


def bench_modes(arguments: argparse.Namespace) -> None:
    heading("CPU of modes: a delivered message, a transaction of ten INCR, a round trip over blocking pops")
    wanted = arguments.workloads.split(",") if arguments.workloads else list(MODE_GOALS)
    kinds = [word for kind in arguments.servers for word in ("--server", kind)]

    def scaled(count: int) -> str:
        return str(max(1, int(count * arguments.scale)))

    with tempfile.TemporaryDirectory(prefix="ranvier-bench-") as directory:
        report = Path(directory, "modes.json")
        tools = {
            "fanout": ["fanout.py", "--rounds", str(arguments.rounds), "--deliveries", scaled(200_000),
                       *server_specifications(arguments.servers, directory)],
            "multi-exec": ["transactions.py", "--repeats", str(arguments.rounds), "--rounds", scaled(60), *kinds],
            "ping-pong": ["ping_pong.py", "--repeats", str(arguments.rounds), "--rounds", scaled(400), *kinds],
        }
        for name, (tool, *options) in tools.items():
            if any(workload.startswith(name) for workload in wanted):
                subprocess.run([sys.executable, str(TOOLS / tool), *options, "--json", str(report)], check=True)
                judge(json.loads(report.read_text()), MODE_GOALS, arguments.servers)


def bench_memory(arguments: argparse.Namespace) -> None:
    heading("Memory: resident bytes per key, 16-byte keys and values, median of 3 fresh servers")
    for count in (1_000_000, 2_000_000):
        by_kind: dict[str, float] = {}
        for kind in arguments.servers:
            samples = []
            for _ in range(3):
                with running(kind) as server, server.connect(120) as wire:
                    before = server.resident_bytes()
                    fill(wire, count)
                    samples.append((server.resident_bytes() - before) / count)
            by_kind[kind] = statistics.median(samples)
        compare(f"{count:,} keys", "B/key", by_kind, MEMORY_GOAL)


def bench_values(arguments: argparse.Namespace) -> None:
    heading("Values: resident memory by type, then CPU per operation against the size of the value")
    run_tool("values.py", arguments)


def bench_persistence(arguments: argparse.Namespace) -> None:
    heading("Persistence: SET with an append-only file, loading and saving a snapshot")
    run_tool("persistence.py", arguments)


def bench_replication(arguments: argparse.Namespace) -> None:
    heading("Replication: SET with a replica, a full synchronisation, memory of replicas")
    run_tool("replication.py", arguments)


def run_tool(name: str, arguments: argparse.Namespace) -> None:
    """A tool that starts the servers itself and prints its own figures."""
    kinds = [word for kind in arguments.servers for word in ("--server", kind)]
    subprocess.run([sys.executable, str(TOOLS / name), *kinds], check=True)


def bench_idle(arguments: argparse.Namespace) -> None:
    heading(f"Memory: {IDLE_CONNECTIONS:,} idle connections that have said PING")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    each: dict[str, float] = {}
    left: dict[str, float] = {}
    for kind in arguments.servers:
        with running(kind, "--maxclients", "9900") as server:
            before = server.resident_bytes()
            wires = []
            for _ in range(IDLE_CONNECTIONS):
                wires.append(server.connect())
                wires[-1].call("PING")
            wait_for(lambda server=server: server.info("clients")["connected_clients"] == str(IDLE_CONNECTIONS + 1))  # type: ignore[misc]
            time.sleep(3)                       # the reference gives buffers back from its cron, after two idle seconds
            each[kind] = (server.resident_bytes() - before) / IDLE_CONNECTIONS
            for wire in wires:
                wire.close()
            wait_for(lambda server=server: server.info("clients")["connected_clients"] == "1")  # type: ignore[misc]
            time.sleep(3)                       # our cron gives memory back, too
            left[kind] = (server.resident_bytes() - before) / IDLE_CONNECTIONS
    compare("while connected", "B each", each, IDLE_GOAL)
    shown = (f"{name_of(kind)}: {figure:10.1f} B each   " for kind, figure in left.items())
    print(f"{'after they closed':24}" + "".join(shown))


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Return when the condition holds; a bench that never gets there ends with an error."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not reached within {seconds} s")
        time.sleep(0.05)


def benchmark_rate(port: int, requests: int, pipeline: int) -> float:
    """Requests per second that redis-benchmark reports for GET with 50 clients."""
    outcome = subprocess.run(
        [
            *("redis-benchmark", "-p", str(port), "-n", str(requests), "-c", "50", "-P", str(pipeline), "--csv"),
            *("-r", "100000", "GET", "key:__rand_int__"),
        ],
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
    )
    return float(outcome.stdout.strip().splitlines()[-1].split(",")[-7].strip('"'))


def bench_neighbour(_: argparse.Namespace) -> None:
    heading("An embedded server beside one CPU-bound Python thread in its process, 50 clients")
    child = subprocess.Popen(
        [sys.executable, str(TOOLS / "neighbour.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin is not None
    assert child.stdout is not None

    def tell(word: str) -> str:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(word + "\n")
        child.stdin.flush()
        return child.stdout.readline().strip()

    port = int(child.stdout.readline())
    try:
        with Wire(port, 60) as wire:
            fill(wire, 100_000)
        tell("spin")
        time.sleep(2)
        undisturbed = float(tell("rest"))
        for pipeline, requests in ((1, 100_000), (16, 400_000)):
            alone = benchmark_rate(port, requests, pipeline)
            tell("spin")
            beside = benchmark_rate(port, requests // 4, pipeline)
            disturbed = float(tell("rest"))
            print(
                f"pipeline {pipeline:3}: {alone:10,.0f} requests/s alone, {beside:10,.0f} beside the thread "
                f"({beside / alone:.0%}); the thread keeps {disturbed / undisturbed:.0%} of its speed",
                flush=True,
            )
    finally:
        child.stdin.close()
        child.wait(30)


def turns(wire: Wire) -> dict[int, int]:
    """The server's histogram of turns: upper bound in microseconds of thread CPU time, and count."""
    reply = wire.call("DEBUG", "TURNS")
    if reply.is_error:
        raise RuntimeError(f"DEBUG TURNS: {reply.text!r}")
    numbers = [int(item.value) for item in reply.items]  # type: ignore[arg-type]
    return dict(zip(numbers[::2], numbers[1::2], strict=True))


def print_turns(name: str, before: dict[int, int], after: dict[int, int], goal_us: int) -> None:
    passed = {bound: count - before.get(bound, 0) for bound, count in after.items()}
    over = sum(count for bound, count in passed.items() if bound > goal_us)
    print(f"{name}: {sum(passed.values()):,} turns, {over} over {goal_us / 1000:g} ms  {'ok' if not over else 'OVER'}")
    for bound, count in sorted(passed.items()):
        if count:
            print(f"  <= {bound:>9,} us  {count:>9,}")


def bench_turns(arguments: argparse.Namespace) -> None:
    heading("Turns of the loop by thread CPU time")
    if "ranvier" not in arguments.servers:
        print("only Ranvier keeps this histogram")
        return
    with running("ranvier") as server, server.connect(120, protocol=3) as wire:
        before = turns(wire)
        started = time.monotonic()
        fill(wire, GROWTH_KEYS, batch=100)
        took = time.monotonic() - started
        print_turns(f"growing to {GROWTH_KEYS:,} keys", before, turns(wire), GROWTH_GOAL_US)
        flush(server, wire)
        expire(wire, max(10, took))
    for kind in HUGE_VALUES:
        for way in (*WAYS_OF_FREEING, "expiry", "eviction"):
            bench_freeing(kind, way)
    for count in SMALL_KEYS:
        for way in ("FLUSHALL", "FLUSHDB", "eviction"):
            bench_freeing_keys(count, way)


def flush(server: ServerProcess, wire: Wire) -> None:
    """Empty the server, and wait until it has given the memory back."""
    wire.call("FLUSHALL", "ASYNC")
    wait_for(lambda: int(server.info("memory")["lazyfree_pending_objects"]) == 0, 300)


def expire(wire: Wire, seconds: float) -> None:
    """Turns while keys expire that all have the same last moment, at least so many seconds from now."""
    wire.call("DEBUG", "SET-ACTIVE-EXPIRE", "0")
    at_ms = int((time.time() + seconds) * 1000)
    fill(wire, EXPIRING_KEYS, batch=100, more=("PXAT", str(at_ms)))
    if wire.call("DBSIZE").number < EXPIRING_KEYS:
        raise RuntimeError(f"{EXPIRING_KEYS:,} keys took more than {seconds:.0f} s: some had expired by then")
    wait_for(lambda: time.time() * 1000 >= at_ms, seconds + 1)
    before = turns(wire)
    wire.call("DEBUG", "SET-ACTIVE-EXPIRE", "1")
    wait_for(lambda: wire.call("DBSIZE").number == 0, 300)
    print_turns(f"{EXPIRING_KEYS:,} keys expiring at one instant", before, turns(wire), EXPIRY_GOAL_US)


def bench_freeing(kind: str, way: str) -> None:
    """Turns while a value of 5,000,000 elements grows, and while it is freed in one of the ways."""
    with running("ranvier", "--maxmemory-policy", "allkeys-lru") as server, server.connect(300, protocol=3) as wire:
        before = turns(wire)
        for start in range(0, HUGE_ELEMENTS, HUGE_BATCH):
            requests = HUGE_VALUES[kind](range(start, start + HUGE_BATCH))
            wire.send(b"".join(encode_command(*request) for request in requests))
            for _request in requests:
                if (reply := wire.reply()).is_error:
                    raise RuntimeError(f"{kind}: {reply.text!r}")
        if way == "UNLINK":
            print_turns(f"growing: a {kind} of {HUGE_ELEMENTS:,}", before, turns(wire), FREEING_GOAL_US)
        free_and_print(server, wire, way, f"a {kind} of {HUGE_ELEMENTS:,}")


def bench_freeing_keys(count: int, way: str) -> None:
    """Turns while so many small keys go."""
    with running("ranvier", "--maxmemory-policy", "allkeys-lru") as server, server.connect(300, protocol=3) as wire:
        fill(wire, count)
        free_and_print(server, wire, way, f"{count:,} keys")


def free_and_print(server: ServerProcess, wire: Wire, way: str, what: str) -> None:
    before = turns(wire)
    left = 0
    if way == "eviction":        # of all that is there, for a huge value, or of half of the keys
        limit = int(server.info("memory")["used_memory"]) // 2
        left = wire.call("DBSIZE").number // 2
        wire.call("CONFIG", "SET", "maxmemory", str(limit))
    elif way == "expiry":
        wire.call("PEXPIRE", "huge", "1")
    else:
        wire.call(*WAYS_OF_FREEING[way])
    wait_for(lambda: wire.call("DBSIZE").number <= left + left // 10, 300)
    wait_for(lambda: int(server.info("memory")["lazyfree_pending_objects"]) == 0, 300)
    time.sleep(2)                # what is freed goes back to the system in the turns that follow
    resident = server.resident_bytes() / 1e6
    print_turns(f"{way} of {what} (then {resident:.0f} MB resident)", before, turns(wire), FREEING_GOAL_US)


FIRST_PONG = """
import time
started = time.perf_counter()
import ranvier
with ranvier.Server(port=0) as server:
    import socket
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(b"PING\\r\\n")
        assert connection.recv(64) == b"+PONG\\r\\n"
    print((time.perf_counter() - started) * 1000)
"""


def bench_start(_: argparse.Namespace) -> None:
    heading("Import to first PONG of an embedded server, median of 9 fresh interpreters")
    samples = []
    for _round in range(9):
        # An installed package has its bytecode compiled; nothing may keep it from being kept here.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        outcome = subprocess.run(
            [sys.executable, "-c", FIRST_PONG], check=True, capture_output=True, text=True, env=environment
        )
        samples.append(float(outcome.stdout))
    median = statistics.median(samples)
    verdict = "ok" if median < START_GOAL_MS else "OVER"
    print(f"{median:.0f} ms (from {min(samples):.0f} to {max(samples):.0f})  goal < {START_GOAL_MS} ms  {verdict}")


PARTS = {
    "cpu": bench_cpu,
    "modes": bench_modes,
    "memory": bench_memory,
    "values": bench_values,
    "idle": bench_idle,
    "neighbour": bench_neighbour,
    "turns": bench_turns,
    "start": bench_start,
    "persistence": bench_persistence,
    "replication": bench_replication,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help=f"parts, comma-separated: {', '.join(PARTS)}")
    parser.add_argument("--workloads", help="cpu, modes: workloads, comma-separated (default: those with a goal)")
    parser.add_argument("--rounds", type=int, default=5, help="cpu, modes: interleaved rounds (default 5)")
    parser.add_argument("--scale", type=float, default=1.0, help="cpu, modes: multiply the request counts")
    parser.add_argument("--servers", default="valkey,ranvier", help="the first is what ratios are taken against")
    parser.add_argument("--baseline", type=Path, metavar="PATH", help="a checkout, built in place, as one server more")
    arguments = parser.parse_args()
    arguments.servers = arguments.servers.split(",")
    if arguments.baseline:
        arguments.servers.append(f"ranvier@{arguments.baseline}")
    for part in arguments.only.split(",") if arguments.only else PARTS:
        PARTS[part](arguments)


if __name__ == "__main__":
    main()
