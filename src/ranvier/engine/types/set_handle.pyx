"""Python's view of a set: a handle (`value_handle`), and the intset block as bytes."""

from libc.stdint cimport uint64_t

from ranvier.engine.memory cimport Memory, memory_init
from ranvier.engine.store.entry cimport ENCODING_INTSET, ENCODING_LISTPACK, TYPE_SET
from ranvier.engine.store.handles cimport DatabaseHandle
from ranvier.engine.types.intset cimport (
    Intset, intset_add, intset_free, intset_from_bytes, intset_get, intset_new, intset_size,
)
from ranvier.engine.types.intset cimport intset_is_valid as block_is_valid
from ranvier.engine.types.listpack cimport Listpack, listpack_bytes, listpack_size
from ranvier.engine.types.set_value cimport (
    Member, SetRules, member_set, member_text, set_add, set_contains, set_new, set_random, set_remove, set_sample,
    set_scan, set_size, set_visit, set_will_grow,
)
from ranvier.engine.types.value_handle cimport ValueHandle


def intset_is_valid(bytes block) -> bool:
    """Whether `block` is exactly one well-formed intset: what RESTORE and loading ask before they use it."""
    return block_is_valid(block, <size_t>len(block))


def intset_encode(values) -> bytes:
    """The intset that holds these integers."""
    cdef Memory memory
    cdef Intset *integers
    cdef bint added = False
    memory_init(&memory)
    integers = intset_new(&memory)
    for value in values:
        integers = intset_add(&memory, integers, value, &added)
    block = (<const char *>integers)[:intset_size(integers)]
    intset_free(&memory, integers)
    return block


def intset_decode(bytes block) -> list:
    """The integers of an intset. ValueError if it is malformed."""
    cdef Memory memory
    cdef Intset *integers
    if not intset_is_valid(block):
        raise ValueError("not an intset")
    memory_init(&memory)
    integers = intset_from_bytes(&memory, block, <size_t>len(block))
    values = [intset_get(integers, index) for index in range(integers.count)]
    intset_free(&memory, integers)
    return values


cdef bytes member_bytes(Member *member):
    cdef size_t length
    cdef const char *text = member_text(member, &length)
    return text[:length]


cdef bint collect_visited(void *context, Member *member) noexcept nogil:
    with gil:
        (<list>context).append(member_bytes(member))
    return True


cdef class SetHandle(ValueHandle):
    """A set of its own, made of `values`. `set_of` makes a handle on a key instead.

    The thresholds are those of set-max-intset-entries, set-max-listpack-entries and set-max-listpack-value.
    """

    cdef SetRules rules
    cdef uint64_t random

    def __cinit__(self):
        self.type = TYPE_SET
        self.rules.seed0 = 1
        self.rules.seed1 = 2
        self.random = 88172645463325252

    def __init__(self, values=(), size_t intset_entries=512, size_t listpack_entries=128, size_t value_bytes=64):
        self.rules.intset_entries = intset_entries
        self.rules.listpack_entries = listpack_entries
        self.rules.value_bytes = value_bytes
        for value in values:
            self.add(value)

    cdef int store(self) except -1:
        return self.put(set_size(&self.value) == 0)

    # ---- looking ----------------------------------------------------------------------------------------------------

    def __len__(self):
        return set_size(&self.value) if self.load() else 0

    def __iter__(self):
        return iter(self.members())

    def __contains__(self, bytes value):
        cdef Member member
        member_set(&member, value, <size_t>len(value))
        return self.load() and set_contains(&self.value, &member)

    def members(self):
        """All members, in the order of the encoding."""
        values = []
        if self.load():
            set_visit(&self.value, collect_visited, <void *>values)
        return values

    def scan(self, uint64_t cursor=0):
        """One step of a walk: (next cursor, members); cursor 0 begins and ends."""
        values = []
        if self.load():
            cursor = set_scan(&self.value, cursor, collect_visited, <void *>values)
        else:
            cursor = 0
        return cursor, values

    def choose(self):
        """A member, each as likely as any other; None if there is none."""
        cdef Member member
        if not self.load():
            return None
        set_random(&self.value, &self.random, &member)
        return member_bytes(&member)

    def sample(self, size_t wanted):
        """At most `wanted` different members, each choice as likely as any other, in the order of `members`."""
        values = []
        if self.load():
            set_sample(&self.value, &self.random, wanted, collect_visited, <void *>values)
        return values

    # ---- changing ---------------------------------------------------------------------------------------------------

    def add(self, bytes value, size_t expected=1):
        """Add a member, the first of `expected`; the first one makes the set. Returns whether it is new."""
        cdef Member member
        cdef bint added
        member_set(&member, value, <size_t>len(value))
        if not self.load():
            self.value = set_new(self.value.memory, &self.rules, &member, expected)
        else:
            set_will_grow(&self.value, &self.rules, expected)
        added = set_add(&self.value, &self.rules, &member)
        self.store()
        return added

    def discard(self, bytes value):
        """Remove a member; returns whether it was there."""
        cdef Member member
        cdef bint removed
        member_set(&member, value, <size_t>len(value))
        if not self.load():
            return False
        removed = set_remove(&self.value, &member)
        self.store()
        return removed

    # ---- whole values -----------------------------------------------------------------------------------------------

    def copy(self):
        """A set of its own with the same members and encoding."""
        cdef SetHandle other = SetHandle()
        other.rules = self.rules
        other.copy_any(self)
        return other

    def block(self):
        """The intset or listpack as RDB stores it; None of a table."""
        cdef Listpack *pack
        if self.load() and self.value.encoding == ENCODING_INTSET:
            return (<const char *>self.value.pointer)[:intset_size(<const Intset *>self.value.pointer)]
        if self.load() and self.value.encoding == ENCODING_LISTPACK:
            pack = <Listpack *>self.value.pointer
            return (<const char *>listpack_bytes(pack))[:listpack_size(pack)]
        return None


def set_of(DatabaseHandle database, bytes key, size_t intset_entries=512, size_t listpack_entries=128,
           size_t value_bytes=64) -> SetHandle:
    """The set under a key, which need not exist yet. It tells nobody of changes: that is its user's to do."""
    cdef SetHandle handle = SetHandle((), intset_entries, listpack_entries, value_bytes)
    handle.attach(database, key)
    handle.rules.seed0 = database.database.keys.seed0
    handle.rules.seed1 = database.database.keys.seed1
    return handle
