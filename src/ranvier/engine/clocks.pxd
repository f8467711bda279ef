"""The machine's clocks in nanoseconds, and waiting by them."""

from libc.stdint cimport int64_t

cdef extern from *:
    """
    #include <time.h>
    static inline void ranvier_wait(long nanoseconds) {
        struct timespec time = {0, nanoseconds};
        nanosleep(&time, NULL);
    }
    #ifdef __linux__
    #include <sys/prctl.h>
    /* The kernel may wake a thread 50 microseconds late, to save power: more than what is waited for here. */
    #define ranvier_precise_timers() prctl(PR_SET_TIMERSLACK, 1000UL)
    #else
    #define ranvier_precise_timers()
    #endif
    """
    void ranvier_wait(long nanoseconds) noexcept nogil
    void ranvier_precise_timers() noexcept nogil

cdef extern from "<time.h>" nogil:
    cdef struct timespec:
        long tv_sec
        long tv_nsec
    enum:
        CLOCK_MONOTONIC
        CLOCK_REALTIME
        CLOCK_THREAD_CPUTIME_ID
    int clock_gettime(int clock, timespec *now)


cdef inline int64_t clock_ns(int clock) noexcept nogil:
    cdef timespec now
    clock_gettime(clock, &now)
    return <int64_t>now.tv_sec * 1000000000 + now.tv_nsec


cdef inline int64_t now_ns() noexcept nogil:
    """Monotonic time."""
    return clock_ns(CLOCK_MONOTONIC)
