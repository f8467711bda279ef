"""Transactions (lifecycle A4-7, A4-23, A13): what queues, what aborts, what a watch notices, what is left."""

import pytest

from harness.memory import drop_garbage, memory_client, memory_server, read_replies, used_bytes
from harness.process import ServerProcess, StartServer, parse_info
from harness.wire import Wire, encode_command
from ranvier.engine.client import ClientHandle
from ranvier.server.server import Server
from ranvier.shells.memory import MemoryClient

OK, QUEUED, NULL = b"+OK\r\n", b"+QUEUED\r\n", b"*-1\r\n"
ABORTED = b"-EXECABORT Transaction discarded because of previous errors.\r\n"


def say(client: MemoryClient, *lines: str) -> bytes:
    """What the client is answered, all lines in one piece."""
    return client.talk(b"".join(encode_command(*line.split()) for line in lines))


def say_on(server: Server, *lines: str) -> bytes:
    with memory_client(server) as client:
        return say(client, *lines)


# ---- against Valkey: lines of two clients, "B: ..." being the other one's -------------------------------------------

CONVERSATIONS = {
    "nothing": "multi / exec",
    "runs": "multi / set a 1 / get a / incr a / exec / get a",
    "run-time errors do not abort": "set a x / multi / incr a / lpush a 1 / get a / exec",
    "without MULTI": "exec / discard / unwatch",
    "nested MULTI": "multi / multi / set a 1 / exec / get a / multi / exec",
    "WATCH inside": "multi / watch a / set a 1 / exec / get a",
    "unknown command": "multi / set a 1 / nosuch a b / set b 1 / exec / get a",
    "unknown subcommand": "multi / client nosuch / exec",
    "wrong arity": "multi / get / set a 1 / exec / get a",
    "EXEC with arguments": "multi / set a 1 / exec foo / exec / get a",
    "EXEC with arguments outside": "watch a / exec foo / set a 1 / multi / exec",
    "DISCARD with arguments": "multi / set a 1 / discard foo / exec / discard",
    "MULTI with arguments": "multi foo / exec",
    "not allowed inside": "multi / shutdown nosave / exec",
    "DISCARD": "multi / set a 1 / discard / get a / exec",
    "DISCARD after an error": "multi / nosuch / discard / multi / ping / exec",
    "RESET": "watch a / multi / set a 1 / reset / get a / exec / multi / set a 1 / exec",
    "SELECT": "multi / select 3 / set a 1 / exec / get a / select 0 / get a",
    "two protocols": "multi / hello 9 / exec",
    "errors of arguments come at EXEC": "multi / set a 1 foo / expire a x / exec / get a",
    "own write before MULTI": "watch a / set a 1 / multi / get a / exec / multi / get a / exec",
    "own write inside": "watch a / multi / set a 1 / exec / get a",
    "another's write": "watch a / B:set a 1 / multi / get a / exec / multi / get a / exec",
    "another's write inside MULTI": "watch a / multi / get a / B:append a x / exec",
    "another key": "watch a / B:set b 1 / multi / get b / exec",
    "one of many": "watch a b c d / B:set c 1 / multi / ping / exec",
    "the same key twice": "watch a a / watch a / B:set a 1 / multi / ping / exec / multi / ping / exec",
    "UNWATCH": "watch a / B:set a 1 / unwatch / multi / ping / exec",
    "UNWATCH first": "watch a / unwatch / B:set a 1 / multi / ping / exec",
    "UNWATCH inside": "watch a / B:set a 1 / multi / unwatch / ping / exec",
    "DISCARD unwatches": "watch a / B:set a 1 / multi / discard / multi / ping / exec",
    "EXEC unwatches": "watch a / multi / exec / B:set a 1 / multi / ping / exec",
    "an abort unwatches": "watch a / multi / nosuch / exec / B:set a 1 / multi / ping / exec",
    "an abort comes before a touch": "watch a / B:set a 1 / multi / nosuch / exec",
    "WATCH after a touch": "watch a / B:set a 1 / watch b / multi / ping / exec",
    "WATCH without a key": "watch / multi / ping / exec",
    "deleted": "set a 1 / watch a / B:del a / multi / ping / exec",
    "missing and not deleted": "watch a / B:del a / multi / ping / exec",
    "made and deleted again": "watch a / B:set a 1 / B:del a / multi / ping / exec",
    "renamed away": "set a 1 / watch a / B:rename a b / multi / ping / exec",
    "renamed onto": "set b 1 / watch a / B:rename b a / multi / ping / exec",
    "copied onto": "set b 1 / watch a / B:copy b a / multi / ping / exec",
    "moved away": "set a 1 / watch a / B:move a 5 / multi / ping / exec",
    "expiry set": "set a 1 / watch a / B:expire a 100 / multi / ping / exec",
    "expiry set in the past": "set a 1 / watch a / B:expire a -1 / multi / ping / exec",
    "expiry removed": "set a 1 ex 100 / watch a / B:persist a / multi / ping / exec",
    "read": "set a 1 / watch a / B:get a / B:touch a / B:type a / multi / ping / exec",
    "a write that changes nothing": "set a 1 / watch a / B:setnx a 2 / B:expire no 1 / multi / ping / exec",
    "the same value": "set a 1 / watch a / B:set a 1 / multi / ping / exec",
    "a list": "rpush l 1 2 / watch l / B:lpop l / multi / ping / exec",
    "a list's other end": "rpush l 1 2 / watch m / B:lmove l m left right / multi / ping / exec",
    "several keys at once": "watch b / B:mset a 1 b 2 / multi / ping / exec",
    "another database": "watch a / B:select 1 / B:set a 1 / multi / ping / exec",
    "keys of two databases": "watch a / select 1 / watch a / B:select 1 / B:set a 1 / select 0 / multi / ping / exec",
    "moved into the other database": "set a 1 / select 5 / watch a / B:move a 5 / multi / ping / exec",
    "FLUSHALL": "set a 1 / watch a / B:flushall / multi / ping / exec",
    "FLUSHALL of a missing key": "set b 1 / watch a / B:flushall / multi / ping / exec",
    "FLUSHDB": "set a 1 / watch a / B:flushdb async / multi / ping / exec",
    "FLUSHDB of another database": "set a 1 / watch a / B:select 1 / B:flushdb / multi / ping / exec",
    "FLUSHALL by oneself": "set a 1 / watch a / flushall / multi / ping / exec",
    "FLUSHALL of many": "mset a 1 b 2 c 3 / watch a b c / B:watch b c / B:flushall / multi / exec / B:multi / B:exec",
    "SWAPDB of an existing key": "set a 1 / watch a / B:swapdb 0 1 / multi / ping / exec / flushall",
    "SWAPDB of a missing key": "watch a / B:swapdb 0 1 / multi / ping / exec",
    "SWAPDB brings a key": "select 1 / set a 1 / select 0 / watch a / B:swapdb 0 1 / multi / ping / exec / flushall",
    "SWAPDB of a key in both": "set a 1 / watch a / B:select 1 / B:set a 1 / B:swapdb 1 0 / multi / ping / exec",
    "SWAPDB of others": "set a 1 / watch a / B:swapdb 1 2 / multi / ping / exec",
    "SWAPDB with itself": "set a 1 / watch a / B:swapdb 0 0 / multi / ping / exec",
    "written by a transaction": "watch a / B:multi / B:set a 1 / B:exec / multi / ping / exec",
    "written twice": "watch a / B:set a 1 / B:set a 2 / B:flushall / multi / ping / exec",
    "blocking commands do not block": "multi / blpop l 0 / brpop l 1 / blmove l m left right 0 / brpoplpush l m 0 "
                                      "/ blmpop 0 1 l left / wait 1 0 / exec / rpush l x / lpop l",
    "blocking commands find something": "rpush l 1 2 3 / multi / blpop l 0 / blmove l l left right 0 / exec "
                                        "/ lrange l 0 -1",
    "a watched list is popped": "rpush l 1 / watch l / B:blpop l 0 / multi / exec",
    "a transaction that loses": "watch a / B:watch a / multi / incr a / exec / B:multi / B:incr a / B:exec",
}


def converse(server: ServerProcess, lines: str, protocol: int) -> list[bytes]:
    with server.connect(protocol=protocol) as one, server.connect(protocol=protocol) as other:
        one.call("FLUSHALL")
        wires = {True: other, False: one}
        return [wires[line.startswith("B:")].call(*line.removeprefix("B:").split()).raw
                for line in map(str.strip, lines.split("/"))]


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("title", CONVERSATIONS)
def test_a13_answers_as_valkey(server: ServerProcess, valkey: ServerProcess, title: str, protocol: int) -> None:
    """A4-7, A13 MULTI-1, A13 MULTI-2, A13 MULTI-4, A13 MULTI-6, A14-3."""
    ours, theirs = (converse(one, CONVERSATIONS[title], protocol) for one in (server, valkey))
    assert list(zip(CONVERSATIONS[title].split("/"), ours, strict=True)) == \
        list(zip(CONVERSATIONS[title].split("/"), theirs, strict=True))


SUBSCRIPTIONS = (
    "multi / subscribe ch / ping / exec / ping",
    "multi / subscribe ch / set a 1 / exec / get a / multi / exec / unsubscribe / get a",
    "multi / subscribe a b / unsubscribe / psubscribe c* / exec",
    "subscribe ch / multi",
    "multi / ssubscribe ch / exec",
    "multi / get a / publish ch x / exec",
    "subscribe ch / unsubscribe / multi / publish ch x / exec",
    "multi / subscribe ch / publish ch x / ping / exec / ping",
    "multi / subscribe ch / reset / get a",
)


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("lines", SUBSCRIPTIONS)
def test_a13_subscribing_inside_exec(server: ServerProcess, valkey: ServerProcess, lines: str, protocol: int) -> None:
    """In bytes, up to QUIT's answer: a subscription may be answered more than once, and by pushes (A13 MULTI-4)."""
    answered = []
    for one in (server, valkey):
        with one.connect(protocol=protocol) as wire:
            wire.call("FLUSHALL")
            wire.send(b"".join(encode_command(*line.split()) for line in [*lines.split("/"), "quit"]))
            answered.append(wire.read_to_end())
    assert answered[0] == answered[1]


def test_a13_who_waits_is_served_after_exec(server: ServerProcess, valkey: ServerProcess) -> None:
    """What a transaction pushes and takes away again nobody gets; what it leaves goes to who waits, after EXEC."""
    answered = []
    for one in (server, valkey):
        with one.connect() as wire, one.connect() as waiting, one.connect() as watching:
            wire.call("FLUSHALL")
            waiting.send_command("BLPOP", "l", "0")
            one.settle()
            watching.call("WATCH", "l")
            said = wire.pipeline([("MULTI",), ("RPUSH", "l", "1"), ("DEL", "l"), ("EXEC",)])
            said += wire.pipeline([("MULTI",), ("RPUSH", "l", "2", "3"), ("LPOP", "l"), ("LLEN", "l"), ("EXEC",)])
            said += [waiting.reply(), wire.call("LLEN", "l")]
            said += watching.pipeline([("MULTI",), ("EXEC",)])
            answered.append([reply.raw for reply in said])
    assert answered[0] == answered[1]


@pytest.mark.parametrize("key", [b"", b"\x00", b"k" * 100_000])
def test_a13_any_key_is_watched(server: ServerProcess, valkey: ServerProcess, key: bytes) -> None:
    for one in (server, valkey):
        with one.connect() as wire, one.connect() as other:
            wire.call("WATCH", key)
            other.call("SET", key, "v")
            assert [reply.raw for reply in wire.pipeline([("MULTI",), ("EXEC",)])] == [OK, NULL]
            wire.call("WATCH", key)
            other.call("FLUSHALL")
            assert [reply.raw for reply in wire.pipeline([("MULTI",), ("EXEC",)])] == [OK, NULL]


def test_a13_statistics_are_valkeys(start_server: StartServer) -> None:
    lines = ("multi", "set a 1", "get a", "incr a", "set a x", "incr a", "exec", "multi", "nosuch", "get", "exec",
             "exec", "exec x", "discard", "watch a", "unwatch", "multi", "multi", "discard")
    found = []
    for kind in ("ranvier", "valkey"):
        with start_server(kind=kind).connect() as wire:
            wire.call("CONFIG", "RESETSTAT")
            for line in lines:
                wire.call(*line.split())
            rows = parse_info(wire.call("INFO", "commandstats", "errorstats").text).items()
            found.append({name: [field for field in row.split(",") if not field.startswith("usec")]
                          for name, row in rows if name != "cmdstat_config|resetstat"})
    assert found[0] == found[1]
    assert found[0]["cmdstat_incr"] == ["calls=2", "rejected_calls=0", "failed_calls=1"]


def client_fields(line: bytes) -> dict[str, str]:
    return dict(field.partition("=")[::2] for field in line.decode().split())


def test_a11_client_list_shows_transactions_and_watches(server: ServerProcess, valkey: ServerProcess) -> None:
    steps = ("watch a b", "multi", "set a 1", "get a", "B:set a 2", "set a 3", "nosuch", "set a 4", "exec")
    shown = []
    for one in (server, valkey):
        seen = []
        with one.connect() as wire, one.connect() as other:
            identity = wire.call("CLIENT", "ID").number
            for step in steps:
                (other if step.startswith("B:") else wire).call(*step.removeprefix("B:").split())
                fields = client_fields(other.call("CLIENT", "LIST", "ID", identity).text)
                # Outside of MULTI Valkey's `multi` is 0 for those who were inside once, and -1 for the others.
                seen.append((step, fields["flags"], str(max(0, int(fields["multi"]))), fields["watch"], fields["cmd"]))
            other.call("FLUSHALL")
        shown.append(seen)
    assert shown[0] == shown[1]


def test_a16_info_counts_watchers_and_watched_keys(server: ServerProcess, valkey: ServerProcess) -> None:
    def figures(one: ServerProcess) -> tuple[str, str]:
        info = one.info("clients")
        return info["watching_clients"], info["total_watched_keys"]

    for one in (server, valkey):
        with one.connect() as wire, one.connect() as other:
            wire.call("WATCH", "a", "b", "a")
            other.call("WATCH", "b", "c")
            other.call("SELECT", "1")
            other.call("WATCH", "b")
            assert figures(one) == ("2", "4")
            wire.call("SET", "b", "1")
            assert figures(one) == ("0", "0")
            wire.call("FLUSHALL")


# ---- in memory ------------------------------------------------------------------------------------------------------

def test_a13_quit_runs_at_once() -> None:
    """A7-3, A13 MULTI-4."""
    with memory_server() as server, memory_client(server) as client:
        assert say(client, "multi", "set a 1", "quit", "exec") == OK + QUEUED + OK
        assert client.handle.closed
        assert say_on(server, "get a") == b"$-1\r\n"


def test_a13_reset_runs_at_once() -> None:
    """A11 RESET, A13 MULTI-4."""
    with memory_server() as server, memory_client(server) as client:
        assert say(client, "watch a", "multi", "set a 1", "reset", "exec") == \
            OK + OK + QUEUED + b"+RESET\r\n-ERR EXEC without MULTI\r\n"
        assert server.engine.statistics()["watching_clients"] == 0


def test_a13_split_at_any_byte() -> None:
    stream = b"".join(encode_command(*line.split()) for line in ("multi", "set a 1", "get a", "exec", "get a"))
    expected = OK + QUEUED * 2 + b"*2\r\n+OK\r\n$1\r\n1\r\n" + b"$1\r\n1\r\n"
    with memory_server() as server:
        for cut in range(len(stream)):
            with memory_client(server) as client:
                assert client.talk(stream[:cut]) + client.talk(stream[cut:]) == expected


def test_a13_big_arguments_wait_by_reference() -> None:
    """A queued argument outlives its batch, and what EXEC stores is not freed with the queue."""
    value = bytes(n % 251 for n in range(300_000))
    with memory_server() as server, memory_client(server) as client:
        say(client, "multi")
        for key in ("a", "b"):
            assert client.talk(encode_command("SET", key, value)) == QUEUED
        client.talk(encode_command("APPEND", "a", "tail") + encode_command("ECHO", value))
        first, second, length, echo = read_replies(say(client, "exec"))[0].items
        assert (first.raw, second.raw, length.number, echo.text) == (OK, OK, len(value) + 4, value)
        assert [reply.text for reply in read_replies(say(client, "get a", "get b"))] == [value + b"tail", value]


def test_a13_a_long_queue_runs_in_order() -> None:
    with memory_server() as server, memory_client(server) as client:
        say(client, "multi", *(f"rpush l {n}" for n in range(5000)))
        assert say(client, "exec") == b"*5000\r\n" + b"".join(b":%d\r\n" % (n + 1) for n in range(5000))
        last = [reply.items[0].text for reply in read_replies(say(client, "lrange l -1 -1"))]
        assert last == [b"4999"]


def test_a13_an_aborted_transaction_stores_nothing() -> None:
    """A13 MULTI-3."""
    with memory_server() as server, memory_client(server) as client:
        say(client, "multi", "set a 1", "nosuch")
        before = used_bytes(server)
        assert say(client, *["set a 1"] * 1000) == QUEUED * 1000
        assert used_bytes(server) == before
        assert client.handle.describe()["multi-mem"] == 0
        assert say(client, "exec") == ABORTED


def test_a13_a_lost_watch_stores_nothing() -> None:
    with memory_server() as server, memory_client(server) as client:
        say(client, "watch a", "set a 1", "multi")
        before = used_bytes(server)
        assert say(client, *["get a"] * 1000) == QUEUED * 1000
        assert used_bytes(server) == before
        assert say(client, "exec") == NULL


def test_a13_queued_bytes_count_toward_the_query_buffer_limit() -> None:
    """A2-4, A13 MULTI-3."""
    with memory_server(client_query_buffer_limit=1 << 20) as server, memory_client(server) as client:
        say(client, "multi")
        request, queued = encode_command("SET", "k", b"v" * 10_000), 0
        while not client.handle.closed:
            assert queued < 1 << 20
            queued += len(client.talk(request)) and 10_000
        assert client.handle.close_reason == "query-buffer-limit"
        assert queued > (1 << 20) * 3 // 4
        assert server.engine.statistics()["query_buffer_disconnections"] == 1


def test_a13_watched_keys_count_toward_the_query_buffer_limit() -> None:
    with memory_server(client_query_buffer_limit=1 << 20) as server, memory_client(server) as client:
        for n in range(20_000):
            client.talk(encode_command("WATCH", f"key:{n}"))
            if client.handle.closed:
                break
        assert client.handle.close_reason == "query-buffer-limit"
        server.engine.free_closed()
        assert server.engine.statistics()["watched_keys"] == 0


# ---- expiry: the clock is ours --------------------------------------------------------------------------------------

def advance(server: Server, milliseconds: int) -> None:
    server.clock.advance(milliseconds)  # type: ignore[attr-defined]


@pytest.mark.parametrize("looks", [False, True])
def test_a13_a_key_that_expires_after_watch_aborts(looks: bool) -> None:
    """Whether or not somebody has met the expired key, and so deleted it (A13 MULTI-6)."""
    with memory_server() as server, memory_client(server) as client:
        say(client, "set a 1 px 10", "watch a")
        advance(server, 20)
        if looks:
            assert say_on(server, "get a") == b"$-1\r\n"
        assert say(client, "multi", "ping", "exec") == OK + QUEUED + NULL


def test_a13_a_key_that_expires_inside_multi_aborts() -> None:
    with memory_server() as server, memory_client(server) as client:
        say(client, "set a 1 px 10", "watch a", "multi", "ping")
        advance(server, 20)
        assert say(client, "exec") == NULL


@pytest.mark.parametrize("then", ["get a", "del a", "flushall", "flushdb", "swapdb 0 1", "expire a 10"])
def test_a13_a_key_expired_before_watch_is_missing(then: str) -> None:
    """That it is deleted, or would have been, changes nothing (A13 MULTI-6)."""
    with memory_server() as server, memory_client(server) as client:
        server.set_active_expire(False)
        say(client, "set a 1 px 10")
        advance(server, 20)
        say(client, "watch a")
        say_on(server, then)
        assert say(client, "multi", "ping", "exec") == OK + QUEUED + b"*1\r\n+PONG\r\n"


@pytest.mark.parametrize("then", ["set a 1", "append a x", "rename b a", "getset a 1"])
def test_a13_a_key_expired_before_watch_is_written(then: str) -> None:
    with memory_server() as server, memory_client(server) as client:
        say(client, "set a 1 px 10", "set b 1")
        advance(server, 20)
        say(client, "watch a")
        say_on(server, then)
        assert say(client, "multi", "ping", "exec") == OK + QUEUED + NULL


def test_a13_swapdb_with_expired_namesakes() -> None:
    """Missing to expired changes nothing; expired to alive does."""
    with memory_server() as server, memory_client(server) as client, memory_client(server) as other:
        say(client, "select 1", "set a 1 px 10", "select 0")
        advance(server, 20)
        say(client, "watch a")
        say(other, "swapdb 0 1")
        assert say(client, "multi", "exec") == OK + b"*0\r\n"
        say(client, "watch a")
        say(other, "select 1", "set a 1", "swapdb 0 1")
        assert say(client, "multi", "exec") == OK + NULL


# ---- what is left behind --------------------------------------------------------------------------------------------

@pytest.mark.parametrize("lines", [
    ["multi"],
    ["multi", "set a 1", "get a"],
    ["multi", "set a 1", "nosuch", "get a"],
    ["watch a b c"],
    ["watch a", "set a 1"],
    ["watch a", "select 3", "watch a", "multi", "set a 1"],
    ["watch a", "set a 1", "multi", "set a 1"],
    ["multi", "set b 1", "quit"],
    ["watch a b", "multi", "set b 1", "reset"],
    ["watch a b", "multi", "set b 1", "exec"],
])  # fmt: skip
def test_a8_leaving_leaves_nothing(lines: list[str]) -> None:
    """A8-7."""
    with memory_server() as server:
        say_on(server, *lines)
        say_on(server, "flushall")
        drop_garbage(server)
        before = used_bytes(server)
        for _ in range(3):
            with memory_client(server) as client:
                say(client, *lines)
                client.talk(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$40000\r\n" + b"v" * 40_000 + b"\r\n*2\r\n$3\r\nGE")
        say_on(server, "flushall")
        drop_garbage(server)
        numbers = server.engine.statistics()
        assert (numbers["watching_clients"], numbers["watched_keys"], used_bytes(server)) == (0, 0, before)


def test_a8_a_disconnect_inside_multi_runs_nothing() -> None:
    """A7-4."""
    with memory_server() as server:
        with memory_client(server) as client:
            say(client, "multi", "set a 1")
        assert say_on(server, "get a") == b"$-1\r\n"


def test_a8_many_watchers_leave_in_any_order() -> None:
    """A8-7."""
    with memory_server() as server:
        before = used_bytes(server)
        clients = [MemoryClient(server) for _ in range(30)]
        for n, client in enumerate(clients):
            say(client, "watch " + " ".join(f"k{(n * m) % 7}" for m in range(1, 8)), "watch shared")
        for client in clients[::3]:
            client.close()
        assert server.engine.statistics()["watching_clients"] == 20
        assert say_on(server, "set shared 1") == OK
        numbers = server.engine.statistics()
        assert (numbers["watching_clients"], numbers["watched_keys"]) == (0, 0)
        for client in clients:
            if not client.handle.closed:
                assert say(client, "multi", "exec") == OK + NULL
            client.close()
        say_on(server, "flushall")
        drop_garbage(server)
        assert used_bytes(server) == before


# ---- propagation, hooks, gates --------------------------------------------------------------------------------------

def test_law_7_a_transaction_is_propagated_as_one() -> None:
    told: list[tuple[int, list[list[bytes]]]] = []
    with memory_server() as server, memory_client(server) as client:
        server.observe(on_propagate=lambda database, requests: told.append((database, requests)))
        say(client, "multi", "set a 1", "get a", "incr a", "exec", "multi", "get a", "exec", "set b 1")
        say(client, "multi", "set c 1", "select 2", "set d 1", "exec", "multi", "set e 1", "discard")
        say(client, "multi", "set f 1", "exec")
    assert told == [
        (0, [[b"MULTI"], [b"set", b"a", b"1"], [b"incr", b"a"], [b"EXEC"]]),
        (0, [[b"set", b"b", b"1"]]),
        (0, [[b"MULTI"], [b"set", b"c", b"1"], [b"SELECT", b"2"], [b"set", b"d", b"1"], [b"EXEC"]]),
        (2, [[b"set", b"f", b"1"]]),
    ]


def test_law_13_a_bug_inside_exec_closes_the_client_and_runs_the_rest() -> None:
    def listen(database: int, key: bytes, event_class: int, event: str) -> None:
        if key == b"bad":
            raise RuntimeError("a listener's bug")

    def raise_(handle: ClientHandle, args: list[bytes]) -> None:
        raise RuntimeError("a handler's bug")

    for line in ("set bad 1", "broken"):
        with memory_server() as server, memory_client(server) as client:
            server.observe(on_change=listen)
            server.engine.add_command("broken", -1, 1 << 18, (0, 0, 0), raise_, None, container=False,
                                      skip_slowlog=True, quick=False)
            assert say(client, "multi", "set a 1", line, "set b 1", "ping") == OK + QUEUED * 4
            assert say(client, "exec") == b""
            assert client.handle.close_reason == "bug"
            assert say_on(server, "mget a b") == b"*2\r\n$1\r\n1\r\n$1\r\n1\r\n"


def test_a7_killing_oneself_inside_exec_runs_the_rest() -> None:
    """The whole reply arrives; Valkey cuts it off behind the reply to CLIENT KILL."""
    with memory_server() as server, memory_client(server) as client:
        identity = read_replies(say(client, "client id"))[0].number
        answered = say(client, "multi", "set a 1", f"client kill id {identity} skipme no", "incr a", "exec", "ping")
        assert answered == OK + QUEUED * 3 + b"*3\r\n+OK\r\n:1\r\n:2\r\n"
        assert client.handle.closed
        assert say_on(server, "get a") == b"$1\r\n2\r\n"


def test_a4_a_refused_command_aborts_and_a_refused_exec_discards() -> None:
    """A4-6, A13 MULTI-2."""
    with memory_server(requirepass="secret") as server, memory_client(server) as client:
        refused = b"NOAUTH Authentication required.\r\n"
        discarded = b"-EXECABORT Transaction discarded because of: " + refused
        assert say(client, "exec", "multi") == discarded + b"-" + refused
        say(client, "auth secret", "multi", "set a 1")
        client.handle.authenticated = False
        assert say(client, "exec") == discarded
        client.handle.authenticated = True
        assert say(client, "exec", "get a") == b"-ERR EXEC without MULTI\r\n$-1\r\n"


def test_a4_23_subcommands_queue_too(server: ServerProcess, valkey: ServerProcess) -> None:
    for one in (server, valkey):
        with one.connect() as wire:
            replies = wire.pipeline([("MULTI",), ("CLIENT", "SETNAME", "x"), ("CLIENT", "GETNAME"), ("EXEC",)])
            assert replies[-1].raw == b"*2\r\n+OK\r\n$1\r\nx\r\n"


def test_a13_protocol_changes_inside_exec(server: ServerProcess) -> None:
    with Wire(server.port) as wire:
        replies = wire.pipeline([("MULTI",), ("HELLO", "3"), ("GET", "no:such"), ("EXEC",)])
        hello, missing = replies[-1].items
        assert (hello.kind, missing.raw) == (b"%", b"_\r\n")
