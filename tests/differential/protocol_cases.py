"""Raw bytes for every rule of request parsing (lifecycle A3), compared between Ranvier and Valkey byte for byte."""

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["answers", "closes", "waits"]

BULK_LIMIT = 512 * 1024 * 1024
INLINE_LIMIT = 64 * 1024


@dataclass(frozen=True)
class Case:
    """`data` is sent in one piece; `outcome` says whether the connection goes on, is closed, or waits for more.

    `then` completes what a waiting connection lacks. `cuttable` is False where closing drops replies of the same read.
    """

    rule: str
    name: str
    data: bytes
    outcome: Outcome
    then: bytes = b""
    cuttable: bool = True


def bulk(*arguments: bytes) -> bytes:
    return b"*%d\r\n" % len(arguments) + b"".join(b"$%d\r\n%s\r\n" % (len(a), a) for a in arguments)


def _answers(rule: str, *cases: tuple[str, bytes]) -> list[Case]:
    return [Case(rule, name, data, "answers") for name, data in cases]


def _closes(rule: str, *cases: tuple[str, bytes]) -> list[Case]:
    return [Case(rule, name, data, "closes") for name, data in cases]


def _waits(rule: str, *cases: tuple[str, bytes, bytes]) -> list[Case]:
    return [Case(rule, name, data, "waits", then) for name, data, then in cases]


PING = bulk(b"PING")

CASES = [
    *_answers("a3_01", ("empty line", b"\r\n"), ("empty lines", b"\r\n\n\r\n"), ("then multibulk", b"\r\n" + PING)),
    *_answers("a3_01", ("spaces only", b"   \r\n"), ("tab only", b"\t\r\n"), ("empty between", PING + b"\r\n" + PING)),
    *_answers("a3_02", ("no arguments", b"*0\r\n"), ("negative count", b"*-10\r\n"), ("minus one", b"*-1\r\n")),
    *_answers("a3_02", ("smallest count", b"*-9223372036854775808\r\n"), ("inline after none", b"*0\r\nPING\r\n")),
    *_closes(
        "a3_03",
        ("count beyond int", b"*3000000000\r\n"),
        ("count 2^31", b"*2147483648\r\n"),
        ("count beyond 64 bits", b"*99999999999999999999\r\n"),
        ("count zero-padded", b"*01\r\n"),
        ("count signed", b"*+1\r\n"),
        ("count spaced", b"* 1\r\n"),
        ("count trailing space", b"*1 \r\n"),
        ("count no number", b"*abc\r\n"),
        ("count empty", b"*\r\n"),
        ("count minus", b"*-\r\n"),
        ("count minus zero", b"*-0\r\n"),
        ("count negative padded", b"*-01\r\n"),
        ("count with tab", b"*\t1\r\n"),
        ("count hexadecimal", b"*0x1\r\n"),
        ("count with NUL", b"*1\x00\r\n"),
        ("count below int", b"*-9223372036854775809\r\n"),
    ),
    *_closes("a3_04", ("count too long", b"*" + b"1" * (INLINE_LIMIT + 1))),
    *_closes("a3_04", ("bulk too long", b"*1\r\n$" + b"1" * (INLINE_LIMIT + 1))),
    *_closes(
        "a3_05",
        ("no dollar", b"*1\r\nfoo\r\n"),
        ("colon", b"*1\r\n:1\r\n"),
        ("star", b"*1\r\n*1\r\n"),
        ("CR", b"*1\r\n\r\n"),
        ("CR before a number", b"*1\r\n\r4\r\n"),
        ("NUL", b"*1\r\n\x00\r\n"),
        ("high byte", b"*1\r\n\xff\r\n"),
        ("LF", b"*1\r\n\n\r\n"),
        ("second argument", b"*2\r\n$4\r\nECHO\r\nX3\r\n"),
        ("quote", b"*1\r\n'\r\n"),
    ),
    *_closes(
        "a3_06",
        ("bulk negative", b"*1\r\n$-10\r\n"),
        ("bulk minus one", b"*1\r\n$-1\r\n"),
        ("bulk no number", b"*1\r\n$blabla\r\n"),
        ("bulk over the limit", b"*1\r\n$%d\r\n" % (BULK_LIMIT + 1)),
        ("bulk empty length", b"*1\r\n$\r\n"),
        ("bulk signed", b"*1\r\n$+4\r\n"),
        ("bulk zero-padded", b"*1\r\n$04\r\n"),
        ("bulk minus zero", b"*1\r\n$-0\r\n"),
        ("bulk spaced", b"*1\r\n$ 4\r\n"),
        ("bulk beyond 64 bits", b"*1\r\n$99999999999999999999\r\n"),
        ("bulk after a good argument", b"*2\r\n$4\r\nECHO\r\n$-5\r\n"),
        ("bulk underscore", b"*1\r\n$1_0\r\n"),
    ),
    *_waits("a3_06", ("bulk at the limit", b"*2\r\n$4\r\nECHO\r\n$%d\r\n" % BULK_LIMIT, b"")),
    *_waits("a3_09", ("inline at the limit", b"x" * INLINE_LIMIT, b"")),
    *_closes("a3_09", ("inline over the limit", b"x" * (INLINE_LIMIT + 1))),
    *_closes(
        "a3_10",
        ("double quote open", b'ECHO "abc\r\n'),
        ("single quote open", b"ECHO 'abc\r\n"),
        ("quote opened late", b'ECHO a"b\r\n'),
        ("backslash at the end", b'ECHO "abc\\\r\n'),
        ("lone quote", b'"\r\n'),
        ("single in double", b"ECHO \"a'\r\n"),
    ),
    *_closes(
        "a3_11",
        ("bulk without CRLF", b"*1\r\n$4\r\nPINGxx"),
        ("bulk with LF CR", b"*1\r\n$4\r\nPING\n\r"),
        ("bulk with CR only", b"*1\r\n$4\r\nPING\rx"),
        ("count CR without LF", b"*1\rx$4\r\nPING\r\n"[:4]),
        ("length CR without LF", b"*1\r\n$4\rxPING\r\n"[:8]),
        ("bulk longer than said", b"*1\r\n$4\r\nPINGS\r\n"[:14]),
    ),
    *_answers("a3_13", ("LF only", b"PING\n"), ("LF then CRLF", b"PING\nPING\r\n"), ("CR inside", b"PI\rNG\r\n")),
    *_waits("a3_13", ("multibulk LF only", b"*1\n$4\nPING\n", b"")),
    *_waits("a3_14", ("NUL before LF", b"PI\x00NG\r\n", b"")),
    *_waits("a3_14", ("NUL first", b"\x00\r\n", b"")),
    *_closes("a3_16", ("replies before the error", PING + b"ECHO a\r\n" + bulk(b"ECHO", b"b") + b"*x\r\n")),
    *_closes("a3_16", ("nothing after the error", PING + b"*1\r\n:1\r\n")),
    *_answers(
        "a3_18",
        ("hexadecimal", rb'ECHO "\x41\x00\xff\xzz"' + b"\r\n"),
        ("letters", rb'ECHO "\n\r\t\b\a\q\""' + b"\r\n"),
        ("single quotes", rb"ECHO 'a\'b\n\\'" + b"\r\n"),
        ("quotes in a word", b'ECHO a"b c"\r\n'),
        ("single quotes in a word", b"ECHO a'b c'\r\n"),
        ("closing quote, then more", b'ECHO "a"b\r\n'),
        ("closing quote, then quote", b"ECHO \"a\"'b'\r\n"),
        ("empty argument", b'ECHO ""\r\n'),
        ("empty single", b"ECHO ''\r\n"),
        ("many spaces", b"  ECHO \t  a  \r\n"),
        ("vertical tab is no space", b"ECHO a\x0bb\r\n"),
        ("form feed is no space", b"ECHO a\x0cb\r\n"),
        ("CR is a space", b"ECHO a \r\r\n"),
        ("hexadecimal cut", rb'ECHO "\x4"' + b"\r\n"),
        ("high bytes", b"ECHO \xc3\xbc\xfe\r\n"),         # Valkey 9.1 drops 0xff bytes; Ranvier does not
        ("two backslashes in single quotes", rb"ECHO 'a\\'" + b"\r\n"),
        ("other escapes in single quotes", rb"ECHO 'a\x41\n\''" + b"\r\n"),
        ("empty command", b'""\r\n'),
        ("backslash outside quotes", b"ECHO a\\n\r\n"),
        ("comment sign", b"# PING\r\n"),
    ),
    *_closes("a3_19", ("POST", b"POST / HTTP/1.1\r\n"), ("host lower case", b"host: x\r\n"), ("Host", b"Host: x\r\n")),
    *_closes("a3_19", ("POST as multibulk", bulk(b"post", b"x"))),
    Case("a3_19", "POST after a PING", PING + b"POST x\r\n", "closes", cuttable=False),
    *_answers("a3_19", ("GET as HTTP", b"GET / HTTP/1.1\r\n"), ("HEAD", b"HEAD / HTTP/1.1\r\n"), ("host", b"host\r\n")),
    *_answers(
        "a3_20",
        ("CRLF in the name", bulk(b"fo\r\no", b"a\r\nb")),
        ("high bytes in the name", bulk(b"\xff\xfe")),
        ("CRLF in a subcommand", bulk(b"CLIENT", b"a\r\nb")),
        ("long name", bulk(b"n" * 300)),
        ("long subcommand", bulk(b"OBJECT", b"n" * 300, b"x")),
        ("long arguments", bulk(b"nosuch", *[b"a" * 50] * 5)),
        ("many arguments", bulk(b"nosuch", *[b"%d" % i for i in range(60)])),
        ("one argument over 128", bulk(b"nosuch", b"z" * 200, b"y")),
        ("empty name", bulk(b"")),
        ("empty argument", bulk(b"nosuch", b"")),
    ),
    *_answers(
        "a4_04",
        ("too few", bulk(b"GET")),
        ("too many", bulk(b"GET", b"a", b"b")),
        ("subcommand", bulk(b"CLIENT", b"SETNAME")),
        ("container alone", bulk(b"CLIENT")),
        ("upper case is shown lower", bulk(b"ECHO")),
        ("unknown subcommand", bulk(b"CLIENT", b"NOSUCH", b"x")),
        ("subcommand too many", bulk(b"client", b"id", b"x")),
    ),
    *_waits("a2_11", ("2^31-1 arguments announced", b"*2147483647\r\n", b"")),
    *_waits("a2_11", ("one argument of many", b"*2147483647\r\n$4\r\nPING\r\n", b"")),
    *_answers("a2_02", ("32 KB bulk", bulk(b"ECHO", b"e" * 32768)), ("above", bulk(b"ECHO", b"e" * 32769) + PING)),
    *_answers("a2_02", ("big ones in a row", bulk(b"ECHO", b"1" * 40000) * 3), ("below", bulk(b"ECHO", b"e" * 32767))),
    *_answers("a2_02", ("1 MB", bulk(b"ECHO", bytes(range(256)) * 4096) + b"PING\r\n")),
    *_waits("a2_02", ("tail of a big bulk", b"*2\r\n$4\r\nECHO\r\n$40000\r\n" + b"t" * 39999, b"t\r\n" + PING)),
    *_waits("a2_02", ("CRLF of a big bulk", b"*2\r\n$4\r\nECHO\r\n$40000\r\n" + b"t" * 40000 + b"\r", b"\n" + PING)),
    *_waits("a2_01", ("half a header", b"*1", b"\r\n$4\r\nPING\r\n")),
    *_waits("a2_01", ("CR without LF yet", b"*1\r", b"\n$4\r\nPING\r\n")),
    *_waits("a2_01", ("half an inline", b"PI", b"NG\r\n")),
    *_waits("a2_01", ("half a bulk", b"*1\r\n$4\r\nPI", b"NG\r\n")),
]

# The same as a default user with a password sees it: A2-5, A4-6.
UNAUTHENTICATED_CASES = [
    *_closes("a3_07", ("eleven arguments", b"*11\r\n"), ("eleven after a reply", PING + b"*11\r\n")),
    *_answers("a3_07", ("ten arguments", bulk(b"SET", *[b"x"] * 9))),
    *_closes("a3_08", ("bulk of 16385", b"*2\r\n$4\r\nAUTH\r\n$16385\r\n")),
    *_answers("a3_08", ("bulk of 16384", bulk(b"AUTH", b"p" * 16384))),
    *_answers(
        "a4_06",
        ("known command", bulk(b"GET", b"a")),
        ("unknown command", bulk(b"nosuch", b"a")),
        ("wrong arity", bulk(b"GET")),
        ("unknown subcommand", bulk(b"CLIENT", b"NOSUCH")),
        ("wrong password", bulk(b"AUTH", b"wrong")),
        ("wrong user", bulk(b"AUTH", b"nobody", b"wrong")),
        ("AUTH arity", bulk(b"AUTH")),
        ("HELLO", bulk(b"HELLO", b"3")),
        ("HELLO with a wrong password", bulk(b"HELLO", b"3", b"AUTH", b"default", b"wrong")),
        ("RESET", bulk(b"RESET") + PING),
        ("right password", bulk(b"AUTH", b"secret") + bulk(b"PING")),
        ("right password and user", bulk(b"AUTH", b"default", b"secret") + bulk(b"PING")),
        ("RESET after AUTH", bulk(b"AUTH", b"secret") + bulk(b"RESET") + bulk(b"PING")),
    ),
    *_closes("a7_03", ("QUIT", bulk(b"QUIT")), ("QUIT with arguments", bulk(b"QUIT", b"now"))),
]
