"""What the loop calls in Python: who watches a descriptor, and what other threads post."""


cdef class Callbacks:
    cdef object hooks
    cdef int poller
    cdef dict watched
    cdef object posted
    cdef object wake_lock
    cdef int wake_read
    cdef int wake_write

    # Call `callback()` in every turn that finds `fd` readable, or `writable` instead.
    cdef void watch(self, int fd, object callback, bint writable) except *
    cdef void unwatch(self, int fd, bint writable) except *
    # A watched descriptor is ready.
    cdef void descriptor_ready(self, int fd) except *
    # Any thread: have the server's call `callback()`.
    cdef void post(self, object callback) except *
    # Run what the loop was asked to; a bug in it is logged, and the server goes on (design, law 13).
    cdef void call(self, object callback) except *
    # Idempotent. The poller is the caller's.
    cdef void close(self) except *
