"""The arguments of commands on the fields of hashes, in the order in which Valkey looks at them."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint32_t

from ranvier.engine.core cimport Arg, Call
from ranvier.engine.dispatch cimport text_of
from ranvier.engine.native.common cimport (
    arg_is, has_passed, integer_argument, reply_command_error, reply_syntax_error,
)
from ranvier.engine.reply cimport reply_error, reply_error_bytes


cdef bint bad_field_count(Call *call) noexcept:
    reply_error(call, b"ERR numfields should be greater than 0 and match the provided number of fields")
    return False


cdef bint parse_fields(Call *call, size_t at, size_t step, bint strict_error, Wanted *wanted) noexcept:
    """`numfields field...` behind the word at args[at], `step` arguments per field; 0 with the error replied."""
    cdef int64_t count = 0
    if at + 1 >= call.count:
        return bad_field_count(call)
    if not integer_argument(call, &call.args[at + 1], &count):
        return False
    wanted.first = at + 2
    wanted.count = (call.count - wanted.first) // step
    if count < 1 or <size_t>count != wanted.count or (call.count - wanted.first) % step:
        if strict_error:
            return bad_field_count(call)
        reply_syntax_error(call)
        return False
    return True


cdef bint parse_fields_at_once(Call *call, bint strict_error, Wanted *wanted) noexcept:
    """FIELDS as the first word behind the key."""
    if not arg_is(&call.args[2], b"fields"):
        reply_syntax_error(call)
        return False
    return parse_fields(call, 2, 1, strict_error, wanted)


cdef size_t find_fields(Call *call, size_t first) noexcept:
    """Where the word FIELDS stands, from args[first] on and not at the end; 0 with the error replied."""
    cdef size_t i
    for i in range(first, call.count - 1):
        if arg_is(&call.args[i], b"fields"):
            return i
    # Valkey looks at the key, too, and that first: a key of that name is taken for the word where there is no other.
    if first == 2 and arg_is(&call.args[1], b"fields"):
        return 1
    bad_field_count(call)
    return 0


cdef bint parse_time(Call *call, const Arg *arg, bint milliseconds, bint absolute, Wanted *wanted) noexcept:
    """The moment in wall-clock ms; 0 with the error replied."""
    cdef int64_t value = 0
    if not integer_argument(call, arg, &value):
        return False
    if value < 0 or (not milliseconds and value > <int64_t>(0x7fffffffffffffffULL // 1000)):
        reply_command_error(call, b"ERR invalid expire time")
        return False
    if not milliseconds:
        value *= 1000
    if not absolute:
        if value > <int64_t>0x7fffffffffffffffULL - call.core.wall_ms:
            reply_command_error(call, b"ERR invalid expire time")
            return False
        value += call.core.wall_ms
    wanted.at_ms = value
    wanted.passed = has_passed(call, value)
    return True


cdef uint32_t option_of(const Arg *word) noexcept nogil:
    """The option of HGETEX or HSETEX that the word names, 0: none."""
    if arg_is(word, b"ex"):
        return OPTION_EX
    if arg_is(word, b"px"):
        return OPTION_PX
    if arg_is(word, b"exat"):
        return OPTION_EXAT
    if arg_is(word, b"pxat"):
        return OPTION_PXAT
    if arg_is(word, b"persist"):
        return OPTION_PERSIST
    if arg_is(word, b"keepttl"):
        return OPTION_KEEP
    if arg_is(word, b"nx"):
        return OPTION_NX
    if arg_is(word, b"xx"):
        return OPTION_XX
    if arg_is(word, b"fnx"):
        return OPTION_FIELDS_NX
    if arg_is(word, b"fxx"):
        return OPTION_FIELDS_XX
    return 0


cdef inline bint at_most_one(uint32_t bits) noexcept nogil:
    return bits & (bits - 1) == 0


cdef bint parse_options(Call *call, uint32_t allowed, size_t step, Wanted *wanted) noexcept:
    """Everything behind the key of HGETEX and HSETEX but the value of the time; 0 with the error replied."""
    cdef size_t fields = find_fields(call, 2)
    cdef size_t i = 2
    cdef uint32_t one
    wanted.options = 0
    wanted.at_ms = -1
    wanted.passed = False
    if fields == 0:
        return False
    while i < fields:
        one = option_of(&call.args[i])
        if one & OPTIONS_TIME:
            i += 1
            wanted.time = &call.args[i]
        wanted.options |= one
        if not one & allowed or i >= fields or not (
                at_most_one(wanted.options & (OPTIONS_TIME | OPTION_KEEP | OPTION_PERSIST))
                and at_most_one(wanted.options & (OPTION_NX | OPTION_XX))
                and at_most_one(wanted.options & (OPTION_FIELDS_NX | OPTION_FIELDS_XX))):
            reply_syntax_error(call)
            return False
        i += 1
    return parse_fields(call, fields, step, True, wanted)


cdef bint parse_option_time(Call *call, Wanted *wanted) noexcept:
    """The time that an option gives, if one does: read only when the key has been found to be a hash, or absent."""
    return not wanted.options & OPTIONS_TIME or parse_time(
        call, wanted.time, wanted.options & (OPTION_PX | OPTION_PXAT) != 0,
        wanted.options & (OPTION_EXAT | OPTION_PXAT) != 0, wanted)


cdef bint parse_conditions(Call *call, size_t fields, Wanted *wanted) noexcept:
    """The words between HEXPIRE's time and FIELDS; 0 with the error replied."""
    cdef size_t i
    wanted.options = 0
    for i in range(3, fields):
        if arg_is(&call.args[i], b"nx"):
            wanted.options |= OPTION_NX
        elif arg_is(&call.args[i], b"xx"):
            wanted.options |= OPTION_XX
        elif arg_is(&call.args[i], b"gt"):
            wanted.options |= OPTION_GT
        elif arg_is(&call.args[i], b"lt"):
            wanted.options |= OPTION_LT
        else:
            call.failed = True
            reply_error_bytes(call.client, b"ERR Unsupported option " + text_of(&call.args[i]))
            return False
    if wanted.options & OPTION_NX and wanted.options != OPTION_NX:
        reply_error(call, b"ERR NX and XX, GT or LT options at the same time are not compatible")
        return False
    if wanted.options & OPTION_GT and wanted.options & OPTION_LT:
        reply_error(call, b"ERR GT and LT options at the same time are not compatible")
        return False
    return True


cdef bint parse_expire(Call *call, bint milliseconds, bint absolute, Wanted *wanted) noexcept:
    cdef size_t fields = find_fields(call, 3)
    return fields != 0 and parse_conditions(call, fields, wanted) and parse_fields(call, fields, 1, True, wanted) \
        and parse_time(call, &call.args[2], milliseconds, absolute, wanted)
