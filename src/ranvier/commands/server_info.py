"""INFO."""

from __future__ import annotations

from ranvier.commands.surroundings import Client
from ranvier.values import Reply, Verbatim


def info(client: Client, args: list[bytes]) -> Reply:
    """INFO [section ...]: sections that do not exist are left out."""
    sections = [arg.decode("latin-1").lower() for arg in args] or ["default"]
    return Verbatim(client.server.info_text(sections))
