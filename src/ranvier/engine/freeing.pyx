"""Giving memory back, in pieces, so that no turn pays for it (docs/decisions/0004).

Five things of glibc's allocator make single calls long, and each is switched off (`tune_allocator`) or cut up here.

- It keeps small freed chunks apart ("fast bins") and merges all of them, however many millions, at the next free of
  64 KB: a pause of 70 ms after a million keys have gone. Without fast bins each free merges its own neighbours.
- It maps large blocks by themselves, which go back when they are freed, but raises the limit from which it does so to
  the largest block that was ever freed, up to 32 MB. A limit that was set stays: 4 MB.
- What is freed waits in one list until memory is asked for; that call sorts thousands of chunks. So a piece of memory
  is asked for, and given back, behind every slice that was freed, while the chunks are still in the processor's caches.
- What is free at the top of the heap goes back to the system in one call, however much that is. That is switched off.
- malloc_trim cannot be told to stop half-way. So much free memory is given back by asking the allocator for it, piece
  by piece, telling the system that the piece's pages may go, and keeping the piece until no further one is free; then
  all are freed again. The allocator goes on owning the addresses; only the pages are gone.

What malloc_trim costs depends on how many holes the heap has: after half of five million keys have gone, here and
there, it looks through all that is left between the others, tens of milliseconds for next to nothing. How many there
are is not to be had for less. So where much is in use, it is left out when little was found in pieces; and one that
took long is the last one until the memory in use is another one.

A piece that makes the heap grow was not free: it ends the search for pieces of its size. A thread's heap - a server
inside of a program has one - does not tell, so that no more is asked for there than has been freed since the last time.
"""

from libc.stdint cimport int64_t, uintptr_t
from libc.stdlib cimport free, malloc

from ranvier.engine.clocks cimport CLOCK_THREAD_CPUTIME_ID, clock_ns, now_ns
from ranvier.engine.memory cimport ranvier_trim
from ranvier.engine.store.garbage cimport free_garbage, garbage_waits

from ranvier import limits

cdef extern from *:
    """
    #include <stdint.h>
    #include <stdlib.h>
    #ifdef __GLIBC__
    #include <malloc.h>
    #include <unistd.h>
    #include <sys/mman.h>
    #define ranvier_can_drop_pages 1
    static void ranvier_tune_allocator(void) {
        mallopt(M_MXFAST, 0);
        mallopt(M_MMAP_THRESHOLD, 4 << 20);
        mallopt(M_TRIM_THRESHOLD, -1);
    }
    #define ranvier_heap_end() ((uintptr_t)sbrk(0))
    static void ranvier_drop_pages(void *memory, size_t size) {
        uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
        uintptr_t begin = ((uintptr_t)memory + page - 1) & ~(page - 1), end = ((uintptr_t)memory + size) & ~(page - 1);
        if (begin < end)
            madvise((void *)begin, end - begin, MADV_DONTNEED);
    }
    /* Larger than what a thread caches, so that the list of freed chunks is gone through; and so large that hardly
       any of them is of just this size, which would end it. */
    static void ranvier_sort_free_chunks(void) {
        void *volatile chunk = malloc(33000);
        free(chunk);
    }
    #else
    #define ranvier_can_drop_pages 0
    #define ranvier_tune_allocator()
    #define ranvier_heap_end() ((uintptr_t)0)
    #define ranvier_drop_pages(memory, size)
    #define ranvier_sort_free_chunks()
    #endif
    """
    bint ranvier_can_drop_pages
    void ranvier_tune_allocator() noexcept nogil
    uintptr_t ranvier_heap_end() noexcept nogil
    void ranvier_drop_pages(void *memory, size_t size) noexcept nogil
    void ranvier_sort_free_chunks() noexcept nogil

cdef enum:
    LARGEST_PIECE_BYTES = 1 << 20        # below what is mapped by itself; a fraction of a millisecond
    SMALLEST_PIECE_BYTES = 1 << 16
    SORTED_BYTES = 1 << 14               # a turn that freed less leaves few chunks
    COSTLY_NS = 4_000_000                # of processor time, for a trim

cdef size_t ITEMS = limits.FREED_ITEMS_PER_SLICE
cdef size_t FEW_HOLES_BYTES = limits.TRIM_AT_ONCE_USED_BYTES
cdef int64_t TURN_NS = limits.FREE_MICROSECONDS_PER_TURN * 1000


cdef void tune_allocator() noexcept nogil:
    ranvier_tune_allocator()


cdef void free_some_values(Core *core) noexcept:
    cdef int64_t end_ns = now_ns() + TURN_NS
    while garbage_waits(&core.keyspace) and now_ns() < end_ns:
        free_garbage(&core.keyspace, ITEMS)
        ranvier_sort_free_chunks()


cdef void sort_freed(Core *core, Trimming *trimming) noexcept nogil:
    if core.memory.used_bytes + SORTED_BYTES < trimming.used_bytes:
        ranvier_sort_free_chunks()
    trimming.used_bytes = core.memory.used_bytes


cdef bint trim_is_costly(const Core *core, const Trimming *trimming) noexcept nogil:
    """Whether one took long, and the memory in use is within a quarter of what it was then."""
    cdef size_t then = trimming.costly_bytes, used = core.memory.used_bytes
    return then != 0 and then - then // 4 <= used <= then + then // 4


cdef void trim(Core *core, Trimming *trimming) noexcept nogil:
    cdef int64_t begin_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID)
    core.trimmed_bytes = core.memory.used_bytes
    if trim_is_costly(core, trimming):
        return
    ranvier_trim()
    trimming.costly_bytes = 0
    if clock_ns(CLOCK_THREAD_CPUTIME_ID) - begin_ns > COSTLY_NS:
        trimming.costly_bytes = core.memory.used_bytes


cdef void trimming_begin(Core *core, Trimming *trimming, bint whole) noexcept:
    if trimming.on or not ranvier_can_drop_pages:
        return
    trimming.on = True
    trimming.whole = whole
    trimming.piece_bytes = LARGEST_PIECE_BYTES
    trimming.freed_bytes = trimming.left_bytes = untrimmed_bytes(core)
    trimming.given_bytes = 0
    core.trimmed_bytes = core.memory.used_bytes


cdef bint give_piece(Trimming *trimming) noexcept nogil:
    """Whether there was a free piece of the size."""
    cdef uintptr_t heap_end = ranvier_heap_end()
    cdef Piece *piece = <Piece *>malloc(trimming.piece_bytes)
    cdef bint grown = ranvier_heap_end() != heap_end
    if piece == NULL:
        return False
    piece.next = trimming.pieces
    piece.size = trimming.piece_bytes
    trimming.pieces = piece
    if grown:
        return False
    if <uintptr_t>piece > heap_end:
        if trimming.left_bytes < piece.size:
            return False
        trimming.left_bytes -= piece.size
    ranvier_drop_pages(piece + 1, piece.size - sizeof(Piece))
    trimming.given_total += 1
    trimming.given_bytes += piece.size
    return True


cdef bint free_piece(Trimming *trimming) noexcept nogil:
    """Whether there was one."""
    cdef Piece *piece = trimming.pieces
    if piece != NULL:
        trimming.pieces = piece.next
        free(piece)
    return piece != NULL


cdef void trim_step(Core *core, Trimming *trimming) noexcept:
    cdef int64_t end_ns = now_ns() + TURN_NS
    while now_ns() < end_ns:
        if trimming.piece_bytes >= SMALLEST_PIECE_BYTES:
            if not give_piece(trimming):
                trimming.piece_bytes //= 4
        elif not free_piece(trimming):
            trimming.on = False
            if trimming.whole and (core.memory.used_bytes <= FEW_HOLES_BYTES
                                   or trimming.given_bytes >= trimming.freed_bytes // 2):
                trim(core, trimming)
            return


cdef void trimming_end(Trimming *trimming) noexcept:
    while free_piece(trimming):
        pass
    trimming.on = False
