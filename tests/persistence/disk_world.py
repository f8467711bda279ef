"""A server over a simulated disk, turned by the test: its client, its disk, its clock, and work aside in time."""

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

from harness.lossy_files import BackgroundInTime, LossyDisk
from harness.memory import hear_log, memory_client, turn
from harness.wire import encode_command
from ranvier.clock import VirtualClock
from ranvier.config.options import Configuration
from ranvier.observe.log import ServerLog
from ranvier.server.load import load_data_set
from ranvier.server.server import Server
from ranvier.shells.memory import MemoryClient


class World:
    """A server, a client and everything around it that a test turns."""

    def __init__(self, server: Server, client: MemoryClient, disk: LossyDisk, background: BackgroundInTime,
                 clock: VirtualClock) -> None:
        self.server = server
        self.client = client
        self.disk = disk
        self.background = background
        self.clock = clock
        self.log = hear_log(server)

    def call(self, *words: str) -> bytes:
        """A request and its answer, in a turn of its own."""
        answer = self.client.talk(encode_command(*words))
        turn(self.server)
        self.background.run_due()
        return answer

    def pass_time(self, milliseconds: int) -> None:
        for _ in range(0, milliseconds, 100):
            self.clock.advance(100)
            self.background.run_due()
            turn(self.server)

    def info(self, field: str) -> str:
        text = self.client.talk(encode_command("INFO", "persistence")).decode()
        return next(line.partition(":")[2] for line in text.split("\r\n") if line.startswith(f"{field}:"))

    def kept(self, name: str) -> bytes:
        with self.disk.map(f"/appendonlydir/{name}") as mapping:
            return bytes(mapping.data)


@contextmanager
def world(disk: LossyDisk | None = None, longest_sync_ms: int = 0, **options: object) -> Iterator[World]:
    disk = disk or LossyDisk(Random(1))
    disk.make_directory("/")
    clock = VirtualClock()
    background = BackgroundInTime(clock, Random(1), longest_sync_ms)
    configuration = Configuration.of(
        {"port": 0, "save": "", "dir": "/", "appendonly": True, "loglevel": "nothing", "enable-debug-command": "yes"}
        | options
    )
    server = Server(configuration, ServerLog(level="nothing"), clock, disk, background)
    server._cron.start()
    ready: list[bool] = []
    load_data_set(server, lambda: ready.append(True))
    while not ready:
        assert server.failure is None, server.failure
        turn(server)
    try:
        with memory_client(server) as client:
            yield World(server, client, disk, background, clock)
    finally:
        server.engine.close()
