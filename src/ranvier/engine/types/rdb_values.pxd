"""A key's value, whatever its type, to RDB form and back (rdb.pxd has the format and the parts)."""

from libc.stddef cimport size_t
from libc.stdint cimport uint64_t

from ranvier.engine.memory cimport Memory
from ranvier.engine.store.database cimport Database
from ranvier.engine.store.entry cimport Entry
from ranvier.engine.store.value cimport Value
from ranvier.engine.types.rdb cimport Reader, ReadString, Writer

# A value that no key has yet: put it under one, or discard it.
cdef struct LoadedValue:
    int type                     # a ValueType
    ReadString text              # of a string
    Value value                  # of any other type; pointer NULL: all that it held has expired

cdef Value value_of(const Entry *entry, Memory *memory) noexcept nogil      # of any type but strings
# The type byte, and whether there is a codec for the type at all.
cdef int entry_rdb_type(const Entry *entry, Memory *memory, int version) noexcept nogil     # -1: it cannot be saved
# What follows the type byte (and the key, in a snapshot).
cdef void save_entry(Writer *writer, const Entry *entry) noexcept nogil
# What follows the type byte. False: malformed, or of a type that is not known; nothing is left to discard then.
cdef bint load_value(Reader *reader, int rdb_type, LoadedValue *loaded) noexcept nogil
# In place of whatever the key holds, without expiry. The loaded value is used up.
cdef Entry *put_loaded(Database *database, uint64_t hash, const char *key, size_t length,
                       LoadedValue *loaded) noexcept
cdef void discard_loaded(Reader *reader, LoadedValue *loaded) noexcept nogil
