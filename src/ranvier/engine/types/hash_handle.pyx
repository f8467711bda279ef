"""Python's view of a hash: a handle (`value_handle`).

Fields whose time has passed are shown as the others are.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memset

from ranvier.engine.memory cimport Memory, release, resize
from ranvier.engine.store.database cimport database_set_volatile
from ranvier.engine.store.entry cimport ENCODING_LISTPACK, TYPE_HASH, Entry
from ranvier.engine.store.handles cimport DatabaseHandle
from ranvier.engine.types.fields cimport (
    FieldTable, FieldView, HashLimits, hash_become_table, hash_expiring, hash_fields, hash_find,
    hash_has_grown, hash_length, hash_new, hash_put, hash_random, hash_remove, hash_scan, hash_set_expiry, hash_visit,
    hash_will_take,
)
from ranvier.engine.types.listpack cimport Listpack, listpack_bytes, listpack_size
from ranvier.engine.types.value_handle cimport ValueHandle, element_to_bytes

cdef enum:
    SCAN_EFFORT = 10             # home buckets that a scan visits at most, per field asked for


# What a walk visited; the addresses hold as long as the hash does not change.
cdef struct Collection:
    Memory *memory
    FieldView *views
    size_t count
    size_t capacity


cdef void collect(void *context, const FieldView *view) noexcept nogil:
    cdef Collection *found = <Collection *>context
    if found.count == found.capacity:
        found.capacity = 2 * found.capacity + 16
        found.views = <FieldView *>resize(found.memory, found.views, found.capacity * sizeof(FieldView))
    found.views[found.count] = view[0]
    found.count += 1


cdef class HashHandle(ValueHandle):
    """A hash of its own, made of `pairs`. `hash_of` makes a handle on a key instead.

    `entries` and `value_bytes` are hash-max-listpack-entries and -value: beyond them it becomes a table.
    """

    cdef HashLimits limits

    def __cinit__(self):
        self.type = TYPE_HASH

    def __init__(self, pairs=(), size_t entries=512, size_t value_bytes=64):
        self.limits.entries = entries
        self.limits.value_bytes = value_bytes
        self.limits.seed0 = 1
        self.limits.seed1 = 2
        for name, value in pairs:
            self.set(name, value)

    cdef int store(self) except -1:
        return self.put(hash_length(&self.value) == 0)

    cdef int was_put(self, Entry *entry) except -1:
        database_set_volatile(self.database.database, self.database.hash_of(self.key), entry,
                              hash_expiring(&self.value) != 0)
        return 0

    cdef bint find(self, bytes name, FieldView *view) except -1:
        return self.load() and hash_find(&self.value, name, <size_t>len(name), view)

    # ---- looking ----------------------------------------------------------------------------------------------------

    def __len__(self):
        return hash_length(&self.value) if self.load() else 0

    def __contains__(self, bytes name):
        cdef FieldView view
        return self.find(name, &view)

    def __iter__(self):
        return iter([name for name, _, _ in self.items()])

    @property
    def expiring(self):
        """How many fields have an expiry."""
        return hash_expiring(&self.value) if self.load() else 0

    def get(self, bytes name):
        """The field's value, None if there is no such field."""
        cdef FieldView view
        return element_to_bytes(&view.value) if self.find(name, &view) else None

    def expiry_ms(self, bytes name):
        """Wall-clock milliseconds; -1 if the field does not expire, None if there is no such field."""
        cdef FieldView view
        return view.at_ms if self.find(name, &view) else None

    cdef list taken(self, Collection *found):
        cdef list items = []
        cdef size_t i
        for i in range(found.count):
            items.append((element_to_bytes(&found.views[i].name), element_to_bytes(&found.views[i].value),
                          found.views[i].at_ms))
        release(found.memory, found.views)
        return items

    cdef void begin(self, Collection *found) noexcept:
        memset(found, 0, sizeof(Collection))
        found.memory = self.value.memory

    def items(self):
        """All fields as (name, value, expiry or -1), in the order of the value."""
        cdef Collection found
        self.begin(&found)
        if self.load():
            hash_visit(&self.value, &collect, &found)
        return self.taken(&found)

    def scan(self, cursor, int64_t count=10):
        """Visit home buckets until some `count` fields are found: (next cursor, items); cursor 0 begins and ends.

        A field present all the time is returned at least once, whatever else comes and goes between the calls.
        """
        cdef Collection found
        cdef uint64_t position = cursor
        cdef uint64_t effort = <uint64_t>(count if count < (1 << 40) else 1 << 40) * SCAN_EFFORT
        self.begin(&found)
        if not self.load():
            return 0, []
        while True:
            position = hash_scan(&self.value, position, &collect, &found)
            effort -= 1
            if position == 0 or effort == 0 or found.count >= <size_t>count:
                break
        return position, self.taken(&found)

    def random(self, uint64_t seed):
        """A field that the seed (not 0) chooses: (name, value); None if the hash is empty."""
        cdef FieldView view
        if not self.load() or not hash_random(&self.value, &seed, &view):
            return None
        return element_to_bytes(&view.name), element_to_bytes(&view.value)

    # ---- changing ---------------------------------------------------------------------------------------------------

    def set(self, bytes name, bytes value, int64_t at_ms=-1):
        """Set a field, to expire at `at_ms` or (-1) never; the first one makes the hash. Whether the field is new."""
        cdef FieldView view
        cdef size_t length = <size_t>len(name)
        cdef size_t value_length = <size_t>len(value)
        cdef bint there
        if not self.load():
            self.value = hash_new(self.value.memory, 0)
        hash_will_take(&self.value, &self.limits, length if length > value_length else value_length,
                       length + value_length)
        if at_ms >= 0:
            hash_become_table(&self.value, &self.limits)
        there = hash_find(&self.value, name, length, &view)
        hash_put(&self.value, &view if there else NULL, name, length, value, value_length, NULL, at_ms)
        hash_has_grown(&self.value, &self.limits)
        self.store()
        return not there

    def set_expiry_ms(self, bytes name, int64_t at_ms):
        """Have the field expire at `at_ms` or (-1) never; whether there is such a field."""
        cdef FieldView view
        if not self.find(name, &view):
            return False
        if at_ms >= 0:
            hash_become_table(&self.value, &self.limits)
            hash_find(&self.value, name, <size_t>len(name), &view)
        if view.field != NULL:
            hash_set_expiry(&self.value, &view, at_ms)
        self.store()
        return True

    def remove(self, bytes name):
        """Delete a field, with the last one the hash; whether it was there."""
        cdef FieldView view
        if not self.find(name, &view):
            return False
        hash_remove(&self.value, &view)
        self.store()
        return True

    def become_table(self):
        """Give the listpack up, as a field that expires does."""
        if self.load():
            hash_become_table(&self.value, &self.limits)
            self.store()

    # ---- whole values -----------------------------------------------------------------------------------------------

    def copy(self):
        """A hash of its own with the same fields and encoding."""
        cdef HashHandle other = HashHandle(entries=self.limits.entries, value_bytes=self.limits.value_bytes)
        if not other.copy_own(self):
            for name, value, at_ms in self.items():
                other.set(name, value, at_ms)
        return other

    def block(self):
        """The listpack's bytes; None if the hash is a table."""
        cdef Listpack *pack
        if not self.load() or self.value.encoding != ENCODING_LISTPACK:
            return None
        pack = <Listpack *>self.value.pointer
        return (<const char *>listpack_bytes(pack))[:listpack_size(pack)]

    def check(self):
        """Raise AssertionError where the structure contradicts itself (tests)."""
        cdef FieldTable *fields
        cdef FieldView view
        items = self.items()
        assert len({name for name, _, _ in items}) == len(items) == len(self), "a field twice, or a wrong count"
        if not self.load():
            return
        fields = hash_fields(&self.value)
        expiring = sum(at_ms >= 0 for _, _, at_ms in items)
        assert expiring == hash_expiring(&self.value), "wrong index of expiring fields"
        assert fields == NULL or (fields.expiring == NULL) == (expiring == 0), "an empty index"
        for name, _, at_ms in items:
            assert self.find(name, &view) and view.at_ms == at_ms, "a field that is not found"


def hash_of(DatabaseHandle database, bytes key, size_t entries=512, size_t value_bytes=64) -> HashHandle:
    """The hash under a key, which need not exist yet. It tells nobody of changes: that is its user's to do."""
    cdef HashHandle handle = HashHandle(entries=entries, value_bytes=value_bytes)
    handle.attach(database, key)
    handle.limits.seed0 = database.database.keys.seed0
    handle.limits.seed1 = database.database.keys.seed1
    return handle
