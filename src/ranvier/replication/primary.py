"""What a server does for its replicas: let them in, keep them going, count them, and let them go.

A replica goes on from where it is if the backlog still has what it lacks of a history that is this server's; else it
gets everything (`full_sync`). Then it follows the stream, which the engine writes and sends (`engine/replication`). A
server that is a replica itself serves its own replicas in the same way, with the stream of its primary.

Invariant: a client is in `_clients` from PSYNC or SYNC until it is torn down, as it is in the engine's list.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Protocol

from ranvier.commands.gates import Gate
from ranvier.engine.phase import CLOSE_REASON_NAMES
from ranvier.errors import CommandError
from ranvier.modes.replica import PSYNC2, STAGE_NAMES, Stage, mode_of, peer_host, replica_name
from ranvier.replication.failover import Target
from ranvier.replication.full_sync import FullSync, SnapshotMaker, SyncHost
from ranvier.replication.state import ReplicationState

if TYPE_CHECKING:
    from ranvier.engine.client import ClientHandle

CLOSE_REPLICATION: Final = CLOSE_REASON_NAMES.index("replication") + 1       # engine.phase.CloseReason
SECOND_MS: Final = 1000
PING: Final = b"*1\r\n$4\r\nPING\r\n"


class PrimaryHost(SyncHost, Protocol):
    """What a primary needs of the server."""

    def promote(self, client: ClientHandle) -> None:
        """Become a primary, as the client asks for."""

    def stream_database(self) -> int:
        """The database that the stream has selected by now."""

    def paused(self) -> bool:
        """Clients are paused, and the stream with them."""


class Primary:
    """One server's replicas."""

    def __init__(self, host: PrimaryHost, state: ReplicationState, maker: SnapshotMaker) -> None:
        self._host = host
        self._state = state
        self._replicas = host.engine.replicas
        self._clients: dict[int, ClientHandle] = {}          # by id, in the order of their coming
        self.full_sync = FullSync(host, state, maker, self._online)
        self.failing_over = False                            # nobody is let in
        self._next_second_ms = 0
        self._next_ping_ms = 0
        self._alone_since_ms = 0                             # without a replica
        self._wanted_offset = 0                              # by those who wait for the end of the server
        self.full_count = self.partial_count = self.refused_partial_count = 0

    @property
    def clients(self) -> list[ClientHandle]:
        """A snapshot of the replicas, in the order of their coming."""
        return list(self._clients.values())

    def __len__(self) -> int:
        return len(self._clients)

    # ---- letting in -------------------------------------------------------------------------------------------------

    def take_over(self, client: ClientHandle, replication_id: str) -> None:
        """PSYNC ... FAILOVER: this server's primary wants to change places with it. Raises CommandError."""
        self._host.notice(f"Failover request received for replid {replication_id}.")
        if self._state.is_primary:
            raise CommandError("ERR PSYNC FAILOVER can't be sent to a master.")
        if replication_id != self._state.replication_id:
            raise CommandError("ERR PSYNC FAILOVER replid must match my replid.")
        self._host.promote(client)

    def check_synchronization(self, client: ClientHandle) -> None:
        """Whether PSYNC and SYNC are served at all now. Raises CommandError."""
        if client.fd < 0:
            raise CommandError("ERR SYNC and PSYNC need a connection")
        if self.failing_over:
            raise CommandError("NOMASTERLINK Can't SYNC while failing over")
        if not self._state.is_primary and not self._state.link_up:
            raise CommandError("NOMASTERLINK Can't SYNC while not connected with my master")
        if client.describe()["owed"]:
            raise CommandError("ERR SYNC and PSYNC are invalid with pending output")

    def synchronize(self, client: ClientHandle, replication_id: str, next_offset: int) -> None:
        """Make the client a replica: from `next_offset` of that history on if that is here, else from the beginning."""
        mode = mode_of(client)
        self._host.notice(f"Replica {replica_name(client)} asks for synchronization")
        if not self._clients:
            self._plan_ping()
        self._clients[client.id] = client
        for leave in (client.leave_pubsub, client.leave_tracking, client.leave_monitor):
            leave()                          # nothing else may come between what it is sent
        self._replicas.join(client)
        if self._host.configuration.repl_disable_tcp_nodelay and not client.unix_socket:
            with socket.socket(fileno=os.dup(client.fd)) as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
        if not mode.before_psync and self._continue(client, replication_id, next_offset):
            return
        self.full_count += 1
        if self._replicas.backlog is None:
            self._begin_history()
        self.full_sync.want(client)

    def _begin_history(self) -> None:
        self._state.new_history()
        self._replicas.keep_backlog()
        self._replicas.lead()
        self._host.notice(
            f"Replication backlog created, my new replication IDs are '{self._state.replication_id}' and "
            f"'{self._state.second_id}'"
        )

    def _continue(self, client: ClientHandle, replication_id: str, next_offset: int) -> bool:
        """Partial synchronisation, if the backlog has what is asked for."""
        name, state, backlog = replica_name(client), self._state, self._replicas.backlog
        if replication_id == "?":
            self._host.notice(f"Full resync requested by replica {name}")
            return False
        if not state.knows(replication_id, next_offset):
            self.refused_partial_count += 1
            if replication_id == state.second_id:
                reason = (f"Requested offset for second ID was {next_offset}, but I can reply up to "
                          f"{state.second_offset}")
            else:
                reason = (f"Replication ID mismatch (Replica asked for '{replication_id}', my replication IDs are "
                          f"'{state.replication_id}' and '{state.second_id}')")
            self._host.notice(f"Partial resynchronization not accepted: {reason}")
            return False
        if backlog is None or not self._replicas.place(client, next_offset - 1):
            self.refused_partial_count += 1
            self._host.notice(f"Unable to partial resync with replica {name} for lack of backlog (Replica request was: "
                              f"{next_offset}).")
            return False
        self.partial_count += 1
        mode = mode_of(client)
        mode.stage = Stage.ONLINE
        id_behind = f" {state.replication_id}" if PSYNC2 in mode.capabilities else ""
        self._replicas.send(client, f"+CONTINUE{id_behind}\r\n".encode())
        self._replicas.stream(client)
        self._host.notice(
            f"Partial resynchronization request from {name} accepted. Sending {state.offset - next_offset + 1} bytes "
            f"of backlog starting from offset {next_offset}."
        )
        self.refresh_gate()
        return True

    def _online(self, client: ClientHandle) -> None:
        """It has its snapshot."""
        self._replicas.heard_of(client)
        self.refresh_gate()

    # ---- what they say, and that they go ----------------------------------------------------------------------------

    def acknowledged(self, client: ClientHandle, offset: int, on_disk: int) -> None:
        """REPLCONF ACK: how far it is."""
        mode = mode_of(client)
        self._replicas.acknowledged(client, offset, on_disk)
        if mode.stage is Stage.ONLINE and mode.starts_with_acknowledgement:
            mode.starts_with_acknowledgement = False
            self._replicas.stream(client)
            self.refresh_gate()

    def left(self, client: ClientHandle) -> None:
        """A client is being torn down; it may be a replica."""
        if self._clients.pop(client.id, None) is None:
            return
        self._host.notice(f"Connection with replica {replica_name(client)} lost.")
        self.full_sync.left(client)
        if not self._clients:
            self._alone_since_ms = self._host.engine.monotonic_ms
        self.refresh_gate()

    def drop_all(self) -> None:
        """Close all connections: whoever follows is to come back, and hear of another history."""
        for client in self.clients:
            client.close(CLOSE_REPLICATION)

    def change_role(self) -> None:
        """`state` says that this server leads, or follows, from now on."""
        if not self._state.is_primary:
            self._replicas.follow()
            self._replicas.keep_backlog()
        elif self._replicas.backlog is not None:
            self._replicas.lead()
        else:
            self._replicas.rest()
        self._alone_since_ms = self._host.engine.monotonic_ms
        self.refresh_gate()

    # ---- time -------------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """The cron's: see to those who have their snapshot; and to everything else once a second."""
        for client in self.clients:
            if mode_of(client).stage is Stage.SENDING:
                self.full_sync.look(client)
        self.full_sync.plan()                # another child may have ended
        now_ms = self._host.engine.monotonic_ms
        if now_ms < self._next_second_ms:
            return
        self._next_second_ms = now_ms + SECOND_MS
        if self._clients:
            self._look_at_all(now_ms)
        elif self._replicas.backlog is not None and self._state.is_primary:
            self._forget_backlog(now_ms)
        self.refresh_gate()

    def _look_at_all(self, now_ms: int) -> None:
        for client in self.full_sync.wakes():
            self._replicas.send(client, b"\n")
        if now_ms >= self._next_ping_ms:
            self._plan_ping()
            if self._state.is_primary and not self._host.paused():
                self._replicas.feed(PING)
        for client in self.clients:
            self._look_at(client, now_ms, SECOND_MS * self._host.configuration.repl_timeout_seconds)

    def _plan_ping(self) -> None:
        period_ms = SECOND_MS * self._host.configuration.repl_ping_replica_period_seconds
        self._next_ping_ms = self._host.engine.monotonic_ms + period_ms

    def _look_at(self, client: ClientHandle, now_ms: int, timeout_ms: int) -> None:
        """Close a replica that does not move any more."""
        mode = mode_of(client)
        if mode.stage is Stage.ONLINE and not mode.before_psync:
            late, what = now_ms - self._replicas.describe(client)["heard_ms"] > timeout_ms, "streaming"
        else:
            stuck = SECOND_MS * client.describe()["idle"] > timeout_ms
            late, what = mode.stage is Stage.SENDING and stuck, "full"
        if late:
            self._host.warn(f"Disconnecting timedout replica ({what} sync): {replica_name(client)}")
            client.close(CLOSE_REPLICATION)

    def _forget_backlog(self, now_ms: int) -> None:
        """Nobody has followed for repl-backlog-ttl: the next one begins another history."""
        seconds = self._host.configuration.repl_backlog_ttl_seconds
        if seconds and now_ms - self._alone_since_ms > SECOND_MS * seconds:
            self._replicas.rest()
            self._replicas.forget_backlog()
            self._state.new_history()
            self._host.notice(f"Replication backlog freed after {seconds} seconds without connected replicas.")

    def targets(self) -> list[Target]:
        """Who could take over."""
        return [
            Target((peer_host(client), mode_of(client).listening_port), mode_of(client).stage is Stage.ONLINE,
                   self._replicas.describe(client)["acknowledged"])
            for client in self._clients.values()
        ]

    # ---- good replicas ----------------------------------------------------------------------------------------------

    def lag_seconds(self, client: ClientHandle) -> int:
        """Since it last said how far it is."""
        return (self._host.engine.monotonic_ms - self._replicas.describe(client)["heard_ms"]) // SECOND_MS

    def _good(self) -> Iterator[ClientHandle]:
        most = self._host.configuration.min_replicas_max_lag_seconds
        return (client for client in self._clients.values()
                if mode_of(client).stage is Stage.ONLINE and self.lag_seconds(client) <= most)

    @property
    def counts_good(self) -> bool:
        """Whether writes depend on how many replicas are good."""
        configuration = self._host.configuration
        return configuration.min_replicas_to_write > 0 and configuration.min_replicas_max_lag_seconds > 0

    def good_count(self) -> int:
        """Replicas that follow, and have said so lately (min-replicas-max-lag)."""
        return sum(1 for _ in self._good())

    def refresh_gate(self) -> None:
        """min-replicas-to-write: close the gate for writes, or open it."""
        missing = (
            self.counts_good and self._state.is_primary
            and self.good_count() < self._host.configuration.min_replicas_to_write
        )
        self._host.engine.settings.set_gate(Gate.GOOD_REPLICAS, missing)

    # ---- the end ----------------------------------------------------------------------------------------------------

    def begin_end(self) -> None:
        """The server will end: nothing more is changed, and replicas are asked how far they are."""
        self._wanted_offset = self._state.offset
        if not self.caught_up():
            self._host.notice("Waiting for replicas before shutting down.")
            self._replicas.want_acknowledgements()

    def _lagging(self) -> list[ClientHandle]:
        return [
            client for client in self._clients.values()
            if self._replicas.describe(client)["acknowledged"] < self._wanted_offset
        ]

    def caught_up(self) -> bool:
        """All replicas have all that was there when the end began."""
        return not self._clients or not self._lagging()

    def tell_lagging(self) -> None:
        """The server ends, whether they have caught up or not."""
        lagging = self._lagging()
        for client in lagging:
            behind = self._state.offset - self._replicas.describe(client)["acknowledged"]
            self._host.notice(
                f"Lagging replica {replica_name(client)} reported offset {behind} behind master, "
                f"lag={self.lag_seconds(client)}, state={STAGE_NAMES[mode_of(client).stage]}."
            )
        if self._clients:
            count = len(self._clients)
            self._host.notice(f"{count - len(lagging)} of {count} replicas are in sync when shutting down.")

    # ---- what is shown ----------------------------------------------------------------------------------------------

    def role(self) -> list[object]:
        """ROLE's reply of a primary."""
        followers = [
            [peer_host(client).encode(), b"%d" % mode_of(client).listening_port,
             b"%d" % self._replicas.describe(client)["acknowledged"]]
            for client in self._clients.values() if mode_of(client).stage is Stage.ONLINE
        ]
        return [b"master", self._state.offset, followers]

    def lines(self) -> Iterator[str]:
        """INFO's lines about each replica."""
        for number, client in enumerate(self._clients.values()):
            mode = mode_of(client)
            lag = self.lag_seconds(client) if mode.stage is Stage.ONLINE else 0
            yield (
                f"slave{number}:ip={peer_host(client)},port={mode.listening_port},state={STAGE_NAMES[mode.stage]},"
                f"offset={self._replicas.describe(client)['acknowledged']},lag={lag},type=replica"
            )

    def figures(self) -> dict[str, int]:
        """INFO's fields, in the sections replication, stats and memory."""
        backlog = self._replicas.backlog
        return {
            "repl_backlog_active": int(backlog is not None),
            "repl_backlog_size": self._host.configuration.repl_backlog_size_bytes,
            "repl_backlog_first_byte_offset": backlog[0] + 1 if backlog is not None else 0,
            "repl_backlog_histlen": backlog[1] if backlog is not None else 0,
            "sync_full": self.full_count,
            "sync_partial_ok": self.partial_count,
            "sync_partial_err": self.refused_partial_count,
            **self._replicas.figures(),
        }

    def snapshot_fields(self) -> list[tuple[bytes, bytes]]:
        """What a snapshot tells of the place in the stream where it belongs; nothing without a stream."""
        if self._replicas.backlog is None:
            return []
        return [
            (b"repl-stream-db", b"%d" % self._host.stream_database()),
            (b"repl-id", self._state.replication_id.encode()),
            (b"repl-offset", b"%d" % self._state.offset),
        ]

    def reset_statistics(self) -> None:
        self.full_count = self.partial_count = self.refused_partial_count = 0
        self._replicas.reset_statistics()
