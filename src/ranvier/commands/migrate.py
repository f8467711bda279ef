"""MIGRATE: keys go to another server by its RESTORE, and are deleted here once it has taken them.

The server waits for the other one, at most `timeout` for each step, and serves nobody meanwhile: so does Valkey, and
it is what makes the move atomic for everybody else. Keys go in groups of a bounded size, each acknowledged before the
next one is sent, so that the memory it takes does not depend on how many keys are named. A failure in between leaves
those keys moved that were acknowledged. Every MIGRATE opens a connection of its own.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import IO, Final

from ranvier.commands.dump import dump_payload
from ranvier.commands.numbers import integer, leading_int
from ranvier.commands.surroundings import EVENT_GENERIC, Client
from ranvier.commands.words import c_string, option
from ranvier.errors import CommandError
from ranvier.limits import MIGRATE_GROUP_BYTES, MIGRATE_REPLY_BYTES
from ranvier.values import Reply, Status

OK: Final = Status("OK")
NO_KEY: Final = Status("NOKEY")
SYNTAX_ERROR: Final = "ERR syntax error"
KEY_AND_KEYS: Final = "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string"
CONNECTING: Final = "IOERR error or timeout connecting to the client"
WRITING: Final = "IOERR error or timeout writing to target instance"
READING: Final = "IOERR error or timeout reading to target instance"

DEFAULT_TIMEOUT_MILLISECONDS: Final = 1000
LARGEST_PORT: Final = 65535


@dataclass(slots=True)
class Options:
    copy: bool = False
    replace: bool = False
    authentication: list[bytes] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)


def _options(key: bytes, args: list[bytes]) -> Options:
    found = Options(keys=[key])
    position = 0
    while position < len(args):
        word, rest = option(args[position]), args[position + 1 :]
        if word == b"COPY":
            found.copy = True
        elif word == b"REPLACE":
            found.replace = True
        elif word == b"AUTH" and rest:
            found.authentication = rest[:1]
            position += 1
        elif word == b"AUTH2" and len(rest) >= 2:
            found.authentication = rest[:2]
            position += 2
        elif word == b"KEYS":
            if key:
                raise CommandError(KEY_AND_KEYS)
            found.keys = rest
            break
        else:
            raise CommandError(SYNTAX_ERROR)
        position += 1
    return found


def _request(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


class Target:
    """The connection to the other server."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection: Final = connection
        self._replies: Final[IO[bytes]] = connection.makefile("rb")

    def close(self) -> None:
        self._replies.close()
        self._connection.close()

    def send(self, data: bytes) -> None:
        try:
            self._connection.sendall(data)
        except OSError:
            raise CommandError(WRITING) from None

    def error(self) -> str | None:
        """Read one reply, which is a line; the text of an error."""
        try:
            line = self._replies.readline(MIGRATE_REPLY_BYTES)
        except OSError:
            raise CommandError(READING) from None
        if not line.endswith(b"\n"):
            raise CommandError(READING)
        return line[1:].strip().decode("utf-8", "surrogateescape") if line[:1] == b"-" else None


def _connect(client: Client, host: bytes, port: int, timeout_seconds: float) -> Target:
    try:
        if not 0 <= port <= LARGEST_PORT:
            raise CommandError(WRITING)
        return Target(client.server.connect(c_string(host), port, timeout_seconds))
    except (TimeoutError, socket.gaierror, UnicodeError):       # the last: a name that DNS cannot have
        raise CommandError(CONNECTING) from None
    except OSError:
        raise CommandError(WRITING) from None       # refused: Valkey notices with the first byte it writes


def _groups(client: Client, asked: Options, keys: list[bytes]) -> Iterator[tuple[list[bytes], bytes]]:
    """Keys, and the requests that restore them; one group after the other, made when the one before is acknowledged."""
    group: list[bytes] = []
    requests = bytearray()
    now_ms = client.server.clock.wall_ms()
    for key in keys:
        at_ms = client.database.expiry_ms(key)
        payload = dump_payload(client, key)
        if at_ms is None or payload is None:
            continue
        ttl = b"%d" % (max(at_ms - now_ms, 1) if at_ms >= 0 else 0)
        requests += _request(b"RESTORE", key, ttl, payload, *([b"REPLACE"] if asked.replace else []))
        group.append(key)
        if len(requests) >= MIGRATE_GROUP_BYTES:
            yield group, bytes(requests)
            group = []
            requests.clear()
    if group:
        yield group, bytes(requests)


def _move(client: Client, target: Target, asked: Options, keys: list[bytes], preface: list[bytes]) -> str | None:
    """Send the keys, delete those that are taken; the first error that the other server replied."""
    first_error: str | None = None
    deleted = [b"DEL"]
    opening = b"".join(preface)
    for group, requests in _groups(client, asked, keys):
        target.send(opening + requests)
        for _ in preface:
            error = target.error()
            first_error = first_error or error
        opening, preface = b"", []
        refused = first_error is not None
        for key in group:
            error = target.error()
            first_error = first_error or error
            if error is None and not refused and not asked.copy:
                client.database.delete(key)
                deleted.append(key)
                client.changed(key, "del", EVENT_GENERIC, [deleted])
        if refused:
            break
    return first_error


def migrate(client: Client, args: list[bytes]) -> Reply:
    """MIGRATE host port key destination-db timeout [COPY] [REPLACE] [AUTH password] [AUTH2 username password]
    [KEYS key ...]
    """
    host, port, key, database, timeout = args[:5]
    asked = _options(key, args[5:])
    milliseconds = integer(timeout)
    index = integer(database)
    if milliseconds <= 0:
        milliseconds = DEFAULT_TIMEOUT_MILLISECONDS
    keys = [name for name in asked.keys if client.database.touch(name)]
    if not keys:
        return NO_KEY
    preface = [_request(b"AUTH", *asked.authentication)] if asked.authentication else []
    preface.append(_request(b"SELECT", b"%d" % index))
    with closing(_connect(client, host, leading_int(port), milliseconds / 1000)) as target:
        error = _move(client, target, asked, keys, preface)
    if error is not None:
        raise CommandError(f"ERR Target instance replied with error: {error}")
    return OK
