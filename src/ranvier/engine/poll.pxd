"""Readiness: one interface, `poll_epoll.pyx` on Linux and `poll_kqueue.pyx` on macOS and the BSDs."""

from libc.stdint cimport uintptr_t

cdef struct PollEvent:
    uintptr_t token
    bint readable
    bint writable
    bint hangup                  # both directions are gone (reset, or both sides shut)

# A poller's descriptor, -1 with errno.
cdef int poll_create() noexcept nogil
# Watch `fd` for what is asked; `known`: it is being watched already, with `was_*`. -1 with errno.
cdef int poll_watch(int poller, int fd, uintptr_t token, bint read, bint write, bint was_read, bint was_write,
                    bint known) noexcept nogil
cdef void poll_forget(int poller, int fd, bint was_read, bint was_write) noexcept nogil
# Up to `maximum` events, level-triggered; timeout -1: for ever. -1 with errno.
cdef int poll_wait(int poller, PollEvent *events, int maximum, int timeout_ms) noexcept nogil
