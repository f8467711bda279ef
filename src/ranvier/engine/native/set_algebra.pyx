"""Native handlers of the group set: SINTER, SUNION, SDIFF, their STORE forms, and those that only count.

Strategy. An intersection walks the smallest set and asks the others, the smaller ones first. A union is gathered in a
set made for it. A difference walks the first set and asks the others, or gathers the first and takes out what they
have, whichever looks like less work (Redis's estimate: half of one set's size for each set, against all members). What
one set's walk can tell is replied from the places found, no longer than that set is large; the rest from the gathered
set. What is stored is built first and then put in place of the destination, which may be a source.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport qsort

from ranvier.engine.core cimport EVENT_GENERIC, EVENT_SET, Arg, Call, Client
from ranvier.engine.effects cimport changed
from ranvier.engine.memory cimport Blob, Memory, allocate, blob_data, blob_release, release
from ranvier.engine.native.common cimport arg_is, reply_syntax_error
from ranvier.engine.native.places cimport Places, add_place, places_free, places_init
from ranvier.engine.number cimport parse_integer
from ranvier.engine.reply cimport reply_error, reply_integer
from ranvier.engine.store.database cimport database_delete, database_set_pointer
from ranvier.engine.store.entry cimport ENCODING_INTSET, ENCODING_LISTPACK, ENCODING_MEMBERS, TYPE_SET
from ranvier.engine.store.garbage cimport free_value
from ranvier.engine.types.hyperloglog cimport hll_add, hll_count, hll_new
from ranvier.engine.types.set_access cimport reply_member, reply_set, reply_visited, set_open_other, set_rules
from ranvier.engine.types.set_value cimport (
    Member, Set, SetRules, member_text, set_add, set_become_intset, set_contains, set_fit, set_member_at,
    set_new_encoded, set_remove, set_size, set_visit,
)
from ranvier.engine.types.value_access cimport OPEN_FAILED, OPEN_FOUND, OpenValue


cdef native_t set_algebra_handler(str name) except? NULL:
    if name == "sinter":
        return sinter
    if name == "sintercard":
        return sintercard
    if name == "sinterstore":
        return sinterstore
    if name == "sunion":
        return sunion
    if name == "sunionstore":
        return sunionstore
    if name == "sdiff":
        return sdiff
    if name == "sdiffstore":
        return sdiffstore
    if name == "sdiffcard":
        return sdiffcard
    if name == "sunioncard":
        return sunioncard
    return NULL


# ---- sources and results ---------------------------------------------------------------------------------------------

cdef struct Source:
    Set value                    # pointer NULL: no such key
    size_t size
    size_t index                 # in the order of the arguments

# The sets at a command's keys, and what is made of them.
cdef struct Combination:
    Call *call
    SetRules rules
    Source *sources
    size_t count
    size_t absent                # keys that do not exist
    size_t limit                 # members after which it is enough; 0: none
    size_t members               # found
    bint gathers                 # they go into `gathered`; else into `found`, unless they are only counted
    bint only_counts
    Set gathered
    Places found                 # places in the first source


cdef bint combination_open(Combination *self, Call *call, size_t first, size_t end) noexcept:
    """Open the sets at the keys args[first:end], at least one; 0 with the error replied. Then `combination_close`."""
    cdef OpenValue opened
    cdef Source *source
    cdef size_t i
    cdef int found
    self.call = call
    self.rules = set_rules(call)
    self.count = end - first
    self.absent = self.limit = self.members = 0
    self.gathers = self.only_counts = False
    self.gathered.pointer = NULL
    places_init(&self.found, &call.core.memory)
    self.sources = <Source *>allocate(&call.core.memory, self.count * sizeof(Source))
    for i in range(self.count):
        found = set_open_other(call, &call.args[first + i], False, &opened)
        if found == OPEN_FAILED:
            combination_close(self)
            return False
        source = &self.sources[i]
        source.index = i
        source.value.pointer = NULL
        source.size = 0
        if found == OPEN_FOUND:
            source.value = opened.value
            source.size = set_size(&opened.value)
        else:
            self.absent += 1
    return True


cdef void combination_close(Combination *self) noexcept:
    release(&self.call.core.memory, self.sources)
    places_free(&self.found)
    if self.gathered.pointer != NULL:
        free_value(&self.call.core.keyspace, self.gathered.encoding, self.gathered.pointer, True)


cdef inline void gather_as(Combination *self, int encoding) noexcept nogil:
    """What is found goes into a new set of this encoding."""
    self.gathers = True
    self.gathered = set_new_encoded(&self.call.core.memory, &self.rules, encoding)


cdef inline bint take_member(Combination *self, Member *member) noexcept nogil:
    """A member of the result; 0 when that is enough."""
    self.members += 1
    if self.gathers:
        set_add(&self.gathered, &self.rules, member)
    elif not self.only_counts:
        add_place(&self.found, member)
    return self.members != self.limit


cdef bint take_visited(void *context, Member *member) noexcept nogil:
    return take_member(<Combination *>context, member)


cdef void reply_result(Combination *self) noexcept nogil:
    cdef Client *client = self.call.client
    cdef Member member
    cdef size_t i
    if self.gathers:
        reply_set(client, set_size(&self.gathered))
        set_visit(&self.gathered, reply_visited, client)
        return
    reply_set(client, self.found.count)
    for i in range(self.found.count):
        set_member_at(&self.sources[0].value, self.found.items[i], &member)
        reply_member(client, &member)


cdef void store_result(Combination *self, const char *event) noexcept:
    """Put what was gathered in place of the destination, args[1]; nothing gathered: the destination goes."""
    cdef Call *call = self.call
    cdef Arg *key = &call.args[1]
    cdef size_t size = set_size(&self.gathered) if self.gathers else 0
    if size == 0:
        reply_integer(call.client, 0)
        if database_delete(call.database, call.hash, key.data, key.length, call.core.lazy_server_delete):
            changed(call, key.data, key.length, EVENT_GENERIC, b"del")
        return
    set_fit(&self.gathered)
    database_set_pointer(call.database, call.hash, key.data, key.length, TYPE_SET, self.gathered.encoding,
                         self.gathered.pointer, False)
    self.gathered.pointer = NULL
    reply_integer(call.client, <int64_t>size)
    changed(call, key.data, key.length, EVENT_SET, event)


# ---- intersection ---------------------------------------------------------------------------------------------------

cdef int by_size(const void *one, const void *other) noexcept nogil:
    """Smaller sets first; those of one size in the order of the arguments."""
    cdef const Source *a = <const Source *>one
    cdef const Source *b = <const Source *>other
    if a.size != b.size:
        return -1 if a.size < b.size else 1
    return -1 if a.index < b.index else 1


cdef bint intersect_visited(void *context, Member *member) noexcept nogil:
    cdef Combination *self = <Combination *>context
    cdef Source *source
    cdef size_t i
    for i in range(1, self.count):
        source = &self.sources[i]
        if source.value.pointer != self.sources[0].value.pointer and not set_contains(&source.value, member):
            return True
    return take_member(self, member)


cdef void intersect(Combination *self, bint gathers) noexcept nogil:
    if self.absent:
        return
    qsort(self.sources, self.count, sizeof(Source), by_size)
    if gathers:
        # A small result is an intset or a listpack in the end: it starts as what the members come from.
        gather_as(self, ENCODING_INTSET if self.sources[0].value.encoding == ENCODING_INTSET else ENCODING_LISTPACK)
    set_visit(&self.sources[0].value, intersect_visited, self)
    if gathers:
        set_become_intset(&self.gathered, &self.rules)


cdef void sinter(Call *call) noexcept:
    cdef Combination sets
    if combination_open(&sets, call, 1, call.count):
        intersect(&sets, False)
        reply_result(&sets)
        combination_close(&sets)


cdef void sinterstore(Call *call) noexcept:
    cdef Combination sets
    if combination_open(&sets, call, 2, call.count):
        intersect(&sets, True)
        store_result(&sets, b"sinterstore")
        combination_close(&sets)


cdef bint parse_limit(Call *call, size_t first, int64_t *limit, bint *approximate) noexcept:
    """`[LIMIT limit]` from args[first] on, which may repeat; 0 with the error replied. APPROX where it is asked for."""
    limit[0] = 0
    while first < call.count:
        if approximate != NULL and arg_is(&call.args[first], b"approx"):
            approximate[0] = True
            first += 1
            continue
        if not arg_is(&call.args[first], b"limit") or first + 1 == call.count:
            reply_syntax_error(call)
            return False
        if not parse_integer(call.args[first + 1].data, call.args[first + 1].length, limit) or limit[0] < 0:
            reply_error(call, b"ERR LIMIT can't be negative")
            return False
        first += 2
    return True


cdef bint open_to_count(Combination *self, Call *call, bint *approximate) noexcept:
    """`numkeys key ... [LIMIT limit]`; 0 with the error replied."""
    cdef int64_t keys = 0
    cdef int64_t limit = 0
    if not parse_integer(call.args[1].data, call.args[1].length, &keys) or keys < 1:
        reply_error(call, b"ERR numkeys should be greater than 0")
        return False
    if keys > <int64_t>call.count - 2:
        reply_error(call, b"ERR Number of keys can't be greater than number of args")
        return False
    if not parse_limit(call, 2 + <size_t>keys, &limit, approximate) \
            or not combination_open(self, call, 2, 2 + <size_t>keys):
        return False
    self.limit = <size_t>limit
    self.only_counts = True
    return True


cdef void sintercard(Call *call) noexcept:
    cdef Combination sets
    if open_to_count(&sets, call, NULL):
        intersect(&sets, False)
        reply_integer(call.client, <int64_t>sets.members)
        combination_close(&sets)


# ---- union and difference -------------------------------------------------------------------------------------------

cdef int gathered_encoding(const Combination *self, bint to_store) noexcept nogil:
    """What is stored starts small. A reply comes in order when all sets are intsets, else the quickest way."""
    cdef size_t i
    if not to_store:
        for i in range(self.count):
            if self.sources[i].value.pointer != NULL and self.sources[i].value.encoding != ENCODING_INTSET:
                return ENCODING_MEMBERS
    return ENCODING_INTSET


cdef void gather_union(Combination *self, bint to_store) noexcept nogil:
    cdef size_t i
    gather_as(self, gathered_encoding(self, to_store))
    for i in range(self.count):
        if self.sources[i].value.pointer != NULL:
            set_visit(&self.sources[i].value, take_visited, self)


cdef void reply_union(Combination *self) noexcept nogil:
    """A single set is replied as it stands."""
    cdef size_t i
    if self.count - self.absent != 1:
        gather_union(self, False)
        reply_result(self)
        return
    for i in range(self.count):
        if self.sources[i].value.pointer != NULL:
            reply_set(self.call.client, self.sources[i].size)
            set_visit(&self.sources[i].value, reply_visited, self.call.client)


cdef void sunion(Call *call) noexcept:
    cdef Combination sets
    if combination_open(&sets, call, 1, call.count):
        reply_union(&sets)
        combination_close(&sets)


cdef void sunionstore(Call *call) noexcept:
    cdef Combination sets
    if combination_open(&sets, call, 2, call.count):
        gather_union(&sets, True)
        store_result(&sets, b"sunionstore")
        combination_close(&sets)


cdef int larger_first(const void *one, const void *other) noexcept nogil:
    return by_size(other, one)


cdef bint subtract_visited(void *context, Member *member) noexcept nogil:
    cdef Combination *self = <Combination *>context
    cdef Source *source
    cdef size_t i
    for i in range(1, self.count):
        source = &self.sources[i]
        if source.value.pointer == NULL:
            break                # the absent ones are the last
        if set_contains(&source.value, member):
            return True
    return take_member(self, member)


cdef bint remove_visited(void *context, Member *member) noexcept nogil:
    cdef Combination *self = <Combination *>context
    set_remove(&self.gathered, member)
    return set_size(&self.gathered) > 0


cdef bint asking_is_less_work(const Combination *self) noexcept nogil:
    """Than taking out: a look-up that ends at the first set that has the member, against every member of every set."""
    cdef size_t asked = 0
    cdef size_t taken_out = 0
    cdef size_t i
    for i in range(self.count):
        if self.sources[i].value.pointer != NULL:
            asked += self.sources[0].size
            taken_out += self.sources[i].size
    return asked // 2 <= taken_out


cdef bint subtracts_itself(const Combination *self) noexcept nogil:
    cdef size_t i
    for i in range(1, self.count):
        if self.sources[i].value.pointer == self.sources[0].value.pointer:
            return True
    return False


cdef void subtract(Combination *self, bint to_store) noexcept nogil:
    cdef size_t i
    if self.sources[0].value.pointer == NULL or subtracts_itself(self):
        return
    if asking_is_less_work(self):
        if to_store:
            gather_as(self, ENCODING_INTSET)
        qsort(self.sources + 1, self.count - 1, sizeof(Source), larger_first)
        set_visit(&self.sources[0].value, subtract_visited, self)
        return
    gather_as(self, gathered_encoding(self, to_store))
    set_visit(&self.sources[0].value, take_visited, self)
    for i in range(1, self.count):
        if self.sources[i].value.pointer != NULL and set_size(&self.gathered) > 0:
            set_visit(&self.sources[i].value, remove_visited, self)


cdef void sdiff(Call *call) noexcept:
    cdef Combination sets
    if combination_open(&sets, call, 1, call.count):
        subtract(&sets, False)
        reply_result(&sets)
        combination_close(&sets)


cdef void sdiffstore(Call *call) noexcept:
    cdef Combination sets
    if combination_open(&sets, call, 2, call.count):
        subtract(&sets, True)
        store_result(&sets, b"sdiffstore")
        combination_close(&sets)


# ---- counting (Redis 8.10) ------------------------------------------------------------------------------------------

cdef void sdiffcard(Call *call) noexcept:
    """Asks always: nothing is gathered to be counted."""
    cdef Combination sets
    if not open_to_count(&sets, call, NULL):
        return
    if sets.sources[0].value.pointer != NULL and not subtracts_itself(&sets):
        qsort(sets.sources + 1, sets.count - 1, sizeof(Source), larger_first)
        set_visit(&sets.sources[0].value, subtract_visited, &sets)
    reply_integer(call.client, <int64_t>sets.members)
    combination_close(&sets)


cdef bint unite_visited(void *context, Member *member) noexcept nogil:
    cdef Combination *self = <Combination *>context
    set_add(&self.gathered, &self.rules, member)
    self.members = set_size(&self.gathered)
    return self.members != self.limit


cdef void count_union(Combination *self) noexcept nogil:
    cdef size_t i
    gather_as(self, gathered_encoding(self, False))
    for i in range(self.count):
        if self.sources[i].value.pointer != NULL and (self.limit == 0 or self.members < self.limit):
            set_visit(&self.sources[i].value, unite_visited, self)


# The members' HyperLogLog.
cdef struct Estimate:
    Memory *memory
    Blob *registers


cdef bint estimate_visited(void *context, Member *member) noexcept nogil:
    cdef Estimate *estimate = <Estimate *>context
    cdef size_t length
    cdef const char *text = member_text(member, &length)
    hll_add(estimate.memory, &estimate.registers, text, length, 0)
    return True


cdef void estimate_union(Combination *self) noexcept nogil:
    cdef Estimate estimate
    cdef uint64_t count = 0
    cdef size_t i
    estimate.memory = &self.call.core.memory
    estimate.registers = hll_new(estimate.memory)
    for i in range(self.count):
        if self.sources[i].value.pointer != NULL:
            set_visit(&self.sources[i].value, estimate_visited, &estimate)
    hll_count(blob_data(estimate.registers), estimate.registers.size, &count)
    blob_release(estimate.memory, estimate.registers)
    self.members = <size_t>count


cdef void sunioncard(Call *call) noexcept:
    cdef Combination sets
    cdef bint approximate = False
    if not open_to_count(&sets, call, &approximate):
        return
    if approximate:
        estimate_union(&sets)
    else:
        count_union(&sets)
    if sets.limit and sets.members > sets.limit:
        sets.members = sets.limit
    reply_integer(call.client, <int64_t>sets.members)
    combination_close(&sets)
