"""Reading: the loop's shared read buffer, a client's own remainder, big arguments in blobs of their own."""

from libc.stddef cimport size_t

from ranvier.engine.core cimport Client

cdef enum:
    RECEIVED_NOTHING = 0             # the socket had nothing after all
    RECEIVED_SHARED = 1              # `count` bytes stand in the shared buffer
    RECEIVED_OWN = 2                 # they stand in the client's own memory
    RECEIVED_END = 3                 # the peer will send no more
    RECEIVED_ERROR = 4

# One read. `shared` has room for `room` bytes.
cdef int receive(Client *client, char *shared, size_t room, size_t *count) noexcept nogil
# Take bytes as if they had been read; returns how many (those of a big argument are taken by themselves).
cdef size_t append_input(Client *client, const char *data, size_t length) noexcept nogil
# Keep data[0:length], the beginning of a request or stalled requests, in the client's own memory. `data` is either the
# shared buffer's or the client's own query[query_start:query_end] less what was consumed.
cdef void keep_remainder(Client *client, const char *data, size_t length, bint shared) noexcept nogil
# Bytes of requests that this client has sent and that have not run: what its limit is compared with.
cdef size_t query_bytes(const Client *client) noexcept nogil
# Memory that they take.
cdef size_t query_memory(const Client *client) noexcept nogil
# Give back room that the client has not needed of late; the periodic look calls it.
cdef void query_shrink(Client *client) noexcept nogil
cdef size_t query_limit(const Client *client) noexcept nogil
cdef void input_free(Client *client) noexcept nogil
