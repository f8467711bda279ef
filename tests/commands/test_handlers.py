"""Python handlers of generic and server commands on a real keyspace: what they answer, and the effects they tell of."""

from typing import Any, cast

import pytest

from ranvier import __version__
from ranvier.clock import VirtualClock
from ranvier.commands import debug, generic, memory, server, server_info, slowlog
from ranvier.commands.surroundings import Client
from ranvier.engine.store.handles import StandaloneKeyspace
from ranvier.errors import CommandError
from ranvier.observe.slowlog import KINDS, Slowlog
from ranvier.values import NoReply, Verbatim

WALL_MS = 1_700_000_000_123


class FakeServer:
    """A keyspace and a record of what was asked for."""

    def __init__(self) -> None:
        self.keyspace = StandaloneKeyspace()
        self.keyspace.wall_ms = WALL_MS
        self.databases = [self.keyspace.database(index) for index in range(4)]
        self.clock = VirtualClock(WALL_MS)
        self.engine = self
        self.lfu = False
        self.command_logs = {kind: Slowlog() for kind in KINDS}
        self.compresses = True
        self.asked: list[Any] = []

    def info_text(self, sections: list[str]) -> str:
        return "+".join(sections)

    def sleep(self, seconds: float) -> None:
        self.asked.append(seconds)

    def set_active_expire(self, on: bool) -> None:
        self.asked.append(on)

    def abort_shutdown(self) -> bool:
        return bool(self.asked)

    def shutdown(self, client: object, **options: Any) -> None:
        self.asked.append(options)


class FakeClient:
    deny_blocking = False

    def __init__(self) -> None:
        self.server = FakeServer()
        self.database = self.server.databases[0]
        self.effects: list[tuple[int, bytes, str]] = []

    def request_word(self, index: int) -> bytes:
        return (b"Container", b"Sub\0command")[index]

    def changed(self, key: bytes, event: str, event_class: int, propagated: None = None,
                database_index: int = -1) -> None:
        assert event_class == 1
        self.effects.append((database_index if database_index >= 0 else self.database.index, key, event))

    def database_changed(self, database_index: int, event: str, replacement_index: int = -1) -> None:
        self.effects.append((database_index, b"%d" % len(self.server.databases[database_index]), event))


@pytest.fixture
def fake() -> FakeClient:
    return FakeClient()


@pytest.fixture
def client(fake: FakeClient) -> Client:
    return cast(Client, fake)


def words(line: str) -> list[bytes]:
    return line.encode().split()


def fails(handler: Any, client: Client, line: str) -> str:
    with pytest.raises(CommandError) as caught:
        handler(client, words(line))
    return str(caught.value)


def test_keys_sees_everything_that_has_not_expired(fake: FakeClient, client: Client) -> None:
    names = {b"key:%d" % i for i in range(3000)}
    for name in names:
        fake.database.set(name, b"")
    fake.database.set(b"gone", b"")
    fake.database.set_expiry_ms(b"gone", WALL_MS - 1)
    found = cast(list[bytes], generic.keys(client, [b"*"]))
    assert len(found) == 3000 and set(found) == names
    assert sorted(cast(list[bytes], generic.keys(client, [b"key:[12]?"]))) == sorted(
        b"key:%d" % i for i in range(10, 30)
    )
    assert generic.keys(client, [b"gone"]) == []


def walk(client: Client, options: str) -> list[bytes]:
    position, found = b"0", []
    while True:
        position, some = cast(Any, generic.scan(client, [position, *words(options)]))
        found += some
        if position == b"0":
            return found


def test_scan_walks_filters_and_counts(fake: FakeClient, client: Client) -> None:
    for i in range(500):
        fake.database.set(b"%d" % i, b"")
    assert sorted(walk(client, "")) == sorted(b"%d" % i for i in range(500))
    assert sorted(walk(client, "match 4? count 7")) == [b"%d" % i for i in range(40, 50)]
    assert walk(client, "type LIST") == []
    assert len(walk(client, "count 1000 type string match 1 match *")) == 500


@pytest.mark.parametrize(("line", "error"), [
    ("x", "ERR invalid cursor"),
    ("-1", "ERR invalid cursor"),
    ("18446744073709551616", "ERR invalid cursor"),
    ("0 count", "ERR syntax error"),
    ("0 count 0", "ERR syntax error"),
    ("0 count x", "ERR value is not an integer or out of range"),
    ("0 count 01", "ERR value is not an integer or out of range"),
    ("0 foo bar", "ERR syntax error"),
    ("0 type foo", "ERR unknown type name 'foo'"),
])
def test_scan_refuses(client: Client, line: str, error: str) -> None:
    assert fails(generic.scan, client, line) == error


def test_rename_and_renamenx(fake: FakeClient, client: Client) -> None:
    fake.database.set(b"a", b"1")
    fake.database.set(b"b", b"2")
    assert generic.rename(client, words("a a")) == "OK"
    assert generic.renamenx(client, words("a a")) == generic.renamenx(client, words("a b")) == 0
    assert fake.effects == []
    assert generic.rename(client, words("a b")) == "OK"
    assert generic.renamenx(client, words("b c")) == 1
    assert fake.database.get(b"c") == b"1" and len(fake.database) == 1
    assert fake.effects == [
        (0, b"a", "rename_from"), (0, b"b", "rename_to"), (0, b"b", "rename_from"), (0, b"c", "rename_to"),
    ]
    assert fails(generic.rename, client, "no x") == fails(generic.renamenx, client, "no x") == "ERR no such key"


def test_copy(fake: FakeClient, client: Client) -> None:
    fake.database.set(b"a", b"1")
    fake.database.set_expiry_ms(b"a", WALL_MS + 5000)
    assert generic.copy(client, words("a b")) == 1
    assert fake.database.expiry_ms(b"b") == WALL_MS + 5000
    assert generic.copy(client, words("a b")) == 0
    assert generic.copy(client, words("a b REPLACE")) == 1
    assert generic.copy(client, words("a a db 2")) == 1
    assert generic.copy(client, words("no a replace")) == 0
    assert fake.effects == [(0, b"b", "copy_to"), (0, b"b", "copy_to"), (2, b"a", "copy_to")]
    assert fake.server.databases[2].get(b"a") == b"1"
    same = "ERR source and destination objects are the same"
    assert fails(generic.copy, client, "a a") == fails(generic.copy, client, "a a db 2 db 0") == same
    assert fails(generic.copy, client, "a z db 99") == "ERR DB index is out of range"
    assert fails(generic.copy, client, "a z db x") == "ERR value is not an integer or out of range"
    assert fails(generic.copy, client, "a z db") == fails(generic.copy, client, "a z foo") == "ERR syntax error"


def test_move(fake: FakeClient, client: Client) -> None:
    fake.database.set(b"a", b"1")
    assert generic.move(client, words("a 3")) == 1
    assert fake.effects == [(0, b"a", "move_from"), (3, b"a", "move_to")]
    fake.database.set(b"a", b"2")
    assert generic.move(client, words("a 3")) == generic.move(client, words("no 3")) == 0
    assert fake.server.databases[3].get(b"a") == b"1"
    assert fails(generic.move, client, "a 0") == "ERR source and destination objects are the same"
    assert fails(generic.move, client, "a 4") == "ERR DB index is out of range"
    assert len(fake.effects) == 2


def test_touch_and_randomkey(fake: FakeClient, client: Client) -> None:
    assert generic.randomkey(client, []) is None
    fake.database.set(b"a", b"1")
    assert generic.randomkey(client, []) == b"a"
    assert generic.touch(client, words("a b a")) == 2


def test_object(fake: FakeClient, client: Client) -> None:
    fake.database.set(b"a", b"x")
    assert generic.object_encoding(client, [b"a"]) == b"embstr"
    assert generic.object_refcount(client, [b"a"]) == 1
    assert generic.object_idletime(client, [b"a"]) == 0
    for handler in (generic.object_encoding, generic.object_refcount, generic.object_idletime, generic.object_freq):
        assert handler(client, [b"no"]) is None
    assert fails(generic.object_freq, client, "a").startswith("ERR An LFU maxmemory policy is not selected")
    fake.server.lfu = True
    assert isinstance(generic.object_freq(client, [b"a"]), int)
    assert fails(generic.object_idletime, client, "a").startswith("ERR An LFU maxmemory policy is selected")


def test_flush_tells_before_the_keys_are_gone(fake: FakeClient, client: Client) -> None:
    for database in fake.server.databases[:2]:
        database.set(b"a", b"1")
    assert server.dbsize(client, []) == 1
    assert server.flushdb(client, words("async")) == "OK"
    assert fake.effects == [(0, b"1", "flushdb")]
    assert server.dbsize(client, []) == 0
    assert server.flushall(client, words("SYNC")) == "OK"
    assert fake.effects[1:] == [(0, b"0", "flushdb"), (1, b"1", "flushdb"), (2, b"0", "flushdb"), (3, b"0", "flushdb")]
    assert len(fake.server.databases[1]) == 0
    for line in ("foo", "async sync"):
        assert fails(server.flushdb, client, line) == fails(server.flushall, client, line) == "ERR syntax error"


def test_swapdb(fake: FakeClient, client: Client) -> None:
    fake.database.set(b"a", b"1")
    assert server.swapdb(client, words("0 0")) == "OK"
    assert fake.effects == []
    assert server.swapdb(client, words("0 2")) == "OK"
    assert fake.effects == [(0, b"1", "swapdb"), (2, b"0", "swapdb")]
    assert fake.server.databases[2].get(b"a") == b"1" and server.dbsize(client, []) == 0
    assert fails(server.swapdb, client, "x 1") == "ERR invalid first DB index"
    assert fails(server.swapdb, client, "0 x") == "ERR invalid second DB index"
    for line in ("0 99", "-1 0"):
        assert fails(server.swapdb, client, line) == "ERR DB index is out of range"


@pytest.mark.parametrize(("line", "options"), [
    ("", {"save": None, "now": False, "force": False, "safe": False, "failover": False}),
    ("nosave", {"save": False, "now": False, "force": False, "safe": False, "failover": False}),
    ("SAVE now FORCE", {"save": True, "now": True, "force": True, "safe": False, "failover": False}),
    ("safe failover now now", {"save": None, "now": True, "force": False, "safe": True, "failover": True}),
])
def test_shutdown(fake: FakeClient, client: Client, line: str, options: dict[str, object]) -> None:
    assert server.shutdown(client, words(line)) is NoReply
    assert fake.server.asked == [options]


def test_shutdown_refuses(fake: FakeClient, client: Client) -> None:
    for line in ("foo", "save nosave", "abort now", "nosave abort"):
        assert fails(server.shutdown, client, line) == "ERR syntax error"
    assert fails(server.shutdown, client, "abort") == "ERR No shutdown in progress."
    fake.server.asked.append("a shutdown")
    assert server.shutdown(client, words("abort abort")) == "OK"


def test_memory_usage(fake: FakeClient, client: Client) -> None:
    fake.database.set(b"a", b"x" * 100)
    assert 100 < cast(int, memory.memory_usage(client, words("a samples 0 samples 3"))) < 300
    assert memory.memory_usage(client, [b"no"]) is None
    for line in ("a foo 1", "a samples", "a samples -1"):
        assert fails(memory.memory_usage, client, line) == "ERR syntax error"
    assert fails(memory.memory_usage, client, "a samples x") == "ERR value is not an integer or out of range"


def test_debug(fake: FakeClient, client: Client) -> None:
    fake.database.set(b"a", b"x")
    assert debug.debug(client, words("sleep 0.5")) == debug.debug(client, words("SLEEP x")) == "OK"
    assert debug.debug(client, words("set-active-expire 0")) == debug.debug(client, words("sleep -1")) == "OK"
    assert fake.server.asked == [0.5, 0.0, False, 0.0]
    assert str(debug.debug(client, words("object a"))).startswith("Value at:0x0 refcount:1 encoding:embstr ")
    assert fails(debug.debug, client, "object no") == "ERR no such key"
    assert fails(debug.debug, client, "nosuch") == (
        "ERR unknown subcommand or wrong number of arguments for 'nosuch'. Try DEBUG HELP."
    )


def test_time(client: Client) -> None:
    assert server.time(client, []) == [b"1700000000", b"123000"]


def test_lolwut(client: Client) -> None:
    drawn = cast(Verbatim, server.lolwut(client, []))
    assert drawn.format == "txt" and drawn.text.decode().endswith(f"Ranvier ver. {__version__}\n")
    assert server.lolwut(client, words("version 5 1 2")) == server.lolwut(client, words("1 2"))
    assert len(cast(Verbatim, server.lolwut(client, words("999999999 999999999"))).text) < 100_000
    assert fails(server.lolwut, client, "version x") == "ERR value is not an integer or out of range"
    for line in ("foo", "version"):
        assert fails(server.lolwut, client, line).startswith("ERR Syntax error.")


def test_info_lowers_section_names(client: Client) -> None:
    assert server_info.info(client, []) == Verbatim("default")
    assert server_info.info(client, words("Server CPU")) == Verbatim("server+cpu")


def test_slowlog(fake: FakeClient, client: Client) -> None:
    for i in range(12):
        fake.server.command_logs["slow"].note(i, [b"get", b"%d" % i], "1.2.3.4:5", b"me", 1_700_000_000)
    assert slowlog.slowlog_len(client, []) == 12
    assert cast(Any, slowlog.slowlog_get(client, [b"1"])) == [
        [11, 1_700_000_000, 11, [b"get", b"11"], b"1.2.3.4:5", b"me"],
    ]
    assert len(cast(Any, slowlog.slowlog_get(client, []))) == 10
    assert len(cast(Any, slowlog.slowlog_get(client, [b"-1"]))) == 12
    for line in ("-2", "x"):
        assert fails(slowlog.slowlog_get, client, line) == "ERR count should be greater than or equal to -1"
    assert fails(slowlog.slowlog_get, client, "1 2").endswith(" arguments for 'Sub'. Try SLOWLOG HELP.")
    assert slowlog.slowlog_reset(client, []) == "OK"
    assert slowlog.slowlog_len(client, []) == 0
