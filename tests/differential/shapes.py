"""Random requests, made from the reference's own argument tree of each command (COMMAND DOCS).

A request starts as one that the documentation allows; then, with some probability, an argument is replaced by an edge
value, or the list of arguments itself is damaged (one dropped, doubled, added, swapped). Equal seeds: equal requests.
"""

import random
from dataclasses import dataclass, field

from harness.wire import Reply, Wire

Request = tuple[bytes, ...]

KEYS = (b"s", b"n", b"l", b"m", b"h", b"H", b"x", b"y", b"e", b"i", b"t", b"z", b"w")
EDGE_NUMBERS = (
    *(b"0", b"-0", b"-1", b"1", b"2", b"-2", b"00", b"01", b"-01", b"+1", b" 1", b"1 ", b"1\n", b"0x10", b"1_0"),
    *(b"9223372036854775807", b"-9223372036854775808", b"9223372036854775808", b"-9223372036854775809"),
    *(b"9223372036854775806", b"18446744073709551615", b"18446744073709551616", b"4294967296", b"2147483648"),
    *(b"1" * 30, b"", b"-", b"+", b".", b"\xd9\xa1", b"1.5", b"1e400", b"-1e400", b"1e5", b"nan", b"inf", b"-inf"),
    *(b"infinity", b"1.0", b"0.1", b"1e-400", b"NaN", b"1\x00"),
)
FLOATS = (
    *(b"0", b"1", b"-1", b"0.1", b"3.0", b"3.14", b"-2.5", b"1e3", b"5e-3", b"100000000000", b"0.00000000000000001"),
    *(b"123456789.123456789", b"1.7976931348623157e308", b"-1.7976931348623157e308", b"1e17", b"12345678901234567"),
)
STRINGS = (
    *(b"", b"a", b"hello", b"hello world", b"10", b"-7", b"9223372036854775807", b"-9223372036854775808", b"007"),
    *(b"9223372036854775808", b"3.0", b"1e2", b" 5", b"x" * 44, b"y" * 45, b"z" * 64, b"\x00\xff\r\n", b"\r\nPING\r\n"),
    *("ü€".encode(), b"abcabcabc", b"ohmytext", b"mynewtext", b"q" * 300, b"w" * 5000, b"a", b"b", b"c"),
)
FIELDS = (b"f0", b"f1", b"f2", b"f7", b"f299", b"nosuch", *STRINGS[:8], b"a", b"b")
PATTERNS = (
    *(b"*", b"?", b"[a-m]", b"[^a-m]", b"s*", b"*x*", b"\\*", b"[", b"[a", b"[^", b"", b"***", b"[n-s]*", b"[m-a]"),
    *(b"a*b*c*d*e*f*g*h*i*j*k*l", b"\\", b"s", b"[]]", b"[a\\]x]", b"?" * 3),
)
INTEGERS = tuple(str(number).encode() for number in (*range(-4, 8), 10, 100, 1000, -100, 65536, 100000))
RANGE_ENDS = (
    *(b"-inf", b"+inf", b"0", b"1", b"(1", b"-1", b"5", b"(5", b"100", b"3.14", b"(-2.5", b"1e3", b"(", b"", b"inf"),
    *(b"-", b"+", b"[a", b"(a", b"[", b"(", b"[hello", b"(hello world", b"[10", b"+", b"-", b"[\xff", b"-1", b"x"),
)
DATABASES = (b"0", b"1", b"9", b"0", b"1", b"9", b"15", b"16", b"-1", b"2147483648", b"x")
# Either long in the future or past: what expires while a group runs would differ by chance.
SECONDS = (b"1000", b"100000", b"5000", b"0", b"-1", b"-1000", b"9223372036854775807", b"9223372036854775", b"1.5")
MILLISECONDS = (b"1000000", b"100000000", b"0", b"-1", b"-5", b"9223372036854775807", b"9223370000000000000", b"x", b"")
UNIX_SECONDS = (b"4102444800", b"4102444801", b"1", b"0", b"-1", b"1000000000", b"9223372036854775807", b"99999999999")
UNIX_MILLISECONDS = (b"4102444800000", b"4102444800001", b"1", b"0", b"-1", b"1000000000000", b"9223372036854775807")
TYPES = (b"string", b"list", b"set", b"hash", b"zset", b"stream", b"STRING", b"none")
CONFIG_NAMES = (b"maxmemory", b"timeout", b"databases", b"MAXCLIENTS", b"maxmemory-policy", b"no-such", b"list-max-*")
COMMAND_NAMES = (b"get", b"SET", b"mget", b"msetex", b"lmpop", b"client|id", b"client", b"nosuch", b"object|encoding")

# A number right behind these words (or of these commands) is a time: small positive ones are not sent.
TIME_WORDS = {b"EX", b"PX", b"EXAT", b"PXAT"}
TIME_COMMANDS = {b"EXPIRE", b"PEXPIRE", b"SETEX", b"PSETEX", b"EXPIREAT", b"PEXPIREAT"}
FIELD_TIME_COMMANDS = {b"HEXPIRE", b"HPEXPIRE", b"HEXPIREAT", b"HPEXPIREAT"}      # their second argument alone
SHORTEST_TIME = 100_000

VALUE_POOLS = {
    "key": KEYS,
    "integer": INTEGERS,
    "double": FLOATS,
    "string": STRINGS,
    "pattern": PATTERNS,
    "seconds": SECONDS,
    "milliseconds": MILLISECONDS,
    "unix-time-seconds": UNIX_SECONDS,
    "unix-time-milliseconds": UNIX_MILLISECONDS,
    "destination-db": DATABASES,
    "db": DATABASES,
    "index": INTEGERS,
    "index1": DATABASES,
    "index2": DATABASES,
    "type": TYPES,
    "increment": (*INTEGERS, *FLOATS),
    "parameter": CONFIG_NAMES,
    "command-name": COMMAND_NAMES,
    "command": (b"get", b"SET", b"mget", b"msetex", b"nosuch", b"lmpop", b"lcs"),
    "field": FIELDS,
    "cursor": (b"0", b"0", b"0", b"1", b"x", b"18446744073709551615", b"18446744073709551616", b"-1"),
    "protover": (b"2", b"3", b"4", b"1", b"x", b"", b"02"),
    "clientname": (b"me", b"a b", b"", b"x\n", b"name-1"),
    "connection-name": (b"me", b"a b", b"", b"x\n", b"name-1", b"\xff"),
    "encoding": (b"u8", b"i8", b"u1", b"i5", b"u63", b"i64", b"i16", b"u31", b"u64", b"i65", b"i0", b"u", b"x8", b"U8"),
    "element": (*STRINGS, *INTEGERS),
    "version": (b"5", b"6", b"7", b"x"),
    "min": RANGE_ENDS,
    "max": RANGE_ENDS,
    "start": (*INTEGERS, *RANGE_ENDS),
    "stop": (*INTEGERS, *RANGE_ENDS),
    "member": (*STRINGS, *INTEGERS),
}


@dataclass(frozen=True)
class Argument:
    """One node of a command's argument tree."""

    name: str
    type: str
    token: bytes | None = None
    flags: frozenset[str] = frozenset()
    parts: tuple["Argument", ...] = ()


@dataclass(frozen=True)
class Shape:
    """A command's name in words and its arguments."""

    words: tuple[bytes, ...]
    arguments: tuple[Argument, ...] = ()


def read_shapes(wire: Wire, names: list[str]) -> dict[str, Shape]:
    """Ask the server for the argument trees of `names` (subcommands written `CONTAINER|NAME`)."""
    shapes = {}
    for name in names:
        reply = wire.call("COMMAND", "DOCS", name.lower())
        docs = _as_map(reply)
        assert docs, f"the reference does not know {name}"
        document = _as_map(next(iter(docs.values())))
        arguments = document.get(b"arguments")
        words = tuple(word.encode() for word in name.split("|"))
        shapes[name] = Shape(words, tuple(_argument(item) for item in arguments.items) if arguments else ())
    return shapes


def _as_map(reply: Reply) -> dict[bytes, Reply]:
    names, values = reply.items[::2], reply.items[1::2]
    return {name.text: value for name, value in zip(names, values, strict=True)}


def _argument(reply: Reply) -> Argument:
    fields = _as_map(reply)
    return Argument(
        name=fields[b"name"].text.decode(),
        type=fields[b"type"].text.decode(),
        token=fields[b"token"].text if b"token" in fields else None,
        flags=frozenset(flag.text.decode() for flag in fields[b"flags"].items) if b"flags" in fields else frozenset(),
        parts=tuple(_argument(item) for item in fields[b"arguments"].items) if b"arguments" in fields else (),
    )


@dataclass
class Generator:
    """Requests for commands of known shapes, from one seed."""

    shapes: dict[str, Shape]
    seed: int
    choose: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.choose = random.Random(self.seed)

    def request(self, name: str) -> Request:
        """One request for the command; most are well formed."""
        shape = self.shapes[name]
        arguments = self._all(shape.arguments)
        dice = self.choose.random()
        if dice < 0.15:
            arguments = self._damaged(arguments)
        elif dice < 0.45 and arguments:
            arguments[self.choose.randrange(len(arguments))] = self._edge()
        words = [self._any_case(word) for word in shape.words]
        return _without_large_bitmaps(_without_short_times((*words, *arguments)))

    def seeds(self) -> list[Request]:
        """Requests that give a group something to work on: each type, short and long."""
        number, text = self.choose.choice(INTEGERS), self.choose.choice(STRINGS)
        elements = [self.choose.choice(STRINGS[:-5]) for _ in range(self.choose.randrange(1, 12))]
        long_list = [b"%d" % (index * index) if index % 3 else b"element" * (index % 40) for index in range(300)]
        return [
            (b"SET", b"s", text),
            (b"SET", b"n", number),
            (b"RPUSH", b"l", *elements),
            (b"RPUSH", b"m", *long_list),
            (b"SADD", b"i", *INTEGERS[: self.choose.randrange(1, 17)]),
            (b"SADD", b"t", *self.choose.choice((elements, long_list))),
            (b"HSET", b"h", *elements, *elements),
            (b"HSET", b"H", *(part for index, value in enumerate(long_list) for part in (b"f%d" % index, value))),
            (b"ZADD", b"z", *self._scored(elements)),
            (b"ZADD", b"w", *self._scored(long_list)),
            (b"SET", b"e", text, b"EX", b"100000"),
        ]

    def _scored(self, members: list[bytes]) -> list[bytes]:
        """Scores and members in turns."""
        return [part for member in members for part in (self.choose.choice((*INTEGERS, *FLOATS)), member)]

    def _all(self, arguments: tuple[Argument, ...]) -> list[bytes]:
        """The arguments in order; a `numkeys` or `numfields` gets the number of repetitions of what follows it."""
        produced: list[bytes] = []
        count_at: int | None = None
        for argument in arguments:
            if "optional" in argument.flags and self.choose.random() < 0.5:
                continue
            if argument.name in ("numkeys", "numfields"):
                count_at = len(produced)
                produced.append(b"0")
                continue
            repetitions = self.choose.choice((1, 1, 2, 3, 5)) if "multiple" in argument.flags else 1
            for repetition in range(repetitions):
                if argument.token is not None and (repetition == 0 or "multiple_token" in argument.flags):
                    produced.append(self._any_case(argument.token))
                produced += self._one(argument)
            if count_at is not None:
                produced[count_at] = b"%d" % repetitions
                count_at = None
        return produced

    def _one(self, argument: Argument) -> list[bytes]:
        """The values of one argument, without its token."""
        if argument.type == "pure-token":
            return []
        if argument.type == "oneof":
            return self._all((self.choose.choice(argument.parts),))
        if argument.type == "block":
            return self._all(argument.parts)
        pool = VALUE_POOLS.get(argument.name) or VALUE_POOLS.get(argument.type) or STRINGS
        return [self.choose.choice(pool)]

    def _edge(self) -> bytes:
        return self.choose.choice((*EDGE_NUMBERS, *STRINGS, *KEYS))

    def _damaged(self, arguments: list[bytes]) -> list[bytes]:
        kind = self.choose.randrange(5)
        if kind == 0 or not arguments:
            return [*arguments, self._edge()]
        at = self.choose.randrange(len(arguments))
        if kind == 1:
            return arguments[:at] + arguments[at + 1 :]
        if kind == 2:
            return [*arguments[: at + 1], *arguments[at:]]
        if kind == 3:
            return arguments[:at]
        other = self.choose.randrange(len(arguments))
        arguments[at], arguments[other] = arguments[other], arguments[at]
        return arguments

    def _any_case(self, word: bytes) -> bytes:
        return self.choose.choice((word, word, word.lower(), word.swapcase(), word.title()))


def _without_short_times(request: Request) -> Request:
    """The request with every time that would run out during the test made long."""
    changed = list(request)
    for index, argument in enumerate(request):
        is_time = request[0].upper() in TIME_COMMANDS or request[index - 1].upper() in TIME_WORDS \
            or (index == 2 and request[0].upper() in FIELD_TIME_COMMANDS)
        if index and is_time and argument.isdigit() and 0 < int(argument) < SHORTEST_TIME and len(argument) < 8:
            changed[index] = b"%d" % (int(argument) + 1_000_000)
    return tuple(changed)


def _without_large_bitmaps(request: Request) -> Request:
    """The request with offsets of bits that would make hundreds of megabytes replaced by one that is refused."""
    if request[0].upper() not in (b"SETBIT", b"BITFIELD"):
        return request
    return tuple(b"4294967296" if part.isdigit() and 10**8 < int(part) < 2**32 else part for part in request)
