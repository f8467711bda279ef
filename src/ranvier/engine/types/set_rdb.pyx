"""Sets in RDB form: the intset's block, or the members one by one; from version 11 on a listpack's block.

A loaded set's encoding is chosen as Valkey's loading does, by the number announced and by what comes: a set of few
integers is an intset whatever form it had. A member that comes twice is refused.
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t

from ranvier.engine.store.entry cimport ENCODING_INTSET, ENCODING_LISTPACK, ENCODING_MEMBERS
from ranvier.engine.store.value cimport Value
from ranvier.engine.types.intset cimport Intset, intset_from_bytes, intset_is_valid, intset_size
from ranvier.engine.types.listpack cimport Listpack, listpack_bytes, listpack_size
from ranvier.engine.types.rdb cimport (
    RDB_SET, RDB_SET_INTSET, RDB_SET_LISTPACK, Reader, ReadString, ValueCodec, Writer, read_count, read_pack,
    read_string, reader_refuse, release_string, write_integer_string, write_length, write_string,
)
from ranvier.engine.types.set_value cimport (
    Member, Set, SetRules, member_set, set_add, set_fit, set_free, set_new_encoded, set_size, set_visit, set_will_grow,
)

cdef enum:
    LISTPACK_VERSION = 11            # the first that has RDB_SET_LISTPACK


# ---- saving ---------------------------------------------------------------------------------------------------------

cdef int set_rdb_type(const Value *value, int version) noexcept nogil:
    if value.encoding == ENCODING_INTSET:
        return RDB_SET_INTSET
    return RDB_SET_LISTPACK if value.encoding == ENCODING_LISTPACK and version >= LISTPACK_VERSION else RDB_SET


cdef bint save_visited(void *context, Member *member) noexcept nogil:
    cdef Writer *writer = <Writer *>context
    if member.data == NULL:
        write_integer_string(writer, member.integer)
    else:
        write_string(writer, member.data, member.length)
    return not writer.failed


cdef void set_save(Writer *writer, const Value *value) noexcept nogil:
    cdef int rdb_type = set_rdb_type(value, writer.version)
    cdef const Listpack *pack
    if rdb_type == RDB_SET_INTSET:
        write_string(writer, <const char *>value.pointer, intset_size(<const Intset *>value.pointer))
    elif rdb_type == RDB_SET_LISTPACK:
        pack = <const Listpack *>value.pointer
        write_string(writer, <const char *>listpack_bytes(pack), listpack_size(pack))
    else:
        write_length(writer, set_size(value))
        set_visit(value, save_visited, writer)


# ---- loading --------------------------------------------------------------------------------------------------------

cdef SetRules reader_rules(const Reader *reader) noexcept nogil:
    cdef SetRules rules
    rules.intset_entries = reader.encodings.intset_entries
    rules.listpack_entries = reader.encodings.set_entries
    rules.value_bytes = reader.encodings.set_value_bytes
    rules.seed0 = reader.seed0
    rules.seed1 = reader.seed1
    return rules


cdef bint load_members(Reader *reader, const SetRules *rules, Set *loaded) noexcept nogil:
    cdef ReadString string
    cdef Member member
    cdef size_t count = 0
    cdef bint added
    if not read_count(reader, 1, &count) or count == 0:
        return reader_refuse(reader)
    loaded[0] = set_new_encoded(reader.memory, rules,
                                ENCODING_INTSET if count <= rules.intset_entries else ENCODING_MEMBERS)
    while count:
        if not read_string(reader, &string):
            break
        member_set(&member, string.data, string.length)
        added = set_add(loaded, rules, &member)
        release_string(reader, &string)
        if not added:
            break
        count -= 1
    if count == 0:
        set_fit(loaded)
        return True
    set_free(loaded)
    return reader_refuse(reader)


cdef bint load_intset(Reader *reader, const SetRules *rules, Set *loaded) noexcept nogil:
    cdef ReadString string
    cdef bint valid
    if not read_string(reader, &string):
        return False
    valid = intset_is_valid(<const uint8_t *>string.data, string.length)
    if valid:
        loaded.encoding = ENCODING_INTSET
        loaded.pointer = intset_from_bytes(reader.memory, <const uint8_t *>string.data, string.length)
        set_will_grow(loaded, rules, set_size(loaded))
    release_string(reader, &string)
    return True if valid else reader_refuse(reader)


cdef struct Uniqueness:
    const SetRules *rules
    Set members
    bint holds


cdef bint add_unique(void *context, Member *member) noexcept nogil:
    cdef Uniqueness *check = <Uniqueness *>context
    check.holds = set_add(&check.members, check.rules, member)
    return check.holds


cdef bint load_pack(Reader *reader, int rdb_type, const SetRules *rules, Set *loaded) noexcept nogil:
    """The members go into a table to see that none comes twice; that table stays if there are many."""
    cdef Uniqueness check
    cdef Listpack *pack = read_pack(reader, rdb_type)
    if pack == NULL:
        return False
    loaded.encoding = ENCODING_LISTPACK
    loaded.pointer = pack
    check.rules = rules
    check.members = set_new_encoded(reader.memory, rules, ENCODING_MEMBERS)
    check.holds = False                  # an empty listpack is refused
    set_visit(loaded, add_unique, &check)
    if check.holds and set_size(loaded) <= rules.listpack_entries:
        set_free(&check.members)
        return True
    set_free(loaded)
    if check.holds:
        loaded[0] = check.members
        return True
    set_free(&check.members)
    return reader_refuse(reader)


cdef bint set_load(Reader *reader, int rdb_type, Value *value) noexcept nogil:
    cdef SetRules rules = reader_rules(reader)
    if rdb_type == RDB_SET_INTSET:
        return load_intset(reader, &rules, value)
    if rdb_type == RDB_SET_LISTPACK:
        return load_pack(reader, rdb_type, &rules, value)
    return load_members(reader, &rules, value)


cdef ValueCodec CODEC
CODEC.rdb_type = set_rdb_type
CODEC.save = set_save
CODEC.load = set_load


cdef const ValueCodec *set_codec() noexcept nogil:
    return &CODEC
