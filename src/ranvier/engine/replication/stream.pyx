"""The stream of changes that replicas follow.

Strategy: every byte is written once, into the last block of one list; the backlog is the list's last
`repl-backlog-size` bytes, and a replica is a position in it. A position holds its block, and so everything behind it:
slow replicas keep blocks that the backlog no longer needs, all of them together no more than the slowest alone. Blocks
are a 64th of the backlog, so that a position is found by walking a few of them, and that trimming is fine enough.

Invariants: the blocks are consecutive, `begin + used` of one being `begin` of the next, and the last one ends at
`core.replication_offset`; `references` counts the positions in a block; a replica in STAGE_STREAM has a position. While
nobody follows and no backlog is kept there is no block, and the offset stands still.
"""

from libc.string cimport memcpy, memset

from ranvier.engine.memory cimport allocate, ranvier_usable_size, release
from ranvier.engine.output cimport check_output_limits, queue_write

cdef enum:
    BLOCK_MINIMUM_BYTES = 16384
    BLOCK_MAXIMUM_BYTES = 1048576
    BLOCKS_OF_BACKLOG = 64


cdef void replication_begin(Core *core) noexcept:
    core.replication = allocate(&core.memory, sizeof(Replication))
    memset(core.replication, 0, sizeof(Replication))


cdef void replication_end(Core *core) noexcept:
    cdef Replication *replication = replication_of(core)
    if replication == NULL:
        return
    free_blocks(core)
    core.replication = NULL
    release(&core.memory, replication)


cdef void free_blocks(Core *core) noexcept nogil:
    cdef Replication *replication = replication_of(core)
    while replication.first != NULL:
        free_first(core, replication)
    replication.last = NULL


cdef void free_first(Core *core, Replication *replication) noexcept nogil:
    cdef StreamBlock *block = replication.first
    replication.first = block.next
    replication.block_count -= 1
    replication.bytes -= ranvier_usable_size(block)
    release(&core.memory, block)


cdef void note_surplus(Core *core) noexcept nogil:
    """Evicting keys feeds the stream: what slow replicas hold must not make more of them go."""
    core.eviction.uncounted_bytes = backlog_surplus(core)


cdef StreamBlock *add_block(Core *core) noexcept nogil:
    cdef Replication *replication = replication_of(core)
    cdef size_t size = replication.backlog_bytes // BLOCKS_OF_BACKLOG
    cdef StreamBlock *block
    size = min(max(size, <size_t>BLOCK_MINIMUM_BYTES), <size_t>BLOCK_MAXIMUM_BYTES)
    block = <StreamBlock *>allocate(&core.memory, size)
    block.next = NULL
    block.begin = core.replication_offset
    block.references = 0
    block.used = 0
    block.capacity = size - sizeof(StreamBlock)
    if replication.last == NULL:
        replication.first = block
    else:
        replication.last.next = block
    replication.last = block
    replication.block_count += 1
    replication.bytes += ranvier_usable_size(block)
    return block


cdef void backlog_begin(Core *core) noexcept nogil:
    replication_of(core).kept = True
    if replication_of(core).last == NULL:
        add_block(core)


cdef void backlog_end(Core *core) noexcept nogil:
    replication_of(core).kept = False
    free_blocks(core)
    note_surplus(core)


cdef void stream_feed(Core *core, const char *data, size_t length) noexcept nogil:
    cdef Replication *replication = replication_of(core)
    cdef StreamBlock *block = replication.last
    cdef Replica *replica = replication.first_replica
    cdef bint grown = False
    cdef size_t room
    if block == NULL:
        return
    while length > 0:
        room = block.capacity - block.used
        if room == 0:
            block = add_block(core)
            grown = True
            continue
        room = min(room, length)
        memcpy(<char *>(block + 1) + block.used, data, room)
        block.used += room
        core.replication_offset += room
        data += room
        length -= room
    while replica != NULL:
        if replica.stage == STAGE_STREAM and not replica.client.pending_write:
            queue_write(replica.client)
        replica = replica.next
    if grown:
        check_replicas(core, replication)


cdef void check_replicas(Core *core, Replication *replication) noexcept nogil:
    """The stream takes more memory: whoever is too far behind is given up."""
    cdef Replica *replica = replication.first_replica
    while replica != NULL:
        check_output_limits(replica.client)
        replica = replica.next
    note_surplus(core)


cdef void stream_trim(Core *core) noexcept nogil:
    cdef Replication *replication = replication_of(core)
    cdef StreamBlock *block = replication.first
    if block == NULL or block == replication.last or block.references > 0:
        return
    while block != replication.last and block.references == 0 and \
            core.replication_offset - block.begin - <int64_t>block.used >= <int64_t>replication.backlog_bytes:
        free_first(core, replication)
        block = replication.first
    note_surplus(core)


cdef bint position_take(Core *core, Position *position, int64_t offset) noexcept nogil:
    cdef Replication *replication = replication_of(core)
    cdef StreamBlock *block
    if replication.last == NULL and offset == core.replication_offset:
        add_block(core)
    block = replication.first
    if block == NULL or offset < block.begin or offset > core.replication_offset:
        return False
    if offset >= replication.last.begin:
        block = replication.last
    while offset > block.begin + <int64_t>block.used:
        block = block.next
    position_drop(position)
    block.references += 1
    position.block = block
    position.sent = <size_t>(offset - block.begin)
    return True


cdef void position_drop(Position *position) noexcept nogil:
    if position.block != NULL:
        position.block.references -= 1
        position.block = NULL


cdef int acknowledged_by(const Core *core, int64_t offset, bint on_disk) noexcept nogil:
    cdef const Replica *replica = replication_of(core).first_replica
    cdef int count = 0
    while replica != NULL:
        if replica.stage == STAGE_STREAM:
            count += (replica.on_disk if on_disk else replica.acknowledged) >= offset
        replica = replica.next
    return count
