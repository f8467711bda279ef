"""A B+tree by stream id.

Strategy: items lie in leaves of up to NODE_ITEMS, inner nodes hold (smallest id, child). What is appended at the end
fills nodes to the brim: a full last node is not halved but followed by an empty one, so that an index that only grows
wastes nothing. A root that is a leaf grows by doubling, so that a small index is small. A node that a removal leaves
nearly empty is joined with its neighbour under the same parent, an empty one goes.

Invariants: no node is empty; the id of an inner item is no larger than any id below it and larger than any id below
the item before, but for a node's first item, whose id nobody compares; leaves are chained in order.
"""

from libc.string cimport memcpy, memmove

from ranvier.engine.memory cimport allocate, ranvier_usable_size, release, resize

cdef enum:
    NODE_ITEMS = 64
    SMALL_NODE_ITEMS = 16        # a node with no more is joined with its neighbour, when ...
    JOINED_NODE_ITEMS = 48       # ... both together have no more than these
    HEIGHT_LIMIT = 16            # 16 levels of 24 items hold more than memory can

# The way down: of each level the inner node and the item in it that was followed.
cdef struct Path:
    IdNode *node[HEIGHT_LIMIT]
    size_t at[HEIGHT_LIMIT]


cdef void index_init(IdIndex *self) noexcept nogil:
    self.root = NULL
    self.first = NULL
    self.last = NULL
    self.count = 0
    self.nodes = 0
    self.height = 0


cdef IdNode *node_new(Memory *memory, IdIndex *self, size_t capacity) noexcept nogil:
    cdef IdNode *node = <IdNode *>allocate(memory, sizeof(IdNode) + capacity * sizeof(IdItem))
    node.previous = NULL
    node.next = NULL
    node.count = 0
    node.capacity = <uint16_t>capacity
    self.nodes += 1
    return node


cdef void node_free(Memory *memory, IdIndex *self, IdNode *node) noexcept nogil:
    """Unchain (inner nodes are in no chain) and free."""
    if node.previous != NULL:
        node.previous.next = node.next
    if node.next != NULL:
        node.next.previous = node.previous
    if self.first == node:
        self.first = node.next
    if self.last == node:
        self.last = node.previous
    self.nodes -= 1
    release(memory, node)


cdef inline size_t items_before(const IdNode *node, StreamId id, size_t low) noexcept nogil:
    """How many items, of those from `low` on plus `low`, have smaller ids."""
    cdef const IdItem *items = node_items(node)
    cdef size_t high = node.count
    cdef size_t middle
    while low < high:
        middle = (low + high) // 2
        if id_compare(items[middle].id, id) < 0:
            low = middle + 1
        else:
            high = middle
    return low


cdef inline size_t child_of(const IdNode *node, StreamId id) noexcept nogil:
    """The item whose child the id belongs in."""
    cdef size_t at = items_before(node, id, 1)
    if at < node.count and id_compare(node_items(node)[at].id, id) == 0:
        return at
    return at - 1


cdef IdNode *leaf_of(const IdIndex *self, StreamId id, Path *path) noexcept nogil:
    cdef IdNode *node = self.root
    cdef int level
    for level in range(self.height):
        path.node[level] = node
        path.at[level] = child_of(node, id)
        node = <IdNode *>node_items(node)[path.at[level]].item
    return node


cdef bint index_from(const IdIndex *self, StreamId id, IdPlace *place) noexcept nogil:
    cdef Path path
    place.leaf = NULL
    place.at = 0
    if self.root == NULL:
        return False
    place.leaf = leaf_of(self, id, &path)
    place.at = items_before(place.leaf, id, 0)
    if place.at == place.leaf.count:
        place.leaf = place.leaf.next
        place.at = 0
    return place.leaf != NULL


cdef bint index_until(const IdIndex *self, StreamId id, IdPlace *place) noexcept nogil:
    if not index_from(self, id, place):
        return index_last(self, place)
    if id_compare(place_item(place).id, id) == 0:
        return True
    return place_step(place, False)


# ---- putting in -----------------------------------------------------------------------------------------------------

cdef inline void node_put(IdNode *node, size_t at, StreamId id, void *item) noexcept nogil:
    """Into a node with room."""
    cdef IdItem *items = node_items(node)
    memmove(items + at + 1, items + at, (node.count - at) * sizeof(IdItem))
    items[at].id = id
    items[at].item = item
    node.count += 1


cdef IdNode *split(Memory *memory, IdIndex *self, IdNode *node, size_t at, StreamId id, void *item,
                   bint is_last) noexcept nogil:
    """Put the item into a full node, of which a part becomes a new one behind it: the new node."""
    cdef size_t kept = <size_t>node.count // 2
    cdef IdNode *other = node_new(memory, self, NODE_ITEMS)
    if is_last and at == node.count:
        kept = node.count
    other.count = <uint16_t>(node.count - kept)
    memcpy(node_items(other), node_items(node) + kept, other.count * sizeof(IdItem))
    node.count = <uint16_t>kept
    if at > kept or other.count == 0:
        node_put(other, at - kept, id, item)
    else:
        node_put(node, at, id, item)
    return other


cdef void chain_behind(IdIndex *self, IdNode *leaf, IdNode *other) noexcept nogil:
    other.previous = leaf
    other.next = leaf.next
    if leaf.next != NULL:
        leaf.next.previous = other
    else:
        self.last = other
    leaf.next = other


cdef void add_root(Memory *memory, IdIndex *self, IdNode *left, IdNode *right) noexcept nogil:
    cdef IdNode *root = node_new(memory, self, NODE_ITEMS)
    node_put(root, 0, node_items(left).id, left)
    node_put(root, 1, node_items(right).id, right)
    self.root = root
    self.height += 1


cdef IdNode *grow_root(Memory *memory, IdIndex *self) noexcept nogil:
    """The only leaf with room for twice as much; the first one, where there is none."""
    cdef IdNode *root = self.root
    cdef size_t capacity
    if root == NULL:
        root = node_new(memory, self, 1)
    else:
        capacity = <size_t>root.capacity * 2 if root.capacity < NODE_ITEMS // 2 else NODE_ITEMS
        root = <IdNode *>resize(memory, root, sizeof(IdNode) + capacity * sizeof(IdItem))
        root.capacity = <uint16_t>capacity
    self.root = root
    self.first = root
    self.last = root
    return root


cdef void index_insert(Memory *memory, IdIndex *self, StreamId id, void *item) noexcept nogil:
    cdef Path path
    cdef IdNode *node = self.last
    cdef IdNode *other
    cdef size_t at
    cdef int level
    self.count += 1
    if node != NULL and node.count < node.capacity and id_compare(node_items(node)[node.count - 1].id, id) < 0:
        node_put(node, node.count, id, item)
        return
    if self.height == 0 and (node == NULL or node.count == node.capacity < NODE_ITEMS):
        node = grow_root(memory, self)
    else:
        node = leaf_of(self, id, &path)
    at = items_before(node, id, 0)
    if node.count < node.capacity:
        node_put(node, at, id, item)
        return
    other = split(memory, self, node, at, id, item, node.next == NULL)
    chain_behind(self, node, other)
    level = self.height - 1
    while level >= 0:
        # The new node goes into the parent behind the one that was split, whose item stays as it is.
        at = path.at[level] + 1
        id = node_items(other).id
        if path.node[level].count < NODE_ITEMS:
            node_put(path.node[level], at, id, other)
            return
        node = path.node[level]
        other = split(memory, self, node, at, id, other, True)
        level -= 1
    add_root(memory, self, node, other)


# ---- taking out -----------------------------------------------------------------------------------------------------

cdef inline void node_take(IdNode *node, size_t at) noexcept nogil:
    cdef IdItem *items = node_items(node)
    memmove(items + at, items + at + 1, (node.count - at - 1) * sizeof(IdItem))
    node.count -= 1


cdef bint join(Memory *memory, IdIndex *self, IdNode *parent, size_t at, bint is_inner) noexcept nogil:
    """Join the child at `at` with the one behind it, if both together are small."""
    cdef IdNode *left
    cdef IdNode *right
    if at + 1 >= parent.count:
        return False
    left = <IdNode *>node_items(parent)[at].item
    right = <IdNode *>node_items(parent)[at + 1].item
    if left.count + right.count > JOINED_NODE_ITEMS:
        return False
    # The id of an inner node's first item was never compared, but now it will be: the parent's bounds the same child.
    # (A leaf's own first id may be larger than what its parent remembers.)
    if is_inner:
        node_items(right).id = node_items(parent)[at + 1].id
    memcpy(node_items(left) + left.count, node_items(right), right.count * sizeof(IdItem))
    left.count += right.count
    node_free(memory, self, right)
    node_take(parent, at + 1)
    return True


cdef void *index_remove(Memory *memory, IdIndex *self, StreamId id) noexcept nogil:
    cdef Path path
    cdef IdNode *node
    cdef size_t at
    cdef int level
    cdef void *item
    if self.root == NULL:
        return NULL
    node = leaf_of(self, id, &path)
    at = items_before(node, id, 0)
    if at == node.count or id_compare(node_items(node)[at].id, id) != 0:
        return NULL
    item = node_items(node)[at].item
    self.count -= 1
    node_take(node, at)
    level = self.height - 1
    while level >= 0 and node.count <= SMALL_NODE_ITEMS:
        at = path.at[level]
        if node.count == 0:
            node_free(memory, self, node)
            node_take(path.node[level], at)
        elif not join(memory, self, path.node[level], at, level < self.height - 1) and at > 0:
            join(memory, self, path.node[level], at - 1, level < self.height - 1)
        node = path.node[level]
        level -= 1
    shrink_root(memory, self)
    return item


cdef void shrink_root(Memory *memory, IdIndex *self) noexcept nogil:
    """A root of one child gives way to it; an empty one goes."""
    cdef IdNode *root = self.root
    while self.height > 0 and root.count == 1:
        self.root = <IdNode *>node_items(root)[0].item
        self.height -= 1
        node_free(memory, self, root)
        root = self.root
    if root.count == 0:
        node_free(memory, self, root)
        index_init(self)


# ---- the whole ------------------------------------------------------------------------------------------------------

cdef void free_inner(Memory *memory, IdIndex *self, IdNode *node, int height) noexcept nogil:
    cdef size_t i
    if height == 0:
        return
    for i in range(node.count):
        free_inner(memory, self, <IdNode *>node_items(node)[i].item, height - 1)
    node_free(memory, self, node)


cdef void index_clear(Memory *memory, IdIndex *self) noexcept nogil:
    if self.root != NULL:
        free_inner(memory, self, self.root, self.height)
    while self.first != NULL:
        node_free(memory, self, self.first)
    index_init(self)


cdef void index_copy(Memory *memory, const IdIndex *self, IdIndex *copy) noexcept nogil:
    cdef IdPlace place
    cdef bint found = index_first(self, &place)
    index_init(copy)
    while found:
        index_insert(memory, copy, place_item(&place).id, place_item(&place).item)
        found = place_step(&place, True)


cdef size_t index_bytes(const IdIndex *self) noexcept nogil:
    # Every node but a small only leaf has one size.
    return self.nodes * ranvier_usable_size(self.root) if self.root != NULL else 0
