"""What INFO shows of a server: the engine's counters and the server's own, under INFO's names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from ranvier.observe import process
from ranvier.observe.info import DatabaseFigures, Figure
from ranvier.observe.latency import percentiles
from ranvier.observe.rates import Rates

if TYPE_CHECKING:
    from ranvier.server.server import Server

MICROSECONDS = 1000  # in a millisecond


class Figures:
    """The source of INFO (`observe/info`, InfoSource)."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._fixed = process.fixed_figures()
        self._started_memory_bytes = server.engine.used_memory_bytes
        self.rates = Rates()

    def sample(self) -> Mapping[str, int]:
        """Keep the counters of this moment for the rates per second, and return them; the cron calls it."""
        engine = self._server.engine
        counters = engine.statistics()
        counters["replica_output_bytes"] = engine.replicas.sent_bytes
        self.rates.sample(self._server.engine.monotonic_ms, counters)
        return counters

    def statistics(self) -> Mapping[str, Figure]:
        return {**self._fixed, **process.current_figures(), **self._server_figures(), **self._engine_figures()}

    def _server_figures(self) -> dict[str, Figure]:
        server, configuration = self._server, self._server.configuration
        engine = server.engine
        channels, patterns, shard_channels, subscribers = engine.pubsub.counts()
        return {
            "run_id": server.run_id,
            "tcp_port": server.port,
            "server_time_usec": engine.wall_ms * MICROSECONDS,
            "uptime_in_seconds": (engine.monotonic_ms - server.started_monotonic_ms) // 1000,
            "hz": configuration.hz,
            "configured_hz": configuration.hz,
            "clients_hz": configuration.hz,
            "lru_clock": engine.wall_ms // 1000 & 0xFFFFFF,
            "config_file": configuration.provenance.file or "",
            "availability_zone": configuration.availability_zone,
            "process_supervised": configuration.supervised,
            "connected_clients": engine.client_count - len(engine.replicas),
            "pubsub_channels": channels,
            "pubsub_patterns": patterns,
            "pubsubshard_channels": shard_channels,
            "pubsub_clients": subscribers,
            "maxclients": configuration.maxclients,
            "maxmemory": configuration.maxmemory_bytes,
            "maxmemory_policy": configuration.maxmemory_policy,
            **server.snapshots.figures(),
            **server.append_only.figures(),
            **server.children.figures(),
            **server.loading.figures(),
            "total_connections_received": server.total_connections,
            "rejected_connections": server.rejected_connections,
            "role": server.replication.role.value,
            "master_replid": server.replication.replication_id,
            "master_replid2": server.replication.second_id,
            "connected_slaves": len(server.primary),
            "master_repl_offset": server.replication.offset,
            "second_repl_offset": server.replication.second_offset,
            "unexpected_error_replies": server.hooks.unexpected_errors,
            **server.replica_side.figures(),
        }

    def _engine_figures(self) -> dict[str, Figure]:
        engine = self._server.engine
        counters = engine.statistics()
        bytes_of_clients = engine.client_memory.bytes_of_clients
        bytes_of_replicas = engine.client_memory.bytes_of_replicas
        return {
            **engine.key_eviction.figures(),
            **engine.blocked.figures(),
            **self._server.pause.figures(),
            **self._server.engine.tracking.figures(),
            **self._server.end.figures(),
            **self._server.primary.figures(),
            "used_memory": counters["used_memory_bytes"],
            "used_memory_peak": counters["used_memory_peak_bytes"],
            "used_memory_startup": self._started_memory_bytes,
            "used_memory_overhead": (
                self._started_memory_bytes + bytes_of_clients + bytes_of_replicas + self._bytes_of_tables()
                + engine.replicas.figures()["mem_total_replication_buffers"]
            ),
            "mem_clients_normal": bytes_of_clients,
            "mem_clients_slaves": bytes_of_replicas,
            "mem_aof_buffer": engine.append_buffer.memory_bytes,
            "lazyfree_pending_objects": counters["lazyfree_pending"],
            "lazyfreed_objects": counters["freed_items"],
            "client_recent_max_input_buffer": counters["input_peak_bytes"],
            "client_recent_max_output_buffer": counters["output_peak_bytes"],
            "total_commands_processed": counters["commands"],
            "total_net_input_bytes": counters["input_bytes"],
            "total_net_output_bytes": counters["output_bytes"],
            "total_reads_processed": counters["reads"],
            "total_writes_processed": counters["writes"],
            "total_error_replies": counters["errors"],
            "watching_clients": counters["watching_clients"],
            "total_watched_keys": counters["watched_keys"],
            "keyspace_hits": counters["keyspace_hits"],
            "keyspace_misses": counters["keyspace_misses"],
            "expired_keys": counters["expired_keys"],
            "expired_fields": counters["expired_fields"],
            "client_query_buffer_limit_disconnections": counters["query_buffer_disconnections"],
            "client_output_buffer_limit_disconnections": counters["output_buffer_disconnections"],
            "client_closes": ",".join(f"{reason}={count}" for reason, count in self._server.closed.counts.items()),
            "evicted_clients": counters["evicted_clients"],
            # Blocks of replies are on loan from one store: it grows and shrinks, not a buffer of each client.
            "reply_buffer_expands": counters["blocks_taken"],
            "reply_buffer_shrinks": counters["blocks_freed"],
            "eventloop_cycles": counters["turns"],
            "eventloop_duration_sum": counters["turn_microseconds"],
            "eventloop_duration_cmd_sum": sum(entry[1] for entry in engine.commands.statistics().values()),
            "instantaneous_ops_per_sec": int(self.rates.per_second("commands")),
            "instantaneous_input_kbps": self.rates.per_second("input_bytes") / 1024,
            "instantaneous_output_kbps": self.rates.per_second("output_bytes") / 1024,
            "instantaneous_output_repl_kbps": self.rates.per_second("replica_output_bytes") / 1024,
            "instantaneous_eventloop_cycles_per_sec": int(self.rates.per_second("turns")),
            "instantaneous_eventloop_duration_usec": int(self.rates.per_unit("turn_microseconds", "turns")),
        }

    def listeners(self) -> Iterable[str]:
        return [listener.describe() for listener in self._server.listeners]

    def replica_lines(self) -> Iterable[str]:
        return self._server.primary.lines()

    def command_statistics(self) -> Mapping[str, tuple[int, int, int, int]]:
        return self._server.engine.commands.statistics()

    def error_statistics(self) -> Mapping[str, int]:
        return self._server.hooks.errors

    def latency_statistics(self) -> Mapping[str, Mapping[float, float]]:
        configuration, commands = self._server.configuration, self._server.engine.commands
        if not configuration.latency_tracking:
            return {}
        wanted = [float(word) for word in configuration.latency_tracking_info_percentiles]
        counts = {name: commands.latencies(name) for name in commands.statistics()}
        return {name: percentiles(found, wanted) for name, found in counts.items() if found}

    def _bytes_of_tables(self) -> int:
        return sum(sum(database.table_bytes) for database in self._server.engine.databases)

    def memory(self) -> Mapping[str, Figure | Mapping[str, int]]:
        """MEMORY STATS, in its order."""
        figures = self._engine_figures()
        databases = [database for database in self._server.engine.databases if len(database)]
        used, peak = int(figures["used_memory"]), max(int(figures["used_memory_peak"]), int(figures["used_memory"]))
        resident = int(process.current_figures()["used_memory_rss"])
        overhead, start = int(figures["used_memory_overhead"]), self._started_memory_bytes
        keys = sum(len(database) for database in databases)
        data = max(0, used - overhead)
        return {
            "peak.allocated": peak,
            "total.allocated": used,
            "startup.allocated": start,
            "replication.backlog": figures["mem_replication_backlog"],
            "replicas.repl.buffer": figures["mem_replicas_repl_buffer"],
            "clients.slaves": figures["mem_clients_slaves"],
            "clients.normal": figures["mem_clients_normal"],
            "cluster.links": 0,
            "cluster.slot_import": 0,
            "cluster.slot_export": 0,
            "aof.buffer": self._server.engine.append_buffer.memory_bytes,
            "lua.caches": 0,
            "functions.caches": 0,
            **{
                f"db.{database.index}": {
                    "overhead.hashtable.main": database.table_bytes[0],
                    "overhead.hashtable.expires": database.table_bytes[1],
                }
                for database in databases
            },
            "overhead.db.hashtable.lut": self._bytes_of_tables(),
            "overhead.db.hashtable.rehashing": 0,
            "overhead.total": overhead,
            "db.dict.rehashing.count": 0,
            "keys.count": keys,
            "keys.bytes-per-key": max(0, used - start) // keys if keys else 0,
            "dataset.bytes": data,
            "dataset.percentage": 100.0 * data / (used - start) if used > start else 0.0,
            "peak.percentage": 100.0 * used / peak,
            "allocator.allocated": used,
            "allocator.active": resident,
            "allocator.resident": resident,
            "allocator.muzzy": 0,
            "allocator-fragmentation.ratio": 1.0,
            "allocator-fragmentation.bytes": 0,
            "allocator-rss.ratio": 1.0,
            "allocator-rss.bytes": 0,
            "rss-overhead.ratio": 1.0,
            "rss-overhead.bytes": 0,
            "fragmentation": resident / used,
            "fragmentation.bytes": resident - used,
        }

    def databases(self) -> Iterable[DatabaseFigures]:
        return self._server.engine.databases
