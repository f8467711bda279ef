"""Readiness on Linux: epoll, level-triggered.

Level-triggered, because a turn may leave bytes in a socket on purpose (the shared read buffer is full): the next poll
reports it again.
"""

from libc.stdint cimport uint32_t, uint64_t, uintptr_t

cdef extern from "<sys/epoll.h>" nogil:
    enum:
        EPOLL_CLOEXEC
        EPOLL_CTL_ADD
        EPOLL_CTL_MOD
        EPOLL_CTL_DEL
        EPOLLIN
        EPOLLOUT
        EPOLLERR
        EPOLLHUP
    ctypedef union epoll_data_t:
        uint64_t u64
    cdef struct epoll_event:
        uint32_t events
        epoll_data_t data
    int epoll_create1(int flags)
    int epoll_ctl(int poller, int operation, int fd, epoll_event *event)
    int epoll_wait(int poller, epoll_event *events, int maximum, int timeout_ms)

cdef enum:
    EVENTS_MAXIMUM = 1024


cdef int poll_create() noexcept nogil:
    return epoll_create1(EPOLL_CLOEXEC)


cdef int poll_watch(int poller, int fd, uintptr_t token, bint read, bint write, bint was_read, bint was_write,
                    bint known) noexcept nogil:
    cdef epoll_event event
    event.events = (EPOLLIN if read else 0) | (EPOLLOUT if write else 0)
    event.data.u64 = token
    return epoll_ctl(poller, EPOLL_CTL_MOD if known else EPOLL_CTL_ADD, fd, &event)


cdef void poll_forget(int poller, int fd, bint was_read, bint was_write) noexcept nogil:
    cdef epoll_event event
    epoll_ctl(poller, EPOLL_CTL_DEL, fd, &event)


cdef int poll_wait(int poller, PollEvent *events, int maximum, int timeout_ms) noexcept nogil:
    cdef epoll_event[EVENTS_MAXIMUM] ready
    cdef int count, i
    count = epoll_wait(poller, ready, maximum if maximum < EVENTS_MAXIMUM else EVENTS_MAXIMUM, timeout_ms)
    for i in range(count):
        events[i].token = <uintptr_t>ready[i].data.u64
        events[i].readable = (ready[i].events & EPOLLIN) != 0
        events[i].writable = (ready[i].events & EPOLLOUT) != 0
        events[i].hangup = (ready[i].events & (EPOLLHUP | EPOLLERR)) != 0
    return count
