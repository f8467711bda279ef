"""The client at the other end of which is this server's primary.

What differs from other clients: it is obeyed, so that most gates do not concern it; its replies go nowhere (it is
silent, as CLIENT REPLY OFF makes a client), acknowledgements excepted; keys and fields are what the primary says they
are, so that it sees those whose time has passed; and its input is counted and handed on.

Strategy. The stream's bytes go on to backlog and replicas as they came, at the moment when they are applied. A big
argument would be read into memory of its own; here all input stays in one piece instead, so that a range of the buffer
in hand is what was sent. While a transaction is open, or a pause holds a request back, its bytes are kept (`held`):
a link that is lost then goes on from before the MULTI.

Invariant: between executions `offset` counts exactly the bytes whose effects are in the data set, `held` has those that
are executed without effect yet, and what the client's query has is not executed.
"""

from libc.stdint cimport INT64_MAX, int64_t
from libc.string cimport memcpy, memset

from ranvier.engine.client cimport ClientHandle
from ranvier.engine.core cimport (
    GATE_CLUSTER,
    GATE_DISK_ERROR,
    GATE_EVICT_KEYS,
    GATE_GOOD_REPLICAS,
    GATE_OUT_OF_MEMORY,
    GATE_READ_ONLY,
    GATE_REDIRECT,
    GATE_STALE,
    PHASE_BLOCKED,
    REPLY_OFF,
    REQUEST_NONE,
    Core,
)
from ranvier.engine.input cimport query_bytes
from ranvier.engine.memory cimport allocate, release, resize
from ranvier.engine.modes.surroundings cimport hush, speak, update_surrounded
from ranvier.engine.output cimport output_append
from ranvier.engine.replication.stream cimport stream_feed

from ranvier import limits


cdef inline bint is_applied(const Client *client) noexcept nogil:
    """Nothing that was executed waits for its effect."""
    return client.transaction == NULL and client.phase != PHASE_BLOCKED


cdef void hold(Client *client, const char *data, size_t length) noexcept nogil:
    cdef PrimaryLink *link = link_of(client)
    if link.held_bytes + length > link.held_capacity:
        link.held_capacity = 2 * (link.held_bytes + length)
        link.held = <char *>resize(&client.core.memory, link.held, link.held_capacity)
    memcpy(link.held + link.held_bytes, data, length)
    link.held_bytes += length


cdef void hand_on(Client *client, const char *data, size_t length) noexcept nogil:
    cdef PrimaryLink *link = link_of(client)
    link.offset += length
    stream_feed(client.core, data, length)


cdef void hand_on_held(Client *client) noexcept nogil:
    cdef PrimaryLink *link = link_of(client)
    if link.held != NULL:
        hand_on(client, link.held, link.held_bytes)
        release(&client.core.memory, link.held)
        link.held = NULL
        link.held_bytes = link.held_capacity = 0


cdef bint begins_inline(const Client *client, const char *data, size_t length) noexcept nogil:
    cdef size_t i
    if client.parser.kind != REQUEST_NONE:
        return False             # in the middle of one
    for i in range(length):
        if data[i] != c'\r' and data[i] != c'\n':
            return data[i] != c'*'
    return False


cdef bint link_executes(Client *client, const char *data, size_t length) noexcept nogil:
    cdef PrimaryLink *link = link_of(client)
    link.batch = data
    if link.begin == NULL:
        link.begin = link.end = data
    return not begins_inline(client, data, length)


cdef void link_executed(Client *client, size_t end) noexcept nogil:
    if is_applied(client):
        link_of(client).end = link_of(client).batch + end


cdef void link_settles(Client *client, const char *end) noexcept nogil:
    cdef PrimaryLink *link = link_of(client)
    if link.begin == NULL:
        return
    if is_applied(client):
        link.end = end
    if link.end > link.begin:
        hand_on_held(client)
        hand_on(client, link.begin, link.end - link.begin)
    if end > link.end:
        hold(client, link.end, end - link.end)
    link.begin = link.end = NULL


cdef void link_retried(Client *client) noexcept nogil:
    if link_of(client).begin == NULL and is_applied(client):
        hand_on_held(client)


cdef int64_t applied_offset(const Client *client) noexcept nogil:
    """What is applied so far, in the middle of an execution too."""
    cdef const PrimaryLink *link = link_of(client)
    if link.begin == NULL or link.end == link.begin:
        return link.offset
    return link.offset + <int64_t>link.held_bytes + (link.end - link.begin)


cdef void link_leave(Client *client) noexcept nogil:
    cdef PrimaryLink *link = link_of(client)
    if link == NULL:
        return
    client.primary_link = NULL
    if link.held != NULL:
        release(&client.core.memory, link.held)
    release(&client.core.memory, link)


# ---- what the server asks -------------------------------------------------------------------------------------------

cdef Client *linked(ClientHandle handle) except NULL:
    cdef Client *client = handle.added()
    if client.primary_link == NULL:
        raise ValueError("the client is no link to a primary")
    return client


def begin_link(ClientHandle handle, offset: int, database_index: int) -> None:
    """Make a client, which is added to an engine, the link to the primary.

    offset: bytes of the stream that this server has applied. database_index: the one that the stream has selected.
    """
    cdef Client *client = handle.added()
    cdef Core *core = client.core
    cdef PrimaryLink *link = <PrimaryLink *>allocate(&core.memory, sizeof(PrimaryLink))
    memset(link, 0, sizeof(PrimaryLink))
    link.offset = offset
    link.limits = core.limits
    link.limits.bulk_bytes = limits.PRIMARY_BULK_BYTES
    link.limits.query_buffer_bytes = limits.PRIMARY_QUERY_BUFFER_BYTES
    link.limits.big_argument_bytes = INT64_MAX
    client.primary_link = link
    client.obeyed = client.deny_blocking = client.no_evict = True
    client.exempt_gates = GATE_CLUSTER | GATE_DISK_ERROR | GATE_EVICT_KEYS | GATE_GOOD_REPLICAS | GATE_OUT_OF_MEMORY \
        | GATE_READ_ONLY | GATE_REDIRECT | GATE_STALE
    client.reply_mode = REPLY_OFF
    handle.authenticated = True
    handle.user = "(superuser)"
    handle.select(database_index)
    update_surrounded(client)


def link_offset(ClientHandle handle) -> int:
    """Bytes of the stream that are applied."""
    return applied_offset(linked(handle))


def link_read_offset(ClientHandle handle) -> int:
    """Bytes of the stream that have arrived."""
    cdef Client *client = linked(handle)
    return link_of(client).offset + link_of(client).held_bytes + query_bytes(client)


def link_idle_ms(ClientHandle handle) -> int:
    """Time since the primary was last heard."""
    cdef Client *client = linked(handle)
    return client.core.monotonic_ms - client.active_ms


def acknowledge(ClientHandle handle, synced_offset: int = -1) -> None:
    """Tell the primary how far this server is. synced_offset: what survives a crash, or -1 for nothing to tell of."""
    cdef Client *client = linked(handle)
    cdef bint was_silent
    number = b"%d" % applied_offset(client)
    text = b"*%d\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$%d\r\n%b\r\n" % (3 if synced_offset < 0 else 5, len(number), number)
    if synced_offset >= 0:
        number = b"%d" % synced_offset
        text += b"$4\r\nFACK\r\n$%d\r\n%b\r\n" % (len(number), number)
    was_silent = speak(client)
    output_append(client, text, len(text))
    hush(client, was_silent)
