"""The typed errors of the server: who raises them, who owns them.

A command's error becomes a reply, a configuration error stops the start (or refuses CONFIG SET), a listen error
ends the process with status 1. Nothing else catches them.
"""

from __future__ import annotations


class CommandError(Exception):
    """An error reply: the text with its code in front, without the leading `-` and the line end."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class ConfigurationError(Exception):
    """A refused configuration value.

    `reason` is what the user reads; `file`, `line` (from 1) and `text` say where the value stood, as far as that is
    known. A server's apply hook raises it with the reason alone.
    """

    def __init__(self, reason: str, file: str | None = None, line: int = 0, text: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.file = file
        self.line = line
        self.text = text


class PersistenceError(Exception):
    """The server cannot keep what it promised, or not load what it kept, and ends; `reason` stands in the log.

    Its owners are the program that runs the server (exit status 1) and the embedding one's thread.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ReplayError(Exception):
    """An append-only file is wrong at byte `offset`; `reason` says how. Whoever loads it tells, and ends the server."""

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(f"{reason} (byte {offset})")
        self.reason = reason
        self.offset = offset


class ListenError(Exception):
    """A listening socket could not be opened; `port` is 0 for a Unix socket, whose path is then in `reason`."""

    def __init__(self, port: int, reason: str) -> None:
        super().__init__(f"port {port}: {reason}")
        self.port = port
        self.reason = reason


class LoadError(Exception):
    """What was to be loaded is bad: what is wrong with it, and how many bytes from its beginning."""

    def __init__(self, text: str, offset: int) -> None:
        super().__init__(f"{text}, at byte {offset}")
        self.text = text
        self.offset = offset


class SnapshotError(LoadError):
    """Bytes that are no snapshot, or not a whole one."""


class SnapshotVersionError(Exception):
    """A key needs a newer version of snapshots than may be written, or than the peer reads."""

    def __init__(self, key: bytes, database: int, version: int, needed: int) -> None:
        super().__init__(
            f"the fields of key {key[:128]!r} in database {database} expire: that needs RDB version {needed}, "
            f"and {version} is the newest that may be written"
        )
        self.key = key
        self.database = database
        self.version = version
        self.needed = needed
