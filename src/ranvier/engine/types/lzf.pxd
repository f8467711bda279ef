"""LZF, the compression of long strings in the RDB format (Marc Lehmann, LibLZF: the format; the code here is our own).

A stream of groups, each opened by a byte C. C < 32: C + 1 literal bytes follow. Else a copy of what was written before:
its length is 2 + (C >> 5), or 9 + the next byte when C >> 5 is 7; the byte behind that, with the low five bits of C
above it, is the distance back, less one. So no group expands to more than 264 bytes from 3, which bounds what a hostile
announcement of the expanded length can make us allocate. Header only, so that it links without another module.
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

cdef enum:
    LZF_TABLE_SLOTS = 8192
    LZF_LEAST_TABLE_BITS = 7
    LZF_DISTANCE = 8192          # farthest copy
    LZF_COPY_BYTES = 264         # longest copy
    LZF_LITERAL_BYTES = 32       # longest run of literals
    LZF_LEAST_COPY_BYTES = 3
    LZF_EXPANSION = 88           # 264 bytes from 3


cdef inline uint32_t lzf_three(const uint8_t *p) noexcept nogil:
    return p[0] | (<uint32_t>p[1] << 8) | (<uint32_t>p[2] << 16)


cdef inline uint32_t lzf_slot(uint32_t three, int bits) noexcept nogil:
    """Where these three bytes are remembered, of 2**bits places (Knuth's multiplicative hash)."""
    return (three * <uint32_t>2654435761) >> (32 - bits)


cdef inline bint lzf_literals(const uint8_t *source, size_t count, uint8_t *target, size_t room,
                              size_t *written) noexcept nogil:
    """Write runs of literals; False when there is no room for them."""
    cdef size_t run
    while count:
        run = count if count < LZF_LITERAL_BYTES else LZF_LITERAL_BYTES
        if room - written[0] < run + 1:
            return False
        target[written[0]] = <uint8_t>(run - 1)
        memcpy(target + written[0] + 1, source, run)
        written[0] += run + 1
        source += run
        count -= run
    return True


cdef inline size_t lzf_match(const uint8_t *earlier, const uint8_t *later, size_t longest) noexcept nogil:
    """How many bytes are the same, `longest` at most; eight at a time."""
    cdef uint64_t one, other
    cdef size_t matched = 0
    while matched + 8 <= longest:
        memcpy(&one, earlier + matched, 8)
        memcpy(&other, later + matched, 8)
        if one != other:
            break
        matched += 8
    while matched < longest and earlier[matched] == later[matched]:
        matched += 1
    return matched


cdef inline size_t lzf_compress(const uint8_t *source, size_t length, uint8_t *target, size_t room) noexcept nogil:
    """Compress; the number of bytes written, 0 when they are more than `room`."""
    cdef uint32_t last_seen[LZF_TABLE_SLOTS]         # place + 1 of the last three bytes with this hash
    cdef size_t at = 0
    cdef size_t literal = 0                          # the first byte that is not written yet
    cdef size_t written = 0
    cdef size_t candidate, distance, matched, longest
    cdef uint32_t slot, three
    cdef bint there
    cdef int bits = LZF_LEAST_TABLE_BITS
    if length >= 0xffffffffU:
        return 0
    # A short string needs few of the places: clearing all of them would take longer than to compress it.
    while <size_t>1 << bits < length and 1 << bits < LZF_TABLE_SLOTS:
        bits += 1
    memset(last_seen, 0, sizeof(uint32_t) << bits)
    while at + LZF_LEAST_COPY_BYTES <= length:
        three = lzf_three(source + at)
        slot = lzf_slot(three, bits)
        candidate = last_seen[slot]
        last_seen[slot] = <uint32_t>(at + 1)
        distance = at + 1 - candidate
        there = candidate != 0
        candidate -= there
        # One branch, nearly always taken in what does not compress; where nothing was seen it looks at place 0.
        if not (there & (distance <= LZF_DISTANCE) & (lzf_three(source + candidate) == three)):
            at += 1
            continue
        longest = length - at if length - at < LZF_COPY_BYTES else LZF_COPY_BYTES
        matched = lzf_match(source + candidate, source + at, longest)
        if not lzf_literals(source + literal, at - literal, target, room, &written) or room - written < 3:
            return 0
        distance -= 1
        if matched - 2 < 7:
            target[written] = <uint8_t>(((matched - 2) << 5) | (distance >> 8))
        else:
            target[written] = <uint8_t>((7 << 5) | (distance >> 8))
            written += 1
            target[written] = <uint8_t>(matched - 9)
        target[written + 1] = <uint8_t>distance
        written += 2
        literal = at + matched
        # Of what is copied only the end is remembered: all of it would take longer than the rest, and gain little.
        at = literal - 2
        while at < literal and at + LZF_LEAST_COPY_BYTES <= length:
            last_seen[lzf_slot(lzf_three(source + at), bits)] = <uint32_t>(at + 1)
            at += 1
        at = literal
    if not lzf_literals(source + literal, length - literal, target, room, &written):
        return 0
    return written


cdef inline bint lzf_expand(const uint8_t *source, size_t length, uint8_t *target, size_t expanded) noexcept nogil:
    """Expand to exactly `expanded` bytes; False when the stream is malformed or of another length."""
    cdef size_t at = 0
    cdef size_t written = 0
    cdef size_t count, distance
    cdef uint8_t head
    while at < length:
        head = source[at]
        at += 1
        if head < LZF_LITERAL_BYTES:
            count = <size_t>head + 1
            if count > length - at or count > expanded - written:
                return False
            memcpy(target + written, source + at, count)
            at += count
            written += count
            continue
        count = <size_t>(head >> 5) + 2
        if count == 9:
            if at == length:
                return False
            count += source[at]
            at += 1
        if at == length:
            return False
        distance = ((<size_t>(head & 31) << 8) | source[at]) + 1
        at += 1
        if distance > written or count > expanded - written:
            return False
        while count:                                 # byte by byte: a copy may overlap what it writes
            target[written] = target[written - distance]
            written += 1
            count -= 1
    return written == expanded
