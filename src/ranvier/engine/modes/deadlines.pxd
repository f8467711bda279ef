"""The time-outs of blocked clients: a binary heap by deadline, in which each record knows its own place.

Invariant: `blocking.heap[i].heap_place == i`, and no record's deadline is earlier than its parent's. Header only.
"""

from libc.stddef cimport size_t

from ranvier.engine.memory cimport Memory, resize
from ranvier.engine.modes.blocked cimport Blocked, Blocking


cdef inline void heap_set(Blocking *blocking, size_t place, Blocked *blocked) noexcept nogil:
    blocking.heap[place] = blocked
    blocked.heap_place = place


cdef inline void heap_rise(Blocking *blocking, size_t place) noexcept nogil:
    cdef Blocked *moved = blocking.heap[place]
    while place > 0 and blocking.heap[(place - 1) // 2].deadline_ms > moved.deadline_ms:
        heap_set(blocking, place, blocking.heap[(place - 1) // 2])
        place = (place - 1) // 2
    heap_set(blocking, place, moved)


cdef inline void heap_sink(Blocking *blocking, size_t place) noexcept nogil:
    cdef Blocked *moved = blocking.heap[place]
    cdef size_t child = 2 * place + 1
    while child < blocking.heap_count:
        if child + 1 < blocking.heap_count and blocking.heap[child + 1].deadline_ms < blocking.heap[child].deadline_ms:
            child += 1
        if blocking.heap[child].deadline_ms >= moved.deadline_ms:
            break
        heap_set(blocking, place, blocking.heap[child])
        place = child
        child = 2 * place + 1
    heap_set(blocking, place, moved)


cdef inline void heap_add(Memory *memory, Blocking *blocking, Blocked *blocked) noexcept nogil:
    if blocking.heap_count == blocking.heap_capacity:
        blocking.heap_capacity = blocking.heap_capacity * 2 + 8
        blocking.heap = <Blocked **>resize(memory, blocking.heap, blocking.heap_capacity * sizeof(Blocked *))
    heap_set(blocking, blocking.heap_count, blocked)
    blocking.heap_count += 1
    heap_rise(blocking, blocked.heap_place)


cdef inline void heap_remove(Blocking *blocking, Blocked *blocked) noexcept nogil:
    cdef size_t place = blocked.heap_place
    blocking.heap_count -= 1
    if place == blocking.heap_count:
        return
    heap_set(blocking, place, blocking.heap[blocking.heap_count])
    heap_rise(blocking, place)
    heap_sink(blocking, blocking.heap[place].heap_place)
