"""Listening sockets and what accepted ones are given: A1-1 to A1-8, A1-12, A1-16, A12."""

import errno
import fcntl
import grp
import os
import resource
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

import ranvier
from harness.memory import memory_server, received, turn
from harness.process import ServerProcess, StartServer, free_port, run_to_end
from harness.programs import unavailable
from harness.waiting import eventually
from harness.wire import Wire
from ranvier.config.options import Configuration
from ranvier.errors import ListenError
from ranvier.observe.log import ServerLog
from ranvier.process import SOMAXCONN, warn_of_short_backlog
from ranvier.server.accept import PASSING_ERRORS, Listener, listen_tcp, listen_unix
from ranvier.server.server import Server

SO_PROTOCOL = 38
IPPROTO_MPTCP = 262
NOT_OF_THIS_MACHINE = "203.0.113.77"     # of a block kept for documentation

T = TypeVar("T")


class Lines(ServerLog):
    """A log that keeps its lines."""

    def __init__(self) -> None:
        super().__init__(level="debug")
        self.lines: list[str] = []

    def log(self, level: int, text: str) -> None:
        self.lines.append(text)


def asked(server: ranvier.Server, question: Callable[[], T]) -> T:
    """The answer that the server's own thread gives."""
    answers: list[T] = []
    server.core.post(lambda: answers.append(question()))
    eventually(lambda: bool(answers), "the server's thread has answered")
    return answers[0]


def option_of(server: ranvier.Server, level: int, name: int) -> int:
    """A socket option of the server's end of its one client."""

    def look() -> int:
        with socket.socket(fileno=os.dup(server.core.engine.clients[0].fd)) as end:
            return end.getsockopt(level, name)

    return asked(server, look)


@contextmanager
def listening(server: Server) -> Iterator[Listener]:
    """A TCP listener of a server that the calling thread runs."""
    (listener,) = listen_tcp(server, ("127.0.0.1",), 0)
    try:
        yield listener
    finally:
        listener.close()


# ---- where it listens -----------------------------------------------------------------------------------------------


def test_a1_01_the_defaults_are_port_6379_on_every_address() -> None:
    configuration = Configuration()
    assert (configuration.port, configuration.bind) == (6379, ("*", "-::*"))


def test_a1_01_an_address_with_a_dash_may_be_missing(start_server: StartServer) -> None:
    server = start_server("--bind", "127.0.0.1", f"-{NOT_OF_THIS_MACHINE}")
    with server.connect() as wire:
        assert wire.call("PING").raw == b"+PONG\r\n"


@pytest.mark.parametrize("address", [NOT_OF_THIS_MACHINE, f"-{NOT_OF_THIS_MACHINE}"])
def test_a1_01_no_address_at_all_ends_the_start(server_kind: str, address: str) -> None:
    outcome = run_to_end(server_kind, ["--port", str(free_port()), "--bind", address, "--save", ""])
    assert outcome.returncode == 1
    nothing = "Configured to not listen anywhere, exiting.\n"
    assert outcome.stdout.endswith(nothing if address[0] == "-" else "aborting.\n")


def test_a1_01_bind_changes_at_run_time(start_server: StartServer) -> None:
    """Those inside stay; an address that cannot be had is refused, and the old one is listened on again."""
    server = start_server("--bind", "127.0.0.1")
    with server.connect() as wire:
        answer = wire.call("CONFIG", "SET", "bind", NOT_OF_THIS_MACHINE)
        assert answer.text == (
            b"ERR CONFIG SET failed (possibly related to argument 'bind') - Failed to bind to specified addresses."
        )
        with server.connect() as again:
            assert again.call("PING").raw == b"+PONG\r\n"
        assert wire.call("CONFIG", "SET", "bind", "127.0.0.3").raw == b"+OK\r\n"
        assert wire.call("PING").raw == b"+PONG\r\n"
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", server.port)) == errno.ECONNREFUSED
        with socket.create_connection(("127.0.0.3", server.port), 10) as moved:
            moved.sendall(b"PING\r\n")
            assert moved.recv(100) == b"+PONG\r\n"


def test_a1_01_bind_changes_at_run_time_where_any_port_was_asked_for() -> None:
    """An embedded server keeps the port that it chose."""
    with ranvier.Server(port=0) as server, Wire(server.port) as wire:
        port = server.port
        assert wire.call("CONFIG", "SET", "bind", "127.0.0.1 127.0.0.3").raw == b"+OK\r\n"
        assert server.port == port
        with Wire(port) as again:
            assert again.call("PING").raw == b"+PONG\r\n"


@pytest.mark.parametrize(("allowed", "warned"), [("510\n", True), ("511\n", False), ("4096\n", False), ("", False)])
def test_a1_02_a_short_backlog_is_told(tmp_path: Path, allowed: str, warned: bool) -> None:
    path, log = tmp_path / "somaxconn", Lines()
    path.write_text(allowed)
    warn_of_short_backlog(Configuration(), log, str(path))
    warn_of_short_backlog(Configuration(), log, str(tmp_path / "none"))
    assert log.lines == [
        f"WARNING: The TCP backlog setting of 511 cannot be enforced because {path} is set to the lower value of 510."
    ] * warned


def test_a1_02_the_warning_of_the_start_and_an_immutable_option(start_server: StartServer) -> None:
    allowed = int(Path(SOMAXCONN).read_text())
    server = start_server("--tcp-backlog", str(allowed + 1))
    assert (
        f"WARNING: The TCP backlog setting of {allowed + 1} cannot be enforced because {SOMAXCONN} is set to the lower "
        f"value of {allowed}." in server.log()
    )
    with server.connect() as wire:
        assert b"can't set immutable config" in wire.call("CONFIG", "SET", "tcp-backlog", "5").text


# ---- accepted sockets -----------------------------------------------------------------------------------------------


def test_a1_03_accepted_sockets_do_not_block_and_are_not_inherited() -> None:
    with ranvier.Server(port=0) as server, Wire(server.port) as wire:
        wire.call("PING")
        fd = asked(server, lambda: server.core.engine.clients[0].fd)
        assert fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK
        assert fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
        assert option_of(server, socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


@pytest.mark.parametrize(("seconds", "interval"), [(300, 100), (10, 3), (2, 1), (1, 1)])
def test_a12_01_keepalive_of_accepted_sockets(seconds: int, interval: int) -> None:
    with ranvier.Server(port=0, tcp_keepalive=seconds) as server, Wire(server.port) as wire:
        wire.call("PING")
        assert option_of(server, socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert option_of(server, socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == seconds
        assert option_of(server, socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == interval
        assert option_of(server, socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 3


def test_a12_01_keepalive_off_and_set_at_accept_only() -> None:
    with ranvier.Server(port=0, tcp_keepalive=0) as server, Wire(server.port) as wire:
        assert wire.call("CONFIG", "SET", "tcp-keepalive", "7").raw == b"+OK\r\n"
        assert option_of(server, socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0
        wire.close()
        eventually(lambda: asked(server, lambda: server.core.engine.client_count) == 0, "it has left")
        with Wire(server.port) as another:
            another.call("PING")
            assert option_of(server, socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 7


@pytest.mark.parametrize("batch", [1, 3, 1000])
def test_a1_04_a_turn_accepts_one_batch(batch: int) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(memory_server(max_new_connections_per_cycle=batch))
        listener = stack.enter_context(listening(server))
        for _ in range(10):
            stack.enter_context(socket.create_connection(listener.bound_to, 10))
        for number in range(1, 12):
            turn(server)
            assert server.engine.client_count == min(number * batch, 10)


class FailingSocket(socket.socket):
    """A listening socket whose first accepts fail."""

    errors: list[int]

    def accept(self) -> tuple[socket.socket, object]:
        if self.errors:
            code = self.errors.pop(0)
            raise OSError(code, os.strerror(code))
        return super().accept()


@contextmanager
def failing(server: Server, errors: list[int]) -> Iterator[Listener]:
    sock = FailingSocket()
    sock.errors = errors
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    listener = Listener(server, sock)
    try:
        yield listener
    finally:
        listener.close()


def test_a1_05_a_failed_accept_does_not_end_the_batch() -> None:
    """Lesson 18: each of the passing errors, and the connections behind them are accepted in the same turn."""
    assert errno.ECONNABORTED in PASSING_ERRORS
    for code in sorted(PASSING_ERRORS):
        with memory_server() as server, failing(server, [code] * 3) as listener, ExitStack() as stack:
            for _ in range(2):
                stack.enter_context(socket.create_connection(listener.bound_to, 10))
            turn(server)
            assert server.engine.client_count == 2, errno.errorcode[code]
            assert server.total_connections == 2


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_a1_05_lasting_errors_back_off_in_doubling_steps(code: int) -> None:
    """Lesson 17: one accept and one log line per step, by the server's clock, and recovery without help."""
    with memory_server() as server, failing(server, [code] * 8) as listener:
        server.log = log = Lines()
        clock = server.clock
        with socket.create_connection(listener.bound_to, 10) as waiting:
            waiting.setblocking(False)
            waits_ms = []
            turn(server)
            while server.engine.client_count == 0:
                before_ms, lines = clock.monotonic_ms(), len(log.lines)
                while len(log.lines) == lines and server.engine.client_count == 0:
                    clock.advance(50)                       # type: ignore[attr-defined]
                    turn(server, 2)
                waits_ms.append(clock.monotonic_ms() - before_ms)
            assert waits_ms == [100, 200, 400, 800, 1600, 3200, 5000, 5000]
            assert log.lines[:8] == [f"Accepting client connection: {os.strerror(code)}"] * 8
            waiting.send(b"PING\r\n")
            turn(server)
            assert received(waiting) == (b"+PONG\r\n", "open")


def test_a1_06_who_is_refused_never_was_a_client(start_server: StartServer) -> None:
    """The check comes before the client exists: no id is spent."""
    server = start_server("--maxclients", "1", kind="ranvier")
    eventually(lambda: server.connection_count() == 0, "the harness has left")
    with server.connect() as wire:
        identity = wire.call("CLIENT", "ID").number
        for _ in range(3):
            with server.connect() as refused:
                assert refused.read_to_end() == (b"-ERR max number of clients reached\r\n", "eof")
        wire.close()
    eventually(lambda: server.connection_count() == 0, "it has left")
    with server.connect() as wire:
        assert wire.call("CLIENT", "ID").number == identity + 1


def test_a1_07_more_clients_than_the_system_allows_are_refused() -> None:
    """CONFIG SET names the number that would do; nothing changes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        unavailable("the limit on open files cannot be reached")
    with ranvier.Server(port=0, maxclients=50) as server, Wire(server.port) as wire:
        try:
            assert wire.call("CONFIG", "SET", "maxclients", hard + 1).text == (
                b"ERR CONFIG SET failed (possibly related to argument 'maxclients') - The operating system is not able "
                b"to handle the specified number of clients, try with %d" % (hard - 32)
            )
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert wire.call("CONFIG", "GET", "maxclients").items[1].text == b"50"
        assert wire.call("CONFIG", "SET", "maxclients", "49").raw == b"+OK\r\n"


# ---- Unix sockets ---------------------------------------------------------------------------------------------------


def test_a1_12_the_longest_path_and_one_byte_more(server_kind: str, start_server: StartServer, tmp_path: Path) -> None:
    longest = "/tmp/" + os.path.basename(str(tmp_path)) + str(os.getpid())
    longest = longest.ljust(107, "x")
    server = start_server("--unixsocket", longest)
    with Wire(longest) as wire:
        assert wire.call("PING").raw == b"+PONG\r\n"
        if server_kind == "ranvier":
            assert f"addr={longest}:0 laddr={longest}:0 ".encode() in wire.call("CLIENT", "INFO").text
    assert server.is_running()
    outcome = run_to_end(server_kind, ["--port", "0", "--save", "", "--unixsocket", longest + "x"])
    assert outcome.returncode == 1
    assert "Failed opening Unix socket: unix socket path too long (108), must be under 108" in outcome.stdout


def test_a1_12_the_group_of_the_socket(server_kind: str, start_server: StartServer, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    group = next((group for group in grp.getgrall() if group.gr_gid != os.getgid()), None)
    if group is None or os.getuid() != 0:
        unavailable("only root may give a file to a group that it is not in")
    start_server("--unixsocket", str(path), "--unixsocketgroup", group.gr_name, "--unixsocketperm", "770")
    status = path.stat()
    assert (status.st_gid, stat.S_IMODE(status.st_mode)) == (group.gr_gid, 0o770)
    options = ["--port", "0", "--save", "", "--unixsocket", f"{path}2", "--unixsocketgroup", "no such group"]
    outcome = run_to_end(server_kind, options)
    assert outcome.returncode == 1
    assert "Failed opening Unix socket: " in outcome.stdout
    assert "no such group" in outcome.stdout


def test_a1_12_no_permissions_leave_the_file_to_the_umask(start_server: StartServer, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    start_server("--unixsocket", str(path))
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o777 & ~umask


def test_a1_12_a_path_that_cannot_be_had_leaves_no_socket(tmp_path: Path) -> None:
    with memory_server() as server:
        before = len(os.listdir("/proc/self/fd"))
        for path, group in ((str(tmp_path / "none" / "socket"), ""), (str(tmp_path / "x"), "no such group")):
            with pytest.raises(ListenError, match="Failed opening Unix socket"):
                listen_unix(server, path, 0, group)
        assert len(os.listdir("/proc/self/fd")) == before


# ---- marks and protocols --------------------------------------------------------------------------------------------


def test_a1_16_the_mark_of_listening_and_accepted_sockets() -> None:
    """Where the privilege is missing, the log says so and the server listens without the mark."""
    with memory_server(socket_mark_id=7) as server:
        server.log = log = Lines()
        with listening(server) as listener, socket.create_connection(listener.bound_to, 10):
            turn(server)
            (client,) = server.engine.clients
            with socket.socket(fileno=os.dup(client.fd)) as end:
                mark = end.getsockopt(socket.SOL_SOCKET, socket.SO_MARK)
    refused = [line for line in log.lines if "Could not mark a listening socket with socket-mark-id 7: " in line]
    assert mark == (0 if refused else 7)
    assert len(refused) <= 1


def protocols_listened_with(port: int) -> set[int]:
    """The protocols of this process's sockets that listen on a port."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            sock = socket.socket(fileno=os.dup(int(name)))
        except OSError:
            continue                            # gone, or no socket
        with sock:
            if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) and sock.getsockname()[1] == port:
                found.add(sock.getsockopt(socket.SOL_SOCKET, SO_PROTOCOL))
    return found


def test_a1_16_multipath_tcp(start_server: StartServer, server_kind: str) -> None:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP).close()
    except OSError:
        unavailable("this kernel has no multipath TCP")
    server = start_server("--mptcp", "yes")
    with server.connect() as wire:
        assert wire.call("PING").raw == b"+PONG\r\n"
    if server_kind == "ranvier":
        with memory_server(mptcp="yes") as memory, listening(memory) as listener:
            assert protocols_listened_with(listener.bound_to[1]) == {IPPROTO_MPTCP}


def test_a1_16_the_options_are_immutable(server: ServerProcess) -> None:
    with server.connect() as wire:
        for name in ("socket-mark-id", "mptcp", "unixsocket", "unixsocketperm", "unixsocketgroup"):
            assert b"can't set immutable config" in wire.call("CONFIG", "SET", name, "1").text
