"""HRANDFIELD: random fields of a hash, straight into the output buffer, never a list of them.

Strategy. With repetition, each reply is one draw. Without, a small part of a large table is drawn, and what was drawn
before remembered; anything else is one walk that keeps each field with the probability that makes every choice equally
likely (selection sampling: Knuth, The Art of Computer Programming, 3.4.2, algorithm S).
"""

from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t, uint64_t

from ranvier.engine.core cimport Call
from ranvier.engine.native.common cimport arg_is, integer_argument, reply_syntax_error
from ranvier.engine.reply cimport reply_array, reply_error, reply_null
from ranvier.engine.store.access cimport next_random
from ranvier.engine.store.table cimport Table, hash_bytes, table_clear, table_find, table_init, table_insert
from ranvier.engine.types.fields cimport (
    FieldView, Hash, field_index_layout, hash_expiring, hash_fields, hash_length, hash_random, hash_visit,
)
from ranvier.engine.types.hash_access cimport hash_open, is_past, reply_field_value
from ranvier.engine.types.value_access cimport OPEN_ABSENT, OPEN_FAILED, OPEN_FOUND, OpenValue, reply_element

cdef enum:
    DRAWS = 100                      # that may meet fields whose time has passed, before all are looked at
    REPETITIONS_LIMIT = 1 << 24      # replies of one command: the reference servers go on until memory ends


cdef native_t hash_random_handler(str name) except? NULL:
    if name == "hrandfield":
        return hrandfield
    return NULL


# What is wanted of the fields that a walk visits.
cdef struct Selection:
    Call *call
    bint with_values
    bint in_pairs                    # a field and its value are an array of two
    uint64_t left                    # fields still to be visited, those whose time has passed left out
    uint64_t needed


cdef void reply_pair(const Selection *selection, const FieldView *view) noexcept nogil:
    if selection.in_pairs:
        reply_array(selection.call.client, 2)
    reply_element(selection.call.client, &view.name)
    if selection.with_values:
        reply_field_value(selection.call.client, view)


cdef void count_living(void *context, const FieldView *view) noexcept nogil:
    cdef Selection *selection = <Selection *>context
    selection.left += not is_past(selection.call, view.at_ms)


cdef void select_field(void *context, const FieldView *view) noexcept nogil:
    cdef Selection *selection = <Selection *>context
    if selection.needed == 0 or is_past(selection.call, view.at_ms):
        return
    if (next_random(&selection.call.core.keyspace.random) >> 11) % selection.left < selection.needed:
        selection.needed -= 1
        reply_pair(selection, view)
    selection.left -= 1


cdef void count_fields(const Hash *value, Selection *selection) noexcept nogil:
    selection.left = 0
    if hash_expiring(value):
        hash_visit(value, &count_living, selection)
    else:
        selection.left = hash_length(value)


cdef bint draw(const Hash *value, Selection *selection, FieldView *view) noexcept nogil:
    """Any living field; False if none was met, though there may be some."""
    cdef int _try
    for _try in range(DRAWS):
        if not hash_random(value, &selection.call.core.keyspace.random, view):
            return False
        if not is_past(selection.call, view.at_ms):
            return True
    return False


cdef void draw_distinct(const Hash *value, Selection *selection) noexcept nogil:
    """A small part of a large table, most of whose fields live."""
    cdef Table drawn
    cdef FieldView view
    cdef uint64_t hash
    cdef const Table *fields = &hash_fields(value).fields
    table_init(&drawn, value.memory, field_index_layout(), fields.seed0, fields.seed1)
    while selection.needed and draw(value, selection, &view):
        hash = hash_bytes(fields.seed0, fields.seed1, view.name.data, view.name.length)
        if table_find(&drawn, hash, view.name.data, view.name.length) == NULL:
            table_insert(&drawn, hash, view.field)
            reply_pair(selection, &view)
            selection.needed -= 1
    table_clear(&drawn)


cdef void reply_one(const Hash *value, Selection *selection) noexcept nogil:
    cdef FieldView view
    if draw(value, selection, &view):
        reply_pair(selection, &view)
        return
    count_fields(value, selection)
    selection.needed = 1
    hash_visit(value, &select_field, selection)


cdef void reply_repeated(const Hash *value, Selection *selection, int64_t count) noexcept nogil:
    while count:
        reply_one(value, selection)
        count -= 1


cdef void reply_fields(const Hash *value, Selection *selection, int64_t count) noexcept:
    cdef Call *call = selection.call
    cdef int64_t replies
    cdef int64_t living
    count_fields(value, selection)
    living = <int64_t>selection.left
    if count < 0 and living:
        if -count > REPETITIONS_LIMIT:
            reply_error(call, b"ERR value is out of range")
            return
        replies = -count
    else:
        replies = count if 0 <= count < living else living
    reply_array(call.client, replies * 2 if selection.with_values and not selection.in_pairs else replies)
    if count < 0 and living:
        reply_repeated(value, selection, replies)
    elif hash_fields(value) != NULL and replies < living // 3 and living > <int64_t>hash_length(value) // 2:
        selection.needed = <uint64_t>replies
        draw_distinct(value, selection)
    else:
        selection.needed = <uint64_t>replies
        hash_visit(value, &select_field, selection)


cdef bint parse_count(Call *call, int64_t *count, bint *with_values) noexcept:
    """`count [WITHVALUES]`; 0 with the error replied."""
    if not integer_argument(call, &call.args[2], count):
        return False
    if count[0] == INT64_MIN:
        reply_error(call, b"ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807")
        return False
    with_values[0] = call.count == 4 and arg_is(&call.args[3], b"withvalues")
    if call.count > 3 and not with_values[0]:
        reply_syntax_error(call)
        return False
    if with_values[0] and not -(INT64_MAX // 2) <= count[0] <= INT64_MAX // 2:
        reply_error(call, b"ERR value is out of range")
        return False
    return True


cdef void hrandfield(Call *call) noexcept:
    cdef OpenValue opened
    cdef Selection selection
    cdef int64_t count = 0
    cdef int found
    selection.call = call
    selection.with_values = False
    if call.count > 2 and not parse_count(call, &count, &selection.with_values):
        return
    selection.in_pairs = selection.with_values and call.client.protocol == 3
    found = hash_open(call, False, &opened)
    if found == OPEN_FAILED:
        return
    if call.count > 2:
        if found == OPEN_ABSENT or count == 0:
            reply_array(call.client, 0)
        else:
            reply_fields(&opened.value, &selection, count)
        return
    if found == OPEN_FOUND:
        count_fields(&opened.value, &selection)
        if selection.left:
            reply_one(&opened.value, &selection)
            return
    reply_null(call.client)
