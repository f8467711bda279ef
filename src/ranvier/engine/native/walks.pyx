"""What SSCAN, HSCAN and ZSCAN have in common."""

from ranvier.engine.native.common cimport arg_is, integer_argument, reply_syntax_error
from ranvier.engine.number cimport parse_integer
from ranvier.engine.reply cimport reply_array, reply_bulk, reply_error


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


cdef bint read_cursor(const Arg *arg, uint64_t *cursor) noexcept nogil:
    """As C's strtoull reads it, except that a plain negative one is refused (Valkey 9.1)."""
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


cdef bint parse_cursor(Call *call, uint64_t *cursor) noexcept:
    if read_cursor(&call.args[2], cursor):
        return True
    reply_error(call, b"ERR invalid cursor")
    return False


cdef bint names_only_option(Call *call, const Arg *word, int kind, bint *matched) noexcept:
    """NOVALUES or NOSCORES; 0 with the error replied when it is another command's."""
    cdef bint values = arg_is(word, b"novalues")
    matched[0] = values or arg_is(word, b"noscores")
    if not matched[0] or kind == <int>(SCAN_FIELDS if values else SCAN_SCORES):
        return True
    reply_error(call, b"ERR NOVALUES option can only be used in HSCAN" if values
                else b"ERR NOSCORES option can only be used in ZSCAN")
    return False


cdef bint parse_scan_options(Call *call, int kind, ScanOptions *options) noexcept:
    cdef size_t i = 3
    cdef bint matched = False
    options.count = SCAN_COUNT
    options.pattern = NULL
    options.names_only = False
    while i < call.count:
        if not names_only_option(call, &call.args[i], kind, &matched):
            return False
        if matched:
            options.names_only = True
            i += 1
            continue
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


cdef void reply_scan(Client *client, uint64_t cursor) noexcept nogil:
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


cdef void reply_nothing_scanned(Client *client) noexcept nogil:
    reply_scan(client, 0)
    reply_array(client, 0)
