"""Eviction of keys when memory is over `maxmemory`.

Strategy (redis.conf, "maxmemory-policy" and "maxmemory-samples"): no order of all keys is kept. For each key that goes,
a few keys of every database are sampled, and the best of them join a pool of sixteen, ranked by idle time, by how
seldom they are used or by how soon they expire; the first of the pool that is still there, and has not been used since,
goes. So what was seen and spared before competes with what is seen now: few samples come close to the true order.
Samples are neighbours in the table from a random bucket on: one or two cache lines, and the headers of their entries.
They are considered from a random one on: among equals the first has the advantage, and the first place of a bucket is
where keys stand that have been there for long.

Values that are already detached count as used memory until they are freed, so they are freed before another key goes:
the eviction of one large value does not take others with it. Freeing is lazy whatever the options say; they choose
what is propagated. A slice ends when its time is up: that is looked at every CLOCK_STEPS keys and behind all garbage.

Invariant: a candidate owns its copy of the key and nothing else; the pool never refers to an entry.
"""

from libc.stdint cimport UINT64_MAX
from libc.string cimport memcpy, memmove

from ranvier.engine.clocks cimport now_ns
from ranvier.engine.memory cimport allocate, release
from ranvier.engine.store.access cimport entry_frequency, entry_idle_seconds, next_random
from ranvier.engine.store.database cimport database_delete, database_find, database_hash
from ranvier.engine.store.entry cimport Entry, entry_expiry, entry_key, entry_key_length
from ranvier.engine.store.garbage cimport free_garbage, garbage_waits
from ranvier.engine.store.table cimport Table, table_find, table_random, table_visit

cdef enum:
    CLOCK_STEPS = 16             # keys that go before the clock is read again
    GARBAGE_ITEMS = 256          # freed before the clock is read again
    BUCKETS_PER_SAMPLE = 10      # looked into, at most, where most are empty
    FREQUENCIES = 255
    SEEN = 128                   # of one sampling: maxmemory-samples is 64 at most, and a last bucket goes beyond it


cdef struct Sampling:
    int missing
    int count
    const Entry *seen[SEEN]


cdef inline Table *evictable(Eviction *eviction, Database *database) noexcept nogil:
    return &database.expires if eviction.volatile_only else &database.keys


cdef inline uint64_t rank_of(const Eviction *eviction, const Entry *entry) noexcept nogil:
    if eviction.order == EVICT_LRU:
        return entry_idle_seconds(eviction.keyspace, entry)
    if eviction.order == EVICT_LFU:
        return FREQUENCIES - entry_frequency(eviction.keyspace, entry)
    return UINT64_MAX - <uint64_t>entry_expiry(entry)


cdef void drop_candidate(Eviction *eviction, int place) noexcept nogil:
    release(eviction.keyspace.memory, eviction.pool[place].key)
    eviction.pool_count -= 1
    memmove(&eviction.pool[place], &eviction.pool[place + 1], (eviction.pool_count - place) * sizeof(Candidate))


cdef void consider(Eviction *eviction, Database *database, const Entry *entry) noexcept nogil:
    """Put a sampled entry into the pool, if it is better than the worst there or there is room."""
    cdef Candidate *candidate
    cdef uint64_t rank = rank_of(eviction, entry)
    cdef int place = 0
    if eviction.pool_count == CANDIDATES:
        if rank <= eviction.pool[0].rank:
            return
        drop_candidate(eviction, 0)
    while place < eviction.pool_count and eviction.pool[place].rank < rank:
        place += 1
    candidate = &eviction.pool[place]
    memmove(candidate + 1, candidate, (eviction.pool_count - place) * sizeof(Candidate))
    eviction.pool_count += 1
    candidate.rank = rank
    candidate.database = database
    candidate.length = entry_key_length(entry)
    candidate.key = <char *>allocate(eviction.keyspace.memory, candidate.length)
    memcpy(candidate.key, entry_key(entry), candidate.length)
    candidate.hash = database_hash(database, candidate.key, candidate.length)


cdef void see(void *context, void *item) noexcept nogil:
    cdef Sampling *sampling = <Sampling *>context
    sampling.missing -= 1
    if sampling.count < SEEN:
        sampling.seen[sampling.count] = <const Entry *>item
        sampling.count += 1


cdef bint sample(Eviction *eviction) noexcept nogil:
    """Look at some keys of every database; whether there are any.

    Whole buckets, even if that is a few keys more: a key in the last place of a full bucket would never be seen.
    """
    cdef Sampling sampling
    cdef Table *table
    cdef size_t index
    cdef int i, j, first, tries
    cdef bint found = False
    for i in range(eviction.database_count):
        table = evictable(eviction, eviction.databases[i])
        if table.count == 0:
            continue
        found = True
        sampling.missing = eviction.samples
        sampling.count = 0
        tries = BUCKETS_PER_SAMPLE * eviction.samples
        index = (next_random(&eviction.keyspace.random) >> 32) % table.buckets
        if <size_t>tries > table.buckets:
            tries = <int>table.buckets               # no key twice
        while sampling.missing > 0 and tries > 0:
            table_visit(table, index, &see, &sampling)
            index = index + 1 if index + 1 < table.buckets else 0
            tries -= 1
        first = <int>((next_random(&eviction.keyspace.random) >> 32) % SEEN)
        for j in range(sampling.count):
            consider(eviction, eviction.databases[i], sampling.seen[(first + j) % sampling.count])
    return found


cdef Entry *ranked_entry(Eviction *eviction, Database **database) noexcept nogil:
    """The best of the pool that is still there, after another look at some keys; NULL: there is no key."""
    cdef Candidate candidate
    cdef void **slot
    while sample(eviction):
        while eviction.pool_count > 0:
            eviction.pool_count -= 1
            candidate = eviction.pool[eviction.pool_count]
            slot = table_find(evictable(eviction, candidate.database), candidate.hash, candidate.key, candidate.length)
            release(eviction.keyspace.memory, candidate.key)
            # Who has been used since is no candidate any more.
            if slot != NULL and rank_of(eviction, <Entry *>slot[0]) >= candidate.rank:
                database[0] = candidate.database
                return <Entry *>slot[0]
    return NULL


cdef Entry *random_entry(Eviction *eviction, Database **database) noexcept nogil:
    """Some entry of the next database that has any; NULL: there is no key."""
    cdef Table *table
    cdef int _i
    for _i in range(eviction.database_count):
        eviction.next_database = (eviction.next_database + 1) % eviction.database_count
        database[0] = eviction.databases[eviction.next_database]
        table = evictable(eviction, database[0])
        if table.count > 0:
            return <Entry *>table_random(table, &eviction.keyspace.random)
    return NULL


cdef bint evict_key(Eviction *eviction) noexcept:
    """Have one key go, by eviction or because its time has come anyway; false: there is none."""
    cdef Database *database = NULL
    cdef Entry *entry
    cdef const char *key
    cdef size_t length
    cdef uint64_t hash
    if eviction.order == EVICT_NOTHING:
        return False
    if eviction.order == EVICT_RANDOM:
        entry = random_entry(eviction, &database)
    else:
        entry = ranked_entry(eviction, &database)
    if entry == NULL:
        return False
    key = entry_key(entry)
    length = entry_key_length(entry)
    hash = database_hash(database, key, length)
    if database_find(database, hash, key, length) != NULL:       # else it has expired, and is gone
        if eviction.on_evicted != NULL:
            eviction.on_evicted(eviction.context, database, key, length)
        database_delete(database, hash, key, length, True)
    return True


cdef bint evict_timed(Eviction *eviction) noexcept:
    cdef int64_t begin_ns = now_ns(), taken_ns
    cdef bint found = evict_key(eviction)
    taken_ns = now_ns() - begin_ns
    if taken_ns > eviction.slowest_ns:
        eviction.slowest_ns = taken_ns
    return found


cdef int evict_slice(Eviction *eviction, bint deletes) noexcept:
    cdef int64_t begin_ns = 0
    cdef int steps = 0
    eviction.slowest_ns = 0
    eviction.state = EVICTION_DONE
    while eviction.keyspace.memory.used_bytes - eviction.uncounted_bytes > eviction.limit_bytes:
        if garbage_waits(eviction.keyspace):
            free_garbage(eviction.keyspace, GARBAGE_ITEMS)
            steps = CLOCK_STEPS
        elif deletes and (evict_timed(eviction) if eviction.timed else evict_key(eviction)):
            steps += 1
        else:
            eviction.state = EVICTION_FAILED
            break
        if steps < CLOCK_STEPS or eviction.slice_ns < 0:
            continue
        steps = 0
        if begin_ns == 0:
            begin_ns = now_ns()
        elif now_ns() - begin_ns >= eviction.slice_ns:
            # Where no key may go, what is being freed may not be enough.
            eviction.state = EVICTION_GOES_ON if deletes and eviction.order != EVICT_NOTHING else EVICTION_FAILED
            break
    return eviction.state


cdef void forget_candidates(Eviction *eviction) noexcept nogil:
    while eviction.pool_count > 0:
        drop_candidate(eviction, eviction.pool_count - 1)
