"""The order-statistic index of a large sorted set.

Strategy. A B+tree over addresses of members, beside a hash table of the same members by name. Leaves are chained both
ways and hold addresses alone; branches hold, for each child, how many members lie below it (rank and select by rank),
and its first member with a copy of that score, so that a descent touches members only where scores are equal. The
member's score, length and bytes are one allocation, which both structures point to.

A full leaf is divided in the middle, except at the ends of the order, where what comes next probably comes at the same
end: there the full leaf stays full, so that members which arrive in order fill their leaves. A leaf that is less than a
quarter full is merged with a neighbour when both together leave a quarter free, so that no size makes a tree that
divides and merges in turns.

Invariants.
- Members are in the order of (score, bytes); all leaves lie at the same depth.
- Only an empty index has an empty node, its root.
- `totals[i]`, `firsts[i]` and `scores[i]` of a branch are exact for child i, also for i = 0.
- A root that is a branch has at least two children.

Sources: Rudolf Bayer and Edward McCreight, "Organization and Maintenance of Large Ordered Indices" (1970); Douglas
Comer, "The Ubiquitous B-Tree" (1979).
"""

from libc.stdint cimport uintptr_t
from libc.string cimport memcpy, memmove

from ranvier.engine.memory cimport release, release_lazily
from ranvier.engine.store.table cimport (
    Layout, hash_bytes, table_find, table_init, table_insert, table_remove,
)

cdef extern from *:
    """
    #define ranvier_prefetch(address) __builtin_prefetch((const void *)(address))
    """
    void ranvier_prefetch(uintptr_t address) noexcept nogil

# The way from the root to a leaf: the branch at each height (1 is the lowest) and the child taken.
cdef struct Path:
    Branch *branches[HEIGHT_LIMIT]
    uint32_t slots[HEIGHT_LIMIT]
    Leaf *leaf


# ---- members --------------------------------------------------------------------------------------------------------

cdef Member *member_new(Memory *memory, double score, const char *text, size_t length) noexcept nogil:
    cdef size_t head = sizeof(double) + 1
    cdef uint32_t wide = <uint32_t>length
    cdef Member *member
    cdef char *target
    if length < LENGTH_FOLLOWS:
        member = <Member *>allocate(memory, head + length)
        member.length = <uint8_t>length
        target = <char *>member + head
    else:
        member = <Member *>allocate(memory, head + sizeof(wide) + length)
        member.length = LENGTH_FOLLOWS
        memcpy(<char *>member + head, &wide, sizeof(wide))
        target = <char *>member + head + sizeof(wide)
    member.score = score
    memcpy(target, text, length)
    return member


cdef const char *member_name(const void *item, size_t *length) noexcept nogil:
    return member_text(<const Member *>item, length)


cdef void member_free(Memory *memory, void *item) noexcept nogil:
    release_lazily(memory, item)


cdef Layout MEMBERS
MEMBERS.key = member_name
MEMBERS.free = member_free


cdef inline void probe_member(Probe *probe, const Member *member) noexcept nogil:
    """The cut just behind the member."""
    probe.kind = PROBE_MEMBER
    probe.beyond = True
    probe.score = member.score
    probe.text = member_text(member, &probe.length)


cdef inline bint member_precedes(const Member *member, double score, const Probe *probe) noexcept nogil:
    """`score` is the member's, which is touched only if that does not decide."""
    cdef size_t length
    cdef const char *text
    if probe.kind != PROBE_NAME:
        if score != probe.score:
            return score < probe.score
        if probe.kind == PROBE_SCORE:
            return probe.beyond
    text = member_text(member, &length)
    return precedes(score, text, length, probe)


# ---- nodes ----------------------------------------------------------------------------------------------------------

cdef Leaf *leaf_new(Ordered *self, Leaf *previous) noexcept nogil:
    """An empty leaf behind `previous` in the chain (NULL: the only one)."""
    cdef Leaf *leaf = <Leaf *>allocate(self.members.memory, sizeof(Leaf))
    leaf.count = 0
    leaf.previous = previous
    leaf.next = NULL
    if previous != NULL:
        leaf.next = previous.next
        previous.next = leaf
    else:
        self.first = leaf
    if leaf.next != NULL:
        leaf.next.previous = leaf
    else:
        self.last = leaf
    return leaf


cdef void leaf_free(Ordered *self, Leaf *leaf) noexcept nogil:
    if leaf.previous != NULL:
        leaf.previous.next = leaf.next
    else:
        self.first = leaf.next
    if leaf.next != NULL:
        leaf.next.previous = leaf.previous
    else:
        self.last = leaf.previous
    release(self.members.memory, leaf)


cdef inline uint32_t node_count(const void *node, int height) noexcept nogil:
    return (<const Leaf *>node).count if height == 0 else (<const Branch *>node).count


cdef inline size_t before_child(const Branch *branch, uint32_t slot) noexcept nogil:
    """Members below the children before this one."""
    cdef size_t total = 0
    cdef uint32_t i
    for i in range(slot):
        total += branch.totals[i]
    return total


cdef inline void describe_first(Branch *branch, uint32_t slot, int height) noexcept nogil:
    """Set the first member of a child, which is at that height and not empty."""
    if height == 0:
        branch.firsts[slot] = (<Leaf *>branch.children[slot]).members[0]
        branch.scores[slot] = branch.firsts[slot].score
    else:
        branch.firsts[slot] = (<Branch *>branch.children[slot]).firsts[0]
        branch.scores[slot] = (<Branch *>branch.children[slot]).scores[0]


cdef void describe_child(Branch *branch, uint32_t slot, int height) noexcept nogil:
    """Set what the branch says of a child, which is at that height and not empty."""
    cdef const Branch *child = <const Branch *>branch.children[slot]
    describe_first(branch, slot, height)
    branch.totals[slot] = before_child(child, child.count) if height else (<Leaf *>branch.children[slot]).count


cdef void move_children(Branch *target, uint32_t to, const Branch *source, uint32_t first,
                        uint32_t count) noexcept nogil:
    memmove(&target.totals[to], &source.totals[first], count * sizeof(size_t))
    memmove(&target.scores[to], &source.scores[first], count * sizeof(double))
    memmove(&target.firsts[to], &source.firsts[first], count * sizeof(Member *))
    memmove(&target.children[to], &source.children[first], count * sizeof(void *))


cdef void drop_child(Branch *branch, uint32_t slot) noexcept nogil:
    move_children(branch, slot, branch, slot + 1, branch.count - slot - 1)
    branch.count -= 1


# ---- descending -----------------------------------------------------------------------------------------------------

cdef inline uint32_t branch_slot(const Branch *branch, const Probe *probe) noexcept nogil:
    """The last child whose first member lies before the cut; the first child if there is none."""
    cdef uint32_t low = 1
    cdef uint32_t high = branch.count
    cdef uint32_t middle
    while low < high:
        middle = (low + high) // 2
        if member_precedes(branch.firsts[middle], branch.scores[middle], probe):
            low = middle + 1
        else:
            high = middle
    return low - 1


cdef inline uint32_t leaf_slot(const Leaf *leaf, const Probe *probe) noexcept nogil:
    """How many members of the leaf lie before the cut. Both members that may be next are fetched beforehand."""
    cdef uint32_t low = 0
    cdef uint32_t high = leaf.count
    cdef uint32_t middle
    while low < high:
        middle = (low + high) // 2
        ranvier_prefetch(<uintptr_t>leaf.members[(low + middle) // 2])
        ranvier_prefetch(<uintptr_t>leaf.members[(middle + 1 + high) // 2 if middle + 1 < high else middle])
        if member_precedes(leaf.members[middle], leaf.members[middle].score, probe):
            low = middle + 1
        else:
            high = middle
    return low


cdef inline void descend(const Ordered *self, const Probe *probe, Path *path) noexcept nogil:
    cdef void *node = self.root
    cdef int height = self.height
    cdef uint32_t slot
    while height > 0:
        slot = branch_slot(<const Branch *>node, probe)
        path.branches[height] = <Branch *>node
        path.slots[height] = slot
        node = (<Branch *>node).children[slot]
        height -= 1
    path.leaf = <Leaf *>node


cdef inline uint32_t find_in_leaf(const Leaf *leaf, const Member *member) noexcept nogil:
    """By address: no other member is touched."""
    cdef uint32_t index = 0
    while leaf.members[index] != member:
        index += 1
    return index


cdef inline uint32_t locate(const Ordered *self, const Member *member, Path *path) noexcept nogil:
    """The way to a member; returns its index in the leaf."""
    cdef Probe probe
    probe_member(&probe, member)
    descend(self, &probe, path)
    return find_in_leaf(path.leaf, member)


# ---- inserting ------------------------------------------------------------------------------------------------------

cdef uint32_t division(uint32_t count, uint32_t at, bint at_start, bint at_end) noexcept nogil:
    """How many of `count` items stay in a node that is divided because one more comes at `at`."""
    if at_end and at == count:
        return count
    if at_start and at <= 1:
        return at
    return count // 2


cdef Leaf *leaf_insert(Ordered *self, Leaf *leaf, uint32_t at, Member *member) noexcept nogil:
    """Returns the leaf that came into being behind it, if it had to be divided."""
    cdef Leaf *right = NULL
    cdef uint32_t stay
    if leaf.count == LEAF_MEMBERS:
        right = leaf_new(self, leaf)
        stay = division(LEAF_MEMBERS, at, leaf.previous == NULL and at == 0, right.next == NULL)
        right.count = LEAF_MEMBERS - stay
        memcpy(&right.members[0], &leaf.members[stay], right.count * sizeof(Member *))
        leaf.count = stay
        if at > stay or right.count == 0:
            leaf = right
            at -= stay
    memmove(&leaf.members[at + 1], &leaf.members[at], (leaf.count - at) * sizeof(Member *))
    leaf.members[at] = member
    leaf.count += 1
    return right


cdef Branch *branch_insert(Ordered *self, Branch *branch, uint32_t at, void *child, int child_height, bint at_start,
                           bint at_end) noexcept nogil:
    """As leaf_insert. `at_start`, `at_end`: the new child came into being at that end of the order."""
    cdef Branch *right = NULL
    cdef uint32_t stay
    if branch.count == BRANCH_CHILDREN:
        right = <Branch *>allocate(self.members.memory, sizeof(Branch))
        stay = division(BRANCH_CHILDREN, at, at_start, at_end)
        right.count = BRANCH_CHILDREN - stay
        move_children(right, 0, branch, stay, right.count)
        branch.count = stay
        if at > stay or right.count == 0 or (at == stay and stay == 1):
            branch = right
            at -= stay
    move_children(branch, at + 1, branch, at, branch.count - at)
    branch.children[at] = child
    branch.count += 1
    describe_child(branch, at, child_height)
    return right


cdef void grow_root(Ordered *self, void *right) noexcept nogil:
    """The root was divided: a branch above its two parts."""
    cdef Branch *root = <Branch *>allocate(self.members.memory, sizeof(Branch))
    root.count = 2
    root.children[0] = self.root
    root.children[1] = right
    describe_child(root, 0, self.height)
    describe_child(root, 1, self.height)
    self.root = root
    self.height += 1


cdef void place_member(Ordered *self, Member *member) noexcept nogil:
    """Put a member into the order."""
    cdef Probe probe
    cdef Path path
    cdef Branch *branch
    cdef void *right
    cdef uint32_t at
    cdef int height
    cdef bint first
    cdef bint at_start
    cdef bint at_end
    probe_member(&probe, member)
    descend(self, &probe, &path)
    at = path.leaf.count
    if at and not member_precedes(path.leaf.members[at - 1], path.leaf.members[at - 1].score, &probe):
        at = leaf_slot(path.leaf, &probe)
    first = at == 0
    at_start = first and path.leaf.previous == NULL
    at_end = at == path.leaf.count and path.leaf.next == NULL
    right = leaf_insert(self, path.leaf, at, member)
    for height in range(1, self.height + 1):
        branch = path.branches[height]
        at = path.slots[height]
        if right != NULL:
            describe_child(branch, at, height - 1)
            right = branch_insert(self, branch, at + 1, right, height - 1, at_start and at == 0, at_end)
        else:
            branch.totals[at] += 1
            if first:
                branch.firsts[at] = member
                branch.scores[at] = member.score
        first = first and at == 0
        at_start = at_start and at == 0
    if right != NULL:
        grow_root(self, right)


# ---- removing -------------------------------------------------------------------------------------------------------

cdef void merge_leaves(Ordered *self, Leaf *left, Leaf *right) noexcept nogil:
    memcpy(&left.members[left.count], &right.members[0], right.count * sizeof(Member *))
    left.count += right.count
    leaf_free(self, right)


cdef void merge_branches(Ordered *self, Branch *left, Branch *right) noexcept nogil:
    move_children(left, left.count, right, 0, right.count)
    left.count += right.count
    release(self.members.memory, right)


cdef void merge_pair(Ordered *self, Branch *branch, uint32_t slot, int height) noexcept nogil:
    """Merge child `slot` with the one behind it, if that leaves a quarter free."""
    cdef void *left = branch.children[slot]
    cdef void *right = branch.children[slot + 1]
    cdef uint32_t limit = LEAF_MEMBERS if height == 0 else BRANCH_CHILDREN
    if node_count(left, height) + node_count(right, height) > limit * 3 // 4:
        return
    if height == 0:
        merge_leaves(self, <Leaf *>left, <Leaf *>right)
    else:
        merge_branches(self, <Branch *>left, <Branch *>right)
    drop_child(branch, slot + 1)
    describe_child(branch, slot, height)


cdef void tend_child(Ordered *self, Branch *branch, uint32_t slot, int height) noexcept nogil:
    """A child lost something: drop an empty one, merge one that is nearly empty with a neighbour."""
    cdef uint32_t count = node_count(branch.children[slot], height)
    cdef uint32_t limit = LEAF_MEMBERS if height == 0 else BRANCH_CHILDREN
    if count == 0:
        if height == 0:
            leaf_free(self, <Leaf *>branch.children[slot])
        else:
            release(self.members.memory, branch.children[slot])
        drop_child(branch, slot)
    elif count * 4 < limit:
        if slot + 1 < branch.count:
            merge_pair(self, branch, slot, height)
        elif slot > 0:
            merge_pair(self, branch, slot - 1, height)


cdef void lower_root(Ordered *self) noexcept nogil:
    cdef Branch *root
    while self.height > 0 and (<Branch *>self.root).count == 1:
        root = <Branch *>self.root
        self.root = root.children[0]
        self.height -= 1
        release(self.members.memory, root)


cdef void take_from_leaf(Ordered *self, Path *path, uint32_t at) noexcept nogil:
    """Take the member at `at` of the path's leaf out of the order."""
    cdef Leaf *leaf = path.leaf
    cdef Branch *branch
    cdef uint32_t slot
    cdef int height
    cdef bint first = at == 0
    leaf.count -= 1
    memmove(&leaf.members[at], &leaf.members[at + 1], (leaf.count - at) * sizeof(Member *))
    for height in range(1, self.height + 1):
        branch = path.branches[height]
        slot = path.slots[height]
        branch.totals[slot] -= 1
        if first and branch.totals[slot]:
            describe_first(branch, slot, height - 1)
        tend_child(self, branch, slot, height - 1)
        first = first and slot == 0
    lower_root(self)


# ---- the index ------------------------------------------------------------------------------------------------------

cdef Ordered *ordered_new(Memory *memory, uint64_t seed0, uint64_t seed1) noexcept nogil:
    cdef Ordered *self = <Ordered *>allocate(memory, sizeof(Ordered))
    table_init(&self.members, memory, &MEMBERS, seed0, seed1)
    self.first = self.last = NULL
    self.height = 0
    self.root = leaf_new(self, NULL)
    return self


cdef inline uint64_t name_hash(const Ordered *self, const char *text, size_t length) noexcept nogil:
    return hash_bytes(self.members.seed0, self.members.seed1, text, length)


cdef Member *ordered_find(Ordered *self, const char *text, size_t length) noexcept nogil:
    cdef void **slot = table_find(&self.members, name_hash(self, text, length), text, length)
    return <Member *>slot[0] if slot != NULL else NULL


cdef void ordered_insert(Ordered *self, double score, const char *text, size_t length) noexcept nogil:
    cdef Member *member = member_new(self.members.memory, score, text, length)
    place_member(self, member)
    table_insert(&self.members, name_hash(self, text, length), member)


cdef void ordered_update(Ordered *self, Member *member, double score) noexcept nogil:
    # Most changes of a score are small: where the order stays, nothing but the score changes.
    cdef Path path
    cdef Probe probe
    cdef uint32_t at = locate(self, member, &path)
    cdef Leaf *leaf = path.leaf
    probe_member(&probe, member)
    probe.score = score
    if 0 < at and member_precedes(leaf.members[at - 1], leaf.members[at - 1].score, &probe) \
            and (leaf.next == NULL if at + 1 == leaf.count
                 else not member_precedes(leaf.members[at + 1], leaf.members[at + 1].score, &probe)):
        member.score = score
        return
    take_from_leaf(self, &path, at)
    member.score = score
    place_member(self, member)


cdef void ordered_remove(Ordered *self, Member *member) noexcept nogil:
    cdef Path path
    cdef size_t length
    cdef const char *text = member_text(member, &length)
    take_from_leaf(self, &path, locate(self, member, &path))
    table_remove(&self.members, name_hash(self, text, length), text, length)
    release_lazily(self.members.memory, member)


cdef size_t ordered_rank(Ordered *self, const Member *member) noexcept nogil:
    cdef Path path
    cdef size_t rank = locate(self, member, &path)
    cdef int height
    for height in range(1, self.height + 1):
        rank += before_child(path.branches[height], path.slots[height])
    return rank


cdef size_t ordered_cut(const Ordered *self, const Probe *probe) noexcept nogil:
    cdef Path path
    cdef size_t rank
    cdef int height
    descend(self, probe, &path)
    rank = leaf_slot(path.leaf, probe)
    for height in range(1, self.height + 1):
        rank += before_child(path.branches[height], path.slots[height])
    return rank


cdef void ordered_seek(const Ordered *self, size_t rank, Place *place) noexcept nogil:
    cdef void *node = self.root
    cdef int height = self.height
    cdef uint32_t slot
    while height > 0:
        slot = 0
        while rank >= (<Branch *>node).totals[slot]:
            rank -= (<Branch *>node).totals[slot]
            slot += 1
        node = (<Branch *>node).children[slot]
        height -= 1
    place.leaf = <Leaf *>node
    place.index = <uint32_t>rank


cdef bint place_step(Place *place, bint forward) noexcept nogil:
    if forward:
        place.index += 1
        if place.index < place.leaf.count:
            return True
        if place.leaf.next == NULL:
            return False
        place.leaf = place.leaf.next
        place.index = 0
        return True
    if place.index > 0:
        place.index -= 1
        return True
    if place.leaf.previous == NULL:
        return False
    place.leaf = place.leaf.previous
    place.index = place.leaf.count - 1
    return True
