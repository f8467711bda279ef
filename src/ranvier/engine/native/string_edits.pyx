"""Native handlers of the group string: counting, appending, ranges, and the longest common subsequence."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from ranvier.engine.core cimport EVENT_STRING, Arg, Call, native_t
from ranvier.engine.effects cimport changed, propagate_as, propagates
from ranvier.engine.memory cimport Blob, blob_data
from ranvier.engine.native.common cimport (
    arg_bytes,
    arg_is,
    find_read,
    integer_argument,
    not_string,
    reply_syntax_error,
    store,
)
from ranvier.engine.native.float_text cimport FLOAT_BYTES, parse_long_double, print_long_double
from ranvier.engine.number cimport parse_integer
from ranvier.engine.reply cimport (
    reply_array,
    reply_blob,
    reply_bulk,
    reply_error,
    reply_integer,
    reply_map,
)
from ranvier.engine.store.database cimport (
    database_find_write,
    database_set_integer,
    database_set_string,
    database_set_text,
    database_writable_blob,
    entry_string,
)
from ranvier.engine.store.entry cimport (
    ENCODING_BLOB,
    ENCODING_INTEGER,
    TYPE_STRING,
    Entry,
    entry_encoding,
    entry_integer,
    entry_pointer,
    entry_set_integer,
    entry_type,
)

cdef extern from "<math.h>" nogil:
    bint isnan(long double value)
    bint isinf(long double value)

cdef enum:
    LCS_CELLS_LIMIT = 1 << 30    # 128 MiB of bits: two strings of 32 KB


cdef native_t string_edit_handler(str name) except? NULL:
    if name == "incr":
        return incr
    if name == "decr":
        return decr
    if name == "incrby":
        return incrby
    if name == "decrby":
        return decrby
    if name == "incrbyfloat":
        return incrbyfloat
    if name == "append":
        return append
    if name == "setrange":
        return setrange
    if name == "getrange" or name == "substr":
        return getrange
    if name == "strlen":
        return strlen_
    if name == "lcs":
        return lcs
    return NULL


# ---- counting -------------------------------------------------------------------------------------------------------

cdef void add(Call *call, int64_t delta) noexcept:
    cdef Arg *key = &call.args[1]
    cdef Entry *entry = database_find_write(call.database, call.hash, key.data, key.length)
    cdef int64_t value = 0
    cdef char scratch[24]
    cdef const char *text
    cdef size_t length = 0
    if entry != NULL:
        if not_string(call, entry):
            return
        if entry_encoding(entry) == ENCODING_INTEGER:
            value = entry_integer(entry)
        else:
            text = entry_string(entry, scratch, &length)
            if not parse_integer(text, length, &value):
                reply_error(call, b"ERR value is not an integer or out of range")
                return
    if (delta < 0 and value < -0x7fffffffffffffff - 1 - delta) or (delta > 0 and value > 0x7fffffffffffffff - delta):
        reply_error(call, b"ERR increment or decrement would overflow")
        return
    value += delta
    if entry != NULL and entry_encoding(entry) == ENCODING_INTEGER:
        entry_set_integer(entry, value)
    else:
        database_set_integer(call.database, call.hash, key.data, key.length, value, True)
    changed(call, key.data, key.length, EVENT_STRING, b"incrby")
    reply_integer(call.client, value)


cdef void incr(Call *call) noexcept:
    add(call, 1)


cdef void decr(Call *call) noexcept:
    add(call, -1)


cdef void incrby(Call *call) noexcept:
    cdef int64_t delta = 0
    if integer_argument(call, &call.args[2], &delta):
        add(call, delta)


cdef void decrby(Call *call) noexcept:
    cdef int64_t delta = 0
    if not integer_argument(call, &call.args[2], &delta):
        return
    if delta == -0x7fffffffffffffff - 1:
        reply_error(call, b"ERR decrement would overflow")
        return
    add(call, -delta)


cdef void incrbyfloat(Call *call) noexcept:
    cdef Arg *key = &call.args[1]
    cdef Entry *entry = database_find_write(call.database, call.hash, key.data, key.length)
    cdef char scratch[24]
    cdef char text[FLOAT_BYTES]
    cdef const char *old
    cdef size_t length = 0
    cdef long double value = 0, delta = 0
    if not_string(call, entry):
        return
    if entry != NULL:
        old = entry_string(entry, scratch, &length)
        if not parse_long_double(old, length, &value):
            reply_error(call, b"ERR value is not a valid float")
            return
    if not parse_long_double(call.args[2].data, call.args[2].length, &delta):
        reply_error(call, b"ERR value is not a valid float")
        return
    value += delta
    if isnan(value) or isinf(value):
        reply_error(call, b"ERR increment would produce NaN or Infinity")
        return
    length = print_long_double(text, value)
    database_set_text(call.database, call.hash, key.data, key.length, text, length, True)
    changed(call, key.data, key.length, EVENT_STRING, b"incrbyfloat")
    if propagates(call):
        # The sum depends on the machine's long double: pass on the result.
        propagate_as(call, [[b"SET", arg_bytes(key), text[:length], b"KEEPTTL"]])
    reply_bulk(call.client, text, length)


# ---- appending and ranges -------------------------------------------------------------------------------------------

cdef size_t string_length(const Entry *entry) noexcept nogil:
    cdef char scratch[24]
    cdef size_t length = 0
    if entry_encoding(entry) == ENCODING_BLOB:
        return (<Blob *>entry_pointer(entry)).size
    entry_string(entry, scratch, &length)
    return length


cdef bint too_long(Call *call, size_t length, size_t more) noexcept:
    if more > <size_t>call.core.limits.bulk_bytes or length + more > <size_t>call.core.limits.bulk_bytes:
        reply_error(call, b"ERR string exceeds maximum allowed size (proto-max-bulk-len)")
        return True
    return False


cdef void append(Call *call) noexcept:
    cdef Arg *key = &call.args[1]
    cdef Arg *value = &call.args[2]
    cdef Entry *entry = database_find_write(call.database, call.hash, key.data, key.length)
    cdef Blob *blob
    cdef size_t length = 0
    if entry == NULL:
        length = value.length
        store(call, call.hash, key, value, False)
    else:
        if not_string(call, entry):
            return
        length = string_length(entry)
        if too_long(call, length, value.length):
            return
        length += value.length
        blob = database_writable_blob(call.database, call.hash, &entry, length)
        memcpy(blob_data(blob) + blob.size, value.data, value.length)
        blob.size = length
    changed(call, key.data, key.length, EVENT_STRING, b"append")
    reply_integer(call.client, length)


cdef void setrange(Call *call) noexcept:
    cdef Arg *key = &call.args[1]
    cdef Arg *value = &call.args[3]
    cdef Entry *entry
    cdef Blob *blob
    cdef int64_t offset = 0
    cdef size_t length = 0, end
    if not integer_argument(call, &call.args[2], &offset):
        return
    if offset < 0:
        reply_error(call, b"ERR offset is out of range")
        return
    entry = database_find_write(call.database, call.hash, key.data, key.length)
    if not_string(call, entry):
        return
    if entry != NULL:
        length = string_length(entry)
    if value.length == 0:
        reply_integer(call.client, length)
        return
    if too_long(call, <size_t>offset, value.length):
        return
    if entry == NULL:
        entry = database_set_string(call.database, call.hash, key.data, key.length, b"", 0, False)
    end = <size_t>offset + value.length
    blob = database_writable_blob(call.database, call.hash, &entry, end if end > length else length)
    if <size_t>offset > blob.size:
        memset(blob_data(blob) + blob.size, 0, <size_t>offset - blob.size)
    memcpy(blob_data(blob) + offset, value.data, value.length)
    if end > blob.size:
        blob.size = end
    changed(call, key.data, key.length, EVENT_STRING, b"setrange")
    reply_integer(call.client, blob.size)


cdef void getrange(Call *call) noexcept:
    cdef int64_t start = 0, end = 0, size
    cdef char scratch[24]
    cdef size_t length = 0
    cdef const char *data
    cdef Entry *entry
    if not integer_argument(call, &call.args[2], &start) or not integer_argument(call, &call.args[3], &end):
        return
    entry = find_read(call, &call.args[1])
    if not_string(call, entry):
        return
    if entry == NULL:
        reply_bulk(call.client, b"", 0)
        return
    data = entry_string(entry, scratch, &length)
    size = <int64_t>length
    if start < 0 and end < 0 and start > end:
        reply_bulk(call.client, b"", 0)
        return
    start = start + size if start < 0 else start
    end = end + size if end < 0 else end
    start = 0 if start < 0 else start
    end = 0 if end < 0 else end
    end = size - 1 if end >= size else end
    if start > end or size == 0:
        reply_bulk(call.client, b"", 0)
    elif entry_encoding(entry) == ENCODING_BLOB:
        reply_blob(call.client, <Blob *>entry_pointer(entry), data + start, end - start + 1)
    else:
        reply_bulk(call.client, data + start, end - start + 1)


cdef void strlen_(Call *call) noexcept:
    cdef Entry *entry = find_read(call, &call.args[1])
    if not_string(call, entry):
        return
    reply_integer(call.client, string_length(entry) if entry != NULL else 0)


# ---- longest common subsequence -------------------------------------------------------------------------------------


cdef struct LcsOptions:
    bint indexes
    bint length_only
    bint with_length
    int64_t minimum


cdef bint parse_lcs(Call *call, LcsOptions *options) noexcept:
    cdef size_t i = 3
    options.indexes = options.length_only = options.with_length = False
    options.minimum = 0
    while i < call.count:
        if arg_is(&call.args[i], b"idx"):
            options.indexes = True
        elif arg_is(&call.args[i], b"len"):
            options.length_only = True
        elif arg_is(&call.args[i], b"withmatchlen"):
            options.with_length = True
        elif arg_is(&call.args[i], b"minmatchlen") and i + 1 < call.count:
            i += 1
            if not integer_argument(call, &call.args[i], &options.minimum):
                return False
            if options.minimum < 0:
                options.minimum = 0
        else:
            reply_syntax_error(call)
            return False
        i += 1
    if options.indexes and options.length_only:
        reply_error(call, b"ERR If you want both the length and indexes, please just use IDX.")
        return False
    return True


cdef uint32_t fill_lcs(uint32_t *row, uint8_t *ups, const char *a, size_t a_length, const char *b,
                       size_t b_length) noexcept nogil:
    """The length. row[j] is that of what is read of a and the first j bytes of b.

    The way back needs one bit of each cell: whether the cell above is greater than the one to the left. `ups` takes
    them; NULL: nobody walks back.
    """
    cdef size_t i, j, cell = 0
    cdef uint32_t up, left, above_left
    memset(row, 0, (b_length + 1) * sizeof(uint32_t))
    for i in range(a_length):
        above_left = left = 0
        for j in range(1, b_length + 1):
            up = row[j]
            if a[i] == b[j - 1]:
                left = above_left + 1
            elif up > left:
                left = up
                if ups != NULL:
                    ups[cell >> 3] |= 1 << (cell & 7)
            row[j] = left
            above_left = up
            cell += 1
    return row[b_length]


cdef list walk_lcs(const uint8_t *ups, const char *a, size_t a_length, size_t b_length, const char *b,
                   bytearray common):
    """Walk back from the end: the common bytes into `common`, and the runs as (a, b, length), last run first."""
    cdef size_t i = a_length, j = b_length, cell
    cdef size_t at = len(common), run = 0
    cdef list runs = []
    while i > 0 and j > 0:
        if a[i - 1] == b[j - 1]:
            at -= 1
            common[at] = <unsigned char>a[i - 1]
            i -= 1
            j -= 1
            run += 1
            if i > 0 and j > 0 and a[i - 1] == b[j - 1]:
                continue
            runs.append((i, j, run))
            run = 0
            continue
        cell = (i - 1) * b_length + j - 1
        if ups[cell >> 3] >> (cell & 7) & 1:
            i -= 1
        else:
            j -= 1
    return runs


cdef void lcs(Call *call) noexcept:
    cdef Entry *one = find_read(call, &call.args[1])
    cdef Entry *other = find_read(call, &call.args[2])
    cdef char scratch_a[24]
    cdef char scratch_b[24]
    cdef const char *a = b""
    cdef const char *b = b""
    cdef size_t a_length = 0, b_length = 0
    cdef uint32_t *row
    cdef uint8_t *ups
    cdef uint32_t length
    cdef LcsOptions options
    cdef bytearray common
    if (one != NULL and entry_type(one) != TYPE_STRING) or (other != NULL and entry_type(other) != TYPE_STRING):
        reply_error(call, b"ERR The specified keys must contain string values")
        return
    if not parse_lcs(call, &options):
        return
    if one != NULL:
        a = entry_string(one, scratch_a, &a_length)
    if other != NULL:
        b = entry_string(other, scratch_b, &b_length)
    if (a_length + 1) > LCS_CELLS_LIMIT // (b_length + 1):
        reply_error(call, b"ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len")
        return
    row = <uint32_t *>malloc((b_length + 1) * sizeof(uint32_t))
    ups = NULL if options.length_only else <uint8_t *>calloc(a_length * b_length // 8 + 1, 1)
    if row == NULL or (ups == NULL and not options.length_only):
        free(row)
        free(ups)
        reply_error(call, b"ERR Insufficient memory, failed allocating transient memory for LCS")
        return
    length = fill_lcs(row, ups, a, a_length, b, b_length)
    free(row)
    if options.length_only:
        reply_integer(call.client, length)
        return
    common = bytearray(length)
    runs = walk_lcs(ups, a, a_length, b_length, b, common)
    free(ups)
    if options.indexes:
        reply_runs(call, runs, length, &options)
    else:
        reply_bulk(call.client, common, length)


cdef void reply_runs(Call *call, list runs, size_t total, const LcsOptions *options) noexcept:
    cdef list shown = [run for run in runs if run[2] >= options.minimum]
    reply_map(call.client, 2)
    reply_bulk(call.client, b"matches", 7)
    reply_array(call.client, len(shown))
    for a_start, b_start, length in shown:
        reply_array(call.client, 3 if options.with_length else 2)
        for start in (a_start, b_start):
            reply_array(call.client, 2)
            reply_integer(call.client, start)
            reply_integer(call.client, start + length - 1)
        if options.with_length:
            reply_integer(call.client, length)
    reply_bulk(call.client, b"len", 3)
    reply_integer(call.client, total)
