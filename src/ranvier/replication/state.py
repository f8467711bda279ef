"""Whose history of changes this server's data set is, and how far it has come: what both sides of replication share.

A history has a replication id; an offset counts the bytes of its stream. Two servers with the same id and offset have
the same data set. When a replica becomes a primary its history goes on under a new id, and what it was until then stays
known as the second id, up to an offset: replicas of the old primary can go on from there (PSYNC2).

Invariant: `second_id` is NO_ID exactly while `second_offset` is -1. The offset itself is counted where the stream's
bytes pass (`engine/replication/stream`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import Enum
from typing import Final, Protocol

ID_CHARACTERS: Final = 40
NO_ID: Final = "0" * ID_CHARACTERS
NO_OFFSET: Final = -1


class Role(Enum):
    """The server's side of replication, with the name that INFO, ROLE and HELLO show."""

    PRIMARY = "master"
    REPLICA = "slave"


class Position(Protocol):
    """What counts the stream's bytes."""

    offset: int


class _Counter:
    """A stream without bytes."""

    offset = 0


def new_id() -> str:
    """A replication id that no other server has."""
    return os.urandom(ID_CHARACTERS // 2).hex()


class ReplicationState:
    """Role, ids and offsets of one server. `position` counts the offset; `make_id` is for tests."""

    def __init__(self, position: Position | None = None, make_id: Callable[[], str] = new_id) -> None:
        self._make_id = make_id
        self._position: Position = _Counter() if position is None else position
        self.role = Role.PRIMARY
        self.primary_address: tuple[str, int] | None = None      # of whom this server is a replica
        self.link_up = False                                     # ... and it is synchronised, and connected
        self.replication_id = make_id()
        self.second_id = NO_ID
        self.second_offset = NO_OFFSET                           # the first offset that the second id does not cover

    @property
    def offset(self) -> int:
        """Bytes of the stream so far: master_repl_offset."""
        return self._position.offset

    @offset.setter
    def offset(self, value: int) -> None:
        self._position.offset = value

    @property
    def is_primary(self) -> bool:
        return self.role is Role.PRIMARY

    def knows(self, replication_id: str, next_offset: int) -> bool:
        """Whether `next_offset`, the first byte that a peer lacks of that history, continues a part of this one."""
        return replication_id == self.replication_id or (
            replication_id == self.second_id != NO_ID and next_offset <= self.second_offset
        )

    def new_history(self) -> None:
        """Nobody can go on from what was before: a fresh id, and no second one."""
        self.replication_id = self._make_id()
        self.forget_second()

    def forget_second(self) -> None:
        self.second_id = NO_ID
        self.second_offset = NO_OFFSET

    def _shift(self, replication_id: str) -> None:
        """Go on under another id; the old one stays known up to here."""
        self.second_id, self.second_offset = self.replication_id, self.offset + 1
        self.replication_id = replication_id

    def follow(self, host: str, port: int) -> None:
        """Become a replica, or one of another primary. The ids stay until the primary has answered."""
        self.role = Role.REPLICA
        self.primary_address = (host, port)
        self.link_up = False

    def adopt(self, replication_id: str, offset: int) -> None:
        """A full synchronisation: the history is the primary's, and nothing of one's own is left."""
        self.replication_id = replication_id
        self.forget_second()
        self.offset = offset

    def continue_as(self, replication_id: str) -> bool:
        """A partial synchronisation: the primary's history under this id. Whether the id is another than before."""
        if replication_id == self.replication_id:
            return False
        self._shift(replication_id)
        return True

    def lead(self) -> None:
        """Become a primary. A replica's history goes on under a new id; a primary stays as it is."""
        if self.is_primary:
            return
        self.role = Role.PRIMARY
        self.primary_address = None
        self.link_up = False
        self._shift(self._make_id())
