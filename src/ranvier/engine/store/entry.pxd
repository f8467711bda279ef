"""A key with its value: one allocation, `header | [lengths] | [expiry] | key | value`.

The header is eight bytes, so that a 16-byte key with a 16-byte value takes 40: the largest request that glibc serves
from a 48-byte chunk.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from ranvier.engine.memory cimport Blob, Memory
from ranvier.engine.store.table cimport Layout

# The numbers are those of OBJECT/TYPE order, not of the RDB format.
cdef enum ValueType:
    TYPE_STRING = 0
    TYPE_LIST = 1
    TYPE_SET = 2
    TYPE_SORTED_SET = 3
    TYPE_HASH = 4
    TYPE_STREAM = 5

cdef enum Encoding:
    ENCODING_INLINE = 0      # string bytes in the entry ("embstr", or "raw" above 44 bytes)
    ENCODING_INTEGER = 1     # a signed 64-bit integer in the entry ("int")
    ENCODING_BLOB = 2        # the address of a Blob ("raw")
    ENCODING_LISTPACK = 3    # the address of a listpack blob (engine/types/packed)
    ENCODING_QUICKLIST = 4   # the address of a Quicklist (engine/types/packed)
    ENCODING_INTSET = 5      # the address of an intset
    ENCODING_FIELDS = 6      # the address of a FieldTable (engine/types/fields): a hash
    ENCODING_ORDERED = 7     # the address of an order-statistic index: a sorted set
    ENCODING_STREAM = 8      # the address of a stream
    ENCODING_MEMBERS = 9     # the address of a hash table: the members of a set

cdef enum:
    INLINE_VALUE_LIMIT_BYTES = 4096      # a longer string becomes a Blob

cdef enum EntryFlag:
    ENTRY_EXPIRES = 1        # an int64 of wall-clock milliseconds stands before the key
    ENTRY_FIELDS_EXPIRE = 4  # a hash of which fields expire: it stands in the database's `volatile_hashes`
    ENTRY_OWN = 8            # on a replica: a client of its own set the expiry, of which the primary does not know
    ENTRY_WIDE = 2           # key longer than 255 bytes: a uint32 key length stands behind the header (8 bytes used)

cdef struct Entry:
    uint8_t kind             # type in the low nibble, encoding in the high one
    uint8_t flags
    uint8_t key_length       # when not ENTRY_WIDE
    uint8_t access_high      # with access_low: 24 bits of LRU clock, or LFU minutes (16) and counter (8)
    uint16_t access_low
    uint16_t value_length    # of an inline string


cdef inline int entry_type(const Entry *entry) noexcept nogil:
    return entry.kind & 15


cdef inline int entry_encoding(const Entry *entry) noexcept nogil:
    return entry.kind >> 4


cdef inline uint32_t entry_access(const Entry *entry) noexcept nogil:
    return (<uint32_t>entry.access_high << 16) | entry.access_low


cdef inline void entry_set_access(Entry *entry, uint32_t access) noexcept nogil:
    entry.access_high = <uint8_t>(access >> 16)
    entry.access_low = <uint16_t>access


cdef inline size_t entry_head_size(const Entry *entry) noexcept nogil:
    """Bytes before the key."""
    return sizeof(Entry) + (8 if entry.flags & ENTRY_WIDE else 0) + (8 if entry.flags & ENTRY_EXPIRES else 0)


cdef inline size_t entry_key_length(const Entry *entry) noexcept nogil:
    if entry.flags & ENTRY_WIDE:
        return (<const uint32_t *>(entry + 1))[0]
    return entry.key_length


cdef inline const char *entry_key(const Entry *entry) noexcept nogil:
    return <const char *>entry + entry_head_size(entry)


cdef inline char *entry_value(const Entry *entry) noexcept nogil:
    """Address of the inline bytes, integer or pointer (unaligned: read integers and pointers with memcpy)."""
    return <char *>entry + entry_head_size(entry) + entry_key_length(entry)


cdef int64_t entry_expiry(const Entry *entry) noexcept nogil          # wall-clock ms, -1 when it does not expire
cdef void *entry_pointer(const Entry *entry) noexcept nogil           # value of the pointer encodings
cdef int64_t entry_integer(const Entry *entry) noexcept nogil         # value of ENCODING_INTEGER
cdef size_t entry_value_size(const Entry *entry) noexcept nogil       # bytes of the value within the entry
cdef size_t entry_size(const Entry *entry) noexcept nogil
# Replace the pointer and encoding in place (listpack grew, listpack became quicklist); the type stays, none is freed.
cdef void entry_set_pointer(Entry *entry, int encoding, void *pointer) noexcept nogil
# Replace an integer by another in place (INCR); the entry must have eight bytes for its value.
cdef void entry_set_integer(Entry *entry, int64_t value) noexcept nogil

# The rest is database.pyx's: it alone may move entries, because it knows who holds their addresses.
# An entry with room for `value_size` bytes of value, kind and access still 0; at_ms < 0: without expiry.
cdef Entry *entry_new(Memory *memory, const char *key, size_t length, int64_t at_ms, size_t value_size) noexcept nogil
cdef Entry *entry_with_expiry(Memory *memory, Entry *entry, int64_t at_ms) noexcept nogil
cdef void entry_write_expiry(Entry *entry, int64_t at_ms) noexcept nogil
cdef void entry_drop_expiry(Entry *entry) noexcept nogil
cdef void entry_free_value(Memory *memory, Entry *entry) noexcept nogil
cdef const Layout *entry_layout() noexcept nogil                      # of a table that owns its entries
cdef const Layout *entry_index_layout() noexcept nogil                # of a table over entries that another one owns
