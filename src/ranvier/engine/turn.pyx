"""What the steps of a turn do to clients: receive, process, write, and look after them.

Input comes in three ways - into the shared buffer, behind a client's own remainder, into a big argument - and all end
in `process`. Output leaves in one way, `write_clients`, which also moves the closing phases on: nobody else sends.
"""

from libc.stdint cimport int64_t, uintptr_t

from ranvier.engine.admin cimport admin_writes_first
from ranvier.engine.client cimport ClientHandle, teardown
from ranvier.engine.clocks cimport now_ns
from ranvier.engine.core cimport (
    CLASS_NORMAL,
    EVENT_EXPIRED,
    PHASE_BLOCKED,
    PHASE_CLOSED,
    PHASE_CLOSING,
    PHASE_CLOSING_AFTER_REPLY,
    PHASE_DRAINING,
    PHASE_HANDSHAKE,
    PHASE_READY,
)
from ranvier.engine.dispatch cimport process_requests
from ranvier.engine.effects cimport key_goes
from ranvier.engine.evict_clients cimport count_client
from ranvier.engine.evict_keys cimport over_memory
from ranvier.engine.field_expiry cimport expire_fields_slice
from ranvier.engine.figures cimport roll_peaks
from ranvier.engine.input cimport (
    RECEIVED_END,
    RECEIVED_ERROR,
    RECEIVED_NOTHING,
    RECEIVED_SHARED,
    append_input,
    keep_remainder,
    query_bytes,
    query_limit,
    query_shrink,
    receive,
)
from ranvier.engine.modes.blocked cimport blocked_leave, retry_held
from ranvier.engine.output cimport check_output_limits, output_take, output_write, queue_write
from ranvier.engine.phase cimport (
    CLOSE_BUG,
    CLOSE_IDLE,
    CLOSE_PEER,
    CLOSE_PROXY,
    CLOSE_QUERY_LIMIT,
    CLOSE_READ_ERROR,
    CLOSE_WRITE_ERROR,
    close_after_reply,
    may_execute,
    request_close,
    set_phase,
)
from ranvier.engine.poll cimport poll_watch
from ranvier.engine.replication.primary_link cimport link_retried
from ranvier.engine.replication.replica_output cimport write_replica
from ranvier.engine.replication.stream cimport replica_of
from ranvier.engine.store.database cimport Database, database_expire_slice

cdef extern from "<sys/socket.h>" nogil:
    enum:
        MSG_PEEK
        SHUT_WR
    int shutdown(int fd, int how)
    ssize_t recv(int fd, void *data, size_t size, int flags)


# ---- reading --------------------------------------------------------------------------------------------------------

cdef bint receive_event(Core *core, const PollEvent *event, char *shared, size_t room, Received *received,
                        size_t *used) noexcept nogil:
    cdef Client *client = <Client *>event.token
    used[0] = 0
    if event.writable and (client.owed_bytes > 0 or client.replica != NULL):
        queue_write(client)
    received.client = client
    received.data = shared
    received.count = 0
    # Who is held back and has hung up sends no more: what it has sent is still read.
    if event.readable and client.reading or event.hangup and client.yielded:
        received.kind = receive(client, shared, room, &received.count)
    elif event.hangup:
        received.kind = RECEIVED_ERROR
    else:
        return False
    if received.kind == RECEIVED_SHARED:
        used[0] = received.count
    return received.kind != RECEIVED_NOTHING


cdef void serve(Core *core, Received *received) except *:
    cdef Client *client = received.client
    if client.phase != PHASE_READY and not serves_input(core, received):
        return
    if received.kind == RECEIVED_ERROR:
        request_close(client, CLOSE_READ_ERROR)
    elif received.kind == RECEIVED_END:
        end_of_input(client)
    elif received.kind == RECEIVED_SHARED:
        process(core, client, received.data, received.count, True)
    else:
        process(core, client, client.query + client.query_start, client.query_end - client.query_start, False)


cdef bint serves_input(Core *core, Received *received) except -1:
    """What came to a client that is not READY; true when it is to be taken as a READY client's."""
    cdef Client *client = received.client
    if client.phase == PHASE_CLOSING or client.phase == PHASE_CLOSED:
        return False
    if received.kind == RECEIVED_ERROR or received.kind == RECEIVED_END or client.phase == PHASE_BLOCKED:
        return True
    if client.phase == PHASE_DRAINING:
        client.linger_bytes += received.count
        if client.linger_bytes > core.limits.linger_bytes:
            request_close(client, client.close_reason)
    elif client.phase == PHASE_HANDSHAKE:
        if received.kind == RECEIVED_SHARED:
            shake_hands(core, client, received.data, received.count, True)
        else:
            shake_hands(core, client, client.query + client.query_start, client.query_end - client.query_start, False)
    return False                 # CLOSING_AFTER_REPLY: read and forgotten, nothing more is parsed


cdef void shake_hands(Core *core, Client *client, char *data, size_t length, bint shared) except *:
    """Show the hook what has come so far. It says how long the handshake was: 0 when incomplete, negative when bad."""
    cdef size_t limit = core.limits.handshake_bytes
    cdef Py_ssize_t taken
    try:
        taken = (<object>core.hooks).handshake(<ClientHandle>client.handle, data[:length if length < limit else limit])
    except Exception as error:
        (<object>core.hooks).bug(<ClientHandle>client.handle, error)
        request_close(client, CLOSE_BUG)
        return
    if client.phase != PHASE_HANDSHAKE:
        return                   # refused: its last line is on the way
    if taken < 0 or (taken == 0 and length >= limit):
        request_close(client, CLOSE_PROXY)
    elif taken == 0:
        keep_remainder(client, data, length, shared)
    else:
        set_phase(client, PHASE_READY)
        process(core, client, data + taken, length - taken, shared)


cdef void feed_client(Core *core, Client *client, const char *data, size_t length) except *:
    cdef size_t taken
    if client.busy:
        raise RuntimeError("a client cannot be fed by a command of its own")
    while client.phase < PHASE_CLOSING_AFTER_REPLY:
        taken = append_input(client, data, length)
        process(core, client, client.query + client.query_start, client.query_end - client.query_start, False)
        data += taken
        length -= taken
        if length == 0:
            break


cdef bytes client_output(Client *client):
    cdef bytearray taken = bytearray()
    while client.owed_bytes > 0 and client.phase < PHASE_CLOSING:
        taken += output_take(client)
        if client.stalled:
            feed_client(client.core, client, NULL, 0)
    if client.phase == PHASE_CLOSING_AFTER_REPLY:
        request_close(client, client.close_reason)
    return bytes(taken)


cdef void note_big(Client *client) noexcept nogil:
    """Remember how big an argument this client sends: whoever sent one is likely to send the next."""
    cdef size_t trust = client.core.limits.big_argument_trust_bytes
    if client.parser.big != NULL:
        client.big_bytes = client.parser.big.size if client.parser.big.size < trust else trust


cdef void process(Core *core, Client *client, char *data, size_t length, bint shared) except *:
    """Parse and execute data[0:length], which is the shared buffer's or the client's own query, and keep the rest.

    An exception is a bug outside the handlers (a hook, a listener): that one client is closed (design, law 13).
    """
    cdef size_t done
    if client.replica != NULL:           # whatever it says: one that loads its snapshot sends empty lines meanwhile
        replica_of(client).heard_ms = core.monotonic_ms
    if client.parser.big != NULL and client.parser.big.size < <size_t>client.parser.bulk_length + 2:
        done = 0
    elif client.phase == PHASE_BLOCKED or (
            client.stalled and not shared and (client.yielded or client.owed_bytes > core.limits.owed_bytes)):
        done = 0
    else:
        note_big(client)
        try:
            done = process_requests(core, client, data, length)
        except Exception as error:
            (<object>core.hooks).bug(<ClientHandle>client.handle, error)
            request_close(client, CLOSE_BUG)
            return
    if client.phase >= PHASE_CLOSING_AFTER_REPLY:
        return
    if done < length:
        if client.yielded:       # back-pressure: what is here waits already, and goes on by itself
            want(client, length - done <= core.limits.read_ahead_bytes and not client.end_of_input, client.want_write)
    elif shared:
        client.big_bytes = 0
    keep_remainder(client, data + done, length - done, shared)
    length = query_bytes(client)
    if length > <size_t>core.statistics.input_peak_bytes:
        core.statistics.input_peak_bytes = length
    if length + client.kept_bytes > query_limit(client):
        core.statistics.query_buffer_disconnections += 1
        (<object>core.hooks).query_limit_reached(<ClientHandle>client.handle)
        request_close(client, CLOSE_QUERY_LIMIT)


cdef void end_of_input(Client *client) except *:
    """The peer has shut its sending side: everything it asked for is still delivered (lifecycle A6-7)."""
    client.end_of_input = True
    want(client, False, client.want_write)
    if client.phase == PHASE_DRAINING:
        request_close(client, client.close_reason)
    elif client.replica != NULL:
        request_close(client, CLOSE_PEER)
    elif not client.stalled and client.phase != PHASE_CLOSING_AFTER_REPLY:
        blocked_leave(client)        # nothing more is served to it, even while it is still owed replies
        client.linger = False
        close_after_reply(client, CLOSE_PEER)


cdef void want(Client *client, bint read, bint write) noexcept nogil:
    if client.reading == read and client.want_write == write:
        return
    if poll_watch(client.core.poller, client.fd, <uintptr_t>client, read, write, client.reading, client.want_write,
                  True) < 0:
        # Nobody would tell when it can be read from or written to again: it would hang for ever.
        request_close(client, CLOSE_WRITE_ERROR if write else CLOSE_READ_ERROR)
        return
    client.reading = read
    client.want_write = write


cdef void resume_clients(Core *core) except *:
    cdef Client *client = NULL
    cdef Client *following
    cdef bint yielded
    while core.waiting != NULL:      # the list is in reverse: who may go on first, goes on first
        following = core.waiting.next_waiting
        core.waiting.next_waiting = client
        client = core.waiting
        core.waiting = following
    while client != NULL:
        following = client.next_waiting
        client.waiting = False
        client.next_waiting = NULL
        yielded = client.yielded
        client.yielded = False
        # A pause held it back: its request, and all that it sent behind it, run before the next one's.
        if client.phase == PHASE_BLOCKED:
            retry_held(core, client)
            if client.primary_link != NULL:
                link_retried(client)
        if may_execute(client) and client.query_end > client.query_start:
            client.stalled = False
            process(core, client, client.query + client.query_start, client.query_end - client.query_start, False)
            if client.end_of_input and not client.stalled and client.phase < PHASE_CLOSING_AFTER_REPLY:
                blocked_leave(client)
                close_after_reply(client, CLOSE_PEER)
            if core.limits.clients_bytes > 0:
                count_client(client)
        # Whatever it waits for now - a key, the peer - it must hear of the peer's end.
        if yielded and not client.yielded and client.phase < PHASE_CLOSING and not client.end_of_input:
            want(client, True, client.want_write)
        client = following


cdef void recall_yielded(Core *core) noexcept nogil:
    cdef Client *first = core.yielded
    while first.next_waiting != NULL:
        first = first.next_waiting
    first.next_waiting = core.waiting        # both lists are in reverse: who is there already goes on before them
    core.waiting = core.yielded
    core.yielded = NULL


# ---- writing --------------------------------------------------------------------------------------------------------

cdef void write_clients(Core *core) noexcept nogil:
    cdef Client *client = core.pending_writes
    cdef Client *following
    cdef bint counted = core.limits.clients_bytes > 0
    core.pending_writes = NULL
    core.pending_write_count = 0
    if core.admins != NULL:
        client = admin_writes_first(client)
    while client != NULL:
        following = client.next_pending_write
        client.pending_write = False
        client.next_pending_write = NULL
        if client.phase < PHASE_CLOSING:
            write_client(core, client)
            if counted:
                count_client(client)
        client = following


cdef void write_client(Core *core, Client *client) noexcept nogil:
    cdef size_t owed = client.owed_bytes, share = core.limits.write_bytes_per_turn
    cdef ssize_t sent
    if client.replica != NULL:
        write_replica(core, client)
        return
    sent = output_write(client)
    # Who watches everybody gets more than a share, and so does everyone while memory is short (lifecycle A6-3).
    if client.owed_bytes > 0 and (client.monitor != NULL or over_memory(core)):
        while sent > 0 and client.owed_bytes > 0:
            sent = output_write(client)
    if sent < 0:
        request_close(client, CLOSE_WRITE_ERROR)
        return
    if <int64_t>owed > core.statistics.output_peak_bytes:
        core.statistics.output_peak_bytes = owed
    if client.owed_bytes == 0:
        want(client, client.reading, False)
        written(core, client)
    elif <size_t>sent >= share:
        queue_write(client)      # its share of this turn, not what the socket takes
    else:
        want(client, client.reading, True)
    if client.stalled and not client.waiting and client.owed_bytes <= core.limits.owed_bytes:
        client.waiting = True
        client.next_waiting = core.waiting
        core.waiting = client


cdef void written(Core *core, Client *client) noexcept nogil:
    cdef char peeked
    if client.phase == PHASE_CLOSING_AFTER_REPLY:
        # Input that nobody reads would make the kernel answer with a reset, which can eat the last reply.
        if not client.end_of_input and (client.linger or recv(client.fd, &peeked, 1, MSG_PEEK) > 0):
            shutdown(client.fd, SHUT_WR)
            client.linger_until_ms = core.monotonic_ms + core.limits.linger_ms
            set_phase(client, PHASE_DRAINING)
        else:
            request_close(client, client.close_reason)


# ---- looking after them ---------------------------------------------------------------------------------------------

cdef void check_some_clients(Core *core, size_t count) except *:
    cdef Client *client
    cdef int64_t now = core.monotonic_ms
    roll_peaks(core)
    while count > 0 and core.first != NULL:
        count -= 1
        client = core.next_checked
        if client == NULL:
            client = core.first
        core.next_checked = client.next
        if client.fd < 0:
            continue
        if client.phase == PHASE_DRAINING:
            if now >= client.linger_until_ms:
                request_close(client, client.close_reason)
        elif client.phase == PHASE_HANDSHAKE:
            if now - client.created_ms >= core.limits.handshake_ms:
                (<object>core.hooks).handshake_late(<ClientHandle>client.handle)
                request_close(client, CLOSE_PROXY)
        elif core.limits.idle_seconds > 0 and client.phase < PHASE_CLOSING and client.phase != PHASE_BLOCKED \
                and not client.obeyed and client.client_class == CLASS_NORMAL and client.monitor == NULL \
                and (now - client.active_ms) // 1000 > core.limits.idle_seconds:
            request_close(client, CLOSE_IDLE)
        elif (client.owed_bytes > 0 or client.replica != NULL) and check_output_limits(client):
            (<object>core.hooks).output_limit_reached(<ClientHandle>client.handle, True)
            if not client.busy:
                teardown(client)
        look_at_memory(core, client)


cdef void look_at_memory(Core *core, Client *client) noexcept nogil:
    cdef int64_t input_bytes = query_bytes(client), output_bytes = client.owed_bytes
    query_shrink(client)
    if input_bytes > core.statistics.input_peak_bytes:
        core.statistics.input_peak_bytes = input_bytes
    if output_bytes > core.statistics.output_peak_bytes:
        core.statistics.output_peak_bytes = output_bytes
    if core.limits.clients_bytes > 0:
        count_client(client)


cdef bint expire_some_keys(Core *core) noexcept:
    cdef int i
    cdef size_t seen, expired
    cdef Database *database
    cdef int64_t end_ns = now_ns() + core.limits.expire_ns
    for i in range(core.database_count):
        database = core.databases[i]
        while database.expires.count > 0:
            seen = 0
            expired = database_expire_slice(database, core.limits.expire_buckets, &seen)
            if now_ns() > end_ns:
                return expired * 10 > seen
            if expired * 10 <= seen:
                break
        while database.volatile_hashes.count > 0 and core.keyspace.expires_are_deletes:
            seen = 0
            expired = expire_fields_slice(core, database, core.limits.expire_buckets, &seen)
            if now_ns() > end_ns:
                return expired * 10 > seen
            if expired * 10 <= seen:
                break
    return False


cdef void key_expired(void *context, void *database, const char *key, size_t length) noexcept:
    """An expired key goes: the effect call of the databases' own deletions."""
    cdef Core *core = <Core *>context
    key_goes(core, <Database *>database, key, length, EVENT_EXPIRED, b"expired", core.lazy_expire)


cdef void link_client(Core *core, Client *client) noexcept:
    client.previous = core.last
    if core.last != NULL:
        core.last.next = client
    else:
        core.first = client
    core.last = client
    core.client_count += 1
    core.memory.used_bytes += sizeof(Client)


cdef bint take_out(Client **link, Client *client) noexcept:
    """Take the client out of a list of those that wait; whether it was in it."""
    while link[0] != NULL:
        if link[0] == client:
            link[0] = client.next_waiting
            client.waiting = False
            return True
        link = &link[0].next_waiting
    return False


cdef void unlink_client(Core *core, Client *client) noexcept:
    cdef Client **link = &core.pending_writes
    if client.waiting and not take_out(&core.yielded, client):
        take_out(&core.waiting, client)
    while client.pending_write and link[0] != NULL:
        if link[0] == client:
            link[0] = client.next_pending_write
            client.pending_write = False
            core.pending_write_count -= 1
        else:
            link = &link[0].next_pending_write
    if core.next_checked == client:
        core.next_checked = client.next
    if client.previous != NULL:
        client.previous.next = client.next
    else:
        core.first = client.next
    if client.next != NULL:
        client.next.previous = client.previous
    else:
        core.last = client.previous
    core.client_count -= 1
    core.memory.used_bytes -= sizeof(Client)


cdef bint owes_replies(const Core *core) noexcept nogil:
    cdef Client *client = core.first
    while client != NULL:
        if client.owed_bytes > 0 and client.phase < PHASE_CLOSING and client.fd >= 0:
            return True
        client = client.next
    return False


cdef bint closes_in_progress(const Core *core) noexcept nogil:
    cdef Client *client = core.first
    while client != NULL:
        if client.phase >= PHASE_CLOSING_AFTER_REPLY and client.phase != PHASE_CLOSED and client.fd >= 0:
            return True
        client = client.next
    return False
