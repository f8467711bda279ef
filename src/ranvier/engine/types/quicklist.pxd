"""The chain of listpacks that a list becomes when one listpack is not enough.

Invariants: no node is empty; `count` and `nodes` are exact; a node's `count` is its listpack's, and what changes it
outside of the ends goes through `quicklist_recount`. Only the two end nodes keep spare room: a node that stops being an
end is fitted to its content. The nodes between the ends are in the index (quicklist_index.pxd): whoever links and
unlinks here sees to that; a chain that is being freed has none any more. Header only, as listpack.pxd is.
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy

from ranvier.engine.memory cimport Blob, Memory, allocate, blob_data, blob_new, blob_release, release
from ranvier.engine.types.listpack cimport (
    LISTPACK_EMPTY_BYTES, LISTPACK_END, LISTPACK_HEADER_BYTES, Listpack, element_size, listpack_add_count,
    listpack_allocate, listpack_append, listpack_bytes, listpack_fit, listpack_first, listpack_free, listpack_new,
    listpack_size, listpack_slim, listpack_splice, store_u32,
)
from ranvier.engine.types.quicklist_index cimport (
    ListNode, index_find, index_insert, index_remove, index_tell, node_is_inner,
)

cdef enum:
    FILL_SAFETY_LIMIT_BYTES = 8192         # of a listpack whose limit is a number of elements
    FILL_LEVELS = 5                        # list-max-listpack-size -1 to -5: 4, 8, 16, 32, 64 KB
    FILL_COUNT_LIMIT = 32767               # larger positive values mean this one
    NODE_LIMIT_BYTES = 1048576             # LSET may fill a node past its limit, up to here; then it is split
    NODE_FIRST_CAPACITY_BYTES = 1024       # of a new end node: its predecessor was filled, so it will be too

# What may go into one listpack.
cdef struct Fill:
    int limit                              # list-max-listpack-size: elements, or -1 to -5 for 4 to 64 KB
    uint32_t plain_bytes                   # from here on an element has a node of its own; 0: beyond the limit

cdef struct Quicklist:
    ListNode *head
    ListNode *tail
    ListNode *root                         # of the index
    size_t count                           # elements
    size_t nodes
    Fill fill                              # of the configuration when the list became one


# --- limits ------------------------------------------------------------------------------------------------------

cdef inline Fill fill_of(int limit, uint32_t plain_bytes) noexcept nogil:
    cdef Fill fill
    fill.limit = limit
    fill.plain_bytes = plain_bytes
    return fill


cdef inline size_t fill_limit_bytes(Fill fill) noexcept nogil:
    """Bytes that one listpack may take."""
    if fill.limit >= 0:
        return FILL_SAFETY_LIMIT_BYTES
    return <size_t>2048 << (FILL_LEVELS if fill.limit < -FILL_LEVELS else -fill.limit)


cdef inline size_t fill_limit_count(Fill fill) noexcept nogil:
    """Elements that one listpack may hold, where the limit counts elements."""
    return 1 if fill.limit == 0 else <size_t>fill.limit


cdef inline bint fill_exceeded(Fill fill, size_t size, size_t count) noexcept nogil:
    return size > fill_limit_bytes(fill) or (fill.limit >= 0 and count > fill_limit_count(fill))


cdef inline bint fill_allows_half(Fill fill, size_t size, size_t count) noexcept nogil:
    """Whether a listpack takes at most half of what it may: the margin against changing back and forth."""
    if fill.limit >= 0:
        return count <= fill_limit_count(fill) // 2
    return size <= fill_limit_bytes(fill) // 2


cdef inline bint fill_is_large(Fill fill, size_t length) noexcept nogil:
    """Whether an element of so many bytes gets a node of its own."""
    return length >= fill.plain_bytes if fill.plain_bytes else length > fill_limit_bytes(fill)


cdef inline bint node_accepts(const ListNode *node, Fill fill, size_t length) noexcept nogil:
    """Whether an element of so many bytes may join the node; its encoding is estimated at eight bytes."""
    return (node != NULL and node.pack != NULL and not fill_is_large(fill, length)
            and not fill_exceeded(fill, listpack_size(node.pack) + length + 8, node.count + 1))


# --- nodes -------------------------------------------------------------------------------------------------------

cdef inline ListNode *node_new(Memory *memory, Listpack *pack, Blob *blob, size_t count) noexcept nogil:
    cdef ListNode *node = <ListNode *>allocate(memory, sizeof(ListNode))
    node.previous = NULL
    node.next = NULL
    node.pack = pack
    node.blob = blob
    node.count = count
    return node


cdef inline ListNode *node_for_element(Memory *memory, Fill fill, const char *data, size_t length,
                                       size_t capacity) noexcept nogil:
    """A node that holds this one element: plain if it is large."""
    cdef Blob *blob
    if fill_is_large(fill, length):
        blob = blob_new(memory, length)
        memcpy(blob_data(blob), data, length)
        blob.size = length
        return node_new(memory, NULL, blob, 1)
    return node_new(memory, listpack_append(memory, listpack_new(memory, capacity), data, length), NULL, 1)


cdef inline void node_free(Memory *memory, ListNode *node) noexcept nogil:
    if node.pack != NULL:
        listpack_free(memory, node.pack)
    else:
        blob_release(memory, node.blob)
    release(memory, node)


cdef inline void node_settle(Memory *memory, ListNode *node) noexcept nogil:
    """Take the spare room of a node that is no end any more."""
    if node.pack != NULL and node_is_inner(node):
        node.pack = listpack_fit(memory, node.pack)


# --- the chain ---------------------------------------------------------------------------------------------------

cdef inline Quicklist *quicklist_new(Memory *memory, Fill fill) noexcept nogil:
    cdef Quicklist *self = <Quicklist *>allocate(memory, sizeof(Quicklist))
    self.head = NULL
    self.tail = NULL
    self.root = NULL
    self.count = 0
    self.nodes = 0
    self.fill = fill
    if fill.limit > FILL_COUNT_LIMIT:
        self.fill.limit = FILL_COUNT_LIMIT
    return self


cdef inline void quicklist_link(Memory *memory, Quicklist *self, ListNode *node, ListNode *beside,
                                bint after) noexcept nogil:
    """Put a node after or before `beside` (NULL: the chain is empty)."""
    node.previous = beside if after else (beside.previous if beside != NULL else NULL)
    node.next = (beside.next if beside != NULL else NULL) if after else beside
    if node.previous != NULL:
        node.previous.next = node
        node_settle(memory, node.previous)
    else:
        self.head = node
    if node.next != NULL:
        node.next.previous = node
        node_settle(memory, node.next)
    else:
        self.tail = node
    # The new node is an inner one, or `beside` was an end until now.
    if node_is_inner(node):
        index_insert(&self.root, node)
    elif beside != NULL and node_is_inner(beside):
        index_insert(&self.root, beside)
    self.count += node.count
    self.nodes += 1


cdef inline void quicklist_unlink(Memory *memory, Quicklist *self, ListNode *node) noexcept nogil:
    """Take a node out of the chain and free it with all that it holds."""
    cdef ListNode *beside = node.previous if node.next == NULL else node.next
    if node_is_inner(node):
        index_remove(&self.root, node)
    elif beside != NULL and node_is_inner(beside):
        index_remove(&self.root, beside)               # the end from now on
    if node.previous != NULL:
        node.previous.next = node.next
    else:
        self.head = node.next
    if node.next != NULL:
        node.next.previous = node.previous
    else:
        self.tail = node.previous
    self.count -= node.count
    self.nodes -= 1
    node_free(memory, node)


cdef inline void quicklist_recount(Quicklist *self, ListNode *node, size_t difference) noexcept nogil:
    """The node holds so many elements more (modulo 2^64: or less)."""
    node.count += difference
    self.count += difference
    if node_is_inner(node):
        index_tell(node, difference)


cdef inline ListNode *quicklist_find(const Quicklist *self, size_t *place) noexcept nogil:
    """The node with the element at `place`, which is there; `place` becomes the one within the node."""
    cdef size_t before_tail = self.count - self.tail.count
    if place[0] < self.head.count:
        return self.head
    if place[0] >= before_tail:
        place[0] -= before_tail
        return self.tail
    place[0] -= self.head.count
    return index_find(self.root, place)


cdef inline void quicklist_split(Memory *memory, Quicklist *self, ListNode *node, size_t offset) noexcept nogil:
    """Make the elements from `offset` on a node of their own behind this one; neither half is empty."""
    cdef const uint8_t *block = listpack_bytes(node.pack)
    cdef const uint8_t *p = listpack_first(node.pack)
    cdef size_t size = listpack_size(node.pack) - offset
    cdef size_t kept = 0
    cdef Listpack *pack = listpack_allocate(memory, LISTPACK_HEADER_BYTES + size)
    cdef uint8_t *half = listpack_bytes(pack)
    while p < block + offset:
        p += element_size(p)
        kept += 1
    store_u32(half, <uint32_t>(LISTPACK_HEADER_BYTES + size))
    half[4] = 0
    half[5] = 0
    memcpy(half + LISTPACK_HEADER_BYTES, p, size)
    listpack_add_count(pack, <ssize_t>(node.count - kept))
    node.pack = listpack_splice(memory, node.pack, offset, size - 1, 0)
    listpack_add_count(node.pack, -<ssize_t>(node.count - kept))
    node.pack = listpack_slim(memory, node.pack)
    size = node.count - kept
    quicklist_recount(self, node, -size)
    quicklist_link(memory, self, node_new(memory, pack, NULL, size), node, True)


cdef inline bint quicklist_merge(Memory *memory, Quicklist *self, ListNode *left, ListNode *right) noexcept nogil:
    """Join two neighbours into `left` if the result keeps to the limit; `right` is gone then. NULLs are refused."""
    cdef size_t offset
    cdef size_t added
    if left == NULL or right == NULL or left.pack == NULL or right.pack == NULL:
        return False
    added = listpack_size(right.pack) - LISTPACK_EMPTY_BYTES
    offset = listpack_size(left.pack) - 1
    if fill_exceeded(self.fill, offset + 1 + added, left.count + right.count):
        return False
    left.pack = listpack_splice(memory, left.pack, offset, 0, added)
    memcpy(listpack_bytes(left.pack) + offset, listpack_first(right.pack), added)
    listpack_add_count(left.pack, <ssize_t>right.count)
    quicklist_recount(self, left, right.count)
    quicklist_unlink(memory, self, right)
    node_settle(memory, left)
    return True


cdef inline void quicklist_merge_around(Memory *memory, Quicklist *self, ListNode *node) noexcept nogil:
    """After a split: join what fits among the two nodes on either side of this one and itself."""
    cdef ListNode *left
    if node.previous != NULL:
        quicklist_merge(memory, self, node.previous.previous, node.previous)
    if node.next != NULL:
        quicklist_merge(memory, self, node.next, node.next.next)
    left = node.previous
    if quicklist_merge(memory, self, left, node):
        node = left
    quicklist_merge(memory, self, node, node.next)
