"""What may differ from Valkey 9.1.2: what must (time, identity, order), and what does on purpose, each with its reason.

Everything that is not named here is compared byte for byte.
"""

from collections.abc import Callable
from dataclasses import dataclass

from harness.wire import Reply

Request = tuple[bytes, ...]
Equal = Callable[[Reply, Reply], bool]

# A group's requests reach the two servers one after the other: clocks may have gone on between them.
CLOCK_SLACK_SECONDS = 30

CORRUPT = b"-INVALIDOBJ Corrupted HLL object detected\r\n"


def same_shape(ours: Reply, theirs: Reply) -> bool:
    """The same type, and null or error on both sides or on neither; errors equal."""
    if ours.is_error or theirs.is_error:
        return ours.raw == theirs.raw
    return ours.kind == theirs.kind and (ours.value is None) == (theirs.value is None)


def same_members(ours: Reply, theirs: Reply) -> bool:
    """Aggregates with the same members in any order."""
    if not isinstance(ours.value, tuple) or not isinstance(theirs.value, tuple):
        return ours.raw == theirs.raw
    return ours.kind == theirs.kind and sorted(i.raw for i in ours.value) == sorted(i.raw for i in theirs.value)


def same_choice(ours: Reply, theirs: Reply) -> bool:
    """The same type and, of an aggregate, number."""
    if not isinstance(ours.value, tuple) or not isinstance(theirs.value, tuple):
        return same_shape(ours, theirs)
    return ours.kind == theirs.kind and len(ours.value) == len(theirs.value)


def same_pairs(ours: Reply, theirs: Reply) -> bool:
    """Maps (in RESP2 arrays) with the same pairs in any order."""
    if not isinstance(ours.value, tuple) or not isinstance(theirs.value, tuple):
        return ours.raw == theirs.raw
    pairs = (sorted((a.raw, b.raw) for a, b in zip(m[::2], m[1::2], strict=True)) for m in (ours.value, theirs.value))
    return ours.kind == theirs.kind and next(pairs) == next(pairs)


def same_random(ours: Reply, theirs: Reply) -> bool:
    """Random choices: the same type, and as many of them."""
    if not isinstance(ours.value, tuple) or not isinstance(theirs.value, tuple):
        return same_shape(ours, theirs)
    return ours.kind == theirs.kind and len(ours.value) == len(theirs.value) \
        and [item.kind for item in ours.value] == [item.kind for item in theirs.value]


def near(slack: int) -> Equal:
    """Integers at most `slack` apart when both are positive; everything else byte for byte."""

    def equal(ours: Reply, theirs: Reply) -> bool:
        if ours.kind == theirs.kind == b"*" and len(ours.items) == len(theirs.items):
            return all(equal(mine, other) for mine, other in zip(ours.items, theirs.items, strict=True))
        if ours.kind == theirs.kind == b":" and ours.number > 0 and theirs.number > 0:
            return abs(ours.number - theirs.number) <= slack
        return ours.raw == theirs.raw

    return equal


def same_hello(ours: Reply, theirs: Reply) -> bool:
    """HELLO names the server, its version, its modules and the client: the same fields, in order, with their types."""
    if ours.is_error or theirs.is_error:
        return ours.raw == theirs.raw
    identity = {b"version", b"id", b"server", b"modules"}
    fields = [(a, b) for a, b in zip(ours.items[::2], theirs.items[::2], strict=True)]
    values = zip(ours.items[1::2], theirs.items[1::2], strict=True)
    return ours.kind == theirs.kind and all(
        name.raw == other.raw and (a.kind == b.kind if name.text in identity else a.raw == b.raw)
        for (name, other), (a, b) in zip(fields, values, strict=True)
    )


# By full command name: what must differ between two servers, or between two runs of one.
MUST_DIFFER: dict[bytes, Equal] = {
    b"TTL": near(CLOCK_SLACK_SECONDS),
    b"PTTL": near(CLOCK_SLACK_SECONDS * 1000),
    b"EXPIRETIME": near(CLOCK_SLACK_SECONDS),
    b"PEXPIRETIME": near(CLOCK_SLACK_SECONDS * 1000),
    b"HTTL": near(CLOCK_SLACK_SECONDS),
    b"HPTTL": near(CLOCK_SLACK_SECONDS * 1000),
    b"HEXPIRETIME": near(CLOCK_SLACK_SECONDS),
    b"HPEXPIRETIME": near(CLOCK_SLACK_SECONDS * 1000),
    b"HGETALL": same_pairs,
    b"HKEYS": same_members,
    b"HVALS": same_members,
    b"HRANDFIELD": same_random,
    b"HSCAN": same_shape,
    b"OBJECT|IDLETIME": near(CLOCK_SLACK_SECONDS),
    b"KEYS": same_members,
    b"RANDOMKEY": same_shape,
    b"SMEMBERS": same_members,                  # a table's order; the state machine of sets compares the others'
    b"SINTER": same_members,
    b"SUNION": same_members,
    b"SDIFF": same_members,
    b"SPOP": same_members,                      # of all members: with any other count the servers part
    b"SRANDMEMBER": same_choice,
    b"SSCAN": same_shape,
    b"ZRANDMEMBER": same_choice,
    b"ZSCAN": same_shape,
    b"SCAN": same_shape,
    b"TIME": same_shape,
    b"MEMORY|USAGE": same_shape,
    b"CLIENT|ID": same_shape,
    b"CLIENT|INFO": same_shape,
    b"CLIENT|LIST": same_shape,
    b"SLOWLOG|GET": same_shape,
    b"SLOWLOG|LEN": same_shape,                 # a busy machine makes any command slow
    b"COMMANDLOG|GET": same_shape,
    b"COMMANDLOG|LEN": same_shape,
    b"COMMAND|COUNT": same_shape,
    b"COMMAND|INFO": same_shape,                # its content is compared in test_metadata.py
    b"CONFIG|GET": same_pairs,
    b"HELLO": same_hello,
}


@dataclass(frozen=True)
class OnPurpose:
    """A difference that Ranvier decided on."""

    command: bytes
    reason: str
    applies: Callable[[Request, Reply, Reply], bool]


def _is_help(request: Request, ours: Reply, theirs: Reply) -> bool:
    return len(request) >= 2 and request[1].upper() == b"HELP" and same_shape(ours, theirs)


def _is_report(request: Request, ours: Reply, theirs: Reply) -> bool:
    return len(request) == 2 and request[1].upper() == b"DOCTOR" and same_shape(ours, theirs)


def _is_past_key_name(request: Request, ours: Reply, theirs: Reply) -> bool:
    return request[1].upper() == b"ENCODING" and (ours.value, theirs.value) == (b"embstr", b"raw")


def _is_sorted_once(request: Request, ours: Reply, theirs: Reply) -> bool:
    return request[1].upper() == b"ENCODING" and (ours.value, theirs.value) == (b"listpack", b"skiplist")


def _is_order_of_names(request: Request, ours: Reply, theirs: Reply) -> bool:
    by_name = request[0].upper() != b"ZRANGE" or b"BYLEX" in {word.upper() for word in request}
    return by_name and not ours.is_error and not theirs.is_error


ON_PURPOSE: tuple[OnPurpose, ...] = (
    *(
        OnPurpose(command, "names in order mean nothing where scores differ", _is_order_of_names)
        for command in (b"ZRANGE", b"ZRANGEBYLEX", b"ZREVRANGEBYLEX", b"ZLEXCOUNT")
    ),
    *(
        OnPurpose(container, "help texts are written in Ranvier's own words", _is_help)
        for container in (b"OBJECT", b"CLIENT", b"CONFIG", b"COMMAND", b"MEMORY", b"SLOWLOG", b"COMMANDLOG", b"LATENCY",
                          b"DEBUG")
    ),
    OnPurpose(b"MEMORY", "the report is in Ranvier's own words", _is_report),
    OnPurpose(b"LATENCY", "the report is in Ranvier's own words", _is_report),
    OnPurpose(b"SRANDMEMBER", "Valkey repeats members until the memory is gone; more than 512 MB can hold are refused",
              lambda _, ours, __: ours.raw == b"-ERR value is out of range\r\n"),
    OnPurpose(b"BITFIELD", "an index that leaves 64 bits when multiplied is refused; Valkey's wraps around",
              lambda request, ours, __: b"#" in b"".join(request[2:])
              and ours.raw == b"-ERR bit offset is not an integer or out of range\r\n"),
    *(
        OnPurpose(command, "a sparse one that ends within an opcode is refused; Valkey reads the byte behind it",
                  lambda _, ours, theirs: ours.raw == CORRUPT and not theirs.is_error)
        for command in (b"PFADD", b"PFCOUNT", b"PFMERGE", b"PFDEBUG")
    ),
    OnPurpose(b"LOLWUT", "the picture, and what may be said about it, is each server's own", lambda *_: True),
    OnPurpose(b"OBJECT", "embstr or raw: Valkey's string stays raw after RENAME from a long name", _is_past_key_name),
    OnPurpose(b"OBJECT", "SORT reads a sorted set and leaves it as it is: Valkey's becomes a skiplist",
              _is_sorted_once),
)

CONTAINERS = {b"OBJECT", b"CLIENT", b"CONFIG", b"COMMAND", b"MEMORY", b"SLOWLOG", b"COMMANDLOG", b"LATENCY", b"DEBUG"}


def full_name(request: Request) -> bytes:
    """The command's name in upper case, `CONTAINER|SUBCOMMAND` for subcommands."""
    name = request[0].upper()
    return name + b"|" + request[1].upper() if name in CONTAINERS and len(request) > 1 else name


def equal(request: Request, ours: Reply, theirs: Reply) -> bool:
    """Whether the two replies to one request agree as far as they must."""
    if ours.raw == theirs.raw:
        return True
    name = full_name(request)
    if name in MUST_DIFFER and MUST_DIFFER[name](ours, theirs):
        return True
    return any(known.command == request[0].upper() and known.applies(request, ours, theirs) for known in ON_PURPOSE)
