"""Listening sockets, TCP and Unix, and the accept path: from a connection to a client of the engine.

The accept step is one of the few places that may write to a socket by itself: the rejection line of a connection that
never becomes a client. Errors of single connections do not end a batch (lifecycle A1-5); running out of descriptors
backs off instead of spinning.

Two ways in differ from the rest. What comes by the admin port does not count against maxclients, has descriptors of
its own kept back, and is served first (`engine/admin`). What comes from a trusted proxy becomes a client at once, but
in the handshake phase: who it is, and whether it is let in, is known when its PROXY header is read.
"""

from __future__ import annotations

import contextlib
import errno
import grp
import ipaddress
import os
import socket
from typing import TYPE_CHECKING

from ranvier import limits
from ranvier.commands.client_line import client_line
from ranvier.commands.gates import Gate
from ranvier.engine.client import ClientHandle
from ranvier.errors import ListenError
from ranvier.observe.log import VERBOSE, WARNING
from ranvier.server.proxy import BadHeader, parse_header

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
NOTHING_TO_LISTEN_ON = "Configured to not listen anywhere, exiting."
KEEPALIVE_PROBES = 3
OUT_OF_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)
IPPROTO_MPTCP = getattr(socket, "IPPROTO_MPTCP", 262)
SO_MARK = getattr(socket, "SO_MARK", 36)
UNIX_PATH_BYTES = 108  # sizeof(sockaddr_un.sun_path), its NUL included


def format_address(address: tuple[str, int]) -> str:
    """host:port, with brackets around a host that holds colons."""
    host, port = address[0], address[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class SpareDescriptors:
    """Descriptors held open so that they can be given up: the admin port is there when no other is left."""

    def __init__(self) -> None:
        self._held: list[int] = []

    def fill(self, count: int) -> None:
        """Hold `count` of them, as far as there are any."""
        with contextlib.suppress(OSError):
            while len(self._held) < count:
                self._held.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        while len(self._held) > count:
            self.give_up()

    def give_up(self) -> bool:
        """Make room for one descriptor; False when there is nothing left to give up."""
        if not self._held:
            return False
        os.close(self._held.pop())
        return True


class Listener:
    """One listening socket of a server."""

    def __init__(self, server: Server, sock: socket.socket, path: str = "", admin: bool = False) -> None:
        """`path`: of a Unix socket. `admin`: the admin port's."""
        self._server = server
        self._socket = sock
        self._path = path
        self.admin = admin
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
        return f"name={'admin' if self.admin else 'tcp'},bind={host},port={port}"

    def accept_batch(self) -> None:
        """Accept up to `max-new-connections-per-cycle` connections."""
        for _ in range(self._server.configuration.max_new_connections_per_cycle):
            try:
                connection, peer = self._accept()
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno in PASSING_ERRORS:
                    continue
                self._back_off(error)
                return
            self._backoff_ms = 0
            with connection:
                try:
                    self._admit(connection, peer)
                except OSError as error:        # of this one connection: the others go on
                    self._server.log.log(VERBOSE, f"Error accepting a client connection: {error.strerror}")
        if self.admin:
            self._server.keep_spare_descriptors()

    def _accept(self) -> tuple[socket.socket, tuple[str, int] | str]:
        """The next connection; that of the admin port may have a descriptor that was kept for it."""
        try:
            return self._socket.accept()
        except OSError as error:
            if error.errno in OUT_OF_DESCRIPTORS and self.admin and self._server.spare_descriptors.give_up():
                return self._socket.accept()
            raise

    def _back_off(self, error: OSError) -> None:
        """Out of descriptors or memory: listen again later, in steps of twice the time."""
        self._server.log.log(WARNING, f"Accepting client connection: {error.strerror}")
        self._backoff_ms = min(
            max(2 * self._backoff_ms, limits.ACCEPT_BACKOFF_MILLISECONDS), limits.ACCEPT_BACKOFF_MAXIMUM_MILLISECONDS
        )
        engine = self._server.engine
        engine.unwatch(self._socket.fileno())
        engine.timers.call_at(engine.monotonic_ms + self._backoff_ms, self._resume)

    def _resume(self) -> None:
        if self._socket.fileno() < 0:
            return
        try:
            self._server.engine.watch(self._socket.fileno(), self.accept_batch)
        except OSError as error:
            self._back_off(error)

    def _admit(self, connection: socket.socket, peer: tuple[str, int] | str) -> None:
        """Make a client of the connection, or refuse it (lifecycle A1-6, A1-9). The caller closes what is left."""
        server = self._server
        if self._is_full():
            server.rejected_connections += 1
            self._note_refusal(connection, peer, "maxclients")
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
                server.hooks.refused("", "", "accept-error")
                return
        connection.setblocking(False)
        behind_proxy = not self._path and server.trusts_proxy(peer[0])
        if not self._path and not behind_proxy and _is_denied(server, address):
            server.rejected_connections += 1
            server.hooks.refused(address, local_address, "protected-mode")
            with contextlib.suppress(OSError):
                connection.send(DENIED)
                connection.shutdown(socket.SHUT_WR)
            return
        client = ClientHandle(server, address, local_address, bool(self._path))
        try:
            server.engine.add_client(connection.fileno(), client, behind_proxy)
        except OSError as error:
            server.log.log(VERBOSE, f"Error accepting a client connection: {error.strerror}")
            server.hooks.refused(address, local_address, "accept-error")
            return
        connection.detach()
        client.authenticated = not server.configuration.requirepass
        if self.admin:
            client.make_admin()
        if not behind_proxy:
            _let_in(server, client)

    def _is_full(self) -> bool:
        engine = self._server.engine
        if self.admin:
            return engine.admin_count >= limits.ADMIN_CLIENTS
        return engine.client_count - engine.admin_count >= self._server.configuration.maxclients

    def _note_refusal(self, connection: socket.socket, peer: tuple[str, int] | str, reason: str) -> None:
        """Of a connection that may be gone already: then it has no address of ours."""
        address = f"{self._path}:0" if self._path or isinstance(peer, str) else format_address(peer)
        local_address = address if self._path else ""
        if not self._path:
            with contextlib.suppress(OSError):
                local_address = format_address(connection.getsockname())
        self._server.hooks.refused(address, local_address, reason)

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


def _is_denied(server: Server, address: str) -> bool:
    return server.protects_itself() and not _is_local(address)


def _let_in(server: Server, client: ClientHandle) -> None:
    """What depends on whom it is that has come."""
    client.set_gate(Gate.PROTECTED, not (server.allows("DEBUG", client) and server.allows("MODULE", client)))
    server.total_connections += 1


def networks_of(words: tuple[str, ...]) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    """The networks of `proxy-protocol-from`."""
    return tuple(ipaddress.ip_network(word) for word in words)


def read_proxy_header(server: Server, client: ClientHandle, data: bytes) -> int:
    """What a trusted proxy has sent so far: the header's length, 0 while it is incomplete, -1 when it is none."""
    try:
        header = parse_header(data)
    except BadHeader as bad:
        refuse_proxy(server, client, str(bad))
        return -1
    if header is None:
        return 0
    if header.source is not None:
        client.address = header.source
    if _is_denied(server, client.address):
        server.rejected_connections += 1
        client.refuse(DENIED)
    else:
        _let_in(server, client)
    return header.length


def refuse_proxy(server: Server, client: ClientHandle, reason: str) -> None:
    """Count and log a connection of a trusted proxy without a PROXY header; the engine closes it."""
    server.rejected_connections += 1
    server.log.log(
        VERBOSE, f"Closing a proxy's connection without a valid PROXY header ({reason}): {client_line(client)}"
    )


def listen_tcp(server: Server, bind: tuple[str, ...], port: int, admin: bool = False) -> list[Listener]:
    """Listen on `port` of every address; those with `-` in front may all be missing. Raises ListenError."""
    listeners: list[Listener] = []
    try:
        for word in bind:
            optional = word.startswith("-")
            listener = _listen_at(server, word.removeprefix("-"), port, optional, admin)
            if listener is not None:
                listeners.append(listener)
                port = port or listener.port      # the first one chooses when any port will do
    except ListenError:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def _what(host: str, port: int) -> str:
    return f"Could not create server TCP listening socket {host}:{port}"


def _listen_at(server: Server, host: str, port: int, optional: bool, admin: bool) -> Listener | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    name = {"*": "0.0.0.0", "::*": "::"}.get(host, host)
    try:
        sock = socket.socket(family, socket.SOCK_STREAM, IPPROTO_MPTCP if server.configuration.mptcp else 0)
    except OSError as error:
        if optional:
            return None
        raise ListenError(port, f"{_what(host, port)}: {error.strerror}") from None
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        _mark(server, sock)
        sock.bind((name, port))
        sock.listen(server.configuration.tcp_backlog)
        return Listener(server, sock, admin=admin)
    except OSError as error:
        sock.close()
        if optional and error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            return None
        raise ListenError(port, f"{_what(host, port)}: bind: {error.strerror}") from None


def _mark(server: Server, sock: socket.socket) -> None:
    """Give what arrives at a socket the mark of `socket-mark-id`; accepted connections inherit it (lifecycle A1-16)."""
    mark = server.configuration.socket_mark_id
    if not mark:
        return
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_MARK, mark)
    except OSError as error:         # it needs a privilege; the reference servers go on without the mark, silently
        server.log.log(WARNING, f"Could not mark a listening socket with socket-mark-id {mark}: {error.strerror}")


def listen_unix(server: Server, path: str, permissions: int, group: str = "") -> Listener:
    """Listen at a path, in place of whatever file is there. Raises ListenError."""
    length = len(os.fsencode(path))
    if length >= UNIX_PATH_BYTES:
        raise ListenError(
            0, f"Failed opening Unix socket: unix socket path too long ({length}), must be under {UNIX_PATH_BYTES}"
        )
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with contextlib.suppress(OSError):      # what could not be removed, bind complains about
            os.unlink(path)
        sock.bind(path)
        if group:
            os.chown(path, -1, grp.getgrnam(group).gr_gid)
        if permissions:
            os.chmod(path, permissions)
        sock.listen(server.configuration.tcp_backlog)
        return Listener(server, sock, path)
    except (OSError, KeyError) as error:
        sock.close()
        reason = f"there is no group {group}" if isinstance(error, KeyError) else error.strerror or str(error)
        raise ListenError(0, f"Failed opening Unix socket: {path}: {reason}") from None
