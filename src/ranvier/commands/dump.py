"""DUMP and RESTORE: a value in RDB form, with a version and a checksum behind it.

A payload is `type byte | value | version u16 | CRC-64 u64`, both little endian; the checksum covers all before it.
"""

from __future__ import annotations

import struct
from typing import Final

import anycrc

from ranvier.commands.numbers import integer
from ranvier.commands.surroundings import EVENT_GENERIC, Client
from ranvier.commands.words import option
from ranvier.engine.types import rdb_handle
from ranvier.errors import CommandError
from ranvier.values import Reply, Status

OK: Final = Status("OK")
WRONG_PAYLOAD: Final = "ERR DUMP payload version or checksum are wrong"
SYNTAX_ERROR: Final = "ERR syntax error"

# Redis's own versions up to that of Redis 7.4, and Valkey 9's, which counts apart.
VERSIONS: Final = frozenset({*range(1, 13), 80})

TRAILER_BYTES: Final = 10
LARGEST_FREQUENCY: Final = 255

_CHECKSUM: Final = anycrc.Model("CRC64-REDIS")


def dump_payload(client: Client, key: bytes) -> bytes | None:
    """What DUMP answers; None if there is no such key."""
    saved = rdb_handle.save(client.database, key, client.server.compresses)
    if saved is None:
        return None
    version, value = saved
    payload = value + struct.pack("<H", version)
    return payload + struct.pack("<Q", _CHECKSUM.calc(payload))


def checked_payload(client: Client, payload: bytes) -> tuple[bytes, int]:
    """Value and version; CommandError if the version is unknown or the checksum does not fit."""
    if len(payload) >= TRAILER_BYTES:
        version, checksum = struct.unpack("<HQ", payload[-TRAILER_BYTES:])
        known = version in VERSIONS or (version and client.server.accepts_any_version)
        if known and (client.server.skip_checksums or checksum == _CHECKSUM.calc(payload[:-8])):
            return payload[:-TRAILER_BYTES], version
    raise CommandError(WRONG_PAYLOAD)


def dump(client: Client, args: list[bytes]) -> Reply:
    """DUMP key"""
    client.database.touch(args[0])
    return dump_payload(client, args[0])


def restore(client: Client, args: list[bytes]) -> Reply:
    """RESTORE key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]"""
    key, ttl, payload = args[:3]
    words = iter(args[3:])
    replace = absolute = False
    idle_seconds = frequency = -1
    for argument in words:
        word = option(argument)
        if word == b"REPLACE":
            replace = True
        elif word == b"ABSTTL":
            absolute = True
        elif word == b"IDLETIME" and frequency < 0 and (value := next(words, None)) is not None:
            idle_seconds = integer(value)
            if idle_seconds < 0:
                raise CommandError("ERR Invalid IDLETIME value, must be >= 0")
        elif word == b"FREQ" and idle_seconds < 0 and (value := next(words, None)) is not None:
            frequency = integer(value)
            if not 0 <= frequency <= LARGEST_FREQUENCY:
                raise CommandError("ERR Invalid FREQ value, must be >= 0 and <= 255")
        else:
            raise CommandError(SYNTAX_ERROR)
    if not replace and client.database.exists(key):
        raise CommandError("BUSYKEY Target key name already exists.")
    milliseconds = integer(ttl)
    if milliseconds < 0:
        raise CommandError("ERR Invalid TTL value, must be >= 0")
    value, version = checked_payload(client, payload)
    loaded = rdb_handle.load(client, value, version)
    if loaded is None:
        raise CommandError("ERR Bad data format")
    existed = replace and client.database.delete(key)
    at_ms = -1
    if milliseconds:
        at_ms = milliseconds if absolute else _wrapped(milliseconds + client.server.clock.wall_ms())
        if loaded.would_expire(at_ms):
            if existed:
                client.changed(key, "del", EVENT_GENERIC, [[loaded.delete_command, key]])
            return OK
        at_ms = max(at_ms, 0)
    if loaded.empty:
        if existed:
            client.changed(key, "del", EVENT_GENERIC, [[loaded.delete_command, key]])
        return OK
    loaded.put(client.database, key, at_ms, idle_seconds, frequency)
    form = [client.request_word(0), key, b"%d" % max(at_ms, 0), payload, *args[3:]]
    if at_ms >= 0 and not absolute:
        form.append(b"ABSTTL")
    client.changed(key, "restore", EVENT_GENERIC, [form])
    return OK


def _wrapped(number: int) -> int:
    """As a signed 64-bit sum overflows."""
    return (number + 2**63) % 2**64 - 2**63
