"""How long each command's calls took, as counts by duration: what LATENCY HISTOGRAM and INFO latencystats read.

Sixteen buckets for each power of two of nanoseconds, so that a percentile is off by a sixteenth at most; all from one
second on is the last bucket, as on the reference servers. A command has its counts from its first call on. The memory
is bounded by the number of commands, and is not part of used memory. Header only: every call comes here.
"""

from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport calloc

from ranvier.engine.core cimport Command

cdef extern from *:
    """
    #define ranvier_highest_bit(word) (63 - __builtin_clzll(word))
    """
    int ranvier_highest_bit(uint64_t word) noexcept nogil

cdef enum:
    LATENCY_STEPS = 16               # buckets of a power of two
    LATENCY_STEP_BITS = 4
    LATENCY_BUCKETS = 432            # up to 2**30 nanoseconds
    LATENCY_LONGEST_NS = 1000000000


cdef inline int latency_bucket(int64_t taken_ns) noexcept nogil:
    """Durations below sixteen nanoseconds have a bucket each."""
    cdef int power
    if taken_ns < LATENCY_STEPS:
        return <int>taken_ns if taken_ns > 0 else 0
    if taken_ns > LATENCY_LONGEST_NS:
        taken_ns = LATENCY_LONGEST_NS
    power = ranvier_highest_bit(<uint64_t>taken_ns) - LATENCY_STEP_BITS
    return (power + 1) * LATENCY_STEPS + (<int>(taken_ns >> power) & (LATENCY_STEPS - 1))


cdef inline int64_t latency_bucket_end(int bucket) noexcept nogil:
    """The longest duration of a bucket, nanoseconds."""
    cdef int power = bucket // LATENCY_STEPS - 1
    if power < 0:
        return bucket
    return ((<int64_t>(LATENCY_STEPS + bucket % LATENCY_STEPS + 1)) << power) - 1


cdef inline void latency_note(Command *command, int64_t taken_ns, int calls) noexcept nogil:
    """Count calls that took so long each."""
    if command.latencies == NULL:
        command.latencies = <uint64_t *>calloc(LATENCY_BUCKETS, sizeof(uint64_t))
        if command.latencies == NULL:
            return               # without figures rather than without the server
    command.latencies[latency_bucket(taken_ns)] += calls
