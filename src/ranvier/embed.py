"""A server inside a Python program: its own thread, its own loop, a real socket, nothing left behind.

    with ranvier.Server() as server:
        client = redis.Redis(port=server.port)
"""

from __future__ import annotations

import threading
from types import TracebackType

from ranvier.clock import Clock
from ranvier.config.options import Configuration
from ranvier.errors import ListenError
from ranvier.observe.log import ServerLog
from ranvier.process import fit_open_files
from ranvier.server.server import Server as CoreServer

HOST = "127.0.0.1"
FILE_OPTIONS = frozenset({"dir", "dbfilename", "save", "appendonly", "appendfilename", "appenddirname"})
STOP_GRACE_SECONDS = 1.0  # beyond shutdown-timeout, before a stop waits for nothing any more


class Server:
    """An embedded server. Two of them in one process do not know of each other.

    `port` 0 takes a free one; it listens on loopback unless `bind` says otherwise. Options have the names of the
    configuration file with `_` for `-`: `Server(maxclients=10, requirepass="secret")`. Raises ConfigurationError for
    a bad option and ListenError when the port is taken. No file is read or written of its own accord, unless one of
    the options that say where or when is given (`dir`, `dbfilename`, `save`, `appendonly`): then it loads its data
    when it starts, as a server of its own does.
    """

    def __init__(self, port: int = 0, *, clock: Clock | None = None, **options: object) -> None:
        options.setdefault("bind", HOST)
        # A port of 0 means "no TCP" in a configuration file; here it means "any free port".
        self._any_port = port == 0
        self._configuration = Configuration.of({"port": port, "loglevel": "nothing", "save": "", **options})
        # Its data are the program's: no file is read or written unless the program names one.
        self._has_files = not FILE_OPTIONS.isdisjoint(options)
        self._clock = clock
        self._thread: threading.Thread | None = None
        self._server: CoreServer | None = None

    def start(self) -> Server:
        """Listen and serve in a thread of its own; returns when connections are accepted, and data are loaded.

        Raises LoadError or OSError when there are data that cannot be loaded.
        """
        if self._thread is not None:
            raise RuntimeError("the server runs already")
        log = ServerLog(level=self._configuration.loglevel)
        fit_open_files(self._configuration, log)
        server = CoreServer(self._configuration, log, self._clock)
        server.loads_at_start = self._has_files
        try:
            server.bind(any_port=self._any_port)
        except ListenError:
            server.engine.close()
            raise
        ready = threading.Event()
        self._server = server
        self._thread = threading.Thread(
            target=self._serve, args=(server, ready), name=f"ranvier-{server.port}", daemon=True
        )
        self._thread.start()
        ready.wait()
        if server.failure is not None:
            self.stop()          # raises it
        return self

    @staticmethod
    def _serve(server: CoreServer, ready: threading.Event) -> None:
        try:
            server.run(ready.set)
        finally:
            ready.set()          # whatever ended it: nobody waits for ever

    def stop(self) -> None:
        """Flush what is owed, close everything, and wait for the thread to end. Idempotent.

        Raises what has ended the server by itself: its data did not load, or it could not keep what it promised.
        """
        if self._thread is None or self._server is None:
            return
        server = self._server
        # By force: a program that ends cannot be refused, as a client can whose data could not be saved.
        server.post(lambda: server.request_shutdown("embedded server stopped", ("force",)))
        # The server's own patience runs on its clock, which may be a virtual one that stands still.
        self._thread.join(self._configuration.shutdown_timeout_seconds + STOP_GRACE_SECONDS)
        if self._thread.is_alive():
            server.post(server.end.end_now)
            self._thread.join()
        self._thread = self._server = None
        if server.failure is not None:
            raise server.failure

    @property
    def core(self) -> CoreServer:
        """The server inside; only its own thread may touch it (see `post`)."""
        if self._server is None:
            raise RuntimeError("the server does not run")
        return self._server

    @property
    def port(self) -> int:
        """The TCP port it listens on."""
        return self.core.port

    @property
    def url(self) -> str:
        """What client libraries take: redis://127.0.0.1:port/0."""
        return f"redis://{HOST}:{self.port}/0"

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.stop()
