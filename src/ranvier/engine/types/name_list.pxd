"""What stands in the order of its names: groups of a stream, consumers of a group (stream_groups.pyx)."""

from libc.stdint cimport uint32_t

# How the items begin: where their names are, counted from their first byte.
cdef struct Named:
    uint32_t length
    uint32_t offset

cdef struct NameList:
    void **items
    uint32_t count
    uint32_t capacity


cdef inline const char *name_of(const void *named) noexcept nogil:
    return <const char *>named + (<const Named *>named).offset
