"""Keys as requests that make them again: what a base of commands is made of (aof-use-rdb-preamble no)."""

from ranvier.engine.store.entry cimport Entry
from ranvier.engine.types.rdb cimport Writer

cdef void write_select(Writer *writer, int database) noexcept nogil
cdef void write_key(Writer *writer, const Entry *entry) noexcept nogil
