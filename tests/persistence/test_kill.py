"""kill -9 of a real server at a random moment under load: every acknowledged write is there after the restart.

A process that is killed leaves what it has written to the system, so that this holds for every policy; what a machine
without power leaves is the business of test_power_cuts.
"""

import os
import random
import threading
import time
from dataclasses import dataclass, field

import pytest

from harness.process import ServerProcess, StartServer
from harness.waiting import eventually
from harness.wire import Wire, encode_command

ROUNDS = int(os.environ.get("RANVIER_KILL_ROUNDS", "2"))
WRITERS = 3
PIPELINE = 16
POLICIES = ("always", "everysec", "no")


@dataclass
class Writer:
    """One connection that counts its own key up, in pipelines; some of the counts are made by transactions."""

    number: int
    acknowledged: int = 0
    asked: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def key(self) -> str:
        return f"writer:{self.number}"

    def request(self, count: int) -> bytes:
        if count % 7 == 0:
            return encode_command("MULTI") + encode_command("SET", self.key, count) \
                + encode_command("LPUSH", f"{self.key}:list", count) + encode_command("EXEC")
        return encode_command("SET", self.key, count)

    def run(self, server: ServerProcess) -> None:
        """Until the connection ends."""
        try:
            with Wire(server.port, counted=False) as wire:
                while True:
                    counts = range(self.asked + 1, self.asked + 1 + PIPELINE)
                    self.asked += PIPELINE
                    wire.send(b"".join(self.request(count) for count in counts))
                    for count in counts:
                        replies = wire.replies(4 if count % 7 == 0 else 1)
                        if replies[-1].is_error:
                            self.failures.append(repr(replies[-1]))
                            return
                        self.acknowledged = count
        except (EOFError, OSError):
            return                      # killed: that is what it is for


def kill_under_load(server: ServerProcess, writers: list[Writer], chance: random.Random) -> None:
    threads = [threading.Thread(target=writer.run, args=(server,)) for writer in writers]
    before = [writer.acknowledged for writer in writers]
    for thread in threads:
        thread.start()
    eventually(lambda: all(writer.acknowledged > count or writer.failures
                           for writer, count in zip(writers, before, strict=True)), "everybody writes")
    with server.connect() as wire:
        if chance.random() < 0.5:
            wire.call("BGREWRITEAOF")
        time.sleep(chance.random() * 0.1)       # the random moment; nothing depends on how long it is
    server.kill()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("policy", POLICIES)
def test_every_acknowledged_write_is_there(start_server: StartServer, policy: str) -> None:
    chance = random.Random(POLICIES.index(policy))
    preamble = "no" if policy == "no" else "yes"
    options = ["--appendonly", "yes", "--appendfsync", policy, "--auto-aof-rewrite-min-size", "20kb",
               "--aof-use-rdb-preamble", preamble]
    first = server = start_server(*options, clean=False)
    writers = [Writer(number) for number in range(WRITERS)]
    for round_number in range(ROUNDS):
        kill_under_load(server, writers, chance)
        server = start_server(*options, "--dir", first.directory.name, clean=False)
        with server.connect() as wire:
            for writer in writers:
                assert not writer.failures
                found = int(wire.call("GET", writer.key).text)
                assert writer.acknowledged <= found <= writer.asked, (round_number, policy, writer)
                newest = wire.call("LINDEX", f"{writer.key}:list", 0).plain()
                if found >= 7:
                    assert isinstance(newest, bytes)
                    assert int(newest) == found - found % 7, "a transaction is there as a whole, or not at all"
                    assert wire.call("LLEN", f"{writer.key}:list").number == found // 7
                writer.asked = writer.acknowledged = found
    assert all(writer.acknowledged for writer in writers)
