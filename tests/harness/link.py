"""A link between two servers that fails when told to: a proxy that cuts, stalls, resets or refuses.

The proxy listens on a port of its own and carries every connection to the target. `down` is what the target (a primary)
sends, `up` what the one that connected (a replica) sends.
"""

import contextlib
import select
import socket
import struct
import threading
from dataclasses import dataclass, field
from types import TracebackType

from harness.waiting import eventually

PIECE_BYTES = 1 << 16
LINGER_RESET, LINGER_OFF = struct.pack("ii", 1, 0), struct.pack("ii", 0, 0)
POLL_SECONDS = 0.02


@dataclass(eq=False)
class Way:
    """One direction of a connection: what has been read and not yet passed on, and how many bytes have been read."""

    source: socket.socket
    target: socket.socket
    pending: bytes = b""
    count: int = 0


@dataclass(eq=False)
class Carried:
    """One connection. Only its own thread closes the sockets; `reset_wanted` asks it to."""

    down: Way
    up: Way
    reset_wanted: bool = False
    closed: bool = False


@dataclass
class Orders:
    """What is to happen and what has; read and changed under the proxy's lock."""

    cut_down_after: int | None = None
    cut_up_after: int | None = None
    stalled: bool = False
    refusing: bool = False
    accepted: int = 0
    carried: list[Carried] = field(default_factory=list)


class FaultyLink:
    """A proxy to `target_port` on 127.0.0.1. `port` is where to connect; a context manager that closes everything."""

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._lock = threading.Lock()
        self._orders = Orders()
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> "FaultyLink":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    # Orders

    def cut_down_after(self, count: int | None) -> None:
        """End each connection in order when the target has sent `count` bytes over it, which arrive; None: never."""
        with self._lock:
            self._orders.cut_down_after = count

    def cut_up_after(self, count: int | None) -> None:
        """End each connection in order when `count` bytes have gone to the target; None: never."""
        with self._lock:
            self._orders.cut_up_after = count

    def stall(self) -> None:
        """Carry nothing either way, and close nothing."""
        with self._lock:
            self._orders.stalled = True

    def resume(self) -> None:
        with self._lock:
            self._orders.stalled = False

    def refuse(self, refusing: bool = True) -> None:
        """Reset whoever connects, at once."""
        with self._lock:
            self._orders.refusing = refusing

    def reset(self) -> None:
        """End every connection of now with RST on both sides; returns when that is done."""
        with self._lock:
            for carried in self._orders.carried:
                carried.reset_wanted = True
        eventually(lambda: not any(carried.reset_wanted and not carried.closed for carried in self._carried()),
                   "the connections are reset")

    # What has happened

    @property
    def accepted(self) -> int:
        """Connections so far, refused ones included."""
        with self._lock:
            return self._orders.accepted

    @property
    def open(self) -> int:
        return sum(not carried.closed for carried in self._carried())

    @property
    def down_bytes(self) -> int:
        """What the target has sent over all connections together."""
        return sum(carried.down.count for carried in self._carried())

    def wait_for_connections(self, count: int) -> None:
        """Until so many have been accepted in all."""
        eventually(lambda: self.accepted >= count, f"{count} connections over the link")

    def _carried(self) -> list[Carried]:
        with self._lock:
            return list(self._orders.carried)

    # The threads

    def _accept(self) -> None:
        while not self._ended.is_set():
            if not select.select([self._listener], [], [], POLL_SECONDS)[0]:
                continue
            near, _ = self._listener.accept()
            with self._lock:
                self._orders.accepted += 1
                refusing = self._orders.refusing
            far = None if refusing else self._connected()
            if far is None:
                near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
                near.close()
                continue
            for end in (near, far):
                end.setblocking(False)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            carried = Carried(Way(far, near), Way(near, far))
            thread = threading.Thread(target=self._carry, args=(carried,), daemon=True)
            with self._lock:
                self._orders.carried.append(carried)
            self._threads.append(thread)
            thread.start()

    def _connected(self) -> socket.socket | None:
        with contextlib.suppress(OSError):
            return socket.create_connection(("127.0.0.1", self.target_port), 5)
        return None

    def _carry(self, carried: Carried) -> None:
        """Both ways of one connection, until an end closes, an order says so, or the proxy ends."""
        linger = LINGER_OFF
        try:
            while not self._ended.is_set() and self._carry_once(carried):
                pass
        except OSError:
            linger = LINGER_RESET
        for end in (carried.up.source, carried.down.source):
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET if carried.reset_wanted else linger)
            end.close()
        carried.closed = True

    def _carry_once(self, carried: Carried) -> bool:
        """Wait for a way that can go on, and let it; False when the connection is over."""
        with self._lock:
            stalled, limits = self._orders.stalled, (self._orders.cut_down_after, self._orders.cut_up_after)
        if carried.reset_wanted:
            return False
        if stalled:
            self._ended.wait(POLL_SECONDS)
            return True
        ways = (carried.down, carried.up)
        if any(limit is not None and way.count >= limit and not way.pending
               for way, limit in zip(ways, limits, strict=True)):
            return False
        reading = [way.source for way in ways if not way.pending]
        writing = [way.target for way in ways if way.pending]
        readable, writable, _ = select.select(reading, writing, [], POLL_SECONDS)
        for way, limit in zip(ways, limits, strict=True):
            if way.pending and way.target in writable:
                way.pending = way.pending[way.target.send(way.pending) :]
            elif not way.pending and way.source in readable:
                room = PIECE_BYTES if limit is None else min(PIECE_BYTES, limit - way.count)
                if not (data := way.source.recv(room)):
                    return False
                way.pending, way.count = data, way.count + len(data)
        return True
