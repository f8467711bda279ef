"""What Python command handlers may use of the client, its database and its server.

Handlers stand below config, observe and server, so they name what they need here, and the layers above provide it.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from ranvier.commands import BoundCommand

# Classes of key events, as `engine/core.pxd` numbers them.
EVENT_GENERIC: Final = 1 << 0
EVENT_LIST: Final = 1 << 2
EVENT_SORTED_SET: Final = 1 << 5


class Database(Protocol):
    """One database (`engine/store/handles`). A key that has expired does not exist."""

    @property
    def index(self) -> int: ...
    @property
    def volatile_count(self) -> int: ...
    @property
    def average_ttl_ms(self) -> int: ...
    @property
    def buckets(self) -> int: ...
    def __len__(self) -> int: ...
    def exists(self, key: bytes) -> bool: ...
    def touch(self, key: bytes, always: bool = False) -> bool: ...
    def look_up(self, key: bytes) -> bool: ...
    def type_name(self, key: bytes) -> str | None: ...
    def get(self, key: bytes) -> bytes | None: ...
    def value_of(self, key: bytes) -> bytes | None: ...
    def set(self, key: bytes, value: bytes, keep_expiry: bool = False) -> None: ...
    def expiry_ms(self, key: bytes) -> int | None: ...
    def encoding(self, key: bytes) -> str | None: ...
    def delete(self, key: bytes, lazily: bool = True) -> bool: ...
    def rename(self, source: bytes, target: bytes) -> bool: ...
    def copy_to(self, other: Any, source: bytes, target: bytes) -> bool: ...
    def move_to(self, other: Any, key: bytes) -> bool: ...
    def scan(self, cursor: int, count: int = 10, type_name: str | None = None,
             delete_expired: bool = True) -> tuple[int, list[bytes]]: ...
    def random_key(self) -> bytes | None: ...
    def idle_seconds(self, key: bytes) -> int | None: ...
    def frequency(self, key: bytes) -> int | None: ...
    def memory_usage(self, key: bytes, samples: int = 5) -> int | None: ...
    def flush(self) -> None: ...
    def swap_with(self, other: Any) -> None: ...


class PubSub(Protocol):
    """Pub/Sub (`engine/modes/pubsub`); `kind` is 0 channels, 1 patterns, 2 shard channels."""

    def channels(self, kind: int) -> list[bytes]: ...
    def subscriber_count(self, kind: int, name: bytes) -> int: ...


class Engine(Protocol):
    @property
    def databases(self) -> Sequence[Database]: ...
    @property
    def pubsub(self) -> PubSub: ...

    def turn_histogram(self) -> Mapping[int, int]:
        """Least microseconds of processor time, in powers of two -> turns."""


class Clock(Protocol):
    def wall_ms(self) -> int: ...


class SlowlogEntry(Protocol):
    """A command that took long or was large; see `observe/slowlog`."""

    @property
    def id(self) -> int: ...
    @property
    def wall_seconds(self) -> int: ...
    @property
    def value(self) -> int: ...
    @property
    def args(self) -> Sequence[bytes]: ...
    @property
    def client_address(self) -> str: ...
    @property
    def client_name(self) -> bytes: ...


class Slowlog(Protocol):
    def __len__(self) -> int: ...
    def newest(self, count: int) -> Sequence[SlowlogEntry]: ...
    def reset(self) -> None: ...


class Latency(Protocol):
    """The latency monitor; see `observe/latency`."""

    @property
    def events(self) -> Mapping[str, LatencyEvent]: ...
    def reset(self, names: Sequence[str] = ()) -> int: ...


class LatencyEvent(Protocol):
    """`samples`: Unix time -> milliseconds, in the order of their coming."""

    @property
    def samples(self) -> Sequence[tuple[int, int]]: ...
    @property
    def longest_ms(self) -> int: ...
    @property
    def total_ms(self) -> int: ...
    @property
    def count(self) -> int: ...


class Replication(Protocol):
    """The server's role and history; see `replication/state`."""

    @property
    def is_primary(self) -> bool: ...


class Snapshots(Protocol):
    """The server's snapshots; see `persistence/snapshots`. What fails raises CommandError."""

    @property
    def last_save_seconds(self) -> int:
        """When the last snapshot was made: Unix time."""

    def save_command(self) -> None:
        """SAVE"""

    def background_command(self, *, schedule: bool, wait: bool) -> bool:
        """BGSAVE [SCHEDULE]; False: it waits for another child, or because it is to `wait`."""

    def cancel_command(self) -> bool:
        """BGSAVE CANCEL; False: it was only scheduled."""

    def reload_command(self, *, save: bool, flush: bool, merge: bool) -> None:
        """DEBUG RELOAD"""


class AppendOnly(Protocol):
    """The server's append-only file; see `persistence/append_only`. What fails raises CommandError."""

    def rewrite_command(self) -> str:
        """BGREWRITEAOF: the status."""

    def reload_command(self) -> None:
        """DEBUG LOADAOF"""


class Failover(Protocol):
    """A failover; see `replication/failover`."""

    @property
    def goes_on(self) -> bool: ...
    def begin(self, target: tuple[str, int] | None, timeout_ms: int, force: bool) -> None: ...
    def abort(self) -> None: ...


class ReplicaSide(Protocol):
    """The server as a replica; see `replication/role`."""

    @property
    def failover(self) -> Failover: ...
    def follow_for(self, host: str, port: int, client: Any) -> bool: ...
    def lead_for(self, client: Any, why: str = "user") -> None: ...
    def apply_redirection(self, client: Any) -> None: ...


class Server(Protocol):
    """The server that owns the client."""

    @property
    def replication(self) -> Replication: ...
    @property
    def replica_side(self) -> ReplicaSide: ...

    @property
    def commands(self) -> Mapping[bytes, BoundCommand]: ...
    @property
    def engine(self) -> Engine: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def command_logs(self) -> Mapping[str, Slowlog]:
        """By kind: slow, large-request, large-reply."""
    @property
    def latency(self) -> Latency: ...
    @property
    def snapshots(self) -> Snapshots: ...
    @property
    def append_only(self) -> AppendOnly: ...

    skip_checksums: bool
    """Whether RESTORE believes payloads without looking at their checksums (DEBUG)."""

    def warn(self, text: str) -> None:
        """A line for the log that somebody should read."""

    @property
    def lfu(self) -> bool:
        """Whether maxmemory-policy is one of the LFU policies."""

    def client_count(self) -> int:
        """Clients that are there now."""

    def latency_threshold_ms(self) -> int:
        """latency-monitor-threshold, 0: off."""

    def latency_histogram(self, name: str) -> Sequence[tuple[int, int]]:
        """A command's calls by how long they took: (nanoseconds, calls); see `engine/command_table`."""

    def memory_statistics(self) -> Mapping[str, Any]:
        """What MEMORY STATS shows."""

    def purge_memory(self) -> None:
        """Give the allocator's free memory back to the system."""

    @property
    def list_pack_size(self) -> int:
        """list-max-listpack-size"""

    @property
    def accepts_any_version(self) -> bool:
        """Whether rdb-version-check is relaxed."""

    @property
    def compresses(self) -> bool:
        """rdbcompression"""

    def connect(self, host: bytes, port: int, timeout_seconds: float) -> socket.socket:
        """A connection to another server; every step on it takes no longer than the time-out. OSError."""

    def info_text(self, sections: Sequence[str]) -> str:
        """INFO's text; see `observe/info`."""

    def shutdown(self, client: Any, *, save: bool | None, now: bool, force: bool, safe: bool,
                 failover: bool) -> None:
        """End the server; the client waits for it. `save` None: save if save points are configured.

        Raises CommandError when that is not possible (and `force` is false).
        """

    def abort_shutdown(self) -> bool:
        """Call a shutdown off that waits; False when there is none."""

    def sleep(self, seconds: float) -> None:
        """Stand still (DEBUG SLEEP), by the server's clock."""

    def set_list_plain_bytes(self, size: int) -> None:
        """From how many bytes on an element of a list has a node of its own; 0: as its listpacks' size says."""

    def log_for(self, text: str) -> None:
        """Write a line to the log, for who asked for it (DEBUG LOG)."""

    def set_active_expire(self, active: bool) -> None:
        """Switch the cycle that deletes expired keys nobody asks for."""


class Client(Protocol):
    """The client that runs the command (`engine/client`)."""

    @property
    def server(self) -> Server: ...
    @property
    def database(self) -> Database: ...
    @property
    def protocol(self) -> int: ...
    @property
    def deny_blocking(self) -> bool: ...

    def request_word(self, index: int) -> bytes:
        """An argument of the running request as it came; 0 is the command's name."""

    def changed(self, key: bytes, event: str, event_class: int, propagated: list[list[bytes]] | None = None,
                database_index: int = -1) -> None:
        """The effect call: `key` changed by `event`, in the selected database unless another one is named.

        `propagated` None: the request as it came.
        """

    def database_changed(self, database_index: int, event: str, replacement_index: int = -1) -> None:
        """The effect call for every key of a database, before it happens: "flushdb", or "swapdb" for each of two."""
