"""Listening sockets, TCP and Unix, and the accept path: from a connection to a client of the engine.

The accept step is one of the few places that may write to a socket by itself: the rejection line of a connection that
never becomes a client. Errors of single connections do not end a batch (lifecycle A1-5); running out of descriptors
backs off instead of spinning.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from typing import TYPE_CHECKING

from ranvier import limits
from ranvier.commands.gates import Gate
from ranvier.engine.client import ClientHandle
from ranvier.errors import ListenError
from ranvier.observe.log import VERBOSE, WARNING

if TYPE_CHECKING:
    from ranvier.server.server import Server

# The connection is gone or its network failed; the next one in the queue may be well.
PASSING_ERRORS = frozenset(
    getattr(errno, name) for name in (
        "ECONNABORTED", "ENETDOWN", "EPROTO", "ENOPROTOOPT", "EHOSTDOWN", "ENONET", "EHOSTUNREACH", "EOPNOTSUPP",
        "ENETUNREACH",
    ) if hasattr(errno, name)
)
TOO_MANY_CLIENTS = b"-ERR max number of clients reached\r\n"
DENIED = (
    b"-DENIED Ranvier is running in protected mode: no password is set for the default user, so only clients on this "
    b"machine may connect. Four ways out: 1) from this machine, CONFIG SET protected-mode no; 2) protected-mode no in "
    b"the configuration file; 3) the start option --protected-mode no; 4) set a password for the default user.\r\n"
)
KEEPALIVE_PROBES = 3


def format_address(address: tuple[str, int]) -> str:
    """host:port, with brackets around a host that holds colons."""
    host, port = address[0], address[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Listener:
    """One listening socket of a server."""

    def __init__(self, server: Server, sock: socket.socket, path: str = "") -> None:
        """`path`: of a Unix socket."""
        self._server = server
        self._socket = sock
        self._path = path
        self._backoff_ms = 0
        sock.setblocking(False)
        server.engine.watch(sock.fileno(), self.accept_batch)

    @property
    def port(self) -> int:
        """The TCP port; 0 of a Unix socket."""
        return 0 if self._path else int(self._socket.getsockname()[1])

    @property
    def bound_to(self) -> tuple[str, int]:
        """Host and port of a TCP socket."""
        host, port = self._socket.getsockname()[:2]
        return host, port

    def describe(self) -> str:
        """As INFO lists it."""
        if self._path:
            return f"name=unix,bind={self._path}"
        host, port = self._socket.getsockname()[:2]
        return f"name=tcp,bind={host},port={port}"

    def accept_batch(self) -> None:
        """Accept up to `max-new-connections-per-cycle` connections."""
        for _ in range(self._server.configuration.max_new_connections_per_cycle):
            try:
                connection, peer = self._socket.accept()
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno in PASSING_ERRORS:
                    continue
                self._back_off(error)
                return
            self._backoff_ms = 0
            with connection:
                self._admit(connection, peer)

    def _back_off(self, error: OSError) -> None:
        """Out of descriptors or memory: listen again later, in steps of twice the time."""
        self._server.log.log(WARNING, f"Accepting client connection: {error.strerror}")
        self._backoff_ms = min(
            max(2 * self._backoff_ms, limits.ACCEPT_BACKOFF_MILLISECONDS), limits.ACCEPT_BACKOFF_MAXIMUM_MILLISECONDS
        )
        engine = self._server.engine
        engine.unwatch(self._socket.fileno())
        engine.call_at(engine.monotonic_ms + self._backoff_ms, self._resume)

    def _resume(self) -> None:
        if self._socket.fileno() >= 0:
            self._server.engine.watch(self._socket.fileno(), self.accept_batch)

    def _admit(self, connection: socket.socket, peer: tuple[str, int] | str) -> None:
        """Make a client of the connection, or refuse it (lifecycle A1-6, A1-9). The caller closes what is left."""
        server = self._server
        if server.engine.client_count >= server.configuration.maxclients:
            server.rejected_connections += 1
            connection.setblocking(False)
            with contextlib.suppress(OSError):
                connection.send(TOO_MANY_CLIENTS)
            return
        if self._path:
            address = local_address = f"{self._path}:0"
        else:
            try:
                self._tune(connection)
                address, local_address = format_address(peer), format_address(connection.getsockname())  # type: ignore[arg-type]
            except OSError as error:
                server.log.log(VERBOSE, f"Error accepting a client connection: {error.strerror}")
                return
        connection.setblocking(False)
        if not self._path and server.protects_itself() and not _is_local(address):
            server.rejected_connections += 1
            with contextlib.suppress(OSError):
                connection.send(DENIED)
                connection.shutdown(socket.SHUT_WR)
            return
        client = ClientHandle(server, address, local_address, bool(self._path))
        try:
            server.engine.add_client(connection.fileno(), client)
        except OSError as error:
            server.log.log(VERBOSE, f"Error accepting a client connection: {error.strerror}")
            return
        connection.detach()
        client.authenticated = not server.configuration.requirepass
        client.set_gate(Gate.PROTECTED, not server.debug_allowed(client))
        server.total_connections += 1

    def _tune(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        seconds = self._server.configuration.tcp_keepalive_seconds
        if seconds:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPIDLE", 0x10), seconds)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, seconds // 3))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_PROBES)

    def close(self) -> None:
        """Stop listening; a Unix socket's file is removed."""
        self._server.engine.unwatch(self._socket.fileno())
        self._socket.close()
        if self._path:
            with contextlib.suppress(OSError):
                os.unlink(self._path)


def _is_local(address: str) -> bool:
    host = address.rpartition(":")[0]
    return host.startswith(("127.", "[::ffff:127.")) or host == "[::1]"


def listen_tcp(server: Server, bind: tuple[str, ...], port: int) -> list[Listener]:
    """Listen on `port` of every address; one with `-` in front may be missing. Raises ListenError."""
    listeners: list[Listener] = []
    try:
        for word in bind:
            optional = word.startswith("-")
            listener = _listen_at(server, word.removeprefix("-"), port, optional)
            if listener is not None:
                listeners.append(listener)
                port = port or listener.port      # the first one chooses when any port will do
    except ListenError:
        for listener in listeners:
            listener.close()
        raise
    if not listeners:
        raise ListenError(port, "None of the addresses to bind to is available.")
    return listeners


def _what(host: str, port: int) -> str:
    return f"Could not create server TCP listening socket {host}:{port}"


def _listen_at(server: Server, host: str, port: int, optional: bool) -> Listener | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    name = {"*": "0.0.0.0", "::*": "::"}.get(host, host)
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        if optional:
            return None
        raise ListenError(port, f"{_what(host, port)}: {error.strerror}") from None
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((name, port))
        sock.listen(server.configuration.tcp_backlog)
    except OSError as error:
        sock.close()
        if optional and error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            return None
        raise ListenError(port, f"{_what(host, port)}: bind: {error.strerror}") from None
    return Listener(server, sock)


def listen_unix(server: Server, path: str, permissions: int) -> Listener:
    """Listen at a path, in place of whatever file is there. Raises ListenError."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with contextlib.suppress(OSError):      # what could not be removed, bind complains about
            os.unlink(path)
        sock.bind(path)
        if permissions:
            os.chmod(path, permissions)
        sock.listen(server.configuration.tcp_backlog)
    except OSError as error:
        sock.close()
        raise ListenError(0, f"Opening Unix socket: {path}: {error.strerror or error}") from None
    return Listener(server, sock, path)
