"""The PROXY protocol's header by itself: every form, every prefix, and everything that is none."""

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranvier.limits import PROXY_HEADER_BYTES
from ranvier.server.proxy import BINARY_SIGNATURE, TEXT_BYTES, BadHeader, Header, parse_header


def binary(command: int, family: int, rest: bytes) -> bytes:
    """A version 2 header; `family` is the whole byte of family and transport."""
    return BINARY_SIGNATURE + struct.pack("!BBH", 0x20 | command, family, len(rest)) + rest


def inet(source: str, port: int, more: bytes = b"") -> bytes:
    rest = ipaddress.ip_address(source).packed + b"\x0a\x00\x00\x01" + struct.pack("!HH", port, 6379)
    return binary(1, 0x11, rest + more)


def inet6(source: str, port: int) -> bytes:
    packed = ipaddress.ip_address(source).packed
    return binary(1, 0x21, packed + bytes(16) + struct.pack("!HH", port, 6379))


def unix(path: bytes) -> bytes:
    return binary(1, 0x31, path.ljust(108, b"\0") + b"/server".ljust(108, b"\0"))


LONGEST_TEXT = b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535".ljust(TEXT_BYTES - 2, b" ") + b"\r\n"
# Whole headers, and whom they announce.
HEADERS: list[tuple[bytes, str | None]] = [
    (b"PROXY TCP4 192.0.2.7 192.0.2.1 56324 6379\r\n", "192.0.2.7:56324"),
    (b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255:65535"),
    (b"PROXY TCP4 127.0.0.1 127.0.0.1 0 0\r\n", "127.0.0.1:0"),
    (b"PROXY TCP6 2001:DB8::1 ::1 4000 6379\r\n", "[2001:db8::1]:4000"),
    (b"PROXY TCP6 ::ffff:192.0.2.7 ::1 4000 6379\r\n", "192.0.2.7:4000"),
    (b"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
     "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN anything at all\r\n", None),
    (LONGEST_TEXT, None),
    (inet("192.0.2.7", 56324), "192.0.2.7:56324"),
    (inet("192.0.2.7", 56324, b"\x04\x00\x03abc" * 20), "192.0.2.7:56324"),
    (inet("192.0.2.7", 1, b"x" * (PROXY_HEADER_BYTES - 28)), "192.0.2.7:1"),
    (inet6("2001:db8::1", 4000), "[2001:db8::1]:4000"),
    (inet6("::ffff:192.0.2.7", 4000), "192.0.2.7:4000"),
    (unix(b"/run/app.sock"), "unix:/run/app.sock:0"),
    (unix(b"\0abstract"), "unix:@abstract:0"),
    (unix(b"127.0.0.1"), "unix:127.0.0.1:0"),
    (unix(b"/a b\r\nid=1 \xff"), "unix:/a?b??id=1??:0"),
    (unix(b"p" * 108), "unix:" + "p" * 108 + ":0"),
    (binary(0, 0x00, b""), None),                           # LOCAL: a proxy's own health check
    (binary(0, 0x11, b"too short"), None),                  # its addresses are skipped, whatever they are
    (binary(1, 0x00, b""), None),                           # UNSPEC
    (binary(1, 0x00, b"what follows is skipped"), None),
    (binary(1, 0x10, bytes(12)), None),                     # a family, but no transport
    (binary(1, 0x12, bytes(12)), "0.0.0.0:0"),              # a datagram's
]  # fmt: skip


@pytest.mark.parametrize(("header", "source"), HEADERS)
def test_a1_15_a_header_is_read_at_its_last_byte(header: bytes, source: str | None) -> None:
    """Every prefix waits, the whole header is taken, and what follows it is left alone."""
    assert [parse_header(header[:end]) for end in range(1, len(header))] == [None] * (len(header) - 1)
    for more in (b"", b"PING\r\n", b"\r\n", header):
        assert parse_header(header + more) == Header(len(header), source)


BAD = [
    *(b"PING\r\n", b"*1\r\n$4\r\nPING\r\n", b"proxy TCP4 1.1.1.1 1.1.1.1 1 1\r\n", b"PROXY\tTCP4", b"PROXYX", b"\0"),
    *(b"PROXY\r\n", b"PROXY \r\n", b"PROXY TCP4\r\n", b"PROXY UNKNOWNX\r\n", b"PROXY UDP4 1.1.1.1 1.1.1.1 1 1\r\n"),
    b"PROXY TCP4 1.1.1.1 1.1.1.1 1\r\n",
    b"PROXY TCP4 1.1.1.1 1.1.1.1 1 1 1\r\n",
    b"PROXY TCP4  1.1.1.1 1.1.1.1 1 1\r\n",
    b"PROXY TCP4 1.1.1.1 1.1.1.1 1 1 \r\n",
    b"PROXY TCP4 1.1.1 1.1.1.1 1 1\r\n",
    b"PROXY TCP4 01.1.1.1 1.1.1.1 1 1\r\n",
    b"PROXY TCP4 256.1.1.1 1.1.1.1 1 1\r\n",
    b"PROXY TCP4 ::1 ::1 1 1\r\n",
    b"PROXY TCP6 1.1.1.1 1.1.1.1 1 1\r\n",
    b"PROXY TCP6 fe80::1%eth0 ::1 1 1\r\n",
    b"PROXY TCP4 1.1.1.1 1.1.1.x 1 1\r\n",
    *(b"PROXY TCP4 1.1.1.1 1.1.1.1 %s 1\r\n" % port
      for port in (b"65536", b"01", b"+1", b"-1", b"1_0", b"", b"123456")),
    b"PROXY TCP4 1.1.1.1 1.1.1.1 1 65536\r\n",
    b"PROXY UNKNOWN".ljust(TEXT_BYTES, b"x"),
    BINARY_SIGNATURE + b"\x11\x11\x00\x0c" + bytes(12),     # version 1 in binary
    BINARY_SIGNATURE + b"\x31\x11\x00\x0c" + bytes(12),
    binary(2, 0x11, bytes(12)),                             # neither LOCAL nor PROXY
    binary(1, 0x41, bytes(216)),                            # no such family
    binary(1, 0x13, bytes(12)),                             # no such transport
    binary(1, 0x11, bytes(11)),
    binary(1, 0x21, bytes(35)),
    binary(1, 0x31, bytes(215)),
    BINARY_SIGNATURE + struct.pack("!BBH", 0x21, 0x11, PROXY_HEADER_BYTES - 15),
    BINARY_SIGNATURE + struct.pack("!BBH", 0x20, 0x00, 65535),
]  # fmt: skip


@pytest.mark.parametrize("data", BAD)
def test_a1_15_what_is_no_header_is_refused(data: bytes) -> None:
    with pytest.raises(BadHeader):
        parse_header(data)


def outcome(data: bytes) -> Header | str | None:
    try:
        return parse_header(data)
    except BadHeader:
        return "bad"


MOSTLY_HEADERS = st.one_of(
    st.binary(max_size=300),
    st.tuples(st.sampled_from([header for header, _ in HEADERS]), st.binary(max_size=40)).map(b"".join),
    st.tuples(st.sampled_from([b"PROXY ", b"PROXY TCP4 ", b"PROXY TCP6 "]), st.text("0123456789abcdef.: \r\n").map(
        str.encode)).map(b"".join),
    st.tuples(st.just(BINARY_SIGNATURE), st.binary(max_size=300)).map(b"".join),
    st.tuples(st.sampled_from([header for header, _ in HEADERS]), st.integers(0, 200), st.integers(0, 255)).map(
        lambda drawn: drawn[0][: drawn[1]] + bytes([drawn[2]]) + drawn[0][drawn[1] + 1 :]),
)  # fmt: skip


@given(MOSTLY_HEADERS)
def test_a1_15_a_decision_stands_whatever_follows(data: bytes) -> None:
    """Random bytes: no other exception, and the answer of the first prefix that has one is that of all longer ones."""
    answers = [outcome(data[:end]) for end in range(1, len(data) + 1)]
    decided = [answer for answer in answers if answer is not None]
    assert len(set(decided)) <= 1
    assert answers == [None] * (len(answers) - len(decided)) + decided
    if decided and isinstance(decided[0], Header):
        assert decided[0].length == len(answers) - len(decided) + 1
        assert decided[0].source is None or (decided[0].source.isascii() and " " not in decided[0].source)


@given(st.sampled_from(["PROXY", "binary"]), st.integers(0, 2**16))
def test_a1_15_no_header_makes_the_reader_wait_beyond_its_limit(form: str, seed: int) -> None:
    start = b"PROXY TCP4 " if form == "PROXY" else BINARY_SIGNATURE + b"\x21\x11" + struct.pack("!H", seed % 65536)
    assert outcome(start + b"1" * PROXY_HEADER_BYTES) is not None
