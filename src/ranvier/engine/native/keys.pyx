"""Native handlers of the groups generic (existence, deletion, expiry) and connection (PING, ECHO)."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint64_t

from ranvier.engine.core cimport EVENT_GENERIC, GATE_SUBSCRIBED, Arg, Call, native_t
from ranvier.engine.dispatch cimport text_of
from ranvier.engine.effects cimport changed, propagate_as, propagates
from ranvier.engine.native.common cimport (
    arg_bytes,
    arg_is,
    delete_expired,
    has_passed,
    integer_argument,
    look_up,
    reply_command_error,
    reply_wrong_arity,
)
from ranvier.engine.reply cimport reply_bulk, reply_error, reply_error_bytes, reply_integer, reply_raw
from ranvier.engine.store.database cimport (
    database_delete,
    database_find,
    database_hash,
    database_set_expiry,
)
from ranvier.engine.store.entry cimport Entry, entry_expiry, entry_type

cdef const char *TYPE_REPLIES[6]
TYPE_REPLIES[:] = [b"+string\r\n", b"+list\r\n", b"+set\r\n", b"+zset\r\n", b"+hash\r\n", b"+stream\r\n"]

cdef enum Condition:
    CONDITION_NX = 1
    CONDITION_XX = 2
    CONDITION_GT = 4
    CONDITION_LT = 8


cdef native_t key_handler(str name) except? NULL:
    if name == "ping":
        return ping
    if name == "echo":
        return echo
    if name == "del":
        return del_
    if name == "unlink":
        return unlink
    if name == "exists":
        return exists
    if name == "type":
        return type_
    if name == "expire":
        return expire
    if name == "pexpire":
        return pexpire
    if name == "expireat":
        return expireat
    if name == "pexpireat":
        return pexpireat
    if name == "ttl":
        return ttl
    if name == "pttl":
        return pttl
    if name == "expiretime":
        return expiretime
    if name == "pexpiretime":
        return pexpiretime
    if name == "persist":
        return persist
    return NULL


cdef void ping(Call *call) noexcept:
    if call.client.gates & GATE_SUBSCRIBED and call.count <= 2:
        # A RESP2 subscriber reads nothing but messages, so its answer looks like one.
        reply_raw(call.client, b"*2\r\n$4\r\npong\r\n", 14)
        if call.count == 2:
            reply_bulk(call.client, call.args[1].data, call.args[1].length)
        else:
            reply_raw(call.client, b"$0\r\n\r\n", 6)
    elif call.count == 1:
        reply_raw(call.client, b"+PONG\r\n", 7)
    elif call.count == 2:
        reply_bulk(call.client, call.args[1].data, call.args[1].length)
    else:
        reply_wrong_arity(call)


cdef void echo(Call *call) noexcept:
    reply_bulk(call.client, call.args[1].data, call.args[1].length)


# ---- existence ------------------------------------------------------------------------------------------------------

cdef void delete_keys(Call *call, bint lazily) noexcept:
    cdef size_t i
    cdef int64_t deleted = 0
    cdef Arg *key
    for i in range(1, call.count):
        key = &call.args[i]
        if database_delete(call.database, database_hash(call.database, key.data, key.length), key.data, key.length,
                           lazily):
            deleted += 1
            changed(call, key.data, key.length, EVENT_GENERIC, b"del")
    reply_integer(call.client, deleted)


cdef void del_(Call *call) noexcept:
    delete_keys(call, call.core.lazy_delete)


cdef void unlink(Call *call) noexcept:
    delete_keys(call, True)


cdef void exists(Call *call) noexcept:
    cdef size_t i
    cdef int64_t found = 0
    for i in range(1, call.count):
        found += look_up(call, &call.args[i]) != NULL
    reply_integer(call.client, found)


cdef void type_(Call *call) noexcept:
    cdef const char *text = b"+none\r\n"
    cdef size_t length = 0
    cdef Entry *entry = look_up(call, &call.args[1])
    if entry != NULL:
        text = TYPE_REPLIES[entry_type(entry)]
    while text[length] != 0:
        length += 1
    reply_raw(call.client, text, length)


# ---- expiry ---------------------------------------------------------------------------------------------------------

cdef int parse_conditions(Call *call) noexcept:
    """The conditions from args[3] on; -1 when the error is replied."""
    cdef int conditions = 0
    cdef size_t i
    for i in range(3, call.count):
        if arg_is(&call.args[i], b"nx"):
            conditions |= CONDITION_NX
        elif arg_is(&call.args[i], b"xx"):
            conditions |= CONDITION_XX
        elif arg_is(&call.args[i], b"gt"):
            conditions |= CONDITION_GT
        elif arg_is(&call.args[i], b"lt"):
            conditions |= CONDITION_LT
        else:
            call.failed = True
            reply_error_bytes(call.client, b"ERR Unsupported option " + text_of(&call.args[i]))
            return -1
    if conditions & CONDITION_NX and conditions & ~CONDITION_NX:
        reply_error(call, b"ERR NX and XX, GT or LT options at the same time are not compatible")
        return -1
    if conditions & CONDITION_GT and conditions & CONDITION_LT:
        reply_error(call, b"ERR GT and LT options at the same time are not compatible")
        return -1
    return conditions


cdef bint conditions_met(int conditions, int64_t current_ms, int64_t at_ms) noexcept nogil:
    """No expiry counts as one that never comes."""
    if conditions & CONDITION_NX and current_ms >= 0:
        return False
    if conditions & CONDITION_XX and current_ms < 0:
        return False
    if conditions & CONDITION_GT and (current_ms < 0 or at_ms <= current_ms):
        return False
    return not (conditions & CONDITION_LT and 0 <= current_ms <= at_ms)


cdef void expire_at(Call *call, bint milliseconds, bint absolute) noexcept:
    cdef Arg *key = &call.args[1]
    cdef int64_t at_ms = 0
    cdef int conditions = parse_conditions(call) if call.count > 3 else 0
    cdef Entry *entry
    if conditions < 0:
        return
    if not integer_argument(call, &call.args[2], &at_ms):
        return
    if not milliseconds:
        if at_ms > 0x7fffffffffffffff // 1000 or at_ms < -(0x7fffffffffffffff // 1000):
            reply_command_error(call, b"ERR invalid expire time")
            return
        at_ms *= 1000
    if not absolute:
        if at_ms > 0x7fffffffffffffff - call.core.wall_ms:
            reply_command_error(call, b"ERR invalid expire time")
            return
        at_ms += call.core.wall_ms
    entry = database_find(call.database, call.hash, key.data, key.length)
    if entry == NULL or (conditions and not conditions_met(conditions, entry_expiry(entry), at_ms)):
        reply_integer(call.client, 0)
        return
    if has_passed(call, at_ms):
        delete_expired(call, call.hash, key)
    else:
        database_set_expiry(call.database, call.hash, entry, at_ms)
        changed(call, key.data, key.length, EVENT_GENERIC, b"expire")
        if propagates(call):
            propagate_as(call, [[b"PEXPIREAT", arg_bytes(key), b"%d" % at_ms]])
    reply_integer(call.client, 1)


cdef void expire(Call *call) noexcept:
    expire_at(call, False, False)


cdef void pexpire(Call *call) noexcept:
    expire_at(call, True, False)


cdef void expireat(Call *call) noexcept:
    expire_at(call, False, True)


cdef void pexpireat(Call *call) noexcept:
    expire_at(call, True, True)


cdef int64_t expiry_of(Call *call) noexcept:
    """The key's expiry in wall-clock ms; -1 none, -2 no key. Reading a TTL is no access."""
    cdef Entry *entry = look_up(call, &call.args[1])
    return -2 if entry == NULL else entry_expiry(entry)


cdef inline int64_t rounded_seconds(int64_t milliseconds) noexcept nogil:
    """Of a time that is not negative, the latest one possible included."""
    return <int64_t>((<uint64_t>milliseconds + 500) // 1000)


cdef inline int64_t left_ms(const Call *call, int64_t at_ms) noexcept nogil:
    """An import source sees keys whose time has passed: nothing is left to them."""
    return at_ms - call.core.wall_ms if at_ms > call.core.wall_ms else 0


cdef void ttl(Call *call) noexcept:
    cdef int64_t at_ms = expiry_of(call)
    reply_integer(call.client, at_ms if at_ms < 0 else rounded_seconds(left_ms(call, at_ms)))


cdef void pttl(Call *call) noexcept:
    cdef int64_t at_ms = expiry_of(call)
    reply_integer(call.client, at_ms if at_ms < 0 else left_ms(call, at_ms))


cdef void expiretime(Call *call) noexcept:
    cdef int64_t at_ms = expiry_of(call)
    reply_integer(call.client, at_ms if at_ms < 0 else rounded_seconds(at_ms))


cdef void pexpiretime(Call *call) noexcept:
    reply_integer(call.client, expiry_of(call))


cdef void persist(Call *call) noexcept:
    cdef Arg *key = &call.args[1]
    cdef Entry *entry = database_find(call.database, call.hash, key.data, key.length)
    if entry == NULL or entry_expiry(entry) < 0:
        reply_integer(call.client, 0)
        return
    database_set_expiry(call.database, call.hash, entry, -1)
    changed(call, key.data, key.length, EVENT_GENERIC, b"persist")
    reply_integer(call.client, 1)
