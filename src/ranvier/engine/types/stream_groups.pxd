"""Consumer groups: what a group has delivered, and to whom, and what is not acknowledged yet.

A pending entry is one allocation; the group's index and its consumer's hold its address.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint32_t, uint64_t

from ranvier.engine.memory cimport Memory
from ranvier.engine.types.id_index cimport IdIndex, StreamId, index_find
from ranvier.engine.types.name_list cimport Named, NameList
from ranvier.engine.types.stream cimport Stream

cdef struct Consumer:
    Named name
    int64_t seen_ms              # wall clock: when it asked last
    int64_t active_ms            # when it got something last; -1: never
    IdIndex pending

cdef struct Pending:
    int64_t delivered_ms         # wall clock, of the last delivery
    uint64_t deliveries
    Consumer *consumer

cdef enum:
    ENTRIES_READ_UNKNOWN = -1

cdef struct Group:
    Named name
    StreamId last_id             # of the last entry it delivered
    int64_t entries_read         # how many there were up to last_id, since the stream was made
    IdIndex pending
    NameList consumers

# The place of a name in a list, found or to be; `found` tells which.
cdef uint32_t names_place(const NameList *names, const char *name, size_t length, bint *found) noexcept nogil

cdef Group *group_find(const Stream *stream, const char *name, size_t length) noexcept nogil
# Make a group of a name that is known to be absent.
cdef Group *group_add(Memory *memory, Stream *stream, const char *name, size_t length, StreamId last_id,
                      int64_t entries_read) noexcept nogil
cdef void group_delete(Memory *memory, Stream *stream, Group *group) noexcept nogil
# Free a group that no stream holds, at most `budget` of its parts, which goes down; True when it is gone.
cdef bint group_free(Memory *memory, Group *group, size_t *budget) noexcept nogil
cdef size_t group_effort(const Group *group) noexcept nogil
cdef Group *group_copy(Memory *memory, const Group *group) noexcept nogil
cdef size_t group_usage(const Group *group) noexcept nogil

cdef Consumer *consumer_find(const Group *group, const char *name, size_t length) noexcept nogil
cdef Consumer *consumer_add(Memory *memory, Group *group, const char *name, size_t length,
                            int64_t now_ms) noexcept nogil
# The consumer with what is pending for it, of which the number is returned.
cdef size_t consumer_delete(Memory *memory, Group *group, Consumer *consumer) noexcept nogil

# Have the entry pend for the consumer, whoever it pended for before.
cdef Pending *pending_give(Memory *memory, Group *group, Consumer *consumer, StreamId id) noexcept nogil
cdef bint pending_remove(Memory *memory, Group *group, StreamId id) noexcept nogil

cdef inline Pending *pending_find(const Group *group, StreamId id) noexcept nogil:
    return <Pending *>index_find(&group.pending, id)

# How many entries were added up to and with `id`; ENTRIES_READ_UNKNOWN when that cannot be told.
cdef int64_t stream_entries_until(const Stream *stream, StreamId id) noexcept nogil
# The group delivers the entry that follows: `last_id` and `entries_read` go on.
cdef void group_advance(const Stream *stream, Group *group, StreamId id) noexcept nogil
# How many entries it has not delivered; False: unknown. What a client claimed to have been read may make it negative.
cdef bint group_lag(const Stream *stream, const Group *group, int64_t *lag) noexcept nogil
# Whether the group is done with an entry: delivered and acknowledged.
cdef bint group_is_done(const Group *group, StreamId id) noexcept nogil
