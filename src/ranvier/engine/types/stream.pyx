"""The stream's entries.

Strategy: entries lie in blocks of some kilobytes, an index by id finds the block, a walk inside of it the entry. New
entries go to the end of the last block until it is full; a deleted entry stays in its block, marked, and a block in
which nothing lives goes (but see `trim_block`). So appending costs what the entry is long, and finding by id is
logarithmic in the blocks.

Invariants: every block holds at least one entry, perhaps a deleted one; the key of a block is the id of the entry that
began it (which may be deleted), and ids rise from entry to entry and from block to block; `length` is the sum of the
blocks' counts; `first_id` is the id of the first entry that lives, 0-0 when there is none.
"""

from libc.stdint cimport uint32_t
from libc.string cimport memcmp, memset

from ranvier.engine.memory cimport allocate, ranvier_usable_size, release
from ranvier.engine.number cimport parse_integer
from ranvier.engine.types.id_index cimport (
    id_compare, id_largest, id_smallest, index_bytes, index_first, index_init, index_insert, index_last,
    index_remove, index_until, place_item, place_step,
)
from ranvier.engine.types.listpack cimport (
    LISTPACK_END, LISTPACK_HEADER_BYTES, Element, Listpack, Packing, element_read, element_size, listpack_add_count,
    listpack_allocate, listpack_bytes, listpack_end, listpack_fit, listpack_free, listpack_from_bytes, listpack_size,
    listpack_splice, packing_set, packing_write, store_u32,
)
from ranvier.engine.types.stream_block cimport (
    ENTRY_DELETED, ENTRY_SAME_FIELDS, BlockHead, block_head, block_set_counts, entry_before, entry_id, integer_size,
    put_integer, skip_elements, take_integer,
)
from ranvier.engine.types.stream_groups cimport Group, group_copy, group_effort, group_free, group_usage

cdef enum:
    BLOCK_LIMIT_BYTES = 1 << 30          # larger entries are refused: a listpack counts its bytes in 32 bits


# ---- the value ------------------------------------------------------------------------------------------------------

cdef Stream *stream_new(Memory *memory) noexcept nogil:
    cdef Stream *self = <Stream *>allocate(memory, sizeof(Stream))
    memset(self, 0, sizeof(Stream))
    return self


cdef bint stream_free_slice(Memory *memory, void **pointer, size_t budget) noexcept nogil:
    cdef Stream *self = <Stream *>pointer[0]
    cdef IdPlace place
    cdef Group *group
    while budget and self.groups.count:
        group = <Group *>self.groups.items[self.groups.count - 1]
        if not group_free(memory, group, &budget):
            return False
        self.groups.count -= 1
    while budget and index_last(&self.blocks, &place):
        listpack_free(memory, <Listpack *>place_item(&place).item)
        index_remove(memory, &self.blocks, place_item(&place).id)
        budget -= 1
    if self.groups.count or self.blocks.count:
        return False
    release(memory, self.groups.items)
    release(memory, self)
    pointer[0] = NULL
    return True


cdef void stream_free(Memory *memory, Stream *self) noexcept nogil:
    cdef void *pointer = self
    stream_free_slice(memory, &pointer, <size_t>-1)


cdef size_t stream_free_effort(const void *pointer) noexcept nogil:
    cdef const Stream *self = <const Stream *>pointer
    cdef size_t effort = 1 + self.blocks.count
    cdef size_t i
    for i in range(self.groups.count):
        effort += group_effort(<const Group *>self.groups.items[i])
    return effort


cdef void *stream_copy(Memory *memory, const void *pointer) noexcept nogil:
    cdef const Stream *self = <const Stream *>pointer
    cdef Stream *copy = stream_new(memory)
    cdef IdPlace place
    cdef Listpack *block
    cdef size_t i
    cdef bint found = index_first(&self.blocks, &place)
    copy[0] = self[0]
    index_init(&copy.blocks)
    while found:
        block = <Listpack *>place_item(&place).item
        index_insert(memory, &copy.blocks, place_item(&place).id,
                     listpack_from_bytes(memory, listpack_bytes(block), listpack_size(block)))
        found = place_step(&place, True)
    copy.groups.items = NULL
    copy.groups.capacity = self.groups.count
    if self.groups.count:
        copy.groups.items = <void **>allocate(memory, self.groups.count * sizeof(void *))
    for i in range(self.groups.count):
        copy.groups.items[i] = group_copy(memory, <const Group *>self.groups.items[i])
    return copy


cdef size_t stream_memory_usage(const void *pointer, size_t samples) noexcept nogil:
    cdef const Stream *self = <const Stream *>pointer
    cdef size_t total = ranvier_usable_size(<void *>self) + index_bytes(&self.blocks)
    cdef size_t measured = 0, bytes = 0, i
    cdef IdPlace place
    cdef bint found = index_first(&self.blocks, &place)
    while found and (measured < samples or samples == 0):
        bytes += ranvier_usable_size(place_item(&place).item)
        measured += 1
        found = place_step(&place, True)
    if 0 < measured < self.blocks.count:
        bytes = <size_t>(<double>bytes / <double>measured * <double>self.blocks.count)
    total += bytes
    if self.groups.items != NULL:
        total += ranvier_usable_size(self.groups.items)
    for i in range(self.groups.count):
        total += group_usage(<const Group *>self.groups.items[i])
    return total


cdef ValueKind STREAM
STREAM.name = b"stream"
STREAM.free_slice = stream_free_slice
STREAM.free_effort = stream_free_effort
STREAM.copy = stream_copy
STREAM.memory_usage = stream_memory_usage


cdef const ValueKind *stream_kind() noexcept nogil:
    return &STREAM


# ---- appending ------------------------------------------------------------------------------------------------------

cdef inline bint element_is(const uint8_t *p, const Arg *arg) noexcept nogil:
    cdef Element element
    cdef int64_t value
    element_read(p, &element)
    if element.data != NULL:
        return element.length == arg.length and memcmp(element.data, arg.data, arg.length) == 0
    return parse_integer(arg.data, arg.length, &value) and value == element.integer


cdef bint has_fields(const BlockHead *head, const Arg *pairs, size_t count) noexcept nogil:
    """Whether the block's fields are those of the arguments."""
    cdef const uint8_t *p = head.fields
    cdef size_t i = 0
    if head.field_count * 2 != count:
        return False
    while i < count:
        if not element_is(p, &pairs[i]):
            return False
        p += element_size(p)
        i += 2
    return True


cdef inline size_t text_size(const Arg *arg) noexcept nogil:
    cdef Packing packing
    packing_set(&packing, arg.data, arg.length)
    return packing.total_bytes


cdef inline uint8_t *put_text(uint8_t *at, const Arg *arg) noexcept nogil:
    cdef Packing packing
    packing_set(&packing, arg.data, arg.length)
    packing_write(at, &packing, arg.data, arg.length)
    return at + packing.total_bytes


cdef Listpack *block_append(Memory *memory, Listpack *block, StreamId block_id, StreamId id, const Arg *pairs,
                            size_t count, const BlockHead *head) noexcept nogil:
    """Write the entry behind the others of the block, and count it."""
    cdef bint same = has_fields(head, pairs, count)
    cdef int64_t flags = ENTRY_SAME_FIELDS if same else 0
    cdef int64_t ms = <int64_t>(id.ms - block_id.ms)
    cdef int64_t sequence = <int64_t>(id.sequence - block_id.sequence)
    cdef int64_t elements = <int64_t>(count // 2 + 3 if same else count + 4)
    cdef size_t size = integer_size(flags) + integer_size(ms) + integer_size(sequence) + integer_size(elements)
    cdef size_t first = 1 if same else 0
    cdef size_t step = 2 if same else 1
    cdef size_t i
    cdef int64_t living = head.count + 1, deleted = head.deleted
    cdef uint8_t *p
    if not same:
        size += integer_size(<int64_t>(count // 2))
    i = first
    while i < count:
        size += text_size(&pairs[i])
        i += step
    i = listpack_size(block) - 1
    block = listpack_splice(memory, block, i, 0, size)
    p = put_integer(listpack_bytes(block) + i, flags)
    p = put_integer(p, ms)
    p = put_integer(p, sequence)
    if not same:
        p = put_integer(p, <int64_t>(count // 2))
    i = first
    while i < count:
        p = put_text(p, &pairs[i])
        i += step
    put_integer(p, elements)
    listpack_add_count(block, elements + 1)
    return block_set_counts(memory, block, living, deleted)


cdef Listpack *block_new(Memory *memory, const Arg *pairs, size_t count, size_t room) noexcept nogil:
    """A block without entries, with the master entry that these arguments make and `room` bytes behind it."""
    cdef size_t size = LISTPACK_HEADER_BYTES + 1 + 6 + integer_size(<int64_t>(count // 2))
    cdef size_t i
    cdef Listpack *block
    cdef uint8_t *p
    for i in range(0, count, 2):
        size += text_size(&pairs[i])
    block = listpack_allocate(memory, size + room)
    p = listpack_bytes(block)
    store_u32(p, <uint32_t>size)
    p[4] = 0
    p[5] = 0
    p = put_integer(p + LISTPACK_HEADER_BYTES, 0)
    p = put_integer(p, 0)
    p = put_integer(p, <int64_t>(count // 2))
    for i in range(0, count, 2):
        p = put_text(p, &pairs[i])
    p = put_integer(p, 0)
    p[0] = LISTPACK_END
    listpack_add_count(block, 4 + <int64_t>(count // 2))
    return block


cdef bint stream_append(Memory *memory, Stream *self, StreamId id, const Arg *pairs, size_t count,
                        const BlockLimits *limits) noexcept nogil:
    cdef IdPlace place
    cdef Listpack *block = NULL
    cdef BlockHead head
    cdef size_t total = 0, most = limits.bytes
    cdef size_t i
    for i in range(count):
        total += pairs[i].length
    if total > BLOCK_LIMIT_BYTES:
        return False
    if most == 0 or most > BLOCK_LIMIT_BYTES:
        most = BLOCK_LIMIT_BYTES
    if index_last(&self.blocks, &place):
        block = <Listpack *>place_item(&place).item
        block_head(block, &head)
        if listpack_size(block) + total >= most or (
                limits.entries and head.count + head.deleted >= limits.entries):
            place_item(&place).item = listpack_fit(memory, block)
            block = NULL
    if block == NULL:
        block = block_new(memory, pairs, count, total)
        block_head(block, &head)
        index_insert(memory, &self.blocks, id, block_append(memory, block, id, id, pairs, count, &head))
    else:
        place_item(&place).item = block_append(memory, block, place_item(&place).id, id, pairs, count, &head)
    self.entries_added += 1
    self.last_id = id
    self.length += 1
    if self.length == 1:
        self.first_id = id
    return True


# ---- looking --------------------------------------------------------------------------------------------------------

cdef inline Listpack *block_at(const StreamCursor *cursor) noexcept nogil:
    return <Listpack *>place_item(&cursor.block).item


cdef void read_entry(StreamCursor *cursor, const uint8_t *entry) noexcept nogil:
    """Stand on this entry of the cursor's block."""
    cdef const uint8_t *p = entry
    cdef StreamId id = place_item(&cursor.block).id
    cursor.entry = entry
    cursor.flags = take_integer(&p)
    id.ms += <uint64_t>take_integer(&p)
    id.sequence += <uint64_t>take_integer(&p)
    cursor.id = id
    cursor.behind = NULL
    if cursor.flags & ENTRY_SAME_FIELDS:
        cursor.field_count = cursor.head.field_count
        cursor.fields = cursor.head.fields
        cursor.values = p
    else:
        cursor.field_count = <size_t>take_integer(&p)
        cursor.fields = p
        cursor.values = p + element_size(p)


cdef const uint8_t *entry_behind(const uint8_t *entry, size_t block_fields) noexcept nogil:
    """The entry after this one, or the end marker."""
    cdef const uint8_t *p = entry
    cdef int64_t flags = take_integer(&p)
    p = skip_elements(p, 2)
    if flags & ENTRY_SAME_FIELDS:
        return skip_elements(p, block_fields + 1)
    block_fields = <size_t>take_integer(&p)
    return skip_elements(p, block_fields * 2 + 1)


cdef inline bint entry_lives(const uint8_t *entry) noexcept nogil:
    return not take_integer(&entry) & ENTRY_DELETED


cdef inline void enter_block(StreamCursor *cursor) noexcept nogil:
    block_head(block_at(cursor), &cursor.head)


cdef bint seek_forward(StreamCursor *cursor, const uint8_t *p, StreamId id) noexcept nogil:
    """The first entry from `id` on that lives, at `p` or behind it in this block, or in the next ones."""
    while True:
        while p[0] != LISTPACK_END:
            if entry_lives(p) and id_compare(entry_id(p, place_item(&cursor.block).id), id) >= 0:
                read_entry(cursor, p)
                return True
            p = entry_behind(p, cursor.head.field_count)
        if not place_step(&cursor.block, True):
            return False
        enter_block(cursor)
        p = cursor.head.entries


cdef bint seek_backward(StreamCursor *cursor, const uint8_t *p, StreamId id) noexcept nogil:
    """The last entry up to `id` that lives, before `p` in this block, or in the ones before."""
    while True:
        p = entry_before(p)
        while p != NULL:
            if entry_lives(p) and id_compare(entry_id(p, place_item(&cursor.block).id), id) <= 0:
                read_entry(cursor, p)
                return True
            p = entry_before(p)
        if not place_step(&cursor.block, False):
            return False
        enter_block(cursor)
        p = listpack_end(block_at(cursor))


cdef bint stream_seek(const Stream *self, StreamId id, bint forward, StreamCursor *cursor) noexcept nogil:
    if forward:
        if id_compare(id, self.last_id) > 0:
            return False
        if not index_until(&self.blocks, id, &cursor.block) and not index_first(&self.blocks, &cursor.block):
            return False
        enter_block(cursor)
        return seek_forward(cursor, cursor.head.entries, id)
    if not index_until(&self.blocks, id, &cursor.block):
        return False
    enter_block(cursor)
    return seek_backward(cursor, listpack_end(block_at(cursor)), id)


cdef bint stream_step(StreamCursor *cursor, bint forward) noexcept nogil:
    cdef size_t elements = cursor.field_count
    cdef const uint8_t *p = cursor.behind
    if not forward:
        return seek_backward(cursor, cursor.entry, cursor.id)
    if p == NULL:
        if not cursor.flags & ENTRY_SAME_FIELDS:
            elements = elements * 2 - 1
        p = skip_elements(cursor.values, elements)
    return seek_forward(cursor, p + element_size(p), cursor.id)


cdef inline bint within(StreamId id, StreamId last, bint forward) noexcept nogil:
    return (id_compare(id, last) if forward else id_compare(last, id)) <= 0


cdef bint block_is_within(const IdPlace *block, StreamId last, bint forward) noexcept nogil:
    """Whether no entry of this block lies behind `last`."""
    cdef IdPlace next = block[0]
    if forward and not place_step(&next, True):
        return False
    return within(place_item(&next).id, last, forward)


cdef uint64_t stream_count(const StreamCursor *cursor, StreamId last, bint forward, uint64_t limit) noexcept nogil:
    """Entry by entry at both ends of the range, block by block between."""
    cdef StreamCursor at = cursor[0]
    cdef IdPlace before
    cdef uint64_t count = 0
    while within(at.id, last, forward):
        before = at.block
        count += 1
        if count >= limit or not stream_step(&at, forward):
            return count
        if at.block.leaf == before.leaf and at.block.at == before.at:
            continue
        while block_is_within(&at.block, last, forward):
            count += <uint64_t>at.head.count
            if count >= limit:
                return limit
            if not place_step(&at.block, forward):
                return count
            enter_block(&at)
        if forward:
            seek_forward(&at, at.head.entries, id_smallest())
        else:
            seek_backward(&at, listpack_end(block_at(&at)), id_largest())
    return count


cdef bint stream_has(const Stream *self, StreamId id) noexcept nogil:
    cdef StreamCursor cursor
    return stream_seek(self, id, True, &cursor) and id_compare(cursor.id, id) == 0


cdef void stream_find_first(Stream *self) noexcept nogil:
    cdef StreamCursor cursor
    self.first_id = id_smallest()
    if stream_seek(self, self.first_id, True, &cursor):
        self.first_id = cursor.id


# ---- taking out -----------------------------------------------------------------------------------------------------

cdef void block_drop(Memory *memory, Stream *self, const IdPlace *place) noexcept nogil:
    listpack_free(memory, <Listpack *>place_item(place).item)
    index_remove(memory, &self.blocks, place_item(place).id)


cdef bint stream_delete(Memory *memory, Stream *self, StreamId id) noexcept nogil:
    cdef StreamCursor cursor
    cdef bint was_first = id_compare(id, self.first_id) == 0
    if not stream_seek(self, id, True, &cursor) or id_compare(cursor.id, id) != 0:
        return False
    if cursor.head.count <= 1:
        block_drop(memory, self, &cursor.block)
    else:
        put_integer(<uint8_t *>cursor.entry, cursor.flags | ENTRY_DELETED)
        place_item(&cursor.block).item = block_set_counts(
            memory, block_at(&cursor), cursor.head.count - 1, cursor.head.deleted + 1)
    self.length -= 1
    if id_compare(id, self.max_deleted_id) > 0:
        self.max_deleted_id = id
    if was_first:
        stream_find_first(self)
    return True


cdef bint block_may_go(const Stream *self, const IdPlace *place, int64_t count, const Trim *trim) noexcept nogil:
    """Whether all of a block is to be trimmed."""
    cdef const uint8_t *last
    if trim.strategy == TRIM_TO_LENGTH:
        return self.length - <uint64_t>count >= trim.length
    last = entry_before(listpack_end(<const Listpack *>place_item(place).item))
    return id_compare(entry_id(last, place_item(place).id), trim.id) < 0


cdef uint64_t trim_block(Memory *memory, Stream *self, IdPlace *place, const Trim *trim) noexcept nogil:
    """Mark entries from the block's first on. All that live may go when a deleted one stands last: as on the reference
    servers the block stays then, for what comes next."""
    cdef Listpack *block = <Listpack *>place_item(place).item
    cdef BlockHead head
    cdef const uint8_t *p
    cdef const uint8_t *flags
    cdef int64_t gone = 0
    block_head(block, &head)
    p = head.entries
    while p[0] != LISTPACK_END:
        if trim.strategy == TRIM_TO_LENGTH:
            if self.length - <uint64_t>gone <= trim.length:
                break
        elif id_compare(entry_id(p, place_item(place).id), trim.id) >= 0:
            break
        flags = p
        if entry_lives(p):
            put_integer(<uint8_t *>p, take_integer(&flags) | ENTRY_DELETED)
            gone += 1
        p = entry_behind(p, head.field_count)
    if gone:
        place_item(place).item = block_set_counts(memory, block, head.count - gone, head.deleted + gone)
    self.length -= <uint64_t>gone
    return <uint64_t>gone


cdef uint64_t stream_trim(Memory *memory, Stream *self, const Trim *trim) noexcept nogil:
    cdef IdPlace place
    cdef BlockHead head
    cdef uint64_t gone = 0
    if trim.strategy == TRIM_NOTHING:
        return 0
    while index_first(&self.blocks, &place):
        if trim.strategy == TRIM_TO_LENGTH and self.length <= trim.length:
            break
        block_head(<Listpack *>place_item(&place).item, &head)
        if trim.limit and gone + <uint64_t>head.count > trim.limit:
            break
        if block_may_go(self, &place, head.count, trim):
            block_drop(memory, self, &place)
            self.length -= <uint64_t>head.count
            gone += <uint64_t>head.count
            continue
        if not trim.approximate:
            gone += trim_block(memory, self, &place, trim)
        break
    if gone:
        stream_find_first(self)
    return gone
