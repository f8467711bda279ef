"""Loading a data set: a few milliseconds in every turn, so that the server listens, answers LOADING and can be ended.

What is loaded is a job: a snapshot or an append-only file, at the start or from a primary. Whose databases it fills,
and what becomes of a half data set when it fails, is the business of whoever begins it.

Invariant: while a job is there the gate is closed, and one call of `_step` is posted to the loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from ranvier.commands.gates import Gate
from ranvier.errors import LoadError

STEP_NANOSECONDS: Final = 5_000_000             # of a turn: what a client waits for an answer meanwhile
PROGRESS_MILLISECONDS: Final = 5000             # between two lines in the log
PERCENT: Final = 100


class Job(Protocol):
    """Something that is loaded."""

    @property
    def position(self) -> int:
        """Bytes that have been read."""

    @property
    def total_bytes(self) -> int:
        """Bytes that there are to read; 0 when nobody knows."""

    @property
    def auxiliary(self) -> dict[bytes, bytes]:
        """What a snapshot has told of itself so far."""

    def step(self, nanoseconds: int) -> bool:
        """Go on for so long; True when all is loaded. Raises LoadError, and OSError when it cannot be read."""


class Settings(Protocol):
    def set_gate(self, gate: int, closed: bool) -> None: ...


class Engine(Protocol):
    @property
    def settings(self) -> Settings: ...
    @property
    def monotonic_ms(self) -> int: ...
    @property
    def wall_ms(self) -> int: ...
    def post(self, callback: Callable[[], object]) -> None: ...


WhenDone = Callable[[], None]
WhenFailed = Callable[[Exception], None]


class Loading:
    """What one server loads now. Belongs to the server's thread."""

    def __init__(self, engine: Engine, log: Callable[[str], object]) -> None:
        """`log` takes a line at the level notice."""
        self._engine = engine
        self._log = log
        self._job: Job | None = None
        self._gate = Gate.LOADING
        self._when_done: WhenDone = lambda: None
        self._when_failed: WhenFailed = lambda error: None
        self._began_ms = 0                      # monotonic
        self._began_wall_ms = 0
        self._logged_ms = 0

    @property
    def active(self) -> bool:
        return self._job is not None

    def begin(self, job: Job, when_done: WhenDone, when_failed: WhenFailed, *, beside: bool = False) -> None:
        """Load `job` from the next turn on. `beside`: a data set is served meanwhile, only some commands wait.

        `when_failed(error)` gets a LoadError or an OSError. In both calls nothing is loaded any more, and the gate is
        open again.
        """
        if self._job is not None:
            raise RuntimeError("something is loaded already")
        self._enter(job, Gate.ASYNC_LOADING if beside else Gate.LOADING)
        self._when_done, self._when_failed = when_done, when_failed
        self._engine.post(lambda: self._step(job))

    def run(self, job: Job) -> None:
        """Load `job` here and now; everybody waits. Raises what it raises."""
        if self._job is not None:
            raise RuntimeError("something is loaded already")
        self._enter(job, Gate.LOADING)
        try:
            while not job.step(STEP_NANOSECONDS):
                pass
        finally:
            self._leave()

    def cancel(self) -> None:
        """Load no more; nobody is told, and whoever began it throws away what has been loaded."""
        if self._job is not None:
            self._leave()

    def figures(self) -> dict[str, int | float]:
        """INFO's fields; those of the progress are there only while something is loaded."""
        job = self._job
        if job is None:
            return {}
        passed_ms = self._engine.monotonic_ms - self._began_ms
        position, total = job.position, job.total_bytes
        memory = job.auxiliary.get(b"used-mem", b"")
        return {
            "loading": int(self._gate is Gate.LOADING),
            "async_loading": int(self._gate is Gate.ASYNC_LOADING),
            "loading_start_time": self._began_wall_ms // 1000,
            "loading_total_bytes": total,
            "loading_rdb_used_mem": int(memory) if memory.isdigit() else 0,
            "loading_loaded_bytes": position,
            "loading_loaded_perc": PERCENT * position / total if total else 0.0,
            "loading_eta_seconds": passed_ms * (total - position) // position // 1000 if position and total else 1,
        }

    def _enter(self, job: Job, gate: Gate) -> None:
        self._job, self._gate = job, gate
        self._began_ms = self._logged_ms = self._engine.monotonic_ms
        self._began_wall_ms = self._engine.wall_ms
        self._engine.settings.set_gate(int(gate), True)

    def _leave(self) -> None:
        self._job = None
        self._engine.settings.set_gate(int(self._gate), False)

    def _step(self, job: Job) -> None:
        if self._job is not job:
            return                              # called off
        try:
            done = job.step(STEP_NANOSECONDS)
        except (LoadError, OSError) as error:
            self._leave()
            self._when_failed(error)
            return
        if not done:
            self._tell_progress(job)
            self._engine.post(lambda: self._step(job))
            return
        self._leave()
        self._when_done()

    def _tell_progress(self, job: Job) -> None:
        now_ms = self._engine.monotonic_ms
        if now_ms - self._logged_ms >= PROGRESS_MILLISECONDS:
            self._logged_ms = now_ms
            share = f" ({PERCENT * job.position // job.total_bytes}%)" if job.total_bytes else ""
            self._log(f"Loading: {job.position} bytes{share} in {(now_ms - self._began_ms) // 1000} seconds")
