"""The client at the other end of which is this server's primary: what it sends is applied, counted and handed on."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t

from ranvier.engine.core cimport Client, Limits

# Client.primary_link of the one client that has it.
cdef struct PrimaryLink:
    int64_t offset               # of the stream: everything before it is applied and handed on
    Limits limits                # a primary's own, in place of the core's
    # While its requests are executed, all in the buffer in hand:
    const char *batch            # where the requests begin that were parsed together
    const char *begin            # first byte that is not handed on, NULL in between
    const char *end              # behind the last byte that is applied
    # Executed, but not applied: the beginning of a transaction, or a request that a pause holds back.
    char *held
    size_t held_bytes
    size_t held_capacity


cdef inline PrimaryLink *link_of(const Client *client) noexcept nogil:
    return <PrimaryLink *>client.primary_link


cdef inline const Limits *limits_of(const Client *client) noexcept nogil:
    """The limits on what this client may send."""
    return &client.core.limits if client.primary_link == NULL else &(<PrimaryLink *>client.primary_link).limits


# Requests are to be parsed from data and executed. False when one begins that is none of the protocol's own: a primary
# never sends such.
cdef bint link_executes(Client *client, const char *data, size_t length) noexcept nogil
# One has been executed; `end` counts from the last `data`.
cdef void link_executed(Client *client, size_t end) noexcept nogil
# All of them have, up to `end`; the buffer goes.
cdef void link_settles(Client *client, const char *end) noexcept nogil
# A request that was held back has run by itself.
cdef void link_retried(Client *client) noexcept nogil
# Teardown.
cdef void link_leave(Client *client) noexcept nogil
