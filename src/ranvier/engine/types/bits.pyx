"""Bits of a byte string.

Strategy: eight bytes at a time, loaded with memcpy because a string may begin at any address; the ends bit by bit, or
byte by byte with a mask. Bit 0 is the highest of the first byte, so that a field reads as a big-endian number.
Invariant: nothing is read or written beyond the bits that the caller named.
"""

from libc.string cimport memcpy

cdef extern from *:
    """
    #define ranvier_ones(word) __builtin_popcountll(word)
    """
    int ranvier_ones(uint64_t word) noexcept nogil


cdef inline uint8_t mask_from(uint64_t bit) noexcept nogil:
    """The bits of its byte from `bit` on."""
    return <uint8_t>(0xff >> (bit & 7))


cdef inline uint8_t mask_to(uint64_t bit) noexcept nogil:
    """The bits of its byte up to `bit`."""
    return <uint8_t>(0xff00 >> ((bit & 7) + 1))


cdef uint64_t bits_count(const uint8_t *data, uint64_t first, uint64_t last) noexcept nogil:
    cdef uint64_t at = first >> 3, end = last >> 3, count, word
    if at == end:
        return ranvier_ones(data[at] & mask_from(first) & mask_to(last))
    count = ranvier_ones(data[at] & mask_from(first)) + ranvier_ones(data[end] & mask_to(last))
    at += 1
    while at + 8 <= end:
        memcpy(&word, data + at, 8)
        count += ranvier_ones(word)
        at += 8
    while at < end:
        count += ranvier_ones(data[at])
        at += 1
    return count


cdef inline int64_t first_one(uint64_t byte_index, uint8_t byte) noexcept nogil:
    """Where the highest bit that is set stands; the byte is not 0."""
    cdef int64_t bit = <int64_t>byte_index * 8
    while not byte & 0x80:
        byte = <uint8_t>(byte << 1)
        bit += 1
    return bit


cdef int64_t bits_find(const uint8_t *data, uint64_t first, uint64_t last, bint value) noexcept nogil:
    cdef uint64_t at = first >> 3, end = last >> 3, word
    cdef uint8_t flip = 0 if value else 0xff
    cdef uint64_t nothing = 0 if value else <uint64_t>-1
    cdef uint8_t byte = (data[at] ^ flip) & mask_from(first)
    while at < end:
        if byte:
            return first_one(at, byte)
        at += 1
        while at + 8 <= end:
            memcpy(&word, data + at, 8)
            if word != nothing:
                break
            at += 8
        byte = data[at] ^ flip
    byte &= mask_to(last)
    return first_one(at, byte) if byte else -1


cdef void bits_combine(uint8_t *target, const uint8_t *source, size_t size, int operation) noexcept nogil:
    cdef size_t i = 0
    cdef uint64_t one, other
    while i + 8 <= size:
        memcpy(&one, target + i, 8)
        memcpy(&other, source + i, 8)
        if operation == BITS_AND:
            one &= other
        elif operation == BITS_OR:
            one |= other
        else:
            one ^= other
        memcpy(target + i, &one, 8)
        i += 8
    while i < size:
        if operation == BITS_AND:
            target[i] &= source[i]
        elif operation == BITS_OR:
            target[i] |= source[i]
        else:
            target[i] ^= source[i]
        i += 1


cdef void bits_invert(uint8_t *target, size_t size) noexcept nogil:
    cdef size_t i
    for i in range(size):
        target[i] = ~target[i]


# ---- fields ---------------------------------------------------------------------------------------------------------

cdef uint64_t field_get(const uint8_t *data, size_t size, uint64_t offset, int width) noexcept nogil:
    cdef uint64_t value = 0, at
    cdef int space, taken
    cdef uint8_t byte
    while width > 0:
        at = offset >> 3
        byte = data[at] if at < size else 0
        space = 8 - <int>(offset & 7)
        taken = space if space < width else width
        value = (value << taken) | ((byte >> (space - taken)) & ((1 << taken) - 1))
        offset += taken
        width -= taken
    return value


cdef void field_set(uint8_t *data, uint64_t offset, int width, uint64_t value) noexcept nogil:
    cdef int space, taken, shift
    cdef uint8_t mask
    while width > 0:
        space = 8 - <int>(offset & 7)
        taken = space if space < width else width
        shift = space - taken
        width -= taken
        mask = <uint8_t>(((1 << taken) - 1) << shift)
        data[offset >> 3] = (data[offset >> 3] & ~mask) | (<uint8_t>((value >> width) << shift) & mask)
        offset += taken


cdef int64_t field_sign(uint64_t value, int width) noexcept nogil:
    """The value's low `width` bits as a number in two's complement."""
    cdef uint64_t sign = <uint64_t>1 << (width - 1)
    if width < 64:
        value &= (sign << 1) - 1
    return <int64_t>((value ^ sign) - sign)


cdef bint signed_add(int64_t value, int64_t increment, int width, int overflow, int64_t *result) noexcept nogil:
    cdef int64_t greatest = <int64_t>((<uint64_t>1 << (width - 1)) - 1)
    cdef int64_t least = -greatest - 1
    # The room above wraps for a value near -2^63 that a narrow field is set to: the reference, whose clients see what
    # such a SET saturates to, calls that too high.
    cdef int64_t room = <int64_t>(<uint64_t>greatest - <uint64_t>value)
    cdef bint above = value > greatest or (increment > room and (width < 64 or (value >= 0 and increment > 0)))
    cdef bint below = value < least or (increment < 0 and value < least - increment)
    if overflow == OVERFLOW_SATURATE and (above or below):
        result[0] = greatest if above else least
    else:
        result[0] = field_sign(<uint64_t>value + <uint64_t>increment, width)
    return not (above or below)


cdef bint unsigned_add(uint64_t value, int64_t increment, int width, int overflow, uint64_t *result) noexcept nogil:
    cdef uint64_t greatest = (<uint64_t>1 << width) - 1              # 63 bits at most
    cdef bint above = value > greatest or (increment > 0 and <uint64_t>increment > greatest - value)
    cdef bint below = not above and increment < 0 and 0 - <uint64_t>increment > value
    if overflow == OVERFLOW_SATURATE and (above or below):
        result[0] = greatest if above else 0
    else:
        result[0] = (value + <uint64_t>increment) & greatest
    return not (above or below)
