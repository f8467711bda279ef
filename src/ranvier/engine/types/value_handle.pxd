"""What Python's handles on lists, sets, sorted sets and hashes have in common."""

from ranvier.engine.memory cimport Memory
from ranvier.engine.store.entry cimport Entry
from ranvier.engine.store.handles cimport DatabaseHandle
from ranvier.engine.store.value cimport Value
from ranvier.engine.types.listpack cimport Element

cdef bytes element_to_bytes(const Element *element)


cdef class ValueHandle:
    cdef Memory own_memory
    cdef Value value
    cdef int type                    # as entries number them; set by the subclass
    cdef DatabaseHandle database     # None: the value is the handle's own
    cdef bytes key

    # Have `value` be the value; False if there is none. CommandError (WRONGTYPE) if the key is of another type.
    cdef bint load(self) except -1
    # Write `value` back, which may be new; an empty one goes, with its key.
    cdef int put(self, bint empty) except -1
    # For a subclass: the value lies at its entry, and is not deleted yet.
    cdef int was_put(self, Entry *entry) except -1
    # Make this a handle on a key, which need not exist.
    cdef int attach(self, DatabaseHandle database, bytes key) except -1
    # Become a copy of the other's value; False if that lies under a key: large parts would be shared with its database.
    cdef bint copy_own(self, ValueHandle other) except -1
    # Become a copy of any value that has no parts to share.
    cdef int copy_any(self, ValueHandle other) except -1
