"""Work on files that nobody waits for: threads of the server's own, so that no turn stands still for a disk.

Two lanes, each a thread that begins with its first work: one for what has to be quick (syncs), one for what may take
long (removing a large file), so that a sync never waits for that.

Invariant: what is submitted to a lane is done in its order, one after the other; the threads touch files alone, and
everything that follows from their work is done in the server's thread, to which `post` brings it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Protocol

Work = Callable[[], object]
Done = Callable[[OSError | None], None]


class Background(Protocol):
    """Who does work on files aside: threads, or a simulated disk in its own time."""

    def submit(self, work: Work, done: Done, *, slow: bool = False) -> None:
        """Have `work` done behind what was submitted before; `done` learns in the server's thread how it ended.

        `slow` work is done behind other slow work, and nothing else waits for it.
        """

    def close(self) -> None:
        """Return when everything that was submitted is done; what was to learn of it may not any more. Idempotent."""


class _Lane:
    """A thread and what it has to do."""

    def __init__(self, name: str, post: Callable[[Callable[[], object]], None]) -> None:
        self._name = name
        self._post = post
        self._queue: SimpleQueue[tuple[Work, Done] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def put(self, work: Work, done: Done) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        self._queue.put((work, done))

    def close(self) -> None:
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            work, done = item
            failure: OSError | None = None
            try:
                work()
            except OSError as error:
                failure = error
            self._post(_Ended(done, failure))


class BackgroundThreads:
    """The threads of one server (`Background`)."""

    def __init__(self, post: Callable[[Callable[[], object]], None]) -> None:
        self._quick = _Lane("ranvier-sync", post)
        self._slow = _Lane("ranvier-files", post)

    def submit(self, work: Work, done: Done, *, slow: bool = False) -> None:
        (self._slow if slow else self._quick).put(work, done)

    def close(self) -> None:
        self._quick.close()
        self._slow.close()


class _Ended:
    """The call that tells how a work ended."""

    __slots__ = ("_done", "_failure")

    def __init__(self, done: Done, failure: OSError | None) -> None:
        self._done = done
        self._failure = failure

    def __call__(self) -> None:
        self._done(self._failure)
