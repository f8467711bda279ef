"""Every request gets one answer (lesson 20): counted on every connection that a test makes.

Strategy: a `Ledger` reads what a test sends with a parser of its own and counts requests; the connection tells it of
every answer. Over sockets an answer too many is found when it is read, or when the connection is closed; one that is
missing is found by the test that waits for it. In memory the server answers at once, so there both are found after
every call, whatever the test itself looks at (`harness/audit.py`).

What has no fixed number of answers is left alone: connections that subscribe, watch others (MONITOR), are sent
invalidations or silence their replies, and what is sent that is no protocol.
"""

import re

# The first words of requests after which answers are not counted.
UNCOUNTED = re.compile(rb"(?i)(?:[ps]?(?:un)?subscribe|monitor|p?sync|client (?:reply|tracking))\b")
# What a server says without having been asked, before it closes.
UNASKED = (b"-ERR Protocol error", b"-ERR max number of clients", b"-DENIED")
COUNT = re.compile(rb"\*(-?(?:0|[1-9]\d*))\r\n")
LENGTH = re.compile(rb"\$(0|[1-9]\d*)\r\n")
LINE_BYTES = 65536
SHOWN_BYTES = 30                     # of a request's words, to tell which command it is


class Ledger:
    """`requests` that were sent whole, `answers` that were taken; `counted` while the two can be compared."""

    def __init__(self) -> None:
        self.requests = 0
        self.answers = 0
        self.counted = True
        self._pending = bytearray()
        self._wanted_bytes = 0       # no use in looking again before there is so much

    @property
    def is_between_requests(self) -> bool:
        return not self._pending

    def sent(self, data: bytes) -> None:
        """Bytes leave for the server."""
        if not self.counted:
            return
        self._pending += data
        if len(self._pending) < self._wanted_bytes:
            return
        start = 0
        while self.counted and start < len(self._pending) and (end := self._request_end(start)) > start:
            start = end
        del self._pending[:start]

    def answered(self, raw: bytes) -> None:
        """A reply was read."""
        if raw.startswith(UNASKED):
            self.counted = False
        if not self.counted or raw.startswith(b">"):
            return
        self.answers += 1
        assert self.answers <= self.requests, f"{self.answers} answers to {self.requests} requests: {raw[:200]!r}"

    def _request_end(self, start: int) -> int:
        """Count the request that begins at `start`; where it ends, or `start` when it is not all there."""
        if self._pending[start] != ord("*"):
            return self._line_end(start)
        header = COUNT.match(self._pending, start)
        if header is None:
            return self._unfinished(start, start)
        end = header.end()
        words: list[bytes] = []
        for _ in range(int(header[1])):
            length = LENGTH.match(self._pending, end)
            if length is None:
                return self._unfinished(start, end)
            end = length.end() + int(length[1]) + 2
            if end > len(self._pending):
                self._wanted_bytes = end - start
                return start
            if len(words) < 2:
                words.append(bytes(self._pending[length.end() : min(end - 2, length.end() + SHOWN_BYTES)]))
        self._wanted_bytes = 0
        if words:
            self._note(b" ".join(words))
        return end

    def _line_end(self, start: int) -> int:
        end = self._pending.find(b"\n", start) + 1
        if end == 0:
            return self._unfinished(start, start)
        line = bytes(self._pending[start:end]).strip(b" \t\r\n")
        if set(line) & set(b"\0\"'"):
            self.counted = False     # how many words, if any, is the server's own business
        if line:
            self._note(line)
        return end

    def _unfinished(self, start: int, searched: int) -> int:
        """A line that is not whole yet; a whole one that says nothing, or one without an end, is no protocol."""
        rest = len(self._pending) - searched
        if rest >= LINE_BYTES or self._pending.find(b"\n", searched) >= 0:
            self.counted = False
        return start

    def _note(self, words: bytes) -> None:
        self.requests += 1
        if UNCOUNTED.match(words):
            self.counted = False


def uncounted() -> Ledger:
    """The ledger of a peer that is no server, or whose bytes a test looks at by itself."""
    ledger = Ledger()
    ledger.counted = False
    return ledger
