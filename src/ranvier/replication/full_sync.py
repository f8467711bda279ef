"""Full synchronisation: snapshots for replicas that cannot go on from where they are.

Strategy. One snapshot serves all replicas that wait when it is begun; what changes from then on is kept by their places
in the stream. Diskless, the child writes to their sockets itself: the loop, which writes nothing to them meanwhile,
pays nothing for it, and each replica that stalls is given up by the child after `repl-timeout`. By disk, the child
writes a file without a name, from which the loop sends each replica its copy; who comes while such a file is written
gets it, too, with its place in the stream where the file belongs.

Invariants: at most one snapshot is being made; its clients are in stage PREPARING, and nobody else is. A snapshot that
nobody waits for any more is stopped.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from ranvier.engine.phase import CLOSE_REASON_NAMES
from ranvier.errors import SnapshotVersionError
from ranvier.modes.replica import EOF, Stage, mode_of, replica_name

if TYPE_CHECKING:
    from ranvier.config.options import Configuration
    from ranvier.engine.client import ClientHandle
    from ranvier.engine.loop import Engine
    from ranvier.replication.state import ReplicationState

CLOSE_REPLICATION: Final = CLOSE_REASON_NAMES.index("replication") + 1       # engine.phase.CloseReason
SECOND_MS: Final = 1000
PLAIN_VERSION: Final = 10                # every Redis from 7.0 and every Valkey reads it
FIELD_EXPIRY_VERSION: Final = 80         # Valkey 9 reads it
FIELD_EXPIRY_PEER: Final = (9, 0, 0)     # what a peer that reads it has announced, at least
MARK_BYTES: Final = 20

WhenDone = Callable[[bool, Sequence[int]], None]


class SnapshotMaker(Protocol):
    """Who makes snapshots aside."""

    @property
    def busy(self) -> bool:
        """Something else is being made, or this."""

    def needed_version(self, newest: int) -> int:
        """The version that the data set needs. SnapshotVersionError, which names a key, if it is above `newest`."""

    def begin(self, descriptors: Sequence[int], version: int, eof_mark: bytes, when_done: WhenDone) -> None:
        """Write the data set as it is now to every descriptor. OSError when that cannot be begun.

        `when_done` is given whether the whole was made, and the errno of each descriptor, 0 for those that got it all.
        With an `eof_mark` the snapshot is announced by it, and ends with it.
        """

    def stop(self) -> None:
        """Make nothing more; `when_done` is not called."""


class SyncHost(Protocol):
    """What synchronisation needs of the server."""

    engine: Engine
    configuration: Configuration

    def notice(self, text: str) -> None:
        """A line for the log."""

    def warn(self, text: str) -> None:
        """A line for the log that somebody should read."""


@dataclass(slots=True)
class Making:
    """The snapshot that is being made, for whom, and where to; `file` None: to their sockets, in the same order."""

    clients: list[ClientHandle | None]
    version: int
    file: int | None


class FullSync:
    """Who waits for a snapshot, and the one that is being made. `online` hears of those that have theirs."""

    def __init__(self, host: SyncHost, state: ReplicationState, maker: SnapshotMaker,
                 online: Callable[[ClientHandle], None]) -> None:
        self._host = host
        self._state = state
        self._maker = maker
        self._online = online
        self._waiting: dict[int, ClientHandle] = {}          # by id, in the order of their coming
        self._making: Making | None = None

    @property
    def making(self) -> bool:
        return self._making is not None

    # ---- who wants one ----------------------------------------------------------------------------------------------

    def want(self, client: ClientHandle) -> None:
        """The replica needs everything."""
        mode = mode_of(client)
        mode.stage = Stage.WAITING
        mode.since_ms = self._host.engine.monotonic_ms
        if mode.without_data:
            self._host.engine.replicas.refuse(client, b"-ERR There are no functions to be synchronized\r\n")
            return
        self._waiting[client.id] = client
        making = self._making
        if making is not None and making.file is not None and self._reads(client, making.version):
            self._host.notice("Waiting for end of BGSAVE for SYNC")
            self._begin_for(client, self._host.engine.replicas.marked_offset)
            making.clients.append(client)
            return
        self.plan()

    def left(self, client: ClientHandle) -> None:
        """It goes, whether it waits or not."""
        self._waiting.pop(client.id, None)
        making = self._making
        if making is None or client not in making.clients:
            return
        making.clients[making.clients.index(client)] = None
        if not any(making.clients):
            self._host.notice("Killing the child that makes a snapshot: no replica waits for it any more.")
            self._maker.stop()
            self._end()
            self.plan()

    def wakes(self) -> list[ClientHandle]:
        """Those that are to hear that their snapshot is coming, as long as nothing of it has."""
        preparing = self._making.clients if self._making is not None and self._making.file is not None else []
        return [*self._waiting.values(), *(client for client in preparing if client is not None)]

    # ---- beginning --------------------------------------------------------------------------------------------------

    def plan(self) -> None:
        """Begin a snapshot if somebody waits, nothing stands in the way, and it is time."""
        if not self._waiting or self._making is not None or self._maker.busy:
            return
        configuration, engine = self._host.configuration, self._host.engine
        waiting = list(self._waiting.values())
        if configuration.repl_diskless_sync and all(EOF in mode_of(client).capabilities for client in waiting):
            # Others may be about to come for the same snapshot, which nobody can join once it is on its way.
            due_ms = mode_of(waiting[0]).since_ms + SECOND_MS * configuration.repl_diskless_sync_delay
            enough = 0 < configuration.repl_diskless_sync_max_replicas <= len(waiting)
            engine.timers.cancel(self.plan)
            if due_ms > engine.monotonic_ms and not enough:
                engine.timers.call_at(due_ms, self.plan)
                return
            self._begin(waiting, None)
            return
        try:
            file, path = tempfile.mkstemp(prefix="temp-", suffix=".rdb", dir=configuration.dir)
            os.unlink(path)
        except OSError as error:
            self._fail(waiting, f"Opening the temp file for a snapshot: {error.strerror}")
            return
        self._begin(waiting, file)

    def _reads(self, client: ClientHandle, version: int) -> bool:
        return version <= PLAIN_VERSION or mode_of(client).version >= FIELD_EXPIRY_PEER

    def _refuse_old(self, waiting: list[ClientHandle]) -> tuple[int, list[ClientHandle]]:
        """The version to write and who reads it; the others are told which key they could not read."""
        try:
            return self._maker.needed_version(PLAIN_VERSION), waiting
        except SnapshotVersionError as error:
            reason = str(error)
        old = [client for client in waiting if not self._reads(client, FIELD_EXPIRY_VERSION)]
        for client in old:
            del self._waiting[client.id]
            self._host.warn(f"Replica {replica_name(client)} cannot be synchronized: {reason}")
            self._host.engine.replicas.refuse(client, f"-ERR Cannot be synchronized: {reason}\r\n".encode())
        return FIELD_EXPIRY_VERSION, [client for client in waiting if client not in old]

    def _begin(self, waiting: list[ClientHandle], file: int | None) -> None:
        """Fork for those that wait; with a file, or straight to their sockets."""
        replicas = self._host.engine.replicas
        version, clients = self._refuse_old(waiting)
        target = "disk" if file is not None else "replicas sockets"
        self._host.notice(f"Starting BGSAVE for SYNC with target: {target} using: normal sync")
        replicas.mark()
        for client in clients:
            self._begin_for(client, replicas.marked_offset)
        if file is None:
            # From now on the child alone writes to them; what they were told before must have left.
            clients = [client for client in clients if self._flushed(client)]
        self._making = Making([*clients], version, file)
        descriptors = [file] if file is not None else [client.fd for client in clients]
        mark = os.urandom(MARK_BYTES).hex().encode() if file is None else b""
        if not clients:
            self._end()
            return
        try:
            self._maker.begin(descriptors, version, mark, self._done)
        except OSError as error:
            self._end()
            self._fail(clients, f"Can't save in background: fork: {error.strerror}")
        replicas.select_again()              # not everybody who begins here takes the snapshot's word for it

    def _begin_for(self, client: ClientHandle, offset: int) -> None:
        """Its place in the stream is where the snapshot belongs."""
        mode, replicas = mode_of(client), self._host.engine.replicas
        self._waiting.pop(client.id, None)
        mode.stage = Stage.PREPARING
        replicas.place(client, offset)
        if not mode.before_psync:
            replicas.send(client, f"+FULLRESYNC {self._state.replication_id} {offset}\r\n".encode())

    def _flushed(self, client: ClientHandle) -> bool:
        if self._host.engine.replicas.flush(client):
            return True
        client.close(CLOSE_REPLICATION)
        return False

    def _fail(self, clients: Sequence[ClientHandle | None], reason: str) -> None:
        self._host.warn(reason)
        for client in clients:
            if client is not None:
                self._waiting.pop(client.id, None)
                self._host.engine.replicas.refuse(client, b"-BGSAVE failed, replication can't continue\r\n")

    # ---- ending -----------------------------------------------------------------------------------------------------

    def _end(self) -> None:
        making, self._making = self._making, None
        self._host.engine.replicas.unmark()
        if making is not None and making.file is not None:
            os.close(making.file)

    def _done(self, whole: bool, errors: Sequence[int]) -> None:
        making = self._making
        assert making is not None
        if not whole and making.file is not None:
            self._host.warn("SYNC failed. BGSAVE child returned an error")
            self._end_all(making)
        elif making.file is not None:
            self._send_copies(making, making.file)
            self._end()
        else:
            self._making = None
            self._host.engine.replicas.unmark()
            for client, error in zip(making.clients, errors, strict=True):
                if client is not None:
                    self._sent(client, error if whole or error else -1)
        self.plan()

    def _end_all(self, making: Making) -> None:
        self._end()
        for client in making.clients:
            if client is not None:
                client.close(CLOSE_REPLICATION)

    def _send_copies(self, making: Making, file: int) -> None:
        replicas = self._host.engine.replicas
        size_bytes = os.fstat(file).st_size
        for client in making.clients:
            if client is None:
                continue
            try:
                descriptor = os.dup(file)
            except OSError as error:
                self._host.warn(f"SYNC failed. Can't open the snapshot for a replica: {error.strerror}")
                client.close(CLOSE_REPLICATION)
                continue
            mode = mode_of(client)
            mode.stage = Stage.SENDING
            replicas.send(client, b"$%d\r\n" % size_bytes)
            replicas.send_file(client, descriptor, size_bytes, not mode.snapshot_only)

    def look(self, client: ClientHandle) -> None:
        """Whether a replica that is sent a file has it by now."""
        if self._host.engine.replicas.describe(client)["file_left_bytes"] == 0:
            self._finished(client)

    def _sent(self, client: ClientHandle, error: int) -> None:
        """The child has written it all to the replica's socket, or has not."""
        name = replica_name(client)
        if error:
            reason = os.strerror(error) if error > 0 else "BGSAVE child returned an error"
            self._host.warn(f"Diskless rdb transfer to {name} failed: {reason}")
            client.close(CLOSE_REPLICATION)
            return
        self._host.notice(
            f"Streamed RDB transfer with replica {name} succeeded (socket). Waiting for REPLCONF ACK from replica to "
            "enable streaming"
        )
        # It must have found the mark before anything comes behind it.
        mode_of(client).starts_with_acknowledgement = True
        self._finished(client)

    def _finished(self, client: ClientHandle) -> None:
        mode = mode_of(client)
        if mode.snapshot_only:
            self._host.notice(f"RDB transfer completed, rdb only replica ({replica_name(client)}) should be "
                              "disconnected asap")
            client.close(CLOSE_REPLICATION)
            return
        mode.stage = Stage.ONLINE
        self._host.notice(f"Synchronization with replica {replica_name(client)} succeeded")
        self._online(client)
