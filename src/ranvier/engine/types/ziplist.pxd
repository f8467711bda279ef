"""Ziplists and zipmaps, which Redis wrote before version 7 and RESTORE still meets: made into listpacks at once.

Formats: Redis's ziplist ("total-bytes u32 | offset of the last entry u32 | count u16 | entry ... | 0xFF", an entry
being "length of the one before | encoding | payload") and zipmap ("count u8 | length, key, length, free u8, value, free
bytes ... | 0xFF"). All numbers are little endian, except lengths within a ziplist's encoding. Every number is checked
against what is there; a count of 65535 (254 in a zipmap) says that it is not known.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint64_t

from ranvier.engine.memory cimport Memory
from ranvier.engine.number cimport print_integer
from ranvier.engine.types.listpack cimport (
    INTEGER_TEXT_BYTES, LISTPACK_END, Listpack, listpack_append, listpack_free, listpack_new, load_u32,
)

cdef enum:
    ZIPLIST_HEADER_BYTES = 10
    ZIPLIST_COUNT_UNKNOWN = 65535
    ZIPLIST_LONG_LENGTH = 254            # a length that does not fit a byte follows in four
    ZIPMAP_COUNT_UNKNOWN = 254

# One entry of a ziplist: `data` NULL means an integer.
cdef struct ZiplistEntry:
    const char *data
    size_t length
    int64_t integer
    size_t size                          # bytes of the whole entry
    size_t previous_size                 # as it tells


cdef inline bint ziplist_integer(uint8_t lead, const uint8_t *p, size_t available, ZiplistEntry *entry,
                                 size_t *width) noexcept nogil:
    """The integer at `p`, behind its encoding byte."""
    if lead == 0xFE:
        width[0] = 1
    elif lead == 0xC0:
        width[0] = 2
    elif lead == 0xF0:
        width[0] = 3
    elif lead == 0xD0:
        width[0] = 4
    elif lead == 0xE0:
        width[0] = 8
    else:
        width[0] = 0
        entry.integer = (lead & 15) - 1
        return 0xF1 <= lead <= 0xFD
    if width[0] > available:
        return False
    if lead == 0xFE:
        entry.integer = <int8_t>p[0]
    elif lead == 0xC0:
        entry.integer = <int16_t>(p[0] | (p[1] << 8))
    elif lead == 0xF0:
        entry.integer = p[0] + (<int64_t>p[1] << 8) + <int64_t><int8_t>p[2] * 65536
    elif lead == 0xD0:
        entry.integer = <int32_t>load_u32(p)
    else:
        entry.integer = <int64_t>(load_u32(p) | (<uint64_t>load_u32(p + 4) << 32))
    return True


cdef inline bint ziplist_entry(const uint8_t *p, size_t available, ZiplistEntry *entry) noexcept nogil:
    """Read the entry at `p`, of which `available` bytes can be there; False: it is malformed."""
    cdef size_t head = 1
    cdef size_t width = 1
    cdef uint8_t lead
    if available == 0 or p[0] == LISTPACK_END:
        return False
    entry.previous_size = p[0]
    if p[0] == ZIPLIST_LONG_LENGTH:
        head = 5
        if available < head:
            return False
        entry.previous_size = load_u32(p + 1)
    if available - head < 1:
        return False
    p += head
    available -= head + 1
    lead = p[0]
    entry.data = NULL
    entry.length = 0
    if lead >> 6 == 3:
        if not ziplist_integer(lead, p + 1, available, entry, &width):
            return False
        entry.size = head + 1 + width
        return True
    if lead >> 6 == 0:
        width = 0
        entry.length = lead & 63
    elif lead >> 6 == 1:
        width = 1
        if available < width:
            return False
        entry.length = (<size_t>(lead & 63) << 8) | p[1]
    else:
        width = 4
        if available < width:
            return False
        entry.length = (<size_t>p[1] << 24) | (<size_t>p[2] << 16) | (<size_t>p[3] << 8) | p[4]
    if entry.length > available - width:
        return False
    entry.data = <const char *>p + 1 + width
    entry.size = head + 1 + width + entry.length
    return True


cdef inline Listpack *listpack_from_ziplist(Memory *memory, const uint8_t *block, size_t size) noexcept nogil:
    """The ziplist's elements as a listpack; NULL if these bytes are not exactly one ziplist."""
    cdef size_t position = ZIPLIST_HEADER_BYTES
    cdef size_t last = ZIPLIST_HEADER_BYTES
    cdef size_t previous = 0
    cdef size_t found = 0
    cdef size_t claimed
    cdef char digits[INTEGER_TEXT_BYTES]
    cdef ZiplistEntry entry
    cdef Listpack *pack
    if size < ZIPLIST_HEADER_BYTES + 1 or load_u32(block) != size or block[size - 1] != LISTPACK_END:
        return NULL
    pack = listpack_new(memory, size)
    while position < size - 1:
        if not ziplist_entry(block + position, size - 1 - position, &entry) or entry.previous_size != previous:
            listpack_free(memory, pack)
            return NULL
        if entry.data != NULL:
            pack = listpack_append(memory, pack, entry.data, entry.length)
        else:
            pack = listpack_append(memory, pack, digits, print_integer(digits, entry.integer))
        last = position
        previous = entry.size
        position += entry.size
        found += 1
    claimed = block[8] | (<size_t>block[9] << 8)
    if load_u32(block + 4) != last or (claimed != found and claimed != ZIPLIST_COUNT_UNKNOWN):
        listpack_free(memory, pack)
        return NULL
    return pack


cdef inline bint zipmap_length(const uint8_t *block, size_t size, size_t *position, size_t *length) noexcept nogil:
    """Read a length and step behind it; False when it, or what it tells of, passes the end marker."""
    cdef size_t at = position[0]
    cdef size_t width = 1
    if at >= size - 1 or block[at] == LISTPACK_END:
        return False
    length[0] = block[at]
    if block[at] == ZIPLIST_LONG_LENGTH:
        width = 5
        if size - 1 - at < width:
            return False
        length[0] = load_u32(block + at + 1)
    at += width
    position[0] = at
    return length[0] <= size - 1 - at


cdef inline Listpack *listpack_from_zipmap(Memory *memory, const uint8_t *block, size_t size) noexcept nogil:
    """The zipmap's keys and values as a listpack; NULL if these bytes are not exactly one zipmap."""
    cdef size_t position = 1
    cdef size_t found = 0
    cdef size_t key_length, value_length, spare
    cdef const char *key
    cdef bint sound = True
    cdef Listpack *pack
    if size < 2 or block[size - 1] != LISTPACK_END:
        return NULL
    pack = listpack_new(memory, size)
    while sound and position < size - 1:
        sound = zipmap_length(block, size, &position, &key_length)
        if not sound:
            break
        key = <const char *>block + position
        position += key_length
        sound = zipmap_length(block, size, &position, &value_length)
        # behind the value's length stands a byte that tells how many bytes behind the value mean nothing
        sound = sound and position < size - 1 and value_length + block[position] <= size - 2 - position
        if sound:
            spare = block[position]
            pack = listpack_append(memory, pack, key, key_length)
            pack = listpack_append(memory, pack, <const char *>block + position + 1, value_length)
            position += 1 + value_length + spare
            found += 1
    if not sound or (block[0] < ZIPMAP_COUNT_UNKNOWN and block[0] != found):
        listpack_free(memory, pack)
        return NULL
    return pack
