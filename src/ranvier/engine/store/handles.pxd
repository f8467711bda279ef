"""The Python face of a database."""

from libc.stdint cimport uint64_t

from ranvier.engine.store.database cimport Database
from ranvier.engine.store.entry cimport Entry


cdef class DatabaseHandle:
    cdef Database *database      # not owned
    cdef object owner            # keeps the memory behind `database` alive

    cdef uint64_t hash_of(self, bytes key)
    cdef Entry *entry_of(self, bytes key)


cdef DatabaseHandle database_handle(Database *database, object owner)
