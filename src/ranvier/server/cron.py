"""The periodic work, `hz` times a second: every client is looked at about once a second, expiry gets its share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ranvier.server.server import Server

CLIENTS_MINIMUM = 5  # looked at per run, however few there are


class Cron:
    """Plans itself on the engine's timers."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def start(self) -> None:
        self._plan()

    def _plan(self) -> None:
        engine = self._server.engine
        engine.call_at(engine.monotonic_ms + 1000 // self._server.configuration.hz, self._run)

    def _run(self) -> None:
        engine = self._server.engine
        engine.check_clients(max(CLIENTS_MINIMUM, engine.client_count // self._server.configuration.hz))
        engine.expire_keys(True)
        self._server.figures.sample()
        self._plan()
