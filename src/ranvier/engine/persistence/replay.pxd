"""Requests of an append-only file, run again."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t

from ranvier.engine.client cimport ClientHandle
from ranvier.engine.core cimport Batch, Client, Core, Request


cdef class Replay:
    cdef Core *core                  # the engine's
    cdef object _engine              # is kept: its memory is what the batch is made of
    cdef Client *client
    cdef readonly ClientHandle handle
    cdef Batch batch
    cdef const unsigned char[::1] _held
    cdef const char *data
    cdef readonly size_t length
    cdef readonly size_t position    # behind the last request that was run
    cdef readonly size_t whole       # behind the last unit that was run: a transaction counts when its EXEC has run
    cdef size_t whole_end            # what `whole` will be when the batch has run
    cdef size_t end                  # behind the last request that was gathered
    cdef readonly bint in_transaction
    cdef readonly int errors         # replies that were errors
    cdef readonly bytes error        # the text of the last of them
    cdef str complaint               # about what was found at `end`, None while there is nothing wrong

    cdef int gather(self) except -1
    cdef int scan(self, size_t at, size_t *after) except -1
    cdef bint known(self) except -1
    cdef bint in_order(self) except -1
    cdef str argument(self, Request *request, size_t index)
    cdef void run(self) except *
    cdef void execute(self) except *

cdef Replay replay_of(Core *core, ClientHandle handle)
