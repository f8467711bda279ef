"""The queue between MULTI and EXEC.

While a client has a transaction, its GATE_QUEUE and GATE_NO_MULTI are closed, so that dispatch's fast path learns of it
by the one AND that it makes anyway. Queued bytes count toward the client's query-buffer limit (client.kept_bytes):
a queue is input that waits. Argument views die with their batch, so each request is copied, in one allocation; big
arguments are referenced.

Invariant: client.kept_bytes includes transaction.bytes, the sum over the queue, until the queue is taken or dropped.
"""

from libc.string cimport memcpy, memset

from ranvier.engine.core cimport GATE_NO_MULTI, GATE_QUEUE
from ranvier.engine.memory cimport allocate, blob_release, ranvier_usable_size, release


cdef void transaction_begin(Client *client) noexcept nogil:
    client.transaction = allocate(&client.core.memory, sizeof(Transaction))
    memset(client.transaction, 0, sizeof(Transaction))
    client.gates |= GATE_QUEUE | GATE_NO_MULTI


cdef void transaction_queue(Call *call) noexcept nogil:
    cdef Client *client = call.client
    cdef Transaction *transaction = transaction_of(client)
    cdef size_t i, size = sizeof(Queued) + call.count * sizeof(Arg), blob_bytes = 0
    cdef Queued *queued
    cdef Arg *arg
    cdef char *target
    if transaction.aborted or client.watch_broken:
        return
    for i in range(call.count):
        if call.args[i].blob == NULL:
            size += call.args[i].length
    queued = <Queued *>allocate(&client.core.memory, size)
    queued.next = NULL
    queued.command = call.command
    queued.hash = call.hash
    queued.count = call.count
    target = <char *>(queued_args(queued) + call.count)
    for i in range(call.count):
        arg = queued_args(queued) + i
        arg[0] = call.args[i]
        if arg.blob != NULL:
            arg.blob.references += 1
            blob_bytes += ranvier_usable_size(arg.blob)
        else:
            memcpy(target, arg.data, arg.length)
            arg.data = target
            target += arg.length
    queued.bytes = ranvier_usable_size(queued) + blob_bytes
    if transaction.last != NULL:
        transaction.last.next = queued
    else:
        transaction.first = queued
    transaction.last = queued
    transaction.count += 1
    transaction.gates |= call.command.gates
    transaction.bytes += queued.bytes
    client.kept_bytes += queued.bytes


cdef Queued *transaction_take(Transaction *transaction) noexcept nogil:
    cdef Queued *first = transaction.first
    transaction.first = transaction.last = NULL
    return first


cdef void queued_free(Core *core, Queued *queued) noexcept nogil:
    cdef size_t i
    cdef Arg *args = queued_args(queued)
    for i in range(queued.count):
        if args[i].blob != NULL:
            blob_release(&core.memory, args[i].blob)
    release(&core.memory, queued)


cdef void transaction_drop(Client *client) noexcept nogil:
    cdef Transaction *transaction = transaction_of(client)
    cdef Queued *queued
    cdef Queued *following
    if transaction == NULL:
        return
    queued = transaction_take(transaction)
    while queued != NULL:
        following = queued.next
        queued_free(client.core, queued)
        queued = following
    client.kept_bytes -= transaction.bytes
    transaction.bytes = 0
    transaction.count = 0
    transaction.gates = 0


cdef void transaction_abort(Client *client) noexcept nogil:
    cdef Transaction *transaction = transaction_of(client)
    if transaction != NULL:
        transaction.aborted = True
        transaction_drop(client)


cdef void transaction_leave(Client *client) noexcept:
    cdef Transaction *transaction = transaction_of(client)
    if transaction == NULL:
        return
    transaction_drop(client)
    client.transaction = NULL
    client.gates &= ~<uint32_t>(GATE_QUEUE | GATE_NO_MULTI)
    release(&client.core.memory, transaction)
