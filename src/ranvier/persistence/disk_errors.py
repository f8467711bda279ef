"""What cannot be written to the disk, and so stops writes: the gate of MISCONF, and what it answers."""

from __future__ import annotations

from typing import Final, Protocol

from ranvier.commands.gates import Gate

SNAPSHOTS_FAIL: Final = (
    "Snapshots are configured (option save) and cannot be written to the disk at the moment. Commands that may change "
    "data are refused, because of the option stop-writes-on-bgsave-error. The log of the server tells what fails."
)


class Settings(Protocol):
    def set_gate(self, gate: int, closed: bool) -> None: ...


class DiskErrors:
    """The errors of one server's disk; the gate is closed while there is one."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._texts: dict[str, str] = {}

    def set(self, what: str, text: str | None) -> None:
        """Writing `what` ("snapshot", "append-only") fails for this reason; None: it works."""
        if text is None:
            self._texts.pop(what, None)
        else:
            self._texts[what] = text
        self._settings.set_gate(int(Gate.DISK_ERROR), bool(self._texts))

    @property
    def text(self) -> str:
        """What a refused command is answered behind MISCONF; the snapshots' reason before the append-only file's."""
        return self._texts.get("snapshot") or next(iter(self._texts.values()), "")
