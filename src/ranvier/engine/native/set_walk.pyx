"""Native handlers of the group set: SSCAN.

A set that is no table is walked in one call, whatever COUNT says; a table bucket by bucket, at most SCAN_EFFORT buckets
for each member asked for.
"""

from libc.stddef cimport size_t
from libc.stdint cimport INT64_MAX, int64_t, uint64_t

from ranvier.engine.core cimport Arg, Call, Client
from ranvier.engine.modes.glob cimport glob_match
from ranvier.engine.native.common cimport arg_is, integer_argument, reply_syntax_error
from ranvier.engine.native.places cimport Places, add_place, places_free, places_init
from ranvier.engine.number cimport parse_integer
from ranvier.engine.reply cimport reply_array, reply_bulk, reply_error
from ranvier.engine.types.set_access cimport reply_member, set_open
from ranvier.engine.types.set_value cimport Member, Set, member_text, set_member_at, set_scan
from ranvier.engine.types.value_access cimport OPEN_ABSENT, OPEN_FAILED, OpenValue

cdef enum:
    SCAN_EFFORT = 10             # buckets visited at most, per member asked for
    SCAN_COUNT = 10              # without COUNT


cdef native_t set_walk_handler(str name) except? NULL:
    if name == "sscan":
        return sscan
    return NULL


# ---- arguments ------------------------------------------------------------------------------------------------------

cdef struct ScanOptions:
    int64_t count
    const Arg *pattern           # NULL: everything


cdef bint digits_value(const char *text, size_t length, uint64_t *value) noexcept nogil:
    """Decimal digits that fit into 64 bits, leading zeros allowed."""
    cdef uint64_t number = 0
    cdef uint64_t digit
    cdef size_t i
    if length == 0:
        return False
    for i in range(length):
        digit = <uint64_t><unsigned char>text[i] - c'0'
        if digit > 9 or number > (<uint64_t>-1 - digit) // 10:
            return False
        number = number * 10 + digit
    value[0] = number
    return True


cdef bint parse_cursor(const Arg *arg, uint64_t *cursor) noexcept nogil:
    """An unsigned 64-bit integer as C's strtoull reads it, except that a plain negative one is refused (Valkey 9.1)."""
    cdef size_t i = 0
    cdef size_t length = 0
    cdef int64_t plain
    cdef bint negative
    while length < arg.length and arg.data[length] != 0:     # it is read as a C string
        length += 1
    if parse_integer(arg.data, length, &plain):
        cursor[0] = <uint64_t>plain
        return plain >= 0
    while i < length and (arg.data[i] == c' ' or c'\t' <= arg.data[i] <= c'\r'):
        i += 1
    negative = i < length and arg.data[i] == c'-'
    if negative or (i < length and arg.data[i] == c'+'):
        i += 1
    if not digits_value(arg.data + i, length - i, cursor):
        return False
    if negative:
        cursor[0] = 0 - cursor[0]
    return True


cdef bint parse_options(Call *call, ScanOptions *options) noexcept:
    """From args[3] on; they may repeat, the last one counts. 0 with the error replied."""
    cdef size_t i = 3
    options.count = SCAN_COUNT
    options.pattern = NULL
    while i < call.count:
        if arg_is(&call.args[i], b"novalues"):
            reply_error(call, b"ERR NOVALUES option can only be used in HSCAN")
            return False
        if i + 1 == call.count:
            reply_syntax_error(call)
            return False
        if arg_is(&call.args[i], b"match"):
            options.pattern = &call.args[i + 1]
        elif not arg_is(&call.args[i], b"count"):
            reply_syntax_error(call)
            return False
        elif not integer_argument(call, &call.args[i + 1], &options.count):
            return False
        elif options.count < 1:
            reply_syntax_error(call)
            return False
        i += 2
    return True


# ---- the walk -------------------------------------------------------------------------------------------------------

cdef struct Walk:
    const Arg *pattern
    int64_t seen
    Places found


cdef bint visit_matching(void *context, Member *member) noexcept nogil:
    cdef Walk *walk = <Walk *>context
    cdef size_t length
    cdef const char *text
    walk.seen += 1
    if walk.pattern != NULL:
        text = member_text(member, &length)
        if not glob_match(walk.pattern.data, walk.pattern.length, text, length):
            return True
    return add_place(&walk.found, member)


cdef void reply_scan(Client *client, uint64_t cursor) noexcept nogil:
    """The two parts' header and the first part."""
    cdef char[24] digits
    cdef size_t start = sizeof(digits)
    reply_array(client, 2)
    while True:                  # an unsigned number
        start -= 1
        digits[start] = <char>(c'0' + cursor % 10)
        cursor //= 10
        if cursor == 0:
            break
    reply_bulk(client, digits + start, sizeof(digits) - start)


cdef void scan_set(Client *client, const Set *value, uint64_t cursor, const ScanOptions *options) noexcept nogil:
    cdef Walk walk
    cdef Member member
    cdef int64_t steps = options.count * SCAN_EFFORT if options.count < INT64_MAX // SCAN_EFFORT else INT64_MAX
    cdef size_t i
    walk.pattern = options.pattern
    walk.seen = 0
    places_init(&walk.found, value.memory)
    while True:
        cursor = set_scan(value, cursor, visit_matching, &walk)
        steps -= 1
        if cursor == 0 or steps == 0 or walk.seen >= options.count:
            break
    reply_scan(client, cursor)
    reply_array(client, <int64_t>walk.found.count)
    for i in range(walk.found.count):
        set_member_at(value, walk.found.items[i], &member)
        reply_member(client, &member)
    places_free(&walk.found)


cdef void sscan(Call *call) noexcept:
    cdef OpenValue opened
    cdef ScanOptions options
    cdef uint64_t cursor = 0
    cdef int found
    if not parse_cursor(&call.args[2], &cursor):
        reply_error(call, b"ERR invalid cursor")
        return
    found = set_open(call, False, &opened)
    if found == OPEN_ABSENT:
        reply_scan(call.client, 0)
        reply_array(call.client, 0)
    elif found != OPEN_FAILED and parse_options(call, &options):
        scan_set(call.client, &opened.value, cursor, &options)
