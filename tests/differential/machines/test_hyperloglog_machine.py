"""The HyperLogLog machine: random elements and merges beside live Valkey, the keys' bytes compared."""

import random

import pytest

from differential.compare import Request
from differential.machines.runner import PROTOCOLS, Machine, run_machine
from harness.process import ServerProcess

KEYS = (b"a", b"b", b"c")
HEADERS = tuple(magic + b"\x00\x00\x00" for magic in (b"HYLL\x01", b"HYLL\x01", b"HYLL\x00", b"HYLL\x02", b"HYLX\x01"))
COUNTS = (b"\x00" * 7 + b"\x80", b"\x05" + b"\x00" * 7, b"\xff" * 8)
# Opcodes that cover all registers, too few and too many of them. None ends within an opcode: Valkey then reads the
# byte behind the string.
OPCODES = (
    *(b"\x7f\xff", b"\x7f\xfe", b"\x7f\xff\x00", b"\x7f\xfe\x80", b"\x7f\xf0\x80\x81\x82\x83\x80\x80\x3f", b""),
    *(b"\x7f\xee" + b"\x84" * 17, b"\x40\x00\x7f\xfe", b"\x40\x05\x83\x83\x7f\xf1", b"\x3f" * 256, b"\x83" * 4096),
)


def element(choose: random.Random) -> bytes:
    kinds = (b"element:%d" % choose.randrange(10 ** choose.randint(1, 6)), choose.randbytes(choose.randint(0, 20)))
    return choose.choice(kinds)


def pfadd(choose: random.Random, key: bytes) -> Request:
    return b"PFADD", key, *(element(choose) for _ in range(choose.choice((0, 1, 1, 2, 5, 50, 300))))


def pfcount(choose: random.Random, key: bytes) -> Request:
    return b"PFCOUNT", key, *(choose.choice((*KEYS, b"none")) for _ in range(choose.choice((0, 0, 1, 2))))


def pfmerge(choose: random.Random, key: bytes) -> Request:
    return b"PFMERGE", key, *(choose.choice((*KEYS, b"none")) for _ in range(choose.choice((0, 1, 1, 2))))


def pfdebug(choose: random.Random, key: bytes) -> Request:
    return b"PFDEBUG", choose.choice((b"ENCODING", b"DECODE", b"encoding", b"todense", b"GETREG", b"no")), key


def made_up(choose: random.Random, key: bytes) -> Request:
    return b"SET", key, choose.choice(HEADERS) + choose.choice(COUNTS) + choose.choice(OPCODES)


def other(choose: random.Random, key: bytes) -> Request:
    return choose.choice((
        (b"DEL", key), (b"COPY", key, choose.choice(KEYS), b"REPLACE"), (b"SET", key, b"text"), (b"RPUSH", key, b"1"),
    ))


def probes(key: bytes) -> list[Request]:
    return [(b"GET", key), (b"PFCOUNT", key), (b"GET", key)]


MACHINE = Machine(
    name="hyperloglog",
    rules=((10, pfadd), (4, pfcount), (3, pfmerge), (2, pfdebug), (1, made_up), (2, other)),
    probes=probes,
    keys=KEYS,
    settings=tuple((b"hll-sparse-max-bytes", size) for size in (b"3000", b"0", b"60", b"300", b"15000")),
)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_hyperloglogs_go_as_on_valkey(
    server: ServerProcess, valkey: ServerProcess, protocol: int, request: pytest.FixtureRequest
) -> None:
    run_machine(MACHINE, server, valkey, protocol, int(request.config.getoption("--seed")))
