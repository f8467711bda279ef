"""Native handlers of the group hash: setting, getting, deleting, counting, listing.

`hash_expiry` holds those that concern the expiry of fields, `hash_random` HRANDFIELD, `hash_walk` HSCAN. Values are
replied straight from the hash into the output buffer; a large one is referenced there, not copied.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t

from ranvier.engine.core cimport Arg, Call
from ranvier.engine.effects cimport propagate_as, propagates
from ranvier.engine.native.common cimport arg_bytes, integer_argument, reply_wrong_arity
from ranvier.engine.native.float_text cimport FLOAT_BYTES, parse_long_double, print_long_double
from ranvier.engine.native.hash_expiry cimport hash_expiry_handler
from ranvier.engine.native.hash_random cimport hash_random_handler
from ranvier.engine.native.hash_walk cimport hash_walk_handler
from ranvier.engine.number cimport parse_integer, print_integer
from ranvier.engine.reply cimport (
    reply_array, reply_bulk, reply_error, reply_integer, reply_map, reply_ok,
)
from ranvier.engine.store.entry cimport ENCODING_LISTPACK
from ranvier.engine.types.fields cimport (
    FieldView, HashLimits, hash_become_table, hash_expiring, hash_has_grown, hash_length, hash_put, hash_remove,
    hash_visit, hash_will_take,
)
from ranvier.engine.types.hash_access cimport (
    FIELD_ABSENT, FIELD_FOUND, FIELD_PAST, PAIR_OVERHEAD_BYTES, hash_begin, hash_expect, hash_limits, hash_look,
    hash_open, hash_put_argument, hash_store, hash_taken_out, hash_tell, hash_tell_past, is_past,
    reply_field_value, reply_looked_up,
)
from ranvier.engine.types.listpack cimport INTEGER_TEXT_BYTES, element_text
from ranvier.engine.types.value_access cimport OPEN_ABSENT, OPEN_FAILED, OPEN_FOUND, OpenValue, reply_element

cdef extern from "<math.h>" nogil:
    bint isnan(long double value)
    bint isinf(long double value)

cdef native_t hash_handler(str name) except? NULL:
    if name == "hset":
        return hset
    if name == "hmset":
        return hmset
    if name == "hsetnx":
        return hsetnx
    if name == "hget":
        return hget
    if name == "hmget":
        return hmget
    if name == "hdel":
        return hdel
    if name == "hlen":
        return hlen
    if name == "hexists":
        return hexists
    if name == "hstrlen":
        return hstrlen
    if name == "hgetall":
        return hgetall
    if name == "hkeys":
        return hkeys
    if name == "hvals":
        return hvals
    if name == "hincrby":
        return hincrby
    if name == "hincrbyfloat":
        return hincrbyfloat
    if name == "hrandfield":
        return hash_random_handler(name)
    if name == "hscan":
        return hash_walk_handler(name)
    return hash_expiry_handler(name)


# ---- setting --------------------------------------------------------------------------------------------------------

cdef inline bint set_all(Call *call, OpenValue *opened, int64_t *created) noexcept:
    """HSET and HMSET without their reply; 0 with the error replied."""
    cdef HashLimits limits
    cdef size_t pairs = (call.count - 2) // 2
    cdef int64_t past = 0
    cdef size_t i
    cdef int found
    cdef int state
    if call.count % 2:
        reply_wrong_arity(call)
        return False
    found = hash_open(call, True, opened)
    if found == OPEN_FAILED:
        return False
    hash_expect(opened, found, 2, pairs)
    limits = hash_limits(call)
    if pairs > limits.entries:
        hash_become_table(&opened.value, &limits)
    for i in range(2, call.count, 2):
        state = hash_put_argument(opened, &call.args[i], &call.args[i + 1], -1, False)
        created[0] += state != FIELD_FOUND
        past += state == FIELD_PAST
    hash_has_grown(&opened.value, &limits)
    hash_store(opened)
    hash_tell_past(opened, past)
    return True


cdef void hset(Call *call) noexcept:
    cdef OpenValue opened
    cdef int64_t created = 0
    if set_all(call, &opened, &created):
        reply_integer(call.client, created)
        hash_tell(&opened, b"hset", <int64_t>call.count // 2 - 1)


cdef void hmset(Call *call) noexcept:
    cdef OpenValue opened
    cdef int64_t created = 0
    if set_all(call, &opened, &created):
        reply_ok(call.client)
        hash_tell(&opened, b"hset", <int64_t>call.count // 2 - 1)


cdef void hsetnx(Call *call) noexcept:
    cdef OpenValue opened
    cdef HashLimits limits = hash_limits(call)
    cdef FieldView view
    cdef int found = hash_open(call, True, &opened)
    cdef int state = FIELD_ABSENT
    if found == OPEN_FAILED:
        return
    if found == OPEN_FOUND:
        state = hash_look(&opened, &call.args[2], &view)
    if state == FIELD_FOUND:
        reply_integer(call.client, 0)
        return
    hash_expect(&opened, found, 2, 1)
    hash_put_argument(&opened, &call.args[2], &call.args[3], -1, False)
    hash_has_grown(&opened.value, &limits)
    hash_store(&opened)
    reply_integer(call.client, 1)
    hash_tell_past(&opened, state == FIELD_PAST)
    hash_tell(&opened, b"hset", 1)
    if state == FIELD_PAST and propagates(call):     # elsewhere the old field may not have passed yet
        propagate_as(call, [[b"HSET", arg_bytes(&call.args[1]), arg_bytes(&call.args[2]), arg_bytes(&call.args[3])]])


# ---- counting -------------------------------------------------------------------------------------------------------

cdef void put_result(OpenValue *opened, int found, int state, FieldView *view, const char *text, size_t length,
                     const char *event, bint verbatim) noexcept:
    """Store a field's new value, keep its expiry, tell of it. `verbatim`: the request may be propagated as it came."""
    cdef Call *call = opened.call
    cdef Arg *name = &call.args[2]
    cdef HashLimits limits = hash_limits(call)
    cdef int64_t at_ms = view.at_ms if state == FIELD_FOUND else -1
    if found == OPEN_ABSENT:
        hash_begin(opened, name.length + length + PAIR_OVERHEAD_BYTES)
    if opened.value.encoding == ENCODING_LISTPACK:
        hash_will_take(&opened.value, &limits, name.length if name.length > length else length,
                       name.length + length + PAIR_OVERHEAD_BYTES)
        if opened.value.encoding != ENCODING_LISTPACK and state != FIELD_ABSENT:
            hash_look(opened, name, view)
    hash_put(&opened.value, NULL if state == FIELD_ABSENT else view, name.data, name.length, text, length, NULL, at_ms)
    hash_has_grown(&opened.value, &limits)
    hash_store(opened)
    hash_tell_past(opened, state == FIELD_PAST)
    hash_tell(opened, event, 1)
    if propagates(call):
        if at_ms >= 0:
            propagate_as(call, [[b"HSETEX", arg_bytes(&call.args[1]), b"PXAT", b"%d" % at_ms, b"FIELDS", b"1",
                                 arg_bytes(name), text[:length]]])
        elif state == FIELD_PAST or not verbatim:
            propagate_as(call, [[b"HSET", arg_bytes(&call.args[1]), arg_bytes(name), text[:length]]])


cdef void hincrby(Call *call) noexcept:
    cdef OpenValue opened
    cdef FieldView view
    cdef char scratch[INTEGER_TEXT_BYTES]
    cdef const char *text
    cdef size_t length = 0
    cdef int64_t delta = 0
    cdef int64_t value = 0
    cdef int state = FIELD_ABSENT
    cdef int found
    if not integer_argument(call, &call.args[3], &delta):
        return
    found = hash_open(call, True, &opened)
    if found == OPEN_FAILED:
        return
    if found == OPEN_FOUND:
        state = hash_look(&opened, &call.args[2], &view)
    if state == FIELD_FOUND:
        text = element_text(&view.value, scratch, &length)
        if not parse_integer(text, length, &value):
            reply_error(call, b"ERR hash value is not an integer")
            return
    if (delta < 0 and value < -0x7fffffffffffffff - 1 - delta) or (delta > 0 and value > 0x7fffffffffffffff - delta):
        reply_error(call, b"ERR increment or decrement would overflow")
        return
    value += delta
    length = print_integer(scratch, value)
    reply_integer(call.client, value)
    put_result(&opened, found, state, &view, scratch, length, b"hincrby", True)


cdef void hincrbyfloat(Call *call) noexcept:
    cdef OpenValue opened
    cdef FieldView view
    cdef char scratch[INTEGER_TEXT_BYTES]
    cdef char text[FLOAT_BYTES]
    cdef const char *old
    cdef size_t length = 0
    cdef long double delta = 0
    cdef long double value = 0
    cdef int state = FIELD_ABSENT
    cdef int found
    if not parse_long_double(call.args[3].data, call.args[3].length, &delta):
        reply_error(call, b"ERR value is not a valid float")
        return
    if isnan(delta) or isinf(delta):
        reply_error(call, b"ERR value is NaN or Infinity")
        return
    found = hash_open(call, True, &opened)
    if found == OPEN_FAILED:
        return
    if found == OPEN_FOUND:
        state = hash_look(&opened, &call.args[2], &view)
    if state == FIELD_FOUND:
        old = element_text(&view.value, scratch, &length)
        if not parse_long_double(old, length, &value):
            reply_error(call, b"ERR hash value is not a float")
            return
    value += delta
    if isnan(value) or isinf(value):
        reply_error(call, b"ERR increment would produce NaN or Infinity")
        return
    length = print_long_double(text, value)
    reply_bulk(call.client, text, length)
    # The sum depends on the machine's long double: what is passed on is the result.
    put_result(&opened, found, state, &view, text, length, b"hincrbyfloat", False)


# ---- getting --------------------------------------------------------------------------------------------------------

cdef void hget(Call *call) noexcept:
    cdef OpenValue opened
    cdef int found = hash_open(call, False, &opened)
    if found != OPEN_FAILED:
        reply_looked_up(&opened, found, &call.args[2])


cdef void hmget(Call *call) noexcept:
    cdef OpenValue opened
    cdef size_t i
    cdef int found = hash_open(call, False, &opened)
    if found == OPEN_FAILED:
        return
    reply_array(call.client, <int64_t>call.count - 2)
    for i in range(2, call.count):
        reply_looked_up(&opened, found, &call.args[i])


cdef void hlen(Call *call) noexcept:
    cdef OpenValue opened
    cdef int found = hash_open(call, False, &opened)
    if found != OPEN_FAILED:                 # as on Valkey, fields whose time has passed count until they are deleted
        reply_integer(call.client, <int64_t>hash_length(&opened.value) if found == OPEN_FOUND else 0)


cdef void hexists(Call *call) noexcept:
    cdef OpenValue opened
    cdef FieldView view
    cdef int found = hash_open(call, False, &opened)
    if found != OPEN_FAILED:
        reply_integer(call.client, found == OPEN_FOUND and hash_look(&opened, &call.args[2], &view) == FIELD_FOUND)


cdef void hstrlen(Call *call) noexcept:
    cdef OpenValue opened
    cdef FieldView view
    cdef char scratch[INTEGER_TEXT_BYTES]
    cdef size_t length = 0
    cdef int found = hash_open(call, False, &opened)
    if found == OPEN_FAILED:
        return
    if found == OPEN_FOUND and hash_look(&opened, &call.args[2], &view) == FIELD_FOUND:
        element_text(&view.value, scratch, &length)
    reply_integer(call.client, <int64_t>length)


cdef struct Listing:
    Call *call
    bint names
    bint values
    int64_t count


cdef void list_field(void *context, const FieldView *view) noexcept nogil:
    cdef Listing *listing = <Listing *>context
    if is_past(listing.call, view.at_ms):
        return
    if listing.names:
        reply_element(listing.call.client, &view.name)
    if listing.values:
        reply_field_value(listing.call.client, view)


cdef void count_field(void *context, const FieldView *view) noexcept nogil:
    cdef Listing *listing = <Listing *>context
    listing.count += not is_past(listing.call, view.at_ms)


cdef inline void list_fields(Call *call, bint names, bint values) noexcept:
    cdef OpenValue opened
    cdef Listing listing
    cdef int found = hash_open(call, False, &opened)
    if found == OPEN_FAILED:
        return
    listing.call = call
    listing.names = names
    listing.values = values
    listing.count = 0
    if found == OPEN_FOUND:
        if hash_expiring(&opened.value):
            hash_visit(&opened.value, &count_field, &listing)
        else:
            listing.count = <int64_t>hash_length(&opened.value)
    if names and values:
        reply_map(call.client, listing.count)
    else:
        reply_array(call.client, listing.count)
    if found == OPEN_FOUND:
        hash_visit(&opened.value, &list_field, &listing)


cdef void hgetall(Call *call) noexcept:
    list_fields(call, True, True)


cdef void hkeys(Call *call) noexcept:
    list_fields(call, True, False)


cdef void hvals(Call *call) noexcept:
    list_fields(call, False, True)


# ---- deleting -------------------------------------------------------------------------------------------------------

cdef void hdel(Call *call) noexcept:
    cdef OpenValue opened
    cdef FieldView view
    cdef int64_t deleted = 0
    cdef size_t i
    cdef int found = hash_open(call, True, &opened)
    if found == OPEN_FAILED:
        return
    if found == OPEN_FOUND:
        for i in range(2, call.count):
            if hash_look(&opened, &call.args[i], &view) == FIELD_FOUND:
                hash_remove(&opened.value, &view)
                deleted += 1
    reply_integer(call.client, deleted)
    if deleted:
        hash_taken_out(&opened, b"hdel", deleted)
