"""The hash type over its two encodings.

Strategy. A small hash is a listpack of names and values in turn: looking one up walks the names, which are few. Beyond
hash-max-listpack-entries, with a longer string, or with a field that expires it becomes a `FieldTable`: the generic
table over `Field`s, each one allocation. Fields that expire stand, by the same addresses, in a second table that exists
only while there are any: the active cycle visits that one, so that its work follows what can expire, not the size of
the hash. Encodings never change as a side effect: commands say when (`hash_will_take`, `hash_has_grown`), so that
OBJECT ENCODING agrees with Valkey's. No hash becomes a listpack again.

Invariants.
- A field is in `expiring` exactly if FIELD_EXPIRES is set; whatever moves a field writes both slots before anyone
  looks.
- `expiring` is NULL or holds something.
- Between two commands no hash is empty.

Nothing here touches a Python object.
"""

from libc.string cimport memcmp, memcpy, memset

from ranvier.engine.memory cimport (
    allocate, blob_data, blob_new, blob_release, ranvier_usable_size, release, release_lazily,
)
from ranvier.engine.store.entry cimport ENCODING_FIELDS, ENCODING_LISTPACK
from ranvier.engine.store.table cimport (
    SEGMENT_BUCKETS, Bucket, hash_bytes, table_clear, table_find, table_free_slice, table_init, table_insert,
    table_random, table_remove, table_scan, table_visit,
)
from ranvier.engine.types.listpack cimport (
    INTEGER_TEXT_BYTES, LEAD_INTEGER_13, LEAD_STRING_6, LISTPACK_EMPTY_BYTES, LISTPACK_END, Listpack, Needle,
    element_before, element_equals, element_read, element_size, element_text, listpack_append, listpack_bytes,
    listpack_count, listpack_delete, listpack_first, listpack_free, listpack_new, listpack_replace, listpack_seek,
    listpack_size, needle_set,
)

cdef enum:
    LISTPACK_LIMIT_BYTES = 1 << 30       # no listpack grows past it, whatever the options say
    SMALL_FIELD_BYTES = 64               # below, memory saved by shrinking is not worth an allocation


# ---- one field ------------------------------------------------------------------------------------------------------

cdef inline size_t field_head_bytes(const Field *field) noexcept nogil:
    return sizeof(Field) + (8 if field.flags & FIELD_EXPIRES else 0)


cdef inline char *field_name(const Field *field) noexcept nogil:
    return <char *>field + field_head_bytes(field)


cdef inline char *field_value(const Field *field) noexcept nogil:
    return field_name(field) + field.name_length


cdef inline Blob *field_blob(const Field *field) noexcept nogil:
    cdef Blob *blob
    if not field.flags & FIELD_BLOB:
        return NULL
    memcpy(&blob, field_value(field), sizeof(Blob *))
    return blob


cdef inline int64_t field_expiry(const Field *field) noexcept nogil:
    cdef int64_t at_ms
    if not field.flags & FIELD_EXPIRES:
        return -1
    memcpy(&at_ms, field + 1, 8)
    return at_ms


cdef inline size_t field_value_bytes(const Field *field) noexcept nogil:
    return sizeof(Blob *) if field.flags & FIELD_BLOB else field.value_length


cdef const char *layout_key(const void *item, size_t *length) noexcept nogil:
    length[0] = (<const Field *>item).name_length
    return field_name(<const Field *>item)


cdef void field_free(Memory *memory, void *item) noexcept nogil:
    cdef Blob *blob = field_blob(<Field *>item)
    if blob != NULL:
        blob_release(memory, blob)
    release_lazily(memory, item)


cdef Layout owning_layout
owning_layout.key = &layout_key
owning_layout.free = &field_free

cdef Layout index_layout
index_layout.key = &layout_key
index_layout.free = NULL


cdef const Layout *field_index_layout() noexcept nogil:
    return &index_layout


cdef Field *field_new(Memory *memory, const char *name, size_t length, size_t value_bytes,
                      int64_t at_ms) noexcept nogil:
    """A field whose value is not written yet."""
    cdef size_t head = sizeof(Field) + (8 if at_ms >= 0 else 0)
    cdef Field *field = <Field *>allocate(memory, head + length + value_bytes)
    field.name_length = <uint32_t>length
    field.value_length = 0
    field.flags = FIELD_EXPIRES if at_ms >= 0 else 0
    if at_ms >= 0:
        memcpy(field + 1, &at_ms, 8)
    memcpy(field_name(field), name, length)
    return field


cdef void field_write(Field *field, const char *value, size_t length, Blob *blob) noexcept nogil:
    """Write the value: `blob`, of which the field takes over a reference, or, when that is NULL, the bytes."""
    if blob != NULL:
        field.flags |= FIELD_BLOB
        field.value_length = 0
        memcpy(field_value(field), &blob, sizeof(Blob *))
    else:
        field.flags &= <uint8_t>~FIELD_BLOB
        field.value_length = <uint16_t>length
        memcpy(field_value(field), value, length)


cdef Blob *value_blob(Memory *memory, const char *value, size_t length, Blob *blob) noexcept nogil:
    """A reference to the blob of a value that is too long for a field; NULL if it is not."""
    if length <= FIELD_INLINE_BYTES:
        return NULL
    if blob != NULL and value == blob_data(blob) and length == blob.size:
        blob.references += 1
        return blob
    blob = blob_new(memory, length)
    blob.size = length
    memcpy(blob_data(blob), value, length)
    return blob


cdef void field_view(Field *field, FieldView *view) noexcept nogil:
    view.field = field
    view.element = NULL
    view.name.data = field_name(field)
    view.name.length = field.name_length
    view.at_ms = field_expiry(field)
    view.blob = field_blob(field)
    if view.blob != NULL:
        view.value.data = blob_data(view.blob)
        view.value.length = view.blob.size
    else:
        view.value.data = field_value(field)
        view.value.length = field.value_length


# ---- the table as a value -------------------------------------------------------------------------------------------

cdef FieldTable *fields_new(Memory *memory, uint64_t seed0, uint64_t seed1) noexcept nogil:
    cdef FieldTable *self = <FieldTable *>allocate(memory, sizeof(FieldTable))
    table_init(&self.fields, memory, &owning_layout, seed0, seed1)
    self.expiring = NULL
    self.expire_cursor = 0
    return self


cdef inline uint64_t name_hash(const FieldTable *self, const char *name, size_t length) noexcept nogil:
    return hash_bytes(self.fields.seed0, self.fields.seed1, name, length)


cdef void index_add(FieldTable *self, uint64_t hash, Field *field) noexcept nogil:
    cdef Memory *memory = self.fields.memory
    if self.expiring == NULL:
        self.expiring = <Table *>allocate(memory, sizeof(Table))
        table_init(self.expiring, memory, &index_layout, self.fields.seed0, self.fields.seed1)
    table_insert(self.expiring, hash, field)


cdef void index_drop(FieldTable *self) noexcept nogil:
    table_clear(self.expiring)
    release(self.fields.memory, self.expiring)
    self.expiring = NULL
    self.expire_cursor = 0


cdef void index_remove(FieldTable *self, uint64_t hash, const Field *field) noexcept nogil:
    table_remove(self.expiring, hash, field_name(field), field.name_length)
    if self.expiring.count == 0:
        index_drop(self)


cdef void fields_add(FieldTable *self, uint64_t hash, Field *field) noexcept nogil:
    table_insert(&self.fields, hash, field)
    if field.flags & FIELD_EXPIRES:
        index_add(self, hash, field)


cdef bint fields_free_slice(Memory *memory, void **pointer, size_t budget) noexcept nogil:
    cdef FieldTable *self = <FieldTable *>pointer[0]
    cdef size_t before
    if self.expiring != NULL:
        before = self.expiring.count
        if table_free_slice(self.expiring, budget) != 0:
            return False
        release(memory, self.expiring)
        self.expiring = NULL
        budget -= before if before < budget else budget
    if table_free_slice(&self.fields, budget) != 0:
        return False
    release(memory, self)
    pointer[0] = NULL
    return True


cdef size_t fields_free_effort(const void *pointer) noexcept nogil:
    cdef FieldTable *self = <FieldTable *>pointer
    return 1 + self.fields.count + (self.expiring.count if self.expiring != NULL else 0)


cdef void copy_field(void *context, void *item) noexcept nogil:
    cdef FieldTable *copy = <FieldTable *>context
    cdef const Field *field = <const Field *>item
    cdef size_t size = field_head_bytes(field) + field.name_length + field_value_bytes(field)
    cdef Field *twin = <Field *>allocate(copy.fields.memory, size)
    cdef Blob *blob = field_blob(field)
    memcpy(twin, field, size)
    if blob != NULL:
        blob.references += 1
    fields_add(copy, name_hash(copy, field_name(twin), twin.name_length), twin)


cdef void *fields_copy(Memory *memory, const void *pointer) noexcept nogil:
    """All fields once more; large values are shared."""
    cdef FieldTable *self = <FieldTable *>pointer
    cdef FieldTable *copy = fields_new(memory, self.fields.seed0, self.fields.seed1)
    cdef size_t i
    for i in range(self.fields.buckets):
        table_visit(&self.fields, i, &copy_field, copy)
    return copy


cdef struct Measure:
    size_t count
    size_t bytes


cdef void measure_field(void *context, void *item) noexcept nogil:
    cdef Measure *measure = <Measure *>context
    cdef Blob *blob = field_blob(<const Field *>item)
    measure.count += 1
    measure.bytes += ranvier_usable_size(item)
    if blob != NULL:
        measure.bytes += ranvier_usable_size(blob)


cdef size_t fields_memory_usage(const void *pointer, size_t samples) noexcept nogil:
    cdef FieldTable *self = <FieldTable *>pointer
    cdef Measure measure
    cdef size_t i
    cdef size_t total = ranvier_usable_size(self) + buckets_bytes(&self.fields)
    memset(&measure, 0, sizeof(Measure))
    for i in range(self.fields.buckets):
        if samples != 0 and measure.count >= samples:
            break
        table_visit(&self.fields, i, &measure_field, &measure)
    if measure.count:
        total += <size_t>(<double>measure.bytes / <double>measure.count * <double>self.fields.count)
    if self.expiring != NULL:
        total += ranvier_usable_size(self.expiring) + buckets_bytes(self.expiring)
    return total


cdef inline size_t buckets_bytes(const Table *table) noexcept nogil:
    """What a table holds for itself: all its segments are as large as the first, or the first is the only one."""
    if table.buckets == 0:
        return 0
    return ranvier_usable_size(table.segments) + table.chained_buckets * sizeof(Bucket) \
        + ((table.buckets - 1) // SEGMENT_BUCKETS + 1) * ranvier_usable_size(table.segments[0])


cdef ValueKind FIELDS
FIELDS.name = b"hashtable"
FIELDS.free_slice = fields_free_slice
FIELDS.free_effort = fields_free_effort
FIELDS.copy = fields_copy
FIELDS.memory_usage = fields_memory_usage


cdef const ValueKind *fields_kind() noexcept nogil:
    return &FIELDS


# ---- encoding -------------------------------------------------------------------------------------------------------

cdef inline Listpack *pack_of(const Hash *self) noexcept nogil:
    return <Listpack *>self.pointer


cdef Hash hash_new(Memory *memory, size_t pair_bytes) noexcept nogil:
    cdef Hash self
    self.memory = memory
    self.encoding = ENCODING_LISTPACK
    self.pointer = listpack_new(memory, LISTPACK_EMPTY_BYTES + pair_bytes)
    return self


cdef FieldTable *hash_fields(const Hash *self) noexcept nogil:
    return NULL if self.encoding == ENCODING_LISTPACK else <FieldTable *>self.pointer


cdef size_t hash_length(const Hash *self) noexcept nogil:
    if self.encoding == ENCODING_LISTPACK:
        return listpack_count(pack_of(self)) // 2
    return (<FieldTable *>self.pointer).fields.count


cdef size_t hash_expiring(const Hash *self) noexcept nogil:
    cdef FieldTable *fields = hash_fields(self)
    return 0 if fields == NULL or fields.expiring == NULL else fields.expiring.count


cdef void hash_become_table(Hash *self, const HashLimits *limits) noexcept nogil:
    cdef Listpack *pack = pack_of(self)
    cdef FieldTable *fields
    cdef FieldView view
    cdef const uint8_t *p
    cdef char scratch[INTEGER_TEXT_BYTES]
    cdef const char *text
    cdef size_t length
    if self.encoding != ENCODING_LISTPACK:
        return
    fields = fields_new(self.memory, limits.seed0, limits.seed1)
    self.encoding = ENCODING_FIELDS
    self.pointer = fields
    p = listpack_first(pack)
    while p[0] != LISTPACK_END:
        p = read_pair(p, &view)
        text = element_text(&view.name, scratch, &length)
        put_new(self, text, length, &view.value)
    listpack_free(self.memory, pack)


cdef void put_new(Hash *self, const char *name, size_t length, const Element *value) noexcept nogil:
    cdef char scratch[INTEGER_TEXT_BYTES]
    cdef size_t value_length
    cdef const char *text = element_text(value, scratch, &value_length)
    hash_put(self, NULL, name, length, text, value_length, NULL, -1)


cdef void hash_will_take(Hash *self, const HashLimits *limits, size_t longest, size_t bytes) noexcept nogil:
    if self.encoding == ENCODING_LISTPACK and (
            longest > limits.value_bytes or listpack_size(pack_of(self)) + bytes > LISTPACK_LIMIT_BYTES):
        hash_become_table(self, limits)


cdef void hash_has_grown(Hash *self, const HashLimits *limits) noexcept nogil:
    if self.encoding == ENCODING_LISTPACK and listpack_count(pack_of(self)) > 2 * limits.entries:
        hash_become_table(self, limits)


# ---- looking up -----------------------------------------------------------------------------------------------------

cdef inline const uint8_t *read_pair(const uint8_t *p, FieldView *view) noexcept nogil:
    """The pair whose name stands at `p`; returns what follows it."""
    element_read(p, &view.name)
    p += element_size(p)
    element_read(p, &view.value)
    view.element = p
    view.field = NULL
    view.blob = NULL
    view.at_ms = -1
    return p + element_size(p)


cdef bint find_in_pack(const Listpack *pack, const char *name, size_t length, FieldView *view) noexcept nogil:
    cdef const uint8_t *p = listpack_first(pack)
    cdef Element element
    cdef Needle needle
    needle_set(&needle, name, length)
    while p[0] != LISTPACK_END:
        if not needle.is_integer and LEAD_STRING_6 <= p[0] < LEAD_INTEGER_13:      # the usual name, without a detour
            if <size_t>(p[0] & 63) == length and memcmp(p + 1, name, length) == 0:
                read_pair(p, view)
                return True
        else:
            element_read(p, &element)
            if element_equals(&element, &needle):
                read_pair(p, view)
                return True
        p += element_size(p)
        p += element_size(p)
    return False


cdef bint hash_find(const Hash *self, const char *name, size_t length, FieldView *view) noexcept nogil:
    cdef FieldTable *fields
    cdef void **slot
    if self.encoding == ENCODING_LISTPACK:
        return find_in_pack(pack_of(self), name, length, view)
    fields = <FieldTable *>self.pointer
    slot = table_find(&fields.fields, name_hash(fields, name, length), name, length)
    if slot == NULL:
        return False
    field_view(<Field *>slot[0], view)
    return True


# ---- changing -------------------------------------------------------------------------------------------------------

cdef void swap_field(FieldTable *fields, uint64_t hash, Field *field, Field *moved) noexcept nogil:
    """Put `moved`, of the same name, into the place of `field`, whose memory goes; the index follows."""
    cdef bint was_indexed = field.flags & FIELD_EXPIRES != 0
    cdef bint is_indexed = moved.flags & FIELD_EXPIRES != 0
    table_find(&fields.fields, hash, field_name(field), field.name_length)[0] = moved
    if was_indexed and is_indexed:
        table_find(fields.expiring, hash, field_name(field), field.name_length)[0] = moved
    elif was_indexed:
        index_remove(fields, hash, field)
    elif is_indexed:
        index_add(fields, hash, moved)
    release_lazily(fields.fields.memory, field)


cdef inline bint fits(const Field *field, size_t value_bytes) noexcept nogil:
    """Whether the field's allocation takes a value of this size without great waste."""
    cdef size_t needed = field_head_bytes(field) + field.name_length + value_bytes
    cdef size_t usable = ranvier_usable_size(<void *>field)
    return needed <= usable and (usable <= SMALL_FIELD_BYTES or 2 * needed >= usable)


cdef void put_in_table(FieldTable *fields, Field *field, const char *name, size_t length, const char *value,
                       size_t value_length, Blob *blob, int64_t at_ms) noexcept nogil:
    cdef Memory *memory = fields.fields.memory
    cdef Blob *old
    cdef Field *moved
    cdef size_t value_bytes
    cdef uint64_t hash
    blob = value_blob(memory, value, value_length, blob)
    value_bytes = value_length if blob == NULL else sizeof(Blob *)
    if field == NULL:
        field = field_new(memory, name, length, value_bytes, at_ms)
        field_write(field, value, value_length, blob)
        fields_add(fields, name_hash(fields, name, length), field)
        return
    old = field_blob(field)
    if (at_ms >= 0) == (field.flags & FIELD_EXPIRES != 0) and fits(field, value_bytes):
        if at_ms >= 0:
            memcpy(field + 1, &at_ms, 8)
        field_write(field, value, value_length, blob)
    else:
        hash = name_hash(fields, name, length)
        moved = field_new(memory, name, length, value_bytes, at_ms)
        field_write(moved, value, value_length, blob)
        swap_field(fields, hash, field, moved)
    if old != NULL:
        blob_release(memory, old)


cdef void hash_put(Hash *self, const FieldView *at, const char *name, size_t length, const char *value,
                   size_t value_length, Blob *blob, int64_t at_ms) noexcept nogil:
    cdef Listpack *pack = pack_of(self)
    if self.encoding != ENCODING_LISTPACK:
        put_in_table(<FieldTable *>self.pointer, NULL if at == NULL else at.field, name, length, value, value_length,
                     blob, at_ms)
    elif at != NULL:
        self.pointer = listpack_replace(self.memory, pack, <size_t>(at.element - listpack_bytes(pack)), value,
                                        value_length)
    else:
        pack = listpack_append(self.memory, pack, name, length)
        self.pointer = listpack_append(self.memory, pack, value, value_length)


cdef void hash_remove(Hash *self, const FieldView *at) noexcept nogil:
    cdef Listpack *pack = pack_of(self)
    cdef FieldTable *fields
    cdef Field *field = at.field
    cdef const uint8_t *name
    cdef uint64_t hash
    if field == NULL:
        name = element_before(at.element)
        self.pointer = listpack_delete(self.memory, pack, <size_t>(name - listpack_bytes(pack)), 2)
        return
    fields = <FieldTable *>self.pointer
    hash = name_hash(fields, field_name(field), field.name_length)
    if field.flags & FIELD_EXPIRES:
        index_remove(fields, hash, field)
    table_remove(&fields.fields, hash, field_name(field), field.name_length)
    field_free(self.memory, field)


cdef void hash_set_expiry(Hash *self, const FieldView *at, int64_t at_ms) noexcept nogil:
    cdef FieldTable *fields = <FieldTable *>self.pointer
    cdef Field *field = at.field
    cdef Field *moved
    if at_ms >= 0 and field.flags & FIELD_EXPIRES:
        memcpy(field + 1, &at_ms, 8)
        return
    if (at_ms >= 0) == (field.flags & FIELD_EXPIRES != 0):
        return
    moved = field_new(self.memory, field_name(field), field.name_length, field_value_bytes(field), at_ms)
    moved.flags |= field.flags & FIELD_BLOB
    moved.value_length = field.value_length
    memcpy(field_value(moved), field_value(field), field_value_bytes(field))
    swap_field(fields, name_hash(fields, field_name(moved), moved.name_length), field, moved)


# ---- walking --------------------------------------------------------------------------------------------------------

cdef struct Walk:
    field_visit_t visit
    void *context


cdef void visit_item(void *context, void *item) noexcept nogil:
    cdef const Walk *walk = <const Walk *>context
    cdef FieldView view
    field_view(<Field *>item, &view)
    walk.visit(walk.context, &view)


cdef void visit_pack(const Listpack *pack, field_visit_t visit, void *context) noexcept nogil:
    cdef const uint8_t *p = listpack_first(pack)
    cdef FieldView view
    while p[0] != LISTPACK_END:
        p = read_pair(p, &view)
        visit(context, &view)


cdef void hash_visit(const Hash *self, field_visit_t visit, void *context) noexcept nogil:
    cdef FieldTable *fields
    cdef Walk walk
    cdef size_t i
    if self.encoding == ENCODING_LISTPACK:
        visit_pack(pack_of(self), visit, context)
        return
    fields = <FieldTable *>self.pointer
    walk.visit = visit
    walk.context = context
    for i in range(fields.fields.buckets):
        table_visit(&fields.fields, i, &visit_item, &walk)


cdef uint64_t hash_scan(const Hash *self, uint64_t cursor, field_visit_t visit, void *context) noexcept nogil:
    cdef Walk walk
    if self.encoding == ENCODING_LISTPACK:
        visit_pack(pack_of(self), visit, context)
        return 0
    walk.visit = visit
    walk.context = context
    return table_scan(&(<FieldTable *>self.pointer).fields, cursor, &visit_item, &walk)


cdef bint hash_random(const Hash *self, uint64_t *random, FieldView *view) noexcept nogil:
    cdef size_t length = hash_length(self)
    if length == 0:
        return False
    if self.encoding != ENCODING_LISTPACK:
        field_view(<Field *>table_random(&(<FieldTable *>self.pointer).fields, random), view)
        return True
    random[0] ^= random[0] << 13             # xorshift64 (Marsaglia, "Xorshift RNGs", 2003)
    random[0] ^= random[0] >> 7
    random[0] ^= random[0] << 17
    read_pair(listpack_seek(pack_of(self), 2 * <size_t>((random[0] >> 16) % length), 2 * length), view)
    return True
