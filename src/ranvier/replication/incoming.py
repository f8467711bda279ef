"""A snapshot from the primary takes the data set's place: at once, or beside it and in the end.

At once costs no memory: the old data set is emptied when the snapshot is known to be one, and what fails to load is
emptied again, so that half a data set is never served. Beside (`repl-diskless-load swapdb`) costs the memory of both,
and nothing is lost until the new one is whole. Whoever watches or tracks keys hears of either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ranvier.errors import LoadError, PersistenceError, SnapshotError
from ranvier.replication.link import LoadOrders

if TYPE_CHECKING:
    from ranvier.engine.persistence.snapshot_load import SnapshotLoader
    from ranvier.server.server import Server

# A snapshot of nothing: taking its place is how a data set is emptied so that everybody hears of it.
NOTHING: Final = b"REDIS0010\xff" + bytes(8)
WITHOUT_LIMIT_NS: Final = 1_000_000_000
APPEND_RETRY_MILLISECONDS: Final = 5000
LOG_WARNING: Final = 3                       # observe.log


class Incoming:
    """The snapshot from the primary that one server loads, if it does."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._loader: SnapshotLoader | None = None
        self._beside = False

    def begin(self, data: memoryview, orders: LoadOrders) -> None:
        """Load it, a share per turn."""
        server, configuration = self._server, self._server.configuration
        try:
            loader = server.engine.snapshots.load(
                data, checksum=configuration.rdbchecksum, drop_expired=False, aside=orders.beside,
                any_version=configuration.rdb_version_check == "relaxed",
                delay_microseconds=configuration.key_load_delay,
            )
        except SnapshotError as error:
            orders.when_failed(_text(error))
            return
        if not orders.beside:
            orders.when_replaced()
            server.append_only.stop()            # which has followed the data set that goes
            self._empty()
        self._loader, self._beside = loader, orders.beside

        def done() -> None:
            self._loader = None
            if orders.beside:
                orders.when_replaced()
                server.append_only.stop()
                loader.take_place()
            self._append_again()
            fields = dict(loader.auxiliary)
            server.snapshots.loaded(loader)
            loader.discard()
            orders.when_done(fields)

        def failed(error: Exception) -> None:
            self.discard()
            if not orders.beside:
                self._append_again()
            orders.when_failed(_text(error))

        server.loading.begin(loader, done, failed, beside=orders.beside and orders.same_history)

    def discard(self) -> None:
        """Throw away what has been loaded so far, if there is anything."""
        if self._loader is None:
            return
        self._loader.discard()
        self._loader = None
        if not self._beside:
            self._empty()

    def _append_again(self) -> None:
        """The append-only file begins anew, with a base of the data set that there is now."""
        server = self._server
        if not server.configuration.value("appendonly"):
            return
        try:
            server.append_only.start()
        except PersistenceError as error:
            server.log.log(LOG_WARNING, f"The append-only file cannot begin anew: {error.reason} It is tried again.")
            server.engine.timers.call_at(server.engine.monotonic_ms + APPEND_RETRY_MILLISECONDS, self._append_again)

    def stop(self) -> None:
        """The server ends: nothing is tried again."""
        self._server.engine.timers.cancel(self._append_again)

    def _empty(self) -> None:
        nothing = self._server.engine.snapshots.load(NOTHING, aside=True)
        while not nothing.step(WITHOUT_LIMIT_NS):
            pass
        nothing.take_place()


def _text(error: Exception) -> str:
    return f"{error.text}, at offset {error.offset}" if isinstance(error, LoadError) else str(error)
