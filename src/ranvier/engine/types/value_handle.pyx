"""What Python's handles on lists, sets, sorted sets and hashes have in common: a key, or a value of the handle's own.

Invariant: a handle on a key keeps no entry and no address between two calls. `load` looks the key up, `put` writes the
value back, and a value that became empty goes with its key. It tells nobody of changes: that is its user's to do.
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint64_t

from ranvier.engine.memory cimport memory_init
from ranvier.engine.store.database cimport database_delete, database_set_pointer
from ranvier.engine.store.entry cimport entry_encoding, entry_pointer, entry_set_pointer, entry_type
from ranvier.engine.store.value cimport value_free, value_kind
from ranvier.engine.types.listpack cimport INTEGER_TEXT_BYTES, element_text

from ranvier.errors import CommandError


cdef bytes element_to_bytes(const Element *element):
    cdef char scratch[INTEGER_TEXT_BYTES]
    cdef size_t length
    cdef const char *text = element_text(element, scratch, &length)
    return text[:length]


cdef class ValueHandle:
    """A value of the handle's own, or one under a key."""

    def __cinit__(self):
        memory_init(&self.own_memory)
        self.value.memory = &self.own_memory
        self.value.pointer = NULL

    def __dealloc__(self):
        if self.database is None and self.value.pointer != NULL:
            value_free(&self.own_memory, self.value.encoding, self.value.pointer)

    cdef bint load(self) except -1:
        cdef Entry *entry
        if self.database is None:
            return self.value.pointer != NULL
        entry = self.database.entry_of(self.key)
        if entry == NULL:
            return False
        if entry_type(entry) != self.type:
            raise CommandError("WRONGTYPE Operation against a key holding the wrong kind of value")
        self.value.encoding = entry_encoding(entry)
        self.value.pointer = entry_pointer(entry)
        return True

    cdef int put(self, bint empty) except -1:
        cdef Entry *entry
        cdef uint64_t hash
        cdef size_t length
        if self.database is None:
            if empty:
                value_free(self.value.memory, self.value.encoding, self.value.pointer)
                self.value.pointer = NULL
            return 0
        length = <size_t>len(self.key)
        hash = self.database.hash_of(self.key)
        entry = self.database.entry_of(self.key)
        if entry != NULL:
            entry_set_pointer(entry, self.value.encoding, self.value.pointer)
        elif empty:
            value_free(self.value.memory, self.value.encoding, self.value.pointer)
            return 0
        else:
            entry = database_set_pointer(self.database.database, hash, self.key, length, self.type,
                                         self.value.encoding, self.value.pointer, False)
        self.was_put(entry)
        if empty:
            database_delete(self.database.database, hash, self.key, length, False)
        return 0

    cdef int was_put(self, Entry *entry) except -1:
        return 0

    cdef int attach(self, DatabaseHandle database, bytes key) except -1:
        self.database = database
        self.key = key
        self.value.memory = database.database.keyspace.memory
        return 0

    cdef bint copy_own(self, ValueHandle other) except -1:
        if other.database is not None:
            return False
        self.copy_any(other)
        return True

    cdef int copy_any(self, ValueHandle other) except -1:
        if other.load():
            self.value.encoding = other.value.encoding
            self.value.pointer = value_kind(self.value.encoding).copy(&self.own_memory, other.value.pointer)
        return 0

    @property
    def encoding(self):
        """What OBJECT ENCODING says; None if there is no value."""
        return (<bytes>value_kind(self.value.encoding).name).decode() if self.load() else None

    @property
    def used_bytes(self):
        """What the allocator gave for a value of the handle's own."""
        return self.own_memory.used_bytes

    def memory_usage(self, size_t samples=0):
        """Bytes, of a large value estimated from its first `samples` parts (0: all)."""
        return value_kind(self.value.encoding).memory_usage(self.value.pointer, samples) if self.load() else 0

    def clear_slice(self, size_t budget):
        """Free at most `budget` allocations of a value of the handle's own; returns whether all is gone.

        ValueError if the value lies under a key: its database frees it.
        """
        if self.database is not None:
            raise ValueError("a value under a key is freed by its database")
        if self.value.pointer == NULL:
            return True
        return value_kind(self.value.encoding).free_slice(&self.own_memory, &self.value.pointer, budget)
