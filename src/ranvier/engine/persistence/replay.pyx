"""The requests of an append-only file, run again through a client without a socket.

Strategy: the file lies mapped in memory; its requests become views into it, a batch at a time, and are looked up and
run like those of a connection. What is run is checked first - form, name, number of arguments - so that whoever loads
can say at which byte a file is wrong. Time stands still for keys: what has expired since is still found, because it was
there when the request ran; the file says itself when it went.

Invariants: nothing behind `position` has been run; `whole` is a place at which a file may be cut. While requests run,
nothing is propagated, and no log, slow log or counter of commands tells of them.

Format: RESP arrays of bulk strings, and lines that begin with `#`, which are notes (as Redis 7 writes `#TS:`).
"""

cimport cython
from libc.stdint cimport uint32_t
from libc.string cimport memchr
from posix.strings cimport strncasecmp

from ranvier.engine.clocks cimport now_ns
from ranvier.engine.command_table cimport CommandTable
from ranvier.engine.core cimport (
    COMMAND_CONTAINER,
    COMMAND_SUBCOMMAND,
    EFFECT_OBSERVED,
    EFFECT_PROPAGATED,
    PHASE_READY,
    Arg,
    Command,
    Request,
)
from ranvier.engine.dispatch cimport execute_batch, settle_time
from ranvier.engine.memory cimport resize
from ranvier.engine.output cimport output_begin_unsent, output_free
from ranvier.engine.request cimport batch_clear, batch_free, batch_init
from ranvier.engine.turn cimport link_client, unlink_client

from ranvier import limits
from ranvier.errors import ReplayError

cdef enum:
    FOUND_REQUEST = 1            # or a note: nothing of it is in the batch
    FOUND_END = 2
    FOUND_INCOMPLETE = 3         # the file ends inside of a request
    FOUND_WRONG = 4

cdef enum:
    NUMBER_BYTES = 20
    NOT_THERE = -1               # the line is not complete
    NOT_VALID = -2
    SHOWN_ARGUMENTS = 5          # the name counts
    SHOWN_BYTES = 128            # of an unknown command's name and arguments


cdef int64_t header(const char *data, size_t length, char kind, size_t *position) noexcept nogil:
    """The number in the line `<kind><number>CRLF` at *position, which goes behind it; or NOT_THERE, NOT_VALID."""
    cdef size_t i = position[0], first
    cdef int64_t number = 0
    if i >= length:
        return NOT_THERE
    if data[i] != kind:
        return NOT_VALID
    i += 1
    first = i
    while i < length and c"0" <= data[i] <= c"9":
        if i - first >= NUMBER_BYTES - 2:
            return NOT_VALID
        number = number * 10 + (data[i] - c"0")
        i += 1
    if i < length and (i == first or data[i] != c"\r") or i + 1 < length and data[i + 1] != c"\n":
        return NOT_VALID
    if i + 1 >= length:
        return NOT_THERE
    position[0] = i + 2
    return number


@cython.no_gc_clear
cdef class Replay:
    """One file's requests. `handle` runs them: a client that was made for it, and shows in no list meanwhile."""

    def __cinit__(self) -> None:
        self.core = NULL

    def __dealloc__(self) -> None:
        if self.core != NULL:
            batch_free(&self.batch)

    def load(self, const unsigned char[::1] data, size_t begin = 0) -> None:
        """Run these bytes from `begin` on; the selected database is the first again."""
        self._held = data
        self.length = <size_t>data.shape[0]
        self.data = <const char *>&data[0] if self.length > 0 else NULL
        self.position = self.whole = self.whole_end = self.end = begin
        self.in_transaction = False
        self.complaint = None
        self.handle.leave_transaction()
        self.handle.select(0)

    def release(self) -> None:
        """Let go of the bytes."""
        self._held = None
        self.data = NULL
        self.length = 0

    def close(self) -> None:
        """The client goes."""
        self.release()
        output_free(self.client)
        self.client.silent = False
        link_client(self.core, self.client)
        self.handle.close()

    def step(self, int64_t nanoseconds) -> bool:
        """Run requests for about so long; whether there are no more. `position` tells how far it has come.

        An incomplete request at the end is not run: `position` is where it begins then. Raises ReplayError.
        """
        cdef int64_t until_ns = now_ns() + nanoseconds
        cdef int found
        while True:
            found = self.gather()
            if self.batch.request_count > 0:
                self.run()
            self.position = self.end
            self.whole = self.whole_end
            if found == FOUND_WRONG:
                raise ReplayError(self.complaint, self.end)
            if found != FOUND_REQUEST:
                return True
            if now_ns() >= until_ns:
                return False

    def begins_request(self, size_t at) -> bool:
        """Whether a whole request of a known command stands there."""
        cdef size_t after = 0
        cdef bint found
        found = self.scan(at, &after) == FOUND_REQUEST and self.batch.request_count > 0 and self.known()
        batch_clear(&self.batch)
        return found

    def is_torn_before_zeros(self) -> bool:
        """After a ReplayError: whether nothing but zeros follow what is a part of a request, and of nothing else.

        If so, they and that part are the end of the bytes from now on: an incomplete request, as `step` leaves it.
        """
        cdef size_t after = 0, length = self.length
        cdef int found
        if self.complaint is None:
            return False
        while self.length > self.end and self.data[self.length - 1] == 0:
            self.length -= 1
        if self.length < length:
            found = self.scan(self.end, &after)
            batch_clear(&self.batch)
            if found == FOUND_END or found == FOUND_INCOMPLETE:
                return True
        self.length = length
        return False

    cdef int gather(self) except -1:
        """Fill the batch with what follows, as far as it is right."""
        cdef size_t after = 0
        cdef size_t at = self.end
        cdef int found = FOUND_REQUEST
        batch_clear(&self.batch)
        while self.batch.request_count < self.batch.request_capacity:
            found = self.scan(at, &after)
            if found != FOUND_REQUEST:
                break
            if self.data[at] == c"*" and not (self.known() and self.in_order()):
                self.batch.request_count -= 1
                found = FOUND_WRONG
                break
            at = after
            if not self.in_transaction:
                self.whole_end = at
        self.end = at
        return found

    cdef int scan(self, size_t at, size_t *after) except -1:
        """Add the request at `at` to the batch; *after is behind it."""
        cdef size_t i = at, first = self.batch.arg_count
        cdef int64_t count, size
        cdef const char *line_end
        cdef Request *request
        if i == self.length:
            return FOUND_END
        if self.data[i] == c"#":
            line_end = <const char *>memchr(self.data + i, c"\n", self.length - i)
            if line_end == NULL:
                return FOUND_INCOMPLETE
            after[0] = <size_t>(line_end - self.data) + 1
            return FOUND_REQUEST
        count = header(self.data, self.length, c"*", &i)
        if count == NOT_THERE:
            return FOUND_INCOMPLETE
        if count < 1:
            return self.wrong("the number of arguments of a request is expected here")
        while count > 0:
            size = header(self.data, self.length, c"$", &i)
            if size == NOT_THERE or size >= 0 and self.length - i < <size_t>size:
                self.batch.arg_count = first
                return FOUND_INCOMPLETE
            if size == NOT_VALID:
                self.batch.arg_count = first
                return self.wrong("the length of an argument is expected here", i)
            push(&self.batch, self.data + i, <size_t>size)
            i += <size_t>size
            if self.length - i < 2 and (self.length == i or self.data[i] == c"\r"):
                self.batch.arg_count = first
                return FOUND_INCOMPLETE
            if self.data[i] != c"\r" or self.data[i + 1] != c"\n":
                self.batch.arg_count = first
                return self.wrong("an argument does not end where its length says", i)
            i += 2
            count -= 1
        request = &self.batch.requests[self.batch.request_count]
        request.first = first
        request.count = self.batch.arg_count - first
        request.end = i
        request.command = NULL
        request.hash = 0
        self.batch.request_count += 1
        after[0] = i
        return FOUND_REQUEST

    def wrong(self, text: str, at: int = -1) -> int:
        self.complaint = f"Bad file format ({text}: byte {at})" if at >= 0 else f"Bad file format ({text})"
        return FOUND_WRONG

    cdef bint known(self) except -1:
        """Whether the last request of the batch is one of a command, and has as many arguments as that takes."""
        cdef Request *request = &self.batch.requests[self.batch.request_count - 1]
        cdef Arg *args = self.batch.args + request.first
        cdef Command *command = (<CommandTable>self.core.commands).find(args[0].data, args[0].length)
        cdef bytes name
        cdef str shown = ""
        cdef size_t i
        if command == NULL or command.flags & COMMAND_SUBCOMMAND:
            name = args[0].data[:args[0].length]
            for i in range(1, request.count if request.count < SHOWN_ARGUMENTS else SHOWN_ARGUMENTS):
                shown += f"'{self.argument(request, i)}' "
            self.complaint = (f"unknown command '{name[:SHOWN_BYTES].decode('latin-1')}', with args beginning with: "
                              f"{shown}")
            return False
        if command.flags & COMMAND_CONTAINER == 0 and (
                command.arity > 0 and command.arity != <int64_t>request.count
                or command.arity < 0 and <int64_t>request.count < -command.arity):
            self.complaint = f"wrong number of arguments for '{command.name[:command.name_length].decode()}' command"
            return False
        return True

    cdef bint in_order(self) except -1:
        """Whether the last request of the batch, which is known, may stand there: transactions begin, then end.

        Where one begins twice or ends twice, a part of the file is missing, and with it what EXEC would have run.
        """
        cdef Arg *name = self.batch.args + self.batch.requests[self.batch.request_count - 1].first
        cdef bint begins = name.length == 5 and strncasecmp(name.data, b"multi", 5) == 0
        cdef bint ends = name.length == 4 and strncasecmp(name.data, b"exec", 4) == 0
        if begins and self.in_transaction or ends and not self.in_transaction:
            self.complaint = f"Bad file format ({'MULTI inside of' if begins else 'EXEC without'} a transaction)"
            return False
        if begins or ends:
            self.in_transaction = begins
        return True

    cdef str argument(self, Request *request, size_t index):
        cdef Arg *arg = self.batch.args + request.first + index
        return arg.data[:arg.length if arg.length < SHOWN_BYTES else SHOWN_BYTES].decode("latin-1")

    cdef void run(self) except *:
        """Run the batch with time, propagation, slow log and the counter of commands as they were."""
        cdef Core *core = self.core
        cdef uint32_t hidden = core.effects & (EFFECT_PROPAGATED | EFFECT_OBSERVED)
        cdef int deletes = core.keyspace.expires_are_deletes
        cdef int64_t slow = core.slow_nanoseconds, commands = core.statistics.commands
        cdef int64_t errors = core.statistics.errors
        core.effects &= ~hidden
        core.slow_nanoseconds = -1
        core.keyspace.expires_are_deletes = 0
        core.keyspace.expired_are_shown += 1
        core.depth += 1
        self.client.busy = True
        try:
            self.execute()
            settle_time(core)
        finally:
            self.client.busy = False
            core.depth -= 1
            core.keyspace.expired_are_shown -= 1
            core.keyspace.expires_are_deletes = deletes
            core.slow_nanoseconds = slow
            core.effects |= hidden
            core.statistics.commands = commands
            batch_clear(&self.batch)
        if core.statistics.errors != errors:
            self.note_errors(<int>(core.statistics.errors - errors))
            core.statistics.errors = errors

    cdef void execute(self) except *:
        cdef Client *client = self.client
        cdef size_t done
        self.restart_replies()
        client.deny_blocking = True
        done = execute_batch(self.core, client, &self.batch)
        if done < self.batch.request_count or client.phase != PHASE_READY:
            raise ReplayError("a request closed or blocked the client that runs it", self.batch.requests[done - 1].end)

    def restart_replies(self) -> None:
        """Replies go nowhere; those of the last batch lie in one block, to tell what errors they were."""
        output_free(self.client)
        output_begin_unsent(self.client)

    def note_errors(self, count: int) -> None:
        cdef bytes replies = self.client.tail.data[:self.client.tail.used]
        cdef Py_ssize_t begin = 0 if replies[:1] == b"-" else replies.find(b"\n-") + 1
        self.errors += count
        if replies[begin:begin + 1] == b"-":
            self.error = replies[begin + 1:].partition(b"\r\n")[0]


cdef void push(Batch *batch, const char *data, size_t length) noexcept nogil:
    cdef Arg *arg
    if batch.arg_count == batch.arg_capacity:
        batch.arg_capacity *= 2
        batch.args = <Arg *>resize(batch.memory, batch.args, batch.arg_capacity * sizeof(Arg))
    arg = &batch.args[batch.arg_count]
    arg.data = data
    arg.length = length
    arg.blob = NULL
    batch.arg_count += 1


cdef Replay replay_of(Core *core, ClientHandle handle):
    cdef Replay replay = Replay.__new__(Replay)
    replay.core = core
    replay._engine = <object>core.engine
    replay.handle = handle
    replay.client = &handle.state
    batch_init(&replay.batch, &core.memory, limits.BATCH_REQUESTS)
    # Nobody may list or kill it.
    unlink_client(core, replay.client)
    replay.client.obeyed = True
    replay.client.exempt_gates = 0xffffffff
    replay.client.silent = True
    handle.authenticated = True
    output_begin_unsent(replay.client)
    return replay
