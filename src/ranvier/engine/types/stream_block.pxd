"""One block of a stream: a listpack in the format that Redis's RDB files hold ("stream listpack").

    count | deleted | fields | field ... | 0        the master entry: how many entries live, how many are deleted,
                                                    and the fields of the first entry
    flags | ms | sequence | value ... | elements    an entry with the same fields as the master entry
    flags | ms | sequence | fields | (field | value) ... | elements

`ms` and `sequence` are relative to the block's own id, modulo 2^64. `elements` counts the elements of its entry before
it, so that a block can be walked backwards too; that of the master entry is 0, where such a walk ends. Header only.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint64_t

from ranvier.engine.memory cimport Memory
from ranvier.engine.types.id_index cimport StreamId
from ranvier.engine.types.listpack cimport (
    LISTPACK_HEADER_BYTES, Element, Listpack, Packing, element_before, element_read, element_size, listpack_bytes,
    listpack_end, listpack_first, listpack_splice, packing_set_integer, packing_write,
)

cdef enum EntryFlags:
    ENTRY_DELETED = 1
    ENTRY_SAME_FIELDS = 2

# What the master entry says.
cdef struct BlockHead:
    int64_t count
    int64_t deleted
    size_t field_count
    const uint8_t *fields
    const uint8_t *entries       # the first entry, or the end marker


cdef inline int64_t take_integer(const uint8_t **p) noexcept nogil:
    """The integer at p[0], which moves on."""
    cdef Element element
    element_read(p[0], &element)
    p[0] += element_size(p[0])
    return element.integer


cdef inline const uint8_t *skip_elements(const uint8_t *p, size_t count) noexcept nogil:
    while count:
        p += element_size(p)
        count -= 1
    return p


cdef inline void block_head(const Listpack *block, BlockHead *head) noexcept nogil:
    cdef const uint8_t *p = listpack_first(block)
    head.count = take_integer(&p)
    head.deleted = take_integer(&p)
    head.field_count = <size_t>take_integer(&p)
    head.fields = p
    head.entries = skip_elements(p, head.field_count + 1)


cdef inline const uint8_t *entry_before(const uint8_t *p) noexcept nogil:
    """The entry that ends just before `p`; NULL if that is the master entry."""
    cdef Element element
    cdef const uint8_t *q = element_before(p)
    element_read(q, &element)
    if element.integer == 0:
        return NULL
    while element.integer > 0:
        q = element_before(q)
        element.integer -= 1
    return q


cdef inline StreamId entry_id(const uint8_t *entry, StreamId block_id) noexcept nogil:
    cdef const uint8_t *p = entry + element_size(entry)
    block_id.ms += <uint64_t>take_integer(&p)
    block_id.sequence += <uint64_t>take_integer(&p)
    return block_id


cdef inline size_t integer_size(int64_t value) noexcept nogil:
    """Bytes of an element that holds this integer."""
    cdef Packing packing
    packing_set_integer(&packing, value)
    return packing.total_bytes


cdef inline uint8_t *put_integer(uint8_t *at, int64_t value) noexcept nogil:
    """Write an integer element; the address behind it."""
    cdef Packing packing
    packing_set_integer(&packing, value)
    packing_write(at, &packing, NULL, 0)
    return at + packing.total_bytes


cdef inline Listpack *block_set_integer(Memory *memory, Listpack *block, size_t offset, int64_t value) noexcept nogil:
    """Replace the integer element at an offset; the block, perhaps at another address."""
    cdef size_t before = element_size(listpack_bytes(block) + offset)
    cdef size_t after = integer_size(value)
    if before != after:
        block = listpack_splice(memory, block, offset, before, after)
    put_integer(listpack_bytes(block) + offset, value)
    return block


cdef inline Listpack *block_set_counts(Memory *memory, Listpack *block, int64_t count,
                                       int64_t deleted) noexcept nogil:
    """Write how many entries live and how many are deleted."""
    block = block_set_integer(memory, block, LISTPACK_HEADER_BYTES, count)
    return block_set_integer(memory, block, LISTPACK_HEADER_BYTES + integer_size(count), deleted)
