"""The configuration of one server: the values of all options, with CONFIG GET, CONFIG SET and typed access.

Invariant: every value in a `Configuration` was accepted by its kind, and a refused CONFIG SET leaves all of them,
and what was applied of them, as they were. Nothing here acts upon a value: hooks of the server (`ApplyTarget`) do.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar, cast

from ranvier.config.kinds import BadValue, OutputLimits, SavePoint, SavePoints, Value
from ranvier.config.option import Option
from ranvier.config.option_table import FORGOTTEN, OPTION_BY_NAME, OPTIONS
from ranvier.config.rewrite import rewrite_file
from ranvier.config.words import encode
from ranvier.errors import CommandError, ConfigurationError
from ranvier.keyspace.glob import compile_glob
from ranvier.limits import ADMIN_CLIENTS, ADMIN_SPARE_DESCRIPTORS, RESERVED_DESCRIPTORS

# Directives that are kept as they stand: name -> fewest words after it.
DIRECTIVES = {"user": 1, "rename-command": 2, "loadmodule": 1}
PATTERN_MARKS = frozenset("*?[")
WRONG_COUNT = "wrong number of arguments"
BAD_DIRECTIVE = "Bad directive or wrong number of arguments"

ValueT = TypeVar("ValueT")


class ApplyTarget(Protocol):
    """What a server does when options change. Each hook reads the new values from the configuration.

    A hook that cannot follow raises ConfigurationError(reason) and leaves everything as it was: the old values are put
    back, and the hooks that went before it are called again.
    """

    def apply_append_only(self) -> None:
        """`appendonly`, `appendfsync`, `aof-timestamp-enabled`."""

    def apply_client_limits(self) -> None:
        """Time-outs, buffer limits, accept batch, protected mode, trusted proxies."""

    def apply_client_memory(self) -> None:
        """`maxmemory-clients`, which may be a percentage of `maxmemory`."""

    def apply_closed(self) -> None:
        """Length of the ring behind CLIENT CLOSED."""

    def apply_directory(self) -> None:
        """`dir`, where files without a directory of their own are kept."""

    def apply_hz(self) -> None:
        """How often the periodic work runs."""

    def apply_import_mode(self) -> None:
        """`import-mode`: whether keys expire of themselves."""

    def apply_keyspace(self) -> None:
        """Encodings, eviction policy and its bookkeeping, lazy freeing."""

    def apply_latency(self) -> None:
        """Latency monitor and the counting of run times."""

    def apply_listeners(self) -> None:
        """`bind`, `port` and `admin-port`: listen at the new addresses, or raise."""

    def apply_log(self) -> None:
        """`loglevel`."""

    def apply_maxclients(self) -> None:
        """`maxclients`: raise the limit on open files, or raise."""

    def apply_memory(self) -> None:
        """`maxmemory`: from where keys are evicted and writes refused."""

    def apply_notifications(self) -> None:
        """`notify-keyspace-events`."""

    def apply_save(self) -> None:
        """`save` and `stop-writes-on-bgsave-error`: whether a snapshot that failed stops writes."""

    def apply_password(self) -> None:
        """`requirepass`: the default user's password."""

    def apply_replica(self) -> None:
        """What a replica refuses: writes, and everything without its primary."""

    def apply_replication(self) -> None:
        """Size of the backlog, and how many good replicas writes need."""

    def apply_slowlog(self) -> None:
        """Thresholds and lengths of the logs of commands."""

    def apply_tracking(self) -> None:
        """`tracking-table-max-keys`."""


class Attribute(Generic[ValueT]):
    """Typed read access to one option: `configuration.port`."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, configuration: Configuration, owner: type | None = None) -> ValueT:
        return cast(ValueT, configuration.value(self.name))


@dataclass(frozen=True, slots=True)
class Directive:
    """A configuration line that is not an option: `user`, `rename-command`, `loadmodule`."""

    name: str
    words: tuple[str, ...]


@dataclass(slots=True)
class Provenance:
    """Where the values came from: the file that CONFIG REWRITE writes, and the names that were given at start."""

    file: str | None = None
    given: dict[str, str] = field(default_factory=dict)


class Configuration:
    """The option values of one server. Attribute names are option names with their unit at the end."""

    admin_port = Attribute[int]("admin-port")
    aof_disable_auto_gc = Attribute[bool]("aof-disable-auto-gc")
    aof_load_truncated = Attribute[bool]("aof-load-truncated")
    aof_rewrite_incremental_fsync = Attribute[bool]("aof-rewrite-incremental-fsync")
    aof_timestamp_enabled = Attribute[bool]("aof-timestamp-enabled")
    aof_use_rdb_preamble = Attribute[bool]("aof-use-rdb-preamble")
    appenddirname = Attribute[str]("appenddirname")
    appendfilename = Attribute[str]("appendfilename")
    appendfsync = Attribute[str]("appendfsync")
    appendonly = Attribute[bool]("appendonly")
    auto_aof_rewrite_min_size_bytes = Attribute[int]("auto-aof-rewrite-min-size")
    auto_aof_rewrite_percentage = Attribute[int]("auto-aof-rewrite-percentage")
    always_show_logo = Attribute[bool]("always-show-logo")
    availability_zone = Attribute[str]("availability-zone")
    bind = Attribute[tuple[str, ...]]("bind")
    bind_source_addr = Attribute[str]("bind-source-addr")
    client_closed_max_len = Attribute[int]("client-closed-max-len")
    client_output_buffer_limit = Attribute[OutputLimits]("client-output-buffer-limit")
    client_query_buffer_limit_bytes = Attribute[int]("client-query-buffer-limit")
    client_read_budget_usec = Attribute[int]("client-read-budget-usec")
    commandlog_large_reply_max_len = Attribute[int]("commandlog-large-reply-max-len")
    commandlog_large_request_max_len = Attribute[int]("commandlog-large-request-max-len")
    commandlog_reply_larger_than_bytes = Attribute[int]("commandlog-reply-larger-than")
    commandlog_request_larger_than_bytes = Attribute[int]("commandlog-request-larger-than")
    daemonize = Attribute[bool]("daemonize")
    databases = Attribute[int]("databases")
    dbfilename = Attribute[str]("dbfilename")
    enable_debug_command = Attribute[str]("enable-debug-command")
    enable_module_command = Attribute[str]("enable-module-command")
    hash_max_listpack_entries = Attribute[int]("hash-max-listpack-entries")
    hash_max_listpack_value_bytes = Attribute[int]("hash-max-listpack-value")
    hll_sparse_max_bytes = Attribute[int]("hll-sparse-max-bytes")
    hz = Attribute[int]("hz")
    import_mode = Attribute[bool]("import-mode")
    key_load_delay = Attribute[int]("key-load-delay")
    latency_monitor_threshold_milliseconds = Attribute[int]("latency-monitor-threshold")
    latency_tracking = Attribute[bool]("latency-tracking")
    latency_tracking_info_percentiles = Attribute[tuple[str, ...]]("latency-tracking-info-percentiles")
    lazyfree_lazy_eviction = Attribute[bool]("lazyfree-lazy-eviction")
    lazyfree_lazy_expire = Attribute[bool]("lazyfree-lazy-expire")
    lazyfree_lazy_server_del = Attribute[bool]("lazyfree-lazy-server-del")
    lazyfree_lazy_user_del = Attribute[bool]("lazyfree-lazy-user-del")
    lazyfree_lazy_user_flush = Attribute[bool]("lazyfree-lazy-user-flush")
    lfu_decay_time_minutes = Attribute[int]("lfu-decay-time")
    lfu_log_factor = Attribute[int]("lfu-log-factor")
    list_max_listpack_size = Attribute[int]("list-max-listpack-size")
    logfile = Attribute[str]("logfile")
    loglevel = Attribute[str]("loglevel")
    max_new_connections_per_cycle = Attribute[int]("max-new-connections-per-cycle")
    maxclients = Attribute[int]("maxclients")
    maxmemory_bytes = Attribute[int]("maxmemory")
    maxmemory_clients = Attribute[int]("maxmemory-clients")
    maxmemory_eviction_tenacity = Attribute[int]("maxmemory-eviction-tenacity")
    maxmemory_policy = Attribute[str]("maxmemory-policy")
    maxmemory_samples = Attribute[int]("maxmemory-samples")
    min_replicas_max_lag_seconds = Attribute[int]("min-replicas-max-lag")
    min_replicas_to_write = Attribute[int]("min-replicas-to-write")
    mptcp = Attribute[bool]("mptcp")
    no_appendfsync_on_rewrite = Attribute[bool]("no-appendfsync-on-rewrite")
    notify_keyspace_events = Attribute[str]("notify-keyspace-events")
    pidfile = Attribute[str]("pidfile")
    port = Attribute[int]("port")
    primaryauth = Attribute[str]("primaryauth")
    primaryuser = Attribute[str]("primaryuser")
    protected_mode = Attribute[bool]("protected-mode")
    proto_max_bulk_len_bytes = Attribute[int]("proto-max-bulk-len")
    proxy_protocol_from = Attribute[tuple[str, ...]]("proxy-protocol-from")
    rdb_del_sync_files = Attribute[bool]("rdb-del-sync-files")
    rdb_key_save_delay = Attribute[int]("rdb-key-save-delay")
    rdb_save_incremental_fsync = Attribute[bool]("rdb-save-incremental-fsync")
    rdb_version_check = Attribute[str]("rdb-version-check")
    rdbchecksum = Attribute[bool]("rdbchecksum")
    rdbcompression = Attribute[bool]("rdbcompression")
    repl_backlog_size_bytes = Attribute[int]("repl-backlog-size")
    repl_backlog_ttl_seconds = Attribute[int]("repl-backlog-ttl")
    repl_disable_tcp_nodelay = Attribute[bool]("repl-disable-tcp-nodelay")
    repl_diskless_load = Attribute[str]("repl-diskless-load")
    repl_diskless_sync = Attribute[bool]("repl-diskless-sync")
    repl_diskless_sync_delay = Attribute[int]("repl-diskless-sync-delay")
    repl_diskless_sync_max_replicas = Attribute[int]("repl-diskless-sync-max-replicas")
    repl_mptcp = Attribute[bool]("repl-mptcp")
    repl_ping_replica_period_seconds = Attribute[int]("repl-ping-replica-period")
    repl_timeout_seconds = Attribute[int]("repl-timeout")
    replica_announce_ip = Attribute[str]("replica-announce-ip")
    replica_announce_port = Attribute[int]("replica-announce-port")
    replica_announced = Attribute[bool]("replica-announced")
    replica_ignore_maxmemory = Attribute[bool]("replica-ignore-maxmemory")
    replica_priority = Attribute[int]("replica-priority")
    replica_read_only = Attribute[bool]("replica-read-only")
    replica_serve_stale_data = Attribute[bool]("replica-serve-stale-data")
    replicaof = Attribute[tuple[str, ...]]("replicaof")
    requirepass = Attribute[str]("requirepass")
    save = Attribute[tuple[SavePoint, ...]]("save")
    set_max_intset_entries = Attribute[int]("set-max-intset-entries")
    set_max_listpack_entries = Attribute[int]("set-max-listpack-entries")
    set_max_listpack_value_bytes = Attribute[int]("set-max-listpack-value")
    set_proc_title = Attribute[bool]("set-proc-title")
    shutdown_on_sigint = Attribute[tuple[str, ...]]("shutdown-on-sigint")
    shutdown_on_sigterm = Attribute[tuple[str, ...]]("shutdown-on-sigterm")
    shutdown_timeout_seconds = Attribute[int]("shutdown-timeout")
    slowlog_log_slower_than_microseconds = Attribute[int]("commandlog-execution-slower-than")
    slowlog_max_len = Attribute[int]("commandlog-slow-execution-max-len")
    socket_mark_id = Attribute[int]("socket-mark-id")
    stop_writes_on_bgsave_error = Attribute[bool]("stop-writes-on-bgsave-error")
    stream_node_max_bytes = Attribute[int]("stream-node-max-bytes")
    stream_node_max_entries = Attribute[int]("stream-node-max-entries")
    supervised = Attribute[str]("supervised")
    tcp_backlog = Attribute[int]("tcp-backlog")
    tcp_keepalive_seconds = Attribute[int]("tcp-keepalive")
    timeout_seconds = Attribute[int]("timeout")
    tracking_table_max_keys = Attribute[int]("tracking-table-max-keys")
    unixsocket = Attribute[str]("unixsocket")
    unixsocketgroup = Attribute[str]("unixsocketgroup")
    unixsocketperm = Attribute[int]("unixsocketperm")
    zset_max_listpack_entries = Attribute[int]("zset-max-listpack-entries")
    zset_max_listpack_value_bytes = Attribute[int]("zset-max-listpack-value")

    def __init__(self) -> None:
        self._values: dict[str, Value] = {option.name: option.default for option in OPTIONS}
        self.directives: list[Directive] = []
        self.provenance = Provenance()

    @classmethod
    def of(cls, options: Mapping[str, object]) -> Configuration:
        """A configuration from Python values: `{"port": 0, "save": "", "lazyfree_lazy_expire": False}`.

        Names may have `_` for `-`; a list or tuple gives several words. Raises ConfigurationError.
        """
        configuration = cls()
        for key, value in options.items():
            name = key if key.lower() in OPTION_BY_NAME else key.replace("_", "-")
            given = value if isinstance(value, (list, tuple)) else (value,)
            try:
                configuration.load(name, [_word(item) for item in given])
            except ConfigurationError as refusal:
                raise ConfigurationError(f"{name}: {refusal.reason}") from None
        return configuration

    def value(self, name: str) -> Value:
        """The value of an option by its main name; KeyError for a name that the table does not have."""
        return self._values[name]

    @property
    def dir(self) -> str:
        """The directory of the server's files: the process's own where none was given."""
        return str(self._values["dir"]) or os.getcwd()

    def get(self, name: str) -> str | None:
        """The text of an option (any of its names, any case) as CONFIG GET prints it; None for an unknown name."""
        option = OPTION_BY_NAME.get(name.lower())
        return None if option is None else self._show(option)

    def match(self, patterns: Sequence[str]) -> list[tuple[str, str]]:
        """CONFIG GET: the (name, text) pairs of all options that a name or glob pattern asks for, each once.

        A plain name answers in the spelling of the question, a pattern does not find hidden options.
        """
        found: dict[str, tuple[str, str]] = {}
        for pattern in patterns:
            if PATTERN_MARKS.isdisjoint(pattern):
                text = self.get(pattern)
                if text is not None:
                    found.setdefault(pattern.lower(), (pattern, text))
                continue
            matches = compile_glob(encode(pattern), ignore_case=True)
            for name, option in OPTION_BY_NAME.items():
                if not option.hidden and name not in found and matches(name.encode()):
                    found[name] = (name, self._show(option))
        return list(found.values())

    @property
    def reserved_descriptors(self) -> int:
        """What is kept back of RLIMIT_NOFILE: for files and listeners, and for the clients of the admin port."""
        return RESERVED_DESCRIPTORS + (ADMIN_CLIENTS + ADMIN_SPARE_DESCRIPTORS if self.admin_port else 0)

    def load(self, name: str, words: Sequence[str]) -> None:
        """Take one directive of a configuration file or the command line; raises ConfigurationError(reason)."""
        lower = name.lower()
        option = OPTION_BY_NAME.get(lower)
        if option is not None:
            self._load_option(option, words)
        elif len(words) >= DIRECTIVES.get(lower, len(words) + 1):
            self.directives.append(Directive(lower, tuple(words)))
            self.provenance.given[lower] = " ".join(words)
        elif lower in FORGOTTEN and len(words) == 1:
            self.provenance.given[lower] = words[0]
        elif lower == "sentinel":
            raise ConfigurationError("sentinel directive while not in sentinel mode")
        else:
            raise ConfigurationError(BAD_DIRECTIVE)

    def _load_option(self, option: Option, words: Sequence[str]) -> None:
        if option.kind.many and len(words) == 1 and " " in words[0]:
            words = words[0].split(" ")
        if not words or (len(words) > 1 and not option.kind.many):
            raise ConfigurationError(WRONG_COUNT)
        current = self._values[option.name]
        if isinstance(option.kind, SavePoints) and option.name not in self.provenance.given:
            current = ()  # the first `save` line replaces the built-in points, the next ones add to it
        try:
            self._values[option.name] = option.kind.parse(words, current)
        except BadValue as refusal:
            raise ConfigurationError(str(refusal)) from None
        self.provenance.given[option.name] = " ".join(words).lower()

    def without_effect(self) -> list[str]:
        """The names given at start that Ranvier only keeps: neither used nor obeyed as they stand."""
        names = []
        for name, text in self.provenance.given.items():
            option = OPTION_BY_NAME.get(name)
            if option is None or not (option.used or option.obeyed == text):
                names.append(name)
        return names

    def set(self, pairs: Sequence[tuple[str, str]], target: ApplyTarget | None = None, local: bool = False) -> None:
        """CONFIG SET: all of the pairs or none.

        `target` is told of the changes; `local` says that the peer is on this machine (enable-protected-configs
        local). Raises CommandError with the texts of Valkey.
        """
        chosen = self._settable(pairs, local)
        before = self._values
        after = dict(before)
        for name, option, text in chosen:
            words = (text.split(" ") if text else []) if option.kind.many else [text]
            current = () if isinstance(option.kind, SavePoints) else after[option.name]
            try:
                after[option.name] = option.kind.parse(words, current)
            except BadValue as refusal:
                raise _refused(name, str(refusal)) from None
        self._values = after
        if target is not None:
            self._apply(chosen, before, target)

    def keep(self, name: str, value: Value) -> None:
        """Take a value that came about otherwise than by CONFIG SET (REPLICAOF), for CONFIG GET and REWRITE."""
        self._values[name] = value

    def rewrite(self) -> None:
        """CONFIG REWRITE: bring the file that the server was started with up to date. Raises CommandError."""
        path = self.provenance.file
        if path is None:
            raise CommandError("ERR The server is running without a config file")
        try:
            rewrite_file(path, self._values)
        except OSError as error:
            raise CommandError(f"ERR Rewriting config file: {error.strerror}") from error

    def _settable(self, pairs: Sequence[tuple[str, str]], local: bool) -> list[tuple[str, Option, str]]:
        """The pairs with their options, if every one of them may be set."""
        chosen: list[tuple[str, Option, str]] = []
        seen: set[str] = set()
        permission = self._values["enable-protected-configs"]
        for name, text in pairs:
            lower = name.lower()
            option = OPTION_BY_NAME.get(lower)
            if option is None:
                shown = name.replace("\r", " ").replace("\n", " ")
                raise CommandError(f"ERR Unknown option or number of arguments for CONFIG SET - '{shown}'")
            if not option.mutable:
                raise _refused(lower, "can't set immutable config")
            if option.protected and not (permission == "yes" or (permission == "local" and local)):
                raise _refused(lower, "can't set protected config")
            if lower in seen:
                raise _refused(lower, "duplicate parameter")
            seen.add(lower)
            chosen.append((lower, option, text))
        return chosen

    def _apply(self, chosen: list[tuple[str, Option, str]], before: dict[str, Value], target: ApplyTarget) -> None:
        """Call each hook of a changed option once; put everything back if one refuses."""
        called: list[str] = []
        for name, option, _ in chosen:
            hook = option.apply
            if hook is None or hook in called or before[option.name] == self._values[option.name]:
                continue
            try:
                getattr(target, hook)()
            except ConfigurationError as refusal:
                self._values = before
                for done in called:
                    getattr(target, done)()
                raise _refused(name, option.refusal or refusal.reason) from refusal
            called.append(hook)

    def _show(self, option: Option) -> str:
        return self.dir if option.name == "dir" else option.kind.show(self._values[option.name])


def _refused(name: str, reason: str) -> CommandError:
    return CommandError(f"ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}")


def _word(item: object) -> str:
    if isinstance(item, bool):
        return "yes" if item else "no"
    return os.fsdecode(item) if isinstance(item, bytes) else str(item)
