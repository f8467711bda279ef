"""From parsed requests to running commands.

Strategy: requests parsed together are looked up together - command, key hash, table slot prefetched - and then run in
order. Whether a command may run is one AND of its gates with what is closed for the server and for its client; only
when a bit is left does Python walk the ordered list of gates (`commands/gates.py`). The clock is read once per command,
the end of one being the beginning of the next; equal quick commands in a row share a reading
(docs/decisions/0003-timing-in-groups.md).

Invariants: argument views die with the batch, so whoever keeps an argument copies it; a client that may not execute
(closing, blocked, owed too much) has nothing more run for it, and what is left of its bytes stays its own.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.ref cimport Py_DECREF
from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memchr, memcpy

from ranvier.engine.client cimport ClientHandle
from ranvier.engine.clocks cimport now_ns
from ranvier.engine.command_sizes cimport count_size, seems_large, tell_slow
from ranvier.engine.command_table cimport NAME_BYTES, CommandTable
from ranvier.engine.core cimport (
    AFTER_CLOSE,
    AFTER_MONITOR,
    AFTER_PUSHES,
    AFTER_REPLICA,
    AFTER_SURROUNDINGS,
    AFTER_TRACKING,
    COMMAND_CONTAINER,
    COMMAND_QUICK,
    COMMAND_SUBCOMMAND,
    GATE_ACL,
    GATE_AUTHENTICATION,
    GATE_CLUSTER,
    GATE_DISK_ERROR,
    GATE_ENDING,
    GATE_EVICT_CLIENTS,
    GATE_EVICT_KEYS,
    GATE_GOOD_REPLICAS,
    GATE_MONITOR,
    GATE_NO_MULTI,
    GATE_OUT_OF_MEMORY,
    GATE_PAUSED_ALL,
    GATE_PAUSED_WRITE,
    GATE_PROTECTED,
    GATE_QUEUE,
    GATE_READ_ONLY,
    GATE_REDIRECT,
    SURROUNDED,
    Arg,
    Command,
    Request,
)
from ranvier.engine.effects cimport propagate, propagates
from ranvier.engine.evict_clients cimport count_client
from ranvier.engine.evict_keys cimport make_room
from ranvier.engine.latency cimport latency_note
from ranvier.engine.modes.blocked cimport block_paused, is_retry, serve_ready_keys
from ranvier.engine.modes.deferred cimport flush_deferred
from ranvier.engine.modes.monitor cimport monitor_feed
from ranvier.engine.modes.surroundings cimport Surroundings, surroundings_begin, surroundings_end
from ranvier.engine.modes.tracking cimport tracking_over, tracking_ran
from ranvier.engine.modes.transaction cimport (
    transaction_abort,
    transaction_leave,
    transaction_of,
    transaction_queue,
)
from ranvier.engine.modes.watch cimport watch_leave
from ranvier.engine.native.transactions cimport exec_
from ranvier.engine.persistence.append_buffer cimport appended_offset
from ranvier.engine.phase cimport (
    CLOSE_ATTACK,
    CLOSE_BUG,
    CLOSE_PROTOCOL,
    CLOSE_QUIT,
    close_after_reply,
    may_execute,
    request_close,
)
from ranvier.engine.propagation cimport unit_end
from ranvier.engine.replication.primary_link cimport limits_of, link_executed, link_executes, link_settles
from ranvier.engine.replication.replica_output cimport replica_ran
from ranvier.engine.reply cimport reply_error_bytes, reply_raw, reply_value
from ranvier.engine.request cimport (
    PARSE_ERROR_BULK_LENGTH,
    PARSE_ERROR_BULK_STRING,
    PARSE_ERROR_CRLF,
    PARSE_ERROR_EXPECTED_DOLLAR,
    PARSE_ERROR_INLINE,
    PARSE_ERROR_MULTIBULK_LENGTH,
    PARSE_ERROR_MULTIBULK_STRING,
    PARSE_ERROR_QUOTES,
    PARSE_ERROR_UNAUTHENTICATED_BULK,
    PARSE_ERROR_UNAUTHENTICATED_MULTIBULK,
    PARSE_FULL,
    PARSE_INCOMPLETE,
    ParseStatus,
    batch_clear,
    batch_free,
    batch_init,
    parse_requests,
    parser_reset,
)
from ranvier.engine.store.database cimport database_hash
from ranvier.engine.store.table cimport table_prefetch, table_prefetch_item

from ranvier.errors import CommandError

cdef enum:
    QUICK_ARGUMENTS = 8          # more of them, and a command is timed by itself
    TIMED_TOGETHER = 16
    NESTED_REQUESTS = 8
    SLOW_NANOSECONDS = 1000000   # with a lower slowlog threshold every command is timed by itself
    # EXEC stands for what it runs: these concern it if they concern one of the queued commands.
    GATES_OF_QUEUE = GATE_CLUSTER | GATE_OUT_OF_MEMORY | GATE_DISK_ERROR | GATE_GOOD_REPLICAS | GATE_READ_ONLY \
        | GATE_PAUSED_WRITE | GATE_REDIRECT
    # What may refuse a command before keys are evicted for it.
    GATES_BEFORE_MEMORY = GATE_PROTECTED | GATE_NO_MULTI | GATE_ACL | GATE_CLUSTER | GATE_REDIRECT | GATE_EVICT_CLIENTS
    # These do something else than to refuse.
    GATES_THAT_ACT = GATE_QUEUE | GATE_PAUSED_WRITE | GATE_PAUSED_ALL | GATE_MONITOR

PROTOCOL_ERRORS = {
    <int>PARSE_ERROR_MULTIBULK_LENGTH: b"invalid multibulk length",
    <int>PARSE_ERROR_MULTIBULK_STRING: b"too big mbulk count string",
    <int>PARSE_ERROR_BULK_STRING: b"too big bulk count string",
    <int>PARSE_ERROR_EXPECTED_DOLLAR: b"expected '$', got '%c'",
    <int>PARSE_ERROR_BULK_LENGTH: b"invalid bulk length",
    <int>PARSE_ERROR_UNAUTHENTICATED_MULTIBULK: b"unauthenticated multibulk length",
    <int>PARSE_ERROR_UNAUTHENTICATED_BULK: b"unauthenticated bulk length",
    <int>PARSE_ERROR_INLINE: b"too big inline request",
    <int>PARSE_ERROR_QUOTES: b"unbalanced quotes in request",
    <int>PARSE_ERROR_CRLF: b"invalid CRLF in request",
}


# ---- parse and execute ----------------------------------------------------------------------------------------------

cdef size_t process_requests(Core *core, Client *client, char *data, size_t length):
    # A handler may feed another client, whose requests then get a batch of their own.
    cdef Batch nested
    cdef Batch *batch = &core.batch
    if core.depth > 0:
        batch = &nested
        batch_init(batch, &core.memory, NESTED_REQUESTS)
    core.depth += 1
    client.busy = True
    try:
        return run_requests(core, client, batch, data, length)
    finally:
        client.busy = False
        core.depth -= 1
        batch_clear(batch)
        if batch == &nested:
            batch_free(batch)


cdef size_t run_requests(Core *core, Client *client, Batch *batch, char *data, size_t length):
    cdef size_t offset = 0, consumed = 0, done
    cdef int64_t end_ns = 0
    cdef ParseStatus status
    cdef char found = 0
    while offset < length and may_execute(client):
        if client.owed_bytes > core.limits.owed_bytes:
            # The parser stays where it is: what it holds of the next request is no longer in `data`.
            client.stalled = True
            break
        client.stalled = False
        if client.primary_link != NULL and not link_executes(client, data + offset, length - offset):
            primary_breaks_protocol(client, b"Master using the inline protocol. Desync?")
            break
        status = parse_requests(&client.parser, batch, data + offset, length - offset, limits_of(client),
                                client.authenticated, &consumed, &found)
        done = execute_batch(core, client, batch)
        if done < batch.request_count:
            # The rest is parsed again when it may run: bytes are kept, views are not.
            consumed = batch.requests[done - 1].end
            parser_reset(&client.parser, &core.memory)
            status = PARSE_FULL
        batch_clear(batch)
        offset += consumed
        if status == PARSE_FULL:
            if core.limits.read_budget_ns > 0 and offset < length and used_up(client, &end_ns):
                break
            continue
        if status != PARSE_INCOMPLETE and may_execute(client):
            protocol_error(client, status, found, data + offset, length - offset)
        break
    if client.primary_link != NULL:
        link_settles(client, data + offset)
    settle_time(core)
    return offset


cdef bint used_up(Client *client, int64_t *end_ns) noexcept nogil:
    """Whether the client's pipeline has had its share of this turn (client-read-budget-usec); then the next one is due.

    Looked at once a batch; counted from the first full batch on, so that who sends less pays nothing for it. A client
    without a socket is not served in turns.
    """
    cdef Core *core = client.core
    if client.fd < 0 or not may_execute(client):
        return False
    if end_ns[0] == 0:
        end_ns[0] = now_ns() + core.limits.read_budget_ns
        return False
    if now_ns() < end_ns[0]:
        return False
    client.stalled = True
    if not client.waiting:
        client.waiting = client.yielded = True
        client.next_waiting = core.yielded
        core.yielded = client
    return True


cdef void protocol_error(Client *client, ParseStatus status, char found, const char *data, size_t length) except *:
    """Answer, and close in such a way that the peer gets to read the answer (lifecycle A3-16, A3-17)."""
    cdef bytes text = PROTOCOL_ERRORS[<int>status]
    cdef Surroundings surroundings
    if status == PARSE_ERROR_EXPECTED_DOLLAR:
        text = text % <unsigned char>found
    if client.primary_link != NULL:
        primary_breaks_protocol(client, text)
        return
    if client.replica == NULL:           # whose stream an answer would break
        surroundings_begin(client, &surroundings)
        reply_error_bytes(client, b"ERR Protocol error: " + text)
        surroundings_end(client)
    (<object>client.core.hooks).protocol_error(<ClientHandle>client.handle, text, data[:length])
    client.linger = True
    close_after_reply(client, CLOSE_PROTOCOL)


cdef void primary_breaks_protocol(Client *client, bytes text) except *:
    """No answer, and nothing of the state is kept: what came before may be broken, too (lifecycle A3-12)."""
    (<object>client.core.hooks).primary_protocol_error(<ClientHandle>client.handle, text)
    request_close(client, CLOSE_PROTOCOL)


cdef size_t execute_batch(Core *core, Client *client, Batch *batch):
    cdef size_t i
    cdef Request *request
    cdef Command *command
    cdef Arg *args
    cdef CommandTable commands = <CommandTable>core.commands
    for i in range(batch.request_count):
        request = &batch.requests[i]
        args = batch.args + request.first
        command = commands.find(args[0].data, args[0].length)
        if command != NULL and command.flags & COMMAND_SUBCOMMAND:
            command = NULL
        request.command = command
        # Arity is checked before a key is looked for: the arguments may not be there.
        if command != NULL and 0 < command.first_key < <int64_t>request.count:
            request.hash = database_hash(client.database, args[command.first_key].data, args[command.first_key].length)
            table_prefetch(&client.database.keys, request.hash)
        else:
            request.hash = 0
    if batch.request_count > 1:
        for i in range(batch.request_count):
            if batch.requests[i].hash != 0:
                table_prefetch_item(&client.database.keys, batch.requests[i].hash)
    for i in range(batch.request_count):
        request = &batch.requests[i]
        execute_request(core, client, batch.args + request.first, request)
        if client.primary_link != NULL:
            link_executed(client, request.end)
        if not may_execute(client) or client.owed_bytes > core.limits.owed_bytes:
            return i + 1
    return batch.request_count


cdef void execute_request(Core *core, Client *client, Arg *args, Request *request):
    cdef Call call
    cdef Command *command = request.command
    cdef uint32_t closed = (core.gates & ~client.exempt_gates) | client.gates
    call.core = core
    call.client = client
    call.database = client.database
    call.command = command
    call.args = args
    call.count = request.count
    call.hash = request.hash
    call.dirty = 0
    call.propagated = NULL
    call.failed = False
    if closed & (<uint32_t>GATE_AUTHENTICATION | SURROUNDED):
        if closed & SURROUNDED and not client.after_command & AFTER_SURROUNDINGS:
            execute_surrounded(core, client, args, request)
            return
        # Before the look-up, so that a stranger learns nothing (as Valkey 9).
        if closed & GATE_AUTHENTICATION and (command == NULL or command.gates & GATE_AUTHENTICATION):
            reject(&call, b"NOAUTH Authentication required.")
            return
    if command != NULL and command.flags & COMMAND_CONTAINER and request.count > 1:
        command = find_subcommand(&call)
        call.command = command
    # Before it runs, because CLIENT LIST shows the client that asks.
    client.last_command = command
    if command == NULL:
        refuse_unknown(&call)
        return
    if (command.arity > 0 and command.arity != <int64_t>request.count) or \
            (command.arity < 0 and <int64_t>request.count < -command.arity):
        reject(&call, b"ERR wrong number of arguments for '%s' command" % command_name(command))
        return
    closed &= command.gates
    if closed:
        if command.native == exec_:
            closed &= ~<uint32_t>GATES_OF_QUEUE | (transaction_of(client).gates if client.transaction != NULL else 0)
        if closed & GATE_EVICT_KEYS and not closed & GATES_BEFORE_MEMORY:
            closed = make_room(core, closed)
        if closed & ~<uint32_t>GATES_THAT_ACT and refused(&call, closed):
            return
        # Whom nothing refuses may be made to wait, unless it only watches; inside MULTI before the request is queued.
        if closed & GATE_ENDING or (closed & (GATE_PAUSED_WRITE | GATE_PAUSED_ALL) and client.monitor == NULL):
            block_paused(&call)
            return
        if closed & GATE_QUEUE:
            transaction_queue(&call)
            if core.limits.clients_bytes > 0:
                count_client(client)
            reply_raw(client, b"+QUEUED\r\n", 9)
            return
        if closed & GATE_MONITOR and not is_retry(client):
            client.after_command |= AFTER_MONITOR
    run(&call)


cdef void execute_surrounded(Core *core, Client *client, Arg *args, Request *request):
    """`settle_client` ends what is around it behind the handler; here it ends for a request that did not run."""
    cdef Surroundings surroundings
    surroundings_begin(client, &surroundings)
    execute_request(core, client, args, request)
    surroundings_end(client)


cdef void execute_again(Core *core, Client *client, Arg *args, size_t count) except *:
    cdef Request request
    cdef Command *command = (<CommandTable>core.commands).find(args[0].data, args[0].length)
    request.count = count
    request.command = command
    request.hash = 0
    if 0 < command.first_key < <int64_t>count:
        request.hash = database_hash(client.database, args[command.first_key].data, args[command.first_key].length)
    execute_request(core, client, args, &request)


cdef inline bytes command_name(const Command *command):
    return PyBytes_FromStringAndSize(command.name, command.name_length)


cdef Command *find_subcommand(Call *call):
    """The command that args[1] chooses; NULL (with args left as they are) when there is none."""
    cdef char[NAME_BYTES * 2] name
    cdef size_t length = call.command.name_length
    if call.args[1].length > NAME_BYTES - length - 1:
        return NULL
    memcpy(name, call.command.name, length)
    name[length] = c'|'
    memcpy(name + length + 1, call.args[1].data, call.args[1].length)
    return (<CommandTable>call.core.commands).find(name, length + 1 + call.args[1].length)


cdef bint refused(Call *call, uint32_t gates):
    """Ask the ordered list of gates; an answer is an error line."""
    cdef object hooks = <object>call.core.hooks
    cdef bytes answer = hooks.refuse(<ClientHandle>call.client.handle, <object>call.command.record, gates)
    if not may_execute(call.client):
        return True              # evicted: nobody to answer
    if answer is None:
        return False
    reject(call, answer)
    return True


cdef void reject(Call *call, bytes text):
    """Answer a request that does not run: an open transaction will not either, and EXEC itself ends it."""
    cdef Client *client = call.client
    if call.command != NULL:
        call.command.rejected_calls += 1
    if call.command != NULL and call.command.native == exec_:
        transaction_leave(client)
        watch_leave(client)
        text = b"EXECABORT Transaction discarded because of: " + text.removeprefix(b"ERR ")
    elif client.primary_link == NULL:    # where the rest of the transaction is done as at the primary
        transaction_abort(client)
    tracking_over(client, call.command)
    reply_error_bytes(client, text)
    if client.replica != NULL:
        replica_ran(client, call)


cdef bytes text_of(const Arg *arg):
    cdef const void *nul = memchr(arg.data, 0, arg.length)
    return PyBytes_FromStringAndSize(arg.data, <const char *>nul - arg.data if nul != NULL else <Py_ssize_t>arg.length)


cdef void refuse_unknown(Call *call):
    cdef bytes name = PyBytes_FromStringAndSize(call.args[0].data, call.args[0].length)
    cdef bytes shown = b""
    cdef size_t i
    cdef Command *container = (<CommandTable>call.core.commands).find(call.args[0].data, call.args[0].length)
    if name.lower() in (b"post", b"host:"):
        (<object>call.core.hooks).attack(<ClientHandle>call.client.handle)
        request_close(call.client, CLOSE_ATTACK)
        return
    if container != NULL and container.flags & COMMAND_CONTAINER:
        reject(call, b"ERR unknown subcommand '%.128s'. Try %s HELP." % (
            text_of(&call.args[1]), name.upper()))
        return
    for i in range(1, call.count):
        if len(shown) >= 128:
            break
        shown += b"'%.*s' " % (128 - len(shown), text_of(&call.args[i]))
    reject(call, b"ERR unknown command '%.128s', with args beginning with: %s" % (
        text_of(&call.args[0]), shown))


cdef void run(Call *call):
    cdef Core *core = call.core
    cdef Command *command = call.command
    cdef Client *client = call.client
    cdef Call *outer = core.call
    cdef size_t owed = client.owed_bytes
    cdef bint quick = command.flags & COMMAND_QUICK and call.count <= QUICK_ARGUMENTS \
        and (core.slow_nanoseconds < 0 or core.slow_nanoseconds >= SLOW_NANOSECONDS)
    if not quick or command != core.timed or core.timed_calls == TIMED_TOGETHER:
        settle_time(core)
    core.call = call
    if command.native != NULL:
        command.native(call)
    else:
        try:
            run_handler(call)
        finally:
            core.call = outer
    core.call = outer
    if client.after_command != 0:
        settle_client(call, outer)
    client.commands += 1
    core.statistics.commands += 1
    command.calls += 1
    command.failed_calls += call.failed
    if call.dirty != 0:
        core.dirty += call.dirty
        if propagates(call):
            propagate(call)
    if call.propagated != NULL:
        Py_DECREF(<list>call.propagated)
        call.propagated = NULL
    if outer == NULL and core.propagation.requests != 0:
        unit_end(core, client)
        client.write_offset = core.replication_offset
        client.append_offset = appended_offset(core)
    if quick:
        core.timed = command
        core.timed_calls += 1
    else:
        count_time(call)
    if seems_large(call, owed):
        count_size(call, owed)
    # Not before a transaction or a script is over: what it makes of the key is what others find.
    if core.keys_ready and outer == NULL:
        serve_ready_keys(core)


cdef void settle_client(Call *call, const Call *outer) noexcept:
    """What had to wait for the command's reply; inside a transaction, for the reply to EXEC."""
    cdef Client *client = call.client
    cdef bint nested = outer != NULL and outer.client == client
    if client.after_command & AFTER_TRACKING:
        tracking_ran(call)
    if client.after_command & AFTER_REPLICA:
        replica_ran(client, call)
    if not nested:
        surroundings_end(client)
        if client.after_command & AFTER_PUSHES:
            flush_deferred(client)
        if client.after_command & AFTER_CLOSE:
            close_after_reply(client, CLOSE_QUIT)
    if client.after_command & AFTER_MONITOR:
        if call.command.gates & GATE_MONITOR:
            monitor_feed(call, nested)
        if not nested:
            client.after_command &= ~<uint32_t>AFTER_MONITOR


cdef void settle_time(Core *core) noexcept nogil:
    """Attribute the time since the last reading to the quick commands that ran in it."""
    cdef int64_t now = now_ns()
    if core.timed != NULL:
        core.timed.nanoseconds += now - core.command_ns
        if core.latency_tracking:
            latency_note(core.timed, (now - core.command_ns) // core.timed_calls, core.timed_calls)
        core.timed = NULL
        core.timed_calls = 0
    core.command_ns = now


cdef void count_time(Call *call):
    """Attribute the time since the last reading to the command that ran, which may have been slow."""
    cdef Core *core = call.core
    cdef int64_t now = now_ns(), taken = now - core.command_ns
    core.command_ns = now
    call.command.nanoseconds += taken
    if core.latency_tracking:
        latency_note(call.command, taken, 1)
    if 0 <= core.slow_nanoseconds <= taken:
        tell_slow(call, taken)


cdef list arguments(Call *call, size_t first):
    cdef size_t i
    cdef list found = []
    for i in range(first, call.count):
        found.append(PyBytes_FromStringAndSize(call.args[i].data, call.args[i].length))
    return found


cdef void run_handler(Call *call):
    """A Python handler: its return value is the reply, a CommandError it raises is an error reply.

    Anything else that it raises is a bug: that one client is closed, the server goes on (design, law 13).
    """
    cdef size_t skip = 2 if call.command.flags & COMMAND_SUBCOMMAND else 1
    cdef ClientHandle handle = <ClientHandle>call.client.handle
    cdef object value
    try:
        try:
            value = (<object>call.command.handler)(handle, arguments(call, skip))
        except CommandError as error:
            call.failed = True
            reply_error_bytes(call.client, str(error).encode("utf-8", "surrogateescape"))
            return
        reply_value(call.client, value)
    except Exception as error:
        # What it raised may have cut a reply short: none of it must leave.
        call.failed = True
        request_close(call.client, CLOSE_BUG)
        (<object>call.core.hooks).bug(handle, error)
