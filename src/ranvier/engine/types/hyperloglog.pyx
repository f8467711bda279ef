"""HyperLogLogs: how many different elements were added, estimated from 16,384 registers.

The format is Redis's, so that values travel between servers as strings: 16 bytes of header (`HYLL`, the encoding, three
unused bytes, the last estimate as a little-endian number whose highest bit says that it no longer holds), then the
registers. Dense: 6 bits each, the lowest bits of a byte first. Sparse: opcodes, each for a run of registers,

    00nnnnnn            n + 1 registers of 0
    01nnnnnn nnnnnnnn   n + 1 registers of 0
    1vvvvvnn            n + 1 registers of v + 1

Elements are hashed by MurmurHash64A (Austin Appleby, public domain) with the seed that the format fixes: 14 bits
choose the register, the position of the lowest one among the other 50 is its value. The estimate is Otmar Ertl's ("New
cardinality estimation algorithms for HyperLogLog sketches", 2017, section 4), in the same order of operations as the
reference servers', so that it is the same number.

Invariant: an opcode is read only when it lies in the string as a whole, and a register only when its index is below
HLL_REGISTERS: strings come from SET as well, so every sparse one is distrusted. Where a value is raised, the sparse
bytes are changed as the reference changes them, so that equal commands leave equal bytes.
"""

from libc.stdint cimport uint32_t
from libc.math cimport pow, sqrt
from libc.string cimport memcmp, memcpy, memmove, memset

from ranvier.engine.memory cimport blob_data, blob_grow, blob_new, blob_release

cdef extern from "<math.h>" nogil:
    const double INFINITY
    long long llroundl(long double value)

cdef extern from *:
    """
    #define ranvier_trailing_zeros(word) __builtin_ctzll(word)
    """
    int ranvier_trailing_zeros(uint64_t word) noexcept nogil

cdef enum:
    INDEX_BITS = 14
    VALUE_BITS = 50              # of the hash; a register's value is at most one more
    SPARSE_VALUE_LIMIT = 32      # the greatest that a sparse opcode holds
    VALUE_RUN = 4                # registers that one opcode of equal values covers, at most
    ZERO_RUN = 64                # the same of a short one of zeros
    MERGED_OPCODES = 5           # looked at for merging after a change
    COUNT_PLACE = 8              # of the kept estimate in the header
    SPARSE_GROWTH_BYTES = 32     # more room at once for a sparse one than it needs now

cdef double ALPHA = 0.721347520444481703680      # 1 / (2 ln 2)


cdef inline uint64_t load_word(const char *p) noexcept nogil:
    """Eight little-endian bytes."""
    cdef const uint8_t *b = <const uint8_t *>p
    return b[0] | <uint64_t>b[1] << 8 | <uint64_t>b[2] << 16 | <uint64_t>b[3] << 24 \
        | <uint64_t>b[4] << 32 | <uint64_t>b[5] << 40 | <uint64_t>b[6] << 48 | <uint64_t>b[7] << 56


cdef uint64_t hll_hash(const char *data, size_t length) noexcept nogil:
    """MurmurHash64A."""
    cdef uint64_t multiplier = 0xc6a4a7935bd1e995ULL
    cdef uint64_t h = 0xadc83b19ULL ^ (<uint64_t>length * multiplier)
    cdef uint64_t k = 0
    cdef size_t left
    while length >= 8:
        k = load_word(data) * multiplier
        k ^= k >> 47
        h = (h ^ (k * multiplier)) * multiplier
        data += 8
        length -= 8
    if length:
        k = 0
        left = length
        while left:
            left -= 1
            k = k << 8 | <uint8_t>data[left]
        h = (h ^ k) * multiplier
    h ^= h >> 47
    h *= multiplier
    return h ^ (h >> 47)


# ---- header ---------------------------------------------------------------------------------------------------------

cdef bint hll_is_valid(const char *data, size_t size) noexcept nogil:
    if size < HLL_HEADER_BYTES or memcmp(data, b"HYLL", 4) != 0:
        return False
    if data[4] == HLL_DENSE:
        return size == HLL_DENSE_BYTES
    return data[4] == HLL_SPARSE


cdef int hll_encoding(const char *data) noexcept nogil:
    return data[4]


cdef void hll_forget_count(char *data) noexcept nogil:
    data[COUNT_PLACE + 7] |= <char>0x80


cdef bint hll_kept_count(const char *data, uint64_t *count) noexcept nogil:
    count[0] = load_word(data + COUNT_PLACE)
    return count[0] >> 63 == 0


cdef void hll_keep_count(char *data, uint64_t count) noexcept nogil:
    cdef int i
    for i in range(8):
        data[COUNT_PLACE + i] = <char>(count >> (8 * i))


# ---- dense registers ------------------------------------------------------------------------------------------------

cdef inline int dense_get(const uint8_t *registers, size_t index) noexcept nogil:
    cdef size_t at = index * 6 >> 3
    cdef int shift = index * 6 & 7
    cdef int bits = registers[at] >> shift
    if shift > 2:                # it goes on in the next byte, which is there: the last register ends with its byte
        bits |= registers[at + 1] << (8 - shift)
    return bits & 63


cdef inline void dense_set(uint8_t *registers, size_t index, int value) noexcept nogil:
    cdef size_t at = index * 6 >> 3
    cdef int shift = index * 6 & 7
    registers[at] = <uint8_t>((registers[at] & ~(63 << shift)) | (value << shift))
    if shift > 2:
        registers[at + 1] = <uint8_t>((registers[at + 1] & ~(63 >> (8 - shift))) | (value >> (8 - shift)))


cdef void dense_unpack(const uint8_t *packed, uint8_t *registers) noexcept nogil:
    """One byte per register: four from three bytes."""
    cdef size_t _four
    cdef uint32_t word
    for _four in range(<size_t>HLL_REGISTERS // 4):
        word = packed[0] | <uint32_t>packed[1] << 8 | <uint32_t>packed[2] << 16
        registers[0] = word & 63
        registers[1] = word >> 6 & 63
        registers[2] = word >> 12 & 63
        registers[3] = <uint8_t>(word >> 18)
        packed += 3
        registers += 4


# ---- sparse opcodes -------------------------------------------------------------------------------------------------

cdef inline bint is_value(uint8_t opcode) noexcept nogil:
    return opcode & 0x80 != 0


cdef inline bint is_long_zero(uint8_t opcode) noexcept nogil:
    return opcode & 0xc0 == 0x40


cdef inline int opcode_value(uint8_t opcode) noexcept nogil:
    return (opcode >> 2 & 31) + 1


cdef inline int short_run(uint8_t opcode) noexcept nogil:
    """Registers that a one-byte opcode covers."""
    return (opcode & 3 if opcode & 0x80 else opcode & 63) + 1


cdef inline int long_run(const uint8_t *p) noexcept nogil:
    return ((p[0] & 63) << 8 | p[1]) + 1


cdef inline uint8_t value_opcode(int value, int run) noexcept nogil:
    return <uint8_t>(0x80 | (value - 1) << 2 | (run - 1))


cdef inline int write_zeros(uint8_t *p, int run) noexcept nogil:
    """The shortest opcode for a run of zeros; returns its bytes."""
    run -= 1
    if run < ZERO_RUN:
        p[0] = <uint8_t>run
        return 1
    p[0] = <uint8_t>(0x40 | run >> 8)
    p[1] = <uint8_t>run
    return 2


cdef int hll_next_run(const uint8_t *p, const uint8_t *end, int *value, int *size) noexcept nogil:
    if p >= end:
        return 0
    value[0] = opcode_value(p[0]) if is_value(p[0]) else 0
    size[0] = 1
    if not is_long_zero(p[0]):
        return short_run(p[0])
    if p + 1 == end:
        return 0
    size[0] = 2
    return long_run(p)


cdef bint sparse_unpack(const char *data, size_t size, uint8_t *registers) noexcept nogil:
    """Raise one byte per register; 0 when the opcodes do not cover exactly all registers."""
    cdef const uint8_t *p = <const uint8_t *>data + HLL_HEADER_BYTES
    cdef const uint8_t *end = <const uint8_t *>data + size
    cdef int index = 0, i, run, value = 0, step = 0
    while True:
        run = hll_next_run(p, end, &value, &step)
        if run == 0:
            return p == end and index == HLL_REGISTERS
        if index + run > HLL_REGISTERS:
            return False
        if value:
            for i in range(index, index + run):
                if registers[i] < value:
                    registers[i] = <uint8_t>value
        index += run
        p += step


cdef bint hll_to_dense(Memory *memory, Blob **blob) noexcept nogil:
    cdef uint8_t registers[HLL_REGISTERS]
    cdef uint8_t *packed
    cdef Blob *dense
    cdef char *data = blob_data(blob[0])
    cdef size_t i
    if hll_encoding(data) == HLL_DENSE:
        return True
    memset(registers, 0, HLL_REGISTERS)
    if not sparse_unpack(data, blob[0].size, registers):
        return False
    dense = blob_new(memory, HLL_DENSE_BYTES)
    dense.size = HLL_DENSE_BYTES
    memcpy(blob_data(dense), data, HLL_HEADER_BYTES)
    blob_data(dense)[4] = HLL_DENSE
    packed = <uint8_t *>blob_data(dense) + HLL_HEADER_BYTES
    memset(packed, 0, HLL_DENSE_BYTES - HLL_HEADER_BYTES)
    for i in range(<size_t>HLL_REGISTERS):
        if registers[i]:
            dense_set(packed, i, registers[i])
    blob_release(memory, blob[0])
    blob[0] = dense
    return True


# What surrounds a register in the sparse form.
cdef struct SparsePlace:
    uint8_t *opcode
    uint8_t *previous            # the opcode before, or NULL
    int first                    # the first register of its run
    int run
    int size                     # bytes of the opcode


cdef bint sparse_find(Blob *blob, int index, SparsePlace *place) noexcept nogil:
    """The opcode that covers a register; 0 when none does."""
    cdef uint8_t *p = <uint8_t *>blob_data(blob) + HLL_HEADER_BYTES
    cdef uint8_t *end = <uint8_t *>blob_data(blob) + blob.size
    cdef uint8_t *last = end - 1
    cdef uint8_t *previous = NULL
    cdef int first = 0, run, step
    # Most of the time of PFADD goes by here: no branch but those that leave, and nothing read behind the last byte.
    while p < last:
        step = 1 + is_long_zero(p[0])
        run = long_run(p) if step == 2 else short_run(p[0])
        if first + run > index:
            break
        first += run
        previous = p
        p += step
    if p == last:
        if is_long_zero(p[0]):
            return False
        step = 1
        run = short_run(p[0])
        if first + run <= index:
            return False
    elif p > last:
        return False
    place.opcode = p
    place.previous = previous
    place.first = first
    place.run = run
    place.size = step
    return True


cdef int split_run(const SparsePlace *place, int index, int value, uint8_t *opcodes) noexcept nogil:
    """What takes the place of a run when one of its registers gets another value; returns the bytes, at most 5."""
    cdef int before = index - place.first
    cdef int behind = place.run - before - 1
    cdef int size = 0, old
    if is_value(place.opcode[0]):
        old = opcode_value(place.opcode[0])
        if before:
            opcodes[0] = value_opcode(old, before)
            size = 1
        opcodes[size] = value_opcode(value, 1)
        size += 1
        if behind:
            opcodes[size] = value_opcode(old, behind)
            size += 1
        return size
    if before:
        size = write_zeros(opcodes, before)
    opcodes[size] = value_opcode(value, 1)
    size += 1
    if behind:
        size += write_zeros(opcodes + size, behind)
    return size


cdef void merge_runs(Blob *blob, uint8_t *p) noexcept nogil:
    """Join neighbours of equal value from an opcode on, as far as one change can have made them neighbours."""
    cdef uint8_t *end = <uint8_t *>blob_data(blob) + blob.size
    cdef int looks = MERGED_OPCODES, run
    while p < end and looks:
        looks -= 1
        if not is_value(p[0]):
            p += 1 + is_long_zero(p[0])
            continue
        if p + 1 < end and is_value(p[1]) and opcode_value(p[0]) == opcode_value(p[1]):
            run = short_run(p[0]) + short_run(p[1])
            if run <= VALUE_RUN:
                p[1] = value_opcode(opcode_value(p[0]), run)
                memmove(p, p + 1, end - p - 1)
                blob.size -= 1
                end -= 1
                continue
        p += 1


cdef int dense_raise(Blob *blob, size_t index, int value) noexcept nogil:
    cdef uint8_t *registers = <uint8_t *>blob_data(blob) + HLL_HEADER_BYTES
    if dense_get(registers, index) >= value:
        return HLL_SAME
    dense_set(registers, index, value)
    return HLL_CHANGED


cdef int promote_and_raise(Memory *memory, Blob **blob, size_t index, int value) noexcept nogil:
    if not hll_to_dense(memory, blob):
        return HLL_CORRUPT
    dense_raise(blob[0], index, value)
    return HLL_CHANGED


cdef int sparse_raise(Memory *memory, Blob **blob, int index, int value, size_t sparse_limit) noexcept nogil:
    cdef SparsePlace place
    cdef uint8_t[8] opcodes
    cdef int size, more
    cdef size_t at, previous_at
    if blob[0].size > HLL_HEADER_BYTES + 2 * HLL_REGISTERS:
        return HLL_CORRUPT       # more opcodes than registers: nobody moves megabytes for those
    if value > SPARSE_VALUE_LIMIT:
        return promote_and_raise(memory, blob, index, value)
    if not sparse_find(blob[0], index, &place):
        return HLL_CORRUPT
    if is_value(place.opcode[0]) and opcode_value(place.opcode[0]) >= value:
        return HLL_SAME
    size = split_run(&place, index, value, opcodes)
    more = size - place.size
    if more > 0 and blob[0].size + more > sparse_limit:
        return promote_and_raise(memory, blob, index, value)
    at = place.opcode - <uint8_t *>blob_data(blob[0])
    previous_at = (place.previous - <uint8_t *>blob_data(blob[0])) if place.previous != NULL else HLL_HEADER_BYTES
    if more > 0 and blob[0].size + more > blob[0].capacity:
        blob[0] = blob_grow(memory, blob[0], blob[0].size + blob[0].size // 8 + SPARSE_GROWTH_BYTES)
    place.opcode = <uint8_t *>blob_data(blob[0]) + at
    if more:
        memmove(place.opcode + size, place.opcode + place.size, blob[0].size - at - place.size)
        blob[0].size += more
    memcpy(place.opcode, opcodes, size)
    merge_runs(blob[0], <uint8_t *>blob_data(blob[0]) + previous_at)
    return HLL_CHANGED


# ---- operations -----------------------------------------------------------------------------------------------------

cdef Blob *hll_new(Memory *memory) noexcept nogil:
    """An empty one, sparse."""
    cdef Blob *blob = blob_new(memory, HLL_HEADER_BYTES + 2 + SPARSE_GROWTH_BYTES)
    cdef char *data = blob_data(blob)
    memset(data, 0, HLL_HEADER_BYTES)
    memcpy(data, b"HYLL", 4)
    data[4] = HLL_SPARSE
    blob.size = HLL_HEADER_BYTES + write_zeros(<uint8_t *>data + HLL_HEADER_BYTES, HLL_REGISTERS)
    return blob


cdef int hll_raise(Memory *memory, Blob **blob, size_t index, int value, size_t sparse_limit) noexcept nogil:
    """Have a register be at least `value`; a HyperLogLogResult."""
    if hll_encoding(blob_data(blob[0])) == HLL_DENSE:
        return dense_raise(blob[0], index, value)
    return sparse_raise(memory, blob, <int>index, value, sparse_limit)


cdef int hll_add(Memory *memory, Blob **blob, const char *element, size_t length, size_t sparse_limit) noexcept nogil:
    """Count an element; a HyperLogLogResult. A sparse one that outgrows `sparse_limit` bytes becomes dense."""
    cdef uint64_t h = hll_hash(element, length)
    cdef int value = ranvier_trailing_zeros(h >> INDEX_BITS | <uint64_t>1 << VALUE_BITS) + 1
    return hll_raise(memory, blob, h & (HLL_REGISTERS - 1), value, sparse_limit)


cdef bint hll_merge(uint8_t *registers, const char *data, size_t size) noexcept nogil:
    cdef uint8_t unpacked[HLL_REGISTERS]
    cdef size_t i
    if hll_encoding(data) == HLL_SPARSE:
        return sparse_unpack(data, size, registers)
    dense_unpack(<const uint8_t *>data + HLL_HEADER_BYTES, unpacked)
    for i in range(<size_t>HLL_REGISTERS):
        registers[i] = unpacked[i] if unpacked[i] > registers[i] else registers[i]
    return True


cdef double sigma(double x) noexcept nogil:
    """x + x^2 + 2 x^4 + 4 x^8 + ... (Ertl)"""
    cdef double before = -1, factor = 1, sum = x
    if x == 1:
        return INFINITY
    while sum != before:
        x *= x
        before = sum
        sum += x * factor
        factor += factor
    return sum


cdef double tau(double x) noexcept nogil:
    """(1 - x - (1 - x^(1/2))^2 / 2 - (1 - x^(1/4))^2 / 4 - ...) / 3 (Ertl)"""
    cdef double before = -1, factor = 1, sum = 1 - x
    if x == 0 or x == 1:
        return 0
    while sum != before:
        x = sqrt(x)
        before = sum
        factor *= 0.5
        sum -= pow(1 - x, 2) * factor
    return sum / 3


cdef uint64_t hll_count_registers(const uint8_t *registers) noexcept nogil:
    cdef int histogram[64]
    cdef double count = HLL_REGISTERS, z
    cdef size_t i
    cdef int value
    memset(histogram, 0, sizeof(histogram))
    for i in range(<size_t>HLL_REGISTERS):
        histogram[registers[i] & 63] += 1
    z = count * tau((count - histogram[VALUE_BITS + 1]) / count)
    for value in range(VALUE_BITS, 0, -1):
        z += histogram[value]
        z *= 0.5
    z += count * sigma(histogram[0] / count)
    return <uint64_t>llroundl(ALPHA * count * count / z)


cdef bint hll_count(const char *data, size_t size, uint64_t *count) noexcept nogil:
    cdef uint8_t registers[HLL_REGISTERS]
    if hll_encoding(data) == HLL_DENSE:
        dense_unpack(<const uint8_t *>data + HLL_HEADER_BYTES, registers)
    else:
        memset(registers, 0, HLL_REGISTERS)
        if not sparse_unpack(data, size, registers):
            return False
    count[0] = hll_count_registers(registers)
    return True
