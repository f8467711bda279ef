"""The options of SET, GETEX, MSETEX and INCREX, and the conditions of SET and DELEX."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint32_t, uint64_t

from ranvier.engine.core cimport Arg, Call
from ranvier.engine.store.entry cimport Entry

cdef enum Option:
    OPTION_NX = 1
    OPTION_XX = 2
    OPTION_GET = 4
    OPTION_KEEP = 8
    OPTION_PERSIST = 16
    OPTION_EXPIRY = 32
    OPTION_IF = 64

cdef enum:
    DIGEST_DIGITS = 16           # of XXH3 of 64 bits, in hexadecimal

# What the present value, or its digest, has to be, or must not be.
cdef struct Condition:
    bint wanted                  # it must be the same
    bint by_digest
    const Arg *value             # the value, or the digest's digits
    uint64_t digest

cdef struct Options:
    uint32_t given
    int64_t at_ms                # -1: no expiry given
    const Arg *expiry
    bint expiry_milliseconds
    bint expiry_absolute
    Condition condition

cdef void options_init(Options *options) noexcept nogil
# The options from args[first] on; 0 when the error is replied. Values are looked at after the syntax.
cdef bint parse_options(Call *call, size_t first, uint32_t allowed, Options *options) noexcept
# EX, PX, EXAT or PXAT at args[*i], its argument behind it (of one word the last counts); 0 when the error is replied.
cdef bint parse_expiry_option(Call *call, size_t *i, Options *options, bint *matched) noexcept
# The moment of an expiry option that was given, into `at_ms`; 0 when the error is replied.
cdef bint read_expiry(Call *call, Options *options) noexcept

# Whether the word is IFEQ, IFNE, IFDEQ or IFDNE; `value` is what stands behind it.
cdef bint is_condition(const Arg *word, const Arg *value, Condition *condition) noexcept nogil
# Read the digest, if it has one; 0 when the error is replied.
cdef bint check_condition(Call *call, Condition *condition) noexcept
# Whether a string meets it; NULL (no such key) is different from every value.
cdef bint condition_holds(const Condition *condition, const Entry *entry) noexcept nogil
cdef uint64_t digest_of(const Entry *entry) noexcept nogil
cdef bint same_string(const Entry *entry, const Arg *arg) noexcept nogil
