"""Native handlers of the group string that Redis 8.4 brought: DIGEST, and DELEX, which deletes what is still the same.

A digest is XXH3 of 64 bits in 16 hexadecimal digits; clients compute it of the value that they have.
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcmp

from ranvier.engine.core cimport EVENT_GENERIC, Arg, Call, native_t
from ranvier.engine.effects cimport changed, propagate_as, propagates
from ranvier.engine.native.common cimport (
    arg_bytes, arg_is, find_read, not_string, reply_syntax_error, reply_wrong_arity,
)
from ranvier.engine.reply cimport reply_bulk, reply_error, reply_integer, reply_null
from ranvier.engine.store.database cimport database_delete, database_find_write, entry_string
from ranvier.engine.store.entry cimport TYPE_STRING, Entry, entry_type
from ranvier.engine.types.xxh3 cimport xxh3

cdef enum:
    DIGEST_DIGITS = 16


cdef native_t string_digest_handler(str name) except? NULL:
    if name == "digest":
        return digest
    if name == "delex":
        return delex
    return NULL


cdef uint64_t digest_of(const Entry *entry) noexcept nogil:
    cdef char scratch[24]
    cdef size_t length = 0
    cdef const char *data = entry_string(entry, scratch, &length)
    return xxh3(<const uint8_t *>data, length)


cdef void digest(Call *call) noexcept:
    cdef Entry *entry = find_read(call, &call.args[1])
    cdef uint64_t number
    cdef char text[DIGEST_DIGITS]
    cdef int i
    if not_string(call, entry):
        return
    if entry == NULL:
        reply_null(call.client)
        return
    number = digest_of(entry)
    for i in range(<int>DIGEST_DIGITS):
        text[i] = (<const char *>b"0123456789abcdef")[number >> (60 - 4 * i) & 15]
    reply_bulk(call.client, text, DIGEST_DIGITS)


cdef bint parse_digest(Call *call, const Arg *arg, uint64_t *number) noexcept:
    """Sixteen hexadecimal digits, in either case; 0 when the error is replied."""
    cdef size_t i
    cdef char c
    cdef bint valid = arg.length == DIGEST_DIGITS
    number[0] = 0
    for i in range(arg.length if valid else 0):
        c = arg.data[i] | 32 if arg.data[i] >= c'A' else arg.data[i]
        if c'0' <= c <= c'9':
            number[0] = number[0] << 4 | <uint64_t>(c - c'0')
        elif c'a' <= c <= c'f':
            number[0] = number[0] << 4 | <uint64_t>(c - c'a' + 10)
        else:
            valid = False
    if not valid:
        reply_error(call, b"ERR IFDEQ and IFDNE take a digest of exactly 16 hexadecimal digits")
    return valid


cdef bint equals(const Entry *entry, const Arg *value) noexcept nogil:
    cdef char scratch[24]
    cdef size_t length = 0
    cdef const char *data = entry_string(entry, scratch, &length)
    return length == value.length and memcmp(data, value.data, length) == 0


cdef int condition_holds(Call *call, const Entry *entry) noexcept:
    """DELEX's condition, on a key that may be absent; -1 when the error is replied."""
    cdef const Arg *word = &call.args[2]
    cdef const Arg *value = &call.args[3]
    cdef bint wanted = arg_is(word, b"ifeq") or arg_is(word, b"ifdeq")
    cdef bint by_digest = arg_is(word, b"ifdeq") or arg_is(word, b"ifdne")
    cdef uint64_t number = 0
    if not wanted and not by_digest and not arg_is(word, b"ifne"):
        reply_syntax_error(call)
        return -1
    if by_digest and not parse_digest(call, value, &number):
        return -1
    if entry == NULL:
        return False
    if entry_type(entry) != TYPE_STRING:
        reply_error(call, b"ERR Key should be of string type if conditions are specified")
        return -1
    if by_digest:
        return (digest_of(entry) == number) == wanted
    return equals(entry, value) == wanted


cdef void delex(Call *call) noexcept:
    cdef const Arg *key = &call.args[1]
    cdef Entry *entry
    cdef int deletes
    if call.count != 2 and call.count != 4:
        reply_wrong_arity(call)
        return
    entry = database_find_write(call.database, call.hash, key.data, key.length)
    deletes = entry != NULL if call.count == 2 else condition_holds(call, entry)
    if deletes < 0:
        return
    if deletes:
        database_delete(call.database, call.hash, key.data, key.length, call.core.lazy_delete)
        changed(call, key.data, key.length, EVENT_GENERIC, b"del")
        if propagates(call):
            propagate_as(call, [[b"DEL", arg_bytes(key)]])
    reply_integer(call.client, deletes)
