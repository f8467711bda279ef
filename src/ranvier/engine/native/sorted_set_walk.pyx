"""Native handlers of the group sorted-set: ZSCAN.

A small sorted set is walked in one call, whatever COUNT says; an index by its table of names, bucket by bucket, at most
SCAN_EFFORT buckets for each member asked for.
"""

from libc.stddef cimport size_t
from libc.stdint cimport INT64_MAX, int64_t, uint64_t

from ranvier.engine.core cimport Arg, Call, Client
from ranvier.engine.memory cimport Memory, release, resize
from ranvier.engine.modes.glob cimport glob_match
from ranvier.engine.native.common cimport arg_is, integer_argument, reply_syntax_error
from ranvier.engine.native.set_walk cimport parse_cursor, reply_scan
from ranvier.engine.native.sorted_set_replies cimport reply_member
from ranvier.engine.reply cimport reply_array, reply_bulk, reply_error
from ranvier.engine.store.entry cimport ENCODING_LISTPACK
from ranvier.engine.store.table cimport table_scan
from ranvier.engine.types.listpack cimport (
    INTEGER_TEXT_BYTES, LISTPACK_END, Element, Listpack, element_read, element_size, element_text, listpack_first,
)
from ranvier.engine.types.ordered cimport Member, Ordered, member_text
from ranvier.engine.types.score cimport SCORE_TEXT_BYTES, print_score_plainly
from ranvier.engine.types.sorted_set_access cimport sorted_set_open
from ranvier.engine.types.value_access cimport OPEN_ABSENT, OPEN_FAILED, OpenValue

cdef enum:
    SCAN_EFFORT = 10             # buckets visited at most, per member asked for
    SCAN_COUNT = 10              # without COUNT

cdef struct ScanOptions:
    int64_t count
    const Arg *pattern           # NULL: everything
    bint without_scores


cdef native_t sorted_set_walk_handler(str name) except? NULL:
    if name == "zscan":
        return zscan
    return NULL


cdef bint parse_options(Call *call, ScanOptions *options) noexcept:
    """From args[3] on; they may repeat, the last one counts. 0 with the error replied."""
    cdef size_t i = 3
    options.count = SCAN_COUNT
    options.pattern = NULL
    options.without_scores = False
    while i < call.count:
        if arg_is(&call.args[i], b"noscores"):
            options.without_scores = True
            i += 1
            continue
        if arg_is(&call.args[i], b"novalues"):
            reply_error(call, b"ERR NOVALUES option can only be used in HSCAN")
            return False
        if i + 1 == call.count:
            reply_syntax_error(call)
            return False
        if arg_is(&call.args[i], b"match"):
            options.pattern = &call.args[i + 1]
        elif not arg_is(&call.args[i], b"count"):
            reply_syntax_error(call)
            return False
        elif not integer_argument(call, &call.args[i + 1], &options.count):
            return False
        elif options.count < 1:
            reply_syntax_error(call)
            return False
        i += 2
    return True


cdef inline bint matches(const Arg *pattern, const char *text, size_t length) noexcept nogil:
    return pattern == NULL or glob_match(pattern.data, pattern.length, text, length)


# ---- a listpack -----------------------------------------------------------------------------------------------------

cdef inline bint pair_matches(const Arg *pattern, const Element *member) noexcept nogil:
    cdef char[INTEGER_TEXT_BYTES] scratch
    cdef size_t length
    cdef const char *text
    if pattern == NULL:
        return True
    text = element_text(member, scratch, &length)
    return matches(pattern, text, length)


cdef size_t walk_pack(Client *client, const Listpack *pack, const ScanOptions *options, bint replies) noexcept nogil:
    """How many pairs match; `replies`: reply them, scores as they are stored."""
    cdef const unsigned char *p = listpack_first(pack)
    cdef Element member
    cdef size_t found = 0
    while p[0] != LISTPACK_END:
        element_read(p, &member)
        p += element_size(p)
        if pair_matches(options.pattern, &member):
            found += 1
            if replies:
                reply_member(client, &member)
                if not options.without_scores:
                    element_read(p, &member)
                    reply_member(client, &member)
        p += element_size(p)
    return found


# ---- an index -------------------------------------------------------------------------------------------------------

cdef struct Walk:
    Memory *memory
    const Arg *pattern
    int64_t seen
    Member **found
    size_t count
    size_t capacity


cdef void visit_matching(void *context, void *item) noexcept nogil:
    cdef Walk *walk = <Walk *>context
    cdef size_t length
    cdef const char *text = member_text(<Member *>item, &length)
    walk.seen += 1
    if not matches(walk.pattern, text, length):
        return
    if walk.count == walk.capacity:
        walk.capacity = 2 * walk.capacity + 14
        walk.found = <Member **>resize(walk.memory, walk.found, walk.capacity * sizeof(Member *))
    walk.found[walk.count] = <Member *>item
    walk.count += 1


cdef void reply_found(Client *client, const Walk *walk, bint without_scores) noexcept nogil:
    cdef char[SCORE_TEXT_BYTES] digits
    cdef const char *text
    cdef size_t length
    cdef size_t i
    reply_array(client, <int64_t>(walk.count if without_scores else 2 * walk.count))
    for i in range(walk.count):
        text = member_text(walk.found[i], &length)
        reply_bulk(client, text, length)
        if not without_scores:
            length = print_score_plainly(digits, walk.found[i].score)
            reply_bulk(client, digits, length)


cdef void walk_index(Client *client, Ordered *index, uint64_t cursor, const ScanOptions *options) noexcept nogil:
    cdef Walk walk
    cdef int64_t steps = options.count * SCAN_EFFORT if options.count < INT64_MAX // SCAN_EFFORT else INT64_MAX
    walk.memory = index.members.memory
    walk.pattern = options.pattern
    walk.seen = 0
    walk.found = NULL
    walk.count = walk.capacity = 0
    while True:
        cursor = table_scan(&index.members, cursor, visit_matching, &walk)
        steps -= 1
        if cursor == 0 or steps == 0 or walk.seen >= options.count:
            break
    reply_scan(client, cursor)
    reply_found(client, &walk, options.without_scores)
    release(walk.memory, walk.found)


cdef void zscan(Call *call) noexcept:
    cdef OpenValue opened
    cdef ScanOptions options
    cdef uint64_t cursor = 0
    cdef size_t count
    cdef int found
    if not parse_cursor(&call.args[2], &cursor):
        reply_error(call, b"ERR invalid cursor")
        return
    found = sorted_set_open(call, False, &opened)
    if found == OPEN_ABSENT:
        reply_scan(call.client, 0)
        reply_array(call.client, 0)
    elif found != OPEN_FAILED and parse_options(call, &options):
        if opened.value.encoding != ENCODING_LISTPACK:
            walk_index(call.client, <Ordered *>opened.value.pointer, cursor, &options)
            return
        count = walk_pack(call.client, <const Listpack *>opened.value.pointer, &options, False)
        reply_scan(call.client, 0)
        reply_array(call.client, <int64_t>(count if options.without_scores else 2 * count))
        walk_pack(call.client, <const Listpack *>opened.value.pointer, &options, True)
