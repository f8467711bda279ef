"""Reading.

Strategy: all reads of a turn go one behind the other into one shared buffer, and a client owns memory only while it
has the beginning of a request (or requests that wait until less is owed to it). A big argument is collected in a blob
that grows with what has arrived - never with what was announced - and becomes the command's argument without a copy.

Invariant: query[query_start:query_end] begins with a request's first byte; while `parser.big` is not full, what arrives
belongs to it alone, and the query ends where the big argument begins. A full one stays with a client that may not
execute; what arrives then follows in the query, where the parser looks for it behind the big argument.
"""

from libc.errno cimport EAGAIN, EINTR, errno
from libc.string cimport memcpy, memmove

from ranvier.engine.core cimport PHASE_CLOSING_AFTER_REPLY, Core, Part
from ranvier.engine.memory cimport Blob, blob_data, blob_grow, blob_new, release, resize
from ranvier.engine.replication.primary_link cimport limits_of
from ranvier.engine.request cimport parser_reset, wants_blob

cdef extern from "<sys/socket.h>" nogil:
    ssize_t recv(int fd, void *data, size_t size, int flags)

cdef enum:
    BLOB_FIRST_BYTES = 16384
    BIG_READ_BYTES = 1 << 20     # of a big argument at a time: a peer that sends as fast as this reads ends no read
    # Lifecycle A2-10, with the numbers of the reference servers.
    SHRINK_SPARE_BYTES = 4096
    SHRINK_CAPACITY_BYTES = 32768
    SHRINK_IDLE_MS = 2000


cdef inline bint fills_big(const Client *client) noexcept nogil:
    return client.parser.big != NULL and client.parser.big.size < <size_t>client.parser.bulk_length + 2


cdef void query_room(Client *client, size_t size) noexcept nogil:
    """Make room for `size` bytes behind query_end."""
    cdef size_t used = client.query_end - client.query_start
    if client.query_capacity - client.query_end >= size:
        return
    # What is consumed stands in front: move only when that pays for itself, so that each byte is moved O(1) times.
    if client.query_start > 0 and client.query_start >= used:
        memcpy(client.query, client.query + client.query_start, used)
        client.query_start = 0
        client.query_end = used
        if client.query_capacity - used >= size:
            return
    client.query_capacity = (client.query_end + size) * 2 if client.query_end > size else client.query_end + size
    client.query = <char *>resize(&client.core.memory, client.query, client.query_capacity)


cdef void blob_room(Client *client) noexcept nogil:
    cdef Blob *big = client.parser.big
    cdef size_t announced = <size_t>client.parser.bulk_length + 2, capacity
    if big.capacity > big.size:
        return
    capacity = big.size * 2 if big.size * 2 > BLOB_FIRST_BYTES else BLOB_FIRST_BYTES
    if capacity > announced:
        capacity = announced
    client.parser.big = blob_grow(&client.core.memory, big, capacity)


cdef int receive(Client *client, char *shared, size_t room, size_t *count) noexcept nogil:
    cdef Core *core = client.core
    cdef char *target = shared
    cdef int kind = RECEIVED_SHARED
    cdef ssize_t got
    cdef Blob *big
    if client.phase < PHASE_CLOSING_AFTER_REPLY:
        if fills_big(client):
            blob_room(client)
            big = client.parser.big
            target = blob_data(big) + big.size
            room = big.capacity - big.size
            if room > BIG_READ_BYTES:
                room = BIG_READ_BYTES
            kind = RECEIVED_OWN
        elif client.query_end > client.query_start:
            query_room(client, core.limits.read_minimum_bytes)
            target = client.query + client.query_end
            room = client.query_capacity - client.query_end
            kind = RECEIVED_OWN
    if kind == RECEIVED_SHARED and client.big_bytes != 0 and room > core.limits.read_before_big_bytes:
        room = core.limits.read_before_big_bytes
    while True:
        got = recv(client.fd, target, room, 0)
        if got >= 0 or errno != EINTR:
            break
    if got < 0:
        if errno == EAGAIN:
            return RECEIVED_NOTHING
        client.socket_error = errno
        return RECEIVED_ERROR
    if got == 0:
        return RECEIVED_END
    count[0] = got
    core.statistics.reads += 1
    core.statistics.input_bytes += got
    client.input_bytes += got
    client.active_ms = core.monotonic_ms
    if kind == RECEIVED_OWN:
        if fills_big(client):
            client.parser.big.size += got
        else:
            client.query_end += got
    return kind


cdef size_t append_input(Client *client, const char *data, size_t length) noexcept nogil:
    cdef Blob *big
    cdef size_t room
    if length == 0:
        return 0
    if not fills_big(client):
        query_room(client, length)
        memcpy(client.query + client.query_end, data, length)
        client.query_end += length
        return length
    blob_room(client)
    big = client.parser.big
    room = big.capacity - big.size
    room = length if length < room else room
    memcpy(blob_data(big) + big.size, data, room)
    big.size += room
    return room


cdef void collect_big(Client *client, const char *data, size_t length) noexcept nogil:
    """The first bytes of a big argument leave the query for a blob, with room by what the client has sent so far."""
    cdef size_t announced = <size_t>client.parser.bulk_length + 2
    cdef size_t room = 4 * length if 4 * length > client.big_bytes else client.big_bytes
    cdef Blob *big = blob_new(&client.core.memory, room if room < announced else announced)
    memcpy(blob_data(big), data, length)
    big.size = length
    client.parser.big = big


cdef void keep_remainder(Client *client, const char *data, size_t length, bint shared) noexcept nogil:
    cdef size_t kept = length
    if length == 0:
        if client.query != NULL:
            release(&client.core.memory, client.query)
            client.query = NULL
        client.query_start = client.query_end = client.query_capacity = 0
        return
    # Never the whole argument: had it all arrived, it would have been parsed.
    if wants_blob(&client.parser, limits_of(client)):
        kept = client.parser.position
        collect_big(client, data + kept, length - kept)
    if shared:
        client.query_start = client.query_end = 0
        query_room(client, kept)
        memcpy(client.query, data, kept)
        client.query_end = kept
    else:
        client.query_start = data - client.query
        client.query_end = client.query_start + kept


cdef size_t query_bytes(const Client *client) noexcept nogil:
    cdef size_t held = client.query_end - client.query_start + client.parser.blob_bytes
    return held + client.parser.big.size if client.parser.big != NULL else held


cdef size_t query_memory(const Client *client) noexcept nogil:
    cdef size_t held = client.query_capacity + client.parser.blob_bytes + client.parser.part_capacity * sizeof(Part)
    return held + client.parser.big.capacity if client.parser.big != NULL else held


cdef void query_shrink(Client *client) noexcept nogil:
    cdef size_t used = client.query_end - client.query_start
    cdef bint idle = client.core.monotonic_ms - client.active_ms > SHRINK_IDLE_MS
    if used == 0 or client.query_capacity - used <= SHRINK_SPARE_BYTES:
        return
    # Half-empty and large, or at rest: no room is kept for a client that may never go on.
    if not idle and (client.query_capacity <= SHRINK_CAPACITY_BYTES or client.query_capacity // 2 <= used):
        return
    memmove(client.query, client.query + client.query_start, used)
    client.query_start = 0
    client.query_end = used
    client.query_capacity = used
    client.query = <char *>resize(&client.core.memory, client.query, used)


cdef size_t query_limit(const Client *client) noexcept nogil:
    if client.authenticated:
        return limits_of(client).query_buffer_bytes
    return client.core.limits.unauthenticated_query_buffer_bytes


cdef void input_free(Client *client) noexcept nogil:
    parser_reset(&client.parser, &client.core.memory)
    release(&client.core.memory, client.query)
    client.query = NULL
    client.query_start = client.query_end = client.query_capacity = 0
