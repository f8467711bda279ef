"""Two servers' data sets compared: every key of every database, with type, encoding, expiry and value.

Values are read by the commands of their type and put into one form, because the servers' own digests agree only among
those of one family (Redis 7.0 prints scores otherwise). What is no data is left out: idle times, radix trees, when a
consumer was last seen.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from harness.process import ServerProcess
from harness.waiting import eventually
from harness.wire import Argument, Reply, Wire

DATABASES = range(16)
BATCH_KEYS = 500
# Of a string these say how it came about, not what it holds.
STRING_ENCODINGS = frozenset({b"int", b"embstr", b"raw"})
# Redis 7.0 has no listpacks for lists and sets. A sorted set may change its encoding and nothing else (ZADD XX of a
# long member that is not there, SORT on Valkey): no write that a replica hears of.
LOOSE_LISTPACKS = frozenset({b"list", b"set", b"zset"})
DIFFERENCES_SHOWN = 8
SHOWN_CHARACTERS = 400
EQUAL_SECONDS = 20.0

READERS: Mapping[bytes, tuple[Argument, ...]] = {
    b"string": ("GET", "KEY"),
    b"list": ("LRANGE", "KEY", 0, -1),
    b"set": ("SMEMBERS", "KEY"),
    b"hash": ("HGETALL", "KEY"),
    b"zset": ("ZRANGE", "KEY", 0, -1, "WITHSCORES"),
    b"stream": ("XINFO", "STREAM", "KEY", "FULL", "COUNT", 0),
}
STREAM_FIELDS = ("length", "last-generated-id", "max-deleted-entry-id", "entries-added", "entries")


@dataclass(frozen=True)
class Entry:
    """One key: `expires_ms` is -1 without a time; `value` compares equal when the two servers hold the same.

    `group_details` of a stream: what the reference servers keep in snapshots, but do not tell their replicas always
    (consumers without pending entries, how many entries a group has read, deliveries again, deleted entries).
    """

    type: bytes
    encoding: bytes
    expires_ms: int
    value: object
    field_times_ms: object = ()
    group_details: object = ()


DataSet = Mapping[tuple[int, bytes], Entry]


def read_data_set(server: ServerProcess, databases: Iterable[int] = DATABASES) -> DataSet:
    """Everything that the server holds; a key whose time runs out while we read is left out."""
    found: dict[tuple[int, bytes], Entry] = {}
    with server.connect(60) as wire:
        knows_field_times = "HPEXPIRETIME" in _known(wire, "HPEXPIRETIME")
        for database in databases:
            assert not wire.call("SELECT", database).is_error
            keys = sorted(item.text for item in wire.call("KEYS", "*").items)
            for start in range(0, len(keys), BATCH_KEYS):
                for key, entry in _read_batch(wire, keys[start : start + BATCH_KEYS], knows_field_times):
                    found[database, key] = entry
    return found


def _known(wire: Wire, *commands: str) -> set[str]:
    replies = wire.call("COMMAND", "INFO", *commands).items
    return {name for name, reply in zip(commands, replies, strict=True) if reply.value}


def _read_batch(wire: Wire, keys: list[bytes], knows_field_times: bool) -> Iterator[tuple[bytes, Entry]]:
    questions = ("TYPE",), ("OBJECT", "ENCODING"), ("PEXPIRETIME",)
    about = wire.pipeline((*question, key) for key in keys for question in questions)
    present = {
        key: (kind.text, encoding.text, time.number)
        for key, kind, encoding, time in zip(keys, about[::3], about[1::3], about[2::3], strict=True)
        if kind.text != b"none" and encoding.value is not None and not encoding.is_error and time.number != -2
    }
    values = wire.pipeline(_reader(kind, key) for key, (kind, _, _) in present.items())
    held = {key: _value(present[key][0], reply) for key, reply in zip(present, values, strict=True)}
    times: dict[bytes, object] = {}
    if knows_field_times:
        hashes = ((key, value) for key, (value, _) in held.items() if isinstance(value, dict) and value)
        fields = {key: sorted(value) for key, value in hashes}
        replies = wire.pipeline(("HPEXPIRETIME", key, "FIELDS", len(names), *names) for key, names in fields.items())
        for (key, names), reply in zip(fields.items(), replies, strict=True):
            times[key] = {name: time.number for name, time in zip(names, reply.items, strict=True) if time.number >= 0}
    for key, (kind, encoding, expires_ms) in present.items():
        value, details = held[key]
        yield key, Entry(kind, encoding, expires_ms, value, times.get(key) or (), details)


def _reader(kind: bytes, key: bytes) -> tuple[Argument, ...]:
    return tuple(key if word == "KEY" else word for word in READERS[kind])


def _value(kind: bytes, reply: Reply) -> tuple[object, object]:
    """The value in a form that compares, and the details of a stream's groups."""
    if kind == b"stream" and not reply.is_error:
        return _stream(reply.plain())
    if reply.is_error or reply.value is None:
        return reply.value, ()
    if kind == b"set":
        return frozenset(item.text for item in reply.items), ()
    if kind == b"hash":
        return dict(_pairs(reply)), ()
    if kind == b"zset":
        return [(member, float(score)) for member, score in _pairs(reply)], ()
    return reply.plain(), ()


def _pairs(reply: Reply) -> Iterator[tuple[bytes, bytes]]:
    texts = [item.text for item in reply.items]
    return zip(texts[::2], texts[1::2], strict=True)


def _fields(flat: object) -> dict[str, object]:
    """A map of RESP2: names and values in turns."""
    assert isinstance(flat, list)
    return {name.decode(): value for name, value in zip(flat[::2], flat[1::2], strict=True)}


def _stream(told: object) -> tuple[object, object]:
    """The stream with its groups and what is pending in them, then the details."""
    fields = _fields(told)
    present = {entry[0] for entry in fields["entries"]}  # type: ignore[attr-defined]
    groups, details = [], []
    for described in fields["groups"]:  # type: ignore[attr-defined]
        group = _fields(described)
        pending: list[list[object]] = group["pending"]  # type: ignore[assignment]
        consumers = [_fields(consumer) for consumer in group["consumers"]]  # type: ignore[attr-defined]
        owned = [(identity, owner) for identity, owner, *_ in pending if identity in present]
        groups.append([group["name"], group["last-delivered-id"], owned])
        details.append([group["entries-read"], pending, sorted(str(consumer["name"]) for consumer in consumers)])
    return [*(fields[name] for name in STREAM_FIELDS), groups], details


def _encodings_agree(one: Entry, other: Entry) -> bool:
    pair = {one.encoding, other.encoding}
    if one.encoding == other.encoding or pair <= STRING_ENCODINGS:
        return True
    return one.type in LOOSE_LISTPACKS and b"listpack" in pair


def differences(ours: DataSet, theirs: DataSet, *, encodings: bool, group_details: bool) -> list[str]:
    """What the one holds and the other does not, a line per key."""
    found = []
    compared = ("type", "expires_ms", "value", "field_times_ms", *(("group_details",) if group_details else ()))
    for database, key in sorted(ours.keys() | theirs.keys()):
        one, other = ours.get((database, key)), theirs.get((database, key))
        if one is None or other is None:
            found.append(f"{database} {key!r}: {'missing' if one is None else one.type!r} | "
                         f"{'missing' if other is None else other.type!r}")
            continue
        for name in compared:
            if (mine := getattr(one, name)) != (its := getattr(other, name)):
                found.append(f"{database} {key!r} ({one.type.decode()}): {name} {_shown(mine)} | {_shown(its)}")
        if encodings and not _encodings_agree(one, other):
            found.append(f"{database} {key!r} ({one.type.decode()}): encoding {one.encoding!r} | {other.encoding!r}")
    return found


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}... ({len(text)})"


def expect_equal(
    ours: ServerProcess, theirs: ServerProcess, *, encodings: bool = False, group_details: bool = False,
    seconds: float = EQUAL_SECONDS,
) -> int:  # fmt: skip
    """Wait until both servers hold the same, and say how many keys that is.

    `encodings` compares OBJECT ENCODING too, as far as both servers have the encoding: for servers that have executed
    the same commands, because a snapshot forgets how a value came about. `group_details`: see `Entry`; for servers of
    which one has read the other's snapshot. Servers of one family are asked for their digest besides.
    """
    found: list[str] = []
    kept: list[DataSet] = []

    def equal() -> bool:
        kept[:] = [read_data_set(ours), read_data_set(theirs)]
        found[:] = differences(*kept, encodings=encodings, group_details=group_details)
        if not found and "redis" not in (ours.kind, theirs.kind):
            # A digest has the keys, too, whose time has passed and which nobody has deleted yet.
            found.extend(_digest_differences(ours, theirs, kept[0]))
        return not found

    try:
        eventually(equal, "the data sets are equal", seconds)
    except AssertionError:
        shown = "\n  ".join(found[:DIFFERENCES_SHOWN])
        raise AssertionError(f"{len(found)} differences ({ours.kind} | {theirs.kind}):\n  {shown}") from None
    return len(kept[0])


def _digest_differences(ours: ServerProcess, theirs: ServerProcess, held: DataSet) -> Iterator[str]:
    """DEBUG DIGEST of all databases; where that differs, the keys that make it differ."""
    with ours.connect(60) as one, theirs.connect(60) as other:
        digests = [wire.call("DEBUG", "DIGEST").text for wire in (one, other)]
        if digests[0] == digests[1]:
            return
        yield f"digests {digests[0].decode()} | {digests[1].decode()}"
        for database, key in held:
            values = []
            for wire in (one, other):
                wire.call("SELECT", database)
                values.append(wire.call("DEBUG", "DIGEST-VALUE", key).items[0].text)
            if values[0] != values[1]:
                yield f"{database} {key!r}: digests {values[0].decode()} | {values[1].decode()}"
