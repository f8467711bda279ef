"""The table of commands, as dispatch looks them up."""

from libc.stddef cimport size_t
from libc.stdint cimport uint32_t

from ranvier.engine.core cimport Command, native_t

cdef enum:
    NAME_BYTES = 64                  # no command's name is longer


cdef class CommandTable:
    cdef Command **slots             # open addressing by name
    cdef size_t mask
    cdef list _owned                 # handlers and records that the structs point to
    cdef list _names
    cdef dict _commands              # full name -> address

    cdef Command *find(self, const char *name, size_t length) noexcept
    cdef void add(self, bytes name, native_t native, object handler, object record, int arity, uint32_t gates,
                  uint32_t flags, tuple keys) except *
