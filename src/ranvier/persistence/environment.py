"""What the parts of the append-only file share: the server as they see it, and the state that they are in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ranvier.config.options import Configuration
    from ranvier.engine.client import ClientHandle
    from ranvier.engine.loop import Engine
    from ranvier.persistence.background import Background
    from ranvier.persistence.children import Children
    from ranvier.persistence.disk_errors import DiskErrors
    from ranvier.persistence.files import Files
    from ranvier.persistence.loading import Loading
    from ranvier.persistence.snapshots import Snapshots


class State(Enum):
    """Whether changes go to a file; the values are those of AppendStage (engine/persistence/append_buffer.pxd)."""

    OFF = 0
    BEGINNING = 1           # they do, but count only when the first base is there
    ON = 2


@dataclass(frozen=True, slots=True)
class Environment:
    """A server, as its append-only file sees it.

    `replay_client` makes a client that was not added to the engine; `notice` and `warn` take a line of the log.
    """

    engine: Engine
    configuration: Configuration
    files: Files
    background: Background
    children: Children
    snapshots: Snapshots
    disk_errors: DiskErrors
    loading: Loading
    replay_client: Callable[[], ClientHandle]
    notice: Callable[[str], object]
    warn: Callable[[str], object]
