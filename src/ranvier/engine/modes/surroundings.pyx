"""What is around the requests of some clients: the silence of CLIENT REPLY, NO-TOUCH, the eyes of an import source.

Strategy. Such a client carries the mark SURROUNDED in its mask of gates, where dispatch's first test finds it, so that
nobody else pays. Its request then runs between `surroundings_begin` and `surroundings_end`. Silence is another output
buffer: the real one is put aside, the reply is written into a single block over and over, and that block goes. So every
handler replies as always, limits see nothing of it, and what the peer is owed stays as it was to the byte.

Invariants. The end comes right behind the handler (dispatch: `settle_client`; inside a transaction, behind EXEC's),
before pushes, MONITOR lines and clients that the command woke: those pass. A client is not torn down while its request
runs, so that nobody meets the block in the output buffer's place. A request that blocks keeps its SKIP for the answer.
"""

from libc.stdint cimport uint32_t
from libc.string cimport memset

from ranvier.engine.core cimport (
    AFTER_SURROUNDINGS, REPLY_OFF, REPLY_ON, REPLY_SKIP, SURROUNDED, Call, Client,
)
from ranvier.engine.native.common cimport arg_is, reply_syntax_error
from ranvier.engine.output cimport output_begin_unsent, output_free
from ranvier.engine.reply cimport reply_ok


cdef native_t surroundings_handler(str name) except? NULL:
    if name == "client_reply":
        return client_reply
    return NULL


cdef inline Surroundings *surroundings_of(const Client *client) noexcept nogil:
    return <Surroundings *>client.surroundings


cdef void fall_silent(Client *client) noexcept nogil:
    cdef Surroundings *mine = surroundings_of(client)
    mine.head = client.head
    mine.tail = client.tail
    mine.sent = client.sent
    mine.owed_bytes = client.owed_bytes
    mine.output_bytes = client.output_bytes
    mine.output_blocks = client.output_blocks
    mine.pending_write = client.pending_write
    output_begin_unsent(client)
    client.pending_write = True          # so that nothing queues it for the write step
    client.silent = mine.silent = True


cdef void end_silence(Client *client) noexcept nogil:
    cdef Surroundings *mine = surroundings_of(client)
    if mine == NULL or not mine.silent:
        return
    client.silent = mine.silent = False
    output_free(client)
    client.head = mine.head
    client.tail = mine.tail
    client.sent = mine.sent
    client.owed_bytes = mine.owed_bytes
    client.output_bytes = mine.output_bytes
    client.output_blocks = mine.output_blocks
    client.pending_write = mine.pending_write


cdef void surroundings_begin(Client *client, Surroundings *mine) noexcept nogil:
    memset(mine, 0, sizeof(Surroundings))
    client.surroundings = mine
    client.after_command |= AFTER_SURROUNDINGS
    mine.skip = client.reply_mode == REPLY_SKIP
    mine.no_touch = client.no_touch
    # What is past its time is the primary's to say, or the file's that is replayed.
    mine.import_source = client.obeyed or (client.import_source and client.core.import_mode)
    if client.reply_mode != REPLY_ON:
        fall_silent(client)
    if mine.skip:
        client.reply_mode = REPLY_ON
    if mine.no_touch:
        client.core.keyspace.no_touch += 1
    if mine.import_source:
        client.core.keyspace.expired_are_shown += 1


cdef void surroundings_end(Client *client) noexcept nogil:
    cdef Surroundings *mine = surroundings_of(client)
    if mine == NULL:
        return
    end_silence(client)
    if mine.no_touch:
        client.core.keyspace.no_touch -= 1
    if mine.import_source:
        client.core.keyspace.expired_are_shown -= 1
    if mine.skip and client.blocked != NULL:
        client.reply_mode = REPLY_SKIP
    client.surroundings = NULL
    client.after_command &= ~<uint32_t>AFTER_SURROUNDINGS
    update_surrounded(client)


cdef bint speak(Client *client) noexcept nogil:
    cdef bint was_silent = client.surroundings != NULL and surroundings_of(client).silent
    end_silence(client)
    return was_silent


cdef void hush(Client *client, bint was_silent) noexcept nogil:
    if was_silent:
        fall_silent(client)


cdef void update_surrounded(Client *client) noexcept nogil:
    if client.reply_mode != REPLY_ON or client.no_touch or client.import_source or client.obeyed:
        client.gates |= SURROUNDED
    else:
        client.gates &= ~<uint32_t>SURROUNDED


cdef void leave_reply_mode(Client *client) noexcept nogil:
    # A SKIP that is under way is this request's own.
    if client.reply_mode == REPLY_OFF:
        end_silence(client)
    client.reply_mode = REPLY_ON
    update_surrounded(client)


cdef void client_reply(Call *call) noexcept:
    """CLIENT REPLY ON | OFF | SKIP: only ON answers."""
    cdef Client *client = call.client
    if client.obeyed:
        return                   # whoever is obeyed gets no replies, and cannot ask for them
    if arg_is(&call.args[2], b"on"):
        end_silence(client)
        client.reply_mode = REPLY_ON
        reply_ok(client)
    elif arg_is(&call.args[2], b"off"):
        client.reply_mode = REPLY_OFF
    elif not arg_is(&call.args[2], b"skip"):
        reply_syntax_error(call)
    elif client.reply_mode != REPLY_OFF:
        client.reply_mode = REPLY_SKIP
    update_surrounded(client)
