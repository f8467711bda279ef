"""Client-side caching in BCAST mode: whoever tracks a prefix is told of all keys that change under it.

Strategy: nothing is remembered of reads. Keys that change, if anybody's prefix begins them, are collected; before the
loop sleeps they are sorted once, and as the keys of a prefix lie side by side then, each prefix takes its share as one
array, which its trackers share. The prefixes lie in one sorted array and know who begins them, so that a key finds its
own by one binary search, however many there are, and those that nothing happens to cost nothing.

Invariants: a Prefix has at least one member, and each of the two knows its place with the other; `written` is empty
between turns. Nobody comes or goes while messages go out (engine/modes/tracking).
"""

from libc.stdlib cimport qsort
from libc.string cimport memcmp, memcpy, memmove, memset

from ranvier.engine.memory cimport Blob, Memory, allocate, blob_data, blob_new, blob_release, release, resize
from ranvier.engine.modes.tracking cimport (
    HEADER_BYTES, TRACKING_NOLOOP, OwnPrefix, PrefixMember, WrittenKey, key_size, put_header, put_key, send,
)
from ranvier.engine.store.table cimport Layout, table_clear, table_find, table_init, table_insert, table_visit


cdef const char *written_key_name(const void *item, size_t *length) noexcept nogil:
    length[0] = (<const WrittenKey *>item).length
    return <const char *>((<const WrittenKey *>item) + 1)


cdef void free_item(Memory *memory, void *item) noexcept nogil:
    release(memory, item)


cdef Layout WRITTEN_LAYOUT
WRITTEN_LAYOUT.key = written_key_name
WRITTEN_LAYOUT.free = free_item


cdef void broadcast_begin(Tracking *tracking, uint64_t seed0, uint64_t seed1) noexcept:
    table_init(&tracking.written, tracking.memory, &WRITTEN_LAYOUT, seed0, seed1)


cdef void broadcast_end(Tracking *tracking) noexcept:
    table_clear(&tracking.written)
    release(tracking.memory, tracking.prefixes)


# ---- prefixes -------------------------------------------------------------------------------------------------------

cdef inline int compare(const char *one, size_t one_length, const char *other, size_t other_length) noexcept nogil:
    cdef int order = memcmp(one, other, one_length if one_length < other_length else other_length)
    if order != 0:
        return order
    return (one_length > other_length) - (one_length < other_length)


cdef inline int compare_prefixes(Prefix *one, Prefix *other) noexcept nogil:
    return compare(prefix_bytes(one), one.length, prefix_bytes(other), other.length)


cdef int prefix_order(const void *one, const void *other) noexcept nogil:
    return compare_prefixes((<Prefix **>one)[0], (<Prefix **>other)[0])


cdef size_t prefixes_up_to(Tracking *tracking, size_t count, const char *key, size_t length) noexcept nogil:
    """How many of the first `count` prefixes stand before the key, or equal it."""
    cdef size_t low = 0, middle
    cdef Prefix *prefix
    while low < count:
        middle = (low + count) // 2
        prefix = tracking.prefixes[middle]
        if compare(prefix_bytes(prefix), prefix.length, key, length) <= 0:
            low = middle + 1
        else:
            count = middle
    return low


cdef void settle(Tracking *tracking) noexcept nogil:
    """Find everybody's parent: in the sorted array, those that begin a prefix are the parents of the one before it."""
    cdef size_t i
    cdef Prefix *prefix
    cdef Prefix *parent = NULL
    for i in range(tracking.prefix_count):
        prefix = tracking.prefixes[i]
        while parent != NULL and (parent.length > prefix.length
                                  or memcmp(prefix_bytes(parent), prefix_bytes(prefix), parent.length) != 0):
            parent = parent.parent
        prefix.parent = parent
        prefix.root_length = prefix.length if parent == NULL else parent.root_length
        parent = prefix
    tracking.prefixes_settled = True


cdef Prefix *nearest_prefix(Tracking *tracking, const char *key, size_t length, size_t *common) noexcept nogil:
    """The last prefix at or before the key in their order, or NULL, and how many bytes the two share.

    Whatever stands between a key and a prefix that begins it begins so, too: all prefixes of the key are this one and
    its parents, as far as they are no longer than `common`.
    """
    cdef size_t place, shared = 0
    cdef Prefix *prefix
    if not tracking.prefixes_settled:
        settle(tracking)
    place = prefixes_up_to(tracking, tracking.prefix_count, key, length)
    if place == 0:
        return NULL
    prefix = tracking.prefixes[place - 1]
    while shared < prefix.length and shared < length and prefix_bytes(prefix)[shared] == key[shared]:
        shared += 1
    common[0] = shared
    return prefix


cdef bint has_prefix(Tracking *tracking, const char *key, size_t length) noexcept nogil:
    cdef size_t common = 0
    cdef Prefix *prefix = nearest_prefix(tracking, key, length, &common)
    return prefix != NULL and prefix.root_length <= common


cdef void join(Tracking *tracking, Tracker *tracker, Prefix *prefix) noexcept nogil:
    cdef OwnPrefix *own = &tracker.prefixes[tracker.prefix_count]
    if prefix.count == prefix.capacity:
        prefix.capacity = 2 * prefix.capacity if prefix.capacity > 0 else 1
        prefix.members = <PrefixMember *>resize(tracking.memory, prefix.members,
                                                prefix.capacity * sizeof(PrefixMember))
    own.prefix = prefix
    own.place = prefix.count
    prefix.members[prefix.count].tracker = tracker
    prefix.members[prefix.count].place = tracker.prefix_count
    prefix.count += 1
    tracker.prefix_count += 1
    tracker.prefix_bytes += sizeof(Prefix) + sizeof(PrefixMember) + sizeof(OwnPrefix) + prefix.length


cdef void add_prefixes(Tracking *tracking, Tracker *tracker, list texts) except *:
    """All at once, so that many of them cost one sort. None of them may be the tracker's already."""
    cdef size_t place, known = tracking.prefix_count, count = len(texts)
    cdef Prefix *prefix
    cdef bytes text
    tracker.prefixes = <OwnPrefix *>resize(tracking.memory, tracker.prefixes,
                                           (tracker.prefix_count + count) * sizeof(OwnPrefix))
    tracking.prefixes = <Prefix **>resize(tracking.memory, tracking.prefixes, (known + count) * sizeof(Prefix *))
    for text in texts:
        place = prefixes_up_to(tracking, known, text, len(text))
        prefix = tracking.prefixes[place - 1] if place > 0 else NULL
        if prefix == NULL or compare(prefix_bytes(prefix), prefix.length, text, len(text)) != 0:
            prefix = <Prefix *>allocate(tracking.memory, sizeof(Prefix) + len(text))
            memset(prefix, 0, sizeof(Prefix))
            prefix.length = len(text)
            memcpy(prefix_bytes(prefix), <const char *>text, len(text))
            tracking.prefixes[tracking.prefix_count] = prefix
            tracking.prefix_count += 1
        join(tracking, tracker, prefix)
    count = tracking.prefix_count - known
    if count == 1:
        prefix = tracking.prefixes[known]
        place = prefixes_up_to(tracking, known, prefix_bytes(prefix), prefix.length)
        memmove(tracking.prefixes + place + 1, tracking.prefixes + place, (known - place) * sizeof(Prefix *))
        tracking.prefixes[place] = prefix
    elif count > 1:
        qsort(tracking.prefixes, tracking.prefix_count, sizeof(Prefix *), prefix_order)
    if count > 0:
        tracking.prefixes_settled = False


cdef void drop_unused(Tracking *tracking) noexcept nogil:
    cdef size_t i, kept = 0
    cdef Prefix *prefix
    for i in range(tracking.prefix_count):
        prefix = tracking.prefixes[i]
        if prefix.count > 0:
            tracking.prefixes[kept] = prefix
            kept += 1
        else:
            release(tracking.memory, prefix.members)
            release(tracking.memory, prefix)
    tracking.prefix_count = kept
    tracking.prefixes_settled = False
    if kept == 0:
        release(tracking.memory, tracking.prefixes)
        tracking.prefixes = NULL


cdef void leave_prefixes(Tracking *tracking, Tracker *tracker) noexcept nogil:
    cdef size_t i
    cdef bint unused = False
    cdef OwnPrefix *own
    cdef PrefixMember *place
    for i in range(tracker.prefix_count):
        own = &tracker.prefixes[i]
        own.prefix.count -= 1
        place = &own.prefix.members[own.place]
        place[0] = own.prefix.members[own.prefix.count]
        place.tracker.prefixes[place.place].place = own.place
        unused = unused or own.prefix.count == 0
    release(tracking.memory, tracker.prefixes)
    tracker.prefixes = NULL
    tracker.prefix_count = 0
    if unused:
        drop_unused(tracking)


# ---- keys that change -----------------------------------------------------------------------------------------------

cdef void note_written(Tracking *tracking, uint64_t writer, uint64_t hash, const char *key,
                       size_t length) noexcept nogil:
    cdef void **slot = table_find(&tracking.written, hash, key, length)
    cdef WrittenKey *written
    if slot == NULL:
        written = <WrittenKey *>allocate(tracking.memory, sizeof(WrittenKey) + length)
        written.length = length
        memcpy(<char *>(written + 1), key, length)
        table_insert(&tracking.written, hash, written)
    else:
        written = <WrittenKey *>slot[0]
    written.writer = writer


cdef struct Sorted:
    WrittenKey **keys
    size_t count


cdef void collect(void *context, void *item) noexcept nogil:
    cdef Sorted *found = <Sorted *>context
    found.keys[found.count] = <WrittenKey *>item
    found.count += 1


cdef int compare_written(const void *one, const void *other) noexcept nogil:
    cdef const WrittenKey *left = (<const WrittenKey **>one)[0]
    cdef const WrittenKey *right = (<const WrittenKey **>other)[0]
    return compare(<const char *>(left + 1), left.length, <const char *>(right + 1), right.length)


cdef size_t written_by(WrittenKey **keys, size_t count, uint64_t writer) noexcept nogil:
    cdef size_t i, found = 0
    for i in range(count):
        found += keys[i].writer == writer
    return found


cdef Blob *encode_written(Memory *memory, WrittenKey **keys, size_t count, size_t left_out,
                          uint64_t writer) noexcept nogil:
    """The keys as an array, without the `left_out` ones of one writer."""
    cdef size_t i, size = HEADER_BYTES
    cdef Blob *blob
    for i in range(count):
        size += key_size(keys[i].length)
    blob = blob_new(memory, size)
    size = put_header(blob_data(blob), c'*', count - left_out)
    for i in range(count):
        if left_out == 0 or keys[i].writer != writer:
            size += put_key(blob_data(blob) + size, <const char *>(keys[i] + 1), keys[i].length)
    blob.size = size
    return blob


cdef void send_blob(const Tracking *tracking, Tracker *tracker, Blob *blob) noexcept nogil:
    send(tracker, blob_data(blob), blob.size, blob if blob.size >= tracking.shared_bytes else NULL)


cdef void broadcast_prefix(Tracking *tracking, Prefix *prefix, WrittenKey **keys, size_t count) noexcept nogil:
    """Tell the trackers of a prefix; who wants to hear nothing of its own writes gets an array of its own."""
    cdef Blob *everything = encode_written(tracking.memory, keys, count, 0, 0)
    cdef Blob *others
    cdef Tracker *tracker
    cdef size_t i, own
    for i in range(prefix.count):
        tracker = prefix.members[i].tracker
        own = written_by(keys, count, tracker.id) if tracker.flags & TRACKING_NOLOOP else 0
        if own == 0:
            send_blob(tracking, tracker, everything)
        elif own < count:
            others = encode_written(tracking.memory, keys, count, own, tracker.id)
            send_blob(tracking, tracker, others)
            blob_release(tracking.memory, others)
    blob_release(tracking.memory, everything)


cdef Prefix *share_out(Tracking *tracking, WrittenKey **keys, size_t count) noexcept nogil:
    """Give each prefix its part of the sorted keys; the prefixes that got one, linked."""
    cdef Prefix *found = NULL
    cdef Prefix *prefix
    cdef size_t i, common = 0
    for i in range(count):
        prefix = nearest_prefix(tracking, <const char *>(keys[i] + 1), keys[i].length, &common)
        while prefix != NULL and prefix.length > common:
            prefix = prefix.parent
        while prefix != NULL:
            if prefix.written_count == 0:
                prefix.first_written = i
                prefix.next_written = found
                found = prefix
            prefix.written_count += 1
            prefix = prefix.parent
    return found


cdef void broadcast(Tracking *tracking) noexcept nogil:
    cdef Sorted written
    cdef size_t i, count = 0
    cdef Prefix *prefix
    cdef Prefix **prefixes
    if tracking.prefix_count == 0:
        table_clear(&tracking.written)
        return
    written.count = 0
    written.keys = <WrittenKey **>allocate(tracking.memory, tracking.written.count * sizeof(WrittenKey *))
    for i in range(tracking.written.buckets):
        table_visit(&tracking.written, i, collect, &written)
    qsort(written.keys, written.count, sizeof(WrittenKey *), compare_written)
    prefixes = <Prefix **>allocate(tracking.memory, tracking.prefix_count * sizeof(Prefix *))
    prefix = share_out(tracking, written.keys, written.count)
    while prefix != NULL:
        prefixes[count] = prefix
        count += 1
        prefix = prefix.next_written
    # In their order, as on the reference servers.
    qsort(prefixes, count, sizeof(Prefix *), prefix_order)
    for i in range(count):
        broadcast_prefix(tracking, prefixes[i], written.keys + prefixes[i].first_written, prefixes[i].written_count)
        prefixes[i].written_count = 0
    release(tracking.memory, prefixes)
    release(tracking.memory, written.keys)
    table_clear(&tracking.written)
