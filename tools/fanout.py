"""CPU microseconds that each server spends per delivered message, side by side in one run.

    fanout.py --server valkey=7902:'valkey-server --port 7902 --save "" --appendonly no' \
              --server ranvier=7903:'ranvier --port 7903' [--subscribers 1000] [--bytes 64] [--rounds 5]

As tools/cpu_per_request.py: servers pinned to CPU 0, subscribers and publisher (this process) to CPU 1; the figure is
the scheduler's run time of all the server's threads divided by the deliveries; rounds are interleaved, medians printed,
the ratio is taken against the first server, round by round. Every subscriber reads every message to its last byte
before the next ones are published, so that nothing is merged but what one turn delivers. Linux only.
"""

import argparse
import json
import os
import resource
import shlex
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

SERVER_CPU, LOAD_CPU = 0, 1
CHANNEL = b"channel"
PIPELINES = (1, 16)
START_SECONDS = 30.0


def request(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def connect(port: int) -> socket.socket:
    connected = socket.create_connection(("127.0.0.1", port), 60)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connected


def expect(connected: socket.socket, wanted: bytes) -> None:
    got = connected.recv(len(wanted), socket.MSG_WAITALL)
    if got != wanted:
        sys.exit(f"expected {wanted[:100]!r}, got {got[:100]!r}")


def cpu_seconds(pid: int) -> float:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def start(port: int, command: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        ["taskset", "-c", str(SERVER_CPU), *shlex.split(command)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            with connect(port) as probe:
                probe.sendall(request(b"PING"))
                expect(probe, b"+PONG\r\n")
            return process
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.05)
    sys.exit(f"no PONG on port {port}")


def measure(port: int, pid: int, subscribers: int, size: int, pipeline: int, deliveries: int) -> float:
    """CPU seconds per delivered message."""
    text = b"x" * size
    message = b"*3\r\n$7\r\nmessage\r\n" + request(CHANNEL, text).removeprefix(b"*2\r\n")
    readers = [connect(port) for _ in range(subscribers)]
    publisher = connect(port)
    confirmation = b"*3\r\n$9\r\nsubscribe\r\n$%d\r\n%s\r\n:1\r\n" % (len(CHANNEL), CHANNEL)
    try:
        for reader in readers:
            reader.sendall(request(b"SUBSCRIBE", CHANNEL))
            expect(reader, confirmation)
        published = request(b"PUBLISH", CHANNEL, text) * pipeline
        answers = (b":%d\r\n" % subscribers) * pipeline
        wanted = message * pipeline
        buffer = bytearray(len(wanted))

        def publish() -> None:
            publisher.sendall(published)
            expect(publisher, answers)
            for reader in readers:
                if reader.recv_into(buffer, len(wanted), socket.MSG_WAITALL) != len(wanted):
                    sys.exit("a subscriber lost its connection")

        for _ in range(3):
            publish()
        if buffer != wanted:
            sys.exit(f"a message arrived as {bytes(buffer[:200])!r}")
        repetitions = max(1, deliveries // (subscribers * pipeline))
        before = cpu_seconds(pid)
        for _ in range(repetitions):
            publish()
        return (cpu_seconds(pid) - before) / (repetitions * pipeline * subscribers)
    finally:
        for connected in (*readers, publisher):
            connected.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", action="append", required=True, metavar="NAME=PORT:COMMAND")
    parser.add_argument("--subscribers", type=int, default=1000)
    parser.add_argument("--bytes", type=int, default=64)
    parser.add_argument("--deliveries", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", metavar="FILE", type=Path)
    arguments = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, arguments.subscribers + 200)), hard))
    servers: dict[str, tuple[int, subprocess.Popen[bytes]]] = {}
    samples: dict[int, dict[str, list[float]]] = {}
    try:
        for specification in arguments.server:
            name, _, rest = specification.partition("=")
            port, _, command = rest.partition(":")
            servers[name] = (int(port), start(int(port), command))
        os.sched_setaffinity(0, {LOAD_CPU})
        for _ in range(arguments.rounds):
            for pipeline in PIPELINES:
                for name, (number, process) in servers.items():
                    cost = measure(number, process.pid, arguments.subscribers, arguments.bytes, pipeline,
                                   arguments.deliveries * (1 if pipeline == 1 else 4))
                    samples.setdefault(pipeline, {}).setdefault(name, []).append(cost)
    finally:
        for _, process in servers.values():
            process.terminate()
        for _, process in servers.values():
            process.wait(15)
    base = next(iter(servers))
    print(f"{'pipeline':>8} {'server':12}{'cpu us/message':>16}{'x ' + base:>12}")
    report: dict[str, dict[str, dict[str, float]]] = {}
    for pipeline, by_server in samples.items():
        for name, costs in by_server.items():
            ratio = statistics.median(one / other for one, other in zip(costs, by_server[base], strict=True))
            print(f"{pipeline:>8} {name:12}{statistics.median(costs) * 1e6:16.3f}{ratio:12.2f}")
            figures = {"cpu_us": statistics.median(costs) * 1e6, "ratio": ratio}
            report.setdefault(f"fanout-P{pipeline}", {})[name] = figures
    if arguments.json:
        arguments.json.write_text(json.dumps(report))


if __name__ == "__main__":
    main()
