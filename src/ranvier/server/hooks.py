"""What the engine leaves to Python: errors counted, requests refused, slow commands kept, changes passed on.

The engine calls these in rare cases only; none of them is on the fast path.
"""

from __future__ import annotations

import os
import traceback
from typing import TYPE_CHECKING

from ranvier.commands.client_line import client_line
from ranvier.commands.gates import GATES, Gate
from ranvier.commands.keys import KeysError, extract_keys
from ranvier.commands.spec import Command
from ranvier.commands.words import shown
from ranvier.engine.client import ClientHandle
from ranvier.limits import ERROR_CODES
from ranvier.observe.closed import ClosedClient, trim_name
from ranvier.observe.log import NOTICE, VERBOSE, WARNING
from ranvier.observe.redaction import redact
from ranvier.server.accept import read_proxy_header, refuse_proxy

if TYPE_CHECKING:
    from ranvier.server.server import Server

SERVER_NAME = "Ranvier"  # in error texts that name the server
REFUSAL_LOG_MILLISECONDS = 1000  # a primary that does much that cannot be done here does not fill the disk
ATTACK_LOG_MILLISECONDS = 60_000  # one line a minute, or the log is the next victim
# Closes that the log tells of when they are decided, in words of their own.
TOLD_BEFORE = frozenset({"output-buffer-limit", "unauthenticated-limit", "evicted"})
# One line for each close, at level verbose. The beginnings are those of the reference servers, where they have one.
CLOSE_TEXTS = {
    "peer": "Client closed connection {line} reason={reason}",
    "read-error": "Reading from client: {error} {line} reason={reason}",
    "write-error": "Error writing to client: {error} {line} reason={reason}",
    "idle": "Closing idle client {line} reason={reason}",
}
SAMPLE_BYTES = 64  # of a query buffer that broke the protocol, from its beginning and its end


class EngineHooks:
    """The engine's calls into the server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.errors: dict[str, int] = {}
        self._attack_logged_ms: int | None = None
        self._refusal_logged_ms: int | None = None
        self.unexpected_errors = 0

    def count_error(self, code: bytes) -> None:
        """An error reply went out; `code` is its first word."""
        name = code.decode("latin-1")
        if name in self.errors or len(self.errors) < ERROR_CODES:
            self.errors[name] = self.errors.get(name, 0) + 1

    def refuse(self, client: ClientHandle, command: Command, closed: int) -> bytes | None:
        """The error line of the first gate in `closed` that refuses `command`; None also when the client is evicted."""
        room = False
        for rule in GATES:
            if rule.gate & closed and rule.gate is Gate.EVICT_KEYS:
                room = self._server.engine.key_eviction.make_room()
            if rule.gate & closed and rule.gate is Gate.OUT_OF_MEMORY and not room:
                return rule.reply.encode()
            if rule.gate & closed and rule.gate is Gate.EVICT_CLIENTS:
                self._server.engine.client_memory.evict()
                if client.closed:
                    return None
            if rule.gate & closed and rule.gate is Gate.PROTECTED:
                name = command.name.partition(" ")[0]
                if not self._server.allows(name, client):
                    return (rule.reply % (name, f"enable-{name.lower()}-command")).encode()
            if rule.gate & closed and rule.gate in (Gate.NO_MULTI, Gate.SUBSCRIBED):
                return (rule.reply % command.full_name).encode()
            if rule.gate & closed and rule.gate is Gate.DISK_ERROR:
                return (rule.reply % self._server.disk_errors.text).encode()
            if rule.gate & closed and rule.gate in (Gate.LOADING, Gate.ASYNC_LOADING):
                return (rule.reply % SERVER_NAME).encode()
            if rule.gate & closed and rule.gate in (Gate.GOOD_REPLICAS, Gate.READ_ONLY, Gate.STALE, Gate.REPLICA):
                return rule.reply.encode()
            if rule.gate & closed and rule.gate is Gate.REDIRECT:
                return self._server.replica_side.redirection()
            if rule.gate & closed and rule.gate is Gate.TRACKING_TABLE:
                self._server.engine.tracking.trim()
        return None

    def keys_of(self, command: Command, argv: list[bytes]) -> list[bytes]:
        """The keys of a request whose places only the key specifications tell; none if they contradict it."""
        try:
            found = extract_keys(command.name, command.key_specs, argv)
        except KeysError:
            return []
        return [argv[key.index] for key in found]

    def protocol_error(self, client: ClientHandle, text: bytes, query: bytes) -> None:
        """A client broke the protocol; it has been answered and will be closed."""
        sample = query if len(query) <= 2 * SAMPLE_BYTES else query[:SAMPLE_BYTES] + query[-SAMPLE_BYTES:]
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in sample)
        self._server.log.log(
            VERBOSE,
            f"Protocol error ({text.decode('latin-1')}) from client: {client_line(client)}. "
            f"Query buffer during protocol error: '{shown}'",
        )

    def primary_refused(self, client: ClientHandle, text: bytes) -> None:
        """Something that the primary did came to an error here: the data sets may differ from now on."""
        now_ms = self._server.engine.monotonic_ms
        self.unexpected_errors += 1
        if self._refusal_logged_ms is not None and now_ms - self._refusal_logged_ms < REFUSAL_LOG_MILLISECONDS:
            return
        self._refusal_logged_ms = now_ms
        command = client.describe()["cmd"]
        shown = text.decode("latin-1").replace("\r", " ").replace("\n", " ")
        self._server.log.log(
            WARNING,
            f"== CRITICAL == This replica is sending an error to its primary: '{shown}' after processing the command "
            f"'{command}'",
        )

    def primary_protocol_error(self, client: ClientHandle, text: bytes) -> None:
        """The primary sent what is no request; the link will be closed, and what it stood for is not gone on from."""
        if b"inline" in text:
            self._server.log.log(
                WARNING,
                "WARNING: Receiving inline protocol from master, master stream corruption? Closing the master "
                "connection and discarding the cached master.",
            )
        self._server.log.log(
            WARNING, f"Protocol error ({text.decode('latin-1')}) from client: {client_line(client)}."
        )

    def query_limit_reached(self, client: ClientHandle) -> None:
        """A client's query buffer passed its limit; it will be closed."""
        self._server.log.log(
            WARNING, f"Closing client that reached max query buffer length: {client_line(client)}"
        )

    def handshake(self, client: ClientHandle, data: bytes) -> int:
        """All that a client in the handshake phase has sent: how long the handshake was, 0: incomplete, -1: bad."""
        return read_proxy_header(self._server, client, data)

    def handshake_late(self, client: ClientHandle) -> None:
        """A client's handshake did not end in time; it will be closed."""
        refuse_proxy(self._server, client, "it did not come in time")

    def output_limit_reached(self, client: ClientHandle, at_once: bool) -> None:
        """A client is owed more than its limit; it will be closed, or is `at_once` by the periodic look."""
        closed = "closed" if at_once else "scheduled to be closed ASAP"
        self._server.log.log(
            WARNING, f"Client {client_line(client)} {closed} for overcoming of output buffer limits."
        )

    def evicting_client(self, client: ClientHandle) -> None:
        """All clients together hold too much memory; this one will be closed."""
        self._server.log.log(NOTICE, f"Evicting client: {client_line(client)}")

    def clients_stay_too_large(self) -> None:
        """Clients that may not be evicted hold more than maxmemory-clients allows."""
        self._server.log.log(WARNING, "Over client maxmemory after evicting all evictable clients")

    def attack(self, client: ClientHandle) -> None:
        """Somebody sent POST or Host: as a command: an HTTP request smuggled in. The client will be closed."""
        now_ms = self._server.engine.monotonic_ms
        if self._attack_logged_ms is not None and now_ms - self._attack_logged_ms < ATTACK_LOG_MILLISECONDS:
            return
        self._attack_logged_ms = now_ms
        self._server.log.log(
            WARNING,
            "Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to Ranvier. "
            "This is likely due to an attacker attempting to use Cross Protocol Scripting to compromise your "
            f"instance. Connection from {client.address} aborted.",
        )

    def bug(self, client: ClientHandle, error: BaseException) -> None:
        """A handler raised what it must not: that client will be closed, the server goes on."""
        lines = "".join(traceback.format_exception(error))
        self._server.log.log(WARNING, f"BUG: closing client {client_line(client)}\n{lines}")

    def bug_in_callback(self, callback: object, error: BaseException) -> None:
        """A timer, a posted call or a listener raised what it must not: the server goes on."""
        lines = "".join(traceback.format_exception(error))
        self._server.log.log(WARNING, f"BUG: {callback!r} failed\n{lines}")

    def redact(self, arguments: list[bytes]) -> list[bytes]:
        """The command line as it may be shown."""
        return redact(arguments)

    def slow(self, client: ClientHandle, command: Command, arguments: list[bytes], count: int,
             microseconds: int) -> None:
        """A command took longer than the slow log's threshold, or the latency monitor's.

        `arguments`: the first of `count`, cut as the log keeps them.
        """
        server = self._server
        threshold = server.configuration.slowlog_log_slower_than_microseconds
        if 0 <= threshold <= microseconds and "skip_commandlog" not in command.flag_set:
            self._log_command("slow", client, arguments, count, microseconds)
        event = "fast-command" if "fast" in command.flag_set else "command"
        server.latency.note(event, microseconds // 1000, server.engine.wall_ms // 1000)

    def large(self, client: ClientHandle, arguments: list[bytes], count: int, request_bytes: int,
              reply_bytes: int) -> None:
        """A request, or what it was replied, may be larger than the thresholds of such logs; see `slow`."""
        configuration = self._server.configuration
        sizes = {"large-request": request_bytes, "large-reply": reply_bytes}
        thresholds = {
            "large-request": configuration.commandlog_request_larger_than_bytes,
            "large-reply": configuration.commandlog_reply_larger_than_bytes,
        }
        for kind, size in sizes.items():
            if 0 <= thresholds[kind] <= size:
                self._log_command(kind, client, arguments, count, size)

    def _log_command(self, kind: str, client: ClientHandle, arguments: list[bytes], count: int, value: int) -> None:
        shown = redact(arguments)
        if len(arguments) < count:
            shown.append(b"... (%d more arguments)" % (count - len(arguments)))
        self._server.command_logs[kind].note(
            value, shown, client.address, client.name, self._server.engine.wall_ms // 1000
        )

    def latency_event(self, event: bytes, milliseconds: int) -> None:
        """Something of the engine's own took longer than the latency monitor's threshold."""
        self._server.latency.note(event.decode(), milliseconds, self._server.engine.wall_ms // 1000)

    def client_closed(self, client: ClientHandle) -> None:
        """A client is torn down and leaves the loop: its descriptor is free."""
        self._server.keep_spare_descriptors()

    def client_closing(self, client: ClientHandle) -> None:
        """A client is about to be torn down: count it, keep it for CLIENT CLOSED, say it in the log."""
        server, reason = self._server, client.close_reason
        server.primary.left(client)
        server.replica_side.client_closing(client)
        d = client.describe()
        server.closed.note(ClosedClient(
            client.id, client.address, client.local_address, trim_name(client.name), client.user, reason,
            server.engine.wall_ms, d["age"], d["idle"], d["db"], d["cmd"], d["tot-cmds"], d["tot-net-in"],
            d["tot-net-out"], d["owed"],
        ))
        if reason not in TOLD_BEFORE and server.log.level <= VERBOSE:
            text = CLOSE_TEXTS.get(reason, "Closing client {line} reason={reason}")
            error = os.strerror(d["socket-error"]) if d["socket-error"] else "connection lost"
            server.log.log(VERBOSE, text.format(line=client_line(client), reason=reason, error=error))

    def replica_replied(self, client: ClientHandle, name: bytes) -> None:
        """A replica asked for something that was answered, which would break the stream: it will be closed."""
        self._server.log.log(
            WARNING,
            f"Replica generated a reply to command '{shown(name).lower()}', disconnecting it: {client_line(client)}",
        )

    def refused(self, address: str, local_address: str, reason: str) -> None:
        """A connection was turned away before it became a client."""
        self._server.closed.note(
            ClosedClient(0, address, local_address, b"", "", reason, self._server.engine.wall_ms)
        )
        self._server.log.log(VERBOSE, f"Refused connection addr={address} laddr={local_address} reason={reason}")

    def append_step(self) -> None:
        """A turn has changed something that the append-only file is to have. Raises PersistenceError."""
        self._server.append_only.flush()

    def shutdown_step(self) -> None:
        """A turn ends while the server does."""
        self._server.end.step()

    def key_changed(self, database: int, key: bytes, event_class: int, event: bytes) -> None:
        """The effect call: somebody asked to be told of changes."""
        for listener in self._server.change_listeners:
            listener(database, key, event_class, event.decode())

    def propagate(self, database: int, requests: list[list[bytes]]) -> None:
        """A unit of changes in its deterministic form: what a command, EXEC or a key that went of itself did."""
        for listener in self._server.propagation_listeners:
            listener(database, requests)
