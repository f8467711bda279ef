"""A server: owns the engine, the configuration, the listeners and everything that is counted.

Its life: `bind`, `run` (in the thread that owns it from then on), `request_shutdown`, and `run` returns. Other threads
talk to it through `post` alone.
"""

from __future__ import annotations

import ipaddress
import os
import resource
import socket
import time
from collections.abc import Callable, Mapping, Sequence

from ranvier import limits
from ranvier.clock import Clock, SystemClock
from ranvier.commands import BoundCommand, bind_table
from ranvier.commands.keys import plain_keys
from ranvier.config.options import Configuration
from ranvier.engine.client import ClientHandle
from ranvier.engine.loop import Engine
from ranvier.engine.phase import CLOSE_REASON_NAMES
from ranvier.errors import ConfigurationError, ListenError, PersistenceError
from ranvier.modes.pause import Pause
from ranvier.observe.closed import ClosedClients
from ranvier.observe.info import render
from ranvier.observe.latency import LatencyMonitor
from ranvier.observe.log import NOTICE, WARNING, ServerLog
from ranvier.observe.redaction import SECRET_COMMANDS
from ranvier.observe.slowlog import KINDS, Slowlog
from ranvier.persistence.append_only import AppendOnly
from ranvier.persistence.background import Background, BackgroundThreads
from ranvier.persistence.children import Children
from ranvier.persistence.disk_errors import DiskErrors
from ranvier.persistence.environment import Environment
from ranvier.persistence.files import Files, SystemFiles
from ranvier.persistence.loading import Loading
from ranvier.persistence.snapshots import Snapshots
from ranvier.replication.child_snapshots import ChildSnapshots
from ranvier.replication.primary import Primary
from ranvier.replication.role import ReplicaSide
from ranvier.replication.state import ReplicationState
from ranvier.server.accept import (
    NOTHING_TO_LISTEN_ON,
    Listener,
    SpareDescriptors,
    listen_tcp,
    listen_unix,
    networks_of,
)
from ranvier.server.before_sleep import before_sleep
from ranvier.server.cron import Cron
from ranvier.server.figures import Figures
from ranvier.server.hooks import EngineHooks
from ranvier.server.load import load_data_set
from ranvier.server.shutdown import Shutdown, ShutdownFlags

CLIENT_CLASSES = ("normal", "replica", "pubsub")  # in the engine's order
EFFECT_OBSERVED = 1  # engine/core.pxd, Effect
AUDIT_VARIABLE = "RANVIER_AUDIT"  # 1: every free step looks for references to clients that are gone (engine/audit)

ChangeListener = Callable[[int, bytes, int, str], None]
PropagationListener = Callable[[int, "list[list[bytes]]"], None]


class Server:
    """One server; any number of them live in a process, each with its own thread."""

    def __init__(self, configuration: Configuration, log: ServerLog, clock: Clock | None = None,
                 files: Files | None = None, background: Background | None = None) -> None:
        """`files`: where its files are; `background`: who works on them aside. The system's, and a thread."""
        self.configuration = configuration
        self.log = log
        self.hooks = EngineHooks(self)
        seeds = tuple(int.from_bytes(os.urandom(8), "little") for _ in range(3))
        self.clock = clock or SystemClock()
        self.engine = Engine(self.hooks, self.clock, configuration.databases, seeds)
        self.commands: dict[bytes, BoundCommand] = bind_table()
        self.command_logs = {kind: Slowlog() for kind in KINDS}
        self.latency = LatencyMonitor()
        self.closed = ClosedClients(CLOSE_REASON_NAMES, configuration.client_closed_max_len)
        self.run_id = os.urandom(20).hex()
        self.replication = ReplicationState(self.engine.replicas)
        self.replica_side = ReplicaSide(self)
        self.started_wall_ms = self.engine.wall_ms
        self.started_monotonic_ms = self.engine.monotonic_ms
        self.total_connections = 0
        self.rejected_connections = 0
        self.change_listeners: list[ChangeListener] = []
        self.propagation_listeners: list[PropagationListener] = []
        self.listeners: list[Listener] = []
        self.spare_descriptors = SpareDescriptors()
        self._proxies = networks_of(())
        self.pause = Pause(self.engine)
        self.files = files or SystemFiles()
        self.children = Children(self.engine, self._note_latency)
        self.disk_errors = DiskErrors(self.engine.settings)
        self.loading = Loading(self.engine, self.notice)
        self.background = background or BackgroundThreads(self.post)
        self.snapshots = Snapshots(self.engine, configuration, self.files, self.background, self.children,
                                   self.disk_errors, notice=self.notice, warn=self.warn)
        self.append_only = AppendOnly(Environment(
            self.engine, configuration, self.files, self.background, self.children, self.snapshots, self.disk_errors,
            self.loading, lambda: ClientHandle(self, "append-only file"), self.notice, self.warn,
        ))
        self.loads_at_start = True              # an embedded server's data are its program's
        self.exit_status = 0                    # of a process that runs this server alone
        self.failure: Exception | None = None   # what ended it: data that do not load, or a promise it cannot keep
        self.figures = Figures(self)
        self.end = Shutdown(self)
        self.primary = Primary(self, self.replication, ChildSnapshots(
            self.engine, configuration, self.children, self.snapshots
        ))
        self.snapshots.replication_fields = self.primary.snapshot_fields
        self._any_port = False
        self.skip_checksums = False             # DEBUG SET-SKIP-CHECKSUM-VALIDATION
        self.list_plain_bytes = 0               # DEBUG QUICKLIST-PACKED-THRESHOLD
        self.engine.audited = os.environ.get(AUDIT_VARIABLE) == "1"
        self._add_commands()
        self._cron = Cron(self)
        for apply in (self.apply_client_limits, self.apply_import_mode, self.apply_keyspace, self.apply_latency,
                      self.apply_memory, self.apply_notifications, self.apply_replication, self.apply_slowlog,
                      self.apply_tracking):
            apply()
        self.engine.settings.set_active_expire(True)

    def _add_commands(self) -> None:
        for bound in self.commands.values():
            entries = [bound, *bound.subcommands.values()]
            for entry in entries:
                command = entry.command
                flags = command.flag_set
                self.engine.add_command(
                    command.full_name, command.arity, int(entry.gates), command.key_range,
                    entry.native or entry.handler, command, container=bool(entry.subcommands),
                    skip_slowlog="skip_commandlog" in flags,
                    # As quick as its receivers are few: PUBLISH is timed by itself.
                    reads="readonly" in flags and command.group != "scripting" and bool(command.key_specs),
                    keys_asked=not plain_keys(command.key_specs),
                    quick=("fast" in flags and "pubsub" not in flags) or command.name == "SET",
                    secret=command.full_name in SECRET_COMMANDS,
                )

    # ---- life -------------------------------------------------------------------------------------------------------

    def bind(self, any_port: bool = False) -> None:
        """Open the listening sockets. Raises ListenError. `any_port`: a `port` of 0 is any free one, not none."""
        configuration = self.configuration
        self._any_port = any_port
        if not (configuration.port or configuration.admin_port or configuration.unixsocket or any_port):
            raise ListenError(0, NOTHING_TO_LISTEN_ON)
        if configuration.port or any_port:
            self.listeners += listen_tcp(self, configuration.bind, configuration.port)
        if configuration.unixsocket:
            self.listeners.append(listen_unix(
                self, configuration.unixsocket, configuration.unixsocketperm, configuration.unixsocketgroup
            ))
        if configuration.admin_port:
            self.listeners += listen_tcp(self, configuration.bind, configuration.admin_port, admin=True)
        if not self.listeners:
            raise ListenError(0, NOTHING_TO_LISTEN_ON)
        self.keep_spare_descriptors()

    @property
    def port(self) -> int:
        """The TCP port, 0 without one."""
        return next((listener.port for listener in self.listeners if listener.port and not listener.admin), 0)

    def run(self, when_ready: Callable[[], None] = lambda: None) -> None:
        """Serve until a shutdown was asked for; then everything is closed. The calling thread owns the server.

        `when_ready` is called when the data set is loaded, if there is one. When it cannot be loaded the server ends,
        with an `exit_status` that is not 0.
        """
        self._cron.start()

        def ready() -> None:
            self.replica_side.start()
            when_ready()

        try:
            load_data_set(self, ready)
            self.engine.run(before_sleep)
            self.append_only.finish()
        except PersistenceError as error:       # it stands in the log
            self.failure = error
            self.exit_status = 1
        finally:
            self.replica_side.stop()
            self.loading.cancel()
            self.children.kill()
            self.close_listeners()
            self.engine.close()
            self.spare_descriptors.fill(0)
            self.append_only.close()
            self.background.close()

    def post(self, action: Callable[[], object]) -> None:
        """Have the server's thread run `action`; any thread may call."""
        self.engine.post(action)

    def request_shutdown(self, reason: str, words: Sequence[str] = (),
                         when_aborted: Callable[[], None] = lambda: None) -> bool:
        """Begin a clean end: replies that are owed are flushed within `shutdown-timeout`. See `server/shutdown`.

        `words`: as shutdown-on-sigterm takes them. False when the server cannot end now; the log says why.
        """
        return self.end.request(ShutdownFlags.of(words), reason, when_aborted)

    def shutdown(self, client: ClientHandle, *, save: bool | None, now: bool, force: bool, safe: bool,
                 failover: bool) -> None:
        """SHUTDOWN, which the client waits for. Raises CommandError when the server cannot end now."""
        self.end.ask(ShutdownFlags(save, now, force, safe, failover), client)

    def abort_shutdown(self) -> bool:
        """SHUTDOWN ABORT; False when no shutdown waits."""
        return self.end.abort()

    def close_listeners(self) -> None:
        """Accept nobody any more; the file of a Unix socket is removed."""
        for listener in self.listeners:
            listener.close()
        self.listeners.clear()

    def _note_latency(self, event: str, milliseconds: int) -> None:
        self.latency.note(event, milliseconds, self.engine.wall_ms // 1000)

    # ---- replication ------------------------------------------------------------------------------------------------

    def stream_follows(self, follows: bool) -> None:
        """This server is a replica from now on, whose stream is its primary's, or a primary."""
        self.primary.change_role()

    def drop_replicas(self) -> None:
        """Have all replicas come back, and hear of another history."""
        self.primary.drop_all()

    def promote(self, client: ClientHandle) -> None:
        """Become a primary, as the client asks for."""
        self.replica_side.lead_for(client, "failover")

    def acknowledge(self, client: ClientHandle) -> None:
        """Tell the primary how far this server is, if the client is the link to it."""
        self.replica_side.acknowledge_to(client)

    def role(self) -> list[object]:
        """ROLE's reply."""
        return self.primary.role() if self.replication.is_primary else self.replica_side.role()

    def paused(self) -> bool:
        """CLIENT PAUSE holds writes back, and the stream with them."""
        return self.pause.active

    def stream_database(self) -> int:
        """The database that the stream has selected by now, which whoever begins here must know."""
        if not self.replication.is_primary:
            return self.replica_side.stream_database()
        return max(0, self.engine.replicas.database_index)

    def notice(self, text: str) -> None:
        """A line for the log."""
        self.log.log(NOTICE, text)

    def warn(self, text: str) -> None:
        """A line for the log that somebody should read."""
        self.log.log(WARNING, text)

    # ---- what others ask --------------------------------------------------------------------------------------------

    def protects_itself(self) -> bool:
        """Protected mode is on and nothing but it protects the server."""
        return self.configuration.protected_mode and not self.configuration.requirepass

    def trusts_proxy(self, host: str) -> bool:
        """Whether a connection from this address begins with a PROXY header (`proxy-protocol-from`)."""
        if not self._proxies:
            return False
        address = ipaddress.ip_address(host)
        return any(address in network for network in self._proxies)

    def keep_spare_descriptors(self) -> None:
        """Hold descriptors for the admin port while it is open; a client that leaves fills them up again."""
        wanted = limits.ADMIN_SPARE_DESCRIPTORS if any(listener.admin for listener in self.listeners) else 0
        self.spare_descriptors.fill(wanted)

    def allows(self, name: str, client: ClientHandle) -> bool:
        """Whether enable-debug-command or enable-module-command lets this client run DEBUG or MODULE."""
        options = {"DEBUG": self.configuration.enable_debug_command, "MODULE": self.configuration.enable_module_command}
        setting = options[name]
        return setting == "yes" or (
            setting == "local" and (client.unix_socket or client.address.startswith(("127.", "[::1]")))
        )

    @property
    def lfu(self) -> bool:
        """Whether maxmemory-policy is one of the LFU policies."""
        return self.configuration.maxmemory_policy.endswith("lfu")

    @property
    def list_pack_size(self) -> int:
        """list-max-listpack-size: elements of a listpack, or -1 to -5 for 4 to 64 KB."""
        return self.configuration.list_max_listpack_size

    @property
    def accepts_any_version(self) -> bool:
        """Whether RESTORE tries versions of the RDB form that it does not know."""
        return self.configuration.rdb_version_check == "relaxed"

    @property
    def compresses(self) -> bool:
        """Whether long strings are compressed in RDB form."""
        return self.configuration.rdbcompression

    def connect(self, host: bytes, port: int, timeout_seconds: float) -> socket.socket:
        """A connection to another server (MIGRATE); every step on it takes no longer than the time-out."""
        return socket.create_connection((host.decode("latin-1"), port), timeout_seconds)

    def info_text(self, sections: Sequence[str]) -> str:
        """INFO's text; see `observe/info`."""
        return render(self.figures, sections)

    def client_count(self) -> int:
        """Clients that are there now."""
        return self.engine.client_count

    def latency_threshold_ms(self) -> int:
        """latency-monitor-threshold, 0: off."""
        return self.latency.threshold_ms

    def latency_histogram(self, name: str) -> Sequence[tuple[int, int]]:
        """A command's calls by how long they took at most: (nanoseconds, calls)."""
        return self.engine.commands.latencies(name)

    def memory_statistics(self) -> Mapping[str, object]:
        """What MEMORY STATS shows."""
        return self.figures.memory()

    def purge_memory(self) -> None:
        """MEMORY PURGE: takes as long as it takes, which whoever asks knows."""
        self.engine.trim_memory(at_any_cost=True)

    def sleep(self, seconds: float) -> None:
        """DEBUG SLEEP: everything stands still."""
        time.sleep(seconds)

    def set_list_plain_bytes(self, size: int) -> None:
        """DEBUG QUICKLIST-PACKED-THRESHOLD."""
        self.list_plain_bytes = size
        self.apply_keyspace()

    def log_for(self, text: str) -> None:
        """DEBUG LOG."""
        self.log.log(WARNING, f"DEBUG LOG: {text}")

    def set_active_expire(self, active: bool) -> None:
        """Switch the cycle that deletes expired keys nobody asks for."""
        self.engine.settings.set_active_expire(active)

    def observe(self, on_change: ChangeListener | None = None, on_propagate: PropagationListener | None = None) -> None:
        """Be told of every change of a key, and of what every write is propagated as. The server's thread only."""
        if on_change is not None:
            self.change_listeners.append(on_change)
        if on_propagate is not None:
            self.propagation_listeners.append(on_propagate)
        self.engine.settings.set_effects(EFFECT_OBSERVED)

    def reset_statistics(self) -> None:
        """CONFIG RESETSTAT."""
        self.engine.reset_statistics()
        self.hooks.errors.clear()
        self.hooks.unexpected_errors = 0
        self.closed.reset_counts()
        self.figures.rates.reset()
        self.primary.reset_statistics()
        self.total_connections = self.rejected_connections = 0

    # ---- options that changed ---------------------------------------------------------------------------------------

    def apply_append_only(self) -> None:
        try:
            self.append_only.options_changed()
        except PersistenceError as error:
            raise ConfigurationError(error.reason) from None

    def apply_client_limits(self) -> None:
        configuration = self.configuration
        self._proxies = networks_of(configuration.proxy_protocol_from)
        self.engine.settings.set_query_limits(
            configuration.client_query_buffer_limit_bytes, configuration.proto_max_bulk_len_bytes
        )
        self.engine.settings.set_idle_timeout(configuration.timeout_seconds)
        self.engine.settings.set_read_budget(configuration.client_read_budget_usec)
        for index, name in enumerate(CLIENT_CLASSES):
            limit = getattr(configuration.client_output_buffer_limit, name)
            hard_bytes = limit.hard_bytes
            if name == "replica" and hard_bytes:
                # Who takes no more than the backlog has costs nothing.
                hard_bytes = max(hard_bytes, configuration.repl_backlog_size_bytes)
            self.engine.settings.set_output_limit(index, hard_bytes, limit.soft_bytes, limit.soft_seconds)

    def apply_client_memory(self) -> None:
        """maxmemory-clients: bytes, or a percentage (negative here) of maxmemory, which is no limit without one."""
        limit = self.configuration.maxmemory_clients
        if limit < 0:
            limit = self.configuration.maxmemory_bytes * -limit // 100
        self.engine.client_memory.set_limit(max(limit, limits.CLIENTS_MINIMUM_BYTES) if limit > 0 else 0)

    def apply_closed(self) -> None:
        if self.closed.limit != self.configuration.client_closed_max_len:
            self.closed.limit = self.configuration.client_closed_max_len

    def apply_directory(self) -> None:
        try:
            os.chdir(self.configuration.dir)
        except OSError as error:
            raise ConfigurationError(f"Can't chdir to '{self.configuration.dir}': {error.strerror}") from None

    def apply_hz(self) -> None:
        """The cron reads `hz` each time it plans its next run."""

    def apply_import_mode(self) -> None:
        self.engine.settings.set_import_mode(self.configuration.import_mode)

    def apply_keyspace(self) -> None:
        configuration = self.configuration
        self.engine.settings.set_access_policy(
            configuration.maxmemory_policy.endswith("lfu"), configuration.lfu_log_factor,
            configuration.lfu_decay_time_minutes,
        )
        self.engine.settings.set_encodings({
            "list_pack_size": configuration.list_max_listpack_size,
            "list_plain_bytes": self.list_plain_bytes,
            "hash_entries": configuration.hash_max_listpack_entries,
            "hash_value_bytes": configuration.hash_max_listpack_value_bytes,
            "intset_entries": configuration.set_max_intset_entries,
            "set_entries": configuration.set_max_listpack_entries,
            "set_value_bytes": configuration.set_max_listpack_value_bytes,
            "sorted_set_entries": configuration.zset_max_listpack_entries,
            "sorted_set_value_bytes": configuration.zset_max_listpack_value_bytes,
            "stream_node_bytes": configuration.stream_node_max_bytes,
            "stream_node_entries": configuration.stream_node_max_entries,
            "hyperloglog_sparse_bytes": configuration.hll_sparse_max_bytes,
        })
        self.engine.settings.set_lazy_freeing(
            configuration.lazyfree_lazy_expire, configuration.lazyfree_lazy_eviction,
            configuration.lazyfree_lazy_user_del, configuration.lazyfree_lazy_server_del,
        )

        self.engine.key_eviction.set_policy(
            configuration.maxmemory_policy, configuration.maxmemory_samples, configuration.maxmemory_eviction_tenacity,
        )

    def apply_latency(self) -> None:
        tracking = self.configuration.latency_tracking
        self.latency.threshold_ms = self.configuration.latency_monitor_threshold_milliseconds
        self.engine.settings.set_latency_tracking(tracking)
        if not tracking:
            self.engine.commands.forget_latencies()
        self.apply_slowlog()

    def apply_memory(self) -> None:
        """maxmemory, and maxmemory-clients, which may be a part of it."""
        limit = 0 if self.replica_side.ignores_maxmemory else self.configuration.maxmemory_bytes
        if self.engine.key_eviction.set_limit(limit):
            self.log.log(
                WARNING,
                f"WARNING: the new maxmemory value set via CONFIG SET ({limit}) is smaller than the current memory "
                f"usage ({self.engine.used_memory_bytes}). This will result in key eviction and/or the inability to "
                "accept new write commands depending on the maxmemory-policy.",
            )
        self.apply_client_memory()

    def apply_listeners(self) -> None:
        """Listen at the new addresses; where that fails, at the old ones again.

        The old sockets are closed first: they may hold the very port.
        """
        addresses = [(*listener.bound_to, listener.admin) for listener in self.listeners if listener.port]
        configuration = self.configuration
        port = configuration.port or (self.port if self._any_port else 0)
        self._close_tcp_listeners()
        try:
            if port:
                self.listeners += listen_tcp(self, configuration.bind, port)
            if configuration.admin_port:
                self.listeners += listen_tcp(self, configuration.bind, configuration.admin_port, admin=True)
            if (port or configuration.admin_port) and not any(listener.port for listener in self.listeners):
                raise ListenError(port, "None of the addresses to bind to is available.")
        except ListenError as error:
            self._close_tcp_listeners()
            for host, port, admin in addresses:
                self.listeners += listen_tcp(self, (host,), port, admin)
            self.log.log(WARNING, error.reason)
            raise ConfigurationError(error.reason) from None
        self.keep_spare_descriptors()

    def _close_tcp_listeners(self) -> None:
        for listener in [listener for listener in self.listeners if listener.port]:
            listener.close()
            self.listeners.remove(listener)

    def apply_log(self) -> None:
        self.log.set_level(self.configuration.loglevel)

    def apply_save(self) -> None:
        """`save` and stop-writes-on-bgsave-error: what failed may matter no more, or again."""
        self.snapshots.update_gate()

    def apply_maxclients(self) -> None:
        """Raise the limit on open files to what `maxclients` needs; lower `maxclients` at the start if it cannot."""
        kept_back = self.configuration.reserved_descriptors
        wanted = self.configuration.maxclients + kept_back
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            reachable = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (reachable, hard))
            if reachable < wanted:
                raise ConfigurationError(
                    "The operating system is not able to handle the specified number of clients, try with "
                    f"{reachable - kept_back}"
                )

    def apply_notifications(self) -> None:
        self.engine.pubsub.set_notified(self.configuration.notify_keyspace_events)

    def apply_password(self) -> None:
        """Connections that are authenticated stay so, as on the reference servers."""

    def apply_replica(self) -> None:
        """What a replica refuses."""
        self.replica_side.apply()

    def apply_replication(self) -> None:
        self.engine.replicas.set_backlog_size(self.configuration.repl_backlog_size_bytes)
        self.primary.refresh_gate()
        self.apply_client_limits()           # the backlog's size is a lower bound of the replicas' limit

    def apply_slowlog(self) -> None:
        configuration = self.configuration
        self.engine.settings.set_slow(
            configuration.slowlog_log_slower_than_microseconds, configuration.latency_monitor_threshold_milliseconds
        )
        self.engine.settings.set_large(
            configuration.commandlog_request_larger_than_bytes, configuration.commandlog_reply_larger_than_bytes
        )
        lengths = (
            configuration.slowlog_max_len, configuration.commandlog_large_request_max_len,
            configuration.commandlog_large_reply_max_len,
        )
        for kind, length in zip(KINDS, lengths, strict=True):
            if self.command_logs[kind].limit != length:
                self.command_logs[kind].limit = length

    def apply_tracking(self) -> None:
        self.engine.tracking.set_maximum_keys(self.configuration.tracking_table_max_keys)

