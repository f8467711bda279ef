"""fork(2) in a process whose threads may be anything: a host program's, inside malloc or holding the interpreter.

Strategy. A child of a process with threads may use only what the fork left whole: its own memory, system calls, and
malloc, which the C libraries we build for (glibc, musl, macOS) keep usable across fork(). So the child touches no
Python object and no lock, opens no stream, and leaves by `_exit`, which runs nothing. Signals are blocked across the
fork: until the child has reset their handlers, none of the parent's may run in it.

Descriptors. The child inherits all of them, clients' sockets included, and would keep a connection open that the parent
closes: it closes everything but what it was given. One system call does it where there is one (close_range, Linux 5.9);
elsewhere a loop to the limit on open files.

Reports are small records on a pipe. A parent that is gone makes the next report fail, and the child ends.
"""

from libc.errno cimport EAGAIN, EINTR, ETIMEDOUT, errno
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.stdlib cimport strtoll
from libc.string cimport strstr
from posix.unistd cimport _exit, close, fsync, read, write

cdef extern from *:
    """
    #include <fcntl.h>
    #include <poll.h>
    #include <pthread.h>
    #include <signal.h>
    #include <string.h>
    #include <sys/stat.h>
    #include <sys/types.h>
    #include <unistd.h>
    #ifdef __linux__
    #include <sys/syscall.h>
    #endif

    #define RANVIER_LAST_DESCRIPTOR 0x7fffffff
    #define RANVIER_DESCRIPTORS_TRIED 1048576L

    /* Close the descriptors from `first` to `last`. */
    static void ranvier_close_span(int first, int last) {
        long limit;
        if (first > last)
            return;
    #ifdef SYS_close_range
        if (syscall(SYS_close_range, (unsigned)first, (unsigned)last, 0u) == 0)
            return;
    #endif
        limit = sysconf(_SC_OPEN_MAX);
        if (limit < 0 || limit > RANVIER_DESCRIPTORS_TRIED)
            limit = RANVIER_DESCRIPTORS_TRIED;
        for (; first <= last && first < limit; first++)
            close(first);
    }

    static void ranvier_block_signals(sigset_t *before) {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, before);
    }

    static void ranvier_reset_signals(void) {
        struct sigaction action;
        sigset_t none;
        int number;
        memset(&action, 0, sizeof action);
        action.sa_handler = SIG_DFL;
        for (number = 1; number < NSIG; number++)
            sigaction(number, &action, NULL);
        action.sa_handler = SIG_IGN;
        sigaction(SIGPIPE, &action, NULL);
        sigaction(SIGINT, &action, NULL);
        sigaction(SIGHUP, &action, NULL);
        sigaction(SIGQUIT, &action, NULL);
        sigaction(SIGTSTP, &action, NULL);
        sigaction(SIGXFSZ, &action, NULL);   /* a file at its limit is an error of the write, like a full disk */
        sigemptyset(&none);
        pthread_sigmask(SIG_SETMASK, &none, NULL);
    }

    static void ranvier_restore_signals(const sigset_t *before) {
        pthread_sigmask(SIG_SETMASK, before, NULL);
    }

    static int ranvier_wait_writable(int descriptor, int milliseconds) {
        struct pollfd watched = {descriptor, POLLOUT, 0};
        return poll(&watched, 1, milliseconds);
    }

    static int ranvier_is_file(int descriptor) {
        struct stat found;
        return fstat(descriptor, &found) == 0 && S_ISREG(found.st_mode);
    }

    static void ranvier_write_back(int descriptor, unsigned long long begin, unsigned long long length) {
    #ifdef SYNC_FILE_RANGE_WRITE
        sync_file_range(descriptor, (off_t)begin, (off_t)length, SYNC_FILE_RANGE_WRITE);
    #endif
    }
    """
    enum:
        RANVIER_LAST_DESCRIPTOR
    ctypedef struct sigset_t:
        pass
    void ranvier_close_span(int first, int last) noexcept nogil
    void ranvier_block_signals(sigset_t *before) noexcept nogil
    void ranvier_reset_signals() noexcept nogil
    void ranvier_restore_signals(const sigset_t *before) noexcept nogil
    int ranvier_wait_writable(int descriptor, int milliseconds) noexcept nogil
    bint ranvier_is_file(int descriptor) noexcept nogil
    void ranvier_write_back(int descriptor, unsigned long long begin, unsigned long long length) noexcept nogil
    int fork() noexcept nogil
    int open(const char *path, int flags) noexcept nogil
    enum:
        O_RDONLY

cdef enum:
    SUMMARY_BYTES = 4096             # of /proc/self/smaps_rollup, which has some 600


cdef void close_others(const int *keep, int count) noexcept nogil:
    """Close every descriptor but these, from the lowest to the highest gap between them."""
    cdef int first = 0, next_kept, i
    while True:
        next_kept = RANVIER_LAST_DESCRIPTOR
        for i in range(count):
            if first <= keep[i] < next_kept:
                next_kept = keep[i]
        if next_kept == RANVIER_LAST_DESCRIPTOR:
            ranvier_close_span(first, RANVIER_LAST_DESCRIPTOR)
            return
        ranvier_close_span(first, next_kept - 1)
        first = next_kept + 1


cdef int fork_child(const int *keep, int count, child_t child, void *context) noexcept nogil:
    cdef sigset_t before
    cdef int pid, failure
    ranvier_block_signals(&before)
    pid = fork()
    failure = errno
    if pid == 0:
        ranvier_reset_signals()
        close_others(keep, count)
        _exit(child(context))
    ranvier_restore_signals(&before)
    return pid if pid > 0 else -failure


cdef bint report(int pipe, int64_t kind, int64_t first, int64_t second, int64_t third) noexcept nogil:
    cdef Report record
    record.kind = kind
    record.first = first
    record.second = second
    record.third = third
    return write_all(pipe, <const uint8_t *>&record, sizeof(Report), -1) == 0


cdef int64_t own_memory_bytes() noexcept nogil:
    cdef char text[SUMMARY_BYTES]
    cdef char *found
    cdef ssize_t got
    cdef size_t length = 0
    cdef int descriptor = open("/proc/self/smaps_rollup", O_RDONLY)
    if descriptor < 0:
        return 0
    while length < SUMMARY_BYTES - 1:
        got = read(descriptor, text + length, SUMMARY_BYTES - 1 - length)
        if got <= 0:
            break
        length += <size_t>got
    close(descriptor)
    text[length] = 0
    found = strstr(text, "Private_Dirty:")
    return 0 if found == NULL else strtoll(found + 14, NULL, 10) * 1024


cdef int write_all(int descriptor, const uint8_t *data, size_t length, int patience_ms) noexcept nogil:
    cdef ssize_t written
    cdef int ready
    while length:
        written = write(descriptor, data, length)
        if written >= 0:
            data += written
            length -= <size_t>written
        elif errno == EAGAIN:
            ready = ranvier_wait_writable(descriptor, patience_ms)
            if ready == 0:
                return ETIMEDOUT
            if ready < 0 and errno != EINTR:
                return errno
        elif errno != EINTR:
            return errno
    return 0


cdef int synchronise(int descriptor) noexcept nogil:
    if ranvier_is_file(descriptor) and fsync(descriptor) != 0:
        return errno
    return 0


cdef void write_back(int descriptor, uint64_t begin, uint64_t length) noexcept nogil:
    ranvier_write_back(descriptor, begin, length)
