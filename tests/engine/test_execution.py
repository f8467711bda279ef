"""Executing requests when handlers, hooks and peers do their worst: nothing is lost, mixed up or used too late."""

import gc
import os
from collections.abc import Callable

import pytest

from harness.memory import (
    drop_garbage,
    memory_client,
    memory_server,
    read_replies,
    received,
    socket_client,
    turn,
    used_bytes,
)
from harness.wire import encode_command
from ranvier import limits
from ranvier.engine.client import ClientHandle
from ranvier.errors import CommandError
from ranvier.server.server import Server
from ranvier.shells.memory import MemoryClient
from ranvier.values import Status

PING, PONG = b"PING\r\n", b"+PONG\r\n"
MEGABYTE = 1 << 20
Handler = Callable[[ClientHandle, "list[bytes]"], object]


def bulk(text: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(text), text)


def add_command(server: Server, name: str, handler: Handler) -> None:
    record = server.commands[b"echo"].command      # what a hook asks of a command that was slow
    server.engine.add_command(name, -1, 0, (0, 0, 0), handler, record, container=False, skip_slowlog=True, quick=False)


# ---- a handler that goes too far ------------------------------------------------------------------------------------

def test_a_command_closes_its_own_client() -> None:
    """The requests behind it stand in memory that a close gives back: they must not be looked at again."""
    with memory_server() as server, memory_client(server) as other, memory_client(server) as client:
        add_command(server, "end", lambda handle, args: handle.close())
        client.talk(b"*2\r\n$4\r\nECHO\r\n")                           # the rest is read behind the client's own query
        assert client.talk(b"$1\r\na\r\n" + b"END\r\n" + encode_command("SET", "k", "v") * 100) == b""
        assert client.handle.closed
        assert other.talk(b"EXISTS k\r\n") == b":0\r\n"


def test_a_command_closes_its_own_client_with_a_big_argument() -> None:
    seen: list[bytes] = []

    def end(handle: ClientHandle, args: list[bytes]) -> None:
        handle.close()
        server.engine.free_closed()
        seen.append(handle.request_word(1))

    with memory_server() as server, memory_client(server) as client:
        add_command(server, "end", end)
        request = encode_command("END", b"b" * 100_000)
        assert [client.talk(request[:60_000]), client.talk(request[60_000:] + PING)] == [b"", b""]
        assert seen == [b"b" * 100_000]
        assert client.handle.closed


def test_a_command_talks_for_another_client() -> None:
    """Requests executed inside a request: each client gets its own answers, in order."""
    # Nothing is logged as slow: the command added here has no record for that.
    with memory_server(slowlog_log_slower_than=-1) as server, \
            memory_client(server) as inner, memory_client(server) as client:
        nested = b"".join(encode_command("ECHO", b"%d" % n * 50) for n in range(300))
        expected = b"".join(bulk(b"%d" % n * 50) for n in range(300))
        add_command(server, "relay", lambda handle, args: inner.talk(nested) == expected)
        stream = (encode_command("ECHO", b"x" * 30) + encode_command("RELAY", "y" * 40_000)) * 20
        assert client.talk(stream) == (bulk(b"x" * 30) + b":1\r\n") * 20
        # ... and when the outer requests come in pieces, with big arguments
        answered = b"".join(client.talk(stream[i : i + 7000]) for i in range(0, len(stream), 7000))
        assert answered == (bulk(b"x" * 30) + b":1\r\n") * 20


def test_a_client_is_not_fed_by_its_own_command() -> None:
    with memory_server() as server, memory_client(server) as client, memory_client(server) as other:
        add_command(server, "self", lambda handle, args: client.talk(PING * 1000))
        assert client.talk(b"SELF\r\n" + PING) == b""
        assert client.handle.close_reason == "bug"
        assert other.talk(PING) == PONG


def test_a_command_closes_and_frees_others() -> None:
    with memory_server() as server, memory_client(server) as client:
        victims = [MemoryClient(server) for _ in range(5)]

        def kill(handle: ClientHandle, args: list[bytes]) -> int:
            for victim in victims:
                victim.close()
            return len(victims)

        add_command(server, "killall", kill)
        assert client.talk(b"KILLALL\r\n" + PING) == b":5\r\n" + PONG
        server.engine.free_closed()
        assert server.engine.client_count == 1
        assert all(victim.handle.closed for victim in victims)


@pytest.mark.parametrize("value", [[1, 2, object()], {"plain": 1}, [[], [[3.5, {1: object()}]], 1], "text", 1 << 70])
def test_a_reply_that_breaks_off_never_leaves(value: object) -> None:
    with memory_server() as server, memory_client(server) as other, memory_client(server) as client:
        add_command(server, "broken", lambda handle, args: value)
        assert client.talk(b"BROKEN\r\n" + PING) == b""
        assert client.handle.close_reason == "bug"
        assert other.talk(PING) == PONG


def test_an_error_in_the_middle_of_a_reply_is_no_reply() -> None:
    class Late(dict[bytes, bytes]):
        def items(self) -> object:  # type: ignore[override]
            yield b"key", b"value"
            raise CommandError("ERR too late")

    with memory_server() as server, memory_client(server) as client:
        add_command(server, "late", lambda handle, args: Late(a=b"b"))
        assert client.talk(b"LATE\r\n" + PING) == b""
        assert client.handle.close_reason == "bug"


def test_a_reply_nested_without_end_is_a_bug_and_no_crash() -> None:
    nested: list[object] = []
    for _ in range(200_000):
        nested = [nested]
    endless: list[object] = []
    endless.append(endless)
    values: list[object] = []
    with memory_server() as server:
        for value in (nested, endless, {1: endless}):
            values.append(value)
            add_command(server, f"deep{id(value)}", lambda handle, args: values[-1])
            with memory_client(server) as client:
                assert client.talk(encode_command(f"deep{id(value)}")) == b""
                assert client.handle.close_reason == "bug"
    while nested:                              # without recursion, which freeing it at once would be
        nested = nested.pop()  # type: ignore[assignment]


def test_a_status_with_line_ends_is_one_line() -> None:
    """A3-20, lesson 14."""
    with memory_server() as server, memory_client(server) as client:
        add_command(server, "lines", lambda handle, args: Status("a\r\n+b"))
        assert client.talk(b"LINES\r\n") == b"+a  +b\r\n"


@pytest.mark.parametrize("kind", ["on_change", "on_propagate"])
def test_a_listener_that_raises_costs_one_client(kind: str) -> None:
    with memory_server() as server, memory_client(server) as other, memory_client(server) as client:

        def listener(*_: object) -> None:
            raise ZeroDivisionError

        server.observe(**{kind: listener})
        assert client.talk(PING + encode_command("SET", "k", "v") + PING) == b""
        assert client.handle.close_reason == "bug"
        server.propagation_listeners.clear()
        server.change_listeners.clear()
        assert other.talk(b"GET k\r\n" + PING) == bulk(b"v") + PONG


def test_changes_are_told_by_running_commands_only() -> None:
    with memory_server() as server, memory_client(server) as client:
        with pytest.raises(RuntimeError):
            client.handle.changed(b"k", "set", 1)
        add_command(server, "far", lambda handle, args: handle.changed(b"k", "set", 1, None, 1000))
        assert client.talk(b"FAR\r\n") == b""
        assert client.handle.close_reason == "bug"


# ---- names ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", [b"client|list", b"CLIENT|ID", b"config|get", b"object|encoding", b"client|", b"|"])
def test_a_subcommand_is_reached_through_its_container_only(name: bytes) -> None:
    with memory_server() as server, memory_client(server) as client:
        expected = b"-ERR unknown command '%b', with args beginning with: 'x' 'y' \r\n" % name
        assert client.talk(encode_command(name, "x", "y")) == expected
        assert client.talk(encode_command("client|", "list")).startswith(b"-ERR unknown command 'client|',")


# ---- ends -----------------------------------------------------------------------------------------------------------

def test_quit_ends_a_client_without_a_socket() -> None:
    with memory_server() as server, memory_client(server) as client:
        assert client.talk(PING + b"QUIT\r\n" + PING) == PONG + b"+OK\r\n"
        assert client.handle.closed
        assert client.talk(PING) == b""
        server.engine.free_closed()
        assert server.engine.client_count == 0


def test_a_client_is_added_once() -> None:
    with memory_server() as server, memory_client(server) as client:
        with pytest.raises(ValueError, match="before"):
            server.engine.add_client(-1, client.handle)
        assert server.engine.client_count == 1
        ClientHandle(server).close()           # never added: nothing to undo
        assert client.talk(PING) == PONG


@pytest.mark.parametrize("use", [
    lambda handle: handle.describe(), lambda handle: handle.send(b"x"), lambda handle: handle.select(0),
    lambda handle: handle.finish(), lambda handle: handle.database_index, lambda handle: handle.request_word(0),
    lambda handle: handle.changed(b"k", "set", 1), lambda handle: handle.server.engine.feed(handle, PING),
])
def test_a_client_that_was_never_added_is_of_no_use(use: Callable[[ClientHandle], object]) -> None:
    with memory_server() as server, pytest.raises(RuntimeError):
        use(ClientHandle(server))


def test_no_database_beyond_the_last_is_selected() -> None:
    with memory_server() as server, memory_client(server) as client:
        for index in (-1, 16, 1 << 20):
            with pytest.raises(IndexError):
                client.handle.select(index)
        assert client.handle.database_index == 0


def test_a_socket_that_cannot_be_watched_is_no_client() -> None:
    with memory_server() as server, memory_client(server) as client:
        handle = ClientHandle(server)
        with open(os.devnull) as file, pytest.raises(OSError, match="not permitted"):
            server.engine.add_client(file.fileno(), handle)
        handle.close()
        server.engine.free_closed()
        assert server.engine.client_count == 1
        assert client.talk(PING) == PONG


def test_what_is_sent_to_a_closed_client_leaves_nothing_behind() -> None:
    with memory_server() as server:
        with memory_client(server) as client:
            client.talk(PING)
        before = used_bytes(server)
        for _ in range(20):
            client = MemoryClient(server)
            client.handle.close()
            client.handle.send(b"x" * 50_000)
            server.engine.free_closed()
        assert used_bytes(server) == before


def test_a_server_that_never_ran_closes_its_descriptors() -> None:
    def descriptors() -> int:
        return len(os.listdir("/dev/fd"))

    gc.collect()
    before = descriptors()
    for close in (True, False):
        with memory_server() as closed:
            pass
        server = Server(closed.configuration, closed.log)
        assert descriptors() > before
        if close:
            server.engine.close()
            assert descriptors() == before
            server.engine.close()
        del server
        gc.collect()
        assert descriptors() == before


def test_posting_to_a_closed_engine_does_nothing() -> None:
    """Its descriptor may be another file's by now."""
    with memory_server() as server:
        pass
    reader, writer = os.pipe()
    strangers = [os.dup(writer) for _ in range(10)]
    os.set_blocking(reader, False)
    server.engine.post(lambda: None)
    with pytest.raises(BlockingIOError):
        os.read(reader, 1)
    for descriptor in (reader, writer, *strangers):
        os.close(descriptor)


def test_a_posted_call_that_posts_itself_lets_the_turn_go_on() -> None:
    with memory_server() as server, socket_client(server) as peer:
        calls = 0

        def again() -> None:
            nonlocal calls
            calls += 1
            if calls < 1000:
                server.engine.post(again)

        again()
        peer.send(PING)
        turn(server)
        assert calls < 10
        turn(server)
        assert received(peer) == (PONG, "open")


def test_a_posted_call_and_a_timer_that_raise_are_logged_and_the_server_goes_on(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def fail() -> None:
        raise ZeroDivisionError("a bug of the caller")

    with memory_server() as server, socket_client(server) as peer:
        server.log.set_level("notice")
        server.engine.post(fail)
        server.engine.timers.call_at(server.engine.monotonic_ms, fail)
        peer.send(PING)
        turn(server, 3)
        server.log.set_level("nothing")
        assert received(peer) == (PONG, "open")
    assert capfd.readouterr().out.count("ZeroDivisionError: a bug of the caller") == 2


# ---- what is owed ---------------------------------------------------------------------------------------------------

def owed(client: MemoryClient) -> int:
    """Memory that the replies of a client hold."""
    numbers = client.handle.describe()
    return int(numbers["omem"]) + int(numbers["obl"])


def test_a_pipeline_of_large_replies_is_never_owed_at_once() -> None:
    """100,000 GETs of a megabyte from one feed: the rest waits."""
    with memory_server() as server, memory_client(server) as client:
        value = b"v" * MEGABYTE
        client.talk(encode_command("SET", "k", value))
        before = used_bytes(server)
        pipeline = encode_command("GET", "k") * 100_000
        server.engine.feed(client.handle, pipeline)
        largest = limits.OWED_BYTES + len(value) + 4 * limits.OUTPUT_BLOCK_BYTES
        assert MEGABYTE < owed(client) < largest
        assert used_bytes(server) - before < 2 * len(pipeline) + 16 * limits.OUTPUT_BLOCK_BYTES
        server.engine.feed(client.handle, PING * 1000)
        assert owed(client) < largest


@pytest.mark.parametrize("size", [100, 5_000, 20_000, 200_000])
def test_requests_that_waited_lose_nothing(size: int) -> None:
    with memory_server() as server, memory_client(server) as client:
        client.talk(encode_command("SET", "k", b"v" * size))
        count = 20 * limits.OWED_BYTES // size
        stream = b"".join(encode_command("GET", "k") + encode_command("ECHO", n) for n in range(count))
        answered = b"".join(bulk(b"v" * size) + bulk(b"%d" % n) for n in range(count))
        assert client.talk(stream) == answered
        for start in range(0, len(stream), 9973):
            server.engine.feed(client.handle, stream[start : start + 9973])
        assert server.engine.take_output(client.handle) == answered


def test_a_big_argument_that_is_half_there_when_its_client_has_to_wait() -> None:
    """What was read of it into a blob is no longer in the query buffer, and must stay."""
    payload = bytes(range(256)) * 400
    with memory_server() as server, memory_client(server) as client:
        client.talk(encode_command("SET", "k", b"v" * (2 * MEGABYTE)))
        first = encode_command("GET", "k")
        second = encode_command("MSET", "a", payload, "b", payload[::-1])
        for cut in (40, 33_000, 70_000, 102_500, 150_000, len(second) - 1, len(second)):
            server.engine.feed(client.handle, first + second[:cut])
            server.engine.feed(client.handle, second[cut:])
            server.engine.feed(client.handle, b"MGET a b\r\n" + PING)
            answered = read_replies(server.engine.take_output(client.handle))
            assert [reply.plain() for reply in answered[1:]] == [b"OK", [payload, payload[::-1]], b"PONG"], cut
            client.talk(b"DEL a b\r\n")


def test_a_big_argument_complete_at_a_socket_whose_client_has_to_wait() -> None:
    """A read into the full argument would look like the end of input."""
    payload = b"p" * 100_000
    with memory_server() as server, socket_client(server, send_buffer_bytes=4096) as peer:
        request = encode_command("SET", "k", b"v" * (8 * MEGABYTE))
        while request:
            request = request[peer.send(request[:50_000]) :]
            turn(server)
        assert received(peer) == (b"+OK\r\n", "open")
        request = encode_command("GET", "k") + encode_command("ECHO", payload) + PING
        while request:
            request = request[peer.send(request[:20_000]) :]
            turn(server)
        turn(server, 3)
        peer.send(PING)
        turn(server, 3)
        data, state = b"", "open"
        expected = bulk(b"v" * (8 * MEGABYTE)) + bulk(payload) + PONG * 2
        for _ in range(5000):
            piece, state = received(peer)
            data += piece
            if len(data) >= len(expected) or state != "open":
                break
            turn(server)
        assert (len(data), state) == (len(expected), "open")
        assert data == expected


@pytest.mark.parametrize("change", [
    encode_command("DEL", "k"), encode_command("APPEND", "k", "tail"),
    encode_command("SETRANGE", "k", 0, "b" * 100_000),
    encode_command("SET", "k", "w"), b"FLUSHALL\r\n", encode_command("RENAME", "k", "l"), encode_command("UNLINK", "k"),
    encode_command("GETDEL", "k"), encode_command("SETBIT", "k", 0, 1), encode_command("PEXPIREAT", "k", 1),
], ids=lambda change: repr(change[:30]))
def test_a_value_that_is_owed_is_sent_as_it_was(change: bytes) -> None:
    with memory_server() as server, memory_client(server) as client, memory_client(server) as other:
        before = used_bytes(server)
        for value in (b"a" * 16_384, b"a" * 100_000):
            client.talk(encode_command("SET", "k", value))
            server.engine.feed(client.handle, encode_command("GET", "k"))
            other.talk(change)
            drop_garbage(server)
            other.talk(encode_command("SET", "filler", b"z" * len(value)))
            assert server.engine.take_output(client.handle) == bulk(value)
            other.talk(b"FLUSHALL\r\n")
            drop_garbage(server)
        assert used_bytes(server) - before < 4096


def test_a_referenced_value_counts_until_it_has_left() -> None:
    """Its header has been sent: what remains is still memory that this client holds (lessons, 10) (A5-5, A14-11)."""
    with memory_server() as server, memory_client(server) as other:
        other.talk(encode_command("SET", "k", b"v" * (4 * MEGABYTE)))
        with socket_client(server, send_buffer_bytes=4096) as peer:
            peer.send(encode_command("GET", "k"))
            turn(server, 3)
            (handle,) = [client for client in server.engine.clients if client.fd >= 0]
            sent = handle.describe()["tot-net-out"]
            assert 100 < sent < 4 * MEGABYTE
            assert handle.describe()["omem"] >= 4 * MEGABYTE
            other.talk(b"DEL k\r\n")
            drop_garbage(server)
            data = b""
            while len(data) < 4 * MEGABYTE + 11:
                data += received(peer)[0]
                turn(server)
            assert handle.describe()["omem"] == 0
            assert handle.describe()["oll"] == 0
            assert data == bulk(b"v" * (4 * MEGABYTE))
