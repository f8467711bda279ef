"""Clients behind a proxy: whose header is read before anything else, and whom it makes of them (lifecycle A1-15)."""

import gc
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.memory import drop_garbage, memory_client, memory_server, received, turn, used_bytes
from harness.process import ServerProcess, StartServer
from harness.waiting import eventually
from harness.wire import Wire, encode_command
from lifecycle.test_proxy_header import BAD, HEADERS, binary, inet, unix
from ranvier import limits
from ranvier.clock import VirtualClock
from ranvier.engine.client import ClientHandle
from ranvier.server.server import Server

REAL = "192.0.2.1:4711"
STRANGER = b"PROXY TCP4 198.51.100.7 192.0.2.1 4000 6379\r\n"
INSIDE = b"PROXY TCP4 127.0.0.1 192.0.2.1 4000 6379\r\n"
PROXY_ADDRESS = "127.0.0.2"     # of this machine, and not where the harness's own connections come from


@contextmanager
def proxied(server: Server) -> Iterator[tuple[socket.socket, ClientHandle]]:
    """The peer's end of a connection from a trusted proxy, as the accept path leaves it, and the server's client."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    handle = ClientHandle(server, REAL, "192.0.2.9:6379")
    server.engine.add_client(ours.detach(), handle, True)
    handle.authenticated = not server.configuration.requirepass
    with theirs:
        yield theirs, handle


REQUESTS = encode_command("SET", "k", "v" * 50) + encode_command("GET", "k") + b"PING\r\n"
REPLIES = b"+OK\r\n$50\r\n" + b"v" * 50 + b"\r\n+PONG\r\n"


@pytest.mark.parametrize(("header", "source"), HEADERS)
def test_a1_15_a_header_split_at_any_byte(header: bytes, source: str | None) -> None:
    """What is behind it in the same read runs; nothing runs before it is complete; the address is the announced one."""
    step = 1 if len(header) < 400 else 97
    with memory_server(protected_mode="no") as server:
        for split in [*range(1, len(header) + len(REQUESTS), step), len(header)]:
            with proxied(server) as (peer, client):
                peer.send((header + REQUESTS)[:split])
                turn(server)
                assert client.describe()["tot-cmds"] == 0 or split > len(header)
                peer.send((header + REQUESTS)[split:])
                turn(server)
                assert received(peer) == (REPLIES, "open")
                assert client.address == (source or REAL)
            turn(server)
        assert server.engine.client_count == 0


def test_a1_15_a_header_byte_by_byte() -> None:
    with memory_server(protected_mode="no") as server, proxied(server) as (peer, client):
        for byte in inet("198.51.100.7", 4000, b"\x04\x00\x01x") + REQUESTS:
            peer.send(bytes([byte]))
            turn(server)
        assert received(peer) == (REPLIES, "open")
        assert client.address == "198.51.100.7:4000"


@pytest.mark.parametrize("data", BAD)
def test_a1_15_a_bad_header_closes_with_its_reason(data: bytes) -> None:
    with memory_server() as server, proxied(server) as (peer, client):
        peer.send(data + b"\r\nPING\r\n")
        turn(server)
        answer, state = received(peer)
        assert (answer, state) in ((b"", "ended"), (b"", "reset"))
        assert client.close_reason == "proxy-protocol"
        assert server.engine.statistics()["commands"] == 0
        assert (server.rejected_connections, server.total_connections) == (1, 0)


def test_a1_15_an_oversized_header_is_not_waited_for() -> None:
    """The length alone decides; it is one byte more than the limit."""
    with memory_server() as server, proxied(server) as (peer, client):
        peer.send(binary(1, 0x11, bytes(limits.PROXY_HEADER_BYTES - 15))[:16])
        turn(server)
        assert received(peer)[1] == "ended"
        assert client.close_reason == "proxy-protocol"


@pytest.mark.parametrize("sent", [b"", STRANGER[:-1], inet("198.51.100.7", 4000)[:-1]])
def test_a1_15_a_late_header_closes(sent: bytes) -> None:
    with memory_server() as server, proxied(server) as (peer, client):
        clock = server.clock
        assert isinstance(clock, VirtualClock)
        peer.send(sent)
        clock.advance(limits.PROXY_HEADER_MILLISECONDS - 1)
        turn(server)
        server.engine.check_clients(5)
        turn(server)
        assert received(peer) == (b"", "open")
        clock.advance(1)
        turn(server)
        server.engine.check_clients(5)
        turn(server)
        assert received(peer)[1] == "ended"
        assert client.close_reason == "proxy-protocol"
        assert (server.rejected_connections, server.total_connections) == (1, 0)


def test_a1_15_a_ready_client_is_not_late() -> None:
    with memory_server(protected_mode="no") as server, proxied(server) as (peer, _):
        clock = server.clock
        assert isinstance(clock, VirtualClock)
        peer.send(STRANGER)
        turn(server)
        clock.advance(10 * limits.PROXY_HEADER_MILLISECONDS)
        turn(server)
        server.engine.check_clients(5)
        peer.send(b"PING\r\n")
        turn(server)
        assert received(peer) == (b"+PONG\r\n", "open")
        assert (server.rejected_connections, server.total_connections) == (0, 1)


@pytest.mark.parametrize(("header", "let_in"), [
    (STRANGER, False), (INSIDE, True), (inet("198.51.100.7", 1), False), (inet("127.3.2.1", 1), True),
    (unix(b"127.0.0.1"), False), (binary(0, 0, b""), False),
])  # fmt: skip
def test_a1_08_protected_mode_judges_whom_the_header_announces(header: bytes, let_in: bool) -> None:
    """Client first, then its handshake, then protected mode. A1-10: who is refused is not counted as received. A1-15"""
    with memory_server(protected_mode="yes") as server, proxied(server) as (peer, client):
        assert client.id > 0
        peer.send(header[:-1] if let_in else header[:5])
        turn(server)
        assert received(peer) == (b"", "open")
        peer.send((header[-1:] if let_in else header[5:]) + b"PING\r\n")
        turn(server, 2)
        answer, state = received(peer)
        if let_in:
            assert (answer, state) == (b"+PONG\r\n", "open")
        else:
            assert answer.startswith(b"-DENIED ") and answer.count(b"\r\n") == 1
            assert state == "ended"
            assert client.close_reason == "protected-mode"
        assert (server.rejected_connections, server.total_connections) == (not let_in, let_in)


@pytest.mark.parametrize(("header", "allowed"), [(STRANGER, False), (INSIDE, True), (unix(b"127.0.0.1"), False)])
def test_a1_15_what_is_allowed_from_this_machine_follows_the_header(header: bytes, allowed: bool) -> None:
    options = {"enable_debug_command": "local", "enable_protected_configs": "local", "protected_mode": "no"}
    with memory_server(**options) as server, proxied(server) as (peer, _):
        peer.send(header + encode_command("DEBUG", "JMAP") + encode_command("CONFIG", "SET", "dbfilename", "x.rdb"))
        turn(server)
        answer = received(peer)[0]
        assert (b"-ERR DEBUG command not allowed" in answer) != allowed
        assert (b"can't set protected config" in answer) != allowed


def test_a1_15_a_password_is_asked_for_as_everywhere() -> None:
    with memory_server(requirepass="secret") as server, proxied(server) as (peer, _):
        peer.send(STRANGER + b"PING\r\n")
        turn(server)
        assert received(peer) == (b"-NOAUTH Authentication required.\r\n", "open")


def test_a1_15_kill_and_list_know_the_announced_address() -> None:
    with (
        memory_server(protected_mode="no") as server, memory_client(server) as other, proxied(server) as (peer, client)
    ):
        assert b"addr=" + REAL.encode() in other.talk(b"CLIENT LIST\r\n")
        peer.send(STRANGER)
        turn(server)
        listed = other.talk(encode_command("CLIENT", "LIST", "ADDR", "198.51.100.7:4000"))
        assert b"addr=198.51.100.7:4000 laddr=192.0.2.9:6379 " in listed
        assert other.talk(encode_command("CLIENT", "KILL", "ADDR", REAL)) == b":0\r\n"
        assert other.talk(encode_command("CLIENT", "KILL", "ADDR", "198.51.100.7:4000")) == b":1\r\n"
        turn(server)
        assert received(peer) == (b"", "ended")
        assert client.close_reason == "killed"


@pytest.mark.parametrize("way", ["close", "half-close", "kill", "late", "shutdown"])
@pytest.mark.parametrize("sent", [b"", STRANGER[:9], inet("198.51.100.7", 4000, bytes(300))[:-1]])
def test_a1_15_a_client_that_ends_in_its_header_leaves_nothing(way: str, sent: bytes) -> None:
    """A8 for a client in the handshake phase: counted memory, clients and descriptors."""
    with memory_server() as server:
        clock = server.clock
        assert isinstance(clock, VirtualClock)
        turn(server)
        before = (used_bytes(server), descriptors())
        for _ in range(20):
            with proxied(server) as (peer, client):
                peer.send(sent)
                turn(server)
                if way == "close":
                    peer.close()
                elif way == "half-close":
                    peer.shutdown(socket.SHUT_WR)
                elif way == "kill":
                    client.close()
                elif way == "shutdown":
                    client.finish()
                else:
                    clock.advance(limits.PROXY_HEADER_MILLISECONDS)
                    turn(server)
                    server.engine.check_clients(5)
                turn(server)
                assert client.closed
            del client
        drop_garbage(server)
        assert server.engine.client_count == 0
        assert (used_bytes(server), descriptors()) == before
        assert server.total_connections == 0


def descriptors() -> int:
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


PIECES = st.lists(st.one_of(
    st.binary(max_size=60),
    st.sampled_from([STRANGER, INSIDE, inet("198.51.100.7", 4000), binary(0, 0, b""), STRANGER[:20], b"PING\r\n",
                     encode_command("ECHO", "x" * 100), b"\r\n"]),
), min_size=1, max_size=6)  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(PIECES, st.integers(1, 400))
def test_a1_15_any_bytes_in_any_pieces_end_alike(pieces: list[bytes], size: int) -> None:
    """Random bytes: the same outcome in one piece and in many, and no bug in the log's owner."""
    data = b"".join(pieces) or b"x"
    outcomes = []
    for step in (len(data), size):
        with memory_server(protected_mode="no") as server, proxied(server) as (peer, client):
            for start in range(0, len(data), step):
                if not client.closed:
                    peer.send(data[start : start + step])
                    turn(server)
            turn(server)
            outcomes.append((received(peer)[0], client.close_reason, client.address))
            assert client.close_reason != "bug"
    assert outcomes[0] == outcomes[1]


# ---- over real sockets ----------------------------------------------------------------------------------------------


@contextmanager
def from_proxy(server: ServerProcess) -> Iterator[socket.socket]:
    """A connection whose source address is the proxy's."""
    with socket.socket() as connection:
        # Or the port stays taken for servers that bind every address, for as long as the kernel remembers the socket.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        connection.settimeout(20)
        connection.bind((PROXY_ADDRESS, 0))
        connection.connect(("127.0.0.1", server.port))
        yield connection


def test_a1_15_only_listed_peers_speak_it(start_server: StartServer) -> None:
    """A header from anyone else is a request like any other; listed peers are told apart by their address."""
    server = start_server("--proxy-protocol-from", f"{PROXY_ADDRESS}/32 2001:db8::/32", "--loglevel", "verbose",
                          kind="ranvier")
    with server.connect() as asking, from_proxy(server) as proxy:
        assert asking.call("CONFIG", "GET", "proxy-protocol-from").items[1].text == b"127.0.0.2/32 2001:db8::/32"
        asking.send(STRANGER)
        assert asking.reply().text.startswith(b"ERR unknown command 'PROXY'")
        proxy.sendall(INSIDE + encode_command("CLIENT", "INFO"))
        line = proxy.recv(4096)
        assert b" addr=127.0.0.1:4000 laddr=127.0.0.1:%d " % server.port in line
        with from_proxy(server) as bad:
            bad.sendall(b"PING\r\n")
            assert bad.recv(100) == b""
        reason = "without a valid PROXY header (it does not begin with one)"
        eventually(lambda: reason in server.log(), "the log says so")
        stats = server.info("stats")
        assert stats["rejected_connections"] == "1"
        assert asking.call("CONFIG", "SET", "proxy-protocol-from", "").raw == b"+OK\r\n"
        with from_proxy(server) as direct:
            direct.sendall(b"PING\r\n")
            assert direct.recv(100) == b"+PONG\r\n"
        proxy.sendall(b"PING\r\n")
        assert proxy.recv(100) == b"+PONG\r\n"


@pytest.mark.parametrize("value", ["10.0.0.1/8", "10.0.0.0/33", "host", "10.0.0.0/8,::1", "10.0.0.0/8 x", "-::1"])
def test_a1_15_the_list_of_networks_is_checked(server: ServerProcess, value: str) -> None:
    with server.connect() as wire:
        answer = wire.call("CONFIG", "SET", "proxy-protocol-from", value)
        assert b"'proxy-protocol-from') - not a network in CIDR notation: " in answer.text
        many = " ".join(f"10.0.{number}.0/24" for number in range(limits.PROXY_NETWORKS + 1))
        assert b"at most 64 networks are allowed" in wire.call("CONFIG", "SET", "proxy-protocol-from", many).text
        assert wire.call("CONFIG", "GET", "proxy-protocol-from").items[1].text == b""


def test_a1_15_connections_that_end_in_their_header_leave_nothing(start_server: StartServer) -> None:
    """Over TCP, with FIN and with RST: descriptors and clients are back where they were."""
    server = start_server("--proxy-protocol-from", PROXY_ADDRESS, "--maxclients", "500", kind="ranvier")

    def rounds(asking: Wire) -> int:
        for number in range(300):
            with from_proxy(server) as proxy:
                proxy.sendall(STRANGER[: number % 40])
                if number % 3 == 0:
                    proxy.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        eventually(lambda: b"connected_clients:1\r\n" in asking.call("INFO", "clients").text, "all have left")
        return len(server.descriptors())

    with server.connect() as asking:
        assert rounds(asking) == rounds(asking)
        assert b"total_connections_received:2\r\n" in asking.call("INFO", "stats").text
