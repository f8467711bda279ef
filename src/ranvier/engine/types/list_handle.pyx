"""Python's view of a list: a handle (`value_handle`), and the listpack block as bytes."""

from libc.math cimport log
from libc.stdint cimport int64_t

from ranvier.engine.memory cimport Memory, blob_data, memory_init
from ranvier.engine.store.entry cimport ENCODING_LISTPACK, ENCODING_QUICKLIST, TYPE_LIST
from ranvier.engine.store.handles cimport DatabaseHandle
from ranvier.engine.types.listpack cimport (
    LISTPACK_EMPTY_BYTES, LISTPACK_END, LISTPACK_HEADER_BYTES, Element, Listpack, Needle,
    element_equals, element_read, element_size, listpack_append, listpack_bytes, listpack_free,
    listpack_from_bytes, listpack_new, listpack_size, needle_set,
)
from ranvier.engine.types.listpack cimport listpack_is_valid as block_is_valid
from ranvier.engine.types.packed cimport (
    Cursor, cursor_read, cursor_step, list_append_pack, list_delete, list_delete_range, list_drop, list_end,
    list_has_shrunk, list_insert, list_length, list_new, list_node_count, list_push, list_replace, list_seek,
    list_settle, list_will_grow,
)
from ranvier.engine.types.quicklist cimport Fill, Quicklist, fill_of, quicklist_find
from ranvier.engine.types.quicklist_index cimport ListNode, node_is_inner, node_priority
from ranvier.engine.types.value_handle cimport ValueHandle, element_to_bytes

cdef enum:
    INDEX_DEPTH_FLOOR = 16


cdef int check_index(const Quicklist *chain, ListNode *node, size_t place) except -1:
    """Raise AssertionError unless a search for the node's elements, the first of which is at `place`, ends there."""
    cdef size_t first = place, last = place + node.count - 1
    cdef const ListNode *child = node
    cdef size_t depth = 0
    assert quicklist_find(chain, &first) == node and first == 0, "lost by the index"
    assert quicklist_find(chain, &last) == node and last == node.count - 1, "lost by the index"
    if not node_is_inner(node):
        return 0
    while child.parent != NULL:
        assert child.parent.left == child or child.parent.right == child, "broken index"
        assert node_priority(child) <= node_priority(child.parent), "priorities out of order"
        assert depth < chain.nodes, "a circle in the index"
        child = child.parent
        depth += 1
    assert child == chain.root, "broken index"
    # The mean is twice the logarithm; four times the mean is what chance makes of one in 10^12 trees of 1,000 nodes.
    assert depth <= INDEX_DEPTH_FLOOR + 8 * log(<double>chain.nodes), "a deep index"
    return 0


def listpack_is_valid(bytes block) -> bool:
    """Whether `block` is exactly one well-formed listpack: what RESTORE and loading ask before they use it."""
    cdef size_t count
    return block_is_valid(block, <size_t>len(block), &count)


def listpack_encode(values) -> bytes:
    """The listpack that holds these byte strings."""
    cdef Memory memory
    cdef Listpack *pack
    cdef bytes value
    memory_init(&memory)
    pack = listpack_new(&memory, 0)
    for value in values:
        pack = listpack_append(&memory, pack, value, <size_t>len(value))
    block = (<const char *>listpack_bytes(pack))[:listpack_size(pack)]
    listpack_free(&memory, pack)
    return block


def listpack_decode(bytes block) -> list:
    """The elements of a listpack. ValueError if it is malformed."""
    cdef const unsigned char *p = block
    cdef Element element
    if not listpack_is_valid(block):
        raise ValueError("not a listpack")
    values = []
    p += LISTPACK_HEADER_BYTES
    while p[0] != LISTPACK_END:
        element_read(p, &element)
        values.append(element_to_bytes(&element))
        p += element_size(p)
    return values


cdef class ListHandle(ValueHandle):
    """A list of its own, made of `values`. `list_of` makes a handle on a key instead.

    `fill` is list-max-listpack-size: elements per listpack, or -1 to -5 for 4 to 64 KB.
    """

    cdef Fill fill

    def __cinit__(self):
        self.type = TYPE_LIST

    def __init__(self, values=(), int fill=-2):
        self.fill = fill_of(fill, 0)
        for value in values:
            self.push(value)

    cdef int begin(self) except -1:
        """As `load`, but make a list where there is none; `store` follows."""
        if not self.load():
            self.value = list_new(self.value.memory)
        return 0

    cdef int store(self) except -1:
        return self.put(list_length(&self.value) == 0)

    cdef int store_shrunk(self) except -1:
        if list_length(&self.value):
            list_has_shrunk(&self.value, self.fill)
        return self.store()

    cdef int place(self, int64_t index, Cursor *cursor) except -1:
        if self.value.pointer == NULL or not list_seek(&self.value, index, cursor):
            raise IndexError("list index out of range")
        return 0

    cdef int load_place(self, int64_t index, Cursor *cursor) except -1:
        if not self.load():
            raise IndexError("list index out of range")
        return self.place(index, cursor)

    # ---- looking ----------------------------------------------------------------------------------------------------

    def __len__(self):
        return list_length(&self.value) if self.load() else 0

    def __iter__(self):
        return iter(self.range())

    @property
    def node_count(self):
        """Listpacks, and large elements by themselves, that it consists of."""
        return list_node_count(&self.value) if self.load() else 0

    def __getitem__(self, int64_t index):
        cdef Cursor cursor
        cdef Element element
        self.load_place(index, &cursor)
        cursor_read(&cursor, &element)
        return element_to_bytes(&element)

    def end(self, bint at_head=False):
        """The element at an end; None if the list is empty."""
        cdef Element element
        if not self.load():
            return None
        list_end(&self.value, at_head, &element)
        return element_to_bytes(&element)

    def range(self, int64_t start=0, size_t count=<size_t>-1, bint forward=True):
        """At most `count` elements from `start` on, in either direction."""
        cdef Cursor cursor
        cdef Element element
        values = []
        if count == 0 or not self.load() or not list_seek(&self.value, start, &cursor):
            return values
        while True:
            cursor_read(&cursor, &element)
            values.append(element_to_bytes(&element))
            if <size_t>len(values) == count or not cursor_step(&cursor, forward):
                return values

    # ---- changing ---------------------------------------------------------------------------------------------------

    def __setitem__(self, int64_t index, bytes value):
        cdef Cursor cursor
        self.load_place(index, &cursor)
        list_will_grow(&self.value, self.fill, <size_t>len(value), 1)
        self.place(index, &cursor)
        list_replace(&self.value, &cursor, value, <size_t>len(value))
        self.store_shrunk()

    def __delitem__(self, int64_t index):
        cdef Cursor cursor
        self.load_place(index, &cursor)
        list_delete(&self.value, &cursor, True)
        self.store_shrunk()

    def push(self, bytes value, bint at_head=False):
        """Add an element at an end; the first one makes the list."""
        self.begin()
        list_will_grow(&self.value, self.fill, <size_t>len(value), 1)
        list_push(&self.value, at_head, value, <size_t>len(value))
        self.store()

    def pop(self, bint at_head=False):
        """Take an element from an end; None if the list is empty."""
        value = self.end(at_head)
        if value is not None:
            list_drop(&self.value, at_head)
            self.store_shrunk()
        return value

    def insert(self, int64_t index, bytes value, bint after=False):
        """Insert before (or after) the element at `index`."""
        cdef Cursor cursor
        self.load_place(index, &cursor)
        list_will_grow(&self.value, self.fill, <size_t>len(value), 1)
        self.place(index, &cursor)
        list_insert(&self.value, &cursor, after, value, <size_t>len(value))
        self.store()

    def remove(self, bytes value, size_t limit=<size_t>-1, bint forward=True):
        """Remove elements equal to `value`, at most `limit`, from the head or from the tail; returns how many."""
        cdef Cursor cursor
        cdef Element element
        cdef Needle needle
        cdef size_t removed = 0
        cdef bint found = self.load() and list_seek(&self.value, 0 if forward else -1, &cursor)
        needle_set(&needle, value, <size_t>len(value))
        while found and removed < limit:
            cursor_read(&cursor, &element)
            if element_equals(&element, &needle):
                found = list_delete(&self.value, &cursor, forward)
                removed += 1
            else:
                found = cursor_step(&cursor, forward)
        if removed:
            self.store_shrunk()
        return removed

    def delete_range(self, size_t start, size_t count):
        """Remove `count` elements from `start` on; returns how many there were."""
        if not self.load():
            return 0
        removed = list_delete_range(&self.value, start, count)
        self.store_shrunk()
        return removed

    def rotate(self, bint from_head=False):
        """Move the element of one end to the other."""
        value = self.end(from_head)
        if value is not None:
            self.push(value, not from_head)
            self.pop(from_head)

    # ---- whole values -----------------------------------------------------------------------------------------------

    def copy(self):
        """A list of its own with the same elements and encoding."""
        cdef ListHandle other = ListHandle(fill=self.fill.limit)
        cdef bytes value
        if not other.copy_own(self):
            for value in self.range():
                other.push(value)
        return other

    def blocks(self):
        """The value's nodes as RDB stores them: (plain, bytes) each, bytes being a listpack or a large element."""
        cdef ListNode *node
        cdef Listpack *pack
        found = []
        if not self.load():
            return found
        if self.value.encoding == ENCODING_LISTPACK:
            pack = <Listpack *>self.value.pointer
            return [(False, (<const char *>listpack_bytes(pack))[:listpack_size(pack)])]
        node = (<Quicklist *>self.value.pointer).head
        while node != NULL:
            if node.pack != NULL:
                found.append((False, (<const char *>listpack_bytes(node.pack))[:listpack_size(node.pack)]))
            else:
                found.append((True, (<const char *>blob_data(node.blob))[:node.blob.size]))
            node = node.next
        return found

    def append_block(self, bint plain, bytes block):
        """Put a node as RDB stores it at the tail; call `settle` after the last. ValueError if it is malformed."""
        cdef Listpack *pack
        if plain:
            self.push(block)
            return
        if not listpack_is_valid(block):
            raise ValueError("not a listpack")
        if len(block) == LISTPACK_EMPTY_BYTES:
            return
        self.begin()
        pack = listpack_from_bytes(self.value.memory, block, <size_t>len(block))
        list_append_pack(&self.value, self.fill, pack)
        self.store()

    def settle(self):
        """After loading: choose the encoding."""
        if self.load():
            list_settle(&self.value, self.fill)
            self.store()

    def check(self):
        """Raise AssertionError where the structure contradicts itself (tests)."""
        cdef Quicklist *chain
        cdef ListNode *node
        cdef ListNode *previous = NULL
        cdef size_t count = 0
        cdef size_t nodes = 0
        for plain, block in self.blocks():
            assert plain or listpack_is_valid(block), "malformed listpack"
        if not self.load() or self.value.encoding != ENCODING_QUICKLIST:
            return
        chain = <Quicklist *>self.value.pointer
        node = chain.head
        while node != NULL:
            assert node.previous == previous, "broken chain"
            assert node.count, "empty node"
            check_index(chain, node, count)
            if node.pack != NULL:
                assert node.pack.start + listpack_size(node.pack) <= node.pack.capacity, "block outside of allocation"
            count += node.count
            nodes += 1
            previous = node
            node = node.next
        assert chain.tail == previous, "broken chain"
        assert (chain.count, chain.nodes) == (count, nodes), "wrong counts"
        assert count == sum(1 if plain else len(listpack_decode(block)) for plain, block in self.blocks())


def list_of(DatabaseHandle database, bytes key, int fill=-2) -> ListHandle:
    """The list under a key, which need not exist yet. It tells nobody of changes: that is its user's to do."""
    cdef ListHandle handle = ListHandle(fill=fill)
    handle.attach(database, key)
    return handle
