"""Native handlers of commands that wait: the blocking list commands, WAIT and WAITAOF.

Each does at once what its plain form does, or blocks; `engine/modes/blocked` runs it again when a key is ready.
"""

from libc.stddef cimport size_t
from libc.stdint cimport INT32_MAX, INT64_MAX, int64_t

from ranvier.engine.core cimport Arg, Call
from ranvier.engine.effects cimport propagate_as, propagates
from ranvier.engine.modes.acknowledged cimport block_for_replicas, no_file_to_wait_for
from ranvier.engine.modes.blocked cimport (
    TIMED_OUT_NULL, TIMED_OUT_NULL_ARRAY, Acknowledgements, block_on_keys,
)
from ranvier.engine.native.common cimport arg_bytes, integer_argument
from ranvier.engine.native.float_text cimport parse_long_double
from ranvier.engine.native.list_moves cimport MoveRequest, move_element, move_elements, parse_move_request
from ranvier.engine.native.lists cimport PopRequest, parse_pop_request, pop_and_reply, pop_from_first
from ranvier.engine.number cimport parse_integer
from ranvier.engine.persistence.append_buffer cimport APPEND_OFF, appended_of
from ranvier.engine.replication.stream cimport replication_of
from ranvier.engine.reply cimport reply_array, reply_bulk, reply_error
from ranvier.engine.store.entry cimport TYPE_LIST
from ranvier.engine.types.list_access cimport list_open_other, parse_list_end
from ranvier.engine.types.value_access cimport OPEN_FAILED, OPEN_FOUND, OpenValue

cdef extern from "<math.h>" nogil:
    long double ceill(long double value)


cdef native_t blocking_handler(str name) except? NULL:
    if name == "blpop":
        return blpop
    if name == "brpop":
        return brpop
    if name == "blmove":
        return blmove
    if name == "brpoplpush":
        return brpoplpush
    if name == "blmovem":
        return blmovem
    if name == "blmpop":
        return blmpop
    if name == "wait":
        return wait
    if name == "waitaof":
        return waitaof
    return NULL


# ---- time-outs ------------------------------------------------------------------------------------------------------

cdef bint check_timeout(Call *call, int64_t timeout_ms) noexcept:
    if timeout_ms < 0:
        reply_error(call, b"ERR timeout is negative")
        return False
    if timeout_ms > INT64_MAX - call.core.wall_ms:
        reply_error(call, b"ERR timeout is out of range")
        return False
    return True


cdef bint parse_seconds(Call *call, const Arg *arg, int64_t *timeout_ms) noexcept:
    """Seconds with a fraction, rounded up to milliseconds; 0 with the error replied."""
    cdef long double seconds = 0
    if not parse_long_double(arg.data, arg.length, &seconds):
        reply_error(call, b"ERR timeout is not a float or out of range")
        return False
    if seconds * 1000 > <long double>INT64_MAX:
        reply_error(call, b"ERR timeout is out of range")
        return False
    # What is far below zero is as negative as -1: it may not fit an integer.
    timeout_ms[0] = -1 if seconds <= -1 else <int64_t>ceill(seconds * 1000)
    return check_timeout(call, timeout_ms[0])


cdef bint parse_milliseconds(Call *call, const Arg *arg, int64_t *timeout_ms) noexcept:
    if not parse_integer(arg.data, arg.length, timeout_ms):
        reply_error(call, b"ERR timeout is not an integer or out of range")
        return False
    return check_timeout(call, timeout_ms[0])


# ---- lists ----------------------------------------------------------------------------------------------------------

cdef void blocking_pop(Call *call, bint at_head) noexcept:
    cdef OpenValue opened
    cdef int64_t timeout_ms = 0
    cdef size_t i
    cdef int found
    if not parse_seconds(call, &call.args[call.count - 1], &timeout_ms):
        return
    for i in range(1, call.count - 1):
        found = list_open_other(call, &call.args[i], &opened)
        if found == OPEN_FAILED:
            return
        if found == OPEN_FOUND:
            reply_array(call.client, 2)
            reply_bulk(call.client, opened.key, opened.key_length)
            pop_and_reply(&opened, at_head, 1)
            if propagates(call):
                propagate_as(call, [[b"LPOP" if at_head else b"RPOP", arg_bytes(&call.args[i])]])
            return
    block_on_keys(call, 1, call.count - 2, TYPE_LIST, timeout_ms, TIMED_OUT_NULL_ARRAY)


cdef void blpop(Call *call) noexcept:
    blocking_pop(call, True)


cdef void brpop(Call *call) noexcept:
    blocking_pop(call, False)


cdef void propagate_move(Call *call, const char *name, size_t last) noexcept:
    """As the plain command of that name, without the time-out."""
    cdef size_t i
    cdef list request
    if call.dirty != 0 and propagates(call):
        request = [<bytes>name]
        for i in range(1, last):
            request.append(arg_bytes(&call.args[i]))
        propagate_as(call, [request])


cdef void blmove(Call *call) noexcept:
    cdef bint from_head = False
    cdef bint to_head = False
    cdef int64_t timeout_ms = 0
    if not parse_list_end(call, &call.args[3], &from_head) or not parse_list_end(call, &call.args[4], &to_head) \
            or not parse_seconds(call, &call.args[5], &timeout_ms):
        return
    if move_element(call, from_head, to_head):
        propagate_move(call, b"LMOVE", 5)
    else:
        block_on_keys(call, 1, 1, TYPE_LIST, timeout_ms, TIMED_OUT_NULL)


cdef void brpoplpush(Call *call) noexcept:
    cdef int64_t timeout_ms = 0
    if not parse_seconds(call, &call.args[3], &timeout_ms):
        return
    if move_element(call, False, True):
        propagate_move(call, b"RPOPLPUSH", 3)
    else:
        block_on_keys(call, 1, 1, TYPE_LIST, timeout_ms, TIMED_OUT_NULL)


cdef void blmovem(Call *call) noexcept:
    cdef int64_t timeout_ms = 0
    cdef MoveRequest request
    if parse_move_request(call, 5, &request) and parse_seconds(call, &call.args[5], &timeout_ms) \
            and not move_elements(call, &request):
        block_on_keys(call, 1, 1, TYPE_LIST, timeout_ms, TIMED_OUT_NULL_ARRAY)


cdef void blmpop(Call *call) noexcept:
    cdef int64_t timeout_ms = 0
    cdef PopRequest request
    if parse_pop_request(call, 2, &request) and parse_seconds(call, &call.args[1], &timeout_ms) \
            and not pop_from_first(call, &request):
        block_on_keys(call, request.first_key, request.end - request.first_key, TYPE_LIST, timeout_ms,
                      TIMED_OUT_NULL_ARRAY)


# ---- WAIT -----------------------------------------------------------------------------------------------------------

cdef void wait(Call *call) noexcept:
    """WAIT numreplicas timeout: until so many have all that this client has changed."""
    cdef int64_t replicas = 0
    cdef int64_t timeout_ms = 0
    if replication_of(call.core).follows:
        reply_error(call, b"ERR WAIT cannot be used with replica instances. Please also note that if a replica is "
                    b"configured to be writable (which is not the default) writes to replicas are just local and are "
                    b"not propagated.")
        return
    if not integer_argument(call, &call.args[1], &replicas) \
            or not parse_milliseconds(call, &call.args[2], &timeout_ms):
        return
    wait_for_replicas(call, False, replicas, False, timeout_ms)


cdef void wait_for_replicas(Call *call, bint local, int64_t replicas, bint on_disk, int64_t timeout_ms) noexcept:
    cdef Acknowledgements awaited
    awaited.local = local
    awaited.append_offset = call.client.append_offset
    awaited.offset = call.client.write_offset
    awaited.replicas = <int>min(replicas, <int64_t>INT32_MAX)
    awaited.on_disk = on_disk
    block_for_replicas(call, &awaited, timeout_ms)


cdef void waitaof(Call *call) noexcept:
    cdef int64_t local = 0
    cdef int64_t replicas = 0
    cdef int64_t timeout_ms = 0
    if not integer_argument(call, &call.args[1], &local):
        return
    if not 0 <= local <= 1:
        reply_error(call, b"ERR value is out of range, value must between 0 and 1")
        return
    if not parse_integer(call.args[2].data, call.args[2].length, &replicas) or replicas < 0:
        reply_error(call, b"ERR value is out of range, must be positive")
        return
    if not parse_milliseconds(call, &call.args[3], &timeout_ms):
        return
    if replication_of(call.core).follows:
        reply_error(call, b"ERR WAITAOF cannot be used with replica instances. Please also note that writes to "
                    b"replicas are just local and are not propagated.")
    elif local > 0 and appended_of(call.core).stage == APPEND_OFF:
        reply_error(call, no_file_to_wait_for())
    else:
        wait_for_replicas(call, local > 0, replicas, True, timeout_ms)
