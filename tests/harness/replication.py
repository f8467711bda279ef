"""Pairs of servers, one the other's replica: attached, in step, cut off, and compared."""

import re
from dataclasses import dataclass

from harness.process import ServerProcess
from harness.waiting import eventually
from harness.wire import Wire

SYNCHRONISED_SECONDS = 30.0
# Replicas attach at once; the primaries keep what a short break may miss.
PRIMARY_OPTIONS = ("--repl-diskless-sync-delay", "0", "--repl-backlog-size", "1mb")


def follow(replica: ServerProcess, port: int) -> None:
    """Make `replica` follow the server at `port` (which may be a proxy's)."""
    with replica.connect() as wire:
        assert wire.call("REPLICAOF", "127.0.0.1", port).raw == b"+OK\r\n"


def promote(replica: ServerProcess) -> None:
    with replica.connect() as wire:
        assert wire.call("REPLICAOF", "NO", "ONE").raw == b"+OK\r\n"


def link_is_up(replica: ServerProcess) -> bool:
    return replica.info("replication").get("master_link_status") == "up"


def wait_for_link(replica: ServerProcess, seconds: float = SYNCHRONISED_SECONDS) -> None:
    eventually(lambda: link_is_up(replica), f"the link of {replica.kind} is up", seconds)


def attach(replica: ServerProcess, primary: ServerProcess, *, port: int | None = None) -> None:
    """Let `replica` follow `primary` (over `port`, if given), and wait until it has its data."""
    follow(replica, primary.port if port is None else port)
    wait_for_link(replica)
    wait_until_in_step(replica, primary)


def wait_until_in_step(replica: ServerProcess, primary: ServerProcess, seconds: float = SYNCHRONISED_SECONDS) -> None:
    """Until the replica has executed what the primary has written by now."""
    wanted = offset(primary)

    def reached() -> bool:
        told = replica.info("replication")
        return told.get("master_link_status") == "up" and int(told["slave_repl_offset"]) >= wanted

    eventually(reached, f"{replica.kind} has come to {primary.kind}'s offset {wanted}", seconds)


def offset(server: ServerProcess) -> int:
    """How far the server's own stream of writes has come."""
    return int(server.info("replication")["master_repl_offset"])


@dataclass(frozen=True)
class Synchronisations:
    """How often the primary was asked, since it started."""

    full: int
    partial_ok: int
    partial_refused: int

    @classmethod
    def of(cls, primary: ServerProcess) -> "Synchronisations":
        told = primary.info("stats")
        return cls(int(told["sync_full"]), int(told["sync_partial_ok"]), int(told["sync_partial_err"]))


def replica_lines(primary: ServerProcess) -> list[dict[str, str]]:
    """The lines `slaveN:` of INFO replication, each as a dictionary."""
    told = primary.info("replication")
    lines = {name: value for name, value in told.items() if re.fullmatch(r"slave\d+", name)}
    numbered = sorted(lines, key=lambda name: int(name.removeprefix("slave")))
    return [dict(part.split("=", 1) for part in lines[name].split(",")) for name in numbered]


class DeafReplica:
    """A connection that plays a replica: it asks for everything, reads the snapshot, and then nothing more.

    It does not know the marked end of a transfer, so that the primary tells its length.

    Arguments: `receive_buffer_bytes` shrinks the kernel's buffer, for one that does not keep up.
    """

    def __init__(self, primary: ServerProcess, *, receive_buffer_bytes: int | None = None) -> None:
        self.wire = Wire(primary.port, 60.0, receive_buffer_bytes=receive_buffer_bytes, counted=False)
        self.wire.send_command("REPLCONF", "listening-port", 1, "capa", "psync2")
        assert self.wire.reply().raw == b"+OK\r\n"
        self.wire.send_command("PSYNC", "?", "-1")
        words = self._line().split()
        assert words[0] == b"+FULLRESYNC", words
        self.replication_id, self.offset = words[1].decode(), int(words[2])
        self.snapshot = self.wire.read_exactly(int(self._line()[1:]))

    def acknowledge(self, offset_bytes: int) -> None:
        self.wire.send_command("REPLCONF", "ACK", offset_bytes)

    def close(self) -> None:
        self.wire.close()

    def _line(self) -> bytes:
        """A line of the handshake; empty ones keep the connection alive while the snapshot is made."""
        while True:
            line = b""
            while not line.endswith(b"\n"):
                line += self.wire.read_exactly(1)
            if line.strip():
                return line.strip()
