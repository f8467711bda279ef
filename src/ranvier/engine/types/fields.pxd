"""The hash type: one listpack of field, value, field, value ... while it is small, a table of fields beyond.

fields.pyx opens with the strategy. A field whose time has passed stays in the hash until something overwrites it or the
active cycle finds it; whoever reads asks `field_is_past` first. Nothing here knows the time.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from ranvier.engine.memory cimport Blob, Memory
from ranvier.engine.store.table cimport Layout, Table
from ranvier.engine.store.value cimport Value, ValueKind
from ranvier.engine.types.listpack cimport Element

cdef enum:
    FIELD_EXPIRES = 1            # an int64 of wall-clock milliseconds stands behind the header
    FIELD_BLOB = 2               # the value is the address of a Blob
    FIELD_INLINE_BYTES = 4096    # a longer value becomes a Blob

# One field of a table: one allocation, `header | [expiry] | name | value`.
cdef struct Field:
    uint32_t name_length
    uint16_t value_length        # of an inline value
    uint8_t flags

cdef struct FieldTable:
    Table fields
    Table *expiring              # the fields that expire, over again; owns none of them; NULL while there is none
    uint64_t expire_cursor       # where the active cycle goes on in it

ctypedef Value Hash              # of ENCODING_LISTPACK or ENCODING_FIELDS

# A field as it is read; the addresses die with the next change of the hash.
cdef struct FieldView:
    Element name
    Element value
    Blob *blob                   # what the value lies in, when it is a large one
    int64_t at_ms                # when it expires, -1: never
    Field *field                 # NULL in a listpack
    const uint8_t *element       # in a listpack, that of the value

# What may keep its listpack, and how a table hashes.
cdef struct HashLimits:
    size_t entries               # hash-max-listpack-entries
    size_t value_bytes           # hash-max-listpack-value
    uint64_t seed0
    uint64_t seed1

ctypedef void (*field_visit_t)(void *context, const FieldView *view) noexcept nogil

cdef const ValueKind *fields_kind() noexcept nogil
# Of a table over fields that another one owns.
cdef const Layout *field_index_layout() noexcept nogil


cdef inline bint field_is_past(int64_t at_ms, int64_t now_ms) noexcept nogil:
    return 0 <= at_ms < now_ms


# Empty, as a listpack with room for so many bytes of pairs.
cdef Hash hash_new(Memory *memory, size_t pair_bytes) noexcept nogil
cdef size_t hash_length(const Hash *self) noexcept nogil                   # past fields included
cdef size_t hash_expiring(const Hash *self) noexcept nogil                 # fields that have an expiry
cdef FieldTable *hash_fields(const Hash *self) noexcept nogil              # NULL while it is a listpack

# Encoding. `hash_will_take` before so many pairs with these longest and total lengths come, `hash_has_grown` after.
cdef void hash_become_table(Hash *self, const HashLimits *limits) noexcept nogil
cdef void hash_will_take(Hash *self, const HashLimits *limits, size_t longest, size_t bytes) noexcept nogil
cdef void hash_has_grown(Hash *self, const HashLimits *limits) noexcept nogil

cdef bint hash_find(const Hash *self, const char *name, size_t length, FieldView *view) noexcept nogil
# Set a field; `at` is what hash_find said (NULL: there is no such field) and is dead afterwards. A value in a `blob` of
# its own may be shared instead of copied. at_ms < 0: without expiry (a listpack has none).
cdef void hash_put(Hash *self, const FieldView *at, const char *name, size_t length, const char *value,
                   size_t value_length, Blob *blob, int64_t at_ms) noexcept nogil
# Delete a field that hash_find found.
cdef void hash_remove(Hash *self, const FieldView *at) noexcept nogil
# Give a field of a table another expiry, or (-1) none.
cdef void hash_set_expiry(Hash *self, const FieldView *at, int64_t at_ms) noexcept nogil

# All fields in the order of the value; those of a table in that of its home buckets.
cdef void hash_visit(const Hash *self, field_visit_t visit, void *context) noexcept nogil
# At least one step of a walk over the table, as table_scan; a listpack is walked at once.
cdef uint64_t hash_scan(const Hash *self, uint64_t cursor, field_visit_t visit, void *context) noexcept nogil
# Any field with the same probability; False: there is none.
cdef bint hash_random(const Hash *self, uint64_t *random, FieldView *view) noexcept nogil
cdef void field_view(Field *field, FieldView *view) noexcept nogil
