"""A snapshot on its way from the primary: `$length` and that many bytes, or `$EOF:mark`, bytes, and the mark again.

No socket and no clock: `take` is given what arrives and says how much of it belonged to the snapshot; what follows is
the stream. It is collected whole - in a file of the server's directory, or in memory - before any of it is loaded, so
that a transfer that breaks costs no data. Room is taken for what has arrived, never for a length that was announced.
"""

from __future__ import annotations

from typing import Final, Protocol

from ranvier.limits import TRANSFER_BYTES, TRANSFER_HEADER_BYTES
from ranvier.replication.handshake import shown

MARK_BYTES: Final = 40
MARKED: Final = b"$EOF:"
Chunk = bytes | bytearray | memoryview


class TransferError(Exception):
    """The primary gave up, or what it sends is no snapshot; the text says why."""


class Collector(Protocol):
    """Where the bytes go."""

    def add(self, data: Chunk) -> None:
        """Append. Raises OSError when there is no room."""

    def cut(self, length_bytes: int) -> None:
        """Keep this many of the bytes: what came last was the mark."""


class Transfer:
    """One transfer. `total_bytes` is 0 while it is unknown, as it is of a marked one until its end."""

    def __init__(self, collector: Collector, maximum_bytes: int = TRANSFER_BYTES) -> None:
        self._collector = collector
        self._maximum_bytes = maximum_bytes
        self._header = b""
        self._mark = b""
        self._tail = b""                     # the last bytes taken, which may be the beginning of the mark
        self.begun = False                   # the header is read
        self.done = False
        self.total_bytes = 0
        self.read_bytes = 0

    @property
    def marked(self) -> bool:
        """The end is told by a mark, not by a length."""
        return bool(self._mark)

    def take(self, data: bytes) -> int:
        """What arrived; how many bytes of it belong to the snapshot. Raises TransferError, OSError."""
        used = 0
        while not self.begun:
            end = data.find(b"\n", used)
            if end < 0:
                self._header += data[used:]
                if len(self._header) > TRANSFER_HEADER_BYTES:
                    raise TransferError(_not_a_snapshot(self._header))
                return len(data)
            line, self._header, used = self._header + data[used:end], b"", end + 1
            self._read_header(line.removesuffix(b"\r"))
        if self.done:
            return used
        body = memoryview(data)[used:]
        return used + (self._take_marked(body) if self._mark else self._take_counted(body))

    def _read_header(self, line: bytes) -> None:
        if not line:
            return                           # the primary is still preparing the snapshot
        if line.startswith(b"-"):
            raise TransferError(f"PRIMARY aborted replication with an error: {shown(line[1:])}")
        if line.startswith(MARKED) and len(line) == len(MARKED) + MARK_BYTES:
            self._mark = line[len(MARKED):]
        elif line.startswith(b"$") and line[1:].isdigit() and len(line) <= 20:
            self.total_bytes = int(line[1:])
            if self.total_bytes > self._maximum_bytes:
                raise TransferError(f"The snapshot would be larger than {self._maximum_bytes} bytes: {shown(line)}")
            self.done = self.total_bytes == 0
        else:
            raise TransferError(_not_a_snapshot(line))
        self.begun = True

    def _take_counted(self, body: memoryview) -> int:
        taken = min(len(body), self.total_bytes - self.read_bytes)
        self._collector.add(body[:taken])
        self.read_bytes += taken
        self.done = self.read_bytes == self.total_bytes
        return taken

    def _take_marked(self, body: memoryview) -> int:
        """The mark may come in pieces: it is looked for from the last bytes of what came before."""
        seam = self._tail + bytes(body[:MARK_BYTES - 1])
        found = seam.find(self._mark)
        if found >= 0:
            taken = found + MARK_BYTES - len(self._tail)
        else:
            found = bytes(body).find(self._mark)
            taken = found + MARK_BYTES if found >= 0 else len(body)
        self._collector.add(body[:taken])
        self.read_bytes += taken
        if self.read_bytes > self._maximum_bytes:
            raise TransferError(f"The snapshot is larger than {self._maximum_bytes} bytes")
        self._tail = (self._tail + bytes(body[max(0, taken - MARK_BYTES):taken]))[-(MARK_BYTES - 1):]
        if found >= 0:
            self.done = True
            self.total_bytes = self.read_bytes - MARK_BYTES
            self._collector.cut(self.total_bytes)
        return taken


def _not_a_snapshot(line: bytes) -> str:
    return ("Bad protocol from PRIMARY, the first byte is not '$' or what follows is no length (we received "
            f"'{shown(line[:MARK_BYTES])}'), are you sure the host and port are right?")
