"""The start: the data set that the last run left behind.

The server listens already, and answers LOADING. A file that is not there is an empty data set; one that is there and
does not load whole ends the server, because going on without it would replace it by the next snapshot.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ranvier.errors import LoadError
from ranvier.observe.log import NOTICE, WARNING

if TYPE_CHECKING:
    from ranvier.server.server import Server


def load_data_set(server: Server, when_ready: Callable[[], None]) -> None:
    """Begin to load what there is; `when_ready` is called at once or when that is done."""
    if not server.loads_at_start:
        when_ready()
        return
    _load_snapshot(server, when_ready)


def _load_snapshot(server: Server, when_ready: Callable[[], None]) -> None:
    path = server.snapshots.path
    began_ms = server.engine.monotonic_ms
    try:
        file = server.snapshots.open(path)
    except FileNotFoundError:
        when_ready()
        return
    except (LoadError, OSError) as error:
        give_up(server, path, error)
        return

    def done() -> None:
        server.snapshots.loaded(file.loader)
        seconds = (server.engine.monotonic_ms - began_ms) / 1000
        server.log.log(NOTICE, f"DB loaded from disk: {seconds:.3f} seconds")
        when_ready()

    server.loading.begin(file, done, lambda error: give_up(server, path, error))


def give_up(server: Server, path: str, error: Exception) -> None:
    """The file at `path` does not load: say why, and end without touching it."""
    if isinstance(error, LoadError):
        server.log.log(WARNING, f"Bad file {path}: {error.text}, at offset {error.offset}.")
    else:
        server.log.log(WARNING, f"Cannot read {path}: {error}.")
    server.log.log(WARNING, "Fatal error loading the DB, check server logs. Exiting.")
    server.load_failure = error
    server.exit_status = 1
    server.engine.post(server.engine.stop)      # posted: the loop may not run yet
