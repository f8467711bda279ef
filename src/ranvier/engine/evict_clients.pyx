"""Eviction of clients by memory (lifecycle A9).

Strategy: while the option is on, each client's share of a total is brought up to date where its memory changes - behind
what it ran, behind every block of replies it is given, behind each write, and by the periodic look - and the client
moves between buckets of doubling size. Crossing the limit closes one gate, which lets dispatch evict before the next
command of anybody; `before_sleep` evicts for those who run none. Victims come from the largest bucket that is not
empty, oldest first, and are counted again before they go: what a client holds now decides.

Invariants: core.buckets.bytes is the sum of counted_bytes; a client is in a bucket exactly while it may be evicted, so
that a total held by others only closes no gate; a closed client is in none. Nobody walks a list here: after each
victim the largest bucket is looked for anew (lesson 1).
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint32_t

from ranvier.engine.client cimport ClientHandle, teardown
from ranvier.engine.client_memory cimport client_bytes, clients_bytes
from ranvier.engine.core cimport (
    CLASS_REPLICA,
    CLIENT_BUCKETS,
    GATE_EVICT_CLIENTS,
    PHASE_CLOSING,
    Buckets,
)
from ranvier.engine.phase cimport CLOSE_EVICTED, request_close

cdef enum:
    FIRST_BUCKET_BYTES = 32768


cdef int bucket_for(size_t size) noexcept nogil:
    """From 1: below 32 KB, below 64 KB, and so on; the last has no end."""
    cdef int bucket = 1
    size //= FIRST_BUCKET_BYTES
    while size > 0 and bucket < CLIENT_BUCKETS:
        size >>= 1
        bucket += 1
    return bucket


cdef void leave_bucket(Client *client) noexcept nogil:
    cdef Buckets *buckets = &client.core.buckets
    cdef int place = client.bucket - 1
    if place < 0:
        return
    if client.previous_in_bucket != NULL:
        client.previous_in_bucket.next_in_bucket = client.next_in_bucket
    else:
        buckets.first[place] = client.next_in_bucket
    if client.next_in_bucket != NULL:
        client.next_in_bucket.previous_in_bucket = client.previous_in_bucket
    else:
        buckets.last[place] = client.previous_in_bucket
    client.previous_in_bucket = client.next_in_bucket = NULL
    client.bucket = 0
    buckets.count -= 1


cdef void join_bucket(Client *client, int bucket) noexcept nogil:
    cdef Buckets *buckets = &client.core.buckets
    client.bucket = bucket
    client.previous_in_bucket = buckets.last[bucket - 1]
    if client.previous_in_bucket != NULL:
        client.previous_in_bucket.next_in_bucket = client
    else:
        buckets.first[bucket - 1] = client
    buckets.last[bucket - 1] = client
    buckets.count += 1


cdef void set_due(Core *core) noexcept nogil:
    if 0 < core.limits.clients_bytes <= core.buckets.bytes and core.buckets.count > 0:
        core.gates |= GATE_EVICT_CLIENTS
    else:
        core.gates &= ~<uint32_t>GATE_EVICT_CLIENTS


cdef void count_client(Client *client) noexcept nogil:
    cdef size_t now
    cdef int bucket = 0
    # Who has no socket is a part of this program, or closed.
    if client.fd < 0 or client.client_class == CLASS_REPLICA or client.phase == PHASE_CLOSING:
        uncount_client(client)
        return
    now = client_bytes(client)
    client.core.buckets.bytes += now - client.counted_bytes      # unsigned: less is added as a wrap
    client.counted_bytes = now
    if not client.no_evict:
        bucket = bucket_for(now)
    if bucket != client.bucket:
        leave_bucket(client)
        if bucket > 0:
            join_bucket(client, bucket)
    set_due(client.core)


cdef void uncount_client(Client *client) noexcept nogil:
    leave_bucket(client)
    client.core.buckets.bytes -= client.counted_bytes
    client.counted_bytes = 0
    set_due(client.core)


cdef Client *largest(Core *core) noexcept nogil:
    """The first of the highest bucket in use."""
    cdef int place
    for place in range(CLIENT_BUCKETS - 1, -1, -1):
        if core.buckets.first[place] != NULL:
            return core.buckets.first[place]
    return NULL


cdef void evict(Core *core) except *:
    cdef Client *client
    while core.gates & GATE_EVICT_CLIENTS:
        client = largest(core)
        count_client(client)             # may move it, or empty the bucket: then look again
        if client != largest(core) or not core.gates & GATE_EVICT_CLIENTS:
            continue
        (<object>core.hooks).evicting_client(<ClientHandle>client.handle)
        core.statistics.evicted_clients += 1
        uncount_client(client)
        request_close(client, CLOSE_EVICTED)
        if not client.busy:              # else nothing more of it runs, and the free step does the rest
            teardown(client)
    if 0 < core.limits.clients_bytes <= core.buckets.bytes:
        (<object>core.hooks).clients_stay_too_large()


cdef class ClientMemory:
    """The memory of an engine's clients, as its server sees it. Belongs to the server's thread."""

    def set_limit(self, limit_bytes: int) -> None:
        """What all clients with a socket, replicas left out, may hold together (maxmemory-clients); 0: no limit."""
        cdef Client *client = self.core.first
        self.core.limits.clients_bytes = limit_bytes
        while client != NULL:            # nobody leaves the list meanwhile
            if limit_bytes > 0:
                count_client(client)
            else:
                uncount_client(client)
            client = client.next

    def evict(self) -> None:
        """Close the largest clients until the rest is under the limit. Nothing happens while it is."""
        if self.core.gates & GATE_EVICT_CLIENTS:
            evict(self.core)

    @property
    def bytes_of_clients(self) -> int:
        """Everybody but replicas."""
        return clients_bytes(self.core, False)

    @property
    def bytes_of_replicas(self) -> int:
        return clients_bytes(self.core, True)

    @property
    def counted_bytes(self) -> int:
        """What the limit is compared with: the running total, 0 while there is no limit."""
        return self.core.buckets.bytes


cdef ClientMemory client_memory(Core *core):
    cdef ClientMemory found = ClientMemory.__new__(ClientMemory)
    found.core = core
    return found
