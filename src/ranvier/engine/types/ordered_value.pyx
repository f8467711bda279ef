"""The order-statistic index as a value: freeing in slices, copying, measuring, and looking for contradictions."""

from libc.stdint cimport uint32_t

from ranvier.engine.memory cimport Memory, ranvier_usable_size, release
from ranvier.engine.store.table cimport Bucket, Table, table_free_slice
from ranvier.engine.store.value cimport ValueKind
from ranvier.engine.types.ordered cimport (
    LEAF_MEMBERS, PROBE_MEMBER, Branch, Leaf, Member, Ordered, Probe, member_text, ordered_count, ordered_insert,
    ordered_new, precedes,
)

cdef bint free_last_node(Ordered *self) noexcept nogil:
    """Free the node at the end of the tree; nonzero when it was the root."""
    cdef Branch *above = NULL
    cdef void *node = self.root
    cdef int height = self.height
    while height > 0 and (<Branch *>node).count:
        above = <Branch *>node
        node = above.children[above.count - 1]
        height -= 1
    release(self.members.memory, node)
    if above == NULL:
        return True
    above.count -= 1
    return False


cdef bint ordered_free_slice(Memory *memory, void **pointer, size_t budget) noexcept nogil:
    cdef Ordered *self = <Ordered *>pointer[0]
    cdef size_t members = self.members.count
    if self.members.buckets:
        if table_free_slice(&self.members, budget):
            return False
        budget -= members
    while budget:
        if free_last_node(self):
            release(memory, self)
            pointer[0] = NULL
            return True
        budget -= 1
    return False


cdef size_t ordered_free_effort(const void *pointer) noexcept nogil:
    cdef size_t count = ordered_count(<const Ordered *>pointer)
    return count + count // (LEAF_MEMBERS // 2) + 2


cdef void *ordered_copy(Memory *memory, const void *pointer) noexcept nogil:
    cdef const Ordered *self = <const Ordered *>pointer
    cdef Ordered *copy = ordered_new(memory, self.members.seed0, self.members.seed1)
    cdef const Leaf *leaf = self.first
    cdef const char *text
    cdef size_t length
    cdef uint32_t i
    while leaf != NULL:
        for i in range(leaf.count):
            text = member_text(leaf.members[i], &length)
            ordered_insert(copy, leaf.members[i].score, text, length)
        leaf = leaf.next
    return copy


cdef size_t branch_bytes(const void *node, int height) noexcept nogil:
    """Of all nodes from this one down; leaves are of one size."""
    cdef const Branch *branch = <const Branch *>node
    cdef size_t bytes = ranvier_usable_size(<void *>node)
    cdef uint32_t i
    if height == 0:
        return bytes
    if height == 1:
        return bytes + branch.count * ranvier_usable_size(branch.children[0])
    for i in range(branch.count):
        bytes += branch_bytes(branch.children[i], height - 1)
    return bytes


cdef size_t ordered_memory_usage(const void *pointer, size_t samples) noexcept nogil:
    cdef const Ordered *self = <const Ordered *>pointer
    cdef const Table *table = &self.members
    cdef const Leaf *leaf = self.first
    cdef size_t measured = 0
    cdef size_t total = 0
    cdef uint32_t i
    while leaf != NULL and (measured < samples or samples == 0):
        for i in range(leaf.count):
            total += ranvier_usable_size(leaf.members[i])
            measured += 1
            if measured == samples:
                break
        leaf = leaf.next
    if 0 < measured < table.count:
        total = <size_t>(<double>total / <double>measured * <double>table.count)
    total += (table.buckets + table.chained_buckets) * sizeof(Bucket) + table.segments_capacity * sizeof(void *)
    return total + ranvier_usable_size(<void *>self) + branch_bytes(self.root, self.height)


cdef ValueKind ORDERED
ORDERED.name = b"skiplist"
ORDERED.free_slice = ordered_free_slice
ORDERED.free_effort = ordered_free_effort
ORDERED.copy = ordered_copy
ORDERED.memory_usage = ordered_memory_usage


cdef const ValueKind *ordered_kind() noexcept nogil:
    return &ORDERED


# ---- tests ----------------------------------------------------------------------------------------------------------

cdef const char *node_contradiction(const void *node, int height, size_t *total, const Member **first) noexcept nogil:
    """Of everything from this node down; tells how many members lie there, and which one is the first."""
    cdef const Branch *branch = <const Branch *>node
    cdef const char *found
    cdef const Member *below_first = NULL
    cdef size_t below = 0
    cdef uint32_t i
    if height == 0:
        total[0] = (<const Leaf *>node).count
        first[0] = (<const Leaf *>node).members[0]
        if total[0] == 0:
            return b"an empty leaf"
        return NULL
    if branch.count == 0:
        return b"an empty branch"
    total[0] = 0
    for i in range(branch.count):
        found = node_contradiction(branch.children[i], height - 1, &below, &below_first)
        if found != NULL:
            return found
        if below != branch.totals[i]:
            return b"a wrong total"
        if below_first != branch.firsts[i] or below_first.score != branch.scores[i]:
            return b"a wrong first member"
        total[0] += below
    first[0] = branch.firsts[0]
    return NULL


cdef bint in_order(const Member *one, const Member *other) noexcept nogil:
    cdef Probe probe
    cdef size_t length
    cdef const char *text = member_text(one, &length)
    probe.kind = PROBE_MEMBER
    probe.beyond = False
    probe.score = other.score
    probe.text = member_text(other, &probe.length)
    return precedes(one.score, text, length, &probe)


cdef const char *chain_contradiction(const Ordered *self) noexcept nogil:
    cdef const Leaf *leaf = self.first
    cdef const Leaf *previous = NULL
    cdef const Member *last = NULL
    cdef size_t count = 0
    cdef uint32_t i
    while leaf != NULL:
        if leaf.previous != previous:
            return b"a broken chain"
        for i in range(leaf.count):
            if last != NULL and not in_order(last, leaf.members[i]):
                return b"a wrong order"
            last = leaf.members[i]
        count += leaf.count
        previous = leaf
        leaf = leaf.next
    if self.last != previous:
        return b"a broken chain"
    if count != self.members.count:
        return b"a wrong count"
    return NULL


cdef const char *ordered_contradiction(const Ordered *self) noexcept nogil:
    cdef const Member *first = NULL
    cdef const char *found
    cdef size_t total = 0
    if self.members.count == 0:
        if self.height > 0 or (<Leaf *>self.root).count > 0:
            return b"nodes without members"
        return NULL
    found = node_contradiction(self.root, self.height, &total, &first)
    if found != NULL:
        return found
    if self.height > 0 and (<Branch *>self.root).count < 2:
        return b"a needless root"
    return chain_contradiction(self)
