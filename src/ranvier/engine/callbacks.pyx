"""What the loop calls in Python: who watches a descriptor, and what other threads post.

Other threads wake the loop through a pipe that it watches like any other descriptor; the lock keeps them from writing
to a stranger once the pipe is closed.
"""

import os
import threading
from collections import deque

from libc.errno cimport errno
from libc.stdint cimport uintptr_t
from posix.unistd cimport close as close_descriptor

from ranvier.engine.poll cimport poll_forget, poll_watch


cdef class Callbacks:
    """`poller` and `hooks` are the engine's."""

    def __cinit__(self, poller: int, hooks: object) -> None:
        self.wake_read = self.wake_write = -1
        self.poller = poller
        self.hooks = hooks
        self.watched = {}
        self.posted = deque()
        self.wake_lock = threading.RLock()       # a signal handler may post, too
        self.wake_read, self.wake_write = os.pipe()
        os.set_blocking(self.wake_read, False)
        os.set_blocking(self.wake_write, False)
        self.watch(self.wake_read, self.run_posted, False)

    cdef void watch(self, int fd, object callback, bint writable) except *:
        if poll_watch(self.poller, fd, (<uintptr_t>fd << 1) | 1, not writable, writable, False, False, False) < 0:
            raise OSError(errno, os.strerror(errno))
        self.watched[fd] = callback

    cdef void unwatch(self, int fd, bint writable) except *:
        if self.watched.pop(fd, None) is not None:
            poll_forget(self.poller, fd, not writable, writable)

    cdef void descriptor_ready(self, int fd) except *:
        callback = self.watched.get(fd)
        if callback is not None:
            self.call(callback)

    cdef void post(self, object callback) except *:
        self.posted.append(callback)
        with self.wake_lock:     # the descriptor may be a stranger's once it is closed
            try:
                if self.wake_write >= 0:
                    os.write(self.wake_write, b"!")
            except BlockingIOError:
                pass             # the pipe is full of wake-ups already

    def run_posted(self) -> None:
        try:
            os.read(self.wake_read, 4096)
        except BlockingIOError:
            pass
        for _ in range(len(self.posted)):        # what they post in turn waits for the next turn
            self.call(self.posted.popleft())

    cdef void call(self, object callback) except *:
        try:
            callback()
        except Exception as error:
            self.hooks.bug_in_callback(callback, error)

    cdef void close(self) except *:
        if self.wake_write < 0:
            return
        self.unwatch(self.wake_read, False)
        with self.wake_lock:
            os.close(self.wake_read)
            os.close(self.wake_write)
            self.wake_read = self.wake_write = -1

    def __dealloc__(self) -> None:
        for fd in (self.wake_read, self.wake_write):
            if fd >= 0:
                close_descriptor(fd)
