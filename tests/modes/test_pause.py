"""CLIENT PAUSE and UNPAUSE (lifecycle A4 check 22, A11): who waits, for how long, and in which order it goes on."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from harness.memory import memory_client, memory_server, received, socket_client, turn, used_bytes
from harness.process import ServerProcess
from harness.waiting import eventually
from harness.wire import encode_command
from ranvier.clock import VirtualClock
from ranvier.server.server import Server
from ranvier.shells.memory import MemoryClient

TWO_MINUTES = "120000"


class Room:
    """A server in memory, and two clients who talk to it in lines."""

    def __init__(self, server: Server, stack: ExitStack) -> None:
        self.server = server
        self.clients = {name: stack.enter_context(memory_client(server)) for name in ("a", "b", "admin")}

    def say(self, name: str, *lines: str) -> bytes:
        return self.clients[name].talk(b"".join(encode_command(*line.split()) for line in lines))

    def heard(self, name: str) -> bytes:
        """Turn once, and take what was sent to the client."""
        turn(self.server)
        client: MemoryClient = self.clients[name]
        return self.server.engine.take_output(client.handle)

    def advance(self, milliseconds: int) -> None:
        assert isinstance(self.server.clock, VirtualClock)
        self.server.clock.advance(milliseconds)
        turn(self.server, 2)


@pytest.fixture
def room() -> Iterator[Room]:
    with ExitStack() as stack:
        yield Room(stack.enter_context(memory_server()), stack)


def test_a11_a_pause_of_writes_holds_writes_and_lets_reads_pass(room: Room) -> None:
    """A4-22, A11 PAUSE, A11 UNPAUSE."""
    room.say("a", "set k 1")
    assert room.say("admin", f"client pause {TWO_MINUTES} write") == b"+OK\r\n"
    assert room.say("a", "get k", "set k 2", "get k") == b"$1\r\n1\r\n"
    assert room.say("b", "get k") == b"$1\r\n1\r\n"
    assert b"flags=b " in room.say("admin", f"client list id {room.clients['a'].handle.id}")
    assert room.say("admin", "client unpause") == b"+OK\r\n"
    assert room.heard("a") == b"+OK\r\n$1\r\n2\r\n"


def test_a11_a_pause_of_everything_holds_everybody_until_its_end(room: Room) -> None:
    """A4-22, A11 PAUSE."""
    assert room.say("admin", "client pause 1000", "ping") == b"+OK\r\n"
    assert room.say("a", "ping", "ping") == b""
    assert room.say("b", "client unpause") == b""
    room.advance(999)
    assert room.heard("a") == b""
    room.advance(1)
    assert (room.heard("a"), room.heard("b"), room.heard("admin")) == (b"+PONG\r\n" * 2, b"+OK\r\n", b"+PONG\r\n")


def test_a11_what_was_held_back_runs_in_the_order_in_which_it_came(room: Room) -> None:
    """A4-25."""
    room.say("admin", "client pause 1000 write")
    for name in ("b", "a", "admin"):
        room.say(name, f"rpush l {name}1", f"rpush l {name}2")
    room.advance(1000)
    assert room.heard("a") == b":3\r\n:4\r\n"
    elements = room.say("a", "lrange l 0 -1").split(b"\r\n")[2::2]
    assert elements == [b"b1", b"b2", b"a1", b"a2", b"admin1", b"admin2"]


def test_a11_who_pauses_again_when_let_go_holds_those_behind(room: Room) -> None:
    """Found by tests/model: a pipeline goes on as a whole before the next client that was held."""
    room.say("admin", "client pause 1000 write")
    room.say("a", "set k a", f"client pause {TWO_MINUTES} write", "set k never")
    room.say("b", "set k b", "get k")
    room.say("admin", "client unpause")
    assert (room.heard("a"), room.heard("b")) == (b"+OK\r\n+OK\r\n", b"")
    assert room.say("admin", "get k", "client unpause") == b"$1\r\na\r\n+OK\r\n"
    assert (room.heard("a"), room.heard("b")) == (b"+OK\r\n", b"+OK\r\n$1\r\nb\r\n")


def test_a11_of_two_pauses_the_later_end_and_the_stricter_kind_hold(room: Room) -> None:
    """A11 PAUSE."""
    room.say("admin", "client pause 1000 all")
    room.advance(1000)
    room.say("admin", "client pause 2000 write", "client pause 1000 write")
    room.say("b", "client pause 500 all")
    room.say("a", "ping")
    room.advance(1999)
    assert room.heard("a") == b""
    room.advance(1)
    assert room.heard("a") == b"+PONG\r\n"


def test_a11_the_timer_of_an_ended_pause_ends_no_other(room: Room) -> None:
    room.say("admin", "client pause 1000 write", "client unpause", "client pause 5000 write")
    room.say("a", "set k 1")
    room.advance(1000)
    assert room.heard("a") == b""
    room.advance(4000)
    assert room.heard("a") == b"+OK\r\n"


def test_a11_a_pause_of_writes_behind_one_of_everything_lets_reads_pass(room: Room) -> None:
    """Found by tests/model: a request that was held runs through the gates that stand when its turn comes."""
    room.say("admin", "client pause 1000 all")
    room.say("a", f"client pause {TWO_MINUTES} write")
    room.say("b", "ping", "set k 1")
    room.say("admin", "echo over")
    room.advance(1000)
    assert (room.heard("a"), room.heard("b"), room.heard("admin")) == (b"+OK\r\n", b"+PONG\r\n", b"$4\r\nover\r\n")
    room.say("admin", "client unpause")
    assert room.heard("b") == b"+OK\r\n"


def test_a11_a_subcommand_is_held_and_refusals_are_not(room: Room) -> None:
    """A11 PAUSE."""
    room.say("admin", "client pause 1000 all")
    assert room.say("a", "nosuch", "get", "client id") == (
        b"-ERR unknown command 'nosuch', with args beginning with: \r\n"
        b"-ERR wrong number of arguments for 'get' command\r\n"
    )
    room.advance(1000)
    assert room.heard("a") == b":%d\r\n" % room.clients["a"].handle.id


def test_a11_a_pause_of_writes_and_transactions(room: Room) -> None:
    """A write waits before it is queued; EXEC waits if it would write (A4-22, A11 PAUSE)."""
    room.say("a", "multi", "set k 1")
    room.say("b", "multi", "get k")
    room.say("admin", "client pause 1000 write")
    assert room.say("a", "exec") == b""
    assert room.say("b", "exec", "multi", "get k", "set k 2", "exec") == b"*1\r\n$-1\r\n+OK\r\n+QUEUED\r\n"
    room.advance(1000)
    assert room.heard("a") == b"*1\r\n+OK\r\n"
    assert room.heard("b") == b"+QUEUED\r\n*2\r\n$1\r\n1\r\n+OK\r\n"


def test_a11_a_paused_client_is_not_unblocked(room: Room) -> None:
    """A11 UNBLOCK."""
    room.say("admin", "client pause 1000 write")
    room.say("a", "set k 1")
    assert room.say("admin", f"client unblock {room.clients['a'].handle.id}") == b":0\r\n"
    room.advance(1000)
    assert room.heard("a") == b"+OK\r\n"


def test_a11_nothing_expires_while_writes_are_paused(room: Room) -> None:
    room.say("a", "set k 1 px 10")
    room.say("admin", "client pause 1000 write")
    room.advance(20)
    room.server.engine.expire_keys(True)
    assert room.say("a", "get k", "dbsize") == b"$-1\r\n:1\r\n"
    room.say("admin", "client unpause")
    turn(room.server)
    assert room.say("a", "get k", "dbsize") == b"$-1\r\n:0\r\n"


def test_a_blocking_request_held_back_blocks_afterwards(room: Room) -> None:
    room.say("admin", "client pause 1000 write")
    room.say("a", "blpop l 1")
    room.say("b", "blpop l 0", "echo done")
    room.advance(1000)
    assert room.heard("a") == b""
    room.advance(999)                   # its second begins when it runs
    assert room.heard("a") == b""
    room.advance(1)
    assert room.heard("a") == b"*-1\r\n"
    room.say("admin", "rpush l x")
    assert room.heard("b") == b"*2\r\n$1\r\nl\r\n$1\r\nx\r\n$4\r\ndone\r\n"


def test_a7_5_a_paused_client_that_vanishes_writes_nothing(room: Room) -> None:
    before = used_bytes(room.server)
    room.say("admin", f"client pause {TWO_MINUTES} write")
    for how in ("close", "kill"):
        with socket_client(room.server) as peer:
            peer.sendall(encode_command("SET", "k", "x" * 50_000))
            turn(room.server)
            assert room.server.engine.blocked.figures()["blocked_clients"] == 1
            if how == "kill":
                room.say("admin", f"client kill id {max(handle.id for handle in room.server.engine.clients)}")
                assert received(peer)[1] == "ended"
        turn(room.server, 2)
        assert room.server.engine.blocked.figures()["blocked_clients"] == 0
    room.say("admin", "client unpause")
    turn(room.server)
    assert room.say("a", "exists k") == b":0\r\n"
    assert used_bytes(room.server) == before


def test_a4_answers_and_figures_are_the_reference_ones(server: ServerProcess, valkey: ServerProcess) -> None:
    """A11 PAUSE, A11 UNPAUSE, A14-16."""
    shown = []
    for running in (server, valkey):
        with running.connect() as wire, running.connect() as writer:
            answers = [wire.call(*line.split()).raw for line in (
                "client pause x", "client pause -1", "client pause 1 foo", "client pause x foo", "client pause 1.5",
                "client pause", "client pause 9223372036854775807", "client unpause x", "client unpause",
                f"client pause {TWO_MINUTES} write", "client unpause", "client pause 1 write x",
                f"client pause {TWO_MINUTES} write",
            )]
            writer.send_command("SET", "k", "1")
            eventually(lambda at=running: at.info("clients")["blocked_clients"] == "1", "the writer waits")  # type: ignore[misc]
            figures = running.info("clients")
            answers.append(wire.call("CLIENT", "UNPAUSE").raw)
            answers.append(writer.reply().raw)
            writer.call("DEL", "k")
            after = running.info("clients")
            names = ("paused_reason", "paused_actions", "blocked_clients", "clients_in_timeout_table")
            shown.append((answers, [figures[name] for name in names], [after[name] for name in names]))
            assert 0 < int(figures["paused_timeout_milliseconds"]) <= int(TWO_MINUTES)
            assert after["paused_timeout_milliseconds"] == "0"
    assert shown[0] == shown[1]
