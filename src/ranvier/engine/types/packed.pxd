"""The list type: one listpack while it is small, a quicklist beyond (packed.pyx opens with the strategy).

`listpack.pxd` is the block, `quicklist.pxd` the chain, both byte-compatible with the RDB format.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint32_t

from ranvier.engine.memory cimport Blob, Memory
from ranvier.engine.store.value cimport Value, ValueKind
from ranvier.engine.types.listpack cimport Element, Listpack
from ranvier.engine.types.quicklist cimport Fill, Quicklist
from ranvier.engine.types.quicklist_index cimport ListNode

ctypedef Value List                        # of ENCODING_LISTPACK or ENCODING_QUICKLIST

# A place in a list. `element` is an address: it dies with every change that was not made through this cursor.
cdef struct Cursor:
    ListNode *node                         # NULL in a listpack-encoded list
    Listpack *pack                         # NULL in a plain node
    const uint8_t *element                 # NULL in a plain node

cdef const ValueKind *quicklist_kind() noexcept nogil

cdef List list_new(Memory *memory) noexcept nogil                          # empty, as a listpack
cdef size_t list_length(const List *self) noexcept nogil
cdef size_t list_node_count(const List *self) noexcept nogil

# Encoding, as Valkey decides it: call `list_will_grow` before elements of so many bytes are put in (LPUSH, LINSERT,
# LSET), `list_has_shrunk` after elements went (and after LSET), `list_settle` after a list was loaded or copied.
cdef void list_will_grow(List *self, Fill fill, size_t bytes, size_t elements) noexcept nogil
cdef void list_has_shrunk(List *self, Fill fill) noexcept nogil
cdef void list_settle(List *self, Fill fill) noexcept nogil

# Ends. The element that `list_end` reads lies in the list: it dies with the next change. `data` never lies in the list.
cdef void list_push(List *self, bint at_head, const char *data, size_t length) noexcept nogil
# Takes over one reference; `blob` is a large element (list_is_large) and the list a quicklist (list_will_grow).
cdef void list_push_blob(List *self, bint at_head, Blob *blob) noexcept nogil
cdef bint list_end(const List *self, bint at_head, Element *element) noexcept nogil      # False: empty
cdef void list_drop(List *self, bint at_head) noexcept nogil                             # of a list not empty
cdef bint list_is_large(Fill fill, size_t length) noexcept nogil          # an element that gets a node of its own
# A listpack as a node at the tail (RDB loading); takes it over. Only while the list is a quicklist or empty.
cdef void list_append_pack(List *self, Fill fill, Listpack *pack) noexcept nogil

# Places. Negative indexes count from the tail. False: out of range (and the cursor is unusable).
cdef bint list_seek(const List *self, int64_t index, Cursor *cursor) noexcept nogil
cdef bint cursor_step(Cursor *cursor, bint forward) noexcept nogil
cdef void cursor_read(const Cursor *cursor, Element *element) noexcept nogil
# The blob of a large element, NULL for others: a reply may take a reference instead of a copy.
cdef Blob *cursor_blob(const Cursor *cursor) noexcept nogil

# Changes. After `list_insert` and `list_replace` the cursor is dead. `list_delete` moves it on to the next element in
# the direction given; False: there is none. `list_delete_range` returns how many it removed.
cdef void list_insert(List *self, Cursor *cursor, bint after, const char *data, size_t length) noexcept nogil
cdef void list_replace(List *self, Cursor *cursor, const char *data, size_t length) noexcept nogil
cdef bint list_delete(List *self, Cursor *cursor, bint forward) noexcept nogil
cdef size_t list_delete_range(List *self, size_t start, size_t count) noexcept nogil
