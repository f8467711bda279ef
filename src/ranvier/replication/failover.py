"""FAILOVER: a primary hands its role over to one of its replicas without losing a write.

Writes are held back, as by a pause, and the stream stands still, so that nothing is asked or told in it either; when
the replica has acknowledged everything, which it does once a second, this server becomes its replica and asks it, in
the same PSYNC, to become a primary. What was held back then runs, and is answered as a replica answers. Until then it
can be called off, and is when its time is up, unless the other server is to take over in any case (FORCE).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from ranvier.errors import CommandError

if TYPE_CHECKING:
    from ranvier.engine.timers import Timers


class Stage(Enum):
    """How far it is; the values are those of INFO."""

    NONE = "no-failover"
    WAITING = "waiting-for-sync"
    IN_PROGRESS = "failover-in-progress"


@dataclass(frozen=True, slots=True)
class Target:
    """A replica that could take over: where it is found, whether it follows the stream, how much of it it has."""

    address: tuple[str, int]
    online: bool
    acknowledged: int


class FailoverHost(Protocol):
    """What a failover needs of the server."""

    @property
    def is_primary(self) -> bool: ...

    @property
    def offset(self) -> int:
        """Of the stream."""

    @property
    def now_ms(self) -> int:
        """Monotonic."""

    @property
    def timers(self) -> Timers: ...

    def targets(self) -> Iterable[Target]:
        """The replicas."""

    def hold_writes(self, held: bool) -> None:
        """Hold writes back, or let go of those that were."""

    def hand_over(self, host: str, port: int) -> None:
        """Become a replica of that server, which is to become a primary."""

    def take_back(self) -> None:
        """Become a primary again."""

    def notice(self, text: str) -> None: ...


class Failover:
    """One server's failover: none, or how far it is."""

    STEP_MS = 100                        # from one look at the replicas to the next, while nothing wakes us

    def __init__(self, host: FailoverHost) -> None:
        self._host = host
        self.stage = Stage.NONE
        self._target: tuple[str, int] | None = None
        self._end_ms: int | None = None      # monotonic
        self._force = False

    @property
    def goes_on(self) -> bool:
        return self.stage is not Stage.NONE

    def begin(self, target: tuple[str, int] | None, timeout_ms: int, force: bool) -> None:
        """FAILOVER. timeout_ms: 0 for none. Raises CommandError."""
        host = self._host
        if self.goes_on:
            raise CommandError("ERR FAILOVER already in progress.")
        if not host.is_primary:
            raise CommandError("ERR FAILOVER is not valid when server is a replica.")
        replicas = list(host.targets())
        if not replicas:
            raise CommandError("ERR FAILOVER requires connected replicas.")
        if force and (not timeout_ms or target is None):
            raise CommandError("ERR FAILOVER with force option requires both a timeout and target HOST and IP.")
        if target is not None:
            found = next((replica for replica in replicas if replica.address == target), None)
            if found is None:
                raise CommandError("ERR FAILOVER target HOST and PORT is not a replica.")
            if not found.online:
                raise CommandError("ERR FAILOVER target replica is not online.")
        host.notice(f"FAILOVER requested to {target[0]}:{target[1]}." if target else "FAILOVER requested.")
        self._target, self._force = target, force
        self._end_ms = host.now_ms + timeout_ms if timeout_ms else None
        self.stage = Stage.WAITING
        host.hold_writes(True)
        host.timers.call_at(host.now_ms, self._step)

    def abort(self) -> None:
        """FAILOVER ABORT. Raises CommandError."""
        if not self.goes_on:
            raise CommandError("ERR No failover in progress.")
        self._abort("Failover manually aborted")

    def over(self, refusal: str | None) -> None:
        """The other server has answered: it is the primary now, or refused."""
        if self.stage is not Stage.IN_PROGRESS:
            return
        if refusal is None:
            self._clear()
        else:
            self._abort(refusal)

    def stop(self) -> None:
        """The server ends."""
        self._host.timers.cancel(self._step)

    def _step(self) -> None:
        """Look whether the replica has everything, or the time is up."""
        host = self._host
        if self.stage is not Stage.WAITING:
            return
        if self._end_ms is not None and host.now_ms >= self._end_ms:
            if self._force and self._target is not None:
                host.notice(f"Failover to {self._target[0]}:{self._target[1]} time out exceeded, failing over.")
                self._proceed(self._target)
            else:
                self._abort("Replica never caught up before timeout")
            return
        for replica in host.targets():
            if self._target in (None, replica.address) and replica.online and replica.acknowledged == host.offset:
                host.notice(f"Failover target {replica.address[0]}:{replica.address[1]} is synced, failing over.")
                self._proceed(replica.address)
                return
        host.timers.call_at(host.now_ms + self.STEP_MS, self._step)

    def _proceed(self, target: tuple[str, int]) -> None:
        self._target = target
        self.stage = Stage.IN_PROGRESS
        self._host.hand_over(*target)

    def _abort(self, reason: str) -> None:
        if self._target is not None:
            self._host.notice(f"Aborting failover to {self._target[0]}:{self._target[1]}. {reason}")
        else:
            self._host.notice(f"Aborting failover. {reason}")
        if self.stage is Stage.IN_PROGRESS:
            self._host.take_back()
        self._clear()

    def _clear(self) -> None:
        self.stage = Stage.NONE
        self._target = self._end_ms = None
        self._host.timers.cancel(self._step)
        self._host.hold_writes(False)
