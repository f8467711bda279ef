"""A server's end: SHUTDOWN, SIGTERM, SIGINT, an embedder's stop.

Two stages. *Waiting*: everything that concerns data is held back as by a pause, so that what is owed to clients only
shrinks; the listeners stay open, commands about the server are answered, and SHUTDOWN ABORT takes everything back.
*Ending*: the listeners close, no client runs anything more, and what they are still owed leaves in as much of the time
as remains. Nothing can be waited for longer than `shutdown-timeout`; with nothing to wait for, both stages pass within
the turn in which the shutdown was asked for.

Whoever has to be waited for joins `_may_end`: clients that are owed replies, replicas that lag.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from ranvier.commands.client_line import client_line
from ranvier.errors import CommandError
from ranvier.observe.log import NOTICE, WARNING
from ranvier.persistence.children import ChildKind
from ranvier.persistence.environment import State

if TYPE_CHECKING:
    from ranvier.engine.client import ClientHandle
    from ranvier.server.server import Server

FAILED: Final = "ERR Errors trying to SHUTDOWN. Check logs."
NO_CLUSTER: Final = "ERR SHUTDOWN FAILOVER is only supported in cluster mode."


class Stage(Enum):
    """How far the end is."""

    RUNNING = auto()
    WAITING = auto()
    ENDING = auto()


@dataclass(frozen=True, slots=True)
class ShutdownFlags:
    """What SHUTDOWN or shutdown-on-sig... asked for. `save` None: as the save points say.

    `safe` and `failover` concern servers of a cluster.
    """

    save: bool | None = None
    now: bool = False
    force: bool = False
    safe: bool = False
    failover: bool = False

    @classmethod
    def of(cls, words: Sequence[str]) -> ShutdownFlags:
        """From the words of the options shutdown-on-sigterm and shutdown-on-sigint."""
        save = True if "save" in words else False if "nosave" in words else None
        return cls(save, "now" in words, "force" in words, "safe" in words, "failover" in words)


class Shutdown:
    """The end of one server: not begun, or how far it is."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._stage = Stage.RUNNING
        self._deadline_ms = 0                # monotonic
        self._when_aborted: list[Callable[[], None]] = []

    @property
    def begun(self) -> bool:
        return self._stage is not Stage.RUNNING

    def ask(self, flags: ShutdownFlags, client: ClientHandle) -> None:
        """SHUTDOWN: `client` waits from now on, and is answered only if it is called off. Raises CommandError."""
        self._begin(flags, f" (user request from '{client_line(client)}')")
        self._server.engine.blocked.wait_for_shutdown()

    def request(self, flags: ShutdownFlags, reason: str, when_aborted: Callable[[], None]) -> bool:
        """A signal's or an embedder's wish. False, with the cause in the log, when the server cannot end now.

        `when_aborted` is called if it can end, and is then called off.
        """
        try:
            self._begin(flags, f" ({reason})" if reason else "")
        except CommandError:
            return False
        self._when_aborted.append(when_aborted)
        return True

    def _begin(self, flags: ShutdownFlags, who: str) -> None:
        """Begin to wait; a shutdown that waits already only gets more urgent."""
        server, engine = self._server, self._server.engine
        if flags.failover:
            raise CommandError(NO_CLUSTER)
        server.log.log(NOTICE, f"User requested shutdown...{who}")
        self._save(flags)
        patience_ms = 0 if flags.now else 1000 * server.configuration.shutdown_timeout_seconds
        deadline_ms = engine.monotonic_ms + patience_ms
        if self.begun:
            self._deadline_ms = min(self._deadline_ms, deadline_ms)
            return
        self._deadline_ms = deadline_ms
        self._stage = Stage.WAITING
        engine.blocked.hold_for_shutdown(True)
        engine.ending = True                     # `step` is called at the end of this turn
        engine.timers.call_at(deadline_ms, self._wake)
        if not flags.now:
            server.primary.begin_end()

    def _save(self, flags: ShutdownFlags) -> None:
        """The final snapshot, if there is to be one; a child that writes is of no use any more.

        It is made when the end begins: from here on no client changes anything, and whoever asked learns at once when
        it fails. Raises CommandError then: the server goes on. So it does when what has been answered for cannot be
        written to the append-only file.
        """
        server = self._server
        if server.children.kind is ChildKind.SNAPSHOT:
            server.log.log(WARNING, "There is a child saving an .rdb. Killing it!")
            server.children.kill()
        self._end_rewrite(flags)
        if not flags.force and flags.save is not False and server.append_only.unwritten_bytes():
            server.log.log(WARNING, "Changes cannot be written to the AOF file, can't exit.")
            raise CommandError(FAILED)
        wanted = server.snapshots.points if flags.save is None else flags.save
        if not wanted or server.loading.active:
            return
        server.log.log(NOTICE, "Saving the final RDB snapshot before exiting.")
        if server.snapshots.save():
            return
        if not flags.force:
            server.log.log(WARNING, "Error trying to save the DB, can't exit.")
            raise CommandError(FAILED)
        server.log.log(WARNING, "Error trying to save the DB, but the shutdown was forced.")

    def _end_rewrite(self, flags: ShutdownFlags) -> None:
        """A rewrite is of no use any more, unless it makes the first base: without that all would be lost."""
        append_only, log = self._server.append_only, self._server.log
        if append_only.state is State.BEGINNING:
            if not flags.force:
                log.log(WARNING, "Writing initial AOF, can't exit.")
                raise CommandError(FAILED)
            log.log(WARNING, "Writing initial AOF. Exit anyway.")
        if append_only.rewrite.running:
            log.log(WARNING, "There is a child rewriting the AOF. Killing it!")
            append_only.rewrite.kill()

    def _wake(self) -> None:
        """Nothing: the timer has ended the poll, and `step` looks at the time."""

    def abort(self) -> bool:
        """SHUTDOWN ABORT: everything goes on, and who asked for the end gets an error. False when nothing waits."""
        if self._stage is not Stage.WAITING:
            return False
        self._stage = Stage.RUNNING
        self._server.log.log(NOTICE, "Shutdown manually aborted.")
        self._server.engine.ending = False
        self._server.engine.timers.cancel(self._wake)
        self._server.engine.blocked.hold_for_shutdown(False)
        callbacks, self._when_aborted = self._when_aborted, []
        for callback in callbacks:
            callback()
        return True

    def end_now(self) -> None:
        """Wait for nothing any more."""
        self._deadline_ms = self._server.engine.monotonic_ms

    def step(self) -> None:
        """The end of a turn, behind its write step: go on to the next stage when there is nothing to wait for."""
        engine = self._server.engine
        overdue = engine.monotonic_ms >= self._deadline_ms
        if self._stage is Stage.WAITING and (overdue or self._may_end()):
            self._end(overdue)
        if self._stage is Stage.ENDING and (overdue or not engine.closes_in_progress):
            engine.stop()

    def _may_end(self) -> bool:
        return not self._server.engine.owes_replies and self._server.primary.caught_up()

    def _end(self, overdue: bool) -> None:
        """From here there is no way back."""
        server = self._server
        self._stage = Stage.ENDING
        if overdue and server.engine.owes_replies:
            server.log.log(WARNING, "Replies that are still owed are dropped: shutdown-timeout is over.")
        server.primary.tell_lagging()
        server.close_listeners()
        for client in server.engine.clients:
            client.finish()

    def figures(self) -> dict[str, int | str]:
        """INFO's fields while it waits; a pause of a client's own shows again when that is over."""
        if not self.begun:
            return {}
        left_ms = max(0, self._deadline_ms - self._server.engine.monotonic_ms)
        return {
            "paused_reason": "shutdown_in_progress", "paused_actions": "all", "paused_timeout_milliseconds": left_ms,
        }
