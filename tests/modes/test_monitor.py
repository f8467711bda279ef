"""MONITOR (lifecycle A13 MONITOR, A4 step 24, A5, A6-3, A10-2, A11): beside Valkey, in memory, over sockets."""

import re
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.memory import memory_client, memory_server, received, socket_client, turn, used_bytes
from harness.process import ServerProcess
from harness.wire import Wire, encode_command
from ranvier import limits
from ranvier.clock import VirtualClock
from ranvier.server.server import Server
from ranvier.shells.memory import MemoryClient

StartServer = Callable[..., ServerProcess]

LINE = re.compile(rb"^\+(\d+)\.(\d{6}) \[(\d+) (\S+)\] (.*)\r\n$", re.DOTALL)
MARKER = b"end-of-conversation"

# What one client sends while another one watches. `a` and `b` are clients, `m` is the one that watches.
CONVERSATIONS = {
    "commands as they came, the database after them": """
        a set K v
        a SELECT 3
        a GET K
        b PING
        a SELECT 0
        a CLIENT GETNAME
        a INFO server
    """,
    "admin commands are not shown": """
        a CONFIG GET maxmemory
        a CLIENT LIST
        a CLIENT KILL ID 999999
        a CLIENT NO-EVICT OFF
        a SLOWLOG LEN
        a DEBUG SLEEP 0
        a CLIENT ID
        b MONITOR
        b RESET
    """,
    "only what runs is shown, failed or not": """
        a NOSUCH command
        a GET
        a SET n v
        a INCR n
        a LPUSH n v
        a PING
    """,
    "credentials are not": """
        a AUTH secret
        a AUTH default secret
        a AUTH nobody secret
        a HELLO 2 AUTH default secret
        a HELLO 2 auth default secret SETNAME me
        a hello 2 AUTH default secret SETNAME
        a HELLO 2 SETNAME me
    """,
    "a transaction in its order": """
        a MULTI
        a SET n 1
        a SELECT 2
        a INCR n
        a EXEC
        a SELECT 0
        a MULTI
        a PING
        a DISCARD
        a MULTI
        a NOSUCH
        a EXEC
        a EXEC
        a WATCH n
        a SET n 5
        a MULTI
        a PING
        a EXEC
        a UNWATCH
    """,
    "who blocks is shown once": """
        a BLPOP q 0
        b RPUSH q v
        a BRPOPLPUSH q r 0
        b RPUSH q v
    """,
    "subscribers and silent clients": """
        a SUBSCRIBE ch
        a PING
        a PUBLISH ch refused
        b PUBLISH ch hello
        a RESET
        a CLIENT REPLY OFF
        a SET k v
        a CLIENT REPLY ON
        a RESET
    """,
    "who watches runs commands, and does nothing to the keyspace": """
        m PING
        m ECHO hello
        m GET k
        m SET k v
        m PUBLISH ch hello
        m DBSIZE
        m MULTI
        m GET k
        m EXEC
        m CLIENT ID
        m CLIENT SETNAME watcher
        m SUBSCRIBE ch
        m PING
        m UNSUBSCRIBE
    """,
    "inside a transaction it is denied": """
        a MULTI
        a MONITOR
        a EXEC
        a PING
    """,
    "who answers nothing shows nothing": """
        m CLIENT REPLY OFF
        m PING
        a PING
        m CLIENT REPLY ON
        a PING
    """,
}


def without_identity(raw: bytes, names: dict[bytes, bytes]) -> bytes:
    """A reply as it is; a line without its time, and with the client's name for its address."""
    found = LINE.match(raw)
    return raw if found is None else b"line [%s %s] %s" % (found[3], names[found[4]], found[5])


def address_of(wire: Wire) -> bytes:
    host, port = wire.socket.getsockname()[:2]
    return f"{host}:{port}".encode()


def seen(server: ServerProcess, conversation: str, protocol: int) -> list[bytes]:
    """Everything that the client which watches receives, its own replies included."""
    with ExitStack() as stack:
        wires = {name: stack.enter_context(server.connect(protocol=protocol)) for name in ("a", "b", "m", "end")}
        names = {address_of(wire): name.encode() for name, wire in wires.items()}
        wires["end"].call("FLUSHALL")
        wires["m"].send_command("MONITOR")
        for line in filter(None, map(str.strip, conversation.splitlines())):
            who, _, request = line.partition(" ")
            wires[who].send_command(*request.split())
            wires["end"].call("SLOWLOG", "LEN")      # by now the request has run, and nobody was shown this
        wires["end"].call("ECHO", MARKER)
        heard: list[bytes] = []
        while not heard or MARKER not in heard[-1]:
            heard.append(without_identity(wires["m"].reply().raw, names))
        return heard


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("title", CONVERSATIONS)
def test_a13_shown_as_by_valkey(server: ServerProcess, valkey: ServerProcess, title: str, protocol: int) -> None:
    """A13 MONITOR."""
    ours, theirs = (seen(one, CONVERSATIONS[title], protocol) for one in (server, valkey))
    identity = re.compile(rb"^:\d+\r\n$")           # CLIENT ID
    assert [identity.sub(b":n", raw) for raw in ours] == [identity.sub(b":n", raw) for raw in theirs]
    assert ours[0] == b"+OK\r\n"
    assert len(ours) > 2


def test_a13_every_byte_is_escaped_as_by_valkey(server: ServerProcess, valkey: ServerProcess) -> None:
    shown = []
    for one in (server, valkey):
        with one.connect() as watching, one.connect() as talking:
            watching.call("MONITOR")
            names = {address_of(talking): b"t"}
            lines = []
            for argument in (bytes(range(256)), b"", b'"', b"\\", b"x" * 600, bytes(range(256)) * 40):
                talking.call("ECHO", argument)
                lines.append(without_identity(watching.reply().raw, names))
            shown.append(lines)
    assert shown[0] == shown[1]
    assert shown[0][1] == b'line [0 t] "ECHO" ""'


def test_a13_lines_of_any_length_arrive_whole(server: ServerProcess) -> None:
    """Short lines are copied, long ones shared: every length around the border."""
    with server.connect() as watching, server.connect() as talking:
        watching.call("MONITOR")
        for length in [*range(430, 530), 4000, 4096, 16384, 100_000]:
            talking.call("ECHO", b"x" * length)
            assert watching.reply().raw.endswith(b'] "ECHO" "' + b"x" * length + b'"\r\n')


def test_a13_a_unix_socket_is_named(start_server: StartServer, tmp_path: Path) -> None:
    shown = []
    for kind in ("ranvier", "valkey"):
        path = str(tmp_path / f"{kind}.sock")
        running = start_server("--unixsocket", path, kind=kind)
        with running.connect() as watching, Wire(path) as talking:
            watching.call("MONITOR")
            talking.call("PING")
            shown.append(watching.reply().text.partition(b" ")[2].replace(kind.encode(), b"server"))
    assert shown[0] == shown[1] == b'[0 unix:%s/server.sock] "PING"' % str(tmp_path).encode()


def test_a11_kill_and_list_take_a_monitor_for_normal(server: ServerProcess, valkey: ServerProcess) -> None:
    for one in (server, valkey):
        with one.connect() as watching, one.connect() as other:
            watching.call("CLIENT", "SETNAME", "watcher")
            watching.call("MONITOR")
            for words, found in (("TYPE normal", True), ("FLAGS O", True), ("TYPE replica", False),
                                 ("TYPE pubsub", False), ("NOT-FLAGS O", False)):
                listed = other.call("CLIENT", "LIST", *words.split(), "NAME", "watcher").text
                assert (b"flags=O " in listed) is found, words
            assert other.call("CLIENT", "KILL", "FLAGS", "O", "NAME", "watcher").number == 1
            assert watching.read_to_end()[0] == b""


# ---- what only the inside shows --------------------------------------------------------------------------------------

def say(client: MemoryClient, *lines: str) -> bytes:
    return client.talk(b"".join(encode_command(*line.split()) for line in lines))


def without_times(data: bytes) -> bytes:
    return re.sub(rb"\+\d+\.\d{6} \[", b"+T [", data)


def test_a13_the_time_is_the_servers() -> None:
    with memory_server() as server, memory_client(server) as watching, memory_client(server) as talking:
        say(watching, "MONITOR")
        say(talking, "PING")
        milliseconds = server.engine.wall_ms
        assert watching.talk(b"") == b'+%d.%06d [0 memory] "PING"\r\n' % (
            milliseconds // 1000, milliseconds % 1000 * 1000)


def test_a13_a_monitor_that_asks_again_is_answered() -> None:
    """Valkey says nothing at all, so that the answers after it are taken for others; the lines come once."""
    with memory_server() as server, memory_client(server) as watching, memory_client(server) as talking:
        assert say(watching, "MONITOR", "MONITOR") == b"+OK\r\n+OK\r\n"
        say(talking, "PING")
        assert without_times(watching.talk(b"")) == b'+T [0 memory] "PING"\r\n'


def test_a13_own_lines_stay_out_of_the_reply_to_exec() -> None:
    """Valkey puts them between the elements of the array, which no client can read."""
    with memory_server() as server, memory_client(server) as watching, memory_client(server) as other:
        say(watching, "MONITOR")
        say(other, "MONITOR")
        before = used_bytes(server)
        assert without_times(say(watching, "MULTI", "PING", "ECHO x", "EXEC")) == (
            b'+OK\r\n+T [0 memory] "MULTI"\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+PONG\r\n$1\r\nx\r\n'
            b'+T [0 memory] "PING"\r\n+T [0 memory] "ECHO" "x"\r\n+T [0 memory] "EXEC"\r\n')
        assert without_times(other.talk(b"")) == b"".join(
            b"+T [0 memory] %s\r\n" % command for command in (b'"MULTI"', b'"PING"', b'"ECHO" "x"', b'"EXEC"'))
        assert used_bytes(server) == before


@pytest.mark.parametrize("request_", ["AUTH a b c", "AUTH a", "HELLO 3 AUTH u p", "HELLO 3 SETNAME x AUTH u p"])
def test_a11_secrets_are_redacted_whatever_their_number(request_: str) -> None:
    with memory_server(requirepass="p") as server, memory_client(server) as watching, memory_client(server) as other:
        say(watching, "AUTH p", "MONITOR")
        say(other, request_)
        shown = watching.talk(b"")
        assert shown.count(b"(redacted)") == request_.partition("AUTH")[2].count(" ")
        assert b'"p"' not in shown and b'"a"' not in shown


def test_a4_24_nobody_is_shown_anything_once_all_have_left() -> None:
    """RESET, QUIT and a kill leave the mode; the last one opens the gate again (A8-16)."""
    with memory_server() as server, memory_client(server) as talking:
        say(talking, "SET k v", "DEL k")
        before = used_bytes(server)
        with memory_client(server) as one, memory_client(server) as two, memory_client(server) as three:
            for each in (one, two, three):
                say(each, "MONITOR")
            assert say(one, "RESET") == b"+RESET\r\n"
            say(talking, "PING")
            assert one.talk(b"") == b""
            assert without_times(two.talk(b"")) == (
                b'+T [0 memory] "RESET"\r\n+T [0 memory] "PING"\r\n')
            assert say(two, "QUIT") == b"+OK\r\n"
            three.handle.close()
            assert say(one, "SET k v", "DEL k") == b"+OK\r\n:1\r\n", "the keyspace is open to it again"
        server.engine.free_closed()
        say(talking, "PING")
        assert used_bytes(server) == before


def test_a5_a_long_line_is_shared_by_all_who_watch() -> None:
    with memory_server() as server, ExitStack() as stack:
        talking = stack.enter_context(memory_client(server))
        watching = [stack.enter_context(memory_client(server)) for _ in range(8)]
        for each in watching:
            say(each, "MONITOR")
        line = b"x" * 100_000
        talking.talk(encode_command("ECHO", line))
        before = used_bytes(server)
        talking.talk(encode_command("ECHO", line))
        assert used_bytes(server) - before < 2 * len(line)
        for each in watching:
            assert each.talk(b"").count(line) == 2


def test_a6_8_who_does_not_read_is_closed_at_the_limit_of_normal_clients() -> None:
    with memory_server(client_output_buffer_limit="normal 1mb 0 0") as server, memory_client(server) as talking, \
            socket_client(server, send_buffer_bytes=4096) as watching:
        watching.send(encode_command("MONITOR"))
        turn(server)
        sent = 0
        while server.engine.client_count == 2 and sent < 3_000_000:
            talking.talk(encode_command("ECHO", b"x" * 10_000))
            turn(server)
            sent += 10_000
        assert 1_000_000 < sent < 3_000_000
        assert server.engine.statistics()["output_buffer_disconnections"] == 1
        assert received(watching)[1] == "ended"


def written_in_a_turn(server: Server, watching: socket.socket, talking: MemoryClient) -> int:
    """Bytes that one turn writes to the client, to which 300,000 are owed."""
    for _ in range(300):
        talking.talk(encode_command("PUBLISH", "ch", b"x" * 1000))
    turn(server)
    return len(received(watching)[0])


def test_a6_3_who_watches_gets_more_than_a_share_of_a_turn() -> None:
    with memory_server() as server, memory_client(server) as talking, \
            socket_client(server, send_buffer_bytes=1 << 20) as watching, \
            socket_client(server, send_buffer_bytes=1 << 20) as subscribed:
        watching.send(encode_command("MONITOR"))
        subscribed.send(encode_command("SUBSCRIBE", "ch"))
        turn(server)
        received(watching), received(subscribed)
        assert written_in_a_turn(server, watching, talking) > 300_000
        assert len(received(subscribed)[0]) <= limits.WRITE_BYTES_PER_TURN < 70_000


def test_a10_2_who_watches_is_not_idle() -> None:
    with memory_server(timeout=10) as server, socket_client(server) as watching, socket_client(server) as idle:
        watching.send(encode_command("MONITOR"))
        idle.send(encode_command("PING"))
        turn(server)
        assert isinstance(server.clock, VirtualClock)
        server.clock.advance(60_000)
        turn(server)
        server.engine.check_clients(10)
        turn(server)
        assert received(idle) == (b"+PONG\r\n", "ended")
        assert received(watching)[1] == "open"


def test_a11_a_pause_does_not_hold_back_who_watches() -> None:
    with memory_server() as server, memory_client(server) as watching, memory_client(server) as talking:
        say(watching, "MONITOR")
        assert say(talking, "CLIENT PAUSE 1000", "ECHO held") == b"+OK\r\n"
        assert without_times(say(watching, "PING")) == b'+PONG\r\n+T [0 memory] "PING"\r\n'
        assert isinstance(server.clock, VirtualClock)
        server.clock.advance(1000)
        turn(server)
        assert without_times(watching.talk(b"")) == b'+T [0 memory] "ECHO" "held"\r\n'


def test_a7_1_a_monitor_that_kills_itself_or_another_stops_cleanly() -> None:
    with memory_server() as server, memory_client(server) as one, memory_client(server) as two:
        say(one, "MONITOR")
        say(two, "MONITOR")
        assert say(one, f"CLIENT KILL ID {two.handle.id}") == b":1\r\n"
        assert say(one, f"CLIENT KILL ID {one.handle.id} SKIPME no", "PING") == b":1\r\n"
        assert one.handle.closed and two.handle.closed
