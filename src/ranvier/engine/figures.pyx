"""What the engine has counted, for INFO and the tests.

The largest query and output buffers are kept for the last eight seconds, this one included, as the reference servers
do: a ring by second. What happens within a second only raises a maximum.
"""

from libc.stdint cimport int64_t

from ranvier.engine.core cimport PEAK_SECONDS
from ranvier.engine.output cimport spare_bytes


cdef void roll_peaks(Core *core) noexcept nogil:
    cdef int64_t second = core.monotonic_ms // 1000, passed = second - core.peaks.second, i
    if passed <= 0:
        return
    i = core.peaks.second % PEAK_SECONDS
    core.peaks.input_bytes[i] = core.statistics.input_peak_bytes
    core.peaks.output_bytes[i] = core.statistics.output_peak_bytes
    core.statistics.input_peak_bytes = core.statistics.output_peak_bytes = 0
    for i in range(1, passed + 1 if passed < PEAK_SECONDS else PEAK_SECONDS + 1):
        core.peaks.input_bytes[(core.peaks.second + i) % PEAK_SECONDS] = 0
        core.peaks.output_bytes[(core.peaks.second + i) % PEAK_SECONDS] = 0
    core.peaks.second = second


cdef int64_t highest(const int64_t *peaks, int64_t now) noexcept nogil:
    cdef int i
    for i in range(PEAK_SECONDS):
        if peaks[i] > now:
            now = peaks[i]
    return now


cdef dict engine_figures(const Core *core):
    return {
        "commands": core.statistics.commands,
        "input_bytes": core.statistics.input_bytes,
        "output_bytes": core.statistics.output_bytes,
        "reads": core.statistics.reads,
        "writes": core.statistics.writes,
        "errors": core.statistics.errors,
        "query_buffer_disconnections": core.statistics.query_buffer_disconnections,
        "output_buffer_disconnections": core.statistics.output_buffer_disconnections,
        "evicted_clients": core.statistics.evicted_clients,
        "turns": core.statistics.turns,
        "turn_microseconds": core.statistics.turn_ns // 1000,
        "input_peak_bytes": highest(core.peaks.input_bytes, core.statistics.input_peak_bytes),
        "output_peak_bytes": highest(core.peaks.output_bytes, core.statistics.output_peak_bytes),
        "blocks_taken": core.statistics.blocks_taken,
        "blocks_freed": core.statistics.blocks_freed,
        "keyspace_hits": core.keyspace.hits,
        "keyspace_misses": core.keyspace.misses,
        "expired_keys": core.keyspace.expired,
        "expired_fields": core.keyspace.expired_fields,
        "freed_items": core.keyspace.freed_total,
        "lazyfree_pending": core.keyspace.garbage_count + core.memory.leftover_count,
        "used_memory_bytes": core.memory.used_bytes,
        "used_memory_peak_bytes": core.memory.peak_bytes,
        "watching_clients": core.watching_clients,
        "watched_keys": core.watched_keys,
        "spare_bytes": spare_bytes(core),
    }
