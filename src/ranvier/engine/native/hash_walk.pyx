"""Native handlers of the group hash: HSCAN.

A listpack is walked in one call, whatever COUNT says; a table bucket by bucket. Fields whose time has passed are passed
over.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint64_t

from ranvier.engine.core cimport Call, Client
from ranvier.engine.memory cimport Memory, release, resize
from ranvier.engine.native.walks cimport (
    SCAN_FIELDS, ScanOptions, parse_cursor, parse_scan_options, reply_nothing_scanned, reply_scan, scan_matches,
    scan_steps,
)
from ranvier.engine.reply cimport reply_array
from ranvier.engine.types.fields cimport FieldView, Hash, hash_scan
from ranvier.engine.types.hash_access cimport hash_open, is_past, reply_field_value
from ranvier.engine.types.listpack cimport INTEGER_TEXT_BYTES, element_text
from ranvier.engine.types.value_access cimport OPEN_ABSENT, OPEN_FAILED, OpenValue, reply_element

# Fields found, in an array that grows; the addresses hold as long as the hash does not change.
cdef struct Walk:
    Call *call
    const ScanOptions *options
    Memory *memory
    int64_t seen
    FieldView *found
    size_t count
    size_t capacity


cdef native_t hash_walk_handler(str name) except? NULL:
    if name == "hscan":
        return hscan
    return NULL


cdef void visit_matching(void *context, const FieldView *view) noexcept nogil:
    cdef Walk *walk = <Walk *>context
    cdef char[INTEGER_TEXT_BYTES] scratch
    cdef size_t length
    cdef const char *name
    walk.seen += 1
    if is_past(walk.call, view.at_ms):
        return
    name = element_text(&view.name, scratch, &length)
    if not scan_matches(walk.options, name, length):
        return
    if walk.count == walk.capacity:
        walk.capacity = 2 * walk.capacity + 14
        walk.found = <FieldView *>resize(walk.memory, walk.found, walk.capacity * sizeof(FieldView))
    walk.found[walk.count] = view[0]
    walk.count += 1


cdef void scan_hash(Call *call, const Hash *value, uint64_t cursor, const ScanOptions *options) noexcept nogil:
    cdef Client *client = call.client
    cdef Walk walk
    cdef int64_t steps = scan_steps(options)
    cdef size_t i
    walk.call = call
    walk.options = options
    walk.memory = value.memory
    walk.seen = 0
    walk.found = NULL
    walk.count = walk.capacity = 0
    while True:
        cursor = hash_scan(value, cursor, visit_matching, &walk)
        steps -= 1
        if cursor == 0 or steps == 0 or walk.seen >= options.count:
            break
    reply_scan(client, cursor)
    reply_array(client, <int64_t>(walk.count if options.names_only else 2 * walk.count))
    for i in range(walk.count):
        reply_element(client, &walk.found[i].name)
        if not options.names_only:
            reply_field_value(client, &walk.found[i])
    release(walk.memory, walk.found)


cdef void hscan(Call *call) noexcept:
    cdef OpenValue opened
    cdef ScanOptions options
    cdef uint64_t cursor = 0
    cdef int found
    if not parse_cursor(call, &cursor):
        return
    found = hash_open(call, False, &opened)
    if found == OPEN_ABSENT:
        reply_nothing_scanned(call.client)
    elif found != OPEN_FAILED and parse_scan_options(call, SCAN_FIELDS, &options):
        scan_hash(call, &opened.value, cursor, &options)
