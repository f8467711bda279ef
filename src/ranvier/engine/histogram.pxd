"""The histogram of turns by processor time: how DEBUG TURNS knows that no turn takes long."""

from libc.stdint cimport int64_t, uint64_t

from ranvier.engine.clocks cimport CLOCK_THREAD_CPUTIME_ID, clock_ns

cdef enum:
    HISTOGRAM_BUCKETS = 32           # powers of two, microseconds
    LONG_TURN_NS = 1000000
    TURNS_PER_CPU_READING = 64


cdef struct TurnHistogram:
    uint64_t[HISTOGRAM_BUCKETS] turns
    int64_t cpu_ns                   # of the thread, at the last reading
    int turns_since_cpu


cdef inline void histogram_begin(TurnHistogram *histogram) noexcept nogil:
    """The calling thread runs the turns from now on."""
    histogram.cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID)


cdef inline void histogram_note(TurnHistogram *histogram, int64_t taken_ns) noexcept nogil:
    """Count a turn that took so long by the wall.

    Reading the processor's clock is a system call: a turn of less than a millisecond is counted by the wall, which can
    only make it look longer.
    """
    cdef int64_t cpu_ns, microseconds
    cdef int bucket = 0
    histogram.turns_since_cpu += 1
    if taken_ns >= LONG_TURN_NS or histogram.turns_since_cpu == TURNS_PER_CPU_READING:
        cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID)
        if cpu_ns - histogram.cpu_ns < taken_ns:
            taken_ns = cpu_ns - histogram.cpu_ns
        histogram.cpu_ns = cpu_ns
        histogram.turns_since_cpu = 0
    microseconds = taken_ns // 1000
    while microseconds > 1 and bucket < HISTOGRAM_BUCKETS - 1:
        microseconds >>= 1
        bucket += 1
    histogram.turns[bucket] += 1
