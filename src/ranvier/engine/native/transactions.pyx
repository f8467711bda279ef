"""Native handlers of the group transactions: MULTI, EXEC, DISCARD, WATCH, UNWATCH.

What a command between MULTI and EXEC meets is dispatch's business (gates, the queue); here the transaction begins, runs
and ends.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t

from ranvier.engine.client cimport ClientHandle
from ranvier.engine.core cimport Client, Core
from ranvier.engine.dispatch cimport run, settle_time
from ranvier.engine.modes.transaction cimport (
    Queued,
    Transaction,
    queued_args,
    queued_free,
    transaction_begin,
    transaction_leave,
    transaction_of,
    transaction_take,
)
from ranvier.engine.modes.watch cimport watch_has_expired, watch_key, watch_leave
from ranvier.engine.phase cimport CLOSE_BUG, request_close
from ranvier.engine.reply cimport reply_array, reply_error, reply_null_array, reply_ok


cdef native_t transaction_handler(str name) except? NULL:
    if name == "multi":
        return multi
    if name == "exec":
        return exec_
    if name == "discard":
        return discard
    if name == "watch":
        return watch
    if name == "unwatch":
        return unwatch
    return NULL


cdef void multi(Call *call) noexcept:
    # Inside MULTI, GATE_NO_MULTI has refused it.
    transaction_begin(call.client)
    reply_ok(call.client)


cdef void leave(Client *client) noexcept:
    transaction_leave(client)
    watch_leave(client)


cdef void discard(Call *call) noexcept:
    if call.client.transaction == NULL:
        reply_error(call, b"ERR DISCARD without MULTI")
        return
    leave(call.client)
    reply_ok(call.client)


cdef void watch(Call *call) noexcept:
    cdef size_t i
    # Once a key was touched it is clear what EXEC will answer.
    if not call.client.watch_broken:
        for i in range(1, call.count):
            watch_key(call.client, call.args[i].data, call.args[i].length)
    reply_ok(call.client)


cdef void unwatch(Call *call) noexcept:
    watch_leave(call.client)
    reply_ok(call.client)


cdef void exec_(Call *call) noexcept:
    cdef Client *client = call.client
    cdef Transaction *transaction = transaction_of(client)
    if transaction == NULL:
        reply_error(call, b"ERR EXEC without MULTI")
    elif transaction.aborted:
        leave(client)
        reply_error(call, b"EXECABORT Transaction discarded because of previous errors.")
    elif client.watch_broken or watch_has_expired(client):
        leave(client)
        reply_null_array(client)
    else:
        # Before anything runs: its own writes must not look like those of others.
        watch_leave(client)
        run_queue(call, transaction)
        leave(client)


cdef void run_queue(Call *call, Transaction *transaction) noexcept:
    """Run what is queued, all of it: neither an error nor a bug in the middle ends a transaction."""
    cdef Core *core = call.core
    cdef Queued *queued = transaction_take(transaction)
    cdef Queued *current
    cdef int64_t begun_ns = core.command_ns
    reply_array(call.client, <int64_t>transaction.count)
    call.client.deny_blocking = True
    while queued != NULL:
        try:
            while queued != NULL:
                current = queued
                queued = queued.next
                run_queued(call, current)
        except Exception as error:
            bug(call.client, error)
    call.client.deny_blocking = False
    settle_time(core)
    core.command_ns = begun_ns           # so that EXEC's time is that of the whole


cdef void run_queued(Call *execution, Queued *queued) except *:
    cdef Call call
    call.core = execution.core
    call.client = execution.client
    call.database = execution.client.database
    call.command = queued.command
    call.args = queued_args(queued)
    call.count = queued.count
    call.hash = queued.hash
    call.dirty = 0
    call.propagated = NULL
    call.failed = False
    try:
        run(&call)
    finally:
        queued_free(execution.core, queued)


cdef void bug(Client *client, object error):
    """Outside the handlers (a hook, a listener): that one client is closed (design, law 13)."""
    request_close(client, CLOSE_BUG)
    (<object>client.core.hooks).bug(<ClientHandle>client.handle, error)
