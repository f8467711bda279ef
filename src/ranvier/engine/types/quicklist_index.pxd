"""The links of a quicklist's chain, and the order-statistic tree over the inner ones: from an index to its link in
logarithmic time.

Strategy: a treap (Seidel and Aragon, "Randomized Search Trees", 1996) whose keys are the places in the chain. Every
link that has neighbours on both sides is in it; the two ends are not, so that pushing and popping touch their end and
nothing else until a link fills or empties. The chain tells where a new link belongs: right under one of its
neighbours, so that nothing is searched for; rotations then restore the order of priorities. A link knows how many
elements are to its left in its own subtree: a search reads the links on its path only, and a change of a count is
told to the ancestors that have it on their left.

A priority is the link's address, mixed, and stored nowhere. It is not secret as a hash seed is: whoever could foresee
addresses (where allocations fall, under address randomisation) and keep just the links that suit him could deepen the
tree, and would get the walk that every search was without it.

Invariants: of two links the one to the left in the chain comes first in order; no child's priority is above its
parent's; `elements_left` is exact; the tree's fields of a link outside of it say nothing. Header only, as listpack.pxd
is.
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint64_t, uintptr_t

from ranvier.engine.memory cimport Blob
from ranvier.engine.types.listpack cimport Listpack

# A link of the chain: a listpack, or ("plain") one large element as a shared blob.
cdef struct ListNode:
    ListNode *previous
    ListNode *next
    Listpack *pack                         # NULL: plain
    Blob *blob
    size_t count                           # elements: 1 when plain
    # In the tree:
    ListNode *parent
    ListNode *left
    ListNode *right
    size_t elements_left                   # in the subtree of `left`


cdef inline bint node_is_inner(const ListNode *node) noexcept nogil:
    """Whether the link is none of the chain's ends: then it is in the tree."""
    return node.previous != NULL and node.next != NULL


cdef inline uint64_t node_priority(const ListNode *node) noexcept nogil:
    """Addresses of equal allocations are a few bits apart: multiplications carry them up, shifts down again."""
    cdef uint64_t bits = <uint64_t><uintptr_t>node * 0x9E3779B97F4A7C15ULL
    bits = (bits ^ (bits >> 32)) * 0xD1B54A32D192ED03ULL
    bits = (bits ^ (bits >> 29)) * 0x9E3779B97F4A7C15ULL
    return bits ^ (bits >> 32)


cdef inline void index_replace(ListNode **root, ListNode *parent, const ListNode *child,
                               ListNode *other) noexcept nogil:
    """Hang `other`, which may be NULL, where `child` hangs."""
    if parent == NULL:
        root[0] = other
    elif parent.left == child:
        parent.left = other
    else:
        parent.right = other
    if other != NULL:
        other.parent = parent


cdef inline void index_raise(ListNode **root, ListNode *node) noexcept nogil:
    """Rotate the link into its parent's place."""
    cdef ListNode *parent = node.parent
    index_replace(root, parent.parent, parent, node)
    if parent.left == node:
        parent.left = node.right
        if parent.left != NULL:
            parent.left.parent = parent
        node.right = parent
        parent.elements_left -= node.elements_left + node.count
    else:
        parent.right = node.left
        if parent.right != NULL:
            parent.right.parent = parent
        node.left = parent
        node.elements_left += parent.elements_left + parent.count
    parent.parent = node


cdef inline void index_tell(const ListNode *node, size_t difference) noexcept nogil:
    """The link's subtree holds so many elements more (modulo 2^64: or less)."""
    cdef ListNode *parent = node.parent
    while parent != NULL:
        if parent.left == node:
            parent.elements_left += difference
        node = parent
        parent = node.parent


cdef inline void index_insert(ListNode **root, ListNode *node) noexcept nogil:
    """Take up a link that has just become an inner one."""
    cdef ListNode *before = node.previous if node_is_inner(node.previous) else NULL
    node.left = node.right = NULL
    node.elements_left = 0
    # Either the link before it has nothing to its right, or the next one, being first there, has nothing to its left.
    if before != NULL and before.right == NULL:
        before.right = node
        node.parent = before
    elif root[0] != NULL:
        node.next.left = node
        node.parent = node.next
    else:
        root[0] = node
        node.parent = NULL
    index_tell(node, node.count)
    while node.parent != NULL and node_priority(node) > node_priority(node.parent):
        index_raise(root, node)


cdef inline void index_remove(ListNode **root, ListNode *node) noexcept nogil:
    """Let go of a link that is about to become an end, or to leave the chain."""
    while node.left != NULL and node.right != NULL:
        index_raise(root, node.left if node_priority(node.left) > node_priority(node.right) else node.right)
    index_tell(node, -node.count)
    index_replace(root, node.parent, node, node.left if node.left != NULL else node.right)


cdef inline ListNode *index_find(ListNode *root, size_t *place) noexcept nogil:
    """The inner link with the element at `place`, counted from the first inner one; `place` becomes the one in it."""
    cdef ListNode *node = root
    cdef size_t rest = place[0]
    while True:
        if rest < node.elements_left:
            node = node.left
            continue
        rest -= node.elements_left
        if rest < node.count:
            place[0] = rest
            return node
        rest -= node.count
        node = node.right
