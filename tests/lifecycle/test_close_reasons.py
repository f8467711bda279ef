"""Every close has a reason: in INFO, in the log, and in what CLIENT CLOSED tells."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from socket import SHUT_WR, socket

import pytest

from harness.memory import memory_client, memory_server, read_replies, received, socket_client, turn
from harness.process import StartServer, parse_info
from harness.waiting import eventually
from harness.wire import encode_command
from ranvier.clock import VirtualClock
from ranvier.config.options import Configuration
from ranvier.engine.phase import CLOSE_REASON_NAMES
from ranvier.limits import CLOSED_NAME_BYTES
from ranvier.observe.log import ServerLog
from ranvier.server.server import Server
from ranvier.shells.memory import MemoryClient

MEGABYTE = 1 << 20
FIELDS = [
    "id", "addr", "laddr", "name", "user", "reason", "time", "age", "idle", "db", "cmd", "tot-cmds", "tot-net-in",
    "tot-net-out", "dropped",
]


def closes(client: MemoryClient) -> dict[str, int]:
    """INFO's line as a dictionary, reasons without a close left out."""
    (reply,) = read_replies(client.talk(b"INFO stats\r\n"))
    pairs = parse_info(reply.text)["client_closes"].split(",")
    counts = {reason: int(count) for reason, _, count in (pair.partition("=") for pair in pairs)}
    assert tuple(counts) == CLOSE_REASON_NAMES
    return {reason: count for reason, count in counts.items() if count}


def closed(client: MemoryClient, *words: str | int) -> list[dict[str, object]]:
    """CLIENT CLOSED in RESP3, texts decoded."""
    client.talk(b"HELLO 3\r\n")
    (reply,) = read_replies(client.talk(encode_command("CLIENT", "CLOSED", *words)))
    found: list[dict[str, object]] = []
    for entry in reply.items:
        assert entry.kind == b"%"
        values = [item.value.decode() if isinstance(item.value, bytes) else item.value for item in entry.items]
        found.append({str(name): value for name, value in zip(values[::2], values[1::2], strict=True)})
    return found


# ---- each reason ----------------------------------------------------------------------------------------------------

def by_peer(server: Server, peer: socket, other: MemoryClient) -> None:
    peer.close()


def by_peer_half(server: Server, peer: socket, other: MemoryClient) -> None:
    peer.send(b"PING\r\n")
    peer.shutdown(SHUT_WR)


def by_reset(server: Server, peer: socket, other: MemoryClient) -> None:
    """What is unread when a socket is closed resets the connection."""
    peer.send(b"PING\r\n")
    turn(server)
    peer.close()


def by_write_error(server: Server, peer: socket, other: MemoryClient) -> None:
    """The peer goes in the same turn in which a message is written to it."""
    peer.send(b"SUBSCRIBE a\r\n")
    turn(server)
    received(peer)
    peer.close()
    other.talk(b"PUBLISH a x\r\n")
    server.engine.write_replies()


def by_quit(server: Server, peer: socket, other: MemoryClient) -> None:
    peer.send(b"QUIT\r\n")


def by_protocol_error(server: Server, peer: socket, other: MemoryClient) -> None:
    peer.send(b"*x\r\n")
    turn(server)
    peer.close()


def by_output_limit(server: Server, peer: socket, other: MemoryClient) -> None:
    other.talk(encode_command("SET", "held", b"v" * (2 * MEGABYTE)))
    peer.send(b"GET held\r\n")


def by_query_limit(server: Server, peer: socket, other: MemoryClient) -> None:
    peer.send(b"*1\r\n$3000000\r\n")
    for _ in range(100):
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            peer.send(b"x" * 65536)
        turn(server)


def by_kill(server: Server, peer: socket, other: MemoryClient) -> None:
    other.talk(encode_command("CLIENT", "KILL", "ID", server.engine.clients[-1].id))


def by_kill_of_oneself(server: Server, peer: socket, other: MemoryClient) -> None:
    peer.send(encode_command("CLIENT", "KILL", "ID", server.engine.clients[-1].id, "SKIPME", "no"))


def by_idle(server: Server, peer: socket, other: MemoryClient) -> None:
    assert isinstance(server.clock, VirtualClock)
    server.clock.advance(60_000)
    turn(server)
    server.engine.check_clients(100)


def by_attack(server: Server, peer: socket, other: MemoryClient) -> None:
    peer.send(b"POST / HTTP/1.1\r\n")


def by_bug(server: Server, peer: socket, other: MemoryClient) -> None:
    def broken(database: int, key: bytes, event_class: int, event: str) -> None:
        raise ZeroDivisionError

    server.observe(on_change=broken)
    peer.send(b"SET a 1\r\n")


def by_shutdown(server: Server, peer: socket, other: MemoryClient) -> None:
    server.engine.clients[-1].finish()


WAYS: dict[str, tuple[str, Callable[[Server, socket, MemoryClient], None], str]] = {
    # reason, what is done, how the log's line begins
    "FIN": ("peer", by_peer, "Client closed connection id="),
    "half-close": ("peer", by_peer_half, "Client closed connection id="),
    "reset": ("read-error", by_reset, "Reading from client: Connection reset by peer id="),
    "write error": ("write-error", by_write_error, "Error writing to client: Broken pipe id="),
    "QUIT": ("quit", by_quit, "Closing client id="),
    "protocol error": ("protocol-error", by_protocol_error, "Closing client id="),
    "output limit": ("output-buffer-limit", by_output_limit, "Client id="),
    "query limit": ("query-buffer-limit", by_query_limit, "Closing client id="),
    "CLIENT KILL": ("killed", by_kill, "Closing client id="),
    "CLIENT KILL of oneself": ("killed", by_kill_of_oneself, "Closing client id="),
    "idle": ("idle", by_idle, "Closing idle client id="),
    "attack": ("attack", by_attack, "Closing client id="),
    "bug": ("bug", by_bug, "Closing client id="),
    "shutdown": ("shutdown", by_shutdown, "Closing client id="),
}


@pytest.mark.parametrize("way", WAYS)
def test_a7_every_close_has_its_reason(way: str, tmp_path: Path) -> None:
    reason, act, line = WAYS[way]
    log = ServerLog.to_file(str(tmp_path / "log"), "verbose")
    options = {"port": 0, "save": "", "timeout": 5, "client_query_buffer_limit": MEGABYTE,
               "client-output-buffer-limit": f"normal {MEGABYTE} 0 0"}
    server = Server(Configuration.of(options), log, VirtualClock())
    try:
        with memory_client(server) as other, socket_client(server) as peer:
            peer.send(b"CLIENT SETNAME somebody\r\n")
            turn(server)
            handle = server.engine.clients[-1]
            received(peer)
            act(server, peer, other)
            turn(server, 4)
            assert handle.closed
            assert handle.close_reason == reason
            assert closes(other) == {reason: 1}
            (entry,) = closed(other)
            assert entry["reason"] == reason
            assert (entry["id"], entry["addr"], entry["name"]) == (handle.id, handle.address, "somebody")
            (said,) = [text for text in (tmp_path / "log").read_text().splitlines()
                       if f"reason={reason}" in text or "scheduled to be closed" in text]
            assert f" {line}{handle.id} addr=peer:" in said
            assert " name=somebody " in said
    finally:
        server.engine.close()
        log.close()


def test_lesson_12_a_stranger_that_does_not_read_has_a_reason_of_its_own(start_server: StartServer) -> None:
    """More is owed to somebody who never logged in than may be."""
    server = start_server("--requirepass", "secret", kind="ranvier")
    with server.connect() as other, server.connect(receive_buffer_bytes=4096) as stranger:
        other.call("AUTH", "secret")

        def is_counted() -> bool:
            with contextlib.suppress(OSError):
                stranger.send(b"PING\r\n" * 10_000)
            return "unauthenticated-limit=1" in parse_info(other.call("INFO", "stats").text)["client_closes"]

        eventually(is_counted, "the stranger is closed")
    assert "scheduled to be closed ASAP for overcoming of output buffer limits" in server.log()


def test_a_crowd_of_reasons_is_counted_and_resetstat_begins_anew() -> None:
    with memory_server() as server, memory_client(server) as other:
        for count, act in ((3, by_quit), (2, by_peer), (1, by_kill)):
            for _ in range(count):
                with socket_client(server) as peer:
                    act(server, peer, other)
                    turn(server, 2)
        assert closes(other) == {"quit": 3, "peer": 2, "killed": 1}
        other.talk(b"CONFIG RESETSTAT\r\n")
        assert closes(other) == {}
        assert len(closed(other)) == 6


# ---- CLIENT CLOSED --------------------------------------------------------------------------------------------------

def comes_and_goes(server: Server, name: bytes) -> None:
    with memory_client(server) as client:
        client.talk(encode_command("CLIENT", "SETNAME", name))


def test_client_closed_shows_the_newest_first_and_as_many_as_asked_for() -> None:
    with memory_server(client_closed_max_len=5) as server, memory_client(server) as other:
        assert closed(other) == []
        for number in range(7):
            comes_and_goes(server, b"n%d" % number)
        assert [entry["name"] for entry in closed(other)] == ["n6", "n5", "n4", "n3", "n2"]
        assert [entry["name"] for entry in closed(other, "COUNT", 2)] == ["n6", "n5"]
        assert [entry["name"] for entry in closed(other, "count", "-1")] == ["n6", "n5", "n4", "n3", "n2"]
        assert closed(other, "COUNT", 0) == []
        assert other.talk(b"CONFIG SET client-closed-max-len 2\r\n") == b"+OK\r\n"
        assert [entry["name"] for entry in closed(other)] == ["n6", "n5"]
        assert other.talk(b"CONFIG SET client-closed-max-len 0\r\n") == b"+OK\r\n"
        comes_and_goes(server, b"n8")
        assert closed(other) == []
        assert closes(other)["killed"] == 8


def test_client_closed_has_ten_entries_unless_asked() -> None:
    with memory_server() as server, memory_client(server) as other:
        for _ in range(130):
            comes_and_goes(server, b"n")
        assert len(closed(other)) == 10
        assert len(closed(other, "COUNT", 1000)) == len(closed(other, "COUNT", -1)) == 128


def test_client_closed_tells_what_the_client_had_done() -> None:
    with memory_server() as server, memory_client(server) as other:
        other.talk(encode_command("SET", "held", b"v" * (3 * MEGABYTE)))
        with socket_client(server, send_buffer_bytes=4096) as peer:
            peer.send(b"SELECT 4\r\nPING\r\nSELECT 0\r\nGET held\r\n")
            turn(server)
            assert isinstance(server.clock, VirtualClock)
            handle = server.engine.clients[-1]
            server.clock.advance(7_900)
            turn(server)
            sent = handle.describe()["tot-net-out"]
            by_kill(server, peer, other)
        (entry,) = closed(other)
        assert list(entry) == FIELDS
        assert entry["age"] == 7
        assert entry["idle"] == 7
        assert entry["time"] == server.clock.wall_ms()
        assert (entry["db"], entry["cmd"], entry["tot-cmds"]) == (0, "get", 4)
        assert entry["tot-net-in"] == len(b"SELECT 4\r\nPING\r\nSELECT 0\r\nGET held\r\n")
        assert entry["tot-net-out"] == sent
        whole = len(b"+OK\r\n+PONG\r\n+OK\r\n$3145728\r\n\r\n") + 3 * MEGABYTE
        assert entry["dropped"] == whole - sent


def test_client_closed_in_resp2_is_a_flat_array_of_the_same_fields() -> None:
    with memory_server() as server, memory_client(server) as other:
        comes_and_goes(server, b"n")
        (reply,) = read_replies(other.talk(b"CLIENT CLOSED\r\n"))
        (entry,) = reply.items
        assert entry.kind == b"*"
        assert [item.text.decode() for item in entry.items[::2]] == FIELDS


@pytest.mark.parametrize("words", ["COUNT", "COUNT 1 2", "NUMBER 1", "1"])
def test_client_closed_refuses_other_words(words: str) -> None:
    with memory_server() as server, memory_client(server) as other:
        assert other.talk(f"CLIENT CLOSED {words}\r\n".encode()) == b"-ERR syntax error\r\n"


@pytest.mark.parametrize("count", ["x", "-2", "1.5", "+1"])
def test_client_closed_refuses_counts_that_are_none(count: str) -> None:
    with memory_server() as server, memory_client(server) as other:
        assert other.talk(f"CLIENT CLOSED COUNT {count}\r\n".encode()) == (
            b"-ERR count should be greater than or equal to -1\r\n"
        )


def test_a_long_name_makes_no_large_entry() -> None:
    with memory_server() as server, memory_client(server) as other:
        comes_and_goes(server, b"n" * 100_000)
        assert closed(other)[0]["name"] == "n" * CLOSED_NAME_BYTES


# ---- over sockets ---------------------------------------------------------------------------------------------------

def test_a1_06_who_is_refused_is_counted_and_kept(start_server: StartServer) -> None:
    server = start_server("--maxclients", "2", "--loglevel", "verbose", kind="ranvier")
    with server.connect() as first:
        first.call("HELLO", "3")
        eventually(lambda: parse_info(first.call("INFO", "clients").text)["connected_clients"] == "1",
                   "the harness's own connection is gone")
        with server.connect() as second, server.connect() as third:
            second.call("PING")
            address = "{}:{}".format(*third.socket.getsockname())
            assert third.read_to_end()[0] == b"-ERR max number of clients reached\r\n"
            (entry,) = first.call("CLIENT", "CLOSED", "COUNT", 1).items
        fields = {entry.items[i].text: entry.items[i + 1].value for i in range(0, len(entry.items), 2)}
        assert (fields[b"id"], fields[b"addr"], fields[b"reason"]) == (0, address.encode(), b"maxclients")
        assert fields[b"laddr"] == b"127.0.0.1:%d" % server.port
        counts = parse_info(first.call("INFO", "stats").text)["client_closes"]
        assert "maxclients=1" in counts.split(",")
    assert f"Refused connection addr={address}" in server.log()


def test_the_loop_tells_of_real_resets(start_server: StartServer) -> None:
    server = start_server("--loglevel", "verbose", kind="ranvier")
    with server.connect() as other:
        with server.connect() as wire:
            wire.call("PING")
            wire.reset()
        eventually(lambda: "read-error=1" in parse_info(other.call("INFO", "stats").text)["client_closes"],
                   "the reset is counted")
    assert "Reading from client: Connection reset by peer id=" in server.log()
