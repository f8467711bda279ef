"""Sorted sets in RDB form: the listpack as it stands, or members one by one, from the highest score down, each with a
binary double. Older forms have scores as text, or one ziplist.

A loaded listpack is looked through: scores that are no numbers, members that come twice, and a wrong order are refused,
for every later look-up would trust them.
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t

from ranvier.engine.store.entry cimport ENCODING_LISTPACK
from ranvier.engine.store.value cimport Value, value_free
from ranvier.engine.types.listpack cimport (
    INTEGER_TEXT_BYTES, LISTPACK_END, Element, Listpack, element_read, element_size, element_text, listpack_bytes,
    listpack_count, listpack_first, listpack_fit, listpack_free, listpack_size,
)
from ranvier.engine.types.rdb cimport (
    RDB_SORTED_SET, RDB_SORTED_SET_LISTPACK, RDB_SORTED_SET_TEXT, Reader, ReadString, ValueCodec, Writer, read_count,
    read_double, read_pack, read_string, read_text_double, reader_refuse, release_string, write_double, write_length,
    write_string,
)
from ranvier.engine.types.score cimport parse_score
from ranvier.engine.types.sorted_set cimport (
    ADD_ADDED, ADD_NEW, Scored, SortedSet, SortedSetPolicy, Spot, sorted_set_add, sorted_set_count, sorted_set_expect,
    sorted_set_new, sorted_set_seek, sorted_set_settle, spot_read, spot_step,
)

cdef extern from "<math.h>" nogil:
    bint isnan(double value)

cdef enum:
    LEAST_ENTRY_BYTES = 2        # of a member and its score, in any form


cdef int sorted_set_rdb_type(const Value *value, int version) noexcept nogil:
    return RDB_SORTED_SET_LISTPACK if value.encoding == ENCODING_LISTPACK else RDB_SORTED_SET


cdef void sorted_set_save(Writer *writer, const Value *value) noexcept nogil:
    cdef const Listpack *pack = <const Listpack *>value.pointer
    cdef size_t count = sorted_set_count(value)
    cdef Spot spot
    cdef Scored scored
    if value.encoding == ENCODING_LISTPACK:
        write_string(writer, <const char *>listpack_bytes(pack), listpack_size(pack))
        return
    write_length(writer, count)
    if count:
        sorted_set_seek(value, count - 1, &spot)
    while count:
        spot_read(&spot, &scored)
        write_string(writer, scored.member.data, scored.member.length)
        write_double(writer, scored.score)
        spot_step(&spot, False)
        count -= 1


# ---- loading --------------------------------------------------------------------------------------------------------

cdef SortedSetPolicy policy_of(const Reader *reader) noexcept nogil:
    cdef SortedSetPolicy policy
    policy.entries = reader.encodings.sorted_set_entries
    policy.value_bytes = reader.encodings.sorted_set_value_bytes
    policy.seed0 = reader.seed0
    policy.seed1 = reader.seed1
    return policy


cdef bint add_once(Reader *reader, SortedSet *self, const SortedSetPolicy *policy, const char *text, size_t length,
                   double score) noexcept nogil:
    if isnan(score) or sorted_set_add(self, policy, text, length, &score, ADD_NEW) != ADD_ADDED:
        return reader_refuse(reader)
    return True


cdef bint load_members(Reader *reader, int rdb_type, SortedSet *self, const SortedSetPolicy *policy) noexcept nogil:
    cdef ReadString string
    cdef size_t count = 0
    cdef double score = 0
    if not read_count(reader, LEAST_ENTRY_BYTES, &count):
        return False
    sorted_set_expect(self, policy, count, 0)
    while count:
        if not read_string(reader, &string):
            return False
        if read_text_double(reader, &score) if rdb_type == RDB_SORTED_SET_TEXT else read_double(reader, &score):
            add_once(reader, self, policy, string.data, string.length, score)
        release_string(reader, &string)
        if reader.failed:
            return False
        count -= 1
    return True


cdef bint element_is_score(const Element *element, double *score) noexcept nogil:
    if element.data == NULL:
        score[0] = <double>element.integer
        return True
    return parse_score(element.data, element.length, score)


cdef bint load_pack(Reader *reader, int rdb_type, SortedSet *self, const SortedSetPolicy *policy) noexcept nogil:
    """Pair by pair: so everything is checked, and sorted where an older server's order of scores was another."""
    cdef Listpack *pack = read_pack(reader, rdb_type)
    cdef const uint8_t *p
    cdef Element member
    cdef Element number
    cdef char[INTEGER_TEXT_BYTES] scratch
    cdef const char *text
    cdef size_t length
    cdef double score = 0
    if pack == NULL:
        return False
    p = listpack_first(pack)
    if listpack_count(pack) % 2:
        reader_refuse(reader)
    sorted_set_expect(self, policy, listpack_count(pack) // 2, 0)
    while p[0] != LISTPACK_END and not reader.failed:
        element_read(p, &member)
        p += element_size(p)
        element_read(p, &number)
        p += element_size(p)
        text = element_text(&member, scratch, &length)
        if not element_is_score(&number, &score):
            reader_refuse(reader)
        else:
            add_once(reader, self, policy, text, length, score)
    listpack_free(reader.memory, pack)
    return not reader.failed


cdef bint sorted_set_load(Reader *reader, int rdb_type, Value *value) noexcept nogil:
    cdef SortedSet self = sorted_set_new(reader.memory)
    cdef SortedSetPolicy policy = policy_of(reader)
    if rdb_type == RDB_SORTED_SET or rdb_type == RDB_SORTED_SET_TEXT:
        load_members(reader, rdb_type, &self, &policy)
    else:
        load_pack(reader, rdb_type, &self, &policy)
    if reader.failed or sorted_set_count(&self) == 0:
        value_free(reader.memory, self.encoding, self.pointer)
        return reader_refuse(reader)
    sorted_set_settle(&self, &policy)
    if self.encoding == ENCODING_LISTPACK:
        self.pointer = listpack_fit(reader.memory, <Listpack *>self.pointer)
    value.encoding = self.encoding
    value.pointer = self.pointer
    return True


cdef ValueCodec CODEC
CODEC.rdb_type = sorted_set_rdb_type
CODEC.save = sorted_set_save
CODEC.load = sorted_set_load


cdef const ValueCodec *sorted_set_codec() noexcept nogil:
    return &CODEC
