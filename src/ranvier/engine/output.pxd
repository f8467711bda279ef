"""The output buffer of a client: a block on loan, a chain of blocks, referenced large values, exact accounting."""

from libc.stddef cimport size_t

from ranvier.engine.core cimport Block, Client, Core
from ranvier.engine.memory cimport Blob

cdef char *output_extend(Client *client, size_t size) noexcept nogil
cdef void queue_write(Client *client) noexcept nogil


cdef inline char *output_room(Client *client, size_t size) noexcept nogil:
    """`size` contiguous bytes (at most 4096) to write to; follow with output_commit."""
    cdef Block *tail = client.tail
    if tail != NULL and tail.capacity - tail.used >= size and tail.capacity != 0:
        return <char *>tail.data + tail.used
    return output_extend(client, size)


cdef inline void output_commit(Client *client, size_t size) noexcept nogil:
    client.tail.used += size
    client.owed_bytes += size
    if not client.pending_write:
        queue_write(client)


cdef void output_append(Client *client, const char *data, size_t size) noexcept nogil
# Refer to a part of the blob instead of copying it; takes a reference.
cdef void output_reference(Client *client, Blob *blob, const char *data, size_t size) noexcept nogil
# Send up to the turn's share. Bytes sent, 0 when the socket takes nothing, -1 with errno.
cdef ssize_t output_write(Client *client) noexcept nogil
# All that is owed, as if it had been sent.
cdef bytes output_take(Client *client)
cdef void output_free(Client *client) noexcept nogil
# An output buffer of one block, in place of the one that the caller keeps. Follow with output_free.
cdef void output_begin_unsent(Client *client) noexcept nogil
# Whether the client has more unsent than its class may have: then it is closing, and counted.
cdef bint check_output_limits(Client *client) noexcept nogil
# All memory of the output buffer, the first block included.
cdef size_t output_memory(const Client *client) noexcept nogil
# Memory of the first block, the one that the limits do not count; 0 when the client holds none.
cdef size_t first_block_bytes(const Client *client) noexcept nogil
cdef void free_spare_blocks(Core *core, size_t keep) noexcept nogil
# Memory of the blocks that are kept for the next replies.
cdef size_t spare_bytes(const Core *core) noexcept nogil
