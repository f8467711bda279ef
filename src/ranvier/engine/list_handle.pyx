"""Python's view of a list value: a handle, and the listpack block as bytes.

A handle made here owns a list of its own. It is short-lived: nobody keeps one across commands.
"""

from libc.stdint cimport int64_t

from ranvier.engine.entry cimport ENCODING_LISTPACK, ENCODING_QUICKLIST
from ranvier.engine.listpack cimport (
    INTEGER_TEXT_BYTES, LISTPACK_END, Element, Listpack, Needle, element_equals, element_read, element_size,
    element_text, listpack_append, listpack_bytes, listpack_first, listpack_free, listpack_from_bytes,
    listpack_new, listpack_size, needle_set,
)
from ranvier.engine.listpack cimport listpack_is_valid as block_is_valid
from ranvier.engine.memory cimport Memory, blob_data
from ranvier.engine.packed cimport (
    Cursor, List, cursor_read, cursor_step, list_append_pack, list_delete, list_delete_range, list_drop, list_end,
    list_has_shrunk, list_insert, list_length, list_new, list_node_count, list_push, list_replace, list_seek,
    list_settle, list_will_grow, packed_copy, packed_free, packed_free_slice, packed_memory_usage,
)
from ranvier.engine.quicklist cimport ListNode, Quicklist


cdef bytes element_to_bytes(const Element *element):
    cdef char scratch[INTEGER_TEXT_BYTES]
    cdef size_t length
    cdef const char *text = element_text(element, scratch, &length)
    return text[:length]


def listpack_is_valid(bytes block) -> bool:
    """Whether `block` is exactly one well-formed listpack: what RESTORE and loading ask before they use it."""
    cdef size_t count
    return block_is_valid(block, <size_t>len(block), &count)


def listpack_encode(values) -> bytes:
    """The listpack that holds these byte strings."""
    cdef Memory memory
    cdef Listpack *pack
    cdef bytes value
    memory.used_bytes = memory.peak_bytes = 0
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
    p += 6
    while p[0] != LISTPACK_END:
        element_read(p, &element)
        values.append(element_to_bytes(&element))
        p += element_size(p)
    return values


cdef class ListHandle:
    """A list. `fill` is list-max-listpack-size: elements per listpack, or -1 to -5 for 4 to 64 KB."""

    cdef Memory memory
    cdef List value
    cdef int fill

    def __cinit__(self, values=(), int fill=-2):
        self.memory.used_bytes = self.memory.peak_bytes = 0
        self.value = list_new(&self.memory)
        self.fill = fill

    def __init__(self, values=(), fill=-2):
        for value in values:
            self.push(value)

    def __dealloc__(self):
        packed_free(&self.memory, self.value.encoding, self.value.pointer)

    def __len__(self):
        return list_length(&self.value)

    def __iter__(self):
        return iter(self.range())

    @property
    def encoding(self):
        """What OBJECT ENCODING says: listpack or quicklist."""
        return "listpack" if self.value.encoding == ENCODING_LISTPACK else "quicklist"

    @property
    def node_count(self):
        return list_node_count(&self.value)

    @property
    def used_bytes(self):
        """What the allocator gave for it."""
        return self.memory.used_bytes

    def memory_usage(self, size_t samples=0):
        """Bytes, of a quicklist estimated from the first `samples` nodes (0: all)."""
        return packed_memory_usage(self.value.encoding, self.value.pointer, samples)

    cdef int place(self, int64_t index, Cursor *cursor) except -1:
        if not list_seek(&self.value, index, cursor):
            raise IndexError("list index out of range")
        return 0

    def __getitem__(self, int64_t index):
        cdef Cursor cursor
        cdef Element element
        self.place(index, &cursor)
        cursor_read(&cursor, &element)
        return element_to_bytes(&element)

    def __setitem__(self, int64_t index, bytes value):
        cdef Cursor cursor
        self.place(index, &cursor)
        list_will_grow(&self.value, self.fill, <size_t>len(value), 1)
        self.place(index, &cursor)
        list_replace(&self.value, &cursor, value, <size_t>len(value))
        list_has_shrunk(&self.value, self.fill)

    def __delitem__(self, int64_t index):
        cdef Cursor cursor
        self.place(index, &cursor)
        list_delete(&self.value, &cursor, True)
        list_has_shrunk(&self.value, self.fill)

    def push(self, bytes value, bint at_head=False):
        list_will_grow(&self.value, self.fill, <size_t>len(value), 1)
        list_push(&self.value, at_head, value, <size_t>len(value))

    def end(self, bint at_head=False):
        """The element at an end; None if the list is empty."""
        cdef Element element
        if not list_end(&self.value, at_head, &element):
            return None
        return element_to_bytes(&element)

    def pop(self, bint at_head=False):
        """Take an element from an end; None if the list is empty."""
        value = self.end(at_head)
        if value is not None:
            list_drop(&self.value, at_head)
            list_has_shrunk(&self.value, self.fill)
        return value

    def insert(self, int64_t index, bytes value, bint after=False):
        """Insert before (or after) the element at `index`."""
        cdef Cursor cursor
        list_will_grow(&self.value, self.fill, <size_t>len(value), 1)
        self.place(index, &cursor)
        list_insert(&self.value, &cursor, after, value, <size_t>len(value))

    def range(self, int64_t start=0, size_t count=<size_t>-1, bint forward=True):
        """At most `count` elements from `start` on, in either direction."""
        cdef Cursor cursor
        cdef Element element
        values = []
        if count == 0 or not list_seek(&self.value, start, &cursor):
            return values
        while True:
            cursor_read(&cursor, &element)
            values.append(element_to_bytes(&element))
            if <size_t>len(values) == count or not cursor_step(&cursor, forward):
                return values

    def remove(self, bytes value, size_t limit=<size_t>-1, bint forward=True):
        """Remove elements equal to `value`, at most `limit`, from the head or from the tail; returns how many."""
        cdef Cursor cursor
        cdef Element element
        cdef Needle needle
        cdef size_t removed = 0
        cdef bint found = list_seek(&self.value, 0 if forward else -1, &cursor)
        needle_set(&needle, value, <size_t>len(value))
        while found and removed < limit:
            cursor_read(&cursor, &element)
            if element_equals(&element, &needle):
                found = list_delete(&self.value, &cursor, forward)
                removed += 1
            else:
                found = cursor_step(&cursor, forward)
        list_has_shrunk(&self.value, self.fill)
        return removed

    def delete_range(self, size_t start, size_t count):
        """Remove `count` elements from `start` on; returns how many there were."""
        removed = list_delete_range(&self.value, start, count)
        list_has_shrunk(&self.value, self.fill)
        return removed

    def rotate(self, bint from_head=False):
        """Move the element of one end to the other."""
        value = self.end(from_head)
        if value is not None:
            self.push(value, not from_head)
            list_drop(&self.value, from_head)
            list_has_shrunk(&self.value, self.fill)

    def copy(self):
        """A list of its own with the same elements and encoding."""
        cdef ListHandle other = ListHandle(fill=self.fill)
        packed_free(&other.memory, other.value.encoding, other.value.pointer)
        other.value.encoding = self.value.encoding
        other.value.pointer = packed_copy(&other.memory, self.value.encoding, self.value.pointer)
        return other

    def clear_slice(self, size_t budget):
        """Free at most `budget` nodes; at the end the list is a new empty one. Returns whether it came to that."""
        if not packed_free_slice(&self.memory, self.value.encoding, &self.value.pointer, budget):
            return False
        self.value = list_new(&self.memory)
        return True

    def blocks(self):
        """The value's nodes as RDB stores them: (plain, bytes) each, bytes being a listpack or a large element."""
        cdef ListNode *node
        cdef Listpack *pack
        if self.value.encoding == ENCODING_LISTPACK:
            pack = <Listpack *>self.value.pointer
            return [(False, (<const char *>listpack_bytes(pack))[:listpack_size(pack)])]
        found = []
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
            list_will_grow(&self.value, self.fill, <size_t>len(block), 1)
            list_push(&self.value, False, block, <size_t>len(block))
            return
        if not listpack_is_valid(block):
            raise ValueError("not a listpack")
        pack = listpack_from_bytes(&self.memory, block, <size_t>len(block))
        if listpack_first(pack)[0] == LISTPACK_END:
            listpack_free(&self.memory, pack)
            return
        list_append_pack(&self.value, self.fill, pack)

    def settle(self):
        """After loading: choose the encoding."""
        if len(self):
            list_settle(&self.value, self.fill)

    def check(self):
        """Raise AssertionError where the structure contradicts itself (tests)."""
        cdef Quicklist *chain
        cdef ListNode *node
        cdef ListNode *previous = NULL
        cdef size_t count = 0
        cdef size_t nodes = 0
        for plain, block in self.blocks():
            assert plain or listpack_is_valid(block), "malformed listpack"
        if self.value.encoding != ENCODING_QUICKLIST:
            return
        chain = <Quicklist *>self.value.pointer
        node = chain.head
        while node != NULL:
            assert node.previous == previous, "broken chain"
            assert node.count, "empty node"
            if node.pack != NULL:
                assert node.pack.start + listpack_size(node.pack) <= node.pack.capacity, "block outside of allocation"
            count += node.count
            nodes += 1
            previous = node
            node = node.next
        assert chain.tail == previous, "broken chain"
        assert (chain.count, chain.nodes) == (count, nodes), "wrong counts"
        assert count == sum(1 if plain else len(listpack_decode(block)) for plain, block in self.blocks())
