"""Building, measuring and freeing entries. The layout and its reasons stand in entry.pxd.

An entry's value is `entry_value_size` bytes: the inline string itself, or eight bytes (an integer or an address), read
and written with memcpy because the key before them has any length. Moving an entry is its owner's business: the two
tables that hold its address are changed by database.pyx and by nobody else.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memmove

from ranvier.engine.memory cimport Memory, allocate, ranvier_usable_size, release_lazily, resize
from ranvier.engine.store.table cimport Layout
from ranvier.engine.store.value cimport value_free

cdef enum:
    LONGEST_NARROW_KEY = 255


cdef const char *layout_key(const void *item, size_t *length) noexcept nogil:
    cdef const Entry *entry = <const Entry *>item
    length[0] = entry_key_length(entry)
    return entry_key(entry)


cdef void layout_free(Memory *memory, void *item) noexcept nogil:
    entry_free_value(memory, <Entry *>item)
    release_lazily(memory, item)


cdef Layout owning_layout
owning_layout.key = &layout_key
owning_layout.free = &layout_free

cdef Layout index_layout
index_layout.key = &layout_key
index_layout.free = NULL


cdef const Layout *entry_layout() noexcept nogil:
    return &owning_layout


cdef const Layout *entry_index_layout() noexcept nogil:
    return &index_layout


cdef int64_t entry_expiry(const Entry *entry) noexcept nogil:
    cdef int64_t at_ms
    if not entry.flags & ENTRY_EXPIRES:
        return -1
    memcpy(&at_ms, <const char *>(entry + 1) + (8 if entry.flags & ENTRY_WIDE else 0), 8)
    return at_ms


cdef void entry_write_expiry(Entry *entry, int64_t at_ms) noexcept nogil:
    memcpy(<char *>(entry + 1) + (8 if entry.flags & ENTRY_WIDE else 0), &at_ms, 8)


cdef void *entry_pointer(const Entry *entry) noexcept nogil:
    cdef void *pointer
    memcpy(&pointer, entry_value(entry), sizeof(void *))
    return pointer


cdef int64_t entry_integer(const Entry *entry) noexcept nogil:
    cdef int64_t value
    memcpy(&value, entry_value(entry), 8)
    return value


cdef void entry_set_pointer(Entry *entry, int encoding, void *pointer) noexcept nogil:
    entry.kind = <uint8_t>(entry_type(entry) | (encoding << 4))
    memcpy(entry_value(entry), &pointer, sizeof(void *))


cdef void entry_set_integer(Entry *entry, int64_t value) noexcept nogil:
    entry.kind = TYPE_STRING | (ENCODING_INTEGER << 4)
    memcpy(entry_value(entry), &value, 8)


cdef size_t entry_value_size(const Entry *entry) noexcept nogil:
    return entry.value_length if entry_encoding(entry) == ENCODING_INLINE else 8


cdef size_t entry_size(const Entry *entry) noexcept nogil:
    return entry_head_size(entry) + entry_key_length(entry) + entry_value_size(entry)


cdef Entry *entry_new(Memory *memory, const char *key, size_t length, int64_t at_ms, size_t value_size) noexcept nogil:
    cdef Entry *entry
    cdef size_t head = sizeof(Entry)
    cdef uint8_t flags = 0
    if length > LONGEST_NARROW_KEY:
        flags |= ENTRY_WIDE
        head += 8
    if at_ms >= 0:
        flags |= ENTRY_EXPIRES
        head += 8
    entry = <Entry *>allocate(memory, head + length + value_size)
    entry.kind = 0
    entry.flags = flags
    entry.value_length = 0
    entry.key_length = <uint8_t>length
    entry_set_access(entry, 0)
    if flags & ENTRY_WIDE:
        (<uint64_t *>(entry + 1))[0] = <uint32_t>length
    if at_ms >= 0:
        entry_write_expiry(entry, at_ms)
    memcpy(<char *>entry + head, key, length)
    return entry


cdef Entry *entry_with_expiry(Memory *memory, Entry *entry, int64_t at_ms) noexcept nogil:
    """The entry, which has no expiry yet, with one; perhaps at another address."""
    cdef size_t head = entry_head_size(entry)
    cdef size_t size = entry_size(entry)
    if size + 8 > ranvier_usable_size(entry):
        entry = <Entry *>resize(memory, entry, size + 8)
    memmove(<char *>entry + head + 8, <char *>entry + head, size - head)
    entry.flags |= ENTRY_EXPIRES
    entry_write_expiry(entry, at_ms)
    return entry


cdef void entry_drop_expiry(Entry *entry) noexcept nogil:
    """Close the gap that the expiry leaves; the address stays."""
    cdef size_t head = entry_head_size(entry)
    cdef size_t size = entry_size(entry)
    memmove(<char *>entry + head - 8, <char *>entry + head, size - head)
    entry.flags &= <uint8_t>~(ENTRY_EXPIRES | ENTRY_OWN)


cdef void entry_free_value(Memory *memory, Entry *entry) noexcept nogil:
    if entry_encoding(entry) > ENCODING_INTEGER:
        value_free(memory, entry_encoding(entry), entry_pointer(entry))
