"""Clients that wait for replicas: WAIT and WAITAOF."""

from libc.stdint cimport int64_t

from ranvier.engine.core cimport Call, Client, Core
from ranvier.engine.modes.blocked cimport Acknowledgements

# Have the client wait until so many replicas have it, for a time (0: no end); it is answered with their number.
cdef void block_for_replicas(Call *call, const Acknowledgements *awaited, int64_t timeout_ms) noexcept
# What WAITAOF answers where no append-only file is kept.
cdef bytes no_file_to_wait_for()
# A replica has told how far it is, or this server's append-only file was synced.
cdef void acknowledgements_came(Core *core) noexcept nogil
# Somebody is to be answered in the next turn's blocked step: the loop does not sleep.
cdef bint answers_are_due(const Core *core) noexcept nogil
# The blocked step: answer those who have waited for that.
cdef void answer_acknowledged(Core *core) except *
cdef void reply_acknowledged(Client *client, const Acknowledgements *awaited) noexcept nogil
