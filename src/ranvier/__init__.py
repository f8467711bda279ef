"""Ranvier: a Redis- and Valkey-compatible in-memory data server."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ranvier.embed import Server

__version__ = "0.1.0"
__all__ = ["Server", "__version__"]


def __getattr__(name: str) -> object:
    # Late, because the layers below import this package for its version.
    if name == "Server":
        from ranvier.embed import Server

        return Server
    raise AttributeError(name)
