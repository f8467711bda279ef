"""The table of commands, as dispatch looks them up: by name without regard to case, subcommands by "container|sub".

Open addressing by a hash of the lower-cased name; filled once at the start and never resized, so that a `Command *`
lives as long as the server.
"""

from libc.stdint cimport uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memset

from ranvier.engine.core cimport COMMAND_SUBCOMMAND
from ranvier.engine.latency cimport LATENCY_BUCKETS, latency_bucket_end

cdef inline size_t fold(char *target, const char *name, size_t length) noexcept nogil:
    """Lower-case `name` into `target` (FNV-1a hash returned); `length` is at most NAME_BYTES."""
    cdef size_t i
    cdef uint64_t hash = 14695981039346656037ULL
    cdef unsigned char c
    for i in range(length):
        c = <unsigned char>name[i]
        if c'A' <= c <= c'Z':
            c |= 32
        target[i] = <char>c
        hash = (hash ^ c) * 1099511628211ULL
    return <size_t>(hash ^ (hash >> 32))


cdef class CommandTable:
    """Commands by name, subcommands under "container|sub"; also what counts their calls."""

    def __init__(self) -> None:
        self.mask = 2047
        self.slots = <Command **>calloc(self.mask + 1, sizeof(Command *))
        if self.slots == NULL:
            raise MemoryError
        self._owned = []
        self._names = []
        self._commands = {}

    def __dealloc__(self) -> None:
        cdef size_t i
        if self.slots != NULL:
            for i in range(self.mask + 1):
                if self.slots[i] != NULL:
                    free(self.slots[i].latencies)
                free(self.slots[i])
            free(self.slots)

    cdef Command *find(self, const char *name, size_t length) noexcept:
        cdef char[NAME_BYTES] folded
        cdef size_t i
        cdef Command *command
        if length > NAME_BYTES:
            return NULL
        i = fold(folded, name, length) & self.mask
        while True:
            command = self.slots[i]
            if command == NULL:
                return NULL
            if command.name_length == length and memcmp(command.name, folded, length) == 0:
                return command
            i = (i + 1) & self.mask

    cdef void add(self, bytes name, native_t native, object handler, object record, int arity, uint32_t gates,
                  uint32_t flags, tuple keys) except *:
        cdef char[NAME_BYTES] folded
        cdef size_t i
        cdef Command *command
        if <size_t>len(self._commands) * 2 > self.mask or len(name) > NAME_BYTES:
            raise ValueError("the command table is full, or a name too long")
        command = <Command *>calloc(1, sizeof(Command))
        if command == NULL:
            raise MemoryError
        self._names.append(name)
        self._owned.append((handler, record))
        command.name = name
        command.name_length = len(name)
        command.arity = arity
        command.gates = gates
        command.flags = flags | (COMMAND_SUBCOMMAND if b"|" in name else 0)
        command.first_key, command.last_key, command.key_step = keys
        command.native = native
        command.handler = <void *>handler if handler is not None else NULL
        command.record = <void *>record
        i = fold(folded, name, len(name)) & self.mask
        while self.slots[i] != NULL:
            i = (i + 1) & self.mask
        self.slots[i] = command
        self._commands[name.decode()] = <size_t>command

    def statistics(self) -> dict[str, tuple[int, int, int, int]]:
        """Full name -> (calls, microseconds, rejected calls, failed calls), of commands that were called."""
        cdef Command *command
        found = {}
        for name, address in self._commands.items():
            command = <Command *><size_t>address
            if command.calls or command.rejected_calls:
                found[name] = (command.calls, command.nanoseconds // 1000, command.rejected_calls,
                               command.failed_calls)
        return found

    def reset_statistics(self) -> None:
        cdef Command *command
        for address in self._commands.values():
            command = <Command *><size_t>address
            command.calls = command.nanoseconds = command.rejected_calls = command.failed_calls = 0
        self.forget_latencies()

    def latencies(self, name: str) -> list[tuple[int, int]]:
        """(nanoseconds, calls that took no longer than that, and longer than the one before), where there are any."""
        cdef Command *command = <Command *><size_t>self._commands[name]
        cdef int i
        if command.latencies == NULL:
            return []
        return [(latency_bucket_end(i), command.latencies[i]) for i in range(LATENCY_BUCKETS) if command.latencies[i]]

    def forget_latencies(self) -> None:
        cdef Command *command
        for address in self._commands.values():
            command = <Command *><size_t>address
            if command.latencies != NULL:
                memset(command.latencies, 0, LATENCY_BUCKETS * sizeof(uint64_t))
