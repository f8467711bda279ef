"""What the data set's changes are handed on as.

Everything that one execution changes - a command, all of EXEC, one deletion outside of commands - is one unit: it is
collected as requests in the protocol's form, and handed to each feed in one piece when the outermost execution is over,
between MULTI and EXEC when it is more than one request, so that nobody who repeats it stops in the middle. A request
that is meant for another database than the one before it has a SELECT in front; each feed remembers where it stands.

Invariant: between executions the unit is empty: `requests` is 0, and `length` means nothing.
"""

from libc.string cimport memcpy

from ranvier.engine.client cimport ClientHandle
from ranvier.engine.core cimport EFFECT_OBSERVED, EFFECT_PROPAGATED, FEEDS, Feed, Propagation
from ranvier.engine.memory cimport release, resize
from ranvier.engine.number cimport print_integer
from ranvier.engine.phase cimport CLOSE_BUG, request_close

cdef enum:
    MULTI_BYTES = 15
    KEPT_BYTES = 65536           # a larger unit's memory is not kept for the next
    NUMBER_BYTES = 20
    SELECT_HEAD_BYTES = 16
    SELECT_BYTES = 64            # with any number

cdef const char *MULTI = b"*1\r\n$5\r\nMULTI\r\n"
cdef const char *EXEC = b"*1\r\n$4\r\nEXEC\r\n"
cdef const char *SELECT_HEAD = b"*2\r\n$6\r\nSELECT\r\n"


cdef void feed_begin(Core *core, int which, feed_t take) noexcept nogil:
    cdef Feed *feed = &core.propagation.feeds[which]
    feed.take = take
    feed.database_index = -1
    feed.on = True
    core.effects |= EFFECT_PROPAGATED


cdef void feed_end(Core *core, int which) noexcept nogil:
    cdef int i
    core.propagation.feeds[which].on = False
    for i in range(<int>FEEDS):
        if core.propagation.feeds[i].on:
            return
    core.effects &= ~<unsigned int>EFFECT_PROPAGATED


cdef char *unit_room(Core *core, size_t size) noexcept nogil:
    """Room for `size` more bytes; who writes there advances `length`."""
    cdef Propagation *unit = &core.propagation
    if unit.capacity - unit.length < size:
        unit.capacity = 2 * (unit.length + size)
        unit.unit = <char *>resize(&core.memory, unit.unit, unit.capacity)
    return unit.unit + unit.length


cdef size_t put_header(char *target, char kind, size_t number) noexcept nogil:
    cdef size_t length
    target[0] = kind
    length = 1 + print_integer(target + 1, <long long>number)
    target[length] = c"\r"
    target[length + 1] = c"\n"
    return length + 2


cdef void put_bulk(Core *core, const char *data, size_t length) noexcept nogil:
    cdef char *target = unit_room(core, length + NUMBER_BYTES + 5)
    cdef size_t header = put_header(target, c"$", length)
    memcpy(target + header, data, length)
    target[header + length] = c"\r"
    target[header + length + 1] = c"\n"
    core.propagation.length += header + length + 2


cdef void put_array(Core *core, size_t count) noexcept nogil:
    core.propagation.length += put_header(unit_room(core, NUMBER_BYTES + 3), c"*", count)


cdef size_t put_select(char *target, int database_index) noexcept nogil:
    """At most SELECT_BYTES; how many."""
    cdef char[NUMBER_BYTES] number
    cdef size_t digits = print_integer(number, database_index)
    cdef size_t length = SELECT_HEAD_BYTES
    memcpy(target, SELECT_HEAD, SELECT_HEAD_BYTES)
    length += put_header(target + length, c"$", digits)
    memcpy(target + length, number, digits)
    memcpy(target + length + digits, b"\r\n", 2)
    return length + digits + 2


cdef void begin_request(Core *core, int database_index, size_t count) noexcept nogil:
    cdef Propagation *unit = &core.propagation
    if unit.requests == 0:
        unit.length = 0
        memcpy(unit_room(core, MULTI_BYTES), MULTI, MULTI_BYTES)
        unit.length = MULTI_BYTES
        unit.first_database = database_index
    elif unit.last_database != database_index:
        unit.length += put_select(unit_room(core, SELECT_BYTES), database_index)
    unit.last_database = database_index
    unit.requests += 1
    put_array(core, count)


cdef void unit_add(Core *core, int database_index, const Arg *args, size_t count) noexcept nogil:
    cdef size_t i
    begin_request(core, database_index, count)
    for i in range(count):
        put_bulk(core, args[i].data, args[i].length)


cdef void unit_add_lists(Core *core, int database_index, list requests) noexcept:
    cdef bytes argument
    for request in requests:
        begin_request(core, database_index, len(request))
        for argument in request:
            put_bulk(core, argument, len(argument))


cdef void propagate_deletion(Core *core, int database_index, const char *key, size_t length, bint lazily) noexcept:
    begin_request(core, database_index, 2)
    if lazily:
        put_bulk(core, b"UNLINK", 6)
    else:
        put_bulk(core, b"DEL", 3)
    put_bulk(core, key, length)
    if core.call == NULL:
        unit_end(core, NULL)


cdef void unit_end(Core *core, Client *client) noexcept:
    cdef Propagation *unit = &core.propagation
    cdef size_t begin = MULTI_BYTES
    cdef list told
    if unit.requests == 0:
        return
    if unit.requests > 1:
        begin = 0
        memcpy(unit_room(core, MULTI_BYTES), EXEC, MULTI_BYTES - 1)
        unit.length += MULTI_BYTES - 1
    hand_out(core, unit.unit + begin, unit.length - begin)
    told = requests_of(unit.unit[begin:unit.length]) if core.effects & EFFECT_OBSERVED else None
    unit.requests = 0
    if unit.capacity > KEPT_BYTES:
        propagation_free(core)
    if told is not None:
        tell(core, client, unit.first_database, told)


cdef void hand_out(Core *core, const char *data, size_t length) noexcept nogil:
    cdef Propagation *unit = &core.propagation
    cdef Feed *feed
    cdef char[SELECT_BYTES] select
    cdef int i
    for i in range(<int>FEEDS):
        feed = &unit.feeds[i]
        if not feed.on:
            continue
        if feed.database_index != unit.first_database:
            feed.take(core, select, put_select(select, unit.first_database))
        feed.take(core, data, length)
        feed.database_index = unit.last_database


cdef list requests_of(bytes unit):
    """The requests of a unit, as lists of their arguments."""
    cdef list found = []
    cdef Py_ssize_t position = 0, end, count, length
    while position < len(unit):
        end = unit.index(b"\r\n", position)
        count = int(unit[position + 1:end])
        position = end + 2
        request = []
        for _ in range(count):
            end = unit.index(b"\r\n", position)
            length = int(unit[position + 1:end])
            request.append(unit[end + 2:end + 2 + length])
            position = end + length + 4
        found.append(request)
    return found


cdef void tell(Core *core, Client *client, int database_index, list requests) noexcept:
    try:
        (<object>core.hooks).propagate(database_index, requests)
    except Exception as error:
        if client == NULL:
            (<object>core.hooks).bug_in_callback((<object>core.hooks).propagate, error)
            return
        request_close(client, CLOSE_BUG)
        (<object>core.hooks).bug(<ClientHandle>client.handle, error)


cdef void propagation_free(Core *core) noexcept nogil:
    release(&core.memory, core.propagation.unit)
    core.propagation.unit = NULL
    core.propagation.length = core.propagation.capacity = 0
