"""Pub/Sub: the same conversations with Ranvier and with Valkey, and what only the inside shows (lifecycle A13)."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.memory import memory_client, memory_server, received, socket_client, turn, used_bytes
from harness.process import ServerProcess
from harness.wire import Wire, encode_command
from ranvier.clock import VirtualClock
from ranvier.engine.modes.glob import matches
from ranvier.keyspace.glob import glob_matches
from ranvier.shells.memory import MemoryClient

MARKER = "end-of-step"

UNORDERED = "one message for each matching pattern"     # in whatever order

# Steps `who COMMAND ... ; COMMAND ...`; all replies and messages that a step brings to anybody are
# compared. `!`: run, not compared.
CONVERSATIONS = {
    "confirmations count channels and patterns": """
        a SUBSCRIBE x y x
        a PSUBSCRIBE x* y*
        a UNSUBSCRIBE x nosuch
        a PUNSUBSCRIBE nosuch y*
        a UNSUBSCRIBE
        a UNSUBSCRIBE
        a PUNSUBSCRIBE
        a PUNSUBSCRIBE
    """,
    "shard channels count apart": """
        a SSUBSCRIBE s t s
        a SUBSCRIBE s
        a SUNSUBSCRIBE t
        b SPUBLISH s one
        b PUBLISH s two
        a PSUBSCRIBE s*
        b SPUBLISH s three
        a SUNSUBSCRIBE
        a SUNSUBSCRIBE
        b SPUBLISH s four
    """,
    "channel subscribers come before patterns": """
        a PSUBSCRIBE n*
        a SUBSCRIBE news
        b SUBSCRIBE news
        c PUBLISH news hello
        c PUBLISH nothing there
        c PUBLISH other nobody
        c PUBLISH "" empty
    """,
    UNORDERED: """
        a PSUBSCRIBE h?llo h[ae]llo h\\*llo h[^e]llo *
        b PUBLISH hello 1
        b PUBLISH hallo 2
        b PUBLISH h*llo 3
        b PUBLISH h\\*llo 4
    """,
    "a subscriber of RESP2 may do little": """
        a SUBSCRIBE x
        a PING
        a PING text
        a PING too many
        a GET k
        a CLIENT ID
        a HELLO 3
        a PUBLISH x y
        a NOSUCH
        a SUBSCRIBE
        a UNSUBSCRIBE x
        a PING
        a GET k
    """,
    "shard channels restrict too": """
        a SSUBSCRIBE x
        a GET k
        a SUNSUBSCRIBE x
        a GET k
    """,
    "a subscriber of RESP3 may do everything": """
        ! a HELLO 3
        a SUBSCRIBE x
        a PING
        a GET k
        a PUBLISH x self
        a PSUBSCRIBE *
        a PUBLISH x twice
        b PUBLISH x from-b
        a SSUBSCRIBE x
        a SPUBLISH x shard
        a UNSUBSCRIBE x
        a UNSUBSCRIBE
        a PUNSUBSCRIBE *
    """,
    "the restriction follows the protocol": """
        ! a HELLO 3
        a SUBSCRIBE x
        ! a HELLO 2
        a GET k
        b PUBLISH x hello
        a RESET
        a GET k
        b PUBLISH x nobody
    """,
    "RESET leaves everything silently": """
        a SUBSCRIBE x
        a PSUBSCRIBE p*
        a SSUBSCRIBE s
        a RESET
        b PUBSUB CHANNELS
        b PUBSUB NUMPAT
        b PUBSUB SHARDCHANNELS
        b PUBLISH x nobody
        a PING
    """,
    "inside a transaction of RESP2": """
        a MULTI ; SUBSCRIBE x ; PING ; SSUBSCRIBE s ; PUBLISH x self ; GET k ; EXEC
        a GET k
        b PUBLISH x after
    """,
    "own messages come behind the whole of EXEC": """
        ! a HELLO 3
        a SUBSCRIBE x
        a MULTI ; PUBLISH x one ; ECHO between ; PUBLISH x two ; UNSUBSCRIBE x ; EXEC
        b PUBLISH x nobody
    """,
    "introspection": """
        a SUBSCRIBE alpha
        b SUBSCRIBE alpha
        b PSUBSCRIBE a*
        a PSUBSCRIBE a*
        a SSUBSCRIBE alpha
        c PUBSUB CHANNELS
        c PUBSUB CHANNELS a*
        c PUBSUB CHANNELS b*
        c PUBSUB CHANNELS too many
        c PUBSUB NUMSUB
        c PUBSUB NUMSUB alpha nosuch alpha
        c PUBSUB NUMPAT
        c PUBSUB NUMPAT x
        c PUBSUB SHARDCHANNELS
        c PUBSUB SHARDCHANNELS z*
        c PUBSUB SHARDNUMSUB alpha nosuch
        c PUBSUB SHARDNUMSUB
        c PUBSUB NOSUCH
        c PUBSUB
        c PUBLISH alpha
        c PUBLISH alpha one two
    """,
}


def conversation(server: ServerProcess, text: str) -> list[tuple[str, str, list[bytes]]]:
    """(step, who, the raw replies that it brought to that connection), connection by connection."""
    heard = []
    wires = {who: server.connect() for who in "abc"}
    try:
        for line in filter(None, map(str.strip, text.splitlines())):
            compared = not line.startswith("!")
            who, _, requests = line.removeprefix("! ").partition(" ")
            step = b"".join(
                encode_command(*(word.replace('""', "") for word in request.split(" ")))
                for request in requests.split(" ; ")
            )
            for listener in [who, *(other for other in wires if other != who)]:
                wire = wires[listener]
                wire.send((step if listener == who else b"") + encode_command("PING", MARKER))
                replies = up_to_marker(wire)
                if compared:
                    heard.append((line, listener, replies))
    finally:
        for wire in wires.values():
            wire.close()
    return heard


def up_to_marker(wire: Wire) -> list[bytes]:
    replies = []
    while MARKER.encode() not in (reply := wire.reply()).raw:
        replies.append(reply.raw)
    return replies


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_as_the_reference_talks(server: ServerProcess, valkey: ServerProcess, name: str) -> None:
    """A4-16, A5-6, A11 PING, A13 PUBSUB-1, A13 PUBSUB-2."""
    ours, theirs = conversation(server, CONVERSATIONS[name]), conversation(valkey, CONVERSATIONS[name])
    if name == UNORDERED:
        ours, theirs = ([(line, who, sorted(replies)) for line, who, replies in heard] for heard in (ours, theirs))
    assert ours == theirs


def test_message_of_any_size_arrives_whole(server: ServerProcess, valkey: ServerProcess) -> None:
    """Short messages are copied, long ones shared: every length around the borders, both protocols."""
    heard = []
    for where in (server, valkey):
        with where.connect() as old, where.connect(protocol=3) as new, where.connect() as publisher:
            replies = []
            for wire in (old, new):
                wire.call("SUBSCRIBE", "sized")
                wire.call("PSUBSCRIBE", "size*")
            for length in (0, 1, 700, 800, 900, 950, 1023, 1024, 1100, 3900, 4096, 5000, 16384, 70_000, 300_000):
                publisher.call("PUBLISH", "sized", bytes(range(256)) * (length // 256) + b"x" * (length % 256))
                replies += [reply.raw for wire in (old, new) for reply in wire.replies(2)]
            heard.append(replies)
    assert heard[0] == heard[1]


def test_client_list_shows_subscriptions(server: ServerProcess, valkey: ServerProcess) -> None:
    shown = []
    for where in (server, valkey):
        with where.connect() as wire, where.connect() as other:
            wire.call("CLIENT", "SETNAME", "subscriber")
            wire.call("SUBSCRIBE", "x")
            wire.call("PSUBSCRIBE", "y")
            wire.call("PSUBSCRIBE", "z")
            wire.call("SSUBSCRIBE", "s")
            lines = [other.call("CLIENT", "LIST", *more).text.decode() for more in (
                ("NAME", "subscriber"), ("TYPE", "pubsub"), ("FLAGS", "P"))]
            shown.append([
                [field for field in line.split() if field.split("=")[0] in ("flags", "sub", "psub", "ssub", "name")]
                for line in lines
            ])
            assert "name=subscriber" not in other.call("CLIENT", "LIST", "TYPE", "normal").text.decode()
            counts = [where.info("everything")[name] for name in (
                "pubsub_channels", "pubsub_patterns", "pubsubshard_channels", "pubsub_clients")]
            assert counts == ["1", "2", "1", "1"]
    assert shown[0] == shown[1]
    assert shown[0][0] == ["name=subscriber", "flags=P", "sub=1", "psub=2", "ssub=1"]


# ---- keyspace notifications ------------------------------------------------------------------------------------------

CHANGES = [
    "SET k v", "APPEND k w", "INCR n", "EXPIRE k 100", "PERSIST k", "RENAME k k2", "COPY k2 k3", "DEL k2 k3",
    "RPUSH l a b c", "LPOP l", "LTRIM l 5 6", "GET nosuch", "EXISTS nosuch", "SET k v", "GETDEL k", "SET p v PX 100000",
    "EXPIRE p -1", "MSET a 1 b 2", "SELECT 1", "SET k v", "MOVE k 0", "SETRANGE long 700 x", "TTL nosuch",
]
CLASSES = ["KEA", "KE$l", "EA", "KAn", "Em", "KEAnm", "A", "g", "Kx", "Eg"]


@pytest.mark.parametrize("classes", CLASSES)
def test_notifications_are_the_reference_notifications(
    server: ServerProcess, valkey: ServerProcess, classes: str
) -> None:
    told = []
    for where in (server, valkey):
        with where.connect() as wire, where.connect() as listener:
            wire.call("FLUSHALL")
            assert wire.call("CONFIG", "SET", "notify-keyspace-events", classes).raw == b"+OK\r\n"
            listener.call("PSUBSCRIBE", "__key*@*__:*")
            for line in CHANGES:
                wire.call(*line.split())
            listener.send_command("PING", MARKER)
            told.append(up_to_marker(listener))
            wire.call("CONFIG", "SET", "notify-keyspace-events", "")
            wire.call("SET", "k", "v")
            listener.send_command("PING", MARKER)
            assert up_to_marker(listener) == []
            wire.call("FLUSHALL")
    assert told[0] == told[1]


def test_an_own_notification_comes_after_the_reply(server: ServerProcess, valkey: ServerProcess) -> None:
    """A5-6."""
    heard = []
    for where in (server, valkey):
        with where.connect(protocol=3) as wire:
            wire.call("CONFIG", "SET", "notify-keyspace-events", "KEA")
            wire.call("PSUBSCRIBE", "__key*@0__:own")
            wire.call("PSUBSCRIBE", "__keyevent@0__:del")
            wire.send_command("SET", "own", "v")
            wire.send_command("DEL", "own")
            wire.send_command("CONFIG", "SET", "notify-keyspace-events", "")
            wire.send_command("PING", MARKER)
            heard.append(up_to_marker(wire))
    assert heard[0] == heard[1]
    assert heard[0][0] == b"+OK\r\n"


def test_expiry_is_notified() -> None:
    with memory_server(notify_keyspace_events="Ex") as server, memory_client(server) as one, \
            memory_client(server) as other:
        one.talk(b"PSUBSCRIBE *\r\n")
        other.talk(b"SET k v PX 50\r\n")
        assert isinstance(server.clock, VirtualClock)
        server.clock.advance(100)
        assert other.talk(b"GET k\r\n") == b"$-1\r\n"
        assert one.talk(b"") == b"*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$22\r\n__keyevent@0__:expired\r\n$1\r\nk\r\n"


# ---- inside ----------------------------------------------------------------------------------------------------------

@given(st.text("ab*?[]^-\\c", max_size=9), st.text("abc-]^\\", max_size=6))
def test_native_patterns_mean_what_the_others_mean(pattern: str, text: str) -> None:
    assert matches(pattern.encode(), text.encode()) == glob_matches(pattern.encode(), text.encode())


def test_native_patterns_match_any_bytes_alike() -> None:
    patterns = (b"[\x00-\xff]", b"[^\x80-\xff]", b"\xff*", b"[z-a]", b"[", b"[^", b"\\", b"*\\", b"**")
    for pattern, text in product(patterns, (b"", b"a", b"\xff", b"\x00", b"\\", b"[", b"z")):
        assert matches(pattern, text) == glob_matches(pattern, text), (pattern, text)


def test_thousand_rounds_leave_nothing() -> None:
    """Subscribers leave in every way: nothing of them remains, in the tables or in the count of memory (A8-8)."""
    with memory_server() as server, memory_client(server) as other:
        def round_(number: int) -> None:
            with memory_client(server) as client:
                client.talk(b"HELLO 3\r\n" if number % 2 else b"")
                client.talk(b"SUBSCRIBE %d common\r\nPSUBSCRIBE %d* c*\r\nSSUBSCRIBE %d\r\n" % ((number,) * 3))
                other.talk(b"PUBLISH common hello\r\nPUBLISH %d %s\r\n" % (number, b"x" * (number % 3 * 1000)))
                if number % 3 == 0:
                    client.talk(b"RESET\r\n")
                elif number % 3 == 1:
                    client.talk(b"UNSUBSCRIBE\r\nPUNSUBSCRIBE\r\nSUNSUBSCRIBE\r\n")

        for number in range(50):
            round_(number)
        before = used_bytes(server)
        for number in range(1000):
            round_(number)
        assert server.engine.pubsub.counts() == (0, 0, 0, 0)
        assert used_bytes(server) <= before + 256


def test_many_subscribers_come_and_go_in_any_order() -> None:
    """A8-8."""
    with memory_server() as server, memory_client(server) as publisher:
        before = used_bytes(server)
        entered = [MemoryClient(server) for _ in range(50)]
        for client in entered:
            client.talk(b"SUBSCRIBE a b\r\n")
        for position in (0, 25, 49, 13, 48):
            entered[position].talk(b"UNSUBSCRIBE a\r\n")
        assert publisher.talk(b"PUBLISH a x\r\n") == b":45\r\n"
        assert publisher.talk(b"PUBLISH b x\r\n") == b":50\r\n"
        got = [client.talk(b"").count(b"message") for client in entered]
        assert sorted(got) == [1] * 5 + [2] * 45
        for client in entered:
            client.close()
        assert server.engine.pubsub.counts() == (0, 0, 0, 0)
        assert used_bytes(server) - before < 4096


def test_a_large_message_is_held_once_and_charged_to_everyone() -> None:
    """lesson 10."""
    size = 200_000
    with memory_server() as server, memory_client(server) as publisher:
        entered = [MemoryClient(server) for _ in range(20)]
        for number, client in enumerate(entered):
            client.talk(b"HELLO 3\r\n" if number % 2 else b"")
            client.talk(b"SUBSCRIBE a\r\n")
        before = used_bytes(server)
        publisher.talk(encode_command("PUBLISH", "a", b"x" * size))
        assert 2 * size <= used_bytes(server) - before < 4 * size
        assert all(client.handle.describe()["omem"] > size for client in entered)
        assert all(client.talk(b"").endswith(b"x" * size + b"\r\n") for client in entered)
        assert used_bytes(server) - before < size
        for client in entered:
            client.close()


@pytest.mark.parametrize("length", [64, 5000])
def test_a_slow_subscriber_is_closed_at_its_hard_limit(length: int) -> None:
    """With its reason; the others notice nothing (A6-8)."""
    with memory_server(**{"client-output-buffer-limit": "pubsub 300000 0 0"}) as server, \
            socket_client(server, send_buffer_bytes=4096) as slow, socket_client(server) as quick, \
            memory_client(server) as publisher:
        for peer in (slow, quick):
            peer.send(b"SUBSCRIBE a\r\n")
        turn(server, 2)
        held = server.engine.clients[0]
        got = bytearray()
        published = 0
        while not held.closed:
            publisher.talk(encode_command("PUBLISH", "a", b"x" * length) * 10)
            published += 10
            assert held.describe()["omem"] < 300_000 + 20_000
            turn(server)
            got += received(quick)[0]
            assert published < 100_000
        assert held.close_reason == "output-buffer-limit"
        turn(server)
        got += received(quick)[0]
        assert got.count(b"$7\r\nmessage\r\n") == published
        assert server.engine.pubsub.counts() == (1, 0, 0, 1)
        assert publisher.talk(b"PUBLISH a x\r\n") == b":1\r\n"


def test_a_client_that_publishes_to_itself_is_limited_too() -> None:
    with memory_server(**{"client-output-buffer-limit": "pubsub 100000 0 0"}) as server, \
            socket_client(server) as peer:
        peer.send(b"HELLO 3\r\nSUBSCRIBE a\r\n" + encode_command("PUBLISH", "a", b"x" * 50_000))
        turn(server, 3)
        data, state = received(peer)
        assert data.endswith(b"x" * 50_000 + b"\r\n")
        assert data.index(b":1\r\n>3\r\n$7\r\nmessage") > 0
        assert state == "open"
        peer.setblocking(True)
        peer.sendall(encode_command("PUBLISH", "a", b"x" * 60_000)[:60_000])
        peer.setblocking(False)
        held = server.engine.clients[0]
        turn(server, 3)
        peer.send(encode_command("PUBLISH", "a", b"x" * 60_000)[60_000:])
        turn(server, 3)
        assert not held.closed
        assert b"x" * 60_000 in received(peer)[0]


def test_subscribers_are_not_idle() -> None:
    with memory_server(timeout=1) as server, socket_client(server) as subscriber, socket_client(server) as other:
        subscriber.send(b"SUBSCRIBE a\r\n")
        other.send(b"PING\r\n")
        turn(server, 2)
        assert isinstance(server.clock, VirtualClock)
        server.clock.advance(10_000)
        turn(server)
        server.engine.check_clients(10)
        turn(server)
        assert received(subscriber)[1] == "open"
        assert received(other)[1] == "ended"


def test_limits_are_those_of_the_class_while_subscribed() -> None:
    with memory_server() as server, socket_client(server) as peer, memory_client(server) as publisher:
        turn(server)
        peer.send(b"SUBSCRIBE a\r\n")
        turn(server, 2)
        publisher.talk(b"CONFIG SET client-output-buffer-limit \"pubsub 1 0 0\"\r\n")
        publisher.talk(encode_command("PUBLISH", "a", b"x" * 5000))
        turn(server)
        assert received(peer)[1] in ("ended", "reset")
