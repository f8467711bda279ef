"""Native handlers of the group string: setting and getting whole values. (`native_string_edits`: changing them.)"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint64_t

from ranvier.engine.core cimport EVENT_GENERIC, EVENT_STRING, Arg, Call, native_t
from ranvier.engine.effects cimport changed, propagate_as, propagates
from ranvier.engine.native.bounded_counters cimport bounded_counter_handler
from ranvier.engine.native.common cimport (
    arg_bytes,
    delete_expired,
    find_read,
    has_passed,
    not_string,
    parse_expiry,
    reply_wrong_arity,
    reply_syntax_error,
    reply_wrong_type,
    store,
)
from ranvier.engine.native.string_digests cimport string_digest_handler
from ranvier.engine.native.string_edits cimport string_edit_handler
from ranvier.engine.native.string_options cimport (
    OPTION_EXPIRY,
    OPTION_GET,
    OPTION_IF,
    OPTION_KEEP,
    OPTION_NX,
    OPTION_PERSIST,
    OPTION_XX,
    Options,
    condition_holds,
    parse_options,
    same_string,
)
from ranvier.engine.number cimport parse_integer
from ranvier.engine.reply cimport (
    reply_array,
    reply_entry_string,
    reply_error,
    reply_integer,
    reply_null,
    reply_ok,
)
from ranvier.engine.store.database cimport (
    database_delete,
    database_find,
    database_find_read,
    database_hash,
    database_set_expiry,
)
from ranvier.engine.store.entry cimport TYPE_STRING, Entry, entry_expiry, entry_type
from ranvier.engine.store.table cimport table_prefetch, table_prefetch_item

cdef native_t string_handler(str name) except? NULL:
    if name == "get":
        return get
    if name == "set":
        return set_
    if name == "setnx":
        return setnx
    if name == "setex":
        return setex
    if name == "psetex":
        return psetex
    if name == "getset":
        return getset
    if name == "getdel":
        return getdel
    if name == "getex":
        return getex
    if name == "delifeq":
        return delifeq
    if name == "mget":
        return mget
    if name == "mset":
        return mset
    if name == "msetnx":
        return msetnx
    if name == "msetex":
        return msetex
    if name == "increx":
        return bounded_counter_handler(name)
    if name in ("digest", "delex"):
        return string_digest_handler(name)
    return string_edit_handler(name)


cdef void set_with_expiry(Call *call, uint64_t hash, const Arg *key, const Arg *value, int64_t at_ms,
                          bint keep_expiry) noexcept:
    """Set, and expire at `at_ms` when that is not -1."""
    cdef Entry *entry = store(call, hash, key, value, keep_expiry)
    if at_ms >= 0:
        database_set_expiry(call.database, hash, entry, at_ms)
    changed(call, key.data, key.length, EVENT_STRING, b"set")
    if at_ms >= 0:
        changed(call, key.data, key.length, EVENT_GENERIC, b"expire")
        call.dirty -= 1


cdef void get(Call *call) noexcept:
    cdef Entry *entry = database_find_read(call.database, call.hash, call.args[1].data, call.args[1].length)
    if entry == NULL:
        reply_null(call.client)
    elif entry_type(entry) != TYPE_STRING:
        reply_wrong_type(call)
    else:
        reply_entry_string(call.client, entry)


cdef void set_(Call *call) noexcept:
    cdef Arg *key = &call.args[1]
    cdef Options options
    if call.count == 3:
        store(call, call.hash, key, &call.args[2], False)
        changed(call, key.data, key.length, EVENT_STRING, b"set")
        reply_ok(call.client)
        return
    if parse_options(call, 3, OPTION_NX | OPTION_XX | OPTION_GET | OPTION_KEEP | OPTION_EXPIRY | OPTION_IF,
                     &options):
        set_conditionally(call, &options)


cdef void set_conditionally(Call *call, const Options *options) noexcept:
    cdef Arg *key = &call.args[1]
    cdef Entry *entry = NULL
    cdef bint met = True
    cdef bint passed = options.given & OPTION_EXPIRY and has_passed(call, options.at_ms)
    if options.given & OPTION_GET:
        entry = find_read(call, key)
    elif passed or options.given & (OPTION_NX | OPTION_XX | OPTION_IF):
        entry = database_find(call.database, call.hash, key.data, key.length)
    if options.given & (OPTION_GET | OPTION_IF) and not_string(call, entry):
        return
    if options.given & OPTION_NX:
        met = entry == NULL
    elif options.given & OPTION_XX:
        met = entry != NULL
    elif options.given & OPTION_IF:
        met = condition_holds(&options.condition, entry)
    if options.given & OPTION_GET:
        if entry == NULL:
            reply_null(call.client)
        else:
            reply_entry_string(call.client, entry)
    elif not met:
        reply_null(call.client)
    if not met:
        return
    if not passed:
        set_with_expiry(call, call.hash, key, &call.args[2], options.at_ms, options.given & OPTION_KEEP != 0)
        if propagates(call) and call.count > 3:
            propagate_set(call, key, &call.args[2], options.at_ms, options.given & OPTION_KEEP != 0)
    elif entry != NULL:
        delete_expired(call, call.hash, key)
    if not options.given & OPTION_GET:
        reply_ok(call.client)


cdef void propagate_set(Call *call, const Arg *key, const Arg *value, int64_t at_ms, bint keep_expiry) noexcept:
    cdef list request = [b"SET", arg_bytes(key), arg_bytes(value)]
    if at_ms >= 0:
        request += [b"PXAT", b"%d" % at_ms]
    elif keep_expiry:
        request.append(b"KEEPTTL")
    propagate_as(call, [request])


cdef void setnx(Call *call) noexcept:
    cdef Arg *key = &call.args[1]
    if database_find(call.database, call.hash, key.data, key.length) != NULL:
        reply_integer(call.client, 0)
        return
    set_with_expiry(call, call.hash, key, &call.args[2], -1, False)
    reply_integer(call.client, 1)


cdef void set_expiring(Call *call, bint milliseconds) noexcept:
    cdef int64_t at_ms = -1
    if not parse_expiry(call, &call.args[2], milliseconds, False, &at_ms):
        return
    set_with_expiry(call, call.hash, &call.args[1], &call.args[3], at_ms, False)
    if propagates(call):
        propagate_set(call, &call.args[1], &call.args[3], at_ms, False)
    reply_ok(call.client)


cdef void setex(Call *call) noexcept:
    set_expiring(call, False)


cdef void psetex(Call *call) noexcept:
    set_expiring(call, True)


cdef void getset(Call *call) noexcept:
    cdef Entry *entry = find_read(call, &call.args[1])
    if not_string(call, entry):
        return
    if entry == NULL:
        reply_null(call.client)
    else:
        reply_entry_string(call.client, entry)
    set_with_expiry(call, call.hash, &call.args[1], &call.args[2], -1, False)
    if propagates(call):
        propagate_set(call, &call.args[1], &call.args[2], -1, False)


cdef void delete_key(Call *call, const Arg *key) noexcept:
    database_delete(call.database, call.hash, key.data, key.length, call.core.lazy_delete)
    changed(call, key.data, key.length, EVENT_GENERIC, b"del")
    if propagates(call):
        propagate_as(call, [[b"DEL", arg_bytes(key)]])


cdef void getdel(Call *call) noexcept:
    cdef Entry *entry = find_read(call, &call.args[1])
    if entry == NULL:
        reply_null(call.client)
    elif not not_string(call, entry):
        reply_entry_string(call.client, entry)
        delete_key(call, &call.args[1])


cdef void delifeq(Call *call) noexcept:
    cdef Arg *key = &call.args[1]
    cdef Entry *entry = database_find(call.database, call.hash, key.data, key.length)
    if not_string(call, entry):
        return
    if entry == NULL or not same_string(entry, &call.args[2]):
        reply_integer(call.client, 0)
        return
    delete_key(call, key)
    reply_integer(call.client, 1)


cdef void getex(Call *call) noexcept:
    cdef Arg *key = &call.args[1]
    cdef Options options
    cdef Entry *entry
    cdef list propagated = None
    if not parse_options(call, 2, OPTION_EXPIRY | OPTION_PERSIST, &options):
        return
    entry = find_read(call, key)
    if entry == NULL:
        reply_null(call.client)
        return
    if not_string(call, entry):
        return
    reply_entry_string(call.client, entry)
    if options.given & OPTION_EXPIRY:
        if has_passed(call, options.at_ms):
            delete_expired(call, call.hash, key)
            return
        database_set_expiry(call.database, call.hash, entry, options.at_ms)
        changed(call, key.data, key.length, EVENT_GENERIC, b"expire")
        if propagates(call):
            propagated = [b"PEXPIREAT", arg_bytes(key), b"%d" % options.at_ms]
    elif options.given & OPTION_PERSIST and entry_expiry(entry) >= 0:
        database_set_expiry(call.database, call.hash, entry, -1)
        changed(call, key.data, key.length, EVENT_GENERIC, b"persist")
        if propagates(call):
            propagated = [b"PERSIST", arg_bytes(key)]
    if propagated is not None:
        propagate_as(call, [propagated])


cdef void mget(Call *call) noexcept:
    cdef size_t i
    cdef Entry *entry
    reply_array(call.client, call.count - 1)
    for i in range(1, call.count):
        entry = find_read(call, &call.args[i])
        if entry == NULL or entry_type(entry) != TYPE_STRING:
            reply_null(call.client)
        else:
            reply_entry_string(call.client, entry)


cdef bint all_keys(Call *call, size_t first, size_t pairs, bint exist) noexcept:
    """Whether all keys of the pairs from args[first] on exist, or none does; stops at the first that tells."""
    cdef size_t i
    cdef Arg *key
    for i in range(pairs):
        key = &call.args[first + 2 * i]
        if (database_find(call.database, database_hash(call.database, key.data, key.length), key.data,
                          key.length) != NULL) != exist:
            return False
    return True


cdef void set_pairs(Call *call, size_t first, size_t pairs, int64_t at_ms, bint keep_expiry) noexcept:
    """Keys and values in turn from args[first]; a few slots are prefetched ahead of the one that is written."""
    cdef uint64_t hashes[8]
    cdef size_t i, j, group
    cdef Arg *key
    i = 0
    while i < pairs:
        group = pairs - i if pairs - i < 8 else 8
        for j in range(group):
            key = &call.args[first + 2 * (i + j)]
            hashes[j] = database_hash(call.database, key.data, key.length)
            table_prefetch(&call.database.keys, hashes[j])
        for j in range(group):
            table_prefetch_item(&call.database.keys, hashes[j])
        for j in range(group):
            key = &call.args[first + 2 * (i + j)]
            set_with_expiry(call, hashes[j], key, key + 1, at_ms, keep_expiry)
        i += group


cdef void mset(Call *call) noexcept:
    if call.count % 2 == 0:
        reply_wrong_arity(call)
        return
    set_pairs(call, 1, call.count // 2, -1, False)
    reply_ok(call.client)


cdef void msetnx(Call *call) noexcept:
    if call.count % 2 == 0:
        reply_wrong_arity(call)
    elif not all_keys(call, 1, call.count // 2, False):
        reply_integer(call.client, 0)
    else:
        set_pairs(call, 1, call.count // 2, -1, False)
        reply_integer(call.client, 1)


cdef void msetex(Call *call) noexcept:
    cdef int64_t pairs = 0
    cdef Options options
    cdef size_t i
    cdef list requests
    if not parse_pair_count(call, &pairs):
        return
    if not parse_options(call, 2 + 2 * <size_t>pairs, OPTION_NX | OPTION_XX | OPTION_KEEP | OPTION_EXPIRY, &options):
        return
    if (options.given & OPTION_NX and not all_keys(call, 2, pairs, False)) \
            or (options.given & OPTION_XX and not all_keys(call, 2, pairs, True)):
        reply_integer(call.client, 0)
        return
    set_pairs(call, 2, pairs, options.at_ms, options.given & OPTION_KEEP != 0)
    if propagates(call):
        requests = []
        for i in range(<size_t>pairs):
            requests.append([b"SET", arg_bytes(&call.args[2 + 2 * i]), arg_bytes(&call.args[3 + 2 * i])])
            if options.at_ms >= 0:
                requests[-1] += [b"PXAT", b"%d" % options.at_ms]
            elif options.given & OPTION_KEEP:
                requests[-1].append(b"KEEPTTL")
        propagate_as(call, requests)
    reply_integer(call.client, 1)


cdef bint parse_pair_count(Call *call, int64_t *pairs) noexcept:
    if not parse_integer(call.args[1].data, call.args[1].length, pairs) or not 0 < pairs[0] <= 0x7fffffff:
        reply_error(call, b"ERR invalid numkeys value or out of range")
        return False
    if pairs[0] > <int64_t>(call.count - 2) // 2:
        reply_syntax_error(call)
        return False
    return True
