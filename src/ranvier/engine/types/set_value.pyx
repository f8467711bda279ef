"""The set type over its three encodings.

Strategy: every operation first asks which encoding the set has. Integers alone stand in an intset; few and short
members in a listpack, in the order of their coming; everything else in a table whose items are one allocation each.
Growing past a threshold changes the encoding within `set_add`, never back: only a set that is made anew (SINTERSTORE,
most of a set popped) starts small again. The thresholds, and the moments at which they are looked at, are Valkey's, so
that OBJECT ENCODING agrees.
Invariant: a member stands in a set once; in an intset and in a listpack an integer stands as an integer.

Nothing here touches a Python object.
"""

from libc.stdint cimport uint8_t, uint32_t, uintptr_t
from libc.string cimport memmove

from ranvier.engine.memory cimport release, release_lazily
from ranvier.engine.store.entry cimport ENCODING_INTSET, ENCODING_LISTPACK, ENCODING_MEMBERS
from ranvier.engine.store.table cimport (
    Table, table_clear, table_find, table_insert, table_random, table_remove, table_scan, table_visit,
)
from ranvier.engine.types.intset cimport (
    Intset, intset_add, intset_contains, intset_free, intset_get, intset_new, intset_put, intset_remove,
    intset_remove_at, intset_slim,
)
from ranvier.engine.types.listpack cimport (
    LISTPACK_END, LISTPACK_HEADER_BYTES, Element, Listpack, Needle, element_equals, element_read, element_size,
    listpack_add_count, listpack_append, listpack_bytes, listpack_count, listpack_delete, listpack_first, listpack_fit,
    listpack_free, listpack_new, listpack_seek, listpack_size, listpack_slim, store_u32,
)
from ranvier.engine.types.member_table cimport hash_in, item_new, item_text, members_insert, members_new

cdef enum:
    LISTPACK_LIMIT_BYTES = 1 << 30         # a larger listpack is none of Valkey's
    INTEGER_ELEMENT_BYTES = 11             # the most that an integer takes in a listpack
    INTSET_LIMIT_ENTRIES = 1 << 30         # whatever the configuration says


# --- encoding ---------------------------------------------------------------------------------------------------------

cdef Set set_new_encoded(Memory *memory, const SetRules *rules, int encoding) noexcept nogil:
    cdef Set self
    self.memory = memory
    self.encoding = encoding
    if encoding == ENCODING_INTSET:
        self.pointer = intset_new(memory)
    elif encoding == ENCODING_LISTPACK:
        self.pointer = listpack_new(memory, 0)
    else:
        self.pointer = members_new(memory, rules.seed0, rules.seed1)
    return self


cdef Set set_new(Memory *memory, const SetRules *rules, Member *first, size_t expected) noexcept nogil:
    if expected <= rules.intset_entries and member_is_integer(first):
        return set_new_encoded(memory, rules, ENCODING_INTSET)
    if expected <= rules.listpack_entries:
        return set_new_encoded(memory, rules, ENCODING_LISTPACK)
    return set_new_encoded(memory, rules, ENCODING_MEMBERS)


cdef void set_free(Set *self) noexcept nogil:
    if self.encoding == ENCODING_INTSET:
        intset_free(self.memory, <Intset *>self.pointer)
    elif self.encoding == ENCODING_LISTPACK:
        listpack_free(self.memory, <Listpack *>self.pointer)
    else:
        table_clear(<Table *>self.pointer)
        release(self.memory, self.pointer)
    self.pointer = NULL


cdef size_t set_size(const Set *self) noexcept nogil:
    if self.encoding == ENCODING_INTSET:
        return (<const Intset *>self.pointer).count
    if self.encoding == ENCODING_LISTPACK:
        return listpack_count(<const Listpack *>self.pointer)
    return (<const Table *>self.pointer).count


cdef bint insert_visited(void *context, Member *member) noexcept nogil:
    cdef size_t length
    cdef const char *text = member_text(member, &length)
    members_insert(<Table *>context, text, length)
    return True


cdef void become_members(Set *self, const SetRules *rules) noexcept nogil:
    cdef Table *table = members_new(self.memory, rules.seed0, rules.seed1)
    set_visit(self, insert_visited, table)
    set_free(self)
    self.encoding = ENCODING_MEMBERS
    self.pointer = table


cdef bint append_visited(void *context, Member *member) noexcept nogil:
    cdef Set *target = <Set *>context
    cdef size_t length
    cdef const char *text = member_text(member, &length)
    target.pointer = listpack_append(target.memory, <Listpack *>target.pointer, text, length)
    return True


cdef void become_listpack(Set *self) noexcept nogil:
    cdef Set target
    target.memory = self.memory
    target.encoding = ENCODING_LISTPACK
    target.pointer = listpack_new(self.memory, 0)
    set_visit(self, append_visited, &target)
    set_free(self)
    self[0] = target


cdef bint add_integer_visited(void *context, Member *member) noexcept nogil:
    cdef Set *target = <Set *>context
    cdef bint added = member_is_integer(member)
    if added:
        target.pointer = intset_add(target.memory, <Intset *>target.pointer, member.integer, &added)
    return added


cdef void set_become_intset(Set *self, const SetRules *rules) noexcept nogil:
    cdef Set target
    if self.encoding == ENCODING_INTSET or set_size(self) > intset_limit(rules):
        return
    target = set_new_encoded(self.memory, rules, ENCODING_INTSET)
    set_visit(self, add_integer_visited, &target)
    if set_size(&target) == set_size(self):
        set_free(self)
        self[0] = target
    else:                                  # the walk ended at a member that is no integer
        set_free(&target)


cdef inline size_t intset_limit(const SetRules *rules) noexcept nogil:
    return rules.intset_entries if rules.intset_entries < INTSET_LIMIT_ENTRIES else INTSET_LIMIT_ENTRIES


cdef void set_will_grow(Set *self, const SetRules *rules, size_t expected) noexcept nogil:
    if (self.encoding == ENCODING_LISTPACK and expected > rules.listpack_entries
            or self.encoding == ENCODING_INTSET and expected > rules.intset_entries):
        become_members(self, rules)


cdef void set_fit(Set *self) noexcept nogil:
    if self.encoding == ENCODING_LISTPACK:
        self.pointer = listpack_fit(self.memory, <Listpack *>self.pointer)


# --- the listpack -----------------------------------------------------------------------------------------------------

cdef inline void needle_of(Needle *needle, Member *member) noexcept nogil:
    needle.is_integer = member_is_integer(member)
    needle.integer = member.integer
    needle.data = member_text(member, &needle.length)


cdef const uint8_t *pack_find(const Listpack *pack, Member *member) noexcept nogil:
    cdef const uint8_t *p = listpack_first(pack)
    cdef Needle needle
    cdef Element element
    needle_of(&needle, member)
    while p[0] != LISTPACK_END:
        element_read(p, &element)
        if element_equals(&element, &needle):
            return p
        p += element_size(p)
    return NULL


cdef inline void member_from_element(Member *member, const uint8_t *p) noexcept nogil:
    cdef Element element
    element_read(p, &element)
    if element.data != NULL:
        member_set(member, element.data, element.length)
    else:
        member_set_integer(member, element.integer)


# --- one member -------------------------------------------------------------------------------------------------------

cdef bint set_contains(const Set *self, Member *member) noexcept nogil:
    cdef Table *table
    cdef const char *text
    cdef size_t length
    if self.encoding == ENCODING_INTSET:
        return member_is_integer(member) and intset_contains(<const Intset *>self.pointer, member.integer)
    if self.encoding == ENCODING_LISTPACK:
        return pack_find(<const Listpack *>self.pointer, member) != NULL
    table = <Table *>self.pointer
    text = member_text(member, &length)
    return table_find(table, hash_in(table, text, length), text, length) != NULL


cdef bint members_add(Table *table, Member *member) noexcept nogil:
    cdef size_t length
    cdef const char *text = member_text(member, &length)
    cdef uint64_t hash = hash_in(table, text, length)
    if table_find(table, hash, text, length) != NULL:
        return False
    table_insert(table, hash, item_new(table.memory, text, length))
    return True


cdef bint pack_add(Set *self, const SetRules *rules, Member *member) noexcept nogil:
    cdef Listpack *pack = <Listpack *>self.pointer
    cdef size_t length
    cdef const char *text
    if pack_find(pack, member) != NULL:
        return False
    text = member_text(member, &length)
    if (listpack_count(pack) < rules.listpack_entries and length <= rules.value_bytes
            and listpack_size(pack) + length < LISTPACK_LIMIT_BYTES):
        self.pointer = listpack_append(self.memory, pack, text, length)
        return True
    become_members(self, rules)
    return members_add(<Table *>self.pointer, member)


cdef size_t longest_integer(const Intset *integers) noexcept nogil:
    """Bytes of the longest member of an intset as text."""
    cdef char[24] digits
    cdef size_t first
    cdef size_t last
    if integers.count == 0:
        return 0
    first = print_integer(digits, intset_get(integers, 0))
    last = print_integer(digits, intset_get(integers, integers.count - 1))
    return first if first > last else last


cdef bint intset_takes(Set *self, const SetRules *rules, Member *member) noexcept nogil:
    cdef Intset *integers = <Intset *>self.pointer
    cdef size_t length
    cdef bint added = False
    if member_is_integer(member):
        self.pointer = intset_add(self.memory, integers, member.integer, &added)
        if added and (<const Intset *>self.pointer).count > intset_limit(rules):
            become_members(self, rules)
        return added
    member_text(member, &length)
    if (integers.count < rules.listpack_entries and length <= rules.value_bytes
            and longest_integer(integers) <= rules.value_bytes
            and integers.count * INTEGER_ELEMENT_BYTES + length < LISTPACK_LIMIT_BYTES):
        become_listpack(self)
        append_visited(self, member)
        return True
    become_members(self, rules)
    return members_add(<Table *>self.pointer, member)


cdef bint set_add(Set *self, const SetRules *rules, Member *member) noexcept nogil:
    if self.encoding == ENCODING_LISTPACK:
        return pack_add(self, rules, member)
    if self.encoding == ENCODING_INTSET:
        return intset_takes(self, rules, member)
    return members_add(<Table *>self.pointer, member)


cdef bint set_remove(Set *self, Member *member) noexcept nogil:
    cdef Table *table
    cdef Listpack *pack
    cdef const uint8_t *found
    cdef const char *text
    cdef void *item
    cdef size_t length
    cdef bint removed = False
    if self.encoding == ENCODING_INTSET:
        if member_is_integer(member):
            self.pointer = intset_remove(self.memory, <Intset *>self.pointer, member.integer, &removed)
        return removed
    if self.encoding == ENCODING_LISTPACK:
        pack = <Listpack *>self.pointer
        found = pack_find(pack, member)
        if found != NULL:
            self.pointer = listpack_delete(self.memory, pack, <size_t>(found - listpack_bytes(pack)), 1)
        return found != NULL
    table = <Table *>self.pointer
    text = member_text(member, &length)
    item = table_remove(table, hash_in(table, text, length), text, length)
    release_lazily(self.memory, item)
    return item != NULL


# --- walking ----------------------------------------------------------------------------------------------------------

# A walk over a table's chains, which cannot be left within one.
cdef struct Walk:
    member_visit_t visit
    void *context
    bint ended


cdef void visit_item(void *context, void *item) noexcept nogil:
    cdef Walk *walk = <Walk *>context
    cdef Member member
    cdef size_t length
    cdef const char *text
    if walk.ended:
        return
    text = item_text(item, &length)
    member_set(&member, text, length)
    member.place = <uintptr_t>item
    walk.ended = not walk.visit(walk.context, &member)


cdef void visit_pack(const Listpack *pack, member_visit_t visit, void *context) noexcept nogil:
    cdef const uint8_t *block = listpack_bytes(pack)
    cdef const uint8_t *p = block + LISTPACK_HEADER_BYTES
    cdef Member member
    while p[0] != LISTPACK_END:
        member_from_element(&member, p)
        member.place = <uint64_t>(p - block)
        if not visit(context, &member):
            return
        p += element_size(p)


cdef void visit_integers(const Intset *integers, member_visit_t visit, void *context) noexcept nogil:
    cdef Member member
    cdef size_t index
    for index in range(integers.count):
        member_set_integer(&member, intset_get(integers, index))
        member.place = index
        if not visit(context, &member):
            return


cdef void set_visit(const Set *self, member_visit_t visit, void *context) noexcept nogil:
    cdef Walk walk
    cdef Table *table
    cdef size_t index = 0
    if self.encoding == ENCODING_INTSET:
        visit_integers(<const Intset *>self.pointer, visit, context)
        return
    if self.encoding == ENCODING_LISTPACK:
        visit_pack(<const Listpack *>self.pointer, visit, context)
        return
    table = <Table *>self.pointer
    walk.visit = visit
    walk.context = context
    walk.ended = False
    while index < table.buckets and not walk.ended:
        table_visit(table, index, visit_item, &walk)
        index += 1


cdef uint64_t set_scan(const Set *self, uint64_t cursor, member_visit_t visit, void *context) noexcept nogil:
    cdef Walk walk
    if self.encoding != ENCODING_MEMBERS:
        set_visit(self, visit, context)
        return 0
    walk.visit = visit
    walk.context = context
    walk.ended = False
    return table_scan(<Table *>self.pointer, cursor, visit_item, &walk)


# --- chance -----------------------------------------------------------------------------------------------------------

cdef inline uint64_t draw(uint64_t *random, uint64_t below) noexcept nogil:
    """A number below `below`; xorshift64 (Marsaglia, "Xorshift RNGs", 2003), its high bits."""
    random[0] ^= random[0] << 13
    random[0] ^= random[0] >> 7
    random[0] ^= random[0] << 17
    return (random[0] >> 16) % below


# Selection sampling (Knuth, "The Art of Computer Programming", volume 2, algorithm 3.4.2 S).
cdef struct Selection:
    uint64_t *random
    size_t left
    size_t wanted
    member_visit_t visit
    void *context


cdef bint select_visited(void *context, Member *member) noexcept nogil:
    cdef Selection *selection = <Selection *>context
    cdef bint chosen = draw(selection.random, selection.left) < selection.wanted
    selection.left -= 1
    if chosen:
        selection.wanted -= 1
        if not selection.visit(selection.context, member):
            return False
    return selection.wanted > 0


cdef void set_sample(const Set *self, uint64_t *random, size_t wanted, member_visit_t visit,
                     void *context) noexcept nogil:
    cdef Selection selection
    selection.random = random
    selection.left = set_size(self)
    selection.wanted = wanted if wanted < selection.left else selection.left
    selection.visit = visit
    selection.context = context
    if selection.wanted:
        set_visit(self, select_visited, &selection)


cdef void set_random(const Set *self, uint64_t *random, Member *member) noexcept nogil:
    cdef const Listpack *pack
    cdef size_t count
    cdef uint64_t place
    if self.encoding == ENCODING_INTSET:
        place = draw(random, (<const Intset *>self.pointer).count)
    elif self.encoding == ENCODING_LISTPACK:
        pack = <const Listpack *>self.pointer
        count = listpack_count(pack)
        place = <uint64_t>(listpack_seek(pack, <size_t>draw(random, count), count) - listpack_bytes(pack))
    else:
        place = <uintptr_t>table_random(<Table *>self.pointer, random)
    set_member_at(self, place, member)


cdef void set_member_at(const Set *self, uint64_t place, Member *member) noexcept nogil:
    cdef size_t length
    cdef const char *text
    if self.encoding == ENCODING_INTSET:
        member_set_integer(member, intset_get(<const Intset *>self.pointer, <size_t>place))
    elif self.encoding == ENCODING_LISTPACK:
        member_from_element(member, listpack_bytes(<const Listpack *>self.pointer) + place)
    else:
        text = item_text(<const void *><uintptr_t>place, &length)
        member_set(member, text, length)
    member.place = place


cdef void set_remove_at(Set *self, uint64_t place) noexcept nogil:
    cdef Table *table
    cdef const char *text
    cdef size_t length
    if self.encoding == ENCODING_INTSET:
        self.pointer = intset_remove_at(self.memory, <Intset *>self.pointer, <size_t>place)
    elif self.encoding == ENCODING_LISTPACK:
        self.pointer = listpack_delete(self.memory, <Listpack *>self.pointer, <size_t>place, 1)
    else:
        table = <Table *>self.pointer
        text = item_text(<const void *><uintptr_t>place, &length)
        release_lazily(self.memory, table_remove(table, hash_in(table, text, length), text, length))


cdef void set_keep_places(Set *self, const uint64_t *places, size_t count) noexcept nogil:
    cdef Intset *integers
    cdef Listpack *pack
    cdef uint8_t *block
    cdef size_t end = LISTPACK_HEADER_BYTES
    cdef size_t size
    cdef size_t i
    if self.encoding == ENCODING_INTSET:
        integers = <Intset *>self.pointer
        for i in range(count):
            intset_put(integers, i, intset_get(integers, <size_t>places[i]))
        integers.count = <uint32_t>count
        self.pointer = intset_slim(self.memory, integers)
        return
    pack = <Listpack *>self.pointer
    block = listpack_bytes(pack)
    for i in range(count):
        size = element_size(block + places[i])
        memmove(block + end, block + places[i], size)
        end += size
    block[end] = LISTPACK_END
    listpack_add_count(pack, <int64_t>count - <int64_t>listpack_count(pack))
    store_u32(block, <uint32_t>(end + 1))
    self.pointer = listpack_slim(self.memory, pack)
