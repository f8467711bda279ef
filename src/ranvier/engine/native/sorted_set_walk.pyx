"""Native handlers of the group sorted-set: ZSCAN.

A small sorted set is walked in one call, whatever COUNT says; an index by its table of names, bucket by bucket, at most
SCAN_EFFORT buckets for each member asked for.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint64_t

from ranvier.engine.core cimport Call, Client
from ranvier.engine.memory cimport Memory, release, resize
from ranvier.engine.native.sorted_set_replies cimport reply_member
from ranvier.engine.native.walks cimport (
    SCAN_SCORES, ScanOptions, parse_cursor, parse_scan_options, reply_nothing_scanned, reply_scan, scan_matches,
    scan_steps,
)
from ranvier.engine.reply cimport reply_array, reply_bulk
from ranvier.engine.store.entry cimport ENCODING_LISTPACK
from ranvier.engine.store.table cimport table_scan
from ranvier.engine.types.listpack cimport (
    INTEGER_TEXT_BYTES, LISTPACK_END, Element, Listpack, element_read, element_size, element_text, listpack_first,
)
from ranvier.engine.types.ordered cimport Member, Ordered, member_text
from ranvier.engine.types.score cimport SCORE_TEXT_BYTES, print_score_plainly
from ranvier.engine.types.sorted_set_access cimport sorted_set_open
from ranvier.engine.types.value_access cimport OPEN_ABSENT, OPEN_FAILED, OpenValue


cdef native_t sorted_set_walk_handler(str name) except? NULL:
    if name == "zscan":
        return zscan
    return NULL


# ---- a listpack -----------------------------------------------------------------------------------------------------

cdef inline bint pair_matches(const ScanOptions *options, const Element *member) noexcept nogil:
    cdef char[INTEGER_TEXT_BYTES] scratch
    cdef size_t length
    cdef const char *text
    if options.pattern == NULL:
        return True
    text = element_text(member, scratch, &length)
    return scan_matches(options, text, length)


cdef size_t walk_pack(Client *client, const Listpack *pack, const ScanOptions *options, bint replies) noexcept nogil:
    """How many pairs match; `replies`: reply them, scores as they are stored."""
    cdef const unsigned char *p = listpack_first(pack)
    cdef Element member
    cdef size_t found = 0
    while p[0] != LISTPACK_END:
        element_read(p, &member)
        p += element_size(p)
        if pair_matches(options, &member):
            found += 1
            if replies:
                reply_member(client, &member)
                if not options.names_only:
                    element_read(p, &member)
                    reply_member(client, &member)
        p += element_size(p)
    return found


# ---- an index -------------------------------------------------------------------------------------------------------

cdef struct Walk:
    Memory *memory
    const ScanOptions *options
    int64_t seen
    Member **found
    size_t count
    size_t capacity


cdef void visit_matching(void *context, void *item) noexcept nogil:
    cdef Walk *walk = <Walk *>context
    cdef size_t length
    cdef const char *text = member_text(<Member *>item, &length)
    walk.seen += 1
    if not scan_matches(walk.options, text, length):
        return
    if walk.count == walk.capacity:
        walk.capacity = 2 * walk.capacity + 14
        walk.found = <Member **>resize(walk.memory, walk.found, walk.capacity * sizeof(Member *))
    walk.found[walk.count] = <Member *>item
    walk.count += 1


cdef void reply_found(Client *client, const Walk *walk, bint names_only) noexcept nogil:
    cdef char[SCORE_TEXT_BYTES] digits
    cdef const char *text
    cdef size_t length
    cdef size_t i
    reply_array(client, <int64_t>(walk.count if names_only else 2 * walk.count))
    for i in range(walk.count):
        text = member_text(walk.found[i], &length)
        reply_bulk(client, text, length)
        if not names_only:
            length = print_score_plainly(digits, walk.found[i].score)
            reply_bulk(client, digits, length)


cdef void walk_index(Client *client, Ordered *index, uint64_t cursor, const ScanOptions *options) noexcept nogil:
    cdef Walk walk
    cdef int64_t steps = scan_steps(options)
    walk.memory = index.members.memory
    walk.options = options
    walk.seen = 0
    walk.found = NULL
    walk.count = walk.capacity = 0
    while True:
        cursor = table_scan(&index.members, cursor, visit_matching, &walk)
        steps -= 1
        if cursor == 0 or steps == 0 or walk.seen >= options.count:
            break
    reply_scan(client, cursor)
    reply_found(client, &walk, options.names_only)
    release(walk.memory, walk.found)


cdef void zscan(Call *call) noexcept:
    cdef OpenValue opened
    cdef ScanOptions options
    cdef uint64_t cursor = 0
    cdef size_t count
    cdef int found
    if not parse_cursor(call, &cursor):
        return
    found = sorted_set_open(call, False, &opened)
    if found == OPEN_ABSENT:
        reply_nothing_scanned(call.client)
    elif found != OPEN_FAILED and parse_scan_options(call, SCAN_SCORES, &options):
        if opened.value.encoding != ENCODING_LISTPACK:
            walk_index(call.client, <Ordered *>opened.value.pointer, cursor, &options)
            return
        count = walk_pack(call.client, <const Listpack *>opened.value.pointer, &options, False)
        reply_scan(call.client, 0)
        reply_array(call.client, <int64_t>(count if options.names_only else 2 * count))
        walk_pack(call.client, <const Listpack *>opened.value.pointer, &options, True)
