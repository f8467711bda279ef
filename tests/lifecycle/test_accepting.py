"""Listening and accepting: limits, exhausted descriptors, Unix sockets (lifecycle A1)."""

import resource
import socket
import stat
from pathlib import Path

from harness.process import ServerProcess, StartServer
from harness.programs import unavailable
from harness.waiting import eventually
from harness.wire import Wire

MAXCLIENTS_ERROR = b"-ERR max number of clients reached\r\n"


def test_a1_03_sockets_have_keepalive(start_server: StartServer) -> None:
    """The kernel's table of sockets shows a keepalive timer on the server's end of the connection."""
    server = start_server("--tcp-keepalive", "300")
    with server.connect() as wire:
        wire.call("PING")
        peer = wire.socket.getsockname()[1]
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        timers = [row[5] for row in rows if row[1].endswith(f":{server.port:04X}") and row[2].endswith(f":{peer:04X}")]
        assert timers
        assert all(timer.startswith("02:") for timer in timers)


def test_a1_06_the_client_beyond_maxclients_is_told_and_closed(start_server: StartServer) -> None:
    """A1-10."""
    server = start_server("--maxclients", "5")
    with server.connect() as asking:
        received = int(info(asking, "stats")["total_connections_received"])
        wires = [server.connect() for _ in range(4)]
        for wire in wires:
            assert wire.call("PING").raw == b"+PONG\r\n"
        for _ in range(3):
            with server.connect() as refused:
                assert refused.read_to_end() == (MAXCLIENTS_ERROR, "eof")
        stats = info(asking, "stats")
        assert stats["rejected_connections"] == "3"
        assert int(stats["total_connections_received"]) == received + 4
        wires.pop().close()
        eventually(lambda: info(asking, "clients")["connected_clients"] == "4", "one has left")
        with server.connect() as welcome:
            assert welcome.call("PING").raw == b"+PONG\r\n"
        for wire in wires:
            wire.close()


def info(wire: Wire, section: str) -> dict[str, str]:
    text = wire.call("INFO", section).text.decode()
    return dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)


def test_a1_07_maxclients_can_be_raised_and_lowered(start_server: StartServer) -> None:
    server = start_server("--maxclients", "50")
    with server.connect() as wire, server.connect() as other:
        other.call("PING")
        assert wire.call("CONFIG", "SET", "maxclients", "1").raw == b"+OK\r\n"
        assert other.call("PING").raw == b"+PONG\r\n"
        with server.connect() as refused:
            assert refused.read_to_end()[0] == MAXCLIENTS_ERROR
        assert wire.call("CONFIG", "SET", "maxclients", "50").raw == b"+OK\r\n"
        with server.connect() as welcome:
            assert welcome.call("PING").raw == b"+PONG\r\n"


def test_a1_11_ids_grow_and_are_never_reused(server: ServerProcess) -> None:
    seen = []
    for _ in range(20):
        with server.connect() as wire:
            seen.append(wire.call("CLIENT", "ID").number)
    assert seen == sorted(set(seen))


def test_a1_05_exhausted_descriptors_neither_spin_nor_kill(start_server: StartServer) -> None:
    """EMFILE in accept: the log says so a few times, those inside are served, and it recovers by itself (lesson 17)."""
    server = start_server()
    with server.connect() as inside:
        inside.call("PING")
        soft, hard = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (server.lowest_free_descriptor(), hard))
        waiting = [server.connect(30) for _ in range(5)]
        for wire in waiting:
            wire.send(b"PING\r\n")
        eventually(lambda: "Accepting client connection" in server.log(), "the log names the failure")
        assert inside.call("PING").raw == b"+PONG\r\n"
        if server.kind == "ranvier":
            cpu_seconds = server.cpu_seconds()
            assert not waiting[0].has_input(wait_seconds=1.0)
            assert server.cpu_seconds() - cpu_seconds < 0.3
            assert server.log().count("Accepting client connection") <= 10
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (soft, hard))
        for wire in waiting:
            assert wire.reply().raw == b"+PONG\r\n"
            wire.close()


def test_a1_04_many_connections_at_once_are_all_served(start_server: StartServer) -> None:
    """More than one accept batch, more than the backlog of a small queue."""
    server = start_server()
    wires = [server.connect() for _ in range(800)]
    for wire in wires:
        wire.send(b"PING\r\n")
    for wire in wires:
        assert wire.reply().raw == b"+PONG\r\n"
    assert server.info("clients")["connected_clients"] == "801"
    for wire in wires:
        wire.close()
    eventually(lambda: server.info("clients")["connected_clients"] == "1", "all have left")


def test_a1_12_unix_socket_serves_and_is_removed(start_server: StartServer, tmp_path: Path) -> None:
    path = tmp_path / "ranvier.sock"
    path.write_text("an old file in the way")
    server = start_server("--unixsocket", str(path), "--unixsocketperm", "700", clean=False)
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    with Wire(str(path)) as wire:
        assert wire.call("PING").raw == b"+PONG\r\n"
        listed = wire.call("CLIENT", "LIST").text
        if server.kind == "ranvier":            # Valkey brackets the path, which A1-12 says not to copy
            assert f"addr={path}:0".encode() in listed
        assert b" flags=U" in listed
    assert server.stop() == 0
    assert not path.exists()


def test_a1_09_protected_mode_is_for_loopback_free(start_server: StartServer) -> None:
    """A peer from elsewhere, without a password set: the DENIED line, counted as rejected, not as received (A1-10)."""
    server = start_server("--bind", "*", "--protected-mode", "yes")
    address = outer_address()
    with server.connect() as asking, socket.create_connection((address, server.port), 10) as outside:
        received = int(info(asking, "stats")["total_connections_received"])
        data = b""
        while piece := outside.recv(4096):
            data += piece
        assert data.startswith(b"-DENIED ")
        assert data.endswith(b"\r\n")
        stats = info(asking, "stats")
        assert stats["rejected_connections"] == "1"
        assert int(stats["total_connections_received"]) == received


def outer_address() -> str:
    """An address of this machine that is not loopback; 127.0.0.1's peers are local by definition."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            unavailable("this machine has no address besides loopback")
        return str(probe.getsockname()[0])
