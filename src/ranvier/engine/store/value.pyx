"""The kinds of values by encoding, and the two kinds that belong to no single type: blobs and listpacks."""

from ranvier.engine.memory cimport Blob, blob_release, ranvier_usable_size
from ranvier.engine.store.entry cimport (
    ENCODING_BLOB,
    ENCODING_FIELDS,
    ENCODING_INTSET,
    ENCODING_LISTPACK,
    ENCODING_MEMBERS,
    ENCODING_ORDERED,
    ENCODING_QUICKLIST,
    ENCODING_STREAM,
)
from ranvier.engine.types.fields cimport fields_kind
from ranvier.engine.types.listpack cimport Listpack, listpack_bytes, listpack_free, listpack_from_bytes, listpack_size
from ranvier.engine.types.member_table cimport intset_kind, members_kind
from ranvier.engine.types.ordered_value cimport ordered_kind
from ranvier.engine.types.packed cimport quicklist_kind
from ranvier.engine.types.stream cimport stream_kind

cdef enum:
    ENCODINGS = 16               # what four bits of Entry.kind can tell


# ---- blobs ----------------------------------------------------------------------------------------------------------

cdef bint blob_free_slice(Memory *memory, void **pointer, size_t budget) noexcept nogil:
    blob_release(memory, <Blob *>pointer[0])
    pointer[0] = NULL
    return True


cdef size_t one_allocation(const void *pointer) noexcept nogil:
    return 1


cdef void *blob_share(Memory *memory, const void *pointer) noexcept nogil:
    (<Blob *>pointer).references += 1            # whoever writes to it copies it first
    return <void *>pointer


cdef size_t allocation_bytes(const void *pointer, size_t samples) noexcept nogil:
    return ranvier_usable_size(<void *>pointer)


# ---- listpacks ------------------------------------------------------------------------------------------------------

cdef bint pack_free_slice(Memory *memory, void **pointer, size_t budget) noexcept nogil:
    listpack_free(memory, <Listpack *>pointer[0])
    pointer[0] = NULL
    return True


cdef void *pack_copy(Memory *memory, const void *pointer) noexcept nogil:
    cdef const Listpack *pack = <const Listpack *>pointer
    return listpack_from_bytes(memory, listpack_bytes(pack), listpack_size(pack))


# ---- the table ------------------------------------------------------------------------------------------------------

cdef ValueKind BLOB
BLOB.name = b"raw"
BLOB.free_slice = blob_free_slice
BLOB.free_effort = one_allocation
BLOB.copy = blob_share
BLOB.memory_usage = allocation_bytes

cdef ValueKind LISTPACK
LISTPACK.name = b"listpack"
LISTPACK.free_slice = pack_free_slice
LISTPACK.free_effort = one_allocation
LISTPACK.copy = pack_copy
LISTPACK.memory_usage = allocation_bytes

cdef const ValueKind *KINDS[ENCODINGS]
KINDS[<int>ENCODING_BLOB] = &BLOB
KINDS[<int>ENCODING_LISTPACK] = &LISTPACK
KINDS[<int>ENCODING_QUICKLIST] = quicklist_kind()
KINDS[<int>ENCODING_INTSET] = intset_kind()
KINDS[<int>ENCODING_MEMBERS] = members_kind()
KINDS[<int>ENCODING_FIELDS] = fields_kind()
KINDS[<int>ENCODING_ORDERED] = ordered_kind()
KINDS[<int>ENCODING_STREAM] = stream_kind()


cdef const ValueKind *value_kind(int encoding) noexcept nogil:
    return KINDS[encoding]
