"""Native handlers of the group set: SSCAN.

A set that is no table is walked in one call, whatever COUNT says; a table bucket by bucket, at most SCAN_EFFORT buckets
for each member asked for.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint64_t

from ranvier.engine.core cimport Call, Client
from ranvier.engine.native.places cimport Places, add_place, places_free, places_init
from ranvier.engine.native.walks cimport (
    SCAN_MEMBERS, ScanOptions, parse_cursor, parse_scan_options, reply_nothing_scanned, reply_scan, scan_matches,
    scan_steps,
)
from ranvier.engine.reply cimport reply_array
from ranvier.engine.types.set_access cimport reply_member, set_open
from ranvier.engine.types.set_value cimport Member, Set, member_text, set_member_at, set_scan
from ranvier.engine.types.value_access cimport OPEN_ABSENT, OPEN_FAILED, OpenValue


cdef native_t set_walk_handler(str name) except? NULL:
    if name == "sscan":
        return sscan
    return NULL


cdef struct Walk:
    const ScanOptions *options
    int64_t seen
    Places found


cdef bint visit_matching(void *context, Member *member) noexcept nogil:
    cdef Walk *walk = <Walk *>context
    cdef size_t length
    cdef const char *text
    walk.seen += 1
    if walk.options.pattern != NULL:
        text = member_text(member, &length)
        if not scan_matches(walk.options, text, length):
            return True
    return add_place(&walk.found, member)


cdef void scan_set(Client *client, const Set *value, uint64_t cursor, const ScanOptions *options) noexcept nogil:
    cdef Walk walk
    cdef Member member
    cdef int64_t steps = scan_steps(options)
    cdef size_t i
    walk.options = options
    walk.seen = 0
    places_init(&walk.found, value.memory)
    while True:
        cursor = set_scan(value, cursor, visit_matching, &walk)
        steps -= 1
        if cursor == 0 or steps == 0 or walk.seen >= options.count:
            break
    reply_scan(client, cursor)
    reply_array(client, <int64_t>walk.found.count)
    for i in range(walk.found.count):
        set_member_at(value, walk.found.items[i], &member)
        reply_member(client, &member)
    places_free(&walk.found)


cdef void sscan(Call *call) noexcept:
    cdef OpenValue opened
    cdef ScanOptions options
    cdef uint64_t cursor = 0
    cdef int found
    if not parse_cursor(call, &cursor):
        return
    found = set_open(call, False, &opened)
    if found == OPEN_ABSENT:
        reply_nothing_scanned(call.client)
    elif found != OPEN_FAILED and parse_scan_options(call, SCAN_MEMBERS, &options):
        scan_set(call.client, &opened.value, cursor, &options)
