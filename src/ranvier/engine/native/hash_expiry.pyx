"""Native handlers of the group hash: the expiry of fields.

All of them name their fields behind `FIELDS numfields`. An expiry in the past deletes at once. What is propagated is
absolute: HPEXPIREAT with the fields that it concerns, or HDEL.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint32_t, uint64_t

from ranvier.engine.core cimport Arg, Call
from ranvier.engine.effects cimport propagate_as, propagates
from ranvier.engine.native.common cimport arg_bytes
from ranvier.engine.native.field_arguments cimport (
    OPTION_FIELDS_NX, OPTION_FIELDS_XX, OPTION_GT, OPTION_KEEP, OPTION_LT, OPTION_NX, OPTION_PERSIST, OPTION_XX,
    OPTIONS_TIME, Wanted, parse_expire, parse_fields_at_once, parse_option_time, parse_options,
)
from ranvier.engine.reply cimport reply_array, reply_integer, reply_null
from ranvier.engine.store.entry cimport ENCODING_LISTPACK
from ranvier.engine.types.fields cimport (
    FieldView, HashLimits, hash_become_table, hash_has_grown, hash_remove, hash_set_expiry,
)
from ranvier.engine.types.hash_access cimport (
    FIELD_ABSENT, FIELD_FOUND, FIELD_PAST, hash_expect, hash_limits, hash_look, hash_open, hash_put_argument,
    hash_store, hash_store_rest, hash_tell, hash_tell_past, reply_field_value,
)
from ranvier.engine.types.value_access cimport OPEN_ABSENT, OPEN_FAILED, OPEN_FOUND, OpenValue, value_tell_deleted

cdef enum:
    ANSWER_NO_FIELD = -2
    ANSWER_NO_EXPIRY = -1
    ANSWER_NOT_MET = 0
    ANSWER_DONE = 1
    ANSWER_DELETED = 2


cdef native_t hash_expiry_handler(str name) except? NULL:
    if name == "hexpire":
        return hexpire
    if name == "hpexpire":
        return hpexpire
    if name == "hexpireat":
        return hexpireat
    if name == "hpexpireat":
        return hpexpireat
    if name == "httl":
        return httl
    if name == "hpttl":
        return hpttl
    if name == "hexpiretime":
        return hexpiretime
    if name == "hpexpiretime":
        return hpexpiretime
    if name == "hpersist":
        return hpersist
    if name == "hgetex":
        return hgetex
    if name == "hsetex":
        return hsetex
    if name == "hgetdel":
        return hgetdel
    return NULL


cdef bint conditions_met(uint32_t options, int64_t current_ms, int64_t at_ms) noexcept nogil:
    """No expiry counts as one that never comes."""
    if options & OPTION_NX and current_ms >= 0:
        return False
    if options & OPTION_XX and current_ms < 0:
        return False
    if options & OPTION_GT and (current_ms < 0 or at_ms <= current_ms):
        return False
    return not (options & OPTION_LT and 0 <= current_ms <= at_ms)


cdef int open_to_answer(Call *call, bint to_write, const Wanted *wanted, OpenValue *opened) noexcept:
    """Open the hash and begin the reply, with an answer for each field; an OpenResult."""
    cdef int found = hash_open(call, to_write, opened)
    if found != OPEN_FAILED:
        reply_array(call.client, <int64_t>wanted.count)
    return found


cdef inline void note(Call *call, list names, const Arg *name) noexcept:
    """A field that something happened to, if that is propagated."""
    if propagates(call):
        names.append(arg_bytes(name))


# ---- effects --------------------------------------------------------------------------------------------------------

cdef void give_expiry(OpenValue *opened, const Arg *name, FieldView *view, int64_t at_ms) noexcept nogil:
    """Have the field, which was found, expire; only tables hold fields that do."""
    cdef HashLimits limits
    if opened.value.encoding == ENCODING_LISTPACK:
        limits = hash_limits(opened.call)
        hash_become_table(&opened.value, &limits)
        hash_look(opened, name, view)
    hash_set_expiry(&opened.value, view, at_ms)


cdef void propagate_fields(Call *call, list head, list names) noexcept:
    """`head` and, unless it is HDEL, FIELDS with their number before the names."""
    if head[0] != b"HDEL":
        head = [*head, b"FIELDS", b"%d" % len(names)]
    propagate_as(call, [[*head, *names]])


cdef void tell_deleted(OpenValue *opened, const char *event, int64_t count, list names) noexcept:
    """Fields were deleted: store the rest, tell, propagate their deletion."""
    cdef Call *call = opened.call
    cdef bint emptied = hash_store_rest(opened)
    hash_tell(opened, event, count)
    if emptied:
        value_tell_deleted(opened)
    if propagates(call):
        propagate_fields(call, [b"HDEL", arg_bytes(&call.args[1])], names)


cdef void tell_expiry(OpenValue *opened, const Wanted *wanted, int64_t count, list names) noexcept:
    """Fields were given an expiry (or were deleted, when it has passed), `count` of them."""
    cdef Call *call = opened.call
    if count == 0:
        return
    if wanted.passed:
        call.core.keyspace.expired_fields += count
        tell_deleted(opened, b"hexpired", count, names)
        return
    hash_store(opened)
    hash_tell(opened, b"hexpire", count)
    if propagates(call):
        propagate_fields(call, [b"HPEXPIREAT", arg_bytes(&call.args[1]), b"%d" % wanted.at_ms], names)


# ---- HEXPIRE and its kin --------------------------------------------------------------------------------------------

cdef int64_t expire_field(OpenValue *opened, const Wanted *wanted, const Arg *name) noexcept nogil:
    cdef FieldView view
    if hash_look(opened, name, &view) != FIELD_FOUND:
        return ANSWER_NO_FIELD
    if not conditions_met(wanted.options, view.at_ms, wanted.at_ms):
        return ANSWER_NOT_MET
    if wanted.passed:
        hash_remove(&opened.value, &view)
        return ANSWER_DELETED
    give_expiry(opened, name, &view, wanted.at_ms)
    return ANSWER_DONE


cdef void expire_fields(Call *call, bint milliseconds, bint absolute) noexcept:
    cdef OpenValue opened
    cdef Wanted wanted
    cdef int64_t answer
    cdef int64_t done = 0
    cdef size_t i
    cdef int found
    cdef list names = []
    if not parse_expire(call, milliseconds, absolute, &wanted):
        return
    found = open_to_answer(call, True, &wanted, &opened)
    if found == OPEN_FAILED:
        return
    for i in range(wanted.first, call.count):
        answer = expire_field(&opened, &wanted, &call.args[i]) if found == OPEN_FOUND else ANSWER_NO_FIELD
        reply_integer(call.client, answer)
        if answer > ANSWER_NOT_MET:
            done += 1
            note(call, names, &call.args[i])
    tell_expiry(&opened, &wanted, done, names)


cdef void hexpire(Call *call) noexcept:
    expire_fields(call, False, False)


cdef void hpexpire(Call *call) noexcept:
    expire_fields(call, True, False)


cdef void hexpireat(Call *call) noexcept:
    expire_fields(call, False, True)


cdef void hpexpireat(Call *call) noexcept:
    expire_fields(call, True, True)


# ---- HTTL and its kin -----------------------------------------------------------------------------------------------

cdef int64_t expiry_of(const OpenValue *opened, int found, const Arg *name) noexcept nogil:
    """The field's expiry in wall-clock ms, or one of the answers below zero."""
    cdef FieldView view
    if found != OPEN_FOUND or hash_look(opened, name, &view) != FIELD_FOUND:
        return ANSWER_NO_FIELD
    return view.at_ms            # -1 is ANSWER_NO_EXPIRY


cdef void tell_times(Call *call, bint milliseconds, bint absolute) noexcept:
    cdef OpenValue opened
    cdef Wanted wanted
    cdef int64_t at_ms
    cdef size_t i
    cdef int found
    if not parse_fields_at_once(call, False, &wanted):
        return
    found = open_to_answer(call, False, &wanted, &opened)
    if found == OPEN_FAILED:
        return
    for i in range(wanted.first, call.count):
        at_ms = expiry_of(&opened, found, &call.args[i])
        if at_ms >= 0 and not absolute:
            at_ms = at_ms - call.core.wall_ms if at_ms > call.core.wall_ms else 0
        if at_ms >= 0 and not milliseconds:
            at_ms = <int64_t>((<uint64_t>at_ms + 500) // 1000)
        reply_integer(call.client, at_ms)


cdef void httl(Call *call) noexcept:
    tell_times(call, False, False)


cdef void hpttl(Call *call) noexcept:
    tell_times(call, True, False)


cdef void hexpiretime(Call *call) noexcept:
    tell_times(call, False, True)


cdef void hpexpiretime(Call *call) noexcept:
    tell_times(call, True, True)


cdef void hpersist(Call *call) noexcept:
    cdef OpenValue opened
    cdef Wanted wanted
    cdef FieldView view
    cdef int64_t done = 0
    cdef size_t i
    cdef int found
    if not parse_fields_at_once(call, True, &wanted):
        return
    found = open_to_answer(call, True, &wanted, &opened)
    if found == OPEN_FAILED:
        return
    for i in range(wanted.first, call.count):
        if found == OPEN_ABSENT or hash_look(&opened, &call.args[i], &view) != FIELD_FOUND:
            reply_integer(call.client, ANSWER_NO_FIELD)
        elif view.at_ms < 0:
            reply_integer(call.client, ANSWER_NO_EXPIRY)
        else:
            hash_set_expiry(&opened.value, &view, -1)
            reply_integer(call.client, ANSWER_DONE)
            done += 1
    if done:
        hash_store(&opened)
        hash_tell(&opened, b"hpersist", done)


# ---- HGETEX, HGETDEL ------------------------------------------------------------------------------------------------

cdef bint get_field(OpenValue *opened, int found, const Arg *name, FieldView *view) noexcept nogil:
    """Reply the field's value or null; whether there is one."""
    if found == OPEN_FOUND and hash_look(opened, name, view) == FIELD_FOUND:
        reply_field_value(opened.call.client, view)
        return True
    reply_null(opened.call.client)
    return False


cdef bint change_expiry(OpenValue *opened, const Wanted *wanted, const Arg *name, FieldView *view) noexcept nogil:
    """What HGETEX does to a field that it found; whether it did anything."""
    if wanted.passed:
        hash_remove(&opened.value, view)
    elif wanted.at_ms >= 0:
        give_expiry(opened, name, view, wanted.at_ms)
    elif wanted.options & OPTION_PERSIST and view.at_ms >= 0:
        hash_set_expiry(&opened.value, view, -1)
    else:
        return False
    return True


cdef void hgetex(Call *call) noexcept:
    cdef OpenValue opened
    cdef Wanted wanted
    cdef FieldView view
    cdef int64_t done = 0
    cdef size_t i
    cdef int found
    cdef list names = []
    if not parse_options(call, OPTIONS_TIME | OPTION_PERSIST, 1, &wanted):
        return
    found = hash_open(call, False, &opened)
    if found == OPEN_FAILED or not parse_option_time(call, &wanted):
        return
    reply_array(call.client, <int64_t>wanted.count)
    for i in range(wanted.first, call.count):
        if get_field(&opened, found, &call.args[i], &view) \
                and change_expiry(&opened, &wanted, &call.args[i], &view):
            done += 1
            note(call, names, &call.args[i])
    if not wanted.options & OPTION_PERSIST:
        tell_expiry(&opened, &wanted, done, names)
    elif done:
        hash_store(&opened)
        hash_tell(&opened, b"hpersist", done)
        if propagates(call):
            propagate_fields(call, [b"HPERSIST", arg_bytes(&call.args[1])], names)


cdef void hgetdel(Call *call) noexcept:
    cdef OpenValue opened
    cdef Wanted wanted
    cdef FieldView view
    cdef int64_t deleted = 0
    cdef size_t i
    cdef int found
    cdef list names = []
    if not parse_fields_at_once(call, True, &wanted):
        return
    found = open_to_answer(call, True, &wanted, &opened)
    if found == OPEN_FAILED:
        return
    for i in range(wanted.first, call.count):
        if get_field(&opened, found, &call.args[i], &view):
            hash_remove(&opened.value, &view)
            deleted += 1
            note(call, names, &call.args[i])
    if deleted:
        tell_deleted(&opened, b"hdel", deleted, names)


# ---- HSETEX ---------------------------------------------------------------------------------------------------------

cdef bint fields_conditions_met(OpenValue *opened, int found, const Wanted *wanted) noexcept nogil:
    cdef FieldView view
    cdef size_t i
    cdef bint exists
    if not wanted.options & (OPTION_FIELDS_NX | OPTION_FIELDS_XX):
        return True
    for i in range(wanted.first, opened.call.count, 2):
        exists = found == OPEN_FOUND and hash_look(opened, &opened.call.args[i], &view) == FIELD_FOUND
        if exists != (wanted.options & OPTION_FIELDS_XX != 0):
            return False
    return True


cdef void set_in_the_past(OpenValue *opened, int found, const Wanted *wanted) noexcept:
    """Nothing is set; the fields that are there go. The reference tells of all that would have happened."""
    cdef Call *call = opened.call
    cdef FieldView view
    cdef int64_t deleted = 0
    cdef bint emptied = found == OPEN_ABSENT
    cdef size_t i
    cdef list names = []
    for i in range(wanted.first, call.count, 2):
        if found == OPEN_FOUND and hash_look(opened, &call.args[i], &view) != FIELD_ABSENT:
            hash_remove(&opened.value, &view)
            deleted += 1
            note(call, names, &call.args[i])
    if deleted:
        call.core.keyspace.expired_fields += deleted
        emptied = hash_store_rest(opened)
    hash_tell(opened, b"hset", 0)
    hash_tell(opened, b"hexpire", 0)
    hash_tell(opened, b"hexpired", deleted)
    if emptied:
        value_tell_deleted(opened)
    if deleted and propagates(call):
        propagate_fields(call, [b"HDEL", arg_bytes(&call.args[1])], names)


cdef void propagate_set(Call *call, const Wanted *wanted, list past) noexcept:
    """`past`: fields whose time had passed and that KEEPTTL would find alive elsewhere."""
    cdef list request = [b"HSETEX", arg_bytes(&call.args[1])]
    cdef list requests = []
    cdef size_t i
    if wanted.options & OPTION_KEEP:
        request.append(b"KEEPTTL")
        if past:
            requests.append([b"HDEL", arg_bytes(&call.args[1]), *past])
    elif wanted.at_ms >= 0:
        request += [b"PXAT", b"%d" % wanted.at_ms]
    request += [b"FIELDS", b"%d" % wanted.count]
    for i in range(wanted.first, call.count):
        request.append(arg_bytes(&call.args[i]))
    requests.append(request)
    propagate_as(call, requests)


cdef void set_fields(OpenValue *opened, int found, const Wanted *wanted) noexcept:
    cdef Call *call = opened.call
    cdef HashLimits limits = hash_limits(call)
    cdef int64_t past = 0
    cdef size_t i
    cdef list names = []
    hash_expect(opened, found, wanted.first, wanted.count)
    if wanted.at_ms >= 0:
        hash_become_table(&opened.value, &limits)
    for i in range(wanted.first, call.count, 2):
        if hash_put_argument(opened, &call.args[i], &call.args[i + 1], wanted.at_ms,
                             wanted.options & OPTION_KEEP != 0) == FIELD_PAST:
            past += 1
            note(call, names, &call.args[i])
    hash_has_grown(&opened.value, &limits)
    hash_store(opened)
    hash_tell_past(opened, past)
    hash_tell(opened, b"hset", <int64_t>wanted.count)
    if wanted.at_ms >= 0:
        hash_tell(opened, b"hexpire", 0)
    if propagates(call):
        propagate_set(call, wanted, names)


cdef void hsetex(Call *call) noexcept:
    cdef OpenValue opened
    cdef Wanted wanted
    cdef int found
    if not parse_options(call, OPTIONS_TIME | OPTION_KEEP | OPTION_NX | OPTION_XX | OPTION_FIELDS_NX | OPTION_FIELDS_XX,
                         2, &wanted):
        return
    found = hash_open(call, True, &opened)
    if found == OPEN_FAILED:
        return
    if wanted.options & (OPTION_NX if found == OPEN_FOUND else OPTION_XX):
        reply_integer(call.client, 0)
        return
    if not parse_option_time(call, &wanted):
        return
    if not fields_conditions_met(&opened, found, &wanted):
        reply_integer(call.client, 0)
        return
    reply_integer(call.client, 1)
    if wanted.passed:
        set_in_the_past(&opened, found, &wanted)
    else:
        set_fields(&opened, found, &wanted)
