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

from ranvier.engine.memory cimport Memory, release
from ranvier.engine.store.segments cimport (
    ALL_SLOTS, CHAINED, SLOTS, bucket_add, create_first_bucket, drop_last_bucket, drop_memory, home_bucket, home_index,
    make_room_for_one_bucket, next_bucket, ranvier_lowest_bit, remove_slot,
)
from ranvier.engine.store.siphash cimport load_word, sip_hash

cdef extern from *:
    """
    #define ranvier_prefetch(address) __builtin_prefetch((const void *)(address))
    #define ranvier_count_bits(word) __builtin_popcount(word)
    #define ranvier_expect(condition) __builtin_expect(!!(condition), 1)
    """
    void ranvier_prefetch(uintptr_t address) noexcept nogil      # any address: it is a hint
    unsigned int ranvier_count_bits(unsigned int word) noexcept nogil
    bint ranvier_expect(bint condition) noexcept nogil

cdef enum:
    GROW_HALVES = 9          # split while count > buckets * 9 / 2: about 16 bytes of buckets per item
    SHRINK_LOAD = 2          # merge while count < buckets * 2: far enough below that no size oscillates
    STEPS_PER_CHANGE = 2     # home buckets that one insert or remove may split or merge
    RANDOM_POSITIONS = 32    # more items than a chain holds as long as keys come and go in no order of their hash
    RANDOM_TRIES = 256


cdef uint64_t hash_bytes(uint64_t seed0, uint64_t seed1, const char *key, size_t length) noexcept nogil:
    return sip_hash(seed0, seed1, key, length)


cdef inline uint64_t hash_item(Table *table, const void *item) noexcept nogil:
    cdef size_t length
    cdef const char *key = table.layout.key(item, &length)
    return sip_hash(table.seed0, table.seed1, key, length)


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
