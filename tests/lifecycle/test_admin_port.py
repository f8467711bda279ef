"""The admin port: beside maxclients, with descriptors of its own, and first in every turn."""

import contextlib
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from harness.memory import memory_server, received, socket_client, turn
from harness.process import ServerProcess, StartServer, free_port, run_to_end
from harness.waiting import eventually
from harness.wire import Wire, encode_command
from ranvier import limits
from ranvier.engine.client import ClientHandle
from ranvier.server.server import Server

FULL = b"-ERR max number of clients reached\r\n"
INCREMENT = encode_command("INCR", "turns")


@contextmanager
def admin_client(server: Server) -> Iterator[socket.socket]:
    """The peer's end of a client as the accept path of the admin port leaves it."""
    with socket_client(server) as peer:
        server.engine.clients[-1].make_admin()
        yield peer


def with_admin_port(start_server: StartServer, *options: str) -> tuple[ServerProcess, int]:
    port = free_port()
    return start_server("--admin-port", str(port), *options, kind="ranvier"), port


# ---- beside maxclients ----------------------------------------------------------------------------------------------


def test_a1_06_the_admin_port_is_open_when_maxclients_is_reached(start_server: StartServer) -> None:
    """Its connections count neither against maxclients nor as rejected."""
    server, port = with_admin_port(start_server, "--maxclients", "3")
    with Wire(port) as admin, Wire(port) as second, ExitStack() as stack:
        second.call("PING")
        eventually(lambda: b"connected_clients:2\r\n" in admin.call("INFO", "clients").text, "these two alone")
        assert b"rejected_connections:0\r\n" in admin.call("INFO", "stats").text
        wires = [stack.enter_context(server.connect()) for _ in range(3)]
        for wire in wires:
            assert wire.call("PING").raw == b"+PONG\r\n"
        with server.connect() as refused:
            assert refused.read_to_end() == (FULL, "eof")
        with Wire(port) as third:      # the sixth of all
            assert third.call("PING").raw == second.call("PING").raw == b"+PONG\r\n"
        assert b"rejected_connections:1\r\n" in admin.call("INFO", "stats").text
        assert b"maxclients:3\r\n" in admin.call("INFO", "clients").text
        assert admin.call("CLIENT", "KILL", "ID", wires[0].call("CLIENT", "ID").number).raw == b":1\r\n"
        with server.connect() as welcome:
            assert welcome.call("PING").raw == b"+PONG\r\n"


def test_a1_06_the_admin_port_has_a_limit_of_its_own(start_server: StartServer) -> None:
    server, port = with_admin_port(start_server)
    with ExitStack() as stack:
        admins = [stack.enter_context(Wire(port)) for _ in range(limits.ADMIN_CLIENTS)]
        for admin in admins:
            assert admin.call("PING").raw == b"+PONG\r\n"
        with Wire(port) as refused:
            assert refused.read_to_end() == (FULL, "eof")
        admins[0].close()
        eventually(lambda: f"connected_clients:{limits.ADMIN_CLIENTS - 1}\r\n".encode()
                   in admins[1].call("INFO", "clients").text, "one has left")
        with Wire(port) as welcome, server.connect() as other:
            assert welcome.call("PING").raw == other.call("PING").raw == b"+PONG\r\n"


def test_who_came_by_the_admin_port_is_told(start_server: StartServer) -> None:
    server, port = with_admin_port(start_server)
    with Wire(port) as admin:
        assert f" laddr=127.0.0.1:{port} ".encode() in admin.call("CLIENT", "INFO").text
        listed = admin.call("CLIENT", "LIST", "LADDR", f"127.0.0.1:{port}").text
        assert listed.count(b"\n") == 1
        text = admin.call("INFO", "server").text.decode()
        assert f"listener0:name=tcp,bind=127.0.0.1,port={server.port}\r\n" in text
        assert f"listener1:name=admin,bind=127.0.0.1,port={port}\r\n" in text
        assert f"tcp_port:{server.port}\r\n" in text
    assert "Ready to accept connections admin" in server.log()


def test_a_password_is_asked_for_at_the_admin_port_too(start_server: StartServer) -> None:
    _, port = with_admin_port(start_server, "--requirepass", "secret")
    with Wire(port) as admin:
        assert admin.call("PING").text.startswith(b"NOAUTH")
        assert admin.call("AUTH", "secret").raw == b"+OK\r\n"


def test_an_admin_port_alone_is_enough_to_listen_on(start_server: StartServer) -> None:
    server, port = with_admin_port(start_server)
    with Wire(port) as admin:
        assert admin.call("CONFIG", "SET", "port", "0").raw == b"+OK\r\n"
        assert b"tcp_port:0\r\n" in admin.call("INFO", "server").text
        assert admin.call("CONFIG", "SET", "port", server.port).raw == b"+OK\r\n"


def test_the_admin_port_can_be_moved_and_closed(server: ServerProcess, start_server: StartServer) -> None:
    """A taken port is refused, and everything listens where it did."""
    own, port = with_admin_port(start_server)
    moved = free_port()
    with Wire(port) as admin:
        assert admin.call("CONFIG", "SET", "admin-port", server.port).text == (
            b"ERR CONFIG SET failed (possibly related to argument 'admin-port') - Unable to listen on this port. Check "
            b"server logs."
        )
        with Wire(port) as again, own.connect() as other:
            assert again.call("PING").raw == other.call("PING").raw == b"+PONG\r\n"
            assert b"port=%d\r\n" % port in again.call("INFO", "server").text
        assert admin.call("CONFIG", "SET", "admin-port", moved).raw == b"+OK\r\n"
        with Wire(moved) as again:
            assert f" laddr=127.0.0.1:{moved} ".encode() in again.call("CLIENT", "INFO").text
        assert admin.call("CONFIG", "SET", "admin-port", "0").raw == b"+OK\r\n"
        assert b"name=admin" not in admin.call("INFO", "server").text
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", moved)) != 0


def test_a_taken_admin_port_ends_the_start(server: ServerProcess) -> None:
    outcome = run_to_end("ranvier", ["--port", "0", "--bind", "127.0.0.1", "--admin-port", str(server.port)])
    assert outcome.returncode == 1
    assert f"Failed listening on port {server.port}" in outcome.stdout


def test_a1_05_the_admin_port_is_open_when_descriptors_are_exhausted(start_server: StartServer) -> None:
    """Those that were kept back are given up one by one, and filled up again as clients leave. Lesson 17."""
    server, port = with_admin_port(start_server)
    with server.connect() as inside:
        inside.call("PING")
        soft, hard = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (server.lowest_free_descriptor(), hard))
        with server.connect() as waiting:
            waiting.send(b"PING\r\n")
            eventually(lambda: "Accepting client connection" in server.log(), "no descriptor is left")
            for _ in range(3):
                with ExitStack() as stack:
                    for _ in range(limits.ADMIN_SPARE_DESCRIPTORS):
                        admin = stack.enter_context(Wire(port))
                        assert admin.call("PING").raw == b"+PONG\r\n"
                eventually(lambda: b"connected_clients:1\r\n" in inside.call("INFO", "clients").text, "they have left")
            resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (soft, hard))
            assert waiting.reply().raw == b"+PONG\r\n"


def test_a1_07_the_limit_on_open_files_leaves_room_for_the_admin_port() -> None:
    with memory_server(maxclients=50) as without, memory_server(maxclients=50, admin_port=7) as server:
        more = server.configuration.reserved_descriptors - without.configuration.reserved_descriptors
        assert without.configuration.reserved_descriptors == limits.RESERVED_DESCRIPTORS
        assert more == limits.ADMIN_CLIENTS + limits.ADMIN_SPARE_DESCRIPTORS


# ---- first in a turn ------------------------------------------------------------------------------------------------


def test_admin_clients_are_executed_first() -> None:
    """Whoever is polled first: the admin client's INCR is the first of its turn."""
    with memory_server() as server, ExitStack() as stack:
        before = [stack.enter_context(socket_client(server)) for _ in range(20)]
        admin = stack.enter_context(admin_client(server))
        behind = [stack.enter_context(socket_client(server)) for _ in range(20)]
        for peer in [*before, *behind, admin]:
            peer.send(INCREMENT)
        turn(server)
        assert received(admin)[0] == b":1\r\n"
        others = [received(peer)[0] for peer in before + behind]
        assert sorted(others) == sorted(b":%d\r\n" % number for number in range(2, 42))


def test_admin_clients_are_executed_first_while_others_wait_for_the_shared_buffer() -> None:
    """More input than a turn reads: what an admin client asks in between is answered in the next turn, once."""
    pipeline = INCREMENT * (limits.READ_BUFFER_BYTES // len(INCREMENT))
    with memory_server() as server, ExitStack() as stack:
        others = [stack.enter_context(socket_client(server)) for _ in range(10)]
        admins = [stack.enter_context(admin_client(server)) for _ in range(2)]
        for peer in others:
            peer.send(pipeline)
        turn(server)
        for number in range(1, 5):
            answered = sum(received(peer)[0] != b"" for peer in others)
            assert answered < len(others), number
            for admin in admins:
                admin.send(b"PING\r\n" * number)
            turn(server)
            assert [received(admin) for admin in admins] == [(b"+PONG\r\n" * number, "open")] * 2
        turn(server, 60)
        assert server.engine.statistics()["commands"] == 10 * (len(pipeline) // len(INCREMENT)) + 2 * 10


def test_admin_clients_that_send_without_end_leave_the_others_their_turns() -> None:
    pipeline = INCREMENT * (limits.READ_BUFFER_BYTES // len(INCREMENT))
    with memory_server() as server, ExitStack() as stack:
        admins = [stack.enter_context(admin_client(server)) for _ in range(3)]
        others = [stack.enter_context(socket_client(server)) for _ in range(3)]

        def flood() -> None:
            for admin in admins:
                received(admin)
                with contextlib.suppress(BlockingIOError):
                    admin.send(pipeline)

        for _ in range(10):
            flood()
            turn(server)
        for peer in others:
            peer.send(b"PING\r\n")
        for _ in range(2 * (len(admins) + 2)):
            flood()
            turn(server)
        assert [received(peer)[0] for peer in others] == [b"+PONG\r\n"] * 3


def test_admin_clients_are_written_first() -> None:
    """Clients that share a stream: the order of its bytes is the order of the writes."""
    with memory_server() as server:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        handles = [ClientHandle(server, f"peer:{number}") for number in range(6)]
        for handle in handles:
            server.engine.add_client(ours.dup().detach(), handle)
            handle.authenticated = True
        for handle in (handles[1], handles[4]):
            handle.make_admin()
        for number, handle in enumerate(handles):
            handle.send(b"%d" % number)
        turn(server)
        data = received(theirs)[0]
        assert sorted(data[:2]) == sorted(b"14")
        assert sorted(data) == sorted(b"012345")
        handles[1].close()
        server.engine.free_closed()
        assert server.engine.admin_count == 1
        ours.close()
        theirs.close()


def test_a8_an_admin_client_that_leaves_is_on_no_list() -> None:
    """By its own end, killed, and freed while events of it are left over."""
    pipeline = INCREMENT * (limits.READ_BUFFER_BYTES // len(INCREMENT))
    with memory_server() as server, ExitStack() as stack:
        others = [stack.enter_context(socket_client(server)) for _ in range(6)]
        for number in range(6):
            with admin_client(server) as leaving, admin_client(server) as killed, admin_client(server):
                for peer in others:
                    received(peer)
                    peer.send(pipeline[: 60_000 - 60_000 % len(INCREMENT)] if number % 2 else b"PING\r\n")
                turn(server)
                handles = server.engine.clients
                leaving.send(b"PING\r\n")
                leaving.close()
                killed.send(b"PING\r\n")
                handles[-2].close()
                turn(server, 2)
                del handles
            turn(server, 30)
            assert server.engine.admin_count == 0
            assert server.engine.client_count == len(others)
