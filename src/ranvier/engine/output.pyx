"""The output buffer of a client.

Strategy: an idle client holds nothing. The first reply takes a 16 KB block from the core's free list, more replies
chain more blocks, a large value is a node that refers to the value's blob. The write step sends from `sent` bytes into
the head and gives blocks back as they empty, so a write resumes at the exact byte.

Invariants: `owed_bytes` is the sum of all `used` less `sent`; `output_bytes` is the memory of every node but a first
block, and is what the limits measure (that block is the static buffer of the reference servers, which they do not count
either; a referenced value counts wherever it stands). A blob under a node is never changed: its owner copies first.
Once a client is closing, replies still being built are written over and over into its last block and never sent; while
it is silent (CLIENT REPLY), they go the same way in a block of their own (engine/modes/surroundings).
"""

from libc.errno cimport EAGAIN, EINTR, errno
from libc.string cimport memcpy, memset

from ranvier.engine.core cimport PHASE_CLOSED, PHASE_CLOSING
from ranvier.engine.evict_clients cimport count_client
from ranvier.engine.memory cimport allocate, blob_release, ranvier_usable_size, release
from ranvier.engine.phase cimport CLOSE_OUTPUT_LIMIT, CLOSE_UNAUTHENTICATED, request_close
from ranvier.engine.replication.stream cimport replica_lag
from ranvier.engine.sockets cimport MSG_NOSIGNAL, iovec, msghdr, send, sendmsg

cdef enum:
    BLOCK_BYTES = 16384          # one allocation, its header included
    VECTORS = 64


cdef Block *block_take(Core *core) noexcept nogil:
    cdef Block *block = core.free_blocks
    if block != NULL:
        core.free_blocks = block.next
        core.free_block_count -= 1
    else:
        block = <Block *>allocate(&core.memory, BLOCK_BYTES)
        core.statistics.blocks_taken += 1
        block.capacity = BLOCK_BYTES - sizeof(Block)
        block.data = <const char *>(block + 1)
        block.blob = NULL
    block.next = NULL
    block.used = 0
    return block


cdef void block_give_back(Core *core, Block *block) noexcept nogil:
    if block.capacity == 0:
        blob_release(&core.memory, block.blob)
        release(&core.memory, block)
    elif core.free_block_count < core.limits.free_blocks:
        block.next = core.free_blocks
        core.free_blocks = block
        core.free_block_count += 1
    else:
        release(&core.memory, block)
        core.statistics.blocks_freed += 1


cdef void free_spare_blocks(Core *core, size_t keep) noexcept nogil:
    cdef Block *block
    while core.free_block_count > keep:
        block = core.free_blocks
        core.free_blocks = block.next
        core.free_block_count -= 1
        release(&core.memory, block)
        core.statistics.blocks_freed += 1


cdef size_t spare_bytes(const Core *core) noexcept nogil:
    return 0 if core.free_blocks == NULL else core.free_block_count * ranvier_usable_size(core.free_blocks)


cdef inline size_t node_bytes(const Block *block) noexcept nogil:
    return block.used + sizeof(Block) if block.capacity == 0 else BLOCK_BYTES


cdef void chain(Client *client, Block *block) noexcept nogil:
    if client.tail == NULL:
        client.head = block
    else:
        client.tail.next = block
    if client.head != block or block.capacity == 0:
        client.output_bytes += node_bytes(block)
        client.output_blocks += 1
    client.tail = block


cdef void uncount(Client *client, const Block *block) noexcept nogil:
    client.output_bytes -= node_bytes(block)
    client.output_blocks -= 1


cdef bint is_closing(const Client *client) noexcept nogil:
    return client.phase == PHASE_CLOSING or client.phase == PHASE_CLOSED


cdef char *output_extend(Client *client, size_t size) noexcept nogil:
    if client.tail != NULL and client.tail.capacity != 0 and (client.silent or is_closing(client)):
        client.owed_bytes -= client.tail.used - (client.sent if client.tail == client.head else 0)
        client.tail.used = 0
        if client.tail == client.head:
            client.sent = 0
        return <char *>client.tail.data
    chain(client, block_take(client.core))
    if client.output_blocks > 0:
        check_output_limits(client)
    if client.core.limits.clients_bytes > 0:
        count_client(client)
    return <char *>client.tail.data


cdef void output_begin_unsent(Client *client) noexcept nogil:
    client.head = client.tail = block_take(client.core)
    client.sent = client.owed_bytes = client.output_bytes = client.output_blocks = 0


cdef void queue_write(Client *client) noexcept nogil:
    if client.fd >= 0 and not client.pending_write:
        client.pending_write = True
        client.next_pending_write = client.core.pending_writes
        client.core.pending_writes = client
        client.core.pending_write_count += 1


cdef void output_append(Client *client, const char *data, size_t size) noexcept nogil:
    cdef size_t room
    cdef char *target
    while size > 0:
        target = output_room(client, 1)
        room = client.tail.capacity - client.tail.used
        if room > size:
            room = size
        memcpy(target, data, room)
        output_commit(client, room)
        data += room
        size -= room


cdef void output_reference(Client *client, Blob *blob, const char *data, size_t size) noexcept nogil:
    cdef Block *block
    if client.silent or is_closing(client):
        return
    block = <Block *>allocate(&client.core.memory, sizeof(Block))
    blob.references += 1
    block.next = NULL
    block.used = size
    block.capacity = 0
    block.data = data
    block.blob = blob
    chain(client, block)
    client.owed_bytes += size
    queue_write(client)
    check_output_limits(client)
    if client.core.limits.clients_bytes > 0:
        count_client(client)


cdef void advance(Client *client, size_t count) noexcept nogil:
    """`count` bytes have left: give back the blocks that are empty now."""
    cdef Block *block
    client.owed_bytes -= count
    count += client.sent
    while client.head != NULL and count >= client.head.used:
        block = client.head
        count -= block.used
        client.head = block.next
        if block.capacity == 0:
            uncount(client, block)
        if client.head == NULL:
            client.tail = NULL
        elif client.head.capacity != 0:
            uncount(client, client.head)
        block_give_back(client.core, block)
    client.sent = count


cdef ssize_t output_write(Client *client) noexcept nogil:
    cdef iovec[VECTORS] vectors
    cdef msghdr message
    cdef Block *block = client.head
    cdef size_t gathered = 0, skip = client.sent
    cdef int count = 0
    cdef ssize_t sent
    if block == NULL:
        return 0
    while block != NULL and count < VECTORS and gathered < client.core.limits.write_bytes_per_turn:
        vectors[count].iov_base = <void *>(block.data + skip)
        vectors[count].iov_len = block.used - skip
        if gathered + vectors[count].iov_len > client.core.limits.write_bytes_per_turn:
            vectors[count].iov_len = client.core.limits.write_bytes_per_turn - gathered
        gathered += vectors[count].iov_len
        skip = 0
        count += 1
        block = block.next
    while True:
        if count == 1:
            sent = send(client.fd, vectors[0].iov_base, vectors[0].iov_len, MSG_NOSIGNAL)
        else:
            memset(&message, 0, sizeof(msghdr))
            message.msg_iov = vectors
            message.msg_iovlen = count
            sent = sendmsg(client.fd, &message, MSG_NOSIGNAL)
        if sent >= 0 or errno != EINTR:
            break
    client.core.statistics.writes += 1
    if sent < 0:
        if errno == EAGAIN:
            return 0
        client.socket_error = errno
        return -1
    advance(client, sent)
    client.output_bytes_total += sent
    client.core.statistics.output_bytes += sent
    if client.primary_link == NULL:      # of a primary, what counts is when it was heard (lifecycle A6-6)
        client.active_ms = client.core.monotonic_ms
    return sent


cdef bytes output_take(Client *client):
    cdef bytearray taken = bytearray()
    cdef size_t size
    while client.head != NULL:
        size = client.head.used - client.sent
        taken += client.head.data[client.sent:client.sent + size]
        advance(client, size)
    return bytes(taken)


cdef void output_free(Client *client) noexcept nogil:
    cdef Block *block
    while client.head != NULL:
        block = client.head
        client.head = block.next
        block_give_back(client.core, block)
    client.tail = NULL
    client.sent = 0
    client.owed_bytes = 0
    client.output_bytes = 0
    client.output_blocks = 0


cdef size_t first_block_bytes(const Client *client) noexcept nogil:
    return BLOCK_BYTES if client.head != NULL and client.head.capacity != 0 else 0


cdef size_t output_memory(const Client *client) noexcept nogil:
    return client.output_bytes + first_block_bytes(client)


cdef bint check_output_limits(Client *client) noexcept nogil:
    cdef Core *core = client.core
    cdef int which = client.client_class
    cdef size_t hard = core.limits.output_hard_bytes[which], soft = core.limits.output_soft_bytes[which]
    cdef size_t held = client.output_bytes + replica_lag(client)
    cdef bint over = hard > 0 and held >= hard
    if client.fd < 0 or is_closing(client):
        return False
    if not client.ever_authenticated and client.output_bytes > core.limits.unauthenticated_output_bytes:
        over = True
    if soft > 0 and held >= soft:
        if client.soft_limit_since_ms == 0:
            client.soft_limit_since_ms = core.monotonic_ms
        # Whole seconds, as the reference servers count them: "more than N" is at least N + 1.
        elif (core.monotonic_ms - client.soft_limit_since_ms) // 1000 > core.limits.output_soft_seconds[which]:
            over = True
    else:
        client.soft_limit_since_ms = 0
    if over:
        core.statistics.output_buffer_disconnections += 1
        request_close(client, CLOSE_OUTPUT_LIMIT if client.ever_authenticated else CLOSE_UNAUTHENTICATED)
    return over
