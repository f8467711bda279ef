"""The table of a large set's members: items, and the value kinds of the set's own encodings."""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy

from ranvier.engine.memory cimport Memory
from ranvier.engine.store.table cimport Table, hash_bytes
from ranvier.engine.store.value cimport ValueKind

# An item is a member's length, then its bytes: one byte tells a length up to SHORT_MEMBER_BYTES; one more than that
# says that eight bytes with the length follow.
cdef enum:
    SHORT_MEMBER_BYTES = 254

cdef const ValueKind *intset_kind() noexcept nogil
cdef const ValueKind *members_kind() noexcept nogil

cdef Table *members_new(Memory *memory, uint64_t seed0, uint64_t seed1) noexcept nogil
cdef void *item_new(Memory *memory, const char *data, size_t length) noexcept nogil
# Add a member that is known to be absent.
cdef void members_insert(Table *table, const char *text, size_t length) noexcept nogil


cdef inline const char *item_text(const void *item, size_t *length) noexcept nogil:
    cdef const uint8_t *start = <const uint8_t *>item
    if start[0] <= SHORT_MEMBER_BYTES:
        length[0] = start[0]
        return <const char *>start + 1
    memcpy(length, start + 1, sizeof(uint64_t))
    return <const char *>start + 1 + sizeof(uint64_t)


cdef inline uint64_t hash_in(const Table *table, const char *text, size_t length) noexcept nogil:
    return hash_bytes(table.seed0, table.seed1, text, length)
