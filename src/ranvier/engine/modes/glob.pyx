"""Glob patterns over bytes: `*`, `?`, `[a-z]`, `[^a-z]` and `\\` before an ordinary byte (`keyspace/glob.py` has more).

Every item but the star takes exactly one byte, so a mismatch needs only the last star met to take one byte more: an
earlier one could gain nothing that the last cannot. That bounds the work, however many stars a peer sends.
"""


cdef inline bint set_holds(const char *pattern, size_t length, size_t *position, unsigned char byte) noexcept nogil:
    """Whether the set whose `[` stands before *position holds `byte`; the position moves behind its `]`, or the end."""
    cdef size_t at = position[0]
    cdef bint negated = at < length and pattern[at] == c'^'
    cdef bint found = False
    cdef unsigned char low, high
    if negated:
        at += 1
    while at < length and pattern[at] != c']':
        if pattern[at] == c'\\' and at + 1 < length:
            low = high = <unsigned char>pattern[at + 1]
            at += 2
        elif at + 2 < length and pattern[at + 1] == c'-':
            low = <unsigned char>pattern[at]
            high = <unsigned char>pattern[at + 2]
            if low > high:
                low, high = high, low
            at += 3
        else:
            low = high = <unsigned char>pattern[at]
            at += 1
        if low <= byte <= high:
            found = True
    position[0] = at + 1 if at < length else length
    return found != negated


cdef inline bint item_takes(const char *pattern, size_t length, size_t *position, char byte) noexcept nogil:
    """Whether the item at *position, which is no star, takes `byte`; the position moves behind it."""
    cdef char item = pattern[position[0]]
    position[0] += 1
    if item == c'?':
        return True
    if item == c'[':
        return set_holds(pattern, length, position, <unsigned char>byte)
    if item == c'\\' and position[0] < length:
        item = pattern[position[0]]
        position[0] += 1
    return item == byte


cdef bint glob_match(const char *pattern, size_t pattern_length, const char *text, size_t length) noexcept nogil:
    cdef size_t at = 0, item = 0, next_item
    cdef size_t after_star = 0, star_at = 0
    cdef bint star = False
    if length == 0:          # the reference servers' matching does not begin: `**` is refused
        return pattern_length == 0 or (pattern_length == 1 and pattern[0] == c'*')
    while at < length:
        if item < pattern_length and pattern[item] == c'*':
            while item < pattern_length and pattern[item] == c'*':
                item += 1
            if item == pattern_length:
                return True
            star = True
            after_star = item
            star_at = at
            continue
        if item < pattern_length:
            next_item = item
            if item_takes(pattern, pattern_length, &next_item, text[at]):
                item = next_item
                at += 1
                continue
        if not star:
            return False
        star_at += 1
        at = star_at
        item = after_star
    while item < pattern_length and pattern[item] == c'*':
        item += 1
    return item == pattern_length


def matches(bytes pattern, bytes text) -> bool:
    """Whether `text` matches `pattern`: the Python side, for tests and introspection."""
    return glob_match(pattern, len(pattern), text, len(text))
