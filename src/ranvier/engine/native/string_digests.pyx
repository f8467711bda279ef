"""Native handlers of the group string that Redis 8.4 brought: DIGEST, and DELEX, which deletes what is still the same.

A digest is XXH3 of 64 bits in 16 hexadecimal digits; clients compute it of the value that they have.
"""

from libc.stdint cimport uint64_t

from ranvier.engine.core cimport EVENT_GENERIC, Arg, Call, native_t
from ranvier.engine.effects cimport changed, propagate_as, propagates
from ranvier.engine.native.common cimport (
    arg_bytes, find_read, not_string, reply_syntax_error, reply_wrong_arity,
)
from ranvier.engine.native.string_options cimport (
    DIGEST_DIGITS, Condition, check_condition, condition_holds, digest_of, is_condition,
)
from ranvier.engine.reply cimport reply_bulk, reply_error, reply_integer, reply_null
from ranvier.engine.store.database cimport database_delete, database_find_write
from ranvier.engine.store.entry cimport TYPE_STRING, Entry, entry_type


cdef native_t string_digest_handler(str name) except? NULL:
    if name == "digest":
        return digest
    if name == "delex":
        return delex
    return NULL


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


cdef int delex_condition(Call *call, const Entry *entry) noexcept:
    """Whether the condition holds, on a key that may be absent; -1 when the error is replied."""
    cdef Condition condition
    if not is_condition(&call.args[2], &call.args[3], &condition):
        reply_syntax_error(call)
        return -1
    if not check_condition(call, &condition):
        return -1
    if entry == NULL:
        return False
    if entry_type(entry) != TYPE_STRING:
        reply_error(call, b"ERR Key should be of string type if conditions are specified")
        return -1
    return condition_holds(&condition, entry)


cdef void delex(Call *call) noexcept:
    cdef const Arg *key = &call.args[1]
    cdef Entry *entry
    cdef int deletes
    if call.count != 2 and call.count != 4:
        reply_wrong_arity(call)
        return
    entry = database_find_write(call.database, call.hash, key.data, key.length)
    deletes = entry != NULL if call.count == 2 else delex_condition(call, entry)
    if deletes < 0:
        return
    if deletes:
        database_delete(call.database, call.hash, key.data, key.length, call.core.lazy_delete)
        changed(call, key.data, key.length, EVENT_GENERIC, b"del")
        if propagates(call):
            propagate_as(call, [[b"DEL", arg_bytes(key)]])
    reply_integer(call.client, deletes)
