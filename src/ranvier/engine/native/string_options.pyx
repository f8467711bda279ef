"""Parsing the options of SET and its kin: the words first, each at most as often as it may stand, then their values."""

from libc.stdint cimport uint8_t
from libc.string cimport memcmp

from ranvier.engine.native.common cimport arg_is, parse_expiry, reply_syntax_error
from ranvier.engine.reply cimport reply_error
from ranvier.engine.store.database cimport entry_string
from ranvier.engine.types.xxh3 cimport xxh3

# ---- options --------------------------------------------------------------------------------------------------------

cdef void options_init(Options *options) noexcept nogil:
    options.given = 0
    options.at_ms = -1
    options.expiry = NULL
    options.expiry_milliseconds = options.expiry_absolute = False
    options.condition.value = NULL


cdef bint parse_expiry_option(Call *call, size_t *i, Options *options, bint *matched) noexcept:
    cdef const Arg *word = &call.args[i[0]]
    cdef bint milliseconds = False, absolute = False
    matched[0] = True
    if arg_is(word, b"ex"):
        pass
    elif arg_is(word, b"px"):
        milliseconds = True
    elif arg_is(word, b"exat"):
        absolute = True
    elif arg_is(word, b"pxat"):
        milliseconds = absolute = True
    else:
        matched[0] = False
        return True
    # The same word may stand again, and then counts.
    if options.given & (OPTION_KEEP | OPTION_PERSIST) or i[0] + 1 >= call.count or (
            options.given & OPTION_EXPIRY
            and (milliseconds != options.expiry_milliseconds or absolute != options.expiry_absolute)):
        reply_syntax_error(call)
        return False
    options.given |= OPTION_EXPIRY
    i[0] += 1
    options.expiry_milliseconds = milliseconds
    options.expiry_absolute = absolute
    options.expiry = &call.args[i[0]]
    return True


cdef inline uint32_t plain_option(const Arg *word) noexcept nogil:
    """The option of a word that stands by itself; 0 if it is none."""
    if arg_is(word, b"nx"):
        return OPTION_NX
    if arg_is(word, b"xx"):
        return OPTION_XX
    if arg_is(word, b"get"):
        return OPTION_GET
    if arg_is(word, b"keepttl"):
        return OPTION_KEEP
    if arg_is(word, b"persist"):
        return OPTION_PERSIST
    return 0


cdef bint parse_condition(Call *call, size_t *i, Options *options, bint *matched) noexcept:
    """A condition at args[*i], the only one; 0 when the error is replied."""
    cdef Condition condition
    matched[0] = i[0] + 1 < call.count and is_condition(&call.args[i[0]], &call.args[i[0] + 1], &condition)
    if not matched[0]:
        return True
    if options.given & OPTION_IF:
        reply_syntax_error(call)
        return False
    options.condition = condition
    options.given |= OPTION_IF
    i[0] += 1
    return True


cdef bint parse_options(Call *call, size_t first, uint32_t allowed, Options *options) noexcept:
    cdef size_t i = first
    cdef bint matched = False
    cdef uint32_t one
    options_init(options)
    while i < call.count:
        one = plain_option(&call.args[i])
        options.given |= one
        if not one:
            if not parse_condition(call, &i, options, &matched):
                return False
            if not matched and not parse_expiry_option(call, &i, options, &matched):
                return False
            if not matched:
                reply_syntax_error(call)
                return False
        i += 1
    if options.given & ~allowed or not options_agree(options.given):
        reply_syntax_error(call)
        return False
    if options.given & OPTION_IF and not check_condition(call, &options.condition):
        return False
    return read_expiry(call, options)


cdef bint read_expiry(Call *call, Options *options) noexcept:
    if not options.given & OPTION_EXPIRY:
        return True
    return parse_expiry(call, options.expiry, options.expiry_milliseconds, options.expiry_absolute, &options.at_ms)


cdef inline bint at_most_one(uint32_t bits) noexcept nogil:
    return bits & (bits - 1) == 0


cdef bint options_agree(uint32_t given) noexcept nogil:
    return at_most_one(given & (OPTION_NX | OPTION_XX | OPTION_IF)) \
        and at_most_one(given & (OPTION_EXPIRY | OPTION_KEEP | OPTION_PERSIST))


# ---- conditions -----------------------------------------------------------------------------------------------------

cdef bint is_condition(const Arg *word, const Arg *value, Condition *condition) noexcept nogil:
    condition.wanted = arg_is(word, b"ifeq") or arg_is(word, b"ifdeq")
    condition.by_digest = arg_is(word, b"ifdeq") or arg_is(word, b"ifdne")
    condition.value = value
    condition.digest = 0
    return condition.wanted or condition.by_digest or arg_is(word, b"ifne")


cdef bint check_condition(Call *call, Condition *condition) noexcept:
    """A digest is sixteen hexadecimal digits, in either case."""
    cdef const Arg *arg = condition.value
    cdef bint valid = arg.length == DIGEST_DIGITS
    cdef size_t i
    cdef char c
    if not condition.by_digest:
        return True
    for i in range(arg.length if valid else 0):
        c = arg.data[i] | 32 if arg.data[i] >= c'A' else arg.data[i]
        if c'0' <= c <= c'9':
            condition.digest = condition.digest << 4 | <uint64_t>(c - c'0')
        elif c'a' <= c <= c'f':
            condition.digest = condition.digest << 4 | <uint64_t>(c - c'a' + 10)
        else:
            valid = False
    if not valid:
        reply_error(call, b"ERR IFDEQ and IFDNE take a digest of exactly 16 hexadecimal digits")
    return valid


cdef bint condition_holds(const Condition *condition, const Entry *entry) noexcept nogil:
    if entry == NULL:
        return not condition.wanted
    if condition.by_digest:
        return (digest_of(entry) == condition.digest) == condition.wanted
    return same_string(entry, condition.value) == condition.wanted


cdef uint64_t digest_of(const Entry *entry) noexcept nogil:
    cdef char scratch[24]
    cdef size_t length = 0
    cdef const char *data = entry_string(entry, scratch, &length)
    return xxh3(<const uint8_t *>data, length)


cdef bint same_string(const Entry *entry, const Arg *arg) noexcept nogil:
    cdef char scratch[24]
    cdef size_t length = 0
    cdef const char *data = entry_string(entry, scratch, &length)
    return length == arg.length and memcmp(data, arg.data, length) == 0
