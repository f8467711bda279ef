"""Ranvier: a Redis- and Valkey-compatible in-memory data server."""

__version__ = "0.1.0"
