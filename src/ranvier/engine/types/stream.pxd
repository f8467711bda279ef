"""The stream type: blocks of entries in the order of their ids, and the consumer groups that read them.

A block is a listpack in Redis's stream format, which stream_block.pxd describes. See stream.pyx for the strategy.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint64_t

from ranvier.engine.core cimport Arg
from ranvier.engine.memory cimport Memory
from ranvier.engine.store.value cimport ValueKind
from ranvier.engine.types.id_index cimport IdIndex, IdPlace, StreamId
from ranvier.engine.types.name_list cimport NameList
from ranvier.engine.types.stream_block cimport BlockHead

cdef struct Stream:
    IdIndex blocks               # Listpacks, by the id of the entry that began them
    uint64_t length              # entries, without deleted ones
    StreamId last_id             # of the newest entry there ever was
    StreamId first_id            # of the oldest entry; 0-0: there is none
    StreamId max_deleted_id      # the largest that XDEL deleted
    uint64_t entries_added       # since the stream was made
    NameList groups

# When a block is full; 0: no such limit.
cdef struct BlockLimits:
    size_t bytes
    int64_t entries

# An entry as the cursor stands on it; addresses die with every change of the stream.
cdef struct StreamCursor:
    IdPlace block
    BlockHead head               # of the block
    const uint8_t *entry         # its flags
    StreamId id
    int64_t flags
    size_t field_count
    const uint8_t *fields        # the block's, if the entry has the same ones, else its own
    const uint8_t *values        # the first value; behind its field, if the entry has fields of its own
    const uint8_t *behind        # the element behind the last value, NULL while nobody has been there

cdef enum TrimStrategy:
    TRIM_NOTHING = 0
    TRIM_TO_LENGTH = 1
    TRIM_TO_ID = 2

cdef struct Trim:
    int strategy
    bint approximate             # whole blocks only
    uint64_t length              # that is left
    StreamId id                  # of the oldest entry that may be left
    uint64_t limit               # on entries that go; 0: none

cdef const ValueKind *stream_kind() noexcept nogil

cdef Stream *stream_new(Memory *memory) noexcept nogil
cdef void stream_free(Memory *memory, Stream *self) noexcept nogil

# Append an entry of `count` arguments (fields and values in turn), whose id is larger than `last_id`. False: too large.
cdef bint stream_append(Memory *memory, Stream *self, StreamId id, const Arg *pairs, size_t count,
                        const BlockLimits *limits) noexcept nogil

# Stand on the first entry from `id` on, or (not forward) on the last one up to it. False: there is none.
cdef bint stream_seek(const Stream *self, StreamId id, bint forward, StreamCursor *cursor) noexcept nogil
cdef bint stream_step(StreamCursor *cursor, bint forward) noexcept nogil
# How many entries there are from the cursor's to `last`, but no more than `limit`, which is not 0.
cdef uint64_t stream_count(const StreamCursor *cursor, StreamId last, bint forward, uint64_t limit) noexcept nogil
cdef bint stream_has(const Stream *self, StreamId id) noexcept nogil

# Delete the entry; False if there is none. `first_id` and `max_deleted_id` follow.
cdef bint stream_delete(Memory *memory, Stream *self, StreamId id) noexcept nogil
# Returns how many entries went.
cdef uint64_t stream_trim(Memory *memory, Stream *self, const Trim *trim) noexcept nogil
# Set `first_id` to what it is.
cdef void stream_find_first(Stream *self) noexcept nogil
