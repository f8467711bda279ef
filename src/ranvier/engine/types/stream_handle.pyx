"""Python's view of a stream: a handle on a key, or on a stream of its own.

A handle on a key keeps no address between two calls: `load` looks the key up. Ids are (milliseconds, sequence).
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memset

from ranvier.engine.core cimport Arg
from ranvier.engine.memory cimport Memory, allocate, memory_init, release
from ranvier.engine.store.database cimport database_set_pointer
from ranvier.engine.store.entry cimport ENCODING_STREAM, TYPE_STREAM, Entry, entry_pointer, entry_type
from ranvier.engine.store.handles cimport DatabaseHandle
from ranvier.engine.types.id_index cimport (
    IdIndex, IdPlace, StreamId, id_compare, id_largest, id_of, id_smallest, index_first, place_item,
    place_step,
)
from ranvier.engine.types.listpack cimport (
    INTEGER_TEXT_BYTES, Element, Listpack, element_read, element_size, element_text, listpack_bytes,
    listpack_is_valid, listpack_size,
)
from ranvier.engine.types.name_list cimport NameList, name_of
from ranvier.engine.types.stream cimport (
    TRIM_TO_ID, TRIM_TO_LENGTH, BlockLimits, Stream, StreamCursor, Trim, stream_append, stream_count, stream_delete,
    stream_free, stream_has, stream_kind, stream_new, stream_seek, stream_step, stream_trim,
)
from ranvier.engine.types.stream_block cimport ENTRY_SAME_FIELDS, BlockHead, block_head
from ranvier.engine.types.stream_groups cimport (
    ENTRIES_READ_UNKNOWN, Consumer, Group, Pending, consumer_add, consumer_delete, consumer_find, group_add,
    group_delete, group_find, group_lag, pending_give, pending_remove,
)

from ranvier.errors import CommandError

cdef enum:
    ID_BYTES = 16                # as the reference servers index blocks by them


cdef tuple id_tuple(StreamId id):
    return (id.ms, id.sequence)


cdef StreamId id_from(object value) except *:
    return id_of(<uint64_t>value[0], <uint64_t>value[1])


cdef bytes take_element(const uint8_t **p):
    """The element at p[0], which moves on."""
    cdef char scratch[INTEGER_TEXT_BYTES]
    cdef Element element
    cdef size_t length
    cdef const char *text
    element_read(p[0], &element)
    text = element_text(&element, scratch, &length)
    p[0] += element_size(p[0])
    return text[:length]


cdef list fields_of(const StreamCursor *cursor):
    """Fields and values in turn."""
    cdef const uint8_t *field = cursor.fields
    cdef const uint8_t *value = cursor.values
    cdef size_t _i
    cdef list found = []
    for _i in range(cursor.field_count):
        found.append(take_element(&field))
        if cursor.flags & ENTRY_SAME_FIELDS:
            found.append(take_element(&value))
        else:
            found.append(take_element(&field))
    return found


cdef list names_of(const NameList *names):
    cdef size_t i
    return [name_of(names.items[i])[:(<const Consumer *>names.items[i]).name.length] for i in range(names.count)]


cdef list pending_of(const IdIndex *pending, size_t limit):
    """(id, consumer, time of delivery in ms, deliveries) of the first `limit` entries."""
    cdef IdPlace place
    cdef const Pending *entry
    cdef list found = []
    cdef bint more = index_first(pending, &place)
    while more and <size_t>len(found) < limit:
        entry = <const Pending *>place_item(&place).item
        found.append((id_tuple(place_item(&place).id), name_of(entry.consumer)[:entry.consumer.name.length],
                      entry.delivered_ms, entry.deliveries))
        more = place_step(&place, True)
    return found


cdef inline uint8_t id_byte(StreamId id, int at) noexcept nogil:
    return <uint8_t>((id.ms if at < 8 else id.sequence) >> (56 - 8 * (at & 7)))


cdef int common_bytes(StreamId a, StreamId b) noexcept nogil:
    cdef int i = 0
    while i < ID_BYTES and id_byte(a, i) == id_byte(b, i):
        i += 1
    return i


cdef int64_t radix_nodes(const IdIndex *blocks) noexcept nogil:
    """How many nodes a radix tree with compressed paths would have over the blocks' ids: what XINFO tells of the
    reference servers' index.

    One for the end of each id, one for each place where ids part, and one for each run of bytes between two of these.
    `parts` are the places where ids part above the one that is looked at, from the top down, behind a -1.
    """
    cdef int parts[ID_BYTES + 1]
    cdef size_t depth = 0
    cdef int before = -1, behind, above, at
    cdef int64_t nodes = 0
    cdef IdPlace place
    cdef StreamId id
    cdef bint more = index_first(blocks, &place)
    if not more:
        return 1
    parts[0] = -1
    while more:
        id = place_item(&place).id
        more = place_step(&place, True)
        behind = common_bytes(id, place_item(&place).id) if more else -1
        above = before if before > behind else behind
        nodes += 1 + (ID_BYTES - above > 1)
        while parts[depth] > behind:
            at = parts[depth]
            depth -= 1
            above = parts[depth] if parts[depth] > behind else behind
            nodes += 1 + (at - above > 1)
        if parts[depth] < behind:
            depth += 1
            parts[depth] = behind
        before = behind
    return nodes


cdef class StreamHandle:
    """A stream of its own. `stream_of` makes a handle on a key instead.

    `block_bytes` and `block_entries` are stream-node-max-bytes and stream-node-max-entries; 0: no limit.
    """

    cdef Memory own_memory
    cdef Memory *memory
    cdef Stream *own
    cdef BlockLimits limits
    cdef DatabaseHandle database     # None: the stream is the handle's own
    cdef bytes key

    def __cinit__(self):
        memory_init(&self.own_memory)
        self.memory = &self.own_memory
        self.own = NULL

    def __init__(self, size_t block_bytes=4096, int64_t block_entries=100):
        self.limits.bytes = block_bytes
        self.limits.entries = block_entries

    def __dealloc__(self):
        if self.own != NULL:
            stream_free(&self.own_memory, self.own)

    cdef Stream *load(self) except? NULL:
        """The stream, NULL if there is none. CommandError (WRONGTYPE) if the key is of another type."""
        cdef Entry *entry
        if self.database is None:
            return self.own
        entry = self.database.entry_of(self.key)
        if entry == NULL:
            return NULL
        if entry_type(entry) != TYPE_STREAM:
            raise CommandError("WRONGTYPE Operation against a key holding the wrong kind of value")
        return <Stream *>entry_pointer(entry)

    cdef Stream *begin(self) except NULL:
        """As `load`, but make a stream where there is none."""
        cdef Stream *stream = self.load()
        if stream != NULL:
            return stream
        stream = stream_new(self.memory)
        if self.database is None:
            self.own = stream
        else:
            database_set_pointer(self.database.database, self.database.hash_of(self.key), self.key,
                                 <size_t>len(self.key), TYPE_STREAM, ENCODING_STREAM, stream, False)
        return stream

    cdef Group *group(self, bytes name) except NULL:
        cdef Stream *stream = self.load()
        cdef Group *group = NULL
        if stream != NULL:
            group = group_find(stream, name, <size_t>len(name))
        if group == NULL:
            raise KeyError(name)
        return group

    cdef Consumer *consumer(self, bytes group_name, bytes name) except NULL:
        cdef Consumer *consumer = consumer_find(self.group(group_name), name, <size_t>len(name))
        if consumer == NULL:
            raise KeyError(name)
        return consumer

    # ---- looking ----------------------------------------------------------------------------------------------------

    def __len__(self):
        cdef Stream *stream = self.load()
        return stream.length if stream != NULL else 0

    def __iter__(self):
        return iter(self.range())

    @property
    def exists(self) -> bool:
        return self.load() != NULL

    @property
    def used_bytes(self) -> int:
        """What the allocator gave for a stream of the handle's own."""
        return self.own_memory.used_bytes

    def memory_usage(self, size_t samples=0) -> int:
        """Bytes, estimated from the first `samples` blocks (0: all)."""
        cdef Stream *stream = self.load()
        return stream_kind().memory_usage(stream, samples) if stream != NULL else 0

    def figures(self) -> dict:
        """What XINFO STREAM tells first; empty if there is no stream."""
        cdef Stream *stream = self.load()
        if stream == NULL:
            return {}
        return {
            "length": stream.length, "blocks": stream.blocks.count, "radix_nodes": radix_nodes(&stream.blocks),
            "last_id": id_tuple(stream.last_id), "max_deleted_id": id_tuple(stream.max_deleted_id),
            "entries_added": stream.entries_added, "first_id": id_tuple(stream.first_id),
            "groups": stream.groups.count,
        }

    def range(self, object start=None, object end=None, size_t count=<size_t>-1, bint forward=True) -> list:
        """At most `count` entries from id `start` to id `end`: (id, [field, value, ...]) each."""
        cdef Stream *stream = self.load()
        cdef StreamId low = id_smallest() if start is None else id_from(start)
        cdef StreamId high = id_largest() if end is None else id_from(end)
        cdef StreamCursor cursor
        cdef list found = []
        cdef bint more = stream != NULL and count != 0 and stream_seek(stream, low if forward else high, forward,
                                                                       &cursor)
        while more and <size_t>len(found) < count and id_compare(low, cursor.id) <= 0 <= id_compare(high, cursor.id):
            found.append((id_tuple(cursor.id), fields_of(&cursor)))
            more = stream_step(&cursor, forward)
        return found

    def count(self, object start, object end, bint forward=True, uint64_t limit=<uint64_t>-1) -> int:
        """How many entries `range` gives, found block by block."""
        cdef Stream *stream = self.load()
        cdef StreamId low = id_from(start)
        cdef StreamId high = id_from(end)
        cdef StreamCursor cursor
        if stream == NULL or limit == 0 or id_compare(low, high) > 0 \
                or not stream_seek(stream, low if forward else high, forward, &cursor):
            return 0
        return stream_count(&cursor, high if forward else low, forward, limit)

    def __contains__(self, object id):
        cdef Stream *stream = self.load()
        return stream != NULL and stream_has(stream, id_from(id))

    def groups(self) -> list:
        """Names of the groups, in their order."""
        cdef Stream *stream = self.load()
        return names_of(&stream.groups) if stream != NULL else []

    def group_figures(self, bytes name) -> dict:
        """What XINFO tells of a group; `entries_read` and `lag` are None while unknown. KeyError: no such group."""
        cdef Group *group = self.group(name)
        cdef int64_t lag
        cdef bint is_known = group_lag(self.load(), group, &lag)
        return {
            "last_id": id_tuple(group.last_id), "consumers": group.consumers.count, "pending": group.pending.count,
            "entries_read": None if group.entries_read == ENTRIES_READ_UNKNOWN else group.entries_read,
            "lag": lag if is_known else None,
        }

    def consumers(self, bytes group_name) -> list:
        """Names of a group's consumers, in their order."""
        return names_of(&self.group(group_name).consumers)

    def consumer_figures(self, bytes group_name, bytes name) -> dict:
        """Wall-clock ms of when it asked (`seen`) and got something (`active`, -1: never), and how much pends."""
        cdef Consumer *consumer = self.consumer(group_name, name)
        return {"seen_ms": consumer.seen_ms, "active_ms": consumer.active_ms, "pending": consumer.pending.count}

    def pending(self, bytes group_name, object consumer=None, size_t count=<size_t>-1) -> list:
        """(id, consumer, time of delivery in ms, deliveries) of what pends in a group, or for one consumer."""
        if consumer is None:
            return pending_of(&self.group(group_name).pending, count)
        return pending_of(&self.consumer(group_name, consumer).pending, count)

    def blocks(self) -> list:
        """(id, listpack) of each block, as RDB stores them."""
        cdef Stream *stream = self.load()
        cdef IdPlace place
        cdef Listpack *block
        cdef list found = []
        cdef bint more = stream != NULL and index_first(&stream.blocks, &place)
        while more:
            block = <Listpack *>place_item(&place).item
            found.append((id_tuple(place_item(&place).id),
                          (<const char *>listpack_bytes(block))[:listpack_size(block)]))
            more = place_step(&place, True)
        return found

    # ---- changing ---------------------------------------------------------------------------------------------------

    def append(self, object id, *pairs: bytes) -> None:
        """Add an entry of fields and values in turn. ValueError if the id is not larger than all before."""
        cdef Stream *stream
        cdef StreamId added = id_from(id)
        cdef size_t count = <size_t>len(pairs)
        cdef size_t i
        cdef Arg *args
        cdef bytes text
        cdef bint fits
        if count == 0 or count % 2:
            raise ValueError("an entry has fields and values")
        stream = self.begin()
        if id_compare(added, stream.last_id) <= 0:
            raise ValueError("the id is not larger than the last one")
        args = <Arg *>allocate(self.memory, count * sizeof(Arg))
        memset(args, 0, count * sizeof(Arg))
        for i in range(count):
            text = pairs[i]
            args[i].data = text
            args[i].length = <size_t>len(text)
        fits = stream_append(self.memory, stream, added, args, count, &self.limits)
        release(self.memory, args)
        if not fits:
            raise ValueError("the entry is too large")

    def delete(self, object id) -> bool:
        cdef Stream *stream = self.load()
        return stream != NULL and stream_delete(self.memory, stream, id_from(id))

    def trim(self, object length=None, object least_id=None, bint approximate=False, uint64_t limit=0) -> int:
        """Drop the oldest entries until `length` are left, or until `least_id`; returns how many went."""
        cdef Stream *stream = self.load()
        cdef Trim trim
        trim.strategy = TRIM_TO_ID if length is None else TRIM_TO_LENGTH
        trim.approximate = approximate
        trim.limit = limit
        trim.length = 0 if length is None else length
        trim.id = id_smallest() if least_id is None else id_from(least_id)
        return stream_trim(self.memory, stream, &trim) if stream != NULL else 0

    def add_group(self, bytes name, object last_id=(0, 0), int64_t entries_read=ENTRIES_READ_UNKNOWN) -> None:
        """Make a group; ValueError if there is one of that name."""
        cdef Stream *stream = self.begin()
        if group_find(stream, name, <size_t>len(name)) != NULL:
            raise ValueError("there is a group of that name")
        group_add(self.memory, stream, name, <size_t>len(name), id_from(last_id), entries_read)

    def delete_group(self, bytes name) -> None:
        group_delete(self.memory, self.load(), self.group(name))

    def add_consumer(self, bytes group_name, bytes name, int64_t now_ms=0) -> bool:
        """Whether it is new."""
        cdef Group *group = self.group(group_name)
        if consumer_find(group, name, <size_t>len(name)) != NULL:
            return False
        consumer_add(self.memory, group, name, <size_t>len(name), now_ms)
        return True

    def delete_consumer(self, bytes group_name, bytes name) -> int:
        """How many entries were pending for it."""
        return consumer_delete(self.memory, self.group(group_name), self.consumer(group_name, name))

    def give(self, bytes group_name, bytes consumer, object id, int64_t now_ms=0, uint64_t deliveries=1) -> None:
        """Have an id pend for a consumer, whoever it pended for before."""
        cdef Consumer *owner = self.consumer(group_name, consumer)
        cdef Pending *pending = pending_give(self.memory, self.group(group_name), owner, id_from(id))
        pending.delivered_ms = now_ms
        pending.deliveries = deliveries

    def acknowledge(self, bytes group_name, object id) -> bool:
        return pending_remove(self.memory, self.group(group_name), id_from(id))

    # ---- whole values -----------------------------------------------------------------------------------------------

    def copy(self) -> StreamHandle:
        """A stream of its own with the same content."""
        cdef StreamHandle other = StreamHandle(self.limits.bytes, self.limits.entries)
        cdef Stream *stream = self.load()
        if stream != NULL:
            other.own = <Stream *>stream_kind().copy(&other.own_memory, stream)
        return other

    def clear_slice(self, size_t budget) -> bool:
        """Free at most `budget` parts of a stream of the handle's own; whether all is gone."""
        cdef void *pointer = self.own
        cdef bint gone
        if self.database is not None:
            raise ValueError("a stream under a key is freed by its database")
        if pointer == NULL:
            return True
        gone = stream_kind().free_slice(&self.own_memory, &pointer, budget)
        self.own = <Stream *>pointer
        return gone

    def check(self) -> None:
        """Raise AssertionError where the structure contradicts itself (tests)."""
        cdef Stream *stream = self.load()
        cdef IdPlace place
        cdef BlockHead head
        cdef Group *group
        cdef size_t elements
        cdef size_t living = 0
        cdef bint more = stream != NULL and index_first(&stream.blocks, &place)
        while more:
            block = <Listpack *>place_item(&place).item
            assert listpack_is_valid(listpack_bytes(block), listpack_size(block), &elements), "malformed listpack"
            block_head(block, &head)
            assert head.count + head.deleted > 0, "a block without entries"
            living += <size_t>head.count
            more = place_step(&place, True)
        if stream == NULL:
            return
        found = [id for id, _ in self.range()]
        assert found == sorted(set(found)) == [id for id, _ in self.range(forward=False)][::-1], "ids out of order"
        assert stream.length == living == <size_t>len(found), "wrong length"
        assert id_tuple(stream.first_id) == (found[0] if found else (0, 0)), "wrong first id"
        assert not found or found[-1] <= id_tuple(stream.last_id), "wrong last id"
        for name in self.groups():
            group = self.group(name)
            each = sorted(item for owner in self.consumers(name) for item in self.pending(name, owner))
            assert each == self.pending(name), "a group's pending entries are not its consumers'"
            assert group.pending.count == <size_t>len(each), "wrong number of pending entries"


def stream_of(DatabaseHandle database, bytes key, size_t block_bytes=4096, int64_t block_entries=100) -> StreamHandle:
    """The stream under a key, which need not exist yet. It tells nobody of changes: that is its user's to do."""
    cdef StreamHandle handle = StreamHandle(block_bytes, block_entries)
    handle.database = database
    handle.key = key
    handle.memory = database.database.keyspace.memory
    return handle
