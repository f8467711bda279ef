"""A connection to the primary, begun and not waited for: names looked up beside the loop, addresses tried in turn."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable
from typing import Final

IN_PROGRESS: Final = (0, errno.EINPROGRESS, errno.EWOULDBLOCK)
IPPROTO_MPTCP: Final = getattr(socket, "IPPROTO_MPTCP", 262)

SocketAddress = tuple[str, int] | tuple[str, int, int, int]
Found = list[tuple[int, SocketAddress]]      # family and address


def look_up(host: str, port: int, flags: int = 0) -> Found:
    """The addresses of a host. Raises OSError."""
    infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return [(family, address) for family, _, _, _, address in infos]  # type: ignore[misc]


def find(host: str, port: int, post: Callable[[Callable[[], None]], None],
         found: Callable[[Found | OSError], None]) -> None:
    """Call `found` with the addresses of a host, or with why there are none.

    At once when the host is an address; a name may take its time, so that a thread asks, and `post` brings the answer
    to the server's.
    """
    try:
        addresses = look_up(host, port, socket.AI_NUMERICHOST)
    except OSError:
        threading.Thread(target=_ask, args=(host, port, post, found), name="name look-up", daemon=True).start()
        return
    found(addresses)


def _ask(host: str, port: int, post: Callable[[Callable[[], None]], None],
         found: Callable[[Found | OSError], None]) -> None:
    try:
        answer: Found | OSError = look_up(host, port)
    except OSError as error:
        answer = error
    post(lambda: found(answer))


def begin(family: int, address: SocketAddress, source: str = "", mptcp: bool = False) -> socket.socket:
    """A non-blocking socket that is connecting; writable when it has ended, and SO_ERROR says how. Raises OSError.

    source: the address to come from (`bind-source-addr`).
    """
    sock = socket.socket(family, socket.SOCK_STREAM, IPPROTO_MPTCP if mptcp else 0)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if source:
            sock.bind((source, 0))
        code = sock.connect_ex(address)
        if code not in IN_PROGRESS:
            raise OSError(code, errno.errorcode.get(code, str(code)))
    except BaseException:
        sock.close()
        raise
    return sock
