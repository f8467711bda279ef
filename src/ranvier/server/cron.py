"""The periodic work, `hz` times a second: every client is looked at about once a second, expiry gets its share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ranvier import limits

if TYPE_CHECKING:
    from ranvier.server.server import Server

IDLE_COMMANDS = 1  # since the last run, at most: a probe that looks in now and then is nobody who waits
CLIENTS_MINIMUM = 5  # looked at per run, however few there are


class Cron:
    """Plans itself on the engine's timers."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._trimmed_ms = 0
        self._commands = 0  # served when it last ran

    def start(self) -> None:
        self._plan()

    def _plan(self) -> None:
        engine = self._server.engine
        engine.timers.call_at(engine.monotonic_ms + 1000 // self._server.configuration.hz, self._run)

    def _run(self) -> None:
        self._plan()             # first, so that a bug below does not end the cron
        engine = self._server.engine
        engine.check_clients(max(CLIENTS_MINIMUM, engine.client_count // self._server.configuration.hz))
        if not self._server.loading.active:
            engine.expire_keys(True)
            self._server.snapshots.run_due()
            self._server.append_only.tick()
        self._server.primary.tick()
        self._trim(self._server.figures.sample()["commands_total"])

    def _trim(self, commands: int) -> None:
        """The allocator keeps what is freed; a crowd of clients that left gives it back to the system.

        A little goes at once where not much is in use, in a millisecond or two; else it goes in pieces, over many
        turns, and what lies between the pieces follows when it cannot be much, or, a bit more of it, while nobody asks
        for anything.
        """
        engine = self._server.engine
        idle, self._commands = commands - self._commands <= IDLE_COMMANDS, commands
        freed_bytes = engine.untrimmed_bytes
        if freed_bytes < limits.TRIM_BYTES or engine.frees_values or engine.trims:
            return
        if engine.monotonic_ms - self._trimmed_ms < limits.TRIM_PAUSE_MILLISECONDS:
            return
        self._trimmed_ms = engine.monotonic_ms
        if freed_bytes <= limits.TRIM_AT_ONCE_BYTES and engine.used_memory_bytes <= limits.TRIM_AT_ONCE_USED_BYTES:
            engine.trim_memory()
        else:
            engine.begin_trim(
                freed_bytes <= (limits.TRIM_WHOLE_IDLE_BYTES if idle else limits.TRIM_WHOLE_BYTES)
            )
