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


@pytest.mark.parametrize("score", ["1e7", "1e8", "-1e17", "123456789e8", "9007199254740993", "1234567e12", "1e21", "0"])
def test_digests_show_scores_as_valkeys(score: str, pair: tuple[Wire, Wire]) -> None:
    found = []
    for wire in pair:
        wire.call("ZADD", "k", score, "member")
        found.append(wire.call("DEBUG", "DIGEST-VALUE", "k").raw)
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
    "QUICKLIST-PACKED-THRESHOLD 0", "STRINGMATCH-TEST x", "SET-SKIP-CHECKSUM-VALIDATION 0", "SLEEP",
    "SET-ACTIVE-EXPIRE", "SET-SKIP-CHECKSUM-VALIDATION", "LOG", "LOG a b", "LOG a", "PROTOCOL",
    "PROTOCOL String", "PROTOCOL integer", "PROTOCOL double", "PROTOCOL bignum", "PROTOCOL null", "PROTOCOL array",
    "PROTOCOL set", "PROTOCOL map", "PROTOCOL attrib", "PROTOCOL verbatim", "PROTOCOL true", "PROTOCOL false",
    "PROTOCOL x", "PROTOCOL string x", "DICT-RESIZING 0", "DICT-RESIZING", "CLIENT-ENFORCE-REPLY-LIST 0",
    "HASHTABLE-CAN-ABORT-SHRINK x", "REPLYBUFFER RESIZING 1", "REPLYBUFFER RESIZING", "REPLYBUFFER x 1",
    "REPLYBUFFER peak-reset-time never", "REPLYBUFFER PEAK-RESET-TIME 100", "REPLYBUFFER PEAK-RESET-TIME x",
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


def test_the_packed_threshold_acts(pair: tuple[Wire, Wire]) -> None:
    """Elements from there on have nodes of their own, in lists that are quicklists already, too."""
    found = []
    for wire in pair:
        wire.call("RPUSH", "old", *("o" * 200 for _ in range(100)))
        wire.call("DEBUG", "QUICKLIST-PACKED-THRESHOLD", "100b")
        wire.call("RPUSH", "small", "x" * 99, "y" * 100, "z" * 101)
        wire.call("RPUSH", "old", *("p" * size for size in (99, 100, 101, 5, 5)))
        wire.call("RPUSH", "new", *("n" * size for size in (5000, 99, 99, 100, 5000)))
        wire.call("LSET", "new", 1, "m" * 100)
        wire.call("LINSERT", "new", "BEFORE", "n" * 100, "l" * 150)
        wire.call("DEBUG", "QUICKLIST-PACKED-THRESHOLD", 0)
        wire.call("RPUSH", "new", *("q" * 150 for _ in range(20)))
        found.append([
            fields(wire.call("DEBUG", "OBJECT", key).text, {b"encoding", b"ql_nodes", b"ql_avg_node"})
            for key in ("old", "small", "new")
        ])
    assert found[0] == found[1]


def test_log_writes_a_line(start_server: StartServer) -> None:
    server = start_server()
    with server.connect() as wire:
        assert wire.call("DEBUG", "LOG", "look\nhere").raw == b"+OK\r\n"
    assert "# DEBUG LOG: look" in server.log()


def test_a_push_leaves_behind_the_reply(pair: tuple[Wire, Wire]) -> None:
    found = []
    for wire in pair:
        resp3 = wire.call("GET", "no").raw == b"_\r\n"
        for words in (("DEBUG", "PROTOCOL", "push"), ("MULTI",), ("DEBUG", "PROTOCOL", "push"), ("PING",), ("EXEC",)):
            wire.send_command(*words)
        found.append([wire.reply().raw for _ in range(7 if resp3 else 5)])
        wire.call("PING")
    assert found[0] == found[1]


def test_one_pattern_and_a_long_text(pair: tuple[Wire, Wire]) -> None:
    """Of Redis before 7: Valkey has it no more."""
    wire = pair[0]
    assert wire.call("DEBUG", "STRINGMATCH-LEN", 50_000, "a*a*a*a*b").number == 0
    assert wire.call("DEBUG", "STRINGMATCH-LEN", 5, "a?a*").number == 1
    assert wire.call("DEBUG", "STRINGMATCH-LEN", -1, "a").is_error
    assert wire.call("DEBUG", "STRINGMATCH-LEN", 2**40, "a").is_error
    # Valkey 9.1.2 crashes in its own test now and then.
    assert wire.call("DEBUG", "STRINGMATCH-TEST").raw == b"+Apparently the server did not crash: test passed\r\n"


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
