"""What output needs of the system's sockets, and Cython's own headers lack."""

from libc.stddef cimport size_t

cdef extern from "<sys/socket.h>" nogil:
    enum:
        MSG_NOSIGNAL
    cdef struct iovec:
        void *iov_base
        size_t iov_len
    cdef struct msghdr:
        iovec *msg_iov
        size_t msg_iovlen
    ssize_t sendmsg(int fd, const msghdr *message, int flags)
    ssize_t send(int fd, const void *data, size_t size, int flags)

# macOS has no such flag: there it must do that the interpreter ignores SIGPIPE.
cdef extern from *:
    """
    #include <sys/uio.h>
    #ifndef MSG_NOSIGNAL
    #define MSG_NOSIGNAL 0
    #endif
    """
