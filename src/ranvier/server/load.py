"""The start: the data set that the last run left behind.

The server listens already, and answers LOADING. A file that is not there is an empty data set; one that is there and
does not load whole ends the server, because going on without it would replace it by the next snapshot.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ranvier.errors import LoadError
from ranvier.observe.log import NOTICE, WARNING
from ranvier.persistence.aof_load import AppendOnlyLoad, find
from ranvier.persistence.manifest import Manifest

if TYPE_CHECKING:
    from ranvier.server.server import Server


def load_data_set(server: Server, when_ready: Callable[[], None]) -> None:
    """Begin to load what there is; `when_ready` is called at once or when that is done."""
    if not server.loads_at_start:
        when_ready()
        return
    if server.configuration.appendonly:
        _load_append_only(server, when_ready)
    else:
        _load_snapshot(server, when_ready)


def _load_append_only(server: Server, when_ready: Callable[[], None]) -> None:
    """The append-only file has what the snapshot has, and more."""
    append_only = server.append_only

    def opened(manifest: Manifest) -> None:
        try:
            append_only.open(manifest)
        except OSError as error:
            server.log.log(WARNING, f"Can't open or create the append-only file: {error}")
            end(server, error)
            return
        when_ready()

    try:
        manifest = find(append_only.world, append_only.on_disk)
        if manifest == Manifest():
            if server.files.exists(server.snapshots.path):
                server.log.log(WARNING, f"The snapshot {server.snapshots.path} is not loaded: there is no append-only "
                               "file, and with appendonly yes that stands for an empty data set. To begin with the "
                               "snapshot, start with appendonly no, then CONFIG SET appendonly yes.")
            opened(append_only.start_anew())
            return
        job = AppendOnlyLoad(append_only.world, append_only.on_disk, manifest)
    except (LoadError, OSError) as error:
        end(server, error)
        return

    def done() -> None:
        append_only.note_sizes(job.sizes, manifest)
        # What was replayed was nobody's request.
        server.engine.commands.reset_statistics()
        server.engine.commands.forget_latencies()
        server.snapshots.saved_elsewhere()
        opened(manifest)

    def failed(error: Exception) -> None:
        job.close()
        end(server, error)

    server.loading.begin(job, done, failed)


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
    end(server, error)


def end(server: Server, error: Exception) -> None:
    """The server does not go on without its data; the log has said why."""
    server.failure = error
    server.exit_status = 1
    server.engine.post(server.engine.stop)      # posted: the loop may not run yet
