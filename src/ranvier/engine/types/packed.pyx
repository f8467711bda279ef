"""The list type over its two encodings.

Strategy: every operation first asks which encoding the list has and otherwise works on listpacks; a cursor in a
listpack-encoded list simply has no node. Changing the encoding is never a side effect of an operation: commands call
`list_will_grow` and `list_has_shrunk` at the moments at which Valkey decides, so that OBJECT ENCODING agrees.
Invariant: between two operations a quicklist has no empty node (an empty list may exist inside a command only).

Nothing here touches a Python object, and nothing is called but the header-only modules and the allocator.
"""

from ranvier.engine.memory cimport blob_data, ranvier_usable_size, release
from ranvier.engine.store.entry cimport ENCODING_LISTPACK, ENCODING_QUICKLIST
from ranvier.engine.types.listpack cimport (
    LISTPACK_EMPTY_BYTES, LISTPACK_END, LISTPACK_HEADER_BYTES, element_before, element_read, element_size,
    listpack_append, listpack_bytes, listpack_count, listpack_delete, listpack_end, listpack_first, listpack_free,
    listpack_from_bytes, listpack_insert, listpack_new, listpack_prepend, listpack_replace, listpack_seek,
    listpack_size,
)
from ranvier.engine.types.quicklist cimport (
    NODE_FIRST_CAPACITY_BYTES, NODE_LIMIT_BYTES, fill_allows_half, fill_exceeded, fill_is_large, fill_limit_bytes,
    node_accepts, node_for_element, node_free, node_new, quicklist_find, quicklist_link, quicklist_merge_around,
    quicklist_new, quicklist_recount, quicklist_split, quicklist_unlink,
)


# --- the quicklist as a value -------------------------------------------------------------------------------------

cdef bint quicklist_free_slice(Memory *memory, void **pointer, size_t budget) noexcept nogil:
    cdef Quicklist *chain = <Quicklist *>pointer[0]
    cdef ListNode *node
    while chain.head != NULL and budget:
        node = chain.head
        budget -= 1
        chain.head = node.next
        chain.count -= node.count
        chain.nodes -= 1
        node_free(memory, node)
    if chain.head != NULL:
        chain.head.previous = NULL
        return False
    release(memory, chain)
    pointer[0] = NULL
    return True


cdef size_t quicklist_free_effort(const void *pointer) noexcept nogil:
    return (<const Quicklist *>pointer).nodes


cdef void *quicklist_copy(Memory *memory, const void *pointer) noexcept nogil:
    """The chain once more; large elements are shared."""
    cdef const Quicklist *chain = <const Quicklist *>pointer
    cdef Quicklist *copy = quicklist_new(memory, chain.fill)
    cdef const ListNode *node = chain.head
    cdef Listpack *pack
    cdef ListNode *twin
    while node != NULL:
        if node.pack != NULL:
            pack = listpack_from_bytes(memory, listpack_bytes(node.pack), listpack_size(node.pack))
            twin = node_new(memory, pack, NULL, node.count)
        else:
            node.blob.references += 1
            twin = node_new(memory, NULL, node.blob, 1)
        quicklist_link(memory, copy, twin, copy.tail, True)
        node = node.next
    return copy


cdef size_t quicklist_memory_usage(const void *pointer, size_t samples) noexcept nogil:
    cdef const Quicklist *chain = <const Quicklist *>pointer
    cdef const ListNode *node = chain.head
    cdef size_t measured = 0
    cdef size_t total = 0
    while node != NULL and (measured < samples or samples == 0):
        total += ranvier_usable_size(<void *>node)
        total += ranvier_usable_size(<void *>node.pack) if node.pack != NULL else ranvier_usable_size(<void *>node.blob)
        measured += 1
        node = node.next
    if 0 < measured < chain.nodes:
        total = <size_t>(<double>total / <double>measured * <double>chain.nodes)
    return ranvier_usable_size(<void *>chain) + total


cdef ValueKind QUICKLIST
QUICKLIST.name = b"quicklist"
QUICKLIST.free_slice = quicklist_free_slice
QUICKLIST.free_effort = quicklist_free_effort
QUICKLIST.copy = quicklist_copy
QUICKLIST.memory_usage = quicklist_memory_usage


cdef const ValueKind *quicklist_kind() noexcept nogil:
    return &QUICKLIST


# --- encoding ----------------------------------------------------------------------------------------------------

cdef List list_new(Memory *memory) noexcept nogil:
    cdef List self
    self.memory = memory
    self.encoding = ENCODING_LISTPACK
    self.pointer = listpack_new(memory, 0)
    return self


cdef size_t list_length(const List *self) noexcept nogil:
    if self.encoding == ENCODING_LISTPACK:
        return listpack_count(<const Listpack *>self.pointer)
    return (<const Quicklist *>self.pointer).count


cdef size_t list_node_count(const List *self) noexcept nogil:
    return 1 if self.encoding == ENCODING_LISTPACK else (<const Quicklist *>self.pointer).nodes


cdef void become_quicklist(List *self, Fill fill) noexcept nogil:
    """The listpack becomes the only node of a chain; an empty one goes."""
    cdef Listpack *pack = <Listpack *>self.pointer
    cdef Quicklist *chain = quicklist_new(self.memory, fill)
    cdef size_t count = listpack_count(pack)
    if count:
        quicklist_link(self.memory, chain, node_new(self.memory, pack, NULL, count), NULL, True)
    else:
        listpack_free(self.memory, pack)
    self.encoding = ENCODING_QUICKLIST
    self.pointer = chain


cdef void become_listpack(List *self) noexcept nogil:
    """The only node's listpack becomes the value."""
    cdef Quicklist *chain = <Quicklist *>self.pointer
    self.encoding = ENCODING_LISTPACK
    self.pointer = chain.head.pack
    release(self.memory, chain.head)
    release(self.memory, chain)


cdef void list_will_grow(List *self, Fill fill, size_t bytes, size_t elements) noexcept nogil:
    cdef Listpack *pack = <Listpack *>self.pointer
    if self.encoding == ENCODING_LISTPACK and fill_exceeded(
            fill, listpack_size(pack) + bytes, listpack_count(pack) + elements):
        become_quicklist(self, fill)
    elif self.encoding == ENCODING_QUICKLIST:
        (<Quicklist *>self.pointer).fill.plain_bytes = fill.plain_bytes


cdef void list_has_shrunk(List *self, Fill fill) noexcept nogil:
    cdef const Quicklist *chain = <const Quicklist *>self.pointer
    if (self.encoding == ENCODING_QUICKLIST and chain.nodes == 1 and chain.head.pack != NULL
            and fill_allows_half(fill, listpack_size(chain.head.pack), chain.count)):
        become_listpack(self)


cdef void list_settle(List *self, Fill fill) noexcept nogil:
    cdef const Quicklist *chain = <const Quicklist *>self.pointer
    if self.encoding == ENCODING_LISTPACK:
        list_will_grow(self, fill, 0, 0)
    elif (chain.nodes == 1 and chain.head.pack != NULL
            and (fill.limit >= 0 or listpack_size(chain.head.pack) <= fill_limit_bytes(fill))
            and not (fill.limit >= 0 and fill_exceeded(fill, 0, chain.count))):
        become_listpack(self)


# --- ends --------------------------------------------------------------------------------------------------------

cdef void list_push(List *self, bint at_head, const char *data, size_t length) noexcept nogil:
    cdef Memory *memory = self.memory
    cdef Quicklist *chain
    cdef ListNode *node
    if self.encoding == ENCODING_LISTPACK:
        if at_head:
            self.pointer = listpack_prepend(memory, <Listpack *>self.pointer, data, length)
        else:
            self.pointer = listpack_append(memory, <Listpack *>self.pointer, data, length)
        return
    chain = <Quicklist *>self.pointer
    node = chain.head if at_head else chain.tail
    if node_accepts(node, chain.fill, length):
        if at_head:
            node.pack = listpack_prepend(memory, node.pack, data, length)
        else:
            node.pack = listpack_append(memory, node.pack, data, length)
        node.count += 1
        chain.count += 1
        return
    quicklist_link(memory, chain, node_for_element(memory, chain.fill, data, length, NODE_FIRST_CAPACITY_BYTES),
                   node, not at_head)


cdef void list_push_blob(List *self, bint at_head, Blob *blob) noexcept nogil:
    cdef Quicklist *chain = <Quicklist *>self.pointer
    quicklist_link(self.memory, chain, node_new(self.memory, NULL, blob, 1), chain.head if at_head else chain.tail,
                   not at_head)


cdef bint list_end(const List *self, bint at_head, Element *element) noexcept nogil:
    cdef Cursor cursor
    if self.encoding == ENCODING_LISTPACK:
        if listpack_size(<const Listpack *>self.pointer) == LISTPACK_EMPTY_BYTES:
            return False
        cursor.node = NULL
        cursor_enter_pack(&cursor, <Listpack *>self.pointer, not at_head)
    else:
        if (<const Quicklist *>self.pointer).head == NULL:
            return False
        cursor_enter(&cursor, (<const Quicklist *>self.pointer).head if at_head
                     else (<const Quicklist *>self.pointer).tail, not at_head)
    cursor_read(&cursor, element)
    return True


cdef inline size_t end_offset(const Listpack *pack, bint at_head) noexcept nogil:
    """Where the first or last element lies."""
    if at_head:
        return LISTPACK_HEADER_BYTES
    return <size_t>(element_before(listpack_end(pack)) - listpack_bytes(pack))


cdef void list_drop(List *self, bint at_head) noexcept nogil:
    cdef Listpack *pack = <Listpack *>self.pointer
    cdef Quicklist *chain = <Quicklist *>self.pointer
    cdef ListNode *node
    if self.encoding == ENCODING_LISTPACK:
        self.pointer = listpack_delete(self.memory, pack, end_offset(pack, at_head), 1)
        return
    node = chain.head if at_head else chain.tail
    if node.count == 1:
        quicklist_unlink(self.memory, chain, node)
        return
    node.pack = listpack_delete(self.memory, node.pack, end_offset(node.pack, at_head), 1)
    node.count -= 1
    chain.count -= 1


cdef bint list_is_large(Fill fill, size_t length) noexcept nogil:
    return fill_is_large(fill, length)


cdef void list_append_pack(List *self, Fill fill, Listpack *pack) noexcept nogil:
    cdef Quicklist *chain
    if self.encoding == ENCODING_LISTPACK:
        become_quicklist(self, fill)
    chain = <Quicklist *>self.pointer
    quicklist_link(self.memory, chain, node_new(self.memory, pack, NULL, listpack_count(pack)), chain.tail, True)


# --- places ------------------------------------------------------------------------------------------------------

cdef inline void cursor_enter_pack(Cursor *cursor, Listpack *pack, bint at_last) noexcept nogil:
    """Stand on the first or last element of a listpack that has one."""
    cursor.pack = pack
    cursor.element = element_before(listpack_end(pack)) if at_last else listpack_first(pack)


cdef inline void cursor_enter(Cursor *cursor, ListNode *node, bint at_last) noexcept nogil:
    cursor.node = node
    if node.pack != NULL:
        cursor_enter_pack(cursor, node.pack, at_last)
    else:
        cursor.pack = NULL
        cursor.element = NULL


cdef bint list_seek(const List *self, int64_t index, Cursor *cursor) noexcept nogil:
    cdef int64_t count = <int64_t>list_length(self)
    cdef size_t place
    cdef ListNode *node
    if index < 0:
        index += count
    if index < 0 or index >= count:
        return False
    place = <size_t>index
    if self.encoding == ENCODING_LISTPACK:
        cursor.node = NULL
        cursor.pack = <Listpack *>self.pointer
        cursor.element = listpack_seek(cursor.pack, place, <size_t>count)
        return True
    node = quicklist_find(<const Quicklist *>self.pointer, &place)
    cursor.node = node
    cursor.pack = node.pack
    cursor.element = listpack_seek(node.pack, place, node.count) if node.pack != NULL else NULL
    return True


cdef bint cursor_step(Cursor *cursor, bint forward) noexcept nogil:
    cdef ListNode *node
    if cursor.pack != NULL:
        if forward:
            cursor.element += element_size(cursor.element)
            if cursor.element[0] != LISTPACK_END:
                return True
        elif cursor.element != listpack_first(cursor.pack):
            cursor.element = element_before(cursor.element)
            return True
    if cursor.node == NULL:
        return False
    node = cursor.node.next if forward else cursor.node.previous
    if node == NULL:
        return False
    cursor_enter(cursor, node, not forward)
    return True


cdef void cursor_read(const Cursor *cursor, Element *element) noexcept nogil:
    if cursor.pack != NULL:
        element_read(cursor.element, element)
    else:
        element.data = blob_data(cursor.node.blob)
        element.length = cursor.node.blob.size


cdef Blob *cursor_blob(const Cursor *cursor) noexcept nogil:
    return NULL if cursor.pack != NULL else cursor.node.blob


# --- changes -----------------------------------------------------------------------------------------------------

cdef inline size_t cursor_offset(const Cursor *cursor) noexcept nogil:
    return <size_t>(cursor.element - listpack_bytes(cursor.pack))


cdef void node_insert(List *self, ListNode *node, size_t offset, const char *data, size_t length) noexcept nogil:
    node.pack = listpack_insert(self.memory, node.pack, offset, data, length)
    quicklist_recount(<Quicklist *>self.pointer, node, 1)


cdef void insert_into_chain(List *self, Cursor *cursor, bint after, const char *data, size_t length) noexcept nogil:
    """Into the node if it has room, else, at its edge, into its neighbour or a node between; else the node is split."""
    cdef Quicklist *chain = <Quicklist *>self.pointer
    cdef ListNode *node = cursor.node
    cdef ListNode *beside = node.next if after else node.previous
    cdef size_t offset = LISTPACK_HEADER_BYTES
    cdef bint at_edge = True
    if node.pack != NULL:
        offset = cursor_offset(cursor)
        if after:
            offset += element_size(cursor.element)
            at_edge = offset == listpack_size(node.pack) - 1
        else:
            at_edge = offset == LISTPACK_HEADER_BYTES
    if node_accepts(node, chain.fill, length):
        node_insert(self, node, offset, data, length)
        return
    if at_edge and node_accepts(beside, chain.fill, length):
        node_insert(self, beside, LISTPACK_HEADER_BYTES if after else listpack_size(beside.pack) - 1, data, length)
        return
    if at_edge:
        quicklist_link(self.memory, chain, node_for_element(self.memory, chain.fill, data, length, 0), node, after)
        return
    quicklist_split(self.memory, chain, node, offset)
    if fill_is_large(chain.fill, length):
        quicklist_link(self.memory, chain, node_for_element(self.memory, chain.fill, data, length, 0), node, True)
    elif after:
        node_insert(self, node.next, LISTPACK_HEADER_BYTES, data, length)
        quicklist_merge_around(self.memory, chain, node)
    else:
        node_insert(self, node, listpack_size(node.pack) - 1, data, length)
        quicklist_merge_around(self.memory, chain, node.next)


cdef void list_insert(List *self, Cursor *cursor, bint after, const char *data, size_t length) noexcept nogil:
    cdef size_t offset
    if self.encoding == ENCODING_QUICKLIST:
        insert_into_chain(self, cursor, after, data, length)
        return
    offset = cursor_offset(cursor)
    if after:
        offset += element_size(cursor.element)
    self.pointer = listpack_insert(self.memory, cursor.pack, offset, data, length)


cdef void replace_in_chain(List *self, Cursor *cursor, const char *data, size_t length) noexcept nogil:
    """In place while a listpack keeps it; else the new element goes in behind the old one, which goes out."""
    cdef Quicklist *chain = <Quicklist *>self.pointer
    cdef ListNode *node = cursor.node
    cdef ListNode *single
    cdef size_t offset
    if node.pack != NULL and not fill_is_large(chain.fill, length) and (
            listpack_size(node.pack) + length <= NODE_LIMIT_BYTES):
        node.pack = listpack_replace(self.memory, node.pack, cursor_offset(cursor), data, length)
        return
    if node.pack == NULL:
        insert_into_chain(self, cursor, True, data, length)
        quicklist_unlink(self.memory, chain, node)
        return
    single = node_for_element(self.memory, chain.fill, data, length, 0)
    offset = cursor_offset(cursor) + element_size(cursor.element)
    if offset != listpack_size(node.pack) - 1:
        quicklist_split(self.memory, chain, node, offset)
    quicklist_link(self.memory, chain, single, node, True)
    if node.count == 1:
        quicklist_unlink(self.memory, chain, node)
        return
    node.pack = listpack_delete(self.memory, node.pack, end_offset(node.pack, False), 1)
    quicklist_recount(chain, node, <size_t>-1)
    quicklist_merge_around(self.memory, chain, single)


cdef void list_replace(List *self, Cursor *cursor, const char *data, size_t length) noexcept nogil:
    if self.encoding == ENCODING_QUICKLIST:
        replace_in_chain(self, cursor, data, length)
    else:
        self.pointer = listpack_replace(self.memory, cursor.pack, cursor_offset(cursor), data, length)


cdef bint delete_in_pack(Memory *memory, Cursor *cursor, bint forward) noexcept nogil:
    """Remove the cursor's element from its listpack, which may move; False: the next element is not in this one."""
    cdef size_t offset = cursor_offset(cursor)
    cdef size_t onward = offset
    cdef bint stays = True
    if not forward:
        stays = offset != LISTPACK_HEADER_BYTES
        if stays:
            onward = <size_t>(element_before(cursor.element) - listpack_bytes(cursor.pack))
    cursor.pack = listpack_delete(memory, cursor.pack, offset, 1)
    cursor.element = listpack_bytes(cursor.pack) + onward
    return stays and cursor.element[0] != LISTPACK_END


cdef bint list_delete(List *self, Cursor *cursor, bint forward) noexcept nogil:
    cdef Quicklist *chain
    cdef ListNode *node = cursor.node
    cdef ListNode *onward
    cdef bint stays
    if node == NULL:
        stays = delete_in_pack(self.memory, cursor, forward)
        self.pointer = cursor.pack
        return stays
    chain = <Quicklist *>self.pointer
    onward = node.next if forward else node.previous
    if node.count == 1:
        quicklist_unlink(self.memory, chain, node)
    else:
        stays = delete_in_pack(self.memory, cursor, forward)
        node.pack = cursor.pack
        quicklist_recount(chain, node, <size_t>-1)
        if stays:
            return True
    if onward == NULL:
        return False
    cursor_enter(cursor, onward, not forward)
    return True


cdef void delete_range_in_chain(List *self, ListNode *node, size_t skip, size_t count) noexcept nogil:
    """Remove `count` elements, the first of them `skip` elements into the node; whole nodes go without being read."""
    cdef Quicklist *chain = <Quicklist *>self.pointer
    cdef ListNode *onward
    cdef size_t here
    while count:
        onward = node.next
        here = node.count - skip if node.count - skip < count else count
        if here == node.count:
            quicklist_unlink(self.memory, chain, node)
        else:
            node.pack = listpack_delete(
                self.memory, node.pack,
                <size_t>(listpack_seek(node.pack, skip, node.count) - listpack_bytes(node.pack)), here)
            quicklist_recount(chain, node, -here)
        count -= here
        skip = 0
        node = onward


cdef size_t list_delete_range(List *self, size_t start, size_t count) noexcept nogil:
    cdef size_t length = list_length(self)
    cdef size_t skip = start
    cdef ListNode *node
    cdef Listpack *pack
    if start >= length:
        return 0
    if count > length - start:
        count = length - start
    if self.encoding == ENCODING_LISTPACK:
        pack = <Listpack *>self.pointer
        self.pointer = listpack_delete(
            self.memory, pack, <size_t>(listpack_seek(pack, start, length) - listpack_bytes(pack)), count)
        return count
    node = quicklist_find(<const Quicklist *>self.pointer, &skip)
    delete_range_in_chain(self, node, skip, count)
    return count
