"""Native handlers of the group bitmap: strings as arrays of bits, changed in place.

What a write touches grows with zeros up to the byte it needs, in steps (`database_writable_blob`), so that setting
bits one after the other costs O(1) each. Arguments are all read before anything is looked up or changed.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy, memset

from ranvier.engine.core cimport EVENT_GENERIC, EVENT_STRING, Arg, Call, native_t
from ranvier.engine.effects cimport changed
from ranvier.engine.memory cimport Blob, blob_data, blob_new
from ranvier.engine.native.common cimport arg_is, find_read, integer_argument, not_string, reply_syntax_error
from ranvier.engine.number cimport parse_integer
from ranvier.engine.reply cimport reply_array, reply_error, reply_integer, reply_null
from ranvier.engine.store.database cimport (
    database_delete, database_find, database_find_write, database_hash, database_set_blob, database_writable_blob,
    entry_string,
)
from ranvier.engine.store.entry cimport ENCODING_BLOB, Entry, entry_encoding, entry_pointer
from ranvier.engine.types.bits cimport (
    BITS_AND, BITS_OR, BITS_XOR, OVERFLOW_FAIL, OVERFLOW_SATURATE, OVERFLOW_WRAP, bits_combine, bits_count, bits_find,
    bits_invert, field_get, field_set, field_sign, signed_add, unsigned_add,
)


cdef native_t bitmap_handler(str name) except? NULL:
    if name == "setbit":
        return setbit
    if name == "getbit":
        return getbit
    if name == "bitcount":
        return bitcount
    if name == "bitpos":
        return bitpos
    if name == "bitop":
        return bitop
    if name == "bitfield":
        return bitfield
    if name == "bitfield_ro":
        return bitfield_ro
    return NULL


# ---- one bit --------------------------------------------------------------------------------------------------------

cdef bint parse_offset(Call *call, const Arg *arg, int width, int64_t *offset) noexcept:
    """A bit's place, or `#3`: the third field of `width` bits (0: no such notation). 0 when the error is replied."""
    cdef size_t skipped = 1 if width and arg.length and arg.data[0] == c'#' else 0
    cdef int64_t value = 0
    cdef bint valid = parse_integer(arg.data + skipped, arg.length - skipped, &value) and value >= 0
    if valid and skipped:
        valid = value <= <int64_t>0x7fffffffffffffffULL // width
        value = value * width if valid else 0
    if not valid or value >> 3 >= call.core.limits.bulk_bytes:
        reply_error(call, b"ERR bit offset is not an integer or out of range")
        return False
    offset[0] = value
    return True


cdef Blob *open_bits(Call *call, Entry *entry, size_t size, bint *grown) noexcept:
    """The command's key to be written, at least `size` bytes long; what is new is 0. `entry` may be NULL."""
    cdef Arg *key = &call.args[1]
    cdef Blob *blob
    grown[0] = True
    if entry == NULL:
        blob = blob_new(&call.core.memory, size)
        memset(blob_data(blob), 0, size)
        blob.size = size
        database_set_blob(call.database, call.hash, key.data, key.length, blob, False)
        return blob
    blob = database_writable_blob(call.database, call.hash, &entry, size)
    grown[0] = blob.size < size
    if grown[0]:
        memset(blob_data(blob) + blob.size, 0, size - blob.size)
        blob.size = size
    return blob


cdef void setbit(Call *call) noexcept:
    cdef Arg *key = &call.args[1]
    cdef const Arg *bit = &call.args[3]
    cdef Entry *entry
    cdef Blob *blob
    cdef uint8_t *byte
    cdef uint8_t mask
    cdef int64_t offset = 0
    cdef bint on, was_on, grown = False
    if not parse_offset(call, &call.args[2], 0, &offset):
        return
    if bit.length != 1 or (bit.data[0] != c'0' and bit.data[0] != c'1'):
        reply_error(call, b"ERR bit is not an integer or out of range")
        return
    on = bit.data[0] == c'1'
    entry = database_find_write(call.database, call.hash, key.data, key.length)
    if not_string(call, entry):
        return
    blob = <Blob *>entry_pointer(entry) if entry != NULL and entry_encoding(entry) == ENCODING_BLOB else NULL
    if blob == NULL or blob.references != 1 or <size_t>(offset >> 3) >= blob.size:
        blob = open_bits(call, entry, <size_t>(offset >> 3) + 1, &grown)
    byte = <uint8_t *>blob_data(blob) + (offset >> 3)
    mask = <uint8_t>(0x80 >> (offset & 7))
    was_on = byte[0] & mask != 0
    if on != was_on:
        byte[0] ^= mask
    if on != was_on or grown:
        changed(call, key.data, key.length, EVENT_STRING, b"setbit")
    reply_integer(call.client, was_on)


cdef void getbit(Call *call) noexcept:
    cdef Entry *entry
    cdef char scratch[24]
    cdef const char *data
    cdef size_t length = 0
    cdef int64_t offset = 0
    if not parse_offset(call, &call.args[2], 0, &offset):
        return
    entry = find_read(call, &call.args[1])
    if not_string(call, entry):
        return
    if entry == NULL:
        reply_integer(call.client, 0)
        return
    data = entry_string(entry, scratch, &length)
    reply_integer(call.client, field_get(<const uint8_t *>data, length, <uint64_t>offset, 1))


# ---- ranges ---------------------------------------------------------------------------------------------------------

cdef struct Range:
    int64_t start
    int64_t end                  # included
    bint in_bits
    bint has_end


cdef bint parse_range(Call *call, size_t first, Range *wanted) noexcept:
    """[start [end [BYTE | BIT]]] from args[first] on; 0 when the error is replied."""
    cdef size_t count = call.count - first if call.count > first else 0
    wanted.start = 0
    wanted.end = -1
    wanted.in_bits = False
    wanted.has_end = count > 1
    if count > 3:
        reply_syntax_error(call)
        return False
    if count and not integer_argument(call, &call.args[first], &wanted.start):
        return False
    if count == 3:
        wanted.in_bits = arg_is(&call.args[first + 2], b"bit")
        if not wanted.in_bits and not arg_is(&call.args[first + 2], b"byte"):
            reply_syntax_error(call)
            return False
    return not wanted.has_end or integer_argument(call, &call.args[first + 1], &wanted.end)


cdef bint fit_range(Range *wanted, size_t length) noexcept nogil:
    """Make the range two bits within a string of `length` bytes; 0 when nothing lies between them."""
    cdef int64_t size = <int64_t>length * (8 if wanted.in_bits else 1)
    cdef int64_t start = wanted.start, end = wanted.end
    start = start + size if start < 0 else start
    end = end + size if end < 0 else end
    start = 0 if start < 0 else start
    end = 0 if end < 0 else end
    end = size - 1 if end >= size else end
    if start > end:
        return False
    wanted.start = start if wanted.in_bits else start * 8
    wanted.end = end if wanted.in_bits else end * 8 + 7
    return True


cdef inline bint runs_backwards(const Range *wanted) noexcept nogil:
    """Two places counted from the end, the wrong way round, before they are moved into the string."""
    return wanted.start < 0 and wanted.end < 0 and wanted.start > wanted.end


cdef void bitcount(Call *call) noexcept:
    cdef Range wanted
    cdef Entry *entry
    cdef char scratch[24]
    cdef const char *data
    cdef size_t length = 0
    if not parse_range(call, 2, &wanted):
        return
    entry = find_read(call, &call.args[1])
    if not_string(call, entry):
        return
    if entry == NULL:
        reply_integer(call.client, 0)
        return
    data = entry_string(entry, scratch, &length)
    # BITPOS does not look at that: far before the string, it looks into the first byte.
    if not runs_backwards(&wanted) and fit_range(&wanted, length):
        reply_integer(call.client, bits_count(<const uint8_t *>data, wanted.start, wanted.end))
    else:
        reply_integer(call.client, 0)


cdef void bitpos(Call *call) noexcept:
    cdef Range wanted
    cdef Entry *entry
    cdef char scratch[24]
    cdef const char *data
    cdef size_t length = 0
    cdef int64_t bit = 0, place
    if not integer_argument(call, &call.args[2], &bit):
        return
    if bit != 0 and bit != 1:
        reply_error(call, b"ERR The bit argument must be 1 or 0.")
        return
    if not parse_range(call, 3, &wanted):
        return
    entry = find_read(call, &call.args[1])
    if not_string(call, entry):
        return
    if entry == NULL:
        reply_integer(call.client, -1 if bit else 0)
        return
    data = entry_string(entry, scratch, &length)
    if not fit_range(&wanted, length):
        reply_integer(call.client, -1)
        return
    place = bits_find(<const uint8_t *>data, wanted.start, wanted.end, bit == 1)
    if place < 0 and bit == 0 and not wanted.has_end:
        place = <int64_t>length * 8          # without an end the string goes on with zeros
    reply_integer(call.client, place)


# ---- whole strings --------------------------------------------------------------------------------------------------

cdef enum:
    BITS_NOT = 3                 # beside BitOperation


cdef int parse_operation_name(Call *call) noexcept:
    """-1 when the error is replied."""
    cdef const Arg *name = &call.args[1]
    if arg_is(name, b"and"):
        return BITS_AND
    if arg_is(name, b"or"):
        return BITS_OR
    if arg_is(name, b"xor"):
        return BITS_XOR
    if not arg_is(name, b"not"):
        reply_syntax_error(call)
        return -1
    if call.count != 4:
        reply_error(call, b"ERR BITOP NOT must be called with a single source key.")
        return -1
    return BITS_NOT


cdef bint longest_source(Call *call, size_t *longest) noexcept:
    """The length of the longest source; 0, with the error replied, when one is no string."""
    cdef Entry *entry
    cdef char scratch[24]
    cdef size_t i, length
    for i in range(3, call.count):
        entry = find_read(call, &call.args[i])
        if not_string(call, entry):
            return False
        if entry != NULL:
            entry_string(entry, scratch, &length)
            if length > longest[0]:
                longest[0] = length
    return True


cdef void combine_sources(Call *call, int operation, uint8_t *target, size_t size) noexcept:
    cdef Entry *entry
    cdef char scratch[24]
    cdef const char *data
    cdef const Arg *key
    cdef size_t i, length
    for i in range(3, call.count):
        key = &call.args[i]
        entry = database_find(call.database, database_hash(call.database, key.data, key.length), key.data, key.length)
        length = 0
        data = entry_string(entry, scratch, &length) if entry != NULL else NULL
        if i == 3:
            if length:
                memcpy(target, data, length)
            memset(target + length, 0, size - length)
            continue
        if length:
            bits_combine(target, <const uint8_t *>data, length, operation)
        if operation == BITS_AND:
            memset(target + length, 0, size - length)
    if operation == BITS_NOT:
        bits_invert(target, size)


cdef void bitop(Call *call) noexcept:
    cdef Arg *destination = &call.args[2]
    cdef uint64_t hash
    cdef size_t size = 0
    cdef Blob *blob
    cdef int operation = parse_operation_name(call)
    if operation < 0 or not longest_source(call, &size):
        return
    hash = database_hash(call.database, destination.data, destination.length)
    if size == 0:
        if database_delete(call.database, hash, destination.data, destination.length, call.core.lazy_server_delete):
            changed(call, destination.data, destination.length, EVENT_GENERIC, b"del")
        reply_integer(call.client, 0)
        return
    blob = blob_new(&call.core.memory, size)
    blob.size = size
    combine_sources(call, operation, <uint8_t *>blob_data(blob), size)
    database_set_blob(call.database, hash, destination.data, destination.length, blob, False)
    changed(call, destination.data, destination.length, EVENT_STRING, b"set")
    reply_integer(call.client, <int64_t>size)


# ---- fields ---------------------------------------------------------------------------------------------------------

cdef enum FieldAction:
    FIELD_GET = 0
    FIELD_SET = 1
    FIELD_INCREMENT = 2

cdef struct FieldOperation:
    int action
    bint is_signed
    int width                    # bits
    int overflow
    int64_t offset
    int64_t value                # to set, or to add


cdef bint parse_field_type(Call *call, const Arg *arg, FieldOperation *operation) noexcept:
    cdef int64_t width = 0
    operation.is_signed = arg.length > 0 and arg.data[0] == c'i'
    if arg.length < 2 or (arg.data[0] != c'i' and arg.data[0] != c'u') \
            or not parse_integer(arg.data + 1, arg.length - 1, &width) or width < 1 \
            or width > (64 if operation.is_signed else 63):
        reply_error(call, b"ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but "
                          b"i64 is.")
        return False
    operation.width = <int>width
    return True


cdef bint parse_overflow(Call *call, const Arg *arg, int *overflow) noexcept:
    if arg_is(arg, b"wrap"):
        overflow[0] = OVERFLOW_WRAP
    elif arg_is(arg, b"sat"):
        overflow[0] = OVERFLOW_SATURATE
    elif arg_is(arg, b"fail"):
        overflow[0] = OVERFLOW_FAIL
    else:
        reply_error(call, b"ERR Invalid OVERFLOW type specified")
        return False
    return True


cdef int next_operation(Call *call, size_t *i, int *overflow, FieldOperation *operation) noexcept:
    """Read an operation at args[*i], OVERFLOW before it included; 0 at the end, -1 when the error is replied."""
    cdef const Arg *word
    cdef size_t behind
    while i[0] < call.count:
        word = &call.args[i[0]]
        behind = call.count - i[0] - 1
        if behind >= 1 and arg_is(word, b"overflow"):
            if not parse_overflow(call, word + 1, overflow):
                return -1
            i[0] += 2
            continue
        if behind >= 2 and arg_is(word, b"get"):
            operation.action = FIELD_GET
        elif behind >= 3 and arg_is(word, b"set"):
            operation.action = FIELD_SET
        elif behind >= 3 and arg_is(word, b"incrby"):
            operation.action = FIELD_INCREMENT
        else:
            reply_syntax_error(call)
            return -1
        operation.overflow = overflow[0]
        operation.value = 0
        if not parse_field_type(call, word + 1, operation) \
                or not parse_offset(call, word + 2, operation.width, &operation.offset):
            return -1
        if operation.action != FIELD_GET and not integer_argument(call, word + 3, &operation.value):
            return -1
        i[0] += 3 if operation.action == FIELD_GET else 4
        return 1
    return 0


cdef void reply_field(Call *call, const uint8_t *data, size_t size, const FieldOperation *operation) noexcept nogil:
    cdef uint64_t value = field_get(data, size, <uint64_t>operation.offset, operation.width)
    reply_integer(call.client, field_sign(value, operation.width) if operation.is_signed else <int64_t>value)


cdef bint write_field(Call *call, uint8_t *data, size_t size, const FieldOperation *operation, bint *altered) noexcept:
    """Do it and reply; 0 when it would overflow and must not."""
    cdef uint64_t before = field_get(data, size, <uint64_t>operation.offset, operation.width)
    cdef uint64_t after = 0
    cdef int64_t old = field_sign(before, operation.width) if operation.is_signed else <int64_t>before
    cdef int64_t new = 0
    cdef bint fits, sets = operation.action == FIELD_SET
    if operation.is_signed:
        fits = signed_add(operation.value if sets else old, 0 if sets else operation.value, operation.width,
                          operation.overflow, &new)
    else:
        fits = unsigned_add(<uint64_t>operation.value if sets else before, 0 if sets else operation.value,
                            operation.width, operation.overflow, &after)
        new = <int64_t>after
    if not fits and operation.overflow == OVERFLOW_FAIL:
        reply_null(call.client)
        return False
    if new != old:
        field_set(data, <uint64_t>operation.offset, operation.width, <uint64_t>new)
        altered[0] = True
    reply_integer(call.client, old if sets else new)
    return True


cdef void read_fields(Call *call, int64_t count) noexcept:
    cdef FieldOperation operation
    cdef Entry *entry = find_read(call, &call.args[1])
    cdef char scratch[24]
    cdef const char *data = NULL
    cdef size_t length = 0, i = 2
    cdef int overflow = OVERFLOW_WRAP
    if not_string(call, entry):
        return
    if entry != NULL:
        data = entry_string(entry, scratch, &length)
    reply_array(call.client, count)
    while next_operation(call, &i, &overflow, &operation) == 1:
        reply_field(call, <const uint8_t *>data, length, &operation)


cdef void write_fields(Call *call, int64_t count, size_t size) noexcept:
    cdef Arg *key = &call.args[1]
    cdef FieldOperation operation
    cdef Entry *entry = database_find_write(call.database, call.hash, key.data, key.length)
    cdef Blob *blob
    cdef uint8_t *data
    cdef size_t i = 2
    cdef int64_t changes = 0
    cdef int overflow = OVERFLOW_WRAP
    cdef bint grown = False, altered
    if not_string(call, entry):
        return
    blob = open_bits(call, entry, size, &grown)
    data = <uint8_t *>blob_data(blob)
    reply_array(call.client, count)
    while next_operation(call, &i, &overflow, &operation) == 1:
        altered = grown
        if operation.action == FIELD_GET:
            reply_field(call, data, blob.size, &operation)
        elif write_field(call, data, blob.size, &operation, &altered):
            changes += altered
    # The reference tells of nothing when all operations fail, though the string has grown.
    if changes or grown:
        changed(call, key.data, key.length, EVENT_STRING, b"setbit")
        call.dirty += changes - 1 if changes else 0


cdef void bitfield(Call *call) noexcept:
    run_fields(call, False)


cdef void bitfield_ro(Call *call) noexcept:
    run_fields(call, True)


cdef void run_fields(Call *call, bint only_reads) noexcept:
    """Read all operations first: one that is wrong undoes none, because none has run."""
    cdef FieldOperation operation
    cdef size_t i = 2, size = 0, needed
    cdef int64_t count = 0
    cdef int overflow = OVERFLOW_WRAP, found
    while True:
        found = next_operation(call, &i, &overflow, &operation)
        if found < 0:
            return
        if found == 0:
            break
        count += 1
        if operation.action != FIELD_GET:
            needed = <size_t>((operation.offset + operation.width - 1) >> 3) + 1
            size = needed if needed > size else size
    if size == 0:
        read_fields(call, count)
    elif only_reads:
        reply_error(call, b"ERR BITFIELD_RO only supports the GET subcommand")
    else:
        write_fields(call, count, size)
