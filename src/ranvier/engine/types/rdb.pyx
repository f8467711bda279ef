"""Writing and reading the RDB encoding of lengths, strings and numbers. The format stands in rdb.pxd.

Invariant of a Reader: `position <= length`, and nothing behind `length` is ever looked at. What a compressed string
expands to is limited twice before it is allocated: by the option for long strings, and by what so many bytes can expand
to at most. Nothing here touches a Python object.
"""

from libc.math cimport INFINITY, NAN
from libc.stdint cimport int32_t, uint32_t
from libc.stdlib cimport strtod
from libc.string cimport memcpy, memmove

from ranvier.engine.memory cimport allocate, blob_data, blob_new, release, resize
from ranvier.engine.number cimport parse_integer, print_integer
from ranvier.engine.types.listpack cimport listpack_from_bytes, listpack_is_valid, load_u32, store_u32
from ranvier.engine.types.lzf cimport LZF_EXPANSION, lzf_compress, lzf_expand
from ranvier.engine.types.ziplist cimport listpack_from_ziplist, listpack_from_zipmap

cdef enum:
    LENGTH_6 = 0                 # the two high bits of a length's first byte
    LENGTH_14 = 1
    LENGTH_ENCODED = 3           # no length: the low six bits say how a string is encoded
    LENGTH_32 = 0x80
    LENGTH_64 = 0x81
    LENGTH_BYTES = 9             # of the longest
    STRING_INTEGER_8 = 0
    STRING_INTEGER_16 = 1
    STRING_INTEGER_32 = 2
    STRING_COMPRESSED = 3
    TEXT_DOUBLE_NAN = 253
    TEXT_DOUBLE_INFINITY = 254
    TEXT_DOUBLE_MINUS_INFINITY = 255


# --- writing -----------------------------------------------------------------------------------------------------

cdef void writer_begin(Writer *writer, Memory *memory, int version, bint compress) noexcept nogil:
    writer.memory = memory
    writer.data = <uint8_t *>allocate(memory, WRITER_FIRST_BYTES)
    writer.length = 0
    writer.capacity = WRITER_FIRST_BYTES
    writer.version = version
    writer.compress = compress
    writer.flush = NULL
    writer.context = NULL
    writer.flush_bytes = 0
    writer.failed = False


cdef void writer_flush(Writer *writer) noexcept nogil:
    if not writer.failed and not writer.flush(writer.context, writer.data, writer.length):
        writer.failed = True
    writer.length = 0


cdef void writer_end(Writer *writer) noexcept nogil:
    release(writer.memory, writer.data)
    writer.data = NULL


cdef uint8_t *writer_room(Writer *writer, size_t size) noexcept nogil:
    if writer.flush != NULL and writer.length >= writer.flush_bytes:
        writer_flush(writer)
    if writer.capacity - writer.length < size:
        writer.capacity = 2 * writer.capacity if size < writer.capacity else writer.length + size
        writer.data = <uint8_t *>resize(writer.memory, writer.data, writer.capacity)
    return writer.data + writer.length


cdef void write_bytes(Writer *writer, const void *data, size_t length) noexcept nogil:
    if writer.flush != NULL and length >= writer.flush_bytes:
        # Straight from where it lies: a large value costs no copy, and a forked child no memory.
        writer_flush(writer)
        if not writer.failed and not writer.flush(writer.context, <const uint8_t *>data, length):
            writer.failed = True
        return
    memcpy(writer_room(writer, length), data, length)
    writer.length += length


cdef size_t put_length(uint8_t *target, uint64_t length) noexcept nogil:
    """Write a length (at most LENGTH_BYTES); big endian but for the first six bits. Returns how many bytes."""
    cdef int i
    if length < 64:
        target[0] = <uint8_t>length
        return 1
    if length < 16384:
        target[0] = <uint8_t>((LENGTH_14 << 6) | (length >> 8))
        target[1] = <uint8_t>length
        return 2
    if length <= 0xffffffffU:
        target[0] = LENGTH_32
        for i in range(4):
            target[1 + i] = <uint8_t>(length >> (24 - 8 * i))
        return 5
    target[0] = LENGTH_64
    for i in range(8):
        target[1 + i] = <uint8_t>(length >> (56 - 8 * i))
    return LENGTH_BYTES


cdef void write_length(Writer *writer, uint64_t length) noexcept nogil:
    cdef uint8_t *target = writer_room(writer, LENGTH_BYTES)     # which may flush: before `writer.length` is read
    writer.length += put_length(target, length)


cdef bint write_as_integer(Writer *writer, int64_t value) noexcept nogil:
    """Write the string that prints as this number in its short form; False when it has none."""
    cdef uint8_t *target = writer_room(writer, 5)
    if -128 <= value <= 127:
        target[0] = (LENGTH_ENCODED << 6) | STRING_INTEGER_8
        target[1] = <uint8_t>value
        writer.length += 2
        return True
    if -32768 <= value <= 32767:
        target[0] = (LENGTH_ENCODED << 6) | STRING_INTEGER_16
        target[1] = <uint8_t>value
        target[2] = <uint8_t>(value >> 8)
        writer.length += 3
        return True
    if -2147483648 <= value <= 2147483647:
        target[0] = (LENGTH_ENCODED << 6) | STRING_INTEGER_32
        store_u32(target + 1, <uint32_t>value)
        writer.length += 5
        return True
    return False


cdef bint write_compressed(Writer *writer, const char *data, size_t length) noexcept nogil:
    """Write the string compressed; False, and nothing is written, when that would not save anything."""
    cdef uint8_t *target = writer_room(writer, 1 + 2 * LENGTH_BYTES + length)
    cdef uint8_t *packed = target + 1 + 2 * LENGTH_BYTES
    cdef size_t size = lzf_compress(<const uint8_t *>data, length, packed, length - 4)
    cdef size_t head = 1
    if size == 0:
        return False
    target[0] = (LENGTH_ENCODED << 6) | STRING_COMPRESSED
    head += put_length(target + head, size)
    head += put_length(target + head, length)
    memmove(target + head, packed, size)
    writer.length += head + size
    return True


cdef void write_string(Writer *writer, const char *data, size_t length) noexcept nogil:
    cdef int64_t value
    if length <= INTEGER_STRING_BYTES and parse_integer(data, length, &value) and write_as_integer(writer, value):
        return
    if writer.compress and length >= COMPRESSED_FROM_BYTES and write_compressed(writer, data, length):
        return
    write_length(writer, length)
    write_bytes(writer, data, length)


cdef void write_integer_string(Writer *writer, int64_t value) noexcept nogil:
    cdef char digits[DIGITS_BYTES]
    cdef size_t length
    if not write_as_integer(writer, value):
        length = print_integer(digits, value)
        write_length(writer, length)
        write_bytes(writer, digits, length)


cdef void write_u64(Writer *writer, uint64_t value) noexcept nogil:
    cdef uint8_t *target = writer_room(writer, 8)
    store_u32(target, <uint32_t>value)
    store_u32(target + 4, <uint32_t>(value >> 32))
    writer.length += 8


cdef void write_double(Writer *writer, double value) noexcept nogil:
    cdef uint64_t bits
    memcpy(&bits, &value, 8)
    write_u64(writer, bits)


# --- reading -----------------------------------------------------------------------------------------------------

cdef void reader_begin(Reader *reader, Memory *memory, const Encodings *encodings, const uint8_t *data,
                       size_t length) noexcept nogil:
    reader.memory = memory
    reader.encodings = encodings
    reader.data = data
    reader.length = length
    reader.position = 0
    reader.string_limit_bytes = 0xffffffffU
    reader.version = RDB_VERSION
    reader.wall_ms = 0
    reader.seed0 = reader.seed1 = 0
    reader.failed = reader.ended = False


cdef const uint8_t *read_bytes(Reader *reader, size_t count) noexcept nogil:
    cdef const uint8_t *found = reader.data + reader.position
    if reader.failed or count > reader.length - reader.position:
        reader.ended = not reader.failed
        reader.failed = True
        return NULL
    reader.position += count
    return found


cdef bint read_length_or_encoding(Reader *reader, uint64_t *length, bint *encoded) noexcept nogil:
    """A length, or, with `encoded` set, how the string that follows is encoded."""
    cdef const uint8_t *p = read_bytes(reader, 1)
    cdef uint8_t head
    cdef int i, width
    if p == NULL:
        return False
    head = p[0]
    encoded[0] = head >> 6 == LENGTH_ENCODED
    length[0] = head & 63
    if encoded[0] or head >> 6 == LENGTH_6:
        return True
    if head >> 6 == LENGTH_14:
        width = 1
    elif head == LENGTH_32:
        length[0] = 0
        width = 4
    elif head == LENGTH_64:
        length[0] = 0
        width = 8
    else:
        return reader_refuse(reader)
    p = read_bytes(reader, <size_t>width)
    if p == NULL:
        return False
    for i in range(width):
        length[0] = (length[0] << 8) | p[i]
    return True


cdef bint read_length(Reader *reader, uint64_t *length) noexcept nogil:
    cdef bint encoded = False
    return read_length_or_encoding(reader, length, &encoded) and (not encoded or reader_refuse(reader))


cdef bint read_count(Reader *reader, size_t least_bytes, size_t *count) noexcept nogil:
    cdef uint64_t claimed
    if not read_length(reader, &claimed):
        return False
    if claimed > (reader.length - reader.position) // least_bytes:
        return reader_refuse(reader)
    count[0] = <size_t>claimed
    return True


cdef bint read_integer_string(Reader *reader, uint64_t encoding, ReadString *string) noexcept nogil:
    cdef size_t width = <size_t>1 << encoding
    cdef const uint8_t *p = read_bytes(reader, width)
    cdef uint32_t bits = 0
    cdef int shift = 32 - 8 * <int>width
    cdef size_t i
    if p == NULL:
        return False
    for i in range(width):
        bits |= <uint32_t>p[i] << (8 * i)
    string.data = string.digits
    string.length = print_integer(string.digits, <int32_t>(bits << shift) >> shift)
    return True


cdef bint read_compressed(Reader *reader, ReadString *string) noexcept nogil:
    cdef uint64_t packed, expanded
    cdef const uint8_t *p
    if not read_length(reader, &packed) or not read_length(reader, &expanded):
        return False
    p = read_bytes(reader, packed)
    if p == NULL:
        return False
    if expanded > reader.string_limit_bytes or expanded // LZF_EXPANSION > packed:
        return reader_refuse(reader)
    string.blob = blob_new(reader.memory, <size_t>expanded)
    if not lzf_expand(p, <size_t>packed, <uint8_t *>blob_data(string.blob), <size_t>expanded):
        release_string(reader, string)
        return reader_refuse(reader)
    string.blob.size = <size_t>expanded
    string.data = blob_data(string.blob)
    string.length = <size_t>expanded
    return True


cdef bint read_string(Reader *reader, ReadString *string) noexcept nogil:
    cdef uint64_t length
    cdef bint encoded
    string.blob = NULL
    string.length = 0
    if not read_length_or_encoding(reader, &length, &encoded):
        return False
    if encoded:
        if length <= STRING_INTEGER_32:
            return read_integer_string(reader, length, string)
        return read_compressed(reader, string) if length == STRING_COMPRESSED else reader_refuse(reader)
    if length > reader.string_limit_bytes:
        return reader_refuse(reader)
    string.data = <const char *>read_bytes(reader, length)
    string.length = length
    return string.data != NULL


cdef bint skip_string(Reader *reader) noexcept nogil:
    cdef ReadString string
    if not read_string(reader, &string):
        return False
    release_string(reader, &string)
    return True


cdef bint read_u64(Reader *reader, uint64_t *value) noexcept nogil:
    cdef const uint8_t *p = read_bytes(reader, 8)
    if p == NULL:
        return False
    value[0] = load_u32(p) | (<uint64_t>load_u32(p + 4) << 32)
    return True


cdef bint read_double(Reader *reader, double *value) noexcept nogil:
    cdef uint64_t bits
    if not read_u64(reader, &bits):
        return False
    memcpy(value, &bits, 8)
    return True


cdef bint read_text_double(Reader *reader, double *value) noexcept nogil:
    cdef const uint8_t *p = read_bytes(reader, 1)
    cdef char text[256]
    cdef char *end
    cdef size_t length
    if p == NULL:
        return False
    length = p[0]
    if length >= TEXT_DOUBLE_NAN:
        value[0] = NAN if length == TEXT_DOUBLE_NAN else INFINITY if length == TEXT_DOUBLE_INFINITY else -INFINITY
        return True
    p = read_bytes(reader, length)
    if p == NULL:
        return False
    memcpy(text, p, length)
    text[length] = 0
    value[0] = strtod(text, &end)
    return (length != 0 and <size_t>(end - text) == length) or reader_refuse(reader)


cdef Listpack *read_pack(Reader *reader, int rdb_type) noexcept nogil:
    cdef ReadString string
    cdef Listpack *pack = NULL
    cdef const uint8_t *block
    cdef size_t count
    if not read_string(reader, &string):
        return NULL
    block = <const uint8_t *>string.data
    if rdb_type == RDB_HASH_ZIPMAP:
        pack = listpack_from_zipmap(reader.memory, block, string.length)
    elif rdb_type in (RDB_LIST_ZIPLIST, RDB_LIST_ZIPLISTS, RDB_SORTED_SET_ZIPLIST, RDB_HASH_ZIPLIST):
        pack = listpack_from_ziplist(reader.memory, block, string.length)
    elif listpack_is_valid(block, string.length, &count):
        pack = listpack_from_bytes(reader.memory, block, string.length)
    release_string(reader, &string)
    reader.failed = pack == NULL
    return pack
