"""RESTORE of payloads that somebody has changed: refused, or a value that all commands can live with; nothing is lost.

Each payload comes from DUMP, is changed in one to four places, and gets a right checksum again. Under `tools/fuzz.py
--sanitized-tests` this runs on the engine that is built with sanitizers.
"""

import os
import random
import struct
from collections.abc import Iterator

import anycrc
import pytest

from harness.memory import drop_garbage, memory_client, memory_server, used_bytes
from harness.wire import Argument, encode_command
from ranvier.server.server import Server
from ranvier.shells.memory import MemoryClient

CHECKSUM = anycrc.Model("CRC64-REDIS")
MUTATIONS = int(os.environ.get("RANVIER_RESTORE_MUTATIONS", "450"))    # of each of the 22 values; `make fuzz`: 1,000
FOOTER_BYTES = 10
EXTREMES = (0, 1, 0x3F, 0x40, 0x7F, 0x80, 0x81, 0xC0, 0xC3, 0xE0, 0xF0, 0xF1, 0xF4, 0xFE, 0xFF)
LARGEST_TYPE = 26
MANY = range(0, 900, 3)
Line = tuple[Argument, ...]

# What makes a key `k`, by type and encoding.
VALUES: dict[str, list[Line]] = {
    "string int": [("SET", "k", "-12345")],
    "string": [("SET", "k", bytes(range(256)))],
    "string compressed": [("SET", "k", b"some text " * 30)],
    "bitmap": [("SETBIT", "k", 7 * n, 1) for n in range(50)],
    "list listpack": [("RPUSH", "k", "a", "1", "-70000", b"x" * 100, "")],
    "list quicklist": [("RPUSH", "k", b"y" * 9000, *MANY, b"z" * 9000)],
    "set intset": [("SADD", "k", "1", "-5", "70000")],
    "set intset of 64 bits": [("SADD", "k", "1", "-5", "9223372036854775807")],
    "set listpack": [("SADD", "k", "a", "b", "12", b"c" * 60)],
    "set hashtable": [("SADD", "k", *(f"member:{n}" for n in MANY))],
    "zset listpack": [("ZADD", "k", "1", "a", "-2.5", "b", "inf", "c", "-inf", "d", "1e300", "5")],
    "zset skiplist": [("ZADD", "k", *(word for n in MANY for word in (f"{n}.25", f"member:{n}")))],
    "hash listpack": [("HSET", "k", "field", "value", "5", "6", "", "")],
    "hash hashtable": [("HSET", "k", *(word for n in MANY for word in (f"field:{n}", f"value:{n}")))],
    "hash listpack with expiry": [("HSET", "k", "a", "1", "b", "2"), ("HEXPIRE", "k", 1000, "FIELDS", 1, "a")],
    "hash hashtable with expiry": [
        ("HSET", "k", *(word for n in MANY for word in (n, n))), ("HEXPIRE", "k", 1000, "FIELDS", 2, "3", "6"),
    ],
    "stream": [("XADD", "k", "1-1", "f", "v"), ("XADD", "k", "2-1", "f", "v", "g", b"w" * 300), ("XDEL", "k", "1-1")],
    "stream long": [("XADD", "k", f"{n + 1}-0", "name", f"value:{n}", "other", n) for n in MANY],
    "stream with groups": [
        *(("XADD", "k", f"{n}-1", "f", "v") for n in range(1, 6)), ("XGROUP", "CREATE", "k", "g", "0"),
        ("XGROUP", "CREATE", "k", "other", "$"), ("XREADGROUP", "GROUP", "g", "me", "COUNT", "2", "STREAMS", "k", ">"),
        ("XREADGROUP", "GROUP", "g", "you", "COUNT", "1", "STREAMS", "k", ">"),
    ],
    "hyperloglog sparse": [("PFADD", "k", *range(20))],
    "hyperloglog dense": [("PFADD", "k", *range(3000))],
    "geo": [("GEOADD", "k", "13.361389", "38.115556", "Palermo", "15.087269", "37.502669", "Catania")],
}
# What the types' commands then do with it. Each is sent whatever the type: WRONGTYPE is an answer, too.
USES: dict[bytes, list[Line]] = {
    b"string": [
        ("GET", "k"), ("APPEND", "k", "x"), ("SETRANGE", "k", 3, "yy"), ("BITCOUNT", "k"), ("BITPOS", "k", 1),
        ("BITFIELD", "k", "INCRBY", "i8", 5, 1), ("PFCOUNT", "k"), ("PFADD", "k", *range(40)), ("PFMERGE", "k", "k"),
    ],
    b"list": [
        ("LRANGE", "k", 0, -1), ("LINDEX", "k", -2), ("LSET", "k", 1, "7"), ("LINSERT", "k", "BEFORE", "a", "b"),
        ("LPOS", "k", "1"), ("LREM", "k", 0, "1"), ("LPUSH", "k", "head"), ("RPOP", "k", 3), ("LTRIM", "k", 1, -2),
    ],
    b"set": [
        ("SMEMBERS", "k"), ("SISMEMBER", "k", "1"), ("SADD", "k", "new", "17"), ("SREM", "k", "a", "1"),
        ("SPOP", "k", 2), ("SRANDMEMBER", "k", -5), ("SINTER", "k", "k"), ("SSCAN", "k", 0),
    ],
    b"zset": [
        ("ZRANGE", "k", 0, -1, "WITHSCORES"), ("ZRANK", "k", "a"), ("ZADD", "k", 5, "new", "-1", "a"),
        ("ZRANGEBYSCORE", "k", "-inf", "(7"), ("ZRANGEBYLEX", "k", "-", "+"), ("ZPOPMIN", "k"), ("ZREM", "k", "b"),
        ("ZINTERSTORE", "other", 2, "k", "k"), ("ZSCAN", "k", 0), ("ZREMRANGEBYRANK", "k", 1, 2),
    ],
    b"hash": [
        ("HGETALL", "k"), ("HGET", "k", "field"), ("HSET", "k", "new", "v", "5", b"long" * 30), ("HDEL", "k", "a", ""),
        ("HRANDFIELD", "k", -4, "WITHVALUES"), ("HPEXPIRE", "k", 50, "FIELDS", 1, "b"),
        ("HPTTL", "k", "FIELDS", 1, "a"), ("HINCRBY", "k", "5", 3), ("HSCAN", "k", 0),
    ],
    b"stream": [
        ("XRANGE", "k", "-", "+"), ("XREVRANGE", "k", "+", "-", "COUNT", 3), ("XINFO", "STREAM", "k", "FULL"),
        ("XINFO", "CONSUMERS", "k", "g"), ("XPENDING", "k", "g"), ("XADD", "k", "*", "f", "v"),
        ("XREADGROUP", "GROUP", "g", "me", "COUNT", 2, "STREAMS", "k", ">"), ("XACK", "k", "g", "1-1"),
        ("XAUTOCLAIM", "k", "g", "you", 0, 0), ("XDEL", "k", "2-1"), ("XTRIM", "k", "MAXLEN", 2),
        ("XGROUP", "DELCONSUMER", "k", "g", "me"),
    ],
}
ALWAYS: list[Line] = [("OBJECT", "ENCODING", "k"), ("MEMORY", "USAGE", "k"), ("DUMP", "k"), ("COPY", "k", "twin")]


def seal(body: bytes, version: int) -> bytes:
    """The payload of a value: its RDB form, the version, and the checksum of both."""
    body += struct.pack("<H", version)
    return body + struct.pack("<Q", CHECKSUM.calc(body))


def mutate(choose: random.Random, body: bytes, other: bytes) -> bytes:
    """The value's RDB form with one to four changes, some of them pieces of another value's."""
    data = bytearray(body)
    for _ in range(choose.randint(1, 4)):
        at = choose.randrange(len(data)) if data else 0
        # The beginning holds the counts and lengths that the rest depends on.
        at = min(at, choose.choice((1, 4, 16, len(data))))
        match choose.randrange(8):
            case 0 | 1:
                data[at:at + 1] = bytes([choose.choice(EXTREMES)])
            case 2:
                data[at:at + 1] = bytes([choose.randrange(256)])
            case 3:
                data[at:at] = choose.randbytes(choose.randint(1, 9))
            case 4:
                del data[at:at + choose.randint(1, 9)]
            case 5:
                del data[max(1, len(data) - choose.randint(1, 12)):]
            case 6:
                start = choose.randrange(len(other))
                data[at:at + choose.randint(0, 20)] = other[start:start + choose.randint(1, 40)]
            case _:
                data[0:1] = bytes([choose.randint(0, LARGEST_TYPE)])
    return bytes(data)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with memory_server(**{"enable-debug-command": "yes"}) as server:
        yield server


def dump(client: MemoryClient, name: str) -> bytes:
    client.talk(b"FLUSHALL\r\n")
    for line in VALUES[name]:
        assert not client.talk(encode_command(*line)).startswith(b"-"), line
    reply = client.talk(b"DUMP k\r\n")
    return reply[reply.index(b"\n") + 1:-2]


@pytest.mark.parametrize("name", VALUES)
def test_a_changed_payload_is_refused_or_a_value_like_others(server: Server, name: str) -> None:
    choose = random.Random(name)
    with memory_client(server) as client:
        bodies = {other: dump(client, other)[:-FOOTER_BYTES] for other in VALUES}
        client.talk(b"FLUSHALL\r\n")
        drop_garbage(server)
        assert client.talk(encode_command("RESTORE", "k", 0, seal(bodies[name], 80), "REPLACE")) == b"+OK\r\n"
        taken = 0
        for number in range(MUTATIONS):
            body = mutate(choose, bodies[name], bodies[choose.choice(list(VALUES))])
            before = used_bytes(server)
            reply = client.talk(encode_command("RESTORE", "m", 0, seal(body, choose.choice((10, 11, 12, 80)))))
            if reply.startswith(b"-"):
                drop_garbage(server)
                assert used_bytes(server) <= before, f"mutation {number} is refused, and leaves memory behind"
                continue
            assert reply == b"+OK\r\n", f"mutation {number}: {client.handle.close_reason}"
            taken += 1
            use(client, number)
        client.talk(b"FLUSHALL\r\n")
        assert taken < MUTATIONS


def use(client: MemoryClient, number: int) -> None:
    """Send the commands of the value's type; the client is there at the end."""
    kind = client.talk(b"TYPE m\r\n").strip(b"+\r\n")
    if kind == b"none":              # a hash all of whose fields have expired
        return
    for line in (*ALWAYS, *USES[kind], *ALWAYS, ("DEL", "m", "twin", "other")):
        words = tuple("m" if word == "k" else word for word in line)
        reply = client.talk(encode_command(*words))
        assert reply, f"mutation {number}, {words}: {client.handle.close_reason}"
