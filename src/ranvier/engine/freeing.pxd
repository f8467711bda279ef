"""Giving memory back: values that no key leads to, to the allocator; what the allocator keeps, to the system."""

from libc.stddef cimport size_t

from ranvier.engine.core cimport Core

cdef struct Piece:
    Piece *next
    size_t size

# What the allocator has free, on its way back to the system; see freeing.pyx.
cdef struct Trimming:
    bint on
    bint whole                   # ends with a trim of what lies between the pieces
    size_t piece_bytes           # what is asked for now
    size_t freed_bytes           # since the last one, when it began
    size_t given_bytes           # in pieces, since it began
    size_t left_bytes            # of memory outside of the process's heap, to be asked for at most
    Piece *pieces
    size_t given_total           # pieces given back since the start: the bounded-work counter
    size_t used_bytes            # in use when a turn ended last
    size_t costly_bytes          # in use when a trim took too long; 0: none did

# Of the whole process. The allocator gives nothing back by itself any more, whatever is free at the top of its heap.
cdef void tune_allocator() noexcept nogil
# Free what was unlinked from the keyspace, bounded in time per turn.
cdef void free_some_values(Core *core) noexcept
# Give the allocator's free memory back to the system at once: up to half a millisecond a megabyte. Not while that is
# known to take longer.
cdef void trim(Core *core, Trimming *trimming) noexcept nogil
# Do the same in pieces, of which trim_step takes some per turn, until `on` is false. `whole`: with a `trim` at the end.
cdef void trimming_begin(Core *core, Trimming *trimming, bint whole) noexcept
cdef void trim_step(Core *core, Trimming *trimming) noexcept
# The engine ends.
cdef void trimming_end(Trimming *trimming) noexcept
# Have the allocator look at what it was given in one turn before the next turn asks it for memory.
cdef void sort_freed(Core *core, Trimming *trimming) noexcept nogil


cdef inline size_t untrimmed_bytes(Core *core) noexcept nogil:
    """Freed since the last trim; asked at least once a turn."""
    if core.memory.used_bytes > core.trimmed_bytes:
        core.trimmed_bytes = core.memory.used_bytes
    return core.trimmed_bytes - core.memory.used_bytes
