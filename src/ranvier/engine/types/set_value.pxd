"""The set type: an intset or a listpack while it is small, a table of members beyond (set_value.pyx opens with the
strategy). `intset.pxd` and `listpack.pxd` are the blocks, byte-compatible with the RDB format."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint64_t

from ranvier.engine.memory cimport Memory
from ranvier.engine.number cimport parse_integer, print_integer
from ranvier.engine.store.value cimport Value

ctypedef Value Set                         # of ENCODING_INTSET, ENCODING_LISTPACK or ENCODING_MEMBERS

# How far the small encodings go, and the seeds of the tables that are made.
cdef struct SetRules:
    size_t intset_entries                  # set-max-intset-entries
    size_t listpack_entries                # set-max-listpack-entries
    size_t value_bytes                     # set-max-listpack-value
    uint64_t seed0
    uint64_t seed1

cdef enum:
    MEMBER_DIGITS = 24                     # room for any printed 64-bit integer

# One member as text, as an integer, or both; each is made of the other when it is first asked for.
cdef struct Member:
    const char *data                       # NULL: the integer alone is known
    size_t length
    int is_integer                         # -1: nobody looked yet
    int64_t integer
    uint64_t place                         # of a member that was read from a set: where. Dies with the next change
    size_t digit_count
    char[24] digits


cdef inline void member_set(Member *member, const char *data, size_t length) noexcept nogil:
    """The member is this text, which must outlive it."""
    member.data = data
    member.length = length
    member.is_integer = -1
    member.digit_count = 0


cdef inline void member_set_integer(Member *member, int64_t integer) noexcept nogil:
    member.data = NULL
    member.is_integer = 1
    member.integer = integer
    member.digit_count = 0


cdef inline const char *member_text(Member *member, size_t *length) noexcept nogil:
    """The member's bytes; a printed integer lies in the member itself."""
    if member.data != NULL:
        length[0] = member.length
        return member.data
    if member.digit_count == 0:
        member.digit_count = print_integer(member.digits, member.integer)
    length[0] = member.digit_count
    return member.digits


cdef inline bint member_is_integer(Member *member) noexcept nogil:
    """Whether it is how a 64-bit integer prints: then `member.integer` is set."""
    if member.is_integer < 0:
        member.is_integer = parse_integer(member.data, member.length, &member.integer)
    return member.is_integer


# Called for each member; False ends the walk. The set must not change under it.
ctypedef bint (*member_visit_t)(void *context, Member *member) noexcept nogil

# An empty set, encoded for a first member and the number of members that it comes with.
cdef Set set_new(Memory *memory, const SetRules *rules, Member *first, size_t expected) noexcept nogil
# Empty, of this encoding.
cdef Set set_new_encoded(Memory *memory, const SetRules *rules, int encoding) noexcept nogil
cdef void set_free(Set *self) noexcept nogil
cdef size_t set_size(const Set *self) noexcept nogil

# So many members are about to be offered: a set too small for them becomes a table at once.
cdef void set_will_grow(Set *self, const SetRules *rules, size_t expected) noexcept nogil
# A set of integers alone becomes an intset, if it is small enough for one.
cdef void set_become_intset(Set *self, const SetRules *rules) noexcept nogil
# The value was built and will be kept: give spare room back.
cdef void set_fit(Set *self) noexcept nogil

# The member's text never lies in the set itself.
cdef bint set_add(Set *self, const SetRules *rules, Member *member) noexcept nogil       # False: was there
cdef bint set_remove(Set *self, Member *member) noexcept nogil                           # False: was not
cdef bint set_contains(const Set *self, Member *member) noexcept nogil

# Every member, in the order of the encoding; of a table in any order, but the same one as long as nothing changes.
cdef void set_visit(const Set *self, member_visit_t visit, void *context) noexcept nogil
# `wanted` of the members (at most all), each choice as likely as any other, in the order of `set_visit`.
cdef void set_sample(const Set *self, uint64_t *random, size_t wanted, member_visit_t visit,
                     void *context) noexcept nogil
# The members of one step of a walk in steps: returns the next cursor, 0 at the end. What is no table comes at once.
cdef uint64_t set_scan(const Set *self, uint64_t cursor, member_visit_t visit, void *context) noexcept nogil

# A member, each as likely as any other, of a set that is not empty.
cdef void set_random(const Set *self, uint64_t *random, Member *member) noexcept nogil
# Read the member at a place that a walk, or set_random, told.
cdef void set_member_at(const Set *self, uint64_t place, Member *member) noexcept nogil
cdef void set_remove_at(Set *self, uint64_t place) noexcept nogil
# Keep, of an intset or a listpack, the members at these ascending places alone.
cdef void set_keep_places(Set *self, const uint64_t *places, size_t count) noexcept nogil
