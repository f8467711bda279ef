"""The header of the PROXY protocol, with which a proxy says for whom it has connected.

Source: "The PROXY protocol, versions 1 & 2", Willy Tarreau, HAProxy Technologies: section 2.1 (version 1, a line of
text) and section 2.2 (version 2, binary). Strategy: look at all that has come so far, decide as soon as it can be
decided, keep nothing. Read once per connection, so it is plain Python.

Decisions that the specification leaves to a receiver: type-length-value fields, the checksum among them, are skipped;
a datagram's addresses are taken like a stream's; addresses of an unspecified family or transport are not taken.
"""

from __future__ import annotations

import ipaddress
import re
import struct
from dataclasses import dataclass

from ranvier.limits import PROXY_HEADER_BYTES

TEXT_PREFIX = b"PROXY "
TEXT_BYTES = 107  # of a version 1 header at most, CRLF included
BINARY_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
BINARY_FIXED_BYTES = 16  # signature, version and command, family and transport, length of the rest
VERSION_2 = 0x2
LOCAL, PROXY = 0x0, 0x1
UNSPECIFIED, INET, INET6, UNIX = 0x0, 0x1, 0x2, 0x3
ADDRESS_BYTES = {UNSPECIFIED: 0, INET: 12, INET6: 36, UNIX: 216}  # both ends, with their ports
DATAGRAM = 0x2
UNIX_PATH_BYTES = 108
PORT_MAX = 65535

_TEXT = re.compile(rb"PROXY (TCP[46]) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4})")


class BadHeader(Exception):
    """What came is no PROXY header; the text is the reason."""


@dataclass(frozen=True, slots=True)
class Header:
    """A whole header of `length` bytes. `source`: whom the proxy speaks for, as CLIENT LIST shows it; None: itself."""

    length: int
    source: str | None


def parse_header(data: bytes) -> Header | None:
    """The header that `data` begins with, or None while it may still become one. Raises BadHeader."""
    if data.startswith(BINARY_SIGNATURE[: len(data)]):
        return _binary(data) if len(data) >= BINARY_FIXED_BYTES else None
    if data.startswith(TEXT_PREFIX[: len(data)]):
        return _text(data)
    raise BadHeader("it does not begin with one")


def _text(data: bytes) -> Header | None:
    end = data.find(b"\r\n", 0, TEXT_BYTES)
    if end < 0:
        if len(data) >= TEXT_BYTES:
            raise BadHeader(f"version 1, and no line end within {TEXT_BYTES} bytes")
        return None
    line = data[:end]
    if line == b"PROXY UNKNOWN" or line.startswith(b"PROXY UNKNOWN "):
        return Header(end + 2, None)
    found = _TEXT.fullmatch(line)
    if found is None:
        raise BadHeader("version 1, and not of its form")
    family, source, destination, *ports = (word.decode("ascii") for word in found.groups())
    if any(int(port) > PORT_MAX for port in ports):
        raise BadHeader("version 1, and a port beyond 65535")
    kind = ipaddress.IPv4Address if family == "TCP4" else ipaddress.IPv6Address
    try:
        host, _ = kind(source), kind(destination)
    except ValueError:
        raise BadHeader(f"version 1, and no address of {family}") from None
    return Header(end + 2, _shown(host, int(ports[0])))


def _binary(data: bytes) -> Header | None:
    version_and_command, family_and_transport, rest = struct.unpack_from("!BBH", data, len(BINARY_SIGNATURE))
    version, command = version_and_command >> 4, version_and_command & 0xF
    family, transport = family_and_transport >> 4, family_and_transport & 0xF
    if version != VERSION_2 or command not in (LOCAL, PROXY):
        raise BadHeader(f"version {version}, command {command}")
    if family not in ADDRESS_BYTES or transport > DATAGRAM:
        raise BadHeader(f"version 2, and the unknown family {family} or transport {transport}")
    length = BINARY_FIXED_BYTES + rest
    if length > PROXY_HEADER_BYTES:
        raise BadHeader(f"version 2, and {length} bytes long, more than {PROXY_HEADER_BYTES}")
    if command == PROXY and rest < ADDRESS_BYTES[family]:
        raise BadHeader("version 2, and too short for its addresses")
    if len(data) < length:
        return None
    if command == LOCAL or transport == UNSPECIFIED:
        return Header(length, None)
    return Header(length, _binary_source(family, data[BINARY_FIXED_BYTES:length]))


def _binary_source(family: int, addresses: bytes) -> str | None:
    if family == INET:
        return _shown(ipaddress.IPv4Address(addresses[:4]), int.from_bytes(addresses[8:10], "big"))
    if family == INET6:
        return _shown(ipaddress.IPv6Address(addresses[:16]), int.from_bytes(addresses[32:34], "big"))
    if family == UNIX:
        return f"unix:{_printable_path(addresses[:UNIX_PATH_BYTES])}:0"
    return None


def _shown(host: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> str:
    if isinstance(host, ipaddress.IPv6Address):
        if host.ipv4_mapped is None:
            return f"[{host}]:{port}"
        host = host.ipv4_mapped  # the same peer, however its proxy listens
    return f"{host}:{port}"


def _printable_path(path: bytes) -> str:
    """A Unix socket's name: up to its NUL, `@` for an abstract one, and nothing that would break CLIENT LIST's line.

    `unix:` before it keeps a path that looks like an address from being taken for one.
    """
    mark = "@" if path[:1] == b"\x00" else ""
    name = path[len(mark) :].partition(b"\x00")[0]
    return mark + "".join(chr(byte) if 0x21 <= byte <= 0x7E else "?" for byte in name)
