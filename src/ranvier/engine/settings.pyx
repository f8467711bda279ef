"""What the engine is told to do: the limits of `ranvier.limits`, and the settings that options change."""

from libc.stdint cimport SIZE_MAX, int64_t, uint32_t

from ranvier.engine.core cimport Call

from ranvier import limits


cdef void load_limits(Limits *target) except *:
    target.read_minimum_bytes = limits.READ_MINIMUM_BYTES
    target.read_before_big_bytes = limits.READ_BEFORE_BIG_BYTES
    target.big_argument_trust_bytes = limits.BIG_ARGUMENT_TRUST_BYTES
    target.inline_request_bytes = limits.INLINE_REQUEST_BYTES
    target.argument_count = limits.ARGUMENT_COUNT
    target.big_argument_bytes = limits.BIG_ARGUMENT_BYTES
    target.bulk_bytes = limits.BULK_BYTES
    target.query_buffer_bytes = limits.QUERY_BUFFER_BYTES
    target.batch_requests = limits.BATCH_REQUESTS
    target.unauthenticated_arguments = limits.UNAUTHENTICATED_ARGUMENTS
    target.unauthenticated_bulk_bytes = limits.UNAUTHENTICATED_BULK_BYTES
    target.unauthenticated_query_buffer_bytes = limits.UNAUTHENTICATED_QUERY_BUFFER_BYTES
    target.unauthenticated_output_bytes = limits.UNAUTHENTICATED_OUTPUT_BYTES
    target.write_bytes_per_turn = limits.WRITE_BYTES_PER_TURN
    target.referenced_value_bytes = limits.REFERENCED_VALUE_BYTES
    target.owed_bytes = limits.OWED_BYTES
    target.free_blocks = limits.FREE_BLOCKS
    target.read_ahead_bytes = limits.READ_AHEAD_BYTES
    target.linger_bytes = limits.LINGER_BYTES
    target.linger_ms = limits.LINGER_MILLISECONDS
    target.handshake_bytes = limits.PROXY_HEADER_BYTES
    target.handshake_ms = limits.PROXY_HEADER_MILLISECONDS
    target.expire_buckets = limits.EXPIRE_BUCKETS_PER_SLICE
    target.expire_ns = <int64_t>limits.EXPIRE_MICROSECONDS_PER_TURN * 1000


cdef class Settings:
    """An engine's settings, as the server changes them. Belongs to the server's thread."""

    def set_query_limits(self, query_buffer_bytes: int, bulk_bytes: int) -> None:
        self.core.limits.query_buffer_bytes = query_buffer_bytes
        self.core.limits.bulk_bytes = bulk_bytes

    def set_output_limit(self, client_class: int, hard_bytes: int, soft_bytes: int, soft_seconds: int) -> None:
        """Limits of one class of clients (0 normal, 1 replica, 2 pubsub); 0 bytes is no limit."""
        self.core.limits.output_hard_bytes[client_class] = hard_bytes
        self.core.limits.output_soft_bytes[client_class] = soft_bytes
        self.core.limits.output_soft_seconds[client_class] = soft_seconds

    def set_idle_timeout(self, seconds: int) -> None:
        self.core.limits.idle_seconds = seconds

    def set_read_budget(self, microseconds: int) -> None:
        """How long one client's pipeline may run before others have their turn; 0: as long as it takes."""
        self.core.limits.read_budget_ns = microseconds * 1000

    def set_slow(self, slowlog_microseconds: int, monitor_milliseconds: int) -> None:
        """Commands that take at least the lesser of these go to hooks.slow. Slow log: negative is off; monitor: 0."""
        cdef int64_t monitor_ns = monitor_milliseconds * 1000000
        self.core.slow_nanoseconds = slowlog_microseconds * 1000 if slowlog_microseconds >= 0 else -1
        self.core.latency_event_ns = monitor_ns
        if monitor_ns > 0 and (self.core.slow_nanoseconds < 0 or monitor_ns < self.core.slow_nanoseconds):
            self.core.slow_nanoseconds = monitor_ns

    def set_large(self, request_bytes: int, reply_bytes: int) -> None:
        """Commands whose request or reply is at least this large go to hooks.large; negative: none do."""
        self.core.large_request_bytes = request_bytes if request_bytes >= 0 else SIZE_MAX
        self.core.large_reply_bytes = reply_bytes if reply_bytes >= 0 else SIZE_MAX

    def set_latency_tracking(self, on: bool) -> None:
        self.core.latency_tracking = on

    def set_encodings(self, sizes: dict[str, int]) -> None:
        """Sizes up to which values keep their small encodings: all fields of core.pxd's Encodings, by name."""
        self.core.encodings = sizes

    def set_lazy_freeing(self, expire: bool, evict: bool, delete: bool, server_delete: bool) -> None:
        self.core.lazy_expire = expire
        self.core.lazy_evict = evict
        self.core.lazy_delete = delete
        self.core.lazy_server_delete = server_delete

    def set_access_policy(self, lfu: bool, log_factor: int, decay_minutes: int) -> None:
        self.core.keyspace.lfu = lfu
        self.core.keyspace.lfu_log_factor = log_factor
        self.core.keyspace.lfu_decay_minutes = decay_minutes

    def set_active_expire(self, on: bool) -> None:
        self.core.active_expire = on

    def set_import_mode(self, on: bool) -> None:
        """While it is on no key expires of itself (import-mode); CLIENT PAUSE has the same effect."""
        self.core.import_mode = on
        update_expiry(self.core)

    def set_follows(self, on: bool) -> None:
        """While this server is a replica nothing expires but by its primary's word."""
        self.core.follows = on
        update_expiry(self.core)

    def set_gate(self, gate: int, closed: bool) -> None:
        """Close a gate (a GATE_ bit) for everyone, or open it."""
        if closed:
            self.core.gates |= <uint32_t>gate
        else:
            self.core.gates &= ~<uint32_t>gate

    @property
    def effects(self) -> int:
        """EFFECT_ bits that are on: without any, a change of a key is a counter and one test."""
        return self.core.effects

    def set_effects(self, mask: int) -> None:
        """EFFECT_ bits to switch on: whom the effect call tells of changes."""
        self.core.effects |= mask


cdef bint is_made_here(void *core) noexcept nogil:
    cdef const Call *call = (<Core *>core).call
    return call != NULL and not call.client.obeyed


cdef Settings settings_of(Core *core):
    cdef Settings settings = Settings.__new__(Settings)
    settings.core = core
    return settings
