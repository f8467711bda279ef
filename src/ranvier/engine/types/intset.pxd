"""The intset: distinct integers in ascending order in one block, byte for byte as the RDB format stores it.

Format: `width u32 LE | count u32 LE | integer ...`, each integer two's complement of `width` bytes: 2, 4 or 8, the
smallest that every integer ever held fits into. A wider one is outside of the range of those held, so that widening
puts it at an end and moves each of the others once, from the last to the first.

The block is the allocation: what the allocator gave beyond it is spare room. Addresses into it die with the next
change. Header only, so that whoever uses it links without another module.
"""

from libc.stddef cimport size_t
from libc.stdint cimport INT16_MAX, INT16_MIN, INT32_MAX, INT32_MIN, int16_t, int32_t, int64_t, uint8_t, uint32_t
from libc.string cimport memcpy, memmove

from ranvier.engine.memory cimport Memory, allocate, ranvier_usable_size, release_lazily, resize

cdef enum:
    INTSET_SPARE_FLOOR_BYTES = 64          # less is not worth giving back

# The integers follow.
cdef struct Intset:
    uint32_t width
    uint32_t count


cdef inline uint32_t integer_width(int64_t value) noexcept nogil:
    """The bytes that an integer needs: 2, 4 or 8."""
    if INT16_MIN <= value <= INT16_MAX:
        return 2
    return 4 if INT32_MIN <= value <= INT32_MAX else 8


cdef inline size_t intset_size(const Intset *self) noexcept nogil:
    """Bytes of the block."""
    return sizeof(Intset) + <size_t>self.count * self.width


cdef inline int64_t integer_at(const Intset *self, uint32_t width, size_t index) noexcept nogil:
    cdef const char *integers = <const char *>(self + 1)
    if width == 2:
        return (<const int16_t *>integers)[index]
    if width == 4:
        return (<const int32_t *>integers)[index]
    return (<const int64_t *>integers)[index]


cdef inline int64_t intset_get(const Intset *self, size_t index) noexcept nogil:
    """The integer at `index`, which is below the count."""
    return integer_at(self, self.width, index)


cdef inline void intset_put(Intset *self, size_t index, int64_t value) noexcept nogil:
    cdef char *integers = <char *>(self + 1)
    if self.width == 2:
        (<int16_t *>integers)[index] = <int16_t>value
    elif self.width == 4:
        (<int32_t *>integers)[index] = <int32_t>value
    else:
        (<int64_t *>integers)[index] = value


cdef inline Intset *intset_new(Memory *memory) noexcept nogil:
    cdef Intset *self = <Intset *>allocate(memory, sizeof(Intset))
    self.width = 2
    self.count = 0
    return self


cdef inline Intset *intset_from_bytes(Memory *memory, const uint8_t *block, size_t size) noexcept nogil:
    """A copy of a block that `intset_is_valid` accepted."""
    cdef Intset *self = <Intset *>allocate(memory, size)
    memcpy(self, block, size)
    return self


cdef inline bint intset_find(const Intset *self, int64_t value, size_t *place) noexcept nogil:
    """Whether it is there; `place` is where it stands, or would."""
    cdef size_t low = 0
    cdef size_t high = self.count
    cdef size_t middle
    cdef int64_t found
    if high and intset_get(self, high - 1) < value:          # ascending insertion is the common case
        place[0] = high
        return False
    while low < high:
        middle = (low + high) // 2
        found = intset_get(self, middle)
        if found == value:
            place[0] = middle
            return True
        if found < value:
            low = middle + 1
        else:
            high = middle
    place[0] = low
    return False


cdef inline bint intset_contains(const Intset *self, int64_t value) noexcept nogil:
    cdef size_t place = 0
    return integer_width(value) <= self.width and intset_find(self, value, &place)


cdef inline Intset *intset_make_room(Memory *memory, Intset *self, size_t size) noexcept nogil:
    """An allocation of `size` bytes at least; a growing one gets an eighth more."""
    if size <= ranvier_usable_size(self):
        return self
    return <Intset *>resize(memory, self, size + size // 8)


cdef inline Intset *intset_widen(Memory *memory, Intset *self, uint32_t width) noexcept nogil:
    """Store each integer in `width` bytes, with room for one more."""
    cdef uint32_t narrow = self.width
    cdef size_t index = self.count
    self = intset_make_room(memory, self, sizeof(Intset) + (index + 1) * width)
    self.width = width
    while index:
        index -= 1
        intset_put(self, index, integer_at(self, narrow, index))
    return self


cdef inline Intset *intset_add(Memory *memory, Intset *self, int64_t value, bint *added) noexcept nogil:
    """Returns the intset, perhaps at another address."""
    cdef size_t place = 0
    cdef uint32_t width = integer_width(value)
    added[0] = False
    if width > self.width:
        self = intset_widen(memory, self, width)
    if intset_find(self, value, &place):
        return self
    added[0] = True
    self = intset_make_room(memory, self, intset_size(self) + self.width)
    memmove(<char *>(self + 1) + (place + 1) * self.width, <char *>(self + 1) + place * self.width,
            (self.count - place) * self.width)
    self.count += 1
    intset_put(self, place, value)
    return self


cdef inline Intset *intset_slim(Memory *memory, Intset *self) noexcept nogil:
    """After removals: give back what is more than half empty."""
    cdef size_t size = intset_size(self)
    if ranvier_usable_size(self) < 2 * size + INTSET_SPARE_FLOOR_BYTES:
        return self
    return <Intset *>resize(memory, self, size)


cdef inline Intset *intset_remove_at(Memory *memory, Intset *self, size_t place) noexcept nogil:
    self.count -= 1
    memmove(<char *>(self + 1) + place * self.width, <char *>(self + 1) + (place + 1) * self.width,
            (self.count - place) * self.width)
    return intset_slim(memory, self)


cdef inline Intset *intset_remove(Memory *memory, Intset *self, int64_t value, bint *removed) noexcept nogil:
    """Returns the intset, perhaps at another address; its width stays."""
    cdef size_t place = 0
    removed[0] = integer_width(value) <= self.width and intset_find(self, value, &place)
    return intset_remove_at(memory, self, place) if removed[0] else self


cdef inline bint intset_is_valid(const uint8_t *block, size_t size) noexcept nogil:
    """Whether these bytes are exactly one well-formed intset that holds something, in ascending order."""
    cdef Intset head
    cdef size_t index
    if size < sizeof(Intset):
        return False
    memcpy(&head, block, sizeof(Intset))
    if head.width not in (2, 4, 8) or head.count == 0 or intset_size(&head) != size:
        return False
    for index in range(1, head.count):
        if unaligned_integer(block, head.width, index - 1) >= unaligned_integer(block, head.width, index):
            return False
    return True


cdef inline int64_t unaligned_integer(const uint8_t *block, uint32_t width, size_t index) noexcept nogil:
    cdef int16_t short_integer
    cdef int32_t integer
    cdef int64_t long_integer
    block += sizeof(Intset) + index * width
    if width == 2:
        memcpy(&short_integer, block, 2)
        return short_integer
    if width == 4:
        memcpy(&integer, block, 4)
        return integer
    memcpy(&long_integer, block, 8)
    return long_integer


cdef inline void intset_free(Memory *memory, Intset *self) noexcept nogil:
    release_lazily(memory, self)
