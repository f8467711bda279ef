"""INFO: the sections, their fields in order, and the text made of them.

The field names are those of Valkey 9.1, because dashboards and clients read them. A server hands its numbers in under
these very names (`InfoSource`); a field that it does not name shows the value given here, which is the honest answer
of a server that has no such thing. A name that stands in no section is a mistake and raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol

from ranvier import __version__

Figure = int | float | str


class DatabaseFigures(Protocol):
    """What the section Keyspace says of a database."""

    @property
    def index(self) -> int: ...
    @property
    def volatile_count(self) -> int: ...
    @property
    def average_ttl_ms(self) -> int: ...
    @property
    def volatile_hash_count(self) -> int: ...
    def __len__(self) -> int: ...


class InfoSource(Protocol):
    """What INFO needs of a server."""

    def statistics(self) -> Mapping[str, Figure]:
        """Fields of `SECTIONS` by name; those named in `DERIVED` are computed here from others."""

    def listeners(self) -> Iterable[str]:
        """One line per listener: `name=tcp,bind=127.0.0.1,port=6379`."""

    def replica_lines(self) -> Iterable[str]:
        """One line per replica: `slave0:ip=127.0.0.1,port=6380,...`."""

    def command_statistics(self) -> Mapping[str, tuple[int, int, int, int]]:
        """Full name -> calls, microseconds, rejected calls, failed calls, of the commands that were called."""

    def error_statistics(self) -> Mapping[str, int]:
        """Error code -> replies that began with it."""

    def latency_statistics(self) -> Mapping[str, Mapping[float, float]]:
        """Full name -> percentile -> microseconds; empty when no such figures are kept."""

    def databases(self) -> Iterable[DatabaseFigures]:
        """All databases."""


# Fields with the value they show when the server does not give one. The digits of a text default are the precision.
SECTIONS: Final[dict[str, dict[str, Figure]]] = {
    "server": {
        "redis_version": "7.2.4", "server_name": "ranvier", "ranvier_version": __version__,
        "redis_git_sha1": "00000000", "redis_git_dirty": 0, "redis_build_id": "0", "redis_mode": "standalone",
        "server_mode": "standalone", "os": "", "arch_bits": 64, "monotonic_clock": "clock_gettime",
        "multiplexing_api": "epoll", "process_id": 0, "process_supervised": "no", "run_id": "0" * 40, "tcp_port": 0,
        "server_time_usec": 0, "uptime_in_seconds": 0, "uptime_in_days": 0, "hz": 10, "configured_hz": 10,
        "clients_hz": 10, "lru_clock": 0, "executable": "", "config_file": "", "io_threads_active": 0,
        "availability_zone": "",
    },
    "clients": {
        "connected_clients": 0, "cluster_connections": 0, "maxclients": 0, "client_recent_max_input_buffer": 0,
        "client_recent_max_output_buffer": 0, "blocked_clients": 0, "tracking_clients": 0, "pubsub_clients": 0,
        "watching_clients": 0, "clients_in_timeout_table": 0, "total_watched_keys": 0, "total_blocking_keys": 0,
        "total_blocking_keys_on_nokey": 0, "paused_reason": "none", "paused_actions": "none",
        "paused_timeout_milliseconds": 0,
    },
    "memory": {
        "used_memory": 0, "used_memory_human": "", "used_memory_rss": 0, "used_memory_rss_human": "",
        "used_memory_peak": 0, "used_memory_peak_human": "", "used_memory_peak_perc": "", "used_memory_overhead": 0,
        "used_memory_startup": 0, "used_memory_dataset": 0, "used_memory_dataset_perc": "", "total_system_memory": 0,
        "total_system_memory_human": "", "used_memory_lua": 0, "used_memory_lua_human": "",
        "number_of_cached_scripts": 0, "number_of_functions": 0, "number_of_libraries": 0, "used_memory_scripts": 0,
        "used_memory_scripts_human": "", "maxmemory": 0, "maxmemory_human": "", "maxmemory_policy": "noeviction",
        "mem_fragmentation_ratio": "0.00", "mem_fragmentation_bytes": 0, "mem_not_counted_for_evict": 0,
        "mem_replication_backlog": 0, "mem_total_replication_buffers": 0, "mem_replicas_repl_buffer": 0,
        "mem_clients_slaves": 0, "mem_clients_normal": 0, "mem_cluster_links": 0, "mem_aof_buffer": 0,
        "mem_allocator": "libc", "mem_overhead_db_hashtable_rehashing": 0, "active_defrag_running": 0,
        "lazyfree_pending_objects": 0, "lazyfreed_objects": 0,
    },
    "persistence": {
        "loading": 0, "async_loading": 0, "current_cow_peak": 0, "current_cow_size": 0, "current_cow_size_age": 0,
        "current_fork_perc": "0.00", "current_save_keys_processed": 0, "current_save_keys_total": 0,
        "rdb_changes_since_last_save": 0, "rdb_bgsave_in_progress": 0, "rdb_last_save_time": 0,
        "rdb_last_bgsave_status": "ok", "rdb_last_bgsave_time_sec": -1, "rdb_current_bgsave_time_sec": -1,
        "rdb_saves": 0, "rdb_last_cow_size": 0, "rdb_last_load_keys_expired": 0, "rdb_last_load_keys_loaded": 0,
        "aof_enabled": 0, "aof_rewrite_in_progress": 0, "aof_rewrite_scheduled": 0, "aof_last_rewrite_time_sec": -1,
        "aof_current_rewrite_time_sec": -1, "aof_last_bgrewrite_status": "ok", "aof_rewrites": 0,
        "aof_rewrites_consecutive_failures": 0, "aof_last_write_status": "ok", "aof_last_cow_size": 0,
        "module_fork_in_progress": 0, "module_fork_last_cow_size": 0,
        "aof_current_size": 0, "aof_base_size": 0, "aof_pending_rewrite": 0, "aof_buffer_length": 0,
        "aof_pending_bio_fsync": 0, "aof_delayed_fsync": 0,
        "loading_start_time": 0, "loading_total_bytes": 0, "loading_rdb_used_mem": 0, "loading_loaded_bytes": 0,
        "loading_loaded_perc": "0.00", "loading_eta_seconds": 0,
    },
    "stats": {
        "total_connections_received": 0, "total_commands_processed": 0, "instantaneous_ops_per_sec": 0,
        "total_net_input_bytes": 0, "total_net_output_bytes": 0, "total_net_repl_input_bytes": 0,
        "total_net_repl_output_bytes": 0, "instantaneous_input_kbps": "0.00", "instantaneous_output_kbps": "0.00",
        "instantaneous_input_repl_kbps": "0.00", "instantaneous_output_repl_kbps": "0.00", "rejected_connections": 0,
        "sync_full": 0, "sync_partial_ok": 0, "sync_partial_err": 0, "expired_keys": 0, "expired_fields": 0,
        "expired_stale_perc": "0.00", "expired_time_cap_reached_count": 0, "expire_cycle_cpu_milliseconds": 0,
        "evicted_keys": 0, "evicted_clients": 0, "evicted_scripts": 0, "total_eviction_exceeded_time": 0,
        "current_eviction_exceeded_time": 0, "keyspace_hits": 0, "keyspace_misses": 0, "pubsub_channels": 0,
        "pubsub_patterns": 0, "pubsubshard_channels": 0, "latest_fork_usec": 0, "total_forks": 0,
        "migrate_cached_sockets": 0, "slave_expires_tracked_keys": 0, "active_defrag_hits": 0,
        "active_defrag_misses": 0, "active_defrag_key_hits": 0, "active_defrag_key_misses": 0,
        "total_active_defrag_time": 0, "current_active_defrag_time": 0, "tracking_total_keys": 0,
        "tracking_total_items": 0, "tracking_total_prefixes": 0, "unexpected_error_replies": 0,
        "total_error_replies": 0, "dump_payload_sanitizations": 0, "total_reads_processed": 0,
        "total_writes_processed": 0, "io_threaded_reads_processed": 0, "io_threaded_writes_processed": 0,
        "client_query_buffer_limit_disconnections": 0, "client_output_buffer_limit_disconnections": 0,
        "reply_buffer_shrinks": 0, "reply_buffer_expands": 0, "eventloop_cycles": 0, "eventloop_duration_sum": 0,
        "eventloop_duration_cmd_sum": 0, "instantaneous_eventloop_cycles_per_sec": 0,
        "instantaneous_eventloop_duration_usec": 0, "acl_access_denied_auth": 0, "acl_access_denied_cmd": 0,
        "acl_access_denied_key": 0, "acl_access_denied_channel": 0, "acl_access_denied_tls_cert": 0,
        "acl_access_denied_db": 0, "client_closes": "",
    },
    "replication": {
        "role": "master", "master_host": "", "master_port": 0, "master_link_status": "down",
        "master_last_io_seconds_ago": -1, "master_sync_in_progress": 0, "slave_read_repl_offset": 0,
        "slave_repl_offset": 0, "replicas_repl_buffer_size": 0, "replicas_repl_buffer_peak": 0,
        "master_sync_total_bytes": 0, "master_sync_read_bytes": 0, "master_sync_left_bytes": 0,
        "master_sync_perc": "0.00", "master_sync_last_io_seconds_ago": -1, "master_link_down_since_seconds": -1,
        "slave_priority": 100, "slave_read_only": 1, "replica_announced": 1,
        "connected_slaves": 0, "replicas_waiting_psync": 0, "master_failover_state": "no-failover",
        "master_replid": "0" * 40, "master_replid2": "0" * 40, "master_repl_offset": 0, "second_repl_offset": -1,
        "repl_backlog_active": 0, "repl_backlog_size": 10485760, "repl_backlog_first_byte_offset": 0,
        "repl_backlog_histlen": 0,
    },
    "cpu": {
        "used_cpu_sys": "0.000000", "used_cpu_user": "0.000000", "used_cpu_sys_children": "0.000000",
        "used_cpu_user_children": "0.000000", "used_cpu_sys_main_thread": "0.000000",
        "used_cpu_user_main_thread": "0.000000",
    },
    "modules": {},
    "commandstats": {},
    "errorstats": {},
    "latencystats": {},
    "cluster": {"cluster_enabled": 0},
    "keyspace": {},
}

TITLES: Final = {"cpu": "CPU"}

# Shown only when asked for by name, or with `all` and `everything`.
_ON_REQUEST: Final = frozenset({"commandstats", "latencystats"})

# Shown only when the server gives them.
PASSING: Final = frozenset({
    "aof_current_size", "aof_base_size", "aof_pending_rewrite", "aof_buffer_length", "aof_pending_bio_fsync",
    "aof_delayed_fsync",
    "loading_start_time", "loading_total_bytes", "loading_rdb_used_mem", "loading_loaded_bytes", "loading_loaded_perc",
    "loading_eta_seconds", "master_host", "master_port", "master_link_status", "master_last_io_seconds_ago",
    "master_sync_in_progress", "slave_read_repl_offset", "slave_repl_offset", "replicas_repl_buffer_size",
    "replicas_repl_buffer_peak", "master_sync_total_bytes", "master_sync_read_bytes", "master_sync_left_bytes",
    "master_sync_perc", "master_sync_last_io_seconds_ago", "master_link_down_since_seconds", "slave_priority",
    "slave_read_only", "replica_announced",
})

# Computed here from other fields.
DERIVED: Final = frozenset({
    "uptime_in_days", "used_memory_human", "used_memory_rss_human", "used_memory_peak_human", "used_memory_peak_perc",
    "used_memory_dataset", "used_memory_dataset_perc", "total_system_memory_human", "used_memory_lua_human",
    "used_memory_scripts_human", "maxmemory_human", "mem_fragmentation_ratio", "mem_fragmentation_bytes",
})

SECONDS_PER_DAY: Final = 86400


def human_bytes(count: int) -> str:
    """`1.50M`: powers of 1024 with two decimals, plain bytes below 1024."""
    if count < 1024:
        return f"{count}B"
    size = float(count)
    for unit in "KMGTP":
        size /= 1024
        if size < 1024 or unit == "P":
            break
    return f"{size:.2f}{unit}"


def _percentage(part: int, whole: int) -> str:
    return f"{100 * part / whole if whole else 0:.2f}%"


def _integer(figures: Mapping[str, Figure], name: str) -> int:
    return int(figures.get(name, 0))


def _derive(figures: Mapping[str, Figure]) -> dict[str, Figure]:
    """The fields of `DERIVED`."""
    used, resident = _integer(figures, "used_memory"), _integer(figures, "used_memory_rss")
    peak = max(used, _integer(figures, "used_memory_peak"))
    at_start = _integer(figures, "used_memory_startup")
    dataset = max(0, used - _integer(figures, "used_memory_overhead"))
    derived: dict[str, Figure] = {
        "uptime_in_days": _integer(figures, "uptime_in_seconds") // SECONDS_PER_DAY,
        "used_memory_peak": peak,
        "used_memory_peak_perc": _percentage(used, peak),
        "used_memory_dataset": dataset,
        "used_memory_dataset_perc": _percentage(dataset, used - at_start),
        "mem_fragmentation_ratio": resident / used if used else 0.0,
        "mem_fragmentation_bytes": resident - used,
    }
    for name in DERIVED:
        if name.endswith("_human"):
            plain = name.removesuffix("_human")
            derived[name] = human_bytes(int(derived.get(plain, figures.get(plain, 0))))
    return derived


def _shown(value: Figure, default: Figure) -> str:
    """A figure as INFO shows it: one line, a float with as many decimals as its default has."""
    if isinstance(value, float):
        decimals = len(str(default).partition(".")[2]) or 2
        return f"{value:.{decimals}f}"
    return str(value).replace("\r", " ").replace("\n", " ")


def _listener_lines(source: InfoSource) -> Iterable[str]:
    return (f"listener{number}:{line}" for number, line in enumerate(source.listeners()))


def _command_lines(source: InfoSource) -> Iterable[str]:
    for name, (calls, usec, rejected, failed) in source.command_statistics().items():
        each = usec / calls if calls else 0.0
        yield (f"cmdstat_{name}:calls={calls},usec={usec},usec_per_call={each:.2f},rejected_calls={rejected},"
               f"failed_calls={failed}")


def _error_lines(source: InfoSource) -> Iterable[str]:
    return (f"errorstat_{code}:count={count}" for code, count in source.error_statistics().items())


def _latency_lines(source: InfoSource) -> Iterable[str]:
    for name, percentiles in source.latency_statistics().items():
        shown = ",".join(f"p{percentile:g}={usec:.3f}" for percentile, usec in percentiles.items())
        yield f"latency_percentiles_usec_{name}:{shown}"


def _keyspace_lines(source: InfoSource) -> Iterable[str]:
    for database in source.databases():
        if len(database):
            yield (f"db{database.index}:keys={len(database)},expires={database.volatile_count},"
                   f"avg_ttl={database.average_ttl_ms},keys_with_volatile_items={database.volatile_hash_count}")


_LISTS: Final[dict[str, Callable[[InfoSource], Iterable[str]]]] = {
    "server": _listener_lines, "commandstats": _command_lines, "errorstats": _error_lines,
    "latencystats": _latency_lines, "keyspace": _keyspace_lines,
}


# Lines that stand behind a field of a section.
_BEHIND: Final[dict[str, Callable[[InfoSource], Iterable[str]]]] = {
    "connected_slaves": lambda source: source.replica_lines(),
}


def _section_lines(section: str, figures: Mapping[str, Figure], source: InfoSource) -> Iterable[str]:
    yield f"# {TITLES.get(section, section.capitalize())}"
    for name, default in SECTIONS[section].items():
        if name in figures or name not in PASSING:
            yield f"{name}:{_shown(figures.get(name, default), default)}"
        if name in _BEHIND:
            yield from (_shown(line, "") for line in _BEHIND[name](source))
    if section in _LISTS:
        yield from _LISTS[section](source)


def _chosen(sections: Iterable[str]) -> set[str]:
    """The names of the sections that a request asks for."""
    chosen: set[str] = set()
    for section in sections:
        if section == "default":
            chosen |= SECTIONS.keys() - _ON_REQUEST
        elif section in ("all", "everything"):
            chosen |= SECTIONS.keys()
        elif section in SECTIONS:
            chosen.add(section)
    return chosen


def render(source: InfoSource, sections: Sequence[str]) -> str:
    """INFO's text for `sections` (lower case; `default`, `all` and `everything` are understood, others left out)."""
    chosen = _chosen(sections)
    if not chosen:
        return ""
    figures = dict(source.statistics())
    unknown = figures.keys() - {name for fields in SECTIONS.values() for name in fields}
    if unknown:
        raise ValueError(f"statistics that INFO does not know: {sorted(unknown)}")
    figures |= _derive(figures)
    parts: list[str] = []
    for section in SECTIONS:
        if section in chosen:
            parts.append("".join(f"{line}\r\n" for line in _section_lines(section, figures, source)))
    return "\r\n".join(parts)
