"""Items in the order of their 128-bit stream ids: a B+tree, for the blocks of a stream and for what pends in groups.

One node is 64 items or a little less; leaves are chained both ways. See id_index.pyx for the strategy.
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint16_t, uint64_t

from ranvier.engine.memory cimport Memory

cdef struct StreamId:
    uint64_t ms
    uint64_t sequence

cdef struct IdItem:
    StreamId id
    void *item                   # in an inner node: the child that holds the items from this id on

cdef struct IdNode:
    IdNode *previous             # of leaves
    IdNode *next
    uint16_t count
    uint16_t capacity            # items have room behind the struct

cdef struct IdIndex:
    IdNode *root                 # NULL: nothing in it
    IdNode *first                # leaves
    IdNode *last
    size_t count                 # items
    size_t nodes
    int height                   # 0: the root is a leaf

# A place in an index; it dies with the next change. `leaf` NULL: no such place.
cdef struct IdPlace:
    IdNode *leaf
    size_t at

cdef void index_init(IdIndex *self) noexcept nogil
# Add an item under an id that is known to be absent.
cdef void index_insert(Memory *memory, IdIndex *self, StreamId id, void *item) noexcept nogil
# Take the id's item out; NULL if there is none.
cdef void *index_remove(Memory *memory, IdIndex *self, StreamId id) noexcept nogil
# The first place whose id is `id` or later; False: there is none.
cdef bint index_from(const IdIndex *self, StreamId id, IdPlace *place) noexcept nogil
# The last place whose id is `id` or earlier; False: there is none.
cdef bint index_until(const IdIndex *self, StreamId id, IdPlace *place) noexcept nogil
# Free all nodes; the items are the caller's.
cdef void index_clear(Memory *memory, IdIndex *self) noexcept nogil
# An index of the same shape with the same items.
cdef void index_copy(Memory *memory, const IdIndex *self, IdIndex *copy) noexcept nogil
# Bytes of all nodes.
cdef size_t index_bytes(const IdIndex *self) noexcept nogil


cdef inline int id_compare(StreamId a, StreamId b) noexcept nogil:
    if a.ms != b.ms:
        return 1 if a.ms > b.ms else -1
    if a.sequence != b.sequence:
        return 1 if a.sequence > b.sequence else -1
    return 0


cdef inline StreamId id_of(uint64_t ms, uint64_t sequence) noexcept nogil:
    cdef StreamId id
    id.ms = ms
    id.sequence = sequence
    return id


cdef inline StreamId id_smallest() noexcept nogil:
    return id_of(0, 0)


cdef inline StreamId id_largest() noexcept nogil:
    return id_of(<uint64_t>-1, <uint64_t>-1)


cdef inline bint id_is_zero(StreamId id) noexcept nogil:
    return id.ms == 0 and id.sequence == 0


cdef inline bint id_increment(StreamId *id) noexcept nogil:
    """The next id; False (and unchanged) if there is none."""
    if id.sequence != <uint64_t>-1:
        id.sequence += 1
    elif id.ms != <uint64_t>-1:
        id.ms += 1
        id.sequence = 0
    else:
        return False
    return True


cdef inline bint id_decrement(StreamId *id) noexcept nogil:
    """The id before; False (and unchanged) if there is none."""
    if id.sequence != 0:
        id.sequence -= 1
    elif id.ms != 0:
        id.ms -= 1
        id.sequence = <uint64_t>-1
    else:
        return False
    return True


cdef inline IdItem *node_items(const IdNode *node) noexcept nogil:
    return <IdItem *>(node + 1)


cdef inline IdItem *place_item(const IdPlace *place) noexcept nogil:
    return node_items(place.leaf) + place.at


cdef inline bint index_first(const IdIndex *self, IdPlace *place) noexcept nogil:
    place.leaf = self.first
    place.at = 0
    return self.first != NULL


cdef inline bint index_last(const IdIndex *self, IdPlace *place) noexcept nogil:
    place.leaf = self.last
    place.at = <size_t>self.last.count - 1 if self.last != NULL else 0
    return self.last != NULL


cdef inline bint place_step(IdPlace *place, bint forward) noexcept nogil:
    """Move to the next or the previous place; False: there is none, and `leaf` is NULL."""
    if forward:
        place.at += 1
        if place.at < place.leaf.count:
            return True
        place.leaf = place.leaf.next
        place.at = 0
        return place.leaf != NULL
    if place.at > 0:
        place.at -= 1
        return True
    place.leaf = place.leaf.previous
    if place.leaf == NULL:
        return False
    place.at = <size_t>place.leaf.count - 1
    return True


cdef inline void *index_find(const IdIndex *self, StreamId id) noexcept nogil:
    """The id's item, NULL if there is none."""
    cdef IdPlace place
    if index_from(self, id, &place) and id_compare(place_item(&place).id, id) == 0:
        return place_item(&place).item
    return NULL
