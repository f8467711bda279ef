"""The hash table of cache-line buckets: linear hashing over segments.

Strategy. A bucket is one cache line: a presence byte, seven tags (the top byte of each item's hash) and seven item
addresses. A look-up reads one line, compares all tags at once, and touches an item only when its tag matches, so a hit
costs two cache misses and a miss mostly one. A bucket that overflows keeps six items and uses slot 6 as the address of
a further bucket.

Linear hashing (Litwin 1980) adds one home bucket at a time: bucket `split` hands the items whose next hash bit is set
to the new last bucket, and `split` moves on; when it has gone through a level, the mask gets one bit more. So there is
never a second table to search, no moment at which a whole table is rehashed, and memory follows the number of items
smoothly instead of doubling. Home buckets stand in segments of SEGMENT_BUCKETS, which never move; only the first
segment grows, by doubling from one bucket, so that a small table is small.

Invariants.
- `buckets == low_mask + 1 + split`, `split <= low_mask`; both are 0 in a table that owns no memory (buckets == 0).
- An item with hash h is in the chain of home bucket `home_index(h)`, and nowhere else.
- Bit 7 of `present` excludes bit 6. A chained bucket holds at least two items, and only the last bucket of a chain has
  free slots among those that hold items: a removal fills its hole from the end of the chain.
- The segment array holds exactly the segments that `buckets` needs; the first one has room for the power of two that
  `buckets` needs, up to SEGMENT_BUCKETS.
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memcmp, memcpy, memset

from ranvier.engine.memory cimport (
    Memory, allocate, ranvier_out_of_memory, ranvier_usable_size, release, resize,
)

cdef extern from *:
    """
    #if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    #error "ranvier's engine reads hash input and bucket tags as little-endian words"
    #endif
    #define ranvier_prefetch(address) __builtin_prefetch((const void *)(address))
    #define ranvier_lowest_bit(word) __builtin_ctzll(word)
    #define ranvier_count_bits(word) __builtin_popcount(word)
    #define ranvier_expect(condition) __builtin_expect(!!(condition), 1)
    """
    void ranvier_prefetch(uintptr_t address) noexcept nogil      # any address: it is a hint
    int ranvier_lowest_bit(uint64_t word) noexcept nogil
    unsigned int ranvier_count_bits(unsigned int word) noexcept nogil
    bint ranvier_expect(bint condition) noexcept nogil

cdef extern from "<stdlib.h>" nogil:
    int posix_memalign(void **address, size_t alignment, size_t size) noexcept

cdef enum:
    SEGMENT_BITS = 10
    SLOTS = 7
    CHAINED = 128            # bit 7 of Bucket.present
    ALL_SLOTS = 127
    CHAINED_SLOTS = 63       # those that hold items in a chained bucket
    GROW_HALVES = 9          # split while count > buckets * 9 / 2: about 16 bytes of buckets per item
    SHRINK_LOAD = 2          # merge while count < buckets * 2: far enough below that no size oscillates
    STEPS_PER_CHANGE = 2     # home buckets that one insert or remove may split or merge
    RANDOM_POSITIONS = 32    # more items than a chain holds as long as keys come and go in no order of their hash
    RANDOM_TRIES = 256


# --- the hash: SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012) ---

cdef inline uint64_t rotate(uint64_t word, int bits) noexcept nogil:
    return (word << bits) | (word >> (64 - bits))


cdef inline void sip_round(uint64_t *v) noexcept nogil:
    v[0] += v[1]
    v[2] += v[3]
    v[1] = rotate(v[1], 13) ^ v[0]
    v[3] = rotate(v[3], 16) ^ v[2]
    v[0] = rotate(v[0], 32)
    v[2] += v[1]
    v[0] += v[3]
    v[1] = rotate(v[1], 17) ^ v[2]
    v[3] = rotate(v[3], 21) ^ v[0]
    v[2] = rotate(v[2], 32)


cdef inline uint64_t load_word(const char *address) noexcept nogil:
    cdef uint64_t word
    memcpy(&word, address, 8)
    return word


cdef inline uint64_t load_tail(const char *key, size_t length) noexcept nogil:
    """The last `length % 8` bytes as a little-endian number."""
    cdef size_t rest = length & 7
    cdef uint64_t word = 0
    cdef size_t i
    if rest == 0:
        return 0
    if length >= 8:
        return load_word(key + length - 8) >> (8 * (8 - rest))
    for i in range(rest):
        word |= <uint64_t><uint8_t>key[i] << (8 * i)
    return word


cdef uint64_t hash_bytes(uint64_t seed0, uint64_t seed1, const char *key, size_t length) noexcept nogil:
    cdef uint64_t v[4]
    cdef uint64_t word
    cdef const char *at = key
    cdef const char *end = key + (length & ~<size_t>7)
    v[0] = seed0 ^ <uint64_t>0x736f6d6570736575
    v[1] = seed1 ^ <uint64_t>0x646f72616e646f6d
    v[2] = seed0 ^ <uint64_t>0x6c7967656e657261
    v[3] = seed1 ^ <uint64_t>0x7465646279746573
    while at != end:
        word = load_word(at)
        v[3] ^= word
        sip_round(v)
        v[0] ^= word
        at += 8
    word = (<uint64_t>length << 56) | load_tail(key, length)
    v[3] ^= word
    sip_round(v)
    v[0] ^= word
    v[2] ^= 0xff
    sip_round(v)
    sip_round(v)
    sip_round(v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


cdef inline uint64_t hash_item(Table *table, const void *item) noexcept nogil:
    cdef size_t length
    cdef const char *key = table.layout.key(item, &length)
    return hash_bytes(table.seed0, table.seed1, key, length)


# --- home buckets and their memory ---

cdef inline size_t home_index(const Table *table, uint64_t hash) noexcept nogil:
    cdef size_t index = hash & table.low_mask
    if index < table.split:
        index = hash & (2 * table.low_mask + 1)
    return index


cdef inline Bucket *home_bucket(const Table *table, size_t index) noexcept nogil:
    return &table.segments[index >> SEGMENT_BITS][index & (SEGMENT_BUCKETS - 1)]


cdef inline Bucket *next_bucket(const Bucket *bucket) noexcept nogil:
    return <Bucket *>bucket.slots[6] if bucket.present & CHAINED else NULL


cdef Bucket *allocate_segment(Memory *memory, size_t buckets) noexcept nogil:
    """Cache-line aligned, counted; the buckets are empty."""
    cdef void *segment = NULL
    cdef size_t size = buckets * sizeof(Bucket)
    if posix_memalign(&segment, sizeof(Bucket), size) != 0:
        ranvier_out_of_memory(size)
    memory.used_bytes += ranvier_usable_size(segment)
    memset(segment, 0, size)
    return <Bucket *>segment


cdef void resize_first_segment(Table *table, size_t used, size_t room) noexcept nogil:
    cdef Bucket *segment = allocate_segment(table.memory, room)
    memcpy(segment, table.segments[0], used * sizeof(Bucket))
    release(table.memory, table.segments[0])
    table.segments[0] = segment


cdef void create_first_bucket(Table *table) noexcept nogil:
    table.segments = <Bucket **>allocate(table.memory, sizeof(Bucket *))
    table.segments_capacity = 1
    table.segments[0] = allocate_segment(table.memory, 1)
    table.buckets = 1


cdef void make_room_for_one_bucket(Table *table) noexcept nogil:
    cdef size_t index = table.buckets
    cdef size_t segment = index >> SEGMENT_BITS
    if segment == 0:
        if table.split == 0:         # a power of two is full
            resize_first_segment(table, index, 2 * index)
        return
    if index & (SEGMENT_BUCKETS - 1) != 0:
        return
    if segment == table.segments_capacity:
        table.segments_capacity *= 2
        table.segments = <Bucket **>resize(
            table.memory, table.segments, table.segments_capacity * sizeof(Bucket *))
    table.segments[segment] = allocate_segment(table.memory, SEGMENT_BUCKETS)


cdef void drop_last_bucket(Table *table) noexcept nogil:
    """Take the (empty) last home bucket out of use; the caller has set `split` and `low_mask`."""
    cdef size_t index = table.buckets - 1
    table.buckets = index
    if index < SEGMENT_BUCKETS:
        if table.split == 0 and index > 0:
            resize_first_segment(table, index, index)
        return
    if index & (SEGMENT_BUCKETS - 1) != 0:
        return
    release(table.memory, table.segments[index >> SEGMENT_BITS])
    if 4 * (index >> SEGMENT_BITS) <= table.segments_capacity:
        table.segments_capacity //= 2
        table.segments = <Bucket **>resize(
            table.memory, table.segments, table.segments_capacity * sizeof(Bucket *))


cdef void drop_memory(Table *table) noexcept nogil:
    """Release the segments of a table without items."""
    cdef size_t i
    if table.buckets == 0:
        return
    for i in range(((table.buckets - 1) >> SEGMENT_BITS) + 1):
        release(table.memory, table.segments[i])
    release(table.memory, table.segments)
    table.segments = NULL
    table.segments_capacity = 0
    table.buckets = 0
    table.low_mask = 0
    table.split = 0


# --- chains ---
cdef void bucket_add(Table *table, Bucket *bucket, uint8_t tag, void *item) noexcept nogil:
    """Put the item into the first free slot of the chain, which grows by a bucket when it has none."""
    cdef Bucket *more
    cdef unsigned int free_slots
    cdef int slot
    while bucket.present & CHAINED:
        free_slots = ~bucket.present & CHAINED_SLOTS
        if free_slots:
            break
        bucket = <Bucket *>bucket.slots[6]
    else:
        free_slots = ~bucket.present & ALL_SLOTS
    if free_slots == 0:
        more = <Bucket *>allocate(table.memory, sizeof(Bucket))
        memset(more, 0, sizeof(Bucket))
        more.present = 1
        more.tags[0] = bucket.tags[6]
        more.slots[0] = bucket.slots[6]
        bucket.slots[6] = more
        bucket.present = CHAINED | CHAINED_SLOTS
        table.chained_buckets += 1
        bucket = more
        free_slots = ~1 & ALL_SLOTS
    slot = ranvier_lowest_bit(free_slots)
    bucket.tags[slot] = tag
    bucket.slots[slot] = item
    bucket.present |= <uint8_t>(1 << slot)


cdef void remove_slot(Table *table, Bucket *home, Bucket *bucket, int slot) noexcept nogil:
    """Empty a slot of the chain, filling it from the chain's end; a last bucket left with one item is folded back."""
    cdef Bucket *before = NULL
    cdef Bucket *last = home
    cdef int moved
    while last.present & CHAINED:
        before = last
        last = <Bucket *>last.slots[6]
    moved = ranvier_lowest_bit(last.present)
    bucket.tags[slot] = last.tags[moved]
    bucket.slots[slot] = last.slots[moved]
    last.present &= <uint8_t>~(1 << moved)
    if before != NULL and last.present & (last.present - 1) == 0:
        moved = ranvier_lowest_bit(last.present)
        before.tags[6] = last.tags[moved]
        before.slots[6] = last.slots[moved]
        before.present = ALL_SLOTS
        release(table.memory, last)
        table.chained_buckets -= 1


# --- growth and shrinkage, one home bucket at a time ---

cdef void prefetch_items(const Bucket *bucket) noexcept nogil:
    cdef int slot
    for slot in range(SLOTS):
        ranvier_prefetch(<uintptr_t>bucket.slots[slot])


cdef void split_bucket(Table *table) noexcept nogil:
    """Divide home bucket `split` between itself and a new last bucket."""
    cdef Bucket *low
    cdef Bucket *high
    cdef Bucket *part
    cdef Bucket *done
    cdef Bucket old
    cdef uint64_t bit = table.low_mask + 1
    cdef int slot
    make_room_for_one_bucket(table)
    low = home_bucket(table, table.split)
    high = home_bucket(table, table.buckets)
    old = low[0]
    low.present = 0
    part = &old
    while part != NULL:
        for slot in range(SLOTS if not part.present & CHAINED else SLOTS - 1):
            if part.present & (1 << slot):
                bucket_add(table, high if hash_item(table, part.slots[slot]) & bit else low,
                           part.tags[slot], part.slots[slot])
        done = part
        part = next_bucket(part)
        if done != &old:
            release(table.memory, done)
            table.chained_buckets -= 1
    table.buckets += 1
    table.split += 1
    if table.split == bit:
        table.low_mask = 2 * table.low_mask + 1
        table.split = 0
    table.moved_total += 1
    # The next split is a few inserts away: its items will have arrived by then.
    prefetch_items(home_bucket(table, table.split))


cdef void merge_bucket(Table *table) noexcept nogil:
    """Undo the latest split: the last home bucket's items go back to the one they came from."""
    cdef Bucket *low
    cdef Bucket *part
    cdef Bucket *done
    cdef Bucket *last = home_bucket(table, table.buckets - 1)
    cdef int slot
    if table.split == 0:
        table.low_mask >>= 1
        table.split = table.low_mask + 1
    table.split -= 1
    low = home_bucket(table, table.split)
    part = last
    while part != NULL:
        for slot in range(SLOTS if not part.present & CHAINED else SLOTS - 1):
            if part.present & (1 << slot):
                bucket_add(table, low, part.tags[slot], part.slots[slot])
        done = part
        part = next_bucket(part)
        if done != last:
            release(table.memory, done)
            table.chained_buckets -= 1
    last.present = 0             # the place may serve again without a new allocation
    drop_last_bucket(table)
    table.moved_total += 1


# --- the table ---

cdef void table_init(Table *table, Memory *memory, const Layout *layout, uint64_t seed0, uint64_t seed1) noexcept nogil:
    memset(table, 0, sizeof(Table))
    table.memory = memory
    table.layout = layout
    table.seed0 = seed0
    table.seed1 = seed1


cdef void *table_pop(Table *table) noexcept nogil:
    """Unlink and return some item, taking the table down from its last bucket; NULL when nothing is left.

    At that point the table's own memory is gone as well. No other call but this one may follow the first, until then:
    it leaves home buckets out of use without moving what they held.
    """
    cdef Bucket *home
    cdef int slot
    cdef void *item
    if table.count == 0:
        drop_memory(table)
        return NULL
    home = home_bucket(table, table.buckets - 1)
    while home.present == 0:
        if table.split == 0:
            table.low_mask >>= 1
            table.split = table.low_mask + 1
        table.split -= 1
        drop_last_bucket(table)
        home = home_bucket(table, table.buckets - 1)
    slot = ranvier_lowest_bit(home.present)
    item = home.slots[slot]
    remove_slot(table, home, home, slot)
    table.count -= 1
    if table.buckets > 1:
        prefetch_items(home_bucket(table, table.buckets - 2))
    return item


cdef size_t table_free_slice(Table *table, size_t budget) noexcept nogil:
    cdef void *item
    while budget > 0:
        item = table_pop(table)
        if item == NULL:
            return 0
        if table.layout.free != NULL:
            table.layout.free(table.memory, item)
        budget -= 1
    if table.count == 0:
        drop_memory(table)
    return table.count


cdef void table_clear(Table *table) noexcept nogil:
    while table_free_slice(table, SEGMENT_BUCKETS) != 0:
        pass


cdef void table_prefetch(Table *table, uint64_t hash) noexcept nogil:
    if table.count != 0:
        ranvier_prefetch(<uintptr_t>home_bucket(table, home_index(table, hash)))


cdef inline uint64_t match_tags(const Bucket *bucket, uint64_t hash) noexcept nogil:
    """Bit 8 * slot + 15 is set for every slot whose tag equals the hash's top byte (and perhaps for later, free or
    different ones: the borrow of the zero-byte test may mark them, so that the caller compares anyway)."""
    cdef uint64_t word
    memcpy(&word, bucket, 8)
    word ^= (hash >> 56) * <uint64_t>0x0101010101010101
    return (word - <uint64_t>0x0101010101010101) & ~word & <uint64_t>0x8080808080808000


cdef void table_prefetch_item(Table *table, uint64_t hash) noexcept nogil:
    cdef const Bucket *bucket
    cdef uintptr_t item
    cdef uint64_t match
    if table.count == 0:
        return
    bucket = home_bucket(table, home_index(table, hash))
    match = match_tags(bucket, hash)
    if match:
        item = <uintptr_t>bucket.slots[(ranvier_lowest_bit(match) >> 3) - 1]
        ranvier_prefetch(item)
        ranvier_prefetch(item + 32)
    elif bucket.present & CHAINED:
        ranvier_prefetch(<uintptr_t>bucket.slots[6])


cdef inline bint same_bytes(const char *one, const char *other, size_t length) noexcept nogil:
    """memcmp for keys, most of which are short: without a call, by words of which the last may overlap."""
    cdef size_t at = 0
    if length < 8:
        return memcmp(one, other, length) == 0
    while at + 8 < length:
        if load_word(one + at) != load_word(other + at):
            return False
        at += 8
    return load_word(one + length - 8) == load_word(other + length - 8)


cdef inline void **find_in_chain(Table *table, Bucket **at, uint64_t hash, const char *key,
                                 size_t length) noexcept nogil:
    """The slot of the key's item, searching from bucket *at; *at becomes the bucket that holds it."""
    cdef Bucket *bucket = at[0]
    cdef uint64_t match
    cdef int slot
    cdef const char *held
    cdef size_t held_length
    while True:
        match = match_tags(bucket, hash)
        while match:
            slot = (ranvier_lowest_bit(match) >> 3) - 1
            if bucket.present & (1 << slot):
                held = table.layout.key(bucket.slots[slot], &held_length)
                if ranvier_expect(held_length == length and same_bytes(held, key, length)):
                    at[0] = bucket
                    return &bucket.slots[slot]
            match &= match - 1
        if not bucket.present & CHAINED:
            return NULL
        bucket = <Bucket *>bucket.slots[6]


cdef void **table_find(Table *table, uint64_t hash, const char *key, size_t length) noexcept nogil:
    cdef Bucket *bucket
    if table.count == 0:
        return NULL
    bucket = home_bucket(table, home_index(table, hash))
    return find_in_chain(table, &bucket, hash, key, length)


cdef void table_insert(Table *table, uint64_t hash, void *item) noexcept nogil:
    cdef int _step
    if table.buckets == 0:
        create_first_bucket(table)
    bucket_add(table, home_bucket(table, home_index(table, hash)), <uint8_t>(hash >> 56), item)
    table.count += 1
    for _step in range(STEPS_PER_CHANGE):
        if 2 * table.count <= GROW_HALVES * table.buckets:
            return
        split_bucket(table)


cdef void *table_remove(Table *table, uint64_t hash, const char *key, size_t length) noexcept nogil:
    cdef Bucket *home
    cdef Bucket *bucket
    cdef void **slot
    cdef void *item
    cdef int _step
    if table.count == 0:
        return NULL
    home = bucket = home_bucket(table, home_index(table, hash))
    slot = find_in_chain(table, &bucket, hash, key, length)
    if slot == NULL:
        return NULL
    item = slot[0]
    remove_slot(table, home, bucket, <int>(slot - &bucket.slots[0]))
    table.count -= 1
    for _step in range(STEPS_PER_CHANGE):
        if table.buckets == 1 or table.count >= SHRINK_LOAD * table.buckets:
            break
        merge_bucket(table)
    return item


# --- walking ---

cdef void visit_chain(Bucket *bucket, visit_t visit, void *context) noexcept nogil:
    cdef int slot
    while bucket != NULL:
        for slot in range(SLOTS if not bucket.present & CHAINED else SLOTS - 1):
            if bucket.present & (1 << slot):
                visit(context, bucket.slots[slot])
        bucket = next_bucket(bucket)


cdef inline uint64_t reverse_bits(uint64_t word) noexcept nogil:
    word = ((word >> 1) & <uint64_t>0x5555555555555555) | ((word & <uint64_t>0x5555555555555555) << 1)
    word = ((word >> 2) & <uint64_t>0x3333333333333333) | ((word & <uint64_t>0x3333333333333333) << 2)
    word = ((word >> 4) & <uint64_t>0x0f0f0f0f0f0f0f0f) | ((word & <uint64_t>0x0f0f0f0f0f0f0f0f) << 4)
    word = ((word >> 8) & <uint64_t>0x00ff00ff00ff00ff) | ((word & <uint64_t>0x00ff00ff00ff00ff) << 8)
    word = ((word >> 16) & <uint64_t>0x0000ffff0000ffff) | ((word & <uint64_t>0x0000ffff0000ffff) << 16)
    return (word >> 32) | (word << 32)


cdef uint64_t table_scan(Table *table, uint64_t cursor, visit_t visit, void *context) noexcept nogil:
    # The cursor counts upwards in bit-reversed order, so that all hashes with the same low bits come one after another:
    # whatever number of low bits is in use at the next call, those behind the cursor have been seen (Redis, SCAN).
    cdef size_t index
    if table.count == 0:
        return 0
    index = cursor & table.low_mask
    visit_chain(home_bucket(table, index), visit, context)
    if index < table.split:
        visit_chain(home_bucket(table, index + table.low_mask + 1), visit, context)
    return reverse_bits(reverse_bits(cursor | ~table.low_mask) + 1)


cdef void table_visit(Table *table, size_t index, visit_t visit, void *context) noexcept nogil:
    visit_chain(home_bucket(table, index), visit, context)


cdef inline uint64_t next_random(uint64_t *state) noexcept nogil:
    """xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled", 2016)."""
    state[0] ^= state[0] >> 12
    state[0] ^= state[0] << 25
    state[0] ^= state[0] >> 27
    return state[0] * <uint64_t>0x2545F4914F6CDD1D


cdef inline unsigned int chain_length(const Bucket *bucket) noexcept nogil:
    cdef unsigned int length = ranvier_count_bits(bucket.present & ALL_SLOTS)
    while bucket.present & CHAINED:
        bucket = <const Bucket *>bucket.slots[6]
        length += ranvier_count_bits(bucket.present & ALL_SLOTS)
    return length


cdef void *nth_of_chain(const Bucket *bucket, unsigned int position) noexcept nogil:
    """The item at that place of the chain, which is longer than `position`, counted over the slots in use."""
    cdef unsigned int here = ranvier_count_bits(bucket.present & ALL_SLOTS)
    cdef unsigned int slots
    while position >= here:
        position -= here
        bucket = <const Bucket *>bucket.slots[6]
        here = ranvier_count_bits(bucket.present & ALL_SLOTS)
    slots = bucket.present & ALL_SLOTS
    while position > 0:
        slots &= slots - 1
        position -= 1
    return bucket.slots[ranvier_lowest_bit(slots)]


cdef void *table_random(Table *table, uint64_t *random) noexcept nogil:
    # Rejection: every (home bucket, position) pair is as likely as any other, and every item is exactly one pair. A
    # chain of more than RANDOM_POSITIONS, as deleting in scan order leaves for a while, is drawn from a little less.
    cdef uint64_t word
    cdef size_t index
    cdef unsigned int length
    cdef unsigned int position
    cdef const Bucket *bucket
    cdef int _try
    if table.count == 0:
        return NULL
    for _try in range(RANDOM_TRIES):
        word = next_random(random)
        bucket = home_bucket(table, (word >> 32) % table.buckets)
        length = chain_length(bucket)
        position = <uint32_t>word % (length if length > RANDOM_POSITIONS else RANDOM_POSITIONS)
        if position < length:
            return nth_of_chain(bucket, position)
    # Only a nearly empty table comes here, once in thousands of calls: the next item from a random bucket on.
    index = next_random(random) % table.buckets
    while home_bucket(table, index).present == 0:
        index = (index + 1) % table.buckets
    return nth_of_chain(home_bucket(table, index), 0)
