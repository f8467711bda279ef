"""INCREX (Redis 8.8): count within bounds, and set the expiry in one step.

A result beyond a bound, or beyond what the type holds, leaves value and expiry as they are - the increment replied is
0 - or, with SATURATE, becomes the bound. Replied are the value and how far it went: integers, or with BYFLOAT texts as
those of INCRBYFLOAT. Propagated is the result as a SET, because what is left of a bound depends on the value met.
"""

from libc.stddef cimport size_t
from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t

from ranvier.engine.core cimport EVENT_GENERIC, EVENT_STRING, Arg, Call
from ranvier.engine.effects cimport changed, propagate_as, propagates
from ranvier.engine.native.common cimport (
    arg_bytes, arg_is, delete_expired, has_passed, integer_argument, not_string, reply_syntax_error,
)
from ranvier.engine.native.float_text cimport FLOAT_BYTES, parse_long_double, print_long_double
from ranvier.engine.native.string_options cimport (
    OPTION_EXPIRY, OPTION_PERSIST, Options, options_init, parse_expiry_option, read_expiry,
)
from ranvier.engine.number cimport parse_integer
from ranvier.engine.reply cimport reply_array, reply_bulk, reply_error, reply_integer
from ranvier.engine.store.database cimport (
    database_find_write, database_set_expiry, database_set_integer, database_set_text, entry_string,
)
from ranvier.engine.store.entry cimport Entry, entry_expiry

cdef extern from "<math.h>" nogil:
    bint isinf(long double value)

cdef extern from "<float.h>" nogil:
    const long double LDBL_MAX

# What INCREX is asked for; the bounds are as wide as the type where none is given.
cdef struct Counting:
    Options options              # the expiry, or PERSIST
    const Arg *increment
    const Arg *lower_text
    const Arg *upper_text
    bint by_float
    bint saturates
    bint expires_once            # ENX: only a key without an expiry gets one
    int64_t integer_step
    int64_t integer_lower
    int64_t integer_upper
    long double step
    long double lower
    long double upper


cdef native_t bounded_counter_handler(str name) except? NULL:
    if name == "increx":
        return increx
    return NULL


# ---- arguments ------------------------------------------------------------------------------------------------------

cdef inline bint take_once(const Arg **place, const Arg *value) noexcept nogil:
    """0 when there was one before."""
    if place[0] != NULL:
        return False
    place[0] = value
    return True


cdef bint parse_words(Call *call, Counting *counting) noexcept:
    """The words; 0 with the error replied."""
    cdef size_t i = 2
    cdef const Arg *word
    cdef const Arg *value
    cdef bint matched = False
    cdef bint once = True
    while i < call.count:
        word = &call.args[i]
        value = word + 1 if i + 1 < call.count else NULL
        i += 1
        if arg_is(word, b"saturate"):
            counting.saturates = True
        elif arg_is(word, b"enx"):
            counting.expires_once = True
        elif arg_is(word, b"persist"):
            once = once and counting.options.given & OPTION_EXPIRY == 0
            counting.options.given |= OPTION_PERSIST
        elif value != NULL and (arg_is(word, b"byint") or arg_is(word, b"byfloat")):
            counting.by_float = arg_is(word, b"byfloat")
            once = once and take_once(&counting.increment, value)
            i += 1
        elif value != NULL and arg_is(word, b"lbound"):
            once = once and take_once(&counting.lower_text, value)
            i += 1
        elif value != NULL and arg_is(word, b"ubound"):
            once = once and take_once(&counting.upper_text, value)
            i += 1
        else:
            i -= 1
            if not parse_expiry_option(call, &i, &counting.options, &matched):
                return False
            if not matched:
                reply_syntax_error(call)
                return False
            i += 1
    if not once or (counting.expires_once and counting.options.given & OPTION_EXPIRY == 0):
        reply_syntax_error(call)
        return False
    return True


cdef bint read_integers(Call *call, Counting *counting) noexcept:
    counting.integer_step = 1
    counting.integer_lower = INT64_MIN
    counting.integer_upper = INT64_MAX
    return (counting.increment == NULL or integer_argument(call, counting.increment, &counting.integer_step)) \
        and (counting.lower_text == NULL or integer_argument(call, counting.lower_text, &counting.integer_lower)) \
        and (counting.upper_text == NULL or integer_argument(call, counting.upper_text, &counting.integer_upper))


cdef bint read_float(Call *call, const Arg *arg, long double *value) noexcept:
    if arg == NULL or (parse_long_double(arg.data, arg.length, value) and not isinf(value[0])):
        return True
    reply_error(call, b"ERR value is not a valid float")
    return False


cdef bint parse_counting(Call *call, Counting *counting) noexcept:
    """What is asked for; 0 with the error replied."""
    cdef bint crossed
    options_init(&counting.options)
    counting.increment = counting.lower_text = counting.upper_text = NULL
    counting.by_float = counting.saturates = counting.expires_once = False
    if not parse_words(call, counting):
        return False
    if counting.by_float:
        counting.lower = -LDBL_MAX
        counting.upper = LDBL_MAX
        if not read_float(call, counting.increment, &counting.step) \
                or not read_float(call, counting.lower_text, &counting.lower) \
                or not read_float(call, counting.upper_text, &counting.upper):
            return False
        crossed = counting.lower > counting.upper
    else:
        if not read_integers(call, counting):
            return False
        crossed = counting.integer_lower > counting.integer_upper
    if crossed:
        reply_error(call, b"ERR LBOUND can't be greater than UBOUND")
        return False
    return read_expiry(call, &counting.options)


# ---- counting -------------------------------------------------------------------------------------------------------

cdef inline int64_t add_within(int64_t one, int64_t other) noexcept nogil:
    """The sum, or the end of the type's range that it lies beyond."""
    if other > 0 and one > INT64_MAX - other:
        return INT64_MAX
    if other < 0 and one < INT64_MIN - other:
        return INT64_MIN
    return one + other


cdef inline bint overflows(int64_t one, int64_t other) noexcept nogil:
    return (other > 0 and one > INT64_MAX - other) or (other < 0 and one < INT64_MIN - other)


cdef bint count_integer(Call *call, Entry *entry, const Counting *counting) noexcept:
    """Store the sum and reply; 0: it was refused, or an error is replied."""
    cdef char scratch[24]
    cdef size_t length = 0
    cdef const char *text
    cdef int64_t value = 0, sum
    cdef bint beyond
    if entry != NULL:
        text = entry_string(entry, scratch, &length)
        if not parse_integer(text, length, &value):
            reply_error(call, b"ERR value is not an integer or out of range")
            return False
    sum = add_within(value, counting.integer_step)
    beyond = overflows(value, counting.integer_step) or sum < counting.integer_lower or sum > counting.integer_upper
    if counting.saturates:
        if sum < counting.integer_lower:
            sum = counting.integer_lower
        elif sum > counting.integer_upper:
            sum = counting.integer_upper
        if (value < 0 and sum > INT64_MAX + value) or (value >= 0 and sum < INT64_MIN + value):
            reply_error(call, b"ERR increment or decrement would overflow")
            return False
    elif beyond:
        sum = value
    reply_array(call.client, 2)
    reply_integer(call.client, sum)
    reply_integer(call.client, sum - value)
    if beyond and not counting.saturates:
        return False
    database_set_integer(call.database, call.hash, call.args[1].data, call.args[1].length, sum, True)
    return True


cdef void reply_float(Call *call, long double value) noexcept:
    cdef char text[FLOAT_BYTES]
    cdef size_t length = print_long_double(text, value)
    reply_bulk(call.client, text, length)


cdef bint count_float(Call *call, Entry *entry, const Counting *counting) noexcept:
    """As `count_integer`."""
    cdef char scratch[24]
    cdef char text[FLOAT_BYTES]
    cdef size_t length = 0
    cdef const char *old
    cdef long double value = 0, sum
    cdef bint beyond
    if entry != NULL:
        old = entry_string(entry, scratch, &length)
        if not parse_long_double(old, length, &value) or isinf(value):
            reply_error(call, b"ERR value is not a valid float")
            return False
    sum = value + counting.step
    beyond = sum < counting.lower or sum > counting.upper
    if beyond and not counting.saturates:
        sum = value
    elif sum < counting.lower:
        sum = counting.lower
    elif sum > counting.upper:
        sum = counting.upper
    if isinf(sum - value):
        reply_error(call, b"ERR increment would produce NaN or Infinity")
        return False
    reply_array(call.client, 2)
    reply_float(call, sum)
    reply_float(call, sum - value)
    if beyond and not counting.saturates:
        return False
    length = print_long_double(text, sum)
    database_set_text(call.database, call.hash, call.args[1].data, call.args[1].length, text, length, True)
    return True


cdef void propagate_result(Call *call, Entry *entry) noexcept:
    cdef char scratch[24]
    cdef size_t length = 0
    cdef const char *text = entry_string(entry, scratch, &length)
    cdef list request = [b"SET", arg_bytes(&call.args[1]), text[:length]]
    cdef int64_t at_ms = entry_expiry(entry)
    if at_ms >= 0:
        request += [b"PXAT", b"%d" % at_ms]
    propagate_as(call, [request])


cdef void increx(Call *call) noexcept:
    cdef Arg *key = &call.args[1]
    cdef Counting counting
    cdef Entry *entry
    cdef bint stored, expires, persists
    if not parse_counting(call, &counting):
        return
    entry = database_find_write(call.database, call.hash, key.data, key.length)
    if not_string(call, entry):
        return
    stored = count_float(call, entry, &counting) if counting.by_float else count_integer(call, entry, &counting)
    if not stored:
        return
    entry = database_find_write(call.database, call.hash, key.data, key.length)
    if counting.expires_once and entry_expiry(entry) >= 0:
        counting.options.given = 0
    if counting.options.given & OPTION_EXPIRY and has_passed(call, counting.options.at_ms):
        delete_expired(call, call.hash, key)
        return
    expires = counting.options.given & OPTION_EXPIRY != 0
    persists = counting.options.given & OPTION_PERSIST != 0 and entry_expiry(entry) >= 0
    if expires or persists:
        entry = database_set_expiry(call.database, call.hash, entry, counting.options.at_ms)
    changed(call, key.data, key.length, EVENT_STRING, b"incrbyfloat" if counting.by_float else b"incrby")
    if expires or persists:
        changed(call, key.data, key.length, EVENT_GENERIC, b"expire" if expires else b"persist")
        call.dirty -= 1
    if propagates(call):
        propagate_result(call, entry)
