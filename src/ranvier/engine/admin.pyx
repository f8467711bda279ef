"""Clients of the admin port: in each turn they are read, executed and written before the others.

Strategy: order, not threads. What a poll found is reordered, and so are the pending writes; while events of an earlier
poll are left over (the shared buffer was full), the admin clients are looked at again before those, without a poll;
but not after a turn that read nothing but theirs, so that what they send leaves the others half of the turns.
None of this is called while `core.admins` is empty.

Invariant: a client is on `core.admins` exactly while `client.admin` is set, and has a socket.
"""

from libc.stdint cimport uintptr_t
from libc.string cimport memmove


cdef void admin_join(Client *client) noexcept nogil:
    if not client.admin:
        client.admin = True
        client.next_admin = client.core.admins
        client.core.admins = client
        client.core.admin_count += 1


cdef void admin_leave(Client *client) noexcept nogil:
    cdef Client **link = &client.core.admins
    if not client.admin:
        return
    while link[0] != client:
        link = &link[0].next_admin
    link[0] = client.next_admin
    client.core.admin_count -= 1
    client.admin = False


cdef inline bint is_admins(const PollEvent *event) noexcept nogil:
    # Odd tokens are descriptors that Python watches; 0 is an event whose client is gone.
    return event.token != 0 and event.token & 1 == 0 and (<Client *>event.token).admin


cdef int admin_events_first(PollEvent *events, int count) noexcept nogil:
    cdef int i, front = 0
    cdef PollEvent moved
    for i in range(count):
        if is_admins(&events[i]):
            moved = events[front]
            events[front] = events[i]
            events[i] = moved
            front += 1
    return front


cdef int admin_events_again(Core *core, PollEvent *events, int capacity, int *next, int *count) noexcept nogil:
    cdef int i, end, missing = <int>core.admin_count - next[0]
    cdef Client *client = core.admins
    # Those left over go: one client is read once a turn, and the poll reports again what is still there.
    for i in range(next[0], count[0]):
        if is_admins(&events[i]):
            events[i].token = 0
    # The events that have been served leave room in front; who finds none has its turn with the next poll.
    if 0 < missing <= capacity - count[0]:
        memmove(&events[next[0] + missing], &events[next[0]], (count[0] - next[0]) * sizeof(PollEvent))
        next[0] += missing
        count[0] += missing
    end = next[0]
    while client != NULL and next[0] > 0:
        next[0] -= 1
        events[next[0]].token = <uintptr_t>client
        events[next[0]].readable = True
        events[next[0]].writable = events[next[0]].hangup = False
        client = client.next_admin
    return end


cdef Client *admin_writes_first(Client *pending) noexcept nogil:
    cdef Client *admins = NULL
    cdef Client *others = NULL
    cdef Client **last_admin = &admins
    cdef Client **last_other = &others
    while pending != NULL:
        if pending.admin:
            last_admin[0] = pending
            last_admin = &pending.next_pending_write
        else:
            last_other[0] = pending
            last_other = &pending.next_pending_write
        pending = pending.next_pending_write
    last_other[0] = NULL
    last_admin[0] = others
    return admins
