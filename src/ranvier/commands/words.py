"""Words in arguments, which the reference servers read as C strings: a NUL byte ends them."""

from __future__ import annotations


def c_string(argument: bytes) -> bytes:
    return argument.partition(b"\0")[0]


def option(argument: bytes) -> bytes:
    """An option's name, in upper case."""
    return c_string(argument).upper()


def shown(argument: bytes) -> str:
    """An argument as an error message repeats it."""
    return c_string(argument).decode("utf-8", "surrogateescape")
