"""The hash table of cache-line buckets: the keyspace, its expiry index, and (later) large hashes and sets."""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from ranvier.engine.memory cimport Memory

# What a table must know of its items. An item is one allocation; the table holds its address and never looks inside.
cdef struct Layout:
    const char *(*key)(const void *item, size_t *length) noexcept nogil
    void (*free)(Memory *memory, void *item) noexcept nogil      # NULL: the table does not own its items

cdef enum:
    SEGMENT_BUCKETS = 1024   # home buckets of a segment; the first one is smaller while the table is


cdef struct Bucket:
    uint8_t present          # bits 0-6: the slot is used; bit 7: slot 6 holds the address of the next bucket
    uint8_t tags[7]          # top byte of each item's hash
    void *slots[7]


cdef struct Table:
    Memory *memory
    const Layout *layout
    uint64_t seed0
    uint64_t seed1
    size_t count             # items held
    Bucket **segments        # linear hashing: bucket i lives in segments[i // SEGMENT_BUCKETS]
    size_t segments_capacity
    size_t buckets           # home buckets in use
    uint64_t low_mask        # 2**level - 1
    size_t split             # home buckets below it are addressed with one bit more
    size_t chained_buckets
    uint64_t moved_total     # home buckets split or merged since the start: the bounded-work counter


ctypedef void (*visit_t)(void *context, void *item) noexcept nogil

cdef uint64_t hash_bytes(uint64_t seed0, uint64_t seed1, const char *key, size_t length) noexcept nogil

cdef void table_init(Table *table, Memory *memory, const Layout *layout, uint64_t seed0, uint64_t seed1) noexcept nogil
# Drop everything at once (small tables, shutdown). Large ones go through table_free_slice.
cdef void table_clear(Table *table) noexcept nogil
# Free at most `budget` items; returns how many are left. At 0 the table's own memory is gone too.
cdef size_t table_free_slice(Table *table, size_t budget) noexcept nogil
# Unlink and return some item, NULL at the end (then the table's own memory is gone); after the first call nothing else
# may be done with the table until then.
cdef void *table_pop(Table *table) noexcept nogil

cdef void table_prefetch(Table *table, uint64_t hash) noexcept nogil
# Second look-ahead step: prefetch the item that the (now cached) bucket seems to hold.
cdef void table_prefetch_item(Table *table, uint64_t hash) noexcept nogil
# The address of the slot that holds the key's item, or NULL. Valid until the next insert or remove.
cdef void **table_find(Table *table, uint64_t hash, const char *key, size_t length) noexcept nogil
# Add an item whose key is known to be absent. Splits a bounded number of buckets (at most two).
cdef void table_insert(Table *table, uint64_t hash, void *item) noexcept nogil
# Unlink and return the key's item (NULL if absent); the item is the caller's. Merges at most two buckets.
cdef void *table_remove(Table *table, uint64_t hash, const char *key, size_t length) noexcept nogil
# Visit all items of one home bucket (all that hash to the cursor's low bits); returns the next cursor, 0 at the end.
# An item present from the first call to the last is visited at least once, while the table grows and shrinks.
cdef uint64_t table_scan(Table *table, uint64_t cursor, visit_t visit, void *context) noexcept nogil
# Visit all items of the home bucket `index`, which is below table.buckets.
cdef void table_visit(Table *table, size_t index, visit_t visit, void *context) noexcept nogil
# A uniformly chosen item, NULL if empty. `random` is a xorshift state owned by the caller, never 0.
cdef void *table_random(Table *table, uint64_t *random) noexcept nogil
