"""The access clock of a key: 24 bits, either the LRU clock's seconds or LFU minutes (16) and a logarithmic counter (8).

The counter is Redis's (redis.conf, "lfu-log-factor" and "lfu-decay-time"): it rises with a probability that falls as it
grows, and loses one for every lfu_decay_minutes without an access. Header only, because every look-up comes here.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint32_t, uint64_t

from ranvier.engine.store.entry cimport Entry, entry_access, entry_set_access
from ranvier.engine.store.keyspace cimport Keyspace

cdef enum:
    LFU_INITIAL = 5
    ACCESS_MASK = 0xffffff


cdef inline uint64_t next_random(uint64_t *state) noexcept nogil:
    """xorshift64 (Marsaglia, "Xorshift RNGs", 2003)."""
    state[0] ^= state[0] << 13
    state[0] ^= state[0] >> 7
    state[0] ^= state[0] << 17
    return state[0]


cdef inline uint32_t lfu_minutes(const Keyspace *keyspace) noexcept nogil:
    return <uint32_t>(keyspace.wall_ms // 60000) & 0xffff


cdef inline uint32_t lfu_counter(const Keyspace *keyspace, const Entry *entry) noexcept nogil:
    """The counter as it stands now: one less for every lfu_decay_minutes since the last access."""
    cdef uint32_t counter = entry_access(entry) & 0xff
    cdef uint32_t periods
    if keyspace.lfu_decay_minutes == 0:
        return counter
    periods = ((lfu_minutes(keyspace) - (entry_access(entry) >> 8)) & 0xffff) // <uint32_t>keyspace.lfu_decay_minutes
    return counter - periods if periods < counter else 0


cdef inline uint32_t lfu_increment(Keyspace *keyspace, uint32_t counter) noexcept nogil:
    """Logarithmic count: one more with probability 1 / ((counter - LFU_INITIAL) * lfu_log_factor + 1)."""
    cdef uint64_t above = counter - LFU_INITIAL if counter > LFU_INITIAL else 0
    cdef uint64_t chances = above * <uint64_t>keyspace.lfu_log_factor + 1
    if counter < 255 and (next_random(&keyspace.random) >> 16) % chances == 0:
        return counter + 1
    return counter


cdef inline uint32_t initial_access(const Keyspace *keyspace) noexcept nogil:
    if keyspace.lfu:
        return (lfu_minutes(keyspace) << 8) | LFU_INITIAL
    return keyspace.lru_clock & ACCESS_MASK


cdef inline void entry_touch(Keyspace *keyspace, Entry *entry) noexcept nogil:
    cdef uint32_t access
    if keyspace.no_touch:
        return
    if keyspace.lfu:
        access = (lfu_minutes(keyspace) << 8) | lfu_increment(keyspace, lfu_counter(keyspace, entry))
    else:
        access = keyspace.lru_clock & ACCESS_MASK
    if access != entry_access(entry):        # a look-up that changes nothing leaves the cache line clean
        entry_set_access(entry, access)


cdef inline int64_t entry_idle_seconds(const Keyspace *keyspace, const Entry *entry) noexcept nogil:
    return (keyspace.lru_clock - entry_access(entry)) & ACCESS_MASK


cdef inline uint32_t entry_frequency(const Keyspace *keyspace, const Entry *entry) noexcept nogil:
    return lfu_counter(keyspace, entry)
