"""Numbers in text: the strict signed 64-bit decimal of the protocol and of values, and its printing."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint64_t


cdef inline bint parse_integer(const char *text, size_t length, int64_t *value) noexcept nogil:
    """A canonical signed 64-bit decimal: no sign but '-', no leading zero, no space. 0 when it is anything else."""
    cdef uint64_t number = 0
    cdef size_t i = 0
    cdef bint negative = False
    cdef unsigned char digit
    if length == 0 or length > 20:
        return False
    if text[0] == c'-':
        negative = True
        i = 1
        if length == 1:
            return False
    if text[i] == c'0':
        value[0] = 0
        return length == 1
    while i < length:
        digit = <unsigned char>(text[i] - c'0')
        if digit > 9:
            return False
        # 2**63 is 9223372036854775808: one digit more than fits would wrap, so look before multiplying.
        if number > 922337203685477580ULL or (number == 922337203685477580ULL and digit > 8):
            return False
        number = number * 10 + digit
        i += 1
    if negative:
        value[0] = <int64_t>(0 - number)
        return True
    if number > 0x7fffffffffffffffULL:
        return False
    value[0] = <int64_t>number
    return True


cdef inline size_t print_integer(char *target, int64_t value) noexcept nogil:
    """Write `value` in decimal (at most 20 bytes, no terminator); returns the number of bytes."""
    cdef char digits[20]
    cdef uint64_t number = <uint64_t>value
    cdef size_t count = 0, length = 0
    if value < 0:
        number = 0 - number
        target[0] = c'-'
        length = 1
    while True:
        digits[count] = <char>(c'0' + number % 10)
        count += 1
        number //= 10
        if number == 0:
            break
    while count > 0:
        count -= 1
        target[length] = digits[count]
        length += 1
    return length
