"""Digests of values and of whole data sets, equal to those of DEBUG DIGEST and DIGEST-VALUE of Valkey and Redis.

Two operations on 20 bytes that begin as zeros, found by probing Valkey 9.1: to *add* data means xor with its SHA-1, so
that order does not count (members of a set); to *mix* it in means SHA-1 of that xor, so that order does (elements of a
list). Neither looks at encodings: equal data, equal digest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha1
from typing import Any, Final

from ranvier.engine.types import rdb_handle
from ranvier.engine.types.list_handle import listpack_decode
from ranvier.engine.types.sorted_set_handle import format_score
from ranvier.keyspace import contents

DIGEST_BYTES: Final = 20
SCAN_STEP: Final = 1000
EXPIRES: Final = b"!!expire!!"

# What stands for a type; not the number that TYPE's order would give.
_TYPES: Final = {"string": 0, "list": 1, "set": 2, "zset": 3, "hash": 4, "stream": 6}

_MASTER_ID_BYTES: Final = 16
_DELETED: Final = 1                     # flags of a stream's entry
_SAME_FIELDS: Final = 2


def _sha1(data: bytes) -> int:
    return int.from_bytes(sha1(data).digest())


def _mixed(digest: int, *parts: bytes) -> int:
    for part in parts:
        digest = _sha1((digest ^ _sha1(part)).to_bytes(DIGEST_BYTES))
    return digest


def _text(digest: int) -> bytes:
    return b"%040x" % digest


def value_digest(database: Any, key: bytes, now_ms: int) -> bytes:
    """40 hexadecimal digits, zeros if there is no such key. `now_ms`: fields that have expired do not count."""
    return _text(_value(database, key, 0, now_ms) if database.exists(key) else 0)


def data_digest(databases: Iterable[Any], now_ms: int) -> bytes:
    """The digest of everything, as 40 hexadecimal digits."""
    digest = 0
    for database in databases:
        if not len(database):
            continue
        digest = _mixed(digest, database.index.to_bytes(4))
        for key in _keys(database):
            digest ^= _sha1(_value(database, key, _mixed(0, key), now_ms).to_bytes(DIGEST_BYTES))
    return _text(digest)


def _keys(database: Any) -> Iterator[bytes]:
    position = 0
    while True:
        # Nothing may change between the steps, or a key could be seen twice: expired keys stay where they are.
        position, keys = database.scan(position, SCAN_STEP, delete_expired=False)
        yield from keys
        if position == 0:
            return


def _value(database: Any, key: bytes, digest: int, now_ms: int) -> int:
    kind = database.type_name(key)
    digest = _mixed(digest, _TYPES[kind].to_bytes(4))
    expires = database.expiry_ms(key) >= 0
    if kind == "string":
        digest = _mixed(digest, database.value_of(key))
    elif kind == "list":
        digest = _mixed(digest, *contents.elements(database, key, kind))
    elif kind == "set":
        for member in contents.elements(database, key, kind):
            digest ^= _sha1(member)
    elif kind == "stream":
        for identifier, fields in stream_entries(database, key):
            digest = _mixed(digest, b"%d.%d" % identifier, *fields)
    else:
        for name, value in _pairs(database, key, kind, now_ms):
            digest ^= _sha1(_mixed(0, name, value).to_bytes(DIGEST_BYTES))
    return digest ^ _sha1(EXPIRES) if expires else digest


def _pairs(database: Any, key: bytes, kind: str, now_ms: int) -> Iterator[tuple[bytes, bytes]]:
    value = contents.handle(database, key, kind)
    if kind == "zset":
        for member, score in value:
            yield member, _with_exponent(format_score(score))
    else:
        for name, content, at_ms in value.items():
            if at_ms < 0 or at_ms >= now_ms:
                yield name, content


def stream_entries(database: Any, key: bytes) -> Iterator[tuple[tuple[int, int], list[bytes]]]:
    """(ms, sequence) and fields with their values in turn, of each entry, read from the stream's RDB form.

    A node there is an id and a listpack: count, deleted, number of fields, the fields, 0, and behind that the entries:
    flags, two differences to the node's id, fields (unless they are the node's) and values, number of elements.
    """
    saved = rdb_handle.save(database, key, compress=False)
    if saved is None:
        return
    data = saved[1]
    nodes, position = _length(data, 1)
    for _ in range(nodes):
        identifier, position = _string(data, position)
        block, position = _string(data, position)
        base = int.from_bytes(identifier[:8]), int.from_bytes(identifier[8:])
        items = iter(listpack_decode(block))
        next(items), next(items)
        node_fields = [next(items) for _ in range(int(next(items)))]
        next(items)
        for flags in items:
            number = base[0] + int(next(items)), base[1] + int(next(items))
            if int(flags) & _SAME_FIELDS:
                fields = [part for name in node_fields for part in (name, next(items))]
            else:
                fields = [next(items) for _ in range(2 * int(next(items)))]
            next(items)
            if not int(flags) & _DELETED:
                yield number, fields


def _length(data: bytes, position: int) -> tuple[int, int]:
    """A length of the RDB form, and where what follows it begins."""
    head = data[position]
    if head < 64:
        return head, position + 1
    if head < 128:
        return (head & 63) << 8 | data[position + 1], position + 2
    width = 8 if head & 1 else 4
    return int.from_bytes(data[position + 1 : position + 1 + width]), position + 1 + width


def _string(data: bytes, position: int) -> tuple[bytes, int]:
    length, position = _length(data, position)
    return data[position : position + length], position + length


def _with_exponent(score: bytes) -> bytes:
    """A score as Valkey's digest has it: unlike replies, it shows whole numbers with eight zeros as `1.2e+17`."""
    digits = score.lstrip(b"-").rstrip(b"0")
    sign, number = score[: score.startswith(b"-")], score.lstrip(b"-")
    if not digits or not number.isdigit() or len(number) - len(digits) < 8:
        return score
    fraction = b"." + digits[1:] if len(digits) > 1 else b""
    return b"%s%s%se+%d" % (sign, digits[:1], fraction, len(number) - 1)
