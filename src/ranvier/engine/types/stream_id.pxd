"""Stream ids as text: `ms-sequence`, `ms`, and the ends of an interval."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memchr

from ranvier.engine.number cimport parse_integer, print_integer
from ranvier.engine.types.id_index cimport StreamId, id_largest, id_smallest

cdef enum:
    ID_TEXT_BYTES = 48           # room for any id
    ID_LIMIT_BYTES = 127         # a longer text is no id


cdef inline bint parse_unsigned(const char *text, size_t length, uint64_t *value) noexcept nogil:
    """An unsigned 64-bit decimal, as loosely as C's strtoull: spaces, a sign and zeros in front are taken. What is
    exactly how a negative number prints is not."""
    cdef int64_t number
    cdef uint64_t sum = 0
    cdef bint negative = False
    cdef size_t i = 0
    cdef unsigned char digit
    if parse_integer(text, length, &number):
        value[0] = <uint64_t>number
        return number >= 0
    while i < length and (text[i] == c' ' or 9 <= text[i] <= 13):
        i += 1
    if i < length and (text[i] == c'-' or text[i] == c'+'):
        negative = text[i] == c'-'
        i += 1
    if i == length:
        return False
    while i < length:
        digit = <unsigned char>(text[i] - c'0')
        if digit > 9 or sum > 1844674407370955161ULL or (sum == 1844674407370955161ULL and digit > 5):
            return False
        sum = sum * 10 + digit
        i += 1
    value[0] = 0 - sum if negative else sum
    return True


cdef inline size_t print_unsigned(char *target, uint64_t value) noexcept nogil:
    cdef size_t length
    if value <= 0x7fffffffffffffffULL:
        return print_integer(target, <int64_t>value)
    length = print_integer(target, <int64_t>(value // 10))
    target[length] = <char>(c'0' + value % 10)
    return length + 1


cdef inline size_t print_id(char *target, StreamId id) noexcept nogil:
    """Into ID_TEXT_BYTES; returns the number of bytes."""
    cdef size_t length = print_unsigned(target, id.ms)
    target[length] = c'-'
    return length + 1 + print_unsigned(target + length + 1, id.sequence)


cdef inline bint parse_id(const char *text, size_t length, uint64_t missing_sequence, bint *any_sequence,
                          StreamId *id) noexcept nogil:
    """`ms-sequence` or `ms`, whose sequence is then `missing_sequence`. With `any_sequence` not NULL also `ms-*`, which
    it tells. The text is a C string, which ends at a NUL byte."""
    cdef const char *end = <const char *>memchr(text, 0, length)
    cdef const char *dash
    if length > ID_LIMIT_BYTES:
        return False
    if end == NULL:
        end = text + length
    dash = <const char *>memchr(text, c'-', <size_t>(end - text))
    if any_sequence != NULL:
        any_sequence[0] = False
    id.sequence = missing_sequence
    if not parse_unsigned(text, <size_t>((dash if dash != NULL else end) - text), &id.ms):
        return False
    if dash == NULL:
        return True
    if any_sequence != NULL and end - dash == 2 and dash[1] == c'*':
        any_sequence[0] = True
        id.sequence = 0
        return True
    return parse_unsigned(dash + 1, <size_t>(end - dash - 1), &id.sequence)


cdef inline bint parse_bound(const char *text, size_t length, uint64_t missing_sequence, StreamId *id) noexcept nogil:
    """As parse_id, and `-` and `+`: the smallest and the largest id."""
    if length == 1 and text[0] == c'-':
        id[0] = id_smallest()
        return True
    if length == 1 and text[0] == c'+':
        id[0] = id_largest()
        return True
    return parse_id(text, length, missing_sequence, NULL, id)
