"""A client without a socket: bytes in, bytes out. Tests, replay and direct calls talk to a server through it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ranvier.engine.client import ClientHandle

if TYPE_CHECKING:
    from ranvier.server.server import Server


class MemoryClient:
    """One conversation in memory, held in the server's own thread."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.handle = ClientHandle(server, "memory", "memory")
        server.engine.add_client(-1, self.handle)
        self.handle.authenticated = not server.configuration.requirepass

    def talk(self, data: bytes) -> bytes:
        """Feed bytes and take what is answered so far; a request that is incomplete waits for the next call."""
        self._server.engine.feed(self.handle, data)
        return self._server.engine.take_output(self.handle)

    def close(self) -> None:
        """Leave the server."""
        self.handle.close()
        self._server.engine.free_closed()
