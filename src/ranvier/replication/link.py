"""The link to the primary: connect, shake hands, take a snapshot, load it, follow the stream; and again when it breaks.

One state machine on the server's loop. Until the stream begins, the socket is this module's: the loop says when it is
ready, `handshake` and `transfer` say what the bytes mean. Then it becomes a client of the engine, which reads, applies
and hands on the stream (`engine/replication/primary_link`), and this module hears of its end.

Invariant: `known` is where this server's history stands while there is no such client; whoever loses it asks for
everything again. It is given up when the old data set goes for a snapshot, and when the primary broke the protocol.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, Protocol

from ranvier import limits
from ranvier.engine.phase import CLOSE_REASON_NAMES
from ranvier.engine.replication.primary_link import acknowledge, begin_link, link_idle_ms, link_offset, link_read_offset
from ranvier.replication import connect
from ranvier.replication.collect import Collected, collector
from ranvier.replication.handshake import (
    Full,
    Handshake,
    HandshakeError,
    Introduction,
    Partial,
    Position,
    TryLater,
)
from ranvier.replication.state import ReplicationState
from ranvier.replication.transfer import Transfer, TransferError

if TYPE_CHECKING:
    from ranvier.config.options import Configuration
    from ranvier.engine.client import ClientHandle
    from ranvier.engine.loop import Engine

CLOSE_REPLICATION: Final = CLOSE_REASON_NAMES.index("replication") + 1       # engine.phase.CloseReason
UNTRUSTED: Final = ("protocol-error", "bug")     # ways to lose the link after which nothing of it is gone on from
SECOND_MS: Final = 1000
HURRY_MS: Final = 50
HURRIES: Final = 20


class Status(Enum):
    """How far the link is."""

    NONE = auto()
    CONNECT = auto()                     # the next attempt is planned, or the primary's name is looked up
    CONNECTING = auto()
    HANDSHAKE = auto()
    TRANSFER = auto()
    LOADING = auto()
    CONNECTED = auto()


ROLE_NAMES: Final = {
    Status.NONE: "none", Status.CONNECT: "connect", Status.CONNECTING: "connecting", Status.HANDSHAKE: "handshake",
    Status.TRANSFER: "sync", Status.LOADING: "sync", Status.CONNECTED: "connected",
}


@dataclass(frozen=True, slots=True)
class LoadOrders:
    """How a snapshot is to be loaded, and who is told.

    `beside`: the old data set stays until the new one is whole, and if it is of the `same_history` it is served
    meanwhile; else it goes as soon as the snapshot is known to be one, and when that fails there is none.
    `when_replaced` is called before the old one goes; then, or instead, `when_done` with the snapshot's auxiliary
    fields, or `when_failed` with the reason, which may be at once.
    """

    beside: bool
    same_history: bool
    when_replaced: Callable[[], None]
    when_done: Callable[[Mapping[bytes, bytes]], None]
    when_failed: Callable[[str], None]


class LinkHost(Protocol):
    """What the link needs of the server."""

    engine: Engine
    configuration: Configuration

    def notice(self, text: str) -> None:
        """A line for the log."""

    def warn(self, text: str) -> None:
        """A line for the log that somebody should read."""

    def announced_port(self) -> int:
        """The port that replicas of this server, and Sentinel, find it at."""

    def new_client(self, address: str, local_address: str) -> ClientHandle:
        """A client of this server that is not added to the engine yet."""

    def is_empty(self) -> bool:
        """There are no keys."""

    def load_snapshot(self, data: memoryview, orders: LoadOrders) -> None:
        """Replace the data set by the snapshot, a share of it per turn."""

    def cancel_load(self) -> None:
        """Stop a load that goes on, with the same result as if it failed; neither of its callbacks is called."""

    def history_replaced(self) -> None:
        """Nothing of the data set, or of its history, is what it was: whoever followed it is let go."""

    def history_renamed(self) -> None:
        """The history goes on under another id: whoever follows it is to come back and hear of it."""

    def link_changed(self) -> None:
        """The link has come up or gone down."""

    def failover_over(self, refusal: str | None) -> None:
        """The server that was to become the primary did, or refused with this."""

    def synced_offset(self) -> int:
        """Bytes of the stream that survive a crash of this server; -1: it keeps no file of them."""


class PrimaryLink:
    """One server's link to its primary: none, one that is being made, or one that is up."""

    def __init__(self, host: LinkHost, state: ReplicationState) -> None:
        self._host = host
        self._state = state
        self.status = Status.NONE
        self.known: Position | None = None
        self.database_index = 0              # that the stream has selected at `known`
        self.client: ClientHandle | None = None
        self._failover = False               # ask the peer to become the primary
        self._failures = 0                   # in a row, of attempts that reached the primary
        self._socket: socket.socket | None = None
        self._waits_to_connect = False       # the loop watches it for that
        self._addresses: connect.Found = []
        self._attempt = 0                    # what a look-up that comes late belongs to
        self._lines = b""
        self._handshake: Handshake | None = None
        self._transfer: Transfer | None = None
        self._collected: Collected | None = None
        self._position: Position | None = None       # where the snapshot that comes belongs
        self._rest = b""                     # of the stream, that came behind the snapshot
        self._begun_at = 0                   # the offset of the last snapshot
        self._hurries = 0                    # acknowledgements that are still to come soon
        self._heard_ms = 0                   # monotonic
        self._down_since_ms: int | None = None

    # ---- what the server asks ---------------------------------------------------------------------------------------

    def open(self, failover: bool = False) -> None:
        """Link up with `state.primary_address`. `failover`: the peer is to become the primary."""
        self._failover = failover
        self._failures = 0
        self.status = Status.CONNECT
        timers, now_ms = self._host.engine.timers, self._host.engine.monotonic_ms
        timers.call_at(now_ms, self._connect)
        timers.call_at(now_ms + SECOND_MS, self._each_second)

    def close(self) -> None:
        """Give the link up, however far it is; `known` stays. Idempotent."""
        timers = self._host.engine.timers
        for callback in (self._connect, self._each_second, self._hurry):
            timers.cancel(callback)
        loading = self.status is Status.LOADING
        self.status = Status.NONE
        if loading:
            self._host.cancel_load()             # which still reads what was collected
        self._let_go()
        if self.client is not None:
            client = self.client
            self.client_closing(client)          # whose command may be running: then it goes later
            client.close(CLOSE_REPLICATION)

    @property
    def offset(self) -> int:
        """Bytes of the stream that are applied."""
        if self.client is not None:
            return link_offset(self.client)
        return self.known.offset if self.known is not None else 0

    @property
    def is_up(self) -> bool:
        return self.status is Status.CONNECTED

    def role(self) -> tuple[str, int]:
        """What ROLE shows: how far the link is, and its offset, -1 without a link."""
        return ROLE_NAMES[self.status], self.offset if self.is_up else -1

    def figures(self) -> dict[str, int | float | str]:
        """INFO's fields."""
        now_ms = self._host.engine.monotonic_ms
        transferring = self.status in (Status.TRANSFER, Status.LOADING)
        # Without a position to go on from, the offset is shown as of a stream that begins: 1.
        offset = self.offset if self.client is not None or self.known is not None else 1
        figures: dict[str, int | float | str] = {
            "master_link_status": "up" if self.is_up else "down",
            "master_last_io_seconds_ago": link_idle_ms(self.client) // SECOND_MS if self.client is not None else -1,
            "master_sync_in_progress": int(transferring),
            "slave_read_repl_offset": link_read_offset(self.client) if self.client is not None else offset,
            "slave_repl_offset": offset,
        }
        if transferring and self._transfer is not None:
            total, read = self._transfer.total_bytes, self._transfer.read_bytes
            figures |= {
                "master_sync_total_bytes": total,
                "master_sync_read_bytes": read,
                "master_sync_left_bytes": total - read,
                "master_sync_perc": 100.0 * read / total if total else 0.0,
                "master_sync_last_io_seconds_ago": (now_ms - self._heard_ms) // SECOND_MS,
            }
        if not self.is_up:
            figures["master_link_down_since_seconds"] = (
                (now_ms - self._down_since_ms) // SECOND_MS if self._down_since_ms is not None else -1
            )
        return figures

    def acknowledge(self) -> None:
        """Tell the primary how far this server is."""
        if self.client is not None:
            acknowledge(self.client, self._host.synced_offset())

    # ---- time -------------------------------------------------------------------------------------------------------

    def _each_second(self) -> None:
        engine = self._host.engine
        engine.timers.call_at(engine.monotonic_ms + SECOND_MS, self._each_second)
        late = engine.monotonic_ms - self._heard_ms > SECOND_MS * self._host.configuration.repl_timeout_seconds
        if self.status in (Status.CONNECTING, Status.HANDSHAKE) and late:
            self._fail("Timeout connecting to the PRIMARY...")
        elif self.status is Status.TRANSFER and late:
            self._fail("Timeout receiving bulk data from PRIMARY... If the problem persists try to set the "
                       "'repl-timeout' parameter to a larger value.")
        elif self.status is Status.LOADING and self._socket is not None:
            with suppress(OSError):              # a link that broke meanwhile is noticed when the load is over
                self._socket.send(b"\n")
        elif self.client is not None:
            if link_idle_ms(self.client) > SECOND_MS * self._host.configuration.repl_timeout_seconds:
                self._host.warn("PRIMARY timeout: no data nor PING received...")
                self.client.close(CLOSE_REPLICATION)
            else:
                self.acknowledge()

    def _plan(self, delay_ms: int) -> None:
        """The next attempt to link up."""
        self.status = Status.CONNECT
        timers = self._host.engine.timers
        timers.cancel(self._connect)
        timers.call_at(self._host.engine.monotonic_ms + delay_ms, self._connect)

    def _fail(self, reason: str) -> None:
        """This attempt came to nothing; the next one waits, longer each time that the primary is reached in vain."""
        self._host.warn(reason)
        reached = self.status in (Status.HANDSHAKE, Status.TRANSFER, Status.LOADING)
        self._failures = self._failures + 1 if reached else 0
        self._let_go()
        delay_ms = limits.RECONNECT_MILLISECONDS << max(0, min(self._failures - 1, 8))
        self._plan(min(delay_ms, limits.RECONNECT_MAXIMUM_MILLISECONDS))

    def _let_go(self) -> None:
        """Leave the socket, what was being received, and what it was collected in."""
        self._attempt += 1
        self._addresses = []
        self._drop_socket()
        self._lines = self._rest = b""
        self._handshake = self._transfer = self._position = None
        self._drop_collected()

    def _drop_socket(self) -> None:
        if self._socket is not None:
            self._host.engine.unwatch(self._socket.fileno(), self._waits_to_connect)
            self._socket.close()
            self._socket = None
            self._waits_to_connect = False

    def _drop_collected(self) -> None:
        if self._collected is not None:
            self._collected.close()
            self._collected = None

    # ---- connect ----------------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        address = self._state.primary_address
        if address is None:
            return
        self._host.notice(f"Connecting to PRIMARY {address[0]}:{address[1]}")
        self._attempt += 1
        attempt = self._attempt

        def found(answer: connect.Found | OSError) -> None:
            if attempt == self._attempt and self.status is Status.CONNECT:
                self._found(answer)

        connect.find(*address, self._host.engine.post, found)

    def _found(self, answer: connect.Found | OSError) -> None:
        if isinstance(answer, OSError):
            self._fail(f"Unable to connect to PRIMARY: {answer.strerror}")
            return
        self._addresses = answer
        self._try_next("no address")

    def _try_next(self, reason: str) -> None:
        """Begin to connect to the next address of the primary; without one, the attempt has failed."""
        configuration, engine = self._host.configuration, self._host.engine
        while self._addresses:
            family, address = self._addresses.pop(0)
            try:
                self._socket = connect.begin(family, address, configuration.bind_source_addr, configuration.repl_mptcp)
                engine.watch(self._socket.fileno(), self._is_connected, True)
            except OSError as error:
                reason = error.strerror or str(error)
                if self._socket is not None:
                    self._socket.close()
                    self._socket = None
                continue
            self._waits_to_connect = True
            self.status = Status.CONNECTING
            self._heard_ms = engine.monotonic_ms
            self._host.notice("PRIMARY <-> REPLICA sync started")
            return
        self._fail(f"Error condition on socket for SYNC: {reason}")

    def _is_connected(self) -> None:
        """The attempt to connect has ended."""
        assert self._socket is not None
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._drop_socket()
            self._try_next(os.strerror(code))
            return
        self._host.notice("Non blocking connect for SYNC fired the event.")
        engine = self._host.engine
        engine.unwatch(self._socket.fileno(), True)
        self._waits_to_connect = False
        self.status = Status.HANDSHAKE
        engine.watch(self._socket.fileno(), self._readable)
        self._handshake = Handshake(self._introduction(), self._host.notice)
        self._say(self._handshake.begin())

    def _introduction(self) -> Introduction:
        configuration = self._host.configuration
        return Introduction(
            port=configuration.replica_announce_port or self._host.announced_port(),
            ip=configuration.replica_announce_ip,
            user=configuration.primaryuser,
            password=configuration.primaryauth,
            known=self.known,
            failover=self._failover,
        )

    def _say(self, data: bytes) -> None:
        """Send a step of the handshake, which fits into the buffer of a socket that has just been connected."""
        assert self._socket is not None
        try:
            if data and self._socket.send(data) < len(data):
                self._fail("Writing to PRIMARY: it takes no more data.")
        except OSError as error:
            self._fail(f"Sending command to PRIMARY in replication handshake: {error.strerror}")

    # ---- receive ----------------------------------------------------------------------------------------------------

    def _readable(self) -> None:
        """Something has come, or the end; a share of it is read before others have their turn."""
        left = limits.TRANSFER_BYTES_PER_TURN
        while left > 0 and self._socket is not None and self.status in (Status.HANDSHAKE, Status.TRANSFER):
            try:
                data = self._socket.recv(limits.RECEIVE_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                self._broken(error.strerror or str(error))
                return
            if not data:
                self._broken("the primary closed the connection")
                return
            left -= len(data)
            self._heard_ms = self._host.engine.monotonic_ms
            self._take(data)

    def _broken(self, reason: str) -> None:
        if self.status is Status.TRANSFER:
            self._fail(f"I/O error trying to sync with PRIMARY: {reason}")
        else:
            self._fail(f"Connection with PRIMARY lost during the handshake: {reason}")

    def _refused(self, reason: str) -> None:
        """The primary's answer puts an end to the handshake, and to a failover."""
        failover, self._failover = self._failover, False
        self._fail(reason)
        if failover:
            self._host.failover_over(reason)

    def _take(self, data: bytes) -> None:
        if self.status is Status.HANDSHAKE:
            self._take_lines(data)
        else:
            self._take_snapshot(data)

    def _take_lines(self, data: bytes) -> None:
        assert self._handshake is not None
        self._lines += data
        while self._handshake is not None and self._handshake.outcome is None:
            line, end, rest = self._lines.partition(b"\n")
            if not end:
                if len(line) > limits.REPLICATION_LINE_BYTES:
                    self._refused("Primary answered the handshake with a line that does not end.")
                return
            self._lines = rest
            try:
                answer = self._handshake.take(line.removesuffix(b"\r"))
            except TryLater as later:
                self._failures = 0
                self._refused(str(later))
                return
            except HandshakeError as error:
                self._refused(str(error))
                return
            self._say(answer)
        if self._handshake is not None:
            rest, self._lines = self._lines, b""
            self._agreed(self._handshake.outcome, rest)

    def _agreed(self, outcome: Full | Partial | None, rest: bytes) -> None:
        self._handshake = None
        if isinstance(outcome, Full):
            self._position = outcome.position
            self._begin_transfer()
            if rest:
                self._take_snapshot(rest)
        elif isinstance(outcome, Partial) and self.known is not None:
            self._host.notice("Successful partial resynchronization with primary.")
            if outcome.replication_id is not None and self._state.continue_as(outcome.replication_id):
                self._host.notice(f"Primary replication ID changed to {outcome.replication_id}")
                self._host.history_renamed()
            self._host.notice("PRIMARY <-> REPLICA sync: Primary accepted a Partial Resynchronization.")
            failover, self._failover = self._failover, False
            self._follow(self.known.offset, self.database_index, rest)
            if failover:
                self._host.failover_over(None)

    def _begin_transfer(self) -> None:
        assert self._position is not None
        self._host.notice(
            f"Full resync from primary: {self._position.replication_id}:{self._position.offset}"
        )
        configuration = self._host.configuration
        try:
            self._collected = collector(configuration.dir, configuration.repl_diskless_load, self._host.is_empty)
        except OSError as error:
            self._fail(f"Opening the temp file needed for PRIMARY <-> REPLICA synchronization: {error.strerror}")
            return
        self._transfer = Transfer(self._collected)
        self.status = Status.TRANSFER

    def _take_snapshot(self, data: bytes) -> None:
        if self._transfer is None:
            return                           # given up in between
        begun = self._transfer.begun
        try:
            used = self._transfer.take(data)
        except TransferError as error:
            self._fail(str(error))
            return
        except OSError as error:
            self._fail("Write error or short write writing to the DB dump file needed for PRIMARY <-> REPLICA "
                       f"synchronization: {error.strerror}")
            return
        if self._transfer.begun and not begun:
            how = ("streamed RDB from primary with EOF" if self._transfer.marked
                   else f"{self._transfer.total_bytes} bytes from primary")
            self._host.notice(f"PRIMARY <-> REPLICA sync: receiving {how}")
        if self._transfer.done:
            self._rest = data[used:]
            self._load()

    # ---- load -------------------------------------------------------------------------------------------------------

    def _load(self) -> None:
        """All of the snapshot is here: the old data set goes. The stream waits in the socket meanwhile."""
        assert self._socket is not None
        assert self._collected is not None
        assert self._position is not None
        self._host.engine.unwatch(self._socket.fileno())
        self._host.notice("Loading the RDB and finalizing primary-replica sync...")
        try:
            data = self._collected.data()
        except OSError as error:
            self._fail(f"Failed trying to load the PRIMARY synchronization DB: {error.strerror}")
            return
        self.status = Status.LOADING
        beside = self._host.configuration.repl_diskless_load == "swapdb"
        same_history = self.known is not None and self._position.replication_id == self._state.replication_id
        self._host.notice("PRIMARY <-> REPLICA sync: Loading DB in memory")
        self._host.load_snapshot(
            data, LoadOrders(beside, same_history, self._replaced, self._loaded, self._not_loaded)
        )

    def _replaced(self) -> None:
        """The old data set goes, and with it the place in its history."""
        self.known = None
        self._host.history_replaced()

    def _not_loaded(self, reason: str) -> None:
        self._fail(f"Failed trying to load the PRIMARY synchronization DB: {reason}")

    def _loaded(self, auxiliary: Mapping[bytes, bytes]) -> None:
        assert self._position is not None
        position, rest = self._position, self._rest
        self._drop_collected()
        self._transfer = self._position = None
        self._rest = b""
        self._state.adopt(position.replication_id, position.offset)
        self._begun_at = position.offset
        self._host.notice("PRIMARY <-> REPLICA sync: Finished with success")
        self._follow(position.offset, self._stream_database(auxiliary), rest)
        self._hurries = HURRIES
        self._hurry()

    def _hurry(self) -> None:
        """A diskless primary begins the stream at an acknowledgement, but not while it still waits for its child, which
        a small snapshot outruns: until something comes, it is told again soon."""
        if self.client is None or self._hurries == 0 or link_read_offset(self.client) > self._begun_at:
            return
        self._hurries -= 1
        timers = self._host.engine.timers
        timers.cancel(self._hurry)
        timers.call_at(self._host.engine.monotonic_ms + HURRY_MS, self._hurry)
        if self._hurries < HURRIES - 1:
            self.acknowledge()

    def _stream_database(self, auxiliary: Mapping[bytes, bytes]) -> int:
        """The database that the stream goes on in: a replica that hands a stream on cannot say it by SELECT."""
        word = auxiliary.get(b"repl-stream-db", b"0")
        index = int(word) if word.isdigit() else 0
        return index if index < self._host.configuration.databases else 0

    def _follow(self, offset: int, database_index: int, rest: bytes) -> None:
        """The stream begins, and with it the engine's part."""
        assert self._socket is not None
        engine, sock = self._host.engine, self._socket
        engine.unwatch(sock.fileno())
        try:
            client = self._host.new_client(_text(sock.getpeername()), _text(sock.getsockname()))
            engine.add_client(sock.fileno(), client)
        except OSError as error:                 # the peer has gone while the snapshot was loaded
            self.known = Position(self._state.replication_id, offset)
            self.database_index = database_index
            self._fail(f"Connection with primary lost: {error.strerror}")
            return
        sock.detach()
        self._socket = None
        begin_link(client, offset, database_index)
        self.client = client
        self._failures = 0
        self._down_since_ms = None
        self.status = Status.CONNECTED
        self._host.link_changed()
        self.acknowledge()
        if rest:
            engine.feed(client, rest)

    def client_closing(self, client: ClientHandle) -> None:
        """Some client of the engine is about to be torn down; if it is the link's, how far it came is kept (A8-4)."""
        if client is not self.client:
            return
        self.known = None
        if client.close_reason not in UNTRUSTED:
            self.known = Position(self._state.replication_id, link_offset(client))
            self.database_index = client.database_index
        self.client = None
        self._down_since_ms = self._host.engine.monotonic_ms
        self._host.notice("Connection with primary lost.")
        if self.status is Status.CONNECTED:
            self._host.notice("Caching the disconnected primary state." if self.known else "Its state is not kept.")
            self._plan(0)
            self._host.link_changed()


def _text(address: object) -> str:
    """host:port, with brackets around a host that holds colons."""
    if not isinstance(address, tuple):
        return str(address)
    host, port = address[0], address[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
