"""Native handlers of the group list: those that look for elements, and LTRIM."""

from libc.stddef cimport size_t
from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t

from ranvier.engine.core cimport Arg, Call
from ranvier.engine.memory cimport Memory, release, resize
from ranvier.engine.native.common cimport arg_is, integer_argument, reply_syntax_error
from ranvier.engine.number cimport parse_integer
from ranvier.engine.reply cimport reply_array, reply_error, reply_integer, reply_null, reply_ok
from ranvier.engine.types.list_access cimport list_fill, list_open, list_put_in, list_store, list_taken_out
from ranvier.engine.types.listpack cimport Element, Needle, element_equals, needle_set
from ranvier.engine.types.packed cimport (
    Cursor, List, cursor_read, cursor_step, list_delete, list_delete_range, list_insert, list_length, list_seek,
    list_will_grow,
)
from ranvier.engine.types.value_access cimport OPEN_ABSENT, OPEN_FAILED, OPEN_FOUND, OpenValue


cdef native_t list_edit_handler(str name) except? NULL:
    if name == "linsert":
        return linsert
    if name == "lrem":
        return lrem
    if name == "ltrim":
        return ltrim
    if name == "lpos":
        return lpos
    return NULL


cdef inline bint cursor_matches(const Cursor *cursor, const Needle *needle) noexcept nogil:
    cdef Element element
    cursor_read(cursor, &element)
    return element_equals(&element, needle)


cdef bint signed_count(Call *call, const Arg *arg, int64_t *value) noexcept:
    """An integer whose negation is one too; 0 with the error replied."""
    if not integer_argument(call, arg, value):
        return False
    if value[0] == INT64_MIN:
        reply_error(call, b"ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807")
        return False
    return True


# ---- LINSERT, LREM, LTRIM -------------------------------------------------------------------------------------------

cdef bint insert_beside(Call *call, List *value, bint after) noexcept:
    """Insert args[4] beside the first element equal to args[3]; 0 when there is none."""
    cdef Arg *added = &call.args[4]
    cdef Cursor cursor
    cdef Needle needle
    cdef bint found = list_seek(value, 0, &cursor)
    needle_set(&needle, call.args[3].data, call.args[3].length)
    while found and not cursor_matches(&cursor, &needle):
        found = cursor_step(&cursor, True)
    if found:
        list_insert(value, &cursor, after, added.data, added.length)
    return found


cdef void linsert(Call *call) noexcept:
    cdef OpenValue opened
    cdef bint after = arg_is(&call.args[2], b"after")
    cdef int found
    if not after and not arg_is(&call.args[2], b"before"):
        reply_syntax_error(call)
        return
    found = list_open(call, True, &opened)
    if found == OPEN_ABSENT:
        reply_integer(call.client, 0)
    if found != OPEN_FOUND:
        return
    # As in the reference servers, the encoding changes even when the pivot turns out to be missing.
    list_will_grow(&opened.value, list_fill(call), call.args[4].length, 1)
    if insert_beside(call, &opened.value, after):
        reply_integer(call.client, <int64_t>list_length(&opened.value))
        list_put_in(&opened, b"linsert", 1)
    else:
        list_store(&opened)
        reply_integer(call.client, -1)


cdef void lrem(Call *call) noexcept:
    cdef OpenValue opened
    cdef Cursor cursor
    cdef Needle needle
    cdef int64_t limit = 0
    cdef int64_t removed = 0
    cdef bint forward
    cdef bint more
    if not signed_count(call, &call.args[2], &limit):
        return
    if list_open(call, True, &opened) != OPEN_FOUND:
        if not call.failed:
            reply_integer(call.client, 0)
        return
    forward = limit >= 0
    if limit < 0:
        limit = -limit
    needle_set(&needle, call.args[3].data, call.args[3].length)
    more = list_seek(&opened.value, 0 if forward else -1, &cursor)
    while more:
        if not cursor_matches(&cursor, &needle):
            more = cursor_step(&cursor, forward)
            continue
        more = list_delete(&opened.value, &cursor, forward)
        removed += 1
        if removed == limit:
            break
    reply_integer(call.client, removed)
    if removed:
        list_taken_out(&opened, b"lrem", removed)


cdef void ltrim(Call *call) noexcept:
    cdef OpenValue opened
    cdef int64_t start = 0
    cdef int64_t stop = 0
    cdef int64_t length
    cdef int found
    if not integer_argument(call, &call.args[2], &start) or not integer_argument(call, &call.args[3], &stop):
        return
    found = list_open(call, True, &opened)
    if found == OPEN_FAILED:
        return
    reply_ok(call.client)
    if found == OPEN_ABSENT:
        return
    length = <int64_t>list_length(&opened.value)
    if start < 0:
        start = start + length if start + length > 0 else 0
    if stop < 0:
        stop += length
    if stop >= length:
        stop = length - 1
    if start > stop:
        start = length
        stop = length - 1
    list_delete_range(&opened.value, <size_t>(stop + 1), <size_t>(length - 1 - stop))
    list_delete_range(&opened.value, 0, <size_t>start)
    list_taken_out(&opened, b"ltrim", start + length - 1 - stop)


# ---- LPOS -----------------------------------------------------------------------------------------------------------

cdef struct Search:
    int64_t rank                 # of the first match wanted, from 1; negative: from the tail
    int64_t count                # matches wanted, 0: all, -1: one, replied by itself
    int64_t limit                # elements looked at, 0: all

# Positions found; how many is known only at the end.
cdef struct Positions:
    Memory *memory
    int64_t *values
    size_t count
    size_t capacity


cdef void positions_add(Positions *self, int64_t position) noexcept nogil:
    if self.count == self.capacity:
        self.capacity = self.capacity * 2 + 8
        self.values = <int64_t *>resize(self.memory, self.values, self.capacity * sizeof(int64_t))
    self.values[self.count] = position
    self.count += 1


cdef bint not_negative(Call *call, const Arg *arg, int64_t *value, const char *error) noexcept:
    if parse_integer(arg.data, arg.length, value) and value[0] >= 0:
        return True
    reply_error(call, error)
    return False


cdef bint parse_rank(Call *call, const Arg *arg, int64_t *rank) noexcept:
    if not signed_count(call, arg, rank):
        return False
    if rank[0] == 0:
        reply_error(call, b"ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use "
                          b"negative to start from the end of the list")
        return False
    return True


cdef bint parse_search(Call *call, Search *search) noexcept:
    """The options of LPOS; 0 with the error replied."""
    cdef size_t i = 3
    cdef Arg *value
    search.rank = 1
    search.count = -1
    search.limit = 0
    while i < call.count:
        value = &call.args[i + 1]
        if i + 1 == call.count:
            reply_syntax_error(call)
            return False
        if arg_is(&call.args[i], b"rank"):
            if not parse_rank(call, value, &search.rank):
                return False
        elif arg_is(&call.args[i], b"count"):
            if not not_negative(call, value, &search.count, b"ERR COUNT can't be negative"):
                return False
        elif arg_is(&call.args[i], b"maxlen"):
            if not not_negative(call, value, &search.limit, b"ERR MAXLEN can't be negative"):
                return False
        else:
            reply_syntax_error(call)
            return False
        i += 2
    return True


cdef void find_positions(const List *value, const Search *search, const Needle *needle,
                         Positions *found) noexcept nogil:
    cdef bint forward = search.rank > 0
    cdef int64_t skip = (search.rank if forward else -search.rank) - 1
    cdef int64_t wanted = INT64_MAX if search.count == 0 else (1 if search.count < 0 else search.count)
    cdef int64_t length = <int64_t>list_length(value)
    cdef int64_t looked = 0
    cdef Cursor cursor
    cdef bint more = list_seek(value, 0 if forward else -1, &cursor)
    while more and (search.limit == 0 or looked < search.limit):
        if cursor_matches(&cursor, needle):
            if skip:
                skip -= 1
            else:
                positions_add(found, looked if forward else length - 1 - looked)
                wanted -= 1
                if wanted == 0:
                    return
        looked += 1
        more = cursor_step(&cursor, forward)


cdef void lpos(Call *call) noexcept:
    cdef OpenValue opened
    cdef Search search
    cdef Needle needle
    cdef Positions found
    cdef size_t i
    cdef int result
    if not parse_search(call, &search):
        return
    result = list_open(call, False, &opened)
    if result == OPEN_FAILED:
        return
    found.memory = &call.core.memory
    found.values = NULL
    found.count = found.capacity = 0
    if result == OPEN_FOUND:
        needle_set(&needle, call.args[2].data, call.args[2].length)
        find_positions(&opened.value, &search, &needle, &found)
    if search.count >= 0:
        reply_array(call.client, <int64_t>found.count)
        for i in range(found.count):
            reply_integer(call.client, found.values[i])
    elif found.count:
        reply_integer(call.client, found.values[0])
    else:
        reply_null(call.client)
    release(found.memory, found.values)
