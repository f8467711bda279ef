"""Consumer groups.

Strategy: groups of a stream and consumers of a group stand in arrays in the order of their names, which is the order in
which they are shown. A pending entry stands in two indexes, the group's and its consumer's, so that either is read in
the order of ids.
Invariant: an id is in a consumer's index exactly if the group's index has it with a Pending of that consumer.
"""

from libc.string cimport memcmp, memcpy, memmove, memset

from ranvier.engine.memory cimport allocate, ranvier_usable_size, release, release_lazily, resize
from ranvier.engine.types.id_index cimport (
    IdPlace, id_compare, id_is_zero, index_bytes, index_clear, index_first, index_init, index_insert, index_remove,
    place_item, place_step,
)
from ranvier.engine.types.name_list cimport name_of


# ---- names ----------------------------------------------------------------------------------------------------------

cdef int name_compare(const void *named, const char *name, size_t length) noexcept nogil:
    cdef size_t own = (<const Named *>named).length
    cdef int order = memcmp(name_of(named), name, own if own < length else length)
    if order == 0 and own != length:
        return 1 if own > length else -1
    return order


cdef uint32_t names_place(const NameList *names, const char *name, size_t length, bint *found) noexcept nogil:
    cdef uint32_t low = 0, high = names.count, middle
    cdef int order
    while low < high:
        middle = (low + high) // 2
        order = name_compare(names.items[middle], name, length)
        if order == 0:
            found[0] = True
            return middle
        if order < 0:
            low = middle + 1
        else:
            high = middle
    found[0] = False
    return low


cdef void *names_find(const NameList *names, const char *name, size_t length) noexcept nogil:
    cdef bint found
    cdef uint32_t place = names_place(names, name, length, &found)
    return names.items[place] if found else NULL


cdef void names_insert(Memory *memory, NameList *names, void *named) noexcept nogil:
    cdef bint found
    cdef uint32_t place = names_place(names, name_of(named), (<Named *>named).length, &found)
    if names.count == names.capacity:
        names.capacity = names.capacity * 2 if names.capacity else 1
        names.items = <void **>resize(memory, names.items, names.capacity * sizeof(void *))
    memmove(names.items + place + 1, names.items + place, (names.count - place) * sizeof(void *))
    names.items[place] = named
    names.count += 1


cdef void names_remove(Memory *memory, NameList *names, const void *named) noexcept nogil:
    cdef bint found
    cdef uint32_t place = names_place(names, name_of(named), (<const Named *>named).length, &found)
    names.count -= 1
    memmove(names.items + place, names.items + place + 1, (names.count - place) * sizeof(void *))
    if names.count == 0:
        release(memory, names.items)
        memset(names, 0, sizeof(NameList))


cdef void *named_new(Memory *memory, size_t size, const char *name, size_t length) noexcept nogil:
    """A zeroed struct of that size with its name behind it."""
    cdef void *named = allocate(memory, size + length)
    memset(named, 0, size)
    (<Named *>named).length = <uint32_t>length
    (<Named *>named).offset = <uint32_t>size
    memcpy(<char *>named + size, name, length)
    return named


# ---- groups ---------------------------------------------------------------------------------------------------------

cdef Group *group_find(const Stream *stream, const char *name, size_t length) noexcept nogil:
    return <Group *>names_find(&stream.groups, name, length)


cdef Group *group_add(Memory *memory, Stream *stream, const char *name, size_t length, StreamId last_id,
                      int64_t entries_read) noexcept nogil:
    cdef Group *group = <Group *>named_new(memory, sizeof(Group), name, length)
    group.last_id = last_id
    group.entries_read = entries_read
    names_insert(memory, &stream.groups, group)
    return group


cdef void group_delete(Memory *memory, Stream *stream, Group *group) noexcept nogil:
    cdef size_t budget = <size_t>-1
    names_remove(memory, &stream.groups, group)
    group_free(memory, group, &budget)


cdef bint group_free(Memory *memory, Group *group, size_t *budget) noexcept nogil:
    cdef IdPlace place
    cdef Consumer *consumer
    while budget[0] and index_first(&group.pending, &place):
        release(memory, place_item(&place).item)
        index_remove(memory, &group.pending, place_item(&place).id)
        budget[0] -= 1
    if group.pending.count:
        return False
    while budget[0] and group.consumers.count:
        group.consumers.count -= 1
        consumer = <Consumer *>group.consumers.items[group.consumers.count]
        budget[0] -= consumer.pending.nodes if consumer.pending.nodes < budget[0] else budget[0]
        index_clear(memory, &consumer.pending)
        release_lazily(memory, consumer)
    if group.consumers.count:
        return False
    release(memory, group.consumers.items)
    release_lazily(memory, group)
    return True


cdef size_t group_effort(const Group *group) noexcept nogil:
    return 1 + group.pending.count + group.pending.nodes * 2 + group.consumers.count


cdef Group *group_copy(Memory *memory, const Group *group) noexcept nogil:
    cdef Group *copy = <Group *>named_new(memory, sizeof(Group), name_of(group), group.name.length)
    cdef const Consumer *consumer
    cdef Consumer *twin
    cdef const Pending *pending
    cdef Pending *other
    cdef IdPlace place
    cdef uint32_t i
    cdef bint found
    copy.last_id = group.last_id
    copy.entries_read = group.entries_read
    for i in range(group.consumers.count):
        consumer = <const Consumer *>group.consumers.items[i]
        twin = consumer_add(memory, copy, name_of(consumer), consumer.name.length, consumer.seen_ms)
        twin.active_ms = consumer.active_ms
        found = index_first(&consumer.pending, &place)
        while found:
            pending = <const Pending *>place_item(&place).item
            other = pending_give(memory, copy, twin, place_item(&place).id)
            other.delivered_ms = pending.delivered_ms
            other.deliveries = pending.deliveries
            found = place_step(&place, True)
    return copy


cdef size_t group_usage(const Group *group) noexcept nogil:
    cdef size_t total = ranvier_usable_size(<void *>group) + index_bytes(&group.pending)
    cdef const Consumer *consumer
    cdef IdPlace place
    cdef uint32_t i
    if index_first(&group.pending, &place):
        total += group.pending.count * ranvier_usable_size(place_item(&place).item)
    if group.consumers.items != NULL:
        total += ranvier_usable_size(group.consumers.items)
    for i in range(group.consumers.count):
        consumer = <const Consumer *>group.consumers.items[i]
        total += ranvier_usable_size(<void *>consumer) + index_bytes(&consumer.pending)
    return total


# ---- consumers ------------------------------------------------------------------------------------------------------

cdef Consumer *consumer_find(const Group *group, const char *name, size_t length) noexcept nogil:
    return <Consumer *>names_find(&group.consumers, name, length)


cdef Consumer *consumer_add(Memory *memory, Group *group, const char *name, size_t length,
                            int64_t now_ms) noexcept nogil:
    cdef Consumer *consumer = <Consumer *>named_new(memory, sizeof(Consumer), name, length)
    consumer.seen_ms = now_ms
    consumer.active_ms = -1
    index_init(&consumer.pending)
    names_insert(memory, &group.consumers, consumer)
    return consumer


cdef size_t consumer_delete(Memory *memory, Group *group, Consumer *consumer) noexcept nogil:
    cdef size_t count = consumer.pending.count
    cdef IdPlace place
    cdef bint found = index_first(&consumer.pending, &place)
    while found:
        index_remove(memory, &group.pending, place_item(&place).id)
        release(memory, place_item(&place).item)
        found = place_step(&place, True)
    index_clear(memory, &consumer.pending)
    names_remove(memory, &group.consumers, consumer)
    release_lazily(memory, consumer)
    return count


# ---- pending entries ------------------------------------------------------------------------------------------------

cdef Pending *pending_give(Memory *memory, Group *group, Consumer *consumer, StreamId id) noexcept nogil:
    cdef Pending *pending = pending_find(group, id)
    if pending == NULL:
        pending = <Pending *>allocate(memory, sizeof(Pending))
        pending.delivered_ms = 0
        pending.deliveries = 1
        index_insert(memory, &group.pending, id, pending)
    elif pending.consumer == consumer:
        return pending
    else:
        index_remove(memory, &pending.consumer.pending, id)
    pending.consumer = consumer
    index_insert(memory, &consumer.pending, id, pending)
    return pending


cdef bint pending_remove(Memory *memory, Group *group, StreamId id) noexcept nogil:
    cdef Pending *pending = <Pending *>index_remove(memory, &group.pending, id)
    if pending == NULL:
        return False
    index_remove(memory, &pending.consumer.pending, id)
    release(memory, pending)
    return True


# ---- how far a group is ---------------------------------------------------------------------------------------------

cdef bint has_holes_from(const Stream *stream, StreamId id) noexcept nogil:
    """Whether an entry from `id` on may have been deleted."""
    return stream.length and not id_is_zero(stream.max_deleted_id) and id_compare(id, stream.max_deleted_id) <= 0


cdef int64_t stream_entries_until(const Stream *stream, StreamId id) noexcept nogil:
    """Known at the ends of the stream only: before, at and behind its entries."""
    cdef int order
    if stream.entries_added == 0:
        return 0
    order = id_compare(id, stream.last_id)
    if stream.length == 0 and order <= 0:
        return <int64_t>stream.entries_added
    if not id_is_zero(id) and id_compare(id, stream.max_deleted_id) < 0:
        return ENTRIES_READ_UNKNOWN
    if order == 0:
        return <int64_t>stream.entries_added
    if order > 0:
        return ENTRIES_READ_UNKNOWN
    if id_is_zero(stream.max_deleted_id) or id_compare(stream.max_deleted_id, stream.first_id) < 0:
        order = id_compare(id, stream.first_id)
        if order < 0:
            return <int64_t>(stream.entries_added - stream.length)
        if order == 0:
            return <int64_t>(stream.entries_added - stream.length + 1)
    return ENTRIES_READ_UNKNOWN


cdef void group_advance(const Stream *stream, Group *group, StreamId id) noexcept nogil:
    if group.entries_read != ENTRIES_READ_UNKNOWN and id_compare(group.last_id, stream.first_id) >= 0 \
            and not has_holes_from(stream, group.last_id):
        group.entries_read += 1
    elif stream.entries_added:
        group.entries_read = stream_entries_until(stream, id)
    group.last_id = id


cdef bint group_lag(const Stream *stream, const Group *group, int64_t *lag) noexcept nogil:
    cdef int64_t read = group.entries_read
    lag[0] = 0
    if stream.entries_added == 0:
        return True
    if read == ENTRIES_READ_UNKNOWN or has_holes_from(stream, group.last_id):
        read = stream_entries_until(stream, group.last_id)
    lag[0] = <int64_t>stream.entries_added - read
    return read != ENTRIES_READ_UNKNOWN


cdef bint group_is_done(const Group *group, StreamId id) noexcept nogil:
    return id_compare(id, group.last_id) <= 0 and pending_find(group, id) == NULL
