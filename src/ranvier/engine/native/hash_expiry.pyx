"""Native handlers of the group hash: the expiry of fields.

All of them name their fields behind `FIELDS numfields`. An expiry in the past deletes at once. What is propagated is
absolute: HPEXPIREAT with the fields that it concerns, or HDEL.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint32_t, uint64_t

from ranvier.engine.core cimport Arg, Call
from ranvier.engine.dispatch cimport propagate_as, propagates, text_of
from ranvier.engine.native.common cimport (
    arg_bytes, arg_is, has_passed, integer_argument, reply_command_error, reply_syntax_error,
)
from ranvier.engine.reply cimport reply_array, reply_error, reply_error_bytes, reply_integer, reply_null
from ranvier.engine.store.entry cimport ENCODING_LISTPACK
from ranvier.engine.types.fields cimport (
    FieldView, HashLimits, hash_become_table, hash_has_grown, hash_remove, hash_set_expiry,
)
from ranvier.engine.types.hash_access cimport (
    FIELD_ABSENT, FIELD_FOUND, FIELD_PAST, hash_expect, hash_limits, hash_look, hash_open, hash_put_argument,
    hash_store, hash_store_rest, hash_tell, hash_tell_gone, hash_tell_past, reply_field_value,
)
from ranvier.engine.types.value_access cimport OPEN_ABSENT, OPEN_FAILED, OPEN_FOUND, OpenValue

cdef enum Option:
    OPTION_NX = 1
    OPTION_XX = 2
    OPTION_GT = 4
    OPTION_LT = 8
    OPTION_FIELDS_NX = 16
    OPTION_FIELDS_XX = 32
    OPTION_PERSIST = 64
    OPTION_KEEP = 128
    OPTION_EX = 256
    OPTION_PX = 512
    OPTION_EXAT = 1024
    OPTION_PXAT = 2048
    OPTIONS_TIME = 3840          # the last four

cdef enum:
    ANSWER_NO_FIELD = -2
    ANSWER_NO_EXPIRY = -1
    ANSWER_NOT_MET = 0
    ANSWER_DONE = 1
    ANSWER_DELETED = 2

# The fields that a request names, and what it wants of them.
cdef struct Wanted:
    size_t first                 # the first field's place in the arguments
    size_t count
    uint32_t options
    const Arg *time
    int64_t at_ms                # -1: no expiry is given
    bint passed                  # at_ms is in the past, and it is for this server to delete


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


# ---- arguments ------------------------------------------------------------------------------------------------------

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


cdef bint conditions_met(uint32_t options, int64_t current_ms, int64_t at_ms) noexcept nogil:
    """No expiry counts as one that never comes."""
    if options & OPTION_NX and current_ms >= 0:
        return False
    if options & OPTION_XX and current_ms < 0:
        return False
    if options & OPTION_GT and (current_ms < 0 or at_ms <= current_ms):
        return False
    return not (options & OPTION_LT and 0 <= current_ms <= at_ms)


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
        hash_tell_gone(opened)
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
    cdef size_t fields = find_fields(call, 3)
    if fields == 0 or not parse_conditions(call, fields, &wanted) or not parse_fields(call, fields, 1, True, &wanted) \
            or not parse_time(call, &call.args[2], milliseconds, absolute, &wanted):
        return
    found = hash_open(call, True, &opened)
    if found == OPEN_FAILED:
        return
    reply_array(call.client, <int64_t>wanted.count)
    for i in range(wanted.first, call.count):
        answer = expire_field(&opened, &wanted, &call.args[i]) if found == OPEN_FOUND else ANSWER_NO_FIELD
        reply_integer(call.client, answer)
        if answer > ANSWER_NOT_MET:
            done += 1
            if propagates(call):
                names.append(arg_bytes(&call.args[i]))
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
    found = hash_open(call, False, &opened)
    if found == OPEN_FAILED:
        return
    reply_array(call.client, <int64_t>wanted.count)
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
    found = hash_open(call, True, &opened)
    if found == OPEN_FAILED:
        return
    reply_array(call.client, <int64_t>wanted.count)
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
            if propagates(call):
                names.append(arg_bytes(&call.args[i]))
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
    found = hash_open(call, True, &opened)
    if found == OPEN_FAILED:
        return
    reply_array(call.client, <int64_t>wanted.count)
    for i in range(wanted.first, call.count):
        if get_field(&opened, found, &call.args[i], &view):
            hash_remove(&opened.value, &view)
            deleted += 1
            if propagates(call):
                names.append(arg_bytes(&call.args[i]))
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
            if propagates(call):
                names.append(arg_bytes(&call.args[i]))
    if deleted:
        call.core.keyspace.expired_fields += deleted
        emptied = hash_store_rest(opened)
    hash_tell(opened, b"hset", 0)
    hash_tell(opened, b"hexpire", 0)
    hash_tell(opened, b"hexpired", deleted)
    if emptied:
        hash_tell_gone(opened)
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
            if propagates(call):
                names.append(arg_bytes(&call.args[i]))
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
