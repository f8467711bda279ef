"""The edges of arguments, beside Valkey: numbers out of range, NUL bytes, the order of errors, what is a look-up.

Lines are split at spaces; `\\0`, `\\n`, `\\x..` are the bytes, `""` is an empty argument.
"""

import random
import re
from collections.abc import Iterator

import pytest

from harness.process import ServerProcess
from harness.wire import Wire

Wires = tuple[Wire, Wire]


def words(line: str) -> list[bytes]:
    """The arguments of a line of the tables below."""
    return [
        b"" if word == '""' else word.encode().decode("unicode_escape").encode("latin-1") for word in line.split(" ")
    ]


@pytest.fixture
def both(server: ServerProcess, valkey: ServerProcess) -> Iterator[Wires]:
    """A string k, a number n and a list l on both servers."""
    with server.connect() as ours, valkey.connect() as theirs:
        for wire in (ours, theirs):
            wire.pipeline([("FLUSHALL",), ("SET", "k", "v"), ("SET", "n", "5"), ("RPUSH", "l", *"abcab")])
        yield ours, theirs
        for wire in (ours, theirs):
            wire.call("FLUSHALL")


ANSWERS = r"""
bitpos k 1 -22 -29
bitpos k 1 -1 -2
bitpos k 0 -5 -9 bit
bitcount k -22 -29
bitcount k -22 -29 bit
bitcount k -5 -5
set k v ex 5 ex 100
set k v ex x ex 100
set k v ex 5 px 100
set k v ex 5 keepttl ex 5
set k v ifeq v ifeq v
set k v ifeq
getex k ex 10 EX 100
getex k ex 10 exat 100
getex k ex 10 persist
msetex 1 k v ex 10 ex x
msetex 1 k v ex 10 ex 100
expire k x y
expire k 1 a\0b
expire k 1000 NX\0a
expire k x nx xx
expire k 9223372036854775807 foo
expire k 1 gt lt foo
pexpire k x 1\n
select 9223372036854775808
select 2147483648
select -2147483649
select -1
select 1\0
move k 2147483648
move nokey 99
copy k b db 2147483648 foo
copy k b db x foo
copy k b foo db 99
swapdb x y
swapdb 2147483648 1
swapdb 1 -2147483649
swapdb 99 1
scan 0 count count 5
scan 0 count x match
scan 0 match
scan 0 type foo count x
scan 0 type string\0 count 100
scan -1
scan -01 count 100
scan 1x
scan \x201x
scan ""
scan \0
scan 18446744073709551616
scan 0x10
slowlog GeT 1 2
slowlog a\0b
client setinfo fo\0o bar
client setinfo LIB-Name a\x20b
client setinfo LIB-Ver \0\xff
client setinfo LIB-Ver\0x 1
client setname a\0b
client setname \0\x20
client setname a\x20b
client list foo bar capa x
client list capa x user foo
client list capa r\0x type nosuch
client list not-capa x
client list flags ANz
client list not-flags z
client list db x
client list db 16
client list db 2147483648
client list not-db x
client list not-db -1
client list user default\0x
client list not-user foo
client list type foo\0x
client list skipme no\0x idle x
client list id 1 x
client list id
client list id x
client list id 0 foo
client list id id 4 user foo
client kill capa x
client kill flags z
client kill db 99
a\0b c
nosuch a\0b c
object a\0b
flushdb async\0
set k 1 EX\0 x
lmove l l left\0 RIGHT\0
linsert l before\0 b x
set k v nx\0
memory usage k samples\0 -1
command getkeysandflags lmpop 3.0 a b c left
command getkeysandflags lmpop \x202x a b left
command getkeysandflags lmpop 4294967298 a b left
command getkeys lmpop 2147483649 a b left
command getkeys lmpop 99999999999999999999x a b left
command getkeys lmpop -4294967294 a b left
command getkeys lmpop x a b left
command getkeys lmpop 99x a b left
command getkeys lmpop 02\0 a b left
""".strip().splitlines()


@pytest.mark.parametrize("line", ANSWERS)
def test_answers_are_valkeys(both: Wires, line: str) -> None:
    ours, theirs = (wire.call(*words(line)) for wire in both)
    assert ours.raw == theirs.raw


WALKS = r"""
scan 0 novalues
scan 0 count 5 NOSCORES
sscan l 0 novalues
hscan no 0 foo
hscan k 0
hscan h 0 noscores
hscan h 0 novalues count 2
hscan h 0 count 2 novalues match a*
hscan h 0 match
hscan h 0 count 0
hscan h -1
sscan s 0 noscores
sscan s 0 novalues
sscan no 0 noscores
zscan z 0 novalues
zscan z 0 noscores
zscan z 0 noscores novalues
zscan z 0 noscores match x
""".strip().splitlines()


@pytest.mark.parametrize("line", WALKS)
def test_answers_to_walks_are_valkeys(both: Wires, line: str) -> None:
    for wire in both:
        wire.pipeline([("SADD", "s", "m"), ("ZADD", "z", "1", "m"), ("HSET", "h", "a", "1")])
    ours, theirs = (wire.call(*words(line)) for wire in both)
    assert ours.raw == theirs.raw


LOOSE_CURSORS = [b" 5", b"\t1", b"+1", b"1\0", b"\x0b01", b"-0", b" -1", b"-9223372036854775809", b"0" * 40]


@pytest.mark.parametrize("cursor", LOOSE_CURSORS)
def test_cursors_are_as_loose_as_valkeys(both: Wires, cursor: bytes) -> None:
    for wire in both:
        assert wire.call("SCAN", cursor, "COUNT", "1000").kind == b"*"


def test_names_end_at_a_nul_byte_where_they_are_shown(both: Wires) -> None:
    for wire in both:
        assert wire.call("CLIENT", "SETNAME", b"a\0b").raw == b"+OK\r\n"
        assert wire.call("CLIENT", "SETINFO", "LIB-NAME", b"l\0b").raw == b"+OK\r\n"
        assert wire.call("CLIENT", "GETNAME").text == b"a\0b"
        line = wire.call("CLIENT", "INFO").text
        assert b" name=a age=" in line and b" lib-name=l lib-ver=" in line


FILTERS = r"""
name ""
not-name ""
name a
name a\0c
not-name a\0c
lib-name l
lib-name l\0b
not-lib-name l\0b
lib-ver ""
not-lib-ver ""
capa ""
not-capa ""
capa r
not-capa r
flags ""
flags N
flags NN
flags Nb
flags N\0z
not-flags N
not-flags Nb
user default
not-user default
ip 127.0.0.1\0
not-ip 127.0.0.1
db 0 not-db 0
not-db 1
db 1 db 0
type normal type pubsub
type pubsub type normal
not-type pubsub type normal
name x name a
skipme yes skipme no
skipme no skipme yes
NAME\0x a
id 999999999
not-id 999999999
id skipme no
not-id skipme no
id id
name a id
name a not-id
addr x
""".strip().splitlines()


@pytest.mark.parametrize("line", FILTERS)
def test_client_list_finds_what_valkeys_finds(both: Wires, line: str) -> None:
    """A11 LIST."""
    found = []
    for wire in both:
        wire.call("CLIENT", "SETNAME", b"a\0b")
        wire.call("CLIENT", "SETINFO", "LIB-NAME", b"l\0b")
        number = wire.call("CLIENT", "ID").number
        reply = wire.call("CLIENT", "LIST", *words(line)).text
        found.append(re.search(rb"^id=%d " % number, reply, re.MULTILINE) is not None)
    assert found[0] == found[1]


# A request after which both must have counted the same, and hold the same number of keys.
LOOK_UPS = """
get k;get no;get l;set k v nx;set k v get;set no v get;set l v get;set k v ifeq v;getset k w;getset l w;getdel k
getdel no;getex k;getex no;getex k ex 100;mget k no l;setnx k v;msetnx k v no v;msetex 1 k v nx;append k v;strlen no
setrange k 1 v;getrange no 0 1;incr n;incrbyfloat n 1;lcs k n;delifeq k v;exists k no;type k;type no;ttl k;pttl no
expiretime no;pexpiretime k;expire k 100;persist k;touch k no;rename k z;renamenx k l;copy k z;copy no z;move k 1;del k
object encoding k;object encoding no;object refcount k;object refcount no;object idletime k;object freq k
memory usage k;memory usage no;randomkey;scan 0 type string;keys *;lpush l a;lpushx no a;lpop l;llen l;llen no
lindex l 0;lset l 0 x;linsert l before a x;lrem l 0 a;ltrim l 0 1;lrange l 0 -1;lpos l a;lpos no a;lmove l l left right
rpoplpush l m;lmpop 2 no l left;expire k -1;expire no -1;pexpireat k 1;pexpireat k -5;getex k exat 1;getex no exat 1
set k v exat 1;set k v pxat 1 get;set no v exat 1;set no v pxat 1 get;set k v exat 1 nx;set no v exat 1 nx
set no v exat 1 xx;set l v exat 1;set l v exat 1 get;set k v exat 1 ifeq v;set k v exat 1 ifeq w;msetex 1 k v exat 1
""".strip().replace("\n", ";").split(";")


@pytest.mark.parametrize("line", LOOK_UPS)
def test_look_ups_and_expiries_are_counted_as_valkeys(both: Wires, line: str) -> None:
    counted = []
    for wire in both:
        wire.call("DEBUG", "SET-ACTIVE-EXPIRE", "0")     # what is stored after its time stays to be counted
        wire.call("CONFIG", "RESETSTAT")
        answer = wire.call(*words(line)).kind
        lines = dict(part.split(":", 1) for part in wire.call("INFO", "stats").text.decode().split() if ":" in part)
        figures = [lines[name] for name in ("keyspace_hits", "keyspace_misses", "expired_keys")]
        counted.append((answer, *figures, wire.call("DBSIZE").number))
    assert counted[0] == counted[1]


def test_the_latest_expiry_is_told_rightly(both: Wires) -> None:
    for command in (
        ("SET", "k", "v", "PXAT", 2**63 - 1), ("EXPIRETIME", "k"), ("PEXPIRETIME", "k"), ("PEXPIREAT", "l", 2**63 - 1),
        ("EXPIRETIME", "l"), ("EXPIREAT", "l", 9223372036854775), ("PEXPIRETIME", "l"), ("EXPIREAT", "l", 2**62),
    ):  # fmt: skip
        ours, theirs = (wire.call(*command) for wire in both)
        assert ours.raw == theirs.raw, command


@pytest.mark.parametrize("number", ["1", "1e3", "-5", "0.5", "9007199254740993"])
def test_incrbyfloat_leaves_a_string(both: Wires, number: str) -> None:
    for command in (
        ("INCRBYFLOAT", "f", number), ("OBJECT", "ENCODING", "f"), ("INCRBYFLOAT", "n", number),
        ("OBJECT", "ENCODING", "n"), ("GET", "n"), ("INCRBY", "n", "1"), ("OBJECT", "ENCODING", "n"),
        ("APPEND", "f", "1"), ("GET", "f"),
    ):  # fmt: skip
        ours, theirs = (wire.call(*command) for wire in both)
        assert ours.raw == theirs.raw, command


@pytest.mark.parametrize("number", [
    "1e39223372036854775807", "-1e5000", "1e-5000", "1e-4950", "1e400", "inf", "0x1p20000",
])
def test_numbers_that_no_float_holds(both: Wires, number: str) -> None:
    """Too large or too small for a long double is no number; "inf" is one."""
    for command in (
        ("SET", "f", number), ("INCRBYFLOAT", "f", "1"), ("INCRBYFLOAT", "n", number), ("HSET", "h", "f", number),
        ("HINCRBYFLOAT", "h", "f", "1"), ("HINCRBYFLOAT", "h", "g", number), ("HGETALL", "h"), ("GET", "n"),
        ("BLPOP", "l", number), ("ZADD", "z", number, "m"),
    ):  # fmt: skip
        ours, theirs = (wire.call(*command) for wire in both)
        assert ours.raw == theirs.raw, command


def test_memory_usage_measures_what_has_expired_and_is_still_there(both: Wires) -> None:
    for wire in both:
        wire.call("DEBUG", "SET-ACTIVE-EXPIRE", "0")
        wire.call("MSETEX", "1", "e", "v", "EXAT", "1")
        assert wire.call("MEMORY", "USAGE", "e").number > 0
        assert wire.call("EXISTS", "e").number == 0
        assert wire.call("MEMORY", "USAGE", "e").value is None
        wire.call("DEBUG", "SET-ACTIVE-EXPIRE", "1")


PIECES = (b"'", b'"', b"\\", b" ", b"a", b"x", b"4", b"n", b"\x0b", b"\\'", b'\\"', b"\t", b"\r", b"\x0c", b"\xfe")


def test_inline_words_are_split_as_valkeys(
    server: ServerProcess, valkey: ServerProcess, request: pytest.FixtureRequest
) -> None:
    choose = random.Random(request.config.getoption("--seed"))
    for _ in range(300):
        line = b"ECHO " + b"".join(choose.choice(PIECES) for _ in range(choose.randrange(1, 8)))
        answers = []
        for one in (server, valkey):
            with one.connect() as wire:
                wire.send(line + b"\r\nPING\r\n")
                answers.append(wire.reply().raw)
        assert answers[0] == answers[1], line
