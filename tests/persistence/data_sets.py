"""Data sets with every type and encoding, in several databases, with and without expiry; and the files they make."""

import struct

import anycrc

from commands.test_dump import VALUES, Line
from harness.memory import read_replies
from harness.process import ServerProcess
from harness.wire import Argument, Wire
from ranvier.shells.memory import MemoryClient

CHECKSUM = anycrc.Model("CRC64-REDIS")
FAR_FUTURE_MS = 4_102_444_800_000       # the year 2100
FIELDS_THAT_EXPIRE: list[Line] = [
    ("HSET", "k", "a", "1", "b", "2", "c", "3"), ("HPEXPIREAT", "k", FAR_FUTURE_MS, "FIELDS", "2", "a", "c"),
]


def lines(*, small: bool = False, fields_expire: bool = False) -> list[Line]:
    """The commands that make a data set in databases 0, 3 and 9. `small`: without the larger values."""
    found: list[Line] = []
    for index, database in enumerate((0, 3, 9)):
        found.append(("SELECT", database))
        for name, made in VALUES.items():
            if small and any(word in name for word in ("large", "long", "quicklist", "hashtable", "skiplist", "hyper")):
                continue
            key = f"{name}:{database}"
            found += [tuple(key if word == "k" else word for word in line) for line in made]
            if (len(name) + index) % 3 == 0:
                found.append(("PEXPIREAT", key, FAR_FUTURE_MS + index))
        if fields_expire:
            found += [tuple(f"fields:{database}" if word == "k" else word for word in line)
                      for line in FIELDS_THAT_EXPIRE]
    return [*found, ("SELECT", 0)]


def fill(server: ServerProcess, made: list[Line]) -> bytes:
    """Run the commands; the digest of what they made."""
    with server.connect() as wire:
        for line in made:
            assert not wire.call(*line).is_error, line
        return digest(wire)


def digest(wire: Wire) -> bytes:
    return wire.call("DEBUG", "DIGEST").text


def request(*words: Argument) -> bytes:
    """A request as it is sent."""
    parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)


def fill_memory(client: MemoryClient, made: list[Line]) -> None:
    for line in made:
        for reply in read_replies(client.talk(request(*line))):
            assert not reply.is_error, (line, reply)


# ---- files made by hand -------------------------------------------------------------------------------------------

def length(number: int) -> bytes:
    """A length as RDB files have it."""
    if number < 64:
        return bytes([number])
    return struct.pack(">H", number | 0x4000) if number < 16384 else b"\x80" + struct.pack(">I", number)


def text(data: bytes) -> bytes:
    """A string as RDB files have it, without any compression."""
    return length(len(data)) + data


def rdb_file(version: int, *items: bytes, checksum: bool = True, magic: bytes = b"REDIS%04d") -> bytes:
    """A whole file of these items."""
    data = magic % version + b"".join(items) + b"\xff"
    if version < 5:
        return data
    return data + struct.pack("<Q", CHECKSUM.calc(data) if checksum else 0)
