"""DEBUG: digests equal Valkey's for every type, whatever the encoding; and what the other subcommands answer."""

from collections.abc import Iterator

import pytest

from commands.test_dump import HERE, IMPLEMENTED, VALUES, make
from harness.process import ServerProcess, StartServer
from harness.wire import Wire


@pytest.fixture(params=[2, 3])
def pair(request: pytest.FixtureRequest, server: ServerProcess, valkey: ServerProcess) -> Iterator[tuple[Wire, Wire]]:
    with server.connect(protocol=request.param) as ours, valkey.connect(protocol=request.param) as theirs:
        for wire in (ours, theirs):
            wire.call("FLUSHALL")
        yield ours, theirs
        for wire in (ours, theirs):
            wire.call("FLUSHALL")


@pytest.mark.parametrize("name", HERE)
def test_digests_are_valkeys(name: str, pair: tuple[Wire, Wire]) -> None:
    found = []
    for wire in pair:
        make(wire, name)
        digests = [wire.call("DEBUG", "DIGEST-VALUE", "k", "no").raw, wire.call("DEBUG", "DIGEST").raw]
        wire.call("EXPIRE", "k", "10000")
        found.append([*digests, wire.call("DEBUG", "DIGEST-VALUE", "k").raw])
    assert found[0] == found[1]


def test_the_digest_of_several_databases(pair: tuple[Wire, Wire]) -> None:
    found = []
    for wire in pair:
        digests = [wire.call("DEBUG", "DIGEST").raw]
        for database in (3, 0, 9):
            wire.call("SELECT", database)
            for name in HERE:
                for verb, _, *rest in VALUES[name]:
                    if verb in ("SET", "RPUSH"):
                        wire.call(verb, f"{name}:{database}", *rest)
        digests.append(wire.call("DEBUG", "DIGEST").raw)
        wire.call("EXPIRE", "string int:9", 1000)
        found.append([*digests, wire.call("DEBUG", "DIGEST").raw])
    assert found[0] == found[1]
    assert len(set(found[0])) == 3


@pytest.mark.parametrize("name", HERE)
def test_reload_keeps_everything(name: str, pair: tuple[Wire, Wire]) -> None:
    wire = pair[0]
    make(wire, name)
    wire.call("PEXPIREAT", "k", 4102444800000)
    before = [wire.call("DEBUG", "DIGEST").raw, wire.call("OBJECT", "ENCODING", "k").raw]
    assert wire.call("DEBUG", "RELOAD").raw == b"+OK\r\n"
    assert [wire.call("DEBUG", "DIGEST").raw, wire.call("OBJECT", "ENCODING", "k").raw] == before
    assert wire.call("PEXPIRETIME", "k").number == 4102444800000


SAME = [
    "DIGEST x", "DIGEST-VALUE", "ERROR hello", "ERROR", "HTSTATS 1", "HTSTATS 99", "HTSTATS x", "HTSTATS -1", "HTSTATS",
    "HTSTATS-KEY no", "HTSTATS-KEY text", "HTSTATS-KEY l", "LISTPACK l", "LISTPACK text", "LISTPACK no", "LISTPACK",
    "LISTPACK q", "QUICKLIST q", "QUICKLIST q x", "QUICKLIST l", "QUICKLIST no", "OBJECT no", "OBJECT", "OBJECT a b c",
    "POPULATE 3", "POPULATE x", "POPULATE -1", "POPULATE 2 a 10", "POPULATE 2 b 1", "POPULATE 2 c -1", "POPULATE 2 c x",
    "POPULATE 2 a 1 1", "POPULATE 0", "POPULATE 3 text", "POPULATE", "QUICKLIST-PACKED-THRESHOLD 100b", "FOO",
    "QUICKLIST-PACKED-THRESHOLD 5gb", "QUICKLIST-PACKED-THRESHOLD x", "QUICKLIST-PACKED-THRESHOLD -1", "HELP x",
    "QUICKLIST-PACKED-THRESHOLD 4gb", "QUICKLIST-PACKED-THRESHOLD 1K", "QUICKLIST-PACKED-THRESHOLD 1x", "RELOAD x",
    "QUICKLIST-PACKED-THRESHOLD 0", "STRINGMATCH-TEST", "STRINGMATCH-TEST x", "SET-SKIP-CHECKSUM-VALIDATION 0", "SLEEP",
    "SET-ACTIVE-EXPIRE", "SET-SKIP-CHECKSUM-VALIDATION",
]


@pytest.mark.parametrize("line", SAME)
def test_replies_are_valkeys(line: str, pair: tuple[Wire, Wire]) -> None:
    found = []
    for wire in pair:
        wire.call("MSET", "text", "x", "text:1", "mine")
        wire.call("RPUSH", "l", "a", "1")
        wire.call("RPUSH", "q", *range(9000))
        replies = [wire.call("DEBUG", *line.split()).raw, wire.call("DBSIZE").raw]
        for key in ("key:0", "key:2", "a:1", "b:0", "text:0", "text:1"):
            replies.append(wire.call("GET", key).raw)
        found.append(replies)
    assert found[0] == found[1]


def fields(text: bytes, names: set[bytes]) -> list[bytes]:
    return [word for word in text.split() if word.partition(b":")[0] in names]


@pytest.mark.parametrize("rest", [(), ("fast",)])
def test_object(rest: tuple[str, ...], pair: tuple[Wire, Wire]) -> None:
    """Compressed lengths are each server's own: nothing here is long enough for that."""
    same = {b"refcount", b"encoding", b"serializedlength", b"ql_nodes", b"ql_avg_node",
            b"ql_listpack_max", b"ql_compressed", b"ql_uncompressed_size"}
    found = []
    for wire in pair:
        wire.call("CONFIG", "SET", "rdbcompression", "no")
        wire.call("SET", "s", "v")
        wire.call("SET", "n", "12345")
        wire.call("RPUSH", "l", "a", "b")
        wire.call("RPUSH", "q", *(f"m{number}" for number in range(2000)))
        wire.call("RPUSH", "p", *("x" * 5000, "y" * 9000, "z" * 5000))
        found.append([fields(wire.call("DEBUG", "OBJECT", key, *rest).text, same) for key in "snlqp"])
        wire.call("CONFIG", "SET", "rdbcompression", "yes")
    if not rest:
        found = [[[word for word in words if b"serializedlength" not in word or index < 3]
                  for index, words in enumerate(each)] for each in found]
    assert found[0] == found[1]


def test_hash_table_figures(pair: tuple[Wire, Wire]) -> None:
    wire = pair[0]
    wire.call("DEBUG", "POPULATE", 100)
    wire.call("EXPIRE", "key:1", 1000)
    text = wire.call("DEBUG", "HTSTATS", 0, "full").text
    assert b"[Dictionary HT]\nHash table 0 stats (main hash table):\n table size: " in text
    assert text.count(b" number of entries: 100\n") == 1
    assert text.endswith(b" number of entries: 1\n rehashing index: -1\n")
    if "SADD" in IMPLEMENTED:
        wire.call("SADD", "s", *(f"member:{number}" for number in range(200)))
        assert b" number of entries: 200\n" in wire.call("DEBUG", "HTSTATS-KEY", "s").text


def test_checksums_are_skipped_when_asked(start_server: StartServer) -> None:
    server = start_server()
    with server.connect() as wire:
        payload = b"\x00\x01v\x0a\x00" + bytes(8)
        assert wire.call("RESTORE", "k", 0, payload).is_error
        wire.call("DEBUG", "SET-SKIP-CHECKSUM-VALIDATION", 1)
        assert wire.call("RESTORE", "k", 0, payload).raw == b"+OK\r\n"
        assert wire.call("GET", "k").text == b"v"
        wire.call("DEBUG", "SET-SKIP-CHECKSUM-VALIDATION", 0)
        assert wire.call("RESTORE", "k", 0, payload, "REPLACE").is_error


def test_populate_tells_nobody_and_listpack_prints(start_server: StartServer) -> None:
    server = start_server()
    with server.connect() as wire, server.connect() as listener:
        wire.call("CONFIG", "SET", "notify-keyspace-events", "KEA")
        listener.call("PSUBSCRIBE", "__key*__:*")
        wire.call("DEBUG", "POPULATE", 5)
        wire.call("RPUSH", "l", "printed element")
        assert listener.reply().items[3].text == b"rpush"
        wire.call("DEBUG", "LISTPACK", "l")
        assert "printed element" in server.log()
