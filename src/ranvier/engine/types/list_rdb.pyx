"""Lists in RDB form: the nodes of the chain, each a listpack or one large element, since Redis 7.0.

A list that is one listpack is saved as a chain of one node. Older forms are elements one by one, one ziplist, or a
chain of ziplists.
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint64_t

from ranvier.engine.memory cimport blob_data
from ranvier.engine.store.entry cimport ENCODING_LISTPACK
from ranvier.engine.store.value cimport Value, value_free
from ranvier.engine.types.listpack cimport Listpack, listpack_bytes, listpack_count, listpack_free, listpack_size
from ranvier.engine.types.packed cimport (
    List, list_append_pack, list_length, list_new, list_push, list_settle, list_will_grow,
)
from ranvier.engine.types.quicklist cimport Quicklist, fill_of
from ranvier.engine.types.quicklist_index cimport ListNode
from ranvier.engine.types.rdb cimport (
    RDB_LIST, RDB_LIST_NODES, RDB_LIST_ZIPLIST, Reader, ReadString, ValueCodec, Writer, read_count, read_length,
    read_pack, read_string, reader_refuse, release_string, write_length, write_string,
)

cdef enum:
    NODE_PLAIN = 1
    NODE_PACKED = 2


cdef int list_rdb_type(const Value *value, int version) noexcept nogil:
    return RDB_LIST_NODES


cdef void save_pack(Writer *writer, const Listpack *pack) noexcept nogil:
    write_length(writer, NODE_PACKED)
    write_string(writer, <const char *>listpack_bytes(pack), listpack_size(pack))


cdef void list_save(Writer *writer, const Value *value) noexcept nogil:
    cdef const Quicklist *chain = <const Quicklist *>value.pointer
    cdef const ListNode *node
    if value.encoding == ENCODING_LISTPACK:
        write_length(writer, 1)
        save_pack(writer, <const Listpack *>value.pointer)
        return
    write_length(writer, chain.nodes)
    node = chain.head
    while node != NULL:
        if node.pack != NULL:
            save_pack(writer, node.pack)
        else:
            write_length(writer, NODE_PLAIN)
            write_string(writer, blob_data(node.blob), node.blob.size)
        node = node.next


cdef bint load_element(Reader *reader, List *self) noexcept nogil:
    cdef ReadString string
    if not read_string(reader, &string):
        return False
    list_will_grow(self, fill_of(reader.encodings.list_pack_size, 0), string.length, 1)
    list_push(self, False, string.data, string.length)
    release_string(reader, &string)
    return True


cdef bint load_pack(Reader *reader, int rdb_type, List *self) noexcept nogil:
    cdef Listpack *pack = read_pack(reader, rdb_type)
    if pack == NULL:
        return False
    if listpack_count(pack):
        list_append_pack(self, fill_of(reader.encodings.list_pack_size, 0), pack)
    else:
        listpack_free(reader.memory, pack)
    return True


cdef bint load_node(Reader *reader, int rdb_type, List *self) noexcept nogil:
    cdef uint64_t container = NODE_PACKED
    if rdb_type == RDB_LIST:
        return load_element(reader, self)
    if rdb_type == RDB_LIST_NODES:
        if not read_length(reader, &container):
            return False
        if container == NODE_PLAIN:
            return load_element(reader, self)
    return load_pack(reader, rdb_type, self) if container == NODE_PACKED else reader_refuse(reader)


cdef bint list_load(Reader *reader, int rdb_type, Value *value) noexcept nogil:
    cdef size_t count = 1
    cdef List self = list_new(reader.memory)
    if rdb_type != RDB_LIST_ZIPLIST:
        read_count(reader, 1, &count)
    while count and not reader.failed:
        load_node(reader, rdb_type, &self)
        count -= 1
    if reader.failed or list_length(&self) == 0:
        value_free(reader.memory, self.encoding, self.pointer)
        return reader_refuse(reader)
    list_settle(&self, fill_of(reader.encodings.list_pack_size, 0))
    value.encoding = self.encoding
    value.pointer = self.pointer
    return True


cdef ValueCodec CODEC
CODEC.rdb_type = list_rdb_type
CODEC.save = list_save
CODEC.load = list_load


cdef const ValueCodec *list_codec() noexcept nogil:
    return &CODEC
