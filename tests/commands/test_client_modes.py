"""CLIENT NO-EVICT, NO-TOUCH, CAPA, IMPORT-SOURCE, HELP, RESET, and the line of CLIENT LIST (lifecycle A11)."""

import re

import pytest

from harness.memory import memory_client, memory_server, turn
from harness.process import ServerProcess
from harness.waiting import eventually
from harness.wire import Wire, encode_command
from ranvier.clock import VirtualClock
from ranvier.shells.memory import MemoryClient


def conversation(server: ServerProcess, *lines: str, protocol: int = 2) -> list[bytes]:
    with server.connect(protocol=protocol) as wire:
        return [reply.raw for reply in wire.pipeline([line.split() for line in lines])]


def say(client: MemoryClient, *lines: str) -> bytes:
    return client.talk(b"".join(encode_command(*line.split()) for line in lines))


def fields_of(line: bytes) -> dict[str, str]:
    """By name, in order."""
    return dict(field.split("=", 1) for field in line.decode().strip().split(" "))


def shown_fields(wire: Wire, *filters: str) -> dict[str, str]:
    lines = wire.call("CLIENT", "LIST", *filters).text.splitlines()
    assert len(lines) == 1, lines
    return fields_of(lines[0])


@pytest.mark.parametrize("protocol", [2, 3])
def test_a11_switches_answer_as_valkeys(server: ServerProcess, valkey: ServerProcess, protocol: int) -> None:
    """A11 NO-EVICT, A11 NO-TOUCH, A11 CAPA, A11 IMPORT-SOURCE, A14-9."""
    lines = [
        f"CLIENT {name} {word}"
        for name in ("NO-EVICT", "NO-TOUCH", "IMPORT-SOURCE", "CAPA")
        for word in ("ON", "on", "Off", "foo", "redirect", "ON OFF", "")
    ]
    lines += ["MULTI", "CLIENT NO-TOUCH ON", "CLIENT NO-EVICT ON", "CLIENT CAPA redirect", "GET nosuch", "EXEC"]
    assert conversation(server, *lines, protocol=protocol) == conversation(valkey, *lines, protocol=protocol)


# ---- NO-TOUCH --------------------------------------------------------------------------------------------------------

NO_TOUCH = [
    "SET k v", "GET k", "GET k", "OBJECT FREQ k", "CLIENT NO-TOUCH ON", "GET k", "STRLEN k", "APPEND k x",
    "GETRANGE k 0 1", "EXISTS k", "TYPE k", "TTL k", "EXPIRE k 100", "MGET k k", "OBJECT FREQ k", "TOUCH k nosuch k",
    "OBJECT FREQ k", "SET k v2", "OBJECT FREQ k", "GETSET k z", "OBJECT FREQ k", "COPY k copy", "OBJECT FREQ k",
    "MULTI", "GET k", "TOUCH k", "GET k", "EXEC", "OBJECT FREQ k", "RPUSH l a b c", "LRANGE l 0 -1", "LLEN l", "LPOP l",
    "OBJECT FREQ l", "CLIENT NO-TOUCH ON", "GET k", "OBJECT FREQ k", "CLIENT NO-TOUCH OFF", "GET k", "OBJECT FREQ k",
    "CLIENT NO-TOUCH ON", "RESET", "GET k", "OBJECT FREQ k", "CLIENT NO-TOUCH ON", "CLIENT REPLY SKIP", "GET k",
    "CLIENT REPLY OFF", "GET k", "TOUCH k", "CLIENT REPLY ON", "OBJECT FREQ k",
]


def test_a11_no_touch_leaves_frequencies_alone(server: ServerProcess, valkey: ServerProcess) -> None:
    """With a log factor of 0 every access counts: the frequency shows whether a command touched the key."""
    found = []
    for one in (server, valkey):
        with one.connect() as wire, one.connect() as blocked:
            wire.call("FLUSHALL")
            try:
                wire.call("CONFIG", "SET", "maxmemory-policy", "allkeys-lfu", "lfu-log-factor", "0",
                          "lfu-decay-time", "0")
                answered = [line for line in NO_TOUCH if "SKIP" not in line]
                wire.send(b"".join(encode_command(*line.split()) for line in NO_TOUCH))
                replies = [wire.reply().raw for _ in range(len(answered) - 4)]      # SKIP, OFF, and what they silence
                # Who is served by a client in NO-TOUCH mode touches, as long as it is not in the mode itself.
                blocked.send_command("BLPOP", "q", "0")
                wire.call("SLOWLOG", "LEN")
                wire.call("RPUSH", "q", "a", "b", "c")
                blocked.reply()
                replies.append(wire.call("OBJECT", "FREQ", "q").raw)
                found.append(replies)
            finally:
                wire.call("CONFIG", "SET", "maxmemory-policy", "noeviction", "lfu-log-factor", "10",
                          "lfu-decay-time", "1")
    assert found[0] == found[1]


def test_a11_no_touch_leaves_idle_times_alone() -> None:
    with memory_server() as server, memory_client(server) as client, memory_client(server) as other:
        clock = server.clock
        assert isinstance(clock, VirtualClock)
        say(client, "CLIENT NO-TOUCH ON", "SET k v")
        clock.advance(5000)
        assert say(client, "GET k", "EXISTS k", "OBJECT IDLETIME k").endswith(b":5\r\n")
        assert say(client, "TOUCH k", "OBJECT IDLETIME k") == b":1\r\n:0\r\n"
        clock.advance(5000)
        assert say(other, "GET k", "OBJECT IDLETIME k").endswith(b":0\r\n")


# ---- CAPA, IMPORT-SOURCE ---------------------------------------------------------------------------------------------

def test_a11_an_import_source_sees_what_has_expired(server: ServerProcess, valkey: ServerProcess) -> None:
    found = []
    for one in (server, valkey):
        with one.connect() as source, one.connect() as other:
            other.call("FLUSHALL")
            other.call("CONFIG", "SET", "import-mode", "yes")
            try:
                replies = [source.call("CLIENT", "IMPORT-SOURCE", "ON")]
                other.pipeline([line.split() for line in (
                    "SET k v PXAT 1", "RPUSH l a b", "PEXPIREAT l 1", "SET m v", "SET k3 v PXAT 1")])
                for wire in (other, source):
                    replies += wire.pipeline([line.split() for line in (
                        "GET k", "EXISTS k l", "TTL k", "PTTL l", "DBSIZE", "LRANGE l 0 -1", "OBJECT ENCODING k",
                        "STRLEN k", "SETNX k3 w", "EXPIRETIME k")])
                replies += source.pipeline([line.split() for line in (
                    "APPEND k x", "GET k", "EXPIRE k 100", "TTL k", "MULTI", "GET l", "LLEN l", "EXEC", "DEL l")])
                replies += other.pipeline([line.split() for line in ("GET k", "SET n v PXAT 1", "GET n", "DBSIZE")])
                other.call("CONFIG", "SET", "import-mode", "no")
                replies += source.pipeline([line.split() for line in (
                    "GET n", "CLIENT IMPORT-SOURCE ON", "CLIENT IMPORT-SOURCE OFF", "GET n")])
                found.append([reply.raw for reply in replies])
            finally:
                other.call("CONFIG", "SET", "import-mode", "no")
    assert found[0] == found[1]


def test_a11_nothing_expires_of_itself_in_import_mode() -> None:
    with memory_server(import_mode=True) as server, memory_client(server) as client:
        say(client, "SET k v PX 10")
        clock = server.clock
        assert isinstance(clock, VirtualClock)
        clock.advance(60_000)
        server.engine.expire_keys(True)
        turn(server)
        assert say(client, "GET k", "DBSIZE") == b"$-1\r\n:1\r\n"
        assert say(client, "CLIENT PAUSE 10", "CLIENT UNPAUSE", "DBSIZE") == b"+OK\r\n"
        clock.advance(10)
        turn(server)
        assert client.talk(b"") == b"+OK\r\n:1\r\n", "the end of a pause is not the end of the import"
        assert say(client, "CONFIG SET import-mode no") == b"+OK\r\n"
        server.engine.expire_keys(True)
        assert say(client, "DBSIZE") == b":0\r\n"


# ---- HELP ------------------------------------------------------------------------------------------------------------

def test_a11_help_has_the_shape_of_valkeys(server: ServerProcess, valkey: ServerProcess) -> None:
    """The lines that name a subcommand or an option are the same, in the same places; the others are our own words.

    CLIENT CLOSED is ours alone. A11 HELP.
    """
    def shape(one: ServerProcess) -> list[str]:
        with one.connect() as wire:
            texts = [reply.text.decode() for reply in wire.call("CLIENT", "HELP").items]
        own = next((i for i, text in enumerate(texts) if text.startswith("CLOSED ")), len(texts))
        following = next((i for i in range(own + 1, len(texts)) if not texts[i].startswith(" ")), len(texts))
        del texts[own:following]
        return [text if re.match(r"[A-Z]| {4}\*| {9}", text) else " " * (len(text) - len(text.lstrip()))
                for text in texts]

    ours, theirs = shape(server), shape(valkey)
    different = [(a, b) for a, b in zip(ours, theirs, strict=True) if a != b]
    assert all(a.startswith("    * LIB-") and a[:12] == b[:12] for a, b in different), different


# ---- the line --------------------------------------------------------------------------------------------------------

# What depends on how much memory a server's own structures take, on the time, or on who connects.
OWN = {"id", "addr", "laddr", "fd", "age", "idle", "qbuf", "qbuf-free", "rbs", "rbp", "tot-mem", "multi-mem"}
STATES = [
    "PING", "CLIENT NO-EVICT ON", "CLIENT NO-TOUCH ON", "CLIENT CAPA redirect foo", "CLIENT REPLY OFF", "SELECT 5",
    "MULTI / SET a b / GET abcdef", "MULTI / NOSUCH", "WATCH a / WATCH b c", "WATCH a / UNWATCH", "MONITOR",
    "SUBSCRIBE a b / PSUBSCRIBE c / SSUBSCRIBE d", "HELLO 3 SETNAME line / SUBSCRIBE a / MONITOR", "BLPOP a bb 0",
    "CLIENT SETINFO LIB-NAME lib / CLIENT SETINFO LIB-VER 1.2", "MULTI / BLPOP a 0", "CONFIG GET port", "NOSUCH",
    "GET", "CLIENT NOSUCH", "MONITOR / CLIENT NO-EVICT ON / CLIENT NO-TOUCH ON / CLIENT CAPA redirect / WATCH a",
    "CLIENT NO-EVICT ON / CLIENT NO-TOUCH ON / CLIENT CAPA redirect / SELECT 3 / MONITOR / RESET / "
    "CLIENT SETNAME line",
    "CLIENT SETINFO LIB-NAME lib / CLIENT SETNAME other / RESET / CLIENT SETNAME line",
]


@pytest.mark.parametrize("lines", STATES)
def test_a11_the_line_is_valkeys(server: ServerProcess, valkey: ServerProcess, lines: str) -> None:
    """Every field in Valkey's order, with its values where they are not a server's own (A11 LINE, A11 FLAGS, A14-8)."""
    found = []
    for one in (server, valkey):
        with one.connect() as wire, one.connect() as other:
            wire.call("CLIENT", "SETNAME", "line")
            wire.send(b"".join(encode_command(*line.strip().split()) for line in lines.split("/")))
            other.call("SLOWLOG", "LEN")
            while wire.has_input():
                wire.reply()
            found.append(shown_fields(other, "NAME", "line"))
    ours, theirs = found
    assert list(ours) == list(theirs)
    if "x" not in theirs["flags"]:
        theirs["multi"] = "-1"               # see test_a11_outside_of_multi_it_says_minus_one
    for name in OWN | ({"tot-net-out"} if "HELLO" in lines else set()):      # HELLO names the server
        del ours[name], theirs[name]
    assert ours == theirs


def test_a11_the_line_of_the_client_that_asks(server: ServerProcess, valkey: ServerProcess) -> None:
    found = []
    for one in (server, valkey):
        with one.connect() as wire:
            replies = wire.pipeline([line.split() for line in (
                "PING", "CLIENT INFO", "ECHO hello", "CLIENT LIST ID 1 2 3 FLAGS x", "CLIENT CAPA redirect",
                "CLIENT NO-TOUCH ON", "CLIENT INFO")])
            found.append([{k: v for k, v in fields_of(replies[i].text).items() if k not in OWN} for i in (1, 6)])
            # The first line lies in the second one's output buffer, and ids have not the same length everywhere.
            found[-1][1].pop("obl")
    assert found[0] == found[1]


@pytest.mark.parametrize("protocol", [2, 3])
def test_a11_outside_of_multi_it_says_minus_one(server: ServerProcess, protocol: int) -> None:
    """Valkey says 0 once a transaction has been; a count of what is queued where nothing can be is no count."""
    with server.connect(protocol=protocol) as wire:
        for lines in ("PING", "MULTI/EXEC", "MULTI/DISCARD", "MULTI/NOSUCH/EXEC", "MULTI/PING/RESET"):
            wire.pipeline([line.split() for line in lines.split("/")])
            assert fields_of(wire.call("CLIENT", "INFO").text)["multi"] == "-1"


def test_a11_who_was_unblocked_in_this_turn(server: ServerProcess, valkey: ServerProcess) -> None:
    """A11 FLAGS: u, for whoever looks in the same turn."""
    found = []
    for one in (server, valkey):
        with one.connect() as waiting, one.connect() as other:
            other.call("DEL", "awaited")
            for lines in ("RPUSH awaited 1", "MULTI/RPUSH awaited 1/EXEC"):
                waiting.call("CLIENT", "SETNAME", "waiting")
                waiting.send_command("BLPOP", "awaited", 0)
                eventually(lambda other=other: b"flags=b " in other.call(  # type: ignore[misc]
                    "CLIENT", "LIST", "NAME", "waiting").text, "it waits")
                asked = [line.split() for line in (*lines.split("/"), "CLIENT LIST NAME waiting")]
                found.append(fields_of(other.pipeline(asked)[-1].text)["flags"])
                waiting.reply()
                found.append(fields_of(other.call("CLIENT", "LIST", "NAME", "waiting").text)["flags"])
    assert found == ["u", "N"] * 4


def test_a11_filters_see_the_modes(server: ServerProcess, valkey: ServerProcess) -> None:
    """A11 LIST."""
    found = []
    for one in (server, valkey):
        with one.connect() as wire, one.connect() as other:
            wire.pipeline([line.split() for line in (
                "CLIENT SETNAME filtered", "CLIENT NO-EVICT ON", "CLIENT NO-TOUCH ON", "CLIENT CAPA redirect")])
            listed = []
            for words in ("CAPA r", "NOT-CAPA r", "FLAGS e", "FLAGS T", "FLAGS eT", "FLAGS eTO", "FLAGS N",
                          "NOT-FLAGS e", "NOT-FLAGS O", "CAPA x", "FLAGS ?", "NOT-CAPA rr", "CAPA", "FLAGS I",
                          "NOT-FLAGS eO"):
                reply = other.call("CLIENT", "LIST", *words.split(), "NAME", "filtered")
                listed.append(reply.text if reply.is_error else reply.text.count(b"name=filtered"))
            listed.append(other.call("CLIENT", "KILL", "CAPA", "r", "NAME", "filtered").number)
            found.append(listed)
    assert found[0] == found[1]


# ---- RESET -----------------------------------------------------------------------------------------------------------

def test_a11_reset_leaves_every_mode(server: ServerProcess, valkey: ServerProcess) -> None:
    found = []
    for one in (server, valkey):
        with one.connect(protocol=3) as wire:
            wire.call("CONFIG", "SET", "import-mode", "yes")
            try:
                for line in ("CLIENT SETNAME me", "CLIENT SETINFO LIB-NAME lib", "CLIENT SETINFO LIB-VER 1", "SELECT 3",
                             "CLIENT NO-EVICT ON", "CLIENT NO-TOUCH ON", "CLIENT CAPA redirect",
                             "CLIENT IMPORT-SOURCE ON", "MONITOR", "SUBSCRIBE a", "PSUBSCRIBE b", "SSUBSCRIBE c",
                             "WATCH k", "MULTI", "CLIENT REPLY OFF"):
                    wire.send_command(*line.split())
                wire.send_command("RESET")
                while wire.reply().raw != b"+RESET\r\n":
                    pass
                fields = fields_of(wire.call("CLIENT", "INFO").text)
                for name in (*OWN, "tot-net-out", "tot-net-in", "tot-cmds", "multi", "obl"):
                    fields.pop(name)
                found.append(fields)
            finally:
                wire.call("CONFIG", "SET", "import-mode", "no")
    assert found[0] == found[1]
    assert (found[0]["flags"], found[0]["capa"], found[0]["lib-name"], found[0]["db"], found[0]["name"]) == (
        "N", "r", "lib", "0", "")
