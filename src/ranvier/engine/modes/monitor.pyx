"""MONITOR: every command that ran, as one line to each client that watches (lifecycle A13).

Strategy. With nobody watching, GATE_MONITOR is open and no command does anything for it. Otherwise dispatch calls
`monitor_feed` behind the handler, which measures the line, writes it once - a short one on the stack, a long one into a
blob - and copies it to, or shares it among, those who watch. A line is as long as its command is: what a client that
does not read piles up is bounded by client-output-buffer-limit of the class normal, shared lines counted in full.

Invariants. GATE_MONITOR is closed if and only if the list is not empty. Nothing here tears a client down (one over its
limit is only marked), so the list stands still during a feed. A line is never put into the middle of a reply: the lines
of a client's own transaction reach it behind EXEC's reply, where the reference puts them between the replies in it.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memcpy, strcmp, strlen

from ranvier.engine.client cimport ClientHandle
from ranvier.engine.clocks cimport CLOCK_REALTIME, clock_ns
from ranvier.engine.core cimport (
    COMMAND_SECRET, GATE_MONITOR, GATE_REPLICA, PHASE_CLOSING_AFTER_REPLY, REPLY_OFF, Arg, Core,
)
from ranvier.engine.memory cimport Blob, allocate, blob_data, blob_new, blob_release, release
from ranvier.engine.modes.deferred cimport DEFERRED_MESSAGE, defer
from ranvier.engine.modes.pubsub cimport PubSub
from ranvier.engine.number cimport print_integer
from ranvier.engine.output cimport output_append, output_reference
from ranvier.engine.phase cimport CLOSE_BUG, request_close
from ranvier.engine.reply cimport reply_error, reply_ok

cdef enum:
    SHORT_BYTES = 4096           # a line up to this is written on the stack
    HEAD_BYTES = 256             # time, database and address: the longest address is core.ADDRESS_BYTES

cdef const char *HEXADECIMAL = b"0123456789abcdef"


cdef native_t monitor_handler(str name) except? NULL:
    if name == "monitor":
        return monitor
    return NULL


cdef void monitor(Call *call) noexcept:
    """MONITOR; of a client that watches already, nothing but the answer."""
    cdef Client *client = call.client
    cdef Core *core = call.core
    cdef Monitor *mine
    if client.deny_blocking:
        reply_error(call, b"ERR MONITOR isn't allowed for DENY BLOCKING client")
        return
    reply_ok(client)
    if client.monitor != NULL:
        return
    mine = <Monitor *>allocate(&core.memory, sizeof(Monitor))
    mine.client = client
    mine.next = NULL
    mine.previous = <Monitor *>core.last_monitor
    if mine.previous != NULL:
        mine.previous.next = mine
    else:
        core.first_monitor = mine
    core.last_monitor = mine
    client.monitor = mine
    core.gates |= GATE_MONITOR
    # It sees what everybody does to the keyspace, and does nothing to it itself.
    client.gates |= GATE_REPLICA


cdef void monitor_leave(Client *client) noexcept nogil:
    cdef Core *core = client.core
    cdef Monitor *mine = <Monitor *>client.monitor
    if mine == NULL:
        return
    if mine.previous != NULL:
        mine.previous.next = mine.next
    else:
        core.first_monitor = mine.next
    if mine.next != NULL:
        mine.next.previous = mine.previous
    else:
        core.last_monitor = mine.previous
    client.monitor = NULL
    client.gates &= ~<uint32_t>GATE_REPLICA
    if core.first_monitor == NULL:
        core.gates &= ~<uint32_t>GATE_MONITOR
    release(&core.memory, mine)


# ---- the line --------------------------------------------------------------------------------------------------------

cdef inline char escape_letter(unsigned char byte) noexcept nogil:
    """What stands behind the backslash of a byte that C has an escape of one letter for; 0: it has none."""
    if byte == c'\\' or byte == c'"':
        return <char>byte
    if byte == c'\n':
        return c'n'
    if byte == c'\r':
        return c'r'
    if byte == c'\t':
        return c't'
    if byte == 7:
        return c'a'
    return c'b' if byte == 8 else 0


cdef inline bint is_plain(unsigned char byte) noexcept nogil:
    return 0x20 <= byte < 0x7f and byte != c'\\' and byte != c'"'


cdef size_t quoted_size(const Arg *arg) noexcept nogil:
    cdef size_t i, size = 3 + arg.length         # a space and two quotes
    cdef unsigned char byte
    for i in range(arg.length):
        byte = <unsigned char>arg.data[i]
        if not is_plain(byte):
            size += 1 if escape_letter(byte) else 3
    return size


cdef char *put_quoted(char *target, const Arg *arg) noexcept nogil:
    cdef size_t i
    cdef unsigned char byte
    cdef char letter
    target[0] = c' '
    target[1] = c'"'
    target += 2
    for i in range(arg.length):
        byte = <unsigned char>arg.data[i]
        if is_plain(byte):
            target[0] = <char>byte
            target += 1
            continue
        target[0] = c'\\'
        letter = escape_letter(byte)
        if letter:
            target[1] = letter
            target += 2
        else:
            target[1] = c'x'
            target[2] = HEXADECIMAL[byte >> 4]
            target[3] = HEXADECIMAL[byte & 15]
            target += 4
    target[0] = c'"'
    return target + 1


cdef size_t put_head(Call *call, char *target) noexcept:
    """`+seconds.microseconds [database address]`; of a script's client the address is "lua"."""
    cdef Client *client = call.client
    cdef int64_t micros = clock_ns(CLOCK_REALTIME) // 1000 if call.core.real_time else call.core.wall_ms * 1000
    cdef int64_t fraction = micros % 1000000, place = 100000
    cdef size_t size = 1, address_size = strlen(client.address)
    target[0] = c'+'
    size += print_integer(target + size, micros // 1000000)
    target[size] = c'.'
    size += 1
    while place > 0:
        target[size] = <char>(c'0' + fraction // place % 10)
        size += 1
        place //= 10
    memcpy(target + size, b" [", 2)
    size += 2
    size += print_integer(target + size, client.database.index)
    target[size] = c' '
    size += 1
    # Of a Unix socket both ends have one address, of a client behind a proxy they have not.
    if (<ClientHandle>client.handle).unix_socket and strcmp(client.address, client.local_address) == 0:
        memcpy(target + size, b"unix:", 5)
        size += 5
        address_size -= 2                # without ":0"
    memcpy(target + size, client.address, address_size)
    size += address_size
    target[size] = c']'
    return size + 1


cdef void put_line(char *target, const char *head, size_t head_size, const Arg *args, size_t count) noexcept nogil:
    cdef size_t i
    memcpy(target, head, head_size)
    target += head_size
    for i in range(count):
        target = put_quoted(target, &args[i])
    target[0] = c'\r'
    target[1] = c'\n'


# ---- the feed --------------------------------------------------------------------------------------------------------

cdef void hand_out(Call *call, bint nested, const char *line, size_t size, Blob *shared) noexcept nogil:
    """To everybody who watches; in `shared` when it is to be referenced."""
    cdef Monitor *each = <Monitor *>call.core.first_monitor
    while each != NULL:
        # Lines are no pushes: they do not pass in REPLY OFF.
        if each.client.phase < PHASE_CLOSING_AFTER_REPLY and each.client.reply_mode != REPLY_OFF:
            if nested and each.client == call.client:
                defer(each.client, DEFERRED_MESSAGE, line, size)
            elif shared != NULL:
                output_reference(each.client, shared, line, size)
            else:
                output_append(each.client, line, size)
        each = each.next


cdef void feed(Call *call, bint nested, const Arg *args, size_t count) noexcept:
    cdef char[HEAD_BYTES] head
    cdef char[SHORT_BYTES] short_line
    cdef size_t i, head_size = put_head(call, head), size = head_size + 2
    cdef Blob *blob
    for i in range(count):
        size += quoted_size(&args[i])
    if size < (<PubSub *>call.core.pubsub).shared_bytes:
        put_line(short_line, head, head_size, args, count)
        hand_out(call, nested, short_line, size, NULL)
        return
    blob = blob_new(&call.core.memory, size)
    blob.size = size
    put_line(blob_data(blob), head, head_size, args, count)
    hand_out(call, nested, blob_data(blob), size, blob)
    blob_release(&call.core.memory, blob)


cdef void feed_redacted(Call *call, bint nested) except *:
    cdef list words = [call.args[i].data[:call.args[i].length] for i in range(call.count)]
    cdef Arg *args
    cdef bytes word
    words = (<object>call.core.hooks).redact(words)
    args = <Arg *>allocate(&call.core.memory, len(words) * sizeof(Arg))
    for i in range(len(words)):
        word = words[i]
        args[i].data = word
        args[i].length = len(word)
        args[i].blob = NULL
    feed(call, nested, args, len(words))
    release(&call.core.memory, args)


cdef void monitor_feed(Call *call, bint nested) noexcept:
    if call.core.first_monitor == NULL:
        return
    if not call.command.flags & COMMAND_SECRET:
        feed(call, nested, call.args, call.count)
        return
    try:
        feed_redacted(call, nested)
    except Exception as error:
        request_close(call.client, CLOSE_BUG)
        (<object>call.core.hooks).bug(<ClientHandle>call.client.handle, error)
