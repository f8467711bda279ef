"""The listpack: a sequence of strings and integers in one block, byte for byte as the RDB format stores it.

Format (antirez, "Listpack specification"): `total-bytes u32 LE | count u16 LE | element ... | 0xFF`; an element is
`encoding [+ payload] | its own length once more, seven bits a byte, readable from the right` so that the block can be
walked both ways. A count of 65535 says "count them".

The block lies somewhere inside its allocation: spare room stands behind it and before it, so that both ends take and
lose elements without moving the rest. Invariant: `start + size <= capacity`. Every change goes through
`listpack_splice`, which moves the shorter side. Addresses into a block die with the next change; offsets from its
first byte do not. Header only, so that whoever uses it links without another module.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int8_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memmove

from ranvier.engine.memory cimport Memory, allocate, ranvier_usable_size, release_lazily
from ranvier.engine.number cimport parse_integer, print_integer

cdef enum:
    LISTPACK_HEADER_BYTES = 6
    LISTPACK_EMPTY_BYTES = 7
    LISTPACK_END = 0xFF
    LISTPACK_COUNT_UNKNOWN = 65535
    LISTPACK_SPARE_LIMIT_BYTES = 4096      # most that one growth reserves ahead
    LISTPACK_SHRINK_FLOOR_BYTES = 256      # smaller allocations are not worth shrinking
    INTEGER_TEXT_BYTES = 24                # room for any printed 64-bit integer

cdef enum:
    LEAD_STRING_6 = 0x80
    LEAD_INTEGER_13 = 0xC0
    LEAD_STRING_12 = 0xE0
    LEAD_STRING_32 = 0xF0
    LEAD_INTEGER_16 = 0xF1
    LEAD_INTEGER_24 = 0xF2
    LEAD_INTEGER_32 = 0xF3
    LEAD_INTEGER_64 = 0xF4

# The allocation; the block begins `start` bytes behind this header.
cdef struct Listpack:
    uint32_t capacity
    uint32_t start

# One element as it is read: a string (data, length) or, when data is NULL, an integer.
cdef struct Element:
    const char *data
    size_t length
    int64_t integer

# One element as it will be written.
cdef struct Packing:
    int lead
    int64_t integer
    size_t encoded_bytes     # encoding and payload
    size_t total_bytes       # with the length at its right end

# What is searched for, parsed once.
cdef struct Needle:
    const char *data
    size_t length
    bint is_integer
    int64_t integer


cdef inline uint32_t load_u32(const uint8_t *p) noexcept nogil:
    return p[0] | (<uint32_t>p[1] << 8) | (<uint32_t>p[2] << 16) | (<uint32_t>p[3] << 24)


cdef inline void store_u32(uint8_t *p, uint32_t value) noexcept nogil:
    p[0] = <uint8_t>value
    p[1] = <uint8_t>(value >> 8)
    p[2] = <uint8_t>(value >> 16)
    p[3] = <uint8_t>(value >> 24)


cdef inline uint8_t *listpack_bytes(const Listpack *pack) noexcept nogil:
    return <uint8_t *>(pack + 1) + pack.start


cdef inline size_t listpack_size(const Listpack *pack) noexcept nogil:
    return load_u32(listpack_bytes(pack))


# --- one element -------------------------------------------------------------------------------------------------

cdef inline size_t back_length_bytes(size_t encoded_bytes) noexcept nogil:
    """Width of the right-hand length. The last value of each width but the first takes one byte more, as in Redis."""
    if encoded_bytes <= 127:
        return 1
    if encoded_bytes < 16383:
        return 2
    if encoded_bytes < 2097151:
        return 3
    if encoded_bytes < 268435455:
        return 4
    return 5


cdef inline void write_back_length(uint8_t *at, size_t encoded_bytes) noexcept nogil:
    cdef size_t width = back_length_bytes(encoded_bytes)
    cdef size_t i = width
    while i > 1:
        i -= 1
        at[i] = <uint8_t>(128 | (encoded_bytes & 127))
        encoded_bytes >>= 7
    at[0] = <uint8_t>encoded_bytes


cdef inline size_t encoded_size(const uint8_t *p) noexcept nogil:
    """Bytes of encoding and payload of the element at `p`."""
    cdef uint8_t lead = p[0]
    if lead < LEAD_STRING_6:
        return 1
    if lead < LEAD_INTEGER_13:
        return 1 + <size_t>(lead & 63)
    if lead < LEAD_STRING_12:
        return 2
    if lead < LEAD_STRING_32:
        return 2 + ((<size_t>(lead & 15) << 8) | p[1])
    if lead == LEAD_STRING_32:
        return 5 + <size_t>load_u32(p + 1)
    if lead <= LEAD_INTEGER_32:
        return <size_t>(lead - LEAD_INTEGER_16) + 3
    return 9 if lead == LEAD_INTEGER_64 else 1


cdef inline size_t element_size(const uint8_t *p) noexcept nogil:
    """All bytes of the element at `p`."""
    cdef size_t size = encoded_size(p)
    return size + back_length_bytes(size)


cdef inline const uint8_t *element_before(const uint8_t *p) noexcept nogil:
    """The element that ends just before `p`; the caller knows that there is one."""
    cdef size_t size = 0
    cdef int shift = 0
    cdef const uint8_t *q = p - 1
    while q[0] & 128:
        size |= <size_t>(q[0] & 127) << shift
        shift += 7
        q -= 1
    size |= <size_t>q[0] << shift
    return q - size


cdef inline void element_read(const uint8_t *p, Element *element) noexcept nogil:
    cdef uint8_t lead = p[0]
    cdef int64_t value
    element.data = NULL
    element.length = 0
    if LEAD_STRING_6 <= lead < LEAD_INTEGER_13:
        element.data = <const char *>p + 1
        element.length = lead & 63
    elif lead < LEAD_STRING_6:
        element.integer = lead
    elif lead < LEAD_STRING_12:
        value = (<int64_t>(lead & 31) << 8) | p[1]
        element.integer = value - 8192 if value >= 4096 else value
    elif lead < LEAD_STRING_32:
        element.data = <const char *>p + 2
        element.length = (<size_t>(lead & 15) << 8) | p[1]
    elif lead == LEAD_STRING_32:
        element.data = <const char *>p + 5
        element.length = load_u32(p + 1)
    elif lead == LEAD_INTEGER_16:
        element.integer = p[1] + <int64_t><int8_t>p[2] * 256
    elif lead == LEAD_INTEGER_24:
        element.integer = p[1] + (<int64_t>p[2] << 8) + <int64_t><int8_t>p[3] * 65536
    elif lead == LEAD_INTEGER_32:
        element.integer = <int64_t>load_u32(p + 1) - (<int64_t>(p[4] >> 7) << 32)
    else:
        element.integer = <int64_t>(load_u32(p + 1) | (<uint64_t>load_u32(p + 5) << 32))


cdef inline const char *element_text(const Element *element, char *scratch, size_t *length) noexcept nogil:
    """The element's bytes; an integer is printed into `scratch` (INTEGER_TEXT_BYTES)."""
    if element.data != NULL:
        length[0] = element.length
        return element.data
    length[0] = print_integer(scratch, element.integer)
    return scratch


cdef inline void needle_set(Needle *needle, const char *data, size_t length) noexcept nogil:
    needle.data = data
    needle.length = length
    needle.is_integer = parse_integer(data, length, &needle.integer)


cdef inline bint element_equals(const Element *element, const Needle *needle) noexcept nogil:
    if element.data == NULL:
        return needle.is_integer and needle.integer == element.integer
    return element.length == needle.length and memcmp(element.data, needle.data, needle.length) == 0


cdef inline void packing_set_integer(Packing *packing, int64_t value) noexcept nogil:
    """Choose the shortest encoding of this integer."""
    packing.integer = value
    if 0 <= value <= 127:
        packing.lead = 0
        packing.encoded_bytes = 1
    elif -4096 <= value <= 4095:
        packing.lead = LEAD_INTEGER_13
        packing.encoded_bytes = 2
    elif -32768 <= value <= 32767:
        packing.lead = LEAD_INTEGER_16
        packing.encoded_bytes = 3
    elif -8388608 <= value <= 8388607:
        packing.lead = LEAD_INTEGER_24
        packing.encoded_bytes = 4
    elif -2147483648 <= value <= 2147483647:
        packing.lead = LEAD_INTEGER_32
        packing.encoded_bytes = 5
    else:
        packing.lead = LEAD_INTEGER_64
        packing.encoded_bytes = 9
    packing.total_bytes = packing.encoded_bytes + 1


cdef inline void packing_set(Packing *packing, const char *data, size_t length) noexcept nogil:
    """Choose the shortest encoding of these bytes: as an integer if they are how one prints."""
    cdef int64_t value
    if length <= 20 and parse_integer(data, length, &value):
        packing_set_integer(packing, value)
        return
    packing.integer = 0
    if length < 64:
        packing.lead = LEAD_STRING_6
        packing.encoded_bytes = 1 + length
    elif length < 4096:
        packing.lead = LEAD_STRING_12
        packing.encoded_bytes = 2 + length
    else:
        packing.lead = LEAD_STRING_32
        packing.encoded_bytes = 5 + length
    packing.total_bytes = packing.encoded_bytes + back_length_bytes(packing.encoded_bytes)


cdef inline void packing_write(uint8_t *at, const Packing *packing, const char *data, size_t length) noexcept nogil:
    """Write the element: exactly `packing.total_bytes`."""
    cdef uint64_t bits = <uint64_t>packing.integer
    cdef size_t i
    if packing.lead == LEAD_STRING_6:
        at[0] = <uint8_t>(LEAD_STRING_6 | length)
        memcpy(at + 1, data, length)
    elif packing.lead == 0:
        at[0] = <uint8_t>bits
    elif packing.lead == LEAD_STRING_12:
        at[0] = <uint8_t>(LEAD_STRING_12 | (length >> 8))
        at[1] = <uint8_t>length
        memcpy(at + 2, data, length)
    elif packing.lead == LEAD_STRING_32:
        at[0] = LEAD_STRING_32
        store_u32(at + 1, <uint32_t>length)
        memcpy(at + 5, data, length)
    elif packing.lead == LEAD_INTEGER_13:
        at[0] = <uint8_t>(LEAD_INTEGER_13 | ((bits >> 8) & 31))
        at[1] = <uint8_t>bits
    else:
        at[0] = <uint8_t>packing.lead
        for i in range(1, packing.encoded_bytes):
            at[i] = <uint8_t>bits
            bits >>= 8
    write_back_length(at + packing.encoded_bytes, packing.encoded_bytes)


# --- the block ---------------------------------------------------------------------------------------------------

cdef inline Listpack *listpack_allocate(Memory *memory, size_t capacity) noexcept nogil:
    """An allocation without a block in it: the caller writes one and sets `start`."""
    cdef Listpack *pack = <Listpack *>allocate(memory, sizeof(Listpack) + capacity)
    pack.capacity = <uint32_t>(ranvier_usable_size(pack) - sizeof(Listpack))
    pack.start = 0
    return pack


cdef inline Listpack *listpack_new(Memory *memory, size_t capacity) noexcept nogil:
    """An empty listpack with room for a block of `capacity` bytes (at least the empty one)."""
    cdef Listpack *pack = listpack_allocate(memory, capacity if capacity > LISTPACK_EMPTY_BYTES
                                            else LISTPACK_EMPTY_BYTES)
    cdef uint8_t *block = listpack_bytes(pack)
    store_u32(block, LISTPACK_EMPTY_BYTES)
    block[4] = 0
    block[5] = 0
    block[6] = LISTPACK_END
    return pack


cdef inline Listpack *listpack_from_bytes(Memory *memory, const uint8_t *block, size_t size) noexcept nogil:
    """A copy of a block that `listpack_is_valid` accepted."""
    cdef Listpack *pack = listpack_allocate(memory, size)
    memcpy(listpack_bytes(pack), block, size)
    return pack


cdef inline void listpack_free(Memory *memory, Listpack *pack) noexcept nogil:
    release_lazily(memory, pack)


cdef inline const uint8_t *listpack_first(const Listpack *pack) noexcept nogil:
    """The first element, or the end marker."""
    return listpack_bytes(pack) + LISTPACK_HEADER_BYTES


cdef inline const uint8_t *listpack_end(const Listpack *pack) noexcept nogil:
    """The end marker."""
    cdef const uint8_t *block = listpack_bytes(pack)
    return block + load_u32(block) - 1


cdef inline size_t listpack_count(const Listpack *pack) noexcept nogil:
    """Number of elements; walks the block when its header does not know."""
    cdef const uint8_t *p = listpack_bytes(pack)
    cdef size_t count = p[4] | (<size_t>p[5] << 8)
    if count != LISTPACK_COUNT_UNKNOWN:
        return count
    count = 0
    p += LISTPACK_HEADER_BYTES
    while p[0] != LISTPACK_END:
        p += element_size(p)
        count += 1
    return count


cdef inline void listpack_add_count(Listpack *pack, int64_t difference) noexcept nogil:
    """Account for elements put in or taken out; a count past 16 bits becomes, and stays, unknown."""
    cdef uint8_t *block = listpack_bytes(pack)
    cdef int64_t count = block[4] | (<int64_t>block[5] << 8)
    if count == LISTPACK_COUNT_UNKNOWN:
        return
    count += difference
    if count > LISTPACK_COUNT_UNKNOWN:
        count = LISTPACK_COUNT_UNKNOWN
    block[4] = <uint8_t>count
    block[5] = <uint8_t>(count >> 8)


cdef inline Listpack *listpack_move(Memory *memory, Listpack *pack, size_t capacity, bint spare_before) noexcept nogil:
    """The block in a new allocation, its spare room on one side."""
    cdef size_t size = listpack_size(pack)
    cdef Listpack *moved = listpack_allocate(memory, capacity)
    if spare_before:
        moved.start = <uint32_t>(moved.capacity - size)
    memcpy(listpack_bytes(moved), listpack_bytes(pack), size)
    listpack_free(memory, pack)
    return moved


cdef inline Listpack *listpack_fit(Memory *memory, Listpack *pack) noexcept nogil:
    """Give spare room back when it is more than an eighth."""
    cdef size_t size = listpack_size(pack)
    if pack.capacity - size <= size // 8 + 16:
        return pack
    return listpack_move(memory, pack, size, False)


cdef inline Listpack *listpack_make_room(Memory *memory, Listpack *pack, size_t more, bint before) noexcept nogil:
    """At least `more` spare bytes on the side asked for: slide within the allocation while that frees enough to be
    amortised, else take a larger one."""
    cdef size_t size = listpack_size(pack)
    cdef size_t spare = pack.capacity - size
    cdef size_t needed = size + more
    cdef uint8_t *block = listpack_bytes(pack)
    if spare >= more and spare >= size // 4:
        pack.start = <uint32_t>spare if before else 0
        memmove(listpack_bytes(pack), block, size)
        return pack
    spare = needed // 2
    if spare > LISTPACK_SPARE_LIMIT_BYTES:
        spare = LISTPACK_SPARE_LIMIT_BYTES
    return listpack_move(memory, pack, needed + spare, before)


cdef inline Listpack *listpack_splice(Memory *memory, Listpack *pack, size_t offset, size_t removed,
                                      size_t added) noexcept nogil:
    """Make the `removed` bytes at `offset` into `added` bytes of undefined content and set the size; the caller writes
    them and corrects the count. Returns the listpack, perhaps at another address."""
    cdef uint8_t *block = listpack_bytes(pack)
    cdef size_t size = load_u32(block)
    cdef size_t right = size - offset - removed
    cdef bint left_moves = offset < right
    cdef size_t more
    if added > removed:
        more = added - removed
        if (pack.start if left_moves else pack.capacity - pack.start - size) < more:
            pack = listpack_make_room(memory, pack, more, left_moves)
            block = listpack_bytes(pack)
        if left_moves:
            pack.start -= <uint32_t>more
            memmove(block - more, block, offset)
        else:
            memmove(block + offset + added, block + offset + removed, right)
    elif added < removed:
        more = removed - added
        if left_moves:
            pack.start += <uint32_t>more
            memmove(block + more, block, offset)
        else:
            memmove(block + offset + added, block + offset + removed, right)
    store_u32(listpack_bytes(pack), <uint32_t>(size + added - removed))
    return pack


cdef inline Listpack *listpack_slim(Memory *memory, Listpack *pack) noexcept nogil:
    """After a removal: an allocation three quarters empty is halved."""
    cdef size_t size = listpack_size(pack)
    if pack.capacity <= LISTPACK_SHRINK_FLOOR_BYTES or size > pack.capacity // 4:
        return pack
    return listpack_move(memory, pack, pack.capacity // 2, pack.start > pack.capacity // 2)


cdef inline Listpack *listpack_insert(Memory *memory, Listpack *pack, size_t offset, const char *data,
                                      size_t length) noexcept nogil:
    """Insert before the element (or end marker) at `offset`; `data` lies outside of this listpack."""
    cdef Packing packing
    packing_set(&packing, data, length)
    pack = listpack_splice(memory, pack, offset, 0, packing.total_bytes)
    packing_write(listpack_bytes(pack) + offset, &packing, data, length)
    listpack_add_count(pack, 1)
    return pack


cdef inline Listpack *listpack_append(Memory *memory, Listpack *pack, const char *data, size_t length) noexcept nogil:
    return listpack_insert(memory, pack, listpack_size(pack) - 1, data, length)


cdef inline Listpack *listpack_prepend(Memory *memory, Listpack *pack, const char *data, size_t length) noexcept nogil:
    return listpack_insert(memory, pack, LISTPACK_HEADER_BYTES, data, length)


cdef inline Listpack *listpack_replace(Memory *memory, Listpack *pack, size_t offset, const char *data,
                                       size_t length) noexcept nogil:
    """Put another element in the place of the one at `offset`; `data` lies outside of this listpack."""
    cdef Packing packing
    packing_set(&packing, data, length)
    pack = listpack_splice(memory, pack, offset, element_size(listpack_bytes(pack) + offset), packing.total_bytes)
    packing_write(listpack_bytes(pack) + offset, &packing, data, length)
    return listpack_slim(memory, pack)


cdef inline Listpack *listpack_delete(Memory *memory, Listpack *pack, size_t offset, size_t count) noexcept nogil:
    """Remove `count` elements from `offset` on; they are known to be there."""
    cdef const uint8_t *first = listpack_bytes(pack) + offset
    cdef const uint8_t *p = first
    cdef size_t rest = count
    while rest:
        p += element_size(p)
        rest -= 1
    pack = listpack_splice(memory, pack, offset, <size_t>(p - first), 0)
    listpack_add_count(pack, -<int64_t>count)
    return listpack_slim(memory, pack)


cdef inline const uint8_t *listpack_seek(const Listpack *pack, size_t index, size_t count) noexcept nogil:
    """The element at `index`, below the known `count`; walks from the nearer end."""
    cdef const uint8_t *p
    if index < count // 2:
        p = listpack_first(pack)
        while index:
            p += element_size(p)
            index -= 1
        return p
    p = listpack_end(pack)
    while index < count:
        p = element_before(p)
        index += 1
    return p


cdef inline size_t element_size_within(const uint8_t *p, size_t available) noexcept nogil:
    """As element_size for bytes that nobody vouches for: 0 if the element is malformed or passes `available`."""
    cdef uint8_t lead = p[0] if available else LISTPACK_END
    cdef size_t head = 1
    cdef size_t size
    cdef size_t width
    cdef uint8_t expected[5]
    if lead > LEAD_INTEGER_64:
        return 0
    if lead == LEAD_STRING_32:
        head = 5
    elif LEAD_INTEGER_13 <= lead < LEAD_STRING_32:
        head = 2
    if head > available:
        return 0
    size = encoded_size(p)
    width = back_length_bytes(size)
    if size > available or width > available - size:
        return 0
    write_back_length(expected, size)
    if memcmp(expected, p + size, width) != 0:
        return 0
    return size + width


cdef inline bint listpack_is_valid(const uint8_t *block, size_t size, size_t *count) noexcept nogil:
    """Whether these bytes are exactly one well-formed listpack; if so, `count` is its number of elements."""
    cdef size_t position = LISTPACK_HEADER_BYTES
    cdef size_t found = 0
    cdef size_t claimed
    cdef size_t step
    if size < LISTPACK_EMPTY_BYTES or load_u32(block) != size or block[size - 1] != LISTPACK_END:
        return False
    while position < size - 1:
        step = element_size_within(block + position, size - 1 - position)
        if step == 0:
            return False
        position += step
        found += 1
    claimed = block[4] | (<size_t>block[5] << 8)
    count[0] = found
    return claimed == found or claimed == LISTPACK_COUNT_UNKNOWN
