"""Eviction of keys by memory (lifecycle A4-11): when it is due, what it tells, and the refusal that is left.

Strategy: while `maxmemory` is set, two gates are closed for everyone, so that dispatch comes here before each command;
under the limit that is one comparison, and they are open again for this command. Nothing is counted anew: the account
of all memory is exact at any moment. Over the limit a slice of eviction runs before the command, whatever it is; what
needs memory is refused only when no key may go. A turn ends with another slice while there is need, so that a limit
that was lowered, or one huge value, is worked off without anybody's request.

What is kept for slow replicas does not count, as eviction is propagated through it and could never end.
"""

from libc.stdint cimport int64_t

from ranvier.engine.clocks cimport now_ns
from ranvier.engine.core cimport (
    EVENT_EVICTED,
    GATE_EVICT_KEYS,
    GATE_LOADING,
    GATE_OUT_OF_MEMORY,
    GATE_PAUSED_ALL,
    GATE_PAUSED_WRITE,
)
from ranvier.engine.effects cimport key_goes
from ranvier.engine.store.database cimport Database
from ranvier.engine.store.eviction cimport (
    EVICT_LFU,
    EVICT_LRU,
    EVICT_NOTHING,
    EVICT_RANDOM,
    EVICT_TTL,
    EVICTION_DONE,
    EVICTION_FAILED,
    EVICTION_GOES_ON,
    evict_slice,
    forget_candidates,
)

cdef enum:
    GATES_OF_MEMORY = GATE_EVICT_KEYS | GATE_OUT_OF_MEMORY
    SLICE_STEP_NS = 50_000           # of tenacity, up to STEADY_TENACITY
    STEADY_TENACITY = 10
    ENDLESS_TENACITY = 100

ORDERS = {"lru": EVICT_LRU, "lfu": EVICT_LFU, "ttl": EVICT_TTL, "random": EVICT_RANDOM}


cdef void key_evicted(void *context, Database *database, const char *key, size_t length) noexcept:
    """A key is about to go: the effect call of a deletion that nobody asked for."""
    cdef Core *core = <Core *>context
    core.statistics.evicted_keys += 1
    key_goes(core, database, key, length, EVENT_EVICTED, b"evicted", core.lazy_evict)


cdef void count_time_over(Core *core, bint over) noexcept nogil:
    """How long memory is over the limit: from the first look that finds it so to the first that does not."""
    if over and core.over_memory_since_ns == 0:
        core.over_memory_since_ns = now_ns()
    elif not over and core.over_memory_since_ns != 0:
        core.statistics.over_memory_ns += now_ns() - core.over_memory_since_ns
        core.over_memory_since_ns = 0


cdef void settle(Core *core) noexcept nogil:
    """Memory is under the limit, whatever brought it there: no slice is due."""
    core.eviction.state = EVICTION_DONE
    count_time_over(core, False)


cdef int evict(Core *core) noexcept:
    """One slice; returns how it ended (EvictionState). While clients are paused nothing goes, and nothing fails."""
    cdef int64_t begin_ns = 0
    if core.gates & (GATE_PAUSED_WRITE | GATE_PAUSED_ALL):
        core.eviction.state = EVICTION_DONE
        return EVICTION_DONE
    count_time_over(core, True)
    core.eviction.timed = core.latency_event_ns > 0
    if core.eviction.timed:
        begin_ns = now_ns()
    evict_slice(&core.eviction, not core.import_mode)
    if core.eviction.timed:
        note_event(core, b"eviction-del", core.eviction.slowest_ns)
        note_event(core, b"eviction-cycle", now_ns() - begin_ns)
    if core.eviction.state == EVICTION_DONE:
        count_time_over(core, False)
    return core.eviction.state


cdef void note_event(Core *core, bytes event, int64_t taken_ns) noexcept:
    if taken_ns >= core.latency_event_ns:
        (<object>core.hooks).latency_event(event, taken_ns // 1000000)


cdef uint32_t make_room(Core *core, uint32_t closed) noexcept:
    if not over_memory(core):
        if core.over_memory_since_ns != 0:
            settle(core)
        return closed & ~<uint32_t>GATES_OF_MEMORY
    if evict(core) == EVICTION_FAILED:
        return closed & ~<uint32_t>GATE_EVICT_KEYS
    return closed & ~<uint32_t>GATES_OF_MEMORY


cdef void eviction_end(Core *core) noexcept nogil:
    forget_candidates(&core.eviction)


cdef class KeyEviction:
    """The limit of an engine's memory, as its server sees it. Belongs to the server's thread."""

    def set_limit(self, limit_bytes: int) -> bool:
        """All that the server may hold (maxmemory), 0: no limit. Whether it holds more: then the turn's end evicts."""
        self.core.eviction.limit_bytes = limit_bytes
        if limit_bytes > 0:
            self.core.gates |= GATES_OF_MEMORY
        else:
            self.core.gates &= ~<uint32_t>GATES_OF_MEMORY
            settle(self.core)
        if not over_memory(self.core):
            return False
        self.core.eviction.state = EVICTION_GOES_ON
        return True

    def set_policy(self, policy: str, samples: int, tenacity: int) -> None:
        """maxmemory-policy, maxmemory-samples and maxmemory-eviction-tenacity: how much time at once, 100: no end."""
        keys, _, order = policy.partition("-")
        forget_candidates(&self.core.eviction)
        self.core.eviction.order = ORDERS.get(order, EVICT_NOTHING)
        self.core.eviction.volatile_only = keys == "volatile"
        self.core.eviction.samples = samples
        if tenacity >= ENDLESS_TENACITY:
            self.core.eviction.slice_ns = -1
        elif tenacity <= STEADY_TENACITY:
            self.core.eviction.slice_ns = tenacity * SLICE_STEP_NS
        else:
            # 15 % more for each step: two minutes at 99.
            self.core.eviction.slice_ns = int(STEADY_TENACITY * SLICE_STEP_NS * 1.15 ** (tenacity - STEADY_TENACITY))

    def step(self) -> None:
        """Evict for a slice, if memory is over the limit; nothing goes while the data set comes in."""
        if self.core.gates & GATE_LOADING:
            return
        if over_memory(self.core):
            evict(self.core)
        elif self.core.eviction.state != EVICTION_DONE or self.core.over_memory_since_ns != 0:
            settle(self.core)

    def make_room(self) -> bool:
        """As `step`; whether what needs memory may run now."""
        self.step()
        return not over_memory(self.core) or self.core.eviction.state != EVICTION_FAILED

    @property
    def goes_on(self) -> bool:
        """Another slice is due: the loop does not sleep."""
        return self.core.eviction.state == EVICTION_GOES_ON

    def figures(self) -> dict[str, int]:
        """INFO's fields."""
        cdef int64_t now = 0
        if self.core.over_memory_since_ns != 0:
            now = now_ns() - self.core.over_memory_since_ns
        return {
            "evicted_keys": self.core.statistics.evicted_keys,
            "total_eviction_exceeded_time": (self.core.statistics.over_memory_ns + now) // 1000000,
            "current_eviction_exceeded_time": now // 1000000,
        }


cdef KeyEviction key_eviction(Core *core):
    cdef KeyEviction found = KeyEviction.__new__(KeyEviction)
    found.core = core
    core.eviction.keyspace = &core.keyspace
    core.eviction.databases = core.databases
    core.eviction.database_count = core.database_count
    core.eviction.samples = 1
    core.eviction.on_evicted = key_evicted
    core.eviction.context = core
    return found
