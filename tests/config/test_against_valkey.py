"""The option table, CONFIG GET and CONFIG SET held against a live Valkey 9.1.2."""

from collections.abc import Iterator

import pytest

from config.differences import ANSWERS, DEFAULTS, NOT_SET_ON_VALKEY, OVERFLOW, REDIS_ONLY
from config.reference import first_refusal
from harness.process import ServerProcess
from harness.wire import Wire
from ranvier.config.kinds import Memory, Octal
from ranvier.config.option import Option
from ranvier.config.option_table import FORGOTTEN, OPTION_BY_NAME, OPTIONS
from ranvier.config.options import Configuration
from ranvier.errors import CommandError, ConfigurationError

# Tried on every option: right for a few, wrong for most.
VALUES = [
    *("", " ", "yes", "NO", "x", "0", "1", "-1", "2", "007", "+1", " 1", "1 ", "1.5", "100", "101", "1001", "65536"),
    *("1048575", "1048576", "2147483647", "2147483648", "-2147483649", "4294967296"),
    *("9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616"),
    *("1k", "1Kb", "3mB", "1g", "1b", "1t", "kb", "-1kb", "10%", "100%", "101%", "%", "5%%"),
    *("a b", "x" * 300, "x" * 46, "+.5", "1 2", "1 2 3", "1 1 2 2", "900 1", "0 1", "1 -1"),
    *("1  2", "no one", "-2001 0 0", "-0"),
    *("normal 1 2 3", "normal 1mb 1kb 3 SLAVE 2 2 2", "pubsub 1 2", "master 1 2 3", "normal x 0 0", "normal 0 0 -1"),
    *("KEA", "AKEn", "Elsg", "g$lshzxetd", "knm", "nm", "notice", "DEBUG", "always", "allkeys-lfu", "local", "local3"),
    *("nosave now", "now nosave nosave", "save nosave", "default force", "safe", "50 99.9"),
    *("0.5 100.0001", "50.1234567"),
    *("127.0.0.1", "::1", "1.2.3", "host.name-1", "node_1", "{title}", "{title} {x}", "{"),
    *("a/b", "\xff\xfe", "two\nlines"),
]  # fmt: skip

# Ranvier's alone.
OWN = {option.name for option in OPTIONS if option.own}

# As a file takes them: without what a line cannot hold unquoted.
FILE_VALUES = ["", "yes", "x", "0", "-1", "777", "1000", "8", "65536", "9223372036854775808", "local", "a/b"]


def settable() -> list[str]:
    """All names, aliases included, that both servers let CONFIG SET try."""
    names = [name for name, option in OPTION_BY_NAME.items() if option.name not in REDIS_ONLY and not option.own]
    return [name for name in names if OPTION_BY_NAME[name].name not in NOT_SET_ON_VALKEY]


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    """A Valkey of our own: options are set in it."""
    server = ServerProcess("valkey")
    try:
        with server.connect() as wire:
            yield wire
    finally:
        server.stop()
        server.discard()


def config_get(wire: Wire, *patterns: str) -> dict[str, str]:
    items = [item.text.decode("utf-8", "surrogateescape") for item in wire.call("CONFIG", "GET", *patterns).items]
    return dict(zip(items[::2], items[1::2], strict=True))


def answer(configuration: Configuration, *pairs: tuple[str, str]) -> str:
    try:
        configuration.set(pairs)
    except CommandError as error:
        return error.text
    return "OK"


def reference_answer(wire: Wire, *pairs: tuple[str, str]) -> str:
    words = [word.encode("utf-8", "surrogateescape") for pair in pairs for word in pair]
    return wire.call("CONFIG", "SET", *words).text.decode("utf-8", "surrogateescape")


def test_every_default_is_that_of_valkey(wire: Wire) -> None:
    live = config_get(wire, "*")
    own = dict(Configuration().match(["*"]))
    assert set(own) - OWN == set(live)
    assert OWN.isdisjoint(live)
    different = {name for name in live if live[name] != own[name]}
    assert different <= set(DEFAULTS), {name: (live[name], own[name]) for name in different - set(DEFAULTS)}


def test_hidden_options_are_those_of_valkey(wire: Wire) -> None:
    hidden = [option.name for option in OPTIONS if option.hidden and option.name not in REDIS_ONLY]
    assert config_get(wire, *hidden) == dict(Configuration().match(hidden))


@pytest.mark.parametrize(
    "patterns",
    [
        ["hz"], ["HZ"], ["hz", "HZ"], ["HZ", "hz"], ["h?"], ["H?", "hz"], ["*z*"], ["[hx]z"], ["[^h]z", "t*out"],
        ["\\hz"],
        ["nosuch"], ["debug-contex*"], ["slave-priority", "replica-priority"], ["*-priority"], ["max*", "*mem*"],
        ["[a-c]*d"],
        ["h[z"], ["h\\*", "*[!z"], ["client-output*"], ["***************************************z"], ["\xff*"],
    ],
)  # fmt: skip
def test_config_get_finds_what_valkey_finds(wire: Wire, patterns: list[str]) -> None:
    own = {name: text for name, text in Configuration().match(patterns) if name not in OWN}
    live = config_get(wire, *patterns)
    assert set(own) == set(live)
    assert all(own[name] == live[name] for name in own if name not in DEFAULTS)


@pytest.mark.parametrize("name", settable())
def test_config_set_answers_as_valkey(wire: Wire, name: str) -> None:
    option = OPTION_BY_NAME[name]
    configuration = Configuration()
    before = config_get(wire, name)
    if option.mutable:
        configuration.load(option.name, [before[name]])
    values = [*VALUES, OVERFLOW] if not isinstance(option.kind, Memory) else VALUES
    for value in values:
        if (option.name, value) in ANSWERS:
            continue
        assert answer(configuration, (name, value)) == reference_answer(wire, (name, value)), value
        if option.mutable:
            assert dict(configuration.match([name])) == config_get(wire, name), value
    if option.mutable and not option.protected:
        assert reference_answer(wire, (name, before[name])) == "OK"


@pytest.mark.parametrize(
    "pairs",
    [
        [("nosuch", "1")], [("hz", "11"), ("NoSuch", "1")], [("hz", "11"), ("hz", "12")], [("HZ", "11"), ("hz", "12")],
        [("hz", "11"), ("timeout", "bad")], [("hz", "bad"), ("timeout", "bad")], [("hz", "bad"), ("nosuch", "1")],
        [("hz", "bad"), ("daemonize", "no")], [("daemonize", "no"), ("hz", "bad")],
        [("daemonize", "no"), ("nosuch", "1")],
        [("nosuch", "1"), ("daemonize", "no")], [("hz", "bad"), ("hz", "12")],
        [("hz", "1"), ("hz", "2"), ("nosuch", "1")],
        [("dir", "/"), ("hz", "bad")], [("TIMEOUT", "bad")], [("a\r\nb", "1")], [("", "")], [("dbfilename", "x")],
        [("slave-priority", "7"), ("replica-priority", "8")], [("timeout", "3"), ("tcp-keepalive", "4"), ("hz", "600")],
        [("timeout", "0"), ("tcp-keepalive", "300"), ("hz", "10"), ("replica-priority", "100")],
    ],
)  # fmt: skip
def test_config_set_takes_all_or_nothing_as_valkey(wire: Wire, pairs: list[tuple[str, str]]) -> None:
    names = ["hz", "timeout", "tcp-keepalive", "replica-priority"]
    configuration = Configuration()
    for name, text in config_get(wire, *names).items():
        configuration.load(name, [text])
    assert answer(configuration, *pairs) == reference_answer(wire, *pairs)
    assert dict(configuration.match(names)) == config_get(wire, *names)


def unsettable(option: Option) -> bool:
    return not option.mutable or option.protected


def file_options() -> list[Option]:
    """What only a file can set, so that CONFIG SET proves nothing about its values."""
    acting = {"dir", "hash-seed", "cluster-databases", "enable-debug-assert"}
    return [option for option in OPTIONS if unsettable(option) and option.name not in {*acting, *REDIS_ONLY}]


@pytest.mark.parametrize("option", file_options(), ids=lambda option: str(option.name))
def test_a_file_is_refused_as_by_valkey(option: Option) -> None:
    values = FILE_VALUES if not isinstance(option.kind, Octal) else [*FILE_VALUES, "0777", "-0"]
    for value in values if not option.kind.many else ["", "x", "a b"]:
        line = f'{option.name} "{value}"'
        refusal = first_refusal(line)
        try:
            Configuration().load(option.name, [value])
        except ConfigurationError as error:
            assert refusal is not None, line
            assert error.reason == refusal.reason, line
        else:
            assert refusal is None, line


@pytest.mark.parametrize("name", sorted(FORGOTTEN))
def test_forgotten_words_are_swallowed_with_one_value(name: str) -> None:
    for words in ([], ["1"], ["1", "2"]):
        refusal = first_refusal(" ".join([name, *words]))
        if refusal is None:
            Configuration().load(name, words)
        else:
            with pytest.raises(ConfigurationError, match=refusal.reason):
                Configuration().load(name, words)


def test_every_option_of_redis_7_is_known() -> None:
    """Names and whether a value can be given at all; the ranges are Valkey's."""
    lines = [f"{name} {Configuration().get(name)}" for name in REDIS_ONLY]
    assert first_refusal("\n".join(lines), program="redis-server") is None
