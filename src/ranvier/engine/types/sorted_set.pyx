"""The sorted set over its two encodings.

Strategy. A small set is a listpack of pairs, member and score, in order, byte for byte as the RDB format stores it; a
look-up walks it. A large one is an `Ordered`. Every range - by rank, by score, by name - is first turned into ranks:
two descents say where it begins and how many members it has, so that a reply's length is known before its first byte,
and offsets cost no walking. Changing the encoding follows Valkey: a set grows into an index when a member is added past
a threshold, and shrinks back only when a command built it anew.

Invariant: in a listpack, scores stand as they are printed, integers as integers; so a score of -0 is 0 there.
"""

from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memmove

from ranvier.engine.memory cimport release
from ranvier.engine.store.entry cimport ENCODING_LISTPACK, ENCODING_ORDERED
from ranvier.engine.store.value cimport value_free
from ranvier.engine.types.listpack cimport (
    INTEGER_TEXT_BYTES, LISTPACK_END, Needle, Packing, element_before, element_equals,
    element_read, element_size, element_text, listpack_add_count, listpack_bytes, listpack_count, listpack_end,
    listpack_first, listpack_move, listpack_new, listpack_seek, listpack_size, listpack_slim, needle_set, packing_set,
    packing_write, store_u32,
)
from ranvier.engine.types.ordered cimport (
    PROBE_MEMBER, PROBE_NAME, Member, Ordered, member_text, ordered_count, ordered_cut, ordered_find, ordered_insert,
    ordered_new, ordered_rank, ordered_remove, ordered_seek, ordered_update, place_step, precedes,
)
from ranvier.engine.types.score cimport SCORE_TEXT_BYTES, parse_score_limit, print_score

cdef extern from "<math.h>" nogil:
    bint isnan(double value)

cdef enum:
    PACK_LIMIT_BYTES = 1 << 30   # no listpack grows beyond, whatever the thresholds are
    PACK_SPARE_SHARE = 8         # one part in eight is reserved when a listpack grows


# ---- the listpack ---------------------------------------------------------------------------------------------------

cdef inline double element_score(const uint8_t *element) noexcept nogil:
    cdef Element read
    cdef double score = 0
    element_read(element, &read)
    if read.data == NULL:
        return <double>read.integer
    parse_score_limit(read.data, read.length, &score)
    return score


cdef inline const uint8_t *score_of(const uint8_t *element) noexcept nogil:
    """The score behind a member."""
    return element + element_size(element)


cdef inline const uint8_t *next_pair(const uint8_t *element) noexcept nogil:
    element += element_size(element)
    return element + element_size(element)


cdef inline const uint8_t *pair_before(const uint8_t *element) noexcept nogil:
    return element_before(element_before(element))


cdef inline size_t pack_pairs(const Listpack *pack) noexcept nogil:
    return listpack_count(pack) // 2


cdef const uint8_t *pack_find(const Listpack *pack, const char *text, size_t length, size_t *rank) noexcept nogil:
    """The member, NULL when it is absent; `rank` counts those before it."""
    cdef const uint8_t *element = listpack_first(pack)
    cdef Element read
    cdef Needle needle
    needle_set(&needle, text, length)
    rank[0] = 0
    while element[0] != LISTPACK_END:
        element_read(element, &read)
        if element_equals(&read, &needle):
            return element
        element = next_pair(element)
        rank[0] += 1
    return NULL


cdef inline bint pair_precedes(const uint8_t *element, const Probe *probe) noexcept nogil:
    cdef char[INTEGER_TEXT_BYTES] scratch
    cdef Element read
    cdef size_t length = 0
    cdef const char *text
    cdef double score = 0
    if probe.kind != PROBE_NAME:
        score = element_score(score_of(element))
        if score != probe.score:
            return score < probe.score
    element_read(element, &read)
    text = element_text(&read, scratch, &length)
    return precedes(score, text, length, probe)


cdef size_t pack_cut(const Listpack *pack, const Probe *probe, const uint8_t **at, size_t rank) noexcept nogil:
    """How many pairs lie before the cut, counted from the pair `at`, of that rank, which moves there."""
    cdef const uint8_t *element = at[0]
    while element[0] != LISTPACK_END and pair_precedes(element, probe):
        element = next_pair(element)
        rank += 1
    at[0] = element
    return rank


cdef Listpack *pack_open(Memory *memory, Listpack *pack, size_t offset, size_t more) noexcept nogil:
    """Room for `more` bytes at `offset`: what is behind moves; little is reserved, for there are many small sets."""
    cdef size_t size = listpack_size(pack)
    cdef uint8_t *block
    if pack.capacity - size < more:
        pack = listpack_move(memory, pack, size + more + (size + more) // PACK_SPARE_SHARE, False)
    elif pack.capacity - pack.start - size < more:
        block = listpack_bytes(pack)
        pack.start = 0
        memmove(listpack_bytes(pack), block, size)
    block = listpack_bytes(pack)
    memmove(block + offset + more, block + offset, size - offset)
    store_u32(block, <uint32_t>(size + more))
    return pack


cdef Listpack *pack_insert(Memory *memory, Listpack *pack, size_t offset, const char *text, size_t length,
                           double score) noexcept nogil:
    """Insert a pair before the pair at `offset`."""
    cdef char[SCORE_TEXT_BYTES] digits
    cdef size_t digit_count = print_score(digits, score if score != 0 else 0)
    cdef Packing member
    cdef Packing number
    packing_set(&member, text, length)
    packing_set(&number, digits, digit_count)
    pack = pack_open(memory, pack, offset, member.total_bytes + number.total_bytes)
    packing_write(listpack_bytes(pack) + offset, &member, text, length)
    packing_write(listpack_bytes(pack) + offset + member.total_bytes, &number, digits, digit_count)
    listpack_add_count(pack, 2)
    return pack


cdef Listpack *pack_delete(Memory *memory, Listpack *pack, size_t offset, size_t pairs) noexcept nogil:
    """Remove that many pairs, which are known to be there."""
    cdef uint8_t *block = listpack_bytes(pack)
    cdef size_t size = listpack_size(pack)
    cdef const uint8_t *end = block + offset
    cdef size_t removed
    cdef size_t _pair
    for _pair in range(pairs):
        end = next_pair(end)
    removed = <size_t>(end - block) - offset
    memmove(block + offset, end, size - offset - removed)
    store_u32(block, <uint32_t>(size - removed))
    listpack_add_count(pack, -2 * <int64_t>pairs)
    return listpack_slim(memory, pack)


cdef Listpack *pack_place(Memory *memory, Listpack *pack, const char *text, size_t length,
                          double score) noexcept nogil:
    """Insert a pair where it belongs."""
    cdef Probe probe
    cdef const uint8_t *element = listpack_first(pack)
    probe.kind = PROBE_MEMBER
    probe.beyond = False
    probe.score = score
    probe.text = text
    probe.length = length
    pack_cut(pack, &probe, &element, 0)
    return pack_insert(memory, pack, <size_t>(element - listpack_bytes(pack)), text, length, score)


# ---- encoding -------------------------------------------------------------------------------------------------------

cdef SortedSet sorted_set_new(Memory *memory) noexcept nogil:
    cdef SortedSet self
    self.memory = memory
    self.encoding = ENCODING_LISTPACK
    self.pointer = listpack_new(memory, 0)
    return self


cdef size_t sorted_set_count(const SortedSet *self) noexcept nogil:
    if self.encoding == ENCODING_LISTPACK:
        return pack_pairs(<const Listpack *>self.pointer)
    return ordered_count(<const Ordered *>self.pointer)


cdef void become_index(SortedSet *self, const SortedSetPolicy *policy) noexcept nogil:
    cdef Listpack *pack = <Listpack *>self.pointer
    cdef Ordered *index = ordered_new(self.memory, policy.seed0, policy.seed1)
    cdef char[INTEGER_TEXT_BYTES] scratch
    cdef const uint8_t *element = listpack_first(pack)
    cdef const char *text
    cdef size_t length
    cdef Element read
    while element[0] != LISTPACK_END:
        element_read(element, &read)
        text = element_text(&read, scratch, &length)
        ordered_insert(index, element_score(score_of(element)), text, length)
        element = next_pair(element)
    release(self.memory, pack)
    self.encoding = ENCODING_ORDERED
    self.pointer = index


cdef void become_listpack(SortedSet *self) noexcept nogil:
    cdef Listpack *pack = listpack_new(self.memory, 0)
    cdef Spot spot
    cdef Scored scored
    cdef bint more = sorted_set_count(self) > 0
    if more:
        sorted_set_seek(self, 0, &spot)
    while more:
        spot_read(&spot, &scored)
        pack = pack_insert(self.memory, pack, listpack_size(pack) - 1, scored.member.data, scored.member.length,
                           scored.score)
        more = spot_step(&spot, True)
    value_free(self.memory, self.encoding, self.pointer)
    self.encoding = ENCODING_LISTPACK
    self.pointer = pack


cdef void sorted_set_expect(SortedSet *self, const SortedSetPolicy *policy, size_t members,
                            size_t bytes) noexcept nogil:
    if self.encoding == ENCODING_LISTPACK and (members > policy.entries or bytes > policy.value_bytes):
        become_index(self, policy)


cdef void sorted_set_settle(SortedSet *self, const SortedSetPolicy *policy) noexcept nogil:
    cdef Spot spot
    cdef Scored scored
    cdef size_t total = 0
    cdef bint more = True
    if self.encoding == ENCODING_LISTPACK or sorted_set_count(self) > policy.entries or sorted_set_count(self) == 0:
        return
    sorted_set_seek(self, 0, &spot)
    while more:
        spot_read(&spot, &scored)
        total += scored.member.length
        if scored.member.length > policy.value_bytes or total > PACK_LIMIT_BYTES:
            return
        more = spot_step(&spot, True)
    become_listpack(self)


# ---- members --------------------------------------------------------------------------------------------------------

cdef int new_score(double current, double *score, int flags) noexcept nogil:
    """What becomes of a present member's score: an AddResult, ADD_UPDATED when it is to change."""
    if flags & ADD_NEW:
        return ADD_NOTHING
    if flags & ADD_INCREMENT:
        score[0] += current
        if isnan(score[0]):
            return ADD_NOT_A_NUMBER
    if (flags & ADD_LESS and score[0] >= current) or (flags & ADD_GREATER and score[0] <= current):
        return ADD_NOTHING
    return ADD_UPDATED if score[0] != current else ADD_SAME


cdef int add_to_pack(SortedSet *self, const SortedSetPolicy *policy, const char *text, size_t length, double *score,
                     int flags) noexcept nogil:
    cdef Listpack *pack = <Listpack *>self.pointer
    cdef size_t rank
    cdef const uint8_t *element = pack_find(pack, text, length, &rank)
    cdef int result
    if element != NULL:
        result = new_score(element_score(score_of(element)), score, flags)
        if result == ADD_UPDATED:
            pack = pack_delete(self.memory, pack, <size_t>(element - listpack_bytes(pack)), 1)
            self.pointer = pack_place(self.memory, pack, text, length, score[0])
        return result
    if flags & ADD_PRESENT:
        return ADD_NOTHING
    if rank + 1 > policy.entries or length > policy.value_bytes or listpack_size(pack) + length > PACK_LIMIT_BYTES:
        become_index(self, policy)
        ordered_insert(<Ordered *>self.pointer, score[0], text, length)
    else:
        self.pointer = pack_place(self.memory, pack, text, length, score[0])
    return ADD_ADDED


cdef int sorted_set_add(SortedSet *self, const SortedSetPolicy *policy, const char *text, size_t length,
                        double *score, int flags) noexcept nogil:
    cdef Ordered *index
    cdef Member *member
    cdef int result
    if self.encoding == ENCODING_LISTPACK:
        return add_to_pack(self, policy, text, length, score, flags)
    index = <Ordered *>self.pointer
    member = ordered_find(index, text, length)
    if member != NULL:
        result = new_score(member.score, score, flags)
        if result == ADD_UPDATED:
            ordered_update(index, member, score[0])
        return result
    if flags & ADD_PRESENT:
        return ADD_NOTHING
    ordered_insert(index, score[0], text, length)
    return ADD_ADDED


cdef bint sorted_set_score(const SortedSet *self, const char *text, size_t length, double *score) noexcept nogil:
    cdef const uint8_t *element
    cdef Member *member
    cdef size_t rank
    if self.encoding == ENCODING_LISTPACK:
        element = pack_find(<const Listpack *>self.pointer, text, length, &rank)
        if element == NULL:
            return False
        score[0] = element_score(score_of(element))
        return True
    member = ordered_find(<Ordered *>self.pointer, text, length)
    if member == NULL:
        return False
    score[0] = member.score
    return True


cdef bint sorted_set_rank(const SortedSet *self, const char *text, size_t length, size_t *rank,
                          double *score) noexcept nogil:
    cdef const uint8_t *element
    cdef Member *member
    if self.encoding == ENCODING_LISTPACK:
        element = pack_find(<const Listpack *>self.pointer, text, length, rank)
        if element == NULL:
            return False
        score[0] = element_score(score_of(element))
        return True
    member = ordered_find(<Ordered *>self.pointer, text, length)
    if member == NULL:
        return False
    score[0] = member.score
    rank[0] = ordered_rank(<Ordered *>self.pointer, member)
    return True


cdef bint sorted_set_remove(SortedSet *self, const char *text, size_t length) noexcept nogil:
    cdef Listpack *pack = <Listpack *>self.pointer
    cdef const uint8_t *element
    cdef Member *member
    cdef size_t rank
    if self.encoding == ENCODING_LISTPACK:
        element = pack_find(pack, text, length, &rank)
        if element == NULL:
            return False
        self.pointer = pack_delete(self.memory, pack, <size_t>(element - listpack_bytes(pack)), 1)
        return True
    member = ordered_find(<Ordered *>self.pointer, text, length)
    if member == NULL:
        return False
    ordered_remove(<Ordered *>self.pointer, member)
    return True


cdef void sorted_set_remove_ranks(SortedSet *self, const Ranks *ranks) noexcept nogil:
    cdef Listpack *pack = <Listpack *>self.pointer
    cdef Ordered *index = <Ordered *>self.pointer
    cdef Spot spot
    cdef size_t left = ranks.count
    if left == 0:
        return
    if self.encoding == ENCODING_LISTPACK:
        sorted_set_seek(self, ranks.first, &spot)
        self.pointer = pack_delete(self.memory, pack, <size_t>(spot.element - listpack_bytes(pack)), left)
        return
    while left:
        ordered_seek(index, ranks.first, &spot.place)
        ordered_remove(index, spot.place.leaf.members[spot.place.index])
        left -= 1


# ---- ranges ---------------------------------------------------------------------------------------------------------

cdef inline Ranks ranks_between(size_t first, size_t end) noexcept nogil:
    cdef Ranks ranks
    ranks.first = first
    ranks.count = end - first if end > first else 0
    return ranks


cdef bint pack_meets(const Listpack *pack, const Probe *start, const Probe *end) noexcept nogil:
    """Whether the range begins before the last pair ends, and the other way round."""
    if listpack_count(pack) == 0 or (start != NULL and pair_precedes(pair_before(listpack_end(pack)), start)):
        return False
    return end == NULL or pair_precedes(listpack_first(pack), end)


cdef Ranks pack_cut_backward(const Listpack *pack, const Probe *start, const Probe *end) noexcept nogil:
    """From the last pair before `end` back to the first that does not lie before `start`."""
    cdef const uint8_t *element = listpack_end(pack)
    cdef size_t last = pack_pairs(pack)
    cdef size_t first
    while last > 0 and end != NULL and not pair_precedes(pair_before(element), end):
        element = pair_before(element)
        last -= 1
    first = last
    while first > 0 and not (start != NULL and pair_precedes(pair_before(element), start)):
        element = pair_before(element)
        first -= 1
    return ranks_between(first, last)


cdef Ranks sorted_set_between(const SortedSet *self, const Probe *start, const Probe *end,
                              bint backward) noexcept nogil:
    cdef const Listpack *pack = <const Listpack *>self.pointer
    cdef const Ordered *index = <const Ordered *>self.pointer
    cdef const uint8_t *element
    cdef size_t first = 0
    cdef size_t last = sorted_set_count(self)
    if self.encoding == ENCODING_LISTPACK:
        if not pack_meets(pack, start, end):
            return ranks_between(0, 0)
        if backward:
            return pack_cut_backward(pack, start, end)
        element = listpack_first(pack)
        if start != NULL:
            first = pack_cut(pack, start, &element, 0)
        if end != NULL:
            last = pack_cut(pack, end, &element, first)
    else:
        if start != NULL:
            first = ordered_cut(index, start)
        if end != NULL:
            last = ordered_cut(index, end)
    return ranks_between(first, last)


# ---- places ---------------------------------------------------------------------------------------------------------

cdef void sorted_set_seek(const SortedSet *self, size_t rank, Spot *spot) noexcept nogil:
    if self.encoding == ENCODING_LISTPACK:
        spot.pack = <const Listpack *>self.pointer
        spot.element = listpack_seek(spot.pack, 2 * rank, listpack_count(spot.pack))
    else:
        spot.pack = NULL
        ordered_seek(<const Ordered *>self.pointer, rank, &spot.place)


cdef bint spot_step(Spot *spot, bint forward) noexcept nogil:
    if spot.pack == NULL:
        return place_step(&spot.place, forward)
    if forward:
        spot.element = next_pair(spot.element)
        return spot.element[0] != LISTPACK_END
    if spot.element == listpack_first(spot.pack):
        return False
    spot.element = pair_before(spot.element)
    return True


cdef void spot_read(const Spot *spot, Scored *scored) noexcept nogil:
    cdef const Member *member
    if spot.pack != NULL:
        element_read(spot.element, &scored.member)
        scored.score = element_score(score_of(spot.element))
        return
    member = spot.place.leaf.members[spot.place.index]
    scored.member.data = member_text(member, &scored.member.length)
    scored.score = member.score
