"""This server as a replica: becoming one, what it refuses meanwhile, and becoming a primary (REPLICAOF).

The link itself is `link`; ids and offsets are `state`; what a server does for replicas of its own is `primary`. Here
stands what joins them to the server. A replica refuses writes and, while its link is down and stale data is not to be
served, everything; it hides what is past its time until its primary says that it is gone; its own stream is its
primary's, byte by byte.

Invariant: `state.role` is REPLICA exactly while the link is open, and the engine's gates say the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from ranvier.commands.client_line import client_line
from ranvier.commands.gates import Gate
from ranvier.engine.client import ClientHandle
from ranvier.persistence.environment import State
from ranvier.replication.failover import Failover, Target
from ranvier.replication.handshake import Position
from ranvier.replication.incoming import Incoming
from ranvier.replication.link import LoadOrders, PrimaryLink
from ranvier.replication.state import ID_CHARACTERS
from ranvier.replication.synced import SyncedOffset

if TYPE_CHECKING:
    from ranvier.config.options import Configuration
    from ranvier.engine.loop import Engine
    from ranvier.engine.timers import Timers
    from ranvier.server.server import Server

LOG_NOTICE: Final = 2                        # observe.log: NOTICE, WARNING
LOG_WARNING: Final = 3


class ReplicaSide:
    """One server's part as a replica; also what its link and a failover need of the server (LinkHost, FailoverHost)."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.engine: Engine = server.engine
        self.configuration: Configuration = server.configuration
        self._state = server.replication
        self.link = PrimaryLink(self, self._state)
        self.failover = Failover(self)
        self.incoming = Incoming(server)
        self._synced = SyncedOffset()

    # ---- roles ------------------------------------------------------------------------------------------------------

    def follow_for(self, host: str, port: int, client: ClientHandle) -> bool:
        """REPLICAOF host port; False when that is the primary already."""
        address = self._state.primary_address
        if address is not None and (address[0].lower(), address[1]) == (host.lower(), port):
            self.notice("REPLICAOF would result into synchronization with the primary we are already connected with. "
                        "No operation performed.")
            return False
        self.follow(host, port)
        self.notice(f"REPLICAOF {host}:{port} enabled (user request from '{client_line(client)}')")
        return True

    def lead_for(self, client: ClientHandle, why: str = "user") -> None:
        """REPLICAOF NO ONE, or a primary's own wish ("failover")."""
        if not self._state.is_primary:
            self.lead()
            self.notice(f"PRIMARY MODE enabled ({why} request from '{client_line(client)}')")

    def follow(self, host: str, port: int, failover: bool = False) -> None:
        """Be a replica of that server from now on. `failover`: it is to become a primary by being asked."""
        was_primary = self._state.is_primary
        self.link.close()
        if was_primary:
            self.notice("Before turning into a replica, using my own primary parameters to synthesize a cached "
                        "primary: I may be able to synchronize with the new primary with just a partial transfer.")
            self.link.known = Position(self._state.replication_id, self._state.offset)
            self.link.database_index = 0     # a primary selects the database anew for whom it goes on with
        self._state.follow(host, port)
        self._server.stream_follows(True)
        self._remember()
        self.engine.settings.set_follows(True)
        self.engine.blocked.become_replica(self.redirection())
        self.apply()
        self.link.open(failover)

    def lead(self) -> None:
        """Be a primary from now on, with the data set as it is. Nothing happens to a primary."""
        if self._state.is_primary:
            return
        self.link.close()
        self.link.known = None
        old_id = self._state.replication_id
        self._state.lead()
        self.notice(f"Setting secondary replication ID to {old_id}, valid up to offset: {self._state.second_offset}. "
                    f"New replication ID is {self._state.replication_id}")
        self._server.stream_follows(False)
        self._server.drop_replicas()         # they come back, and hear of the new id
        self._remember()
        self.engine.settings.set_follows(False)
        self.apply()

    def start(self) -> None:
        """The data set is loaded: follow whom the configuration names, from where the data set stands if it says so."""
        address = self.configuration.replicaof
        if not address:
            return
        self._state.follow(address[0], int(address[1]))
        self._server.stream_follows(True)
        place = None if self.configuration.value("appendonly") else place_of(self._server.snapshots.loaded_auxiliary)
        if place is not None:
            self.link.known = place[0]
            self.link.database_index = min(place[1], self.configuration.databases - 1)
            self._state.adopt(self.link.known.replication_id, self.link.known.offset)
        self.engine.settings.set_follows(True)
        self.apply()
        self.link.open()

    def stop(self) -> None:
        """The server ends."""
        self.failover.stop()
        self.link.close()
        self.incoming.stop()

    def _remember(self) -> None:
        """For CONFIG GET and CONFIG REWRITE."""
        address = self._state.primary_address
        self.configuration.keep("replicaof", (address[0], str(address[1])) if address is not None else ())

    # ---- what is refused --------------------------------------------------------------------------------------------

    def apply(self) -> None:
        """Close and open the gates by role, link and options."""
        configuration, settings = self.configuration, self.engine.settings
        replica = not self._state.is_primary
        settings.set_gate(Gate.READ_ONLY, replica and configuration.replica_read_only)
        settings.set_gate(
            Gate.STALE, replica and not configuration.replica_serve_stale_data and not self.link.is_up
        )
        for client in self.engine.clients:
            self.apply_redirection(client)
        self._server.apply_memory()

    def apply_redirection(self, client: ClientHandle) -> None:
        """Clients that said so learn where to write, instead of that they cannot (lifecycle A4-9v)."""
        client.set_gate(Gate.REDIRECT, client.understands_redirect and not self._state.is_primary)

    def redirection(self) -> bytes:
        """The error that tells where the primary is."""
        host, port = self._state.primary_address or ("", 0)
        return f"REDIRECT {host}:{port}".encode("utf-8", "surrogateescape")

    @property
    def ignores_maxmemory(self) -> bool:
        """The primary keeps to its own limit, and its deletions come by the stream."""
        return not self._state.is_primary and self.configuration.replica_ignore_maxmemory

    def acknowledge_to(self, client: ClientHandle) -> None:
        """REPLCONF GETACK: by the link, the only thing that a primary is answered; by others, nothing."""
        if client is self.link.client:
            self.link.acknowledge()

    def stream_database(self) -> int:
        """The database that the stream has selected, for whom it is handed on to."""
        return self.link.client.database_index if self.link.client is not None else self.link.database_index

    # ---- what is told -----------------------------------------------------------------------------------------------

    def role(self) -> list[object]:
        """ROLE's reply of a replica."""
        host, port = self._state.primary_address or ("", 0)
        state, offset = self.link.role()
        return [b"slave", host.encode("utf-8", "surrogateescape"), port, state.encode(), offset]

    def figures(self) -> dict[str, int | float | str]:
        """INFO's fields of a replica, and of a failover."""
        failing: dict[str, int | float | str] = {"master_failover_state": self.failover.stage.value}
        if self._state.primary_address is None:
            return failing
        host, port = self._state.primary_address
        configuration = self.configuration
        figures = self.link.figures()
        down = {name: figures.pop(name) for name in list(figures) if name == "master_link_down_since_seconds"}
        return {
            "master_host": host,
            "master_port": port,
            **figures,
            "replicas_repl_buffer_size": 0,
            "replicas_repl_buffer_peak": 0,
            **down,
            "slave_priority": configuration.replica_priority,
            "slave_read_only": int(configuration.replica_read_only),
            "replica_announced": int(configuration.replica_announced),
            **failing,
        }

    # ---- what the link needs (link.LinkHost) ------------------------------------------------------------------------

    def notice(self, text: str) -> None:
        self._server.log.log(LOG_NOTICE, text)

    def warn(self, text: str) -> None:
        self._server.log.log(LOG_WARNING, text)

    def announced_port(self) -> int:
        return self._server.port

    def new_client(self, address: str, local_address: str) -> ClientHandle:
        return ClientHandle(self._server, address, local_address)

    def is_empty(self) -> bool:
        return all(len(database) == 0 for database in self.engine.databases)

    def load_snapshot(self, data: memoryview, orders: LoadOrders) -> None:
        self.incoming.begin(data, orders)

    def cancel_load(self) -> None:
        self._server.loading.cancel()
        self.incoming.discard()

    def history_replaced(self) -> None:
        self._synced.forget()
        self._server.drop_replicas()

    def history_renamed(self) -> None:
        self._server.drop_replicas()

    def link_changed(self) -> None:
        self._state.link_up = self.link.is_up
        self.apply()

    def synced_offset(self) -> int:
        append_only = self._server.append_only
        if append_only.state is not State.ON:
            return -1
        return self._synced.note(self.link.offset, self.engine.append_buffer.offset, append_only.synced_offset)

    def failover_over(self, refusal: str | None) -> None:
        self.failover.over(refusal)

    def client_closing(self, client: ClientHandle) -> None:
        """A client goes; it may be the link's."""
        self.link.client_closing(client)

    # ---- what a failover needs (failover.FailoverHost) --------------------------------------------------------------

    @property
    def is_primary(self) -> bool:
        return self._state.is_primary

    @property
    def offset(self) -> int:
        return self._state.offset

    @property
    def now_ms(self) -> int:
        return self.engine.monotonic_ms

    @property
    def timers(self) -> Timers:
        return self.engine.timers

    def targets(self) -> Iterable[Target]:
        return self._server.primary.targets()

    def hold_writes(self, held: bool) -> None:
        self._server.pause.hold_for_failover(held)
        if not held:
            self._server.primary.failing_over = False

    def hand_over(self, host: str, port: int) -> None:
        self._server.primary.failing_over = True
        self.follow(host, port, failover=True)

    def take_back(self) -> None:
        self.lead()


def place_of(fields: Mapping[bytes, bytes]) -> tuple[Position, int] | None:
    """Where a snapshot belongs in a history, and the database that the stream has selected there; as it tells."""
    replication_id, offset = fields.get(b"repl-id", b""), fields.get(b"repl-offset", b"")
    database = fields.get(b"repl-stream-db", b"")
    if len(replication_id) != ID_CHARACTERS or not replication_id.isalnum() or not offset.isdigit():
        return None
    return Position(replication_id.decode("latin-1"), int(offset)), int(database) if database.isdigit() else 0
