"""CLIENT REPLY ON | OFF | SKIP (lifecycle A5-1, A7-2, A11 REPLY): beside Valkey, in memory, over sockets."""

import random
from contextlib import ExitStack

import pytest

from harness.memory import memory_client, memory_server, read_replies, received, socket_client, turn, used_bytes
from harness.process import ServerProcess
from harness.wire import Wire, encode_command
from ranvier.clock import VirtualClock
from ranvier.shells.memory import MemoryClient

OFF, ON, SKIP = "CLIENT REPLY OFF", "CLIENT REPLY ON", "CLIENT REPLY SKIP"

# Requests of one client in one piece; all that it receives is compared, pushes included.
CONVERSATIONS = [
    "PING / {SKIP} / PING / PING",
    "{SKIP} / {SKIP} / PING / PING",
    "{SKIP} / {SKIP} / {ON} / PING",
    "{OFF} / {SKIP} / PING / {ON} / PING",
    "{SKIP} / {ON} / PING",
    "{SKIP} / {OFF} / PING / {ON}",
    "{OFF} / {OFF} / PING / {ON} / {ON}",
    "CLIENT REPLY FOO / CLIENT REPLY / {ON} extra",
    "{SKIP} / CLIENT REPLY FOO / PING",
    "{OFF} / CLIENT REPLY FOO / {ON}",
    # errors of every kind
    "{SKIP} / NOSUCH / PING",
    "{SKIP} / GET / PING",
    "{SKIP} / CLIENT NOSUCH / PING",
    "SET k v / {SKIP} / INCR k / PING",
    "{OFF} / NOSUCH / GET / INCR k / {ON}",
    # transactions
    "{SKIP} / MULTI / PING / EXEC",
    "MULTI / {SKIP} / EXEC / PING",
    "MULTI / SET k v / {OFF} / EXEC / PING",
    "{OFF} / MULTI / PING / EXEC / {ON} / PING",
    "{OFF} / MULTI / SET k v / NOSUCH / EXEC / {ON} / PING",
    "{OFF} / MULTI / {ON} / EXEC / PING / {ON}",
    "{OFF} / WATCH k / SET k v / MULTI / PING / EXEC / {ON}",
    "{OFF} / MULTI / PING / DISCARD / {ON} / EXEC",
    # pushes pass
    "{OFF} / SUBSCRIBE a b / PSUBSCRIBE c* / SSUBSCRIBE s / PING / UNSUBSCRIBE / PUNSUBSCRIBE / SUNSUBSCRIBE / {ON}",
    "{SKIP} / SUBSCRIBE a / PING",
    "SUBSCRIBE a / {OFF} / PING / UNSUBSCRIBE / PING / {ON}",
    "{OFF} / MULTI / SUBSCRIBE a / PING / UNSUBSCRIBE / EXEC / {ON}",
    "{OFF} / MULTI / SSUBSCRIBE a / EXEC / {ON}",
    # RESET and the like
    "{OFF} / RESET / PING",
    "{SKIP} / RESET / PING",
    "{OFF} / SELECT 3 / {ON} / PING",
    "{SKIP} / CLIENT KILL ID 99999999 / PING",
    "{OFF} / AUTH a b / {ON}",
    # who may not block is answered, or not
    "{OFF} / MULTI / BLPOP nosuch 0 / EXEC / {ON}",
    "{SKIP} / LRANGE l 0 -1 / RPUSH l a b c / {SKIP} / LRANGE l 0 -1 / LRANGE l 0 -1",
]
# In RESP3 nothing is refused to a subscriber, and messages to oneself are pushes.
CONVERSATIONS_OF_RESP3 = [
    "{OFF} / SUBSCRIBE a / PING / PUBLISH a self / {ON} / PUBLISH a me",
    "{SKIP} / SUBSCRIBE a / {SKIP} / PUBLISH a self / PING / PUBLISH a me",
    "{OFF} / MULTI / SUBSCRIBE a / PUBLISH a x / PING / EXEC / PING / {ON} / PING",
    "SUBSCRIBE a / {SKIP} / MULTI / PUBLISH a x / {SKIP} / EXEC / PING",
    "{OFF} / HELLO 2 / PING / {ON}",
]
BOTH = [(line, protocol) for protocol in (2, 3) for line in CONVERSATIONS]


def requests_of(line: str) -> list[str]:
    return [request.strip() for request in line.format(OFF=OFF, ON=ON, SKIP=SKIP).split("/")]


def heard(server: ServerProcess, line: str, protocol: int) -> list[bytes]:
    with server.connect(protocol=protocol) as wire:
        wire.call("DEL", "k", "l")
        wire.send(b"".join(encode_command(*request.split()) for request in [*requests_of(line), "PING end"]))
        replies: list[bytes] = []
        while not replies or b"end" not in replies[-1]:
            replies.append(wire.reply().raw)
        return replies


@pytest.mark.parametrize(("line", "protocol"), [*BOTH, *((line, 3) for line in CONVERSATIONS_OF_RESP3)])
def test_a11_silent_as_valkey(server: ServerProcess, valkey: ServerProcess, line: str, protocol: int) -> None:
    """A11 REPLY."""
    assert heard(server, line, protocol) == heard(valkey, line, protocol)


@pytest.mark.parametrize("line", ["{SKIP} / BLPOP q 0 / PING / PING end", "{OFF} / BLPOP q 0 / {ON} / PING end",
                                  "{SKIP} / BLPOP q 0.01 / PING end", "{OFF} / BLPOP q 0.01 / {ON} / PING end",
                                  "{SKIP} / BLMOVE q r LEFT LEFT 0.01 / {SKIP} / PING / PING end"])
def test_a11_a_blocked_request_keeps_its_silence(server: ServerProcess, valkey: ServerProcess, line: str) -> None:
    found = []
    for one in (server, valkey):
        with one.connect() as wire, one.connect() as other:
            other.call("DEL", "q", "r")
            wire.send(b"".join(encode_command(*request.split()) for request in requests_of(line)))
            if "BLPOP q 0 " in line:
                other.call("SLOWLOG", "LEN")
                other.call("RPUSH", "q", "v")
            replies: list[bytes] = []
            while not replies or b"end" not in replies[-1]:
                replies.append(wire.reply().raw)
            found.append(replies)
    assert found[0] == found[1]


def test_a11_messages_of_others_pass(server: ServerProcess, valkey: ServerProcess) -> None:
    found = []
    for one in (server, valkey):
        for protocol in (2, 3):
            with one.connect(protocol=protocol) as wire, one.connect() as other:
                wire.send(encode_command(*OFF.split()) + encode_command("SUBSCRIBE", "a"))
                found.append(wire.reply().raw)
                assert other.call("PUBLISH", "a", "hello").number == 1
                found.append(wire.reply().raw)
    assert found[:4] == found[4:]


WORDS = [
    "PING", "SET k v", "GET k", "INCR n", "INCR k", "NOSUCH", "GET", "MULTI", "EXEC", "DISCARD", "WATCH k", "RESET",
    "LRANGE l 0 -1", "RPUSH l a b c", "SUBSCRIBE a", "UNSUBSCRIBE", "SELECT 1", "BLPOP nosuch 0.001", "CLIENT REPLY x",
    "ECHO hello", "MGET k n l",
]


@pytest.mark.parametrize("seed", range(12))
def test_a11_any_order_is_as_valkeys(server: ServerProcess, valkey: ServerProcess, seed: int) -> None:
    """Random pipelines with changes of the mode between them."""
    chosen = random.Random(seed)
    requests = [chosen.choice([OFF, ON, ON, SKIP, SKIP] if chosen.random() < 0.4 else WORDS) for _ in range(120)]
    found = []
    for one in (server, valkey):
        with one.connect() as wire:
            wire.call("FLUSHALL")
            wire.send(b"".join(encode_command(*request.split()) for request in [*requests, "RESET", "PING end"]))
            replies: list[bytes] = []
            while not replies or b"end" not in replies[-1]:
                replies.append(wire.reply().raw)
            found.append(replies)
    assert found[0] == found[1], requests


# ---- what only the inside shows --------------------------------------------------------------------------------------

def say(client: MemoryClient, *lines: str) -> bytes:
    return client.talk(b"".join(encode_command(*line.split()) for line in lines))


@pytest.mark.parametrize("before", ["", "PING"])
@pytest.mark.parametrize("last", [b"QUIT\r\n", b"*1\r\nfoo\r\n", b"*x\r\n", b'GET "unbalanced\r\n'])
@pytest.mark.parametrize("mode", [OFF, SKIP])
def test_a7_2_quit_and_a_protocol_error_close_at_once(mode: str, last: bytes, before: str) -> None:
    """The references leave the connection open for ever: they close when a write is over, and nothing is written.

    lesson 5.
    """
    with memory_server() as server, socket_client(server) as peer:
        peer.send((b"PING\r\n" if before else b"") + mode.encode() + b"\r\n" + last)
        turn(server)
        assert received(peer) == (b"+PONG\r\n" if before else b"", "ended")
        assert isinstance(server.clock, VirtualClock)
        server.clock.advance(60_000)     # longer than a lingering close takes
        turn(server)
        server.engine.check_clients(10)
        turn(server)
        assert server.engine.client_count == 0


def test_a7_2_killing_oneself_in_silence_closes() -> None:
    with memory_server() as server, memory_client(server) as client:
        assert say(client, "PING", OFF, f"CLIENT KILL ID {client.handle.id} SKIPME no", "PING") == b"+PONG\r\n"
        assert client.handle.closed


def test_a5_1_a_silenced_reply_counts_against_no_limit() -> None:
    """Valkey drops it as it is made, too: neither the limit of normal clients nor memory notices it."""
    with memory_server(client_output_buffer_limit="normal 100kb 0 0") as server, memory_client(server) as talking, \
            socket_client(server) as silent:
        talking.talk(encode_command("SET", "big", b"x" * 1_000_000))
        talking.talk(encode_command("RPUSH", "list", *(b"y" * 1000 for _ in range(1000))))
        lines = [OFF, *["GETRANGE big 0 -1", "GET big", "LRANGE list 0 -1"] * 20, ON, "PING"]
        before = used_bytes(server)
        silent.send(b"".join(encode_command(*line.split()) for line in lines))
        turn(server)
        assert received(silent) == (b"+OK\r\n+PONG\r\n", "open")
        assert used_bytes(server) == before
        silent.send(b"GET big\r\n")
        turn(server)
        assert received(silent)[1] == "ended", "aloud it is over the limit"


def test_a5_1_what_was_owed_before_is_delivered_to_the_byte() -> None:
    """Silence in the middle of a pipeline whose replies fill many blocks, a referenced value at the end."""
    value = b"z" * 40_000
    with memory_server() as server, memory_client(server) as client:
        client.talk(encode_command("SET", "k", value))
        reply = b"$40000\r\n" + value + b"\r\n"
        lines = ["GET k", OFF, "GET k", "ECHO quiet", ON, "ECHO loud", SKIP, "GET k", "GET k", SKIP, "ECHO x", "PING"]
        assert say(client, *lines) == reply + b"+OK\r\n$4\r\nloud\r\n" + reply + b"+PONG\r\n"


def test_a11_errors_count_though_nobody_reads_them() -> None:
    with memory_server() as server, memory_client(server) as client:
        say(client, OFF, "NOSUCH", "GET", "INCR")
        assert server.engine.statistics()["errors"] == 3


def test_a11_unblocking_a_silent_client_is_silent() -> None:
    with memory_server() as server, memory_client(server) as client, memory_client(server) as other:
        assert say(client, SKIP, "BLPOP q 0", "PING") == b""
        assert say(other, f"CLIENT UNBLOCK {client.handle.id} ERROR") == b":1\r\n"
        turn(server)
        assert client.talk(b"") == b"+PONG\r\n"


def test_a11_a_client_that_was_paused_keeps_its_silence() -> None:
    with memory_server() as server, memory_client(server) as client, memory_client(server) as other:
        say(other, "CLIENT PAUSE 100")
        assert say(client, SKIP, "PING", "ECHO next") == b""
        assert isinstance(server.clock, VirtualClock)
        server.clock.advance(100)
        turn(server)
        assert client.talk(b"") == b"$4\r\nnext\r\n"


def test_a11_a_subscriber_woken_in_the_middle_hears_of_it() -> None:
    """What others cause while a silent command runs is no reply to it: here a blocked client's pop is notified."""
    with memory_server(notify_keyspace_events="KEA") as server, ExitStack() as stack:
        blocked, silent = (stack.enter_context(memory_client(server)) for _ in range(2))
        say(silent, "HELLO 3", OFF, "SUBSCRIBE __keyevent@0__:lpop")
        assert say(blocked, "BLPOP q 0") == b""
        assert [reply.items[-1].text for reply in read_replies(say(silent, "RPUSH q v"))] == [b"q"]
        assert len(read_replies(blocked.talk(b""))) == 1


def test_a11_silence_leaves_nothing_behind() -> None:
    with memory_server() as server, memory_client(server) as other:
        say(other, "SET k v")
        before = used_bytes(server)
        for last in ("PING", "QUIT", "BLPOP q 0", "MULTI"):
            with memory_client(server) as client:
                say(client, OFF, "GET k", "ECHO x", last)
        server.engine.free_closed()
        assert used_bytes(server) == before


def test_a5_1_a_stranger_is_refused_in_silence(server: ServerProcess, valkey: ServerProcess) -> None:
    """CLIENT REPLY itself needs authentication; RESET in silence makes a stranger of the client, who is answered."""
    found = []
    for one in (server, valkey):
        with one.connect() as admin:
            admin.call("CONFIG", "SET", "requirepass", "p")
            try:
                lines = [OFF, "RESET", "PING", "AUTH p", OFF, "PING", ON, SKIP, "RESET", OFF, "PING", "AUTH p"]
                with Wire(one.port) as wire:
                    wire.send(b"".join(encode_command(*line.split()) for line in lines))
                    found.append([reply.raw for reply in wire.replies(8)])
            finally:
                admin.call("CONFIG", "SET", "requirepass", "")
    assert found[0] == found[1]
