"""Readiness on macOS and the BSDs: kqueue, level-triggered as the epoll side is."""

from libc.stdint cimport intptr_t, int16_t, uint16_t, uint32_t, uintptr_t

cdef extern from "<sys/event.h>" nogil:
    enum:
        EV_ADD
        EV_DELETE
        EV_EOF
        EVFILT_READ
        EVFILT_WRITE
    cdef struct kevent_s "kevent":
        uintptr_t ident
        int16_t filter
        uint16_t flags
        uint32_t fflags
        intptr_t data
        void *udata
    int kqueue()
    int kevent(int queue, const kevent_s *changes, int change_count, kevent_s *events, int event_count,
               const timespec *timeout)

cdef extern from "<time.h>" nogil:
    cdef struct timespec:
        long tv_sec
        long tv_nsec

cdef enum:
    EVENTS_MAXIMUM = 1024


cdef int poll_create() noexcept nogil:
    return kqueue()


cdef int change(int poller, int fd, uintptr_t token, int16_t filter, bint wanted) noexcept nogil:
    cdef kevent_s event
    event.ident = <uintptr_t>fd
    event.filter = filter
    event.flags = EV_ADD if wanted else EV_DELETE
    event.fflags = 0
    event.data = 0
    event.udata = <void *>token
    return kevent(poller, &event, 1, NULL, 0, NULL)


cdef int poll_watch(int poller, int fd, uintptr_t token, bint read, bint write, bint was_read, bint was_write,
                    bint known) noexcept nogil:
    if read != was_read and change(poller, fd, token, EVFILT_READ, read) < 0:
        return -1
    if write != was_write and change(poller, fd, token, EVFILT_WRITE, write) < 0:
        return -1
    return 0


cdef void poll_forget(int poller, int fd, bint was_read, bint was_write) noexcept nogil:
    if was_read:
        change(poller, fd, 0, EVFILT_READ, False)
    if was_write:
        change(poller, fd, 0, EVFILT_WRITE, False)


cdef int poll_wait(int poller, PollEvent *events, int maximum, int timeout_ms) noexcept nogil:
    cdef kevent_s[EVENTS_MAXIMUM] ready
    cdef timespec limit
    cdef int count, i
    limit.tv_sec = timeout_ms // 1000
    limit.tv_nsec = (timeout_ms % 1000) * 1000000
    count = kevent(poller, NULL, 0, ready, maximum if maximum < EVENTS_MAXIMUM else EVENTS_MAXIMUM,
                   &limit if timeout_ms >= 0 else NULL)
    for i in range(count):
        events[i].token = <uintptr_t>ready[i].udata
        events[i].readable = ready[i].filter == EVFILT_READ
        events[i].writable = ready[i].filter == EVFILT_WRITE
        events[i].hangup = ready[i].filter == EVFILT_WRITE and (ready[i].flags & EV_EOF) != 0
    return count
