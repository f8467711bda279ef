"""The phase of a client.

One value, one table, one function that may change it. READY runs requests; the other phases do not.
There is no way back from a closing phase: CLOSING_AFTER_REPLY -> [DRAINING] -> CLOSING -> CLOSED, any of the middle
ones left out. Who asks for a close only marks and queues: the free step of the turn tears down and frees
(`engine/client`), so that nobody up the call stack ever holds a client that is gone.
"""

from ranvier.engine.core cimport (
    PHASE_BLOCKED,
    PHASE_CLOSED,
    PHASE_CLOSING,
    PHASE_CLOSING_AFTER_REPLY,
    PHASE_DRAINING,
    PHASE_HANDSHAKE,
    PHASE_READY,
)
from ranvier.engine.output cimport queue_write

cdef enum:
    PHASES = 7

# Row: from; bit: to.
cdef int[PHASES] TRANSITIONS
TRANSITIONS[<int>PHASE_HANDSHAKE] = (1 << PHASE_READY) | (1 << PHASE_CLOSING_AFTER_REPLY) | (1 << PHASE_CLOSING)
TRANSITIONS[<int>PHASE_READY] = (1 << PHASE_BLOCKED) | (1 << PHASE_CLOSING_AFTER_REPLY) | (1 << PHASE_CLOSING)
TRANSITIONS[<int>PHASE_BLOCKED] = (1 << PHASE_READY) | (1 << PHASE_CLOSING_AFTER_REPLY) | (1 << PHASE_CLOSING)
TRANSITIONS[<int>PHASE_CLOSING_AFTER_REPLY] = (1 << PHASE_DRAINING) | (1 << PHASE_CLOSING)
TRANSITIONS[<int>PHASE_CLOSING] = 1 << PHASE_CLOSED
TRANSITIONS[<int>PHASE_DRAINING] = 1 << PHASE_CLOSING
TRANSITIONS[<int>PHASE_CLOSED] = 0

PHASE_NAMES = ("HANDSHAKE", "READY", "BLOCKED", "CLOSING_AFTER_REPLY", "CLOSING", "DRAINING", "CLOSED")

# By CloseReason. They are part of the interface: INFO, the log and CLIENT CLOSED show them.
cdef const char *REASONS[<int>CLOSE_REASONS]
REASONS[:] = [b"none", b"peer", b"read-error", b"write-error", b"quit", b"protocol-error", b"output-buffer-limit",
              b"query-buffer-limit", b"killed", b"idle", b"maxclients", b"bug", b"shutdown", b"attack", b"evicted",
              b"protected-mode", b"proxy-protocol", b"unauthenticated-limit", b"user", b"replication", b"handshake",
              b"accept-error"]

CLOSE_REASON_NAMES = tuple([(<bytes>REASONS[i]).decode() for i in range(1, <int>CLOSE_REASONS)])


def transitions() -> dict[str, list[str]]:
    """The transition table by name, for the documentation and its test."""
    return {
        PHASE_NAMES[start]: [PHASE_NAMES[end] for end in range(PHASES) if TRANSITIONS[start] >> end & 1]
        for start in range(PHASES)
    }


cdef bint set_phase(Client *client, int phase) noexcept nogil:
    if not TRANSITIONS[client.phase] >> phase & 1:
        return False
    client.phase = phase
    return True


cdef void request_close(Client *client, int reason) noexcept nogil:
    if client.phase == PHASE_CLOSING or client.phase == PHASE_CLOSED:
        return
    if client.close_reason == CLOSE_NONE:
        client.close_reason = reason
    set_phase(client, PHASE_CLOSING)
    if not client.closing_queued:
        client.closing_queued = True
        client.next_closed = client.core.closed
        client.core.closed = client


cdef void close_after_reply(Client *client, int reason) noexcept nogil:
    if client.close_reason == CLOSE_NONE:
        client.close_reason = reason
    if client.owed_bytes == 0 and (not client.linger or client.fd < 0):
        request_close(client, reason)
    elif set_phase(client, PHASE_CLOSING_AFTER_REPLY) and client.owed_bytes == 0:
        queue_write(client)      # the write step moves on who lingers, even with nothing to write


cdef void close_at_the_end(Client *client) noexcept nogil:
    if client.fd < 0:
        close_after_reply(client, CLOSE_SHUTDOWN)
        return
    if client.close_reason == CLOSE_NONE:
        client.close_reason = CLOSE_SHUTDOWN
    if set_phase(client, PHASE_CLOSING_AFTER_REPLY):
        queue_write(client)


cdef const char *close_reason_name(int reason) noexcept nogil:
    return REASONS[reason]
