"""Client-side caching in BCAST mode: whoever tracks a prefix is told of all keys that change under it.

Strategy: nothing is remembered of reads. Keys that change, if anybody's prefix begins them, are collected; before the
loop sleeps they are sorted once, and as the keys of a prefix lie side by side then, each prefix takes its share as one
array, which its trackers share. The prefixes lie in one sorted array, in which a key finds its own by a few binary
searches, however many there are.

Invariants: a Prefix has at least one tracker, and stands once among the prefixes of each; `written` is empty between
turns. Nobody comes or goes while messages go out (engine/tracking).
"""

from libc.stdlib cimport qsort
from libc.string cimport memcmp, memcpy, memmove, memset

from ranvier.engine.memory cimport Blob, Memory, allocate, blob_data, blob_new, blob_release, release, resize
from ranvier.engine.table cimport Layout, table_clear, table_find, table_init, table_insert, table_visit
from ranvier.engine.tracking cimport HEADER_BYTES, TRACKING_NOLOOP, WrittenKey, key_size, put_header, put_key, send


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


cdef size_t prefixes_before(Tracking *tracking, const char *key, size_t length, bint included) noexcept nogil:
    """How many prefixes stand before the key in their order; `included`: one that equals it counts, too."""
    cdef size_t low = 0, high = tracking.prefix_count, middle
    cdef int order
    while low < high:
        middle = (low + high) // 2
        order = compare(prefix_bytes(tracking.prefixes[middle]), tracking.prefixes[middle].length, key, length)
        if order < 0 or (included and order == 0):
            low = middle + 1
        else:
            high = middle
    return low


cdef bint has_prefix(Tracking *tracking, const char *key, size_t length) noexcept nogil:
    """Whether a prefix begins the key.

    All that do stand at or before it in their order, and whatever stands between shares them: so if the nearest one
    does not begin the key, only what the two have in common can hold one that does.
    """
    cdef size_t place, common
    cdef Prefix *prefix
    while True:
        place = prefixes_before(tracking, key, length, True)
        if place == 0:
            return False
        prefix = tracking.prefixes[place - 1]
        common = 0
        while common < prefix.length and common < length and prefix_bytes(prefix)[common] == key[common]:
            common += 1
        if common == prefix.length:
            return True
        length = common


cdef void add_prefix(Tracking *tracking, Tracker *tracker, const char *text, size_t length) noexcept nogil:
    cdef size_t i, place = prefixes_before(tracking, text, length, False)
    cdef Prefix *prefix = NULL
    if place < tracking.prefix_count:
        prefix = tracking.prefixes[place]
    if prefix == NULL or compare(prefix_bytes(prefix), prefix.length, text, length) != 0:
        prefix = <Prefix *>allocate(tracking.memory, sizeof(Prefix) + length)
        memset(prefix, 0, sizeof(Prefix))
        prefix.length = length
        memcpy(prefix_bytes(prefix), text, length)
        tracking.prefixes = <Prefix **>resize(tracking.memory, tracking.prefixes,
                                              (tracking.prefix_count + 1) * sizeof(Prefix *))
        memmove(tracking.prefixes + place + 1, tracking.prefixes + place,
                (tracking.prefix_count - place) * sizeof(Prefix *))
        tracking.prefixes[place] = prefix
        tracking.prefix_count += 1
    for i in range(tracker.prefix_count):
        if tracker.prefixes[i] == prefix:
            return
    if prefix.count == prefix.capacity:
        prefix.capacity = 2 * prefix.capacity if prefix.capacity > 0 else 1
        prefix.trackers = <Tracker **>resize(tracking.memory, prefix.trackers, prefix.capacity * sizeof(Tracker *))
    prefix.trackers[prefix.count] = tracker
    prefix.count += 1
    tracker.prefixes = <Prefix **>resize(tracking.memory, tracker.prefixes,
                                         (tracker.prefix_count + 1) * sizeof(Prefix *))
    tracker.prefixes[tracker.prefix_count] = prefix
    tracker.prefix_count += 1
    tracker.prefix_bytes += sizeof(Prefix) + 3 * sizeof(void *) + length


cdef void leave_prefix(Tracking *tracking, Tracker *tracker, Prefix *prefix) noexcept nogil:
    cdef size_t i = 0, place
    while prefix.trackers[i] != tracker:
        i += 1
    prefix.count -= 1
    prefix.trackers[i] = prefix.trackers[prefix.count]
    if prefix.count > 0:
        return
    place = prefixes_before(tracking, prefix_bytes(prefix), prefix.length, False)
    tracking.prefix_count -= 1
    memmove(tracking.prefixes + place, tracking.prefixes + place + 1,
            (tracking.prefix_count - place) * sizeof(Prefix *))
    release(tracking.memory, prefix.trackers)
    release(tracking.memory, prefix)
    if tracking.prefix_count == 0:
        release(tracking.memory, tracking.prefixes)
        tracking.prefixes = NULL


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
        tracker = prefix.trackers[i]
        own = written_by(keys, count, tracker.id) if tracker.flags & TRACKING_NOLOOP else 0
        if own == 0:
            send_blob(tracking, tracker, everything)
        elif own < count:
            others = encode_written(tracking.memory, keys, count, own, tracker.id)
            send_blob(tracking, tracker, others)
            blob_release(tracking.memory, others)
    blob_release(tracking.memory, everything)


cdef inline bint begins(Prefix *prefix, const WrittenKey *key) noexcept nogil:
    return key.length >= prefix.length and memcmp(key + 1, prefix_bytes(prefix), prefix.length) == 0


cdef void broadcast(Tracking *tracking) noexcept nogil:
    cdef Sorted written
    cdef size_t bucket, place, low, high, end
    cdef Prefix *prefix
    written.count = 0
    written.keys = <WrittenKey **>allocate(tracking.memory, tracking.written.count * sizeof(WrittenKey *))
    for bucket in range(tracking.written.buckets):
        table_visit(&tracking.written, bucket, collect, &written)
    qsort(written.keys, written.count, sizeof(WrittenKey *), compare_written)
    for place in range(tracking.prefix_count):
        prefix = tracking.prefixes[place]
        low = 0
        high = written.count
        while low < high:
            end = (low + high) // 2
            if compare(<const char *>(written.keys[end] + 1), written.keys[end].length, prefix_bytes(prefix),
                       prefix.length) < 0:
                low = end + 1
            else:
                high = end
        end = low
        while end < written.count and begins(prefix, written.keys[end]):
            end += 1
        if end > low:
            broadcast_prefix(tracking, prefix, written.keys + low, end - low)
    release(tracking.memory, written.keys)
    table_clear(&tracking.written)
