"""The conversation mode of a replica: what it has said of itself (REPLCONF), and how far its synchronisation is.

Hung on the client as `client.replica` by the first REPLCONF, and by PSYNC or SYNC at the latest. Those who synchronise
are the business of `replication/primary`; the engine's side of it, the place in the stream, is
`engine/replication/replica_output`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ranvier.engine.client import ClientHandle

EOF: Final = "eof"                       # understands a snapshot without a known length
PSYNC2: Final = "psync2"                 # understands that a history goes on under another id
KNOWN_CAPABILITIES: Final = frozenset({EOF, PSYNC2})


class Stage(Enum):
    """How far a synchronisation is."""

    NONE = auto()                        # it has asked for nothing yet
    WAITING = auto()                     # a snapshot will be made
    PREPARING = auto()                   # it is being made
    SENDING = auto()                     # it is being sent
    ONLINE = auto()                      # follows the stream; or will, from its first acknowledgement on


# As INFO calls them.
STAGE_NAMES: Final = {
    Stage.NONE: "none", Stage.WAITING: "wait_bgsave", Stage.PREPARING: "wait_bgsave", Stage.SENDING: "send_bulk",
    Stage.ONLINE: "online",
}


@dataclass(slots=True)
class ReplicaMode:
    """`version` is what it announced (major, minor, patch), () nothing."""

    address: str = ""
    listening_port: int = 0
    capabilities: set[str] = field(default_factory=set)
    version: tuple[int, ...] = ()
    snapshot_only: bool = False          # goes when it has the snapshot
    without_data: bool = False           # wants the functions alone
    before_psync: bool = False           # came by SYNC: gets no lines about offsets, and acknowledges nothing
    stage: Stage = Stage.NONE
    since_ms: int = 0                    # monotonic: it waits since then
    starts_with_acknowledgement: bool = False


def mode_of(client: ClientHandle) -> ReplicaMode:
    """The client's mode; it gets one."""
    if client.replica is None:
        client.replica = ReplicaMode()
    mode: ReplicaMode = client.replica
    return mode


def peer_host(client: ClientHandle) -> str:
    """Where the replica says that it is, or where its connection comes from; "" over a Unix socket."""
    if client.replica is not None and client.replica.address:
        return str(client.replica.address)
    return "" if client.unix_socket else client.address.rpartition(":")[0].strip("[]")


def replica_name(client: ClientHandle) -> str:
    """As the log calls it."""
    host = peer_host(client)
    if not host:
        return f"client id #{client.id}"
    port = client.replica.listening_port if client.replica is not None else 0
    return f"{host}:{port or '<unknown-replica-port>'}"
