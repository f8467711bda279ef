"""An array of places in a set (`Member.place`): which members were chosen or found. No longer than the set is large."""

from libc.stddef cimport size_t
from libc.stdint cimport uint64_t

from ranvier.engine.memory cimport Memory, release, resize
from ranvier.engine.types.set_value cimport Member

cdef struct Places:
    Memory *memory
    uint64_t *items
    size_t count
    size_t capacity


cdef inline void places_init(Places *places, Memory *memory) noexcept nogil:
    places.memory = memory
    places.items = NULL
    places.count = 0
    places.capacity = 0


cdef inline void places_free(Places *places) noexcept nogil:
    release(places.memory, places.items)


cdef inline bint add_place(void *context, Member *member) noexcept nogil:
    """For set_visit and set_sample: remember where each member stands."""
    cdef Places *places = <Places *>context
    if places.count == places.capacity:
        places.capacity = 2 * places.capacity + 14
        places.items = <uint64_t *>resize(places.memory, places.items, places.capacity * sizeof(uint64_t))
    places.items[places.count] = member.place
    places.count += 1
    return True
